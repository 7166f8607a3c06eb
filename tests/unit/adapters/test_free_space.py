# SPDX-License-Identifier: Apache-2.0
"""How much of a disk is free, rounded down."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from sekisho.adapters.free_space import free_percent


@pytest.mark.parametrize(("free", "of", "expected"), [(99, 1000, 9), (100, 1000, 10), (7, 7, 100)])
def test_free_percent_is_rounded_down(
    free: int, of: int, expected: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Just under a tenth is nine percent."""
    found = SimpleNamespace(f_bavail=free, f_blocks=of)
    monkeypatch.setattr(os, "statvfs", lambda folder: found)
    assert expected == free_percent(tmp_path)


def test_free_percent_of_a_disk_without_size_raises(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A reading that says nothing is no permission."""
    monkeypatch.setattr(os, "statvfs", lambda folder: SimpleNamespace(f_bavail=0, f_blocks=0))
    with pytest.raises(OSError, match="no size"):
        free_percent(tmp_path)


def test_free_percent_reads_a_real_disk(tmp_path: Path) -> None:
    """Between nothing and all of it; what is not there cannot be read."""
    assert 0 <= free_percent(tmp_path) <= 100
    with pytest.raises(FileNotFoundError):
        free_percent(tmp_path / "gone")
