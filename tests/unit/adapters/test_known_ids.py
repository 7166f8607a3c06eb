# SPDX-License-Identifier: Apache-2.0
"""Ids in a file: the same mapping as in memory, bounded in memory, gone at the end."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from sekisho.adapters.known_ids import NEW_MAX, KnownIds, RecentAnswers, RecentReports
from sekisho.core.encoding import sha256_hex
from sekisho.core.errors import StorageFailed
from sekisho.core.gate.agent import Known


def known(number: int) -> Known:
    """Content and decision of one id."""
    return Known(sha256_hex(str(number).encode()), number)


def test_ids_are_found_before_and_after_they_went_to_the_file(tmp_path: Path) -> None:
    """Every id that was added is found with what was added, however many came after it."""
    ids = KnownIds(tmp_path / "ids")
    count = 2 * NEW_MAX + 5
    for number in range(count):
        assert f"o-{number}" not in ids
        ids[f"o-{number}"] = known(number)
    assert count == len(ids)
    assert all(known(number) == ids[f"o-{number}"] for number in range(count))
    assert ids.get("o-x") is None
    assert sorted(f"o-{number}" for number in range(count)) == list(ids)
    ids.close()


def test_ids_in_memory_are_bounded(tmp_path: Path) -> None:
    """What is not in the file yet never exceeds its bound."""
    ids = KnownIds(tmp_path / "ids")
    most = 0
    for number in range(2 * NEW_MAX + 5):
        ids[f"o-{number}"] = known(number)
        most = max(most, len(ids._new))
    assert NEW_MAX - 1 == most
    ids.close()


def test_ids_asked_for_before_they_are_added_are_found_after(tmp_path: Path) -> None:
    """That an id was not there is not remembered once it is."""
    ids = KnownIds(tmp_path / "ids")
    assert ids.get("o-1") is None
    assert ids.get("o-1") is None
    ids["o-1"] = known(1)
    assert known(1) == ids["o-1"]
    ids.close()


def test_id_that_fills_the_memory_is_found_at_once(tmp_path: Path) -> None:
    """Asked for, added, and written to the file in one go: it is there."""
    ids = KnownIds(tmp_path / "ids")
    for number in range(NEW_MAX - 1):
        ids[f"o-{number}"] = known(number)
    assert ids.get("last") is None
    ids["last"] = known(1)
    assert {} == ids._new
    assert known(1) == ids["last"]
    ids.close()


def test_ids_are_never_changed_or_forgotten(tmp_path: Path) -> None:
    """The first use of an id stays."""
    ids = KnownIds(tmp_path / "ids")
    ids["o-1"] = known(1)
    with pytest.raises(ValueError, match="first use"):
        ids["o-1"] = known(2)
    with pytest.raises(ValueError, match="never forgotten"):
        del ids["o-1"]
    assert known(1) == ids["o-1"]
    ids.close()


def test_file_is_removed_at_the_end(tmp_path: Path) -> None:
    """It is a work file: nothing is left of it."""
    ids = KnownIds(tmp_path / "ids")
    ids["o-1"] = known(1)
    assert (tmp_path / "ids").exists()
    ids.close()
    assert [] == list(tmp_path.iterdir())


def test_file_that_is_there_already_is_not_touched(tmp_path: Path) -> None:
    """A work file is made; one that lies there is somebody's."""
    (tmp_path / "ids").write_bytes(b"mine")
    with pytest.raises(StorageFailed, match="cannot be made"):
        KnownIds(tmp_path / "ids")
    assert b"mine" == (tmp_path / "ids").read_bytes()
    (tmp_path / "empty").touch()
    with pytest.raises(StorageFailed, match="cannot be made"):
        KnownIds(tmp_path / "empty")
    assert b"" == (tmp_path / "empty").read_bytes()


def test_file_that_fails_is_a_failure_of_storage(tmp_path: Path) -> None:
    """A disk that does not answer is never read as an id that is not known."""
    ids = KnownIds(tmp_path / "ids")
    ids._table.close()
    with pytest.raises(StorageFailed, match="failed"):
        ids.get("o-1")
    ids._table = sqlite3.connect(":memory:")
    ids._new["o-1"] = known(1)
    with pytest.raises(StorageFailed, match="failed"):
        ids._write()
    ids.close()


def test_recent_answers_forget_the_oldest_alone() -> None:
    """The newest are there, and no more than the bound."""
    answers = RecentAnswers(3)
    for decision in range(5):
        answers[decision] = decision + 10
    assert {2: 12, 3: 13, 4: 14} == dict(answers)
    del answers[3]
    assert (2, None) == (len(answers), answers.get(3))


def test_recent_reports_forget_the_oldest_alone() -> None:
    """A report among the newest is known; seeing it again adds nothing."""
    reports = RecentReports(3)
    for number in (0, 1, 2, 2, 3):
        reports.add(("V", f"h-{number}"))
    assert [("V", "h-1"), ("V", "h-2"), ("V", "h-3")] == list(reports)
    assert ("V", "h-0") not in reports
    reports.discard(("V", "h-1"))
    assert 2 == len(reports)
