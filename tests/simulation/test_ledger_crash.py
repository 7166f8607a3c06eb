# SPDX-License-Identifier: Apache-2.0
"""A log whose machine loses power at every point of a scripted run, in turn.

After each crash the disk is opened again and: no acknowledged entry is lost, the log is a beginning
of what was sequenced, the checkpoint on the disk can be read by a stranger and covers what was
published, opening twice gives the same log, and the log goes on.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from sekisho.adapters.simulated_disk import SimulatedDisk
from sekisho.core.errors import OutcomeUnknown, SekishoError, StorageFailed
from sekisho.core.ledger.merkle import leaf_hash
from sekisho.services.journal import Journal
from tests.ledger_doubles import KEY, naive_root, opened, read_log

OPTIONS: dict[str, Any] = {"segment_bytes_max": 9_000, "kept_entries": 0}
"""Several segments; what is published in full bundles is read from them."""


@dataclass
class Run:
    """What the world outside the machine knows."""

    sequenced: list[bytes] = field(default_factory=list)
    acknowledged: int = 0
    published: int = 0
    points: int = 0

    async def append(self, journal: Journal, count: int) -> None:
        for _ in range(count):
            number = len(self.sequenced)
            entry = b"entry %d " % number + bytes([number % 251]) * (number % 90)
            self.sequenced.append(entry)
            journal.append(entry)
        await journal.flushed(journal.size - 1)
        self.acknowledged = journal.durable_size

    async def publish(self, journal: Journal) -> None:
        await journal.publish()
        self.published = journal.published_size

    async def play(self, disk: SimulatedDisk) -> None:
        """Batches, checkpoints within and across tiles, several segments, a clean reopening."""
        journal = await opened(disk, **OPTIONS)
        await self.append(journal, 1)
        await self.publish(journal)
        await self.append(journal, 100)
        await self.append(journal, 160)
        await self.publish(journal)
        await self.append(journal, 3)
        journal.append(b"never waited for")
        self.sequenced.append(b"never waited for")
        await journal.close()
        self.published = self.acknowledged = journal.published_size
        journal = await opened(disk, **OPTIONS)
        await self.append(journal, 260)
        await self.publish(journal)


async def run_until(crash_at: int | None) -> tuple[Run, SimulatedDisk]:
    """Play until the given point, then stop everything where it stands."""
    run, crashed = Run(), asyncio.Event()

    async def point(name: str) -> None:
        run.points += 1
        if run.points - 1 == crash_at:
            crashed.set()
            await asyncio.Event().wait()

    disk = SimulatedDisk(point=point)
    script = asyncio.create_task(run.play(disk))
    waiting = asyncio.create_task(crashed.wait())
    await asyncio.wait({script, waiting}, return_when=asyncio.FIRST_COMPLETED)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    disk.point = None
    snapshot = disk.kill()  # before anything that still runs is told to stop
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    if script.done() and not script.cancelled() and crash_at is None:
        script.result()
    return run, snapshot


async def check(run: Run, disk: SimulatedDisk) -> None:
    files = disk.files()
    checkpoint_size = 0
    if "checkpoint" in files:
        checkpoint, entries = read_log(files.__getitem__, KEY)
        checkpoint_size = checkpoint.size
        assert entries == run.sequenced[: checkpoint.size]
    assert checkpoint_size >= run.published
    journal = await opened(disk, **OPTIONS)
    recovered = [entry for _, entry in journal.entries()]
    assert recovered == run.sequenced[: len(recovered)]
    assert len(recovered) >= run.acknowledged
    assert journal.published_size == checkpoint_size
    settled = disk.files()
    again = await opened(disk, **OPTIONS)
    assert [entry for _, entry in again.entries()] == recovered
    assert disk.files() == settled
    again.append(b"after the crash")
    await again.close()
    checkpoint, entries = read_log(disk.files().__getitem__, KEY)
    assert entries == [*recovered, b"after the crash"]
    assert checkpoint.root_hash == naive_root([leaf_hash(entry) for entry in entries])


def _count_points() -> int:
    run, _ = asyncio.run(run_until(None))
    assert run.published == len(run.sequenced)
    return run.points


POINTS = _count_points()


@pytest.mark.parametrize("part", range(8))
def test_journal_crashed_at_every_point_keeps_every_promise(part: int) -> None:
    """Power is lost before and after each effect on the disk, with several fates of the writes."""

    async def story() -> None:
        for crash_at in range(part, POINTS, 8):
            run, snapshot = await run_until(crash_at)
            assert run.points == crash_at + 1
            for seed in range(2):
                dice = random.Random(f"{crash_at} {seed}")
                await check(run, snapshot.kill().crash(dice))
            await check(run, snapshot.kill())

    asyncio.run(story())


def test_journal_crashed_while_recovering_recovers_to_the_same_log() -> None:
    """A second crash at any point of recovery loses nothing that the first had left."""

    async def torn(seed: int) -> tuple[Run, SimulatedDisk]:
        run, snapshot = await run_until(POINTS // 3 + seed)
        return run, snapshot.crash(random.Random(seed))

    async def story() -> None:
        for seed in range(12):
            for crash_at in range(40):
                run, disk = await torn(seed)
                count = 0

                async def point(name: str, stop: int = crash_at) -> None:
                    nonlocal count
                    count += 1
                    if count > stop:
                        raise _PowerLost

                disk.point = point
                try:
                    await opened(disk, **OPTIONS)
                    break
                except _PowerLost:
                    disk.point = None
                    await check(run, disk.crash(random.Random(seed)))

    asyncio.run(story())


def test_journal_reader_at_every_point_can_verify_the_checkpoint_it_sees() -> None:
    """Without any crash: whoever reads at any moment finds all files that the checkpoint needs."""
    seen: set[int] = set()

    async def story() -> None:
        run = Run()

        async def point(name: str) -> None:
            files = disk.files()
            if "checkpoint" in files and name.startswith(("write_new", "replace", "sync_folder")):
                checkpoint, entries = read_log(files.__getitem__, KEY)
                assert entries == run.sequenced[: checkpoint.size]
                seen.add(checkpoint.size)

        disk = SimulatedDisk(point=point)
        await run.play(disk)

    asyncio.run(story())
    assert seen == {1, 261, 265, 525}


@pytest.mark.parametrize("persisted", [False, True])
@pytest.mark.parametrize("operation", ["append", "sync", "sync_folder", "write_new", "replace"])
def test_journal_every_failing_operation_fails_closed_and_recovers(
    operation: str, persisted: bool
) -> None:
    """Each disk operation fails once, with and without effect; the log survives all of them."""

    async def attempt(skip: int) -> bool:
        """Whether the fault struck."""
        run, disk = Run(), SimulatedDisk()
        disk.fail(operation, skip=skip, persisted=persisted)
        try:
            await run.play(disk)
        except (StorageFailed, OutcomeUnknown):
            await check(run, disk.kill().crash(random.Random(skip)))
            return True
        except SekishoError as error:  # pragma: no cover - names what went wrong
            raise AssertionError(f"{operation} {skip}") from error
        return False

    async def story() -> None:
        skip = 0
        while await attempt(skip):
            skip += 1
        assert skip >= 3

    asyncio.run(story())


class _PowerLost(BaseException):
    """Ends a story where it stands."""
