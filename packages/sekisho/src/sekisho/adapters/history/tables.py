# SPDX-License-Identifier: Apache-2.0
"""Records of a file, one after the other, as text by column: CSV (RFC 4180) or JSON Lines.

A file may be larger than memory: a line is held at a time, and a line has an end. What cannot be
read as a record is handed on as the fault that it is, with its line; the next line is read all the
same. What the columns mean is not known here. Nothing is written.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

from sekisho.core.errors import ConfigurationInvalid, MalformedInput

LINE_CHARACTERS_MAX = 65_536
"""A record of an order has some hundreds; a longer line is no record."""
_TOO_LONG = b'"a line that is too long"!\n'
"""Neither CSV, inside or outside of quotes, nor JSON."""
_JSON_ENDINGS = (".jsonl", ".ndjson")
_BYTE_ORDER_MARK = "\ufeff"


class _Reader(Protocol):
    """What ``csv.reader`` answers."""

    line_num: int

    def __next__(self) -> list[str]: ...


class Record(NamedTuple):
    """One record: where it begins, and its fields or why there are none."""

    line: int
    fields: Mapping[str, str]
    fault: MalformedInput | None


class Table:
    """The records of one file.

    Attributes:
        name: of the file, as reports show it.
        bytes_total: its size when it was opened.
        bytes_read: how much of it was read so far, nearly.
        unused: columns of a CSV file that mean nothing here.
    """

    def __init__(
        self,
        path: Path,
        columns: tuple[str, ...],
        needed: tuple[str, ...],
        names: Mapping[str, str] | None = None,
    ) -> None:
        """Open a file; CSV or JSON Lines by its name.

        Args:
            path: ends in ``.csv``, ``.jsonl`` or ``.ndjson``.
            columns: the names that mean something.
            needed: those without which a CSV file is not read at all.
            names: our name → the file's, where the file calls a column otherwise.

        Raises:
            ConfigurationInvalid: the file cannot be opened, or its name says neither.
        """
        if path.suffix.lower() not in (".csv", *_JSON_ENDINGS):
            raise ConfigurationInvalid(
                f"{path}: the name ends neither in .csv nor in .jsonl; rename the file for what it"
                " is"
            )
        self.name = path.name
        self.bytes_read = 0
        self.unused: tuple[str, ...] = ()
        self._path = path
        self._columns = columns
        self._needed = needed
        self._ours = _reversed(columns, names or {})
        try:
            self._file: BinaryIO = path.open("rb")
            self.bytes_total = path.stat().st_size
        except OSError as error:
            raise ConfigurationInvalid(f"{path}: cannot be read ({error.strerror})") from error

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def records(self) -> Iterator[Record]:
        """Every record in the file's order.

        Raises:
            ConfigurationInvalid: a CSV file without a header that names the needed columns.
        """
        if self._path.suffix.lower() in _JSON_ENDINGS:
            return self._json_lines()
        reader = csv.reader(self._lines(), strict=True)
        try:
            header = self._header(reader)
        except ConfigurationInvalid:
            self.close()
            raise
        return self._csv(reader, header)

    # -- lines ---------------------------------------------------------------------------------

    def _lines(self) -> Iterator[str]:
        """Lines as text, each with its end; one that is too long becomes one that is no record.

        Bytes that are not UTF-8 become characters that no column allows.
        """
        while line := self._file.readline(LINE_CHARACTERS_MAX + 1):
            self.bytes_read += len(line)
            if len(line) > LINE_CHARACTERS_MAX and not line.endswith(b"\n"):
                while rest := self._file.readline(LINE_CHARACTERS_MAX):
                    self.bytes_read += len(rest)
                    if rest.endswith(b"\n"):
                        break
                line = _TOO_LONG
            yield line.decode("utf-8", errors="replace")

    # -- CSV -----------------------------------------------------------------------------------

    def _csv(self, reader: _Reader, header: list[str]) -> Iterator[Record]:
        while True:
            line = reader.line_num + 1
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Record(line, {}, MalformedInput(f"not a row of CSV: {error}"))
                continue
            if not row:
                continue  # an empty line, as many exports end with
            if len(row) != len(header):
                fault = MalformedInput(
                    f"{len(row)} fields, the header has {len(header)}; is a comma in a text that"
                    " has no quotes around it?"
                )
                yield Record(line, {}, fault)
                continue
            fields = {name: text.strip() for name, text in zip(header, row, strict=True) if name}
            yield Record(line, fields, None)

    def _header(self, reader: _Reader) -> list[str]:
        """Our name of each column, empty where it has none."""
        try:
            written = next(reader)
        except (StopIteration, csv.Error) as error:
            raise ConfigurationInvalid(
                f"{self.name}: has no header row; the first line names the columns"
            ) from error
        header = [self._ours.get(_plain(name), "") for name in written]
        named = [name for name in header if name]
        twice = sorted({name for name in named if named.count(name) > 1})
        missing = [name for name in self._needed if name not in named]
        if missing or twice:
            problem = (
                f"has no column {', '.join(missing)}"
                if missing
                else f"has two columns {', '.join(twice)}"
            )
            raise ConfigurationInvalid(
                f"{self.name}: {problem}; the header is {','.join(written)[:300]!r}. Separate"
                " columns by commas, and say what a column is called here by"
                f" --column {(missing or twice)[0]}=ITS-NAME"
            )
        self.unused = tuple(
            name for name, ours in zip(written, header, strict=True) if not ours and name
        )
        return header

    # -- JSON Lines ----------------------------------------------------------------------------

    def _json_lines(self) -> Iterator[Record]:
        for line, text in enumerate(self._lines(), 1):
            if not text.strip():
                continue
            try:
                yield Record(line, self._object(text), None)
            except MalformedInput as fault:
                yield Record(line, {}, fault)

    def _object(self, text: str) -> dict[str, str]:
        try:
            value = _json.decode(text.lstrip(_BYTE_ORDER_MARK))
        except (ValueError, RecursionError) as error:
            raise MalformedInput("not a JSON object on one line") from error
        if not isinstance(value, dict):
            raise MalformedInput("not a JSON object on one line")
        found = {}
        for name, part in value.items():
            ours = self._ours.get(_plain(name))
            if ours is None or part is None:
                continue
            if not isinstance(part, str):
                raise MalformedInput(f"{ours}: is neither text nor a number", ours)
            if ours in found:
                raise MalformedInput(f"{ours}: is there twice", ours)
            found[ours] = part.strip()
        return found


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


_json = json.JSONDecoder(
    object_pairs_hook=_pairs,
    parse_float=str,  # a number is its text: none of it is lost to a binary fraction
    parse_int=str,
)


def _plain(name: str) -> str:
    """A column's name without what exports vary: case, blanks, hyphens."""
    text = name.strip().lstrip(_BYTE_ORDER_MARK).strip().lower()
    return text.replace(" ", "_").replace("-", "_")


def _reversed(columns: tuple[str, ...], names: Mapping[str, str]) -> dict[str, str]:
    """The file's name → our name. A column that is called otherwise is not found under ours."""
    unknown = sorted(set(names) - set(columns))
    if unknown:
        raise ConfigurationInvalid(
            f"--column {unknown[0]}: there is no such column; there are {', '.join(columns)}"
        )
    found = {name: name for name in columns if name not in names}
    for ours, theirs in names.items():
        other = found.get(_plain(theirs), "")
        if other in names:
            raise ConfigurationInvalid(f"--column: {theirs!r} cannot be both {other} and {ours}")
        found[_plain(theirs)] = ours
    return found
