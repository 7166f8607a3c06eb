# SPDX-License-Identifier: Apache-2.0
"""An authority that another organisation runs, as an approver reaches it: by its address alone.

Nothing of its home is read. Who is at the other end is shown by TLS, and is believed for nothing:
the policy is shown from the bytes whose digest is signed, and the digest is what the approver was
told by whoever wrote the policy.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from sekisho.adapters.authority.http_link import ClientTls, HttpLink
from sekisho.compose.home import Surroundings
from sekisho.compose.running_authority import THERE_WAIT_S, RunningAuthority
from sekisho.core.errors import ConfigurationInvalid
from sekisho.core.governance.roster import Roster
from sekisho.services import authoritywire as wire


class Shown(NamedTuple):
    """What the approver shows, and whom it believes, PEM: certificate, its key, the server's CA."""

    certificate: Path
    key: Path
    ca: Path


class DistantAuthority(RunningAuthority):
    """One whose home is elsewhere; ``passphrase`` opens the person's own key file."""

    def __init__(
        self,
        link: HttpLink,
        roster: Roster,
        around: Surroundings,
        passphrase: Callable[[], bytes],
    ) -> None:
        super().__init__(Path(), link, roster, around)
        self._passphrase = passphrase

    def passphrase(self) -> bytes:
        """What opens the person's key."""
        return self._passphrase()


@asynccontextmanager
async def distant_authority(
    address: str, shown: Shown | None, passphrase: Callable[[], bytes]
) -> AsyncGenerator[DistantAuthority, None]:
    """The authority at ``https://HOST:PORT`` (with ``shown``) or ``unix:PATH``.

    Raises:
        ConfigurationInvalid: TCP without TLS, files that cannot be used, or no authority there.
        Unavailable: nobody answers.
    """
    link = HttpLink(address, None if shown is None else ClientTls(*shown))
    try:
        status, data = await link.ask("GET", "/v1/roster", b"", wait_s=THERE_WAIT_S)
        if status != 200:
            raise ConfigurationInvalid(f"{address}: no authority answers there", "--at")
        roster = wire.read(data, Roster)
        yield DistantAuthority(link, roster, Surroundings(), passphrase)
    finally:
        await link.close()
