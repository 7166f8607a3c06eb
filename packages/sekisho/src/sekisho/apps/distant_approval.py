# SPDX-License-Identifier: Apache-2.0
"""``sekisho approve --at``: an approver who has a key file, an address, and nothing else."""

from __future__ import annotations

from pathlib import Path

import click

from sekisho.apps.embedded import approve_there
from sekisho.apps.gate_people import Keyring
from sekisho.compose.distant_authority import Shown, distant_authority


async def approve_at(
    address: str,
    tls: tuple[Path | None, Path | None, Path | None],
    digest: str,
    seat: str,
    key: Path,
    passphrase_file: Path | None,
    *,
    asked: bool,
) -> int:
    """Show the policy from the bytes whose digest is signed, and give the approval.

    Args:
        address: ``https://HOST:PORT``, or ``unix:PATH``.
        tls: certificate, its key, the server's CA; all of them or none.
        digest: as whoever wrote the policy told it; what is shown has it, or nothing is signed.
        seat: who approves.
        key: the key file of that seat.
        passphrase_file: opens it; without one it is asked for.
        asked: whether to ask before signing.
    """
    certificate, own, ca = tls
    shown = None
    if certificate is not None and own is not None and ca is not None:
        shown = Shown(certificate, own, ca)
    elif any(tls):
        raise click.UsageError("--tls-certificate, --tls-key and --tls-ca go together")
    keys = Keyring(None, passphrase_file)
    async with distant_authority(address, shown, keys.passphrase) as authority:
        return await approve_there(authority, digest, seat, key, asked=asked)
