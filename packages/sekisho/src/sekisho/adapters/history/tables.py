# SPDX-License-Identifier: Apache-2.0
"""Records of a file, one after the other, as text by column: CSV or JSON Lines.

A file may be larger than memory: a line is held at a time, and a line has an end. What cannot be
read as a record is handed on as the fault that it is, with its line; the next line is read all the
same. So that this holds for CSV too, a record is one line: RFC 4180, but no field goes on over the
end of its line (docs/reference/rehearse.md, 1). Else a quote that nobody closed would take the rest
of the file with it. What the columns mean is not known here. Nothing is written.
"""

from __future__ import annotations

import csv
import json
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from sekisho.core.errors import ConfigurationInvalid, MalformedInput

LINE_CHARACTERS_MAX = 65_536
"""A record of an order has some hundreds; a longer line is no record."""
_TOO_LONG = b'"a line that is too long"!\n'
"""Neither CSV nor JSON."""
_OTHERS: Final = (
    (b"\x1f\x8b", "is packed (gzip)", "unpack it first: gunzip FILE"),
    (b"PK\x03\x04", "is packed, or a workbook (zip)", "unpack it, or export it as CSV"),
    (b"\xff\xfe", "is not UTF-8 text: it is UTF-16", "save it as UTF-8"),
    (b"\xfe\xff", "is not UTF-8 text: it is UTF-16", "save it as UTF-8"),
)
"""How files begin that are no text of ours, whatever their name says."""
_JSON_ENDINGS = (".jsonl", ".ndjson")
_BYTE_ORDER_MARK = "\ufeff"


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
            ConfigurationInvalid: the file cannot be opened, is no ordinary file, its name says
                neither, or it begins as something else does.
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
            found = path.stat()
            # Asked before it is opened: opening a pipe that nobody writes to never returns.
            if not stat.S_ISREG(found.st_mode):
                raise ConfigurationInvalid(
                    f"{path}: is no ordinary file",
                    str(path),
                    "name a file; what a pipe or a device yields, write into one first",
                )
            self._file = path.open("rb")
        except OSError as error:
            raise ConfigurationInvalid(f"{path}: cannot be read ({error.strerror})") from error
        self.bytes_total = found.st_size
        try:
            self._look(self._file.peek(64)[:64])
        except ConfigurationInvalid:
            self.close()
            raise

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
        lines = self._lines()
        try:
            header = self._header(lines)
        except ConfigurationInvalid:
            self.close()
            raise
        return self._csv(lines, header)

    # -- lines ---------------------------------------------------------------------------------

    def _look(self, begins: bytes) -> None:
        """Refuse what is no text in UTF-8, by how it begins; its bytes are not shown."""
        for mark, what, do in _OTHERS:
            if begins.startswith(mark):
                raise ConfigurationInvalid(f"{self.name}: {what}", str(self._path), do)
        if b"\0" in begins:
            raise ConfigurationInvalid(
                f"{self.name}: is not UTF-8 text", str(self._path), "save it as UTF-8"
            )

    def _lines(self) -> Iterator[bytes]:
        """Lines, each with its end; one that is too long becomes one that is no record."""
        while line := self._file.readline(LINE_CHARACTERS_MAX + 1):
            self.bytes_read += len(line)
            if len(line) > LINE_CHARACTERS_MAX and not line.endswith(b"\n"):
                while rest := self._file.readline(LINE_CHARACTERS_MAX):
                    self.bytes_read += len(rest)
                    if rest.endswith(b"\n"):
                        break
                line = _TOO_LONG
            yield line

    # -- CSV -----------------------------------------------------------------------------------

    def _csv(self, lines: Iterator[bytes], header: list[str]) -> Iterator[Record]:
        for line, data in enumerate(lines, 2):
            try:
                row = _csv_row(_text(data))
            except csv.Error as error:
                yield Record(line, {}, MalformedInput(f"not a row of CSV: {_csv_words(error)}"))
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

    def _header(self, lines: Iterator[bytes]) -> list[str]:
        """Our name of each column, empty where it has none."""
        try:
            written = _csv_row(next(lines, b"").decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise ConfigurationInvalid(
                f"{self.name}: the header is not UTF-8 text", str(self._path), "save it as UTF-8"
            ) from error
        except csv.Error as error:
            raise ConfigurationInvalid(
                f"{self.name}: the header is no row of CSV: {_csv_words(error)}"
            ) from error
        if not any(written):
            raise ConfigurationInvalid(
                f"{self.name}: has no header row; the first line names the columns"
            )
        header = [self._ours.get(_plain(name), "") for name in written]
        named = [name for name in header if name]
        for name in named:
            if named.count(name) > 1:
                raise ConfigurationInvalid(
                    f"{self.name}: column {name} stands twice in the header",
                    str(self._path),
                    "rename or remove one of the two in the file",
                )
        missing = [name for name in self._needed if name not in named]
        if missing:
            raise ConfigurationInvalid(
                f"{self.name}: has no column {', '.join(missing)}; the header is"
                f" {','.join(written)[:300]!r}. Separate columns by commas, and say what a column"
                f" is called here by --column {missing[0]}=ITS-NAME"
            )
        self.unused = tuple(
            name for name, ours in zip(written, header, strict=True) if not ours and name
        )
        return header

    # -- JSON Lines ----------------------------------------------------------------------------

    def _json_lines(self) -> Iterator[Record]:
        for line, data in enumerate(self._lines(), 1):
            text = _text(data)
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
            if "\n" in part or "\r" in part:
                raise MalformedInput(f"{ours}: has a line break in it", ours)
            found[ours] = part.strip()
        return found


def _text(data: bytes) -> str:
    """A line as text. Bytes that are not UTF-8 become characters that no column allows."""
    return data.decode("utf-8", errors="replace")


def _csv_row(line: str) -> list[str]:
    """The fields of one line; none of an empty one. Raises ``csv.Error``."""
    (row,) = csv.reader((line.rstrip("\r\n"),), strict=True)
    if any("\r" in text for text in row):
        raise csv.Error("a line break inside a field")
    return row


def _csv_words(error: csv.Error) -> str:
    """What is wrong with a line, where the library's own words would not help."""
    text = str(error)
    if text.startswith("unexpected end of data"):
        return "a quote is opened and not closed on this line"
    if text.startswith("new-line character"):
        return "a line break that is no end of the line; end lines by LF or CR LF"
    return text


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
    for theirs in names.values():
        twice = [name for name, other in names.items() if _plain(other) == _plain(theirs)]
        if len(twice) > 1:
            raise ConfigurationInvalid(
                f"--column: one column, {theirs!r}, cannot be both {twice[0]} and {twice[1]}"
            )
    unknown = sorted(set(names) - set(columns))
    if unknown:
        raise ConfigurationInvalid(
            f"--column {unknown[0]}: orders have no such column; they have {', '.join(columns)}"
        )
    found = {name: name for name in columns if name not in names}
    found |= {_plain(theirs): ours for ours, theirs in names.items()}
    return found
