# SPDX-License-Identifier: Apache-2.0
"""What the gate's log says of each order, as a client of Kraken's REST asks for it.

A projection of the log: it takes every entry in order; thrown away and built anew at will. It
decides nothing. Open orders are all here; of closed ones the last ``CLOSED_MAX`` of each agent. At
the start it reads the log's last ``TAIL`` entries, and before them the entries of orders that still
work, which the gate's fold names.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from sekisho.core.amounts import format_amount, parse_amount
from sekisho.core.events import (
    Decision,
    Execution,
    GateEntry,
    PermitSigned,
    Withdrawn,
    decode_gate_entry,
)
from sekisho.core.gate.agent import AgentState
from sekisho.core.gate.working import WorkingOrder
from sekisho.core.kraken import PairTable
from sekisho.core.kraken_answers import ShownOrder, ShownTrade
from sekisho.core.terms import parse_instant
from sekisho.services.gatelog import GateLog

CLOSED_MAX: Final = 1_000
TAIL: Final = 100_000
"""Entries that are read whole at the start: about a second."""
_EXECUTION: Final = b'"kind":"execution"'
_LIVE = ("pending", "open")
Entries = Callable[[int], Iterator[tuple[int, bytes]]]
"""What a log holds from an index on; ``EntryLog.entries`` is such."""


@dataclass
class _Kept:
    """One order; ``names`` are its ids, the first one the client's own, the last one present."""

    agent: str
    names: list[str]
    order: dict[str, Any]
    quantity: int
    opened_ns: int
    status: str = "pending"
    reason: str = ""
    filled: int = 0
    cost: int = 0
    closed_ns: int = 0
    rejected: bool = False
    asked: dict[str, dict[str, Any]] = field(default_factory=dict)
    trades: list[ShownTrade] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)


class OrderHistory:
    """Orders by agent and by any of their names."""

    def __init__(self, pairs: PairTable) -> None:
        self._pairs = pairs
        self._orders: dict[tuple[str, str], _Kept] = {}
        self._decided: dict[int, tuple[_Kept, str]] = {}
        self._live: dict[str, dict[str, _Kept]] = {}
        self._closed: dict[str, deque[_Kept]] = {}
        self._next = 0

    # -- feeding -------------------------------------------------------------------------------

    def begin(self, log: GateLog, tail: int = TAIL) -> None:
        """Take in the end of a gate's log, and from before it the orders that still work.

        What an order was before is found by its ids; only one that was partly executed, or
        amended, costs a look at each entry since it was decided.
        """
        start = max(0, log.journal.size - tail)
        for held in log.state.agents.values():
            for order in held.working.values():
                self._older(log, held, order, start)
        self._decided.clear()
        self._next = start
        self.catch_up(log.journal.entries)

    def _older(self, log: GateLog, held: AgentState, order: WorkingOrder, start: int) -> None:
        """The entries of one order before ``start``, as if they were all of the log."""
        present = order.client_order_id
        names = {present, *(alias for alias, now in held.aliases.items() if now == present)}
        known = [one.decision for name in names if (one := held.known.get(name)) is not None]
        indexes = [index for index in known if index < start]
        if not indexes:
            return
        found = [(index, decode_gate_entry(log.journal.entry(index))) for index in indexes]
        if order.filled or len(names) > 1:
            for index, data in log.journal.entries(min(indexes)):
                if index >= start:
                    break
                if _EXECUTION in data:
                    entry = decode_gate_entry(data)
                    if isinstance(entry, Execution) and entry.client_order_id in names:
                        found.append((index, entry))
        self._next = 0
        for index, entry in sorted(found, key=lambda one: one[0]):
            self.apply(index, entry)
        kept = self._orders.get((held.agent, present))
        if kept is not None and kept.status == "pending" and order.phase == "open":
            kept.status = "open"

    def catch_up(self, entries: Entries) -> None:
        """Take in what a log got since the last time."""
        for index, data in entries(self._next):
            self.apply(index, decode_gate_entry(data))

    def apply(self, index: int, entry: GateEntry) -> None:
        """Take in the entry at ``index``; one that was taken before has no effect."""
        if index < self._next:
            return
        self._next = index + 1
        if isinstance(entry, Decision):
            if entry.verdict == "permitted" and entry.order is not None:
                self._permitted(index, entry, entry.order)
        elif isinstance(entry, Withdrawn):
            self._withdrawn(entry)
        elif isinstance(entry, PermitSigned):
            self._decided.pop(entry.decision, None)  # it can no longer be withdrawn
        elif isinstance(entry, Execution):
            self._reported(entry)

    def _permitted(self, index: int, entry: Decision, order: dict[str, Any]) -> None:
        name = order["client_order_id"]
        if order["action"] == "new":
            at = parse_instant(entry.at)
            kept = _Kept(entry.agent, [name], order, parse_amount(order["quantity"]), at)
            self._live.setdefault(entry.agent, {})[name] = kept
        elif order["action"] == "amend":
            found = self._orders.get((entry.agent, order["orig_client_order_id"]))
            if found is None:
                return
            kept = found
            kept.asked[name] = order
        else:
            return
        self._orders[entry.agent, name] = kept
        self._decided[index] = (kept, name)

    def _withdrawn(self, entry: Withdrawn) -> None:
        kept, name = self._decided.pop(entry.decision, (None, ""))
        if kept is None:
            return
        if name in kept.asked:
            self._forget_amendment(kept, name)
        else:
            self._end(kept, "canceled", "withdrawn", parse_instant(entry.at))

    def _reported(self, entry: Execution) -> None:
        kept = self._orders.get((entry.agent, entry.client_order_id))
        if kept is None or entry.exec_id in kept.seen:
            return
        kept.seen.add(entry.exec_id)
        at = parse_instant(entry.transact_at)
        if entry.exec_type == "new":
            kept.status = "open" if kept.status == "pending" else kept.status
        elif entry.exec_type == "trade":
            self._traded(kept, entry, at)
        elif entry.exec_type == "replaced":
            self._replaced(kept, entry.client_order_id, at)
        elif entry.client_order_id in kept.asked:
            self._forget_amendment(kept, entry.client_order_id)
        else:
            kept.rejected = entry.exec_type == "rejected"
            status = "expired" if entry.exec_type == "expired" else "canceled"
            self._end(kept, status, entry.reason or entry.exec_type, at)

    def _traded(self, kept: _Kept, entry: Execution, at: int) -> None:
        quantity, price = parse_amount(entry.last_quantity), parse_amount(entry.last_price)
        kept.filled += quantity
        kept.cost += quantity * price
        order = kept.order
        kept.trades.append(
            ShownTrade(
                trade_id=entry.exec_id,
                txid=kept.names[0],
                pair=self._pair(order["market"]),
                side=order["side"],
                order_type=order["order_type"],
                quantity=entry.last_quantity,
                price=entry.last_price,
                cost=quantity * price,
                at_ns=at,
            )
        )
        if kept.filled >= kept.quantity and not kept.asked:
            self._end(kept, "closed", "", at)
        elif kept.status == "pending":
            kept.status = "open"

    def _replaced(self, kept: _Kept, name: str, at: int) -> None:
        asked = kept.asked.pop(name, None)
        if asked is None:
            return
        kept.names.append(name)
        kept.quantity = parse_amount(asked["quantity"])
        changed = {key: asked[key] for key in ("quantity", "price") if key in asked}
        kept.order = kept.order | changed
        if kept.filled >= kept.quantity and not kept.asked:
            self._end(kept, "closed", "", at)
        elif kept.status == "pending":
            kept.status = "open"

    def _forget_amendment(self, kept: _Kept, name: str) -> None:
        del kept.asked[name]
        self._orders.pop((kept.agent, name), None)
        if kept.status in _LIVE and kept.filled >= kept.quantity and kept.trades:
            self._end(kept, "closed", "", kept.trades[-1].at_ns)

    def _end(self, kept: _Kept, status: str, reason: str, at: int) -> None:
        if kept.status not in _LIVE:
            return
        kept.status, kept.reason, kept.closed_ns = status, reason, at
        self._live[kept.agent].pop(kept.names[0], None)
        closed = self._closed.setdefault(kept.agent, deque())
        closed.append(kept)
        if len(closed) > CLOSED_MAX:
            self._forget(closed.popleft())

    def _forget(self, old: _Kept) -> None:
        for name in [*old.names, *old.asked]:
            self._orders.pop((old.agent, name), None)

    # -- asking --------------------------------------------------------------------------------

    def present(self, agent: str, name: str) -> tuple[str, str]:
        """Present id and quantity of the order with this name; the name and ``""`` without one."""
        kept = self._orders.get((agent, name))
        if kept is None:
            return name, ""
        return kept.names[-1], format_amount(kept.quantity)

    def find(self, agent: str, name: str) -> ShownOrder | None:
        """The order that has, had, or by an amendment under way will have this id."""
        kept = self._orders.get((agent, name))
        return None if kept is None else self._shown(kept)

    def rejection(self, agent: str, name: str) -> str | None:
        """Why the venue rejected the order; None when it did not."""
        kept = self._orders.get((agent, name))
        return kept.reason if kept is not None and kept.rejected else None

    def live(self, agent: str) -> tuple[ShownOrder, ...]:
        """Everything of this agent that can still be executed, oldest first."""
        return tuple(self._shown(kept) for kept in self._live.get(agent, {}).values())

    def closed(self, agent: str) -> tuple[ShownOrder, ...]:
        """What no longer can, latest first."""
        return tuple(self._shown(kept) for kept in reversed(self._closed.get(agent, deque())))

    def _shown(self, kept: _Kept) -> ShownOrder:
        order = kept.order
        return ShownOrder(
            txid=kept.names[0],
            cl_ord_id=kept.names[0],
            status=kept.status,
            reason=kept.reason,
            pair=self._pair(order["market"]),
            side=order["side"],
            order_type=order["order_type"],
            price=order.get("price", ""),
            quantity=kept.quantity,
            filled=kept.filled,
            cost=kept.cost,
            opened_ns=kept.opened_ns,
            closed_ns=kept.closed_ns,
            trades=tuple(kept.trades),
        )

    def _pair(self, market: str) -> str:
        pair = self._pairs.of_market(market)
        return market if pair is None else pair.altname
