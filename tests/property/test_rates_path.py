# SPDX-License-Identifier: Apache-2.0
"""What holds for every seed, instant and history of the demonstration path."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sekisho.adapters.rates.bridge import FIXING_SLOT, SLOT_S, SLOTS_A_DAY, Fixing, mid_at
from sekisho.adapters.rates.ecb import EcbPath
from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.core.amounts import parse_amount
from sekisho.core.terms import NS

DAY = 20_000
seeds = st.text(max_size=8)
volatilities = st.integers(0, 5_000_000)


@st.composite
def histories(draw: st.DrawFn) -> tuple[Fixing, ...]:
    """Two to six fixings, gaps of one to seven days, moves of up to a half."""
    units = draw(st.integers(1_000, 10**13))
    fixings = [Fixing(DAY, units)]
    for _ in range(draw(st.integers(1, 5))):
        units = draw(st.integers(max(1, units // 2), units * 2))
        fixings.append(Fixing(fixings[-1].day + draw(st.integers(1, 7)), units))
    return tuple(fixings)


@given(histories(), seeds, volatilities)
def test_path_hits_every_fixing(fixings: tuple[Fixing, ...], seed: str, volatility: int) -> None:
    """At 14:15 UTC of a fixing's day the mid is the fixing, to the last digit."""
    for fixing in fixings:
        slot = fixing.day * SLOTS_A_DAY + FIXING_SLOT
        point = mid_at(fixings, slot, seed=seed, market="EUR/USD", volatility=volatility)
        assert point is not None
        assert point.ticks * point.tick == fixing.units


@given(histories(), seeds, volatilities, st.data())
def test_path_between_fixings_is_positive_and_the_same_each_time(
    fixings: tuple[Fixing, ...], seed: str, volatility: int, data: st.DataObject
) -> None:
    """Every slot between the first and the last fixing has one positive price, bid below ask."""
    first, last = fixings[0].day * SLOTS_A_DAY, fixings[-1].day * SLOTS_A_DAY
    slot = data.draw(st.integers(first, last)) + FIXING_SLOT
    paths = [
        EcbPath({"USD": fixings}, SteppedClock(0), seed, volatility=volatility) for _ in range(2)
    ]
    instant = slot * SLOT_S * NS + data.draw(st.integers(0, SLOT_S * NS - 1))
    one, other = (path.quotation("EUR/USD", instant) for path in paths)
    assert one is not None
    assert one == other
    assert 0 < parse_amount(one.bid) <= parse_amount(one.ask)


@given(histories(), seeds, st.data())
def test_path_without_volatility_lies_between_its_fixings(
    fixings: tuple[Fixing, ...], seed: str, data: st.DataObject
) -> None:
    """With no volatility the path never leaves the range of the two fixings beside it."""
    index = data.draw(st.integers(0, len(fixings) - 2))
    low, high = fixings[index], fixings[index + 1]
    span = (high.day - low.day) * SLOTS_A_DAY
    step = data.draw(st.integers(0, span))
    slot = low.day * SLOTS_A_DAY + FIXING_SLOT + step
    point = mid_at(fixings, slot, seed=seed, market="EUR/USD", volatility=0)
    assert point is not None
    ends = sorted((low.units, high.units))
    assert ends[0] <= point.ticks * point.tick <= ends[1]
