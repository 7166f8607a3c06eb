# SPDX-License-Identifier: Apache-2.0
"""Incidents of one agent as they are told: what crossed, who was told, who did what, how it ended.

Read from the entries of both logs (docs/spec/incidents.md, section 2), which may be taken one after
the other or mixed. Whether the procedure was lawful is not judged here; the verifier does that.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from sekisho.core.events import (
    AlertSent,
    AuthorityEntry,
    CertificateIssued,
    GraceStarted,
    IncidentAcknowledged,
    IncidentClosed,
    IncidentOpened,
    IncidentRecorded,
    RearmAuthorised,
    StatusChanged,
)

INCIDENTS_MAX: Final = 1000
STEPS_MAX: Final = 100
Log = Literal["gate", "authority"]


class Incident:
    """One incident. Steps beyond STEPS_MAX are counted; the one that closes it is always kept."""

    def __init__(self, opened: IncidentOpened | IncidentRecorded) -> None:
        self.facts: dict[str, Any] = {
            "incident": opened.incident,
            "incident_kind": opened.incident_kind,
            "score": opened.score,
            "factor": opened.factor,
            "observed": opened.observed,
            "threshold": opened.threshold,
            "certificate_sha256": opened.certificate_sha256,
            "opened_at": "",
            "trigger": -1,
            "client_order_id": "",
        }
        self.outcome = ""
        self.closed_index = -1
        self._steps: list[tuple[tuple[str, bool, int], dict[str, Any]]] = []
        self._omitted = 0

    def step(
        self,
        log: Log,
        index: int,
        at: str,
        what: str,
        detail: str,
        *,
        until: str = "",
        seats: tuple[str, ...] = (),
    ) -> None:
        """Something that was done about it; ``until`` is the deadline that it set."""
        if len(self._steps) >= STEPS_MAX and what not in ("closed", "status", "replacement"):
            self._omitted += 1
            return
        row = {
            "at": at,
            "log": log,
            "index": index,
            "what": what,
            "detail": detail,
            "until": until,
            "seats": list(seats),
        }
        self._steps.append(((at, log == "authority", index), row))

    def plain(self) -> dict[str, Any]:
        """For the report; steps by time, at equal times the gate's log first."""
        steps = [row for _, row in sorted(self._steps, key=lambda pair: pair[0])]
        return {
            **self.facts,
            "outcome": self.outcome,
            "steps": steps,
            "steps_omitted": self._omitted,
        }


class IncidentStory:
    """All incidents of one agent. The first INCIDENTS_MAX are told, all are counted."""

    def __init__(self, agent: str) -> None:
        self._agent = agent
        self._incidents: dict[str, Incident] = {}
        self._opened_at_gate = self._recorded = 0
        self._rearm: tuple[int, RearmAuthorised] | None = None
        self._waiting: list[Incident] = []

    def opened(self, index: int, entry: IncidentOpened, name: str) -> None:
        """The gate's own entry; ``name`` of the order that it followed, if it followed one."""
        self._opened_at_gate += 1
        incident = self._of(entry)
        if incident is not None:
            incident.facts |= {
                "opened_at": entry.at,
                "trigger": entry.trigger,
                "client_order_id": name,
            }
            incident.step("gate", index, entry.at, "opened", f"after entry {entry.trigger}")

    def take(self, index: int, entry: AuthorityEntry) -> None:
        """One entry of the authority's log."""
        match entry:
            case IncidentRecorded() if entry.agent == self._agent:
                self._recorded += 1
                incident = self._of(entry)
                if incident is not None:
                    incident.step("authority", index, entry.at, "recorded", entry.origin)
            case RearmAuthorised() if entry.agent == self._agent:
                self._rearm = (index, entry)
            case CertificateIssued() if entry.agent == self._agent:
                self._replaced(index, entry)
            case StatusChanged() | AlertSent() | GraceStarted() | IncidentAcknowledged():
                if entry.incident in self._incidents:
                    self._follow(self._incidents[entry.incident], index, entry)
            case IncidentClosed() if entry.incident in self._incidents:
                self._close(self._incidents[entry.incident], index, entry)
            case _:
                return

    def plain(self) -> dict[str, Any]:
        """Count by kind over what is told, the true count, and the incidents by time."""
        told = sorted(
            (incident.plain() for incident in self._incidents.values()),
            key=lambda row: (row["steps"][0]["at"], row["incident"]),
        )
        count = max(self._opened_at_gate, self._recorded, len(told))
        return {
            "count": count,
            "open": sum(not row["outcome"] for row in told),
            "omitted": count - len(told),
            "told": told,
        }

    def _of(self, entry: IncidentOpened | IncidentRecorded) -> Incident | None:
        """The incident of an entry; None when there are too many to tell."""
        known = self._incidents.get(entry.incident)
        if known is None and len(self._incidents) < INCIDENTS_MAX:
            known = self._incidents[entry.incident] = Incident(entry)
        return known

    def _follow(
        self,
        incident: Incident,
        index: int,
        entry: StatusChanged | AlertSent | GraceStarted | IncidentAcknowledged,
    ) -> None:
        until = ""
        seats: tuple[str, ...] = ()
        match entry:
            case StatusChanged():
                what, detail, seats = "status", f"{entry.status}: {entry.cause}", entry.seats
            case AlertSent():
                what, detail = "alert", f"{entry.about}, {entry.channel}: {entry.outcome}"
            case GraceStarted():
                what, detail, until = "grace", "", entry.ends_at
            case _:
                what, detail = "acknowledged", entry.disposition
                until, seats = entry.ends_at, entry.seats
        incident.step("authority", index, entry.at, what, detail, until=until, seats=seats)

    def _close(self, incident: Incident, index: int, entry: IncidentClosed) -> None:
        if self._rearm is not None and self._rearm[0] == index - 1 and entry.outcome == "rearmed":
            before, rearm = self._rearm
            incident.step("authority", before, rearm.at, "rearmed", rearm.latch, seats=rearm.seats)
        incident.step("authority", index, entry.at, "closed", entry.outcome)
        incident.outcome, incident.closed_index = entry.outcome, index
        if entry.outcome in ("revoked", "killed"):
            self._waiting.append(incident)

    def _replaced(self, index: int, entry: CertificateIssued) -> None:
        """Only the newest one that ended a certificate waits for a replacement."""
        if self._waiting:
            detail = f"certificate {entry.serial_number}"
            self._waiting[-1].step("authority", index, entry.at, "replacement", detail)
            self._waiting.clear()
