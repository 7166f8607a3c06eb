# SPDX-License-Identifier: Apache-2.0
"""What a gate process measures of itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from sekisho.adapters.metrics import GAUGES
from sekisho.compose.gate_watching import Condition
from tests.gate_world import codes
from tests.unit.services.test_outside_world import odd, run


def condition_of(world: Any, *, low: bool = False) -> Condition:
    """As much of a gate process as knows how it is."""
    gate: Any = SimpleNamespace(
        log=world.log,
        leasing=world.leasing,
        release=world.release,
        venue_watch=world.venue_watch,
        venues=["PAPER"],
    )
    parts: Any = SimpleNamespace(
        draining=False, under_way={}, turned_away=0, states=list, low_disk=lambda: low
    )
    return Condition(gate, world.log.journal, parts, parts, lambda: True, ())


def test_what_keeps_orders_away_is_named() -> None:
    """A disk without room and a history that is elsewhere: each is why the gate is not ready."""

    async def story() -> None:
        world, _venue = await odd()
        assert codes(await world.ask(client_order_id="a")) == []
        assert condition_of(world).missing() == []
        assert any("disk" in one for one in condition_of(world, low=True).missing())
        held = world.log.state.agents["bot"]
        held.awaited, held.awaited_from = 3, "gate-a"
        found = condition_of(world).missing()
        assert found == ["agent bot: its history is at gate gate-a; bring that gate back"]

    run(story)


def test_every_gauge_that_is_offered_has_a_reading() -> None:
    """None is only a name; the lease's age and what is left of it make its duration."""

    async def story() -> None:
        world, _venue = await odd()
        assert codes(await world.ask(client_order_id="a")) == []
        condition = condition_of(world)
        before: Any = condition.readings()
        assert set(before) == set(GAUGES)
        world.clock.advance(2)
        after: Any = condition.readings()
        age, left = "sekisho_lease_age_seconds", "sekisho_lease_left_seconds"
        assert after[age] - before[age] == 2
        assert before[age] + before[left] == after[age] + after[left]
        assert before[age] >= 0

    run(story)
