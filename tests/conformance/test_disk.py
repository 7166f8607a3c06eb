# SPDX-License-Identifier: Apache-2.0
"""The Disk port's contract, on the real adapter and on the simulated one."""

from __future__ import annotations

import asyncio
import errno
import os
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sekisho.adapters import disk as disk_module
from sekisho.adapters.disk import FolderDisk
from sekisho.adapters.simulated_disk import SimulatedDisk
from sekisho.core.errors import MalformedInput, OutcomeUnknown, StorageFailed
from sekisho.ports import Disk

Story = Callable[[Disk], Awaitable[None]]


@pytest.fixture(params=["folder", "simulated"])
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Story], None]:
    """Run a story on one of the two disks."""

    def run(story: Story) -> None:
        if request.param == "simulated":
            asyncio.run(_as_coroutine(story, SimulatedDisk()))
            return
        disk = FolderDisk(tmp_path / "log")
        try:
            asyncio.run(_as_coroutine(story, disk))
        finally:
            disk.close()

    return run


async def _as_coroutine(story: Story, disk: Disk) -> None:
    await story(disk)


def test_disk_append_grows_the_file_and_creates_folders(play: Callable[[Story], None]) -> None:
    """Appends follow each other; folders appear by themselves; the content reads back."""

    async def story(disk: Disk) -> None:
        await disk.append("a/b/c", b"one")
        await disk.append("a/b/c", b"two")
        await disk.sync("a/b/c")
        await disk.sync_folder("a/b")
        assert await disk.read("a/b/c") == b"onetwo"
        assert await disk.list("a") == ["b"]
        assert await disk.list("a/b") == ["c"]

    play(story)


def test_disk_append_durably_is_append_and_sync(play: Callable[[Story], None]) -> None:
    """What came so needs no sync of its own, whichever way the file was begun."""

    async def story(disk: Disk) -> None:
        await disk.append_durably("a/b", b"one")
        await disk.append("a/b", b"two")
        await disk.append_durably("a/b", b"three")
        assert await disk.read("a/b") == b"onetwothree"
        if isinstance(disk, SimulatedDisk):
            disk = disk.kill()
            await disk.sync_folder("a")
            assert await disk.read("a/b") == b"onetwothree"

    play(story)


def test_disk_missing_names_are_answers_not_failures(play: Callable[[Story], None]) -> None:
    """A name that is not there: FileNotFoundError, False, and an empty list."""

    async def story(disk: Disk) -> None:
        with pytest.raises(FileNotFoundError):
            await disk.read("nothing")
        with pytest.raises(FileNotFoundError):
            await disk.sync("nothing")
        with pytest.raises(FileNotFoundError):
            await disk.sync_folder("nothing")
        with pytest.raises(FileNotFoundError):
            await disk.truncate("nothing", 0)
        assert not await disk.exists("nothing")
        assert await disk.list("nothing") == []
        await disk.append("nothing", b"x")  # asking poisoned nothing
        assert await disk.exists("nothing")

    play(story)


def test_disk_read_range_gives_the_part_that_there_is(play: Callable[[Story], None]) -> None:
    """A part at once: shorter at the end, empty behind it, an answer for a missing name."""

    async def story(disk: Disk) -> None:
        await disk.append("a/b", b"0123")
        await disk.append("a/b", b"4567")
        assert [disk.read_range("a/b", *part) for part in ((0, 4), (3, 2), (6, 9), (8, 1))] == [
            b"0123",
            b"34",
            b"67",
            b"",
        ]
        with pytest.raises(FileNotFoundError):
            disk.read_range("a/c", 0, 1)
        with pytest.raises(MalformedInput):
            disk.read_range("../a", 0, 1)

    play(story)


def test_disk_write_new_on_a_taken_name_refuses_and_keeps_the_content(
    play: Callable[[Story], None],
) -> None:
    """Create-exclusive: the second writer is told, and the first content stays."""

    async def story(disk: Disk) -> None:
        await disk.write_new("tile/0/000", b"first")
        with pytest.raises(FileExistsError):
            await disk.write_new("tile/0/000", b"second")
        assert await disk.read("tile/0/000") == b"first"
        await disk.sync("tile/0/000")

    play(story)


def test_disk_replace_gives_new_content_and_leaves_no_other_name(
    play: Callable[[Story], None],
) -> None:
    """Replacing creates or overwrites, and no temporary name can be seen."""

    async def story(disk: Disk) -> None:
        await disk.replace("checkpoint", b"one")
        await disk.replace("checkpoint", b"two")
        assert await disk.read("checkpoint") == b"two"
        assert await disk.list("") == ["checkpoint"]

    play(story)


def test_disk_append_after_replace_goes_to_the_new_file(play: Callable[[Story], None]) -> None:
    """An append after a replace continues the new content, not a file without a name."""

    async def story(disk: Disk) -> None:
        await disk.append("f", b"old")
        await disk.replace("f", b"new")
        await disk.append("f", b"er")
        assert await disk.read("f") == b"newer"

    play(story)


def test_disk_truncate_cuts_and_appending_goes_on(play: Callable[[Story], None]) -> None:
    """A cut file continues at the cut; cutting to more than there is fails."""

    async def story(disk: Disk) -> None:
        await disk.append("f", b"0123456789")
        await disk.truncate("f", 4)
        await disk.append("f", b"x")
        assert await disk.read("f") == b"0123x"
        with pytest.raises(StorageFailed):
            await disk.truncate("f", 6)

    play(story)


def test_disk_delete_takes_the_name_away_and_it_can_be_given_again(
    play: Callable[[Story], None],
) -> None:
    """Once; other names stay; also of a file that is open for appending."""

    async def story(disk: Disk) -> None:
        await disk.write_new("a/new", b"1")
        await disk.append("a/grown", b"2")
        await disk.append("a/other", b"3")
        for name in ("a/new", "a/grown"):
            await disk.delete(name)
            with pytest.raises(FileNotFoundError):
                await disk.delete(name)
        await disk.sync_folder("a")
        assert ["other"] == await disk.list("a")
        await disk.append("a/grown", b"4")
        await disk.write_new("a/new", b"5")
        assert (b"4", b"5") == (await disk.read("a/grown"), await disk.read("a/new"))
        with pytest.raises(MalformedInput):
            await disk.delete("../a")

    play(story)


@pytest.mark.parametrize(
    "path", ["/a", "a//b", "../a", "a/../b", ".lock", "a/.tmp", "", "a/", "a\nb", "å", "a\\b"]
)
def test_disk_path_outside_the_contract_is_refused(
    play: Callable[[Story], None], path: str
) -> None:
    """Absolute, climbing, hidden, empty, non-ASCII or unprintable paths never reach a disk."""

    async def story(disk: Disk) -> None:
        with pytest.raises(MalformedInput):
            await disk.append(path, b"x")

    play(story)


def test_folder_disk_lock_second_opening_is_refused(tmp_path: Path) -> None:
    """One writer of a folder; after it closes, the next may open."""
    first = FolderDisk(tmp_path)
    with pytest.raises(StorageFailed):
        FolderDisk(tmp_path)
    first.close()
    FolderDisk(tmp_path).close()


def test_folder_disk_leftover_temporary_is_removed_at_opening(tmp_path: Path) -> None:
    """What a crash left between writing and renaming does not pile up."""
    (tmp_path / ".tmp").mkdir()
    (tmp_path / ".tmp" / "7").write_bytes(b"half")
    FolderDisk(tmp_path).close()
    assert list((tmp_path / ".tmp").iterdir()) == []


@pytest.mark.parametrize("operation", ["sync", "sync_folder", "replace", "truncate", "write_new"])
def test_folder_disk_failed_flush_poisons_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    """After a failed flush the same path fails for good, even when the kernel would say yes."""

    async def story(disk: FolderDisk) -> None:
        await disk.append("a/f", b"x")

        def broken(descriptor: int) -> None:
            raise OSError(errno.EIO, "input/output error")

        calls = {
            "sync": lambda: disk.sync("a/f"),
            "sync_folder": lambda: disk.sync_folder("a"),
            "replace": lambda: disk.replace("a/f", b"y"),
            "truncate": lambda: disk.truncate("a/f", 0),
            "write_new": lambda: disk.write_new("a/g", b"y"),
        }
        monkeypatch.setattr(disk_module, "_flush", broken)
        monkeypatch.setattr(os, "fsync", broken)
        with pytest.raises((OutcomeUnknown, StorageFailed)):
            await calls[operation]()
        monkeypatch.undo()
        with pytest.raises(StorageFailed, match="before"):
            await calls[operation]()
        assert list((tmp_path / ".tmp").iterdir()) == []

    disk = FolderDisk(tmp_path)
    try:
        asyncio.run(story(disk))
    finally:
        disk.close()


def test_folder_disk_failed_replace_keeps_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replacement that could not be synced never takes the name."""

    async def story(disk: FolderDisk) -> None:
        await disk.replace("f", b"old")

        def broken(descriptor: int) -> None:
            raise OSError(errno.EIO, "input/output error")

        monkeypatch.setattr(disk_module, "_flush", broken)
        with pytest.raises(StorageFailed):
            await disk.replace("f", b"new")

    disk = FolderDisk(tmp_path)
    try:
        asyncio.run(story(disk))
    finally:
        disk.close()
    assert (tmp_path / "f").read_bytes() == b"old"


@pytest.mark.parametrize(("written", "error"), [(0, StorageFailed), (2, OutcomeUnknown)])
def test_folder_disk_full_says_whether_a_part_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int, error: type[Exception]
) -> None:
    """No byte written: certainly nothing. Some bytes: outcome unknown. Both poison the path."""
    original = os.write
    answers = [written] if written else []

    def full(descriptor: int, data: memoryview) -> int:
        if answers:
            return original(descriptor, data[: answers.pop()])
        raise OSError(errno.ENOSPC, "no space left on device")

    async def story(disk: FolderDisk) -> None:
        monkeypatch.setattr(os, "write", full)
        try:
            with pytest.raises(error):
                await disk.append("f", b"12345")
        finally:
            monkeypatch.undo()  # the event loop writes to its own pipe
        with pytest.raises(StorageFailed, match="before"):
            await disk.append("f", b"12345")

    disk = FolderDisk(tmp_path)
    try:
        asyncio.run(story(disk))
    finally:
        disk.close()


def test_folder_disk_file_of_an_earlier_process_is_read_from_the_medium(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages that a dead process left in memory are synced and dropped before they are trusted."""
    (tmp_path / "old").write_bytes(b"x")
    seen: list[str] = []
    fsync, fadvise = os.fsync, os.posix_fadvise

    def watched_fsync(descriptor: int) -> None:
        seen.append("sync")
        fsync(descriptor)

    def watched_fadvise(descriptor: int, offset: int, length: int, advice: int) -> None:
        seen.append("drop")
        fadvise(descriptor, offset, length, advice)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "posix_fadvise", watched_fadvise)
    disk = FolderDisk(tmp_path)
    try:
        assert asyncio.run(disk.read("old")) == b"x"
    finally:
        disk.close()
    assert seen[-2:] == ["sync", "drop"]


# ------------------------------------------------------------- what only the simulated disk can do


def test_simulated_disk_crash_keeps_what_was_synced() -> None:
    """Synced content under a synced name survives whatever the dice say."""

    async def story() -> SimulatedDisk:
        disk = SimulatedDisk()
        await disk.append("a/f", b"kept")
        await disk.sync("a/f")
        await disk.sync_folder("a")
        await disk.append("a/f", b"unsynced" * 200)
        return disk

    seen = set()
    for seed in range(60):
        after = asyncio.run(story()).crash(random.Random(seed))
        content = after.files()["a/f"]
        assert content.startswith(b"kept")
        seen.add(content)
    assert b"kept" in seen
    assert b"kept" + b"unsynced" * 200 in seen
    assert len(seen) > 10  # torn in many ways


def test_simulated_disk_crash_may_lose_an_unsynced_name() -> None:
    """A synced file whose folder was not synced survives some crashes and not others."""

    async def story() -> SimulatedDisk:
        disk = SimulatedDisk()
        await disk.write_new("a/f", b"whole")
        await disk.sync("a/f")
        return disk

    outcomes = {
        tuple(asyncio.run(story()).crash(random.Random(seed)).files().items()) for seed in range(20)
    }
    assert outcomes == {(), (("a/f", b"whole"),)}


def test_simulated_disk_crash_keeps_a_new_file_only_after_both_syncs() -> None:
    """An unsynced new file may be lost under a synced name; it is never torn."""

    async def story(sync: bool) -> SimulatedDisk:
        disk = SimulatedDisk()
        await disk.write_new("a/f", b"whole")
        if sync:
            await disk.sync("a/f")
        await disk.sync_folder("a")
        return disk

    for sync, expected in ((True, {b"whole"}), (False, {b"whole", None})):
        assert expected == {
            asyncio.run(story(sync)).crash(random.Random(seed)).files().get("a/f")
            for seed in range(20)
        }


def test_simulated_disk_crash_may_bring_a_deleted_name_back_until_the_folder_is_synced() -> None:
    """Whole, as it was; after the sync never."""

    async def story(sync: bool) -> SimulatedDisk:
        disk = SimulatedDisk()
        await disk.write_new("a/f", b"whole")
        await disk.append_durably("a/g", b"other")
        await disk.sync("a/f")
        await disk.sync_folder("a")
        await disk.delete("a/f")
        if sync:
            await disk.sync_folder("a")
        return disk.kill()

    for sync, expected in ((True, {None}), (False, {b"whole", None})):
        assert expected == {
            asyncio.run(story(sync)).crash(random.Random(seed)).files().get("a/f")
            for seed in range(20)
        }


def test_simulated_disk_crash_with_equal_dice_gives_equal_disks() -> None:
    """The same seed gives the same disk."""

    async def story() -> SimulatedDisk:
        disk = SimulatedDisk()
        for number in range(20):
            await disk.append(f"a/{number % 3}", bytes([number]) * 700)
        return disk

    first, second = (asyncio.run(story()).crash(random.Random(5)).files() for _ in range(2))
    assert first == second
    assert first


def test_simulated_disk_replace_crashed_after_the_rename_leaves_old_or_new() -> None:
    """Between rename and folder sync the whole old or the whole new content survives."""

    async def story() -> SimulatedDisk:
        disk = SimulatedDisk()
        await disk.replace("f", b"old")
        taken: list[SimulatedDisk] = []

        async def point(name: str) -> None:
            if name == "replace f:renamed":
                taken.append(disk.kill())

        disk.point = point
        with pytest.raises(StorageFailed):
            await disk.replace("f", b"new")
        return taken[0]

    outcomes = {asyncio.run(story()).crash(random.Random(seed)).files()["f"] for seed in range(20)}
    assert outcomes == {b"old", b"new"}


@pytest.mark.parametrize("persisted", [False, True])
def test_simulated_disk_failed_sync_persists_or_loses_as_asked(persisted: bool) -> None:
    """A failed sync poisons the path; what it was called for is durable or lost, as asked."""

    async def story() -> SimulatedDisk:
        disk = SimulatedDisk()
        await disk.append("f", b"x")
        await disk.sync_folder("")
        disk.fail("sync", "f", persisted=persisted)
        with pytest.raises(OutcomeUnknown):
            await disk.sync("f")
        with pytest.raises(StorageFailed):
            await disk.sync("f")
        return disk

    expected = b"x" if persisted else b""
    assert asyncio.run(story()).kill().files()["f"] == expected
    for seed in range(10):
        assert asyncio.run(story()).crash(random.Random(seed)).files()["f"] == expected


@pytest.mark.parametrize("persisted", [False, True])
def test_simulated_disk_failed_append_persists_or_not_as_asked(persisted: bool) -> None:
    """Without effect: StorageFailed. With effect: OutcomeUnknown."""

    async def story() -> None:
        disk = SimulatedDisk()
        disk.fail("append", skip=1, persisted=persisted)
        await disk.append("f", b"a")
        with pytest.raises(OutcomeUnknown if persisted else StorageFailed):
            await disk.append("f", b"b")
        assert disk.files()["f"] == (b"ab" if persisted else b"a")

    asyncio.run(story())


def test_simulated_disk_full_and_read_only_refuse_to_write() -> None:
    """Full: a part may be written; read-only: nothing, and reading goes on."""

    async def story() -> None:
        disk = SimulatedDisk()
        disk.free_bytes = 3
        with pytest.raises(OutcomeUnknown):
            await disk.append("f", b"12345")
        assert disk.files()["f"] == b"123"
        with pytest.raises(StorageFailed):
            await disk.write_new("g", b"1")
        disk = SimulatedDisk()
        await disk.append("f", b"1")
        disk.read_only = True
        with pytest.raises(StorageFailed):
            await disk.append("f", b"2")
        assert await disk.read("f") == b"1"

    asyncio.run(story())


def test_simulated_disk_kill_keeps_writes_but_not_their_durability() -> None:
    """After the death of the process all is readable, and a power loss can still take it."""

    async def story() -> SimulatedDisk:
        disk = SimulatedDisk()
        await disk.append("f", b"x" * 10)
        return disk

    killed = asyncio.run(story()).kill()
    assert killed.files() == {"f": b"x" * 10}
    outcomes = {
        asyncio.run(story()).kill().crash(random.Random(seed)).files().get("f")
        for seed in range(40)
    }
    assert None in outcomes
    assert b"x" * 10 in outcomes


def test_simulated_disk_point_is_called_before_and_after_each_operation() -> None:
    """A simulation can stop the world on either side of every effect."""
    names: list[str] = []

    async def point(name: str) -> None:
        names.append(name)

    async def story() -> None:
        disk = SimulatedDisk(point=point)
        await disk.append("f", b"x")
        await disk.replace("g", b"x")

    asyncio.run(story())
    assert names == [
        "append f:before",
        "append f:after",
        "replace g:before",
        "replace g:renamed",
        "replace g:after",
    ]


def test_simulated_disk_after_a_crash_the_old_object_is_dead() -> None:
    """Nothing that survived in memory can write to a machine that lost power."""

    async def story() -> None:
        disk = SimulatedDisk()
        disk.crash(random.Random(0))
        with pytest.raises(StorageFailed):
            await disk.append("f", b"x")

    asyncio.run(story())
