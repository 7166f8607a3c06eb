# SPDX-License-Identifier: Apache-2.0
"""Which entry about incidents may come next in an authority's log (docs/spec/incidents.md).

Each check reads the records and raises; none changes anything. Who signed what is the register's
matter; that the words of a signed command are those of its entry is checked here. Deadlines are
judged by log time, which is all that a reader of the log has.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

from sekisho.core.encoding import parse_plain
from sekisho.core.errors import MalformedInput, VerificationFailed
from sekisho.core.events import (
    AlertSent,
    AuthorityEntry,
    BaselineLocked,
    CertificateIssued,
    GraceStarted,
    IncidentAcknowledged,
    IncidentClosed,
    IncidentRecorded,
    RearmAuthorised,
    StatusChanged,
    VenueRearmAuthorised,
)
from sekisho.core.incidents.cases import Cases, IncidentCase, Owed, OwedClose
from sekisho.core.incidents.table import OUTCOMES, TABLE, TIMED, Act, State, acknowledgement
from sekisho.core.terms import NAME, NS, parse_instant

INCIDENT_ID: Final = re.compile(r"[0-9a-f]{32}")
AUTOMATIC: Final[frozenset[str]] = frozenset(
    {"automatic_hold", "grace_expired", "deadline_expired", "fault"}
)
"""Causes of a change of status that rest on an incident instead of a command."""
SUPERSEDED: Final = "superseded"
"""Cause of the end of one of an agent's two certificates: by time, or with the other's incident."""
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_TELLS: Final[dict[str, tuple[str, ...]]] = {
    "revoked": ("revoked", "killed"),
    "overdue": ("revoked",),
    "released": ("released",),
}
"""What an alert is about → the outcomes of which that is true."""

_E = TypeVar("_E")


def check_incident_entry(cases: Cases, index: int, entry: AuthorityEntry) -> None:
    """Whether the entry may come at this index, as far as incidents go; changes nothing.

    Raises:
        VerificationFailed: it may not; names the index.
    """
    try:
        if cases.owed:
            first = cases.owed[0]
            due = first.outcome if isinstance(first, OwedClose) else first.cause
            _need(_pays(first, entry), f"{due!r} of incident {first.incident} is due first")
        else:
            _need(not isinstance(entry, IncidentClosed), "nothing has ended that it could close")
        check = _CHECKS.get(type(entry))
        if check is not None:
            check(cases, entry)
    except (MalformedInput, VerificationFailed) as error:
        raise VerificationFailed(f"authority log, entry {index}: {error}") from error


def _pays(owed: Owed, entry: AuthorityEntry) -> bool:
    """Whether this entry is the one that is owed."""
    if isinstance(owed, OwedClose):
        wanted = owed.incident, owed.outcome
        return isinstance(entry, IncidentClosed) and (entry.incident, entry.outcome) == wanted
    if not isinstance(entry, StatusChanged):
        return False
    said = entry.incident, entry.cause, entry.certificate_sha256
    return said == (owed.incident, owed.cause, owed.certificate_sha256)


def status_act(entry: StatusChanged) -> Act | None:
    """What a change of status does to the incident that it names; None when it ends none."""
    if not entry.incident or entry.cause in ("automatic_hold", SUPERSEDED):
        return None
    acts: dict[str, Act] = {act: act for act in OUTCOMES}
    return acts[entry.cause]


def supersedes(cases: Cases, case: IncidentCase, before: IncidentCase) -> bool:
    """Whether an incident takes the place of one that is open: a hold that of a breaker, and that
    of a hold of an earlier certificate.
    """
    if case.incident_kind != "hold":
        return False
    certificates = cases.certificates
    return before.incident_kind == "breaker" or (
        certificates[case.certificate_sha256].index > certificates[before.certificate_sha256].index
    )


def latch_case(cases: Cases, agent: str) -> IncidentCase | None:
    """The open incident of kind breaker, which a re-arming of the breaker ends."""
    case = cases.open_incident(agent)
    return case if case is not None and case.incident_kind == "breaker" else None


def grace_of(cases: Cases, case: IncidentCase, at: int) -> int:
    """When a grace that begins at ``at`` is over; ns. Raises VerificationFailed."""
    return at + _seconds(cases, case, "grace_period_s") * NS


def deadline_of(cases: Cases, case: IncidentCase, at: int) -> int:
    """When the time for a disposition is over that begins at ``at``; ns. Raises
    VerificationFailed.
    """
    return at + _seconds(cases, case, "acknowledgement_deadline_s") * NS


def _seconds(cases: Cases, case: IncidentCase, name: str) -> int:
    controls = cases.certificates[case.certificate_sha256].policy.get("risk_controls")
    value = controls.get(name) if isinstance(controls, dict) else None
    if not isinstance(value, int):
        raise VerificationFailed(f"the certificate's policy states no {name}")
    return value


def next_state(case: IncidentCase, act: Act) -> State:
    """The state after this act. Raises VerificationFailed: not in this state."""
    state = TABLE.get((case.state, act))
    if state is None:
        raise VerificationFailed(f"{act!r} does not happen to an incident that is {case.state}")
    return state


# -- entries ----------------------------------------------------------------------------------


def _issued(cases: Cases, entry: CertificateIssued) -> None:
    _need(entry.policy_sha256 in cases.policies, "this policy is not registered")


def _recorded(cases: Cases, entry: IncidentRecorded) -> None:
    _need(INCIDENT_ID.fullmatch(entry.incident) is not None, "an incident has 32 hex digits")
    _need(entry.incident not in cases.cases, "this incident is recorded")
    _need(entry.index >= 0, "its entry has no index")
    if entry.incident_kind == "break":
        # The venue names whom it will: of one that this authority never certified it is told too.
        _need(entry.score == "venue", "a break is shown by a venue")
        _need(NAME.fullmatch(entry.observed) is not None, "a break names its venue")
        return
    _need(entry.score != "venue", "a score crossed, of one kind or the other")
    watched = _known(
        cases.certificates.get(entry.certificate_sha256), "this certificate was never issued"
    )
    _need(watched.agent == entry.agent, "the certificate is another agent's")


def _status(cases: Cases, entry: StatusChanged) -> None:
    _need(entry.certificate_sha256 in cases.certificates, "this certificate was never issued")
    if entry.cause == SUPERSEDED:
        # With an incident it is owed and was found so; without one it is the register's matter.
        _need(bool(cases.owed) == bool(entry.incident), "no incident ends this certificate")
        return
    if entry.cause == "automatic_hold":
        _need(bool(cases.owed), "no incident was recorded before that holds it")
    if entry.cause in AUTOMATIC:
        _need(bool(entry.incident), "it rests on no incident")
    else:
        ends = cases.ended_by(entry.certificate_sha256, entry.cause)
        _need(entry.incident == ends, f"the incident that it ends is {ends or 'none'}")
    if not entry.incident:
        return
    case = _case(cases, entry.incident)
    _need(case.certificate_sha256 == entry.certificate_sha256, "the incident is of another one")
    act = status_act(entry)
    if act is None:
        return
    next_state(case, act)
    now = parse_instant(entry.at)
    if act in TIMED.values() and not cases.owed:
        _need(TIMED.get(case.state) == act, f"{act!r} is not what time does when {case.state}")
        _need(now >= parse_instant(case.ends_at), f"it is over at {case.ends_at} only")
    if act == "release" and case.ends_at:
        _need(now < parse_instant(case.ends_at), f"it was over at {case.ends_at}: revoked")


def _alerted(cases: Cases, entry: AlertSent) -> None:
    case = _case(cases, entry.incident)
    if entry.about != "opened":
        _need(case.outcome in _TELLS[entry.about], f"it is not {entry.about}")
    elif case.incident_kind == "hold" and case.state != "closed":
        status = cases.certificates[case.certificate_sha256].status
        _need(status == "hold", "the hold is not in effect yet")


def _grace(cases: Cases, entry: GraceStarted) -> None:
    case = _case(cases, entry.incident)
    next_state(case, "reached")
    _need(case.delivered, "nobody was told")
    _monotonic(entry.monotonic)
    ends = grace_of(cases, case, parse_instant(entry.at))
    _need(parse_instant(entry.ends_at) == ends, "the grace ends at another time")


def _acknowledged(cases: Cases, entry: IncidentAcknowledged) -> None:
    case = _case(cases, entry.incident)
    act = acknowledgement(entry.disposition, entry.revoke_at)
    next_state(case, act)
    now = parse_instant(entry.at)
    _need(now < parse_instant(case.ends_at), f"the time was over at {case.ends_at}")
    _monotonic(entry.monotonic)
    deadline = case.deadline or deadline_of(cases, case, now)
    ends = deadline
    if entry.revoke_at:
        _need(entry.disposition == "fault", "a time for the revocation goes with a fault only")
        ends = parse_instant(entry.revoke_at)
        _need(now < ends, "the time for the revocation is past")
        _need(ends <= deadline, "the time for the revocation lies after the deadline")
        if case.state == "scheduled":
            _need(ends < parse_instant(case.ends_at), "a revocation may only be brought forward")
    _need(parse_instant(entry.ends_at) == ends, "the deadline is another")
    said = {"incident": case.incident, "agent": case.agent, "disposition": entry.disposition}
    _words(entry.commands, said | {"revoke_at": entry.revoke_at or None})


def _rearm(cases: Cases, entry: RearmAuthorised) -> None:
    _words(entry.commands, {"agent": entry.agent, "latch": entry.latch, "epoch": entry.epoch})
    named = {said.get("incident") for said in map(_said, entry.commands)} - {None}
    case = latch_case(cases, entry.agent)
    ours = {case.incident} if case is not None and entry.latch == "circuit_breaker" else set()
    _need(named <= ours, "it names an incident that it does not end")


def _venue_rearm(cases: Cases, entry: VenueRearmAuthorised) -> None:
    case = _case(cases, entry.incident)
    _need(case.incident_kind == "break", "only a break latches a venue")
    _need(case.observed == entry.venue, "it is of another venue")
    next_state(case, "rearm")
    scope = {"kind": "venue", "name": entry.venue}
    _words(entry.commands, {"scope": scope, "latch": "venue", "incident": entry.incident})


def _baseline(cases: Cases, entry: BaselineLocked) -> None:
    _words(entry.commands, {"agent": entry.agent, "baseline_sha256": entry.baseline_sha256})
    _need(cases.open_incident(entry.agent) is None, "an incident of the agent is open")


def _words(commands: tuple[str, ...], wanted: dict[str, Any]) -> None:
    """Every command says what its entry says."""
    for said in map(_said, commands):
        for name, value in wanted.items():
            _need(said.get(name) == value, f"a command has another {name}")


def _said(text: str) -> dict[str, Any]:
    plain = parse_plain(text.encode("utf-8"))
    command = plain.get("command") if isinstance(plain, dict) else None
    if not isinstance(command, dict):
        raise MalformedInput("not a signed command")
    return command


def _case(cases: Cases, incident: str) -> IncidentCase:
    return _known(cases.cases.get(incident), "this incident was never recorded")


def _monotonic(text: str) -> None:
    _need(_NUMBER.fullmatch(text) is not None, f"{text[:32]!r} is no reading of a clock")


def _known(value: _E | None, message: str) -> _E:
    if value is None:
        raise VerificationFailed(message)
    return value


def _need(condition: bool, message: str) -> None:
    if not condition:
        raise VerificationFailed(message)


_CHECKS: Final[dict[type, Callable[[Cases, Any], None]]] = {
    CertificateIssued: _issued,
    IncidentRecorded: _recorded,
    StatusChanged: _status,
    AlertSent: _alerted,
    GraceStarted: _grace,
    IncidentAcknowledged: _acknowledged,
    RearmAuthorised: _rearm,
    BaselineLocked: _baseline,
    VenueRearmAuthorised: _venue_rearm,
}
