# SPDX-License-Identifier: Apache-2.0
"""Each factor of the risk score alone, fed through the ports: it moves, and it can stop the agent.

A tier-1 bank's FX bot goes live after a fortnight. In its second week one thing about it changes
and nothing else does: it trades later in the day, or larger, or always with the same counterparty.
Nobody is asked; the score crosses its threshold and the agent is held.
"""

from __future__ import annotations

import asyncio
import copy
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sekisho.adapters.simulated_clock import SteppedClock
from tests.embedded_world import AGENT, policy_of, prepared
from tests.living_world import CERTIFIED, Habit, LivingWorld

FX = Habit(orders=30, hours=(8, 17), sizes=(800_000, 1_200_000))
"""Thirty orders of about a million a day; the scope allows fifty millions a day."""
DRIFTS: dict[str, dict[str, Any]] = {
    "latency": {"latency_ms": (58, 60)},
    "size": {"sizes": (1_150_000, 1_200_000)},
    "stress": {"stressed": True},
    "counterparty": {"counterparties": ("KRAKEN",)},
    "market": {"markets": ("GBP/EUR",)},
    "hours": {"hours": (17, 23)},
    "frequency": {"orders": 46},
    "success": {"rejected": True},
}


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


async def begun(folder: Path) -> LivingWorld:
    """A fortnight observed, the baseline locked, one ordinary live week; closed again."""
    clock = SteppedClock(CERTIFIED)
    await prepared(folder, fx_policy(), clock)
    world = LivingWorld(folder, clock)
    await world.open()
    await world.gate.admit(AGENT)
    await world.trade_until(0, 14, FX)
    clock.advance_to(CERTIFIED + 17 * 86_400 * 10**9)
    await world.go_live()
    await world.trade_until(14, 7, FX)
    assert (world.status, world.incidents()) == ("good", [])
    await world.close()
    return world


@pytest.fixture(scope="module")
def live_week(tmp_path_factory: pytest.TempPathFactory) -> LivingWorld:
    """The home at the end of its first live week."""
    return asyncio.run(begun(tmp_path_factory.mktemp("fx") / "home"))


@pytest.mark.parametrize("factor", DRIFTS)
def test_factor_alone_crosses_and_holds_the_agent(
    factor: str, live_week: LivingWorld, tmp_path: Path
) -> None:
    """One thing drifts for at most three weeks: that factor's score holds the agent, no other."""

    async def story() -> None:
        world = live_week.copied(tmp_path / "home", seed=7)
        await world.open()
        before = {name for name, score in world.risk().factors.items() if score > "0.500000"}
        habit = msgspec.structs.replace(FX, **DRIFTS[factor])
        await world.trade_until(21, 21, habit)
        incident = world.incidents()[-1]
        assert before == set()
        assert (incident.incident_kind, incident.score, incident.factor) == ("hold", "risk", factor)
        assert (world.status, world.story()) == ("hold", ["automatic_hold"])
        refused = await world.trade(world.clock.now_ns(), habit)
        assert str(refused.reasons[0].code) == "certificate_held"
        await world.close()

    asyncio.run(story())


def test_routine_alone_moves_nothing(live_week: LivingWorld, tmp_path: Path) -> None:
    """Three further weeks of the same routine: no incident, and a score far from its threshold."""

    async def story() -> None:
        world = live_week.copied(tmp_path / "home", seed=11)
        await world.open()
        await world.trade_until(21, 21, FX)
        assert (world.status, world.incidents()) == ("good", [])
        await world.close()

    asyncio.run(story())
