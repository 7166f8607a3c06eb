# SPDX-License-Identifier: Apache-2.0
"""A key that takes its time: nobody waits longer than a bound, and what comes late goes nowhere."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.adapters.simulated_disk import SimulatedDisk
from sekisho.core.errors import OutcomeUnknown, SignatureLate, Unavailable
from sekisho.core.events import PermitSigned, Withdrawn, decode_gate_entry
from sekisho.core.terms import parse_instant
from sekisho.services.gatekeeper import Answer
from sekisho.services.journal import Journal
from sekisho.services.signing import SIGN_S, BoundedSigner, signature_of
from tests.authority_world import START, AuthorityWorld, GateDouble, authority_keys
from tests.gate_world import CERTIFICATE, MORNING, POLICY, GateWorld, P256Signer, codes
from tests.ledger_doubles import SoftwareSigner
from tests.simulation.outside import FixedKey

LIFETIME_S = POLICY["risk_controls"]["permit_lifetime_s"]


class HeldKey(P256Signer):
    """A key that answers when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = asyncio.Event()
        self.before = self.let_go.wait


class Story:
    """An order whose key does not answer."""

    def __init__(self, world: GateWorld, key: HeldKey) -> None:
        self.world, self.key = world, key
        self.asked: asyncio.Task[Answer] | None = None

    @classmethod
    async def begin(cls) -> Story:
        world = await GateWorld.start()
        await world.venue_watch.reconcile()
        key = world.signer = HeldKey()
        world.gate._signers = {CERTIFICATE: key}
        made = cls(world, key)
        made.asked = asyncio.create_task(world.ask())
        await world.clock.play(LIFETIME_S - 0.001)
        assert not made.asked.done()
        return made

    async def answer(self) -> Answer:
        """What the bot is told when the bound is over."""
        assert self.asked is not None
        await self.world.clock.play(0.001)
        assert self.asked.done()
        return await self.asked

    async def let_go(self) -> None:
        """The key answers now."""
        self.key.let_go.set()
        await self.world.clock.play(0.1)

    def entries(self, kind: type) -> list[object]:
        """What the log has of a kind."""
        entries = (decode_gate_entry(data) for _, data in self.world.log.journal.entries())
        return [entry for entry in entries if isinstance(entry, kind)]


def run(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(story())  # type: ignore[arg-type] # a coroutine function


def test_order_whose_key_does_not_answer_is_unavailable_and_possibly_issued() -> None:
    """At the end of what its permit would live, not later; its volume stays reserved."""

    async def story() -> None:
        told = await Story.begin()
        answer = await told.answer()
        assert ("unavailable", ["control_unavailable"]) == (answer.kind, codes(answer))
        assert "permitted" == told.world.decision(answer).verdict
        again = await told.world.ask()
        assert ("possibly_issued", answer.decision) == (again.kind, again.decision)
        assert [] == told.world.venue.permits
        assert told.world.log.state.agents["bot"].find("order-1") is not None

    run(story)


def test_signature_that_comes_late_is_destroyed_and_recorded() -> None:
    """Once, by a withdrawal: what the key made is in no entry, and at no venue."""

    async def story() -> None:
        told = await Story.begin()
        answer = await told.answer()
        await told.let_go()
        (entry,) = told.entries(Withdrawn)
        assert isinstance(entry, Withdrawn)
        said = "not signed in time; signature destroyed"
        assert (answer.decision, said) == (entry.decision, entry.reason)
        assert (1, [], []) == (
            told.key.signed,
            told.entries(PermitSigned),
            told.world.venue.permits,
        )
        assert "withdrawn" == (await told.world.ask()).kind
        assert 1 == told.key.signed

    run(story)


def test_failure_that_comes_late_withdraws_the_decision() -> None:
    """The key says at last that it signed nothing."""

    async def story() -> None:
        told = await Story.begin()
        await told.answer()
        told.key.away = True
        await told.let_go()
        (entry,) = told.entries(Withdrawn)
        assert isinstance(entry, Withdrawn)
        assert "not signed: the key service does not answer" == entry.reason

    run(story)


def test_signature_for_a_caller_that_hung_up_is_destroyed_and_recorded() -> None:
    """Who asked is gone before the bound: the key's answer is nobody's."""

    async def story() -> None:
        told = await Story.begin()
        assert told.asked is not None
        told.asked.cancel()
        await told.world.clock.sleep(0)
        await told.let_go()
        assert 1 == len(told.entries(Withdrawn))
        assert ([], []) == (told.entries(PermitSigned), told.world.venue.permits)

    run(story)


def test_signature_after_the_log_failed_is_destroyed_and_stays_possibly_issued() -> None:
    """Nothing can be recorded any more, and nothing fails for it."""

    async def story() -> None:
        told = await Story.begin()
        answer = await told.answer()
        told.world.log.journal.condemn(OutcomeUnknown("EIO"))
        size = told.world.log.journal.size
        await told.let_go()
        assert (size, 1) == (told.world.log.journal.size, told.key.signed)
        assert "the gate's log failed" in told.world.gate.unrecorded
        assert answer.decision in told.world.log.state.agents["bot"].by_decision

    run(story)


def test_stop_while_a_key_hangs_is_complete_when_the_key_is_not_waited_for_any_more() -> None:
    """Nothing of the agent is in flight then: what the key makes leaves nowhere."""

    async def story() -> None:
        told = await Story.begin()
        world = told.world
        assert 1 == world.release.flights("bot")
        stop = asyncio.create_task(
            world.stopping.stop("bot", CERTIFICATE, "hold", "certificateHold", 1)
        )
        await told.answer()
        await world.clock.play(1)
        assert 0 == world.release.flights("bot")
        assert stop.done()
        assert "bot" == stop.result().agent
        await told.let_go()
        assert ([], []) == (told.entries(PermitSigned), world.venue.permits)

    run(story)


@pytest.mark.parametrize(("seconds", "late"), [(4.999, False), (5.0, True)])
def test_signature_is_waited_for_up_to_the_bound(seconds: float, late: bool) -> None:
    """Just inside it is taken; at it nobody waits any more."""

    async def story() -> None:
        clock = SteppedClock(parse_instant(MORNING))
        key = HeldKey()
        asked = asyncio.create_task(BoundedSigner(key, clock).sign(b"message"))
        await clock.play(seconds)
        key.let_go.set()
        await clock.play(0)
        if late:
            with pytest.raises(SignatureLate, match=f"test:p256 did not answer within {SIGN_S:g}"):
                await asked
        else:
            assert 1 == key.signed
            assert await asked

    run(story)


def test_late_signature_reaches_whoever_must_know_it() -> None:
    """Once, and only what came late."""

    async def story() -> None:
        clock, came = SteppedClock(parse_instant(MORNING)), list[bytes]()
        key = HeldKey()
        asked = asyncio.create_task(
            signature_of(clock, key, b"m", seconds=1, late=lambda done: came.append(done.result()))
        )
        await clock.play(1)
        with pytest.raises(SignatureLate):
            await asked
        assert [] == came
        key.let_go.set()
        await clock.play(0)
        assert 1 == len(came)
        await signature_of(clock, key, b"m", late=lambda done: came.append(done.result()))
        assert 1 == len(came)

    run(story)


def test_lease_whose_key_does_not_answer_is_unavailable() -> None:
    """The authority says so after the bound; a gate that asks is not kept for ever."""

    async def story() -> None:
        clock = SteppedClock(START)
        let_go = asyncio.Event()

        class Hung(FixedKey):
            async def sign(self, message: bytes) -> bytes:
                await let_go.wait()
                return self.sign_blocking(message)

        keys = authority_keys(responder=Hung(103))
        world = await AuthorityWorld.start(clock=clock, keys=keys)
        issued = await world.certified()
        asked = asyncio.create_task(world.lease(GateDouble(), issued.certificate_sha256))
        await clock.play(SIGN_S)
        with pytest.raises(Unavailable, match="did not answer within 5 s"):
            await asked

    run(story)


def test_checkpoint_whose_key_does_not_answer_stays_due_and_the_log_sound() -> None:
    """Publishing raises Unavailable; the next attempt publishes the same entries."""

    async def story() -> None:
        clock, let_go = SteppedClock(parse_instant(MORNING)), asyncio.Event()

        class Hung(SoftwareSigner):
            async def sign(self, message: bytes) -> bytes:
                await let_go.wait()
                return await super().sign(message)

        journal = await Journal.open(
            SimulatedDisk(), origin="gate.example/g1", signer=Hung(), clock=clock
        )
        await journal.flushed(journal.append(b"{}"))
        asked = asyncio.create_task(journal.publish())
        await clock.play(SIGN_S)
        with pytest.raises(Unavailable, match="did not answer within 5 s"):
            await asked
        assert (0, None) == (journal.published_size, journal.failed)
        let_go.set()
        await journal.publish()
        assert 1 == journal.published_size

    run(story)
