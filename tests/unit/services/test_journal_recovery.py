# SPDX-License-Identifier: Apache-2.0
"""Opening a log again: what is kept, what is cut, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.adapters.simulated_disk import SimulatedDisk
from sekisho.core.errors import (
    VerificationFailed,
)
from sekisho.core.ledger.frames import encode_frame
from tests.ledger_doubles import (
    FIRST_SEGMENT,
    KEY,
    SoftwareSigner,
    append_flushed,
    numbered,
    opened,
    read_log,
)


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


def test_journal_reopened_continues_where_it_was() -> None:
    """Entries, roots and the segment go on; unpublished entries are due at once after a second."""

    async def story() -> None:
        disk, clock = SimulatedDisk(), SteppedClock(10**18)
        journal = await opened(disk)
        await append_flushed(journal, *numbered(3))
        await journal.publish()
        await append_flushed(journal, *numbered(2, 3))
        again = await opened(disk, clock)
        assert [entry for _, entry in again.entries()] == numbered(5)
        assert (again.durable_size, again.published_size) == (5, 3)
        assert again.root() == journal.root()
        clock.advance(1)
        assert again.checkpoint_due()
        await append_flushed(again, b"entry 5")
        await again.close()
        assert read_log(disk.files().__getitem__, KEY)[1] == numbered(6)
        assert await disk.list("journal") == [FIRST_SEGMENT.partition("/")[2]]

    play(story())


def test_journal_segment_full_begins_a_new_one_named_by_its_first_entry() -> None:
    """No segment grows beyond its limit, and all are read back in order."""

    async def story() -> None:
        disk = SimulatedDisk()
        journal = await opened(disk, segment_bytes_max=100)
        for entry in numbered(7):
            await append_flushed(journal, entry)
        names = await disk.list("journal")
        assert names == [f"{index:020}.frames" for index in (0, 2, 4, 6)]
        again = await opened(disk, segment_bytes_max=100)
        assert [entry for _, entry in again.entries()] == numbered(7)
        await append_flushed(again, b"entry 7")
        assert await disk.list("journal") == names

    play(story())


def test_journal_torn_tail_is_cut_and_the_log_goes_on() -> None:
    """Bytes of an unacknowledged batch do not stand in the way."""

    async def story() -> None:
        disk = SimulatedDisk()
        await append_flushed(await opened(disk), *numbered(2))
        whole = disk.files()[FIRST_SEGMENT]
        disk.corrupt(FIRST_SEGMENT, whole + encode_frame(2, 2, b"torn")[:-1])
        journal = await opened(disk)
        assert journal.size == 2
        assert disk.files()[FIRST_SEGMENT] == whole
        await append_flushed(journal, b"entry 2")
        assert [entry for _, entry in (await opened(disk)).entries()] == numbered(3)

    play(story())


async def _refused(disk: SimulatedDisk, match: str) -> None:
    """Opening is refused with this message, twice, and changes no byte."""
    before = disk.files()
    for _ in range(2):
        with pytest.raises(VerificationFailed, match=match):
            await opened(disk)
    assert disk.files() == before


Tamper = Callable[[SimulatedDisk], Awaitable[None] | None]


def _flip(path: str, at: int) -> Tamper:
    def tamper(disk: SimulatedDisk) -> None:
        content = bytearray(disk.files()[path])
        content[at] ^= 1
        disk.corrupt(path, bytes(content))

    return tamper


def _set(path: str, content: bytes) -> Tamper:
    return lambda disk: disk.corrupt(path, content)


def _frames(*entries: bytes) -> bytes:
    return b"".join(encode_frame(index, index, entry) for index, entry in enumerate(entries))


SECOND_SEGMENT = "journal/00000000000000000002.frames"


@pytest.mark.parametrize(
    ("tamper", "match"),
    [
        (_flip(FIRST_SEGMENT, 30), "entry 0 is damaged"),
        (_flip(FIRST_SEGMENT, 65), "entry 1 is damaged, and a later segment"),
        (_set(FIRST_SEGMENT, _frames(b"entry 0", b"entry X")), "first at entry 1"),
        (lambda disk: disk.remove(FIRST_SEGMENT), "should begin with entry 0"),
        (lambda disk: disk.remove(SECOND_SEGMENT), "checkpoint names 3 entries"),
        (_set(SECOND_SEGMENT, encode_frame(3, 3, b"entry 2")), "stands where entry 2"),
        (_set("journal/notes.txt", b"hello"), "is not part of a journal"),
        (_set("checkpoint", b""), "checkpoint: "),
        (_flip("checkpoint", 20), "checkpoint: "),
        (_flip("checkpoint", -10), "checkpoint: "),
    ],
)
def test_journal_changed_by_another_hand_is_refused_and_left_alone(
    tamper: Tamper, match: str
) -> None:
    """Damage, gaps, cuts, rewriting and foreign files: named, and nothing is repaired over it."""

    async def story() -> None:
        disk = SimulatedDisk()
        journal = await opened(disk, segment_bytes_max=100)
        for entry in numbered(3):
            await append_flushed(journal, entry)
        await journal.close()
        tamper(disk)
        await _refused(disk, match)

    play(story())


def test_journal_rewritten_without_tiles_to_compare_is_refused_too() -> None:
    """Where the published hashes are gone, the root alone is enough to refuse."""

    async def story() -> None:
        disk = SimulatedDisk()
        journal = await opened(disk)
        await append_flushed(journal, b"entry 0")
        await journal.close()
        disk.corrupt(FIRST_SEGMENT, encode_frame(0, 0, b"entry X"))
        disk.remove("tile/0/000.p/1")
        await _refused(disk, "do not show where")

    play(story())


def test_journal_torn_below_its_checkpoint_is_refused_and_not_cut() -> None:
    """What looks like a torn tail is damage when a checkpoint covers it."""

    async def story() -> None:
        disk = SimulatedDisk()
        journal = await opened(disk)
        await append_flushed(journal, *numbered(3))
        await journal.close()
        disk.corrupt(FIRST_SEGMENT, disk.files()[FIRST_SEGMENT][:-1])
        await _refused(disk, "journal holds 2")

    play(story())


def test_journal_signed_by_another_key_is_refused() -> None:
    """A log goes on only under the key that signed it."""

    async def story() -> None:
        disk = SimulatedDisk()
        journal = await opened(disk)
        await append_flushed(journal, b"x")
        await journal.close()
        with pytest.raises(VerificationFailed, match="not signed by a known key"):
            await opened(disk, signer=SoftwareSigner(2))

    play(story())


def test_journal_recovered_entries_are_synced_before_they_are_trusted() -> None:
    """After the process alone died, what it wrote may be in the machine's memory only."""

    async def story() -> None:
        disk = SimulatedDisk()
        stop = asyncio.Event()

        async def point(name: str) -> None:
            if name.startswith("sync "):
                stop.set()
                await asyncio.Event().wait()

        journal = await opened(disk)
        disk.point = point
        journal.append(b"written, not synced")
        await stop.wait()
        killed = disk.kill()
        killed.point = None
        again = await opened(killed)
        assert again.durable_size == 1
        for lost in (1, 0):  # names and writes: lost whenever the dice may decide
            after = killed.kill().crash(_Fixed(lost))
            assert (await opened(after)).entry(0) == b"written, not synced"

    play(story())


class _Fixed:
    """Dice that always show the same face."""

    def __init__(self, face: int) -> None:
        self.face = face

    def randrange(self, start: int, /) -> int:
        return self.face % start
