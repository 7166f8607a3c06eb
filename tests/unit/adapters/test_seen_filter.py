# SPDX-License-Identifier: Apache-2.0
"""The filter of ids: what was added is always found, and a new id costs no look into the file."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters import seen_filter as module
from sekisho.adapters.seen_file import SeenFile
from sekisho.adapters.seen_filter import SeenFilter, places, sealed
from sekisho.core.errors import StorageFailed
from sekisho.core.gate.agent import Known, Seen

ORIGIN = "gate.example/g1"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of the file of ids."""
    return tmp_path / "ids.sqlite"


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of four keys."""
    monkeypatch.setattr(module, "BLOCK_KEYS", 4)


def known(number: int) -> Known:
    return Known(f"{number:064x}", number)


def add(file: SeenFile, seen: Seen, numbers: range) -> None:
    for number in numbers:
        file.taking(number)
        seen.known[f"o-{number}"] = known(number)
        seen.answers[number] = number + 1
        seen.executed.add(("V", f"e-{number}"))


def silent(file: SeenFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on every look into the file is a failure."""

    def asked(query: str, values: tuple[Any, ...]) -> None:
        raise AssertionError(f"the file was asked: {query} {values}")

    monkeypatch.setattr(file, "select", asked)


def test_filter_finds_every_key_that_was_added() -> None:
    """No wrong no, and few wrong yes."""
    found = SeenFilter()
    for number in range(2_000):
        found.add(places(b"key %d" % number))
    assert all(found.may_have(places(b"key %d" % number)) for number in range(2_000))
    assert sum(found.may_have(places(b"new %d" % number)) for number in range(2_000)) < 20
    assert 2_000 == found.keys


@pytest.mark.usefixtures("_small")
def test_filter_blocks_that_changed_make_the_same_filter_again() -> None:
    """What was given out, part after part, is all that it knows."""
    found = SeenFilter()
    kept: dict[int, tuple[int, bytes]] = {}
    for number in range(30):
        found.add(places(b"key %d" % number))
        if number % 7 == 0:
            kept |= {block: (keys, sealed(data)) for block, keys, data in found.changed()}
    kept |= {block: (keys, sealed(data)) for block, keys, data in found.changed()}
    again = SeenFilter()
    assert again.begin([kept[block] for block in sorted(kept)])
    assert (30, 8 * 2**20) == (again.keys, again.size)
    assert all(again.may_have(places(b"key %d" % number)) for number in range(30))
    again.add(places(b"more"))
    assert [7] == [block for block, _, _ in again.changed()]


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("wrong", ["a bit", "short", "a block is gone", "too full", "no count"])
def test_filter_blocks_that_are_not_what_was_given_out_are_not_taken(wrong: str) -> None:
    """A lost bit would make a known id new."""
    found = SeenFilter()
    for number in range(10):
        found.add(places(b"key %d" % number))
    blocks = [(keys, sealed(data)) for _, keys, data in found.changed()]
    keys, data = blocks[-1]
    if wrong == "a bit":
        blocks[-1] = keys, data[:5_000] + bytes([data[5_000] ^ 1]) + data[5_001:]
    elif wrong == "short":
        blocks[-1] = keys, sealed(data[32:-1])
    elif wrong == "a block is gone":
        del blocks[-2]
        blocks.insert(0, blocks.pop())
    else:
        blocks[-1] = (5 if wrong == "too full" else -1), data
    again = SeenFilter()
    assert not again.begin(blocks)
    assert 0 == again.keys
    assert SeenFilter().begin([])


def test_new_ids_are_new_without_a_look_into_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the process that wrote the file, and in the next one."""
    file = SeenFile(path, ORIGIN)
    seen = file.begin(0)()
    add(file, seen, range(50))
    asyncio.run(file.settle(50))
    with monkeypatch.context() as patched:
        silent(file, patched)
        add(file, seen, range(50, 60))
        assert "o-60" not in seen.known
    file.close()
    file = SeenFile(path, ORIGIN)
    seen = file.begin(50)()
    with monkeypatch.context() as patched:
        silent(file, patched)
        add(file, seen, range(50, 60))
        assert ("V", "e-60") not in seen.executed
        with pytest.raises(AssertionError, match="was asked"):
            seen.known.get("o-7")
    assert (known(7), 8, 60) == (seen.known["o-7"], seen.answers[7], len(seen.known))
    file.close()


def test_new_id_is_kept_although_another_was_looked_up_before(path: Path) -> None:
    """What the filter takes in is the id that came, not the one that was asked for last."""
    file = SeenFile(path, ORIGIN)
    seen = file.begin(0)()
    add(file, seen, range(2))
    asyncio.run(file.settle(2))
    file.taking(2)
    assert "new" not in seen.known
    assert "o-1" in seen.known
    seen.known["new"] = known(2)
    asyncio.run(file.settle(3))
    assert known(2) == seen.known["new"]
    file.close()


def test_key_of_another_agent_or_kind_is_new(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The filter is of the file; the same text of another agent is another key."""
    file = SeenFile(path, ORIGIN)
    give = file.begin(0)
    first, second = give(), give()
    file.taking(0)
    first.known["same"] = known(1)
    asyncio.run(file.settle(1))
    silent(file, monkeypatch)
    assert "same" not in second.known
    assert ("same", "") not in first.executed
    with pytest.raises(AssertionError, match="was asked"):
        first.known.get("same")
    file.close()


def test_answers_out_of_their_order_are_found(path: Path) -> None:
    """A decision below the latest answered one is looked up, whether it has an answer or not."""
    file = SeenFile(path, ORIGIN)
    seen = file.begin(0)()
    for decision, end in ((9, 10), (4, 11)):
        file.taking(end)
        seen.answers[decision] = end
    asyncio.run(file.settle(12))
    assert (11, 10, None) == (seen.answers[4], seen.answers[9], seen.answers.get(5))
    file.close()
    file = SeenFile(path, ORIGIN)
    seen = file.begin(12)()
    assert (11, 10, None) == (seen.answers[4], seen.answers[9], seen.answers.get(10))
    seen.answers[5] = 12
    assert (12, 3) == (seen.answers[5], len(seen.answers))
    file.close()


@pytest.mark.parametrize(
    "harm",
    [
        "DELETE FROM filters",
        "UPDATE filters SET keys = keys - 1",
        "UPDATE filters SET bits = zeroblob(length(bits))",
    ],
)
def test_file_whose_filter_may_lack_a_row_begins_anew(path: Path, harm: str) -> None:
    """The log is folded whole: a known id is never taken for a new one."""
    file = SeenFile(path, ORIGIN)
    seen = file.begin(0)()
    add(file, seen, range(5))
    asyncio.run(file.settle(5))
    file.close()
    with sqlite3.connect(path) as found:
        found.execute(harm)
    found.close()
    file = SeenFile(path, ORIGIN)
    seen = file.begin(5)()
    assert (0, 0, 0) == (len(seen.known), len(seen.answers), len(seen.executed))
    file.close()


@pytest.mark.usefixtures("_small")
def test_blocks_that_were_not_written_are_written_with_the_next_rows(path: Path) -> None:
    """A settling that failed took no block with it."""
    file = SeenFile(path, ORIGIN)
    seen = file.begin(0)()
    add(file, seen, range(5))
    writer, file._writer = file._writer, sqlite3.connect(":memory:", check_same_thread=False)
    with pytest.raises(StorageFailed, match="was not written"):
        asyncio.run(file.settle(5))
    file._writer.close()
    file._writer = writer
    add(file, seen, range(5, 6))
    asyncio.run(file.settle(6))
    file.close()
    file = SeenFile(path, ORIGIN)
    seen = file.begin(6)()
    assert (6, known(0), known(5)) == (len(seen.known), seen.known["o-0"], seen.known["o-5"])
    file.close()
