# SPDX-License-Identifier: Apache-2.0
"""The register: everything an authority knows, as the fold of its log (docs/spec/authority.md).

``state = fold(apply, entries)``; one code path for normal running and for recovery. An entry that
no lawful authority could have written is VerificationFailed and changes nothing, so that a damaged
or forged log is found when it is read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sekisho.core.encoding import canonical, sha256, unb64
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
from sekisho.core.identity.commanded import Commanded, read_command
from sekisho.core.identity.lawful import check_entry
from sekisho.core.identity.records import (
    LockedBaseline,
    Records,
    RegisteredCertificate,
    RegisteredGate,
    RegisteredPolicy,
)
from sekisho.core.terms import parse_instant


class AuthorityState(Records):
    """The fold. Read its records; change them by :meth:`apply`, or :meth:`take` after a check."""

    def apply(self, index: int, entry: AuthorityEntry) -> None:
        """Take one entry into the state, or raise and leave the state as it was.

        Raises:
            VerificationFailed: no lawful authority writes this entry here; names the index.
        """
        check_entry(self, index, entry)
        self.take(index, entry)

    def take(self, index: int, entry: AuthorityEntry) -> None:
        """Take in an entry that ``check_entry`` has just found lawful here."""
        _EFFECTS[type(entry)](self, index, entry)
        if isinstance(entry, StatusChanged):
            self.last_commands = entry.commands
        elif not isinstance(entry, IncidentClosed):
            # What closes an incident stands between the changes of one act.
            self.last_commands = ()
        self.size = index + 1
        self.at = parse_instant(entry.at)


def _founded(records: Records, _: int, entry: Founded) -> None:
    records.environment, records.crl_shards = entry.environment, entry.crl_shards
    records.root_certificate = unb64(entry.root_certificate)
    records.issuing_certificate = unb64(entry.issuing_certificate)
    records.responder_certificate = unb64(entry.responder_certificate)
    records.roster, records.roster_sha256 = entry.roster, entry.roster_sha256
    records.rosters[entry.roster_sha256] = entry.roster


def _log_key(records: Records, _: int, entry: LogKeyCertified) -> None:
    records.log_keys[entry.origin] = unb64(entry.certificate)
    records.serial_numbers[entry.serial_number] = None


def _policy(records: Records, index: int, entry: PolicyRegistered) -> None:
    # What policies have in common is in memory once; nobody changes what was registered.
    policy = {
        name: records.sections.setdefault(sha256(canonical(part)), part)
        if isinstance(part, dict)
        else part
        for name, part in entry.policy.items()
    }
    known = RegisteredPolicy(index, entry.agent, policy, entry.policy_sha256)
    records.policies[entry.policy_sha256] = known
    records.policies_of.setdefault(entry.agent, []).append(known)


def _issued(records: Records, index: int, entry: CertificateIssued) -> None:
    record = RegisteredCertificate(
        index=index,
        agent=entry.agent,
        serial_number=entry.serial_number,
        certificate=unb64(entry.certificate),
        sha256=entry.certificate_sha256,
        policy_sha256=entry.policy_sha256,
        resolution_sha256=entry.resolution_sha256,
        not_before=parse_instant(entry.not_before),
        not_after=parse_instant(entry.not_after),
        status="good",
        reason="",
        epoch=0,
        changed_at=parse_instant(entry.at),
    )
    records.certificates[record.sha256] = record
    records.agents.setdefault(record.agent, []).append(record)
    records.serial_numbers[record.serial_number] = record
    renewal.issued(records, record, entry)


def _status(records: Records, index: int, entry: StatusChanged) -> None:
    record = records.certificates[entry.certificate_sha256]
    record.status, record.reason, record.epoch = entry.status, entry.reason, entry.epoch
    record.changed_at = parse_instant(entry.at)
    if entry.status == "good":
        records.stopped.pop(record.sha256, None)
    else:
        records.stopped[record.sha256] = record
    if entry.status == "revoked":
        renewal.revoked(records, record)
    records.epoch = entry.epoch
    records.shard_epochs[records.shard_of(entry.serial_number)] = entry.epoch
    if entry.cause == "kill":
        records.killed[entry.agent] = index
    _used(records, entry)


def _used(records: Records, entry: Commanded) -> None:
    for text in entry.commands:
        command = read_command(text)
        records.used_nonces.add((command.seat, command.nonce))


def _crl(records: Records, _: int, entry: CrlIssued) -> None:
    records.crl_numbers[entry.shard] = entry.number


def _booted(records: Records, _: int, entry: GateBooted) -> None:
    known = records.gates.get(entry.gate)
    earlier = set() if known is None else known.earlier | {known.boot}
    records.gates[entry.gate] = RegisteredGate(
        gate=entry.gate,
        origin=entry.origin,
        boot=entry.boot,
        tree_size=entry.tree_size,
        root_hash=unb64(entry.root_hash),
        earlier=earlier,
    )
    records.origins[entry.origin] = entry.gate


def _assigned(records: Records, index: int, entry: AgentAssigned) -> None:
    moves.assigned(records, index, entry)
    _used(records, entry)


def _lost(records: Records, index: int, entry: HistoryLost) -> None:
    moves.lost(records, index, entry)
    _used(records, entry)


def _commanded(
    records: Records, _: int, entry: IncidentAcknowledged | RearmAuthorised | VenueRearmAuthorised
) -> None:
    _used(records, entry)


def _baseline(records: Records, index: int, entry: BaselineLocked) -> None:
    _used(records, entry)
    records.baselines[entry.agent] = LockedBaseline(index, entry.origin, entry.baseline_sha256)


def _elsewhere(records: Records, _: int, entry: AuthorityEntry) -> None:
    """Kept in the book of incidents alone."""


_EFFECTS: Final[dict[type, Callable[[Records, int, Any], None]]] = {
    Founded: _founded,
    LogKeyCertified: _log_key,
    NoteRecorded: notes.noted,
    RosterChanged: approvals.roster_changed,
    PolicyRegistered: _policy,
    LimitsRegistered: approvals.limits_registered,
    ApprovalGiven: approvals.given,
    ApprovalWithdrawn: approvals.withdrawn,
    Resolved: approvals.resolved,
    CertificateIssued: _issued,
    StatusChanged: _status,
    CrlIssued: _crl,
    GateBooted: _booted,
    AgentAssigned: _assigned,
    AgentHandedOver: moves.handed_over,
    HistoryLost: _lost,
    HistoryTaken: moves.taken,
    IncidentRecorded: _elsewhere,
    AlertSent: _elsewhere,
    GraceStarted: _elsewhere,
    IncidentAcknowledged: _commanded,
    IncidentClosed: _elsewhere,
    RearmAuthorised: _commanded,
    BaselineLocked: _baseline,
    VenueRearmAuthorised: _commanded,
}
