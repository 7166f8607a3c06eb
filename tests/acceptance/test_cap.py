# SPDX-License-Identifier: Apache-2.0
"""The daily cap on the whole embedded product: 64 at once, a crash in the middle, local midnight.

Three independent counts must agree: the gate's log, the uses of the agent's key, the venue's list.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.adapters.simulated_disk import SimulatedDisk
from sekisho.compose import home as home_module
from sekisho.core.amounts import parse_amount
from sekisho.core.terms import NS, parse_instant
from sekisho.ports import AuthorityLink, LeaseGranted, LeaseRequest
from sekisho.services.gatekeeper import Answer
from tests.embedded_world import EmbeddedWorld, RunningClock, order, policy_of, prepared, resting

ASKED = 64
FITS = 20
CAP = parse_amount("500000")
NAMES = [f"order-{number:02d}" for number in range(ASKED)]


async def ask_all(world: EmbeddedWorld, bodies: list[bytes]) -> list[Answer]:
    """All at once."""
    return list(await asyncio.gather(*(world.ask(body) for body in bodies)))


def check_counts(world: EmbeddedWorld, permitted: int) -> None:
    """Exactly ``permitted`` by the log, the key's uses and the venue, each permit its own."""
    decided = world.decisions("permitted")
    used = world.used.permit_ids()
    taken = world.venue.permits_taken
    assert (permitted, permitted, permitted) == (len(decided), len(used), len(taken))
    assert permitted == len(set(used))
    assert set(used) == set(taken)
    assert permitted == len({entry.order["client_order_id"] for _, entry in decided if entry.order})
    assert permitted == len(set(taken.values()))


def check_never_more(world: EmbeddedWorld) -> None:
    """At most 20 by any count, none signed twice, nothing at the venue that is not permitted."""
    decided = world.decisions("permitted")
    used = world.used.permit_ids()
    names = [entry.order["client_order_id"] for _, entry in decided if entry.order]
    assert len(decided) <= FITS
    assert len(used) == len(set(used)) <= FITS
    assert len(names) == len(set(names))
    assert set(world.venue.permits_taken) <= set(used)
    assert {name for _, name in world.venue.permits_taken.values()} <= set(names)
    for _, entry in world.decisions():
        assert entry.after is not None
        assert parse_amount(entry.after.gross_permitted) <= CAP


@pytest.mark.parametrize("body", [order, resting])
def test_cap_sixty_four_at_once_exactly_twenty(
    tmp_path: Path, body: Callable[[str], bytes]
) -> None:
    """20 × 24,999 fit into 500,000 and not one more, whether the orders fill or rest."""

    async def story() -> None:
        world = await EmbeddedWorld.start(tmp_path / "home")
        answers = await ask_all(world, [body(name) for name in NAMES])
        kinds = [answer.kind for answer in answers]
        assert (FITS, ASKED - FITS) == (kinds.count("permitted"), kinds.count("refused"))
        assert {"daily_volume_cap_exceeded"} == {
            str(reason.code) for answer in answers for reason in answer.reasons
        }
        check_counts(world, FITS)
        again = await ask_all(world, [body(name) for name in NAMES])
        assert [a.decision for a in answers] == [a.decision for a in again]
        await world.reopen()
        later = await ask_all(world, [body(name) for name in NAMES])
        assert [(a.kind, a.decision) for a in answers] == [(a.kind, a.decision) for a in later]
        check_counts(world, FITS)
        await world.close()

    asyncio.run(story())


# ------------------------------------------------------------------------------ crash and retry


class HeldDisk(SimulatedDisk):
    """A simulated disk in the place of a folder."""

    def close(self) -> None:
        """Nothing is held."""


class Cupboard:
    """The disks of a home's two logs, in memory; losing power takes both at one instant."""

    def __init__(self) -> None:
        self.points = 0
        self.crash_at = 0
        self._disks: dict[str, HeldDisk] = {}

    def open(self, folder: Path) -> HeldDisk:
        """What the home opens instead of a folder; at first with the folder's files."""
        if folder.name not in self._disks:
            disk = self._disks[folder.name] = HeldDisk()
            for path in folder.rglob("*"):
                name = path.relative_to(folder).as_posix()
                if path.is_file() and not name.startswith("."):
                    disk.corrupt(name, path.read_bytes())
        disk = self._disks[folder.name]
        disk.point = self._point
        return disk

    async def _point(self, _: str) -> None:
        self.points += 1
        if self.points == self.crash_at:
            dice = Random(self.crash_at)
            for name, disk in self._disks.items():
                after = HeldDisk()
                after.__dict__.update(disk.crash(dice).__dict__)
                self._disks[name] = after


async def ask_in_waves(world: EmbeddedWorld) -> list[Answer]:
    """All 64 at once, each group of eight one turn of the loop later than the one before."""

    async def one(number: int) -> Answer:
        for _ in range(number // 8):
            await world.clock.sleep(0)
        return await world.ask(order(NAMES[number]))

    return list(await asyncio.gather(*(one(number) for number in range(ASKED))))


async def crashed_and_retried(path: Path, cupboard: Cupboard, point: int) -> None:
    """Lose power at a disk operation among the 64, then ask all 64 again in a second life."""
    world = await EmbeddedWorld.start(path)
    cupboard.crash_at = cupboard.points + point
    first = await ask_in_waves(world)
    assert world.gate.log.journal.failed is not None, "the power was not lost on the way"
    check_never_more(world)
    await world.open()
    second = await ask_all(world, [order(name) for name in NAMES])
    check_never_more(world)
    assert FITS == len(world.decisions("permitted"))
    for before, after in zip(first, second, strict=True):
        check_consistent(before, after)
    await world.home.close()


def check_consistent(before: Answer, after: Answer) -> None:
    """An answer that was given stays; what was permitted may at most have become uncertain."""
    if before.kind == "refused":
        assert (before.kind, before.decision) == (after.kind, after.decision)
    elif before.kind in ("permitted", "withdrawn"):
        assert before.decision == after.decision
        assert after.kind in (before.kind, "possibly_issued")


def test_cap_power_lost_at_every_disk_operation_never_more_than_twenty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the power is lost, both lives together permit 20 and sign at most 20, none twice."""

    async def story() -> None:
        await prepared(tmp_path / "real")  # made on a real folder, copied below
        cupboard = Cupboard()
        monkeypatch.setattr(home_module, "FolderDisk", cupboard.open)
        world = await EmbeddedWorld.start(tmp_path / "whole")
        begun = cupboard.points
        await ask_in_waves(world)
        operations = cupboard.points - begun
        check_counts(world, FITS)
        assert operations >= 8
        for point in range(1, operations + 1):
            cupboard = Cupboard()
            monkeypatch.setattr(home_module, "FolderDisk", cupboard.open)
            await crashed_and_retried(tmp_path / f"home-{point}", cupboard, point)

    asyncio.run(story())


# ------------------------------------------------------------------------------------ midnight

ZONES = {
    "UTC": "2026-05-19T00:00:00.000000000Z",
    "Asia/Kolkata": "2026-05-18T18:30:00.000000000Z",
    "America/New_York": "2026-05-19T04:00:00.000000000Z",
}
"""Zones with the instant at which Tuesday begins there."""


@pytest.mark.parametrize("zone", ZONES)
def test_cap_across_local_midnight_exactly_twenty_each_day(tmp_path: Path, zone: str) -> None:
    """The last minutes of a local day and the first of the next have a cap of their own each."""

    async def story() -> None:
        midnight = parse_instant(ZONES[zone])
        clock = SteppedClock(midnight - 12 * 3600 * NS)
        world = await EmbeddedWorld.start(tmp_path / "home", policy_of(time_zone=zone), clock)
        days: list[list[Answer]] = []
        for number, at in enumerate((midnight - 1, midnight, midnight + 1)):
            clock.advance_to(at)
            world.quote()
            names = [f"{number}-{name}" for name in NAMES]
            days.append(await ask_all(world, [order(name) for name in names]))
        permitted = [[a.kind for a in answers].count("permitted") for answers in days]
        assert [FITS, FITS, 0] == permitted
        check_counts(world, 2 * FITS)
        said = {entry.after.day for _, entry in world.decisions("permitted") if entry.after}
        assert {"2026-05-18", "2026-05-19"} == said
        await world.reopen()
        assert (await world.ask(order("after"))).kind == "refused"
        await world.close()

    asyncio.run(story())


@pytest.mark.parametrize("zone", ZONES)
def test_cap_midnight_passes_among_concurrent_orders_neither_day_exceeds_it(
    tmp_path: Path, zone: str
) -> None:
    """Of orders under way at midnight each counts in the day of its decision, or in both: no more.

    What still reserves at midnight reserves again in the new day, so the second day may permit
    fewer; filled orders are counted once.
    """

    async def story() -> None:
        midnight = parse_instant(ZONES[zone])
        clock = RunningClock(midnight - 12 * 3600 * NS)
        world = await EmbeddedWorld.start(tmp_path / "home", policy_of(time_zone=zone), clock)
        clock.advance_to(midnight - NS // 20)
        world.quote()
        await world.gate.leasing.renew()
        clock.step_ns = NS // 200
        await asyncio.gather(*(world.ask(order(name)) for name in NAMES))
        clock.step_ns = 0
        world.quote()
        await ask_all(world, [order(f"again-{name}") for name in NAMES])
        sums: dict[str, int] = {}
        for _, entry in world.decisions():
            assert entry.after is not None
            assert parse_amount(entry.after.gross_permitted) <= CAP
            if entry.verdict == "permitted":
                day = entry.after.day
                sums[day] = sums.get(day, 0) + parse_amount(entry.notional)
        assert {"2026-05-18", "2026-05-19"} == set(sums)
        assert all(value <= CAP for value in sums.values())
        used = world.used.permit_ids()
        assert len(used) == len(set(used)) <= len(world.decisions("permitted"))
        assert set(world.venue.permits_taken) <= set(used)
        await world.close()

    asyncio.run(story())


def test_lease_lapsed_orders_at_once_wait_for_the_one_renewal(tmp_path: Path) -> None:
    """After a pause longer than the lease, orders that come together are not refused for it."""

    async def story() -> None:
        world = await EmbeddedWorld.start(tmp_path / "home")
        world.stepped.advance(3600)
        world.quote()
        link = SlowLink(world.gate.leasing._authority)
        world.gate.leasing._authority = link
        answers = await ask_all(world, [order(name) for name in NAMES])
        assert 1 == link.asked
        check_counts(world, FITS)
        assert {"permitted", "refused"} == {answer.kind for answer in answers}
        await world.close()

    asyncio.run(story())


class SlowLink:
    """A connection to the authority that takes some turns of the loop."""

    def __init__(self, inner: AuthorityLink) -> None:
        self._inner = inner
        self.asked = 0

    async def last_seen(self, gate: str) -> int:
        return await self._inner.last_seen(gate)

    async def lease(self, request: LeaseRequest) -> LeaseGranted:
        self.asked += 1
        await asyncio.sleep(0.01)
        return await self._inner.lease(request)
