# SPDX-License-Identifier: Apache-2.0
"""Rates from a file of JSON lines, or a named pipe, that another process appends to.

The file is followed: what is appended is taken, a file that was cut or replaced is read from its
beginning. Of a long file the end is read first. Nothing that stands there ends the feed: a file
that is missing, unreadable or no file is a silent feed, and counted once each time it becomes so.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from sekisho.adapters.rates.feed import LINE_BYTES_MAX, LineCutter, RateFeed
from sekisho.ports import Clock

POLL_S: Final = 0.05
BACK_BYTES: Final = 65_536
"""So much of the end of a file that is there already is read at first."""
_CHUNK: Final = 65_536
_CHUNKS_A_TURN: Final = 16
_GONE_CHECKS: Final = 20
"""Whether the name still leads to the same file is looked at every so many empty reads."""


class FileFeed(RateFeed):
    """A :class:`RateFeed` that follows a file or a named pipe while :meth:`run` runs."""

    def __init__(self, name: str, path: Path, clock: Clock, silent_s: int) -> None:
        super().__init__(name, clock, silent_s)
        self._path = path
        self._cutter = LineCutter()
        self._handle = -1
        self._pipe = False
        self._position = 0
        self._empty = 0
        self._failing = False
        self._started = False

    async def run(self) -> None:
        """Follow until cancelled."""
        try:
            while True:
                taken = self.poll()
                await self._clock.sleep(0 if taken else POLL_S)
        finally:
            self._close()

    def poll(self) -> bool:
        """Take what is there now, a bounded part of it; whether more may be waiting."""
        try:
            if self._handle < 0:
                self._open()
            more = self._read()
        except OSError:
            self._lost()
            return False
        self._failing = False
        return more

    def _open(self) -> None:
        # O_NONBLOCK: a pipe without a writer, or a device, must not hold the process.
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        self._handle = os.open(self._path, flags)
        found = os.fstat(self._handle)
        self._pipe = stat.S_ISFIFO(found.st_mode)
        if not self._pipe and not stat.S_ISREG(found.st_mode):
            raise OSError(f"{self._path}: neither a file nor a named pipe")
        self._cutter.end()
        self._position = self._empty = 0
        if not self._pipe and not self._started and found.st_size > BACK_BYTES:
            self._position = found.st_size - BACK_BYTES
            os.lseek(self._handle, self._position, os.SEEK_SET)
            # The first piece is the end of some line: cut away, not judged.
            first = os.read(self._handle, LINE_BYTES_MAX)
            self._position += first.find(b"\n") + 1
            os.lseek(self._handle, self._position, os.SEEK_SET)
        self._started = True

    def _read(self) -> bool:
        for _ in range(_CHUNKS_A_TURN):
            try:
                data = os.read(self._handle, _CHUNK)
            except BlockingIOError:  # a pipe whose writer has nothing to say at the moment
                return False
            if not data:
                self._at_end()
                return False
            self._position += len(data)
            self._empty = 0
            for line in self._cutter.feed(data):
                if line is None:
                    self.fault()
                else:
                    self.line(line)
        return True

    def _at_end(self) -> None:
        """Nothing more at the moment: see whether this is still the file of that name."""
        if self._pipe:
            if self._cutter.end():  # the writer went away in the middle of a line
                self.fault()
            return
        if os.fstat(self._handle).st_size < self._position:
            self._close()  # cut: read from the beginning at the next turn
            return
        self._empty += 1
        if self._empty % _GONE_CHECKS == 0:
            there, ours = self._path.stat(), os.fstat(self._handle)
            if (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino):
                self._close()

    def _lost(self) -> None:
        self._close()
        if not self._failing:
            self.fault()
        self._failing = True

    def _close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
