# SPDX-License-Identifier: Apache-2.0
"""The gate's state: a fold of the gate's log, and of nothing else (docs/spec/checks.md, section 2).

:meth:`GateState.apply` is the only way in which anything changes, in normal running, in recovery
and in a replay alike. Objects here are owned by one log; only the fold mutates them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from sekisho.core.encoding import parse_plain
from sekisho.core.events import (
    AccumulationRestarted,
    Advised,
    AgentAdmitted,
    BaselineAdopted,
    CallerRefused,
    CancelAsked,
    ClockObserved,
    CommandRefused,
    Decision,
    Execution,
    GateEntry,
    GateOpened,
    HistoryAwaited,
    HistoryGiven,
    HistoryPart,
    IncidentOpened,
    LeaseHeld,
    LocalStop,
    OutcomeUnresolved,
    PermitSigned,
    RateObserved,
    Rearmed,
    RestingUnknown,
    RosterRefused,
    Shed,
    ShutdownOrdered,
    SnapshotTaken,
    StatusActed,
    StopReported,
    VenueContradicted,
    VenueLost,
    VenueRearmed,
    VenueReconciled,
    Withdrawn,
)
from sekisho.core.gate import history, reports, venues
from sekisho.core.gate.agent import AgentState, SeenIn, in_memory
from sekisho.core.gate.limits import read_limits
from sekisho.core.gate.order import AmendOrder, CancelOrder, NewOrder
from sekisho.core.gate.prices import Quotations, read_quote
from sekisho.core.markets import pair_of
from sekisho.core.terms import parse_instant

MOVED_AWAY = "assigned"
"""Reason of a ``status_acted`` that stops an agent because another gate has it now."""


class Lease(msgspec.Struct, frozen=True):
    """The right to sign until ``deadline`` (boot-time clock of this boot, ns)."""

    epoch: int
    deadline: int
    grant: str
    status: dict[str, str]


class GateState:
    """Everything that a decision depends on, besides the order and the clock.

    ``used_commands``: seat and nonce of every command of people that this log rests on.
    """

    __slots__ = ("agents", "at", "boot", "environment", "gate", "lease", "outside", "quotations",
                 "region", "seen_in", "size", "used_commands")  # fmt: skip

    def __init__(self, seen_in: SeenIn = in_memory) -> None:
        self.seen_in = seen_in
        self.size = 0
        self.at = 0
        self.gate = ""
        self.boot = ""
        self.region = ""
        self.environment = ""
        self.lease: Lease | None = None
        self.quotations: dict[tuple[str, str], Quotations] = {}
        self.agents: dict[str, AgentState] = {}
        self.used_commands: set[tuple[str, str]] = set()
        self.outside = venues.Outside()

    def lacks_history(self, agent: AgentState) -> bool:
        """Whether another gate owes the agent's history: which orders are its own is not known."""
        return agent.awaits and agent.awaited_from != self.gate

    def apply(self, index: int, entry: GateEntry) -> None:
        """Take the entry at ``index`` into the state.

        Raises:
            ValueError: entries were skipped or come twice.
        """
        if index != self.size:
            raise ValueError(f"entry {index} applied to a state of {self.size} entries")
        at = parse_instant(entry.at)
        agent = self.agents.get(getattr(entry, "agent", ""))
        if agent is not None:
            agent.roll(at)
        _EFFECTS[type(entry)](self, index, at, entry)
        for text in getattr(entry, "commands", ()):
            self.used_commands.add(_seat_and_nonce(text))
        self.size = index + 1
        self.at = max(self.at, at)


def _opened(state: GateState, _index: int, _at: int, entry: GateOpened) -> None:
    state.gate, state.boot = entry.gate, entry.boot
    state.region, state.environment = entry.region, entry.environment
    state.lease = None
    state.outside.opened()
    for agent in state.agents.values():
        for order in agent.working.values():
            if order.phase == "permitted":
                order.phase = "possibly_issued"


def _admitted(state: GateState, _index: int, at: int, entry: AgentAdmitted) -> None:
    limits = read_limits(entry.policy)
    agent = state.agents.get(entry.agent)
    if agent is None:
        agent = state.agents[entry.agent] = AgentState(entry.agent, limits.day(at), state.seen_in)
    agent.admit(entry, limits)
    agent.roll(at)
    state.outside.admitted(state.agents)


def _status(state: GateState, _index: int, _at: int, entry: StatusActed) -> None:
    agent = state.agents.get(entry.agent)
    if agent is None:
        return
    newer = entry.epoch > agent.epoch
    agent.epoch = max(agent.epoch, entry.epoch)
    if entry.certificate_sha256 != agent.certificate_sha256 or agent.status == "revoked":
        return
    if newer or entry.status != "good":
        moved = entry.reason == MOVED_AWAY and (agent.status == "good" or agent.left)
        agent.left = entry.status == "hold" and moved
    if newer or entry.status != "good":  # only what is newer than the stop can lift it
        agent.status = entry.status
        if entry.status != "hold":
            agent.stopped = -1  # released; or revoked, and another certificate is a new word


def _lease(state: GateState, _index: int, _at: int, entry: LeaseHeld) -> None:
    state.lease = Lease(entry.epoch, int(entry.deadline_monotonic), entry.grant, entry.status)


def _rate(state: GateState, index: int, _at: int, entry: RateObserved) -> None:
    quote = read_quote(entry.market, entry.bid, entry.ask, parse_instant(entry.quoted_at))
    key = (entry.source, pair_of(entry.market)[0])
    held = state.quotations.get(key)
    if held is None:
        state.quotations[key] = Quotations(quote, index)
    else:
        held.observe(quote, index)


_ORDERS: dict[str, Any] = {"new": NewOrder, "amend": AmendOrder, "cancel": CancelOrder}


def _decided(state: GateState, index: int, at: int, entry: Decision) -> None:
    agent = state.agents.get(entry.agent)
    if agent is None or entry.order is None:
        return
    order = msgspec.convert(entry.order, _ORDERS[str(entry.order["action"])])
    agent.decided(index, at, order, entry)


def _signed(state: GateState, index: int, _at: int, entry: PermitSigned) -> None:
    agent = state.agents.get(entry.agent)
    if agent is not None:
        agent.signed(index, entry.decision)


def _withdrawn(state: GateState, index: int, at: int, entry: Withdrawn) -> None:
    agent = state.agents.get(entry.agent)
    if agent is not None:
        agent.withdrawn(index, at, entry.decision)


def _executed(state: GateState, index: int, at: int, entry: Execution) -> None:
    agent, seen = state.agents.get(entry.agent), (entry.venue, entry.exec_id)
    factor: reports.Factor = ""
    if agent is not None:
        factor = reports.apply_report(agent, at, entry)
    elif seen not in state.outside.strange:
        state.outside.strange.add(seen)
        factor = reports.of_stranger(entry)
    if factor:
        state.outside.broken(index, entry.venue, agent, factor)


def _unresolved(state: GateState, _index: int, _at: int, entry: OutcomeUnresolved) -> None:
    agent = state.agents.get(entry.agent)
    if agent is not None:
        reports.apply_unresolved(agent, entry)


def _rearmed(state: GateState, _index: int, _at: int, entry: Rearmed) -> None:
    agent = state.agents.get(entry.agent)
    if agent is not None:
        agent.rearm(entry.latch)


def _adopted(state: GateState, _index: int, _at: int, entry: BaselineAdopted) -> None:
    agent = state.agents.get(entry.agent)
    if agent is not None and not agent.baseline_sha256:
        agent.baseline_sha256 = entry.baseline_sha256


def _seat_and_nonce(text: str) -> tuple[str, str]:
    """Who signed a command, and its number; what a command means is not read here."""
    command = parse_plain(text.encode("utf-8"))["command"]
    return str(command["seat"]), str(command["nonce"])


def _shut_down(state: GateState, index: int, _at: int, entry: ShutdownOrdered) -> None:
    agent = state.agents.get(entry.agent)
    if agent is not None:
        agent.shut_down(index, entry.mode)


def _stopped(state: GateState, _index: int, _at: int, entry: LocalStop) -> None:
    """A person stopped the agent here; only a newer word of the authority lifts it."""
    agent = state.agents.get(entry.agent)
    if agent is None or entry.certificate_sha256 != agent.certificate_sha256:
        return
    if agent.status != "revoked":
        agent.status, agent.stopped, agent.left = "hold", agent.epoch, False


def _advised(state: GateState, _index: int, at: int, entry: Advised) -> None:
    agent = state.agents.get(entry.agent)
    if agent is not None:
        agent.advised(at)


def _crossed(state: GateState, index: int, _at: int, entry: IncidentOpened) -> None:
    """A score crossed its threshold: from here on nothing adds exposure. A break latches its venue
    alone.
    """
    if entry.incident_kind == "break":
        state.outside.latch(entry)
        return
    agent = state.agents.get(entry.agent)
    if agent is None:
        return
    if entry.incident_kind == "breaker":
        agent.break_circuit(index)
    elif entry.certificate_sha256 == agent.certificate_sha256 and agent.status == "good":
        agent.status = "hold"


def _awaited(state: GateState, _index: int, _at: int, entry: HistoryAwaited) -> None:
    agent = state.agents.get(entry.agent)
    if agent is not None:
        agent.await_history(entry.before, entry.epoch)


def _part(state: GateState, index: int, _at: int, entry: HistoryPart) -> None:
    agent = state.agents.get(entry.agent)
    if agent is not None:
        history.take(agent, index, entry)


def _told_of_outside(state: GateState, index: int, _at: int, entry: venues.Told) -> None:
    state.outside.apply(index, entry, state.agents)


def _nothing(
    _state: GateState,
    _index: int,
    _at: int,
    _entry: CancelAsked
    | StopReported
    | AccumulationRestarted
    | CallerRefused
    | CommandRefused
    | RosterRefused
    | Shed
    | SnapshotTaken
    | HistoryGiven,
) -> None:
    """Recorded for the reader; no decision depends on it."""


_EFFECTS: dict[type, Any] = {
    GateOpened: _opened,
    AgentAdmitted: _admitted,
    StatusActed: _status,
    LeaseHeld: _lease,
    RateObserved: _rate,
    Decision: _decided,
    PermitSigned: _signed,
    Withdrawn: _withdrawn,
    Execution: _executed,
    OutcomeUnresolved: _unresolved,
    CancelAsked: _nothing,
    StopReported: _nothing,
    Rearmed: _rearmed,
    BaselineAdopted: _adopted,
    IncidentOpened: _crossed,
    AccumulationRestarted: _nothing,
    VenueReconciled: _told_of_outside,
    VenueLost: _told_of_outside,
    RestingUnknown: _told_of_outside,
    VenueContradicted: _told_of_outside,
    VenueRearmed: _told_of_outside,
    ClockObserved: _told_of_outside,
    ShutdownOrdered: _shut_down,
    LocalStop: _stopped,
    CallerRefused: _nothing,
    CommandRefused: _nothing,
    RosterRefused: _nothing,
    Advised: _advised,
    Shed: _nothing,
    SnapshotTaken: _nothing,
    HistoryAwaited: _awaited,
    HistoryGiven: _nothing,
    HistoryPart: _part,
}
