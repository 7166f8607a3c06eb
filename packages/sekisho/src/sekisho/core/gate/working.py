# SPDX-License-Identifier: Apache-2.0
"""Working orders: what may still be executed, and what it reserves (docs/spec/checks.md, 2)."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import msgspec

from sekisho.core.amounts import ceil_cent, parse_amount
from sekisho.core.gate.extremes import Ratio
from sekisho.core.gate.order import AmendOrder, NewOrder
from sekisho.core.gate.prices import Valued, inverse, price_ratio
from sekisho.core.markets import pair_of

Phase = Literal["permitted", "possibly_issued", "signed", "unknown", "open"]


class Terms(msgspec.Struct, gc=False, frozen=True):
    """What an order asks for, read into numbers: of a new order, or of what an amendment makes of
    one.

    ``price`` is in the orientation of the market as written, ``pair_price`` in that of the pair;
    both None for a market order. ``direction`` is +1 when the pair's first currency is bought.
    """

    market: str
    pair: str
    direction: int
    currency: str
    price: Ratio | None
    pair_price: Ratio | None
    quantity: int
    venue: str
    account: str
    counterparty: str
    order: NewOrder

    def valued(self) -> Valued:
        """The part that valuation needs."""
        base, quote = self.market.split("/")
        buys = self.order.side == "buy"
        return Valued(base, quote, self.currency, buys, self.price, self.quantity)


@lru_cache(maxsize=256)
def terms_of(order: NewOrder) -> Terms:
    """Read a parsed new order into numbers; deciding and folding ask for the same one."""
    pair, inverted = pair_of(order.market)
    price = price_ratio(parse_amount(order.price)) if isinstance(order.price, str) else None
    pair_price = inverse(price) if price is not None and inverted else price
    buys = order.side == "buy"
    return Terms(
        market=order.market,
        pair=pair,
        direction=1 if buys != inverted else -1,
        currency=order.currency,
        price=price,
        pair_price=pair_price,
        quantity=parse_amount(order.quantity),
        venue=order.venue,
        account=order.account,
        counterparty=order.counterparty if isinstance(order.counterparty, str) else order.venue,
        order=order,
    )


def amended(old: Terms, amendment: AmendOrder) -> Terms:
    """The order that an amendment makes of ``old``: new id and quantity, new price where it has
    one.
    """
    order = msgspec.structs.replace(
        old.order,
        client_order_id=amendment.client_order_id,
        quantity=amendment.quantity,
        decision_context=amendment.decision_context,
    )
    if isinstance(amendment.price, str) and old.price is not None:
        order = msgspec.structs.replace(order, price=amendment.price)
    return terms_of(order)


class Pending(msgspec.Struct, gc=False, frozen=True):
    """An amendment that the venue has not answered."""

    decision: int
    terms: Terms
    total: int


class WorkingOrder(msgspec.Struct, gc=False):
    """One order that may still be executed. ``total`` and ``reserved`` are money in the scope's
    currency: for the whole quantity, and for what can still happen.
    """

    client_order_id: str
    decision: int
    terms: Terms
    total: int
    reserved: int
    filled: int
    phase: Phase
    pending: Pending | None = None

    def leaves(self) -> int:
        """What is not executed yet, in units of 1e-8 of the order's currency."""
        return max(0, self.terms.quantity - self.filled)


def remaining(total: int, quantity: int, filled: int) -> int:
    """What a reservation of ``total`` for ``quantity`` still is after ``filled``, up to the
    cent.
    """
    return ceil_cent(total * max(0, quantity - filled), quantity)
