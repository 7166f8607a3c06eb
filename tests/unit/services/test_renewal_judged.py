# SPDX-License-Identifier: Apache-2.0
"""Renewals as the verifier judges them: the same boundaries, from the entries alone."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from sekisho.core.errors import NotAuthorised
from sekisho.core.terms import format_instant, parse_instant
from sekisho_verify.findings import VerificationFailed
from tests.authority_world import AGENT, AuthorityWorld, policy_of
from tests.governed_world import forged, judged, leaves, limited
from tests.incident_world import POLICY, IncidentWorld
from tests.unit.services.test_renewal import OVERLAP, OVERLAP_S, renewing


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


async def ended() -> AuthorityWorld:
    """A renewal that came to its end."""
    world = await AuthorityWorld.start()
    await renewing(world)
    world.clock.advance(OVERLAP_S)
    await world.authority.due()
    return world


def test_judged_renewal_with_acts_of_people_in_between_holds() -> None:
    """Hold and release of both, the end, a third certificate, its kill."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        _, _, policy = await renewing(world)
        await world.order("hold")
        await world.order("release")
        world.clock.advance(OVERLAP_S)
        await world.authority.due()
        await world.issue(policy)
        await world.order("kill")
        log = judged(world)
        assert ["revoked"] * 3 == [one.status.status for one in log.issued.values()]

    play(story())


@pytest.mark.parametrize("which", [0, 1])
def test_judged_incident_of_one_of_two_ends_the_other(which: int) -> None:
    """The verifier wants the end of the other directly after the hold."""

    async def story() -> None:
        world = await IncidentWorld.begin(**OVERLAP)
        second = await world.issue(policy_of(**(POLICY | OVERLAP)))
        both = [world.issued.certificate_sha256, second.certificate_sha256]
        await world.report(certificate_sha256=both[which])
        found = [one.status.status for one in judged(world).issued.values()]
        assert [["hold", "revoked"], ["revoked", "hold"]][which] == found
        with pytest.raises(VerificationFailed, match="other certificate"):
            judged(world, without(world, "superseded"))

    play(story())


def without(world: AuthorityWorld, cause: str) -> list[bytes]:
    """The log without its changes of status for this cause."""
    return [data for data in leaves(world) if f'"cause":"{cause}"'.encode() not in data]


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("certificate_issued", {"renews": ""}, "second active certificate"),
        ("certificate_issued", {"renews": "0" * 64}, "renews another certificate"),
        ("status_changed", {"reason": "keyCompromise"}, "`reason` is not superseded"),
        ("status_changed", {"seats": ["risk_lead"]}, "has commands or seats"),
        ("status_changed", {"incident": "1" * 32}, "names an incident that ends it not"),
    ],
)
def test_judged_renewal_that_was_altered_is_refused(
    kind: str, change: dict[str, Any], message: str
) -> None:
    """Whom it renews, why it ended and on whose word cannot be said otherwise."""

    async def story() -> None:
        world = await ended()
        judged(world)
        with pytest.raises(VerificationFailed, match=message):
            judged(world, forged(world, kind, **change))

    play(story())


def test_judged_end_before_its_time_is_refused() -> None:
    """One nanosecond early is too early."""

    async def story() -> None:
        world = await ended()
        data = leaves(world)
        at = next(index for index, one in enumerate(data) if b'"cause":"superseded"' in one)
        due = [one.at for one in world.entries()][at]
        early = format_instant(parse_instant(due) - 1)
        data[at] = data[at].replace(due.encode(), early.encode())
        with pytest.raises(VerificationFailed, match="comes before"):
            judged(world, data)

    play(story())


def test_judged_end_of_the_successor_by_time_is_refused() -> None:
    """The one before ends, never the other."""

    async def story() -> None:
        world = await ended()
        successor = world.authority.certificates(AGENT)[1]
        names = {
            "certificate_sha256": successor.sha256,
            "serial_number": successor.serial_number,
        }
        data = leaves(world)
        at = next(index for index, one in enumerate(data) if b'"cause":"superseded"' in one)
        with pytest.raises(VerificationFailed, match="ends the successor"):
            judged(world, forged(world, "status_changed", **names)[: at + 1])

    play(story())


def test_judged_third_certificate_is_refused() -> None:
    """Without the end of the first the third is one too many."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        _, _, policy = await renewing(world)
        world.clock.advance(OVERLAP_S)
        await world.issue(policy)
        with pytest.raises(VerificationFailed, match="third certificate"):
            judged(world, without(world, "superseded"))

    play(story())


def test_judged_limits_count_an_agent_with_two_certificates_once() -> None:
    """Both sides take the larger of the two, and count the agent once."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        await limited(world, operator={"daily_notional_max": "1000000"})
        small = policy_of(scope__daily_notional_max="600000", **OVERLAP)
        large = policy_of(scope__daily_notional_max="1000000", version="2", **OVERLAP)
        for one in (small, large):
            await world.approve(one)
            await world.issue(one)
        assert 2 == len(judged(world).issued)
        other = policy_of("other", scope__daily_notional_max="1")
        await world.approve(other)
        with pytest.raises(NotAuthorised, match="daily_notional_max"):
            await world.issue(other)

    play(story())
