# SPDX-License-Identifier: Apache-2.0
"""How much of a disk is free, as those who may not use its reserve can use it."""

from __future__ import annotations

import os
from pathlib import Path


def free_percent(folder: Path) -> int:
    """Free space of the disk that holds ``folder``, in percent of its size, rounded down.

    Raises:
        OSError: it cannot be read.
    """
    found = os.statvfs(folder)
    if not found.f_blocks:
        raise OSError(f"{folder}: a disk of no size")
    return found.f_bavail * 100 // found.f_blocks
