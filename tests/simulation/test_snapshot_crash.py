# SPDX-License-Identifier: Apache-2.0
"""A gate whose machine loses power at every point of a life with snapshots, in turn.

After each crash the log is opened again and knows what folding every entry gives; with its ids in
memory, and with a file of ids that lived on as it was.
"""

from __future__ import annotations

import asyncio
import random
import shutil
from pathlib import Path

import pytest

from sekisho.adapters.seen_file import SeenFile
from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.adapters.simulated_disk import SimulatedDisk
from sekisho.core.terms import parse_instant
from sekisho.services.gatelog import GateLog
from sekisho.services.journal import Journal
from sekisho.services.snapshots import Snapshots
from tests.gate_world import MORNING, ORIGIN, GateWorld
from tests.ledger_doubles import SoftwareSigner
from tests.unit.services.test_snapshots import plain


async def open_log(
    disk: SimulatedDisk, clock: SteppedClock, seen: SeenFile | None
) -> tuple[GateLog, Snapshots]:
    """The gate's log as a process opens it, keeping little of it in memory."""
    journal = await Journal.open(
        disk, origin=ORIGIN, signer=SoftwareSigner(), clock=clock, kept_entries=0
    )
    snapshots = Snapshots(disk, seen)
    return await snapshots.open_log(journal, clock), snapshots


class Life:
    """What the machine does, and how far it has come."""

    def __init__(self, ids: Path | None) -> None:
        self.ids = ids
        self.points = 0
        self.opened: list[SeenFile] = []
        self.taken = 0

    def seen(self) -> SeenFile | None:
        """The file of ids, as a new process opens it."""
        for one in self.opened:
            one.close()
        self.opened.clear()
        if self.ids is not None:
            self.opened.append(SeenFile(self.ids, ORIGIN))
        return self.opened[0] if self.opened else None

    async def play(self, disk: SimulatedDisk) -> None:
        """Orders, a snapshot, orders, a checkpoint, a snapshot, another process, a snapshot."""
        clock = SteppedClock(parse_instant(MORNING))
        first = await GateWorld.start(disk=disk, clock=clock)
        await first.log.durable(first.log.journal.size - 1)
        for number in range(3):
            log, snapshots = await open_log(disk, clock, self.seen())
            world = GateWorld(log, clock, disk)
            world.quote()
            for name in (f"a{number}", f"b{number}"):
                await world.ask(client_order_id=name, quantity="1000")
            await snapshots.take(log)
            self.taken += 1
            await world.ask(client_order_id=f"c{number}", quantity="1000")
            clock.advance(1)
            journal = log.journal
            assert isinstance(journal, Journal)
            await log.durable(journal.size - 1)
            await journal.publish()


async def run_until(life: Life, crash_at: int | None) -> SimulatedDisk:
    """Play until the given point, then stop everything where it stands."""
    crashed = asyncio.Event()

    async def point(name: str) -> None:
        life.points += 1
        if life.points - 1 == crash_at:
            crashed.set()
            await asyncio.Event().wait()

    disk = SimulatedDisk(point=point)
    script = asyncio.create_task(life.play(disk))
    waiting = asyncio.create_task(crashed.wait())
    await asyncio.wait({script, waiting}, return_when=asyncio.FIRST_COMPLETED)
    disk.point = None
    left = disk.kill()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.gather(script, waiting, return_exceptions=True)
    if crash_at is None:
        script.result()
    return left


async def check(disk: SimulatedDisk, ids: Path | None, taken: int) -> None:
    """Opened from what is left, the log is the fold of its entries; it goes on."""
    clock = SteppedClock(parse_instant(MORNING))
    for _ in range(2):
        seen = None if ids is None else SeenFile(ids, ORIGIN)
        try:
            log, snapshots = await open_log(disk, clock, seen)
            assert plain(GateLog(log.journal, clock)) == plain(log)
            if taken and ids is None:
                assert log.state.size > 0
                assert not any("fold" in notice for notice in snapshots.notices)
            if log.journal.size:
                await snapshots.take(log)
        finally:
            if seen is not None:
                seen.close()


def copied(ids: Path, name: str) -> Path:
    """The file as the crash left it; a gate that died early made none."""
    if ids.exists():
        shutil.copy(ids, ids.with_name(name))
    return ids.with_name(name)


def count_points() -> int:
    life = Life(None)
    asyncio.run(run_until(life, None))
    assert life.taken == 3
    return life.points


POINTS = count_points()


@pytest.mark.parametrize(
    ("kept", "begin", "step"), [("in memory", 0, 2), ("in memory", 1, 2), ("in a file", 0, 16)]
)
def test_gate_crashed_at_every_point_knows_what_its_log_says(
    kept: str, begin: int, step: int, tmp_path: Path
) -> None:
    """Power is lost before and after each effect on the disk; no snapshot makes a wrong state."""

    async def story(crash_at: int, ids: Path | None) -> None:
        life = Life(ids)
        left = await run_until(life, crash_at)
        for one in life.opened:
            one.close()
        for seed in range(2 if ids is None else 1):
            after = left.kill().crash(random.Random(f"{crash_at} {seed}"))
            copy = None
            if ids is not None:
                copy = copied(ids, f"copy-{crash_at}-{seed}")
            await check(after, copy, life.taken)

    for crash_at in range(begin, POINTS, step):
        ids = None if kept == "in memory" else tmp_path / f"ids-{crash_at}"
        asyncio.run(story(crash_at, ids))
