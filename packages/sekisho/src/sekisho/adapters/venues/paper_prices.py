# SPDX-License-Identifier: Apache-2.0
"""What the paper venue quotes: its market's prices now, as a ``RateSource`` tells them.

A market of a standing table (``StaticRates``), of the demonstration's path (``EcbPath``), or of a
feed, below. The venue trades at what it quotes, so ``quoted_at`` is its clock's now.
"""

from __future__ import annotations

from typing import Protocol

from sekisho.adapters.venues.market import Best, Market, inverted
from sekisho.core.amounts import format_amount, parse_amount
from sekisho.core.markets import pair_of
from sekisho.core.terms import format_instant
from sekisho.ports import Clock, Quotation


class Latest(Protocol):
    """A feed, as far as a market needs it."""

    def latest(self, pair: str) -> Quotation | None:
        """The latest quotation of a pair; None where there is none, or the feed is silent."""
        ...


class FedMarket:
    """The prices of a feed while it is heard; nothing when it is silent or crossed."""

    def __init__(self, feed: Latest) -> None:
        self._feed = feed

    def best(self, market: str, at_ns: int) -> Best | None:  # noqa: ARG002 - a feed knows now alone
        """The latest bid and ask in the market's own orientation."""
        found = self._feed.latest(pair_of(market)[0])
        if found is None:
            return None
        best = Best(parse_amount(found.bid), parse_amount(found.ask))
        if not 0 < best.bid <= best.ask:
            return None
        return best if found.market == market else inverted(best)


class VenueRates:
    """The venue's prices as quotations.

    Args:
        name: the venue's, as source.
        market: what it trades at.
        clock: the venue's.
        pairs: what it tells of when it is not asked for pairs.
    """

    def __init__(self, name: str, market: Market, clock: Clock, pairs: tuple[str, ...]) -> None:
        self._name = name
        self._market = market
        self._clock = clock
        self._pairs = pairs

    async def quotations(self, pairs: tuple[str, ...]) -> tuple[Quotation, ...]:
        """Bid and ask of each pair now; what has no price is left out."""
        now = self._clock.now_ns()
        found = []
        for pair in pairs or self._pairs:
            best = self._market.best(pair, now)
            if best is not None:
                found.append(self._quotation(pair, best, now))
        return tuple(found)

    def _quotation(self, pair: str, best: Best, now: int) -> Quotation:
        return Quotation(
            market=pair,
            source=self._name,
            bid=format_amount(best.bid),
            ask=format_amount(best.ask),
            quoted_at=format_instant(now),
        )
