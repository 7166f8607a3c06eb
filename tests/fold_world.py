# SPDX-License-Identifier: Apache-2.0
"""The gate's core alone: a state, entries folded into it, orders decided from their bytes.

No port, no key, no loop: what is asked here is what a replay of the log would ask.
"""

from __future__ import annotations

from typing import Any

from sekisho.core.encoding import b64, canonical
from sekisho.core.errors import MalformedInput
from sekisho.core.events import (
    AgentAdmitted,
    ClockObserved,
    Decision,
    Execution,
    GateEntry,
    GateOpened,
    LeaseHeld,
    OutcomeUnresolved,
    PermitSigned,
    RateObserved,
    Rearmed,
    StatusActed,
    VenueReconciled,
    Withdrawn,
)
from sekisho.core.gate.agent import AgentState
from sekisho.core.gate.decide import Clocks, decide, refuse_malformed
from sekisho.core.gate.order import parse_order
from sekisho.core.gate.state import GateState
from sekisho.core.gate.working import WorkingOrder
from sekisho.core.sight import Watching
from sekisho.core.terms import NS, format_instant, parse_instant
from tests.gate_world import CERTIFICATE, MORNING, ORDER, POLICY

MONOTONIC = 1_000 * NS
VENUES = ("PAPER", "X")
DEADLINE = MONOTONIC + 15 * NS


def reasons(decision: Decision) -> list[tuple[str, str, str, str]]:
    """What a decision says: code, limit, observed, unit of each reason."""
    return [(str(r.code), r.limit, r.observed, r.unit) for r in decision.reasons]


class FoldWorld:
    """A state with one admitted agent, ``bot``, a lease and calm rates. Time moves by hand."""

    def __init__(
        self,
        policy: dict[str, Any] | None = None,
        *,
        at: str = MORNING,
        region: str = "eu-west-1",
        environment: str = "test",
        lease: bool = True,
        quoted: bool = True,
        **admitted: str,
    ) -> None:
        self.state = GateState()
        self.entries: list[GateEntry] = []
        self.now = parse_instant(at)
        self.monotonic = MONOTONIC
        self._count = 0
        self.watching: Watching | None = None
        self.add(GateOpened, gate="g1", boot="0" * 32, region=region, environment=environment)
        self.admit(policy or POLICY, **admitted)
        if lease:
            self.lease()
        self.observe()
        if quoted:
            self.rate("EUR/USD", "1.0849", "1.0851")
            self.rate("EUR/GBP", "0.85", "0.8502")

    # -- entries -------------------------------------------------------------------------------

    def add(self, kind: Any, **fields: Any) -> int:
        """Fold one entry at the present time; returns its index."""
        return self.fold(kind(at=format_instant(self.now), **fields))

    def fold(self, entry: GateEntry) -> int:
        index = len(self.entries)
        self.state.apply(index, entry)
        self.entries.append(entry)
        return index

    def admit(self, policy: dict[str, Any], **changes: str) -> int:
        fields = {
            "certificate": b64(b"certificate"),
            "certificate_sha256": CERTIFICATE,
            "serial_number": "01",
            "not_before": "2026-01-01T00:00:00.000000000Z",
            "not_after": "2027-01-01T00:00:00.000000000Z",
            "policy_sha256": "d" * 64,
        } | changes
        return self.add(AgentAdmitted, agent="bot", policy=policy, authority_index=0, **fields)

    def lease(self, deadline: int = DEADLINE) -> int:
        return self.add(LeaseHeld, epoch=0, grant="{}", deadline_monotonic=str(deadline), status={})

    def observe(
        self, *, difference: int = 0, step: int = 0, venues: tuple[str, ...] = VENUES
    ) -> int:
        """A clock that goes right, and venues that were read, unless told otherwise."""
        for name in venues:
            self.add(VenueReconciled, venue=name, open_orders=0, unknown=0)
        return self.add(
            ClockObserved, wall=format_instant(self.now), monotonic=str(self.monotonic),
            authority_difference_ns=str(difference), step_ns=str(step), within=True,
        )  # fmt: skip

    def status(self, status: str, epoch: int = 1, certificate: str = CERTIFICATE) -> int:
        return self.add(
            StatusActed, agent="bot", certificate_sha256=certificate, status=status, reason="",
            epoch=epoch,
        )  # fmt: skip

    def rate(self, market: str, bid: str, ask: str, source: str = "STATIC", ago_ns: int = 0) -> int:
        quoted_at = format_instant(self.now - ago_ns)
        return self.add(
            RateObserved, market=market, source=source, bid=bid, ask=ask, quoted_at=quoted_at
        )

    def report(
        self, kind: str, name: str, quantity: str = "0", price: str = "1.085", exec_id: str = ""
    ) -> int:
        self._count += 1
        return self.add(
            Execution, agent="bot", venue="PAPER", client_order_id=name, venue_order_id="V",
            exec_id=exec_id or f"E{self._count}", exec_type=kind, last_quantity=quantity,
            last_price=price, cum_quantity="0", leaves_quantity="0", counterparty="",
            reason="", transact_at=format_instant(self.now),
        )  # fmt: skip

    def unresolved(self, name: str, operation: str) -> int:
        return self.add(
            OutcomeUnresolved, agent="bot", client_order_id=name, operation=operation, detail=""
        )

    def signed(self, decision: int) -> int:
        return self.add(PermitSigned, agent="bot", decision=decision, permit="p")

    def withdrawn(self, decision: int) -> int:
        return self.add(Withdrawn, agent="bot", decision=decision, reason="r")

    def rearm(self, latch: str) -> int:
        return self.add(Rearmed, agent="bot", latch=latch, seats=("a", "b"), commands=())

    # -- orders --------------------------------------------------------------------------------

    def decide(self, body: bytes, agent: str = "bot") -> Decision:
        """Decide about these bytes; nothing is folded."""
        clocks = Clocks(self.now, self.monotonic)
        try:
            order = parse_order(body)
        except MalformedInput as error:
            return refuse_malformed(self.state, clocks, agent, body, error)
        return decide(self.state, clocks, agent, body, order, self.watching)

    def ask(self, **changes: Any) -> Decision:
        """Decide about a new order and fold the decision; a change to None leaves a field out."""
        return self.take(ORDER | changes)

    def amend(self, name: str, orig: str, quantity: str, **more: Any) -> Decision:
        return self.take(
            {"action": "amend", "client_order_id": name, "orig_client_order_id": orig,
             "quantity": quantity, **more}
        )  # fmt: skip

    def cancel(self, name: str, orig: str) -> Decision:
        return self.take(
            {"action": "cancel", "client_order_id": name, "orig_client_order_id": orig}
        )

    def take(self, plain: dict[str, Any]) -> Decision:
        """Decide and fold; what the decision foretold of the counters must be what follows."""
        body = canonical({name: value for name, value in plain.items() if value is not None})
        decision = self.decide(body)
        self.fold(decision)
        if decision.after is not None:
            assert self.bot.counters(self.now) == decision.after
        return decision

    def permit(self, **changes: Any) -> int:
        """A new order that must be permitted; returns the index of its decision."""
        decision = self.ask(**changes)
        assert reasons(decision) == []
        return decision.state

    def later(self, seconds: float) -> None:
        self.now += round(seconds * NS)

    # -- looking -------------------------------------------------------------------------------

    @property
    def bot(self) -> AgentState:
        return self.state.agents["bot"]

    def order(self, name: str) -> WorkingOrder:
        found = self.bot.find(name)
        assert found is not None, name
        return found
