# SPDX-License-Identifier: Apache-2.0
"""The baseline: what was counted of an agent in its window (docs/spec/behaviour.md section 3).

A profile is one factor of it, and knows how rare a value is (section 4) and in which category it
falls (section 5). Nothing here knows of entries; `behaviour` says what is observed.
"""

from __future__ import annotations

import bisect
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from sekisho_verify import canonical
from sekisho_verify.crossed import FACTORS
from sekisho_verify.decades import bucket, bucket_floor, lg
from sekisho_verify.findings import require

NUMBERS = frozenset({"size", "frequency", "latency"})
ONE_SIDED = frozenset({"size", "frequency", "latency", "hours", "stress", "success"})
OF_AN_ORDER = frozenset({"size", "frequency", "market", "hours", "stress", "counterparty"})
"""Factors of the anomaly score; the others are of the risk score only."""

_FIXED = {"stress": ("no", "yes"), "success": ("ok", "failed")}
_EDGES = (50, 75, 90, 97, 100)
_ESTABLISHED = 20
_FEE = 1_302_883
_WEIGHT_MIN = 30
_DAYS_MIN = 5
_BYTES_MAX = 49_152

Value = int | str
Observation = tuple[str, Value]
"""Factor and what was observed: an integer of a number, a label of a label."""


class Profile:
    """Counts of one factor, never empty; keys are labels, or buckets of numbers.

    Attributes:
        factor: its name.
        n: number of observations.
        weight: m of section 5.
        fee: f of section 5.
        shares: c_k of each category.
    """

    def __init__(self, factor: str, counts: Mapping[Value, int]) -> None:
        self.factor = factor
        self.n = sum(counts.values())
        self.weight = max(_WEIGHT_MIN, self.n // 4)
        self._counts = counts
        if factor in NUMBERS:
            self._keys = sorted(key for key in counts if isinstance(key, int))
            self._sums = list(itertools.accumulate(counts[key] for key in self._keys))
            self._edges = [self._edge(percent) for percent in _EDGES]
        else:
            self._sizes = sorted(counts.values())
            self._sums = list(itertools.accumulate(self._sizes))
            self._categories = self._label_categories()
        self.shares = self._shares()
        self.fee = _FEE * (len(self.shares) - 1) // (2 * self.n)

    def _edge(self, percent: int) -> int:
        """The smallest bucket up to which so many per cent lie."""
        for key, total in zip(self._keys, self._sums, strict=True):
            if total * 100 >= percent * self.n:
                return key
        return self._keys[-1]

    def _label_categories(self) -> dict[Value, int]:
        """Category of each label; what is not in it is of the last category."""
        if self.factor in _FIXED:
            return {label: number for number, label in enumerate(_FIXED[self.factor])}
        labels = sorted(str(label) for label in self._counts)
        if self.factor != "hours":
            return {label: number for number, label in enumerate(labels)}
        usual: dict[Value, int] = {}
        total = 0
        for label in sorted(labels, key=lambda one: (self._counts[one], one)):
            total += self._counts[label]
            if total * 100 > self.n:
                usual[label] = 0
        return usual

    def _shares(self) -> list[int]:
        if self.factor in NUMBERS:
            size = len(_EDGES) + 1
        elif self.factor in _FIXED or self.factor == "hours":
            size = 2
        else:
            size = len(self._counts) + 1
        shares = [0] * size
        for key, count in self._counts.items():
            shares[self._category_of_key(key, size)] += count
        return shares

    def _category_of_key(self, key: Value, size: int) -> int:
        if isinstance(key, int):
            return bisect.bisect_left(self._edges, key)
        return self._categories.get(key, size - 1)

    def category(self, value: Value) -> int:
        """The category of an observation (section 5)."""
        key = bucket(value) if isinstance(value, int) else value
        return self._category_of_key(key, len(self.shares))

    def rarity(self, value: Value) -> int:
        """u = −lg p in micro-decades (section 4)."""
        if isinstance(value, int):
            return self._rarity_of_number(value)
        place = bisect.bisect_right(self._sizes, self._counts.get(value, 0))
        common = self._sums[place - 1] if place else 0
        return -lg(common + 1, self.n + 1)

    def _rarity_of_number(self, value: int) -> int:
        number = bucket(value)
        if number > self._keys[-1]:
            widest = max(1, bucket_floor(self._keys[-1]))
            return lg(self.n + 1, 1) + 4 * lg(value, widest)
        place = bisect.bisect_left(self._keys, number)
        below = self._sums[place - 1] if place else 0
        return -lg(self.n - below + 1, self.n + 1)


class Baseline:
    """A baseline as computed: the document, its digest, and the factors that are established."""

    def __init__(self, document: dict[str, object], counts: Mapping[str, Counter[Value]]) -> None:
        self.document = document
        data = canonical.encode(document)
        self.sha256 = canonical.sha256(data)
        self._fits = len(data) <= _BYTES_MAX
        self.orders = canonical.integer_of(document["orders"])
        self.days = canonical.integer_of(document["days"])
        self._first = canonical.day_number(document["from"])
        self._last = canonical.day_number(document["to"])
        enough = (name for name in FACTORS if counts[name].total() >= _ESTABLISHED)
        self.profiles = {name: Profile(name, counts[name]) for name in enough}

    def complete(self, today: int, orders_min: int) -> bool:
        """Whether it may be locked: the window is over, enough was seen, and an entry holds it."""
        length = self._last - self._first + 1
        enough = self.orders >= orders_min and self.days >= min(_DAYS_MIN, length)
        return enough and today > self._last and self._fits


class Habits:
    """What is counted before a baseline is in force, from the first new decision on."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[Value]] = {factor: Counter() for factor in FACTORS}
        self._days: set[int] = set()
        self._days_before = 0  # days that a history counted, but for its last one
        self._orders = 0
        self._first = 0
        self._last: int | None = None

    def order(self, day: int, length: int) -> None:
        """One new decision on this day; of the first one, `length` is that of the window."""
        if self._last is None:
            self._first, self._last = day, day + length - 1
        if day <= self._last:
            self._days.add(day)
            self._orders += 1

    def add(self, day: int, observations: Iterable[Observation]) -> None:
        """Observations of an entry that is applied on this day."""
        if self._last is not None and day <= self._last:
            for factor, value in observations:
                key = bucket(value) if isinstance(value, int) else value
                self._counts[factor][key] += 1

    def rows(self) -> Iterator[list[object]]:
        """The rows of an agent's history that say what was counted (history.md 3)."""
        if self._last is None:
            return
        latest = max(self._days)
        counts = (self._first, self._last, latest, self._orders, self._count_days())
        yield ["window", *map(str, counts)]
        for factor in sorted(FACTORS):
            for key, count in _sorted_counts(factor, self._counts[factor]):
                yield ["habit", factor, key, str(count)]

    def take_row(self, members: list[object]) -> None:
        """One of these rows again. Raises ValueError, KeyError: it is none."""
        if len(members) == 5:
            first, last, latest, orders, days = (int(str(one)) for one in members)
            self._first, self._last, self._orders = first, last, orders
            self._days, self._days_before = {latest}, days - 1
            return
        factor, key, count = members
        self._counts[str(factor)][_key(key)] = int(str(count))

    def _count_days(self) -> int:
        return len(self._days) + self._days_before

    def baseline(self, agent: str) -> Baseline | None:
        """The baseline of the window; None before the first new decision."""
        if self._last is None:
            return None
        document: dict[str, object] = {
            "schema": "sekisho/baseline/v1",
            "agent": agent,
            "from": canonical.day_text(self._first),
            "to": canonical.day_text(self._last),
            "orders": self._orders,
            "days": self._count_days(),
            "factors": {name: _factor(name, self._counts[name]) for name in FACTORS},
        }
        return Baseline(document, self._counts)


def _factor(name: str, counts: Counter[Value]) -> dict[str, object]:
    """Number and rows of a factor, sorted: buckets as numbers, labels by their bytes."""
    return {"n": counts.total(), "counts": [list(row) for row in _sorted_counts(name, counts)]}


def _sorted_counts(name: str, counts: Counter[Value]) -> list[tuple[Value, int]]:
    number = name in NUMBERS

    def place(row: tuple[Value, int]) -> tuple[Value, bytes]:
        return (row[0], b"") if number else (0, str(row[0]).encode())

    return sorted(counts.items(), key=place)


def read(document: dict[str, object]) -> Baseline:
    """A baseline that came with a history.

    Raises:
        VerificationFailed: it is none.
    """
    factors = canonical.object_of(document["factors"])
    counts: dict[str, Counter[Value]] = {}
    for name in FACTORS:
        counted = canonical.array_of(canonical.object_of(factors[name])["counts"])
        rows = [canonical.array_of(row) for row in counted]
        counts[name] = Counter({_key(row[0]): canonical.integer_of(row[1]) for row in rows})
        require(_factor(name, counts[name]) == factors[name], f"baseline factor `{name}` is none")
    return Baseline(document, counts)


def _key(value: object) -> Value:
    if isinstance(value, str):
        return value
    return canonical.integer_of(value)
