# SPDX-License-Identifier: Apache-2.0
"""Evidence that one factor has left its baseline (docs/spec/behaviour.md, section 5).

A bet against the baseline: it wins when a distribution that learns from what is observed foretells
it better than the baseline does. What it won is the evidence, in micro-decades; ``accumulation``
adds it up over the days of the window.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from sekisho.core.behaviour.accumulation import Accumulation
from sekisho.core.behaviour.arithmetic import bucket, lg
from sekisho.core.behaviour.baseline import FactorCounts
from sekisho.core.behaviour.factors import NUMBERS

INCREMENT_MAX: Final = 1_500_000
"""No single observation wins more than this."""

_FEE: Final = 1_302_883
"""Three natural units: for each category beyond the first, what a finite baseline cannot know."""
_PRIOR_MIN: Final = 30
_PRIOR_SHARE: Final = 4
_EDGES: Final = (50, 75, 90, 97, 100)
_TWO_SIDED: Final = frozenset({"market", "counterparty"})
_USUAL: Final = {"stress": "no", "success": "ok"}


class Categories:
    """The categories of one factor, and the baseline's count of each."""

    __slots__ = ("_edges", "_labels", "_other", "counts", "one_sided")

    def __init__(self, name: str, factor: FactorCounts) -> None:
        self.one_sided = name not in _TWO_SIDED
        self._edges: list[int] = []
        self._labels: dict[str, int] = {}
        if name in NUMBERS:
            self._edges = _edges(factor)
            self._other = len(_EDGES)
        elif name in _TWO_SIDED:
            self._labels = {str(key): at for at, (key, _) in enumerate(factor.counts)}
            self._other = len(self._labels)
        else:
            usual = _usual_hours(factor) if name == "hours" else [_USUAL[name]]
            self._labels = dict.fromkeys(usual, 0)
            self._other = 1
        self.counts = [0] * (self._other + 1)
        for key, count in factor.counts:
            at = self.of(key) if isinstance(key, str) else bisect_left(self._edges, key)
            self.counts[at] += count

    def of(self, value: int | str) -> int:
        """The category of an observation: of a number, how many edges its bucket is beyond."""
        if isinstance(value, str):
            return self._labels.get(value, self._other)
        return bisect_left(self._edges, bucket(value))


def _edges(factor: FactorCounts) -> list[int]:
    """For each share the smallest bucket at which the counts reach it."""
    edges, reached = [], 0
    shares = list(_EDGES)
    for key, count in factor.counts:
        reached += count
        while shares and reached * 100 >= shares[0] * factor.n:
            edges.append(int(key))
            del shares[0]
    return edges


def _usual_hours(factor: FactorCounts) -> list[str]:
    """The hours of the baseline without its rarest, which have at most one observation in 100."""
    usual, passed = [], 0
    for count, label in sorted((count, str(key)) for key, count in factor.counts):
        passed += count
        if passed * 100 > factor.n:
            usual.append(label)
    return usual


class Wager(Accumulation):
    """The bet on one established factor."""

    __slots__ = ("_baseline", "_categories", "_fee", "_most", "_prior")

    def __init__(self, name: str, factor: FactorCounts) -> None:
        self._categories = Categories(name, factor)
        counts = self._categories.counts
        super().__init__(len(counts))
        self._baseline = [2 * count + 1 for count in counts]
        self._most = 2 * factor.n + len(counts)
        self._prior = max(_PRIOR_MIN, factor.n // _PRIOR_SHARE)
        self._fee = _FEE * (len(counts) - 1) // (2 * factor.n)

    def observe(self, day: int, value: int | str) -> None:
        """Bet on one observation of policy day ``day``, the day that was rolled to."""
        category = self._categories.of(value)
        self.add(day, self._increment(category), category)

    def _increment(self, category: int) -> int:
        counts, seen = self.counts, self.seen
        if self._categories.one_sided and counts[0] * self._most > seen * self._baseline[0]:
            return 0  # more is usual than the baseline had: no reason for suspicion
        baseline, prior = self._baseline[category], self._prior
        won = lg(counts[category] * self._most + prior * baseline, (seen + prior) * baseline)
        return min(INCREMENT_MAX, won - self._fee)
