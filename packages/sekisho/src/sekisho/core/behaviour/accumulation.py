# SPDX-License-Identifier: Apache-2.0
"""Evidence of a rolling window of policy days (docs/spec/behaviour.md, section 5).

The evidence is the largest sum of increments of any stretch of the window that ends now, and never
below zero. Each day is kept as what the next days need of it, so the memory is a row for each day
whatever the number of observations.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

WINDOW_DAYS: Final = 30
"""Policy days: today and those before."""


class DayOfEvidence(msgspec.Struct):
    """``total``: all increments of the day; ``best``: the largest sum of those up to its end."""

    day: int
    total: int
    best: int
    counts: list[int]


class Accumulation:
    """Evidence and category counts of one factor.

    Attributes:
        evidence: micro-decades, as of the day that was rolled to.
        counts: observations of the window in each category.
        seen: their sum.
    """

    __slots__ = ("_days", "counts", "evidence", "seen")

    def __init__(self, categories: int) -> None:
        self._days: deque[DayOfEvidence] = deque()
        self.counts = [0] * categories
        self.evidence = 0
        self.seen = 0

    def add(self, day: int, increment: int, category: int) -> None:
        """Take one observation of ``day``, the day that was rolled to."""
        if not self._days or self._days[-1].day != day:
            self._days.append(DayOfEvidence(day, 0, 0, [0] * len(self.counts)))
        today = self._days[-1]
        self.evidence = max(0, self.evidence + increment)
        today.total += increment
        today.best = max(0, today.best + increment)
        today.counts[category] += 1
        self.counts[category] += 1
        self.seen += 1

    def roll(self, day: int) -> None:
        """Begin ``day``, later than every one before: what is out of the window is forgotten."""
        self.evidence = self.evidence_on(day)
        while self._days and self._days[0].day <= day - WINDOW_DAYS:
            for category, count in enumerate(self._days.popleft().counts):
                self.counts[category] -= count
                self.seen -= count

    def evidence_on(self, day: int) -> int:
        """What the evidence would be at the beginning of a later day."""
        evidence = 0
        for one in self._days:
            if one.day > day - WINDOW_DAYS:
                evidence = max(evidence + one.total, one.best)
        return evidence

    def restart(self) -> None:
        """Begin anew, with nothing."""
        self._days.clear()
        self.counts = [0] * len(self.counts)
        self.evidence = self.seen = 0
