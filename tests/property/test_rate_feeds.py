# SPDX-License-Identifier: Apache-2.0
"""Feeds under any bytes: no failure, no unsound answer, no younger rate than the source claimed."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sekisho.adapters.rates.feed import FUTURE_MAX_NS, LINE_BYTES_MAX, LineCutter, RateFeed
from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.core.amounts import parse_amount
from sekisho.core.markets import pair_of
from sekisho.core.terms import MARKET, NS, format_instant, parse_instant

NOW = parse_instant("2026-05-15T09:15:00.000000000Z")
PAIRS = ("EUR/GBP", "EUR/USD")

_text = st.one_of(
    st.sampled_from(["NaN", "-1", "1e9", "Infinity", "", "0", "1.1", "1.2", "9" * 40, "１"]),
    st.text(max_size=12),
)
_instant = st.one_of(
    st.integers(-30, 30).map(lambda seconds: format_instant(NOW + seconds * NS)), _text
)
_market = st.one_of(st.sampled_from(["EUR/USD", "USD/EUR", "EUR/GBP", "EUR/EUR"]), _text)
_value = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), _text)
_quotation = st.fixed_dictionaries(
    {
        "market": st.one_of(_market, _value),
        "bid": st.one_of(_text, _value),
        "ask": st.one_of(_text, _value),
        "quoted_at": st.one_of(_instant, _value),
    }
)
_line = st.one_of(
    _quotation.map(lambda fields: json.dumps(fields).encode()),
    _instant.map(lambda at: json.dumps({"heartbeat": at}).encode()),
    st.binary(max_size=64),
    st.recursive(_value, lambda inner: st.lists(inner) | st.dictionaries(_text, inner)).map(
        lambda value: json.dumps(value).encode()
    ),
    st.just(b"z" * (LINE_BYTES_MAX + 1)),
)


def instants_in(lines: list[bytes]) -> set[str]:
    """Every text that a line gives as an instant."""
    found = set()
    for line in lines:
        try:
            plain: Any = json.loads(line)
        except ValueError:
            continue
        if isinstance(plain, dict):
            found |= {str(plain.get("quoted_at")), str(plain.get("heartbeat"))}
    return found


@given(st.lists(_line, max_size=12))
def test_feed_any_lines_leave_sound_quotations(lines: list[bytes]) -> None:
    """What it answers can be written down, is not of the future, and claims no instant but one
    that the source said (or now, where the source's first word was unsound).
    """
    feed = RateFeed("ONE", SteppedClock(NOW), 60)
    for line in lines:
        feed.line(line)
    allowed = instants_in(lines) | {format_instant(NOW)}
    for quotation in asyncio.run(feed.quotations(PAIRS)):
        assert MARKET.fullmatch(quotation.market)
        assert pair_of(quotation.market)[0] in PAIRS
        parse_amount(quotation.bid)
        parse_amount(quotation.ask)
        assert parse_instant(quotation.quoted_at) <= NOW + FUTURE_MAX_NS
        assert quotation.quoted_at in allowed
    assert 0 <= feed.state().faults <= len(lines)


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_cutter_any_pieces_are_the_lines_of_the_whole(pieces: list[bytes]) -> None:
    """However the bytes are cut on their way, the lines are those of the whole."""
    cutter = LineCutter()
    found = [line for piece in pieces for line in cutter.feed(piece)]
    assert b"".join(pieces).split(b"\n")[:-1] == found


@given(st.lists(st.integers(0, 2 * LINE_BYTES_MAX), max_size=6), st.integers(1, 5_000))
def test_cutter_long_lines_are_left_out_and_no_other(lengths: list[int], step: int) -> None:
    """Each line within the bound comes whole, each beyond it as one gap, in any pieces."""
    whole = b"".join(b"x" * length + b"\n" for length in lengths)
    cutter = LineCutter()
    pieces = [whole[start : start + step] for start in range(0, len(whole), step)]
    found = [line for piece in pieces for line in cutter.feed(piece)]
    expected = [None if length > LINE_BYTES_MAX else b"x" * length for length in lengths]
    assert expected == found
