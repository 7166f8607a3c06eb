# SPDX-License-Identifier: Apache-2.0
"""A cut of the ended orders is of its moment, whatever happens to them while it is read."""

from __future__ import annotations

from typing import Any

import pytest

from sekisho.core.encoding import canonical
from sekisho.core.errors import MalformedInput
from sekisho.core.gate import snapshot
from sekisho.core.gate.ended import EndedOrders
from sekisho.core.gate.order import NewOrder, parse_order
from sekisho.core.gate.working import WorkingOrder, terms_of
from tests.gate_world import ORDER


def working(name: str) -> WorkingOrder:
    order = parse_order(canonical(ORDER | {"client_order_id": name}))
    assert isinstance(order, NewOrder)
    return WorkingOrder(name, 1, terms_of(order), 100, 0, 7, "open")


def ended(*names: str) -> EndedOrders:
    """Orders with these ids; ids that are joined by a slash are of one order."""
    made = EndedOrders()
    for day, name in enumerate(names):
        made.add(name.split("/"), working(name.split("/")[0]), 5, day)
    return made


def rows(parts: Any) -> list[tuple[list[str], int]]:
    """Ids and what was executed, of slices."""
    return [(row.names, row.filled) for part in parts for row in part]


def as_before(held: EndedOrders) -> bytes:
    """What is written, put together in one go from the table alone."""
    names: dict[int, list[str]] = {}
    for name in sorted(held._by_name):
        names.setdefault(id(held._by_name[name]), []).append(name)
    found = []
    for many in names.values():
        one = held._by_name[many[0]]
        numbers = (one.total, one.quantity, one.filled, one.ended_at, one.day)
        found.append([many, [one.terms.order, *(str(number) for number in numbers)]])
    return canonical(found)


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_slices_are_the_rows_in_the_order_of_their_first_ids(size: int) -> None:
    """However many at a time; an order with several ids comes once, with all of them."""
    held = ended("m/b/z", "d", "a", "c/y", "k", "n", "e", "x/f")
    found = list(held.cut().slices(size))
    assert all(len(part) <= size for part in found)
    expected = [["a"], ["b", "m", "z"], ["c", "y"], ["d"], ["e"], ["f", "x"], ["k"], ["n"]]
    assert expected == [names for names, _ in rows(found)]


def test_cut_shows_what_was_executed_at_its_moment() -> None:
    """Filled late twice between two slices: it has the number before, the next cut has the last."""
    held = ended("a", "b", "c")
    cut = held.cut()
    slices = cut.slices(1)
    found = [next(slices)]
    order = held.find("b")
    assert order is not None
    held.fill(order, 2)
    held.fill(order, 3)
    found += list(slices)
    assert [(["a"], 7), (["b"], 7), (["c"], 7)] == rows(found)
    assert [(["a"], 7), (["b"], 12), (["c"], 7)] == rows(held.cut().slices(1))


def test_cut_keeps_what_is_forgotten_and_lacks_what_is_added() -> None:
    """A policy day begins and an order ends while the cut is read."""
    held = ended("a", "b", "c", "d")
    slices = held.cut().slices(1)
    found = [next(slices)]
    held.forget(4)
    held.add(["e"], working("e"), 5, 4)
    found += list(slices)
    assert [["a"], ["b"], ["c"], ["d"]] == [names for names, _ in rows(found)]
    assert [["d"], ["e"]] == [names for names, _ in rows(held.cut().slices(1))]


def test_two_cuts_are_each_of_their_own_moment() -> None:
    """One that is closed keeps nothing more; the other goes on."""
    held = ended("a")
    first, order = held.cut(), held.find("a")
    assert order is not None
    held.fill(order, 1)
    second = held.cut()
    held.fill(order, 1)
    assert [[(["a"], 7)], [(["a"], 8)]] == [rows(cut.slices(1)) for cut in (first, second)]
    for cut in (first, second):
        assert cut in held._cuts
        cut.close()
        assert cut not in held._cuts


@pytest.mark.parametrize("names", [(), ("a",), ("m/b", "d", "a/z", "c")])
@pytest.mark.parametrize("size", [1, 2, 100])
def test_encoded_part_has_the_bytes_of_the_whole(
    names: tuple[str, ...], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In slices of any size: the bytes that one go over the table gives."""
    monkeypatch.setattr(snapshot, "SLICE", size)
    held = ended(*names)
    part = snapshot.EndedPart(held)
    assert as_before(held) == b"".join(part.encoded()) == canonical(snapshot.ENDED.write(held))
    part.close()
    assert [] == held._cuts


def test_ended_orders_with_another_attribute_are_not_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What nobody named is an error in the slices too, never left out."""
    held = ended("a")
    part = snapshot.EndedPart(held)
    monkeypatch.setattr(snapshot, "_ENDED_NAMES", {"terms"})
    with pytest.raises(MalformedInput, match="disagree"):
        list(part.encoded())


@pytest.mark.parametrize(("names", "turns"), [(0, 0), (1, 1), (8, 1), (9, 2), (17, 3)])
def test_sorting_lets_others_have_their_turn_between_its_parts(names: int, turns: int) -> None:
    """An empty slice after each four times the size, and an empty part of the bytes for each."""
    held = ended(*(f"o{number:02}" for number in range(names)))
    found = list(held.cut().slices(2))
    assert [[]] * turns == found[:turns]
    assert names == len(rows(found[turns:]))


def test_bytes_come_with_a_part_for_each_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty ones too: whoever writes them may do something else after each."""
    monkeypatch.setattr(snapshot, "SLICE", 2)
    held = ended(*(f"o{number:02}" for number in range(9)))
    parts = list(snapshot.EndedPart(held).encoded())
    assert [b"[", b"", b""] == parts[:3]
    assert b"]" == parts[-1]
    assert 5 == sum(part.startswith((b"[[", b",[")) for part in parts[3:-1])
