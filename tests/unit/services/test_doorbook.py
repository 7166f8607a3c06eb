# SPDX-License-Identifier: Apache-2.0
"""Requests of those who may not ask are in the ledger: one entry a second, with their number."""

from __future__ import annotations

import asyncio

from sekisho.adapters.web.peers import EXTENSION, Peer
from sekisho.compose.asking import Asking
from sekisho.compose.fix_gate import authenticate_by
from sekisho.core.events import CallerRefused, decode_gate_entry
from sekisho.services.callers import Callers
from sekisho.services.doorbook import DoorBook
from tests.gate_api_world import BOT_TOKEN, BOT_UID, CALLERS
from tests.gate_world import GateWorld
from tests.ledger_doubles import give_turn


def refusals(world: GateWorld) -> list[tuple[str, str, str, int]]:
    """What the log says of them."""
    found: list[tuple[str, str, str, int]] = []
    for _, data in world.log.journal.entries():
        entry = decode_gate_entry(data)
        if isinstance(entry, CallerRefused):
            found.append((entry.front, entry.word, entry.uid, entry.unrecorded))
    return found


def test_refused_callers_are_counted_once_a_second() -> None:
    """The first is recorded at once; what comes within the second is a number in the next."""

    async def story() -> None:
        world = await GateWorld.start()
        book = DoorBook(world.log, world.clock)
        for _ in range(5):
            book.refused("http", "unauthenticated", 4242)
        world.clock.advance(0.999)
        book.refused("fix", "forbidden")
        assert [("http", "unauthenticated", "4242", 0)] == refusals(world)
        world.clock.advance(0.001)
        await give_turn()
        assert ("fix", "forbidden", "", 4) == refusals(world)[-1]
        world.clock.advance(5)
        await give_turn()
        assert 2 == len(refusals(world))
        book.refused("rest", "forbidden")
        assert ("rest", "forbidden", "", 0) == refusals(world)[-1]

    asyncio.run(story())


def test_refused_callers_are_all_in_the_log_when_the_gate_ends() -> None:
    """What was counted in the last second is recorded before the log is closed, once."""

    async def story() -> None:
        world = await GateWorld.start()
        book = DoorBook(world.log, world.clock)
        for _ in range(3):
            book.refused("http", "unauthenticated", 1)
        book.flush()
        book.flush()
        assert [0, 1] == [unrecorded for *_, unrecorded in refusals(world)]

    asyncio.run(story())


def test_refused_callers_are_counted_on_while_the_log_is_failed() -> None:
    """A log that takes nothing does not break the door, which stays shut."""

    async def story() -> None:
        world = await GateWorld.start()
        world.disk.fail("sync")
        await world.ask()
        book = DoorBook(world.log, world.clock)
        book.refused("http", "forbidden", 1)
        assert [] == refusals(world)

    asyncio.run(story())


def test_refused_callers_of_each_door_are_heard() -> None:
    """HTTP and FIX tell the book of nobody's requests, and of nobody else's."""
    heard: list[tuple[str, int | None]] = []
    callers = Callers(CALLERS)
    ask = Asking(callers, lambda word, uid: heard.append((word, uid)))
    token = (b"authorization", f"Bearer {BOT_TOKEN}".encode())
    for uid, headers in ((BOT_UID, [token]), (BOT_UID, []), (0, [token])):
        ask({"extensions": {EXTENSION: Peer("unix", uid=uid)}, "headers": headers})
    assert [("unauthenticated", BOT_UID), ("forbidden", 0)] == heard
    heard.clear()
    logon = authenticate_by(callers, lambda uid: heard.append(("fix", uid)))
    assert "bot" == logon(Peer("unix", uid=BOT_UID), BOT_TOKEN)
    assert logon(Peer("unix", uid=7), BOT_TOKEN) is None
    assert [("fix", 7)] == heard
