# SPDX-License-Identifier: Apache-2.0
"""A baseline in a few lines that a person can read (docs/spec/behaviour.md, section 3).

It repeats what the locked object says; it scores nothing and judges nothing.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from sekisho.core.amounts import CENT, format_money
from sekisho.core.errors import MalformedInput
from sekisho.core.events import BaselineAdopted

ESTABLISHED_MIN: Final = 20
"""Observations from which on a factor is established."""
LABELS_MAX: Final = 200
NUMBERS: Final = {
    "size": "money",
    "frequency": "orders within an hour",
    "latency": "ms",
}
"""Factors counted in buckets, and their unit."""
_EXACT_BELOW: Final = 128


class CountedFactor(msgspec.Struct, frozen=True):
    """One factor as locked: rows of (label or bucket, count)."""

    n: int
    counts: tuple[tuple[int | str, int], ...]


class LockedCounts(msgspec.Struct, frozen=True, rename={"first": "from", "last": "to"}):
    """What is read of a locked baseline."""

    first: str
    last: str
    orders: int
    days: int
    factors: dict[str, CountedFactor]


def floor_of(bucket: int) -> int:
    """The smallest integer of a bucket (docs/spec/behaviour.md, section 1)."""
    if bucket < _EXACT_BELOW:
        return bucket
    shift = bucket // 64 - 1
    return (bucket - 64 * shift) << shift


def read_counts(plain: dict[str, Any]) -> LockedCounts:
    """The baseline of a log entry.

    Raises:
        MalformedInput: not what section 3 says.
    """
    try:
        return msgspec.convert(plain, LockedCounts)
    except msgspec.ValidationError as error:
        raise MalformedInput(f"baseline: {error}", "baseline") from error


def digest_of(entry: BaselineAdopted, locked: LockedCounts) -> dict[str, Any]:
    """The baseline for the report: window, and each factor's middle, upper end and most frequent.

    Values are floors of buckets, at most 1/64 below what was observed; money is text.
    """
    return {
        "adopted_at": entry.at,
        "baseline_sha256": entry.baseline_sha256,
        "from": locked.first,
        "to": locked.last,
        "orders": locked.orders,
        "days": locked.days,
        "factors": [_factor(name, factor) for name, factor in locked.factors.items()],
    }


def labels_of(locked: LockedCounts, factor: str) -> list[tuple[str, int]]:
    """Labels of a factor with their counts, the most frequent first; empty where there are none."""
    counted = locked.factors.get(factor)
    rows = [(str(label), count) for label, count in counted.counts] if counted else []
    return sorted(rows, key=lambda row: (-row[1], row[0]))[:LABELS_MAX]


def _factor(name: str, factor: CountedFactor) -> dict[str, Any]:
    row: dict[str, Any] = {
        "factor": name,
        "n": factor.n,
        "established": factor.n >= ESTABLISHED_MIN,
        "unit": NUMBERS.get(name, "label"),
        "labels": 0 if name in NUMBERS else len(factor.counts),
        "median": "",
        "p95": "",
        "largest": "",
        "most_frequent": "",
        "most_frequent_count": 0,
    }
    if not factor.counts:
        return row
    if name in NUMBERS:
        buckets = [(bucket, count) for bucket, count in factor.counts if isinstance(bucket, int)]
        row["median"] = _shown(name, _quantile(buckets, factor.n, 50))
        row["p95"] = _shown(name, _quantile(buckets, factor.n, 95))
        row["largest"] = _shown(name, _quantile(buckets, factor.n, 100))
    else:
        label, count = min(factor.counts, key=lambda pair: (-pair[1], str(pair[0])))
        row["most_frequent"], row["most_frequent_count"] = str(label), count
    return row


def _quantile(buckets: list[tuple[int, int]], n: int, percent: int) -> int:
    """The floor of the smallest bucket up to which at least so many percent were counted."""
    reached = 0
    for bucket, count in buckets:
        reached += count
        if reached * 100 >= percent * n:
            return floor_of(bucket)
    raise MalformedInput("baseline: the counts of a factor do not sum to its n", "baseline")


def _shown(name: str, value: int) -> str:
    return format_money(value * CENT) if name == "size" else str(value)
