# SPDX-License-Identifier: Apache-2.0
"""The gate's lease, and the agents that it speaks of."""

from __future__ import annotations

import asyncio

from tests.gate_world import GateWorld
from tests.ledger_doubles import give_turn


def test_order_waits_for_the_lease_that_speaks_of_its_certificate() -> None:
    """An agent admitted while a lease was under way is in the next one, and no order is lost."""

    async def story() -> None:
        world = await GateWorld.start()
        await world.leasing.renew()
        held = world.log.state.lease
        assert held is not None
        held.status.clear()  # asked for before the agent was admitted
        world.clock.advance(0.2)
        assert (await world.ask()).kind == "permitted"
        held = world.log.state.lease
        assert held is not None
        held.status.clear()
        renewing = asyncio.ensure_future(world.leasing.renew())
        await give_turn()
        assert (await world.ask(client_order_id="o-2")).kind == "permitted"
        await renewing

    asyncio.run(story())
