# SPDX-License-Identifier: Apache-2.0
"""How rare one observation is against one factor of a baseline (docs/spec/behaviour.md, section 4).

A rank among what was seen, never a probability that anybody believes in: the rarest that n
observations can show is one in n + 1, except for numbers beyond the largest, where a stated
assumption goes on.
"""

from __future__ import annotations

from bisect import bisect_left

from sekisho.core.behaviour.arithmetic import bucket, bucket_floor, lg, rarity_score
from sekisho.core.behaviour.baseline import FactorCounts

TAIL_STEEPNESS = 4
"""Ten times larger than ever seen: so many decades rarer."""


class Rarity:
    """The scores of one established factor. What was computed once is kept: rows are few."""

    __slots__ = ("_buckets", "_labels", "_largest", "_n", "_scores", "_suffix")

    def __init__(self, factor: FactorCounts) -> None:
        self._n = factor.n
        self._labels = _as_rare(factor)
        rows = [(key, count) for key, count in factor.counts if isinstance(key, int)]
        self._buckets = [key for key, _ in rows]
        self._largest = max(1, bucket_floor(rows[-1][0])) if rows else 1
        self._suffix: list[int] = []
        left = factor.n
        for _, count in rows:
            self._suffix.append(left)
            left -= count
        self._scores: dict[int, int] = {}

    def score(self, value: int | str) -> int:
        """The score of an observation, in millionths."""
        if isinstance(value, str):
            return self._ranked(self._labels.get(value, 0))
        at = bisect_left(self._buckets, bucket(value))
        if at < len(self._buckets):
            return self._ranked(self._suffix[at])
        return rarity_score(lg(self._n + 1, 1) + TAIL_STEEPNESS * lg(value, self._largest))

    def _ranked(self, as_rare: int) -> int:
        """The score where so many of the baseline's observations are at least as rare."""
        score = self._scores.get(as_rare)
        if score is None:
            score = self._scores[as_rare] = rarity_score(-lg(as_rare + 1, self._n + 1))
        return score


def _as_rare(factor: FactorCounts) -> dict[str, int]:
    """For each label how many observations have a label that is not more frequent."""
    sums: dict[int, int] = {}
    for _, count in factor.counts:
        sums[count] = sums.get(count, 0) + count
    reached, as_rare = 0, {}
    for count in sorted(sums):
        reached += sums[count]
        as_rare[count] = reached
    return {key: as_rare[count] for key, count in factor.counts if isinstance(key, str)}
