# SPDX-License-Identifier: Apache-2.0
"""The paper venue's book in a file: each report with the order that it left, in order.

One JSON object a line; the first one names the book. A line is written before anybody hears of the
report, and survives the process; :meth:`PaperStore.sync` puts it on stable storage. What a crash
leaves of a line, nobody was told of: it is cut off. Damage before the end keeps the venue from
starting.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from sekisho.core.encoding import canonical
from sekisho.core.errors import ConfigurationInvalid, MalformedInput
from sekisho.core.gate.order import NewOrder, parse_order
from sekisho.ports import VenueReport

AWAY = "move the file away: the venue then begins a new book, and claims nothing of the old one"


class KeptReport(NamedTuple):
    """A report, whose order it is about, by which permit, and the terms that it left."""

    account: str
    permit_id: str
    terms: NewOrder
    report: VenueReport


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    account: str
    permit_id: str
    terms: msgspec.Raw
    report: VenueReport


class _Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    series: str


class PaperStore:
    """The file, made when it is not there. One venue writes it: its log's lock says which.

    Raises:
        ConfigurationInvalid: it cannot be read or written, or is damaged before its end.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._head: _Head | None = None
        self._kept: list[KeptReport] = []
        self.failed = ""
        """Why the book takes no more reports; empty while it does."""
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOCTTY | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._handle = os.open(path, flags, 0o600)
        except OSError as error:
            raise ConfigurationInvalid(
                f"{path}: cannot be written ({error.strerror})", str(path), "name another book"
            ) from error
        try:
            self._read()
        except BaseException:
            self.close()
            raise

    def begin(self, series: str) -> str:
        """The name of the book: of the one that is there, or ``series`` for a new one."""
        if self._head is None:
            self._head = _Head(series)
            self._append(canonical(self._head))
        return self._head.series

    def reports(self) -> Iterator[KeptReport]:
        """What was kept so far, in order; once."""
        kept, self._kept = self._kept, []
        yield from kept

    def write(self, kept: KeptReport) -> None:
        """Append a report. A failure is kept in :attr:`failed`."""
        terms = msgspec.to_builtins(kept.terms)
        report = msgspec.to_builtins(kept.report)
        line = {"account": kept.account, "permit_id": kept.permit_id, "report": report}
        self._append(canonical(line | {"terms": terms}))

    def sync(self) -> None:
        """Put what was written on stable storage; may wait for the disk."""
        try:
            os.fdatasync(self._handle)
        except OSError as error:
            self.failed = error.strerror or str(error)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._handle)

    def _append(self, line: bytes) -> None:
        data = line + b"\n"
        try:
            if os.write(self._handle, data) != len(data):
                self.failed = "only a part of a line was written"
        except OSError as error:
            self.failed = error.strerror or str(error)

    def _read(self) -> None:
        with self._path.open("rb") as file:
            whole = 0
            for number, line in enumerate(file):
                if not line.endswith(b"\n"):
                    break
                self._take(number, line)
                whole += len(line)
        # A crash while this is cut leaves the same torn end, which the next start cuts.
        os.ftruncate(self._handle, whole)

    def _take(self, number: int, line: bytes) -> None:
        try:
            if number == 0:
                self._head = msgspec.json.decode(line, type=_Head)
                return
            found = msgspec.json.decode(line, type=_Line)
            terms = parse_order(bytes(found.terms))
        except (msgspec.MsgspecError, MalformedInput, UnicodeError) as error:
            raise ConfigurationInvalid(
                f"{self._path}: line {number + 1} is damaged ({error})", str(self._path), AWAY
            ) from error
        if not isinstance(terms, NewOrder):
            raise ConfigurationInvalid(
                f"{self._path}: line {number + 1} is about no order", str(self._path), AWAY
            )
        self._kept.append(KeptReport(found.account, found.permit_id, terms, found.report))
