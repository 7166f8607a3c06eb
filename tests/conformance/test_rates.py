# SPDX-License-Identifier: Apache-2.0
"""The RateSource port's contract, on every source of rates."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sekisho.adapters.rates.bridge import Fixing
from sekisho.adapters.rates.ecb import EcbPath
from sekisho.adapters.rates.file_feed import FileFeed
from sekisho.adapters.rates.http_feed import HttpFeed
from sekisho.adapters.rates.several import SeveralFeeds
from sekisho.adapters.rates.static import StaticRates
from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.adapters.simulated_rates import FaultyRates
from sekisho.core.amounts import parse_amount
from sekisho.core.markets import pair_of
from sekisho.core.terms import MARKET, NAME, NS, format_instant, parse_day, parse_instant
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


def lines(clock: SteppedClock) -> list[dict[str, str]]:
    """What the sources of the feeds say."""
    at = format_instant(clock.now_ns())
    return [
        {"market": "EUR/USD", "bid": "1.1648", "ask": "1.165", "quoted_at": at},
        {"market": "GBP/EUR", "bid": "1.15", "ask": "1.1502", "quoted_at": at},
    ]


def files(clock: SteppedClock, folder: Path) -> SeveralFeeds:
    text = "".join(json.dumps(line) + "\n" for line in lines(clock))
    feeds = [FileFeed(name, folder / name, clock, 100) for name in ("ONE", "TWO")]
    for feed in feeds:
        (folder / feed.name).write_text(text, encoding="ascii")
        feed.poll()
    return SeveralFeeds(feeds)


def answers(clock: SteppedClock, _folder: Path) -> SeveralFeeds:
    body = json.dumps({"quotations": lines(clock)}).encode()
    feeds = [HttpFeed(name, "127.0.0.1:1", clock, 100) for name in ("ONE", "TWO")]
    for feed in feeds:
        feed._answer(body)
    return SeveralFeeds(feeds)


SOURCES: dict[str, Callable[[SteppedClock, Path], RateSource]] = {
    "answers": answers,
    "faulty": lambda clock, _folder: FaultyRates(static(clock)),
    "files": files,
    "path": lambda clock, _folder: path(clock),
    "static": lambda clock, _folder: static(clock),
}


@pytest.fixture(params=sorted(SOURCES))
def rates(request: pytest.FixtureRequest, clock: SteppedClock, tmp_path: Path) -> RateSource:
    return SOURCES[request.param](clock, tmp_path)


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
