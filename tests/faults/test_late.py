# SPDX-License-Identifier: Apache-2.0
"""What the matrix found, each told once more as a short story of its own."""

from __future__ import annotations

import asyncio

import pytest

from sekisho.core.encoding import canonical
from sekisho.core.gate.working import WorkingOrder
from sekisho.ports import VenueReport
from sekisho.services import release
from sekisho.services.gatekeeper import Answer
from tests.gate_world import GateWorld

LIFETIME_S = 2


class Forgetful:
    """The stub venue's cancel, answered with ``not_found``; after ``late_s`` where one waits."""

    def __init__(self, world: GateWorld, late_s: float = 0) -> None:
        self._world = world
        self._late_s = late_s

    async def cancel(self, agent: str, client_order_id: str) -> tuple[VenueReport, ...]:
        world = self._world
        await world.clock.sleep(self._late_s)
        return (world.venue.report(world.venue.permits[0], "not_found"),)


def _cancel() -> bytes:
    return canonical(
        {"action": "cancel", "client_order_id": "c", "orig_client_order_id": "order-1"}
    )


def _order(world: GateWorld) -> WorkingOrder | None:
    return world.log.state.agents["bot"].find("order-1")


async def _resting(*, silent: bool = False) -> GateWorld:
    """An order that rests; of which a ``silent`` venue has said nothing."""
    world = await GateWorld.start()
    await world.venue_watch.reconcile()
    world.venue.silent = silent
    answer = await world.ask()
    assert ("unknown" if silent else "open") == answer.order_state
    return world


@pytest.mark.parametrize(
    ("took_s", "kind", "sent"), [(1.999999999, "permitted", 1), (2, "withdrawn", 0)]
)
def test_permit_that_ended_while_the_key_signed_does_not_leave(
    took_s: float, kind: str, sent: int
) -> None:
    """A permit leaves before its end or not at all: not every venue looks at it."""

    async def story() -> None:
        world = await GateWorld.start()
        await world.venue_watch.reconcile()

        async def slow() -> None:
            world.clock.advance(took_s)

        world.signer.before = slow
        answer = await world.ask()
        assert (kind, sent) == (answer.kind, len(world.venue.permits))
        if not sent:
            assert "permit_expired; signature destroyed" == answer.detail
            assert _order(world) is None

    asyncio.run(story())


@pytest.mark.parametrize(("passed_s", "held"), [(LIFETIME_S - 1, True), (LIFETIME_S, False)])
def test_cancel_answered_with_not_found_lets_go_only_when_no_permit_can_come(
    monkeypatch: pytest.MonkeyPatch, passed_s: int, held: bool
) -> None:
    """An order that the venue does not know may still be on its way: it stays reserved."""

    async def story() -> None:
        world = await _resting(silent=True)
        monkeypatch.setattr(world.venue, "cancel", Forgetful(world).cancel)
        world.clock.advance(passed_s)
        await world.gate.submit("bot", _cancel())
        assert held == (_order(world) is not None)

    asyncio.run(story())


def test_cancel_of_an_acknowledged_order_answered_with_not_found_lets_nothing_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The venue said that it rests: that it never saw it ends nothing, whatever the time."""

    async def story() -> None:
        world = await _resting()
        monkeypatch.setattr(world.venue, "cancel", Forgetful(world).cancel)
        world.clock.advance(LIFETIME_S)
        await world.gate.submit("bot", _cancel())
        order = _order(world)
        assert order is not None
        assert order.reserved > 0

    asyncio.run(story())


def test_cancel_answered_late_with_not_found_lets_nothing_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same holds for an answer that nobody waited for any more."""

    async def story() -> Answer:
        world = await _resting()
        monkeypatch.setattr(release, "CALL_S", 0.5)
        monkeypatch.setattr(world.venue, "cancel", Forgetful(world, 1).cancel)
        asked = asyncio.ensure_future(world.gate.submit("bot", _cancel()))
        for _ in range(5):  # it is given up after half a second, and answers after a whole one
            for _ in range(40):
                await world.clock.sleep(0)
            world.clock.advance(0.25)
        for _ in range(40):
            await world.clock.sleep(0)
        assert _order(world) is not None
        return await asked

    assert "permitted" == asyncio.run(story()).kind
