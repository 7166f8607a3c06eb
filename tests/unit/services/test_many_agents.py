# SPDX-License-Identifier: Apache-2.0
"""What an authority with many agents looks up instead of walking over all of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sekisho.core.errors import NotAuthorised
from sekisho.services.controldesk import ControlDesk
from sekisho.services.pages import Cursor, of_walk
from sekisho.services.peopledesk import NAMED_MAX, PeopleDesk
from tests.authority_world import AuthorityWorld, GateDouble, policy_of

OTHER = "log.example/gate-2"


def nothing(_: Any) -> Any:
    raise AssertionError("not asked here")


async def of(world: AuthorityWorld, *agents: str) -> None:
    """Certify these agents."""
    for agent in agents:
        await world.certified(agent)


def test_stopped_certificates_are_listed_in_the_order_of_issue_until_released() -> None:
    """The CRL is made of these alone; a release takes its certificate out, a restart changes
    nothing.
    """

    async def story() -> None:
        world = await AuthorityWorld.start()
        await of(world, "a", "b", "c")
        for agent in ("c", "a", "b"):
            await world.order("hold", agent=agent)
        await world.order("release", agent="b")
        assert ["a", "c"] == [one.agent for one in world.authority.state.not_good()]
        again = await world.again()
        assert ["a", "c"] == [one.agent for one in again.authority.state.not_good()]

    asyncio.run(story())


def test_key_of_an_earlier_life_of_the_process_is_certified_for_nobody() -> None:
    """Used keys are known as soon as the log was read."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        first = policy_of("a")
        await world.approve(first)
        await world.issue(first, key=4711)
        again = await world.again()
        second = policy_of("b")
        await again.approve(second)
        with pytest.raises(NotAuthorised, match="this key had a certificate before"):
            await again.issue(second, key=4711)

    asyncio.run(story())


def test_gate_and_log_belong_together_both_ways() -> None:
    """Another gate with this log, and this gate with another log: no lease."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        await world.lease(GateDouble("g1"))
        with pytest.raises(NotAuthorised, match="belongs to the gate 'g1'"):
            await world.lease(GateDouble("g2"))
        with pytest.raises(NotAuthorised, match="belongs to the gate 'g1'"):
            await world.lease(GateDouble("g1", OTHER, boot="c" * 32))
        assert {"g1"} == set(world.authority.state.origins.values())

    asyncio.run(story())


def test_parts_that_policies_have_in_common_are_in_memory_once() -> None:
    """The agent's name differs, its risk controls are the other agent's."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        await of(world, "a", "b")
        one, other = world.authority.state.policies.values()
        assert (one.policy["agent"], other.policy["agent"]) == ("a", "b")
        assert one.policy["risk_controls"] is other.policy["risk_controls"]

    asyncio.run(story())


def test_filtered_lists_give_each_row_once_and_no_other() -> None:
    """By agent and by status, page by page of one row."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        await of(world, "a", "b", "c", "d")
        for agent in ("d", "b"):
            await world.order("hold", agent=agent)
        desk = ControlDesk(world.authority, nothing)
        size = world.authority.state.size

        def walk(page: Any) -> list[str]:
            cursor, found = Cursor(walk="", size=size, after=-1), []
            while True:
                rows, following = page(cursor)
                found += [row.agent for row in rows]
                if not following:
                    return found
                cursor = Cursor(walk="", size=size, after=rows[-1].index)

        assert ["b", "d"] == walk(lambda at: desk.certificates(at, 1, "", "hold"))
        assert ["b"] == walk(lambda at: desk.certificates(at, 1, "b", "hold"))
        assert [] == walk(lambda at: desk.certificates(at, 1, "a", "hold"))
        assert ["a", "c"] == walk(lambda at: desk.certificates(at, 1, "", "good"))
        assert ["b", "d"] == walk(lambda at: desk.agents(at, 1, "hold"))
        assert ["a", "b", "c", "d"] == walk(lambda at: desk.agents(at, 1, ""))
        assert ["c"] == walk(lambda at: desk.policies(at, 1, "c"))
        assert ["a", "b", "c", "d"] == walk(lambda at: desk.policies(at, 1, ""))

    asyncio.run(story())


def test_walk_is_cut_at_both_ends_and_in_order() -> None:
    """Rows before the cursor, and those that came after the walk began, are not in it."""
    cursor = Cursor(walk="", size=9, after=2)
    page = of_walk([7, 9, 3, 2, 5, 12], lambda one: one, cursor, 2)
    assert ([3, 5], True) == (page.rows, page.next != "")


def test_stranger_agent_is_answered_with_a_few_names_alone() -> None:
    """Whoever asks for an agent that is not there is not told the whole fleet."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        await of(world, *(f"a{number}" for number in range(NAMED_MAX + 1)))
        desk = PeopleDesk(world.authority, nothing, nothing)
        with pytest.raises(NotAuthorised) as caught:
            desk.agent("absent")
        assert caught.value.do.endswith(f"a{NAMED_MAX - 1}, …")

    asyncio.run(story())
