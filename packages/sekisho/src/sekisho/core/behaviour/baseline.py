# SPDX-License-Identifier: Apache-2.0
"""The baseline: what an agent did in a stated window, counted (docs/spec/behaviour.md, section 3).

:class:`Collecting` counts; :func:`read_baseline` reads the object that a log entry holds. Nothing
here says what is normal: the counts do, once named people signed their digest.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

import msgspec

from sekisho.core.behaviour.arithmetic import bucket
from sekisho.core.behaviour.factors import FACTORS, NUMBERS, Observation
from sekisho.core.encoding import canonical, sha256_hex
from sekisho.core.errors import MalformedInput
from sekisho.core.terms import day_text, parse_day

SCHEMA: Final = "sekisho/baseline/v1"
DAYS_WITH_ORDERS_MIN: Final = 5
BASELINE_BYTES_MAX: Final = 49_152
"""A log entry (65,535 bytes) must hold it."""

_CLOSED: Final = {
    "hours": [f"{hour:02d}" for hour in range(48)],
    "stress": ["no", "yes"],
    "success": ["failed", "ok"],
}
"""Factors whose labels are known beforehand."""


class Collected(msgspec.Struct, frozen=True):
    """What was collected. ``missing``: one sentence for each thing that keeps it from being
    complete.
    """

    baseline: dict[str, Any]
    sha256: str
    complete: bool
    missing: tuple[str, ...]


class FactorCounts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One factor of a baseline: ``counts`` are (label or bucket, count), sorted, above 0."""

    n: int
    counts: tuple[tuple[int | str, int], ...]


class Baseline(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"first": "from", "last": "to"}
):
    """A baseline as it is hashed and locked; ``first`` and ``last`` are policy days."""

    schema: str
    agent: str
    first: str
    last: str
    orders: int
    days: int
    factors: dict[str, FactorCounts]


def read_baseline(plain: dict[str, Any]) -> Baseline:
    """A baseline as a log entry holds it.

    Raises:
        MalformedInput: not what the specification says; ``where`` names the factor.
    """
    try:
        baseline = msgspec.convert(plain, Baseline)
    except msgspec.ValidationError as error:
        raise MalformedInput(f"baseline: {error}", "baseline") from error
    if baseline.schema != SCHEMA or set(baseline.factors) != set(FACTORS):
        raise MalformedInput(f"baseline: not {SCHEMA} with its {len(FACTORS)} factors", "baseline")
    parse_day(baseline.first, "from")
    parse_day(baseline.last, "to")
    for name in FACTORS:
        _check(name, baseline.factors[name])
    return baseline


def _check(name: str, factor: FactorCounts) -> None:
    buckets = [key for key, _ in factor.counts if isinstance(key, int)]
    labels = [key for key, _ in factor.counts if isinstance(key, str)]
    if labels if name in NUMBERS else buckets:
        raise MalformedInput(f"baseline: {name} counts something else than its sort", name)
    if any(key not in _CLOSED.get(name, labels) for key in labels) or min(buckets, default=0) < 0:
        raise MalformedInput(f"baseline: {name} has a label or bucket that cannot be", name)
    if any(earlier >= later for earlier, later in pairwise(buckets)) or any(
        earlier >= later for earlier, later in pairwise(labels)
    ):
        raise MalformedInput(f"baseline: the rows of {name} are not sorted", name)
    if any(count <= 0 for _, count in factor.counts):
        raise MalformedInput(f"baseline: a row of {name} counts nothing", name)
    if factor.n != sum(count for _, count in factor.counts):
        raise MalformedInput(f"baseline: the rows of {name} do not add up to its n", name)


class Collecting:
    """Counts an agent's observations while its window lasts.

    ``first`` and ``last`` are policy days (days since 1970-01-01), None before the first new
    decision.
    """

    __slots__ = ("_agent", "_counts", "_last_day", "days", "first", "last", "orders")

    def __init__(self, agent: str) -> None:
        self._agent = agent
        self._counts: dict[str, dict[int | str, int]] = {name: {} for name in FACTORS}
        self._last_day: int | None = None
        self.first: int | None = None
        self.last: int | None = None
        self.orders = 0
        self.days = 0

    def new_decision(self, day: int, window_days: int) -> None:
        """A new decision on a policy day; the first one begins the window of ``window_days``."""
        if self.last is None:
            self.first, self.last = day, day + window_days - 1
        if day > self.last:
            return
        self.orders += 1
        if day != self._last_day:
            self.days += 1
            self._last_day = day

    def observe(self, day: int, observation: Observation) -> None:
        """Count one observation, if its policy day lies in the window."""
        if self.last is None or day > self.last:
            return
        name, value = observation
        key = bucket(value) if isinstance(value, int) else value
        counts = self._counts[name]
        counts[key] = counts.get(key, 0) + 1

    def collected(self, day: int, orders_min: int) -> Collected:
        """The baseline as it is on a policy day, and what is missing for it to be complete."""
        plain = self._plain()
        data = canonical(plain)
        missing = tuple(self._missing(day, orders_min, len(data)))
        return Collected(plain, sha256_hex(data), not missing, missing)

    def _plain(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "agent": self._agent,
            "from": "" if self.first is None else day_text(self.first),
            "to": "" if self.last is None else day_text(self.last),
            "orders": self.orders,
            "days": self.days,
            "factors": {
                name: {
                    "n": sum(counts.values()),
                    "counts": [[key, counts[key]] for key in sorted(counts, key=_row_key)],
                }
                for name, counts in self._counts.items()
            },
        }

    def _missing(self, day: int, orders_min: int, size: int) -> list[str]:
        if self.first is None or self.last is None:
            return ["no order was asked yet, so the window has not begun"]
        missing = []
        if day <= self.last:
            missing.append(f"the window ends with {day_text(self.last)}")
        if self.orders < orders_min:
            missing.append(
                f"{self.orders} orders were asked in it, at least {orders_min} are needed"
            )
        days_min = min(DAYS_WITH_ORDERS_MIN, self.last - self.first + 1)
        if self.days < days_min:
            missing.append(f"{self.days} days have an order, at least {days_min} are needed")
        if size > BASELINE_BYTES_MAX:
            missing.append(f"it has {size} bytes, at most {BASELINE_BYTES_MAX} fit into an entry")
        return missing


def _row_key(key: int | str) -> tuple[int, bytes]:
    """Buckets by value, labels by their bytes; a factor has one sort only."""
    return (key, b"") if isinstance(key, int) else (0, key.encode())
