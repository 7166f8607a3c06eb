# SPDX-License-Identifier: Apache-2.0
"""API keys: what is shown, what is kept, and whom a key admits."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.adapters.simulated_entropy import SeededEntropy
from sekisho.core.errors import MalformedInput, NotAuthorised, Unavailable
from sekisho.core.terms import DAY_S
from sekisho.services.apikeys import ApiKeys, role_of
from sekisho.storeports import ApiKey
from tests.control_doubles import MemoryTables
from tests.unit.core.governance import samples


class World:
    def __init__(self) -> None:
        self.tables = MemoryTables()
        self.clock = SteppedClock(samples.NOW)
        self.rosters = {"acme": samples.ROSTER}
        self.keys = ApiKeys(self.tables, self.clock, SeededEntropy(b"keys"), self.rosters.get)

    def seat(self, role: str) -> str:
        return next(one.seat for one in samples.ROSTER.seats if one.role == role)

    async def person(self, role: str = "compliance", days: int = 30) -> tuple[ApiKey, str]:
        made = await self.keys.make("acme", role, self.seat(role), days)
        return made.key, f"Bearer {made.presented}"


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


def test_key_made_admits_and_its_secret_is_kept_nowhere() -> None:
    """What is presented finds the key; no table holds the secret."""

    async def story() -> None:
        world = World()
        key, presented = await world.person()
        assert await world.keys.find(presented) == key
        assert role_of(key) == "compliance"
        assert presented.split("_", 2)[2] not in repr(world.tables.known)

    play(story())


@pytest.mark.parametrize("change", ["", "Basic x", "bearer", "id", "secret", "longer", "newline"])
def test_key_presented_otherwise_admits_nobody(change: str) -> None:
    """Another scheme, id, secret or spelling is nobody."""

    async def story() -> None:
        world = World()
        _, right = await world.person()
        changed = {
            "": "",
            "Basic x": "Basic x",
            "bearer": right.replace("Bearer", "bearer"),
            "id": right.replace("sk_", "sk_0", 1)[: len(right)],
            "secret": right[:-1] + ("A" if right[-1] != "A" else "B"),
            "longer": right + "A",
            "newline": right + "\n",
        }[change]
        assert await world.keys.find(right) is not None
        assert await world.keys.find(changed) is None

    play(story())


def test_key_of_another_id_does_not_open_with_this_secret() -> None:
    """The secret of one key with the id of another is nobody."""

    async def story() -> None:
        world = World()
        first, one = await world.person()
        second, _ = await world.person("risk")
        assert await world.keys.find(one.replace(first.id, second.id)) is None

    play(story())


def test_key_ended_or_expired_admits_nobody() -> None:
    """At the instant of its end a key is over; one that was ended stays ended."""

    async def story() -> None:
        world = World()
        _, one = await world.person(days=1)
        ended, other = await world.person(days=2)
        world.clock.advance(DAY_S - 1)
        assert await world.keys.find(one) is not None
        world.clock.advance(1)
        assert await world.keys.find(one) is None
        assert await world.keys.find(other) is not None
        await world.keys.end("acme", ended.id)
        assert await world.keys.find(other) is None

    play(story())


def test_key_whose_seat_lost_its_role_admits_nobody() -> None:
    """The roster in force decides each time."""

    async def story() -> None:
        world = World()
        _, one = await world.person()
        roster = samples.ROSTER
        world.rosters["acme"] = type(roster)(
            schema=roster.schema,
            version=roster.version + 1,
            seats=tuple(one for one in roster.seats if one.role != "compliance"),
        )
        assert await world.keys.find(one) is None
        world.rosters.clear()
        assert await world.keys.find(one) is None

    play(story())


@pytest.mark.parametrize(
    ("operator", "role", "seat", "days", "failure"),
    [
        ("acme", "nobody", "", 1, MalformedInput),
        ("acme", "gate", "", 1, MalformedInput),
        ("acme", "issuer_admin", "", 1, MalformedInput),
        ("", "auditor", "", 1, MalformedInput),
        ("acme", "auditor", "compliance-1", 1, MalformedInput),
        ("acme", "compliance", "", 1, MalformedInput),
        ("acme", "auditor", "", 0, MalformedInput),
        ("acme", "auditor", "", 367, MalformedInput),
        ("acme", "compliance", "nobody", 1, NotAuthorised),
        ("other", "auditor", "", 1, NotAuthorised),
    ],
)
def test_key_that_fits_nobody_is_not_made(
    operator: str, role: str, seat: str, days: int, failure: type[Exception]
) -> None:
    """Role, operator and seat must belong together; nothing is kept otherwise."""

    async def story() -> None:
        world = World()
        with pytest.raises(failure):
            await world.keys.make(operator, role, seat, days)
        assert world.tables.known == {}

    play(story())


def test_key_of_a_seat_in_another_role_is_not_made() -> None:
    """A key never gives a person a second role."""

    async def story() -> None:
        world = World()
        with pytest.raises(NotAuthorised):
            await world.keys.make("acme", "approver", world.seat("compliance"), 1)

    play(story())


def test_key_is_ended_by_its_operator_alone() -> None:
    """Another operator's key is not there for it."""

    async def story() -> None:
        world = World()
        key, presented = await world.person()
        for operator in ("other", ""):
            with pytest.raises(NotAuthorised):
                await world.keys.end(operator, key.id)
        assert await world.keys.find(presented) is not None
        issuers = await world.keys.make("", "issuer_admin", "", 1)
        assert await world.keys.find(f"Bearer {issuers.presented}") == issuers.key

    play(story())


def test_key_store_that_does_not_answer_admits_nobody() -> None:
    """No answer is no admission, and is told as such."""

    async def story() -> None:
        world = World()
        _, presented = await world.person()
        world.tables.away = True
        with pytest.raises(Unavailable):
            await world.keys.find(presented)

    play(story())
