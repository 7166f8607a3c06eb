# SPDX-License-Identifier: Apache-2.0
"""Commands given to the gate itself: they work without the authority, and reach it afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from sekisho.adapters.simulated_disk import SimulatedDisk
from sekisho.core.encoding import canonical, sha256_hex
from sekisho.core.errors import (
    MalformedInput,
    NotAuthorised,
    SekishoError,
    StorageFailed,
    Unavailable,
    VerificationFailed,
)
from sekisho.core.events import (
    AgentAdmitted,
    CommandRefused,
    LocalStop,
    Rearmed,
    ShutdownOrdered,
    StopReported,
    decode_gate_entry,
)
from sekisho.core.governance.commands import Reach, SignedCommand
from sekisho.core.governance.roster import Roster
from sekisho.core.terms import format_instant
from sekisho.services.localcommands import COMMANDS_MAX, LocalCommands
from sekisho.services.signoff import RearmAuthorisation
from sekisho.services.status import TakenBefore
from tests.gate_world import CERTIFICATE, GateWorld, codes
from tests.unit.core.governance import samples


class Away:
    """An authority that takes what it is given, unless it is away or hangs."""

    def __init__(self) -> None:
        self.down = False
        self.hangs: asyncio.Future[None] | None = None
        self.given: list[tuple[SignedCommand, ...]] = []
        self.before: TakenBefore | None = None

    async def take_over(self, signed: tuple[SignedCommand, ...]) -> TakenBefore | None:
        if self.hangs is not None:
            await self.hangs
        if self.down:
            raise Unavailable("the authority does not answer")
        self.given.append(signed)
        return self.before

    async def go_live(self, signed: Any, *, origin: str, complete: bool) -> Any:
        raise AssertionError("no baseline here")

    async def authorise_rearm(self, signed: tuple[SignedCommand, ...]) -> RearmAuthorisation:
        if self.down:
            raise Unavailable("the authority does not answer")
        seats = tuple(one.command.seat for one in signed)
        return RearmAuthorisation(index=0, agent="bot", latch="shutdown", seats=seats, commands=())


class LocalWorld:
    """A gate with one agent, the people's door, and an authority."""

    def __init__(self, world: GateWorld, roster: Roster = samples.ROSTER) -> None:
        self.world = world
        self.authority = Away()
        self.local = LocalCommands(
            world.log, world.stopping, lambda: roster, world.clock, self.authority
        )
        self.nonce = 0

    @classmethod
    async def start(cls, **more: Any) -> LocalWorld:
        return cls(await GateWorld.start(**more))

    def signed(self, kind: str, who: str = "risk_lead", **other: Any) -> SignedCommand:
        self.nonce += 1
        now = format_instant(self.world.clock.now_ns())
        fields: dict[str, Any] = {"agent": "bot", "nonce": f"{self.nonce:032x}"} | other
        return samples.signed(samples.command(kind, who, commanded_at=now, **fields))

    async def give(self, kind: str, who: str = "risk_lead", **other: Any) -> Any:
        return await self.local.take((self.signed(kind, who, **other),))

    def found(self, kind: type) -> list[Any]:
        """Entries of this kind."""
        entries = [decode_gate_entry(data) for _, data in self.world.log.journal.entries()]
        return [entry for entry in entries if isinstance(entry, kind)]

    @property
    def bot(self) -> Any:
        return self.world.log.state.agents["bot"]


def run(story: Any) -> None:
    asyncio.run(story())


def test_shutdown_narrows_at_once_and_without_the_authority() -> None:
    """One named person; the entry carries the signed command; the next order finds it."""

    async def story() -> None:
        one = await LocalWorld.start()
        one.authority.down = True
        given = one.signed("shutdown", mode="cancel_only")
        outcome = await one.local.take((given,))
        assert (outcome.complete, outcome.recorded) == (True, True)
        assert (outcome.agents, outcome.modes) == (("bot",), {"bot": "cancel_only"})
        (entry,) = one.found(ShutdownOrdered)
        assert (entry.mode, entry.seats) == ("cancel_only", ("risk_lead",))
        assert entry.commands == (canonical(given).decode(),)
        assert codes(await one.world.ask()) == ["action_not_permitted"]
        assert one.authority.given == []

    run(story)


def test_shutdown_of_all_reaches_every_agent_and_says_what_is_in_force() -> None:
    """A wider mode is recorded and changes nothing; the answer says so."""

    async def story() -> None:
        one = await LocalWorld.start()
        await one.give("shutdown", mode="cancel_only")
        outcome = await one.give(
            "shutdown", mode="reduce_only", agent=msgspec.UNSET, scope=Reach(kind="all", name="all")
        )
        assert outcome.modes == {"bot": "cancel_only"}
        assert [entry.mode for entry in one.found(ShutdownOrdered)] == [
            "cancel_only", "reduce_only",
        ]  # fmt: skip

    run(story)


def test_shutdown_between_decision_and_signature_withdraws_the_order() -> None:
    """What was decided before the order of a person does not leave after it."""

    async def story() -> None:
        one = await LocalWorld.start()

        async def meanwhile() -> None:
            one.world.signer.before = None
            await one.give("shutdown", mode="reduce_only")

        one.world.signer.before = meanwhile
        answer = await one.world.ask()
        assert (answer.kind, answer.detail) == (
            "withdrawn", "shutdown_ordered; signature destroyed",
        )  # fmt: skip
        assert one.world.venue.permits == []

    run(story)


def test_reduce_only_order_decided_under_a_shutdown_is_signed_and_sent() -> None:
    """What took the shutdown into account is not withdrawn because of it."""

    async def story() -> None:
        one = await LocalWorld.start()
        one.world.venue.fill = True
        await one.world.ask()
        await one.give("shutdown", mode="reduce_only")
        back = await one.world.ask(client_order_id="back", side="sell", quantity="20000")
        assert (back.kind, len(one.world.venue.permits)) == ("permitted", 2)
        more = await one.world.ask(client_order_id="more", quantity="1")
        assert codes(more) == ["action_not_permitted"]

    run(story)


@pytest.mark.parametrize("act", ["hold", "kill"])
def test_local_stop_holds_cancels_and_is_taken_over(act: str) -> None:
    """At the gate both stop; what the authority makes of it is its own."""

    async def story() -> None:
        one = await LocalWorld.start()
        await one.world.ask()
        outcome = await one.give(act, "gate_runner")
        assert (outcome.complete, outcome.taken_over, outcome.failures) == (True, True, ())
        assert [report.confirmed for report in outcome.reports] == [("order-1",)]
        assert (one.bot.status, one.bot.epoch, one.world.venue.resting) == ("hold", 0, {})
        (entry,) = one.found(LocalStop)
        assert (entry.certificate_sha256, entry.seats) == (CERTIFICATE, ("gate_runner",))
        assert [given[0].command.command for given in one.authority.given] == [act]
        assert codes(await one.world.ask(client_order_id="b")) == ["certificate_held"]

    run(story)


def test_local_stop_with_the_authority_away_stops_and_says_that_it_was_not_heard() -> None:
    """The answer is not success; the authority hears later, once, and the gate keeps trying."""

    async def story() -> None:
        one = await LocalWorld.start()
        one.authority.down = True
        outcome = await one.give("hold")
        assert (outcome.complete, outcome.taken_over, outcome.recorded) == (False, False, True)
        assert outcome.failures == ("authority: the authority does not answer",)
        assert list(one.local.unreported.values()) == ["the authority does not answer"]
        await one.world.clock.play(1.5)
        one.authority.down = False
        await one.world.clock.play(60)
        await one.local.settled()
        assert (len(one.authority.given), one.local.unreported) == (1, {})

    run(story)


def test_local_stop_with_an_authority_that_hangs_answers_all_the_same() -> None:
    """It is waited for a second; the stop itself waits for nobody."""

    async def story() -> None:
        one = await LocalWorld.start()
        one.authority.hangs = asyncio.get_running_loop().create_future()
        giving = asyncio.ensure_future(one.give("hold"))
        await one.world.clock.play(0.5)
        assert (one.bot.status, giving.done()) == ("hold", False)
        await one.world.clock.play(1)
        outcome = await giving
        assert outcome.failures == ("authority: it has not answered yet",)
        one.authority.hangs.set_result(None)
        await one.local.settled()
        assert one.world.log.unheard() == frozenset()

    run(story)


def test_lease_does_not_lift_a_local_stop_before_the_authority_has_it() -> None:
    """Newer by its epoch or not: the authority that has not heard speaks of something else."""

    async def story() -> None:
        one = await LocalWorld.start()
        one.authority.down = True
        one.world.authority.epoch = 5
        await one.give("hold")
        await one.world.leasing.renew()
        assert one.bot.status == "hold"
        one.authority.down = False
        await one.world.clock.play(60)
        await one.local.settled()
        await one.world.leasing.renew()
        assert one.bot.status == "good"

    run(story)


def test_lease_on_its_way_when_the_local_stop_came_lifts_nothing() -> None:
    """Its answer was made before; that the authority has heard since does not change it."""

    async def story() -> None:
        one = await LocalWorld.start()
        one.world.authority.epoch = 5
        asked = one.world.authority.lease

        async def late(request: Any) -> Any:
            answer = await asked(request)
            await one.give("hold")
            return answer

        authority: Any = one.world.authority
        authority.lease = late
        await one.world.leasing.renew()
        assert (one.bot.status, one.world.log.unheard()) == ("hold", frozenset())

    run(story)


def test_lost_answer_of_the_authority_keeps_no_released_stop() -> None:
    """It took the stop, its answer was lost, people released it: the next answer says so."""

    async def story() -> None:
        one = await LocalWorld.start()
        one.authority.down = True
        await one.give("hold")
        one.world.authority.epoch = 2
        await one.world.leasing.renew()
        assert (one.bot.status, len(one.world.log.unheard_stops())) == ("hold", 1)
        one.authority.down, one.authority.before = False, TakenBefore(released={"bot": 2})
        await one.world.clock.play(60)
        await one.local.settled()
        assert (one.world.log.unheard_stops(), one.local.unreported) == ({}, {})
        await one.world.leasing.renew()
        assert one.bot.status == "good"

    run(story)


def test_release_that_the_gate_knew_before_the_stop_does_not_count_as_heard() -> None:
    """The commands were used and taken back before they came here: somebody signs anew."""

    async def story() -> None:
        one = await LocalWorld.start()
        one.authority.before = TakenBefore(released={"bot": 0})
        outcome = await one.give("hold")
        assert (outcome.taken_over, outcome.complete) == (False, False)
        assert "released before this stop" in outcome.failures[-1]
        one.world.authority.epoch = 2
        await one.world.leasing.renew()
        assert one.bot.status == "hold"
        await one.local.close()

    run(story)


def test_lease_for_another_certificate_lifts_no_unheard_stop() -> None:
    """The authority calls a replacement good that has not heard that its agent is stopped."""

    async def story() -> None:
        one = await LocalWorld.start()
        one.authority.down = True
        await one.give("hold")
        (admitted,) = one.found(AgentAdmitted)
        log = one.world.log
        log.record(msgspec.structs.replace(admitted, at=log.at(), certificate_sha256="e" * 64))
        assert (one.bot.status, log.unheard()) == ("hold", frozenset({CERTIFICATE, "e" * 64}))
        log.heard_stop(max(log.local_stops))
        assert (one.bot.status, log.unheard()) == ("hold", frozenset())
        await one.local.close()

    run(story)


def test_local_stop_signed_again_is_heard_for_the_earlier_one_too() -> None:
    """What the authority holds since covers every stop before it, also one it cannot verify."""

    async def story() -> None:
        one = await LocalWorld.start()
        one.authority.down = True
        await one.give("hold")
        assert list(one.world.log.unheard_stops()) == [2]
        one.world.log.heard_stop(2)
        await one.give("hold", "compliance_lead")
        await one.give("kill", "ceo")
        first, second = one.world.log.unheard_stops()
        one.world.log.heard_stop(first)
        assert list(one.world.log.unheard_stops()) == [second]
        await one.give("hold", "ceo")
        one.world.log.heard_stop(max(one.world.log.local_stops))
        assert one.world.log.unheard_stops() == {}
        await one.local.close()

    run(story)


def test_next_start_tells_the_authority_and_cancels_what_rests() -> None:
    """A process that ended before the authority heard leaves nothing undone."""

    async def story() -> None:
        disk = SimulatedDisk()
        one = await LocalWorld.start(disk=disk)
        await one.world.ask()
        one.authority.down, one.world.venue.cancel_silent = True, True
        outcome = await one.give("hold")
        assert [report.unconfirmed for report in outcome.reports] == [("order-1",)]
        await one.local.close()
        again = LocalWorld(await GateWorld.start(disk=disk, clock=one.world.clock))
        again.world.venue.permits = one.world.venue.permits
        again.world.venue.resting = dict(one.world.venue.resting)
        again.local.start()
        await again.local.settled()
        assert (again.bot.status, again.world.venue.resting) == ("hold", {})
        assert len(again.authority.given) == 1
        again.local.start()
        await again.local.settled()
        assert len(again.authority.given) == 1

    run(story)


def test_local_stop_with_a_failed_log_stops_and_cancels_all_the_same() -> None:
    """It is not recorded, and the answer says so; the authority is told at once."""

    async def story() -> None:
        one = await LocalWorld.start()
        await one.world.ask()
        journal: Any = one.world.log.journal
        journal.failed = StorageFailed("gone")
        outcome = await one.give("hold")
        assert (outcome.complete, outcome.recorded, outcome.taken_over) == (False, False, True)
        assert (one.bot.status, one.world.venue.resting) == ("hold", {})
        with pytest.raises(NotAuthorised, match="used before"):
            await one.local.take(one.authority.given[0])

    run(story)


def test_rearm_takes_the_shutdown_off_by_two_people_alone() -> None:
    """One person, or the authority away: it stays; two lift it, with their commands recorded."""

    async def story() -> None:
        one = await LocalWorld.start()
        await one.give("shutdown", mode="reduce_only")
        said: dict[str, Any] = {"latch": "shutdown", "epoch": 0}
        with pytest.raises(NotAuthorised, match="nobody with the role compliance"):
            await one.give("rearm", **said)
        both = [one.signed("rearm", who, **said) for who in ("compliance_lead", "risk_lead")]
        one.authority.down = True
        with pytest.raises(Unavailable):
            await one.local.take(tuple(both))
        assert one.bot.shutdown == "reduce_only"
        one.authority.down = False
        outcome = await one.local.take(tuple(both))
        assert (outcome.act, outcome.agents, one.bot.shutdown) == ("rearm", ("bot",), "")
        (entry,) = one.found(Rearmed)
        assert entry.latch == "shutdown"
        with pytest.raises(NotAuthorised, match="used before"):
            await one.local.take(tuple(both))

    run(story)


Altered = Callable[[LocalWorld], tuple[SignedCommand, ...]]


def forged(one: LocalWorld) -> tuple[SignedCommand, ...]:
    """Another act under the signature of this one."""
    given = one.signed("shutdown", mode="reduce_only")
    command = msgspec.structs.replace(given.command, mode="cancel_only")
    return (msgspec.structs.replace(given, command=command),)


def foreign(one: LocalWorld) -> tuple[SignedCommand, ...]:
    """Of another roster."""
    return (one.signed("hold", roster_sha256="f" * 64),)


def early(one: LocalWorld) -> tuple[SignedCommand, ...]:
    """Of a later time."""
    now = one.world.clock.now_ns() + 6 * 10**9
    command = samples.command("hold", "risk_lead", agent="bot", commanded_at=format_instant(now))
    return (samples.signed(command),)


REFUSED: list[tuple[str, Altered, type[SekishoError], str]] = [
    ("forged", forged, VerificationFailed, "not_verified"),
    ("foreign", foreign, VerificationFailed, "not_verified"),
    ("early", early, VerificationFailed, "not_verified"),
    ("nobody", lambda one: (), NotAuthorised, "not_authorised"),
    ("trader", lambda one: (one.signed("hold", "desk_lead"),), NotAuthorised, "not_authorised"),
    ("developer", lambda one: (one.signed("shutdown", "coder", mode="cancel_only"),),
     NotAuthorised, "not_authorised"),
    ("stranger", lambda one: (one.signed("hold", agent="other"),), NotAuthorised,
     "not_authorised"),
    ("desk", lambda one: (one.signed("hold", agent=msgspec.UNSET,
                                     scope=Reach(kind="desk", name="d1")),), NotAuthorised,
     "not_authorised"),
    ("revoke", lambda one: (one.signed("revoke"),), NotAuthorised, "not_authorised"),
    ("differing", lambda one: (one.signed("hold"), one.signed("kill", "ceo")), NotAuthorised,
     "not_authorised"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("made", "error", "detail"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_command_that_does_not_hold_is_refused_and_recorded(
    made: Altered, error: type[SekishoError], detail: str
) -> None:
    """Nothing changes; the log has the digest of what came and a word, not its text."""

    async def story() -> None:
        one = await LocalWorld.start()
        signed = made(one)
        with pytest.raises(error):
            await one.local.take(signed)
        (entry,) = one.found(CommandRefused)
        assert (entry.detail, entry.unrecorded) == (detail, 0)
        assert entry.body_sha256 == sha256_hex(canonical(signed))
        assert (one.bot.status, one.bot.latches) == ("good", set())
        assert one.found(LocalStop) + one.found(ShutdownOrdered) + one.found(StopReported) == []

    run(story)


def test_repeated_command_does_nothing_more_also_after_a_restart() -> None:
    """Seat and nonce stand in the log: the same bytes are refused, by every later process."""

    async def story() -> None:
        disk = SimulatedDisk()
        one = await LocalWorld.start(disk=disk)
        given = (one.signed("shutdown", mode="cancel_only"),)
        await one.local.take(given)
        again = LocalWorld(await GateWorld.start(disk=disk, clock=one.world.clock))
        for door in (one, again):
            with pytest.raises(NotAuthorised, match="used before"):
                await door.local.take(given)
            assert len(door.found(ShutdownOrdered)) == 1
        assert [entry.detail for entry in one.found(CommandRefused)] == ["used_before"]

    run(story)


def test_refused_commands_cost_one_entry_a_second() -> None:
    """A flood of forgeries fills no disk; the next entry says how many there were."""

    async def story() -> None:
        one = await LocalWorld.start()
        for _ in range(5):
            with pytest.raises(VerificationFailed):
                await one.local.take(forged(one))
        one.world.clock.advance(0.999999999)
        with pytest.raises(VerificationFailed):
            await one.local.take(forged(one))
        assert [entry.unrecorded for entry in one.found(CommandRefused)] == [0]
        one.world.clock.advance(0.000000001)
        for _ in range(2):
            with pytest.raises(VerificationFailed):
                await one.local.take(forged(one))
        assert [entry.unrecorded for entry in one.found(CommandRefused)] == [0, 5]

    run(story)


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b"[1]", b'[{"command":{}}]', b"[" + b"1," * COMMANDS_MAX + b"1]"],
)
def test_body_that_is_no_command_is_refused_and_recorded(body: bytes) -> None:
    """By the digest of the bytes as they came."""

    async def story() -> None:
        one = await LocalWorld.start()
        with pytest.raises(MalformedInput):
            await one.local.take_body(body)
        (entry,) = one.found(CommandRefused)
        assert (entry.detail, entry.body_sha256) == ("malformed", sha256_hex(body))

    run(story)


def test_body_with_signed_commands_is_taken() -> None:
    """The array that people's tools send."""

    async def story() -> None:
        one = await LocalWorld.start()
        body = canonical([one.signed("shutdown", mode="reduce_only")])
        assert (await one.local.take_body(body)).modes == {"bot": "reduce_only"}

    run(story)


def test_command_not_well_made_is_refused_as_malformed() -> None:
    """A shutdown without a mode says nothing that could be done."""

    async def story() -> None:
        one = await LocalWorld.start()
        given = one.signed("shutdown", mode="reduce_only")
        command = msgspec.structs.replace(given.command, mode=msgspec.UNSET)
        with pytest.raises(MalformedInput, match="mode: is wanted in shutdown"):
            await one.local.take((msgspec.structs.replace(given, command=command),))
        assert [entry.detail for entry in one.found(CommandRefused)] == ["malformed"]

    run(story)
