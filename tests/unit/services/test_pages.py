# SPDX-License-Identifier: Apache-2.0
"""Lists in pages: no row lost, none doubled."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.core.errors import MalformedInput
from sekisho.services.pages import LIMIT_DEFAULT, Cursor, GrowingRows, begin_or_follow, read_limit
from sekisho.services.pages import write_cursor as written

WALK = ("list", "filter")


def test_pages_walk_gives_each_row_of_its_begin_once_whatever_comes_later() -> None:
    """GrowingRows that are made between two pages are not in the walk, the others are, in order."""
    mapping = {str(index): index for index in range(0, 20, 2)}
    rows: GrowingRows[int] = GrowingRows(lambda one: one)
    cursor, seen, size = "", [], 20
    while True:
        page = rows.page(mapping, begin_or_follow(cursor, WALK, size), 3)
        seen += page.rows
        mapping[str(size)] = size
        size += 1
        cursor = page.next
        if not cursor:
            break
    assert seen == list(range(0, 20, 2))


@given(
    st.lists(st.integers(1, 5), max_size=60),
    st.integers(1, 10),
    st.sets(st.integers(0, 4)),
)
def test_pages_of_any_size_make_up_the_list(gaps: list[int], limit: int, kept: set[int]) -> None:
    """The pages of a walk are the filtered list cut into pieces; the last one is not empty."""
    index, mapping = 0, {}
    for gap in gaps:
        mapping[str(index)] = index
        index += gap
    rows: GrowingRows[int] = GrowingRows(lambda one: one)
    cursor, seen, pages = "", [], 0
    while pages == 0 or cursor:
        found = rows.page(
            mapping, begin_or_follow(cursor, WALK, index), limit, lambda one: one % 5 in kept
        )
        seen += found.rows
        cursor, pages = found.next, pages + 1
    wanted = [one for one in mapping.values() if one % 5 in kept]
    assert seen == wanted
    assert pages == max(1, -(-len(wanted) // limit))


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "!!",
        "é",
        base64.urlsafe_b64encode(b"[]").decode(),
        written(Cursor(walk="0" * 16, size=5, after=1)),
        "A" * 5000,
    ],
)
def test_pages_foreign_cursor_is_refused(text: str) -> None:
    """Only a cursor of this walk goes on with it."""
    with pytest.raises(MalformedInput, match="cursor"):
        begin_or_follow(text, WALK, 10)


@pytest.mark.parametrize(("size", "after"), [(11, 3), (5, 5), (5, -2), (0, 0)])
def test_pages_cursor_out_of_range_is_refused(size: int, after: int) -> None:
    """A cursor beyond the log, or after its own end, was not given here."""
    name = begin_or_follow("", WALK, 10).walk
    with pytest.raises(MalformedInput, match="cursor"):
        begin_or_follow(written(Cursor(walk=name, size=size, after=after)), WALK, 10)


def test_pages_cursor_is_of_its_filters() -> None:
    """Another filter is another walk."""
    text = written(begin_or_follow("", WALK, 10))
    with pytest.raises(MalformedInput, match="other filters"):
        begin_or_follow(text, ("list", "another"), 10)


@pytest.mark.parametrize("text", ["0", "201", "-1", "1.0", "٣", "1000", " 1", "x"])
def test_pages_limit_out_of_range_is_refused(text: str) -> None:
    """1 to 200, in ASCII digits."""
    with pytest.raises(MalformedInput, match="limit"):
        read_limit(text)


def test_pages_limit_has_a_default() -> None:
    """Without one, fifty; the bounds pass."""
    assert [LIMIT_DEFAULT, 1, 200] == [read_limit(text) for text in ("", "1", "200")]
