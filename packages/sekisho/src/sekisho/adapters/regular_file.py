# SPDX-License-Identifier: Apache-2.0
"""Reading a small file that a person named: regular or nothing, and never more than a bound.

A FIFO would wait for ever, a device might never end: neither is opened for reading in earnest.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from sekisho.core.errors import ConfigurationInvalid

BYTES_MAX = 2**20
"""Far above any key, passphrase, setting or policy."""


def read_regular(path: Path) -> tuple[bytes, int]:
    """Content of a regular file and its permission bits.

    Raises:
        ConfigurationInvalid: a FIFO, device, folder or socket, or more than a mebibyte.
        OSError: it cannot be opened or read.
    """
    # Without O_NONBLOCK opening a FIFO waits for a writer.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise ConfigurationInvalid(
                f"{path}: not a regular file", str(path), "name a file; save to one what is piped"
            )
        with os.fdopen(handle, "rb", closefd=False) as file:
            content = file.read(BYTES_MAX + 1)
    finally:
        os.close(handle)
    if len(content) > BYTES_MAX:
        raise ConfigurationInvalid(
            f"{path}: more than {BYTES_MAX} bytes", str(path), "name the file that was meant"
        )
    return content, stat.S_IMODE(found.st_mode)
