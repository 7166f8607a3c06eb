# SPDX-License-Identifier: Apache-2.0
"""The simulated event loop and the observer: instruments are tested before they are believed."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from sekisho.adapters.simulated_disk import SimulatedDisk
from sekisho.core.events import GateOpened, encode_entry
from sekisho.core.ledger.frames import encode_frame
from tests.simulation.loop import NS, Process, WorldClock, never, new_loop
from tests.simulation.records import DurableLog, Replay

PATH = "journal/00000000000000000000.frames"


def test_process_that_dies_runs_no_further() -> None:
    """Neither what comes after the await nor ``finally`` has an effect on the living."""
    loop, process, said = new_loop(), Process("p"), []

    async def work() -> None:
        try:
            await asyncio.sleep(1)
            said.append("after")
        finally:
            said.append("finally")
            loop.call_soon(said.append, "called")

    loop.spawn(process, work())
    loop.run(NS // 2)
    loop.kill(process)
    loop.run(5 * NS)
    assert said == []
    loop.bury()
    loop.run(9 * NS)
    assert said == ["finally"]  # ran while nothing could follow from it


def test_process_that_lives_is_not_touched_by_the_death_of_another() -> None:
    """Only the callbacks of the dead are dropped."""
    loop, one, other, said = new_loop(), Process("one"), Process("other"), []

    async def work(name: str) -> None:
        await asyncio.sleep(1)
        said.append(name)

    loop.spawn(one, work("one"))
    loop.spawn(other, work("other"))
    loop.run(NS // 2)
    loop.kill(one)
    loop.bury()
    loop.run(2 * NS)
    assert said == ["other"]


def test_task_within_that_fails_unread_is_told_at_the_second_look() -> None:
    """Whoever began it may still read it; nobody did, so it is a failure."""
    loop, process = new_loop(), Process("p")

    async def fails() -> None:
        raise ValueError("unread")

    async def work() -> None:
        asyncio.get_running_loop().create_task(fails())

    loop.spawn(process, work())
    loop.run(0)
    assert [process.failures(), process.failures(), process.failures()] == [
        [],
        ["a task ended with ValueError('unread')"],
        [],
    ]


def test_time_is_virtual_and_exact() -> None:
    """Time-outs and sleeps end at their instants; the machine's clock has no part in it."""
    loop, process = new_loop(), Process("p")
    clock, ends = WorldClock(loop, 1_000), []

    async def slow() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await asyncio.sleep(100)
        ends.append(clock.monotonic_ns())
        await clock.sleep(0.25)
        ends.append(clock.now_ns())

    loop.spawn(process, slow())
    loop.run(10 * NS)
    assert ends == [2 * NS, 2 * NS + NS // 4 + 1_000]
    clock.step(-1)
    clock.boot()
    assert (clock.now_ns(), clock.monotonic_ns()) == (9 * NS + 1_000, 0)


def test_clock_of_the_world_calls_later_on_virtual_time() -> None:
    """At its instant; not at all when it was taken back."""
    loop, process = new_loop(), Process("p")
    clock, called = WorldClock(loop, 0), []

    async def asks() -> None:
        clock.call_later(2, lambda: called.append(clock.now_ns()))
        clock.call_later(1, lambda: called.append(-1))()

    loop.spawn(process, asks())
    loop.run(10 * NS)
    assert [2 * NS] == called


def test_order_of_what_is_ready_comes_from_the_dice() -> None:
    """The same dice give the same order, others another; without dice it is first come."""

    def order(dice: Random | None) -> list[int]:
        loop, said = new_loop(dice), list[int]()
        for number in range(20):
            loop.call_soon(said.append, number)
        loop.run(0)
        return said

    assert order(None) == list(range(20))
    assert order(Random(1)) == order(Random(1))
    assert order(Random(1)) != order(Random(2))


def test_interruption_stops_the_loop_at_once() -> None:
    """After a death nothing runs until the world has cleared it away."""
    loop, process, said = new_loop(), Process("p"), list[str]()

    async def die() -> None:
        loop.interrupted = True
        await never()

    loop.spawn(process, die())
    loop.call_soon(said.append, "later")
    loop.run(NS)
    assert (said, loop.now_ns) == ([], 0)


def test_observer_sees_only_what_no_crash_can_take() -> None:
    """Written is not durable, synced without its folder is not either; both together are."""
    disk, log = SimulatedDisk(), DurableLog()
    frame = encode_frame(0, 0, b"first")

    async def story() -> None:
        await disk.append(PATH, frame)
        assert log.entries(disk) == []
        await disk.sync(PATH)
        assert log.entries(disk) == []
        await disk.sync_folder("journal")
        assert log.entries(disk) == [b"first"]
        await disk.append(PATH, encode_frame(1, 1, b"second"))
        assert log.entries(disk) == [b"first"]
        await disk.sync(PATH)

    asyncio.run(story())
    assert log.entries(disk) == [b"first", b"second"]
    assert log.entries(disk.crash(Random(3))) == [b"first", b"second"]


def test_observer_names_a_log_that_lost_what_was_durable() -> None:
    """A log that is shorter than it was, or another, is found."""
    disk, log, replay = SimulatedDisk(), DurableLog(), Replay()
    opened = GateOpened(
        at="2026-05-15T09:00:00.000000000Z", gate="g", boot="b", region="r", environment="test"
    )
    disk.corrupt(PATH, encode_frame(0, 0, encode_entry(opened)))
    replay.advance(log.entries(disk))
    assert (len(replay.raw), replay.findings) == (1, [])
    disk.corrupt(PATH, b"")
    replay.advance(log.entries(disk))
    assert replay.findings == ["1 entries were durable, now others or 0"]
