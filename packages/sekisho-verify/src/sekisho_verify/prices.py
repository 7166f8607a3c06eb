# SPDX-License-Identifier: Apache-2.0
"""Pairs, quotations, notionals and fill values (docs/spec/checks.md section 3).

Prices are exact ratios in the orientation of the pair X/Y; quantities and money count 1e-8.
Nothing is rounded but the final notional or value, up to the cent.
"""

from __future__ import annotations

import bisect
import dataclasses
from fractions import Fraction

from sekisho_verify.canonical import SECOND, UNIT, cents_up

_KEPT = 3600 * SECOND
_ONE = Fraction(1)


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two currencies in alphabetical order, and whether a market was written the other way."""

    name: str
    x: str
    y: str
    inverted: bool


def pair_of(market: str) -> Pair:
    """The pair of a market (3.1)."""
    first, _, second = market.partition("/")
    if first < second:
        return Pair(market, first, second, inverted=False)
    return Pair(f"{second}/{first}", second, first, inverted=True)


def direction(market: str, side: str) -> int:
    """+1 for buying X of the pair, -1 for selling X."""
    return 1 if (side == "buy") is not pair_of(market).inverted else -1


def oriented(price: Fraction, market: str) -> Fraction:
    """A price of a market in the orientation of its pair (price > 0)."""
    return 1 / price if pair_of(market).inverted else price


class Quotation:
    """One observed rate, in the pair's orientation.

    Attributes:
        index: of its entry.
        quoted_at: ns.
        bid, ask, mid: ratios in the pair's orientation, of a quotation that is not crossed.
        crossed: bid is 0, ask is 0, or bid > ask.
        bid_text, ask_text: as recorded, in the orientation recorded.
    """

    __slots__ = ("ask", "ask_text", "bid", "bid_text", "crossed", "index", "mid", "quoted_at")

    def __init__(
        self, index: int, market: str, bid: int, ask: int, quoted_at: int, texts: tuple[str, str]
    ) -> None:
        self.index = index
        self.quoted_at = quoted_at
        self.bid_text, self.ask_text = texts
        self.crossed = bid == 0 or ask == 0 or bid > ask
        if self.crossed:
            self.bid = self.ask = self.mid = Fraction(0)
        elif pair_of(market).inverted:
            self.bid, self.ask = Fraction(UNIT, ask), Fraction(UNIT, bid)
            self.mid = (self.bid + self.ask) / 2
        else:
            self.bid, self.ask = Fraction(bid, UNIT), Fraction(ask, UNIT)
            self.mid = Fraction(bid + ask, 2 * UNIT)


class Quotations:
    """The quotations of one source and pair, oldest first; the last one is the latest."""

    def __init__(self) -> None:
        self._all: list[Quotation] = []
        self._times: list[int] = []
        self._spans: dict[int, Fraction] = {}

    @property
    def latest(self) -> Quotation:
        """The latest; there is one, since this is made when the first arrives."""
        return self._all[-1]

    def observe(self, quotation: Quotation) -> None:
        """Row `rate_observed` of section 2."""
        if self._all and quotation.quoted_at < self.latest.quoted_at:
            return
        self._all.append(quotation)
        self._times.append(quotation.quoted_at)
        forgotten = bisect.bisect_left(self._times, quotation.quoted_at - _KEPT)
        if forgotten:
            del self._all[:forgotten], self._times[:forgotten]
        self._spans.clear()

    def span(self, window_s: int) -> Fraction:
        """(max mid − min mid) / min mid over what is not crossed, within the window before latest.

        The latest must not be crossed, so there is at least one.
        """
        if window_s not in self._spans:
            start = bisect.bisect_left(self._times, self.latest.quoted_at - window_s * SECOND)
            mids = [q.mid for q in self._all[start:] if not q.crossed]
            low = min(mids)
            self._spans[window_s] = (max(mids) - low) / low
        return self._spans[window_s]


Book = dict[tuple[str, str], Quotations]
"""(source, pair) → its quotations."""


@dataclasses.dataclass(frozen=True)
class Asked:
    """A new order, or the order that an amendment would make; quantity in 1e-8, price a ratio."""

    market: str
    side: str
    currency: str
    quantity: int
    price: Fraction | None  # None: a market order


def _latest(book: Book, source: str, base: str, quote: str) -> tuple[Fraction, Fraction] | None:
    """Bid and ask in the orientation base/quote; None if missing or crossed."""
    pair = pair_of(f"{base}/{quote}")
    known = book.get((source, pair.name))
    if known is None or known.latest.crossed:
        return None
    latest = known.latest
    return (1 / latest.ask, 1 / latest.bid) if pair.inverted else (latest.bid, latest.ask)


def notional(order: Asked, money: str, book: Book, source: str, buffer: Fraction) -> int | None:
    """The notional in the scope's currency, rounded up to the cent (3.2); None: not computable.

    Args:
        order: what is asked.
        money: P, the scope's currency.
        book: quotations observed so far.
        source: the first source of the scope.
        buffer: b, the market order buffer.
    """
    if order.currency == money:
        return cents_up(Fraction(order.quantity))
    base, _, quote = order.market.partition("/")
    if money not in (base, quote):
        found = _latest(book, source, order.currency, money)
        return None if found is None else cents_up(order.quantity * found[1] * (_ONE + buffer))
    price, buys, in_base = order.price, order.side == "buy", order.currency == base
    if price is not None and buys == in_base:
        # The price alone bounds it: no quotation is needed.
        worth = order.quantity * price if in_base else order.quantity / price
        return cents_up(worth)
    found = _latest(book, source, base, quote)
    if found is None:
        return None
    bid, ask = found
    if in_base:
        worst = ask * (_ONE + buffer)
        return cents_up(order.quantity * (worst if price is None else max(price, worst)))
    worst = bid * (_ONE - buffer)
    lowest = worst if price is None else min(price, worst)
    return None if lowest <= 0 else cents_up(order.quantity / lowest)


def fill_value(
    market: str, currency: str, money: str, fill: tuple[int, int], whole: tuple[int, int]
) -> int:
    """The value of a fill in the scope's currency, rounded up to the cent (3.3).

    Args:
        market: of the order, as written.
        currency: that the quantity counts.
        money: P, the scope's currency.
        fill: last quantity and last price, each in 1e-8.
        whole: `total` and quantity of the order, each in 1e-8.
    """
    quantity, price = fill
    base, _, quote = market.partition("/")
    if currency == money:
        return cents_up(Fraction(quantity))
    if money in (base, quote):
        if currency == base:
            return cents_up(Fraction(quantity * price, UNIT))
        if price > 0:
            return cents_up(Fraction(quantity * UNIT, price))
    total, ordered = whole
    return cents_up(Fraction(total * quantity, ordered))
