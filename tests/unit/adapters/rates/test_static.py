# SPDX-License-Identifier: Apache-2.0
"""Rates that are what they are set to, and faults laid over any source."""

from __future__ import annotations

import asyncio

import pytest

from sekisho.adapters.rates.static import StaticRates
from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.adapters.simulated_rates import FaultyRates
from sekisho.adapters.venues.market import Best
from sekisho.core.errors import MalformedInput, Unavailable
from sekisho.core.terms import parse_instant
from sekisho.ports import Quotation, RateSource

NOW = parse_instant("2026-05-15T09:15:00.000000000Z")


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock(NOW)


@pytest.fixture
def rates(clock: SteppedClock) -> StaticRates:
    made = StaticRates(clock, "ONE")
    made.set("EUR/USD", "1.1648", "1.165")
    return made


def ask(source: RateSource, pair: str = "EUR/USD") -> list[tuple[str, str, str, str]]:
    """What is quoted: source, bid, ask, and the seconds of its instant."""
    quoted: tuple[Quotation, ...] = asyncio.run(source.quotations((pair,)))
    return [(q.source, q.bid, q.ask, q.quoted_at[17:19]) for q in quoted]


def test_static_set_replaces_what_the_source_said(rates: StaticRates, clock: SteppedClock) -> None:
    """Each source has one quotation of a pair, also when it writes the market the other way."""
    clock.advance(7)
    rates.set("EUR/USD", "1.2", "1.3", source="TWO")
    rates.set("USD/EUR", "0.85", "0.86")
    assert ask(rates) == [("ONE", "0.85", "0.86", "07"), ("TWO", "1.2", "1.3", "07")]


def test_static_quotation_stays_while_time_goes_on(rates: StaticRates, clock: SteppedClock) -> None:
    """A feed that stands still keeps its old instant."""
    clock.advance(30)
    assert ask(rates) == [("ONE", "1.1648", "1.165", "00")]


def test_static_clear_age_and_cross_change_one_quotation(rates: StaticRates) -> None:
    """Each instruction does what it says, to the source that it names."""
    rates.set("EUR/USD", "1.2", "1.3", source="TWO")
    rates.age("EUR/USD", 20)
    rates.cross("EUR/USD", source="TWO")
    assert ask(rates) == [("ONE", "1.1648", "1.165", "40"), ("TWO", "1.3", "1.2", "00")]
    rates.clear("EUR/USD")
    assert ask(rates) == [("TWO", "1.3", "1.2", "00")]
    with pytest.raises(KeyError):
        rates.clear("EUR/USD")


@pytest.mark.parametrize(("bid", "ask_"), [("1e0", "1"), ("1", "NaN"), ("-1", "1")])
def test_static_set_malformed_is_refused(rates: StaticRates, bid: str, ask_: str) -> None:
    """What is no amount is not quoted."""
    with pytest.raises(MalformedInput):
        rates.set("EUR/USD", bid, ask_)


def test_static_best_is_the_first_sources_in_the_markets_orientation(rates: StaticRates) -> None:
    """The paper venue trades at the first source's prices, inverted where the market is."""
    rates.set("EUR/USD", "9", "9", source="TWO")
    assert rates.best("EUR/USD", NOW) == Best(116_480_000, 116_500_000)
    assert rates.best("USD/EUR", NOW) == Best(85_836_909, 85_851_649)
    assert rates.best("EUR/GBP", NOW) is None


@pytest.mark.parametrize(("bid", "ask_"), [("1.2", "1.1"), ("0", "1"), ("0", "0")])
def test_static_best_of_a_crossed_market_is_none(rates: StaticRates, bid: str, ask_: str) -> None:
    """At prices that cannot be, nothing trades."""
    rates.set("EUR/USD", bid, ask_)
    assert rates.best("EUR/USD", NOW) is None


def test_faulty_down_raises(rates: StaticRates) -> None:
    """Down, the source answers nobody; up again, as before."""
    faulty = FaultyRates(rates)
    faulty.down = True
    with pytest.raises(Unavailable):
        ask(faulty)
    faulty.down = False
    assert ask(faulty) == ask(rates)


def test_faulty_silent_crossed_and_shifted_change_one_pair(rates: StaticRates) -> None:
    """Each fault concerns the pairs that it names."""
    rates.set("EUR/GBP", "0.8", "0.9")
    faulty = FaultyRates(rates)
    faulty.silent.add("EUR/GBP")
    faulty.shifted["EUR/USD"] = -30_000_000
    assert (ask(faulty), ask(faulty, "EUR/GBP")) == ([("ONE", "0.81536", "0.8155", "00")], [])
    faulty.silent.clear()
    faulty.shifted.clear()
    faulty.crossed.add("EUR/USD")
    assert ask(faulty) == [("ONE", "1.165", "1.1648", "00")]
    assert ask(faulty, "EUR/GBP") == [("ONE", "0.8", "0.9", "00")]


def test_faulty_frozen_pair_repeats_until_thawed(rates: StaticRates, clock: SteppedClock) -> None:
    """Frozen, the last quotation comes again with its old instant; before any, nothing comes."""
    faulty = FaultyRates(rates)
    before = ask(faulty)
    faulty.freeze("EUR/USD")
    faulty.freeze("EUR/GBP")
    clock.advance(5)
    rates.set("EUR/USD", "1.2", "1.3")
    rates.set("EUR/GBP", "0.8", "0.9")
    assert (ask(faulty), ask(faulty, "EUR/GBP")) == (before, [])
    faulty.thaw("EUR/USD")
    assert ask(faulty) == [("ONE", "1.2", "1.3", "05")]
