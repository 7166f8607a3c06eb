# SPDX-License-Identifier: Apache-2.0
"""Reading what a person named: a regular file, of a bounded size, or nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sekisho.adapters.regular_file import BYTES_MAX, read_regular
from sekisho.core.errors import ConfigurationInvalid


def test_regular_file_gives_its_content_and_mode(tmp_path: Path) -> None:
    """Up to the bound, which is included."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * BYTES_MAX)
    path.chmod(0o640)
    assert (b"x" * BYTES_MAX, 0o640) == read_regular(path)
    path.write_bytes(b"x" * (BYTES_MAX + 1))
    with pytest.raises(ConfigurationInvalid, match="more than"):
        read_regular(path)


def test_fifo_device_and_folder_are_refused_at_once(tmp_path: Path) -> None:
    """Neither a FIFO that nobody writes to nor a device without end is waited for."""
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/zero"), Path("/dev/null"), tmp_path):
        with pytest.raises(ConfigurationInvalid, match="not a regular file"):
            read_regular(path)


def test_refused_file_is_closed(tmp_path: Path) -> None:
    """A refusal leaves no descriptor open."""
    spare = os.open(tmp_path, os.O_RDONLY)
    os.close(spare)
    with pytest.raises(ConfigurationInvalid):
        read_regular(tmp_path)
    again = os.open(tmp_path, os.O_RDONLY)
    os.close(again)
    assert spare == again
