# SPDX-License-Identifier: Apache-2.0
"""The EntryStore port's contract, on SQLite and on PostgreSQL (docs/spec/stores.md)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from sekisho.adapters.stores import migrations
from sekisho.adapters.stores.postgres import PostgresStore
from sekisho.adapters.stores.sqlite import SqliteStore
from sekisho.core.errors import ConfigurationInvalid, StorageFailed, TermLost, Unavailable
from sekisho.core.identity.claims import LogClaim
from sekisho.storeports import EntryStore, LogHead, Term
from tests.postgres_server import require_postgres, server

LOG = "authority.example/acme"
Story = Callable[[EntryStore], Awaitable[None]]


class Place:
    """Where stores of one kind are opened again and again."""

    def __init__(self, kind: str, path: Path) -> None:
        self.kind = kind
        self.path = path / "authority.db"
        self.url = ""
        if kind == "postgres":
            require_postgres()
            self.url = server().database()

    async def open(self) -> EntryStore:
        """One more process's view of the same store."""
        if self.kind == "sqlite":
            return await SqliteStore.open(self.path)
        return await PostgresStore.open(self.url)

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[EntryStore]:
        """The same, closed at the end."""
        store = await self.open()
        try:
            yield store
        finally:
            await store.close()

    def play(self, story: Story) -> None:
        """Run a story on the store."""

        async def run() -> None:
            async with self.opened() as store:
                await story(store)

        asyncio.run(run())


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A new, empty store of each kind."""
    return Place(request.param, tmp_path)


def test_store_new_log_is_empty_and_nobodys(place: Place) -> None:
    """A log that nobody took has no size, no term and no writer."""

    async def story(store: EntryStore) -> None:
        assert await store.head(LOG) == LogHead(size=0, term=0, writer="", address="")
        assert await store.entries(LOG, 0, 10) == []
        assert await store.checkpoint(LOG) == b""

    place.play(story)


def test_store_entries_stand_in_order_and_survive_a_reopening(place: Place) -> None:
    """What append acknowledged is there in order, also for the next process."""

    async def story() -> None:
        async with place.opened() as store:
            term = await store.take(LOG, "one", "unix:/one")
            await store.append(term, 0, [b"a", b"\x00\xff"], [])
            await store.append(term, 2, [b"c"], [])
        async with place.opened() as store:
            assert await store.entries(LOG, 0, 10) == [b"a", b"\x00\xff", b"c"]
            assert await store.entries(LOG, 1, 1) == [b"\x00\xff"]
            assert await store.head(LOG) == LogHead(
                size=3, term=term.number, writer="one", address="unix:/one"
            )

    asyncio.run(story())


def test_store_logs_do_not_mix(place: Place) -> None:
    """Two logs have their own sizes, terms, entries, claims and checkpoints."""

    async def story(store: EntryStore) -> None:
        claim = LogClaim(kind="active", name="bot")
        for log, entry in ((LOG, b"a"), ("authority.example/other", b"b")):
            term = await store.take(log, "one", "")
            await store.append(term, 0, [entry], [claim])
            await store.keep_checkpoint(term, 1, entry)
        assert await store.entries(LOG, 0, 10) == [b"a"]
        assert await store.entries("authority.example/other", 0, 10) == [b"b"]
        assert await store.checkpoint(LOG) == b"a"

    place.play(story)


def test_store_append_at_another_size_writes_nothing(place: Place) -> None:
    """A writer that is wrong about the size is refused, before and behind the end."""

    async def story(store: EntryStore) -> None:
        term = await store.take(LOG, "one", "")
        await store.append(term, 0, [b"a"], [])
        for start in (0, 2):
            with pytest.raises(StorageFailed, match="1 entries"):
                await store.append(term, start, [b"b"], [LogClaim(kind="key", name="k")])
        assert await store.entries(LOG, 0, 10) == [b"a"]
        await store.append(term, 1, [b"b"], [LogClaim(kind="key", name="k")])

    place.play(story)


def test_store_claim_is_taken_once_and_takes_its_entries_along(place: Place) -> None:
    """A second claim writes neither entry nor other claims; given back, it may be taken again."""
    active = LogClaim(kind="active", name="bot")

    async def story(store: EntryStore) -> None:
        term = await store.take(LOG, "one", "")
        await store.append(term, 0, [b"a"], [active])
        with pytest.raises(StorageFailed, match="active 'bot' is taken"):
            await store.append(term, 1, [b"b"], [LogClaim(kind="key", name="k"), active])
        assert (await store.head(LOG)).size == 1
        back = LogClaim(kind="active", name="bot", taken=False)
        await store.append(term, 1, [b"b"], [LogClaim(kind="key", name="k"), back, active])
        with pytest.raises(StorageFailed, match="key 'k' is taken"):
            await store.append(term, 2, [b"c"], [LogClaim(kind="key", name="k")])

    place.play(story)


def test_store_older_term_writes_nothing(place: Place) -> None:
    """Whoever took the log before writes neither entries nor checkpoints, and is told why."""

    async def story(store: EntryStore) -> None:
        older = await store.take(LOG, "one", "")
        newer = await store.take(LOG, "two", "")
        assert newer.number > older.number
        with pytest.raises(TermLost):
            await store.append(older, 0, [b"a"], [])
        with pytest.raises(TermLost):
            await store.keep_checkpoint(older, 0, b"note")
        with pytest.raises(TermLost):
            await store.renew(older)
        await store.renew(newer)
        await store.append(newer, 0, [b"b"], [])
        assert await store.entries(LOG, 0, 10) == [b"b"]
        assert await store.checkpoint(LOG) == b""

    place.play(story)


def test_store_newest_checkpoint_is_kept(place: Place) -> None:
    """The last one replaces the one before, and survives a reopening."""

    async def story() -> None:
        async with place.opened() as store:
            term = await store.take(LOG, "one", "")
            await store.append(term, 0, [b"a", b"b"], [])
            await store.keep_checkpoint(term, 1, b"first")
            await store.keep_checkpoint(term, 2, b"second")
        async with place.opened() as store:
            assert await store.checkpoint(LOG) == b"second"

    asyncio.run(story())


def test_store_grown_returns_when_there_is_more(place: Place) -> None:
    """A follower is told of an append; one that knows all of it waits no longer than it said."""

    async def story(store: EntryStore) -> None:
        term = await store.take(LOG, "one", "")
        waiting = asyncio.ensure_future(store.grown(LOG, 0, 30.0))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await store.append(term, 0, [b"a"], [])
        await asyncio.wait_for(waiting, 5.0)
        await asyncio.wait_for(store.grown(LOG, 0, 30.0), 5.0)
        await asyncio.wait_for(store.grown(LOG, 1, 0.01), 5.0)

    place.play(story)


def test_store_closed_answers_nothing(place: Place) -> None:
    """A closed store neither reads nor writes; closing again does nothing."""

    async def story() -> None:
        store = await place.open()
        term = await store.take(LOG, "one", "")
        await store.close()
        await store.close()
        with pytest.raises((Unavailable, StorageFailed)):
            await store.append(term, 0, [b"a"], [])
        with pytest.raises(Unavailable):
            await store.head(LOG)
        async with place.opened() as again:
            assert (await again.head(LOG)).size == 0

    asyncio.run(story())


def test_store_schema_of_another_program_is_refused(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A schema that is newer than the program, or was made by other files, is left alone."""

    async def opens() -> None:
        async with place.opened():
            pass

    asyncio.run(opens())
    asyncio.run(opens())
    real = migrations.migrations("sqlite" if place.kind == "sqlite" else "postgres")
    changed = (real[0]._replace(sha256="0" * 64), *real[1:])
    monkeypatch.setattr(migrations, "migrations", lambda _: changed)
    with pytest.raises(ConfigurationInvalid, match="made by another file"):
        asyncio.run(opens())
    monkeypatch.setattr(migrations, "migrations", lambda _: (real[0]._replace(version=7),))
    with pytest.raises(ConfigurationInvalid, match="has version 1, this program knows 7"):
        asyncio.run(opens())


def test_sqlite_store_is_one_processs(tmp_path: Path) -> None:
    """A second opening of the file is refused for as long as the first holds it."""
    place = Place("sqlite", tmp_path)

    async def story(_: EntryStore) -> None:
        with pytest.raises(StorageFailed, match="in use by another process"):
            await place.open()

    place.play(story)
    place.play(lambda store: store.grown(LOG, 0, 0.0))


def test_postgres_store_living_writer_keeps_its_log(tmp_path: Path) -> None:
    """Another process gets the log when the writer's is gone, and not before."""
    place = Place("postgres", tmp_path)

    async def story() -> None:
        one, two = await place.open(), await place.open()
        try:
            term = await one.take(LOG, "one", "unix:/one")
            with pytest.raises(Unavailable, match="'one' writes this log and lives"):
                await two.take(LOG, "two", "")
            await one.append(term, 0, [b"a"], [])
            await one.close()
            taken = await _until_taken(two)
            assert (taken.size, taken.number) == (1, term.number + 1)
        finally:
            await one.close()
            await two.close()

    asyncio.run(story())


async def _until_taken(store: EntryStore) -> Term:
    """The server needs a moment to see that a connection ended."""
    for _ in range(100):
        try:
            return await store.take(LOG, "two", "")
        except Unavailable:
            await asyncio.sleep(0.01)
    raise AssertionError("the log of a dead writer was not given to another")


def test_postgres_store_writer_that_hangs_is_replaced_and_fenced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that renews no more loses its log though its connection stands, and cannot write."""
    monkeypatch.setattr("sekisho.adapters.stores.postgres.LIVES_S", 0.2)
    place = Place("postgres", tmp_path)

    async def story() -> None:
        async with place.opened() as hung, place.opened() as next_one:
            old = await hung.take(LOG, "hung", "")
            await asyncio.sleep(0.1)
            await hung.renew(old)
            with pytest.raises(Unavailable):
                await next_one.take(LOG, "next", "")
            await asyncio.sleep(0.3)
            new = await next_one.take(LOG, "next", "")
            with pytest.raises(TermLost):
                await hung.append(old, 0, [b"late"], [])
            with pytest.raises(Unavailable, match="'next' writes this log"):
                await hung.take(LOG, "hung", "")
            await next_one.append(new, 0, [b"a"], [])
            assert await hung.entries(LOG, 0, 10) == [b"a"]

    asyncio.run(story())


def test_postgres_store_tells_followers_in_other_processes(tmp_path: Path) -> None:
    """What one store appends wakes a follower at another."""
    place = Place("postgres", tmp_path)

    async def story() -> None:
        async with place.opened() as writer, place.opened() as follower:
            term = await writer.take(LOG, "one", "")
            waiting = asyncio.ensure_future(follower.grown(LOG, 0, 30.0))
            await asyncio.sleep(0.1)
            await writer.append(term, 0, [b"a"], [])
            await asyncio.wait_for(waiting, 5.0)
            assert await follower.entries(LOG, 0, 10) == [b"a"]

    asyncio.run(story())


def test_postgres_store_server_that_does_not_sync_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that acknowledges before it syncs would lose what was told."""
    place = Place("postgres", tmp_path)

    async def story() -> None:
        import asyncpg

        real = asyncpg.Connection.fetchval

        async def fetchval(self: object, query: str, *values: object, **options: object) -> object:
            found = await real(self, query, *values, **options)
            return "off" if query == "SHOW fsync" else found

        monkeypatch.setattr(asyncpg.Connection, "fetchval", fetchval)
        with pytest.raises(ConfigurationInvalid, match="fsync off"):
            await place.open()

    asyncio.run(story())
