# SPDX-License-Identifier: Apache-2.0
"""An approver takes an approval back (docs/spec/policy.md, 6).

Signed like an approval. Replay is *not* checked here: whoever acts on a withdrawal refuses a nonce
that its log already holds. What it then does to resolutions is the matter of ``core.identity``.
"""

from __future__ import annotations

import re

import msgspec

from sekisho.core.encoding import canonical, unb64
from sekisho.core.errors import MalformedInput, VerificationFailed
from sekisho.core.governance.duties import authorise
from sekisho.core.governance.roster import Roster, roster_sha256
from sekisho.core.governance.signatures import verify_signature
from sekisho.core.terms import NS, parse_instant

CONTEXT = b"sekisho/withdrawal/v1\n"
AHEAD_MAX_S = 5
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NONCE = re.compile(r"[0-9a-f]{32}")


class Withdrawal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One seat's signature (base64) that its approvals of a digest, so far, count no more."""

    policy_sha256: str
    roster_sha256: str
    seat: str
    withdrawn_at: str
    nonce: str
    signature: str


def withdrawal_message(
    *, policy_sha256: str, roster_sha256: str, seat: str, withdrawn_at: str, nonce: str
) -> bytes:
    """The bytes that an approver signs."""
    return CONTEXT + canonical(
        {
            "policy_sha256": policy_sha256,
            "roster_sha256": roster_sha256,
            "seat": seat,
            "withdrawn_at": withdrawn_at,
            "nonce": nonce,
        }
    )


def check_withdrawal(withdrawal: Withdrawal, roster: Roster, now_ns: int) -> None:
    """Whether a withdrawal holds at ``now_ns`` (ns UTC); however old it is, since it only narrows.

    Raises:
        MalformedInput: it is not well made.
        VerificationFailed: another roster, no such seat, from the future, or a bad signature.
        NotAuthorised: the seat is no approver's.
    """
    for name, text, form in (
        ("policy_sha256", withdrawal.policy_sha256, _DIGEST),
        ("nonce", withdrawal.nonce, _NONCE),
    ):
        if form.fullmatch(text) is None:
            raise MalformedInput(f"withdrawal: {name} is not written as {form.pattern}", name)
    if parse_instant(withdrawal.withdrawn_at, "withdrawn_at") > now_ns + AHEAD_MAX_S * NS:
        raise VerificationFailed(f"the withdrawal is from the future, {withdrawal.withdrawn_at}")
    if withdrawal.roster_sha256 != roster_sha256(roster):
        raise VerificationFailed("the withdrawal is under another roster")
    seat = roster.find(withdrawal.seat)
    if seat is None:
        raise VerificationFailed(f"the roster has no seat {withdrawal.seat[:64]!r}")
    authorise("approve", (seat,))
    message = withdrawal_message(
        policy_sha256=withdrawal.policy_sha256,
        roster_sha256=withdrawal.roster_sha256,
        seat=withdrawal.seat,
        withdrawn_at=withdrawal.withdrawn_at,
        nonce=withdrawal.nonce,
    )
    verify_signature(unb64(seat.public_key), message, unb64(withdrawal.signature))
