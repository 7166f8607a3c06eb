# SPDX-License-Identifier: Apache-2.0
"""Writing a state field by field: nothing is left out, and nothing else is read."""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec
import pytest

from sekisho.core.encoding import canonical, parse_plain
from sekisho.core.errors import MalformedInput
from sekisho.core.statecode import (
    FLAG,
    NUMBER,
    PLAIN,
    TEXT,
    Coder,
    Fields,
    attributes,
    either,
    listed,
    mapping,
    optional,
    queue,
    row,
    sorted_set,
    struct,
)


class Point(msgspec.Struct, frozen=True):
    """A struct of the test."""

    x: int
    name: str


CASES: list[tuple[Coder, Any]] = [
    (TEXT, "a"),
    (FLAG, True),
    (NUMBER, -(10**40)),
    (PLAIN, {"a": [1]}),
    (optional(NUMBER), None),
    (optional(NUMBER), 0),
    (either(NUMBER, TEXT), 5),
    (either(NUMBER, TEXT), "5"),
    (row(TEXT, NUMBER), ("a", 1)),
    (listed(NUMBER), [3, 1]),
    (queue(row(NUMBER, TEXT)), deque([(1, "b"), (0, "a")])),
    (sorted_set(TEXT), {"b", "a"}),
    (mapping(row(TEXT, NUMBER), NUMBER), {("b", 1): 2, ("a", 0): 3}),
    (struct(Point), Point(1, "n")),
]


@pytest.mark.parametrize(("coder", "value"), CASES)
def test_value_written_and_read_is_the_same(coder: Coder, value: Any) -> None:
    """Through canonical bytes and back, with its type and its order."""
    again = coder.read(parse_plain(canonical(coder.write(value))))
    assert (type(value), value) == (type(again), again)
    if isinstance(value, dict):
        assert list(value) == list(again)


WRONG: list[tuple[Coder, Any]] = [
    (TEXT, 1),
    (FLAG, 1),
    (NUMBER, 1),
    (NUMBER, "01"),
    (NUMBER, "-0"),
    (NUMBER, "1e3"),
    (NUMBER, "--1"),
    (NUMBER, "٣"),
    (either(NUMBER, TEXT), ["x", "1"]),
    (either(NUMBER, TEXT), ["n"]),
    (row(TEXT, TEXT), ["a"]),
    (row(TEXT), "a"),
    (listed(TEXT), {"a": 1}),
    (mapping(TEXT, TEXT), [["a"]]),
    (struct(Point), {"x": "1", "name": "n"}),
]


@pytest.mark.parametrize(("coder", "plain"), WRONG)
def test_plain_value_of_another_kind_is_malformed(coder: Coder, plain: Any) -> None:
    """What is not written is not read."""
    with pytest.raises(MalformedInput):
        coder.read(plain)


@pytest.mark.parametrize(("coder", "value"), [(NUMBER, True), (NUMBER, 1.0), (TEXT, b"a")])
def test_value_of_another_kind_is_never_written(coder: Coder, value: Any) -> None:
    """A state that holds what nobody expected is no state to write."""
    with pytest.raises(MalformedInput):
        coder.write(value)


class Slotted:
    """A base with a slot."""

    __slots__ = ("below",)


class Held(Slotted):
    """Slots and attributes."""

    __slots__ = ("__dict__", "own")


FIELDS = Fields({"below": NUMBER, "own": TEXT, "loose": FLAG}, elsewhere=("derived",))


def held() -> Held:
    made: Any = Held()
    made.below, made.own, made.loose, made.derived = 1, "a", True, object()
    result: Held = made
    return result


def test_fields_cover_slots_of_all_classes_and_attributes() -> None:
    """Every attribute is seen, wherever it is kept."""
    assert {"below", "own", "loose", "derived"} == attributes(held())
    assert {"x", "name"} == attributes(Point(1, "n"))
    assert {"below": "1", "own": "a", "loose": True} == FIELDS.write(held())
    again: Any = FIELDS.fill(Held(), FIELDS.write(held()))
    assert (1, "a", True) == (again.below, again.own, again.loose)


def test_attribute_that_nobody_named_is_an_error() -> None:
    """A state is written whole or not at all; the message names class and attribute."""
    more: Any = held()
    more.forgotten = 1
    with pytest.raises(MalformedInput, match=r"Held.*forgotten"):
        FIELDS.write(more)
    less: Any = held()
    del less.loose
    with pytest.raises(MalformedInput, match=r"Held.*loose"):
        FIELDS.write(less)


@pytest.mark.parametrize(
    "plain", [[], {"below": "1"}, {"below": "1", "own": "a", "loose": True, "more": 1}]
)
def test_fields_that_are_others_are_malformed(plain: Any) -> None:
    """What another version wrote is not guessed at."""
    with pytest.raises(MalformedInput):
        FIELDS.read(plain)
