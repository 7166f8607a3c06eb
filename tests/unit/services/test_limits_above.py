# SPDX-License-Identifier: Apache-2.0
"""Limits above the agent: what is issued under them, to the cent, and what they never lift."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import msgspec
import pytest

from sekisho.core.errors import MalformedInput, NotAuthorised
from sekisho.core.terms import DAY_S
from sekisho.services.governancedesk import GovernanceDesk
from sekisho.services.pages import Cursor
from sekisho_verify.findings import VerificationFailed as Found
from tests.authority_world import AuthorityWorld, policy_of
from tests.governed_world import (
    LIMITS,
    approval_of,
    forged,
    judged,
    leaves,
    limited,
    limits_of,
)

OPERATOR: dict[str, Any] = LIMITS["operator"]


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


def desk(name: str, **limits: str) -> dict[str, str]:
    """A row of a desk."""
    return {"desk": name, **limits}


CASES: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("nothing above", {"operator": {}}, {"scope__currency": "USD"}, ""),
    ("just inside", {"operator": {"daily_notional_max": "1000000"}}, {}, ""),
    (
        "one cent above",
        {"operator": {"daily_notional_max": "999999.99"}},
        {},
        "daily_notional_max: 500000 and 500000 are above 999999.99 of the operator",
    ),
    ("position inside", {"operator": {"position_notional_max": "200000"}}, {}, ""),
    (
        "position above",
        {"operator": {"position_notional_max": "199999.99"}},
        {},
        "position_notional_max: 100000 and 100000 are above 199999.99 of the operator",
    ),
    ("order inside", {"operator": {"order_notional_max": "25000"}}, {}, ""),
    (
        "order above",
        {"operator": {"order_notional_max": "24999.99"}},
        {},
        "order_notional_max: 25000 is above 24999.99 of the operator",
    ),
    (
        "order without limit",
        {"operator": {"order_notional_max": "25000"}},
        {"scope__order_notional_max": "none"},
        "order_notional_max: none is above 25000 of the operator",
    ),
    (
        "none under a limit",
        {"operator": {"daily_notional_max": "1000000"}},
        {"scope__daily_notional_max": "none"},
        "daily_notional_max: none, under 1000000 of the operator",
    ),
    (
        "another currency",
        {"operator": {"daily_notional_max": "1000000"}},
        {"scope__currency": "USD"},
        "its currency is USD, the limits' is EUR",
    ),
    ("unknown desk", {}, {"desk": "fx"}, "the limits in force know no desk 'fx'"),
    (
        "desk inside",
        {"desks": [desk("fx", daily_notional_max="500000")]},
        {"desk": "fx"},
        "",
    ),
    (
        "desk above",
        {"desks": [desk("fx", daily_notional_max="499999.99"), desk("other")]},
        {"desk": "fx"},
        "daily_notional_max: 0 and 500000 are above 499999.99 of desk 'fx'",
    ),
    (
        "order of the desk",
        {"desks": [desk("fx", order_notional_max="1")]},
        {"desk": "fx"},
        "order_notional_max: 25000 is above 1 of desk 'fx'",
    ),
    (
        "another desk is another's",
        {"desks": [desk("fx"), desk("other", daily_notional_max="1")]},
        {"desk": "fx"},
        "",
    ),
]


@pytest.mark.parametrize(("name", "limits", "changes", "cause"), CASES)
def test_issuing_is_within_the_limits_above_or_refused_with_the_numbers(
    name: str, limits: dict[str, Any], changes: dict[str, Any], cause: str
) -> None:
    """One agent has a certificate; another one asks. The sum may reach the limit, not pass it."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        await world.certified("first")
        await limited(world, **limits)
        registration = policy_of("second", **changes)
        await world.approve(registration)
        if not cause:
            await world.issue(registration)
        else:
            with pytest.raises(NotAuthorised, match="'second' gets no certificate") as found:
                await world.issue(registration)
            assert cause in str(found.value).splitlines()
            assert "second" not in world.authority.state.agents
        judged(world)

    play(story())


def test_issuing_tells_every_cause_at_once() -> None:
    """Whoever asks learns of all limits that are in the way."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        row = dict.fromkeys(("order_notional_max", *OPERATOR), "1")
        await limited(world, operator=row, desks=[desk("fx", **row)])
        registration = policy_of(desk="fx")
        await world.approve(registration)
        with pytest.raises(NotAuthorised) as found:
            await world.issue(registration)
        assert 7 == len(str(found.value).splitlines())

    play(story())


@pytest.mark.parametrize("end", ["revoke", "expire", "hold"])
def test_limit_counts_active_certificates_alone(end: str) -> None:
    """What is revoked or expired makes room; what is on hold may come back, and does not."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        await world.certified(valid_until="2026-06-15T00:00:00Z")
        await limited(world, operator={"daily_notional_max": "500000"})
        if end == "expire":
            world.clock.advance(40 * DAY_S)
        else:
            await world.order(end)
        registration = policy_of("second")
        await world.approve(registration)
        if end == "hold":
            with pytest.raises(NotAuthorised, match="500000 and 500000 are above 500000"):
                await world.issue(registration)
        else:
            await world.issue(registration)
        judged(world)

    play(story())


def test_limit_is_exact_when_two_ask_at_once() -> None:
    """The last room under a limit is given once, whoever asks at the same time."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        await limited(world, operator={"daily_notional_max": "1499999.99"})
        registrations = [policy_of(f"agent{number}") for number in range(5)]
        for one in registrations:
            await world.approve(one)
        asked = [world.issue(one) for one in registrations]
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert 2 == sum(not isinstance(one, Exception) for one in found)
        assert 3 == sum(isinstance(one, NotAuthorised) for one in found)
        judged(world)

    play(story())


def test_lowered_limit_revokes_nothing_blocks_issuing_and_is_shown() -> None:
    """Who has a certificate keeps it; the sum is shown as exceeded, and nobody else gets one."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        desk_of = GovernanceDesk(world.authority)
        assert () == desk_of.uses()
        issued = await world.certified()
        await limited(world)
        assert [("500000", False), ("100000", False)] == [
            (one.used, one.exceeded) for one in desk_of.uses()
        ]
        digest = await limited(world, version=2, operator={"daily_notional_max": "499999.99"})
        assert "good" == await world.status(issued)
        (use,) = desk_of.uses()
        assert ("the operator", "500000", "499999.99", True) == (
            use.who, use.used, use.limit, use.exceeded,
        )  # fmt: skip
        shown = desk_of.limits_of(digest)
        assert shown is not None
        assert (True, (use,)) == (shown.row.in_force, shown.uses)
        registration = policy_of("tiny", scope__daily_notional_max="0.01")
        await world.approve(registration)
        with pytest.raises(NotAuthorised, match=r"500000 and 0\.01 are above 499999\.99"):
            await world.issue(registration)
        rows = desk_of.limits(Cursor(walk="x", size=world.authority.state.size, after=-1), 10).rows
        assert [(1, False), (2, True)] == [(one.version, one.in_force) for one in rows]
        judged(world)

    play(story())


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"scope__daily_notional_max": "none"}, "unlimited"),
        ({"scope__currency": "USD"}, "other"),
    ],
)
def test_limit_over_what_cannot_be_added_is_exceeded(changes: dict[str, Any], field: str) -> None:
    """An agent of before without a limit, or in another currency, has no sum: nobody else comes."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        await world.certified("before", **changes)
        await limited(world, operator={"daily_notional_max": "900000000"})
        (use,) = GovernanceDesk(world.authority).uses()
        assert (True, ("before",)) == (use.exceeded, getattr(use, field))
        registration = policy_of("second")
        await world.approve(registration)
        with pytest.raises(NotAuthorised, match="of before and 500000 are above"):
            await world.issue(registration)
        judged(world)

    play(story())


def test_limits_come_into_force_by_their_quorum_and_never_go_back() -> None:
    """One approval is not enough; an earlier version, or the same again, does not return."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        first = limits_of()
        policies = world.authority.policies
        assert first.sha256 == await policies.register_limits(first)
        size = world.authority.state.size
        await policies.register_limits(first)
        assert size == world.authority.state.size
        await world.authority.give_approval(approval_of(world, first.sha256, "ceo"))
        assert world.authority.state.limits_in_force is None
        assert "1 seats approved, 2 are required" in world.authority.missing(first.sha256)
        await limited(world, version=3)
        size = world.authority.state.size
        with pytest.raises(NotAuthorised, match="limits of version 3 are in force"):
            await world.authority.give_approval(approval_of(world, first.sha256, "cfo"))
        assert size == world.authority.state.size
        assert "limits of version 3 are in force" in world.authority.missing(first.sha256)
        in_force = world.authority.state.limits_in_force
        assert in_force is not None
        assert 3 == in_force.policy["version"]
        reopened = await world.again()
        again = reopened.authority.state.limits_in_force
        assert again is not None
        assert 3 == again.policy["version"]

    play(story())


def test_limits_are_approved_by_others_than_who_documented_them() -> None:
    """The approver who wrote them does not count, and a digest of a policy is none of limits."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        found = limits_of(documented_by="cfo")
        await world.authority.policies.register_limits(found)
        with pytest.raises(NotAuthorised, match="this seat documented the policy"):
            await world.authority.give_approval(approval_of(world, found.sha256, "cfo"))
        with pytest.raises(NotAuthorised, match="has no registered policy"):
            await world.authority.issue(
                "bot", found.sha256, b"", proof=b"", issuer_seat="i", operator_seat="o"
            )
        other = limits_of(environment="rehearsal")
        with pytest.raises(NotAuthorised, match="limits for 'rehearsal'"):
            await world.authority.policies.register_limits(other)

    play(story())


DOCUMENTS: list[tuple[dict[str, Any], str]] = [
    ({"desks": [desk("none")]}, r"desks\[0\].desk: none is no desk's name"),
    ({"desks": [desk("a"), desk("a")]}, "is a second row for a"),
    ({"desks": [desk("a b")]}, "is not written like"),
    ({"operator": {"daily_notional_max": "0"}}, "must be above 0"),
    ({"operator": {"daily_notional_max": "1.001"}}, "more than two decimals"),
    ({"currency": "eur"}, "is not written like EUR"),
    (
        {"environment": "production", "approvals_required": 1},
        "is below 2 in environment production",
    ),
    ({"environment": "production", "documented_by": "not_stated"}, "must be stated"),
    ({"extra": "1"}, "extra: is not a field"),
    ({"version": 0}, "is not a whole number from 1"),
]


@pytest.mark.parametrize(("changes", "fault"), DOCUMENTS)
def test_document_of_limits_with_a_fault_is_refused(changes: dict[str, Any], fault: str) -> None:
    """Each fault by its path."""
    with pytest.raises(MalformedInput, match=fault):
        limits_of(**changes)


def test_document_of_limits_is_completed_and_its_gaps_told() -> None:
    """What is silent is none, and said; a desk above its operator is said too."""
    found = limits_of(
        operator={"daily_notional_max": "10"}, desks=[desk("b"), desk("a", daily_notional_max="11")]
    )
    assert ["a", "b"] == [row.desk for row in found.limits.desks if not isinstance(row, str)]
    assert "desk a: daily_notional_max is above that of the operator" in found.notes
    assert "operator: order_notional_max is none: no limit" in found.notes
    assert "2" == {one.path: one.value for one in found.defaults}["approvals_required"]


def test_verifier_finds_issuing_above_the_limits() -> None:
    """Limits that a log has before a certificate bind it, for a stranger too."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        await limited(world, operator={"daily_notional_max": "500000"})
        await world.certified()
        judged(world)
        for limits, what in (
            ({"operator": {"daily_notional_max": "499999.99"}}, "daily_notional_max"),
            ({"operator": {"position_notional_max": "99999.99"}}, "position_notional_max"),
            ({"operator": {"order_notional_max": "24999.99"}}, "order_notional_max"),
            ({"currency": "USD", "operator": {"order_notional_max": "1"}}, "another currency"),
        ):
            other = await AuthorityWorld.start()
            await limited(other, **limits)
            # The same agent and key, certified where nothing was above it.
            free = await AuthorityWorld.start()
            registration = policy_of()
            await free.approve(registration)
            await other.approve(registration)
            await free.issue(registration)
            data = leaves(other)
            with pytest.raises(Found, match=what):
                judged(other, [*data, certificate_under(other, free)])
        entry = limits_of(environment="rehearsal")
        plain = {"limits": decoded(entry.canonical), "limits_sha256": entry.sha256}
        with pytest.raises(Found, match="for another environment"):
            judged(world, forged(world, "limits_registered", **plain))
        with pytest.raises(Found, match="is not the limits'"):
            judged(world, forged(world, "limits_registered", limits_sha256="0" * 64))

    play(story())


def test_verifier_finds_older_limits_put_in_force() -> None:
    """Limits of a version that is not higher replace none, also where everybody signed them."""

    async def story() -> None:
        world, other = await AuthorityWorld.start(), await AuthorityWorld.start()
        await limited(world, version=2)
        await limited(other, version=1)
        judged(other)
        older = leaves(other)[1:]
        with pytest.raises(Found, match="puts older limits in force"):
            judged(world, [*leaves(world), *older])

    play(story())


def decoded(data: bytes) -> Any:
    """Plain values of canonical bytes."""
    return msgspec.json.decode(data)


def certificate_under(world: AuthorityWorld, other: AuthorityWorld) -> bytes:
    """The other world's certificate as an entry of this one's log."""
    plain = msgspec.json.decode(leaves(other)[-1])
    state = world.authority.state
    plain["resolution_sha256"] = state.policies[plain["policy_sha256"]].resolution_sha256
    return msgspec.json.encode(plain, order="sorted")
