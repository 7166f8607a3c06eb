# SPDX-License-Identifier: Apache-2.0
"""The exchange of the case study: the habits of its bot, its days, its home on two mornings."""

from __future__ import annotations

from pathlib import Path

from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.core.terms import DAY_S, NS
from tests.embedded_world import AGENT, prepared
from tests.living_world import CERTIFIED, MONDAY, Habit, LivingWorld, crypto_policy

BOT = Habit()
GO_LIVE = 14
"""The Monday after the fortnight, counted from the first Monday."""
FRIDAY = 18
"""The Friday of the first live week."""


def at(day: int, clock: str) -> int:
    """A time of a day, day 0 being the first Monday; ns UTC."""
    hour, minute = clock.split(":")
    return MONDAY + (day * DAY_S + int(hour) * 3600 + int(minute) * 60) * NS


async def fortnight(folder: Path) -> LivingWorld:
    """The exchange on that Monday at 08:00: two weeks observed, nothing locked; closed."""
    clock = SteppedClock(CERTIFIED)
    await prepared(folder, crypto_policy(), clock)
    world = LivingWorld(folder, clock)
    await world.open()
    await world.gate.admit(AGENT)
    await world.trade_until(0, 12, BOT)
    # Refused by the scope, so that it is no part of what is learned.
    await world.trade(at(11, "16:59"), BOT, quantity="180000")
    clock.advance_to(at(GO_LIVE, "08:00"))
    await world.close()
    return world


async def live_week(before: LivingWorld, folder: Path) -> LivingWorld:
    """The exchange on Friday at 10:00: the baseline locked, four live days behind it; closed."""
    world = before.copied(folder, seed=3)
    await world.open()
    await world.go_live()
    await world.trade_until(GO_LIVE, 4, BOT)
    world.stepped.advance_to(at(FRIDAY, "10:00"))
    assert {answer.kind for answer in world.asked} == {"permitted"}
    await world.close()
    return world
