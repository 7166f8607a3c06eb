# SPDX-License-Identifier: Apache-2.0
"""Lists in pages that lose no row and double none (docs/spec/control-plane.md section 4).

Every row has the index of the log entry that made it. A cursor says how far the log went at the
first page, and the last index that was given: rows that come later belong to a later walk.
"""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Generic, NamedTuple, TypeVar

import msgspec

from sekisho.core.encoding import canonical, sha256_hex
from sekisho.core.errors import MalformedInput

T = TypeVar("T")

LIMIT_MAX = 200
LIMIT_DEFAULT = 50


class Cursor(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a walk stands: ``walk`` is the list and its filters, ``size`` the log's at its begin,
    ``after`` the last index that was given.
    """

    walk: str
    size: int
    after: int


class Page(NamedTuple, Generic[T]):
    """Some rows, and the cursor of the next ones; empty where there are none."""

    rows: list[T]
    next: str


class GrowingRows(Generic[T]):
    """A mapping of the fold that only grows, seen as rows in the order of their entries."""

    def __init__(self, index_of: Callable[[T], int]) -> None:
        self._index_of = index_of
        self._rows: list[T] = []

    def of(self, mapping: dict[str, T]) -> list[T]:
        """All rows; what was seen before is not looked at again."""
        grown = len(mapping) - len(self._rows)
        if grown > 0:
            # From the end: from the beginning, all that was seen would be walked over.
            self._rows.extend([*islice(reversed(mapping.values()), grown)][::-1])
        return self._rows

    def page(
        self,
        mapping: dict[str, T],
        cursor: Cursor,
        limit: int,
        keep: Callable[[T], bool] = lambda _: True,
    ) -> Page[T]:
        """The rows after ``cursor.after`` that were there at ``cursor.size``.

        Args:
            mapping: the fold's, in the order of entries.
            cursor: where the walk stands.
            limit: at most so many.
            keep: which rows belong to the walk.
        """
        rows = self.of(mapping)
        begin = bisect_right(rows, cursor.after, key=self._index_of)
        end = bisect_left(rows, cursor.size, key=self._index_of)
        inside = (rows[at] for at in range(begin, end))  # nothing before them is walked over
        return cut((one for one in inside if keep(one)), self._index_of, cursor, limit)


def cut(rows: Iterable[T], index_of: Callable[[T], int], cursor: Cursor, limit: int) -> Page[T]:
    """The first ``limit`` of rows in order, with the cursor of what follows."""
    found = list(islice(rows, limit + 1))
    if len(found) <= limit:
        return Page(found, "")
    following = msgspec.structs.replace(cursor, after=index_of(found[limit - 1]))
    return Page(found[:limit], write_cursor(following))


def of_walk(rows: Iterable[T], index_of: Callable[[T], int], cursor: Cursor, limit: int) -> Page[T]:
    """A page of rows that were found by something else than a walk over all, in any order."""
    inside = (one for one in rows if cursor.after < index_of(one) < cursor.size)
    return cut(sorted(inside, key=index_of), index_of, cursor, limit)


def begin_or_follow(text: str, walk: tuple[str, ...], size: int) -> Cursor:
    """Where a walk stands by the cursor that came, or at its begin where none came.

    Args:
        text: the query parameter, empty without one.
        walk: names the list and every filter.
        size: of the log now.

    Raises:
        MalformedInput: not a cursor of this walk.
    """
    name = sha256_hex("\n".join(walk).encode())[:16]
    if not text:
        return Cursor(walk=name, size=size, after=-1)
    try:
        cursor = msgspec.json.decode(
            base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=Cursor
        )
    except (msgspec.DecodeError, msgspec.ValidationError, binascii.Error, ValueError) as error:
        raise MalformedInput("cursor: not one that was given here", "cursor") from error
    if cursor.walk != name or not -1 <= cursor.after < cursor.size <= size:
        raise MalformedInput("cursor: it is of another list, or of other filters", "cursor")
    return cursor


def write_cursor(cursor: Cursor) -> str:
    """A cursor as it goes to the caller."""
    return base64.urlsafe_b64encode(canonical(cursor)).decode().rstrip("=")


def read_limit(text: str) -> int:
    """The query parameter ``limit``. Raises MalformedInput."""
    if not text:
        return LIMIT_DEFAULT
    if not (text.isascii() and text.isdecimal() and len(text) <= 3 and 1 <= int(text) <= LIMIT_MAX):
        raise MalformedInput(f"limit: 1 to {LIMIT_MAX}", "limit")
    return int(text)
