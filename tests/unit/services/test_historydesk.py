# SPDX-License-Identifier: Apache-2.0
"""Histories at the authority: who may give one, which is kept, and who gets a lease when."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import msgspec
import pytest

from sekisho.core.encoding import b64, sha256_hex, unb64
from sekisho.core.errors import MalformedInput, NotAuthorised, Unavailable, VerificationFailed
from sekisho.core.events import AgentHandedOver, HistoryTaken
from sekisho.services.authoritywire import HistoryChunk
from sekisho.services.leasing import Moved, parse_grant
from tests.authority_world import AGENT, AuthorityWorld, GateDouble, heard_by, history_of

OPERATOR = "gate_runner"


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


async def move(world: AuthorityWorld, gate: str) -> None:
    """The operator assigns the agent."""
    epoch = world.authority.state.agent_epoch(AGENT)
    await world.assign(world.signed("assign", OPERATOR, gate=gate, epoch=epoch))


async def moved() -> tuple[AuthorityWorld, GateDouble, GateDouble, str]:
    """An agent that moved from g1 to g2; both have shown their logs; its certificate."""
    world = await AuthorityWorld.start()
    issued = await world.certified()
    first, second = GateDouble(), GateDouble("g2", "log.example/gate-2", "c" * 32)
    for gate in (first, second):
        gate.grow()
        await world.lease(gate, issued.certificate_sha256)
    heard_by(world)
    await move(world, "g2")
    world.authority.histories.keep_in(world.disk)
    return world, first, second, issued.certificate_sha256


async def told(world: AuthorityWorld, gate: GateDouble, certificate: str) -> dict[str, Moved]:
    """What a lease says of agents that moved; it answers for none of them."""
    granted = await world.lease(gate, certificate)
    found = parse_grant(granted.grant)[0].moved
    assert certificate not in granted.status
    return {} if isinstance(found, msgspec.UnsetType) else found


def recorded(world: AuthorityWorld, kind: type[Any]) -> list[Any]:
    return [entry for entry in world.entries() if isinstance(entry, kind)]


def test_lease_names_who_owes_a_history_and_then_what_is_kept() -> None:
    """To both gates the same; the first to know its digest is the lease that it signed."""

    async def story() -> None:
        world, first, second, certificate = await moved()
        owed = {AGENT: Moved(before="g1", gate="g2", epoch=1, history="")}
        assert owed == await told(world, first, certificate)
        assert owed == await told(world, second, certificate)
        _, chunk = history_of(first, 1)
        await world.authority.histories.take("g1", chunk)
        kept = {AGENT: Moved(before="g1", gate="g2", epoch=1, history=chunk.history_sha256)}
        assert kept == await told(world, second, certificate)
        await world.pass_on(first, second)
        granted = await world.lease(second, certificate)
        assert certificate in granted.status
        assert parse_grant(granted.grant)[0].moved is msgspec.UNSET
        (handed,), (taken,) = recorded(world, AgentHandedOver), recorded(world, HistoryTaken)
        assert (handed.history_sha256, 7, "g2") == (chunk.history_sha256, handed.index, handed.to)
        assert ("g2", chunk.history_sha256, 9) == (taken.gate, taken.history_sha256, taken.index)

    play(story())


def test_history_in_chunks_is_kept_when_the_last_has_come() -> None:
    """Each answer says where to go on; a chunk that comes twice changes nothing."""

    async def story() -> None:
        world, first, _, _ = await moved()
        data, whole = history_of(first, 1)
        desk = world.authority.histories
        parts = [
            msgspec.structs.replace(whole, offset=at, data=b64(data[at : at + 20]))
            for at in range(0, len(data), 20)
        ]
        assert 20 == (await desk.take("g1", parts[0])).next
        assert 20 == (await desk.take("g1", parts[0])).next
        assert 20 == (await desk.take("g1", parts[2])).next
        said = [(await desk.take("g1", part)).next for part in parts[1:]]
        assert len(data) == said[-1]
        assert len(data) == (await desk.take("g1", whole)).next
        assert 1 == len(recorded(world, AgentHandedOver))
        pieces = unb64((await desk.read("g2", AGENT, 0)).data)
        assert data == pieces
        assert data[11:] == unb64((await desk.read("g2", AGENT, 11)).data)

    play(story())


def resent(chunk: HistoryChunk, data: bytes, **changes: Any) -> HistoryChunk:
    """The same chunk with other bytes, and their digest."""
    fields = {"data": b64(data), "size": len(data), "history_sha256": sha256_hex(data)}
    return msgspec.structs.replace(chunk, **(fields | changes))


@pytest.mark.parametrize(
    ("gate", "changes", "error"),
    [
        ("g2", {"origin": "log.example/gate-2"}, NotAuthorised),
        ("g2", {}, NotAuthorised),
        ("g1", {"origin": "log.example/gate-2"}, NotAuthorised),
        ("g1", {"epoch": 2}, NotAuthorised),
        ("g1", {"agent": "other"}, NotAuthorised),
        ("g1", {"index": 8}, MalformedInput),
        ("g1", {"history_sha256": "0" * 64}, VerificationFailed),
        ("g1", {"size": 2**40}, MalformedInput),
        ("g1", {"size": 5}, MalformedInput),
    ],
)
def test_history_that_is_not_the_one_owed_is_refused(
    gate: str, changes: dict[str, Any], error: type[Exception]
) -> None:
    """Of another gate, log, move, agent or entry, of another digest, or of no proper size."""

    async def story() -> None:
        world, first, _, _ = await moved()
        _, chunk = history_of(first, 1)
        with pytest.raises(error):
            await world.authority.histories.take(gate, msgspec.structs.replace(chunk, **changes))
        assert [] == recorded(world, AgentHandedOver)

    play(story())


def test_history_of_another_head_than_its_chunk_is_refused() -> None:
    """The bytes say themselves whose they are."""

    async def story() -> None:
        world, first, _, _ = await moved()
        _, chunk = history_of(first, 1)
        for data in (history_of(first, 2)[0], b"[]\n", b"x"):
            with pytest.raises(MalformedInput):
                await world.authority.histories.take("g1", resent(chunk, data))
        assert [] == recorded(world, AgentHandedOver)

    play(story())


def test_second_history_of_a_move_is_refused_and_the_first_stays() -> None:
    """What the gate wrote anew after a crash does not replace what is on record."""

    async def story() -> None:
        world, first, _, _ = await moved()
        _, chunk = history_of(first, 1)
        await world.authority.histories.take("g1", chunk)
        _, other = history_of(first, 1, entry=8)
        with pytest.raises(NotAuthorised, match="owes no history"):
            await world.authority.histories.take("g1", other)
        after = await world.again()
        assert chunk.history_sha256 == after.authority.state.assigned[AGENT].kept

    play(story())


def test_taken_is_recorded_once_for_the_gate_that_has_the_agent() -> None:
    """Not for another gate or digest; said again it changes nothing."""

    async def story() -> None:
        world, first, second, _ = await moved()
        desk, (_, chunk) = world.authority.histories, history_of(first, 1)
        sha256 = chunk.history_sha256
        with pytest.raises(NotAuthorised):
            await desk.taken("g2", second.report(sha256, 1))
        await desk.take("g1", chunk)
        for gate, report in (
            ("g1", first.report(sha256, 1)),
            ("g2", second.report("0" * 64, 1)),
            ("g2", second.report(sha256, 2)),
            ("g2", first.report(sha256, 1)),
        ):
            with pytest.raises(NotAuthorised):
                await desk.taken(gate, report)
        for _ in range(2):
            await desk.taken("g2", second.report(sha256, 1))
        assert 1 == len(recorded(world, HistoryTaken))

    play(story())


def test_history_that_nobody_took_goes_to_the_next_gate() -> None:
    """A move to a gate that does not exist is mended by another one."""

    async def story() -> None:
        world, first, second, certificate = await moved()
        _, chunk = history_of(first, 1)
        await world.authority.histories.take("g1", chunk)
        await move(world, "g3")
        with pytest.raises(NotAuthorised):
            await world.authority.histories.taken("g2", second.report(chunk.history_sha256, 1))
        third = GateDouble("g3", "log.example/gate-3", "d" * 32)
        third.grow()
        found = await told(world, third, certificate)
        assert Moved(before="g1", gate="g3", epoch=2, history=chunk.history_sha256) == found[AGENT]

    play(story())


def test_read_is_for_the_gate_that_has_the_agent_and_when_there_is_one() -> None:
    """The gate before does not get it back, and nobody gets what has not come."""

    async def story() -> None:
        world, first, _, _ = await moved()
        desk = world.authority.histories
        with pytest.raises(Unavailable, match="'g1' has not handed over"):
            await desk.read("g2", AGENT, 0)
        await desk.take("g1", history_of(first, 1)[1])
        for gate, agent in (("g1", AGENT), ("g2", "other")):
            with pytest.raises(NotAuthorised):
                await desk.read(gate, agent, 0)

    play(story())


def test_authority_that_keeps_no_histories_takes_none() -> None:
    """What cannot be kept is not on record as handed over."""

    async def story() -> None:
        world, first, _, _ = await moved()
        world.authority.histories._disk = None
        with pytest.raises(Unavailable, match="keeps no histories"):
            await world.authority.histories.take("g1", history_of(first, 1)[1])
        assert [] == recorded(world, AgentHandedOver)

    play(story())


@pytest.mark.parametrize("choice", [0, 1])
def test_history_that_is_on_record_survives_the_loss_of_power(choice: int) -> None:
    """Its file is whole and named on the disk before any entry says that it is kept."""

    async def story() -> None:
        world, first, _, _ = await moved()
        data, chunk = history_of(first, 1)
        await world.authority.histories.take("g1", chunk)
        after = await world.again(world.disk.crash(Always(choice)))
        after.authority.histories.keep_in(after.disk)
        assert data == unb64((await after.authority.histories.read("g2", AGENT, 0)).data)

    play(story())


class Always:
    """What a crash may do, the same way each time: names lost (0), or content under them (1)."""

    def __init__(self, choice: int) -> None:
        self._choice = choice

    def randrange(self, start: int, /) -> int:
        return min(self._choice, start - 1)
