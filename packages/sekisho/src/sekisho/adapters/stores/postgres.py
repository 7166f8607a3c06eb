# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL as the EntryStore port, for several replicas (docs/spec/stores.md).

A pool serves the transactions. One connection of its own, the *session*, listens and holds the
advisory locks of the logs that this process writes: they end with it. Neither is what keeps two
writers apart: each append checks the term in the same transaction. asyncpg is imported only where a
store is configured.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from sekisho.adapters.stores.migrations import VERSION_TABLE, to_run
from sekisho.adapters.stores.sqlite import taken_already
from sekisho.core.errors import (
    ConfigurationInvalid,
    OutcomeUnknown,
    StorageFailed,
    TermLost,
    Unavailable,
)
from sekisho.core.identity.claims import LogClaim
from sekisho.storeports import LogHead, Term

CHANNEL = "sekisho"
LIVES_S = 3
"""A writer that has not renewed for so long, by the database's clock, may be replaced."""
CONNECT_S = 3.0
ANSWER_S = 5.0
_POOL_MAX = 8
_MIGRATING = 0x53454B49
"""Advisory lock under which migrations run: one replica at a time."""

_APPEND = (
    "UPDATE logs SET size = $4, renewed = clock_timestamp()"
    " WHERE log = $1 AND term = $2 AND size = $3 RETURNING id"
)
_INSERT = (
    "INSERT INTO entries SELECT $1, $2 + place - 1, entry"
    " FROM unnest($3::bytea[]) WITH ORDINALITY AS given (entry, place)"
)
_TAKE = (
    "UPDATE logs SET term = term + 1, writer = $2, address = $3, locked = $4,"
    " renewed = clock_timestamp()"
    " WHERE log = $1"
    " AND ($4 AND locked OR renewed < clock_timestamp() - make_interval(secs => $5))"
    " RETURNING term, size"
)
"""Who got the lock knows that a writer that had it is gone; of another, only time tells."""
_RENEW = (
    "UPDATE logs SET renewed = clock_timestamp(), locked = $3 WHERE log = $1 AND term = $2"
    " RETURNING id"
)


class PostgresStore:
    """Made by :meth:`open`; belongs to one event loop."""

    def __init__(self, asyncpg: Any, connect: dict[str, Any], where: str) -> None:
        self._asyncpg = asyncpg
        self._connect = connect
        self._where = where
        self._pool: Any = None
        self._session: Any = None
        self._opening = asyncio.Lock()
        self._told = asyncio.Event()
        self._held: set[int] = set()
        self._closed = False

    @classmethod
    async def open(cls, url: str, password: str | None = None) -> PostgresStore:
        """Connect, bring the schema up to date, and see that what is committed is durable.

        Args:
            url: ``postgresql://user@host:port/database`` or with ``?host=/folder``; no password.
            password: from a file.

        Raises:
            ConfigurationInvalid: asyncpg is not installed, the server does not sync, or its schema
                is not one that this program knows.
            Unavailable: nobody answers there.
        """
        try:
            import asyncpg
        except ImportError as error:
            raise ConfigurationInvalid(
                "a postgresql:// store needs asyncpg", "store.url", "install sekisho[postgres]"
            ) from error
        connect: dict[str, Any] = {
            "dsn": url,
            "timeout": CONNECT_S,
            "command_timeout": ANSWER_S,
            "server_settings": {"synchronous_commit": "on", "application_name": "sekisho"},
        }
        if password is not None:
            connect["password"] = password
        store = cls(asyncpg, connect, url.partition("?")[0].rpartition("@")[2])
        try:
            store._pool = await asyncpg.create_pool(min_size=1, max_size=_POOL_MAX, **connect)
            await store._prepare()
        except (OSError, TimeoutError, asyncpg.PostgresError) as error:
            await store.close()
            raise Unavailable(f"{store._where}: {error}", "store.url") from error
        except BaseException:
            await store.close()
            raise
        return store

    async def take(self, log: str, writer: str, address: str) -> Term:
        """As the port says."""
        locked = await self._lock(log)
        with self._answering():
            async with self._pool.acquire() as connection:
                await connection.execute(
                    "INSERT INTO logs (log) VALUES ($1) ON CONFLICT DO NOTHING", log
                )
                row = await connection.fetchrow(_TAKE, log, writer, address, locked, float(LIVES_S))
        if row is None:
            head = await self.head(log)
            raise Unavailable(f"{log}: {head.writer!r} writes this log and lives")
        return Term(log=log, number=row["term"], size=row["size"])

    async def renew(self, term: Term) -> None:
        """As the port says; a session that ended is made again, with its lock if it is free."""
        locked = await self._lock(term.log)
        with self._answering():
            row = await self._pool.fetchval(_RENEW, term.log, term.number, locked)
        if row is None:
            raise _lost(term)

    async def append(
        self, term: Term, start: int, entries: Sequence[bytes], claims: Sequence[LogClaim]
    ) -> None:
        """As the port says; one transaction."""
        if self._closed:
            raise StorageFailed(f"{self._where}: the store is closed")
        committing = False
        try:
            async with self._pool.acquire(timeout=ANSWER_S) as connection:
                transaction = connection.transaction()
                await transaction.start()
                try:
                    await self._write(connection, term, start, entries, claims)
                except BaseException:
                    with contextlib.suppress(OSError, self._asyncpg.InterfaceError):
                        await transaction.rollback()  # a cut connection rolls back by itself
                    raise
                # From here on a failure leaves all of it or nothing, and only reading says which.
                committing = True
                await transaction.commit()
                committing = False
        except (
            OSError,
            TimeoutError,
            self._asyncpg.PostgresError,
            self._asyncpg.InterfaceError,
        ) as error:
            message = f"{self._where}: {term.log}: {error}"
            if committing:
                raise OutcomeUnknown(message) from error
            raise StorageFailed(message) from error

    async def head(self, log: str) -> LogHead:
        """As the port says."""
        with self._answering():
            row = await self._pool.fetchrow(
                "SELECT size, term, writer, address FROM logs WHERE log = $1", log
            )
        return LogHead(size=0, term=0, writer="", address="") if row is None else LogHead(**row)

    async def entries(self, log: str, start: int, count: int) -> list[bytes]:
        """As the port says."""
        with self._answering():
            rows = await self._pool.fetch(
                "SELECT entry FROM entries JOIN logs ON entries.log = logs.id"
                " WHERE logs.log = $1 AND idx >= $2 ORDER BY idx LIMIT $3",
                log,
                start,
                count,
            )
        return [row["entry"] for row in rows]

    async def grown(self, log: str, size: int, seconds: float) -> None:
        """As the port says; what NOTIFY loses is found by the caller's next look."""
        await self._listening()
        told = self._told
        if (await self.head(log)).size > size:
            return
        with contextlib.suppress(TimeoutError):  # looking at nothing new is allowed
            await asyncio.wait_for(told.wait(), seconds)

    async def keep_checkpoint(self, term: Term, size: int, note: bytes) -> None:
        """As the port says."""
        with self._answering(StorageFailed):
            kept = await self._pool.fetchval(
                "INSERT INTO checkpoints SELECT id, $3, $4 FROM logs WHERE log = $1 AND term = $2"
                " ON CONFLICT (log) DO UPDATE SET size = EXCLUDED.size, note = EXCLUDED.note"
                " RETURNING log",
                term.log,
                term.number,
                size,
                note,
            )
        if kept is None:
            raise _lost(term)

    async def checkpoint(self, log: str) -> bytes:
        """As the port says."""
        with self._answering():
            note = await self._pool.fetchval(
                "SELECT note FROM checkpoints JOIN logs ON checkpoints.log = logs.id"
                " WHERE logs.log = $1",
                log,
            )
        return note or b""

    async def fetch(self, query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Run one statement in a transaction of its own; see ``control.Fetch``.

        Raises:
            Unavailable: nothing was changed, or nobody was told that it was.
        """
        with self._answering():
            return [tuple(row) for row in await self._pool.fetch(query, *values)]

    async def close(self) -> None:
        """As the port says; closing again does nothing."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            session.terminate()
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()

    # ------------------------------------------------------------------------------------ inside

    async def _write(
        self,
        connection: Any,
        term: Term,
        start: int,
        entries: Sequence[bytes],
        claims: Sequence[LogClaim],
    ) -> None:
        size = start + len(entries)
        number = await connection.fetchval(_APPEND, term.log, term.number, start, size)
        if number is None:
            row = await connection.fetchrow("SELECT term, size FROM logs WHERE log = $1", term.log)
            if row is None or row["term"] != term.number:
                raise _lost(term)
            raise StorageFailed(f"{term.log}: the log has {row['size']} entries, not {start}")
        await connection.execute(_INSERT, number, start, list(entries))
        for claim in claims:
            if not claim.taken:
                await connection.execute(
                    "DELETE FROM claims WHERE log = $1 AND kind = $2 AND name = $3",
                    number,
                    claim.kind,
                    claim.name,
                )
                continue
            done = await connection.execute(
                "INSERT INTO claims VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                number,
                claim.kind,
                claim.name,
            )
            if done != "INSERT 0 1":
                raise taken_already(claim)
        await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, f"{number} {size}")

    @contextlib.contextmanager
    def _answering(
        self, failure: type[Unavailable | StorageFailed] = Unavailable
    ) -> Iterator[None]:
        """What the driver raises becomes the port's own failure."""
        if self._closed:
            raise failure(f"{self._where}: the store is closed")
        try:
            yield
        except (
            OSError,
            TimeoutError,
            self._asyncpg.PostgresError,
            self._asyncpg.InterfaceError,
        ) as error:
            raise failure(f"{self._where}: {error!r}"[:300]) from error

    async def _listening(self) -> Any:
        """The session, made again where it ended; a lock that it held is then lost."""
        async with self._opening:
            if self._session is None or self._session.is_closed():
                self._held.clear()
                with self._answering():
                    session = await self._asyncpg.connect(**self._connect)
                    await session.add_listener(CHANNEL, self._tell)
                    session.add_termination_listener(lambda _: self._tell())
                self._session = session
        return self._session

    async def _lock(self, log: str) -> bool:
        """Whether this process holds the log's advisory lock now."""
        session, key = await self._listening(), _lock_key(log)
        if key not in self._held:
            with self._answering():
                if await session.fetchval("SELECT pg_try_advisory_lock($1)", key):
                    self._held.add(key)
        return key in self._held

    def _tell(self, *_: Any) -> None:
        told, self._told = self._told, asyncio.Event()
        told.set()

    async def _prepare(self) -> None:
        async with self._pool.acquire() as connection, _alone(connection):
            for name in ("fsync", "full_page_writes"):
                if await connection.fetchval(f"SHOW {name}") != "on":
                    raise ConfigurationInvalid(
                        f"{self._where}: the server has {name} off: what it says is committed may"
                        " be lost",
                        "store.url",
                        f"set {name} = on in postgresql.conf",
                    )
            await connection.execute(VERSION_TABLE)
            ran = {
                row["version"]: row["sha256"]
                for row in await connection.fetch("SELECT version, sha256 FROM schema_version")
            }
            for step in to_run("postgres", ran, self._where):
                async with connection.transaction():
                    await connection.execute(step.sql)
                    await connection.execute(
                        "INSERT INTO schema_version VALUES ($1, $2)", step.version, step.sha256
                    )


@contextlib.asynccontextmanager
async def _alone(connection: Any) -> AsyncIterator[None]:
    """Hold the lock of the migrations; a crash lets go of it with the connection."""
    await connection.execute("SELECT pg_advisory_lock($1)", _MIGRATING)
    try:
        yield
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", _MIGRATING)


def _lock_key(log: str) -> int:
    """The advisory lock of a log: 63 bits of its name's digest."""
    return int.from_bytes(hashlib.sha256(log.encode()).digest()[:8], "big") >> 1


def _lost(term: Term) -> TermLost:
    return TermLost(f"{term.log}: term {term.number} is over, another process writes the log")
