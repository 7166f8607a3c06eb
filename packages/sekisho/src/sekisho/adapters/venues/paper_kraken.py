# SPDX-License-Identifier: Apache-2.0
"""The paper venue's Kraken-shaped side, an ASGI application (docs/spec/kraken.md, section 4).

Another firm: it knows the gate's key pair, not its agents. A signed request is not enough here: an
order executes only by the permit that it carries, and only when form and permit say the same. It
shows the orders that came through it; what it keeps is in memory, like the venue's book.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sekisho.adapters.venues.kraken_form import order_form, venue_id
from sekisho.adapters.venues.paper import PaperVenue
from sekisho.core.amounts import parse_amount
from sekisho.core.encoding import canonical
from sekisho.core.errors import MalformedInput, Unavailable
from sekisho.core.gate.order import NewOrder, parse_order
from sekisho.core.gate.permit import Permit, read_permit
from sekisho.core.kraken import (
    FORM_BYTES_MAX,
    PRIVATE,
    PairTable,
    read_form,
    read_nonce,
    same_signature,
    signature,
)
from sekisho.core.kraken_answers import (
    ShownOrder,
    ShownTrade,
    answer,
    asset_pairs,
    assets,
    order_info,
    refusal,
    trade_info,
)
from sekisho.core.terms import NS, format_instant, parse_instant
from sekisho.ports import Clock, VenueReport

PAGE: Final = 50
ARGUMENTS: Final = "EGeneral:Invalid arguments"
UNKNOWN: Final = "EOrder:Unknown order"
_SENT_BESIDE: Final = frozenset({"nonce", "cl_ord_id", "deadline", "permit"})
Told = Callable[[str], object]
"""Takes a reason, for a line of the venue's own log."""


class _Placed(msgspec.Struct):
    agent: str
    name: str
    cl_ord_id: str
    txid: str
    order: NewOrder


class _Wrong(Exception):
    """What is answered instead of a result."""

    def __init__(self, *errors: str) -> None:
        super().__init__("; ".join(errors))
        self.errors = list(errors)


class KrakenSide:
    """The Kraken-shaped side of one paper venue.

    Args:
        venue: the book and its rules.
        keys: key → decoded secret.
        pairs: what is listed.
        clock: the venue's.
        refused_logon: told why a request was nobody's.
        refused_order: told why an order was refused before the venue looked at its permit.
    """

    def __init__(
        self,
        venue: PaperVenue,
        keys: Mapping[str, bytes],
        pairs: PairTable,
        clock: Clock,
        refused_logon: Told = str,
        refused_order: Told = str,
    ) -> None:
        self._venue = venue
        self._keys = dict(keys)
        self._pairs = pairs
        self._clock = clock
        self._refused_logon = refused_logon
        self._refused_order = refused_order
        self._last: dict[str, int] = {}
        self._placed: dict[str, _Placed] = {}
        self._txids: dict[str, str] = {}
        self._denied: set[str] = set()
        self._private: dict[str, Callable[[dict[str, str]], Any]] = {
            "AddOrder": self._add,
            "AmendOrder": self._amend,
            "CancelOrder": self._cancel,
            "OpenOrders": self._open,
            "ClosedOrders": self._closed,
            "QueryOrders": self._query,
            "QueryTrades": self._query_trades,
            "TradesHistory": self._trades_history,
        }

    async def private(self, request: Request) -> Response:
        """``POST /0/private/METHOD``."""
        method = request.path_params["method"]
        try:
            if not method.isascii():  # nothing that could be signed
                raise _Wrong("EGeneral:Permission denied", "EGeneral:Unknown method")
            form = self._signed(request, PRIVATE + method, await _body(request))
            act = self._private.get(method)
            if act is None:
                raise _Wrong("EGeneral:Permission denied", "EGeneral:Unknown method")
            return _json(answer(act(form)))
        except _Wrong as wrong:
            return _json(refusal(wrong.errors))
        except Unavailable:
            return _json(refusal(["EService:Unavailable"]))

    async def public(self, request: Request) -> Response:
        """``GET /0/public/METHOD``."""
        now = self._clock.now_ns()
        found: dict[str, Any] = {
            "Time": {"unixtime": now // NS, "rfc1123": ""},
            "SystemStatus": {"status": "online", "timestamp": format_instant(now)},
            "AssetPairs": asset_pairs(self._pairs),
            "Assets": assets(self._pairs),
        }
        method = request.path_params["method"]
        if method not in found:
            return _json(refusal(["EGeneral:Permission denied", "EGeneral:Unknown method"]))
        return _json(answer(found[method]))

    # -- who -----------------------------------------------------------------------------------

    def _signed(self, request: Request, path: str, body: bytes) -> dict[str, str]:
        """The form of a request whose signature and nonce are good."""
        key = request.headers.get("api-key", "")
        secret = self._keys.get(key)
        try:
            fields = read_form(body)
            nonce = read_nonce(fields)
        except MalformedInput as error:
            raise _Wrong(ARGUMENTS) from error
        if secret is None:
            self._refused_logon("unknown_key")
            raise _Wrong("EAPI:Invalid key")
        sign = request.headers.get("api-sign", "")
        if not same_signature(sign, signature(path, nonce, body, secret)):
            self._refused_logon("invalid_signature")
            raise _Wrong("EAPI:Invalid key", "EAPI:Invalid signature")
        if int(nonce) <= self._last.get(key, -1):
            self._refused_logon("old_nonce")
            raise _Wrong("EAPI:Invalid nonce")
        self._last[key] = int(nonce)
        if len({name for name, _ in fields}) != len(fields):
            raise _Wrong(ARGUMENTS)
        return dict(fields)

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
        if vid in self._denied:
            self._refused_order("denied_before")
            raise _Wrong("EOrder:Invalid order:denied_before")
        reports = self._take(form["permit"])
        txid = reports[0].venue_order_id
        name = order.client_order_id
        self._placed[vid] = _Placed(permit.agent, name, vid, txid, order)
        self._txids[txid] = vid
        sentence = order_info(self._shown(self._placed[vid]), with_trades=False)["descr"]["order"]
        return {"descr": {"order": sentence}, "txid": [txid]}

    def _amend(self, form: dict[str, str]) -> Any:
        permit, order = self._permit(form)
        placed = self._named(form)
        replaces = permit.replaces
        if not isinstance(replaces, str) or (permit.agent, replaces) != (placed.agent, placed.name):
            raise self._rejected("form_and_permit_differ")
        price = order.price if isinstance(order.price, str) else None
        if (form.get("order_qty"), form.get("limit_price")) != (order.quantity, price):
            raise self._rejected("form_and_permit_differ")
        reports = self._take(form["permit"])
        placed.name, placed.order = order.client_order_id, order
        return {"amend_id": reports[0].exec_id}

    def _cancel(self, form: dict[str, str]) -> Any:
        placed = self._named(form)
        if self._shown(placed).closed_ns:
            raise _Wrong(UNKNOWN)
        self._venue.cancel(placed.agent, placed.name)
        return {"count": 1}

    def _permit(self, form: dict[str, str]) -> tuple[Permit, NewOrder]:
        """The permit that a form carries, and that it came in time; nothing in it is believed."""
        try:
            permit = read_permit(form.get("permit", ""))
            order = parse_order(canonical(permit.order))
            late = "deadline" in form and self._late(form["deadline"])
        except (MalformedInput, UnicodeError) as error:
            self._take(form.get("permit", ""))  # so that the venue's log says of it
            raise _Wrong(ARGUMENTS, f"{ARGUMENTS}:permit") from error
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
                raise _Wrong(ARGUMENTS, f"{ARGUMENTS}:permit", f"EOrder:{first.reason}")
            raise _Wrong(f"EOrder:Invalid order:{first.reason}")
        return reports

    def _rejected(self, reason: str) -> _Wrong:
        self._refused_order(reason)
        return _Wrong(ARGUMENTS, f"{ARGUMENTS}:permit", f"EOrder:{reason}")

    def _named(self, form: dict[str, str]) -> _Placed:
        vid = form.get("cl_ord_id") or self._txids.get(form.get("txid", ""), "")
        placed = self._placed.get(vid)
        if placed is None:
            raise _Wrong(UNKNOWN)
        return placed

    # -- lists ---------------------------------------------------------------------------------

    def _open(self, form: dict[str, str]) -> Any:
        return {"open": self._infos(form, closed=False)}

    def _closed(self, form: dict[str, str]) -> Any:
        found = self._infos(form, closed=True)
        return {"closed": _page(found, form), "count": len(found)}

    def _query(self, form: dict[str, str]) -> Any:
        found = {}
        for txid in form.get("txid", "").split(",")[:PAGE]:
            if txid in self._txids:
                shown = self._shown(self._placed[self._txids[txid]])
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

    def _trades(self, since_ns: int) -> list[ShownTrade]:
        shown = [trade for placed in self._placed.values() for trade in self._shown(placed).trades]
        return [trade for trade in shown if trade.at_ns >= since_ns]

    def _infos(self, form: dict[str, str], *, closed: bool) -> dict[str, Any]:
        wanted = form.get("cl_ord_id")
        if wanted is not None and wanted not in self._placed:
            self._deny(wanted)
        since = _start(form) if closed else 0
        found = {}
        for vid, placed in self._placed.items():
            shown = self._shown(placed)
            chosen = wanted in {None, vid} and bool(shown.closed_ns) is closed
            if chosen and (not closed or shown.closed_ns >= since):
                found[shown.txid] = order_info(shown, with_trades=form.get("trades") == "true")
        return found

    def _deny(self, vid: str) -> None:
        """Whoever is told that an order is not there can rely on it: it never will be.

        Of an order whose permit the venue took, but not through here or in an earlier life, nothing
        is known: that is said instead.
        """
        if any(vid == venue_id(*key) for key in self._venue.permits_taken.values()):
            raise _Wrong("EService:Unavailable")
        self._denied.add(vid)

    def _shown(self, placed: _Placed) -> ShownOrder:
        """The order as its reports tell it."""
        order, reports = placed.order, self._venue.order_reports(placed.agent, placed.name)
        pair = self._pairs.of_market(order.market)
        altname = order.market if pair is None else pair.altname
        last = reports[-1]
        filled, leaves = parse_amount(last.cum_quantity), parse_amount(last.leaves_quantity)
        status = {"canceled": "canceled", "expired": "expired"}.get(last.exec_type, "closed")
        trades = tuple(
            _trade(placed.txid, altname, order, report)
            for report in reports
            if report.exec_type == "trade"
        )
        return ShownOrder(
            txid=placed.txid,
            cl_ord_id=placed.cl_ord_id,
            status="open" if leaves else status,
            reason=last.reason,
            pair=altname,
            side=order.side,
            order_type=order.order_type,
            price=order.price if isinstance(order.price, str) else "",
            quantity=parse_amount(order.quantity),
            filled=filled,
            cost=sum(trade.cost for trade in trades),
            opened_ns=parse_instant(reports[0].transact_at),
            closed_ns=0 if leaves else parse_instant(last.transact_at),
            trades=trades,
        )


def paper_kraken_application(side: KrakenSide) -> Starlette:
    """The ASGI application."""
    return Starlette(
        routes=[
            Route(PRIVATE + "{method}", side.private, methods=["POST"]),
            Route("/0/public/{method}", side.public, methods=["GET", "POST"]),
        ]
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


async def _body(request: Request) -> bytes:
    taken = bytearray()
    async for part in request.stream():
        taken += part
        if len(taken) > 2 * FORM_BYTES_MAX:
            raise _Wrong(ARGUMENTS)
    return bytes(taken)


def _json(content: bytes) -> Response:
    return Response(content, media_type="application/json")
