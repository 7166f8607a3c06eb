# SPDX-License-Identifier: Apache-2.0
"""The authority's end of the gates' streams: who is asked, who is missing, what reports do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from typing import Any

import pytest

from sekisho.adapters.simulated_entropy import SeededEntropy
from sekisho.core.errors import MalformedInput, NotAuthorised
from sekisho.services.authoritywire import ToldStatus
from sekisho.services.remotegates import RemoteGates
from sekisho.services.stopping import StopOutcome
from tests.authority_world import AGENT, AuthorityWorld, GateDouble

Stream = AsyncGenerator[ToldStatus | None, None]


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


async def connected() -> tuple[AuthorityWorld, RemoteGates, Stream, Stream]:
    """An authority, the stream of the gate that has the agent, and that of another gate."""
    world = await AuthorityWorld.start()
    issued = await world.certified()
    gate = GateDouble()
    gate.grow()
    await world.lease(gate, issued.certificate_sha256)
    gates = RemoteGates(world.authority, world.clock, SeededEntropy(b"gates"))
    return world, gates, gates.connect("g1", 0), gates.connect("g2", 0)


def outcome(**other: Any) -> StopOutcome:
    fields: dict[str, Any] = {
        "gate": "g1",
        "agent": AGENT,
        "stopped_at": "2026-05-15T09:00:00.000000000Z",
        "last_permit": -1,
        "confirmed": (),
        "unconfirmed": (),
        "recorded": True,
        "complete": True,
    }
    return StopOutcome(**(fields | other))


async def told(world: AuthorityWorld, stream: Stream) -> ToldStatus | None:
    """What the stream says within the next second."""
    found = asyncio.ensure_future(anext(stream))
    await world.clock.play(1)
    return await found


def test_push_goes_to_the_gate_that_has_the_agent_alone() -> None:
    """Another gate is neither asked nor missed; it hears its second's silence."""

    async def story() -> None:
        world, gates, stream, other = await connected()
        ordering = asyncio.ensure_future(world.order("hold"))
        found = await told(world, stream)
        assert found is not None
        gates.reported("g1", found.push, outcome())
        assert (await ordering).complete
        assert None is await told(world, other)
        assert None is await told(world, stream)

    play(story())


def test_gate_that_is_connected_and_frozen_is_named_after_five_seconds() -> None:
    """A stream that takes what is said and answers nothing is no success."""

    async def story() -> None:
        world, _, stream, _ = await connected()
        ordering = asyncio.ensure_future(world.order("hold"))
        assert await told(world, stream) is not None
        await world.clock.play(4.5)
        report = await ordering
        assert ("gate g1 did not answer within 5.0 s",) == report.failures
        assert (("g1",), False) == (report.unreached, report.complete)

    play(story())


def test_gate_that_is_not_connected_is_unreached_without_waiting() -> None:
    """Nobody waits for a gate that has no stream; the end of its lease is said."""

    async def story() -> None:
        world, gates, stream, _ = await connected()
        assert None is await told(world, stream)
        await stream.aclose()
        assert ("g2",) == gates.connected()
        report = await world.order("hold")
        assert (("g1",), ()) == (report.unreached, report.failures)
        assert {"g1"} == {gate for gate, end in report.lease_ends.items() if end}

    play(story())


def test_report_that_is_not_the_answer_to_a_push_changes_nothing() -> None:
    """Of another id, gate or agent: refused; the stop stays open until the right one comes."""

    async def story() -> None:
        world, gates, stream, other = await connected()
        assert None is await told(world, other)
        ordering = asyncio.ensure_future(world.order("hold"))
        found = await told(world, stream)
        assert found is not None
        for gate, push in (("g1", "another"), ("g2", found.push), ("g9", found.push)):
            with pytest.raises(NotAuthorised, match="is asked nothing"):
                gates.reported(gate, push, outcome(gate=gate))
        for changes in ({"gate": "g2"}, {"agent": "other"}):
            with pytest.raises(MalformedInput, match="another gate or agent"):
                gates.reported("g1", found.push, outcome(**changes))
        assert not ordering.done()
        gates.reported("g1", found.push, outcome())
        assert (await ordering).complete

    play(story())


def test_push_told_twice_is_asked_for_once_after_a_cut() -> None:
    """A stop that stays incomplete does not pile up: the last telling stands for all."""

    async def story() -> None:
        world, gates, stream, _ = await connected()
        found: ToldStatus | None = None
        for _ in range(2):
            ordering = asyncio.ensure_future(world.order("hold"))
            found = await told(world, stream)
            assert found is not None
            gates.reported("g1", found.push, outcome(complete=False))
            assert not (await ordering).complete
        await stream.aclose()
        again = gates.connect("g1", 1)
        assert await told(world, again) == found
        assert None is await told(world, again)

    play(story())


def test_streams_end_when_the_authority_does() -> None:
    """A drain does not wait for gates that would listen for ever."""

    async def story() -> None:
        world, gates, stream, _ = await connected()
        assert None is await told(world, stream)
        gates.close()
        with pytest.raises(StopAsyncIteration):
            await told(world, stream)
        assert "g1" not in gates.connected()

    play(story())
