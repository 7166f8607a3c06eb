# SPDX-License-Identifier: Apache-2.0
"""One roster after another: who replaces it, and what then counts no more."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import msgspec
import pytest

from sekisho.core.encoding import b64
from sekisho.core.errors import MalformedInput, NotAuthorised, VerificationFailed
from sekisho.core.events import RosterChanged
from sekisho.core.governance.roster import Roster, Seat, roster_sha256
from sekisho.core.governance.succession import approvals_needed
from sekisho.core.terms import DAY_S
from sekisho.services.rosterdesk import RosterWanted
from sekisho_verify.findings import VerificationFailed as Found
from tests.authority_world import AuthorityWorld, policy_of
from tests.governed_world import approval_of, forged, judged, roster_without, wanted
from tests.unit.core.governance import samples


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


def seats(approvers: int) -> Roster:
    """A roster with so many approvers, and one other seat."""
    made = [
        Seat(
            seat=f"a{number:02}" if number < approvers else "risk",
            role="approver" if number < approvers else "risk",
            public_key=b64(samples.public_bytes(samples.key_of(20 + number))),
        )
        for number in range(approvers + 1)
    ]
    return Roster(version=1, seats=tuple(made))


@pytest.mark.parametrize(
    ("approvers", "needed"), [(0, 2), (1, 2), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (15, 8)]
)
def test_roster_is_replaced_by_more_than_half_and_at_least_two(approvers: int, needed: int) -> None:
    """Half of the approvers are not enough, and one alone never is."""
    assert needed == approvals_needed(seats(approvers))


def test_new_roster_is_in_force_at_once_everywhere() -> None:
    """Seats that are gone command nothing more, new ones do; also after a new start."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        await world.certified()
        stale = world.signed("hold", "risk_lead")
        roster = roster_without("risk_lead")
        taken = await world.authority.rosters.change(wanted(world, roster, "ceo", "cfo"))
        assert (roster_sha256(roster), 2, ("ceo", "cfo")) == (
            taken.roster_sha256, taken.version, taken.approvers,
        )  # fmt: skip
        assert roster == world.authority.roster
        with pytest.raises(VerificationFailed, match="under another roster"):
            await world.authority.command((stale,))
        gone = world.signed("hold", "risk_lead", roster_sha256=taken.roster_sha256)
        with pytest.raises(VerificationFailed, match="no seat 'risk_lead'"):
            await world.authority.command((gone,))
        here = world.signed("hold", "compliance_lead", roster_sha256=taken.roster_sha256)
        assert (await world.authority.command((here,))).complete
        judged(world)
        reopened = await world.again()
        assert roster == reopened.authority.roster

    play(story())


def test_approvals_and_resolutions_of_before_count_no_more_for_issuing() -> None:
    """A policy that was approved under the roster before is approved again first."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        registration = policy_of()
        await world.approve(registration)
        half = policy_of("half")
        await world.authority.register_policy(half)
        await world.authority.give_approval(world.approval(half, "ceo"))
        old = world.approval(half, "cfo")
        roster = roster_without("cto")
        await world.authority.rosters.change(wanted(world, roster, "ceo", "cfo"))
        with pytest.raises(NotAuthorised, match="was approved under another roster"):
            await world.issue(registration)
        with pytest.raises(NotAuthorised, match="is under another roster"):
            await world.authority.give_approval(old)
        for one in (registration, half):
            await world.authority.give_approval(approval_of(world, one.sha256, "ceo", roster))
            assert "1 seats approved" in world.authority.missing(one.sha256)
            await world.authority.give_approval(approval_of(world, one.sha256, "cfo", roster))
            await world.issue(one)
        judged(world)

    play(story())


def test_admission_of_an_earlier_certificate_has_the_roster_of_its_approvals() -> None:
    """A gate judges approvals by the keys of those who gave them."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        await world.certified()
        await world.authority.rosters.change(wanted(world, roster_without("cto"), "ceo", "cfo"))
        admission = world.authority.admission("bot")
        assert samples.ROSTER == admission.roster
        assert roster_sha256(samples.ROSTER) == admission.resolution.roster_sha256

    play(story())


REFUSED: list[tuple[Roster, tuple[str, ...], str]] = [
    (roster_without("cto"), ("ceo",), "1 seats approved, 2 are required"),
    (roster_without("cto"), ("ceo", "ceo"), "approved more than once"),
    (roster_without("cto"), ("ceo", "risk_lead"), "the seat's role is risk"),
    (roster_without("cto"), ("ceo", "stranger"), "no such seat"),
    (roster_without("cto", version=1), ("ceo", "cfo"), "its version is 1, not 2"),
    (roster_without("cto", version=3), ("ceo", "cfo"), "its version is 3, not 2"),
    (roster_without("cto", "cfo"), ("ceo", "cfo"), "fewer than two approvers"),
]


@pytest.mark.parametrize(("roster", "who", "what"), REFUSED)
def test_roster_that_does_not_follow_is_refused(
    roster: Roster, who: tuple[str, ...], what: str
) -> None:
    """All causes are told, and the roster before stays."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        with pytest.raises(NotAuthorised, match=what):
            await world.authority.rosters.change(wanted(world, roster, *who))
        assert samples.ROSTER == world.authority.roster

    play(story())


def test_roster_that_is_not_well_made_is_refused() -> None:
    """One person has one seat, also in a new roster."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        twice = Seat(seat="zz", role="approver", public_key=samples.seat("ceo").public_key)
        bad = roster_without(seats=(twice,))
        with pytest.raises(MalformedInput, match="one person has one seat"):
            await world.authority.rosters.change(wanted(world, bad, "ceo", "cfo"))

    play(story())


def test_approvals_of_a_roster_end_and_are_of_this_roster_alone() -> None:
    """An approval that is over, of another roster's digest or of an altered roster counts not."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        given = wanted(world, roster_without("cto"), "ceo", "cfo")
        other = RosterWanted(roster=roster_without("coder"), approvals=given.approvals)
        with pytest.raises(NotAuthorised, match="is for another policy"):
            await world.authority.rosters.change(other)
        world.clock.advance(DAY_S)
        with pytest.raises(NotAuthorised, match="expired at"):
            await world.authority.rosters.change(given)

    play(story())


def test_roster_given_again_is_nothing_and_an_earlier_one_does_not_return() -> None:
    """The same request again changes nothing; a chain goes forward only."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        second = roster_without("cto")
        first = wanted(world, second, "ceo", "cfo")
        await world.authority.rosters.change(first)
        assert 2 == (await world.authority.rosters.change(first)).version
        assert 1 == sum(isinstance(one, RosterChanged) for one in world.entries())
        back = wanted(world, samples.ROSTER, "ceo", "cfo", under=second)
        with pytest.raises(NotAuthorised, match="its version is 1, not 3"):
            await world.authority.rosters.change(back)
        third = roster_without("cto", "coder", version=3)
        with pytest.raises(NotAuthorised, match="2 are required"):
            await world.authority.rosters.change(wanted(world, third, "cfo", under=second))
        await world.authority.rosters.change(wanted(world, third, "ceo", "cfo", under=second))
        links = [world.authority.rosters.after(roster_sha256(one)) for one in (second, third)]
        assert links[0] is not None
        assert (second, third, None) == (links[0].previous, links[0].roster, links[1])
        judged(world)

    play(story())


def test_verifier_finds_a_roster_that_does_not_follow() -> None:
    """Too few, another version, a seat twice, a stranger's signature: each is found."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        roster = roster_without("cto")
        await world.authority.rosters.change(wanted(world, roster, "ceo", "cfo"))
        judged(world)
        approvals = [
            msgspec.to_builtins(approval_of(world, roster_sha256(roster), who))
            for who in ("ceo", "cfo")
        ]
        unsigned = [approvals[0], approvals[1] | {"seat": "cto"}]
        risk = approval_of(world, roster_sha256(roster), "risk_lead")
        for given, what in (
            (approvals[:1], "has 1 of 2 approvals"),
            ([approvals[0]] * 2, "has a seat twice"),
            (unsigned, "does not verify"),
            ([*approvals, msgspec.to_builtins(risk)], "is no approver"),
        ):
            with pytest.raises(Found, match=what):
                judged(world, forged(world, "roster_changed", approvals=given))
        for other, what in (
            (roster_without("cto", version=3), "is not the next version"),
            (roster_without("cto", "cfo"), "nobody could replace"),
        ):
            changed = {
                "roster": msgspec.to_builtins(other),
                "roster_sha256": roster_sha256(other),
                "approvals": [
                    msgspec.to_builtins(approval_of(world, roster_sha256(other), who))
                    for who in ("ceo", "cfo")
                ],
            }
            with pytest.raises(Found, match=what):
                judged(world, forged(world, "roster_changed", **changed))

    play(story())


def test_verifier_finds_a_certificate_on_approvals_of_the_roster_before() -> None:
    """After a change of roster a resolution of before permits nothing."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        registration = policy_of()
        await world.approve(registration)
        await world.issue(registration)
        certificate = msgspec.json.decode(_all(world)[-1])
        other = await AuthorityWorld.start()
        await other.approve(registration)
        await other.authority.rosters.change(wanted(other, roster_without("cto"), "ceo", "cfo"))
        certificate["resolution_sha256"] = other.authority.state.policies[
            registration.sha256
        ].resolution_sha256
        encoded = msgspec.json.encode(certificate, order="sorted")
        with pytest.raises(Found, match="rests on approvals by another roster"):
            judged(other, [*_all(other), encoded])

    play(story())


def _all(world: AuthorityWorld) -> list[bytes]:
    return [data for _, data in world.authority.log.journal.entries()]
