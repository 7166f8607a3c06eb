# SPDX-License-Identifier: Apache-2.0
"""A baseline as a person reads it who is to sign it off.

Every line is computed from the counts that the digest covers, and from nothing else. Numbers are
the floors of their buckets, so at most 1/64 below what was seen.
"""

from __future__ import annotations

from typing import Any, Final

from sekisho.core.amounts import CENT, format_money
from sekisho.core.behaviour.arithmetic import bucket_floor
from sekisho.core.behaviour.baseline import Baseline, FactorCounts, read_baseline
from sekisho.core.behaviour.factors import ESTABLISHED_FROM, FACTORS

_NONE: Final = "none observed"
_HOURS: Final = 24
_SHOWN: Final = 8
"""Labels of a mix that are named; the rest is summed up."""


def describe(baseline: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """A baseline object as (what, text) in the order in which it is read.

    Raises:
        MalformedInput: not a baseline.
    """
    read = read_baseline(baseline)
    factors = read.factors
    return (
        ("agent", read.agent),
        ("window", f"{read.first} to {read.last}"),
        ("orders", str(read.orders)),
        ("days with orders", str(read.days)),
        ("orders per day", _tenths(read.orders, read.days)),
        ("size, median", _size(factors["size"], 50)),
        ("size, 95 % at most", _size(factors["size"], 95)),
        ("size, largest", _size(factors["size"], 100)),
        ("orders per hour, 95 % at most", _quantile(factors["frequency"], 95)),
        ("markets", _mix(factors["market"])),
        ("peak hours", _peak(factors["hours"])),
        ("in stressed markets", _share(factors["stress"], "yes")),
        ("counterparties", _mix(factors["counterparty"])),
        ("latency, median", _ms(factors["latency"], 50)),
        ("latency, 95 % at most", _ms(factors["latency"], 95)),
        ("success rate", _share(factors["success"], "ok")),
        ("not established", _not_established(read)),
    )


def _floor_at(factor: FactorCounts, percent: int) -> int | None:
    """Floor of the smallest bucket at which the counts reach a share; None without any."""
    reached = 0
    for key, count in factor.counts:
        reached += count
        if reached * 100 >= percent * factor.n:
            return bucket_floor(int(key))
    return None


def _quantile(factor: FactorCounts, percent: int) -> str:
    floor = _floor_at(factor, percent)
    return _NONE if floor is None else str(floor)


def _size(factor: FactorCounts, percent: int) -> str:
    floor = _floor_at(factor, percent)
    return _NONE if floor is None else format_money(floor * CENT)


def _ms(factor: FactorCounts, percent: int) -> str:
    floor = _floor_at(factor, percent)
    return _NONE if floor is None else f"{floor} ms"


def _tenths(numerator: int, denominator: int) -> str:
    """A ratio with one decimal, rounded down."""
    if denominator == 0:
        return _NONE
    tenths = numerator * 10 // denominator
    return f"{tenths // 10}.{tenths % 10}"


def _percent(part: int, whole: int) -> str:
    """A share with one decimal, rounded half up."""
    return f"{_tenths(part * 2000 + whole, whole * 20)} %"


def _share(factor: FactorCounts, label: str) -> str:
    if factor.n == 0:
        return _NONE
    return _percent(sum(count for key, count in factor.counts if key == label), factor.n)


def _mix(factor: FactorCounts) -> str:
    """Labels by their share, the largest first."""
    if factor.n == 0:
        return _NONE
    rows = sorted((-count, str(key)) for key, count in factor.counts)
    parts = [f"{label} {_percent(-count, factor.n)}" for count, label in rows[:_SHOWN]]
    rest = sum(-count for count, _ in rows[_SHOWN:])
    if rest:
        parts.append(f"{len(rows) - _SHOWN} others {_percent(rest, factor.n)}")
    return ", ".join(parts)


def _peak(factor: FactorCounts) -> str:
    """The two hours in a row, of any day, with most orders; the earliest of equals."""
    if factor.n == 0:
        return _NONE
    hours = [0] * _HOURS
    for key, count in factor.counts:
        hours[int(key) % _HOURS] += count
    spans = [hours[at] + hours[(at + 1) % _HOURS] for at in range(_HOURS)]
    at = spans.index(max(spans))
    return f"{at:02d}:00-{(at + 2) % _HOURS:02d}:00, {_percent(spans[at], factor.n)} of orders"


def _not_established(baseline: Baseline) -> str:
    names = [
        f"{name} ({baseline.factors[name].n} of {ESTABLISHED_FROM} observations)"
        for name in FACTORS
        if baseline.factors[name].n < ESTABLISHED_FROM
    ]
    return ", ".join(names) or "none: every factor is"
