# SPDX-License-Identifier: Apache-2.0
"""One account of the paper venue as Kraken's REST shows it (docs/spec/kraken.md, section 4).

It shows every order of the account, by whichever side it came, and has no memory of its own: what
it says is made from the venue's book. An order executes only by the permit that it carries, and
only when form and permit say the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from sekisho.adapters.venues.kraken_form import order_form, venue_id
from sekisho.adapters.venues.paper import PaperVenue
from sekisho.adapters.venues.paper_book import PaperOrder
from sekisho.core.amounts import parse_amount
from sekisho.core.encoding import canonical
from sekisho.core.errors import MalformedInput
from sekisho.core.gate.order import NewOrder, parse_order
from sekisho.core.gate.permit import Permit, read_permit
from sekisho.core.kraken import PairTable
from sekisho.core.kraken_answers import ShownOrder, ShownTrade, order_info, trade_info
from sekisho.core.terms import NS, parse_instant
from sekisho.ports import Clock, VenueReport

PAGE: Final = 50
ARGUMENTS: Final = "EGeneral:Invalid arguments"
UNKNOWN: Final = "EOrder:Unknown order"
_SENT_BESIDE: Final = frozenset({"nonce", "cl_ord_id", "deadline", "permit"})
Told = Callable[[str], object]
"""Takes a reason, for a line of the venue's own log."""


class KrakenRefusal(Exception):
    """What is answered instead of a result."""

    def __init__(self, *errors: str) -> None:
        super().__init__("; ".join(errors))
        self.errors = list(errors)


class KrakenDesk:
    """The private methods for one account.

    Args:
        venue: as the account sees it.
        pairs: what is listed.
        clock: the venue's.
        refused_order: told why an order was refused before the venue looked at its permit.
    """

    def __init__(
        self, venue: PaperVenue, pairs: PairTable, clock: Clock, refused_order: Told = str
    ) -> None:
        self._venue = venue
        self._pairs = pairs
        self._clock = clock
        self._refused_order = refused_order
        self._read = 0
        self._by_id: dict[str, PaperOrder] = {}
        self._by_txid: dict[str, str] = {}
        self.methods: dict[str, Callable[[dict[str, str]], Any]] = {
            "AddOrder": self._add,
            "AmendOrder": self._amend,
            "CancelOrder": self._cancel,
            "OpenOrders": self._open,
            "ClosedOrders": self._closed,
            "QueryOrders": self._query,
            "QueryTrades": self._query_trades,
            "TradesHistory": self._trades_history,
        }

    # -- orders --------------------------------------------------------------------------------

    def _add(self, form: dict[str, str]) -> Any:
        permit, order = self._permit(form)
        if isinstance(permit.replaces, str):
            raise self._rejected("another_permit_is_needed")
        said = {name: text for name, text in form.items() if name not in _SENT_BESIDE}
        try:
            meant = order_form(order, self._pairs, self._clock.now_ns() // NS)
        except MalformedInput as error:
            raise self._rejected("not_translatable") from error
        if said != meant:
            raise self._rejected("form_and_permit_differ")
        vid = form.get("cl_ord_id", "")
        if vid != venue_id(permit.agent, order.client_order_id):
            raise self._rejected("cl_ord_id_not_of_this_order")
        txid = self._take(form["permit"])[0].venue_order_id
        shown = self._shown(self._placed()[vid])
        return {
            "descr": {"order": order_info(shown, with_trades=False)["descr"]["order"]},
            "txid": [txid],
        }

    def _amend(self, form: dict[str, str]) -> Any:
        permit, order = self._permit(form)
        placed = self._named(form)
        replaces = permit.replaces
        present = (placed.agent, placed.terms.client_order_id)
        if not isinstance(replaces, str) or (permit.agent, replaces) != present:
            raise self._rejected("form_and_permit_differ")
        price = order.price if isinstance(order.price, str) else None
        if (form.get("order_qty"), form.get("limit_price")) != (order.quantity, price):
            raise self._rejected("form_and_permit_differ")
        return {"amend_id": self._take(form["permit"])[0].exec_id}

    def _cancel(self, form: dict[str, str]) -> Any:
        placed = self._named(form)
        if not placed.open:
            raise KrakenRefusal(UNKNOWN)
        self._venue.cancel(placed.agent, placed.terms.client_order_id)
        return {"count": 1}

    def _permit(self, form: dict[str, str]) -> tuple[Permit, NewOrder]:
        """The permit that a form carries, and that it came in time; nothing in it is believed."""
        try:
            permit = read_permit(form.get("permit", ""))
            order = parse_order(canonical(permit.order))
            late = "deadline" in form and self._late(form["deadline"])
        except (MalformedInput, UnicodeError) as error:
            self._take(form.get("permit", ""))  # so that the venue's log says of it
            raise KrakenRefusal(ARGUMENTS, f"{ARGUMENTS}:permit") from error
        if late or not isinstance(order, NewOrder):
            raise self._rejected("too_late" if late else "permit_malformed")
        return permit, order

    def _late(self, deadline: str) -> bool:
        return self._clock.now_ns() > parse_instant(deadline, "deadline")

    def _take(self, text: str) -> tuple[VenueReport, ...]:
        """Judge and execute; a rejection that is about no order is one of the permit alone."""
        reports = self._venue.take(text)
        first = reports[0]
        if first.exec_type == "rejected":
            if not first.agent:
                raise KrakenRefusal(ARGUMENTS, f"{ARGUMENTS}:permit", f"EOrder:{first.reason}")
            raise KrakenRefusal(f"EOrder:Invalid order:{first.reason}")
        return reports

    def _rejected(self, reason: str) -> KrakenRefusal:
        self._refused_order(reason)
        return KrakenRefusal(ARGUMENTS, f"{ARGUMENTS}:permit", f"EOrder:{reason}")

    def _named(self, form: dict[str, str]) -> PaperOrder:
        placed = self._placed()
        vid = form.get("cl_ord_id") or self._by_txid.get(form.get("txid", ""), "")
        found = placed.get(vid)
        if found is None:
            raise KrakenRefusal(UNKNOWN)
        return found

    def _placed(self) -> dict[str, PaperOrder]:
        """The account's orders by ``cl_ord_id``; what was rejected at once is none."""
        orders = self._venue.orders()
        for order in orders[self._read :]:
            if order.reports[0].exec_type != "rejected":
                vid = venue_id(order.agent, order.first_id)
                self._by_id[vid] = order
                self._by_txid[order.venue_order_id] = vid
        self._read = len(orders)
        return self._by_id

    # -- lists ---------------------------------------------------------------------------------

    def _open(self, form: dict[str, str]) -> Any:
        return {"open": self._infos(form, closed=False)}

    def _closed(self, form: dict[str, str]) -> Any:
        found = self._infos(form, closed=True)
        return {"closed": _page(found, form), "count": len(found)}

    def _query(self, form: dict[str, str]) -> Any:
        placed, found = self._placed(), {}
        for txid in form.get("txid", "").split(",")[:PAGE]:
            if txid in self._by_txid:
                shown = self._shown(placed[self._by_txid[txid]])
                found[txid] = order_info(shown, with_trades=form.get("trades") == "true")
        return found

    def _query_trades(self, form: dict[str, str]) -> Any:
        wanted = set(form.get("txid", "").split(",")[:PAGE])
        return {
            trade.trade_id: trade_info(trade)
            for trade in self._trades(0)
            if trade.trade_id in wanted
        }

    def _trades_history(self, form: dict[str, str]) -> Any:
        found = {trade.trade_id: trade_info(trade) for trade in self._trades(_start(form))}
        return {"trades": _page(found, form), "count": len(found)}

    def _trades(self, since_ns: int) -> Iterator[ShownTrade]:
        for placed in self._placed().values():
            yield from (one for one in self._shown(placed).trades if one.at_ns >= since_ns)

    def _infos(self, form: dict[str, str], *, closed: bool) -> dict[str, Any]:
        placed, wanted = self._placed(), form.get("cl_ord_id")
        if wanted is not None and wanted not in placed:
            self._deny(wanted)
        since = _start(form) if closed else 0
        found = {}
        for vid, order in placed.items():
            if wanted not in {None, vid} or order.open is closed:
                continue
            shown = self._shown(order)
            if not closed or shown.closed_ns >= since:
                found[shown.txid] = order_info(shown, with_trades=form.get("trades") == "true")
        return found

    def _deny(self, vid: str) -> None:
        """Whoever is told that an order is not there can rely on it: it never will be.

        Of an order whose permit the venue took, but for another account or in a life whose book is
        lost, nothing is known here: that is said instead.
        """
        if any(vid == venue_id(*key) for key in self._venue.permits_taken.values()):
            raise KrakenRefusal("EService:Unavailable")
        self._venue.deny_hash(vid)

    def _shown(self, placed: PaperOrder) -> ShownOrder:
        """The order as its reports tell it."""
        order, reports = placed.terms, placed.reports
        pair = self._pairs.of_market(order.market)
        altname = order.market if pair is None else pair.altname
        last = reports[-1]
        status = {"canceled": "canceled", "expired": "expired"}.get(last.exec_type, "closed")
        trades = tuple(
            _trade(placed.venue_order_id, altname, order, report)
            for report in reports
            if report.exec_type == "trade"
        )
        return ShownOrder(
            txid=placed.venue_order_id,
            cl_ord_id=venue_id(placed.agent, placed.first_id),
            status="open" if placed.open else status,
            reason=last.reason,
            pair=altname,
            side=order.side,
            order_type=order.order_type,
            price=order.price if isinstance(order.price, str) else "",
            quantity=parse_amount(order.quantity),
            filled=placed.filled,
            cost=sum(trade.cost for trade in trades),
            opened_ns=parse_instant(reports[0].transact_at),
            closed_ns=0 if placed.open else parse_instant(last.transact_at),
            trades=trades,
        )


def _trade(txid: str, altname: str, order: NewOrder, report: VenueReport) -> ShownTrade:
    quantity, price = parse_amount(report.last_quantity), parse_amount(report.last_price)
    return ShownTrade(
        trade_id=report.exec_id,
        txid=txid,
        pair=altname,
        side=order.side,
        order_type=order.order_type,
        quantity=report.last_quantity,
        price=report.last_price,
        cost=quantity * price,
        at_ns=parse_instant(report.transact_at),
    )


def _start(form: dict[str, str]) -> int:
    text = form.get("start", "0")
    return int(text) * NS if text.isascii() and text.isdigit() and len(text) < 12 else 0


def _page(found: dict[str, Any], form: dict[str, str]) -> dict[str, Any]:
    text = form.get("ofs", "0")
    begin = int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0
    return dict(list(found.items())[begin : begin + PAGE])
