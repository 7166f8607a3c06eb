# SPDX-License-Identifier: Apache-2.0
"""Every route of the control plane, as every role, for the own and for another operator.

Generated from the table: a route without a row, or a row without a route, cannot be built.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest
from starlette.routing import Route

from sekisho.apps.control_answers import told
from sekisho.apps.control_api import ControlRequest, Serves
from sekisho.apps.control_routes import served
from sekisho.core.governance.access import ACCESS, KEY_ROLES, Access, Role
from sekisho.services.repeatable import ControlAnswer
from tests.control_world import ControlWorld

CALLERS: tuple[Role, ...] = ("anyone", "owner", *KEY_ROLES)
_PARTS = {
    "{id}": "0" * 16,
    "{digest}": "0" * 64,
    "{other}": "1" * 64,
    "{sha256}": "0" * 64,
    "{agent}": "bot",
    "{index}": "0",
    "{shard}": "0",
    "{request}": "AA",
}


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


def url_of(row: Access, operator: str) -> str:
    """The row's path with something in every place."""
    path = row.path if row.path.startswith("/") else f"/v1/operators/{operator}/{row.path}"
    for part, value in ({"{operator}": operator} | _PARTS).items():
        path = path.replace(part, value)
    return path


class Probe:
    """Answers every route, and remembers for whom."""

    def __init__(self) -> None:
        self.reached: list[tuple[Role, str, bool]] = []

    async def __call__(self, asked: ControlRequest) -> ControlAnswer:
        self.reached.append((asked.asker.role, asked.operator, asked.hosted is not None))
        return told({})


def probed(world: ControlWorld, probe: Probe) -> Iterator[Route]:
    """The table's routes, all answered by the probe."""
    for row in ACCESS:
        yield world.api.route(row, Serves(probe, media=("application/json",)))


@pytest.mark.parametrize("role", CALLERS)
def test_role_reaches_its_own_routes_at_its_own_operator_and_no_other(role: Role) -> None:
    """Allowed requests reach their operator; all others reach nothing, and say what is wrong."""

    async def story() -> None:
        world, probe = await ControlWorld.start(), Probe()
        world.owner = role == "owner"
        headers = {"content-type": "application/json"}
        if role in KEY_ROLES:
            headers |= await world.bearer(role, "acme")
        async with world.client(list(probed(world, probe))) as client:
            for row in ACCESS:
                for operator in ("acme", "beta", "nobody"):
                    probe.reached.clear()
                    url = url_of(row, operator)
                    answer = await client.request(row.method, url, headers=headers, content=b"{}")
                    names = "{operator}" in row.path or not row.path.startswith("/")
                    wanted = _expected(row, role, operator if names else "")
                    assert (url, wanted) == (url, answer.status_code)
                    reached = (role, operator if names else "", names)
                    assert probe.reached == ([reached] if wanted == 200 else [])

    play(story())


def _expected(row: Access, role: Role, operator: str) -> int:
    """The status, from the table and the rules of the page."""
    if operator:
        unbound = role in ("anyone", "owner", "issuer_admin")
        if role != "anyone" and (operator == "nobody" or not (unbound or operator == "acme")):
            return 404
    if role not in row.roles and "anyone" not in row.roles:
        return 401 if role == "anyone" else 403
    return 404 if operator == "nobody" else 200


def test_other_operator_and_no_operator_are_the_same_answer() -> None:
    """Whether an operator exists is not told to whom it does not concern."""

    async def story() -> None:
        world = await ControlWorld.start()
        headers = await world.bearer("auditor") | {"x-request-id": "same"}
        async with world.client() as client:
            there, nowhere, unnamed = [
                await client.get(f"/v1/operators/{name}/policies", headers=headers)
                for name in ("beta", "nobody", "Not%20A%20Name")
            ]
            assert there.status_code == 404
            assert there.content == nowhere.content == unnamed.content

    play(story())


def test_each_row_is_answered_and_nothing_else_is() -> None:
    """A new endpoint without a row fails here, as does a row without an endpoint."""

    async def story() -> None:
        world = await ControlWorld.start()
        assert {(row.method, row.path) for row in ACCESS} == set(served(world.server))

    play(story())


def test_key_and_owner_at_once_is_the_key() -> None:
    """A credential that is presented is what counts, and a bad one is nobody."""

    async def story() -> None:
        world = await ControlWorld.start()
        world.owner = True
        async with world.client() as client:
            auditor = await world.bearer("auditor")
            for headers, status in (
                (auditor, 403),
                ({"authorization": "Bearer x"}, 401),
                ({}, 200),
            ):
                answer = await client.get("/v1/operators", headers=headers)
                assert status == answer.status_code

    play(story())


def test_two_credentials_are_none() -> None:
    """A request with two keys says nothing of who asks."""

    async def story() -> None:
        world = await ControlWorld.start()
        one, two = (await world.bearer("auditor"))["authorization"], "Bearer x"
        async with world.client() as client:
            for both in ((one, two), (two, one), (one, one)):
                headers = [("authorization", value) for value in both]
                answer = await client.get("/v1/operators/acme/policies", headers=headers)
                assert 401 == answer.status_code

    play(story())
