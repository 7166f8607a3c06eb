# SPDX-License-Identifier: Apache-2.0
"""What the gate remembers of one agent (docs/spec/checks.md, section 2).

The effects of decisions are here, those of execution reports in ``reports``. A new certificate or
policy changes limits and status; ids, counters, working orders, positions and latches stay.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, MutableMapping, MutableSet
from typing import Final, Literal, NamedTuple

import msgspec

from sekisho.core.amounts import format_money, parse_money
from sekisho.core.events import AgentAdmitted, Counters, Decision, Latch, ShutdownMode
from sekisho.core.gate.ended import EndedOrders
from sekisho.core.gate.extremes import Extremes, Ratio
from sekisho.core.gate.limits import Limits
from sekisho.core.gate.order import (
    AmendOrder,
    NewOrder,
    Order,
    content_digest,
    order_digest,
)
from sekisho.core.gate.quantities import Held
from sekisho.core.gate.working import Pending, WorkingOrder, amended, remaining, terms_of
from sekisho.core.handover import NOT_BEGUN
from sekisho.core.terms import NS, day_text, parse_instant


class Known(msgspec.Struct, frozen=True, gc=False):
    """A ``client_order_id`` that was used: content and the decision that answered it."""

    digest: str
    decision: int


class Seen(NamedTuple):
    """What is looked up for ever and never changes: ids, where they were answered, reports.

    ``answers``: decision → its ``permit_signed`` or ``withdrawn`` entry; absent: none yet, or
    never. ``executed``: venue and ``exec_id`` of the execution reports that took effect.
    """

    known: MutableMapping[str, Known]
    answers: MutableMapping[int, int]
    executed: MutableSet[tuple[str, str]]


SeenIn = Callable[[], Seen]
"""Where an agent's ``Seen`` is kept: made once for each agent."""


def in_memory() -> Seen:
    """Where a gate keeps it."""
    return Seen({}, {}, set())


Restriction = Literal["", "reduce_only", "cancel_only"]
RESTRICTIONS: Final[tuple[Restriction, ...]] = ("", "reduce_only", "cancel_only")
"""What latches leave of trading, each narrower than the one before."""


class AgentState:
    """One agent's part of the gate's state. Only the fold writes to it."""

    limits: Limits
    certificate: str
    policy_sha256: str
    not_before: int
    not_after: int
    status: Literal["good", "hold", "revoked"]

    def __init__(self, agent: str, day: int, seen_in: SeenIn = in_memory) -> None:
        self.agent = agent
        self.certificate_sha256 = ""
        self.epoch = 0
        self.known, self.answers, self.executed = seen_in()
        self.working: dict[str, WorkingOrder] = {}
        self.ended = EndedOrders()
        self.by_decision: dict[int, WorkingOrder] = {}
        self.aliases: dict[str, str] = {}
        self.day = day
        self.gross = 0
        self.reserved = 0
        self.reserved_by: dict[tuple[str, int], int] = {}
        self.orders = 0
        self.messages: deque[int] = deque()
        self.contents: deque[tuple[int, str]] = deque()
        self.content_counts: dict[str, int] = {}
        self.counterparties: deque[tuple[int, str, int]] = deque()
        self.counterparty_sums: dict[str, int] = {}
        self.prices: dict[str, Extremes] = {}
        self.executions: deque[int] = deque()
        self.positions: dict[str, int] = {}
        self.quantities: dict[tuple[str, str], Held] = {}
        self.failures = 0
        self.latches: set[Latch] = set()
        self.baseline_sha256 = ""
        """Of the baseline in force; empty in the baseline phase."""
        self.orphans = 0
        self.unbooked = 0
        """Trades without an order that is known, or without a price: the positions lack them."""
        self.shutdown: ShutdownMode | Literal[""] = ""
        """The narrowest mode that a person ordered; empty while the latch is off."""
        self.stopped = -1
        """The epoch known when people stopped the agent here, while that stop stands; else -1."""
        self.narrowed = -1
        """Index of the last entry that left less of trading; an earlier decision is not signed."""
        self.last_permit = -1
        self.left = False
        """Whether the agent is on hold because it moved away from this gate, and for nothing else.
        """
        self.awaited = 0
        """The epoch of the move whose history this gate awaits or awaited last, and who owes it."""
        self.awaited_from = ""
        self.history, self.taken_at = 0, -1
        """Highest epoch of a move whose history was taken here; last part of the one taken last."""
        self.begun = NOT_BEGUN
        self.taking = ("", 0)
        """Digest of the history that is being taken, and its next part."""

    # -- reading -------------------------------------------------------------------------------

    def find(self, client_order_id: str) -> WorkingOrder | None:
        """The working order that has, had, or by its pending amendment will have this id."""
        return self.working.get(self.aliases.get(client_order_id, client_order_id))

    def messages_within(self, now: int) -> int:
        """Messages within the rate window that ends now; 0 when the policy has no such limit."""
        rate = self.limits.scope.message_rate
        if rate == "none":
            return 0
        since = now - rate.window_s * NS
        expired = 0
        for time in self.messages:
            if time > since:
                break
            expired += 1
        return len(self.messages) - expired

    def counters(self, now: int) -> Counters:
        """What the caps count, as recorded with each decision. The day must have been rolled."""
        return Counters(
            day=day_text(self.day),
            gross_permitted=format_money(self.gross),
            open_reserved=format_money(self.reserved),
            orders=self.orders,
            messages=self.messages_within(now),
        )

    @property
    def awaits(self) -> bool:
        """Whether the agent's history is not here yet: nothing is permitted before it is."""
        return self.awaited > self.history

    @property
    def restriction(self) -> Restriction:
        """What the latches leave: everything, orders that reduce a position, or cancels."""
        if self.shutdown:
            return self.shutdown
        return "reduce_only" if "circuit_breaker" in self.latches else ""

    def reconciled(self, pair: str) -> bool:
        """Whether the position of a pair is what the venues' reports say, with nothing in doubt."""
        return not self.unbooked and not any(
            order.phase in ("possibly_issued", "unknown")
            for order in self.working.values()
            if order.terms.pair == pair
        )

    # -- effects -------------------------------------------------------------------------------

    def admit(self, entry: AgentAdmitted, limits: Limits) -> None:
        """Go on under this certificate and policy; all that was counted stays.

        A stop by people at this gate holds the agent, under whatever certificate.
        """
        if self.certificate_sha256 != entry.certificate_sha256:
            # Admitting the same certificate again lifts no hold, and no admission lifts that stop.
            self.status = "good" if self.stopped < 0 else "hold"
        self.limits = limits
        self.certificate = entry.certificate
        self.certificate_sha256 = entry.certificate_sha256
        self.policy_sha256 = entry.policy_sha256
        self.not_before = parse_instant(entry.not_before)
        self.not_after = parse_instant(entry.not_after)

    def roll(self, at: int) -> None:
        """Begin a new policy day if ``at`` lies in one: what rests reserves again."""
        day = self.limits.day(at)
        if day > self.day:
            self.day, self.gross, self.orders = day, self.reserved, 0
            self.ended.forget(day)

    def reserve(self, order: WorkingOrder, amount: int) -> None:
        """Let ``order`` reserve ``amount`` from now on."""
        key = (order.terms.pair, order.terms.direction)
        self.reserved += amount - order.reserved
        self.reserved_by[key] = self.reserved_by.get(key, 0) + amount - order.reserved
        order.reserved = amount

    def end(self, order: WorkingOrder, ended_at: int) -> None:
        """The venue's proof that the order can no longer be executed, of this time (ns)."""
        name = order.client_order_id
        names = [name, *(alias for alias, now in self.aliases.items() if now == name)]
        self.ended.add(names, order, ended_at, self.day)
        self.close(order)

    def close(self, order: WorkingOrder) -> None:
        """The order can no longer be executed: by the venue's proof, or because nothing left."""
        self.reserve(order, 0)
        del self.working[order.client_order_id]
        self.by_decision.pop(order.decision, None)
        if order.pending is not None:
            self.by_decision.pop(order.pending.decision, None)
        for name in [name for name, now in self.aliases.items() if now == order.client_order_id]:
            del self.aliases[name]

    def drop_pending(self, order: WorkingOrder, pending: Pending, at: int) -> None:
        """The order's pending amendment will not happen, as is known since ``at`` (ns): it reserves
        for its present terms, and ends where nothing of these is left.
        """
        self.aliases.pop(pending.terms.order.client_order_id, None)
        self.by_decision.pop(pending.decision, None)
        order.pending = None
        self.reserve(order, remaining(order.total, order.terms.quantity, order.filled))
        if order.leaves() == 0:
            self.end(order, at)

    def replace(self, order: WorkingOrder, pending: Pending) -> None:
        """Its pending amendment becomes the order; reports under the old id still find it."""
        old_id, new_id = order.client_order_id, pending.terms.order.client_order_id
        del self.working[old_id]
        del self.aliases[new_id]
        self.by_decision.pop(order.decision, None)
        order.client_order_id, order.decision = new_id, pending.decision
        order.terms, order.total, order.pending = pending.terms, pending.total, None
        self.working[new_id] = order
        for name in [name for name, now in self.aliases.items() if now == old_id]:
            self.aliases[name] = new_id
        self.aliases[old_id] = new_id

    def decided(self, index: int, at: int, order: Order, entry: Decision) -> None:
        """Take a recorded decision into the state."""
        if order.client_order_id not in self.known and not self.awaits:
            self.known[order.client_order_id] = Known(order_digest(order), index)
        if entry.verdict != "permitted":
            return
        self._count_message(at)
        if isinstance(order, NewOrder):
            self._permit_new(index, at, order, parse_money(entry.notional))
        elif isinstance(order, AmendOrder):
            self._permit_amend(index, at, order, parse_money(entry.notional))

    def _count_message(self, at: int) -> None:
        rate = self.limits.scope.message_rate
        if rate == "none":
            return
        self.messages.append(at)
        while self.messages[0] <= at - rate.window_s * NS:
            self.messages.popleft()

    def _permit_new(self, index: int, at: int, order: NewOrder, amount: int) -> None:
        terms = terms_of(order)
        self.gross += amount
        self.orders += 1
        self._remember(at, terms.pair, terms.pair_price)
        self._count_content(at, order)
        self._count_counterparty(at, terms.counterparty, amount)
        working = WorkingOrder(order.client_order_id, index, terms, amount, 0, 0, "permitted")
        self.working[order.client_order_id] = working
        self.by_decision[index] = working
        self.reserve(working, amount)

    def _count_content(self, at: int, order: NewOrder) -> None:
        limit = self.limits.scope.repeated_orders
        if limit == "none":
            return
        digest, counts = content_digest(order), self.content_counts
        self.contents.append((at, digest))
        counts[digest] = counts.get(digest, 0) + 1
        while self.contents[0][0] <= at - limit.window_s * NS:
            _, old = self.contents.popleft()
            counts[old] -= 1
            if counts[old] == 0:
                del counts[old]

    def repeats_within(self, digest: str, since: int) -> int:
        """How often this content was permitted after ``since``."""
        count = self.content_counts.get(digest, 0)
        for time, seen in self.contents:
            if time > since:
                break
            if seen == digest:
                count -= 1
        return count

    def _count_counterparty(self, at: int, name: str, amount: int) -> None:
        limit = self.limits.scope.concentration
        if limit == "none":
            return
        sums = self.counterparty_sums
        self.counterparties.append((at, name, amount))
        sums[name] = sums.get(name, 0) + amount
        while self.counterparties[0][0] <= at - limit.window_s * NS:
            _, old, gone = self.counterparties.popleft()
            sums[old] -= gone
            if sums[old] == 0:
                del sums[old]

    def counterparties_within(self, since: int) -> dict[str, int]:
        """Permitted notional of each counterparty after ``since``."""
        sums = dict(self.counterparty_sums)
        for time, name, amount in self.counterparties:
            if time > since:
                break
            sums[name] -= amount
        return sums

    def _remember(self, at: int, pair: str, price: Ratio | None) -> None:
        collar = self.limits.scope.price_collar
        if collar == "none" or price is None:
            return
        prices = self.prices.setdefault(pair, Extremes())
        prices.add(at, price)
        prices.forget(at - collar.window_s * NS + 1)

    def _permit_amend(self, index: int, at: int, order: AmendOrder, amount: int) -> None:
        working = self.working[order.orig_client_order_id]
        terms = amended(working.terms, order)
        reserves = remaining(amount, terms.quantity, working.filled)
        self.gross += max(0, reserves - working.reserved)
        self._remember(at, terms.pair, terms.pair_price)
        working.pending = Pending(index, terms, amount)
        self.by_decision[index] = working
        self.aliases[order.client_order_id] = order.orig_client_order_id
        self.reserve(working, max(working.reserved, reserves))

    def signed(self, index: int, decision: int) -> None:
        """The permit of ``decision`` exists; it is in the entry at ``index``."""
        self.last_permit = index
        self.answers[decision] = index
        order = self.by_decision.get(decision)
        if order is not None and order.decision == decision and order.phase != "open":
            order.phase = "signed"

    def withdrawn(self, index: int, at: int, decision: int) -> None:
        """Nothing left the gate for ``decision``; recorded at ``at`` (ns)."""
        self.answers[decision] = index
        order = self.by_decision.get(decision)
        if order is None:
            return
        pending = order.pending
        if pending is not None and pending.decision == decision:
            self.drop_pending(order, pending, at)
        else:
            self.close(order)

    def advised(self, at: int) -> None:
        """The agent asked whether an order would pass: that is a message."""
        self._count_message(at)

    def break_circuit(self, index: int) -> None:
        """A score crossed: the breaker is latched."""
        before = self.restriction
        self.latches.add("circuit_breaker")
        self.narrow(before, index)

    def shut_down(self, index: int, mode: ShutdownMode) -> None:
        """A named person ordered it; what one person says only narrows."""
        before = self.restriction
        self.latches.add("shutdown")
        if self.shutdown != "cancel_only":
            self.shutdown = mode
        self.narrow(before, index)

    def await_history(self, before: str, epoch: int) -> None:
        """The agent moved: what this gate knows of it is not all that there is."""
        if epoch >= self.awaited:
            self.awaited, self.awaited_from = epoch, before

    def narrow(self, before: Restriction, index: int) -> None:
        """The entry at ``index`` was applied; ``before`` it, so much was left."""
        if RESTRICTIONS.index(self.restriction) > RESTRICTIONS.index(before):
            self.narrowed = index

    def rearm(self, latch: Latch) -> None:
        """Named people took the latch off."""
        self.latches.discard(latch)
        if latch == "shutdown":
            self.shutdown = ""
        if latch == "consecutive_failures":
            self.failures = 0
        elif latch == "repeated_executions":
            self.executions.clear()
