# SPDX-License-Identifier: Apache-2.0
"""Orders that ask at the same time under one id, and until when a permit could still arrive."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sekisho.core.encoding import canonical
from sekisho.core.gate.permit import read_permit
from tests.gate_world import GateWorld, codes, scope_of
from tests.unit.gate.test_effects import FirstFace, turns


def test_other_content_under_an_id_that_is_under_way_is_refused() -> None:
    """It gets neither the permit nor the verdict of the order before it, and both are recorded."""

    async def story() -> None:
        world = await GateWorld.start()
        first, other, third = await asyncio.gather(
            world.ask(client_order_id="x", quantity="10"),
            world.ask(client_order_id="x", quantity="20000"),
            world.ask(client_order_id="x", quantity="30"),
        )
        assert (codes(other), codes(third)) == (["duplicate_order_id"], ["duplicate_order_id"])
        assert len({first.decision, other.decision, third.decision}) == 3
        order = world.decision(other).order
        assert order is not None
        assert order["quantity"] == "20000"
        assert read_permit(first.permit).order["quantity"] == "10"
        assert len(world.venue.permits) == 1

    asyncio.run(story())


def test_same_content_under_an_id_that_is_under_way_is_one_order() -> None:
    """However many ask, also behind one with other content."""

    async def story() -> None:
        world = await GateWorld.start()
        answers = await asyncio.gather(
            world.ask(client_order_id="x", quantity="10"),
            world.ask(client_order_id="x", quantity="20000"),
            world.ask(client_order_id="x", quantity="10"),
        )
        assert answers[0] == answers[2]
        assert codes(answers[1]) == ["duplicate_order_id"]
        assert len(world.venue.permits) == 1

    asyncio.run(story())


def shorter(permit_s: int, lease_s: int) -> dict[str, Any]:
    """A policy with these lifetimes."""
    policy = scope_of()
    times = {"permit_lifetime_s": permit_s, "lease_s": lease_s}
    policy["risk_controls"] = policy["risk_controls"] | times
    return policy


@pytest.mark.parametrize("amended", [False, True])
def test_permit_ends_by_its_own_words_whatever_policy_came_after(*, amended: bool) -> None:
    """A new policy with a shorter lease shortens no permit that is out."""

    async def story() -> None:
        world = await GateWorld.start(shorter(10, 15))
        held = world.log.state.agents["bot"]
        name = "order-1"
        if amended:
            await world.ask()
            world.venue.silent, name = True, "a"
            body = {"action": "amend", "client_order_id": name, "orig_client_order_id": "order-1"}
            await world.ask(canonical(body | {"quantity": "21000"}))
        else:
            world.venue.silent = True
            await world.ask()
        world.venue.permits.clear()  # it never saw it
        world.venue.resting.clear()
        world.admit(shorter(1, 2))
        for seconds, expected in ((9.999, True), (0.001, False)):
            world.clock.advance(seconds)
            await world.release.ask("PAPER", "bot", name)
            assert (held.find(name) is not None) is expected

    asyncio.run(story())


def test_order_under_a_pending_amendment_is_asked_about_by_both_permits() -> None:
    """The amendment's permit may end before that of the order itself."""

    async def story() -> None:
        world = await GateWorld.start(shorter(10, 15))
        world.venue.silent = True
        await world.ask()
        world.admit(shorter(1, 2))
        body = {"action": "amend", "client_order_id": "a", "orig_client_order_id": "order-1"}
        await world.ask(canonical(body | {"quantity": "21000"}))
        world.venue.permits.clear()
        held = world.log.state.agents["bot"]
        for seconds, expected in ((9.999, True), (0.001, False)):
            world.clock.advance(seconds)
            await world.release.ask("PAPER", "bot", "order-1")
            assert (held.find("order-1") is not None) is expected

    asyncio.run(story())


def test_permit_that_may_have_been_made_ends_no_later_than_a_lease() -> None:
    """A crash between the record and the signature: no permit in the log tells its end."""

    async def story() -> None:
        world = await GateWorld.start(shorter(2, 15))
        gate = asyncio.Event()
        world.signer.before = gate.wait
        waiting = asyncio.create_task(world.ask())
        await turns(lambda: world.release.flights("bot") > 0)
        waiting.cancel()
        disk = world.disk.crash(FirstFace())
        again = await GateWorld.start(disk=disk, clock=world.clock)
        held = again.log.state.agents["bot"]
        for seconds, expected in ((14.999, True), (0.001, False)):
            again.clock.advance(seconds)
            await again.release.ask("PAPER", "bot", "order-1")
            assert (held.find("order-1") is not None) is expected

    asyncio.run(story())
