# SPDX-License-Identifier: Apache-2.0
"""What a gate process measures of itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from sekisho.adapters.metrics import GAUGES
from sekisho.compose.gate_watching import Condition
from tests.gate_world import codes
from tests.unit.services.test_outside_world import odd, run


def test_every_gauge_that_is_offered_has_a_reading() -> None:
    """None is only a name; the lease's age and what is left of it make its duration."""

    async def story() -> None:
        world, _venue = await odd()
        assert codes(await world.ask(client_order_id="a")) == []
        gate: Any = SimpleNamespace(
            log=world.log,
            leasing=world.leasing,
            release=world.release,
            venue_watch=world.venue_watch,
            venues=["PAPER"],
        )
        parts: Any = SimpleNamespace(draining=False, under_way={}, turned_away=0, states=list)
        journal: Any = world.log.journal
        condition = Condition(gate, journal, parts, parts, lambda: True, ())
        before: Any = condition.readings()
        assert set(before) == set(GAUGES)
        world.clock.advance(2)
        after: Any = condition.readings()
        age, left = "sekisho_lease_age_seconds", "sekisho_lease_left_seconds"
        assert after[age] - before[age] == 2
        assert before[age] + before[left] == after[age] + after[left]
        assert before[age] >= 0

    run(story)
