# SPDX-License-Identifier: Apache-2.0
"""Approvals that are taken back, overdue reviews and tests: what is issued then, and what not."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import msgspec
import pytest

from sekisho.core.errors import MalformedInput, NotAuthorised, VerificationFailed
from sekisho.core.events import ApprovalWithdrawn
from sekisho.core.terms import NS, format_instant, parse_instant
from sekisho_verify.findings import VerificationFailed as Found
from tests.authority_world import AuthorityWorld, policy_of
from tests.governed_world import approval_of, forged, judged, limited, withdrawal


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


async def revoked(world: AuthorityWorld) -> None:
    """The agent's certificate ends, so that another could be issued."""
    await world.order("revoke")


def test_withdrawal_ends_issuing_until_a_fresh_approval() -> None:
    """Below the quorum nothing is issued; what was issued stays; a new signature counts again."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        registration = policy_of()
        await world.approve(registration)
        issued = await world.issue(registration)
        world.clock.advance(1)
        policies = world.authority.policies
        taken = await policies.withdraw(withdrawal(world, registration.sha256, "cfo"))
        assert "1 seats approved, 2 are required" in taken.missing
        assert "good" == await world.status(issued)
        await revoked(world)
        with pytest.raises(NotAuthorised, match="cfo took the approval back; 1 approvals are left"):
            await world.issue(registration)
        world.clock.advance(1)
        resolution = await world.authority.give_approval(world.approval(registration, "cfo"))
        assert resolution is not None
        assert "" == world.authority.missing(registration.sha256)
        again = await world.issue(registration)
        assert "good" == await world.status(again)
        judged(world)
        reopened = await world.again()
        assert reopened.authority.state.policies[registration.sha256].withdrawn

    play(story())


def test_withdrawal_given_again_is_nothing_and_its_nonce_is_used() -> None:
    """The same bytes change nothing more; the same nonce in another withdrawal is refused."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        registration = policy_of()
        await world.approve(registration)
        first = withdrawal(world, registration.sha256, "cfo")
        policies = world.authority.policies
        one = await policies.withdraw(first)
        assert one == await policies.withdraw(first)
        assert 1 == sum(isinstance(entry, ApprovalWithdrawn) for entry in world.entries())
        world.clock.advance(1)
        await world.authority.give_approval(world.approval(registration, "cfo"))
        again = withdrawal(world, registration.sha256, "cfo", nonce=first.nonce)
        with pytest.raises(NotAuthorised, match="nonce was used before"):
            await policies.withdraw(again)
        judged(world)

    play(story())


@pytest.mark.parametrize("late", [-1, 0, 1])
def test_approval_signed_before_the_withdrawal_comes_too_late(late: int) -> None:
    """What was signed before, or at the same instant, and kept back, does not undo it."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        registration = policy_of()
        await world.approve(registration)
        world.clock.advance(1)
        now = world.clock.now_ns()
        kept = approval_of(
            world,
            registration.sha256,
            "cfo",
            approved_at=format_instant(now + late * 1000),
        )
        await world.authority.policies.withdraw(withdrawal(world, registration.sha256, "cfo"))
        world.clock.advance(1)
        if late > 0:
            assert await world.authority.give_approval(kept) is not None
        else:
            with pytest.raises(NotAuthorised, match="took back what it signed until then"):
                await world.authority.give_approval(kept)
        judged(world)

    play(story())


def test_withdrawal_leaves_room_for_another_approver() -> None:
    """Whoever approved and was not needed yet takes the place, once asked again."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        registration = policy_of()
        await world.approve(registration, "ceo", "cfo", "cto")
        taken = await world.authority.policies.withdraw(
            withdrawal(world, registration.sha256, "cfo")
        )
        assert "give one of them again" in taken.missing
        with pytest.raises(NotAuthorised, match="took the approval back"):
            await world.issue(registration)
        resolution = await world.authority.give_approval(world.approval(registration, "cto"))
        assert resolution is not None
        assert ["ceo", "cto"] == [one.seat for one in resolution.approvals]
        await world.issue(registration)
        judged(world)

    play(story())


REFUSED: list[tuple[str, dict[str, str], type[Exception], str]] = [
    ("cto", {}, NotAuthorised, "has no approval here to take back"),
    ("risk_lead", {}, NotAuthorised, "is risk; only approver may"),
    ("nobody", {}, VerificationFailed, "no seat 'nobody'"),
    ("cfo", {"roster_sha256": "0" * 64}, VerificationFailed, "another roster"),
    ("cfo", {"policy_sha256": "0" * 64}, NotAuthorised, "is registered here"),
    ("cfo", {"nonce": "A" * 32}, MalformedInput, "nonce is not written as"),
    ("cfo", {"withdrawn_at": "2026-05-15"}, MalformedInput, "withdrawn_at"),
]


@pytest.mark.parametrize(("who", "other", "error", "what"), REFUSED)
def test_withdrawal_that_does_not_hold_is_refused(
    who: str, other: dict[str, str], error: type[Exception], what: str
) -> None:
    """Only an approver of this roster takes back, and only what it gave."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        registration = policy_of()
        await world.approve(registration)
        size = world.authority.state.size
        with pytest.raises(error, match=what):
            await world.authority.policies.withdraw(
                withdrawal(world, registration.sha256, who, **other)
            )
        assert size == world.authority.state.size

    play(story())


@pytest.mark.parametrize(("ahead", "counts"), [(5, True), (6, False)])
def test_withdrawal_may_be_a_little_ahead(ahead: int, counts: bool) -> None:
    """A person's clock may be five seconds ahead; however old it is, it counts."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        registration = policy_of()
        await world.approve(registration)
        at = format_instant(world.clock.now_ns() + ahead * NS)
        given = withdrawal(world, registration.sha256, "cfo", withdrawn_at=at)
        if counts:
            await world.authority.policies.withdraw(given)
            judged(world)
        else:
            with pytest.raises(VerificationFailed, match="from the future"):
                await world.authority.policies.withdraw(given)
        old = withdrawal(
            world, registration.sha256, "ceo", withdrawn_at="2020-01-01T00:00:00.000000000Z"
        )
        await world.authority.policies.withdraw(old)

    play(story())


def test_withdrawal_with_another_signature_is_refused() -> None:
    """Nobody takes back what somebody else approved."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        registration = policy_of()
        await world.approve(registration)
        given = withdrawal(world, registration.sha256, "cfo")
        other = withdrawal(world, registration.sha256, "ceo")
        stolen = type(given)(**(to_dict(given) | {"signature": other.signature}))
        with pytest.raises(VerificationFailed, match="signature does not hold"):
            await world.authority.policies.withdraw(stolen)

    play(story())


def to_dict(value: Any) -> dict[str, Any]:
    """The fields of a struct."""
    return {name: getattr(value, name) for name in value.__struct_fields__}


def test_withdrawal_from_limits_in_force_lifts_nothing() -> None:
    """Limits stay until others are in force: taking an approval back must not widen."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        digest = await limited(world)
        taken = await world.authority.policies.withdraw(withdrawal(world, digest, "cfo"))
        assert "" == taken.missing
        assert world.authority.state.limits_in_force is not None
        judged(world)

    play(story())


def test_verifier_finds_issuing_on_approvals_taken_back() -> None:
    """A log in which a certificate rests on too few approvals is not lawful for a stranger."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        registration = policy_of()
        await world.approve(registration)
        await world.authority.policies.withdraw(withdrawal(world, registration.sha256, "cfo"))
        world.clock.advance(1)
        await world.authority.give_approval(world.approval(registration, "cfo"))
        await world.issue(registration)
        judged(world)
        with pytest.raises(Found, match="that is not registered before"):
            judged(world, forged(world, "approval_withdrawn", policy_sha256="0" * 64))
        plain = dict(entry_of(world, "approval_withdrawn")["withdrawal"])
        for change, what in (
            ({"seat": "ceo"}, "does not verify"),
            ({"seat": "risk_lead"}, "is no approver"),
            ({"roster_sha256": "0" * 64}, "is by another roster"),
            ({"policy_sha256": "0" * 64}, "from another policy"),
            ({"withdrawn_at": "2027-01-01T00:00:00.000000000Z"}, "in the future"),
            ({"nonce": "x"}, "malformed nonce"),
        ):
            with pytest.raises(Found, match=what):
                judged(world, forged(world, "approval_withdrawn", withdrawal=plain | change))
        data = forged(world, "resolved")
        index = max(i for i, one in enumerate(data) if b'"certificate_issued"' in one)
        first = entry_of(world, "resolved", last=False)["resolution_sha256"]
        entry = entry_of(world, "certificate_issued") | {"resolution_sha256": first}
        data[index] = msgspec.json.encode(entry, order="sorted")
        with pytest.raises(Found, match="rests on approvals that were taken back"):
            judged(world, data)

    play(story())


def entry_of(world: AuthorityWorld, kind: str, *, last: bool = True) -> dict[str, Any]:
    """The last (or first) entry of a kind, as plain values."""
    found = [
        entry
        for _, data in world.authority.log.journal.entries()
        if (entry := msgspec.json.decode(data))["kind"] == kind
    ]
    return dict(found[-1 if last else 0])


DUE = "2026-08-01T22:00:00.000000000Z"


@pytest.mark.parametrize("word", ["warn", "block_issuing", "refuse"])
@pytest.mark.parametrize("what", ["review", "test"])
def test_overdue_review_or_test_ends_issuing_unless_it_only_warns(word: str, what: str) -> None:
    """One nanosecond before it is due a certificate is issued; at that instant none is."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        changes = (
            {"governance__review_overdue": word}
            if what == "review"
            else {
                "governance__review_overdue": "warn",
                "testing__fitness_test_due": "2026-08-01",
                "testing__overdue": word,
            }
        )
        registration = policy_of(**changes)
        world.clock.advance_to(parse_instant(DUE) - 60 * NS)
        await world.approve(registration)
        world.clock.advance_to(parse_instant(DUE) - 1)
        await world.issue(registration)
        await world.order("revoke")
        world.clock.advance_to(parse_instant(DUE))
        if word == "warn":
            await world.issue(registration)
        else:
            said = f"the {'review' if what == 'review' else 'fitness test'} was due at {DUE}"
            with pytest.raises(NotAuthorised, match=said):
                await world.issue(registration)
        judged(world)

    play(story())


def test_verifier_finds_issuing_under_an_overdue_policy() -> None:
    """A certificate that came after the due instant is found."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        registration = policy_of()
        world.clock.advance_to(parse_instant(DUE) - 1)
        await world.approve(registration)
        await world.issue(registration)
        judged(world)
        with pytest.raises(Found, match="whose review is overdue"):
            judged(world, forged(world, "certificate_issued", at=DUE))

    play(story())


def test_approval_counts_until_the_instant_of_its_end() -> None:
    """At its end an approval is over, one nanosecond before it counts; so for resolutions."""

    async def story() -> None:
        for early, counts in ((1, True), (0, False)):
            world = await AuthorityWorld.start()
            registration = policy_of()
            await world.authority.register_policy(registration)
            ends = world.clock.now_ns() + 60 * NS
            first = approval_of(world, registration.sha256, "ceo", expires_at=format_instant(ends))
            await world.authority.give_approval(first)
            world.clock.advance_to(ends - early)
            second = approval_of(world, registration.sha256, "cfo")
            assert counts == (await world.authority.give_approval(second) is not None)
            if not counts:
                with pytest.raises(NotAuthorised, match="expired at"):
                    await world.authority.give_approval(first)

    play(story())
