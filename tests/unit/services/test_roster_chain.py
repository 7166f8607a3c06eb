# SPDX-License-Identifier: Apache-2.0
"""A gate follows rosters from the one it was enrolled with, by the signatures of their people."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import msgspec
import pytest

from sekisho.core.errors import Unavailable, VerificationFailed
from sekisho.core.events import RosterRefused, decode_gate_entry
from sekisho.core.governance.roster import Roster, roster_sha256
from sekisho.core.terms import DAY_S, NS, format_instant
from sekisho.services.knownroster import KnownRoster
from sekisho.services.rosterdesk import RosterLink
from tests.authority_world import AuthorityWorld
from tests.gate_world import GateWorld
from tests.governed_world import approval_of, roster_without, wanted
from tests.unit.core.governance import samples

FIRST, SECOND = samples.ROSTER, roster_without("cto")
THIRD = roster_without("cto", "coder", version=3)


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


async def both() -> tuple[AuthorityWorld, GateWorld, KnownRoster]:
    """An authority whose roster was replaced twice, and what a gate of before knows."""
    world = await AuthorityWorld.start()
    rosters = world.authority.rosters
    await rosters.change(wanted(world, SECOND, "ceo", "cfo"))
    await rosters.change(wanted(world, THIRD, "ceo", "cfo", under=SECOND))
    gate = await GateWorld.start()
    gate.clock.advance_to(max(gate.clock.now_ns(), world.clock.now_ns()))
    return world, gate, KnownRoster(roster_sha256(FIRST), gate.log, gate.clock)


def link(world: AuthorityWorld, roster: Roster) -> RosterLink:
    """What took its place."""
    found = world.authority.rosters.after(roster_sha256(roster))
    assert found is not None
    return found


def refusals(gate: GateWorld) -> int:
    """How often the log says that another roster came."""
    entries = [decode_gate_entry(data) for _, data in gate.log.journal.entries()]
    return sum(isinstance(one, RosterRefused) for one in entries)


def test_gate_follows_each_roster_by_the_people_of_the_one_before() -> None:
    """Knowing a digest alone it follows two changes, and keeps them for its next start."""

    async def story() -> None:
        world, gate, known = await both()
        with pytest.raises(Unavailable):
            _ = known.roster
        known.follow(link(world, FIRST))
        assert SECOND == known.roster
        known.follow(link(world, SECOND))
        assert (THIRD, roster_sha256(THIRD)) == (known.roster, known.sha256)
        for roster in (FIRST, SECOND, THIRD):
            known.check(roster)
            assert not known.take(roster)
        assert THIRD == known.roster  # an earlier one that comes again changes nothing
        again = KnownRoster(roster_sha256(FIRST), gate.log, gate.clock)
        again.read(msgspec.convert(msgspec.to_builtins(known.book), type(known.book)))
        assert (THIRD, known.book) == (again.roster, again.book)
        assert 0 == refusals(gate)

    play(story())


def test_gate_enrolled_later_believes_nothing_of_before() -> None:
    """Who signed a later roster proves nothing of an earlier one."""

    async def story() -> None:
        _, gate, _ = await both()
        known = KnownRoster(roster_sha256(THIRD), gate.log, gate.clock)
        assert known.take(THIRD)
        with pytest.raises(VerificationFailed, match="the one known is kept"):
            known.check(SECOND)

    play(story())


def test_link_that_does_not_hold_is_refused_recorded_and_changes_nothing() -> None:
    """Skipped, too few, of another roster, altered, from the future: each is turned away."""

    async def story() -> None:
        world, gate, known = await both()
        good = link(world, FIRST)
        ahead = format_instant(gate.clock.now_ns() + 6 * NS)
        ended = format_instant(world.clock.now_ns() + DAY_S * NS)
        risk = approval_of(world, roster_sha256(SECOND), "risk_lead")
        for bad, what in (
            (link(world, SECOND), "follows another roster"),
            (msgspec.structs.replace(good, approvals=good.approvals[:1]), "2 are required"),
            (msgspec.structs.replace(good, approvals=()), "2 are required"),
            (msgspec.structs.replace(good, roster=THIRD), "its version is 3"),
            (msgspec.structs.replace(good, previous=SECOND), "follows another roster"),
            (msgspec.structs.replace(good, at=ahead), "from the future"),
            (msgspec.structs.replace(good, approvals=(*good.approvals, risk)), "role is risk"),
        ):
            with pytest.raises(VerificationFailed, match=what):
                known.follow(bad)
        assert roster_sha256(FIRST) == known.sha256
        assert 1 == refusals(gate)
        gate.clock.advance(2 * DAY_S)
        with pytest.raises(VerificationFailed, match="expired at"):
            known.follow(msgspec.structs.replace(good, at=ended))
        known.follow(good)  # judged by the time of its entry, however late the gate learns of it

    play(story())
