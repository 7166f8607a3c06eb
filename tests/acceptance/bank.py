# SPDX-License-Identifier: Apache-2.0
"""The bank of the other case study: the limits of its FX bot, its habits, its first live week."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.core.terms import DAY_S, NS
from tests.embedded_world import AGENT, policy_of, prepared
from tests.living_world import CERTIFIED, Habit, LivingWorld

FX = Habit(orders=30, hours=(8, 17), sizes=(800_000, 1_200_000))
"""Thirty orders of about a million a day; the scope allows fifty millions."""
SECOND_WEEK = 21
"""The Monday after the first live week, counted from the first Monday."""


def fx_policy() -> dict[str, Any]:
    """Fifty millions an order and a day, any hour of a weekday; held at a score of 0.85."""
    policy = copy.deepcopy(
        policy_of(
            order_notional_max="50000000",
            daily_notional_max="50000000",
            market_stress={
                "action": "score",
                "spread_max": "0.002",
                "move_max": "0.5",
                "window_s": 60,
            },
        )
    )
    policy["risk_controls"] = {"hold_threshold": "0.85", "breaker_threshold": "0.85"}
    return policy


async def first_week(folder: Path) -> LivingWorld:
    """A fortnight observed, the baseline locked, one ordinary live week; closed again."""
    clock = SteppedClock(CERTIFIED)
    await prepared(folder, fx_policy(), clock)
    world = LivingWorld(folder, clock)
    await world.open()
    await world.gate.admit(AGENT)
    await world.trade_until(0, 14, FX)
    clock.advance_to(CERTIFIED + 17 * DAY_S * NS)
    await world.go_live()
    await world.trade_until(14, 7, FX)
    assert (world.status, world.incidents()) == ("good", [])
    await world.close()
    return world
