# SPDX-License-Identifier: Apache-2.0
"""Several replicas over one PostgreSQL: whoever is asked, one writes; whoever dies, it goes on."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec

from sekisho.compose import COMPLIANCE_SEAT
from tests.authority_world import log_key
from tests.embedded_world import AGENT
from tests.integration.replica_world import ReplicaWorld, answers, until

GATES = ("gate-1", "gate-2")


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


async def both(path: Path) -> ReplicaWorld:
    """Two replicas in this process; ``one`` writes."""
    world = await ReplicaWorld.start(path, "one", "two", gates=GATES)
    await world.serve("one")
    await until(lambda: world.writes("one"))
    await world.serve("two")
    return world


async def certified_gate(world: ReplicaWorld, replica: str) -> Any:
    """A gate at this replica that has the agent, a lease for it, and its stream."""
    gate = await world.gate(replica, "gate-1")
    await world.served["one"].home.authority.certify_log(gate.origin, log_key(gate.origin))
    digest = world.served["one"].home.authority.state.agents[AGENT][-1].sha256
    await gate.client.admission(AGENT)
    await gate.ask_lease(digest)
    gate.listen()
    await until(lambda: world.served[replica].gates.connected() == ("gate-1",))
    return gate, digest


def test_command_at_the_writer_reaches_a_gate_at_a_follower(tmp_path: Path) -> None:
    """The follower reads the hold in the log, tells its gate, and the answer says what it did."""

    async def story() -> None:
        world = await both(tmp_path)
        try:
            gate, digest = await certified_gate(world, "two")
            await until(lambda: len(gate.heard) == 0)
            await asyncio.sleep(0.3)  # the follower says which gates it has
            answer = await world.command("one", await world.sign("one", "hold", COMPLIANCE_SEAT))
            told = answer.json()
            assert (200, True, []) == (answer.status_code, told["complete"], told["unreached"])
            assert ["gate-1"] == [one["gate"] for one in told["reports"]]
            assert [("hold", digest)] == [
                (one.status, one.certificate_sha256) for one in gate.heard
            ]
            assert not gate.may_sign(digest)
        finally:
            await world.close()

    play(story())


def test_command_at_a_follower_is_carried_out_by_the_writer(tmp_path: Path) -> None:
    """Its gates are told, and the answer comes back the way that the command came."""

    async def story() -> None:
        world = await both(tmp_path)
        try:
            gate, digest = await certified_gate(world, "one")
            answer = await world.command("two", await world.sign("two", "hold", COMPLIANCE_SEAT))
            told = answer.json()
            assert (200, True) == (answer.status_code, told["complete"])
            assert not gate.may_sign(digest)
            following: Any = world.served["two"].home.authority
            await until(lambda: following.state.agents[AGENT][-1].status == "hold")
            assert not world.writes("two")
        finally:
            await world.close()

    play(story())


def test_lease_asked_at_a_follower_is_the_writers(tmp_path: Path) -> None:
    """A gate gets its lease through any replica, and one log of leases decides."""

    async def story() -> None:
        world = await both(tmp_path)
        try:
            gate, digest = await certified_gate(world, "two")
            assert gate.may_sign(digest)
            writer = world.served["one"].home.authority
            assert writer.state.gates["gate-1"].boot == gate.boot
            assert writer.gates.outstanding.left("gate-1", frozenset({digest})) > 0
        finally:
            await world.close()

    play(story())


def test_writer_that_ends_is_followed_by_the_other(tmp_path: Path) -> None:
    """The follower takes the log over, and stops and remembers as the first did."""

    async def story() -> None:
        world = await both(tmp_path)
        try:
            await world.served.pop("one").close()
            await until(lambda: world.writes("two"))
            await until(lambda: world.served["two"].home.authority.log.journal.failed is None)
            held = await world.command("two", await world.sign("two", "hold", COMPLIANCE_SEAT))
            assert (200, True) == (held.status_code, held.json()["recorded"])
            assert 1 == (await world.agent("two"))["epoch"]
            await world.serve("one")
            again: Any = world.served["one"].home.authority
            await until(lambda: again.state.agents[AGENT][-1].status == "hold")
            assert not world.writes("one")
        finally:
            await world.close()

    play(story())


def test_follower_without_a_writer_does_nothing_and_says_so(tmp_path: Path) -> None:
    """Between two writers a command is refused with 503: certainly nothing happened."""

    async def story() -> None:
        world = await both(tmp_path)
        try:
            signed = await world.sign("two", "hold", COMPLIANCE_SEAT)
            journal: Any = world.served["two"].home.journals["authority"]
            real = journal.head

            async def nobody() -> Any:
                return msgspec.structs.replace(await real(), address="", writer="")

            journal.head = nobody
            answer = await world.command("two", signed)
            assert (503, "unavailable") == (answer.status_code, answer.json()["error"])
            journal.head = real
            assert 0 == (await world.agent("two"))["epoch"]
        finally:
            await world.close()

    play(story())


def test_caller_handed_on_is_judged_by_who_it_is(tmp_path: Path) -> None:
    """A key that a follower hands on has the rights of the key; the header of a stranger none."""

    async def story() -> None:
        world = await both(tmp_path)
        try:
            async with await world.client("two") as http:
                made = await http.post(
                    "/v1/operators/own/keys",
                    headers={"idempotency-key": "k"},
                    json={"role": "auditor", "seat": "", "days": 1},
                )
                assert 201 == made.status_code
                bearer = {"authorization": f"Bearer {made.json()['presented']}"}
                for name in ("one", "two"):
                    async with await world.client(name) as other:
                        shown = await other.get("/v1/operators/own/agents", headers=bearer)
                        assert 200 == shown.status_code
                        denied = await other.post(
                            "/v1/operators/own/commands", headers=bearer, json={"commands": []}
                        )
                        assert 403 == denied.status_code
                forged = {"x-sekisho-peer": "e30="}
                answer = await http.get("/v1/roster", headers=forged)
                assert 403 == answer.status_code
        finally:
            await world.close()

    play(story())


def test_killed_writer_is_replaced_and_every_answered_command_holds(tmp_path: Path) -> None:
    """``kill -9`` of the writer at the moment of a command: what was answered is in the log."""

    async def story() -> None:
        world = await ReplicaWorld.start(tmp_path, "one", "two", gates=GATES)
        try:
            world.run("one")
            await answers(world, "one")
            world.run("two")
            await answers(world, "two")
            signed = await world.sign("two", "hold", COMPLIANCE_SEAT)
            commanding = asyncio.ensure_future(world.command("two", signed))
            await asyncio.sleep(0.005)
            world.processes["one"].send_signal(signal.SIGKILL)
            world.processes["one"].wait()
            answer = await commanding
            assert answer.status_code in (200, 503)
            done = answer.status_code == 200 and answer.json()["recorded"]
            epoch = await _settled(world, "two")
            if done:
                assert 1 == epoch
            elif answer.status_code == 503 and "effect" not in answer.json():
                assert 0 == epoch
            again = await world.command("two", await world.sign("two", "hold", COMPLIANCE_SEAT))
            assert (200, True) == (again.status_code, again.json()["recorded"])
            assert 1 == (await world.agent("two"))["epoch"]
        finally:
            await world.close()

    play(story())


async def _settled(world: ReplicaWorld, name: str) -> int:
    """The agent's epoch once this replica writes."""
    await answers(world, name)
    return int((await world.agent(name))["epoch"])


def test_frozen_writer_grants_nothing_when_it_thaws(tmp_path: Path) -> None:
    """SIGSTOP longer than a term lives: the other writes; the thawed one ends and wrote nothing."""

    async def story() -> None:
        world = await ReplicaWorld.start(tmp_path, "one", "two", gates=GATES)
        try:
            first = world.run("one")
            await answers(world, "one")
            world.run("two")
            await answers(world, "two")
            first.send_signal(signal.SIGSTOP)
            await asyncio.sleep(3.5)
            await answers(world, "two")
            held = await world.command("two", await world.sign("two", "hold", COMPLIANCE_SEAT))
            assert (200, True) == (held.status_code, held.json()["recorded"])
            first.send_signal(signal.SIGCONT)
            code = await asyncio.to_thread(first.wait, 20)
            assert code not in (0, None)
            assert 1 == (await world.agent("two"))["epoch"]
        finally:
            await world.close()

    play(story())
