# SPDX-License-Identifier: Apache-2.0
"""Commands about certificates: who may, what follows, and what strangers then read."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from msgspec import UNSET

from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.core.encoding import sha256_hex
from sekisho.core.errors import (
    NotAuthorised,
    VerificationFailed,
)
from sekisho.core.events import ApprovalGiven, CrlIssued, StatusChanged
from sekisho.core.governance.commands import Reach, signed_command_text
from sekisho.core.identity.crl import read_crl
from sekisho.core.terms import DAY_S, NS, format_instant, parse_instant
from sekisho.services.certification import IssuedCertificate
from sekisho.services.status import KillReport
from tests.authority_world import (
    START,
    AuthorityWorld,
    GateDouble,
    Listener,
    heard_by,
    policy_of,
)


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


async def listed(world: AuthorityWorld, issued: IssuedCertificate) -> str:
    """What a stranger reads of this certificate in the CRL."""
    crl = read_crl(await world.authority.crl(), issued.issuing_certificate)
    status = crl.listed.get(int(issued.serial_number, 16))
    return "good" if status is None else status.status


class Hang:
    """Keeps the disk from syncing until it is let go."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()

    async def __call__(self, point: str) -> None:
        if point.startswith("sync") and point.endswith("before"):
            await self.gate.wait()


@pytest.mark.parametrize(
    ("kind", "status", "reason"),
    [
        ("hold", "hold", "certificateHold"),
        ("revoke", "revoked", "privilegeWithdrawn"),
        ("kill", "revoked", "privilegeWithdrawn"),
    ],
)
def test_command_that_narrows_shows_at_once_everywhere(kind: str, status: str, reason: str) -> None:
    """OCSP, CRL, log and listeners say the same when the command returns."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        issued = await world.certified()
        assert (await world.status(issued), await listed(world, issued)) == ("good", "good")
        listener = heard_by(world)
        commands = world.commands(kind)
        outcome = await world.authority.command(commands)
        assert outcome.complete
        assert (outcome.recorded, outcome.changed) == (True, (issued.serial_number,))
        assert (await world.status(issued), await listed(world, issued)) == (status, status)
        entry = next(one for one in world.entries() if isinstance(one, StatusChanged))
        assert (entry.status, entry.reason, entry.cause) == (status, reason, kind)
        assert entry.commands == tuple(signed_command_text(one) for one in commands)
        (push,) = listener.heard
        assert (push.status, push.reason, push.epoch) == (status, reason, 1)
        assert (push.certificate_sha256, push.recorded) == (issued.certificate_sha256, True)

    play(story())


def test_command_release_lifts_a_hold_by_two_roles() -> None:
    """Good again in OCSP and CRL; the outcome needs nothing of the gates."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        issued = await world.certified()
        listener = heard_by(world)
        await world.order("hold")
        outcome = await world.order("release")
        assert (outcome.complete, outcome.reports) == (True, ())
        assert (await world.status(issued), await listed(world, issued)) == ("good", "good")
        assert [push.status for push in listener.heard] == ["hold", "good"]

    play(story())


def test_command_reason_code_becomes_the_crl_reason() -> None:
    """A code that RFC 5280 has a name for is that reason."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        await world.certified()
        await world.order("revoke", reason_code="key_compromise")
        assert world.authority.certificates()[0].reason == "keyCompromise"

    play(story())


def test_command_without_right_or_fresh_signature_changes_nothing() -> None:
    """Roles, quorum, nonce, epoch, agent, reach: each guard refuses."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        await world.certified()
        give, signed = world.authority.command, world.signed

        async def refused(
            match: str, *commands: Any, error: type[Exception] = NotAuthorised
        ) -> None:
            size = world.authority.state.size
            with pytest.raises(error, match=match):
                await give(commands)
            assert world.authority.state.size == size

        await refused("nobody")
        await refused("only", signed("hold", "coder"))
        await refused("only", signed("kill", "desk_lead"))
        await refused("not a matter", signed("acknowledge", "risk_lead"))
        await refused("no certificate", signed("hold", "risk_lead", agent="other"))
        await refused("no active certificate of this agent is on hold", *world.commands("release"))
        one = signed("hold", "risk_lead")
        await give((one,))
        await refused("used before", one)
        await refused("with the role", signed("release", "risk_lead"))
        await refused("at 1", *world.commands("release", epoch=0))
        await refused("at 1", *world.commands("release", epoch=2))
        two = world.commands("release")
        await give(two)
        await give(world.commands("hold"))
        await refused("used before", *two)
        stale = world.commands("release")
        world.clock.advance(301)
        await refused("not fresh", *stale, error=VerificationFailed)

    play(story())


def test_command_nonce_is_used_for_ever() -> None:
    """Also after a restart a command that the log holds does nothing."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        await world.certified()
        one = world.signed("hold", "risk_lead")
        await world.authority.command((one,))
        await world.order("release")
        after = await world.again()
        with pytest.raises(NotAuthorised, match="used before"):
            await after.authority.command((one,))

    play(story())


def test_command_repeated_stop_is_pushed_again() -> None:
    """A person who stops twice wants it stopped: nothing is recorded, all gates are told again."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        issued = await world.certified()
        listener = heard_by(world)
        await world.order("hold")
        again = world.signed("hold", "risk_lead")
        outcome = await world.authority.command((again,))
        assert (outcome.changed, outcome.unchanged) == ((), (issued.serial_number,))
        assert outcome.complete
        assert [push.status for push in listener.heard] == ["hold", "hold"]
        with pytest.raises(NotAuthorised, match="used before"):
            await world.authority.command((again,))
        await world.order("kill")
        assert (await world.order("hold")).complete
        assert [push.status for push in listener.heard[2:]] == ["revoked", "revoked"]

    play(story())


def test_kill_revokes_every_certificate_not_only_the_newest() -> None:
    """An expired certificate that nobody revoked is revoked too."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        old = await world.certified(valid_until="2026-06-01T00:00:00Z")
        world.clock.advance(40 * DAY_S)
        new = await world.certified(version="2")
        listener = heard_by(world)
        report = await world.order("kill")
        assert isinstance(report, KillReport)
        assert report.complete
        assert set(report.revoked) == {old.serial_number, new.serial_number}
        assert (report.not_revoked, report.crl_number, report.epoch) == ((), 1, 2)
        assert [push.serial_number for push in listener.heard] == [
            new.serial_number,
            old.serial_number,
        ]
        assert [await listed(world, one) for one in (old, new)] == ["revoked"] * 2

    play(story())


def test_release_is_for_the_active_certificate_alone() -> None:
    """An older certificate that was held with it and has expired stays on hold."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        old = await world.certified(valid_until="2026-06-01T00:00:00Z")
        world.clock.advance(40 * DAY_S)
        with pytest.raises(NotAuthorised, match="no active"):
            await world.order("release")
        new = await world.certified(version="2")
        assert (await world.order("hold")).changed == (new.serial_number, old.serial_number)
        assert (await world.order("release")).changed == (new.serial_number,)
        assert [await world.status(one) for one in (old, new)] == ["hold", "good"]

    play(story())


class Ticking(SteppedClock):
    """Each reading is a millisecond after the one before."""

    ticking = False

    def now_ns(self) -> int:
        if self.ticking:
            self.step_wall(0.001)
        return super().now_ns()


def test_entries_carry_the_instant_by_which_they_were_judged() -> None:
    """What people signed is recorded at an instant at which it still held, for any verifier."""

    async def story() -> None:
        clock = Ticking(START)
        world = await AuthorityWorld.start(clock=clock)
        issued = await world.certified()
        policy = policy_of("other")
        await world.authority.register_policy(policy)
        approvals = [world.approval(policy, who) for who in ("ceo", "cfo")]
        clock.advance(3599.998)
        clock.ticking = True
        await world.authority.give_approval(approvals[0])
        last = world.entries()[-1]
        assert isinstance(last, ApprovalGiven)
        assert parse_instant(last.at) < parse_instant(approvals[0].expires_at)
        clock.ticking = False
        command = world.signed("hold", "risk_lead")
        clock.advance(299.999)
        clock.ticking = True
        await world.authority.command((command,))
        entry = next(one for one in world.entries() if isinstance(one, StatusChanged))
        signed_at = parse_instant(command.command.commanded_at)
        assert parse_instant(entry.at) - signed_at == 300 * NS
        assert await world.status(issued) == "hold"

    play(story())


def test_kill_of_all_reaches_every_agent() -> None:
    """One command, one act, all agents; what this version cannot reach it refuses."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        everybody = {"agent": UNSET, "scope": Reach(kind="all", name="all")}
        with pytest.raises(NotAuthorised, match="no agent"):
            await world.authority.command((world.signed("kill", "ceo", **everybody),))
        for agent in ("one", "two"):
            await world.certified(agent)
        desk = {"agent": UNSET, "scope": Reach(kind="desk", name="x")}
        with pytest.raises(NotAuthorised, match="one agent or all"):
            await world.authority.command((world.signed("kill", "ceo", **desk),))
        report = await world.authority.command((world.signed("kill", "ceo", **everybody),))
        assert report.agents == ("one", "two")
        assert {one.status for one in world.authority.certificates()} == {"revoked"}
        after = await world.again()
        assert {one.status for one in after.authority.certificates()} == {"revoked"}

    play(story())


def test_kill_reports_orders_that_were_and_were_not_cancelled() -> None:
    """An order that may still be executed is named, and the kill is not complete."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        await world.certified()
        heard_by(world, Listener("g1", confirmed=("a",)))
        heard_by(world, Listener("g2", unconfirmed=("b",), complete=False))
        report = await world.order("kill")
        assert isinstance(report, KillReport)
        assert (report.confirmed, report.unconfirmed) == (("g1/bot/a",), ("g2/bot/b",))
        assert (report.complete, report.recorded) == (False, True)

    play(story())


def test_stop_gate_with_a_lease_that_does_not_report_is_unreached() -> None:
    """Silence is no success: first it may sign, and later something of it may still rest."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        issued = await world.certified()
        gate = GateDouble()
        gate.grow()
        await world.lease(gate, issued.certificate_sha256)
        outcome = await world.order("hold")
        assert (outcome.unreached, outcome.complete) == (("g1",), False)
        listener = heard_by(world, Listener("g1", complete=False))
        assert (await world.order("hold")).unreached == ("g1",)
        listener.achieved = {}
        assert (await world.order("hold")).complete
        listener.gate = "another"
        end = format_instant(world.clock.now_ns() + 15 * NS)
        assert (await world.order("hold")).lease_ends == {"g1": end}
        world.clock.advance(15)
        silent = await world.order("hold")
        assert (silent.unreached, silent.lease_ends) == (("g1",), {"g1": ""})

    play(story())


def test_stop_after_restart_counts_leases_that_may_be_out() -> None:
    """What an earlier process granted is not known, so every gate may hold the longest lease."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        issued = await world.certified()
        gate = GateDouble()
        gate.grow()
        await world.lease(gate, issued.certificate_sha256)
        world.clock.advance(59)
        after = await world.again()
        world.clock.advance(59)
        end = format_instant(world.clock.now_ns() + NS)
        assert (await after.order("hold")).lease_ends == {"g1": end}
        world.clock.advance(1)
        assert (await after.order("hold")).lease_ends == {"g1": ""}

    play(story())


def test_status_of_what_was_not_issued_is_never_good() -> None:
    """Nothing is said of a certificate that this authority did not issue."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        await world.certified()
        with pytest.raises(VerificationFailed, match="issued here"):
            await world.authority.ocsp("0" * 64, next_update_ns=world.clock.now_ns() + NS)

    play(story())


def test_crl_is_recorded_numbered_and_renewed_in_time() -> None:
    """Each CRL is an entry; it stays while nothing changes and is renewed at half its time."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        issued = await world.certified()
        first = await world.authority.crl()
        assert await world.authority.crl() == first
        world.clock.advance(DAY_S / 2 - 1)
        assert await world.authority.crl() == first
        world.clock.advance(1)
        second = await world.authority.crl()
        found = read_crl(second, issued.issuing_certificate)
        assert (found.number, found.next_update_ns > world.clock.now_ns()) == (2, True)
        recorded = [one for one in world.entries() if isinstance(one, CrlIssued)]
        assert [one.crl_sha256 for one in recorded] == [sha256_hex(first), sha256_hex(second)]
        after = await world.again()
        third = read_crl(await after.authority.crl(), issued.issuing_certificate)
        assert third.number == 3

    play(story())


def test_crl_asked_during_a_stop_shows_the_stop() -> None:
    """A reader who waits for the disk gets the CRL of the moment of the answer."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        issued = await world.certified()
        world.disk.point = hang = Hang()
        asked = asyncio.ensure_future(listed(world, issued))
        await world.clock.play(0)
        stop = asyncio.ensure_future(world.order("hold"))
        await world.clock.play(0)
        hang.gate.set()
        assert await asked == "hold"
        await stop

    play(story())
