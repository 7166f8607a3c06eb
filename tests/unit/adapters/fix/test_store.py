# SPDX-License-Identifier: Apache-2.0
"""A FIX session's file: what it keeps, and what a crash leaves (docs/spec/fix.md section 2)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sekisho.adapters.disk import FolderDisk
from sekisho.adapters.fix import store as stores
from sekisho.adapters.fix.store import FixStore, SentMessage
from sekisho.core.errors import StorageFailed

SENT = SentMessage("8", "20260515-09:15:00.000", (), ((11, "o-1"),))


def opened(folder: Path, *, damage: bytes | None = None) -> FixStore:
    """What a new process reads; ``damage`` is appended before."""

    async def open_it() -> FixStore:
        if damage is not None:
            path = folder / "s"
            path.write_bytes(path.read_bytes() + damage)
        disk = FolderDisk(folder)
        try:
            return await FixStore.open(disk, "s")
        finally:
            disk.close()

    return asyncio.run(open_it())


def written(folder: Path) -> None:
    """A session that sent two messages and a heartbeat, and took in four."""

    async def write() -> None:
        disk = FolderDisk(folder)
        store = await FixStore.open(disk, "s")
        store.used(SENT)
        store.used(None)
        store.used(SENT)
        store.took(5)
        store.note("a", {"b": ["c"]})
        store.note("gone", 1)
        store.note("gone", None)
        await store.flush()
        store.used(SENT)  # never flushed: a crash forgets it, and nothing of it was sent
        disk.close()

    asyncio.run(write())


def test_store_flushed_changes_survive(tmp_path: Path) -> None:
    """Numbers, messages and notes are there again, what was not flushed is not."""
    written(tmp_path)
    found = opened(tmp_path)
    assert (5, 4, 0) == (found.next_in, found.next_out, found.epoch)
    assert {1: SENT, 3: SENT} == found.sent
    assert {"a": {"b": ["c"]}} == found.notes


def test_store_torn_last_line_is_cut_off(tmp_path: Path) -> None:
    """Half a line at the end was never relied upon."""
    written(tmp_path)
    found = opened(tmp_path, damage=b'0badcafe {"o":9')
    assert found.next_out == 4
    assert b"0badcafe" not in (tmp_path / "s").read_bytes()


def test_store_damage_before_the_end_is_refused(tmp_path: Path) -> None:
    """A bad line with good ones behind it is no crash."""
    written(tmp_path)
    good = (tmp_path / "s").read_bytes().splitlines(keepends=True)[0]
    with pytest.raises(StorageFailed):
        opened(tmp_path, damage=b"0badcafe {}\n" + good)


def test_store_reset_begins_both_numbers_anew(tmp_path: Path) -> None:
    """Messages of the old numbers cannot be asked for, notes stay."""
    written(tmp_path)

    async def reset() -> None:
        disk = FolderDisk(tmp_path)
        store = await FixStore.open(disk, "s")
        store.reset()
        store.used(SENT)
        await store.flush()
        disk.close()

    asyncio.run(reset())
    found = opened(tmp_path)
    assert (1, 2, 1) == (found.next_in, found.next_out, found.epoch)
    assert ({1: SENT}, {"a": {"b": ["c"]}}) == (found.sent, found.notes)


def test_store_many_lines_are_compacted_to_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is written anew before it grows without end; nothing is lost."""
    monkeypatch.setattr(stores, "LINES_MAX", 20)
    monkeypatch.setattr(stores, "SENT_KEPT", 3)

    async def write() -> None:
        disk = FolderDisk(tmp_path)
        store = await FixStore.open(disk, "s")
        for number in range(100):
            store.used(SENT)
            store.took(number + 2)
            await store.flush()
        disk.close()

    asyncio.run(write())
    assert len((tmp_path / "s").read_bytes().splitlines()) < 40
    found = opened(tmp_path)
    assert (101, 101, [98, 99, 100]) == (found.next_in, found.next_out, list(found.sent))


def test_store_failed_flush_stays_failed(tmp_path: Path) -> None:
    """After one failure nothing is durable any more: no later flush says so."""

    async def fail() -> None:
        disk = FolderDisk(tmp_path)
        store = await FixStore.open(disk, "s")
        (tmp_path / "s").unlink()
        (tmp_path / "s").mkdir()
        store.used(SENT)
        with pytest.raises(StorageFailed):
            await store.flush()
        (tmp_path / "s").rmdir()
        with pytest.raises(StorageFailed):
            await store.flush()
        disk.close()

    asyncio.run(fail())
