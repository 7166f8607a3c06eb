# SPDX-License-Identifier: Apache-2.0
"""What an authority remembers of incidents, and questions about it.

Plain records; they change in ``book`` alone, which folds the authority's log into them. Nothing
here judges whether a change is lawful: ``lawful`` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sekisho.core.incidents.deadlines import Timer
from sekisho.core.incidents.table import Kind, Outcome, State


@dataclass(slots=True)
class IncidentCase:
    """One incident: the crossing, and what was done about it. Instants as entries carry them.

    ``index`` is that of its ``incident_recorded``, ``gate_index`` that of the gate's entry in the
    log ``origin``. ``deadline`` (ns, 0 before the first acknowledgement) ends the time for a
    disposition; ``ends_at`` is what the present state waits for, ``""`` where time changes nothing.
    """

    index: int
    incident: str
    agent: str
    certificate_sha256: str
    origin: str
    gate_index: int
    incident_kind: Kind
    score: Literal["risk", "anomaly", "venue"]
    factor: str
    observed: str
    threshold: str
    opened_at: str
    state: State
    outcome: Outcome | Literal[""] = ""
    disposition: str = ""
    revoke_at: str = ""
    ends_at: str = ""
    deadline: int = 0
    timers: tuple[Timer, ...] = ()
    delivered: bool = False

    @property
    def place(self) -> str:
        """Where only one incident is open at a time: an agent, or for a break a venue of a gate."""
        return f"{self.origin} {self.observed}" if self.incident_kind == "break" else self.agent


@dataclass(frozen=True, slots=True)
class OwedChange:
    """A change of status that must follow before anything else.

    ``certificate_sha256`` is that of the incident, or the other one of an agent that has two.
    """

    incident: str
    cause: Literal["automatic_hold", "fault", "superseded"]
    certificate_sha256: str


@dataclass(frozen=True, slots=True)
class OwedClose:
    """The ``incident_closed`` that must follow before anything else."""

    incident: str
    outcome: Outcome


Owed = OwedChange | OwedClose
"""What an act that has begun still owes the log, also when a crash came in between."""


@dataclass(slots=True)
class WatchedCertificate:
    """What of a certificate matters here; ``index`` of its entry tells which one is later."""

    index: int
    agent: str
    policy: dict[str, Any]
    status: Literal["good", "hold", "revoked"] = "good"


class Cases:
    """All incidents of one authority. Read; only the fold writes."""

    def __init__(self) -> None:
        self.cases: dict[str, IncidentCase] = {}
        self.opened: dict[str, str] = {}
        """Place → the incident that is not closed there."""
        self.owed: tuple[Owed, ...] = ()
        self.policies: dict[str, dict[str, Any]] = {}
        self.certificates: dict[str, WatchedCertificate] = {}
        self.pairs: dict[str, tuple[str, str]] = {}
        """Agent → its certificate and the successor, while it has two."""

    def all(self) -> tuple[IncidentCase, ...]:
        """Every incident ever recorded, in the order of its recording."""
        return tuple(self.cases.values())

    def by_id(self, incident: str) -> IncidentCase:
        """One incident. Raises KeyError when it was never recorded."""
        return self.cases[incident]

    def open_incident(self, agent: str) -> IncidentCase | None:
        """The one incident of the agent that is not closed."""
        incident = self.opened.get(agent)
        return None if incident is None else self.cases[incident]

    def open_cases(self) -> tuple[IncidentCase, ...]:
        """Every incident that is not closed."""
        return tuple(self.cases[incident] for incident in self.opened.values())

    def ended_by(self, certificate_sha256: str, cause: str) -> str:
        """The incident that a change of status for this cause would end; ``""`` for none."""
        watched = self.certificates[certificate_sha256]
        case = self.open_incident(watched.agent)
        if case is None or case.certificate_sha256 != certificate_sha256:
            return ""
        if cause == "release":
            return case.incident if case.incident_kind == "hold" else ""
        return case.incident if cause in ("revoke", "kill") else ""
