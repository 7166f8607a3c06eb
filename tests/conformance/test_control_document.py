# SPDX-License-Identifier: Apache-2.0
"""docs/spec/control-plane.json says what the routes are, and is what is served."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Iterator
from typing import Any

import httpx2
import pytest
from starlette.routing import Route

from sekisho.apps import control_document, control_table
from sekisho.apps.control_answers import PREFIX, WORDS
from sekisho.apps.control_routes import control_routes, served
from sekisho.core.errors import ConfigurationInvalid
from sekisho.core.governance.access import ACCESS, KEY_ROLES, Access, Role
from tests.control_world import ControlWorld
from tests.unit.apps.test_control_access import url_of
from tests.write_control_plane import PLACES, made

TEXT = made()
DOCUMENT: dict[str, Any] = json.loads(TEXT)
WRITE = "write it anew: python -m tests.write_control_plane"
BODY_MAX = 262_144


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


def operation(row: Access) -> dict[str, Any]:
    """What the document says of a row."""
    path = row.path if row.path.startswith("/") else f"/v1/operators/{{operator}}/{row.path}"
    found: dict[str, Any] = DOCUMENT["paths"][path][row.method.lower()]
    return found


def references(node: Any) -> Iterator[str]:
    """Every ``$ref`` below a node."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for inner in node.values():
            yield from references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from references(inner)


@pytest.mark.parametrize("place", PLACES, ids=["docs", "package"])
def test_document_files_are_those_of_the_routes(place: Any) -> None:
    """Both copies are what the tables make now, byte for byte."""
    assert place.read_bytes() == TEXT, WRITE


def test_document_has_every_route_of_the_application_and_no_other() -> None:
    """Method and path, as Starlette has them."""

    async def story() -> None:
        world = await ControlWorld.start()
        routes: list[Route] = control_routes(world.api, world.server)
        there = {
            (method, route.path.replace("{request:path}", "{request}"))
            for route in routes
            for method in (route.methods or set()) - {"HEAD"}
        }
        found = {
            (method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item
        }
        assert there == found

    play(story())


def test_document_route_without_a_description_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever adds a route is told where its row goes; a row of no route is found too."""
    answered = asyncio.run(_answered())
    rest = dict(control_table.TABLE)
    row = rest.pop(("GET", "roster"))
    monkeypatch.setattr(control_document, "TABLE", rest)
    with pytest.raises(ConfigurationInvalid, match=r"GET roster: no row in apps/control_table"):
        control_document.document(answered)
    monkeypatch.setattr(
        control_document, "TABLE", {**rest, ("GET", "roster"): row, ("GET", "x"): row}
    )
    with pytest.raises(ConfigurationInvalid, match=r"GET x: described, and no row(.|\n)*getRoster"):
        control_document.document(answered)
    monkeypatch.setattr(control_document, "TABLE", {**rest, ("GET", "roster"): row})
    odd = answered | {("GET", "roster"): answered["GET", "roster"]._replace(query=("odd",))}
    with pytest.raises(ConfigurationInvalid, match="GET roster: odd has no schema"):
        control_document.document(odd)


async def _answered() -> Any:
    return served((await ControlWorld.start()).server)


def test_document_roles_are_those_of_the_access_table() -> None:
    """Who may ask, and that a key is wanted where not anybody may."""
    for row in ACCESS:
        found = operation(row)
        assert list(row.roles) == found["x-roles"]
        assert ([] if "anyone" in row.roles else [{"key": []}]) == found["security"]


def test_document_parameters_are_those_that_are_read() -> None:
    """Parts of the path, query parameters, and the key of what creates something."""
    answered = asyncio.run(_answered())
    for row in ACCESS:
        serves = answered[row.method, row.path]
        found = operation(row).get("parameters", [])
        query = [one["name"] for one in found if one["in"] == "query"]
        assert list(serves.query) == query
        headers = [one["name"] for one in found if one["in"] == "header"]
        assert (["Idempotency-Key"] if serves.creates else []) == headers
        body = operation(row).get("requestBody", {"content": {}})
        assert list(serves.media) == list(body["content"])


def test_document_references_lead_somewhere_and_nothing_is_unused() -> None:
    """No dead reference, no form that nobody uses."""
    parts = DOCUMENT["components"]
    there = {
        f"#/components/{kind}/{name}" for kind in ("schemas", "responses") for name in parts[kind]
    }
    assert there == set(references(DOCUMENT))


def test_document_problems_have_their_word_and_status() -> None:
    """Each is said as a problem of RFC 9457 with the status under which it stands."""
    for item in DOCUMENT["paths"].values():
        for one in item.values():
            for status, answer in one["responses"].items():
                if int(status) < 400:
                    continue
                whole = answer
                if "$ref" in answer:
                    name = answer["$ref"].rpartition("/")[2]
                    whole = DOCUMENT["components"]["responses"][name]
                exact = whole["content"]["application/problem+json"]["schema"]["allOf"][1]
                word = exact["properties"]["type"]["const"].removeprefix(PREFIX)
                assert int(status) == WORDS[word] == exact["properties"]["status"]["const"]


async def provoked(
    world: ControlWorld, http: httpx2.AsyncClient, row: Access
) -> dict[str, httpx2.Response]:
    """What goes wrong before a route's own work: what was provoked → the answer."""
    url, method = url_of(row, "acme"), row.method
    media = next(iter(operation(row).get("requestBody", {"content": {}})["content"]), "")
    typed = {"content-type": media} if media else {}
    role: Role = next((one for one in row.roles if one in KEY_ROLES), "auditor")
    world.owner = "owner" in row.roles
    keyless = world.owner or "anyone" in row.roles
    own = typed if keyless else typed | await world.bearer(role)
    fresh = world.fresh()
    found = {
        "query": await http.request(method, f"{url}?no=1", headers=own | fresh),
        "key": await http.request(method, url, headers=typed | {"authorization": "Bearer x"}),
        "large": await http.request(method, url, headers=own, content=b"x" * (BODY_MAX + 1)),
        "operator": await http.request(method, url_of(row, "nobody"), headers=own),
        "odd": await http.request(method, url.replace("0" * 16, "odd"), headers=own),
        "agent": await http.request(method, url, headers=typed | await world.bearer("agent")),
        "media": await http.request(
            method, url, headers=own | {"content-type": "text/odd"}, content=b"{}"
        ),
        "again": await http.request(method, url, headers=own | fresh, content=b"{}"),
        "other": await http.request(method, url, headers=own | fresh, content=b"{ }"),
        "nothing": await http.request(method, url, headers=own),
    }
    world.tables.away = True
    found["away"] = await http.request(method, url, headers=typed | {"authorization": KEY})
    world.tables.away = False
    return found


KEY = f"Bearer sk_{'0' * 16}_{'A' * 43}"


@pytest.mark.parametrize("row", ACCESS, ids=lambda row: f"{row.method} {row.path}")
def test_document_has_every_status_that_is_provoked(row: Access) -> None:
    """Whatever is wrong with a request, its answer is one that the document has for the route."""

    async def story() -> None:
        world = await ControlWorld.start()
        async with world.client() as http:
            answers = await provoked(world, http, row)
        known = operation(row)["responses"]
        for what, answer in answers.items():
            assert str(answer.status_code) in known, f"{what}: {answer.status_code}"
        assert 400 == answers["query"].status_code
        assert 401 == answers["key"].status_code
        assert 503 == answers["away"].status_code
        got = {str(answer.status_code) for answer in answers.values()}
        said = {status for status in known if int(status) >= 400}
        # A state that forbids something is not provoked here.
        assert said - got <= {"409", "403" if row.path.startswith("/pki") else "409"}

    play(story())


def test_document_is_served_without_a_key() -> None:
    """At ``/v1/openapi.json``, byte for byte."""

    async def story() -> None:
        world = await ControlWorld.start()
        async with world.client() as http:
            answer = await http.get("/v1/openapi.json")
            assert (200, "application/json") == (
                answer.status_code,
                answer.headers["content-type"],
            )
            assert TEXT == answer.content

    play(story())


def test_document_is_valid() -> None:
    """Other people's reader takes it as OpenAPI 3.1, and finds every operation."""
    schemathesis = pytest.importorskip(
        "schemathesis", reason="schemathesis is not installed: ./dev test --interop"
    )
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    schema.validate()
    assert len(ACCESS) == len(list(schema.get_all_operations()))
