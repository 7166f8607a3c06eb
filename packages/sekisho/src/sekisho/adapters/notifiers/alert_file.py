# SPDX-License-Identifier: Apache-2.0
"""Alerts as lines of JSON in a file, for people or programs that watch the file.

Whoever writes has delivered: that somebody looks is the firm's matter. A crash in the middle of a
write leaves a line without an end; the next alert begins on a new line, so that one line is lost
and no other.
"""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

from sekisho.core.encoding import canonical
from sekisho.core.errors import Unavailable
from sekisho.ports import Alert


class AlertFile:
    """The Notifier port on a file, which is made when it is not there."""

    def __init__(self, path: Path, name: str = "file") -> None:
        self.name = name
        self._path = path
        self._one = threading.Lock()

    async def notify(self, alert: Alert) -> None:
        """Append the alert and put it on stable storage. Raises Unavailable."""
        try:
            await asyncio.to_thread(self._append, canonical(alert) + b"\n")
        except OSError as error:
            raise Unavailable(f"{self._path}: {error.strerror or error}") from error

    def _append(self, line: bytes) -> None:
        # O_NONBLOCK: a FIFO that nobody reads must fail, not wait.
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        with self._one:
            new = not self._path.exists()
            handle = os.open(self._path, flags, 0o600)
            try:
                size = os.fstat(handle).st_size
                if size and os.pread(handle, 1, size - 1) != b"\n":
                    line = b"\n" + line
                # A crash before the sync may leave none or a part of the line.
                if os.write(handle, line) != len(line):
                    raise OSError(f"{self._path}: only a part was written")
                os.fsync(handle)
            finally:
                os.close(handle)
            if new:
                _sync_folder(self._path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
