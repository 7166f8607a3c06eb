# SPDX-License-Identifier: Apache-2.0
"""What Kraken's REST answers, as plain data: pairs, assets, orders, trades (docs/spec/kraken.md).

Only what is known is said: no fee, no balance and no leverage is made up. Instants are JSON numbers
of seconds with nine decimals, written from integers.
"""

from __future__ import annotations

from typing import Any

import msgspec

from sekisho.core.amounts import SCALE, format_amount
from sekisho.core.kraken import KrakenPair, PairTable, describe
from sekisho.core.terms import NS

Plain = dict[str, Any]


class ShownOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One order as a client sees it; quantities in units of 1e-8, ``cost`` in units of 1e-16.

    ``status`` is ``pending``, ``open``, ``closed``, ``canceled`` or ``expired``; ``closed_ns`` 0
    while it can still be executed.
    """

    txid: str
    cl_ord_id: str
    status: str
    reason: str
    pair: str
    side: str
    order_type: str
    price: str
    quantity: int
    filled: int
    cost: int
    opened_ns: int
    closed_ns: int
    trades: tuple[ShownTrade, ...]


class ShownTrade(msgspec.Struct, frozen=True, kw_only=True):
    """One execution; ``quantity`` and ``price`` as text."""

    trade_id: str
    txid: str
    pair: str
    side: str
    order_type: str
    quantity: str
    price: str
    cost: int
    at_ns: int


def answer(result: Any) -> bytes:
    """An answer without errors."""
    return msgspec.json.encode({"error": [], "result": result})


def refusal(errors: list[str]) -> bytes:
    """An answer with nothing but errors, the telling one first."""
    return msgspec.json.encode({"error": errors})


def seconds(ns: int) -> msgspec.Raw:
    """An instant as a JSON number of seconds, exact."""
    return msgspec.Raw(f"{ns // NS}.{ns % NS:09d}".encode("ascii"))


def asset_pairs(pairs: PairTable) -> Plain:
    """``AssetPairs``."""
    return {pair.name: _pair(pair) for pair in pairs.pairs}


def assets(pairs: PairTable) -> Plain:
    """``Assets``."""
    names = sorted({name for pair in pairs.pairs for name in (pair.base, pair.quote)})
    return {
        name: {
            "aclass": "currency",
            "altname": name,
            "decimals": 8,
            "display_decimals": 5,
            "status": "enabled",
        }
        for name in names
    }


def order_info(order: ShownOrder, *, with_trades: bool) -> Plain:
    """One order of ``OpenOrders``, ``ClosedOrders`` or ``QueryOrders``."""
    volume, filled = format_amount(order.quantity), order.filled
    average = format_amount(order.cost // filled) if filled else "0"
    found: Plain = {
        "refid": None,
        "userref": 0,
        "cl_ord_id": order.cl_ord_id,
        "status": order.status,
        "opentm": seconds(order.opened_ns),
        "starttm": 0,
        "expiretm": 0,
        "descr": {
            "pair": order.pair,
            "type": order.side,
            "ordertype": order.order_type,
            "price": order.price or "0",
            "price2": "0",
            "leverage": "none",
            "order": describe(order.side, volume, order.pair, order.order_type, order.price),
            "close": "",
        },
        "vol": volume,
        "vol_exec": format_amount(filled),
        "cost": format_amount(order.cost // SCALE),
        "price": average,
        "stopprice": "0",
        "limitprice": "0",
        "misc": "",
        "oflags": "",
    }
    if order.closed_ns:
        found |= {"closetm": seconds(order.closed_ns), "reason": order.reason or None}
    if with_trades:
        found["trades"] = [trade.trade_id for trade in order.trades]
    return found


def trade_info(trade: ShownTrade) -> Plain:
    """One trade of ``TradesHistory`` or ``QueryTrades``."""
    return {
        "ordertxid": trade.txid,
        "pair": trade.pair,
        "time": seconds(trade.at_ns),
        "type": trade.side,
        "ordertype": trade.order_type,
        "price": trade.price,
        "cost": format_amount(trade.cost // SCALE),
        "vol": trade.quantity,
        "margin": "0",
        "misc": "",
    }


def _pair(pair: KrakenPair) -> Plain:
    base, quote = pair.market.split("/")
    return {
        "altname": pair.altname,
        "wsname": f"{base}/{quote}",
        "aclass_base": "currency",
        "base": pair.base,
        "aclass_quote": "currency",
        "quote": pair.quote,
        "lot": "unit",
        "pair_decimals": pair.price_decimals,
        "lot_decimals": pair.volume_decimals,
        "lot_multiplier": 1,
        "leverage_buy": [],
        "leverage_sell": [],
        "ordermin": pair.volume_min,
        "status": "online",
    }
