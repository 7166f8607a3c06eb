# SPDX-License-Identifier: Apache-2.0
"""What is kept of a stream: bounded, evenly spread, and never without its extremes."""

from __future__ import annotations

from sekisho.core.evidence.thinning import EveryNth, FirstAndLast, Largest, Peak, Spans
from sekisho.core.terms import NS

HOUR = 3600 * NS


def test_every_nth_beyond_its_size_halves_and_stays_even() -> None:
    """After 1,000 items at most ten are kept, evenly spread, the first among them."""
    sample: EveryNth[int] = EveryNth(10)
    sizes = []
    for number in range(1000):
        sample.take(number)
        sizes.append(len(sample.kept))
    assert (10, 1000, 128) == (max(sizes), sample.seen, sample.stride)
    assert list(range(0, 1000, 128)) == sample.kept


def test_every_nth_within_its_size_keeps_all() -> None:
    """Exactly as many as fit are all kept; one more halves them."""
    sample: EveryNth[int] = EveryNth(4)
    for number in range(4):
        sample.take(number)
    before = list(sample.kept)
    sample.take(4)
    assert ([0, 1, 2, 3], [0, 2, 4]) == (before, sample.kept)


def test_largest_of_equal_values_keeps_the_earlier() -> None:
    """Ties are settled by order, never by the items, which need no order."""
    largest: Largest[object] = Largest(2)
    items = [object() for _ in range(4)]
    for value, item in zip((5, 7, 5, 7), items, strict=True):
        largest.take(value, item)
    assert [items[1], items[3]] == largest.items()
    largest.take(7, object())
    assert [items[1], items[3]] == largest.items()


def test_first_and_last_beyond_both_halves_leaves_out_the_middle() -> None:
    """The first two and the last two, in order, and the true count."""
    both: FirstAndLast[int] = FirstAndLast(2)
    seen = []
    for number in range(7):
        both.take(number)
        seen.append(both.items())
    assert [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3]] == seen[:4]
    assert ([0, 1, 5, 6], 7) == (seen[-1], both.seen)


def test_peak_of_equal_values_is_the_first() -> None:
    """The order stands that reached the value first."""
    peak = Peak()
    peak.take(3, "a", "one")
    peak.take(3, "b", "two")
    assert (3, "a", "one") == (peak.value, peak.at, peak.name)


def test_spans_too_many_are_joined_and_keep_both_peaks() -> None:
    """Fifty hours in at most ten spans: the widths double, counts and peaks stay."""
    spans = Spans(10)
    for hour in range(50):
        span = spans.at(hour * HOUR)
        span.count += 1
        span.anomaly.take(900 if hour == 17 else hour, str(hour), f"a{hour}")
        span.risk.take(800 if hour == 33 else 1, str(hour), f"r{hour}")
    rows = spans.rows()
    assert (8 * 3600, 7, 50) == (spans.width_s, len(rows), sum(span.count for _, span in rows))
    assert [number * 8 * 3600 for number in range(7)] == [start for start, _ in rows]
    assert (900, "a17") == max((span.anomaly.value, span.anomaly.name) for _, span in rows)
    assert (800, "r33") == max((span.risk.value, span.risk.name) for _, span in rows)


def test_spans_within_their_number_are_hours() -> None:
    """Nothing is joined before it must be."""
    spans = Spans(2)
    spans.at(0).count += 1
    spans.at(HOUR - 1).count += 1
    spans.at(HOUR).count += 1
    assert [(0, 2), (3600, 1)] == [(start, span.count) for start, span in spans.rows()]
