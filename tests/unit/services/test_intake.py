# SPDX-License-Identifier: Apache-2.0
"""The door before the gatekeeper: what counts as a cancel, and what bounds cancels and advice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from sekisho.core.encoding import canonical
from sekisho.core.terms import Code
from sekisho.services.admissionbudget import AdmissionBudget, BudgetLimits
from sekisho.services.advice import Advice
from sekisho.services.gatekeeper import Answer
from sekisho.services.intake import AdviceDoor, Intake, Room
from tests.gate_api_world import Purse
from tests.gate_world import GateWorld, order

ANSWER = Answer(kind="permitted", decision=1, reasons=())


def run(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(story())  # type: ignore[arg-type] # every story is a coroutine function


def cancel(name: str, target: str = "order-1") -> bytes:
    return canonical({"action": "cancel", "client_order_id": name, "orig_client_order_id": target})


class Door:
    """An intake whose gatekeeper answers when it is told to."""

    def __init__(self, room: Room | None = None) -> None:
        self.purse, self.taken, self.open = Purse(), list[bytes](), asyncio.Event()
        self.intake = Intake(self._submit, self.purse, room or Room())
        self.asked = 0

    async def _submit(self, _agent: str, body: bytes) -> Answer:
        self.taken.append(body)
        await self.open.wait()
        return ANSWER

    async def _desk(self, _agent: str, _body: bytes) -> Advice:
        self.asked += 1
        await self.open.wait()
        return Advice(would_pass=True, evaluated=True)

    async def send(self, *bodies: bytes, agent: str = "bot") -> list[asyncio.Task[Answer]]:
        """Hand bodies in, and let each come as far as it can."""
        sent = [asyncio.ensure_future(self.intake.submit(agent, body)) for body in bodies]
        for _ in range(3):
            await asyncio.sleep(0)
        return sent

    async def advise(self) -> Advice:
        return await AdviceDoor(self.intake, self._desk).advise("bot", order())


def kinds(sent: list[asyncio.Task[Answer]]) -> list[str]:
    return [one.result().kind if one.done() else "under way" for one in sent]


@pytest.mark.parametrize(
    "body",
    [
        b'{"action":"cancel"}',
        b'{"action":"cancel","client_order_id":"c","orig_client_order_id":"c"}',
        b'{"action":"cancel","client_order_id":"c","orig_client_order_id":"o","x":"1"}',
        b'{"action":"new","x":"cancel"}',
        b'["cancel"]',
        b'{"x":"cancel"',
    ],
)
@pytest.mark.parametrize("closed", ["draining", "spent", "full"])
def test_body_that_is_no_whole_cancel_goes_by_the_bounds_of_orders(
    body: bytes, closed: str
) -> None:
    """Only a well-formed cancel passes where orders do not."""

    async def story() -> None:
        door = Door(Room(in_all=0) if closed == "full" else None)
        door.intake.draining, door.purse.spent = closed == "draining", closed == "spent"
        assert ["unavailable"] == kinds(await door.send(body))
        assert ["under way"] == kinds(await door.send(cancel("c")))
        assert [cancel("c")] == door.taken

    run(story)


def test_second_cancel_of_an_order_waits_for_no_venue() -> None:
    """While the first is under way; the same one sent again goes on, to get the same answer."""

    async def story() -> None:
        door = Door()
        first = await door.send(cancel("c-1"), cancel("c-2"), cancel("c-1"), cancel("c-3", "o-2"))
        assert ["under way", "unavailable", "under way", "under way"] == kinds(first)
        assert first[1].result().detail == "a cancel of this order is under way; ask again"
        assert ["under way"] == kinds(await door.send(cancel("c-2"), agent="other"))
        door.open.set()
        await asyncio.gather(*first)
        assert ["permitted"] == kinds(await door.send(cancel("c-2")))

    run(story)


@pytest.mark.parametrize("room", [Room(cancels=2), Room(cancels_of_one=2)])
def test_cancels_have_room_in_all_and_for_each_agent(room: Room) -> None:
    """One agent's cancels take only its own room where there is some for each."""

    async def story() -> None:
        door = Door(room)
        mine = await door.send(*(cancel(f"c-{name}", f"o-{name}") for name in "abc"))
        assert ["under way", "under way", "unavailable"] == kinds(mine)
        other = kinds(await door.send(cancel("c"), agent="other"))
        assert ["unavailable" if room.cancels == 2 else "under way"] == other
        (gone,) = await door.send(order())
        draining = asyncio.ensure_future(door.intake.drain())
        gone.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        assert (True, False) == (gone.done(), draining.done())
        door.open.set()
        await draining

    run(story)


def test_cancels_beyond_their_budget_are_turned_away() -> None:
    """A storm of cancels of one order reaches neither the log nor the venue beyond it."""

    async def story() -> None:
        world = await GateWorld.start()
        limits = BudgetLimits(messages_per_s=5, messages_burst=5)
        free = [50]
        budget = AdmissionBudget(world.log, world.clock, lambda: free[0], limits)
        intake = Intake(world.gate.submit, budget, Room())
        assert "permitted" == (await intake.submit("bot", order())).kind
        world.venue.cancel_silent = True
        free[0] = 3
        world.clock.advance(2)
        before = world.log.journal.size
        said = [(await intake.submit("bot", cancel(f"c-{number}"))).kind for number in range(500)]
        assert 495 == said.count("unavailable")
        assert 5 == len(world.venue.cancels)
        assert world.log.journal.size - before < 30
        assert "unavailable" == (await intake.submit("bot", b'{"action":"cancel"}')).kind

    run(story)


def test_budget_of_cancels_and_that_of_orders_are_two() -> None:
    """Neither spends the other's; both are told of in the same entry."""

    async def story() -> None:
        world = await GateWorld.start()
        limits = BudgetLimits(messages_per_s=1, messages_burst=2)
        budget = AdmissionBudget(world.log, world.clock, lambda: 50, limits)
        assert [True, True, False] == [budget.admit("bot", 1) for _ in range(3)]
        assert [True, True, False] == [budget.admit_cancel("bot", 1) for _ in range(3)]
        assert budget.admit_cancel("other", 1)

    run(story)


@pytest.mark.parametrize("closed", ["draining", "spent", "full"])
def test_advice_goes_by_the_bounds_of_orders(closed: str) -> None:
    """Without a place the desk is not asked, and the answer says that nothing was looked at."""

    async def story() -> None:
        door = Door(Room(of_one=1))
        if closed == "full":
            await door.send(order())
        door.intake.draining, door.purse.spent = closed == "draining", closed == "spent"
        asked = asyncio.ensure_future(door.advise())
        for _ in range(5):
            await asyncio.sleep(0)
        assert asked.done()
        got = asked.result()
        assert (False, False, 0) == (got.would_pass, got.evaluated, door.asked)
        assert [Code.CONTROL_UNAVAILABLE] == [reason.code for reason in got.reasons]

    run(story)


def test_advice_under_way_takes_the_place_of_an_order() -> None:
    """An order beside it finds no room, and finds it when the advice is given."""

    async def story() -> None:
        door = Door(Room(of_one=1))
        asked = asyncio.ensure_future(door.advise())
        await asyncio.sleep(0)
        assert ["unavailable"] == kinds(await door.send(order()))
        door.open.set()
        assert (await asked).would_pass
        assert ["permitted"] == kinds(await door.send(order()))

    run(story)


@pytest.mark.parametrize(("low", "why"), [(True, "log's disk is free"), (False, "budget")])
def test_order_beyond_the_door_is_told_the_cause(why: str, *, low: bool) -> None:
    """A disk that is nearly full is not the bot's doing, and is said."""

    async def story() -> None:
        door = Door()
        door.purse.spent, door.purse.low = True, low
        answer = await door.intake.submit("bot", order())
        assert ("unavailable", True) == (answer.kind, why in answer.detail)
        assert low == door.intake.low_disk()

    run(story)
