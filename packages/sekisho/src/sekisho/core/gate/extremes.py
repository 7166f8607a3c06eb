# SPDX-License-Identifier: Apache-2.0
"""Lowest and highest of a sliding window of prices, in constant amortised time.

Only values that can still be an extreme of some later window are kept: of two values the later one
makes an earlier one that is not beyond it forgettable. Times never fall.
"""

from __future__ import annotations

from collections import deque

import msgspec


class Ratio(msgspec.Struct, frozen=True, gc=False):
    """An exact number ``num / den``; ``den`` is above zero."""

    num: int
    den: int

    def exceeds(self, other: Ratio) -> bool:
        """Whether self > other."""
        return self.num * other.den > other.num * self.den


class Extremes:
    """The candidates for the extremes of every window that ends at the last value."""

    __slots__ = ("_highs", "_lows")

    def __init__(self) -> None:
        self._lows: deque[tuple[int, Ratio]] = deque()
        self._highs: deque[tuple[int, Ratio]] = deque()

    def add(self, time: int, value: Ratio) -> None:
        """Take the next value; its time is not below that of the one before."""
        while self._lows and not value.exceeds(self._lows[-1][1]):
            self._lows.pop()
        self._lows.append((time, value))
        while self._highs and not self._highs[-1][1].exceeds(value):
            self._highs.pop()
        self._highs.append((time, value))

    def forget(self, before: int) -> None:
        """Forget what has a time below ``before``."""
        for side in (self._lows, self._highs):
            while side and side[0][0] < before:
                side.popleft()

    def within(self, since: int) -> tuple[Ratio, Ratio] | None:
        """Lowest and highest value with time ≥ ``since``; None when there is none."""
        low, high = _first(self._lows, since), _first(self._highs, since)
        return None if low is None or high is None else (low, high)


def _first(side: deque[tuple[int, Ratio]], since: int) -> Ratio | None:
    for time, value in side:
        if time >= since:
            return value
    return None
