# SPDX-License-Identifier: Apache-2.0
"""The ControlTables port's contract, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sekisho.adapters.stores.control import DatabaseControl
from sekisho.adapters.stores.postgres import PostgresStore
from sekisho.adapters.stores.sqlite import SqliteStore
from sekisho.core.errors import StorageFailed
from sekisho.storeports import ApiKey, ControlTables, KeptAnswer, KeptNote
from tests.postgres_server import require_postgres, server

AT = "2026-11-02T08:00:00.000000000Z"
LATER = "2026-11-03T08:00:00.000000000Z"
Story = Callable[[ControlTables], Awaitable[None]]
Play = Callable[[Story], None]


@pytest.fixture(params=["sqlite", "postgres"])
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Play:
    """Run a story on new, empty tables of each kind."""
    url = ""
    if request.param == "postgres":
        require_postgres()
        url = server().database()

    async def run(story: Story) -> None:
        store: SqliteStore | PostgresStore
        store = await (PostgresStore.open(url) if url else SqliteStore.open(tmp_path / "c.db"))
        try:
            await story(DatabaseControl(store.fetch))
        finally:
            await store.close()

    return lambda story: asyncio.run(run(story))


def key(name: str, operator: str = "acme") -> ApiKey:
    return ApiKey(
        id=name,
        operator=operator,
        role="auditor",
        seat="",
        secret_sha256="0" * 64,
        made_at=AT,
        expires_at=LATER,
        ended_at="",
    )


def test_control_keys_are_kept_listed_by_operator_and_ended_once(play: Play) -> None:
    """A key reads back; a list holds its operator's alone; the first end stays."""

    async def story(tables: ControlTables) -> None:
        for one in (key("b"), key("a"), key("c"), key("x", "other")):
            await tables.add_key(one)
        assert await tables.key("b") == key("b")
        assert await tables.key("nobody") is None
        assert [one.id for one in await tables.keys("acme", "", 2)] == ["a", "b"]
        assert [one.id for one in await tables.keys("acme", "b", 2)] == ["c"]
        with pytest.raises(StorageFailed, match="a key 'a' already"):
            await tables.add_key(key("a", "other"))
        assert (await tables.key("a")) == key("a")
        for at in (AT, LATER):
            ended = await tables.end_key("a", at)
            assert ended is not None
            assert ended.ended_at == AT
        assert await tables.end_key("nobody", AT) is None

    play(story)


def test_control_answer_is_begun_once_and_repeated(play: Play) -> None:
    """Of many that ask at once one begins; afterwards each gets what was kept."""

    async def story(tables: ControlTables) -> None:
        begun = await asyncio.gather(
            *(tables.begin_answer("one", "k", "d1", AT) for _ in range(20))
        )
        open_answer = KeptAnswer(request_sha256="d1", status=0, media_type="", body=b"")
        assert sorted(begun, key=bool) == [None, *[open_answer] * 19]
        done = KeptAnswer(request_sha256="d1", status=201, media_type="a/b", body=b"\x00{}")
        await tables.keep_answer("one", "k", done)
        assert await tables.begin_answer("one", "k", "d2", AT) == done
        assert await tables.begin_answer("two", "k", "d2", AT) is None
        await tables.forget_answer("two", "k")
        assert await tables.begin_answer("two", "k", "d3", AT) is None
        assert await tables.begin_answer("one", "k2", "d2", LATER) is None

    play(story)


def test_control_old_answers_are_forgotten(play: Play) -> None:
    """What was begun before an instant may be begun again; later ones stay."""

    async def story(tables: ControlTables) -> None:
        assert await tables.begin_answer("one", "old", "d", AT) is None
        assert await tables.begin_answer("one", "new", "d", LATER) is None
        assert await tables.forget_answers(LATER) == 1
        assert await tables.begin_answer("one", "old", "d", LATER) is None
        assert await tables.begin_answer("one", "new", "d", LATER) is not None

    play(story)


def test_control_notes_are_kept_by_operator_and_erased_for_good(play: Play) -> None:
    """A note reads back for its operator alone; erased, salt and text are gone, once."""

    async def story(tables: ControlTables) -> None:
        salt, one, other = b"\x00\xff" * 16, "a" * 64, "b" * 64
        note = KeptNote(operator="acme", commitment=one, salt=salt, text="ärger \x00")
        second = KeptNote(operator="acme", commitment=other, salt=salt, text="")
        await tables.add_note(note)
        await tables.add_note(second)
        await tables.add_note(KeptNote(operator="acme", commitment=one, salt=b"", text="x"))
        assert [] == await tables.notes("acme", [])
        found = await tables.notes("acme", [one, other, "c" * 64])
        assert [note, second] == sorted(found, key=lambda each: each.commitment)
        assert [] == await tables.notes("beta", [one])
        assert not await tables.erase_note("beta", one, AT)
        assert [note] == await tables.notes("acme", [one])
        for at in (AT, LATER):
            assert await tables.erase_note("acme", one, at)
            erased = KeptNote(operator="acme", commitment=one, salt=b"", text="", erased_at=AT)
            assert [erased] == await tables.notes("acme", [one])
        assert [second] == await tables.notes("acme", [other])

    play(story)
