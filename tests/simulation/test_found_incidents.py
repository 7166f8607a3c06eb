# SPDX-License-Identifier: Apache-2.0
"""What the simulation found about incidents, each told once more without a seed."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from sekisho.core.errors import OutcomeUnknown
from sekisho.core.events import (
    AccumulationRestarted,
    GateOpened,
    IncidentOpened,
    LeaseHeld,
    Rearmed,
    StatusActed,
    decode_gate_entry,
)
from sekisho.services.gatelog import GateLog
from sekisho.services.incidentwatch import IncidentWatch
from sekisho.services.stopping import Stopping
from tests.gate_world import CERTIFICATE
from tests.unit.gate.test_incidents import LiveWorld, _Copy


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


def opened(log: GateLog) -> GateOpened:
    """What the next process writes first."""
    return GateOpened(at=log.at(), gate="g1", boot="b" * 32, region="eu-west-1", environment="test")


def again(live: LiveWorld, kept: int) -> GateLog:
    """The log as the next process reads it, of which so many entries were kept."""
    log = live.world.log
    data = [entry for index, entry in log.journal.entries() if index < kept]
    return GateLog(_Copy(log.origin, data), live.world.clock)  # type: ignore[arg-type] # reads


def kinds(log: GateLog, start: int) -> list[type]:
    """Kinds of the entries from an index on."""
    return [type(decode_gate_entry(data)) for _, data in log.journal.entries(start)]


def test_lease_lifts_no_incident_that_the_authority_did_not_hear_of() -> None:
    """Its epoch is newer, for something else: what it calls good it has not heard of yet."""

    async def story() -> None:
        live = await LiveWorld.start()
        live.told.away = True
        await live.ask("180000")
        await live.world.clock.play(0.5)
        live.world.authority.epoch = 7
        await live.world.leasing.renew()
        assert live.status == "hold"
        live.told.away = False
        await live.world.clock.play(60)
        live.world.authority.epoch = 8
        await live.world.leasing.renew()
        assert live.status == "good"

    run(story())


def test_hold_released_while_the_gate_restarts_ends_as_soon_as_the_authority_is_known_to_know() -> (
    None
):
    """The first lease of a start comes before the incident is told again: it lifts nothing, and
    the next one does not wait for half of it to be over.
    """

    async def story() -> None:
        live = await LiveWorld.start()
        live.told.away = True
        await live.ask("180000")
        world, leases = live.world, live.kinds(LeaseHeld)
        world.authority.epoch = 7  # held there and released, before this gate was heard again
        await world.leasing.renew()
        await world.leasing.ensure()
        assert (live.status, len(live.kinds(LeaseHeld))) == ("hold", len(leases) + 1)
        live.told.away = False
        while not live.told.reports:
            await world.clock.play(0.1)
        world.clock.advance(1)
        await world.leasing.ensure()
        assert (live.status, len(live.kinds(LeaseHeld))) == ("good", len(leases) + 2)
        world.clock.advance(2)
        await world.leasing.ensure()
        assert len(live.kinds(LeaseHeld)) == len(leases) + 2

    run(story())


def test_lease_that_was_asked_for_before_the_report_lifts_nothing() -> None:
    """Asked for before the authority heard, answered after: it says what was true before."""

    async def story() -> None:
        live = await LiveWorld.start()
        live.told.away = True
        await live.ask("180000")
        await live.world.clock.play(0.2)
        authority, lease = live.world.authority, live.world.authority.lease
        authority.epoch = 7

        async def slow(request: Any) -> Any:
            granted = await lease(request)
            live.told.away = False
            await live.world.clock.play(3)
            return granted

        authority.lease = slow  # type: ignore[method-assign] # the delay
        await live.world.leasing.renew()
        assert (len(live.told.reports), live.status) == (1, "hold")

    run(story())


def test_restart_without_the_authority_holds_nothing_that_was_released() -> None:
    """The incident is in the log for ever; what people released long ago is not stopped again."""

    async def story() -> None:
        live = await LiveWorld.start()
        await live.ask("180000")
        log, clock = live.world.log, live.world.clock
        acted = {"agent": "bot", "reason": "", "certificate_sha256": CERTIFICATE}
        log.record(StatusActed(at=log.at(), status="good", epoch=2, **acted))
        after = again(live, log.journal.size)
        live.told.away = True
        watch = IncidentWatch(after, Stopping(after, live.world.release, clock), live.told, clock)
        watch.start()
        await clock.play(2)
        assert (live.told.asked > 1, after.state.agents["bot"].status) == (True, "good")
        await watch.close()

    run(story())


def test_incident_that_was_not_recorded_is_the_first_entry_after_the_opening() -> None:
    """Not after a lease or a venue's report: nothing else comes before what follows by rule."""

    async def story() -> None:
        live = await LiveWorld.start()
        answer = await live.ask("180000")
        after = again(live, answer.decision + 1)
        after.record(opened(after))
        assert kinds(after, answer.decision + 1) == [GateOpened, IncidentOpened]
        assert after.state.agents["bot"].status == "hold"

    run(story())


def test_restart_of_the_score_that_was_not_recorded_is_made_good_before_the_opening() -> None:
    """The people's entry was kept, its consequence was not: it still follows directly."""

    async def story() -> None:
        live = await LiveWorld.start()
        log = live.world.log
        rearmed = log.record(
            Rearmed(at=log.at(), agent="bot", latch="circuit_breaker", seats=("a",), commands=())
        )
        after = again(live, rearmed + 1)
        after.record(opened(after))
        assert kinds(after, rearmed + 1) == [AccumulationRestarted, GateOpened]

    run(story())


def test_what_rests_is_cancelled_although_the_authority_pushes_nothing() -> None:
    """It took the report; its stop was lost on the way, or met a process that died."""

    async def story() -> None:
        live = await LiveWorld.start()
        live.world.venue.fill = False
        await live.ask()
        assert len(live.world.venue.resting) == 1
        await live.ask("180000")
        await live.watch.settled()
        assert (len(live.told.reports), live.world.venue.resting) == (1, {})

    run(story())


def test_authority_hears_of_nothing_that_a_crash_can_undo() -> None:
    """The disk failed: the orders are cancelled, and the next start tells what is in the log."""

    async def story() -> None:
        live = await LiveWorld.start()
        live.world.venue.fill = False
        await live.ask()

        async def broken(path: str) -> None:
            raise OutcomeUnknown("EIO")

        def opens(_index: int, _entry: IncidentOpened) -> None:
            live.world.disk.sync = broken  # type: ignore[method-assign] # the fault

        live.world.log.on_incident(opens)
        await live.ask("180000")
        await live.watch.settled()
        assert (live.told.reports, live.world.venue.resting) == ([], {})
        assert len(live.watch.unreported) == 1

    run(story())
