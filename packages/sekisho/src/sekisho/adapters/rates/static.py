# SPDX-License-Identifier: Apache-2.0
"""Rates that are whatever they are set to, behind the ``RateSource`` port: tests and rehearsals.

Several sources may quote one market. What is set stays as it is, also in age: a feed that stands
still is made by letting the clock go on. ``best`` answers the paper venue (``venues.market``) with
the first source's quotation.
"""

from __future__ import annotations

from sekisho.adapters.venues.market import Best, inverted
from sekisho.core.amounts import parse_amount
from sekisho.core.markets import pair_of
from sekisho.core.terms import NS, format_instant, parse_instant
from sekisho.ports import Clock, Quotation


class StaticRates:
    """A table of quotations by source and pair; one quotation each, the last that was set."""

    def __init__(self, clock: Clock, source: str = "STATIC") -> None:
        self._clock = clock
        self._source = source
        self._table: dict[tuple[str, str], Quotation] = {}

    def set(
        self, market: str, bid: str, ask: str, *, source: str = "", quoted_at: str = ""
    ) -> None:
        """Quote a market, as written or inverted; by the first source and now unless said."""
        parse_amount(bid, "bid")
        parse_amount(ask, "ask")
        quotation = Quotation(
            market=market,
            source=source or self._source,
            bid=bid,
            ask=ask,
            quoted_at=quoted_at or format_instant(self._clock.now_ns()),
        )
        self._table[quotation.source, pair_of(market)[0]] = quotation

    def clear(self, market: str, *, source: str = "") -> None:
        """Quote this market no more. Raises KeyError when it was not quoted."""
        del self._table[source or self._source, pair_of(market)[0]]

    def age(self, market: str, seconds: int, *, source: str = "") -> None:
        """Make the quotation older by ``seconds`` (a negative number makes it younger)."""
        key = (source or self._source, pair_of(market)[0])
        old = self._table[key]
        at_ns = parse_instant(old.quoted_at) - seconds * NS
        self.set(old.market, old.bid, old.ask, source=old.source, quoted_at=format_instant(at_ns))

    def cross(self, market: str, *, source: str = "") -> None:
        """Exchange bid and ask, which leaves a quotation with bid > ask."""
        old = self._table[source or self._source, pair_of(market)[0]]
        self.set(old.market, old.ask, old.bid, source=old.source, quoted_at=old.quoted_at)

    async def quotations(self, pairs: tuple[str, ...]) -> tuple[Quotation, ...]:
        """All sources' quotations of the pairs, by pair as asked, then by source as first set."""
        return tuple(
            quotation
            for pair in pairs
            for (_, quoted), quotation in self._table.items()
            if quoted == pair
        )

    def best(self, market: str, at_ns: int) -> Best | None:  # noqa: ARG002 - same at any time
        """The first source's bid and ask in the market's own orientation, whatever their age."""
        quotation = self._table.get((self._source, pair_of(market)[0]))
        if quotation is None:
            return None
        quoted = Best(parse_amount(quotation.bid), parse_amount(quotation.ask))
        if not 0 < quoted.bid <= quoted.ask:
            return None
        return quoted if quotation.market == market else inverted(quoted)
