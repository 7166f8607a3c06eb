# SPDX-License-Identifier: Apache-2.0
"""The state of a gate, folded from its log (docs/spec/checks.md section 2).

Entries are taken in order and as they stand: `checks` judges each verdict, by the state just
before it. What is learned of behaviour is folded in `watch`.
"""

from __future__ import annotations

from fractions import Fraction

from sekisho_verify import canonical, narrowing, prices
from sekisho_verify.agent import Agent, Pending, Working
from sekisho_verify.canonical import UNIT
from sekisho_verify.entries import Entry
from sekisho_verify.limits import Rate
from sekisho_verify.order import Order
from sekisho_verify.outside import NEVER, Outside, late
from sekisho_verify.policy import Policy


class State:
    """The gate's state; `policies` maps digests to policies that were read before."""

    def __init__(self, policies: dict[str, Policy]) -> None:
        self.region = ""
        self.environment = ""
        self.deadline: int | None = None
        self.book: prices.Book = {}
        self.agents: dict[str, Agent] = {}
        self.outside = Outside()
        self._policies = policies

    def roll(self, agent: Agent, now: int) -> None:
        """The day roll of section 2, before an entry that names the agent is applied."""
        day = agent.scope.day(now)
        if day > agent.day:
            agent.day, agent.gross, agent.orders = day, agent.open_reserved, 0
            kept = {name: one for name, one in agent.ended.items() if one.day >= day - 1}
            agent.ended = kept

    def apply(self, entry: Entry, now: int, index: int = 0) -> None:
        """Apply any entry but a decision; `index` is its own.

        Raises:
            VerificationFailed: an observation of the clock is not judged as it should be.
        """
        kind, name = entry["kind"], entry.get("agent")
        agent = self.agents.get(name) if isinstance(name, str) else None
        if agent is not None:
            self.roll(agent, now)
        narrows = narrowing.Narrowing(agent)
        narrowing.phases(self.agents.values(), agent, str(kind), entry)
        self._apply_outside(str(kind), agent, entry, now, index)
        if kind == "gate_opened":
            self.region, self.environment = str(entry["region"]), str(entry["environment"])
            self.deadline = None
        elif kind == "lease_held":
            self.deadline = int(str(entry["deadline_monotonic"]))
        elif kind == "rate_observed":
            self._observe(index, entry)
        elif kind == "agent_admitted":
            self._admit(entry, now)
        elif agent is not None:
            narrowing.apply(agent, str(kind), entry, now)
            self._apply_to(agent, str(kind), entry, now)
            narrows.applied(index)

    def _apply_outside(
        self, kind: str, agent: Agent | None, entry: Entry, now: int, index: int
    ) -> None:
        certificate = "" if agent is None else agent.certificate_sha256
        factor = ""
        if kind == "execution":
            given = self.outside.strange(entry) if agent is None else _report(agent, entry, now)
            factor = given
        elif kind == "resting_unknown":
            known = agent is not None and entry["client_order_id"] in agent.by_name
            factor = "" if known else kind
        elif kind == "venue_contradicted":
            order = None if agent is None else agent.by_name.get(str(entry["client_order_id"]))
            factor = kind if order is not None and order.venue == entry["venue"] else ""
        else:
            bounds = [one.policy.clock_difference_max_s for one in self.agents.values()]
            self.outside.apply(entry, bounds)
        if factor:
            self.outside.broken(index, entry, certificate, factor)

    def _apply_to(self, agent: Agent, kind: str, entry: Entry, now: int) -> None:
        if kind == "status_acted":
            present = entry["certificate_sha256"] == agent.certificate_sha256
            epoch, status = canonical.integer_of(entry["epoch"]), entry["status"]
            lifts = status == "good" and epoch <= agent.epoch  # not newer than what stopped
            if present and agent.status != "revoked" and not lifts:
                moved = entry.get("reason") == "assigned" and (agent.status == "good" or agent.left)
                agent.left = status == "hold" and moved
                agent.status = str(status)
                agent.stopped = agent.stopped and status == "hold"
            agent.epoch = max(agent.epoch, epoch)
        elif kind == "withdrawn":
            _withdraw(agent, canonical.integer_of(entry["decision"]), now)
        elif kind == "outcome_unresolved" and entry["operation"] in {"submit", "amend"}:
            agent.fail()
        elif kind == "rearmed":
            agent.latches.discard(str(entry["latch"]))
            if entry["latch"] == "consecutive_failures":
                agent.failures = 0
            elif entry["latch"] == "repeated_executions":
                agent.executions.clear()
        elif kind == "incident_opened":
            if entry["incident_kind"] == "break":
                return
            if entry["incident_kind"] == "breaker":
                agent.latches.add("circuit_breaker")
            elif entry["certificate_sha256"] == agent.certificate_sha256:
                agent.status = "hold" if agent.status == "good" else agent.status

    def _admit(self, entry: Entry, now: int) -> None:
        policy = self._policies[str(entry["policy_sha256"])]
        agent = self.agents.setdefault(str(entry["agent"]), Agent(policy.scope.day(now)))
        if entry["certificate_sha256"] != agent.certificate_sha256:
            # Readmission of the same certificate lifts nothing; of another one, no local stop.
            agent.status = "hold" if agent.stopped else "good"
        agent.certificate_sha256 = str(entry["certificate_sha256"])
        agent.validity_texts = str(entry["not_before"]), str(entry["not_after"])
        agent.not_before = canonical.instant(entry["not_before"])
        agent.not_after = canonical.instant(entry["not_after"])
        agent.policy = policy
        self.roll(agent, now)  # the new policy may have another zone

    def _observe(self, index: int, entry: Entry) -> None:
        market, source = str(entry["market"]), str(entry["source"])
        quotation = prices.Quotation(
            index,
            market,
            canonical.amount(entry["bid"]),
            canonical.amount(entry["ask"]),
            canonical.instant(entry["quoted_at"]),
            (str(entry["bid"]), str(entry["ask"])),
        )
        key = source, prices.pair_of(market).name
        self.book.setdefault(key, prices.Quotations()).observe(quotation)


def _withdraw(agent: Agent, decision: int, now: int) -> None:
    if (order := agent.working.get(decision)) is not None:
        agent.close(order)
        return
    for order in agent.working.values():
        if order.pending is not None and order.pending.decision == decision:
            agent.drop_pending(order, now)
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


def _report(agent: Agent, entry: Entry, now: int) -> str:
    """An execution entry (2.2); returns the factor of a break, "" when a permit covers it."""
    seen = str(entry["venue"]), str(entry["exec_id"])
    if seen in agent.exec_ids:
        return ""
    agent.exec_ids.add(seen)
    name, kind = str(entry["client_order_id"]), entry["exec_type"]
    order = agent.by_name.get(name)
    if order is None:
        return _report_late(agent, entry, now)
    if order.venue != entry["venue"]:
        return _report_orphan(agent, entry)
    above = kind == "trade" and _above(order, canonical.amount(entry["last_quantity"]))
    _take_report(agent, order, entry, now)
    return "execution_above_permit" if above else ""


def _above(order: Working, quantity: int) -> bool:
    """Whether so much more is beyond what was permitted, a pending amendment included."""
    pending = order.pending
    most = order.quantity if pending is None else max(order.quantity, pending.quantity)
    return order.filled + quantity > most


def _report_late(agent: Agent, entry: Entry, now: int) -> str:
    """A report that finds no working order: a fill of an ended one is booked."""
    ended = agent.ended.get(str(entry["client_order_id"]))
    trade = entry["exec_type"] == "trade"
    if ended is None and _beyond_memory(agent, entry):
        agent.orphans += 1
        return ""
    if ended is None or ended.asked.get("venue") != entry["venue"]:
        return _report_orphan(agent, entry)
    if trade:
        fill = canonical.amount(entry["last_quantity"]), canonical.amount(entry["last_price"])
        whole = ended.total, ended.whole
        value = prices.fill_value(ended.market, ended.currency, agent.scope.currency, fill, whole)
        agent.positions[ended.pair] += ended.direction * value
        agent.count_legs(ended, fill)
        _count_execution(agent, now)
    return late(ended, entry)


def _beyond_memory(agent: Agent, entry: Entry) -> bool:
    """Of an id used here: it rested on a day of which ended orders are forgotten (2.4)."""
    if entry["exec_type"] not in {"new", "replaced"}:
        return False
    day = agent.scope.day(canonical.instant(entry["transact_at"]))
    return entry["client_order_id"] in agent.known_ids and day < agent.day - 1


def _report_orphan(agent: Agent, entry: Entry) -> str:
    """A report of no order of the agent at this venue."""
    agent.orphans += 1
    agent.unbooked += entry["exec_type"] == "trade"
    return late(None, entry)


def _take_report(agent: Agent, order: Working, entry: Entry, now: int) -> None:
    name, kind = str(entry["client_order_id"]), entry["exec_type"]
    of_pending = order.pending is not None and order.pending.order_id == name
    if kind in {"new", "trade", "replaced"}:
        order.phase = "open"
    if kind == "new":
        agent.failures = 0
    elif kind == "trade":
        _trade(agent, order, entry, now)
    elif kind == "replaced":
        _replace(agent, order, entry)
    elif kind in {"rejected", "not_found"}:
        if kind == "rejected":
            agent.fail()
        if of_pending:
            agent.drop_pending(order, canonical.instant(entry["transact_at"]))
        else:
            agent.end(order, NEVER)
    else:
        agent.end(order, canonical.instant(entry["transact_at"]))


def _trade(agent: Agent, order: Working, entry: Entry, now: int) -> None:
    scope = agent.scope
    agent.failures = 0
    fill = canonical.amount(entry["last_quantity"]), canonical.amount(entry["last_price"])
    whole = order.total, order.quantity
    value = prices.fill_value(order.market, order.currency, scope.currency, fill, whole)
    order.filled += fill[0]
    agent.positions[order.pair] += order.direction * value
    agent.count_legs(order, fill)
    reserved = order.share(order.total, order.quantity)
    if order.pending is not None:
        reserved = max(reserved, order.share(order.pending.total, order.pending.quantity))
    agent.reserve(order, reserved)
    if order.pending is None and order.filled >= order.quantity:
        agent.end(order, canonical.instant(entry["transact_at"]))
    _count_execution(agent, now)


def _count_execution(agent: Agent, now: int) -> None:
    """One trade more for the throttle (2.3)."""
    scope = agent.scope
    limit: Rate | None = scope.repeated_executions
    if limit is not None:
        agent.executions.add(now, None, limit.window_s)
        if agent.executions.count(now, limit.window_s) >= limit.count_max:
            agent.latches.add("repeated_executions")


def _replace(agent: Agent, order: Working, entry: Entry) -> None:
    agent.failures = 0
    if (change := order.pending) is not None:
        order.order_id, order.quantity = change.order_id, change.quantity
        order.price, order.total, order.asked = change.price, change.total, change.asked
        order.pending = None
    agent.reserve(order, order.share(order.total, order.quantity))
    if order.filled >= order.quantity:
        agent.end(order, canonical.instant(entry["transact_at"]))
