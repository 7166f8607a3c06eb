# SPDX-License-Identifier: Apache-2.0
"""Which entry may come next in an authority's log (docs/spec/authority.md).

Each check reads the records and raises; none changes anything. Signatures are not judged here:
whoever writes an entry verified them, and whoever checks a bundle verifies them again. In which
state an incident must be is the matter of ``core.incidents``: both must find an entry lawful.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from sekisho.core.encoding import canonical, sha256_hex, unb64
from sekisho.core.errors import MalformedInput, VerificationFailed
from sekisho.core.events import (
    AgentAssigned,
    AgentHandedOver,
    AlertSent,
    ApprovalGiven,
    ApprovalWithdrawn,
    AuthorityEntry,
    BaselineLocked,
    CertificateIssued,
    CrlIssued,
    Founded,
    GateBooted,
    GraceStarted,
    HistoryLost,
    HistoryTaken,
    IncidentAcknowledged,
    IncidentClosed,
    IncidentRecorded,
    LimitsRegistered,
    LogKeyCertified,
    NoteRecorded,
    PolicyRegistered,
    RearmAuthorised,
    Resolved,
    RosterChanged,
    StatusChanged,
    VenueRearmAuthorised,
)
from sekisho.core.identity import approvals, moves, notes, renewal
from sekisho.core.identity.above import obstacles
from sekisho.core.identity.commanded import ROLES_MIN, check_commands
from sekisho.core.identity.published import CRL_SHARDS_MAX
from sekisho.core.identity.records import Records
from sekisho.core.identity.status import REASONS
from sekisho.core.terms import parse_instant

HOLD_REASON: Final = "certificateHold"
REVOCATION_REASONS: Final = frozenset(REASONS) - {HOLD_REASON}
REASONS_BY_CODE: Final = {
    "key_compromise": "keyCompromise",
    "affiliation_changed": "affiliationChanged",
    "superseded": "superseded",
    "cessation_of_operation": "cessationOfOperation",
}
"""CRLReason of a revocation by the command's reason code; any other is privilegeWithdrawn."""

OWN_REASONS: Final = {
    "automatic_hold": HOLD_REASON,
    "grace_expired": "privilegeWithdrawn",
    "deadline_expired": "privilegeWithdrawn",
    "fault": "privilegeWithdrawn",
    renewal.SUPERSEDED: "superseded",
}
"""CRLReason of each cause that needs nobody's command."""

LAWFUL: Final[frozenset[tuple[str, str, str]]] = frozenset(
    {
        ("hold", "good", "hold"),
        ("release", "hold", "good"),
        ("revoke", "good", "revoked"),
        ("revoke", "hold", "revoked"),
        ("kill", "good", "revoked"),
        ("kill", "hold", "revoked"),
        ("automatic_hold", "good", "hold"),
        ("grace_expired", "hold", "revoked"),
        ("deadline_expired", "hold", "revoked"),
        ("fault", "hold", "revoked"),
        ("superseded", "good", "revoked"),
        ("superseded", "hold", "revoked"),
    }
)
"""(cause, status before, status after). Nothing leaves revoked."""

_E = TypeVar("_E")


def check_entry(records: Records, index: int, entry: AuthorityEntry) -> None:
    """Whether the entry may come at this index; changes nothing.

    Raises:
        VerificationFailed: it may not; names the index.
    """
    try:
        _need(index == records.size, f"it should be entry {records.size}")
        _need(parse_instant(entry.at, "at") >= records.at, "its time lies before the entry before")
        _need(
            isinstance(entry, Founded) == (index == 0),
            "a log begins with its foundation, and has one",
        )
        _CHECKS[type(entry)](records, entry)
    except (MalformedInput, VerificationFailed) as error:
        raise VerificationFailed(f"authority log, entry {index}: {error}") from error


def _founded(records: Records, entry: Founded) -> None:
    for text in (entry.root_certificate, entry.issuing_certificate, entry.responder_certificate):
        unb64(text)
    _need(1 <= entry.crl_shards <= CRL_SHARDS_MAX, f"a CRL has 1 to {CRL_SHARDS_MAX} shards")
    _roster(records, entry)


def _log_key(records: Records, entry: LogKeyCertified) -> None:
    unb64(entry.certificate)
    _need(entry.origin not in records.log_keys, "this origin has a certificate")
    _serial(records, entry.serial_number)


def _serial(records: Records, serial_number: str) -> None:
    _need(serial_number not in records.serial_numbers, "the serial number was used before")


def _roster(records: Records, entry: Founded | RosterChanged) -> None:
    _digest(entry.roster, entry.roster_sha256, "roster")
    seats = entry.roster.get("seats")
    _need(
        isinstance(seats, list | tuple)
        and bool(seats)
        and all(
            isinstance(row, dict)
            and isinstance(row.get("seat"), str)
            and isinstance(row.get("role"), str)
            for row in seats
        ),
        "a roster has seats with their roles",
    )
    _need(entry.roster_sha256 != records.roster_sha256, "this roster is in force")


def _roster_change(records: Records, entry: RosterChanged) -> None:
    _roster(records, entry)
    _need(bool(entry.approvals), "a roster changes by approvals only")
    _need(entry.roster_sha256 not in records.rosters, "this roster was in force before")


def _policy(records: Records, entry: PolicyRegistered) -> None:
    _digest(entry.policy, entry.policy_sha256, "policy")
    _need(entry.policy.get("agent") == entry.agent, "the policy is another agent's")
    _need(records.approvable(entry.policy_sha256) is None, "this policy is registered")


def _issued(records: Records, entry: CertificateIssued) -> None:
    policy = _known(records.policies.get(entry.policy_sha256), "this policy is not registered")
    _need(policy.agent == entry.agent, "the policy is another agent's")
    _need(
        policy.resolution is not None and policy.resolution_sha256 == entry.resolution_sha256,
        "the policy has no such resolution",
    )
    gone = approvals.lapsed(records, policy)
    _need(not gone, gone)
    der = unb64(entry.certificate)
    _need(sha256_hex(der) == entry.certificate_sha256, "the digest is not the certificate's")
    _serial(records, entry.serial_number)
    before, after = parse_instant(entry.not_before), parse_instant(entry.not_after)
    now = parse_instant(entry.at)
    _need(before < after and now < after, "the certificate has expired or is never valid")
    renewal.check_issued(records, entry, policy, now)
    causes = obstacles(records, policy, now)
    _need(not causes, "; ".join(causes))


def _status(records: Records, entry: StatusChanged) -> None:
    record = _known(
        records.certificates.get(entry.certificate_sha256), "this certificate was never issued"
    )
    _need(
        (record.agent, record.serial_number) == (entry.agent, entry.serial_number),
        "agent or serial number is not the certificate's",
    )
    _need(entry.epoch == records.epoch + 1, f"the epoch should be {records.epoch + 1}")
    _need(
        (entry.cause, record.status, entry.status) in LAWFUL,
        f"{entry.cause!r} cannot make {entry.status} of {record.status}",
    )
    _need(_reason_fits(entry.status, entry.reason), f"{entry.reason!r} is not its reason")
    if entry.cause in ROLES_MIN:
        check_commands(records, entry, entry.cause, {None, entry.agent})
    else:
        _need(not entry.seats and not entry.commands, "people command nothing of this cause")
        _need(entry.reason == OWN_REASONS[entry.cause], "another reason than its cause's")
        if entry.cause == renewal.SUPERSEDED:
            renewal.check_ended(records, entry)


def _recorded(records: Records, entry: IncidentRecorded) -> None:
    _need(entry.origin in records.log_keys, "the origin has no certified key")
    if entry.incident_kind == "break" and not entry.certificate_sha256:
        return
    record = _known(
        records.certificates.get(entry.certificate_sha256), "this certificate was never issued"
    )
    _need(record.agent == entry.agent, "the certificate is another agent's")


def _acknowledged(records: Records, entry: IncidentAcknowledged) -> None:
    # Whose incident it is, the book of incidents knows.
    check_commands(records, entry, "acknowledge", None)


def _rearm(records: Records, entry: RearmAuthorised) -> None:
    _need(entry.agent in records.agents, "this agent has no certificate")
    present = records.agent_epoch(entry.agent)
    _need(entry.epoch == present, f"the agent's epoch is {present}")
    check_commands(records, entry, "rearm", {entry.agent})


def _venue_rearm(records: Records, entry: VenueRearmAuthorised) -> None:
    check_commands(records, entry, "rearm", {None})


def _baseline(records: Records, entry: BaselineLocked) -> None:
    _need(entry.agent in records.agents, "this agent has no certificate")
    _need(entry.origin in records.log_keys, "the origin has no certified key")
    _need(entry.agent not in records.baselines, "the agent has a locked baseline")
    check_commands(records, entry, "go_live", {entry.agent})


def _elsewhere(records: Records, entry: AuthorityEntry) -> None:
    """What the register keeps nothing of; the book of incidents judges it."""


def _crl(records: Records, entry: CrlIssued) -> None:
    _need(0 <= entry.shard < records.crl_shards, "there is no such shard")
    number = records.crl_numbers.get(entry.shard, 0) + 1
    _need(entry.number == number, f"its number should be {number}")
    _need(
        parse_instant(entry.this_update) < parse_instant(entry.next_update),
        "its next update is not after this one",
    )


def _booted(records: Records, entry: GateBooted) -> None:
    root = unb64(entry.root_hash)
    _need(len(root) == 32 and entry.tree_size >= 0, "not a size and a root of 32 bytes")
    _need(entry.origin in records.log_keys, "the origin has no certified key")
    known = records.gates.get(entry.gate)
    _need(
        records.origins.get(entry.origin, entry.gate) == entry.gate
        and (known is None or known.origin == entry.origin),
        "a gate has one log, and a log one gate",
    )
    if known is None:
        return
    _need(entry.boot != known.boot and entry.boot not in known.earlier, "this boot was before")
    _need(entry.tree_size >= known.tree_size, "the gate's log has shrunk")
    _need(
        entry.tree_size > known.tree_size or root == known.root_hash,
        "the gate's log has another root at the same size",
    )


def _need(condition: bool, message: str) -> None:
    if not condition:
        raise VerificationFailed(message)


def _known(value: _E | None, message: str) -> _E:
    if value is None:
        raise VerificationFailed(message)
    return value


def _digest(value: dict[str, Any], digest: str, what: str) -> None:
    _need(sha256_hex(canonical(value)) == digest, f"the digest is not the {what}'s")


def _reason_fits(status: str, reason: str) -> bool:
    if status == "revoked":
        return reason in REVOCATION_REASONS
    return reason == (HOLD_REASON if status == "hold" else "")


_CHECKS: Final[dict[type, Callable[[Records, Any], None]]] = {
    Founded: _founded,
    LogKeyCertified: _log_key,
    NoteRecorded: notes.check_noted,
    RosterChanged: _roster_change,
    PolicyRegistered: _policy,
    LimitsRegistered: approvals.check_limits,
    ApprovalGiven: approvals.check_given,
    ApprovalWithdrawn: approvals.check_withdrawn,
    Resolved: approvals.check_resolved,
    CertificateIssued: _issued,
    StatusChanged: _status,
    CrlIssued: _crl,
    GateBooted: _booted,
    AgentAssigned: moves.check_assigned,
    AgentHandedOver: moves.check_handed_over,
    HistoryLost: moves.check_lost,
    HistoryTaken: moves.check_taken,
    IncidentRecorded: _recorded,
    AlertSent: _elsewhere,
    GraceStarted: _elsewhere,
    IncidentAcknowledged: _acknowledged,
    IncidentClosed: _elsewhere,
    RearmAuthorised: _rearm,
    BaselineLocked: _baseline,
    VenueRearmAuthorised: _venue_rearm,
}
