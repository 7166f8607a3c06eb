# SPDX-License-Identifier: Apache-2.0
"""What an entry of a gate's log calls for by rule, and what may stand while an agent is stopped.

Read from docs/spec/behaviour.md sections 5 and 7 beside the fold: which scores crossed is what a
fresh watch says of the durable entries; when something must follow, and what must not, is here.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, NamedTuple

import msgspec

from sekisho.core.amounts import parse_amount
from sekisho.core.behaviour.watch import WatchState, incident_id
from sekisho.core.events import (
    AccumulationRestarted,
    AgentAdmitted,
    BaselineAdopted,
    Decision,
    Execution,
    GateEntry,
    GateOpened,
    IncidentOpened,
    OutcomeUnresolved,
    PermitSigned,
    Rearmed,
    StatusActed,
    StopReported,
)
from sekisho.core.gate.state import GateState
from sekisho.core.gate.working import WorkingOrder
from sekisho.core.markets import pair_of


class Lift(NamedTuple):
    """An entry that took a certificate for good again, and the incidents that had held it."""

    number: int
    entry: StatusActed
    incidents: tuple[str, ...]


class Following:
    """One agent's entries in their order: stops, what lifts them, and what must follow at once.

    Attributes:
        crossings: findings about incidents and accumulations: missing, late, or uncalled for.
        stopped: findings about what was permitted while a score, a hold or the breaker forbade it.
        lifts: what lifted a hold, in order; the authority is asked elsewhere whether it may.
        holding: incidents that hold a certificate now, by its digest.
        breaker: whether the breaker's latch is on.
        unconfirmed: what the last report of a stop could not confirm; None since the last hold.
    """

    def __init__(self, origin: str) -> None:
        self.crossings: list[str] = []
        self.stopped: list[str] = []
        self.lifts: list[Lift] = []
        self.holding: dict[str, tuple[str, ...]] = {}
        self.breaker = False
        self.unconfirmed: tuple[str, ...] | None = None
        self._origin = origin
        self._due: IncidentOpened | None = None
        self._restart = False
        self._began = -1
        self._policy: dict[str, Any] = {}
        self._certificates: dict[int, str] = {}

    def arrives(self, index: int, entry: GateEntry, state: GateState) -> None:
        """Before the entry is folded: is it what is due, and may it stand here?"""
        self._judge_incident(index, entry)
        self._judge_restart(index, entry)
        self._judge_stop(index, entry, state)
        held = state.agents.get(getattr(entry, "agent", ""))
        self._restart = False
        if held is None or self._began < 0:
            return
        self._restart = (
            (isinstance(entry, Rearmed) and entry.latch == "circuit_breaker")
            or (
                isinstance(entry, AgentAdmitted)
                and entry.certificate_sha256 != held.certificate_sha256
            )
            or (
                isinstance(entry, StatusActed)
                and (entry.status, held.status) == ("good", "hold")
                and entry.certificate_sha256 == held.certificate_sha256
                and entry.epoch > held.epoch
            )
        )

    def folded(self, index: int, entry: GateEntry, state: GateState, watch: WatchState) -> None:
        """After the entry was folded: what does it call for?"""
        if isinstance(entry, Decision | Execution | OutcomeUnresolved):
            self._due = self._crossed(index, entry.agent, state, watch)
        elif isinstance(entry, IncidentOpened):
            self._open(entry)
        elif isinstance(entry, StatusActed) and entry.status == "good":
            incidents = self.holding.pop(entry.certificate_sha256, ())
            self.lifts.append(Lift(index, entry, incidents))
        elif isinstance(entry, Rearmed) and entry.latch == "circuit_breaker":
            self.breaker = False
        elif isinstance(entry, AgentAdmitted):
            self._policy = entry.policy
        elif isinstance(entry, BaselineAdopted | AccumulationRestarted):
            self._began = index
        elif isinstance(entry, StopReported):
            self.unconfirmed = entry.unconfirmed

    # ------------------------------------------------------------------ what must follow at once

    def _crossed(
        self, index: int, agent: str, state: GateState, watch: WatchState
    ) -> IncidentOpened | None:
        held, crossing = state.agents.get(agent), watch.crossing(agent)
        if held is None or crossing is None or held.status != "good":
            return None
        if crossing.kind == "breaker" and "circuit_breaker" in held.latches:
            return None
        return IncidentOpened(
            at="",
            incident=incident_id(self._origin, index, crossing.kind),
            agent=agent,
            certificate_sha256=held.certificate_sha256,
            incident_kind=crossing.kind,
            score=crossing.score,
            factor=crossing.factor,
            observed=crossing.observed,
            threshold=crossing.threshold,
            trigger=index,
        )

    def _judge_incident(self, index: int, entry: GateEntry) -> None:
        due = self._due
        if isinstance(entry, IncidentOpened):
            if due is None:
                self.crossings.append(f"entry {index} opens an incident that nothing calls for")
            elif _but_when(entry) != _but_when(due):
                self.crossings.append(f"entry {index}: {entry}, called for {due}")
            self._due = None
        elif due is not None and not isinstance(entry, GateOpened):
            name = type(entry).__name__
            self.crossings.append(f"entry {due.trigger} crossed, and entry {index} is {name}")
            self._due = None

    def _judge_restart(self, index: int, entry: GateEntry) -> None:
        found = isinstance(entry, AccumulationRestarted)
        if found != self._restart:
            name = type(entry).__name__
            self.crossings.append(f"entry {index} is {name}; a restart is due: {self._restart}")
        elif isinstance(entry, AccumulationRestarted) and (
            (entry.first, entry.last) != (self._began, index - 1)
        ):
            self.crossings.append(f"entry {index} leaves out {entry.first} to {entry.last}")

    # ----------------------------------------------------------------- what must not be permitted

    def _open(self, entry: IncidentOpened) -> None:
        if entry.incident_kind == "breaker":
            self.breaker = True
        else:
            before = self.holding.get(entry.certificate_sha256, ())
            self.holding[entry.certificate_sha256] = (*before, entry.incident)
            self.unconfirmed = None

    def _judge_stop(self, index: int, entry: GateEntry, state: GateState) -> None:
        if isinstance(entry, Decision):
            self._certificates[index] = entry.certificate_sha256
            if entry.verdict == "permitted" and entry.order is not None:
                reduces = self.breaker and _takes_back(entry, entry.order, state)
                self._judge_permitted(index, entry, str(entry.order["action"]), reduces=reduces)
        elif isinstance(entry, PermitSigned) and (
            self._certificates.get(entry.decision) in self.holding
        ):
            self.stopped.append(f"entry {index} is a permit under a hold by an incident")

    def _judge_permitted(self, index: int, entry: Decision, action: str, *, reduces: bool) -> None:
        if action == "cancel":
            return
        if entry.certificate_sha256 in self.holding:
            self.stopped.append(f"entry {index} permits under a hold by an incident")
        if self.breaker and not reduces:
            self.stopped.append(f"entry {index} permits while the breaker is latched")
        if self._began < 0:
            return
        most = Fraction(self._policy["risk_controls"]["breaker_threshold"])
        scores = entry.scores
        if scores is None or not scores.anomaly or not scores.risk:
            self.stopped.append(f"entry {index} permits without scores: {scores}")
        elif Fraction(scores.anomaly) > most or (Fraction(scores.risk) > most and not reduces):
            self.stopped.append(f"entry {index} permits beyond {most}: {scores}")


def _but_when(entry: IncidentOpened) -> list[Any]:
    return [getattr(entry, name) for name in entry.__struct_fields__ if name != "at"]


def _takes_back(entry: Decision, order: dict[str, Any], state: GateState) -> bool:
    """Whether an order that passes a latched breaker only takes back a position.

    By hand from what was filled and what rests, in the currency that the order counts: it goes
    against the position, and together with everything that rests in its direction it is not more
    than the position (checks.md, 4.7). An amendment may stay what it was, so it counts that too.
    """
    if order["action"] == "cancel":
        return False  # it passes whatever it is about
    held = state.agents[entry.agent]
    target = held.find(str(order.get("orig_client_order_id", "")))
    if target is None and order["action"] != "new":
        return False
    asked = order if target is None else msgspec.to_builtins(target.terms.order)
    pair, inverted = pair_of(str(asked["market"]))
    direction = 1 if (asked["side"] == "buy") != inverted else -1
    leg = held.quantities.get((pair, str(asked["currency"])))
    if leg is None:
        return False
    position = leg.high if direction > 0 else -leg.low
    resting = 0
    for one in held.working.values():
        if (one.terms.pair, one.terms.direction) != (pair, direction) or one is target:
            continue
        if one.terms.currency != asked["currency"]:
            return False  # no world mixes them: what it could move is not worked out here
        resting += _left(one)
    own = parse_amount(str(order["quantity"]))
    if target is not None:
        own = max(own - target.filled, _left(target))
    return position < 0 and position + resting + own <= 0


def _left(order: WorkingOrder) -> int:
    """What can still be filled, by the larger of the order and its pending amendment."""
    most = order.terms.quantity
    if order.pending is not None:
        most = max(most, order.pending.terms.quantity)
    return max(0, most - order.filled)
