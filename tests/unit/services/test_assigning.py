# SPDX-License-Identifier: Apache-2.0
"""One gate an agent: the first that asks, an operator's move, and nobody beside the gate before."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from sekisho.core.errors import MalformedInput, NotAuthorised, Unavailable, VerificationFailed
from sekisho.core.events import AgentAssigned
from sekisho.core.governance.commands import check_command
from sekisho.core.terms import NS, format_instant
from sekisho.ports import LeaseGranted
from sekisho.services.assigning import AssignOutcome
from sekisho.services.certification import IssuedCertificate
from sekisho.services.leasing import parse_grant
from tests.authority_world import AGENT, AuthorityWorld, GateDouble, Listener, heard_by
from tests.unit.core.governance import samples

OTHER = "log.example/gate-2"
OPERATOR = "gate_runner"


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


async def traded() -> tuple[AuthorityWorld, GateDouble, GateDouble, IssuedCertificate]:
    """An authority, the gate that has the agent under a lease of 15 s, and another gate."""
    world = await AuthorityWorld.start()
    issued = await world.certified()
    first, second = GateDouble(), GateDouble("g2", OTHER, "c" * 32)
    for gate in (first, second):
        gate.grow()
    await world.lease(first, issued.certificate_sha256)
    return world, first, second, issued


async def move(world: AuthorityWorld, gate: str = "g2", **other: Any) -> AssignOutcome:
    """The operator assigns the agent."""
    fields: dict[str, Any] = {
        "gate": gate,
        "epoch": world.authority.state.agent_epoch(AGENT),
    } | other
    who = fields.pop("who", OPERATOR)
    return await world.assign(world.signed("assign", who, **fields))


def assigned(world: AuthorityWorld) -> list[AgentAssigned]:
    return [entry for entry in world.entries() if isinstance(entry, AgentAssigned)]


def answered(granted: LeaseGranted, issued: IssuedCertificate) -> bool:
    return issued.certificate_sha256 in granted.status


def test_agent_first_lease_that_names_it_assigns_it_once() -> None:
    """Whoever may sign for an agent is on record; without a command, and once."""

    async def story() -> None:
        world, first, second, issued = await traded()
        await world.lease(first, issued.certificate_sha256)
        (entry,) = assigned(world)
        assert ("bot", "g1", "", 0) == (entry.agent, entry.gate, entry.before, entry.epoch)
        granted = await world.lease(second, issued.certificate_sha256)
        assert not answered(granted, issued)
        assert parse_grant(granted.grant)[0].not_good == ()

    play(story())


def test_admission_goes_to_the_first_gate_that_asks_alone() -> None:
    """Another gate is told which gate has the agent, also by an authority opened anew."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        issued = await world.certified()
        found = await world.authority.admission_for("g1", AGENT)
        assert issued.certificate == found.certificate
        for one in (world, await world.again()):
            with pytest.raises(NotAuthorised, match="assigned to gate 'g1'"):
                await one.authority.admission_for("g2", AGENT)
            again = await one.authority.admission_for("g1", AGENT)
            assert found == again
        with pytest.raises(NotAuthorised, match="no active certificate"):
            await world.authority.admission_for("g1", "nobody")
        assert 1 == len(assigned(world))

    play(story())


def test_move_without_word_from_the_gate_before_waits_for_its_last_lease() -> None:
    """No admission and no answer in a lease before the last nanosecond of the old lease."""

    async def story() -> None:
        world, first, second, issued = await traded()
        world.clock.advance(5)
        end = format_instant(world.clock.now_ns() + 10 * NS)
        outcome = await move(world)
        assert ("g1", end, False) == (outcome.before, outcome.free_at, outcome.complete)
        assert not answered(await world.lease(first, issued.certificate_sha256), issued)
        world.clock.advance(10 - 1e-9)
        with pytest.raises(Unavailable, match="may sign until"):
            await world.authority.admission_for("g2", AGENT)
        assert not answered(await world.lease(second, issued.certificate_sha256), issued)
        world.clock.advance(1e-9)
        await world.authority.admission_for("g2", AGENT)
        await world.pass_on(first, second)
        assert answered(await world.lease(second, issued.certificate_sha256), issued)
        assert not answered(await world.lease(first, issued.certificate_sha256), issued)

    play(story())


def test_move_the_gate_before_that_reports_its_stop_frees_the_agent_at_once() -> None:
    """It is told to stop, under the move's own epoch; then only the history is wanting."""

    async def story() -> None:
        world, first, second, issued = await traded()
        listener = heard_by(world)
        outcome = await move(world)
        assert ("", False, True) == (outcome.free_at, outcome.handed_over, outcome.recorded)
        (failure,) = outcome.failures
        assert "gate g1 has not handed over" in failure
        assert not outcome.complete
        (push,) = listener.heard
        assert ("assigned", "hold", 1) == (push.cause, push.status, push.epoch)
        assert not answered(await world.lease(second, issued.certificate_sha256), issued)
        await world.pass_on(first, second)
        assert answered(await world.lease(second, issued.certificate_sha256), issued)
        assert not answered(await world.lease(first, issued.certificate_sha256), issued)

    play(story())


@pytest.mark.parametrize("listener", [Listener("g1", complete=False), Listener("g9")])
def test_move_an_incomplete_or_foreign_report_frees_nothing(listener: Listener) -> None:
    """Only what the gate before says of itself counts, and only when all of it was done."""

    async def story() -> None:
        world, _, second, issued = await traded()
        heard_by(world, listener)
        assert not (await move(world)).complete
        assert not answered(await world.lease(second, issued.certificate_sha256), issued)

    play(story())


def test_move_a_stop_reported_before_it_does_not_count_for_it() -> None:
    """A hold that was carried out may be released again: it is not the stop of the move."""

    async def story() -> None:
        world, _, second, issued = await traded()
        listener = heard_by(world)
        assert (await world.order("hold")).complete
        await world.order("release")
        listener.achieved = {"complete": False}
        assert (await move(world)).free_at
        with pytest.raises(Unavailable):
            await world.authority.admission_for("g2", AGENT)
        assert not answered(await world.lease(second, issued.certificate_sha256), issued)

    play(story())


def test_move_back_and_forth_each_time_waits_for_the_gate_before() -> None:
    """What g1 reported of its first loss says nothing about its second."""

    async def story() -> None:
        world, first, second, issued = await traded()
        listener = heard_by(world)
        assert "" == (await move(world)).free_at
        await world.lease(second, issued.certificate_sha256)
        await world.pass_on(first, second)
        await world.lease(second, issued.certificate_sha256)
        listener.gate = "g2"
        assert "" == (await move(world, "g1")).free_at
        await world.pass_on(second, first)
        assert answered(await world.lease(first, issued.certificate_sha256), issued)
        listener.achieved = {"complete": False}
        listener.gate = "g1"
        assert not (await move(world)).complete
        assert not answered(await world.lease(second, issued.certificate_sha256), issued)
        assert [(e.before, e.gate, e.epoch) for e in assigned(world)] == [
            ("", "g1", 0),
            ("g1", "g2", 1),
            ("g2", "g1", 2),
            ("g1", "g2", 3),
        ]

    play(story())


def test_move_survives_a_restart_and_every_gate_may_then_hold_the_longest_lease() -> None:
    """What was granted before is not in the log: the new gate waits sixty seconds."""

    async def story() -> None:
        world, first, second, issued = await traded()
        await move(world)
        await world.lease(second, issued.certificate_sha256)
        await world.pass_on(first, second)
        after = await world.again()
        after.clock.advance(60 - 1e-9)
        assert not answered(await after.lease(second, issued.certificate_sha256), issued)
        after.clock.advance(1e-9)
        assert answered(await after.lease(second, issued.certificate_sha256), issued)

    play(story())


def test_move_under_way_while_a_lease_is_signed_leaves_it_without_the_agent() -> None:
    """A lease that was begun before the move does not leave after it with the old answer."""

    async def story() -> None:
        world, first, second, issued = await traded()
        hanging = asyncio.Event()
        original = world.authority._leases._responder

        class Slow:
            async def sign(self, message: bytes) -> bytes:
                await hanging.wait()
                return await original.sign(message)

        leases: Any = world.authority._leases
        leases._responder = Slow()
        asked = asyncio.ensure_future(world.lease(first, issued.certificate_sha256))
        await world.clock.play(0.1)
        signed = world.signed("assign", OPERATOR, gate="g2", epoch=0)
        moving = asyncio.ensure_future(world.authority.assign((signed,)))
        await world.clock.play(0.1)
        hanging.set()
        assert not answered(await asked, issued)
        assert (await moving).recorded
        assert not answered(await world.lease(second, issued.certificate_sha256), issued)

    play(story())


@pytest.mark.parametrize(
    ("match", "changes"),
    [
        ("is compliance; only operator may", {"who": "compliance_lead"}),
        ("'g1' has it already", {"gate": "g1"}),
        ("signed at epoch 7", {"epoch": 7}),
        ("no certificate of this authority", {"agent": "other"}),
    ],
)
def test_move_that_nobody_may_command_is_refused(match: str, changes: dict[str, Any]) -> None:
    """By another role, to the same gate, of another epoch, about an unknown agent."""

    async def story() -> None:
        world, *_ = await traded()
        with pytest.raises(NotAuthorised, match=match):
            await move(world, **changes)
        assert 1 == len(assigned(world))

    play(story())


def test_move_command_is_used_once() -> None:
    """A replay after the agent moved back does nothing."""

    async def story() -> None:
        world, *_ = await traded()
        heard_by(world)
        signed = (world.signed("assign", OPERATOR, gate="g2", epoch=0),)
        await world.assign(*signed)
        with pytest.raises(NotAuthorised, match="was used before"):
            await world.assign(*signed)
        after = await world.again()
        with pytest.raises(NotAuthorised, match="was used before"):
            await after.assign(*signed)

    play(story())


def test_move_of_an_agent_that_no_gate_has_is_refused() -> None:
    """There is nobody to be told: the gate that is to have it asks for it."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        await world.certified()
        with pytest.raises(NotAuthorised, match="no gate has it yet"):
            await move(world)

    play(story())


@pytest.mark.parametrize(
    ("kind", "gate"), [("assign", None), ("hold", "g2"), ("assign", "no good")]
)
def test_command_names_a_gate_in_assign_and_nowhere_else(kind: str, gate: str | None) -> None:
    """The field belongs to this command alone, and is a name."""
    fields: dict[str, Any] = {"epoch": 0} | ({} if gate is None else {"gate": gate})
    with pytest.raises(MalformedInput, match="gate: "):
        check_command(samples.command(kind, OPERATOR, **fields))


@pytest.mark.parametrize(
    "changes",
    [
        {"before": "g9"},
        {"gate": "g1"},
        {"epoch": 0},
        {"epoch": 2},
        {"gate": "g3"},
        {"commands": (), "seats": ()},
        {"agent": "nobody"},
    ],
)
def test_assignment_that_is_not_lawful_makes_the_log_unreadable(changes: dict[str, Any]) -> None:
    """The fold takes a move only from the gate that has the agent, on a command that names it."""

    async def story() -> None:
        world, *_ = await traded()
        heard_by(world)
        signed = world.signed("assign", OPERATOR, gate="g2", epoch=0)
        twin = await world.again()
        await world.assign(signed)
        entry = assigned(world)[-1]
        fields = {name: getattr(entry, name) for name in entry.__struct_fields__} | changes
        with pytest.raises(VerificationFailed):
            twin.authority.log.record(AgentAssigned(**fields))
        assert twin.authority.log.record(entry) > 0

    play(story())


@pytest.mark.parametrize("changes", [{"before": "g9"}, {"epoch": 1}, {"seats": ("risk_lead",)}])
def test_first_assignment_that_is_not_lawful_is_refused(changes: dict[str, Any]) -> None:
    """Nobody commands it, it is no new epoch, and there was no gate before."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        await world.certified()
        fields: dict[str, Any] = {
            "at": world.authority.log.at(),
            "agent": AGENT,
            "gate": "g1",
            "before": "",
            "epoch": 0,
            "seats": (),
            "commands": (),
        }
        with pytest.raises(VerificationFailed):
            world.authority.log.record(AgentAssigned(**(fields | changes)))
        assert world.authority.log.record(AgentAssigned(**fields)) > 0

    play(story())


def test_stop_after_a_move_counts_both_gates_until_the_first_is_out() -> None:
    """A kill is not complete while either may still sign."""

    async def story() -> None:
        world, *_ = await traded()
        await move(world)
        report = await world.order("kill")
        assert (("g1", "g2"), False) == (report.unreached, report.complete)
        assert "" == report.lease_ends["g2"]
        world.clock.advance(15)
        assert ("g2",) == (await world.order("kill")).unreached

    play(story())
