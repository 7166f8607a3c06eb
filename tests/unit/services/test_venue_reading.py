# SPDX-License-Identifier: Apache-2.0
"""Orders that come while their venue is being read: who waits for the answer, and who does not."""

from __future__ import annotations

import asyncio

import pytest

from sekisho.core.events import VenueLost
from sekisho.services.venuewatch import STALE_S
from tests.gate_world import codes
from tests.unit.services.test_outside_world import kinds, odd, run


@pytest.mark.parametrize(("unread_s", "waits"), [(STALE_S, False), (STALE_S + 1, True)])
def test_order_waits_for_a_reading_without_which_its_venue_is_lost(
    unread_s: int, waits: bool
) -> None:
    """A gate that slept reads as it wakes: the order that comes then is not refused for it."""

    async def story() -> None:
        world, venue = await odd()
        assert codes(await world.ask(client_order_id="a")) == []
        await world.venue_watch.reconcile()
        world.clock.advance(unread_s)
        world.quote()
        answers = venue.hang("reports_since")
        reading = asyncio.ensure_future(world.venue_watch.reconcile())
        asked = asyncio.ensure_future(world.ask(client_order_id="b"))
        for _ in range(60):
            await asyncio.sleep(0)
        assert waits is not asked.done()
        answers.set()
        assert codes(await asked) == []
        await reading
        assert kinds(world, VenueLost) == []

    run(story)
