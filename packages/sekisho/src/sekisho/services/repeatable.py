# SPDX-License-Identifier: Apache-2.0
"""A request that may be sent again: the first answer comes again (docs/spec/control-plane.md, 4).

What is kept is begun before anything is done and finished after it. An answer that was begun and
never kept means that the server ended in between: nobody can say what happened, so that is said.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Literal, NamedTuple

from sekisho.core.encoding import sha256_hex
from sekisho.core.errors import SekishoError
from sekisho.core.terms import DAY_S, NS, format_instant
from sekisho.ports import Clock
from sekisho.storeports import ControlTables, KeptAnswer

KEY = re.compile(r"[A-Za-z0-9._-]{1,64}")
KEPT_S = DAY_S


class ControlAnswer(NamedTuple):
    """What a request is answered; ``body`` as it is sent, or, of a long answer, its ``parts``.

    What is kept to be sent again has a body, and no other ``headers`` than those of every answer.
    """

    status: int
    media_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    parts: Iterator[bytes] | None = None


class Repeated(NamedTuple):
    """Why a request was not carried out: ``other`` request under this key, one still ``running``,
    or one whose outcome is ``unknown``.
    """

    why: Literal["other", "running", "unknown"]


class Repeatable:
    """Answers of one server, by caller and key."""

    def __init__(self, tables: ControlTables, clock: Clock) -> None:
        self._tables = tables
        self._clock = clock
        self._running: set[tuple[str, str]] = set()

    async def carry_out(
        self,
        caller: str,
        key: str,
        request: tuple[str, str, bytes],
        work: Callable[[], Awaitable[ControlAnswer]],
        shown: Callable[[ControlAnswer], ControlAnswer] = lambda answer: answer,
    ) -> ControlAnswer | Repeated:
        """Do the work once for this caller and key, and answer the same ever after.

        Args:
            caller: who asks; the keys of two callers have nothing to do with each other.
            key: chosen by the caller; matches ``KEY``.
            request: method, path and body: what the key was used for.
            work: is not begun where the key was used.
            shown: what of an answer may be kept and shown again; a secret is not.

        Raises:
            Unavailable: the store did not answer; nothing was done.
        """
        method, path, body = request
        digest = sha256_hex(f"{method} {path}\n".encode() + body)
        at = format_instant(self._clock.now_ns())
        known = await self._tables.begin_answer(caller, key, digest, at)
        if known is not None:
            return self._again(caller, key, digest, known)
        self._running.add((caller, key))
        doing = asyncio.ensure_future(self._do(caller, key, digest, work, shown))
        return await asyncio.shield(doing)

    async def _do(
        self,
        caller: str,
        key: str,
        digest: str,
        work: Callable[[], Awaitable[ControlAnswer]],
        shown: Callable[[ControlAnswer], ControlAnswer],
    ) -> ControlAnswer:
        """Also when the caller goes away: what was begun is finished and kept.

        A crash in here leaves an answer that was begun and is told as unknown. A failure of the
        store after the work: the work is done, and its answer goes to this asking alone.
        """
        try:
            answer = await work()
            if answer.status >= 500:
                # Whoever asks again under the same key asks for the first time.
                await self._tables.forget_answer(caller, key)
                return answer
            may_be_shown = shown(answer)
            kept = KeptAnswer(
                request_sha256=digest,
                status=may_be_shown.status,
                media_type=may_be_shown.media_type,
                body=may_be_shown.body,
            )
            try:
                await self._tables.keep_answer(caller, key, kept)
            except SekishoError:
                return answer
            return answer
        finally:
            self._running.discard((caller, key))

    def _again(
        self, caller: str, key: str, digest: str, known: KeptAnswer
    ) -> ControlAnswer | Repeated:
        if known.request_sha256 != digest:
            return Repeated("other")
        if known.status:
            return ControlAnswer(known.status, known.media_type, known.body)
        return Repeated("running" if (caller, key) in self._running else "unknown")

    async def forget_old(self) -> int:
        """Forget answers that are older than a day; returns how many."""
        return await self._tables.forget_answers(format_instant(self._clock.now_ns() - KEPT_S * NS))
