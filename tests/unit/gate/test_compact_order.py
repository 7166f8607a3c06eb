# SPDX-License-Identifier: Apache-2.0
"""Orders without blanks and escapes are read by a shorter way, to the same result or not at all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sekisho.core.errors import MalformedInput
from sekisho.core.gate.order import Order, parse_order, read_compact
from tests.gate_world import order


def plain() -> dict[str, Any]:
    return dict(json.loads(order(decision_context={"model_sha256": "a" * 64})))


def compact(**changes: Any) -> bytes:
    text = json.dumps(plain() | changes, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("changes", [{}, {"account": "ü"}, {"price": "x\ny"}])
def test_compact_order_is_read_as_any_other(changes: dict[str, Any]) -> None:
    """As one with a blank is, in whatever order of its fields; they are checked all the same."""
    body = compact(**changes)
    assert read_compact(body) is not None
    assert told(b" " + body) == told(body)


def told(body: bytes) -> Order | str:
    """The order, or what is wrong."""
    try:
        return parse_order(body)
    except MalformedInput as error:
        return f"{error} at {error.where}"


@pytest.mark.parametrize(
    "body",
    [
        compact()[:-1] + b',"price":"1.1"}',
        compact().replace(b'"model', b'"model_sha256":"%s","model' % (b"b" * 64)),
        compact().replace(b":", b": ", 1),
        compact().replace(b'"buy"', b'"\\u0062uy"'),
        compact(quantity=20000),
        compact(quantity=1.5),
        compact(venue=None),
        compact(more="x"),
        compact(action="replace"),
        compact(action=["new"]),
        compact(action={}),
        compact(account="\ud800"),
        compact(decision_context={"model_sha256": {"a": "b"}}),
        b'{"action":"new"}',
        b"{}",
        b"[]",
        b'"new"',
        b"1",
        b"null",
        b"",
        b"\xff",
        b"[" * 8_000,
        b'{"action":' * 800,
        b'{"action":"new","a":' + b"[" * 8_000,
    ],
)
def test_other_bodies_are_left_to_the_strict_parser(body: bytes) -> None:
    """A field that comes twice, a number, a blank, an escape, what is no order: nothing is said."""
    assert read_compact(body) is None
