# SPDX-License-Identifier: Apache-2.0
"""The gate in the shape of Kraken's REST, for bots that speak through ccxt (docs/spec/kraken.md).

A bot's own code reaches the gate by another base address and another key pair. This module checks
who signed, translates, hands over and words the answer; what may be done is the gate's to decide.
Every answer is HTTP 200 with ``error`` and ``result``, as the venue's are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route as Path

from sekisho.apps.bodies import TurnedAway, read_body
from sekisho.apps.kraken import translation, wording
from sekisho.apps.kraken.history import OrderHistory
from sekisho.apps.kraken.keys import BotKeys, Signed
from sekisho.core.encoding import canonical
from sekisho.core.errors import Unavailable
from sekisho.core.kraken import FORM_BYTES_MAX, PRIVATE, PairTable, describe
from sekisho.core.kraken_answers import (
    Plain,
    ShownOrder,
    answer,
    asset_pairs,
    assets,
    order_info,
    refusal,
    trade_info,
)
from sekisho.core.markets import pair_of
from sekisho.core.terms import NS, format_instant
from sekisho.ports import Clock, RateSource
from sekisho.services.gatekeeper import Answer

PAGE: Final = 50
Submit = Callable[[str, bytes], Awaitable[Answer]]
READS: Final = frozenset(
    "Balance BalanceEx TradeBalance Ledgers QueryLedgers OpenPositions TradeVolume OrderAmends"
    " CreditLines DepositMethods DepositAddresses DepositStatus WithdrawMethods WithdrawAddresses"
    " WithdrawInfo WithdrawStatus GetWebSocketsToken".split()
)
"""Private methods that change nothing and are not offered: refused without a record."""


def _nothing() -> None:
    """Somebody else sees to it."""


class KrakenFront:
    """The front of one gate.

    Args:
        keys: the bots' key pairs.
        pairs: the markets that exist here, under the venue's names.
        submit: how a body is handed to the gate, for an agent.
        history: of the gate's log.
        refresh: brings ``history`` up to date; called before it is looked into.
        clock: for ``Time``.
        rates: for ``Ticker``; None: there is none.
        missing: what the gate lacks to permit; empty when it may.
        refused: hears of each request whose signature does not hold.
    """

    def __init__(
        self,
        *,
        keys: BotKeys,
        pairs: PairTable,
        submit: Submit,
        history: OrderHistory,
        clock: Clock,
        refresh: Callable[[], None] = _nothing,
        rates: RateSource | None = None,
        missing: Callable[[], list[str]] = list,
        refused: Callable[[], None] = _nothing,
    ) -> None:
        self._keys = keys
        self._pairs = pairs
        self._submit = submit
        self._history = history
        self._refresh = refresh
        self._clock = clock
        self._rates = rates
        self._missing = missing
        self._refused = refused
        self._private: dict[str, Callable[[Signed], Awaitable[bytes]]] = {
            "AddOrder": self._add,
            "AmendOrder": self._amend,
            "CancelOrder": self._cancel,
            "CancelAll": self._cancel_all,
            "OpenOrders": self._open_orders,
            "ClosedOrders": self._closed_orders,
            "QueryOrders": self._query_orders,
            "TradesHistory": self._trades_history,
            "QueryTrades": self._query_trades,
        }

    # -- private -------------------------------------------------------------------------------

    async def private(self, request: Request) -> Response:
        """``POST /0/private/METHOD``."""
        method = request.path_params["method"]
        if not method.isascii():  # nothing that could be signed
            return _json(refusal([*wording.NOT_OFFERED, "EGeneral:Unknown method"]))
        try:
            body = await read_body(request, FORM_BYTES_MAX)
        except TurnedAway:
            return _json(refusal([wording.ARGUMENTS, "EGate:too_large_or_too_slow"]))
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        key, sign = (request.headers.get(name, "") for name in ("api-key", "api-sign"))
        found = self._keys.check(PRIVATE + method, key, sign, kind, body)
        if isinstance(found, list):
            self._refused()
            return _json(refusal(found))
        act = self._private.get(method)
        if act is not None:
            self._refresh()
            return _json(await act(found))
        if method not in READS:
            # Whatever it was to change: it is not done, and the gate's log says that it was asked.
            asked = translation.untranslatable(method, found.fields)
            await self._submit(found.who.agent, asked)
        return _json(refusal([*wording.NOT_OFFERED, "EGeneral:Unknown method"]))

    async def _add(self, signed: Signed) -> bytes:
        own_id = translation.request_id(signed.who.key, signed.nonce)
        body = translation.new_order(signed.fields, own_id, signed.who.route, self._pairs)
        given = await self._submit(signed.who.agent, body)
        errors = wording.errors_of(given)
        if errors:
            return refusal(errors)
        named = dict(signed.fields)
        name = named.get("cl_ord_id", own_id)
        self._refresh()
        rejected = self._history.rejection(signed.who.agent, name)
        if rejected is not None:
            return refusal([wording.INVALID, f"EGate:rejected_by_venue:{rejected}"])
        sentence = describe(
            *(named.get(field, "") for field in ("type", "volume", "pair", "ordertype", "price"))
        )
        return answer({"descr": {"order": sentence}, "txid": [name]})

    async def _amend(self, signed: Signed) -> bytes:
        own_id = translation.request_id(signed.who.key, signed.nonce)
        body = translation.amendment(signed.fields, own_id, self._present(signed))
        errors = wording.errors_of(await self._submit(signed.who.agent, body))
        return refusal(errors) if errors else answer({"amend_id": own_id})

    async def _cancel(self, signed: Signed) -> bytes:
        own_id = translation.request_id(signed.who.key, signed.nonce)
        body = translation.cancel(signed.fields, own_id, self._present(signed))
        given = await self._submit(signed.who.agent, body)
        errors = wording.errors_of(given)
        if errors:
            return refusal(errors)
        result: Plain = {"count": 1}
        if given.order_state != "closed":
            result["pending"] = True  # asked for; the venue has not confirmed it
        return answer(result)

    async def _cancel_all(self, signed: Signed) -> bytes:
        """Cancel each open order by a cancel of its own; success only when all are confirmed."""
        if [name for name, _ in signed.fields] != ["nonce"]:
            asked = translation.untranslatable("CancelAll", signed.fields)
            return refusal(wording.errors_of(await self._submit(signed.who.agent, asked)))
        agent, left = signed.who.agent, 0
        orders = self._history.live(agent)
        for order in orders:
            now, _ = self._history.present(agent, order.txid)
            own_id = translation.request_id(signed.who.key, signed.nonce, now)
            given = await self._submit(agent, canonical(translation.cancel_body(own_id, now)))
            left += given.order_state != "closed"
        if left:
            return refusal([wording.UNAVAILABLE, f"EGate:not_confirmed:{left} of {len(orders)}"])
        return answer({"count": len(orders)})

    # -- looking -------------------------------------------------------------------------------

    async def _open_orders(self, signed: Signed) -> bytes:
        orders = _chosen(self._history.live(signed.who.agent), signed)
        return answer({"open": self._infos(orders, signed)})

    async def _closed_orders(self, signed: Signed) -> bytes:
        orders = _chosen(self._history.closed(signed.who.agent), signed)
        page = orders[_offset(signed) :][:PAGE]
        return answer({"closed": self._infos(page, signed), "count": len(orders)})

    async def _query_orders(self, signed: Signed) -> bytes:
        """By whatever name: an order that was amended is found under the name that was asked."""
        found = {}
        for name in _names(signed):
            order = self._history.find(signed.who.agent, name)
            if order is not None:
                found[name] = order_info(order, with_trades=_wants_trades(signed))
        return answer(found)

    async def _trades_history(self, signed: Signed) -> bytes:
        trades = self._trades(signed.who.agent)
        page = trades[_offset(signed) :][:PAGE]
        return answer({"trades": dict(page), "count": len(trades)})

    async def _query_trades(self, signed: Signed) -> bytes:
        wanted = set(_names(signed))
        return answer({name: one for name, one in self._trades(signed.who.agent) if name in wanted})

    def _trades(self, agent: str) -> list[tuple[str, Plain]]:
        orders = (*self._history.live(agent), *self._history.closed(agent))
        trades = [trade for order in orders for trade in order.trades]
        trades.sort(key=lambda one: (-one.at_ns, one.trade_id))
        return [(trade.trade_id, trade_info(trade)) for trade in trades]

    @staticmethod
    def _infos(orders: tuple[ShownOrder, ...], signed: Signed) -> Plain:
        trades = _wants_trades(signed)
        return {order.txid: order_info(order, with_trades=trades) for order in orders}

    def _present(self, signed: Signed) -> translation.Present:
        return lambda name: self._history.present(signed.who.agent, name)

    # -- public --------------------------------------------------------------------------------

    async def public(self, request: Request) -> Response:
        """``GET /0/public/METHOD``."""
        now = self._clock.now_ns()
        method = request.path_params["method"]
        if method == "Time":
            return _json(answer({"unixtime": now // NS, "rfc1123": ""}))
        if method == "SystemStatus":
            status = "cancel_only" if self._missing() else "online"
            return _json(answer({"status": status, "timestamp": format_instant(now)}))
        if method == "AssetPairs":
            return _json(answer(asset_pairs(self._pairs)))
        if method == "Assets":
            return _json(answer(assets(self._pairs)))
        if method == "Ticker":
            return _json(await self._ticker(request.query_params.get("pair", "")))
        return _json(refusal([*wording.NOT_OFFERED, "EGeneral:Unknown method"]))

    async def _ticker(self, names: str) -> bytes:
        """Bid and ask of the gate's own reference rates; what is not known is left out."""
        if self._rates is None:
            return refusal([*wording.NOT_OFFERED, "EGate:no_rates"])
        asked = [self._pairs.named(name) for name in names.split(",")] if names else None
        pairs = list(self._pairs.pairs) if asked is None else [one for one in asked if one]
        if asked is not None and len(pairs) != len(asked):
            return refusal(["EQuery:Invalid asset pair", "EGate:unknown_pair"])
        try:
            wanted = tuple({pair_of(pair.market)[0] for pair in pairs})
            quotations = await self._rates.quotations(wanted)
        except Unavailable:
            return refusal([wording.UNAVAILABLE, "EGate:no_rates"])
        found = {}
        for pair in pairs:
            for one in quotations:
                if one.market == pair.market and pair.name not in found:
                    found[pair.name] = {"a": [one.ask], "b": [one.bid]}
        return answer(found)


def kraken_application(front: KrakenFront) -> Starlette:
    """The ASGI application."""
    routes = [
        Path(PRIVATE + "{method}", front.private, methods=["POST"]),
        Path("/0/public/{method}", front.public, methods=["GET", "POST"]),
    ]
    handlers: dict[Any, Any] = {
        404: _on_unknown,
        405: _on_unknown,
        ClientDisconnect: _on_gone,
        Exception: _on_defect,
    }
    return Starlette(routes=routes, exception_handlers=handlers)


def _chosen(orders: tuple[ShownOrder, ...], signed: Signed) -> tuple[ShownOrder, ...]:
    wanted = dict(signed.fields).get("cl_ord_id")
    return tuple(one for one in orders if wanted is None or one.cl_ord_id == wanted)


def _names(signed: Signed) -> list[str]:
    named = dict(signed.fields)
    return [name.strip() for name in named.get("txid", named.get("cl_ord_id", "")).split(",")][
        :PAGE
    ]


def _wants_trades(signed: Signed) -> bool:
    return dict(signed.fields).get("trades", "").lower() == "true"


def _offset(signed: Signed) -> int:
    text = dict(signed.fields).get("ofs", "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0


def _json(content: bytes) -> Response:
    return Response(content, media_type="application/json")


async def _on_unknown(_request: Request, _error: Exception) -> Response:
    return _json(refusal([*wording.NOT_OFFERED, "EGeneral:Unknown method"]))


async def _on_gone(_request: Request, _error: Exception) -> Response:
    """Nobody is there to read it."""
    return _json(refusal([wording.ARGUMENTS]))


async def _on_defect(_request: Request, _error: Exception) -> Response:
    """A defect of the gate: an order may be under way, so it is worded as unknown, not as refused.

    The server logs the failure itself.
    """
    return _json(refusal([wording.UNAVAILABLE, "EGate:failed_on_this_request"]))
