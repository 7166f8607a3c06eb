# SPDX-License-Identifier: Apache-2.0
"""What the simulation found, each told once more as a short story that needs no seed."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.core.errors import OutcomeUnknown, Unavailable
from tests.authority_world import (
    GATE_ORIGIN,
    START,
    AuthorityWorld,
    GateDouble,
    authority_keys,
    log_key,
)
from tests.gate_world import GateWorld, codes
from tests.simulation.outside import FixedKey


def test_retry_after_a_failed_flush_is_not_answered_from_memory() -> None:
    """Memory is ahead of the disk: the refusal it holds may never have been written."""

    async def story() -> None:
        world = await GateWorld.start()
        await world.ask(client_order_id="a")

        async def broken(path: str) -> None:
            raise OutcomeUnknown("EIO")

        world.disk.sync = broken  # type: ignore[method-assign] # the fault
        for _ in range(2):
            answer = await world.ask(client_order_id="b", quantity="180000")
            assert (answer.kind, answer.decision) == ("unavailable", -1)
            assert codes(answer) == ["control_unavailable"]

    asyncio.run(story())


def test_retry_while_the_first_flush_runs_waits_for_it() -> None:
    """The caller hung up during the flush; whoever asks again is answered from the disk only."""

    async def story() -> None:
        world = await GateWorld.start()
        await world.ask(client_order_id="a")
        let_go, sync = asyncio.Event(), world.disk.sync

        async def slow(path: str) -> None:
            await let_go.wait()
            await sync(path)

        world.disk.sync = slow  # type: ignore[method-assign] # the delay
        first = asyncio.create_task(world.ask(client_order_id="b", quantity="180000"))
        for _ in range(40):
            await asyncio.sleep(0)
        assert "b" in world.log.state.agents["bot"].known
        first.cancel()
        await asyncio.sleep(0)
        again = asyncio.create_task(world.ask(client_order_id="b", quantity="180000"))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not again.done()
        let_go.set()
        answer = await again
        assert (answer.kind, codes(answer)) == ("refused", ["exceeds_scope_size"])
        assert world.log.journal.durable_size > answer.decision

    asyncio.run(story())


def test_lease_whose_signature_came_after_its_end_is_unavailable() -> None:
    """The responder's key was slow: that is what the authority says, and it grants nothing."""

    async def story() -> None:
        clock = SteppedClock(START)

        class Slow(FixedKey):
            async def sign(self, message: bytes) -> bytes:
                clock.advance(61)
                return self.sign_blocking(message)

        keys = authority_keys(responder=Slow(103))
        world = await AuthorityWorld.start(clock=clock, keys=keys)
        issued = await world.certified()
        with pytest.raises(Unavailable, match="slower than the lease"):
            await world.lease(GateDouble(), issued.certificate_sha256)

    asyncio.run(story())


def test_second_hold_is_not_recorded_before_the_first_one_is() -> None:
    """It was on hold already, in memory: the disk failed, so nobody is told that it is recorded."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        await world.certified()
        let_go = asyncio.Event()

        async def failing(path: str) -> None:
            await let_go.wait()
            raise OutcomeUnknown("EIO")

        world.disk.sync = failing  # type: ignore[method-assign] # the fault
        first = asyncio.create_task(world.order("hold"))
        await asyncio.sleep(0)
        second = asyncio.create_task(world.order("hold"))
        let_go.set()
        outcomes = [await first, await second]
        assert [len(outcome.changed) for outcome in outcomes] == [1, 0]
        assert [(one.recorded, one.complete) for one in outcomes] == [(False, False)] * 2

    asyncio.run(story())


def test_lease_waits_for_a_release_that_came_while_it_waited() -> None:
    """What the register knows when the first flush ends is not all on the disk: seed 136."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        issued = await world.certified()
        await world.order("hold")
        await world.authority.certify_log(GATE_ORIGIN, log_key(GATE_ORIGIN))
        let_go, sync, syncs = (asyncio.Event(), asyncio.Event()), world.disk.sync, [0]

        async def slow(path: str) -> None:
            syncs[0] += 1
            await let_go[syncs[0] - 1].wait()
            await sync(path)

        world.disk.sync = slow  # type: ignore[method-assign] # the delay
        asked = asyncio.create_task(world.lease(GateDouble(), issued.certificate_sha256))
        await turns()
        released = asyncio.create_task(world.order("release"))
        await turns()
        let_go[0].set()
        await turns()
        assert (2, False) == (syncs[0], asked.done())
        let_go[1].set()
        world.disk.sync = sync  # type: ignore[method-assign] # mended
        assert issued.certificate_sha256 in (await asked).status
        assert (await released).recorded

    asyncio.run(story())


def test_gate_that_was_away_for_days_takes_its_own_cancelled_order_for_no_break() -> None:
    """Its answer was lost, its cancel confirmed; two days on the drop copy says that it began to
    rest, which is nobody's crime: seed 102.
    """

    async def story() -> None:
        world = await GateWorld.start()
        world.venue.silent = True
        began = world.log.at()
        assert (await world.ask(client_order_id="a")).order_state == "unknown"
        world.venue.silent = False
        (permit,) = world.venue.permits
        assert await world.release.cancel("bot", "a", "incident")
        world.clock.advance(2 * 86_400)
        report = world.venue.report(permit, "new", leaves="20000")
        world.release.take("PAPER", (msgspec.structs.replace(report, transact_at=began),))
        assert world.log.state.agents["bot"].orphans == 1
        assert world.log.state.outside.standing("PAPER").incident == ""

    asyncio.run(story())


async def turns() -> None:
    """Let everybody get as far as they can."""
    for _ in range(60):
        await asyncio.sleep(0)
