# SPDX-License-Identifier: Apache-2.0
"""Approvals of one digest, and the resolution that enough of them make (policy.md, 6).

What is approved is a policy, limits above agents or a roster: the digest says which, because each
document says what it is. Every approval presented must count: one that does not is told, never left
out in silence. The core keeps no approvals; whoever collects them asks ``objections`` when one
arrives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from sekisho.core.encoding import canonical, sha256_hex, unb64
from sekisho.core.errors import MalformedInput, NotAuthorised, VerificationFailed
from sekisho.core.governance.duties import DUTIES
from sekisho.core.governance.policy import Policy
from sekisho.core.governance.policy import policy_sha256 as sha256_of_policy
from sekisho.core.governance.roster import Roster, check_roster, roster_sha256
from sekisho.core.governance.signatures import verify_signature
from sekisho.core.terms import DAY_S, NS, format_instant, parse_instant

CONTEXT = b"sekisho/approval/v1\n"
APPROVAL_LIFETIME_MAX_S = 31 * DAY_S


class Approval(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One seat's signature (base64) over one policy digest under one roster."""

    policy_sha256: str
    roster_sha256: str
    seat: str
    approved_at: str
    expires_at: str
    signature: str


class Resolution(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Enough approvals, judged at ``resolved_at``; sorted by seat."""

    schema: Literal["sekisho/resolution/v1"] = "sekisho/resolution/v1"
    policy_sha256: str
    roster_sha256: str
    required: int
    resolved_at: str
    approvals: tuple[Approval, ...]


class Subject(NamedTuple):
    """What is approved, by its digest, and by whom it must be.

    ``documented_by`` is the seat that may not approve it, or empty.
    """

    sha256: str
    documented_by: str
    required: int
    approved_by: tuple[str, ...] = ()


def subject_of(what: Policy | Subject) -> Subject:
    """A policy as what is approved."""
    if isinstance(what, Subject):
        return what
    governance = what.governance
    return Subject(
        sha256_of_policy(what),
        governance.documented_by,
        governance.approvals_required,
        governance.approved_by,
    )


def approval_message(
    *, policy_sha256: str, roster_sha256: str, seat: str, approved_at: str, expires_at: str
) -> bytes:
    """The bytes that an approver signs."""
    return CONTEXT + canonical(
        {
            "policy_sha256": policy_sha256,
            "roster_sha256": roster_sha256,
            "seat": seat,
            "approved_at": approved_at,
            "expires_at": expires_at,
        }
    )


def objections(
    what: Policy | Subject, roster: Roster, approval: Approval, now_ns: int
) -> tuple[str, ...]:
    """Why an approval does not count at ``now_ns`` (ns UTC); empty when it does."""
    who = f"approval of {approval.seat[:64]!r}"
    subject, found = subject_of(what), []
    if approval.policy_sha256 != subject.sha256:
        found.append(f"{who}: is for another policy")
    if approval.roster_sha256 != roster_sha256(roster):
        found.append(f"{who}: is under another roster")
    if approval.seat == subject.documented_by:
        found.append(f"{who}: this seat documented the policy")
    found += [f"{who}: {objection}" for objection in _untimely(approval, now_ns)]
    seat = roster.find(approval.seat)
    if seat is None:
        return (*found, f"{who}: no such seat")
    if seat.role not in DUTIES["approve"].roles:
        found.append(f"{who}: the seat's role is {seat.role}")
    message = approval_message(
        policy_sha256=approval.policy_sha256,
        roster_sha256=approval.roster_sha256,
        seat=approval.seat,
        approved_at=approval.approved_at,
        expires_at=approval.expires_at,
    )
    try:
        verify_signature(unb64(seat.public_key), message, unb64(approval.signature))
    except (MalformedInput, VerificationFailed) as error:
        found.append(f"{who}: {error}")
    return tuple(found)


def _untimely(approval: Approval, now_ns: int) -> list[str]:
    try:
        given = parse_instant(approval.approved_at, "approved_at")
        ends = parse_instant(approval.expires_at, "expires_at")
    except MalformedInput as error:
        return [str(error)]
    found = []
    if given > now_ns:
        found.append(f"is from the future, {approval.approved_at}")
    if now_ns >= ends:
        found.append(f"expired at {approval.expires_at}")
    if ends - given > APPROVAL_LIFETIME_MAX_S * NS:
        found.append("lasts more than 31 days")
    return found


def lacking(
    subject: Subject, roster: Roster, approvals: Sequence[Approval], now_ns: int
) -> list[str]:
    """Why these approvals do not suffice, all causes; empty when they do."""
    causes = [
        objection
        for approval in approvals
        for objection in objections(subject, roster, approval, now_ns)
    ]
    seats = sorted(approval.seat for approval in approvals)
    causes += [
        f"{seat!r} approved more than once"
        for seat in sorted({seat for seat in seats if seats.count(seat) > 1})
    ]
    if len(set(seats)) < subject.required:
        causes.append(f"{len(set(seats))} seats approved, {subject.required} are required")
    return causes + [
        f"{seat!r} is named in approved_by and did not approve"
        for seat in subject.approved_by
        if seat not in seats
    ]


def resolve(
    what: Policy | Subject, roster: Roster, approvals: Sequence[Approval], now_ns: int
) -> Resolution:
    """Make a resolution of these approvals, or say everything that is missing.

    Args:
        what: is approved.
        roster: in force now.
        approvals: all of them must count.
        now_ns: ns UTC.

    Raises:
        NotAuthorised: with all causes, a line each.
        MalformedInput: the roster is not well made.
    """
    check_roster(roster)
    subject = subject_of(what)
    causes = lacking(subject, roster, approvals, now_ns)
    if causes:
        raise NotAuthorised("\n".join(["no resolution:", *causes]))
    return Resolution(
        policy_sha256=subject.sha256,
        roster_sha256=roster_sha256(roster),
        required=subject.required,
        resolved_at=format_instant(now_ns),
        approvals=tuple(sorted(approvals, key=lambda approval: approval.seat)),
    )


def resolution_sha256(resolution: Resolution) -> str:
    """The digest that a certificate's entry names."""
    return sha256_hex(canonical(resolution))


def check_resolution(resolution: Resolution, what: Policy | Subject, roster: Roster) -> None:
    """Judge a resolution again as of its ``resolved_at``.

    Raises:
        NotAuthorised: its approvals do not make it.
        MalformedInput: its time is no instant.
    """
    moment = parse_instant(resolution.resolved_at, "resolved_at")
    if resolve(what, roster, resolution.approvals, moment) != resolution:
        raise NotAuthorised("this is not the resolution that its approvals make")
