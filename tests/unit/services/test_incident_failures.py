# SPDX-License-Identifier: Apache-2.0
"""Incidents when the disk fails or the process dies at any point: held, never less than that."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sekisho.core.errors import NotAuthorised, OutcomeUnknown, StorageFailed
from sekisho.core.events import (
    AlertSent,
    GraceStarted,
    IncidentAcknowledged,
    IncidentClosed,
    IncidentRecorded,
    StatusChanged,
)
from sekisho.services.announcing import ANSWER_WAIT_S
from sekisho.services.statusacts import DURABLE_WAIT_S
from tests.authority_world import Listener, heard_by
from tests.incident_world import DEADLINE_S, GRACE_S, IncidentWorld, play


class Hang:
    """Keeps the disk from syncing until it is let go."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()

    async def __call__(self, point: str) -> None:
        if point.startswith("sync") and point.endswith("before"):
            await self.gate.wait()


@pytest.mark.parametrize(
    ("operation", "error"), [("append", StorageFailed), ("sync", OutcomeUnknown)]
)
def test_report_with_failing_log_holds_all_the_same_and_says_so(
    operation: str, error: type[Exception]
) -> None:
    """The gates are told, OCSP says hold, nobody is alerted, and the gate hears that it failed."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        listener = heard_by(world)
        world.disk.fail(operation)
        with pytest.raises(error):
            await world.report()
        (push,) = listener.heard
        assert (push.status, push.cause, push.recorded) == ("hold", "automatic_hold", False)
        assert await world.status(world.issued) == "hold"
        assert world.channel.delivered == []
        with pytest.raises((StorageFailed, OutcomeUnknown)):
            await world.report()
        after = await world.again()
        await after.report()
        assert (after.held_status(), after.case().state) == ("hold", "grace")

    play(story())


def test_report_after_the_log_failed_holds_once_and_goes_on_failing() -> None:
    """No entry at all: the hold is in this process; the report of a breaker fails."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        listener = heard_by(world)
        world.disk.fail("append")
        with pytest.raises(StorageFailed):
            await world.certified("other")
        with pytest.raises(StorageFailed):
            await world.report(1, "breaker")
        assert listener.heard == []
        for _ in range(2):
            with pytest.raises(StorageFailed):
                await world.report(1)
        assert [push.status for push in listener.heard] == ["hold"]
        assert await world.status(world.issued) == "hold"
        assert await world.authority.due() == 0

    play(story())


def test_report_with_slow_disk_is_pushed_within_the_limit_and_people_told_afterwards() -> None:
    """Durable first, but not at the price of the stop; no alert before the record is there."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        listener = heard_by(world)
        world.disk.point = hang = Hang()
        asked = asyncio.ensure_future(world.report())
        await world.clock.play(DURABLE_WAIT_S / 2)
        assert listener.heard == []
        assert await world.status(world.issued) == "hold"
        await world.clock.play(DURABLE_WAIT_S)
        assert [push.recorded for push in listener.heard] == [False]
        assert world.channel.delivered == []
        hang.gate.set()
        await asked
        assert (world.case().state, len(world.channel.delivered)) == ("grace", 1)

    play(story())


def test_report_with_dead_disk_answers_and_goes_on_when_it_comes_back() -> None:
    """The gate is told that nobody knows; later, without a new report, people are told."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        heard_by(world)
        world.disk.point = hang = Hang()
        asked = asyncio.ensure_future(world.report())
        await world.clock.play(3 * ANSWER_WAIT_S)
        with pytest.raises(OutcomeUnknown, match="not answered"):
            await asked
        told = asyncio.ensure_future(world.authority.due())
        await world.clock.play(1)
        assert world.channel.delivered == []
        hang.gate.set()
        await told
        assert world.case().state == "grace"

    play(story())


def test_incident_that_ends_before_it_is_on_disk_is_told_as_ended_alone() -> None:
    """People who killed the agent meanwhile are not asked to look into it."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        world.disk.point = hang = Hang()
        asked = asyncio.ensure_future(world.report())
        await world.clock.play(3 * ANSWER_WAIT_S)
        told = asyncio.ensure_future(world.authority.due())
        await world.clock.play(1)
        killed = asyncio.ensure_future(world.order("kill"))
        await world.clock.play(0.01)
        hang.gate.set()
        await asyncio.gather(told, killed, asked, return_exceptions=True)
        assert [alert.about for alert in world.channel.delivered] == ["revoked"]

    play(story())


def test_end_that_is_not_on_record_is_told_to_nobody() -> None:
    """The gates stop; people read of it when the log says it."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        await world.report()
        await world.authority.log.all_durable()
        world.disk.fail("sync")
        assert not (await world.order("kill")).recorded
        assert [alert.about for alert in world.channel.delivered] == ["opened"]

    play(story())


def test_report_goes_on_when_the_gate_goes_away() -> None:
    """Recorded is seen through: held, told, grace."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        listener = heard_by(world)
        asked = asyncio.ensure_future(world.report())
        await asyncio.wait({asked}, timeout=0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await world.clock.play(0)
        await world.authority.due()
        assert (len(listener.heard), world.case().state) == (1, "grace")

    play(story())


def test_report_waits_for_no_gate_that_does_not_answer() -> None:
    """A listener that hangs is waited for as for any stop; then people are told."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        never = asyncio.Event()
        listener = heard_by(world, Listener("g2"))
        listener.before = never.wait
        asked = asyncio.ensure_future(world.report())
        await world.clock.play(0)
        beside = asyncio.ensure_future(world.authority.due())
        await world.clock.play(ANSWER_WAIT_S - 0.1)
        assert world.channel.delivered == []
        await world.clock.play(0.1)
        await asyncio.gather(asked, beside)
        assert world.case().state == "grace"
        never.set()

    play(story())


def test_grace_that_ends_with_a_failed_log_stops_once_in_this_process() -> None:
    """Revoked for everybody who asks here, told once; on record at the next opening."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        await world.report()
        listener = heard_by(world)
        world.disk.fail("append")
        with pytest.raises(StorageFailed):
            await world.certified("other")
        world.clock.advance(GRACE_S)
        assert (await world.authority.due(), await world.authority.due()) == (1, 0)
        assert [(push.status, push.recorded) for push in listener.heard] == [("revoked", False)]
        assert await world.status(world.issued) == "revoked"
        assert world.case().state == "grace"
        keeper = asyncio.ensure_future(world.authority.run_incidents())
        await world.clock.play(1)
        assert (keeper.done(), len(listener.heard)) == (False, 1)
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
        assert (await world.again()).case().outcome == "revoked"

    play(story())


def test_alert_with_a_log_that_fails_meanwhile_begins_no_grace() -> None:
    """People were told, nothing of it is on record: at the next start they are told again."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        world.channel.hanging = True
        asked = asyncio.ensure_future(world.report())
        await world.clock.play(0.1)
        world.disk.fail("append")
        with pytest.raises(StorageFailed):
            await world.certified("other")
        world.channel.let_go()
        await asked
        assert (world.case().state, world.case().delivered) == ("alerting", False)
        world.clock.advance(60)
        assert await world.authority.due() == 0
        assert (await world.again()).case().state == "grace"

    play(story())


def test_acknowledgement_with_failing_log_changes_nothing_that_lasts() -> None:
    """The person hears that it failed; after the next start the grace counts as before."""

    async def story() -> None:
        for operation, error in (("append", StorageFailed), ("sync", OutcomeUnknown)):
            world = await IncidentWorld.begin()
            await world.report()
            await world.authority.log.all_durable()
            world.disk.fail(operation)
            with pytest.raises(error):
                await world.acknowledge("investigating")
            assert await world.status(world.issued) == "hold"
            with pytest.raises((StorageFailed, NotAuthorised)):
                await world.acknowledge("false_alarm")
            after = await world.again(world.disk.crash(random.Random(1)))
            after.clock.advance(GRACE_S)
            await after.authority.due()
            assert after.held_status() == "revoked" or after.case().state == "acknowledged"

    play(story())


def test_acknowledgement_as_a_fault_with_failing_log_stops_in_this_process() -> None:
    """What narrows goes on; the outcome says that it is not on record."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        await world.report()
        await world.authority.log.all_durable()
        listener = heard_by(world)
        world.disk.fail("sync")
        outcome = await world.acknowledge("fault")
        assert outcome.status is not None
        assert (outcome.status.recorded, outcome.status.complete) == (False, False)
        assert [push.status for push in listener.heard] == ["revoked"]
        assert await world.status(world.issued) == "revoked"

    play(story())


# -- the process dies at every point of a life -----------------------------------------------------


async def hold_life(world: IncidentWorld) -> None:
    """Reported, and nobody answers."""
    await world.report()
    world.clock.advance(GRACE_S)
    await world.authority.due()


async def fault_life(world: IncidentWorld) -> None:
    """A breaker, then a hold, answered as a fault."""
    await world.report(2, "breaker")
    await world.report(1)
    await world.acknowledge("fault")


async def release_life(world: IncidentWorld) -> None:
    """Looked into and released."""
    await world.report()
    await world.acknowledge("false_alarm")
    await world.order("release")


async def breaker_life(world: IncidentWorld) -> None:
    """A breaker that is re-armed, and another that a kill ends."""
    await world.report(1, "breaker")
    await world.authority.authorise_rearm(world.commands("rearm", latch="circuit_breaker"))
    await world.report(2, "breaker")
    await world.order("kill")


LIVES: dict[str, Callable[[IncidentWorld], Awaitable[None]]] = {
    "hold": hold_life,
    "fault": fault_life,
    "release": release_life,
    "breaker": breaker_life,
}


class Dies:
    """Kills the process at the n-th point of the disk."""

    def __init__(self, at: int) -> None:
        self.left = at
        self.died = asyncio.Event()

    async def __call__(self, point: str) -> None:
        self.left -= 1
        if self.left < 0:
            self.died.set()
            await asyncio.Event().wait()


async def crashed(life: Callable[[IncidentWorld], Awaitable[None]], at: int) -> Any:
    """The world after a crash at this point, opened anew; None if the life ended before."""
    world = await IncidentWorld.begin()
    world.disk.point = dies = Dies(at)

    async def lived() -> None:
        await life(world)
        await world.authority.log.all_durable()

    living = asyncio.ensure_future(lived())
    dying = asyncio.ensure_future(dies.died.wait())
    await asyncio.wait({living, dying}, return_when=asyncio.FIRST_COMPLETED)
    told = [one for one in world.channel.delivered if one.incident_kind == "hold"]
    disk = world.disk.crash(random.Random(at))
    disk.point = None
    for task in (living, dying):
        task.cancel()
    await asyncio.gather(living, dying, return_exceptions=True)
    after = await world.again(disk)
    return (after, told) if dies.died.is_set() else None


def check_log(world: IncidentWorld) -> None:
    """What must hold of any log: order, reasons, and an end for every end."""
    entries = world.entries()
    opened: dict[str, IncidentRecorded] = {}
    for before, entry in zip([None, *entries], entries, strict=False):
        match entry:
            case IncidentRecorded():
                opened[entry.incident] = entry
            case AlertSent() | GraceStarted() | IncidentAcknowledged():
                assert entry.incident in opened
            case IncidentClosed():
                assert isinstance(before, StatusChanged | IncidentRecorded) or (
                    entry.outcome == "rearmed"
                )
            case StatusChanged() if not entry.commands:
                assert entry.incident in opened
    assert world.authority.incidents.owed == ()


@pytest.mark.parametrize("name", LIVES)
def test_incident_life_survives_a_crash_at_every_point_of_the_disk(name: str) -> None:
    """Whatever was lost: what was told to people is held on disk, and the procedure goes on."""

    async def story() -> None:
        at, deaths = 0, 0
        while (found := await crashed(LIVES[name], at)) is not None:
            at, deaths = at + 1, deaths + 1
            world, told = found
            check_log(world)
            if told:
                # Who was told of a hold was told of one that is on disk.
                assert world.held_status() != "good" or world.case().outcome == "released"
            await go_on(world, name)
            check_log(world)
        assert deaths > 10

    play(story())


async def go_on(world: IncidentWorld, name: str) -> None:
    """The gate reports again what it knows, and time passes until nothing waits any more."""
    if name != "breaker":
        await world.report()
    world.clock.advance(GRACE_S)
    await world.authority.due()
    world.clock.advance(10 * GRACE_S + DEADLINE_S)
    assert await world.authority.due() in (0, 1)
    assert await world.authority.due() == 0
    for case in world.authority.incidents.all():
        waits_for_people = case.incident_kind == "breaker" and case.state == "latched"
        assert case.state == "closed" or waits_for_people
    if name != "breaker":
        assert world.held_status() == ("good" if world.case().outcome == "released" else "revoked")
