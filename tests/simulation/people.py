# SPDX-License-Identifier: Apache-2.0
"""People with keys of the sample roster: what they sign is the same in every process."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sekisho.core.encoding import b64
from sekisho.core.governance.commands import Command, SignedCommand, command_message
from sekisho.core.governance.roster import roster_sha256
from sekisho.core.terms import format_instant
from tests.simulation.outside import EXACT
from tests.unit.core.governance.samples import KEYS, ROSTER, Key

COMPLIANCE, RISK = "compliance_lead", "risk_lead"
BOTH = (COMPLIANCE, RISK)


def exactly(key: Key, message: bytes) -> str:
    """A signature that is the same in every process, base64."""
    if isinstance(key, Ed25519PrivateKey):
        return b64(key.sign(message))
    return b64(key.sign(message, EXACT))


def command(
    kind: Any, seats: tuple[str, ...], nonce: int, now_ns: int, **fields: Any
) -> tuple[SignedCommand, ...]:
    """The same command about the agent by each of these seats.

    Args:
        kind: what is commanded.
        seats: who commands it; each signs a command of their own.
        nonce: of the first; the others count on from it.
        now_ns: when, ns UTC.
        fields: what this kind wants besides.
    """
    signed = []
    for number, seat in enumerate(seats):
        said = Command(
            command=kind,
            reason_code="simulated",
            seat=seat,
            roster_sha256=roster_sha256(ROSTER),
            nonce=f"{nonce + number:032x}",
            commanded_at=format_instant(now_ns),
            agent="bot",
            **fields,
        )
        signature = exactly(KEYS[seat], command_message(said))
        signed.append(SignedCommand(command=said, signature=signature))
    return tuple(signed)
