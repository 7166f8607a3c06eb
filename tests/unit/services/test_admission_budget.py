# SPDX-License-Identifier: Apache-2.0
"""The admission budget: exact to the message, each agent's own, one entry a second."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sekisho.core.errors import StorageFailed
from sekisho.core.events import Shed, decode_gate_entry
from sekisho.core.terms import format_instant
from sekisho.services.admissionbudget import AdmissionBudget, BudgetLimits
from tests.gate_world import GateWorld

FEW = BudgetLimits(messages_per_s=2, messages_burst=3, bytes_per_s=100, bytes_burst=1_000)


class Desk:
    """A budget over a gate's log, and the disk's free space as it is told."""

    def __init__(self, world: GateWorld, limits: BudgetLimits = FEW) -> None:
        self.world = world
        self.free: int | OSError = 50
        self.looked = 0
        self.budget = AdmissionBudget(world.log, world.clock, self._free, limits)

    def _free(self) -> int:
        self.looked += 1
        if isinstance(self.free, OSError):
            raise self.free
        return self.free

    def flood(self, count: int, agent: str = "bot", size: int = 10) -> int:
        """Send so many messages; how many were admitted."""
        return sum(self.budget.admit(agent, size) for _ in range(count))

    def shed(self) -> list[tuple[str, int, int]]:
        entries = [decode_gate_entry(data) for _, data in self.world.log.journal.entries()]
        return [(e.agent, e.messages, e.bytes) for e in entries if isinstance(e, Shed)]


def run(story: Any) -> None:
    asyncio.run(story())


def test_budget_admits_the_burst_and_then_what_flows_back() -> None:
    """Three at once, then one each half second, to the nanosecond."""

    async def story() -> None:
        desk = Desk(await GateWorld.start())
        assert desk.flood(5) == 3
        desk.world.clock.advance(0.499999999)
        assert desk.flood(1) == 0
        desk.world.clock.advance(0.000000001)
        assert desk.flood(2) == 1
        desk.world.clock.advance(3600)
        assert desk.flood(5) == 3

    run(story)


def test_budget_counts_bytes_besides_messages() -> None:
    """A message that is too large for what is left takes nothing; a smaller one passes."""

    async def story() -> None:
        limits = BudgetLimits(
            messages_per_s=100, messages_burst=100, bytes_per_s=100, bytes_burst=1_000
        )
        desk = Desk(await GateWorld.start(), limits)
        assert desk.flood(1, size=1_001) == 0
        assert desk.flood(1, size=1_000) == 1
        assert desk.flood(1, size=1) == 0
        desk.world.clock.advance(0.1)
        assert desk.flood(1, size=11) == 0
        assert desk.flood(1, size=10) == 1

    run(story)


def test_budget_of_one_agent_is_not_spent_by_another() -> None:
    """A flood leaves the next agent all that it had."""

    async def story() -> None:
        desk = Desk(await GateWorld.start())
        assert desk.flood(1_000, "noisy") == 3
        assert desk.flood(3) == 3

    run(story)


def test_shed_messages_are_one_entry_a_second() -> None:
    """The first is written at once, the rest when a second has passed, by whoever comes first."""

    async def story() -> None:
        desk = Desk(await GateWorld.start())
        since = format_instant(desk.world.clock.now_ns())
        desk.flood(13)
        assert desk.shed() == [("bot", 1, 10)]
        desk.world.clock.advance(0.9)
        desk.budget.tick()
        assert desk.shed() == [("bot", 1, 10)]
        desk.world.clock.advance(0.1)
        desk.budget.tick()
        assert desk.shed() == [("bot", 1, 10), ("bot", 9, 90)]
        desk.world.clock.advance(5)
        desk.budget.tick()
        assert len(desk.shed()) == 2
        last = decode_gate_entry(desk.world.log.journal.entry(desk.world.log.journal.size - 1))
        assert isinstance(last, Shed)
        assert last.since == since

    run(story)


def test_shed_messages_are_written_while_nobody_comes() -> None:
    """The running budget looks each second by itself."""

    async def story() -> None:
        desk = Desk(await GateWorld.start())
        running = asyncio.ensure_future(desk.budget.run())
        desk.flood(5)
        await desk.world.clock.play(1)
        running.cancel()
        assert desk.shed() == [("bot", 1, 10), ("bot", 1, 10)]

    run(story)


@pytest.mark.parametrize(("free", "admitted"), [(10, True), (9, False), (OSError("gone"), False)])
def test_low_disk_admits_nothing(free: int | OSError, admitted: bool) -> None:
    """Below a tenth, or where it cannot be read; and nothing is written about it."""

    async def story() -> None:
        desk = Desk(await GateWorld.start())
        desk.free = free
        assert desk.budget.admit("bot", 10) == admitted
        assert desk.shed() == []

    run(story)


def test_low_disk_is_read_once_a_second_and_counted_until_there_is_room() -> None:
    """What was turned away meanwhile is in the first entry after it."""

    async def story() -> None:
        desk = Desk(await GateWorld.start())
        desk.free = 3
        assert (desk.flood(7), desk.looked) == (0, 1)
        desk.free = 50
        assert desk.flood(1) == 0
        desk.world.clock.advance(1)
        assert desk.flood(1) == 1
        desk.budget.tick()
        assert desk.shed() == [("bot", 8, 80)]

    run(story)


def test_shed_messages_with_a_failed_log_raise_nothing() -> None:
    """The gate refuses already; the count stays."""

    async def story() -> None:
        desk = Desk(await GateWorld.start())
        journal: Any = desk.world.log.journal
        journal.failed = StorageFailed("gone")
        assert desk.flood(5) == 3
        assert desk.shed() == []

    run(story)
