# SPDX-License-Identifier: Apache-2.0
"""The paper venue's own log (docs/spec/venues.md section 2); ``paper_recorded`` writes it.

One JSON object a line for everything that changed something or tried to. The log is written after
the act that it tells of, and after the book's own file (``paper_store``): a venue that ends in
between says at its next start what no line tells yet. Lines go to the system at once, so that they
survive the process; :meth:`PaperLog.sync` puts them on stable storage.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import msgspec

from sekisho.core.encoding import canonical
from sekisho.core.errors import ConfigurationInvalid

REASON_MAX: Final = 200
_LINE_MAX: Final = 4_096
Happened = Literal[
    "executed",
    "resting",
    "cancelled",
    "expired",
    "rejected",
    "denied",
    "registered",
    "refused_logon",
]


class PaperLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line; every field is there, empty where it does not apply."""

    at: str
    session: str
    event: Happened
    agent: str = ""
    client_order_id: str = ""
    permit_id: str = ""
    reason: str = ""


class PaperLog:
    """The file, made when it is not there; one venue writes it.

    Raises:
        ConfigurationInvalid: it cannot be written, is no file, or another process writes it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        try:
            self._handle = os.open(path, flags, 0o600)
        except OSError as error:
            raise ConfigurationInvalid(
                f"{path}: cannot be written ({error.strerror})", str(path), "name another log"
            ) from error
        found = os.fstat(self._handle)
        try:
            if not stat.S_ISREG(found.st_mode):
                raise ConfigurationInvalid(f"{path}: not a file", str(path), "name another log")
            # Two books behind one log would each call the other's resting orders ended.
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.close()
            raise ConfigurationInvalid(
                f"{path}: another process writes it", str(path), "end the other venue first"
            ) from error
        except ConfigurationInvalid:
            self.close()
            raise
        # What a loss of power left of a line gets an end, so that the next one begins anew.
        torn = found.st_size and os.pread(self._handle, 1, found.st_size - 1) != b"\n"
        self._before = b"\n" if torn else b""
        self.failed = ""
        """Why the log takes no more lines; empty while it does."""

    def lines(self) -> Iterator[PaperLine]:
        """What was written so far. A line that is none, as a torn one, is left out."""
        with self._path.open("rb") as file:
            while line := file.readline(_LINE_MAX):
                try:
                    yield msgspec.json.decode(line, type=PaperLine)
                except (msgspec.DecodeError, UnicodeError):
                    continue

    def write(self, line: PaperLine) -> None:
        """Append a line. A failure is kept in :attr:`failed`; the act has happened all the same."""
        data = self._before + canonical(line) + b"\n"
        try:
            if os.write(self._handle, data) != len(data):
                self.failed = "only a part of a line was written"
        except OSError as error:
            self.failed = error.strerror or str(error)
        self._before = b""

    def sync(self) -> None:
        """Put what was written on stable storage; may wait for the disk."""
        try:
            os.fdatasync(self._handle)
        except OSError as error:
            self.failed = error.strerror or str(error)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._handle)
