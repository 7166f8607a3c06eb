# SPDX-License-Identifier: Apache-2.0
"""Ids that a gate remembers for ever, in a file that is never believed more than the log."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters import seen_file as module
from sekisho.adapters.seen_file import SeenFile
from sekisho.core.errors import StorageFailed
from sekisho.core.gate.agent import Known, Seen

ORIGIN = "gate.example/g1"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of the file."""
    return tmp_path / "ids.sqlite"


def known(number: int) -> Known:
    return Known(f"{number:064x}", number)


def add(file: SeenFile, seen: Seen, numbers: range) -> None:
    """One row of each kind for each number, which is its entry."""
    for number in numbers:
        file.taking(number)
        seen.known[f"o-{number}"] = known(number)
        seen.answers[number] = number + 1
        seen.executed.add(("V", f"e-{number}"))


def counts(seen: Seen) -> tuple[int, int, int]:
    return len(seen.known), len(seen.answers), len(seen.executed)


def opened(path: Path, entries: int, origin: str = ORIGIN) -> Iterator[tuple[SeenFile, Seen]]:
    file = SeenFile(path, origin)
    yield file, file.begin(entries)()
    file.close()


def settled(path: Path, entries: int) -> None:
    """A file of so many entries, closed."""
    for file, seen in opened(path, 0):
        add(file, seen, range(entries))
        asyncio.run(file.settle(entries))


def test_rows_are_found_before_and_after_they_are_in_the_file(path: Path) -> None:
    """In memory, in the file, and by the next process."""
    for file, seen in opened(path, 0):
        add(file, seen, range(3))
        asyncio.run(file.settle(3))
        add(file, seen, range(3, 5))
        for number in range(5):
            assert known(number) == seen.known[f"o-{number}"]
            assert number + 1 == seen.answers[number]
            assert ("V", f"e-{number}") in seen.executed
        assert (5, 5, 5) == counts(seen)
        assert {f"o-{number}" for number in range(5)} == set(seen.known)
        assert {("V", f"e-{number}") for number in range(5)} == set(seen.executed)
        assert "o-5" not in seen.known
        assert "o-5" not in seen.known
        seen.known["o-5"] = known(5)
        assert known(5) == seen.known["o-5"]
        assert 7 not in seen.answers
        assert ("V", "e-7") not in seen.executed
    for _, seen in opened(path, 3):
        assert (3, 3, 3) == counts(seen)
        assert (known(2), 3) == (seen.known["o-2"], seen.answers[2])
        assert "o-3" not in seen.known


def test_rows_beyond_the_entries_that_are_wanted_are_dropped(path: Path) -> None:
    """An older snapshot finds what it counted."""
    settled(path, 9)
    for _, seen in opened(path, 4):
        assert (4, 4, 4) == counts(seen)
        assert ("o-3" in seen.known, "o-4" in seen.known) == (True, False)
        assert (3 in seen.answers, 4 in seen.answers) == (True, False)
    for _, seen in opened(path, 9):
        assert (4, 4, 4) == counts(seen)


def test_agents_are_kept_apart_in_the_order_in_which_they_ask(path: Path) -> None:
    """The second agent's ids are not the first one's, in this process and in the next."""
    file = SeenFile(path, ORIGIN)
    give = file.begin(0)
    first, second = give(), give()
    file.taking(0)
    first.known["same"] = known(1)
    second.known["same"] = known(2)
    asyncio.run(file.settle(1))
    file.close()
    file = SeenFile(path, ORIGIN)
    give = file.begin(1)
    assert [known(1), known(2)] == [give().known["same"], give().known["same"]]
    file.close()


def test_what_is_seen_is_never_forgotten(path: Path) -> None:
    """Nothing is removed; the answer to a decision may be written again."""
    for file, seen in opened(path, 0):
        add(file, seen, range(1))
        with pytest.raises(ValueError, match="stays known"):
            del seen.known["o-0"]
        with pytest.raises(ValueError, match="stays"):
            del seen.answers[0]
        with pytest.raises(ValueError, match="stays seen"):
            seen.executed.discard(("V", "e-0"))
        seen.answers[0] = 9
        seen.executed.add(("V", "e-0"))
        assert (9, (1, 1, 1)) == (seen.answers[0], counts(seen))


@pytest.mark.parametrize("damage", ["another log", "no database", "torn", "marked", "emptied"])
def test_file_that_cannot_be_used_begins_empty(path: Path, damage: str) -> None:
    """Of another log, damaged, or found damaged by an earlier process: never an error."""
    settled(path, 500)
    if damage == "no database":
        path.write_bytes(b"x" * 10_000)
    elif damage == "torn":
        path.write_bytes(path.read_bytes()[:300])
    elif damage == "marked":
        path.with_name("ids.sqlite.damaged").touch()
    elif damage == "emptied":
        path.write_bytes(b"")
    for _, seen in opened(path, 500, "another" if damage == "another log" else ORIGIN):
        assert (0, 0, 0) == counts(seen)
    for file, seen in opened(path, 0):
        add(file, seen, range(2))
        asyncio.run(file.settle(2))
        assert (2, 2, 2) == counts(seen)


def test_file_that_fails_while_it_is_used_is_a_failure_and_begins_anew(path: Path) -> None:
    """An id that cannot be looked up is not taken as unknown; the next process rebuilds."""
    settled(path, 5)
    file = SeenFile(path, ORIGIN)
    seen = file.begin(5)()
    file._reader.close()
    with pytest.raises(StorageFailed, match="the file of ids failed"):
        seen.known.get("o-1")
    with pytest.raises(StorageFailed, match="the file of ids failed"):
        list(seen.known)
    file.close()
    for _, again in opened(path, 5):
        assert (0, 0, 0) == counts(again)


def test_rows_stay_in_memory_when_the_file_takes_none(path: Path) -> None:
    """A settling that failed loses nothing, and the next one writes all."""
    for file, seen in opened(path, 0):
        add(file, seen, range(3))
        writer, file._writer = file._writer, sqlite3.connect(":memory:", check_same_thread=False)
        with pytest.raises(StorageFailed, match="was not written"):
            asyncio.run(file.settle(3))
        file._writer.close()
        file._writer = writer
        add(file, seen, range(3, 4))
        assert (known(1), (4, 4, 4)) == (seen.known["o-1"], counts(seen))
        asyncio.run(file.settle(4))
    for _, seen in opened(path, 4):
        assert (4, 4, 4) == counts(seen)


def test_rows_in_memory_are_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that is folded whole writes on the way, up to the entry before."""
    monkeypatch.setattr(module, "PENDING_MAX", 30)
    for file, seen in opened(path, 0):
        for number in range(100):
            add(file, seen, range(number, number + 1))
            assert file.pending_rows <= 33
    for _, seen in opened(path, 99):
        assert counts(seen)[0] >= 90
        assert "o-0" in seen.known


def test_rows_that_come_while_others_are_written_are_not_written_with_them(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off before anything is awaited: the file goes up to the snapshot's entries."""
    write = SeenFile._write
    for file, seen in opened(path, 0):

        def late(self: SeenFile, entries: int, tables: Any, seen: Seen = seen) -> None:
            add(self, seen, range(3, 5))
            write(self, entries, tables)

        add(file, seen, range(3))
        monkeypatch.setattr(SeenFile, "_write", late)
        asyncio.run(file.settle(3))
        monkeypatch.undo()
        assert (5, 5, 5) == counts(seen)
        assert known(4) == seen.known["o-4"]
    for _, seen in opened(path, 3):
        assert (3, 3, 3) == counts(seen)
        assert "o-3" not in seen.known


def test_file_in_a_folder_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    """Nothing can be kept: said at once."""
    with pytest.raises(StorageFailed, match="cannot be made"):
        SeenFile(tmp_path / "no" / "ids", ORIGIN)
