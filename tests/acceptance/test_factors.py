# SPDX-License-Identifier: Apache-2.0
"""Each factor of the risk score alone, fed through the ports: it moves, and it can stop the agent.

A tier-1 bank's FX bot goes live after a fortnight. In its second week one thing about it changes
and nothing else does: it trades later in the day, or larger, or always with the same counterparty.
Nobody is asked; the score crosses its threshold and the agent is held.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.acceptance.bank import FX, SECOND_WEEK
from tests.living_world import LivingWorld

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
        await world.trade_until(SECOND_WEEK, 21, habit)
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
        await world.trade_until(SECOND_WEEK, 21, FX)
        assert (world.status, world.incidents()) == ("good", [])
        await world.close()

    asyncio.run(story())
