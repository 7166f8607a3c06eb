# SPDX-License-Identifier: Apache-2.0
"""The ControlTables port over the databases of the two stores (docs/spec/control-plane.md).

The statements are the same in both dialects but for the mark of a value; each is one transaction of
its own, durable when it returns.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from sekisho.core.errors import StorageFailed
from sekisho.storeports import ApiKey, KeptAnswer, KeptNote

_KEY = "SELECT id, operator, role, seat, secret_sha256, made_at, expires_at, ended_at FROM api_keys"
_ADD = (
    "INSERT INTO api_keys"
    " (id, operator, role, seat, secret_sha256, made_at, expires_at, ended_at)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING RETURNING id"
)

Fetch = Callable[[str, tuple[Any, ...]], Awaitable[list[tuple[Any, ...]]]]
"""Runs one statement with values for ``$1``, ``$2`` …; its rows. A change is durable with it."""


class DatabaseControl:
    """The tables of one database; ``fetch`` is its store's."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch

    async def add_key(self, key: ApiKey) -> None:
        """As the port says."""
        rows = await self._fetch(
            _ADD,
            (
                key.id,
                key.operator,
                key.role,
                key.seat,
                key.secret_sha256,
                key.made_at,
                key.expires_at,
                key.ended_at,
            ),
        )
        if not rows:
            raise StorageFailed(f"there is a key {key.id!r} already")

    async def key(self, key_id: str) -> ApiKey | None:
        """As the port says."""
        rows = await self._fetch(f"{_KEY} WHERE id = $1", (key_id,))
        return _key(rows[0]) if rows else None

    async def keys(self, operator: str, after: str, count: int) -> list[ApiKey]:
        """As the port says."""
        rows = await self._fetch(
            f"{_KEY} WHERE operator = $1 AND id > $2 ORDER BY id LIMIT $3",
            (operator, after, count),
        )
        return [_key(row) for row in rows]

    async def end_key(self, key_id: str, at: str) -> ApiKey | None:
        """As the port says."""
        await self._fetch(
            "UPDATE api_keys SET ended_at = $2 WHERE id = $1 AND ended_at = '' RETURNING id",
            (key_id, at),
        )
        return await self.key(key_id)

    async def begin_answer(
        self, caller: str, key: str, request_sha256: str, at: str
    ) -> KeptAnswer | None:
        """As the port says; of two at once, one begins."""
        begun = await self._fetch(
            "INSERT INTO answers (caller, key, request_sha256, begun_at) VALUES ($1, $2, $3, $4)"
            " ON CONFLICT DO NOTHING RETURNING key",
            (caller, key, request_sha256, at),
        )
        if begun:
            return None
        rows = await self._fetch(
            "SELECT request_sha256, status, media_type, body FROM answers"
            " WHERE caller = $1 AND key = $2",
            (caller, key),
        )
        if not rows:  # forgotten in between: begun at the next asking
            return KeptAnswer(request_sha256=request_sha256, status=0, media_type="", body=b"")
        digest, status, media_type, body = rows[0]
        return KeptAnswer(
            request_sha256=digest, status=status, media_type=media_type, body=bytes(body)
        )

    async def keep_answer(self, caller: str, key: str, answer: KeptAnswer) -> None:
        """As the port says."""
        await self._fetch(
            "UPDATE answers SET status = $3, media_type = $4, body = $5"
            " WHERE caller = $1 AND key = $2 RETURNING key",
            (caller, key, answer.status, answer.media_type, answer.body),
        )

    async def forget_answer(self, caller: str, key: str) -> None:
        """As the port says."""
        await self._fetch(
            "DELETE FROM answers WHERE caller = $1 AND key = $2 RETURNING key", (caller, key)
        )

    async def forget_answers(self, before: str) -> int:
        """As the port says."""
        rows = await self._fetch("DELETE FROM answers WHERE begun_at < $1 RETURNING key", (before,))
        return len(rows)

    async def add_note(self, note: KeptNote) -> None:
        """As the port says."""
        await self._fetch(
            "INSERT INTO notes (operator, commitment, salt, said) VALUES ($1, $2, $3, $4)"
            " ON CONFLICT DO NOTHING RETURNING commitment",
            (note.operator, note.commitment, note.salt, note.text.encode()),
        )

    async def notes(self, operator: str, commitments: Sequence[str]) -> list[KeptNote]:
        """As the port says."""
        if not commitments:
            return []
        marks = ", ".join(f"${number}" for number in range(2, len(commitments) + 2))
        rows = await self._fetch(
            "SELECT commitment, salt, said, erased_at FROM notes"  # noqa: S608 - marks of values
            f" WHERE operator = $1 AND commitment IN ({marks})",
            (operator, *commitments),
        )
        return [
            KeptNote(
                operator=operator,
                commitment=commitment,
                salt=bytes(salt),
                text=bytes(said).decode(),
                erased_at=erased_at,
            )
            for commitment, salt, said, erased_at in rows
        ]

    async def erase_note(self, operator: str, commitment: str, at: str) -> bool:
        """As the port says."""
        rows = await self._fetch(
            "UPDATE notes SET salt = $3, said = $3, erased_at ="
            " CASE WHEN erased_at = '' THEN $4 ELSE erased_at END"
            " WHERE operator = $1 AND commitment = $2 RETURNING commitment",
            (operator, commitment, b"", at),
        )
        return bool(rows)


def _key(row: tuple[Any, ...]) -> ApiKey:
    return ApiKey(**dict(zip(ApiKey.__struct_fields__, row, strict=True)))
