# SPDX-License-Identifier: Apache-2.0
"""What people do about an incident: acknowledge, release, revoke, kill, re-arm, go live."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import msgspec
import pytest

from sekisho.core.encoding import b64, unb64
from sekisho.core.errors import MalformedInput, NotAuthorised, StorageFailed, VerificationFailed
from sekisho.core.events import BaselineLocked, IncidentAcknowledged, RearmAuthorised, StatusChanged
from sekisho.core.governance.commands import Reach, signed_command_text
from sekisho.services.people import sign_command
from tests.authority_world import AGENT, GATE_ORIGIN, heard_by
from tests.incident_world import DEADLINE_S, GRACE_S, IncidentWorld, name_of, play
from tests.unit.core.governance import samples

BEGUN = ["recorded hold", "automatic_hold", "pager opened delivered", "grace"]
BASELINE = "b" * 64
LATCH = "circuit_breaker"


async def held() -> IncidentWorld:
    """An incident in grace."""
    world = await IncidentWorld.begin()
    await world.report()
    return world


def test_acknowledgement_stops_the_grace_and_starts_the_deadline() -> None:
    """Looked into: revoked only when the time for a disposition is over."""

    async def story() -> None:
        world = await held()
        world.clock.advance(GRACE_S - 1)
        signed = world.answer("investigating")
        outcome = await world.authority.acknowledge((signed,))
        ends_at = world.soon(DEADLINE_S)
        assert (outcome.state, outcome.ends_at) == ("acknowledged", ends_at)
        assert (outcome.incident, outcome.agent, outcome.status) == (name_of(1), AGENT, None)
        assert (outcome.disposition, outcome.seats) == ("investigating", ("risk_lead",))
        entry = world.entries()[outcome.index]
        assert isinstance(entry, IncidentAcknowledged)
        assert entry.commands == (signed_command_text(signed),)
        world.clock.advance(DEADLINE_S - 1)
        assert await world.authority.due() == 0
        world.clock.advance(1)
        assert await world.authority.due() == 1
        assert world.story()[4:] == [
            "answered investigating",
            "deadline_expired",
            "closed revoked",
            "pager overdue delivered",
        ]

    play(story())


def test_acknowledgement_as_a_fault_revokes_at_once() -> None:
    """The gates are told, and the outcome says what that achieved."""

    async def story() -> None:
        world = await held()
        listener = heard_by(world)
        outcome = await world.acknowledge("fault")
        assert (outcome.state, outcome.ends_at) == ("closed", "")
        assert outcome.status is not None
        assert (outcome.status.act, outcome.status.complete) == ("fault", True)
        assert world.story()[4:] == [
            "answered fault",
            "fault",
            "closed revoked",
            "pager revoked delivered",
        ]
        assert [push.status for push in listener.heard] == ["revoked"]
        assert await world.status(world.issued) == "revoked"

    play(story())


def test_acknowledgement_is_carried_out_when_the_person_goes_away() -> None:
    """A fault that is on record is followed by its revocation, whoever waits for it."""

    async def story() -> None:
        world = await held()
        listener = heard_by(world)
        asked = asyncio.ensure_future(world.acknowledge("fault"))
        await asyncio.wait({asked}, timeout=0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await world.clock.play(0)
        assert [push.status for push in listener.heard] == ["revoked"]
        assert world.story()[-1] == "pager revoked delivered"

    play(story())


def test_acknowledgement_as_a_fault_may_name_a_time() -> None:
    """Held until then, revoked then; a later answer may only bring it forward."""

    async def story() -> None:
        world = await held()
        late, early = world.soon(1000), world.soon(900)
        outcome = await world.acknowledge("fault", revoke_at=late)
        assert (outcome.state, outcome.ends_at) == ("scheduled", late)
        for other in ({"revoke_at": late}, {"revoke_at": world.soon(1001)}):
            with pytest.raises(NotAuthorised, match="brought forward"):
                await world.acknowledge("fault", **other)
        for disposition in ("investigating", "false_alarm"):
            with pytest.raises(NotAuthorised, match="'answered' does not happen"):
                await world.acknowledge(disposition)
        assert (await world.acknowledge("fault", revoke_at=early)).ends_at == early
        world.clock.advance(899.999)
        assert await world.authority.due() == 0
        world.clock.advance(0.001)
        assert await world.authority.due() == 1
        assert world.story()[-3:] == ["fault", "closed revoked", "pager revoked delivered"]

    play(story())


def test_acknowledgement_cannot_lengthen_the_first_deadline() -> None:
    """However often somebody looks into it, and whatever the wall clock does meanwhile."""

    async def story() -> None:
        world = await held()
        deadline = (await world.acknowledge("investigating")).ends_at
        world.clock.advance(DEADLINE_S / 2)
        assert (await world.acknowledge("false_alarm")).ends_at == deadline
        with pytest.raises(NotAuthorised, match="after the deadline"):
            await world.acknowledge("fault", revoke_at=world.soon(DEADLINE_S / 2 + 1))
        world.clock.step_wall(-600)
        world.clock.advance(DEADLINE_S / 2 - 1)
        assert await world.authority.due() == 0
        world.clock.advance(1)
        assert await world.authority.due() == 1
        assert world.held_status() == "revoked"

    play(story())


@pytest.mark.parametrize(
    ("seconds", "match"), [(0, "past"), (-1, "past"), (DEADLINE_S + 1, "after the deadline")]
)
def test_acknowledgement_with_a_time_that_cannot_be_is_refused(seconds: float, match: str) -> None:
    """A revocation lies in the future and not after the deadline."""

    async def story() -> None:
        world = await held()
        with pytest.raises(NotAuthorised, match=match):
            await world.acknowledge("fault", revoke_at=world.soon(seconds))
        assert (world.story(), world.case().state) == (BEGUN, "grace")

    play(story())


def test_acknowledgement_by_whom_it_is_not_for_changes_nothing() -> None:
    """Another role, a stranger, a seat that is not there, a replay: nothing is recorded."""

    async def story() -> None:
        world = await held()
        ack = world.authority.acknowledge

        async def refused(error: type[Exception], match: str, *signed: Any) -> None:
            with pytest.raises(error, match=match):
                await ack(signed)
            assert (world.story(), world.case().state) == (BEGUN, "grace")

        for who in ("coder", "desk_lead", "ceo", "gate_runner", "issuing_officer"):
            await refused(NotAuthorised, "only", world.answer("false_alarm", who=who))
        both = world.answer("false_alarm"), world.answer("false_alarm", who="coder")
        await refused(NotAuthorised, "only", *both)
        genuine = world.answer("false_alarm")
        forged = msgspec.structs.replace(genuine, signature=b64(b"x" * 64))
        await refused(VerificationFailed, "signature", forged)
        stranger = msgspec.structs.replace(
            genuine, command=msgspec.structs.replace(genuine.command, seat="nobody")
        )
        await refused(VerificationFailed, "no seat", stranger)
        await refused(NotAuthorised, "nobody")
        other = world.answer("false_alarm", incident=name_of(2))
        await refused(NotAuthorised, "has no incident", other)
        await refused(NotAuthorised, "no certificate", world.answer("false_alarm", agent="other"))
        await refused(
            NotAuthorised, "not a matter of acknowledge", world.signed("hold", "risk_lead")
        )
        world.clock.advance(299)
        await ack((genuine,))
        with pytest.raises(NotAuthorised, match="used before"):
            await ack((genuine,))
        after = await world.again()
        with pytest.raises(NotAuthorised, match="used before"):
            await after.authority.acknowledge((genuine,))

    play(story())


def test_acknowledgement_of_another_agents_incident_is_refused() -> None:
    """The command names the agent whose incident it is."""

    async def story() -> None:
        world = await held()
        await world.certified("other")
        with pytest.raises(NotAuthorised, match="other has no incident"):
            await world.acknowledge("false_alarm", agent="other")

    play(story())


def test_acknowledgement_before_anybody_was_reached_or_of_a_breaker_is_refused() -> None:
    """There is no time to be stopped; release, revoke and kill are there."""

    async def story() -> None:
        world = await IncidentWorld.begin(channel=False)
        await world.report()
        with pytest.raises(NotAuthorised, match="alerting"):
            await world.acknowledge("investigating")
        other = await IncidentWorld.begin()
        await other.report(1, "breaker")
        with pytest.raises(NotAuthorised, match="latched"):
            await other.acknowledge("investigating")

    play(story())


def test_acknowledgement_that_comes_too_late_finds_it_revoked() -> None:
    """Whether or not a timer ran: what is over is over before anybody is listened to."""

    async def story() -> None:
        world = await held()
        world.clock.advance(GRACE_S)
        with pytest.raises(NotAuthorised, match="is over: revoked"):
            await world.acknowledge("false_alarm")
        assert world.held_status() == "revoked"
        world = await held()
        world.clock.step_wall(-100)
        world.clock.advance(100)
        signed = world.answer("false_alarm")
        world.clock.advance(GRACE_S - 100)
        with pytest.raises((NotAuthorised, VerificationFailed)):
            await world.authority.acknowledge((signed,))
        assert world.held_status() == "revoked"

    play(story())


@pytest.mark.parametrize("answered", [None, "investigating", "false_alarm", "dated"])
def test_release_by_two_roles_ends_it_in_whichever_state(answered: str | None) -> None:
    """Compliance and risk together have answered it; people are told."""

    async def story() -> None:
        world = await held()
        if answered == "dated":
            await world.acknowledge("fault", revoke_at=world.soon(100))
        elif answered is not None:
            await world.acknowledge(answered)
        listener = heard_by(world)
        outcome = await world.order("release", incident=name_of(1))
        assert (outcome.complete, world.held_status()) == (True, "good")
        assert world.story()[-3:] == ["release", "closed released", "pager released delivered"]
        assert [push.status for push in listener.heard] == ["good"]
        entry = [one for one in world.entries() if isinstance(one, StatusChanged)][-1]
        assert entry.incident == name_of(1)
        world.clock.advance(10 * DEADLINE_S)
        assert await world.authority.due() == 0
        assert await world.status(world.issued) == "good"

    play(story())


def test_release_while_nobody_was_reached_ends_it() -> None:
    """Two people who say so need no channel."""

    async def story() -> None:
        world = await IncidentWorld.begin(channel=False)
        await world.report()
        assert (await world.order("release")).complete
        assert (world.case().outcome, world.held_status()) == ("released", "good")

    play(story())


def test_release_by_fewer_than_two_roles_or_for_another_incident_changes_nothing() -> None:
    """One person, the developer as one more, an incident that is not the open one: still held."""

    async def story() -> None:
        world = await held()
        give, signed = world.authority.command, world.signed
        for commands, match in (
            ((signed("release", "risk_lead"),), "with the role compliance"),
            ((signed("release", "compliance_lead"),), "with the role risk"),
            ((*world.commands("release"), signed("release", "coder")), "only"),
            (world.commands("release", incident=name_of(2)), f"open is {name_of(1)}"),
        ):
            with pytest.raises(NotAuthorised, match=match):
                await give(commands)
        assert (world.story(), world.case().state) == (BEGUN, "grace")

    play(story())


def test_release_that_names_an_incident_needs_one() -> None:
    """A person's own hold has none; a breaker's is not released."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        await world.report(1, "breaker")
        await world.order("hold")
        with pytest.raises(NotAuthorised, match="open is none"):
            await world.order("release", incident=name_of(1))
        assert (await world.order("release")).complete
        assert (world.case().state, world.held_status()) == ("latched", "good")

    play(story())


def test_release_after_the_grace_is_too_late() -> None:
    """The end of the grace is carried out before the command is judged."""

    async def story() -> None:
        world = await held()
        world.clock.advance(GRACE_S)
        with pytest.raises(NotAuthorised):
            await world.order("release")
        assert world.held_status() == "revoked"

    play(story())


@pytest.mark.parametrize(("kind", "outcome"), [("revoke", "revoked"), ("kill", "killed")])
@pytest.mark.parametrize("incident_kind", ["hold", "breaker"])
def test_revoke_and_kill_close_the_open_incident(
    kind: str, outcome: str, incident_kind: str
) -> None:
    """In any state, of either kind; the end is told."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        await world.report(1, incident_kind)
        assert (await world.order(kind)).complete
        assert world.case().outcome == outcome
        assert world.story()[-3:] == [kind, f"closed {outcome}", "pager revoked delivered"]
        assert (await world.again()).story() == world.story()

    play(story())


def test_kill_of_all_closes_every_incident_between_its_changes() -> None:
    """Several agents by one command: each end is followed by its close; the log reads again."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        other = await world.certified("other")
        await world.report(1)
        await world.report(2, agent="other", certificate_sha256=other.certificate_sha256, index=500)
        everybody = {
            "agent": msgspec.UNSET,
            "scope": Reach(kind="all", name="all"),
        }
        report = await world.authority.command((world.signed("kill", "ceo", **everybody),))
        assert report.complete
        assert world.story()[8:12] == ["kill", "closed killed", "kill", "closed killed"]
        assert {one.outcome for one in (await world.again()).authority.incidents.all()} == {
            "killed"
        }

    play(story())


# -- latches and baselines ------------------------------------------------------------------------


def asked_of(world: IncidentWorld, act: str, signed: Any) -> Coroutine[Any, Any, Any]:
    """Give the command to whom it is for."""
    if act == "go_live":
        return world.authority.go_live(signed, origin=GATE_ORIGIN, complete=True)
    return world.authority.authorise_rearm(signed)


def rearm(world: IncidentWorld, latch: str = LATCH, **other: Any) -> Any:
    """Two people's commands."""
    return world.commands("rearm", latch=latch, **other)


def test_rearm_is_recorded_and_closes_the_breakers_incident() -> None:
    """What the gate gets is the entry, the seats and the signed commands."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        await world.report(1, "breaker")
        commands = rearm(world, incident=name_of(1))
        done = await world.authority.authorise_rearm(commands)
        assert (done.agent, done.latch) == (AGENT, "circuit_breaker")
        assert done.seats == ("compliance_lead", "risk_lead")
        assert done.commands == tuple(signed_command_text(one) for one in commands)
        entry = world.entries()[done.index]
        assert isinstance(entry, RearmAuthorised)
        assert world.case().outcome == "rearmed"
        again = await world.again()
        assert again.case().outcome == "rearmed"
        with pytest.raises(NotAuthorised, match="used before"):
            await again.authority.authorise_rearm(commands)

    play(story())


def test_rearm_of_another_latch_or_without_incident_closes_nothing() -> None:
    """The gate knows its latches; the authority records who took them off."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        await world.authority.authorise_rearm(rearm(world))
        await world.report(1, "breaker")
        await world.authority.authorise_rearm(rearm(world, "repeated_executions"))
        assert world.case().state == "latched"
        with pytest.raises(NotAuthorised, match="does not end"):
            await world.authority.authorise_rearm(rearm(world, incident=name_of(2)))

    play(story())


def test_rearm_and_go_live_without_right_change_nothing() -> None:
    """Roles, epoch, nonce, another act, an unknown agent, a log that failed."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        await world.order("hold")
        await world.order("release")
        size = world.authority.state.size

        async def refused(match: str, *signed: Any, live: bool = False) -> None:
            with pytest.raises(NotAuthorised, match=match):
                await asked_of(world, "go_live" if live else "rearm", signed)
            assert world.authority.state.size == size

        one = world.signed("rearm", "risk_lead", latch="circuit_breaker")
        await refused("with the role compliance", one)
        await refused("at 2", *rearm(world, epoch=1))
        await refused("no certificate", *rearm(world, agent="other", epoch=2))
        await refused("not a matter of rearm", *world.commands("release"))
        await refused("not a matter of go_live", *rearm(world), live=True)
        for who in ("coder", "desk_lead", "ceo", "gate_runner"):
            live = world.signed("go_live", who, baseline_sha256=BASELINE)
            await refused("only", live, live=True)
        stale = world.signed("go_live", "risk_lead", baseline_sha256=BASELINE, epoch=0)
        await refused("at 2", stale, live=True)
        good = world.signed("go_live", "risk_lead", baseline_sha256=BASELINE)
        world.disk.fail("append")
        with pytest.raises(StorageFailed):
            await world.authority.go_live((good,), origin=GATE_ORIGIN, complete=True)
        with pytest.raises(StorageFailed):
            await world.authority.authorise_rearm(rearm(world))
        assert world.authority.baseline_lock(AGENT) is None

    play(story())


def test_rearm_and_go_live_after_the_grace_are_for_another_state() -> None:
    """What is over is over first; then the epoch that was signed is not the present one."""

    async def story() -> None:
        for act in ("rearm", "go_live"):
            world = await held()
            world.clock.advance(GRACE_S)
            said = {"baseline_sha256": BASELINE} if act == "go_live" else {"latch": LATCH}
            signed = world.commands(act, **said)
            with pytest.raises(NotAuthorised, match="signed at epoch 1, the agent is at 2"):
                await asked_of(world, act, signed)
            assert world.held_status() == "revoked"

    play(story())


def test_go_live_locks_the_baseline_once() -> None:
    """On record and durable when it returns; known after a restart; a second one is refused."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        signed = world.commands("go_live", baseline_sha256=BASELINE)
        assert world.authority.baseline_lock(AGENT) is None
        lock = await world.authority.go_live(signed, origin=GATE_ORIGIN, complete=True)
        entry = world.entries()[lock.index]
        assert isinstance(entry, BaselineLocked)
        assert (lock.baseline_sha256, entry.baseline_sha256) == (BASELINE, BASELINE)
        after = await world.again()
        assert after.authority.baseline_lock(AGENT) == lock
        other = after.commands("go_live", baseline_sha256="c" * 64)
        with pytest.raises(NotAuthorised, match="has a locked baseline"):
            await after.authority.go_live(other, origin=GATE_ORIGIN, complete=True)

    play(story())


def test_go_live_is_refused_without_its_conditions() -> None:
    """An incomplete baseline, another log, an open incident: the agent stays as it is."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        live = world.authority.go_live

        def signed() -> Any:
            return world.commands("go_live", baseline_sha256=BASELINE)

        with pytest.raises(NotAuthorised, match="no complete baseline"):
            await live(signed(), origin=GATE_ORIGIN, complete=False)
        with pytest.raises(NotAuthorised, match="no certified key"):
            await live(signed(), origin="log.example/unknown", complete=True)
        await world.report(1, "breaker")
        with pytest.raises(NotAuthorised, match="incident of the agent is open"):
            await live(signed(), origin=GATE_ORIGIN, complete=True)
        assert world.authority.baseline_lock(AGENT) is None

    play(story())


def test_go_live_given_twice_at_once_locks_one() -> None:
    """Two people sign two baselines in the same moment: one of them is refused."""

    async def story() -> None:
        world = await IncidentWorld.begin()
        answers = await asyncio.gather(
            *(
                world.authority.go_live(
                    (world.signed("go_live", who, baseline_sha256=digest * 64),),
                    origin=GATE_ORIGIN,
                    complete=True,
                )
                for who, digest in (("risk_lead", "b"), ("compliance_lead", "c"))
            ),
            return_exceptions=True,
        )
        assert [type(one).__name__ for one in answers] == ["BaselineLock", "NotAuthorised"]

    play(story())


def test_signed_command_of_people_says_what_was_meant() -> None:
    """What ``sign_command`` makes is taken; what is not well made is not signed at all."""

    async def story() -> None:
        world = await held()
        key = _PersonKey("risk_lead")

        def sign(act: str, **more: Any) -> Any:
            now = world.clock.now_ns()
            return sign_command(
                key, act, AGENT, world.authority, "risk_lead", "checked", "7" * 32, now, **more
            )

        signed = sign("acknowledge", incident=name_of(1), disposition="false_alarm")
        assert (await world.authority.acknowledge((signed,))).state == "acknowledged"
        live = sign("go_live", baseline_sha256=BASELINE)
        assert live.command.epoch == world.authority.state.agent_epoch(AGENT)
        for act, more in (
            ("acknowledge", {"disposition": "false_alarm"}),
            ("acknowledge", {"incident": name_of(1), "disposition": "nothing"}),
            ("go_live", {}),
            ("hold", {"latch": "circuit_breaker"}),
        ):
            with pytest.raises(MalformedInput):
                sign(act, **more)

    play(story())


class _PersonKey:
    """A sample seat's key behind the Signer port."""

    uri, algorithm, public_key = "test:person", "", b""

    def __init__(self, seat: str) -> None:
        self._seat = seat

    async def sign(self, message: bytes) -> bytes:
        return self.sign_blocking(message)

    def sign_blocking(self, message: bytes) -> bytes:
        return unb64(samples.sign(samples.KEYS[self._seat], message))
