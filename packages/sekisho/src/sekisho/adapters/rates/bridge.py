# SPDX-License-Identifier: Apache-2.0
"""A seeded path between daily fixings, in integers (docs/reference/demo-rates.md).

Midpoint displacement: the value in the middle of an interval is the mean of its ends plus a
displacement drawn from SHA-256 of seed, market, day and slot; then each half in turn. The path hits
every fixing exactly, every slot can be computed alone, and the digits are the same on any machine.
It is a made-up path between real fixings, for demonstration; it forecasts and reports nothing.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from sekisho.core.amounts import SCALE
from sekisho.core.encoding import sha256
from sekisho.core.terms import DAY_S

SLOT_S = 5
SLOTS_A_DAY = DAY_S // SLOT_S
FIXING_SLOT = (14 * 3600 + 15 * 60) // SLOT_S
"""The slot of a day at which the path is at the day's fixing: the one that starts at 14:15 UTC."""
GAP_DAYS_MAX = 7
"""Between fixings further apart (a currency was suspended) there is no path."""
TICKS_MIN = 50_000
"""A fixing has at least so many ticks, where its own digits allow it."""

_CONTEXT = "sekisho/demo-rates/v1"


class Fixing(NamedTuple):
    """The fixing of one day (days since 1970-01-01), in units of 1e-8, above zero."""

    day: int
    units: int


class Point(NamedTuple):
    """The mid of one slot in ticks, and what a tick is in units of 1e-8."""

    ticks: int
    tick: int


def draw(seed: str, market: str, slot: int, purpose: str = "mid") -> int:
    """64 bits that belong to one slot (counted from 1970-01-01), 0 ≤ n < 2**64."""
    day, slot_of_day = divmod(slot, SLOTS_A_DAY)
    text = f"{_CONTEXT}\n{purpose}\n{seed}\n{market}\n{day}\n{slot_of_day}"
    return int.from_bytes(sha256(text.encode("utf-8"))[:8], "big")


def tick_of(first: int, second: int) -> int:
    """The largest power of ten, in units of 1e-8, of which both fixings are multiples and of which
    the first has at least TICKS_MIN: 1e-5 for EUR/USD at 1.1172, 1e-3 for EUR/JPY at 175.68.
    """
    tick = 1
    while first // (tick * 10) >= TICKS_MIN and first % (tick * 10) == 0 == second % (tick * 10):
        tick *= 10
    return tick


def displacement(drawn: int, start: int, width: int, volatility: int) -> int:
    """How far the middle of an interval lies from the mean of its ends, in ticks.

    Uniform on −a … a, with a = start × ⌊√(3 v² w / (4 · slots a day))⌋ / 1e8: the uniform law whose
    standard deviation is that of a Brownian bridge's midpoint.

    Args:
        drawn: 64 bits, see :func:`draw`.
        start: the fixing at which the stretch between two fixings starts, in ticks.
        width: length of the interval in slots.
        volatility: standard deviation of a day's move, a share in units of 1e-8.
    """
    share = math.isqrt(3 * volatility * volatility * width // (4 * SLOTS_A_DAY))
    reach = start * share // SCALE
    return (drawn * (2 * reach + 1) >> 64) - reach


def mid_at(
    fixings: Sequence[Fixing], slot: int, *, seed: str, market: str, volatility: int
) -> Point | None:
    """The mid of a slot; None before the first fixing, after the last, and in a long gap.

    Args:
        fixings: of one market, ordered by day, days distinct.
        slot: counted from 1970-01-01T00:00:00Z, SLOT_S seconds each.
        seed: chooses the path; any text.
        market: as in the fixings' source; part of what is drawn from.
        volatility: see :func:`displacement`.
    """
    index = bisect_right(fixings, slot, key=_slot_of) - 1
    if index < 0:
        return None
    first = fixings[index]
    if _slot_of(first) == slot:
        tick = tick_of(first.units, first.units)
        return Point(first.units // tick, tick)
    if index + 1 == len(fixings) or fixings[index + 1].day - first.day > GAP_DAYS_MAX:
        return None
    second = fixings[index + 1]
    tick = tick_of(first.units, second.units)
    start = low_value = first.units // tick
    high_value = second.units // tick
    low, high = _slot_of(first), _slot_of(second)
    while True:
        middle = (low + high) // 2
        value = (low_value + high_value) // 2 + displacement(
            draw(seed, market, middle), start, high - low, volatility
        )
        value = max(1, value)
        if middle == slot:
            return Point(value, tick)
        if slot < middle:
            high, high_value = middle, value
        else:
            low, low_value = middle, value


def _slot_of(fixing: Fixing) -> int:
    return fixing.day * SLOTS_A_DAY + FIXING_SLOT
