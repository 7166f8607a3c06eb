# SPDX-License-Identifier: Apache-2.0
"""Pairs, quotations and values, exactly (docs/spec/checks.md, section 3).

Prices are ratios of integers, so that inverting a market loses nothing; the one rounding is at the
end, up to the cent.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from sekisho.core.amounts import SCALE, ceil_cent, parse_amount
from sekisho.core.gate.extremes import Extremes, Ratio
from sekisho.core.markets import pair_of
from sekisho.core.terms import NS

QUOTATION_MEMORY_NS = 3_600 * NS


def price_ratio(units: int) -> Ratio:
    """A price in units of 1e-8 as a ratio."""
    return Ratio(units, SCALE)


def inverse(value: Ratio) -> Ratio:
    """1 / value."""
    return Ratio(value.den, value.num)


def raised(value: Ratio, share: int) -> Ratio:
    """value × (1 + share), ``share`` in units of 1e-8."""
    return Ratio(value.num * (SCALE + share), value.den * SCALE)


def lowered(value: Ratio, share: int) -> Ratio:
    """value × (1 − share); not above zero when the share is 1 or more."""
    return Ratio(value.num * (SCALE - share), value.den * SCALE)


class Sides(NamedTuple):
    """Both sides of a sound market, and what follows from them: mid, and (ask − bid) / mid."""

    bid: Ratio
    ask: Ratio
    mid: Ratio
    spread: Ratio


class Quote(NamedTuple):
    """A quotation in the orientation of its pair; ``sides`` is None when it is crossed."""

    sides: Sides | None
    quoted_at: int
    bid_text: str
    ask_text: str


def read_quote(market: str, bid_text: str, ask_text: str, quoted_at: int) -> Quote:
    """A quotation as recorded, turned into the orientation of its pair.

    Raises:
        MalformedInput: bid or ask is not an amount.
    """
    bid_units = parse_amount(bid_text, "bid")
    ask_units = parse_amount(ask_text, "ask")
    if bid_units == 0 or bid_units > ask_units:
        return Quote(None, quoted_at, bid_text, ask_text)
    bid, ask = price_ratio(bid_units), price_ratio(ask_units)
    if pair_of(market)[1]:
        bid, ask = inverse(ask), inverse(bid)
    mid = Ratio(bid.num * ask.den + ask.num * bid.den, 2 * bid.den * ask.den)
    spread = Ratio((ask.num * bid.den - bid.num * ask.den) * mid.den, ask.den * bid.den * mid.num)
    return Quote(Sides(bid, ask, mid, spread), quoted_at, bid_text, ask_text)


class Quotations:
    """The quotations of one source for one pair: the latest, and what a window needs.

    ``index``: of the entry that brought the latest.
    """

    __slots__ = ("_mids", "_moves", "index", "latest")

    def __init__(self, first: Quote, index: int) -> None:
        self.latest, self.index = first, index
        self._mids = Extremes()
        self._moves: dict[int, Ratio] = {}
        self._add(first)

    def observe(self, quote: Quote, index: int) -> None:
        """Take the quotation of an entry; one that is older than the latest has no effect."""
        if quote.quoted_at < self.latest.quoted_at:
            return
        self.latest, self.index = quote, index
        self._add(quote)

    def _add(self, quote: Quote) -> None:
        self._moves.clear()
        if quote.sides is not None:
            self._mids.add(quote.quoted_at, quote.sides.mid)
        self._mids.forget(quote.quoted_at - QUOTATION_MEMORY_NS)

    def move(self, window_s: int) -> Ratio:
        """(max − min) / min over the uncrossed mids of the window that ends at the latest."""
        move = self._moves.get(window_s)
        if move is None:
            found = self._mids.within(self.latest.quoted_at - window_s * NS)
            move = Ratio(0, 1) if found is None else spread_between(*found)
            self._moves[window_s] = move
        return move


class Examined(msgspec.Struct, frozen=True, gc=False):
    """What one source says of a pair that an order needs, at the moment of its decision.

    ``held`` is None, and ``age_ms`` 0, where it never quoted the pair.
    """

    pair: str
    source: str
    held: Quotations | None
    age_ms: int

    @property
    def latest(self) -> Quote | None:
        """The latest quotation, or None."""
        return None if self.held is None else self.held.latest


def spread_between(low: Ratio, high: Ratio) -> Ratio:
    """(high − low) / low of two positive ratios; the numerator is 0 when they are equal."""
    return Ratio(high.num * low.den - low.num * high.den, high.den * low.num)


def spread_of(values: list[Ratio]) -> Ratio:
    """(max − min) / min of one or more positive ratios; the numerator may be 0."""
    low = high = values[0]
    for value in values:
        if value.exceeds(high):
            high = value
        elif low.exceeds(value):
            low = value
    return spread_between(low, high)


def distance(price: Ratio, mid: Ratio) -> Ratio:
    """|price − mid| / mid."""
    return Ratio(abs(price.num * mid.den - mid.num * price.den), price.den * mid.num)


def above_share(share: Ratio, limit_units: int) -> bool:
    """Whether a share exceeds a limit in units of 1e-8."""
    return share.num * SCALE > limit_units * share.den


class Valued(msgspec.Struct, frozen=True, gc=False):
    """What valuation needs of an order: its market's legs, currency, side, type, price,
    quantity.
    """

    base: str
    quote: str
    currency: str
    buys: bool
    price: Ratio | None
    quantity: int


def _oriented(quote: Quote | None, market: str) -> tuple[Ratio, Ratio] | None:
    """Bid and ask of a quotation in the orientation of ``market``; None if missing or crossed."""
    if quote is None or quote.sides is None:
        return None
    bid, ask = quote.sides.bid, quote.sides.ask
    return (inverse(ask), inverse(bid)) if pair_of(market)[1] else (bid, ask)


def notional(
    order: Valued, currency: str, buffer: int, quote: Quote | None, conversion: Quote | None
) -> int | None:
    """What the order can be worth at most, in ``currency``, in units of 1e-8, up to the cent.

    Args:
        order: the order, or what an amendment would make of it.
        currency: the scope's currency.
        buffer: the scope's ``market_order_buffer`` in units of 1e-8.
        quote: the first source's latest quotation of the order's pair.
        conversion: that of the pair of the order's currency and ``currency``, where needed.

    Returns:
        None when it cannot be computed.
    """
    if order.currency == currency:
        return ceil_cent(order.quantity)
    if currency not in (order.base, order.quote):
        rates = _oriented(conversion, f"{order.currency}/{currency}")
        if rates is None:
            return None
        rate = raised(rates[1], buffer)
        return ceil_cent(order.quantity * rate.num, rate.den)
    if order.currency == order.base:
        highest = _highest(order, buffer, quote)
        if highest is None:
            return None
        return ceil_cent(order.quantity * highest.num, highest.den)
    lowest = _lowest(order, buffer, quote)
    if lowest is None or lowest.num <= 0:
        return None
    return ceil_cent(order.quantity * lowest.den, lowest.num)


def _highest(order: Valued, buffer: int, quote: Quote | None) -> Ratio | None:
    if order.price is not None and order.buys:
        return order.price
    rates = _oriented(quote, f"{order.base}/{order.quote}")
    if rates is None:
        return None
    worst = raised(rates[1], buffer)
    return order.price if order.price is not None and order.price.exceeds(worst) else worst


def _lowest(order: Valued, buffer: int, quote: Quote | None) -> Ratio | None:
    if order.price is not None and not order.buys:
        return order.price
    rates = _oriented(quote, f"{order.base}/{order.quote}")
    if rates is None:
        return None
    worst = lowered(rates[0], buffer)
    return order.price if order.price is not None and worst.exceeds(order.price) else worst


def fill_value(order: Valued, currency: str, total: int, quantity: int, price: int) -> int:
    """What an execution of ``quantity`` at ``price`` is worth in ``currency``, up to the cent.

    ``total`` is what the whole order reserved: the proportional value where no price can tell.
    """
    if order.currency == currency:
        return ceil_cent(quantity)
    if currency == order.quote:
        return ceil_cent(quantity * price, SCALE)
    if currency == order.base and price > 0:
        return ceil_cent(quantity * SCALE, price)
    return ceil_cent(total * quantity, order.quantity)
