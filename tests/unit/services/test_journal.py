# SPDX-License-Identifier: Apache-2.0
"""The one writer of a log: sequencing, group commit, failing."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from sekisho.adapters.simulated_disk import SimulatedDisk
from sekisho.core.errors import (
    MalformedInput,
    OutcomeUnknown,
    StorageFailed,
)
from sekisho.core.ledger.merkle import leaf_hash
from sekisho.services.journal import Journal
from tests.ledger_doubles import (
    FIRST_SEGMENT,
    KEY,
    ORIGIN,
    give_turn,
    numbered,
    opened,
)


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


def test_journal_append_sequences_at_once_and_flushed_makes_durable() -> None:
    """The index is known without waiting; durability is not claimed before the sync."""

    async def story() -> None:
        disk = SimulatedDisk()
        journal = await opened(disk)
        assert [journal.append(entry) for entry in numbered(3)] == [0, 1, 2]
        assert (journal.size, journal.durable_size) == (3, 0)
        assert disk.files() == {}
        await journal.flushed(2)
        assert journal.durable_size == 3
        assert journal.entry(1) == b"entry 1"
        assert journal.leaf_hash(1) == leaf_hash(b"entry 1")
        assert list(journal.entries(1)) == [(1, b"entry 1"), (2, b"entry 2")]
        assert journal.origin == ORIGIN
        assert journal.vkey == KEY.vkey

    play(story())


def test_journal_many_waiters_share_one_append_and_one_sync() -> None:
    """Group commit: what gathers while a batch is written goes out in the next one."""

    async def story() -> None:
        disk = SimulatedDisk()
        journal = await opened(disk)
        disk.operations.clear()

        async def write(number: int) -> None:
            await journal.flushed(journal.append(b"entry %d" % number))

        await asyncio.gather(*(write(number) for number in range(100)))
        assert disk.operations == [
            f"append {FIRST_SEGMENT}",
            f"sync {FIRST_SEGMENT}",
            "sync_folder journal",
        ]
        disk.operations.clear()
        await asyncio.gather(*(write(number) for number in range(100)))
        assert disk.operations == [f"append {FIRST_SEGMENT}", f"sync {FIRST_SEGMENT}"]

    play(story())


def test_journal_waiter_is_not_woken_before_sync_and_folder_sync() -> None:
    """Acknowledged means synced content under a synced name."""

    async def story() -> None:
        journal: Journal
        waiter: asyncio.Task[None]
        seen: list[str] = []

        async def point(name: str) -> None:
            await give_turn()
            seen.append(f"{name} {waiter.done()} {journal.durable_size}")

        disk = SimulatedDisk()
        journal = await opened(disk)
        disk.point = point
        waiter = asyncio.create_task(journal.flushed(journal.append(b"x")))
        await waiter
        assert seen == [
            f"append {FIRST_SEGMENT}:before False 0",
            f"append {FIRST_SEGMENT}:after False 0",
            f"sync {FIRST_SEGMENT}:before False 0",
            f"sync {FIRST_SEGMENT}:after False 0",
            "sync_folder journal:before False 0",
            "sync_folder journal:after False 0",
        ]

    play(story())


def test_journal_entry_appended_during_a_write_waits_for_the_next_batch() -> None:
    """A waiter is never woken by a sync that began before its entry was written."""

    async def story() -> None:
        disk = SimulatedDisk()
        journal = await opened(disk)
        gates = [asyncio.Event(), asyncio.Event()]

        async def point(name: str) -> None:
            if name == f"sync {FIRST_SEGMENT}:before":
                await gates[journal.durable_size].wait()

        disk.point = point
        first = asyncio.create_task(journal.flushed(journal.append(b"first")))
        for _ in range(5):
            await give_turn()
        second = asyncio.create_task(journal.flushed(journal.append(b"second")))
        gates[0].set()
        await first
        await give_turn()
        assert not second.done()
        assert journal.durable_size == 1
        gates[1].set()
        await second
        assert journal.durable_size == 2

    play(story())


def test_journal_cancelled_waiter_disturbs_nobody() -> None:
    """One caller going away neither stops the write nor wakes the others wrongly."""

    async def story() -> None:
        disk = SimulatedDisk()
        journal = await opened(disk)
        gate = asyncio.Event()

        async def point(name: str) -> None:
            await gate.wait()

        disk.point = point
        waiters = [
            asyncio.create_task(journal.flushed(journal.append(entry))) for entry in numbered(3)
        ]
        await give_turn()
        waiters[1].cancel()
        await give_turn()
        gate.set()
        await asyncio.gather(waiters[0], waiters[2])
        assert journal.durable_size == 3
        assert waiters[1].cancelled()

    play(story())


def test_journal_append_without_a_loop_is_flushed_by_the_first_waiter() -> None:
    """Appending is synchronous and needs no running loop."""
    disk = SimulatedDisk()
    journal = asyncio.run(opened(disk))
    journal.append(b"x")
    asyncio.run(journal.flushed(0))
    assert journal.durable_size == 1


def test_journal_entry_outside_the_limits_is_refused_and_takes_no_index() -> None:
    """Empty and 65,536 bytes are refused; 65,535 is an entry."""

    async def story() -> None:
        journal = await opened(SimulatedDisk())
        for bad in (b"", b"x" * 65_536):
            with pytest.raises(MalformedInput):
                journal.append(bad)
        assert journal.append(b"x" * 65_535) == 0
        for index in (-1, 1):
            for call in (journal.entry, journal.leaf_hash):
                with pytest.raises(IndexError):
                    call(index)
            with pytest.raises(IndexError):
                await journal.flushed(index)

    play(story())


@pytest.mark.parametrize(
    ("operation", "persisted", "waiter_gets"),
    [
        ("append", False, StorageFailed),
        ("append", True, OutcomeUnknown),
        ("sync", False, OutcomeUnknown),
        ("sync", True, OutcomeUnknown),
        ("sync_folder", False, OutcomeUnknown),
    ],
)
def test_journal_disk_failure_fails_it_for_good(
    operation: str, persisted: bool, waiter_gets: type[Exception]
) -> None:
    """Every waiter is told, nothing more is taken, and a second try reaches no disk."""

    async def story() -> None:
        disk = SimulatedDisk()
        journal = await opened(disk)
        disk.fail(operation, persisted=persisted)
        waiters = [
            asyncio.create_task(journal.flushed(journal.append(entry))) for entry in numbered(3)
        ]
        results = await asyncio.gather(*waiters, return_exceptions=True)
        assert [type(result) for result in results] == [waiter_gets] * 3
        assert journal.failed is not None
        assert journal.durable_size == 0
        disk.operations.clear()
        with pytest.raises(StorageFailed):
            journal.append(b"more")
        with pytest.raises(waiter_gets):
            await journal.flushed(0)
        for call in (journal.publish, journal.close, journal.run):
            with pytest.raises((StorageFailed, OutcomeUnknown)):
                await call()
        assert disk.operations == []
        assert journal.size == 3

    play(story())


def test_journal_failure_tells_entries_not_handed_over_apart() -> None:
    """What waited for the next batch is certainly not written."""

    async def story() -> None:
        disk = SimulatedDisk()
        journal = await opened(disk)
        waiters: list[asyncio.Task[None]] = []

        async def point(name: str) -> None:
            if name.startswith("sync ") and len(waiters) == 1:
                waiters.append(asyncio.create_task(journal.flushed(journal.append(b"second"))))
                await give_turn()

        disk.point = point
        disk.fail("sync")
        waiters.append(asyncio.create_task(journal.flushed(journal.append(b"first"))))
        with pytest.raises(OutcomeUnknown):
            await waiters[0]
        with pytest.raises(StorageFailed):
            await waiters[1]

    play(story())


def test_journal_unexpected_error_fails_it_too() -> None:
    """An error that no contract names acknowledges nothing."""

    async def story() -> None:
        disk = SimulatedDisk()
        journal = await opened(disk)

        async def point(name: str) -> None:
            raise RuntimeError("a defect")

        disk.point = point
        with pytest.raises(OutcomeUnknown):
            await journal.flushed(journal.append(b"x"))
        assert isinstance(journal.failed, RuntimeError)

    play(story())


def test_journal_cancelled_flush_fails_it() -> None:
    """A write given up in the middle has an unknown outcome."""

    async def story() -> None:
        disk = SimulatedDisk()
        journal = await opened(disk)

        async def point(name: str) -> None:
            await asyncio.Event().wait()

        disk.point = point
        waiter = asyncio.create_task(journal.flushed(journal.append(b"x")))
        await give_turn()
        for task in asyncio.all_tasks() - {asyncio.current_task(), waiter}:
            task.cancel()
        with pytest.raises(OutcomeUnknown):
            await waiter
        assert isinstance(journal.failed, OutcomeUnknown)

    play(story())
