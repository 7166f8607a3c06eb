# SPDX-License-Identifier: Apache-2.0
"""What people sign to govern an authority, for its tests; and its log as a stranger judges it."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from sekisho.core.governance.operator_limits import RegisteredAs, read_limits_document
from sekisho.core.governance.resolution import Approval, approval_message
from sekisho.core.governance.roster import Roster, Seat, roster_sha256
from sekisho.core.governance.withdrawal import Withdrawal, withdrawal_message
from sekisho.core.terms import DAY_S, NS, format_instant
from sekisho.services.rosterdesk import RosterWanted
from sekisho_verify import certificates, entries
from sekisho_verify.authority import AuthorityLog
from sekisho_verify.certificates import Authority
from tests.authority_world import AuthorityWorld
from tests.unit.core.governance import samples


def withdrawal(world: AuthorityWorld, digest: str, who: str, **other: str) -> Withdrawal:
    """A seat takes back, now, what it approved; ``other`` replaces fields before signing."""
    world.nonce += 1
    fields = {
        "policy_sha256": digest,
        "roster_sha256": roster_sha256(samples.ROSTER),
        "seat": who,
        "withdrawn_at": format_instant(world.clock.now_ns()),
        "nonce": f"{world.nonce:032x}",
    } | other
    key = samples.KEYS.get(who, samples.KEYS["ceo"])
    return Withdrawal(**fields, signature=samples.sign(key, withdrawal_message(**fields)))


def approval_of(
    world: AuthorityWorld, digest: str, who: str, roster: Roster = samples.ROSTER, **other: str
) -> Approval:
    """An approval of any digest, signed now."""
    now = world.clock.now_ns()
    fields = {
        "policy_sha256": digest,
        "roster_sha256": roster_sha256(roster),
        "seat": who,
        "approved_at": format_instant(now),
        "expires_at": format_instant(now + DAY_S * NS),
    } | other
    key = samples.KEYS.get(who, samples.KEYS["ceo"])
    return Approval(**fields, signature=samples.sign(key, approval_message(**fields)))


LIMITS: dict[str, Any] = {
    "operator": {"daily_notional_max": "1000000", "position_notional_max": "200000"},
    "documented_by": "risk_lead",
}


def limits_of(**changes: Any) -> RegisteredAs:
    """Limits as they are registered."""
    return read_limits_document(json.dumps(LIMITS | changes).encode(), form="json")


async def limited(world: AuthorityWorld, *seats: str, **changes: Any) -> str:
    """Limits in force (by two approvers unless others are named); their digest."""
    found = limits_of(**changes)
    await world.authority.policies.register_limits(found)
    for who in seats or ("ceo", "cfo"):
        await world.authority.give_approval(approval_of(world, found.sha256, who))
    return found.sha256


def roster_without(*gone: str, version: int = 2, seats: tuple[Seat, ...] = ()) -> Roster:
    """The samples' roster without some seats, and with others."""
    kept = [row for row in samples.ROSTER.seats if row.seat not in gone]
    return Roster(version=version, seats=tuple(sorted([*kept, *seats], key=lambda row: row.seat)))


def wanted(
    world: AuthorityWorld, roster: Roster, *seats: str, under: Roster = samples.ROSTER
) -> RosterWanted:
    """A roster with the approvals of these seats of the one before."""
    digest = roster_sha256(roster)
    return RosterWanted(
        roster=roster,
        approvals=tuple(approval_of(world, digest, who, under) for who in seats),
    )


def leaves(world: AuthorityWorld) -> list[bytes]:
    """Everything in the log, as bytes."""
    return [data for _, data in world.authority.log.journal.entries()]


def judged(world: AuthorityWorld, data: list[bytes] | None = None) -> AuthorityLog:
    """The log (or another) as the verifier reads it. Raises its VerificationFailed."""
    state = world.authority.state
    authority = Authority(
        certificates.load_der(state.root_certificate),
        certificates.load_der(state.issuing_certificate),
    )
    found, times = entries.read("authority", data or leaves(world))
    log = AuthorityLog(authority, certificates.load_der(state.responder_certificate))
    log.walk(found, times)
    return log


def forged(world: AuthorityWorld, kind: str, **members: Any) -> list[bytes]:
    """The log with members of its last entry of this kind replaced; None takes the entry away."""
    plain = [msgspec.json.decode(data) for data in leaves(world)]
    last = max(index for index, entry in enumerate(plain) if entry["kind"] == kind)
    if members:
        plain[last].update(members)
    else:
        del plain[last]
    return [msgspec.json.encode(entry, order="sorted") for entry in plain]
