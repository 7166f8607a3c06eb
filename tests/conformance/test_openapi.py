# SPDX-License-Identifier: Apache-2.0
"""docs/spec/openapi.json says what docs/spec/gate-api.md says, and what clients are made from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sekisho.apps.gate_command import openapi
from sekisho.core.gate.order import AmendOrder, CancelOrder, NewOrder
from sekisho.core.scope import Scope
from sekisho_client.orders import Amendment, Cancellation, DecisionDigests, MarketOrder
from tests import client_wire as wire

SPEC = Path(__file__).parents[2] / "docs/spec"
PAGE = (SPEC / "gate-api.md").read_text("utf-8")
TEXT = (SPEC / "openapi.json").read_text("utf-8")
DOCUMENT: dict[str, Any] = json.loads(TEXT)
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
RESPONSES: dict[str, Any] = DOCUMENT["components"]["responses"]


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and operation."""
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


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


def cells(text: str) -> list[str]:
    """The words that a text has in backquotes."""
    return re.findall(r"`([^`]+)`", text)


def members(name: str) -> set[str]:
    """Names of a schema's required members."""
    return set(SCHEMAS[name]["required"])


def test_openapi_paths_and_roles_are_those_of_the_page() -> None:
    """Each row of the page is an operation of the role that it names, and there is no other."""
    table = PAGE[PAGE.index("## 2. Requests") : PAGE.index("Scores and headroom")]
    rows = re.findall(r"^\| (.*?) \| (agent|monitor|anybody)[^|]*\|", table, re.MULTILINE)
    expected = set()
    for paths, role in rows:
        for one in cells(paths):
            method, path = one.split()
            expected.add((method, path.partition("?")[0], role))
    found = {(method, path, operation["tags"][0]) for method, path, operation in operations()}
    assert expected == found
    assert 15 == len(found)


def test_openapi_references_lead_somewhere_and_nothing_is_unused() -> None:
    """No dead reference, no schema or response that nobody uses."""
    used = set(references(DOCUMENT))
    there = {f"#/components/schemas/{name}" for name in SCHEMAS}
    there |= {f"#/components/responses/{name}" for name in RESPONSES}
    assert there == used


def test_openapi_problems_are_those_of_the_page() -> None:
    """Each word with its status, and no other."""
    table = PAGE[PAGE.index("| word | status |") : PAGE.index("**Repeating is safe.**")]
    words = dict(re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \|", table, re.MULTILINE))
    known = SCHEMAS["Problem"]["properties"]
    assert {f"urn:sekisho:problem:{word}" for word in words} == set(known["type"]["enum"])
    assert sorted(int(status) for status in words.values()) == known["status"]["enum"]
    bodies = [*SCHEMAS.values()]
    bodies += [one["content"]["application/problem+json"]["schema"] for one in RESPONSES.values()]
    for body in bodies:
        for part in body.get("allOf", ())[1:]:
            word = part["properties"]["type"]["const"].rpartition(":")[2]
            assert int(words[word]) == part["properties"]["status"]["const"]


def test_openapi_answers_of_orders_are_those_of_the_page() -> None:
    """Every kind with its status, and what a caller gets before an order is looked at."""
    table = PAGE[PAGE.index("| kind | HTTP |") : PAGE.index("`order_state`:")]
    kinds = re.findall(r"^\| `(\w+)` \| (\d{3}) \|", table, re.MULTILINE)
    submit = DOCUMENT["paths"]["/v1/orders"]["post"]["responses"]
    before = {"400", "401", "403", "413", "415"}
    assert {status for _, status in kinds} | before == set(submit)
    for kind, status in kinds:
        assert f'"const": "{kind}"' in json.dumps(
            [SCHEMAS[name.rpartition("/")[2]] for name in references(submit[status])]
        )
    line = PAGE[PAGE.index("`order_state`:") : PAGE.index("or empty. `permit`")]
    assert [*cells(line)[1:], ""] == SCHEMAS["OrderState"]["enum"]


def test_openapi_members_of_answers_are_those_of_the_page() -> None:
    """The page's table of members and the schemas agree, row by row."""
    table = PAGE[PAGE.index("**Questions** answer") : PAGE.index("## 4. Bounds")]
    rows = dict(re.findall(r"^\| `([^`]+)` \| (.*) \|$", table, re.MULTILINE))
    names = {
        "/v1/orders": "OpenOrders",
        "/v1/orders/{client_order_id}": "OrderStatus",
        "/v1/positions": "Positions",
        "/v1/agent": "AgentStatus",
        "/v1/agent/scope": "ScopeInForce",
        "…/volume": "Volume",
        "…/baseline": "BaselineSummary",
        "…/scores": "Scores",
        "/v1/health": "Alive",
        "/v1/ready": "Ready",
    }
    assert set(names) == set(rows)
    for path, name in names.items():
        missing = members(name) - set(cells(rows[path]))
        assert (path, set()) == (path, missing)
    working = table[table.index("A *working order*:") :]
    assert members("WorkingOrder") == set(cells(working))
    report = rows["/v1/orders/{client_order_id}"]
    named = re.search(r"\{([a-z_, ]+)\}`: of a closed", report)
    assert named is not None
    assert members("VenueReport") == set(named[1].split(", "))


def test_openapi_orders_are_those_of_the_gate_and_the_client() -> None:
    """The same fields in the document, the gate's types and the client's."""
    for name, ours, theirs in (
        ("MarketOrder", NewOrder, MarketOrder),
        ("Amendment", AmendOrder, Amendment),
        ("Cancellation", CancelOrder, Cancellation),
    ):
        schema = SCHEMAS[name]
        fields = set(schema["properties"]) - {"action"}
        assert fields == set(ours.__struct_fields__) - (
            {"price"} if name == "MarketOrder" else set()
        )
        assert fields - {"order_type"} == set(theirs.__dataclass_fields__)
        assert schema["additionalProperties"] is False
    assert {"price"} == set(SCHEMAS["LimitOrder"]["properties"]) - set(
        SCHEMAS["MarketOrder"]["properties"]
    )
    digests = set(SCHEMAS["DecisionContext"]["properties"])
    assert digests == set(DecisionDigests.__dataclass_fields__)
    assert members("Scope") == set(Scope.__struct_fields__)


SAMPLES: list[tuple[str, dict[str, Any]]] = [
    ("WorkingOrder", wire.WORKING),
    ("VenueReport", wire.REPORT),
    ("OrderStatus", wire.STATUS),
    ("AgentStatus", wire.AGENT),
    ("Volume", wire.VOLUME),
    ("BaselineSummary", wire.BASELINE),
    ("Scores", wire.SCORES),
    ("Reason", wire.REASON),
    ("Permitted", wire.taken()),
]


@pytest.mark.parametrize(("name", "sample"), SAMPLES, ids=[name for name, _ in SAMPLES])
def test_openapi_samples_of_the_client_have_the_members(name: str, sample: dict[str, Any]) -> None:
    """What the client's tests feed it has exactly the members of the document."""
    assert members(name) == set(sample)


def test_openapi_served_is_the_document() -> None:
    """What a gate serves, byte for byte."""
    assert TEXT.encode() == openapi()


def test_openapi_file_is_in_its_one_spelling() -> None:
    """Two spaces, schemas sorted, one newline at the end: a change is seen as what it is."""
    assert TEXT == json.dumps(DOCUMENT, indent=2, ensure_ascii=False) + "\n"
    assert sorted(SCHEMAS) == list(SCHEMAS)


def test_openapi_document_is_valid() -> None:
    """Other people's reader takes it as OpenAPI 3.1, and finds every operation."""
    schemathesis = pytest.importorskip(
        "schemathesis", reason="schemathesis is not installed: ./dev test --interop"
    )
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    schema.validate()
    assert 15 == len(list(schema.get_all_operations()))


@pytest.mark.parametrize(("name", "sample"), SAMPLES, ids=[name for name, _ in SAMPLES])
def test_openapi_samples_of_the_client_are_valid(name: str, sample: dict[str, Any]) -> None:
    """Other people's validator takes the samples, and not one with a member taken away."""
    validators = pytest.importorskip(
        "jsonschema_rs", reason="schemathesis is not installed: ./dev test --interop"
    )
    whole = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    validator = validators.validator_for(whole)
    assert [] == [error.message for error in validator.iter_errors(sample)]
    for gone in sample:
        less = {one: value for one, value in sample.items() if one != gone}
        assert not validator.is_valid(less), gone
