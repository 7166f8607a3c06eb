# SPDX-License-Identifier: Apache-2.0
"""What a gate process tells of itself: readiness, readings for metrics, lines for the log.

Projections of what the gate has anyway; nothing here decides, and nothing waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from sekisho.adapters.json_log import Teller
from sekisho.adapters.rates.several import SeveralFeeds
from sekisho.compose.gate import Gate
from sekisho.core.events import (
    ClockObserved,
    GateEntry,
    GateOpened,
    IncidentOpened,
    LocalStop,
    OutcomeUnresolved,
    Rearmed,
    ShutdownOrdered,
    StatusActed,
    StopReported,
    VenueLost,
    VenueReconciled,
)
from sekisho.core.terms import NS
from sekisho.services.intake import Intake
from sekisho.services.journal import Journal

_TOLD: Final[Mapping[type, tuple[str, tuple[str, ...]]]] = {
    GateOpened: ("gate opened", ("gate", "boot", "region", "environment")),
    StatusActed: ("status", ("agent", "status", "reason", "epoch")),
    StopReported: ("stop reported", ("agent", "epoch", "complete")),
    LocalStop: ("stopped by people at this gate", ("agent",)),
    ShutdownOrdered: ("shutdown ordered", ("agent", "mode")),
    Rearmed: ("re-armed", ("agent", "latch")),
    IncidentOpened: ("incident opened", ("incident", "agent", "incident_kind", "factor")),
    OutcomeUnresolved: ("outcome unknown", ("agent", "client_order_id", "operation", "detail")),
    VenueLost: ("venue lost", ("venue", "detail")),
    VenueReconciled: ("venue reconciled", ("venue", "open_orders", "unknown")),
    ClockObserved: ("clock", ("within", "authority_difference_ns", "step_ns")),
}
"""Entries that whoever runs the gate is told of, and which of their fields."""
_WARNED: Final = (IncidentOpened, OutcomeUnresolved, VenueLost, LocalStop)


class Telling:
    """Log lines for the entries that matter to whoever runs the gate."""

    def __init__(self, teller: Teller) -> None:
        self._teller = teller

    def __call__(self, index: int, entry: GateEntry) -> None:
        """Tell of one entry."""
        found = _TOLD.get(type(entry))
        if found is None:
            return
        event, fields = found
        facts = {name: getattr(entry, name) for name in fields}
        tell = self._teller.warn if isinstance(entry, _WARNED) else self._teller.tell
        tell(event, entry=index, **facts)


class Condition:
    """What is missing, and what is measured, at this moment."""

    def __init__(
        self,
        gate: Gate,
        journal: Journal,
        intake: Intake,
        feeds: SeveralFeeds,
        connected: Callable[[], bool],
        agents: tuple[str, ...],
    ) -> None:
        self._gate = gate
        self._journal = journal
        self._intake = intake
        self._feeds = feeds
        self._connected = connected
        self._agents = agents

    def missing(self) -> list[str]:
        """Everything that keeps orders from being permitted; empty when nothing does."""
        state, clocks = self._gate.log.state, self._gate.log.clocks()
        found: list[str] = []
        if self._journal.failed is not None:
            found.append(f"the log failed: {self._journal.failed}; start the gate anew")
        if self._intake.draining:
            found.append("draining")
        if self._intake.low_disk():
            found.append("less than a tenth of the log's disk is free: make room")
        found += [
            f"agent {name}: its history is at gate {one.awaited_from}; bring that gate back"
            for name, one in state.agents.items()
            if one.awaits
        ]
        if state.lease is None or clocks.monotonic >= state.lease.deadline:
            why = self._gate.leasing.last_failure
            found.append(f"no lease: {why}" if why else "no lease yet")
        if not self._connected():
            found.append("not connected to the authority's stream")
        if not self._gate.leasing.clocks.sound():
            found.append("the clock was not found sound")
        found += [
            f"venue {name} is not reconciled"
            for name in self._gate.venues
            if not state.outside.standing(name).reconciled
        ]
        found += [
            f"venue {name} is latched by incident {state.outside.standing(name).incident}"
            for name in self._gate.venues
            if state.outside.standing(name).incident
        ]
        found += [
            f"venue {name}: {count} reports of it cannot be read"
            for name in self._gate.venues
            if (count := self._gate.release.unreadable(name))
        ]
        found += [
            f"venue {name} contradicts itself: {against.why}"
            for name in self._gate.venues
            if (against := self._gate.venue_watch.doubts.contradiction(name))
        ]
        found += [
            f"rate feed {feed.name} is silent" for feed in self._feeds.states() if feed.silent
        ]
        found += [
            f"agent {name} is not admitted" for name in self._agents if name not in state.agents
        ]
        return found

    def status(self) -> dict[str, Any]:
        """What is so at this moment, as plain data without amounts."""
        state, clocks, journal = self._gate.log.state, self._gate.log.clocks(), self._journal
        lease = state.lease
        left = 0 if lease is None else max(0, lease.deadline - clocks.monotonic)
        return {
            "gate": state.gate,
            "region": state.region,
            "environment": state.environment,
            "missing": self.missing(),
            "connected": self._connected(),
            "lease_left_ms": left * 1000 // NS,
            "agents": [
                {
                    "agent": name,
                    "status": held.status,
                    "latches": sorted(held.latches),
                    "shutdown": held.shutdown,
                    "phase": "live" if held.baseline_sha256 else "baseline",
                    "working": len(held.working),
                }
                for name, held in sorted(state.agents.items())
            ],
            "venues": [
                {"venue": name, "reconciled": known.reconciled, "incident": known.incident}
                for name, known in (
                    (name, state.outside.standing(name)) for name in self._gate.venues
                )
            ],
            "doubts": [one._asdict() for one in self._gate.venue_watch.doubts.told()],
            "feeds": [
                {
                    "source": feed.name,
                    "silent": feed.silent,
                    "faults": feed.faults,
                    "heard_ms": -1
                    if feed.last_heard_ns is None
                    else (clocks.monotonic - feed.last_heard_ns) * 1000 // NS,
                }
                for feed in self._feeds.states()
            ],
            "log": {
                "origin": journal.origin,
                "entries": journal.size,
                "durable": journal.durable_size,
                "published": journal.published_size,
            },
            "unreported": sorted(self._gate.local.unreported.values()),
        }

    def readings(self) -> dict[str, float | Mapping[str, float]]:
        """Gauges; see ``adapters.metrics.GAUGES``."""
        log, journal = self._gate.log, self._journal
        clocks, state = log.clocks(), log.state
        found: dict[str, float | Mapping[str, float]] = {
            "sekisho_lease_left_seconds": 0.0
            if state.lease is None
            else max(0, state.lease.deadline - clocks.monotonic) / NS,
            "sekisho_journal_unflushed_entries": float(journal.size - journal.durable_size),
            "sekisho_journal_unpublished_entries": float(
                journal.durable_size - journal.published_size
            ),
            "sekisho_journal_failed": float(journal.failed is not None),
            "sekisho_orders_under_way": float(sum(self._intake.under_way.values())),
            "sekisho_turned_away": float(self._intake.turned_away),
            "sekisho_working_orders": {
                name: float(len(held.working)) for name, held in state.agents.items()
            },
            "sekisho_agent_stopped": {
                name: float(held.status != "good" or bool(held.latches))
                for name, held in state.agents.items()
            },
            "sekisho_rate_feed_silent_seconds": {
                feed.name: (clocks.monotonic - feed.last_heard_ns) / NS
                for feed in self._feeds.states()
                if feed.last_heard_ns is not None
            },
            "sekisho_rate_feed_faults": {
                feed.name: float(feed.faults) for feed in self._feeds.states()
            },
            "sekisho_venue_reconciled": {
                name: float(state.outside.standing(name).reconciled) for name in self._gate.venues
            },
            "sekisho_venue_unreadable_reports": {
                name: float(self._gate.release.unreadable(name)) for name in self._gate.venues
            },
            "sekisho_venue_orders_in_doubt": {
                name: float(self._gate.venue_watch.doubts.count(name)) for name in self._gate.venues
            },
        }
        if state.lease is not None:
            asked = self._gate.leasing.asked_at(state.lease)
            found["sekisho_lease_age_seconds"] = (clocks.monotonic - asked) / NS
        clock = state.outside.clock
        if clock is not None:
            found["sekisho_clock_offset_seconds"] = -clock.difference / NS
        return found
