# SPDX-License-Identifier: Apache-2.0
"""Keeping a bounded part of an unbounded stream, the same part on every machine.

Three ways: every n-th item, the largest items, and the peaks of equal spans of time. No chance
takes part. What is counted exactly is counted elsewhere; here is only what a plot can show.
"""

from __future__ import annotations

import heapq
from typing import Generic, TypeVar

from sekisho.core.terms import NS

T = TypeVar("T")


class EveryNth(Generic[T]):
    """At most ``size_max`` (≥ 2) items, evenly spread over all that came; the first is kept.

    Attributes:
        kept: in the order in which they came.
        seen: how many came.
        stride: one in so many is kept.
    """

    def __init__(self, size_max: int) -> None:
        self._size_max = size_max
        self.kept: list[T] = []
        self.seen = 0
        self.stride = 1

    def take(self, item: T) -> None:
        """One more item."""
        if self.seen % self.stride == 0:
            self.kept.append(item)
            if len(self.kept) > self._size_max:
                self.kept = self.kept[::2]
                self.stride *= 2
        self.seen += 1


class Largest(Generic[T]):
    """The ``size_max`` items of the largest values; of equal values the earlier ones stay."""

    def __init__(self, size_max: int) -> None:
        self._size_max = size_max
        self._heap: list[tuple[int, int, T]] = []
        self._seen = 0

    def take(self, value: int, item: T) -> None:
        """One more item."""
        self._seen += 1  # unique, so that two items are never compared
        row = (value, -self._seen, item)
        if len(self._heap) < self._size_max:
            heapq.heappush(self._heap, row)
        elif row[:2] > self._heap[0][:2]:
            heapq.heapreplace(self._heap, row)

    def items(self) -> list[T]:
        """The largest first."""
        return [item for _, _, item in sorted(self._heap, key=lambda row: row[:2], reverse=True)]


class FirstAndLast(Generic[T]):
    """The first and the last items of a stream, ``half`` (≥ 1) of each, and how many there were."""

    def __init__(self, half: int) -> None:
        self._half = half
        self._first: list[T] = []
        self._last: list[T] = []
        self._oldest = 0
        self.seen = 0

    def take(self, item: T) -> None:
        """One more item."""
        self.seen += 1
        if len(self._first) < self._half:
            self._first.append(item)
        elif len(self._last) < self._half:
            self._last.append(item)
        else:
            self._last[self._oldest] = item
            self._oldest = (self._oldest + 1) % self._half

    def items(self) -> list[T]:
        """In the order in which they came; ``seen`` − their number is left out in the middle."""
        return [*self._first, *self._last[self._oldest :], *self._last[: self._oldest]]


class Peak:
    """One value's largest within a span: ``value`` is −1 when there was none."""

    __slots__ = ("at", "name", "value")

    def __init__(self) -> None:
        self.value = -1
        self.at = ""
        self.name = ""

    def take(self, value: int, at: str, name: str) -> None:
        """Keep the first of the largest."""
        if value > self.value:
            self.value, self.at, self.name = value, at, name


class Span:
    """The peaks of two scores within a span of time, and how many orders were scored there."""

    __slots__ = ("anomaly", "count", "risk")

    def __init__(self) -> None:
        self.count = 0
        self.anomaly = Peak()
        self.risk = Peak()

    def join(self, later: Span) -> None:
        """Take in the span that follows."""
        self.count += later.count
        self.anomaly.take(later.anomaly.value, later.anomaly.at, later.anomaly.name)
        self.risk.take(later.risk.value, later.risk.at, later.risk.name)


class Spans:
    """Spans of ``width_s`` seconds since 1970: an hour, doubled whenever they become too many.

    Joining keeps both peaks, so no extreme is ever lost.
    """

    def __init__(self, size_max: int) -> None:
        self._size_max = size_max
        self.width_s = 3600
        self._spans: dict[int, Span] = {}

    def at(self, now: int) -> Span:
        """The span of an instant (ns UTC); good for one entry, since the next may join it."""
        start = now // NS // self.width_s
        if start not in self._spans:
            self._spans[start] = Span()
            if len(self._spans) > self._size_max:
                self._widen()
                start = now // NS // self.width_s
        return self._spans[start]

    def rows(self) -> list[tuple[int, Span]]:
        """(start in seconds since 1970, span), rising."""
        return [(start * self.width_s, span) for start, span in sorted(self._spans.items())]

    def _widen(self) -> None:
        while len(self._spans) > self._size_max:
            joined: dict[int, Span] = {}
            for start, span in sorted(self._spans.items()):
                if start // 2 in joined:
                    joined[start // 2].join(span)
                else:
                    joined[start // 2] = span
            self._spans, self.width_s = joined, self.width_s * 2
