# SPDX-License-Identifier: Apache-2.0
"""The gate's answers in words of Kraken's REST (docs/spec/kraken.md, section 2.4).

A client library raises by the *first* error that it knows, and frameworks retry by what is raised.
So the first error is one of Kraken's own, chosen for what it makes a bot do; the gate's reasons
follow, each as ``EGate:CODE…``, and stand in the exception's text. A refusal is never worded as
something that passes by itself.
"""

from __future__ import annotations

from typing import Final

from sekisho.core.terms import Code, Reason
from sekisho.services.gatekeeper import Answer

INVALID_KEY: Final = ["EAPI:Invalid key"]
INVALID_SIGNATURE: Final = ["EAPI:Invalid key", "EAPI:Invalid signature"]
INVALID_NONCE: Final = ["EAPI:Invalid nonce"]
NOT_OFFERED: Final = ["EGeneral:Permission denied", "EGate:not_offered"]
UNAVAILABLE: Final = "EService:Unavailable"
LOCKED: Final = "ETrade:User Locked"
DENIED: Final = "EGeneral:Permission denied"
UNKNOWN: Final = "EOrder:Unknown order"
INVALID: Final = "EOrder:Invalid order"
ARGUMENTS: Final = "EGeneral:Invalid arguments"

_STOPPED = (
    Code.AGENT_NOT_ACTIVE,
    Code.CERTIFICATE_HELD,
    Code.CERTIFICATE_REVOKED,
    Code.CIRCUIT_BREAKER_ACTIVE,
    Code.EXECUTION_THROTTLE_LATCHED,
    Code.CONSECUTIVE_FAILURES_LATCHED,
)
_NOT_ALLOWED = (
    Code.CERTIFICATE_NOT_YET_VALID,
    Code.CERTIFICATE_EXPIRED,
    Code.POLICY_NOT_IN_FORCE,
    Code.REVIEW_OVERDUE,
    Code.ENVIRONMENT_MISMATCH,
    Code.ACTION_NOT_PERMITTED,
    Code.VENUE_NOT_ALLOWED,
    Code.REGION_NOT_ALLOWED,
    Code.BASELINE_MISSING,
)
WORDS: Final[dict[Code, str]] = {
    **dict.fromkeys(Code, INVALID),
    **dict.fromkeys(_STOPPED, LOCKED),
    **dict.fromkeys(_NOT_ALLOWED, DENIED),
    Code.UNKNOWN_ORDER: UNKNOWN,
    Code.CONTROL_UNAVAILABLE: UNAVAILABLE,
}
"""What a refusal for this reason begins with."""

_WEIGHT = (LOCKED, DENIED, INVALID, UNKNOWN, UNAVAILABLE)
"""Of several reasons the one that people must act on leads; the one worth a retry comes last."""
TEXT_MAX: Final = 200


def errors_of(answer: Answer) -> list[str]:
    """The errors of an answer; empty when the order or cancel was permitted.

    ``possibly_issued`` is no error: its fate is not known, and whoever is told of a failure would
    place the order again.
    """
    if answer.kind in {"permitted", "possibly_issued"}:
        return []
    if answer.kind == "unavailable":
        return [UNAVAILABLE, *_told(answer)]
    if answer.kind == "withdrawn":
        return [_withdrawn(answer.detail), f"EGate:withdrawn:{_plain(answer.detail)}"]
    leading = {WORDS[reason.code] for reason in answer.reasons} or {INVALID}
    first = next(word for word in _WEIGHT if word in leading)
    malformed = any(reason.code is Code.MALFORMED_ORDER for reason in answer.reasons)
    return [first, *([ARGUMENTS] if malformed else []), *_told(answer)]


def _withdrawn(detail: str) -> str:
    """A withdrawn order is over; why it was withdrawn says what the bot is to make of it."""
    word = detail.partition(";")[0].strip()
    return WORDS[Code(word)] if word in {str(code) for code in _STOPPED} else INVALID


def _told(answer: Answer) -> list[str]:
    return [f"EGate:{_sentence(reason)}" for reason in answer.reasons]


def _sentence(reason: Reason) -> str:
    parts = [str(reason.code)]
    parts += [f"limit {reason.limit}"] if reason.limit else []
    parts += [f"observed {reason.observed}"] if reason.observed else []
    parts += [reason.unit] if reason.unit else []
    return _plain(" ".join(parts))


def _plain(text: str) -> str:
    """One line of printable ASCII."""
    return "".join(sign if " " <= sign <= "~" else "?" for sign in text)[:TEXT_MAX]
