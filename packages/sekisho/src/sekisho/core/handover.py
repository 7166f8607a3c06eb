# SPDX-License-Identifier: Apache-2.0
"""The history of an agent that moves to another gate: its entries and its bytes
(docs/spec/history.md).

What the rows say is read and written in the rooms that keep it; here is what they have in common:
the entries, the digest, the division in parts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from sekisho.core.encoding import canonical, parse_plain
from sekisho.core.errors import MalformedInput
from sekisho.core.gate_entries import Entry

SCHEMA: Final = "sekisho/history/v1"
HISTORY_BYTES_MAX: Final = 64 * 2**20
ROW_BYTES_MAX: Final = 60_000
PART_BYTES_MAX: Final = 56_000
Row = list[Any]


class HistoryAwaited(Entry, frozen=True, tag="history_awaited"):
    """The agent moved to this gate, or away from it: nothing is permitted before its history."""

    agent: str
    before: str
    epoch: int


class HistoryGiven(Entry, frozen=True, tag="history_given"):
    """What this log says of an agent, up to here, was written for the gate that has it now."""

    agent: str
    gate: str
    epoch: int
    history_sha256: str
    bytes: int
    rows: int


class HistoryPart(Entry, frozen=True, tag="history_part"):
    """A part of the history of an agent that came from another gate; the last one ends it."""

    agent: str
    epoch: int
    history_sha256: str
    part: int
    last: bool
    rows: tuple[list[Any], ...]


class Head(NamedTuple):
    """The first row: whose history it is, for which move, from which entry of which log."""

    agent: str
    epoch: int
    origin: str
    entry: int


class Begun(NamedTuple):
    """Where a history was declared lost: the day that counts as used up, and how ids begin."""

    day: int
    ids_from: str


NOT_BEGUN: Final = Begun(-1, "")


def head_row(head: Head) -> Row:
    """The first row of a history."""
    return ["history", SCHEMA, *head]


def read_head(row: Row) -> Head:
    """Inverse of :func:`head_row`. Raises MalformedInput."""
    kinds = [str, str, str, int, str, int]
    if [type(one) for one in row] != kinds or row[:2] != ["history", SCHEMA]:
        raise MalformedInput("history: it does not begin with its head")
    return Head(*row[2:])


def first_head(data: bytes) -> Head:
    """The head of a history that begins with these bytes. Raises MalformedInput."""
    row = parse_plain(data.partition(b"\n")[0])
    if type(row) is not list or not row:
        raise MalformedInput("history: it does not begin with a row")
    return read_head(row)


def row_bytes(row: Row) -> bytes:
    """A row as it is hashed and sent.

    Raises:
        MalformedInput: it is longer than any row may be.
    """
    data = canonical(row) + b"\n"
    if len(data) > ROW_BYTES_MAX:
        raise MalformedInput(f"history: a row {row[0]!r} of {len(data)} bytes")
    return data


class HistoryBytes:
    """The bytes of a history, row by row; the digest is known at the end."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._data = bytearray()
        self.rows = 0

    def add(self, rows: Iterable[Row]) -> None:
        """Take more rows. Raises MalformedInput: more than a history may have."""
        for row in rows:
            self.add_bytes(row_bytes(row))

    def add_bytes(self, data: bytes) -> None:
        """Take one row that was encoded before."""
        if len(self._data) + len(data) > HISTORY_BYTES_MAX:
            raise MalformedInput(f"history: more than {HISTORY_BYTES_MAX} bytes")
        self._hash.update(data)
        self._data += data
        self.rows += 1

    @property
    def sha256(self) -> str:
        """The digest so far."""
        return self._hash.hexdigest()

    @property
    def data(self) -> bytes:
        """All bytes so far."""
        return bytes(self._data)


def read_row(line: bytes) -> Row:
    """A row from its line, without the line feed. Raises MalformedInput: it is not canonical."""
    row = parse_plain(line)
    if type(row) is not list or not row or type(row[0]) is not str:
        raise MalformedInput("history: a row is an array that begins with its kind")
    if row_bytes(row) != line + b"\n":
        raise MalformedInput("history: a row is not canonical")
    return row


def parts_of(rows: Iterable[Row]) -> Iterator[tuple[Row, ...]]:
    """The rows divided as entries hold them."""
    part: list[Row] = []
    size = 0
    for row in rows:
        length = len(canonical(row))
        if part and size + length > PART_BYTES_MAX:
            yield tuple(part)
            part, size = [], 0
        part.append(row)
        size += length
    if part:
        yield tuple(part)
