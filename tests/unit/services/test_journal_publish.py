# SPDX-License-Identifier: Apache-2.0
"""Publishing a log: what a stranger can verify, and what is never signed."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.adapters.simulated_disk import SimulatedDisk
from sekisho.core.errors import (
    OutcomeUnknown,
    StorageFailed,
    Unavailable,
    VerificationFailed,
)
from sekisho.core.ledger.checkpoint import verify_checkpoint
from sekisho.core.ledger.merkle import leaf_hash, verify_consistency, verify_inclusion
from sekisho.core.ledger.tiles import Tile, encode_bundle
from tests.ledger_doubles import (
    KEY,
    SoftwareSigner,
    append_flushed,
    naive_root,
    numbered,
    opened,
    read_log,
)


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 600])
def test_journal_publish_lets_a_stranger_read_the_whole_log(size: int) -> None:
    """Checkpoint, tiles and bundles verify and hold every durable entry."""

    async def story() -> None:
        disk = SimulatedDisk()
        journal = await opened(disk)
        entries = numbered(size)
        if entries:
            await append_flushed(journal, *entries)
        note = await journal.publish()
        assert note == disk.files()["checkpoint"] == journal.checkpoint
        checkpoint, read = read_log(disk.files().__getitem__, KEY)
        assert read == entries
        assert checkpoint.size == journal.published_size == size
        assert checkpoint.root_hash == journal.root() == naive_root([leaf_hash(e) for e in entries])

    play(story())


def test_journal_publish_covers_only_durable_entries() -> None:
    """An entry that a crash may still take is in no checkpoint."""

    async def story() -> None:
        disk = SimulatedDisk()
        journal = await opened(disk)
        await append_flushed(journal, b"durable")
        journal.append(b"sequenced")
        await journal.publish()
        assert journal.published_size == 1

    play(story())


def test_journal_publish_writes_each_file_once_and_keeps_old_partials() -> None:
    """Partial tiles of every checkpoint stay; unchanged files are not touched."""

    async def story() -> None:
        disk = SimulatedDisk()
        journal = await opened(disk)
        for step in (3, 4, 300):
            await append_flushed(journal, *numbered(step))
            await journal.publish()
        files = disk.files()
        assert {"tile/0/000.p/3", "tile/0/000.p/7", "tile/0/000", "tile/0/001.p/51"} <= set(files)
        assert {"tile/1/000.p/1", "tile/entries/000.p/3", "tile/entries/000"} <= set(files)
        disk.operations.clear()
        before = await journal.publish()
        assert disk.operations == []
        assert before == journal.checkpoint

    play(story())


def test_journal_proofs_verify_against_published_checkpoints() -> None:
    """Inclusion and consistency, as the evidence will carry them."""

    async def story() -> None:
        journal = await opened(SimulatedDisk())
        await append_flushed(journal, *numbered(5))
        old, _ = verify_checkpoint(await journal.publish(), KEY)
        await append_flushed(journal, *numbered(6))
        new, _ = verify_checkpoint(await journal.publish(), KEY)
        proof = journal.consistency_proof(5, 11)
        verify_consistency(old.size, old.root_hash, new.size, new.root_hash, proof)
        inclusion = journal.inclusion_proof(7, 11)
        verify_inclusion(leaf_hash(b"entry 2"), 7, 11, inclusion, new.root_hash)

    play(story())


def test_journal_signer_away_publishes_nothing_and_may_be_asked_again() -> None:
    """A signer that does not answer is no failure of the disk."""

    async def story() -> None:
        disk, signer = SimulatedDisk(), SoftwareSigner()
        journal = await opened(disk, signer=signer)
        await append_flushed(journal, b"x")
        signer.away = True
        with pytest.raises(Unavailable):
            await journal.publish()
        assert "checkpoint" not in disk.files()
        assert journal.failed is None
        signer.away = False
        await journal.publish()
        assert read_log(disk.files().__getitem__, KEY)[1] == [b"x"]

    play(story())


def test_journal_signature_that_does_not_verify_is_never_published() -> None:
    """Our own signature is checked before anyone else can see it."""

    async def story() -> None:
        disk, signer = SimulatedDisk(), SoftwareSigner()
        journal = await opened(disk, signer=signer)
        await append_flushed(journal, b"x")
        signer.lies = True
        with pytest.raises(VerificationFailed):
            await journal.publish()
        assert "checkpoint" not in disk.files()
        assert isinstance(journal.failed, VerificationFailed)

    play(story())


@pytest.mark.parametrize(
    "path", ["tile/0/000", "tile/entries/000", "tile/1/000.p/1", "tile/0/001.p/44"]
)
def test_journal_stored_file_with_a_flipped_bit_is_never_signed(path: str) -> None:
    """What is on the disk is read back and hashed before it is signed."""

    async def story() -> None:
        disk = SimulatedDisk()
        journal = await opened(disk)
        await append_flushed(journal, *numbered(300))

        async def point(name: str) -> None:
            if name == f"read {path}:before":
                content = bytearray(disk.files()[path])
                content[40 % len(content)] ^= 1
                disk.corrupt(path, bytes(content))
                disk.point = None

        disk.point = point
        with pytest.raises(VerificationFailed):
            await journal.publish()
        assert disk.point is None
        assert "checkpoint" not in disk.files()

    play(story())


@pytest.mark.parametrize(
    ("size", "width", "match"),
    [(1, 1, "stored tiles and the journal disagree"), (256, 256, "the tile above it disagree")],
)
def test_journal_stored_entry_and_hash_changed_alike_are_never_signed(
    size: int, width: int, match: str
) -> None:
    """An entry and its stored hash that agree with each other, but not with the journal."""

    async def story() -> None:
        disk = SimulatedDisk()
        journal = await opened(disk)
        await append_flushed(journal, *numbered(size))
        tile = Tile(0, 0, width)
        other = [b"entry X", *numbered(size)[1:]]

        async def point(name: str) -> None:
            if name == f"read {tile.path}:before":
                disk.corrupt(tile.path, b"".join(leaf_hash(entry) for entry in other))
                disk.corrupt(tile.entries_path, encode_bundle(other))

        disk.point = point
        with pytest.raises(VerificationFailed, match=match):
            await journal.publish()
        assert "checkpoint" not in disk.files()

    play(story())


def test_journal_published_edge_tile_that_vanished_stops_publishing() -> None:
    """A root is derived from stored tiles; one that is gone is named."""

    async def story() -> None:
        disk = SimulatedDisk()
        journal = await opened(disk)
        await append_flushed(journal, *numbered(300))
        await journal.publish()
        disk.remove("tile/1/000.p/1")
        await append_flushed(journal, b"x")
        with pytest.raises(VerificationFailed, match=r"tile/1/000\.p/1 was published and is gone"):
            await journal.publish()

    play(story())


def test_journal_tree_that_forgot_what_it_published_is_never_signed() -> None:
    """A root that does not continue the last checkpoint is not signed, even if tiles agree."""

    async def story() -> None:
        disk = SimulatedDisk()
        journal = await opened(disk)
        await append_flushed(journal, *numbered(256))
        await journal.publish()
        for height, level in enumerate(journal._sequence.tree._levels):
            level[-32:] = bytes(32) if height == 8 else level[-32:]
        disk.corrupt("tile/1/000.p/1", bytes(32))
        await append_flushed(journal, b"x")
        with pytest.raises(VerificationFailed, match="does not continue"):
            await journal.publish()

    play(story())


def test_journal_existing_tile_with_other_content_is_never_overwritten() -> None:
    """A different file under a name that should be ours means a fork."""

    async def story() -> None:
        disk = SimulatedDisk()
        journal = await opened(disk)
        await append_flushed(journal, b"x")
        disk.corrupt("tile/entries/000.p/1", b"\x00\x01y")
        with pytest.raises(VerificationFailed, match=r"tile/entries/000\.p/1 exists"):
            await journal.publish()
        assert disk.files()["tile/entries/000.p/1"] == b"\x00\x01y"
        with pytest.raises(StorageFailed):
            journal.append(b"y")

    play(story())


def test_journal_failed_publish_write_fails_the_journal() -> None:
    """A disk that refuses a tile is not trusted with an entry."""

    async def story() -> None:
        disk = SimulatedDisk()
        journal = await opened(disk)
        await append_flushed(journal, b"x")
        disk.fail("sync", "tile/")
        with pytest.raises(OutcomeUnknown):
            await journal.publish()
        with pytest.raises(StorageFailed):
            journal.append(b"y")

    play(story())


def test_journal_checkpoint_is_due_after_256_entries_or_one_second() -> None:
    """Just inside and at both limits."""

    async def story() -> None:
        clock = SteppedClock(10**18)
        journal = await opened(SimulatedDisk(), clock)
        assert not journal.checkpoint_due()
        await append_flushed(journal, *numbered(255))
        assert not journal.checkpoint_due()
        await append_flushed(journal, b"x")
        assert journal.checkpoint_due()
        await journal.publish()
        assert not journal.checkpoint_due()
        clock.advance(5)
        assert not journal.checkpoint_due()
        await append_flushed(journal, b"x")
        clock.advance(0.999_999)
        await append_flushed(journal, b"y")
        assert not journal.checkpoint_due()
        clock.advance(0.000_001)
        assert journal.checkpoint_due()

    play(story())


def test_journal_checkpoint_is_due_for_what_became_durable_while_publishing() -> None:
    """Entries that a checkpoint just missed have their own second, without another append."""

    async def story() -> None:
        disk, clock = SimulatedDisk(), SteppedClock(10**18)
        journal = await opened(disk, clock)
        await append_flushed(journal, b"x")

        async def point(name: str) -> None:
            if name == "replace checkpoint:before":
                await append_flushed(journal, b"y")

        disk.point = point
        await journal.publish()
        assert (journal.published_size, journal.durable_size) == (1, 2)
        assert not journal.checkpoint_due()
        clock.advance(1)
        assert journal.checkpoint_due()

    play(story())


def test_journal_run_publishes_in_time_and_asks_an_absent_signer_again() -> None:
    """In the background: within a second and a look; again when the signer is back."""

    async def story() -> None:
        clock, signer, disk = SteppedClock(10**18), SoftwareSigner(), SimulatedDisk()
        journal = await opened(disk, clock, signer=signer)
        running = asyncio.create_task(journal.run())
        await append_flushed(journal, b"x")
        await clock.play(0.9)
        assert journal.published_size == 0
        await clock.play(0.2)
        assert journal.published_size == 1
        signer.away = True
        await append_flushed(journal, b"y")
        await clock.play(3)
        assert journal.published_size == 1
        signer.away = False
        await clock.play(0.2)
        assert journal.published_size == 2
        await append_flushed(journal, *numbered(300))
        await clock.play(0.1)
        assert journal.published_size == 302
        await journal.close()
        await asyncio.wait_for(running, 1)

    play(story())


def test_journal_run_of_a_failed_journal_raises() -> None:
    """The background publisher does not go silent."""

    async def story() -> None:
        disk = SimulatedDisk()
        journal = await opened(disk)
        running = asyncio.create_task(journal.run())
        disk.fail("append")
        with pytest.raises(StorageFailed):
            await journal.flushed(journal.append(b"x"))
        with pytest.raises(StorageFailed):
            await running

    play(story())


def test_journal_close_flushes_publishes_and_takes_nothing_more() -> None:
    """After closing, all is published; closing again is harmless."""

    async def story() -> None:
        disk = SimulatedDisk()
        journal = await opened(disk)
        journal.append(b"x")
        await journal.close()
        await journal.close()
        assert read_log(disk.files().__getitem__, KEY)[1] == [b"x"]
        with pytest.raises(StorageFailed):
            journal.append(b"y")

    play(story())
