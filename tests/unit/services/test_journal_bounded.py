# SPDX-License-Identifier: Apache-2.0
"""A log that outgrows memory: what is kept, what is read again, and what is checked when it is."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.adapters.simulated_disk import SimulatedDisk
from sekisho.core.errors import StorageFailed, VerificationFailed
from sekisho.core.ledger.frames import encode_frame
from sekisho.core.ledger.merkle import leaf_hash, verify_consistency, verify_inclusion
from sekisho.services.audit import Audit
from sekisho.services.journal import Journal
from tests.ledger_doubles import FIRST_SEGMENT, append_flushed, naive_root, numbered, opened

COUNT = 1_000
ENTRIES = numbered(COUNT)
SMALL: dict[str, Any] = {"segment_bytes_max": 10_000, "kept_entries": 0}


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


async def published(disk: SimulatedDisk, **options: Any) -> Journal:
    """A log of several segments and full bundles, all of it published."""
    journal = await opened(disk, **(SMALL | options))
    for begin in range(0, COUNT, 100):
        await append_flushed(journal, *ENTRIES[begin : begin + 100])
    await journal.publish()
    return journal


def flip(disk: SimulatedDisk, path: str, at: int) -> None:
    content = bytearray(disk.files()[path])
    content[at] ^= 1
    disk.corrupt(path, bytes(content))


def test_journal_lets_go_of_published_entries_and_reads_them_again() -> None:
    """Full bundles leave memory; entries, hashes and proofs stay what they were."""

    async def story() -> None:
        journal = await published(SimulatedDisk())
        assert COUNT % 256 == len(journal._sequence._entries)
        assert list(enumerate(ENTRIES)) == list(journal.entries())
        assert (ENTRIES[7], leaf_hash(ENTRIES[7])) == (journal.entry(7), journal.leaf_hash(7))
        leaves = [leaf_hash(entry) for entry in ENTRIES]
        assert naive_root(leaves) == journal.root()
        proof = journal.inclusion_proof(300, 900)
        verify_inclusion(leaves[300], 300, 900, proof, journal.root(900))
        proof = journal.consistency_proof(301, 999)
        verify_consistency(301, journal.root(301), 999, journal.root(999), proof)

    play(story())


def test_journal_keeps_the_newest_entries_and_all_that_is_not_published() -> None:
    """So many published entries as it was told stay, and every unpublished one."""

    async def story() -> None:
        journal = await published(SimulatedDisk(), kept_entries=300)
        assert COUNT - 512 == len(journal._sequence._entries)
        journal = await opened(SimulatedDisk(), **SMALL)
        await append_flushed(journal, *ENTRIES)
        assert COUNT == len(journal._sequence._entries)

    play(story())


def test_journal_opening_reads_nothing_that_full_tiles_hold() -> None:
    """Of a long log the last segments and the edge of the tree are read, and it goes on."""

    async def story() -> None:
        disk = SimulatedDisk()
        before = await published(disk)
        await append_flushed(before, *numbered(5, COUNT))
        disk.operations.clear()
        again = await opened(disk, **SMALL)
        read = [name for name in disk.operations if name.startswith("read ")]
        segments = await disk.list("journal")
        first = max(name for name in segments if int(name[:20]) <= COUNT // 256 * 256)
        later = [f"read journal/{name}" for name in segments if name >= first]
        assert ["read checkpoint", "read tile/1/000.p/3", *later] == read
        assert (COUNT + 5, before.root()) == (again.size, again.root())
        assert [*ENTRIES, *numbered(5, COUNT)] == [entry for _, entry in again.entries()]
        await append_flushed(again, b"more")
        await again.close()
        assert (COUNT + 6, b"more") == ((last := await opened(disk)).size, last.entry(COUNT + 5))

    play(story())


@pytest.mark.parametrize("change", ["gone", "changed", "cut"])
def test_journal_without_its_edge_tile_opens_from_the_whole_journal(change: str) -> None:
    """Partial tiles only spare reading: without them everything is read, and kept."""

    async def story() -> None:
        disk = SimulatedDisk()
        before = await published(disk)
        edge = "tile/1/000.p/3"
        content = disk.files()[edge]
        disk.remove(edge)
        if change != "gone":
            disk.corrupt(edge, content[:-1] if change == "cut" else bytes(32) + content[32:])
        again = await opened(disk, **SMALL)
        assert before.root() == again.root()
        assert COUNT == len(again._sequence._entries)
        disk.remove("tile/entries/000")
        assert ENTRIES == [entry for _, entry in again.entries()]

    play(story())


def test_journal_short_of_its_full_tiles_is_refused() -> None:
    """A journal that ends before what tiles hold was cut, even if its checkpoint is whole."""

    async def story() -> None:
        disk = SimulatedDisk()
        await published(disk)
        for name in (await disk.list("journal"))[1:]:
            disk.remove(f"journal/{name}")
        before = disk.files()
        with pytest.raises(VerificationFailed, match="the journal holds 200: entry 200 and what"):
            await opened(disk, **SMALL)
        assert before == disk.files()

    play(story())


def test_journal_missing_segment_among_those_read_is_refused() -> None:
    """A gap between two segments is named by the entry that should come."""

    async def story() -> None:
        disk = SimulatedDisk()
        journal = await published(disk)
        await append_flushed(journal, *numbered(300, COUNT))
        await append_flushed(journal, b"z")
        names = await disk.list("journal")
        disk.remove(f"journal/{names[-2]}")
        with pytest.raises(VerificationFailed, match="should begin with entry"):
            await opened(disk, **SMALL)

    play(story())


@pytest.mark.parametrize("path", ["tile/entries/000", "tile/0/000"])
def test_journal_changed_stored_entry_is_never_given_out(path: str) -> None:
    """What is read is compared with the tree; a difference names the file and ends the journal."""

    async def story() -> None:
        disk = SimulatedDisk()
        journal = await published(disk)
        flip(disk, path, 9)
        with pytest.raises(VerificationFailed, match=path):
            journal.entry(0)
        assert isinstance(journal.failed, VerificationFailed)
        with pytest.raises(StorageFailed):
            journal.append(b"more")

    play(story())


def test_journal_changed_entry_is_named() -> None:
    """The message says which entry differs."""

    async def story() -> None:
        disk = SimulatedDisk()
        journal = await published(disk)
        flip(disk, "tile/entries/000", disk.files()["tile/entries/000"].index(b"entry 17") + 6)
        with pytest.raises(VerificationFailed, match="entry 17 is not what was published"):
            journal.entry(3)
        disk.remove("tile/entries/001")
        with pytest.raises(VerificationFailed, match="was published and is gone"):
            journal.entry(256)

    play(story())


def test_journal_read_that_fails_is_no_verdict() -> None:
    """A disk that does not answer now says nothing of the log: it goes on, and may answer later."""

    async def story() -> None:
        disk = SimulatedDisk()
        journal = await published(disk)
        disk.fail("read_range", "tile/entries/")
        with pytest.raises(StorageFailed):
            journal.entry(0)
        assert (None, ENTRIES[0]) == (journal.failed, journal.entry(0))

    play(story())


# ------------------------------------------------------------------------------------- the audit


async def audited(disk: SimulatedDisk) -> tuple[Audit, Journal]:
    journal = await opened(disk, **SMALL)
    audit = Audit(disk, journal, SteppedClock(10**18), pause_seconds=0)
    await audit.run()
    return audit, journal


def test_audit_of_a_whole_log_checks_every_entry() -> None:
    """Published or not, each durable entry is read once; the journal goes on."""

    async def story() -> None:
        disk = SimulatedDisk()
        await append_flushed(await published(disk), b"x" * 60_000, *numbered(3, COUNT))
        audit, journal = await audited(disk)
        assert (COUNT + 4, True, None) == (audit.checked, audit.complete, journal.failed)

    play(story())


def test_audit_finds_an_entry_that_was_changed_in_an_old_segment() -> None:
    """Opening does not read it; the audit names it, and the journal fails for good."""

    async def story() -> None:
        disk = SimulatedDisk()
        await published(disk)
        whole = disk.files()[FIRST_SEGMENT]
        frame = encode_frame(42, 0, ENTRIES[42])
        forged = encode_frame(42, 0, b"entry !!")
        assert whole.count(frame) == 1
        disk.corrupt(FIRST_SEGMENT, whole.replace(frame, forged))
        audit, journal = await audited(disk)
        assert (42, False) == (audit.checked, audit.complete)
        assert "entry 42 is not the one that was published" in str(journal.failed)
        with pytest.raises(StorageFailed):
            journal.append(b"more")

    play(story())


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda disk: flip(disk, FIRST_SEGMENT, 40), "entry 1 is damaged"),
        (lambda disk: disk.corrupt(FIRST_SEGMENT, disk.files()[FIRST_SEGMENT][:-1]), "entry 199"),
        (lambda disk: disk.remove("journal/00000000000000000200.frames"), "begin with entry 200"),
        (lambda disk: flip(disk, "tile/entries/001", 40), "entry 25"),
        (lambda disk: flip(disk, "tile/0/002", 40), "tile/0/002"),
        (lambda disk: disk.remove("tile/entries/002"), "tile/entries/002 was published"),
    ],
)
def test_audit_names_what_is_damaged_and_ends_the_journal(damage: Any, found: str) -> None:
    """Segments, bundles and tiles: all of them are read, each difference is named."""

    async def story() -> None:
        disk = SimulatedDisk()
        await published(disk)
        damage(disk)
        audit, journal = await audited(disk)
        assert found in str(journal.failed)
        assert not audit.complete

    play(story())


def test_audit_that_cannot_read_now_condemns_nothing() -> None:
    """A read that fails leaves the audit incomplete and the journal at work."""

    async def story() -> None:
        disk = SimulatedDisk()
        await published(disk)
        disk.fail("read_range", "journal/")
        audit, journal = await audited(disk)
        assert (False, None) == (audit.complete, journal.failed)

    play(story())
