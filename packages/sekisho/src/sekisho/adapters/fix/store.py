# SPDX-License-Identifier: Apache-2.0
"""What a FIX session must not forget, in one file on the ``Disk`` port (docs/spec/fix.md, 2).

Sequence numbers both ways, the application messages that may be asked for again, and notes of the
application. Changes are made in memory and become durable together in :meth:`FixStore.flush`, which
returns before a byte that depends on them is sent.

The file is lines, each with its CRC-32. A crash in the middle of a write leaves a torn last line:
it was never sent, and is cut off when the file is opened. A damaged line with good ones behind it
is no crash: the file is refused. A crash after a flush and before the bytes left leaves numbers
that the other side never saw; it asks for them, as FIX provides.
"""

from __future__ import annotations

import asyncio
import zlib
from typing import Any, NamedTuple

import msgspec

from sekisho.core.encoding import canonical, parse_plain
from sekisho.core.errors import MalformedInput, OutcomeUnknown, StorageFailed
from sekisho.ports import Disk

SENT_KEPT = 10_000
"""Messages that can be asked for again; what is older is gap-filled."""
LINES_MAX = 50_000
_CRC_CHARACTERS = 8


class SentMessage(NamedTuple):
    """An application message as it was first sent."""

    kind: str
    sending_time: str
    header: tuple[tuple[int, str], ...]
    body: tuple[tuple[int, str], ...]


class FixStore:
    """One session's memory. Made by :meth:`open`.

    Attributes:
        epoch: how often the sequence numbers began anew.
        next_in: MsgSeqNum of the first message that is not handled to its end.
        next_out: MsgSeqNum of the next message to send.
        sent: application messages by number, the newest.
        notes: the application's own, by name; plain values.
    """

    def __init__(self, disk: Disk, path: str) -> None:
        self._disk = disk
        self._path = path
        self._pending: list[bytes] = []
        self._lines = 0
        self._lock = asyncio.Lock()
        self.failed = ""
        self.epoch = 0
        self.next_in = 1
        self.next_out = 1
        self.sent: dict[int, SentMessage] = {}
        self.notes: dict[str, Any] = {}

    @classmethod
    async def open(cls, disk: Disk, path: str) -> FixStore:
        """Read the file, or begin one.

        Raises:
            StorageFailed: it cannot be read or written, or is damaged before its end.
        """
        store = cls(disk, path)
        try:
            data = await disk.read(path)
        except FileNotFoundError:
            data = b""
        store._read(data)
        # The new content is durable when this returns; a crash before leaves the old one.
        await disk.replace(path, store._compact())
        return store

    # -- changes, in memory -------------------------------------------------------------------

    def took(self, next_in: int) -> None:
        """Every message below ``next_in`` was handled to its end."""
        if next_in != self.next_in:
            self.next_in = next_in
            self._line({"i": next_in})

    def used(self, message: SentMessage | None) -> int:
        """Take the next number for a message; None for one that is never sent again."""
        number = self.next_out
        self.next_out += 1
        if message is None:
            self._line({"o": number})
            return number
        self.sent[number] = message
        if len(self.sent) > SENT_KEPT:
            del self.sent[next(iter(self.sent))]
        self._line({"o": number, "m": list(message)})
        return number

    def note(self, name: str, value: Any) -> None:
        """Keep a plain value under a name; None forgets it."""
        if value is None:
            self.notes.pop(name, None)
        else:
            self.notes[name] = value
        self._line({"k": name, "v": value})

    def reset(self) -> None:
        """Both sides begin at 1 again; notes stay."""
        self.epoch += 1
        self.next_in = self.next_out = 1
        self.sent.clear()
        self._line({"e": self.epoch})

    # -- durability ---------------------------------------------------------------------------

    async def flush(self) -> None:
        """Return when everything that was changed before this call is on stable storage.

        Raises:
            StorageFailed, OutcomeUnknown: the session must send nothing more until it is opened
                again.
        """
        async with self._lock:
            if self.failed:
                raise StorageFailed(f"{self._path}: {self.failed}", self._path)
            if not self._pending:
                return
            lines, self._pending = self._pending, []
            try:
                if self._lines > LINES_MAX:
                    await self._disk.replace(self._path, self._compact())
                    return
                await self._disk.append(self._path, b"".join(lines))
                await self._disk.sync(self._path)
            except (StorageFailed, OutcomeUnknown) as error:
                self.failed = str(error)
                raise

    def _line(self, record: dict[str, Any]) -> None:
        self._lines += 1
        self._pending.append(_line(record))

    def _compact(self) -> bytes:
        """The present state as a file; what was pending is in it."""
        self._pending = []
        records: list[dict[str, Any]] = [{"e": self.epoch}, {"i": self.next_in}]
        records += [{"o": number, "m": list(sent)} for number, sent in self.sent.items()]
        records.append({"o": self.next_out - 1})
        records += [{"k": name, "v": value} for name, value in self.notes.items()]
        self._lines = len(records)
        return b"".join(_line(record) for record in records)

    def _read(self, data: bytes) -> None:
        lines = data.split(b"\n")
        for number, line in enumerate(lines):
            record = _record(line)
            if record is None:
                if any(_record(later) is not None for later in lines[number + 1 :]):
                    raise StorageFailed(
                        f"{self._path}: line {number + 1} is damaged and later ones are not",
                        self._path,
                        "restore the file, or move it away and agree on a reset with the other "
                        "side",
                    )
                return
            self._apply(record)

    def _apply(self, record: dict[str, Any]) -> None:
        if "e" in record:
            self.epoch = record["e"]
            self.next_in = self.next_out = 1
            self.sent.clear()
        elif "i" in record:
            self.next_in = record["i"]
        elif "o" in record:
            self.next_out = record["o"] + 1
            if "m" in record:
                self.sent[record["o"]] = msgspec.convert(record["m"], SentMessage)
                if len(self.sent) > SENT_KEPT:
                    del self.sent[next(iter(self.sent))]
        elif record["v"] is None:
            self.notes.pop(record["k"], None)
        else:
            self.notes[record["k"]] = record["v"]


def _line(record: dict[str, Any]) -> bytes:
    text = canonical(record)
    return b"%08x %b\n" % (zlib.crc32(text), text)


def _record(line: bytes) -> dict[str, Any] | None:
    """What a line says; None when it is not whole."""
    crc, blank, text = line[:_CRC_CHARACTERS], line[_CRC_CHARACTERS : _CRC_CHARACTERS + 1], line[9:]
    if blank != b" " or crc != b"%08x" % zlib.crc32(text):
        return None
    try:
        found = parse_plain(text)
    except MalformedInput:
        return None
    return found if isinstance(found, dict) else None
