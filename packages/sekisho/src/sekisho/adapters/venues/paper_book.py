# SPDX-License-Identifier: Apache-2.0
"""The paper venue's orders and what it reports about them: matching, amendments, expiry.

Every order here was let in by ``paper``; nothing is judged in this module. Quantities and prices
are integers of 1e-8. An order fills at the market's bid or ask and never against another order, for
the paper venue is one dealer. ``client_order_id`` of a report is the order's present id.

Each order belongs to an *account*: who holds the credential that brought it. Each account has its
own tape. An agent's ids are one namespace in the whole house. ``""`` is the house itself, which
sees all accounts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec import UNSET

from sekisho.adapters.venues.market import Market
from sekisho.core.amounts import format_amount, parse_amount
from sekisho.core.gate.order import NewOrder
from sekisho.core.terms import format_instant
from sekisho.ports import Clock, ExecType, VenueReport

HOUSE = ""
"""The account that sees every other one."""


@dataclass
class PaperOrder:
    """One order with its history; an amendment changes it and adds an id."""

    account: str
    agent: str
    first_id: str
    venue_order_id: str
    terms: NewOrder
    quantity: int
    filled: int = 0
    open: bool = True
    late: bool = False
    reports: list[VenueReport] = field(default_factory=list)

    @property
    def leaves(self) -> int:
        """What can still be executed."""
        return self.quantity - self.filled if self.open else 0


Written = Callable[[PaperOrder, VenueReport], object]
"""Takes an order as a report leaves it, and the report."""


class Book:
    """All orders that the venue ever took or finally rejected, by agent and client order id.

    Attributes:
        written: called with each report, before anybody hears of it.
    """

    def __init__(self, name: str, clock: Clock, market: Market, series: str = "") -> None:
        self.written: Written = _nowhere
        self._tapes: dict[str, list[VenueReport]] = {HOUSE: []}
        self._accounts: dict[str, list[PaperOrder]] = {HOUSE: []}
        self._name = name
        self._ids = f"{name}-{series}"  # a book begun anew must not repeat the ids of the last one
        self._clock = clock
        self._market = market
        self._orders: dict[tuple[str, str], PaperOrder] = {}
        self._by_number: dict[str, PaperOrder] = {}
        self._working: list[PaperOrder] = []
        self._reported = 0
        self._numbered = 0

    # ------------------------------------------------------------------------------ looking

    def find(self, account: str, agent: str, client_order_id: str) -> PaperOrder | None:
        """The order of this account that has or had this id."""
        order = self._orders.get((agent, client_order_id))
        return order if order is not None and account in (HOUSE, order.account) else None

    def known(self, agent: str, client_order_id: str) -> bool:
        """Whether any account has an order that has or had this id."""
        return (agent, client_order_id) in self._orders

    def tape(self, account: str) -> list[VenueReport]:
        """What was reported to this account, in order."""
        return self._tapes.setdefault(account, [])

    def orders(self, account: str) -> list[PaperOrder]:
        """Every order of this account, by age; also those that were rejected."""
        return self._accounts.setdefault(account, [])

    def open_orders(self, account: str, agent: str) -> tuple[str, ...]:
        """Present ids of what of this agent can still be executed in this account, sorted."""
        return tuple(
            sorted(
                order.terms.client_order_id
                for order in self._open()
                if order.agent == agent and account in (HOUSE, order.account)
            )
        )

    def quoted(self, market: str) -> bool:
        """Whether the market has prices now."""
        return self._market.best(market, self._clock.now_ns()) is not None

    # ------------------------------------------------------------------------------ changing

    def take(
        self, account: str, agent: str, terms: NewOrder, *, late: bool, depth: int | None
    ) -> PaperOrder:
        """Acknowledge an order and, unless its fill comes ``late``, match it."""
        order = self._enter(account, agent, terms)
        order.late = late
        self._emit(order, "new")
        self._match(order, depth)
        return order

    def reject(self, account: str, agent: str, terms: NewOrder, reason: str) -> PaperOrder:
        """Reject an order for good: its id is spent."""
        order = self._enter(account, agent, terms)
        order.open = False
        self._emit(order, "rejected", reason=reason)
        return order

    def replace(self, order: PaperOrder, terms: NewOrder, depth: int | None) -> None:
        """Give a working order new terms and a new id, then match it at them."""
        order.terms = terms
        order.quantity = parse_amount(terms.quantity)
        self._orders[order.agent, terms.client_order_id] = order
        order.open = order.leaves > 0
        self._emit(order, "replaced")
        self._match(order, depth)

    def cancel(self, order: PaperOrder, reason: str) -> None:
        """Take what is left of an order off the book."""
        self._close(order, "canceled", reason)

    def match_resting(self, depth: int | None) -> None:
        """Fill what has become marketable, in the order of arrival."""
        for order in self._open():
            self._match(order, depth)

    def release_late(self, depth: int | None) -> None:
        """Let the orders whose fills were to come late be matched like any other."""
        for order in self._open():
            if order.late:
                order.late = False
                self._match(order, depth)

    def end_day(self) -> None:
        """Expire what is good for the day only."""
        for order in self._open():
            if order.terms.time_in_force != "gtc":
                self._close(order, "expired", "end_of_day")

    def not_found(self, agent: str, client_order_id: str) -> VenueReport:
        """The report that the venue never saw an order; it is not part of the drop copy."""
        return self._report(agent, client_order_id, "", "not_found", reason="never_seen")

    def anonymous(self, reason: str) -> VenueReport:
        """A rejection that is about no order: see ``paper`` for when."""
        return self._report("", "", "", "rejected", reason=reason)

    def restore(self, account: str, terms: NewOrder, report: VenueReport) -> None:
        """Take back a report of an earlier life of this book, in the order of that life.

        Args:
            account: of the order.
            terms: of the order, as the report left them.
            report: as it was told.
        """
        order = self._by_number.get(report.venue_order_id)
        if order is None:
            order = self._add(account, report.agent, terms, report.venue_order_id)
        self._orders[report.agent, terms.client_order_id] = order
        order.terms, order.quantity = terms, parse_amount(terms.quantity)
        order.filled = parse_amount(report.cum_quantity)
        order.open = report.leaves_quantity != "0"
        self._note(order, report)

    # ------------------------------------------------------------------------------ inside

    def _open(self) -> list[PaperOrder]:
        self._working = [order for order in self._working if order.open]
        return self._working

    def _enter(self, account: str, agent: str, terms: NewOrder) -> PaperOrder:
        self._numbered += 1
        return self._add(account, agent, terms, f"{self._ids}{self._numbered:06d}")

    def _add(self, account: str, agent: str, terms: NewOrder, number: str) -> PaperOrder:
        first, quantity = terms.client_order_id, parse_amount(terms.quantity)
        order = PaperOrder(account, agent, first, number, terms, quantity)
        self._orders[agent, first] = self._by_number[number] = order
        self._working.append(order)
        for one in dict.fromkeys((HOUSE, account)):
            self.orders(one).append(order)
        return order

    def _match(self, order: PaperOrder, depth: int | None) -> None:
        if order.late:
            return
        terms, price = order.terms, self._price(order.terms)
        size = order.leaves if depth is None else min(order.leaves, depth)
        if price is not None and (terms.time_in_force != "fok" or size == order.leaves):
            self._trade(order, size, price)
        if order.leaves and (terms.order_type == "market" or terms.time_in_force in ("ioc", "fok")):
            self._close(order, "canceled", "not_filled_at_once")

    def _price(self, terms: NewOrder) -> int | None:
        """The price at which the market takes the order now; None when it must rest."""
        best = self._market.best(terms.market, self._clock.now_ns())
        if best is None:
            return None
        if terms.price is UNSET:
            return best.ask if terms.side == "buy" else best.bid
        limit = parse_amount(terms.price)
        if terms.side == "buy":
            return best.ask if best.ask <= limit else None
        return best.bid if best.bid >= limit else None

    def _trade(self, order: PaperOrder, size: int, price: int) -> None:
        if size == 0:
            return
        order.filled += size
        order.open = order.filled < order.quantity
        self._emit(order, "trade", size, price)

    def _close(self, order: PaperOrder, exec_type: ExecType, reason: str) -> None:
        order.open = False
        self._emit(order, exec_type, reason=reason)

    def _emit(
        self,
        order: PaperOrder,
        exec_type: ExecType,
        size: int = 0,
        price: int = 0,
        reason: str = "",
    ) -> None:
        terms = order.terms
        report = self._report(
            order.agent,
            terms.client_order_id,
            order.venue_order_id,
            exec_type,
            last=(size, price),
            filled=(order.filled, order.leaves),
            counterparty=self._name if terms.counterparty is UNSET else terms.counterparty,
            reason=reason,
        )
        self.written(order, report)
        self._note(order, report)

    def _note(self, order: PaperOrder, report: VenueReport) -> None:
        order.reports.append(report)
        for account in dict.fromkeys((HOUSE, order.account)):
            self.tape(account).append(report)

    def _report(
        self,
        agent: str,
        client_order_id: str,
        venue_order_id: str,
        exec_type: ExecType,
        *,
        last: tuple[int, int] = (0, 0),
        filled: tuple[int, int] = (0, 0),
        counterparty: str = "",
        reason: str = "",
    ) -> VenueReport:
        self._reported += 1
        return VenueReport(
            agent=agent,
            client_order_id=client_order_id,
            venue_order_id=venue_order_id,
            exec_id=f"{self._ids}E{self._reported:08d}",
            exec_type=exec_type,
            last_quantity=format_amount(last[0]),
            last_price=format_amount(last[1]),
            cum_quantity=format_amount(filled[0]),
            leaves_quantity=format_amount(filled[1]),
            counterparty=counterparty or self._name,
            reason=reason,
            transact_at=format_instant(self._clock.now_ns()),
        )


def _nowhere(_order: PaperOrder, _report: VenueReport) -> None:
    """A book that is kept in memory alone."""
