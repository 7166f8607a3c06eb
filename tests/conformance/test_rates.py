# SPDX-License-Identifier: Apache-2.0
"""The RateSource port's contract, on every source of rates."""

from __future__ import annotations

import asyncio

import pytest

from sekisho.adapters.rates.bridge import Fixing
from sekisho.adapters.rates.ecb import EcbPath
from sekisho.adapters.rates.static import StaticRates
from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.adapters.simulated_rates import FaultyRates
from sekisho.core.amounts import parse_amount
from sekisho.core.markets import pair_of
from sekisho.core.terms import MARKET, NAME, NS, parse_day, parse_instant
from sekisho.ports import RateSource

NOW = parse_instant("2026-05-15T09:15:03.000000000Z")
DAY = parse_day("2026-05-15")


def static(clock: SteppedClock) -> StaticRates:
    rates = StaticRates(clock, "ONE")
    rates.set("EUR/USD", "1.1648", "1.165")
    rates.set("EUR/USD", "1.1647", "1.1649", source="TWO")
    rates.set("GBP/EUR", "1.15", "1.1502")
    return rates


def path(clock: SteppedClock) -> EcbPath:
    days = range(DAY - 1, DAY + 2)
    fixings = {
        "USD": tuple(Fixing(day, 116_490_000 + day % 7 * 10_000) for day in days),
        "GBP": tuple(Fixing(day, 86_925_000) for day in days),
        "JPY": (),
    }
    return EcbPath(fixings, clock, "seed", sources=("ONE", "TWO"))


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock(NOW)


@pytest.fixture(params=["static", "path", "faulty"])
def rates(request: pytest.FixtureRequest, clock: SteppedClock) -> RateSource:
    if request.param == "static":
        return static(clock)
    return path(clock) if request.param == "path" else FaultyRates(static(clock))


def test_rates_known_pair_is_quoted_once_by_each_source(rates: RateSource) -> None:
    """Each source has one quotation, of the pair or of its inverse market."""
    quoted = asyncio.run(rates.quotations(("EUR/USD",)))
    assert [q.source for q in quoted] == ["ONE", "TWO"]
    assert {pair_of(q.market)[0] for q in quoted} == {"EUR/USD"}


def test_rates_inverse_pair_is_asked_alphabetically(rates: RateSource) -> None:
    """Sterling against the euro is asked as EUR/GBP, however the source writes the market."""
    quoted = asyncio.run(rates.quotations(("EUR/GBP",)))
    assert quoted
    assert {pair_of(q.market)[0] for q in quoted} == {"EUR/GBP"}


def test_rates_unknown_pair_is_left_out(rates: RateSource) -> None:
    """What is not known does not appear, and does not hide what is."""
    quoted = asyncio.run(rates.quotations(("EUR/JPY", "EUR/USD")))
    assert {pair_of(q.market)[0] for q in quoted} == {"EUR/USD"}
    assert asyncio.run(rates.quotations(("EUR/JPY",))) == ()
    assert asyncio.run(rates.quotations(())) == ()


def test_rates_quotations_are_well_formed(rates: RateSource) -> None:
    """Names, amounts and instants are written as entries take them, none from the future."""
    for quotation in asyncio.run(rates.quotations(("EUR/GBP", "EUR/USD"))):
        assert MARKET.fullmatch(quotation.market)
        assert NAME.fullmatch(quotation.source)
        assert 0 < parse_amount(quotation.bid) <= parse_amount(quotation.ask)
        assert NOW - 5 * NS <= parse_instant(quotation.quoted_at) <= NOW


def test_rates_instant_never_goes_back(rates: RateSource, clock: SteppedClock) -> None:
    """The latest quotation stays the latest while time goes on."""
    seen = []
    for _ in range(20):
        seen.append(asyncio.run(rates.quotations(("EUR/USD",)))[0].quoted_at)
        clock.advance(3)
    assert seen == sorted(seen)
