# SPDX-License-Identifier: Apache-2.0
"""What a feed makes of the lines of its source: kept, restated, crossed, dropped, counted."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from sekisho.adapters.rates.feed import LINE_BYTES_MAX, PAIRS_MAX, LineCutter, RateFeed
from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.core.errors import ConfigurationInvalid
from sekisho.core.terms import NS, format_instant, parse_instant
from sekisho.ports import Quotation

NOW = parse_instant("2026-05-15T09:15:00.000000000Z")
SILENT_S = 10


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock(NOW)


@pytest.fixture
def feed(clock: SteppedClock) -> RateFeed:
    return RateFeed("ONE", clock, SILENT_S)


def at(seconds: float) -> str:
    """An instant so many seconds from NOW."""
    return format_instant(NOW + round(seconds * NS))


def said(seconds: float = 0, **changes: Any) -> bytes:
    """A line that quotes EUR/USD."""
    fields = {"market": "EUR/USD", "bid": "1.1648", "ask": "1.165", "quoted_at": at(seconds)}
    return json.dumps(fields | changes).encode()


def beat(seconds: float) -> bytes:
    return json.dumps({"heartbeat": at(seconds)}).encode()


def latest(feed: RateFeed, pair: str = "EUR/USD") -> Quotation | None:
    found = asyncio.run(feed.quotations((pair,)))
    return found[0] if found else None


def shown(feed: RateFeed) -> tuple[str, str, str]:
    """Bid, ask and instant of EUR/USD."""
    found = latest(feed)
    assert found is not None
    return found.bid, found.ask, found.quoted_at


def test_feed_quotation_is_passed_on_under_the_feeds_name(feed: RateFeed) -> None:
    """A sound line is the quotation, word for word, with the source that we call it."""
    feed.line(said())
    expected = Quotation(market="EUR/USD", source="ONE", bid="1.1648", ask="1.165", quoted_at=at(0))
    assert expected == latest(feed)
    assert 0 == feed.state().faults


def test_feed_later_quotation_takes_the_place_of_the_earlier(
    feed: RateFeed, clock: SteppedClock
) -> None:
    """One quotation a pair, in whichever orientation it comes."""
    feed.line(said(market="GBP/EUR", bid="1.15", ask="1.1502"))
    clock.advance(1)
    feed.line(said(1, market="EUR/GBP", bid="0.8692", ask="0.8694"))
    found = latest(feed, "EUR/GBP")
    assert found is not None
    assert ("EUR/GBP", "0.8692") == (found.market, found.bid)


def test_feed_late_quotation_is_dropped_and_counted(feed: RateFeed) -> None:
    """What is older than what stands does not come back."""
    feed.line(said(0))
    feed.line(said(-1, bid="1.1", ask="1.2"))
    assert ("1.1648", "1.165", at(0)) == shown(feed)
    assert 1 == feed.state().faults


def test_feed_correction_of_the_same_instant_counts(feed: RateFeed) -> None:
    """Of two quotations of one instant the one that came later stands."""
    feed.line(said(0))
    feed.line(said(0, bid="1.1647"))
    assert ("1.1647", "1.165", at(0)) == shown(feed)


def test_feed_heartbeat_restates_what_was_quoted(feed: RateFeed, clock: SteppedClock) -> None:
    """At the heartbeat's instant, which the source said, and not at the one of its arrival."""
    feed.line(said(0))
    clock.advance(5)
    feed.line(beat(4))
    assert ("1.1648", "1.165", at(4)) == shown(feed)


def test_feed_heartbeat_never_makes_a_quotation_older(feed: RateFeed, clock: SteppedClock) -> None:
    """A heartbeat of before the quotation says nothing about it."""
    clock.advance(2)
    feed.line(said(2))
    feed.line(beat(1))
    assert ("1.1648", "1.165", at(2)) == shown(feed)


def test_feed_quotation_after_a_heartbeat_counts_by_its_own_instant(
    feed: RateFeed, clock: SteppedClock
) -> None:
    """A heartbeat does not shut out a quotation that was made before it and came after it."""
    feed.line(said(0))
    clock.advance(5)
    feed.line(beat(4))
    feed.line(said(3.5, bid="1.1640"))
    assert ("1.1640", "1.165", at(3.5)) == shown(feed)


def test_feed_repeated_quotation_keeps_what_a_heartbeat_restated(
    feed: RateFeed, clock: SteppedClock
) -> None:
    """The same line again takes nothing back."""
    feed.line(said(0))
    clock.advance(4)
    feed.line(beat(4))
    feed.line(said(0))
    assert ("1.1648", "1.165", at(4)) == shown(feed)


@pytest.mark.parametrize(
    "line",
    [
        b'{"heartbeat":"2026-05-15T09:15:02.000000000Z"}',
        b'{"heartbeat":"now"}',
        b'{"heartbeat":1}',
        b'{"heartbeat":null}',
    ],
)
def test_feed_heartbeat_of_the_future_or_of_no_instant_is_no_sign_of_life(
    feed: RateFeed, line: bytes
) -> None:
    """It restates nothing, and the feed stays silent."""
    feed.line(line)
    assert (True, 1) == (feed.silent, feed.state().faults)


def test_feed_heartbeat_of_the_future_restates_nothing(feed: RateFeed) -> None:
    """A source whose clock runs ahead cannot make its quotations younger than they are."""
    feed.line(said(0))
    feed.line(beat(60))
    assert ("1.1648", "1.165", at(0)) == shown(feed)


@pytest.mark.parametrize(
    "changes",
    [
        {"bid": "NaN"},
        {"bid": "-1"},
        {"ask": "1e999999"},
        {"ask": "Infinity"},
        {"ask": "9" * 30},
        {"bid": ""},
        {"quoted_at": at(3600)},
        {"quoted_at": at(1.000000001)},
        {"quoted_at": "2026-05-15"},
    ],
)
def test_feed_unsound_quotation_stands_as_crossed(feed: RateFeed, changes: dict[str, str]) -> None:
    """What was quoted before does not stand any more, and the log will show why."""
    feed.line(said(-1))
    feed.line(said(0, **changes))
    assert ("0", "0", at(-1)) == shown(feed)
    assert 1 == feed.state().faults


def test_feed_unsound_first_quotation_stands_as_crossed_now(feed: RateFeed) -> None:
    """Its instant is ours, for the source's is not believed; it is no sign of life by itself."""
    feed.line(said(bid="NaN"))
    assert feed.silent
    feed.line(beat(0))
    assert ("0", "0", at(0)) == shown(feed)


def test_feed_sound_quotation_ends_a_crossed_one(feed: RateFeed, clock: SteppedClock) -> None:
    """One bad line does not shut out the good ones after it, made a moment before it came."""
    feed.line(said(bid="NaN"))
    feed.line(said(-0.01))
    assert ("1.1648", "1.165", at(-0.01)) == shown(feed)


def test_feed_crossed_quotation_is_passed_on_as_it_is(feed: RateFeed) -> None:
    """The checks judge it; the record shows what the source said."""
    feed.line(said(bid="1.2", ask="1.1"))
    assert ("1.2", "1.1", at(0)) == shown(feed)


def test_feed_quotation_a_little_ahead_of_our_clock_is_taken(feed: RateFeed) -> None:
    """Clocks differ; the checks allow the same second."""
    feed.line(said(1))
    assert ("1.1648", "1.165", at(1)) == shown(feed)


@pytest.mark.parametrize(
    "line",
    [
        b"garbage",
        b"{",
        b"null",
        b"[]",
        b"1",
        b'"EUR/USD"',
        b"\xff\xfe",
        b"[" * 3_000,
        b'{"market":"EUR/USD"}',
        b'{"market":"EUR/USD","market":"EUR/GBP","bid":"1","ask":"1","quoted_at":"x"}',
        said(market="EUR/EUR"),
        said(market="eur/usd"),
        said(market=7),
        said(extra="1"),
        said(bid=1.1648),
        said() + b" " * LINE_BYTES_MAX,
    ],
)
def test_feed_line_that_says_nothing_of_a_market_is_dropped(feed: RateFeed, line: bytes) -> None:
    """Counted, and what stood stands."""
    feed.line(said(-1))
    feed.line(line)
    assert ("1.1648", "1.165", at(-1)) == shown(feed)
    assert 1 == feed.state().faults


def test_feed_empty_lines_are_no_faults(feed: RateFeed) -> None:
    """Some sources end their blocks by one."""
    feed.line(b"")
    feed.line(b" \r")
    assert (0, None) == (feed.state().faults, feed.state().last_heard_ns)


def test_feed_silent_beyond_its_bound_answers_nothing(feed: RateFeed, clock: SteppedClock) -> None:
    """At the bound it still answers; a nanosecond later it does not, and says that it is silent."""
    assert feed.silent
    feed.line(said(0))
    clock.advance(SILENT_S)
    assert (False, at(0)) == (feed.state().silent, shown(feed)[2])
    clock.advance(1e-9)
    assert (True, None) == (feed.state().silent, latest(feed))


def test_feed_heartbeat_ends_the_silence(feed: RateFeed, clock: SteppedClock) -> None:
    """The source says that its quotations stand: a market that does not move is not stale."""
    feed.line(said(0))
    clock.advance(60)
    feed.line(beat(60))
    assert ("1.1648", "1.165", at(60)) == shown(feed)


def test_feed_old_lines_are_no_sign_of_life(feed: RateFeed, clock: SteppedClock) -> None:
    """A file that was written yesterday and is read now does not make a dead source alive."""
    feed.line(said(-11))
    feed.line(beat(-11))
    assert (True, None) == (feed.silent, feed.state().last_heard_ns)
    feed.line(beat(-10))
    assert (False, clock.monotonic_ns()) == (feed.silent, feed.state().last_heard_ns)


def test_feed_garbage_is_no_sign_of_life(feed: RateFeed, clock: SteppedClock) -> None:
    """Who sends nothing usable is silent, however much it sends."""
    feed.line(said(0))
    clock.advance(SILENT_S + 1)
    feed.line(b"garbage")
    feed.line(said(11, bid="NaN"))
    assert feed.silent


def test_feed_pairs_are_bounded(feed: RateFeed) -> None:
    """A source that makes up markets fills no memory; the pairs that are held go on."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    markets = [f"{a}{b}{c}/ZZZZ" for a in letters for b in letters for c in letters]
    for market in markets[: PAIRS_MAX + 5]:
        feed.line(said(market=market))
    assert 5 == feed.state().faults
    feed.line(said(1, market=markets[0], bid="1.16"))
    found = latest(feed, markets[0])
    assert found is not None
    assert "1.16" == found.bid


def test_feed_pairs_no_longer_quoted_are_forgotten(feed: RateFeed) -> None:
    """What a whole answer leaves out, the source quotes no more."""
    feed.line(said())
    feed.line(said(market="GBP/EUR", bid="1.15", ask="1.1502"))
    feed.keep(["GBP/EUR"])
    assert latest(feed) is None
    assert latest(feed, "EUR/GBP") is not None


@pytest.mark.parametrize(("name", "silent_s"), [("", 10), ("A B", 10), ("A", 0), ("A", 86_401)])
def test_feed_settings_that_cannot_be_are_refused(
    clock: SteppedClock, name: str, silent_s: int
) -> None:
    """A feed without name or bound is a mistake of the configuration."""
    with pytest.raises(ConfigurationInvalid):
        RateFeed(name, clock, silent_s)


def test_cutter_lines_come_whole_however_they_were_cut() -> None:
    """Three pieces or one: the same lines."""
    whole = list(LineCutter().feed(b"one\ntwo\n\nthree\n"))
    cutter = LineCutter()
    pieces = [*cutter.feed(b"on"), *cutter.feed(b"e\ntw"), *cutter.feed(b"o\n\nthree\n")]
    assert [b"one", b"two", b"", b"three"] == whole == pieces


def test_cutter_long_line_is_left_out_once_and_the_next_one_comes() -> None:
    """A megabyte without an end costs one fault and no memory."""
    cutter = LineCutter()
    found: list[bytes | None] = []
    for _ in range(256):
        found += cutter.feed(b"x" * 4_096)
    found += cutter.feed(b"the rest\nnext\n")
    assert [None, b"next"] == found


def test_cutter_line_of_the_longest_length_comes() -> None:
    """At the bound it is a line; a byte more and it is not."""
    cutter = LineCutter()
    assert [b"x" * LINE_BYTES_MAX] == list(cutter.feed(b"x" * LINE_BYTES_MAX + b"\n"))
    assert [None, b"y"] == list(cutter.feed(b"x" * (LINE_BYTES_MAX + 1) + b"\ny\n"))


def test_cutter_line_without_end_is_forgotten_at_the_end() -> None:
    """What a writer left off in the middle is not the beginning of the next writer's line."""
    cutter = LineCutter()
    assert [] == list(cutter.feed(b"half"))
    assert cutter.end()
    assert [b"whole"] == list(cutter.feed(b"whole\n"))
    assert not cutter.end()
