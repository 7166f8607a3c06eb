# SPDX-License-Identifier: Apache-2.0
"""Several feeds as one source: each under its name, a failing one left out."""

from __future__ import annotations

import asyncio

import pytest

from sekisho.adapters.rates.feed import RateFeed
from sekisho.adapters.rates.several import Feed, SeveralFeeds
from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.core.errors import ConfigurationInvalid, Unavailable
from sekisho.core.terms import format_instant, parse_instant
from sekisho.ports import Quotation

NOW = parse_instant("2026-05-15T09:15:00.000000000Z")


class Told(RateFeed):
    """A feed that quotes both pairs at once, or nothing at all."""

    def __init__(self, name: str, *, down: bool = False) -> None:
        super().__init__(name, SteppedClock(NOW), 10)
        self.down = down
        self.runs = 0
        for market in ("EUR/USD", "EUR/GBP"):
            at = format_instant(NOW)
            self.take({"market": market, "bid": "1.1", "ask": "1.2", "quoted_at": at})

    async def run(self) -> None:
        self.runs += 1

    async def quotations(self, pairs: tuple[str, ...]) -> tuple[Quotation, ...]:
        if self.down:
            raise Unavailable("down")
        return await super().quotations(pairs)


def asked(*feeds: Feed) -> list[tuple[str, str]]:
    found = asyncio.run(SeveralFeeds(feeds).quotations(("EUR/USD", "EUR/GBP")))
    return [(one.market, one.source) for one in found]


def test_several_feeds_answer_by_pair_then_by_source() -> None:
    """As asked, then as configured: nothing is averaged, nothing is chosen."""
    expected = [("EUR/USD", "B"), ("EUR/USD", "A"), ("EUR/GBP", "B"), ("EUR/GBP", "A")]
    assert expected == asked(Told("B"), Told("A"))


def test_several_feeds_failing_one_is_left_out() -> None:
    """The other's quotations come; the checks refuse for the missing rate."""
    assert [("EUR/USD", "A"), ("EUR/GBP", "A")] == asked(Told("B", down=True), Told("A"))


def test_several_feeds_all_failing_is_unavailable() -> None:
    """Nothing could be asked."""
    with pytest.raises(Unavailable):
        asked(Told("B", down=True), Told("A", down=True))


@pytest.mark.parametrize("names", [[], ["A", "A"]])
def test_several_feeds_need_names_of_their_own(names: list[str]) -> None:
    """Two sources of one name would agree with each other for ever."""
    with pytest.raises(ConfigurationInvalid):
        SeveralFeeds([Told(name) for name in names])


def test_several_feeds_run_together_and_tell_their_states() -> None:
    """One call keeps all of them up to date; each has a state of its own."""
    feeds = [Told("B"), Told("A")]
    several = SeveralFeeds(feeds)
    asyncio.run(several.run())
    assert [1, 1] == [feed.runs for feed in feeds]
    assert ["B", "A"] == [state.name for state in several.states()]
