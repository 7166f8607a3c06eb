# SPDX-License-Identifier: Apache-2.0
"""The state of a gate, folded from its log (docs/spec/checks.md section 2).

Entries are taken in order and as they stand: `checks` judges each verdict, by the state just
before it. Phases of working orders are not kept: no verdict depends on them.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections import defaultdict
from fractions import Fraction

from sekisho_verify import canonical, prices
from sekisho_verify.canonical import SECOND, UNIT, cents_up
from sekisho_verify.entries import Entry
from sekisho_verify.limits import Rate, Scope
from sekisho_verify.order import Order
from sekisho_verify.policy import Policy


@dataclasses.dataclass
class Pending:
    """An amendment that the venue has not answered yet."""

    order_id: str
    quantity: int
    price: int | None
    total: int
    decision: int
    asked: dict[str, object]


@dataclasses.dataclass
class Working:
    """One working order. Money and quantities count 1e-8; `price` as written for the market.

    `asked` is the order as a canonical `new` one, with the changes that the venue confirmed.
    """

    order_id: str
    decision: int
    market: str
    pair: str
    side: str
    direction: int
    currency: str
    order_type: str
    price: int | None
    quantity: int
    venue: str
    account: str
    counterparty: str
    asked: dict[str, object]
    total: int
    reserved: int
    filled: int = 0
    pending: Pending | None = None
    names: list[str] = dataclasses.field(default_factory=list)

    def share(self, total: int, quantity: int) -> int:
        """What `total` for `quantity` still reserves: × leaves / quantity, up to the cent."""
        leaves = max(0, quantity - self.filled)
        return cents_up(Fraction(total * leaves, quantity))


class Times:
    """A list of (time, what) that forgets what is older than its window when it grows."""

    def __init__(self) -> None:
        self._times: list[int] = []
        self._items: list[object] = []

    def add(self, now: int, item: object, window_s: int) -> None:
        """Append, then forget time ≤ now − window_s."""
        self._times.append(now)
        self._items.append(item)
        old = bisect.bisect_right(self._times, now - window_s * SECOND)
        if old:
            del self._times[:old], self._items[:old]

    def count(self, now: int, window_s: int) -> int:
        """How many with now − window_s < time ≤ now."""
        times = self._times
        return bisect.bisect_right(times, now) - bisect.bisect_right(times, now - window_s * SECOND)

    def within(self, now: int, window_s: int) -> list[object]:
        """What has now − window_s < time ≤ now."""
        start = bisect.bisect_right(self._times, now - window_s * SECOND)
        return self._items[start : bisect.bisect_right(self._times, now)]

    def clear(self) -> None:
        """Forget all."""
        self._times.clear()
        self._items.clear()


class Agent:
    """The record of one agent."""

    def __init__(self, first_day: int) -> None:
        self.certificate_sha256 = ""
        self.not_before = self.not_after = 0
        self.validity_texts = ("", "")
        self.status = "good"
        self.epoch = 0
        self.policy: Policy
        self.day = first_day
        self.gross = 0
        self.orders = 0
        self.known_ids: set[str] = set()
        self.working: dict[int, Working] = {}
        self.by_name: dict[str, Working] = {}
        self.open_reserved = 0
        self.reserved_by_side: dict[tuple[str, int], int] = defaultdict(int)
        self.positions: dict[str, int] = defaultdict(int)
        self.messages = Times()
        self.contents: dict[str, Times] = defaultdict(Times)
        self.counterparties = Times()
        self.prices: dict[str, Times] = defaultdict(Times)
        self.executions = Times()
        self.exec_ids: set[tuple[str, str]] = set()
        self.failures = 0
        self.latches: set[str] = set()
        self.orphans = 0

    @property
    def scope(self) -> Scope:
        """The limits in force."""
        return self.policy.scope

    def reserve(self, order: Working, amount: int) -> None:
        """Set what an order reserves, and the sums over it."""
        self.open_reserved += amount - order.reserved
        self.reserved_by_side[order.pair, order.direction] += amount - order.reserved
        order.reserved = amount

    def open_order(self, order: Working) -> None:
        """Add a working order with what it reserves."""
        amount, order.reserved = order.reserved, 0
        self.working[order.decision] = order
        self.name_order(order, order.order_id)
        self.reserve(order, amount)

    def name_order(self, order: Working, order_id: str) -> None:
        """Let reports find the order under one more id."""
        order.names.append(order_id)
        self.by_name[order_id] = order

    def close(self, order: Working) -> None:
        """The order is no longer a working order."""
        self.reserve(order, 0)
        self.working.pop(order.decision, None)
        for name in order.names:
            self.by_name.pop(name, None)

    def drop_pending(self, order: Working) -> None:
        """An amendment came to nothing: the order reserves again what it does without it."""
        if order.pending is not None:
            self.by_name.pop(order.pending.order_id, None)
            order.names.remove(order.pending.order_id)
            order.pending = None
            self.reserve(order, order.share(order.total, order.quantity))

    def fail(self) -> None:
        """One failure more, and its latch (2.3)."""
        self.failures += 1
        limit = self.scope.failures_max
        if limit is not None and self.failures >= limit:
            self.latches.add("consecutive_failures")

    def count_messages(self, now: int) -> int:
        """Messages within the window, 0 without the limit."""
        rate = self.scope.message_rate
        return 0 if rate is None else self.messages.count(now, rate.window_s)


class State:
    """The gate's state; `policies` maps digests to policies that were read before."""

    def __init__(self, policies: dict[str, Policy]) -> None:
        self.region = ""
        self.environment = ""
        self.deadline: int | None = None
        self.book: prices.Book = {}
        self.agents: dict[str, Agent] = {}
        self._policies = policies

    def roll(self, agent: Agent, now: int) -> None:
        """The day roll of section 2, before an entry that names the agent is applied."""
        day = agent.scope.day(now)
        if day > agent.day:
            agent.day, agent.gross, agent.orders = day, agent.open_reserved, 0

    def apply(self, entry: Entry, now: int) -> None:
        """Apply any entry but a decision."""
        kind, name = entry["kind"], entry.get("agent")
        agent = self.agents.get(name) if isinstance(name, str) else None
        if agent is not None:
            self.roll(agent, now)
        if kind == "gate_opened":
            self.region, self.environment = str(entry["region"]), str(entry["environment"])
            self.deadline = None
        elif kind == "lease_held":
            self.deadline = int(str(entry["deadline_monotonic"]))
        elif kind == "rate_observed":
            self._observe(entry)
        elif kind == "agent_admitted":
            self._admit(entry, now)
        elif agent is not None:
            self._apply_to(agent, str(kind), entry, now)

    def _apply_to(self, agent: Agent, kind: str, entry: Entry, now: int) -> None:
        if kind == "execution":
            _report(agent, entry, now)
        elif kind == "status_acted":
            present = entry["certificate_sha256"] == agent.certificate_sha256
            epoch, status = canonical.integer_of(entry["epoch"]), entry["status"]
            lifts = status == "good" and epoch <= agent.epoch  # not newer than what stopped
            if present and agent.status != "revoked" and not lifts:
                agent.status = str(status)
            agent.epoch = max(agent.epoch, epoch)
        elif kind == "withdrawn":
            _withdraw(agent, canonical.integer_of(entry["decision"]))
        elif kind == "outcome_unresolved" and entry["operation"] in {"submit", "amend"}:
            agent.fail()
        elif kind == "rearmed":
            agent.latches.discard(str(entry["latch"]))
            if entry["latch"] == "consecutive_failures":
                agent.failures = 0
            else:
                agent.executions.clear()

    def _admit(self, entry: Entry, now: int) -> None:
        policy = self._policies[str(entry["policy_sha256"])]
        agent = self.agents.setdefault(str(entry["agent"]), Agent(policy.scope.day(now)))
        if entry["certificate_sha256"] != agent.certificate_sha256:
            agent.status = "good"  # readmission of the same certificate lifts nothing
        agent.certificate_sha256 = str(entry["certificate_sha256"])
        agent.validity_texts = str(entry["not_before"]), str(entry["not_after"])
        agent.not_before = canonical.instant(entry["not_before"])
        agent.not_after = canonical.instant(entry["not_after"])
        agent.policy = policy
        self.roll(agent, now)  # the new policy may have another zone

    def _observe(self, entry: Entry) -> None:
        market, source = str(entry["market"]), str(entry["source"])
        quotation = prices.Quotation(
            market,
            canonical.amount(entry["bid"]),
            canonical.amount(entry["ask"]),
            canonical.instant(entry["quoted_at"]),
            (str(entry["bid"]), str(entry["ask"])),
        )
        key = source, prices.pair_of(market).name
        self.book.setdefault(key, prices.Quotations()).observe(quotation)


def _withdraw(agent: Agent, decision: int) -> None:
    if (order := agent.working.get(decision)) is not None:
        agent.close(order)
        return
    for order in agent.working.values():
        if order.pending is not None and order.pending.decision == decision:
            agent.drop_pending(order)
            return


def permit(
    agent: Agent, order: Order, asked: dict[str, object], index: int, now: int, notional: int
) -> None:
    """Apply a permitted decision (2.1).

    Args:
        agent: whose order it is.
        order: as read from the decision.
        asked: the order, or the one that an amendment makes, as a canonical `new` order.
        index: of the decision's entry.
        now: its `at`.
        notional: counts 1e-8; 0 for a cancel.
    """
    scope = agent.scope
    if scope.message_rate is not None:
        agent.messages.add(now, None, scope.message_rate.window_s)
    if order.action == "cancel":
        return
    if order.action == "amend":
        _amend(agent, order, asked, index, now, notional)
        return
    agent.gross += notional
    agent.orders += 1
    counterparty = order.counterparty or order.venue
    if scope.repeated_orders is not None:
        agent.contents[order.content].add(now, None, scope.repeated_orders.window_s)
    if scope.concentration is not None:
        agent.counterparties.add(now, (counterparty, notional), scope.concentration.window_s)
    _add_price(agent, order.market, order.price, now)
    pair = prices.pair_of(order.market).name
    agent.open_order(
        Working(
            order_id=order.order_id,
            decision=index,
            market=order.market,
            pair=pair,
            side=order.side,
            direction=prices.direction(order.market, order.side),
            currency=order.currency,
            order_type=order.order_type,
            price=order.price,
            quantity=order.quantity,
            venue=order.venue,
            account=order.account,
            counterparty=order.counterparty,
            asked=asked,
            total=notional,
            reserved=notional,
        )
    )


def _add_price(agent: Agent, market: str, price: int | None, now: int) -> None:
    collar = agent.scope.price_collar
    if price is not None and collar is not None:
        ratio = prices.oriented(Fraction(price, UNIT), market)
        agent.prices[prices.pair_of(market).name].add(now, ratio, collar.window_s)


def _amend(
    agent: Agent, order: Order, asked: dict[str, object], index: int, now: int, notional: int
) -> None:
    target = agent.by_name[order.original]
    price = target.price if order.price is None else order.price
    reservation = target.share(notional, order.quantity)
    agent.gross += max(0, reservation - target.reserved)
    _add_price(agent, target.market, price, now)
    target.pending = Pending(order.order_id, order.quantity, price, notional, index, asked)
    agent.name_order(target, order.order_id)
    agent.reserve(target, max(target.reserved, reservation))


def _report(agent: Agent, entry: Entry, now: int) -> None:
    """An execution entry (2.2)."""
    seen = str(entry["venue"]), str(entry["exec_id"])
    if seen in agent.exec_ids:
        return
    agent.exec_ids.add(seen)
    name, kind = str(entry["client_order_id"]), entry["exec_type"]
    order = agent.by_name.get(name)
    if order is None:
        agent.orphans += 1
        return
    of_pending = order.pending is not None and order.pending.order_id == name
    if kind == "new":
        agent.failures = 0
    elif kind == "trade":
        _trade(agent, order, entry, now)
    elif kind == "replaced":
        _replace(agent, order)
    elif kind in {"rejected", "not_found"}:
        if kind == "rejected":
            agent.fail()
        if of_pending:
            agent.drop_pending(order)
        else:
            agent.close(order)
    else:
        agent.close(order)


def _trade(agent: Agent, order: Working, entry: Entry, now: int) -> None:
    scope = agent.scope
    agent.failures = 0
    fill = canonical.amount(entry["last_quantity"]), canonical.amount(entry["last_price"])
    whole = order.total, order.quantity
    value = prices.fill_value(order.market, order.currency, scope.currency, fill, whole)
    order.filled += fill[0]
    agent.positions[order.pair] += order.direction * value
    reserved = order.share(order.total, order.quantity)
    if order.pending is not None:
        reserved = max(reserved, order.share(order.pending.total, order.pending.quantity))
    agent.reserve(order, reserved)
    if order.pending is None and order.filled >= order.quantity:
        agent.close(order)
    limit: Rate | None = scope.repeated_executions
    if limit is not None:
        agent.executions.add(now, None, limit.window_s)
        if agent.executions.count(now, limit.window_s) >= limit.count_max:
            agent.latches.add("repeated_executions")


def _replace(agent: Agent, order: Working) -> None:
    agent.failures = 0
    if (change := order.pending) is not None:
        order.order_id, order.quantity = change.order_id, change.quantity
        order.price, order.total, order.asked = change.price, change.total, change.asked
        order.pending = None
    agent.reserve(order, order.share(order.total, order.quantity))
    if order.filled >= order.quantity:
        agent.close(order)
