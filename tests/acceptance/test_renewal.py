# SPDX-License-Identifier: Apache-2.0
"""A certificate is renewed while its agent trades: no gap, and the bundle verifies."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.compose import COMPLIANCE_SEAT, ISSUER_SEAT, OPERATOR_SEAT
from sekisho.core.errors import NotAuthorised
from sekisho.core.gate.permit import read_permit
from tests.acceptance.bundle_life import export, verify
from tests.embedded_world import AGENT, MORNING, POLICY, EmbeddedWorld, make, order, resting

OVERLAP_S = 60


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


async def trading(path: Path, store: str = "") -> EmbeddedWorld:
    """A home whose policy lets certificates overlap for a minute; its agent is admitted."""
    policy = copy.deepcopy(POLICY)
    policy["governance"]["renewal_overlap_s"] = OVERLAP_S
    clock = SteppedClock(MORNING)
    await make(path, policy, clock, store)
    world = EmbeddedWorld(path, clock)
    await world.open()
    await world.gate.admit(AGENT)
    return world


async def renew(world: EmbeddedWorld) -> None:
    """Issue the successor; the venue gets to know its certificate."""
    digest = world.home.authority.certificates(AGENT)[-1].policy_sha256
    seats = {"issuer_seat": ISSUER_SEAT, "operator_seat": OPERATOR_SEAT}
    issued = await world.home.issue(AGENT, digest, **seats)
    world.venue.know_certificate(issued.certificate)


def used(world: EmbeddedWorld) -> list[int]:
    """Of each permit, which certificate it is signed under."""
    known = [one.sha256 for one in world.home.authority.certificates(AGENT)]
    permits = [read_permit(jws) for jws in world.permits().values()]
    return [known.index(one.certificate_sha256) for one in permits]


@pytest.mark.parametrize("store", ["", "sqlite:authority.db"])
def test_renewal_while_trading_leaves_no_gap_and_verifies(tmp_path: Path, store: str) -> None:
    """Orders under the first, then the second; its end stops nothing and cancels nothing."""

    async def story() -> None:
        world = await trading(tmp_path / "home", store)
        assert (await world.ask(resting("one", quantity="1000"))).kind == "permitted"
        await renew(world)
        assert (await world.ask(resting("two", quantity="1000"))).kind == "permitted"
        await world.gate.admit(AGENT)
        assert (await world.ask(resting("three", quantity="1000"))).kind == "permitted"
        world.stepped.advance(OVERLAP_S)
        world.quote()
        assert 1 == await world.home.authority.due()
        assert {"one", "two", "three"} == set(world.gate.log.state.agents[AGENT].working)
        assert (await world.ask(resting("four", quantity="1000"))).kind == "permitted"
        assert [0, 0, 1, 1] == used(world)
        statuses = [one.status for one in world.home.authority.certificates(AGENT)]
        assert ["revoked", "good"] == statuses
        code, printed = verify(await export(world, tmp_path / "bundle"))
        assert code in {0, 3}, printed
        assert "FAIL" not in printed
        await world.close()

    play(story())


def test_renewal_never_taken_up_ends_with_a_stop(tmp_path: Path) -> None:
    """A gate that was not given the successor stops when the first ends, and cancels."""

    async def story() -> None:
        world = await trading(tmp_path / "home")
        await world.ask(resting("one", quantity="1000"))
        await renew(world)
        world.stepped.advance(OVERLAP_S)
        world.quote()
        await world.home.authority.due()
        assert {} == world.gate.log.state.agents[AGENT].working
        assert (await world.ask(order("two"))).kind == "refused"
        await world.gate.admit(AGENT)
        assert (await world.ask(order("three"))).kind == "permitted"
        await world.close()

    play(story())


def test_renewal_admission_lifts_no_hold(tmp_path: Path) -> None:
    """While the agent is held its successor is not admitted; after the release it is."""

    async def story() -> None:
        world = await trading(tmp_path / "home")
        await renew(world)
        await world.command("hold", COMPLIANCE_SEAT)
        with pytest.raises(NotAuthorised, match=r"stopped here \(hold\)"):
            await world.gate.admit(AGENT)
        assert (await world.ask(order("held"))).kind == "refused"
        await world.command("release", COMPLIANCE_SEAT, "duty_risk")
        world.stepped.advance(1)
        world.quote()
        await world.gate.leasing.renew()
        await world.gate.admit(AGENT)
        assert (await world.ask(order("after"))).kind == "permitted"
        code, printed = verify(await export(world, tmp_path / "bundle"))
        assert code in {0, 3}, printed
        await world.close()

    play(story())
