# SPDX-License-Identifier: Apache-2.0
"""The book of incidents: the fold of an authority's log that knows in which state each one is.

``book = fold(apply, entries)``; one code path for normal running and for recovery. It stands beside
the register (``core.identity``), which knows certificates and people: an entry must be lawful for
both. What an act that was begun still owes the log is in ``owed``, also after a crash in between.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sekisho.core.events import (
    AlertSent,
    AuthorityEntry,
    CertificateIssued,
    GraceStarted,
    IncidentAcknowledged,
    IncidentClosed,
    IncidentRecorded,
    PolicyRegistered,
    RearmAuthorised,
    StatusChanged,
    VenueRearmAuthorised,
)
from sekisho.core.incidents.cases import (
    Cases,
    IncidentCase,
    Owed,
    OwedChange,
    OwedClose,
    WatchedCertificate,
)
from sekisho.core.incidents.deadlines import Timer
from sekisho.core.incidents.lawful import (
    check_incident_entry,
    deadline_of,
    latch_case,
    status_act,
    supersedes,
)
from sekisho.core.incidents.table import BEGINS, OUTCOMES, TABLE, Act, acknowledgement
from sekisho.core.terms import parse_instant


class IncidentBook(Cases):
    """The fold. Read its records; change them by :meth:`apply`, or :meth:`take` after a check."""

    def check(self, index: int, entry: AuthorityEntry) -> None:
        """Whether the entry may come at this index; changes nothing.

        Raises:
            VerificationFailed: it may not; names the index.
        """
        check_incident_entry(self, index, entry)

    def apply(self, index: int, entry: AuthorityEntry) -> None:
        """Take one entry into the book, or raise and leave the book as it was.

        Raises:
            VerificationFailed: no lawful authority writes this entry here; names the index.
        """
        self.check(index, entry)
        self.take(index, entry)

    def take(self, index: int, entry: AuthorityEntry) -> None:
        """Take in an entry that :meth:`check` has just found lawful here."""
        effect = _EFFECTS.get(type(entry))
        if effect is not None:
            # Nothing but what is owed is lawful while something is: so this paid the first.
            self.owed = (*effect(self, index, entry), *self.owed[1:])


def _policy(cases: Cases, _: int, entry: PolicyRegistered) -> tuple[Owed, ...]:
    cases.policies[entry.policy_sha256] = entry.policy
    return ()


def _issued(cases: Cases, index: int, entry: CertificateIssued) -> tuple[Owed, ...]:
    policy = cases.policies[entry.policy_sha256]
    cases.certificates[entry.certificate_sha256] = WatchedCertificate(index, entry.agent, policy)
    if entry.renews:
        cases.pairs[entry.agent] = entry.renews, entry.certificate_sha256
    return ()


def _recorded(cases: Cases, index: int, entry: IncidentRecorded) -> tuple[Owed, ...]:
    case = IncidentCase(
        index=index,
        incident=entry.incident,
        agent=entry.agent,
        certificate_sha256=entry.certificate_sha256,
        origin=entry.origin,
        gate_index=entry.index,
        incident_kind=entry.incident_kind,
        score=entry.score,
        factor=entry.factor,
        observed=entry.observed,
        threshold=entry.threshold,
        opened_at=entry.at,
        state=BEGINS[entry.incident_kind],
    )
    before = cases.open_incident(case.place)
    if case.incident_kind == "break":
        cases.cases[entry.incident] = case
        if before is not None:
            return (OwedClose(case.incident, "superseded"),)
        cases.opened[case.place] = case.incident
        return ()
    status = cases.certificates[entry.certificate_sha256].status
    cases.cases[entry.incident] = case
    if status == "revoked":
        return (OwedClose(case.incident, "revoked"),)
    holds = case.incident_kind == "hold" and status == "good"
    held = case.certificate_sha256
    owed: list[Owed] = [OwedChange(case.incident, "automatic_hold", held)] if holds else []
    pair = cases.pairs.get(case.agent, ())
    if case.incident_kind == "hold" and held in pair:
        # Else the agent would go on under the other one.
        owed += [OwedChange(case.incident, "superseded", one) for one in pair if one != held]
    if before is None or supersedes(cases, case, before):
        cases.opened[entry.agent] = case.incident
        owed += [] if before is None else [OwedClose(before.incident, "superseded")]
    else:
        owed.append(OwedClose(case.incident, "superseded"))
    return tuple(owed)


def _status(cases: Cases, _: int, entry: StatusChanged) -> tuple[Owed, ...]:
    cases.certificates[entry.certificate_sha256].status = entry.status
    if entry.status == "revoked" and entry.certificate_sha256 in cases.pairs.get(entry.agent, ()):
        del cases.pairs[entry.agent]
    act = status_act(entry)
    if act is None:
        return ()
    return (_end(act, entry.incident),)


def _alerted(cases: Cases, _: int, entry: AlertSent) -> tuple[Owed, ...]:
    if entry.about == "opened" and entry.outcome == "delivered":
        cases.cases[entry.incident].delivered = True
    return ()


def _grace(cases: Cases, _: int, entry: GraceStarted) -> tuple[Owed, ...]:
    case = cases.cases[entry.incident]
    case.state = TABLE[case.state, "reached"]
    case.ends_at = entry.ends_at
    case.timers = (_timer(entry.at, entry.monotonic, entry.ends_at),)
    return ()


def _acknowledged(cases: Cases, _: int, entry: IncidentAcknowledged) -> tuple[Owed, ...]:
    case = cases.cases[entry.incident]
    act = acknowledgement(entry.disposition, entry.revoke_at)
    if not case.deadline:
        case.deadline = deadline_of(cases, case, parse_instant(entry.at))
        # The timer of the grace is over with the grace; that of the deadline runs to the end,
        # beside those of later acknowledgements, so that none of them can lengthen it.
        case.timers = (Timer(parse_instant(entry.at), int(entry.monotonic), case.deadline),)
    if parse_instant(entry.ends_at) != case.deadline:
        case.timers += (_timer(entry.at, entry.monotonic, entry.ends_at),)
    case.state = TABLE[case.state, act]
    case.disposition, case.revoke_at = entry.disposition, entry.revoke_at
    case.ends_at = entry.ends_at
    if act != "condemned":
        return ()
    return (OwedChange(case.incident, "fault", case.certificate_sha256),)


def _closed(cases: Cases, _: int, entry: IncidentClosed) -> tuple[Owed, ...]:
    case = cases.cases[entry.incident]
    case.state, case.outcome = "closed", entry.outcome
    case.ends_at, case.timers = "", ()
    if cases.opened.get(case.place) == case.incident:
        del cases.opened[case.place]
    return ()


def _rearmed(cases: Cases, _: int, entry: RearmAuthorised) -> tuple[Owed, ...]:
    case = latch_case(cases, entry.agent) if entry.latch == "circuit_breaker" else None
    return () if case is None else (_end("rearm", case.incident),)


def _venue_rearmed(_cases: Cases, _: int, entry: VenueRearmAuthorised) -> tuple[Owed, ...]:
    return (_end("rearm", entry.incident),)


def _end(act: Act, incident: str) -> OwedClose:
    return OwedClose(incident, OUTCOMES[act])


def _timer(at: str, monotonic: str, ends_at: str) -> Timer:
    return Timer(parse_instant(at), int(monotonic), parse_instant(ends_at))


_EFFECTS: Final[dict[type, Callable[[Cases, int, Any], tuple[Owed, ...]]]] = {
    PolicyRegistered: _policy,
    CertificateIssued: _issued,
    IncidentRecorded: _recorded,
    StatusChanged: _status,
    AlertSent: _alerted,
    GraceStarted: _grace,
    IncidentAcknowledged: _acknowledged,
    IncidentClosed: _closed,
    RearmAuthorised: _rearmed,
    VenueRearmAuthorised: _venue_rearmed,
}
