# SPDX-License-Identifier: Apache-2.0
"""A log in a store: its writer, its followers, and what was put back (docs/spec/stores.md)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.adapters.simulated_disk import SimulatedDisk
from sekisho.adapters.stores.sqlite import SqliteStore
from sekisho.core.errors import (
    AnotherWrites,
    OutcomeUnknown,
    StorageFailed,
    TermLost,
    Unavailable,
    VerificationFailed,
)
from sekisho.core.identity.claims import LogClaim
from sekisho.ports import Disk
from sekisho.services.storejournal import StoreJournal
from sekisho.storeports import EntryStore, Term
from tests.ledger_doubles import KEY, ORIGIN, SoftwareSigner, numbered, read_log


@asynccontextmanager
async def store_at(path: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(path / "authority.db")
    try:
        yield store
    finally:
        await store.close()


async def opened(
    store: EntryStore, disk: SimulatedDisk | None = None, anchor: Disk | None = None
) -> StoreJournal:
    return await StoreJournal.open_in(
        store,
        disk or SimulatedDisk(),
        origin=ORIGIN,
        signer=SoftwareSigner(),
        clock=SteppedClock(1_000),
        anchor=anchor,
    )


async def write(journal: StoreJournal, count: int) -> None:
    for entry in numbered(count):
        journal.append(entry)
    await journal.flushed(journal.size - 1)


class Watched:
    """A store that may lose an answer or refuse a checkpoint, and says from where it was read."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.take, self.renew, self.head = store.take, store.renew, store.head
        self.grown, self.checkpoint, self.close = store.grown, store.checkpoint, store.close
        self.read: list[int] = []
        self.answer_lost = False
        self.keeps = True

    async def append(
        self, term: Term, start: int, entries: Sequence[bytes], claims: Sequence[LogClaim]
    ) -> None:
        await self._store.append(term, start, entries, claims)
        if self.answer_lost:
            raise OutcomeUnknown("no answer")

    async def entries(self, log: str, start: int, count: int) -> list[bytes]:
        self.read.append(start)
        return await self._store.entries(log, start, count)

    async def keep_checkpoint(self, term: Term, size: int, note: bytes) -> None:
        if not self.keeps:
            raise StorageFailed("away")
        await self._store.keep_checkpoint(term, size, note)


def test_store_journal_writer_is_followed_and_both_publish_the_same(tmp_path: Path) -> None:
    """A follower reads what the writer wrote; a stranger verifies what each published."""

    async def story() -> None:
        async with store_at(tmp_path) as store:
            disks = SimulatedDisk(), SimulatedDisk()
            writer, follower = await opened(store, disks[0]), await opened(store, disks[1])
            await writer.begin_writing("one", "unix:/one")
            await write(writer, 300)
            assert await follower.catch_up() == 300
            assert (follower.size, follower.durable_size) == (300, 300)
            assert follower.root() == writer.root()
            for journal, disk in zip((writer, follower), disks, strict=True):
                await journal.publish()
                _, entries = read_log(disk.files().__getitem__, KEY)
                assert entries == numbered(300)

    asyncio.run(story())


def test_store_journal_follower_appends_nothing(tmp_path: Path) -> None:
    """Whoever has no term is told that another writes."""

    async def story() -> None:
        async with store_at(tmp_path) as store:
            follower = await opened(store)
            with pytest.raises(AnotherWrites):
                follower.append(b"entry")
            assert (follower.size, follower.writing) == (0, False)

    asyncio.run(story())


def test_store_journal_opens_again_from_its_folder_and_the_store(tmp_path: Path) -> None:
    """What was published is not read from the store again; what follows is."""

    async def story() -> None:
        async with store_at(tmp_path) as store:
            disk = SimulatedDisk()
            journal = await opened(store, disk)
            await journal.begin_writing("one", "")
            await write(journal, 600)
            await journal.publish()
            root = journal.root()
            watched = Watched(store)
            again = await opened(watched, disk)
            assert again.root() == root
            assert again.entry(5) == b"entry 5"
            assert watched.read == [512]

    asyncio.run(story())


def test_store_journal_without_its_folder_reads_all_from_the_store(tmp_path: Path) -> None:
    """A new replica begins with an empty folder and publishes the same log."""

    async def story() -> None:
        async with store_at(tmp_path) as store:
            journal = await opened(store)
            await journal.begin_writing("one", "")
            await write(journal, 1500)
            again = await opened(store)
            assert (again.size, again.root()) == (1500, journal.root())

    asyncio.run(story())


def test_store_journal_writer_that_lost_its_term_fails_for_good(tmp_path: Path) -> None:
    """Nothing that it appends afterwards is acknowledged or written."""

    async def story() -> None:
        async with store_at(tmp_path) as store:
            old, new = await opened(store), await opened(store)
            await old.begin_writing("old", "")
            await write(old, 2)
            await new.begin_writing("new", "")
            index = old.append(b"late")
            with pytest.raises(StorageFailed):
                await old.flushed(index)
            assert isinstance(old.failed, TermLost)
            assert not old.writing
            with pytest.raises(TermLost):
                await (await _with_term_of(store, old)).keep_term()
            assert (await store.head(ORIGIN)).size == 2

    asyncio.run(story())


async def _with_term_of(store: EntryStore, lost: StoreJournal) -> StoreJournal:
    """A journal that believes that it has the term that another lost, and has not failed yet."""
    journal = await opened(store)
    journal._term = lost._term
    return journal


def test_store_journal_claims_go_with_their_entries(tmp_path: Path) -> None:
    """A claim that is taken stops the writer, and its entry is not there."""

    async def story() -> None:
        async with store_at(tmp_path) as store:
            journal = await opened(store)
            await journal.begin_writing("one", "")
            for _ in range(2):
                index = journal.append(b"issued")
                journal.claim(index, [LogClaim(kind="active", name="bot")])
                if index == 0:
                    await journal.flushed(index)
            with pytest.raises(StorageFailed, match="taken already"):
                await journal.flushed(1)
            assert (await store.head(ORIGIN)).size == 1

    asyncio.run(story())


def test_store_journal_unknown_outcome_is_told_as_unknown(tmp_path: Path) -> None:
    """After a commit without an answer the entry may be there; opening again shows it."""

    async def story() -> None:
        async with store_at(tmp_path) as store:
            watched = Watched(store)
            journal = await opened(watched)
            await journal.begin_writing("one", "")
            watched.answer_lost = True
            index = journal.append(b"entry")
            with pytest.raises(OutcomeUnknown):
                await journal.flushed(index)
            with pytest.raises(StorageFailed):
                journal.append(b"more")
            again = await opened(store)
            assert again.entry(0) == b"entry"

    asyncio.run(story())


@pytest.mark.parametrize("place", ["folder", "second place"])
def test_store_journal_older_state_is_refused_before_anything_is_signed(
    tmp_path: Path, place: str
) -> None:
    """A store put back to an older state contradicts what was published or kept elsewhere."""

    async def story() -> None:
        disk, anchor = SimulatedDisk(), SimulatedDisk()
        async with store_at(tmp_path / "now") as store:
            journal = await opened(store, disk, anchor)
            await journal.begin_writing("one", "")
            await write(journal, 10)
            await journal.publish()
        async with store_at(tmp_path / "old") as older:
            term = await older.take(ORIGIN, "one", "")
            await older.append(term, 0, numbered(7), [])
            places = (disk, None) if place == "folder" else (None, anchor)
            with pytest.raises(VerificationFailed, match=r"10 entries|put back"):
                await opened(older, *places)

    asyncio.run(story())


@pytest.mark.parametrize("place", ["folder", "store", "second place"])
def test_store_journal_other_history_is_refused(tmp_path: Path, place: str) -> None:
    """As long, but other entries than those that were signed: a fork, wherever it is kept."""

    async def story() -> None:
        disk, anchor = SimulatedDisk(), SimulatedDisk()
        async with store_at(tmp_path / "now") as store:
            journal = await opened(store, disk, anchor)
            await journal.begin_writing("one", "")
            await write(journal, 10)
            note = await journal.publish()
        async with store_at(tmp_path / "old") as other:
            term = await other.take(ORIGIN, "one", "")
            await other.append(term, 0, [*numbered(9), b"another"], [])
            if place == "store":
                await other.keep_checkpoint(term, 10, note)
            with pytest.raises(VerificationFailed, match="changed or forked"):
                await opened(
                    other,
                    disk if place == "folder" else None,
                    anchor if place == "second place" else None,
                )

    asyncio.run(story())


def test_store_journal_store_put_back_while_open_is_noticed(tmp_path: Path) -> None:
    """A follower that knows more than the store holds fails."""

    async def story() -> None:
        async with store_at(tmp_path / "now") as store:
            writer = await opened(store)
            await writer.begin_writing("one", "")
            await write(writer, 3)
            follower = await opened(store)
        async with store_at(tmp_path / "old") as older:
            follower._store = older
            with pytest.raises(VerificationFailed, match="held 3 before"):
                await follower.catch_up()
            assert follower.failed is not None

    asyncio.run(story())


def test_store_journal_checkpoint_not_kept_is_kept_later(tmp_path: Path) -> None:
    """A store that does not take the checkpoint is asked again; the log goes on."""

    async def story() -> None:
        async with store_at(tmp_path) as store:
            watched = Watched(store)
            journal = await opened(watched)
            await journal.begin_writing("one", "")
            await write(journal, 1)
            watched.keeps = False
            with pytest.raises(Unavailable):
                await journal.publish()
            watched.keeps = True
            note = await journal.publish()
            assert await store.checkpoint(ORIGIN) == note

    asyncio.run(story())
