# SPDX-License-Identifier: Apache-2.0
"""A push to many gates: it goes to those whom it concerns, and before everything that may wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from typing import Any

import pytest

from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.adapters.simulated_entropy import SeededEntropy
from sekisho.apps.authority_api import _event
from sekisho.core.events import CrlIssued
from sekisho.services import remotegates
from sekisho.services.agentgates import AgentGates
from sekisho.services.announcing import WRITTEN_WAIT_S
from sekisho.services.authoritywire import ToldStatus
from sekisho.services.remotegates import RemoteGates
from sekisho.services.stopping import StopOutcome
from sekisho.services.waiting import settle
from tests.authority_world import AGENT, AuthorityWorld, GateDouble

OUTCOME = StopOutcome(
    gate="g1",
    agent=AGENT,
    stopped_at="2026-05-15T09:00:00.000000000Z",
    last_permit=-1,
    confirmed=(),
    unconfirmed=(),
    recorded=True,
    complete=True,
)


def play(story: Coroutine[Any, Any, None]) -> None:
    """A story that waits for ever fails."""
    asyncio.run(asyncio.wait_for(story, 20))


async def leased() -> tuple[AuthorityWorld, RemoteGates]:
    """An authority whose gate g1 has the agent and a lease; nobody is connected."""
    world = await AuthorityWorld.start()
    issued = await world.certified()
    gate = GateDouble()
    gate.grow()
    await world.lease(gate, issued.certificate_sha256)
    return world, RemoteGates(world.authority, world.clock, SeededEntropy(b"gates"))


def crls(world: AuthorityWorld) -> int:
    return sum(isinstance(entry, CrlIssued) for entry in world.entries())


def test_push_with_many_gates_connected_looks_for_its_gates_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sixty gates are connected; the gates are found by the agent, and no gate is asked."""

    async def story() -> None:
        world, gates = await leased()
        streams = [gates.connect(f"g{number}", 0) for number in range(1, 61)]
        looked: list[str] = []
        real = AgentGates.told_of

        def told_of(self: AgentGates, push: Any) -> frozenset[str]:
            looked.append(push.agent)
            return real(self, push)

        monkeypatch.setattr(AgentGates, "told_of", told_of)
        ordering = asyncio.ensure_future(world.order("hold"))
        found = await anext(streams[0])
        assert found is not None
        assert [AGENT] == looked
        gates.reported("g1", found.push, OUTCOME)
        await world.clock.play(1)
        assert (await ordering).complete

    play(story())


def test_push_to_several_gates_is_one_event_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two gates that a push concerns are told the same event, whose bytes are made once."""

    async def story() -> None:
        world, gates = await leased()
        both = frozenset({"g1", "g2"})
        monkeypatch.setattr(AgentGates, "told_of", lambda *_: both)
        streams = [gates.connect(name, 0) for name in sorted(both)]
        asked = asyncio.ensure_future(world.order("hold"))
        first, second = [await anext(stream) for stream in streams]
        assert isinstance(first, ToldStatus)
        assert first is second
        assert _event(first) is _event(first)
        await world.clock.play(6)
        await asked

    play(story())


def test_crl_is_made_when_the_pushes_have_left_and_not_before() -> None:
    """A stream whose writer is held up a moment keeps the CRL waiting, which takes processor."""

    async def story() -> None:
        world, gates = await leased()
        stream = gates.connect("g1", 0)
        asked = asyncio.ensure_future(world.order("hold"))
        await world.clock.play(WRITTEN_WAIT_S / 2)
        assert 0 == crls(world)
        found = await anext(stream)
        assert found is not None
        writing = asyncio.ensure_future(anext(stream))
        await world.clock.play(0)
        assert 1 == crls(world)
        gates.reported("g1", found.push, OUTCOME)
        await world.clock.play(1)
        assert (await asked).complete
        assert None is await writing

    play(story())


def test_crl_is_made_all_the_same_when_a_push_does_not_leave() -> None:
    """A gate that reads nothing holds nobody else up for longer than the bound."""

    async def story() -> None:
        world, gates = await leased()
        gates.connect("g1", 0)
        asked = asyncio.ensure_future(world.order("hold"))
        await world.clock.play(WRITTEN_WAIT_S)
        assert 1 == crls(world)
        await world.clock.play(6)
        assert not (await asked).complete

    play(story())


def test_push_of_a_stream_that_ends_is_waited_for_no_longer() -> None:
    """The gate goes away before it was told: what waits for the push to leave goes on at once."""

    async def story() -> None:
        world, gates = await leased()
        stream = gates.connect("g1", 0)
        reading = asyncio.ensure_future(anext(stream))
        await world.clock.play(1)
        assert None is await reading
        asked = asyncio.ensure_future(world.order("hold"))
        await world.clock.play(0)
        assert 0 == crls(world)
        await stream.aclose()
        await world.clock.play(0)
        assert 1 == crls(world)
        await world.clock.play(6)
        assert not (await asked).complete

    play(story())


def test_stream_says_a_comment_each_second_in_which_it_said_nothing() -> None:
    """Pushes count as something said; a writer that is held up gets no comments on top."""

    async def story() -> None:
        world, gates = await leased()
        stream = gates.connect("g1", 0)
        heard: list[int] = []
        begin = world.clock.monotonic_ns()
        reading = asyncio.ensure_future(comments(stream, world.clock, heard))
        await world.clock.play(3.5)
        assert [1, 2, 3] == [round((at - begin) / 1e9) for at in heard]
        reading.cancel()

    async def comments(
        stream: AsyncGenerator[ToldStatus | None, None], clock: SteppedClock, heard: list[int]
    ) -> None:
        async for one in stream:
            assert one is None
            heard.append(clock.monotonic_ns())

    play(story())


def test_gate_that_connects_after_the_end_hears_that_it_has_ended() -> None:
    """Nobody is kept on a stream of an authority that is closing."""

    async def story() -> None:
        _, gates = await leased()
        gates.close()
        with pytest.raises(StopAsyncIteration):
            await anext(gates.connect("g1", 0))
        assert remotegates.COMMENT_S == 1.0

    play(story())


def test_settle_wakes_once_for_hundreds_of_futures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each end is counted; nobody looks through all the others again for it."""

    async def story() -> None:
        clock = SteppedClock(0)
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in range(300)]
        asked: list[int] = []

        def waits(*_: Any, **__: Any) -> Any:
            raise AssertionError("it looks through all of them")

        monkeypatch.setattr(asyncio, "wait", waits)
        settling = asyncio.ensure_future(settle(clock, futures, 5))
        for number, future in enumerate(futures):
            await asyncio.sleep(0)
            assert not settling.done()
            future.set_result(None)
            asked.append(number)
        assert await settling
        late = [loop.create_future(), loop.create_future()]
        late[0].set_result(None)
        settling = asyncio.ensure_future(settle(clock, late, 5))
        await clock.play(5)
        assert not await settling
        assert not late[1].cancelled()

    play(story())
