# SPDX-License-Identifier: Apache-2.0
"""A gate believes the roster of its enrolment, whoever brings it, and no other."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from sekisho.compose.gate_process import ROSTER, GateProcess
from sekisho.core.encoding import b64, canonical
from sekisho.core.errors import Unavailable, VerificationFailed
from sekisho.core.events import RosterRefused, decode_gate_entry
from sekisho.core.governance.policy import policy_from_canonical
from sekisho.core.governance.resolution import resolve
from sekisho.core.governance.roster import Roster, Seat, roster_sha256
from sekisho.core.identity.profile import load, spki
from sekisho.services.knownroster import KnownRoster, RosterBook
from sekisho.services.people import sign_approval
from tests.embedded_world import AGENT, EmbeddedWorld
from tests.gate_world import GateWorld, P256Signer


def roster(version: int = 2, seat: str = "risk-1") -> Roster:
    """A roster of one seat with a key of its own."""
    key = b64(P256Signer().public_key)
    return Roster(version=version, seats=(Seat(seat=seat, role="risk", public_key=key),))


OURS = roster()
OTHERS = {
    "forged": msgspec.structs.replace(
        OURS,
        seats=(msgspec.structs.replace(OURS.seats[0], public_key=roster().seats[0].public_key),),
    ),
    "older": msgspec.structs.replace(OURS, version=1),
    "newer": msgspec.structs.replace(OURS, version=3),
    "of another authority": roster(seat="risk-9"),
}


def refused(world: GateWorld) -> list[tuple[str, int]]:
    """What the log says of rosters that came."""
    entries = [decode_gate_entry(data) for _, data in world.log.journal.entries()]
    return [
        (one.roster_sha256, one.unrecorded) for one in entries if isinstance(one, RosterRefused)
    ]


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("known", [True, False])
def test_roster_of_another_digest_is_refused_and_recorded(kind: str, known: bool) -> None:
    """Forged, replayed, another tenant's: the gate keeps what it has, be it none, and says so."""

    async def story() -> None:
        world = await GateWorld.start()
        book = KnownRoster(roster_sha256(OURS), world.log, world.clock)
        if known:
            assert book.take(OURS)
        with pytest.raises(VerificationFailed, match="enrolled with"):
            book.take(OTHERS[kind])
        assert [(roster_sha256(OTHERS[kind]), 0)] == refused(world)
        if known:
            assert OURS == book.roster
            assert not book.take(OURS)
        else:
            with pytest.raises(Unavailable):
                _ = book.roster

    asyncio.run(story())


def test_rosters_refused_within_a_minute_are_a_number() -> None:
    """Whoever answers wrongly each second does not fill the log."""

    async def story() -> None:
        world = await GateWorld.start()
        book = KnownRoster(roster_sha256(OURS), world.log, world.clock)
        for other in OTHERS.values():
            with pytest.raises(VerificationFailed):
                book.check(other)
        assert [(roster_sha256(OTHERS["forged"]), 0)] == refused(world)
        world.clock.advance(60)
        with pytest.raises(VerificationFailed):
            book.check(OTHERS["older"])
        assert [(roster_sha256(OTHERS["older"]), len(OTHERS) - 1)] == refused(world)[1:]

    asyncio.run(story())


def test_roster_is_refused_while_the_log_is_failed() -> None:
    """A log that takes nothing makes no roster good."""

    async def story() -> None:
        world = await GateWorld.start()
        world.disk.fail("sync")
        await world.ask()
        book = KnownRoster(roster_sha256(OURS), world.log, world.clock)
        with pytest.raises(VerificationFailed):
            book.take(OTHERS["forged"])
        assert [] == refused(world)

    asyncio.run(story())


class FileDouble:
    """The folder of a gate's log, as far as the roster's file goes."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    async def read(self, name: str) -> bytes:
        if name not in self.files:
            raise FileNotFoundError(name)
        return self.files[name]

    async def replace(self, name: str, content: bytes) -> None:
        self.files[name] = content


def test_gate_process_neither_reads_nor_keeps_a_foreign_roster() -> None:
    """Its own file and the authority's answer are believed by the digest alone."""

    async def story() -> None:
        world = await GateWorld.start()
        told: list[str] = []
        answers = [OTHERS["forged"], OURS, OTHERS["older"]]
        book = KnownRoster(roster_sha256(OURS), world.log, world.clock)

        async def learn() -> bool:
            return book.take(answers.pop(0))

        process: Any = SimpleNamespace(
            disk=FileDouble(),
            gate=SimpleNamespace(known=book, learn_roster=learn),
            teller=SimpleNamespace(warn=lambda about, detail: told.append(f"{about}: {detail}")),
        )
        foreign = canonical(RosterBook(first=OTHERS["older"], links=()))
        process.disk.files[ROSTER] = foreign
        await GateProcess._read_roster(process)
        assert 1 == len(told)
        with pytest.raises(Unavailable):
            _ = book.roster
        with pytest.raises(VerificationFailed):
            await GateProcess._keep_roster(process)
        assert foreign == process.disk.files[ROSTER]
        await GateProcess._keep_roster(process)
        kept = canonical(RosterBook(first=OURS, links=()))
        assert kept == process.disk.files[ROSTER]
        with pytest.raises(VerificationFailed):
            await GateProcess._keep_roster(process)
        assert kept == process.disk.files[ROSTER]
        assert OURS == book.roster

    asyncio.run(story())


def test_admission_by_approvers_of_another_roster_is_refused(tmp_path: Path) -> None:
    """A resolution that holds under invented approvers admits nobody."""

    async def story() -> None:
        world = await EmbeddedWorld.start(tmp_path / "home")
        try:
            home, gate = world.home, world.gate
            true = home.authority.admission(AGENT)
            now = home.around.clock.now_ns()
            keys = {seat.seat: P256Signer() for seat in true.roster.seats}
            forged = msgspec.structs.replace(
                true.roster,
                seats=tuple(
                    msgspec.structs.replace(seat, public_key=b64(keys[seat.seat].public_key))
                    for seat in true.roster.seats
                ),
            )
            policy = policy_from_canonical(true.policy)
            digest = true.resolution.policy_sha256
            approvals = tuple(
                sign_approval(keys[seat.seat], digest, forged, seat.seat, now)
                for seat in forged.seats
                if seat.role == "approver"
            )
            resolution = resolve(policy, forged, approvals, now)
            false = msgspec.structs.replace(true, roster=forged, resolution=resolution)
            held = gate.log.state.agents[AGENT]
            signer = home.agent_signer(spki(load(true.certificate)))
            assert held.certificate_sha256 == await gate.admissions.admit(true, signer)
            with pytest.raises(VerificationFailed, match="enrolled with"):
                await gate.admissions.admit(false, signer)
            last = [one for one in world.entries() if isinstance(one, RosterRefused)]
            assert [roster_sha256(forged)] == [one.roster_sha256 for one in last]
        finally:
            await world.close()

    asyncio.run(story())
