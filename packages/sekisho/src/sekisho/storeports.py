# SPDX-License-Identifier: Apache-2.0
"""What the services need of a database, as protocols with contracts (docs/spec/stores.md).

As in ``ports``: every adapter passes the same conformance suite; ``Unavailable`` and
``StorageFailed`` mean certainly no effect, ``OutcomeUnknown`` means maybe.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from sekisho.core.identity.claims import LogClaim


class Term(msgspec.Struct, frozen=True, kw_only=True):
    """The right to write a log: until another takes a higher ``number``.

    ``size``: number of entries when it was taken.
    """

    log: str
    number: int
    size: int


class LogHead(msgspec.Struct, frozen=True, kw_only=True):
    """How far a log goes, who writes it and where its writer is reached; ``""`` for nobody yet."""

    size: int
    term: int
    writer: str
    address: str


class EntryStore(Protocol):
    """Where entries of logs are durable, for one or several processes (docs/spec/stores.md).

    A log is known by its origin and begins empty. Any call may raise Unavailable (the store did not
    answer; nothing was changed) where nothing else is said.
    """

    async def take(self, log: str, writer: str, address: str) -> Term:
        """Become the log's writer. Raises Unavailable: another writer lives."""
        ...

    async def renew(self, term: Term) -> None:
        """Show that the writer lives; at least once a second. Raises TermLost, Unavailable."""
        ...

    async def append(
        self, term: Term, start: int, entries: Sequence[bytes], claims: Sequence[LogClaim]
    ) -> None:
        """Write entries from index ``start`` on, with their claims: all of it or nothing, durably.

        Raises:
            TermLost: another took over; nothing was written.
            StorageFailed: nothing was written: a claim is taken, the size differs, or the store.
            OutcomeUnknown: perhaps written: read :meth:`head` and the entries again.
        """
        ...

    async def head(self, log: str) -> LogHead:
        """The log's size and writer; all zero and empty for a log that nobody took."""
        ...

    async def entries(self, log: str, start: int, count: int) -> list[bytes]:
        """At most ``count`` durable entries from ``start`` on; fewer where the log ends."""
        ...

    async def grown(self, log: str, size: int, seconds: float) -> None:
        """Return when the log may be longer than ``size``, or after ``seconds``, if not earlier."""
        ...

    async def keep_checkpoint(self, term: Term, size: int, note: bytes) -> None:
        """Keep the newest signed checkpoint. Raises TermLost, StorageFailed, OutcomeUnknown."""
        ...

    async def checkpoint(self, log: str) -> bytes:
        """The newest signed checkpoint that was kept; empty before the first."""
        ...

    async def close(self) -> None:
        """Let go of the store and of every term taken through it."""
        ...


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """What lets a person or a program ask a control plane (docs/spec/control-plane.md section 2).

    The secret itself is nowhere. ``operator`` is empty for the issuer's own; ``seat`` is empty for
    a program. Instants as text; ``ended_at`` empty: not ended.
    """

    id: str
    operator: str
    role: str
    seat: str
    secret_sha256: str
    made_at: str
    expires_at: str
    ended_at: str


class KeptAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a request with an idempotency key was answered; status 0: it was never answered."""

    request_sha256: str
    status: int
    media_type: str
    body: bytes


class KeptNote(msgspec.Struct, frozen=True, kw_only=True):
    """What a note says; its commitment is in the operator's log.

    Once it is erased, salt and text are empty and ``erased_at`` is an instant, else ``""``.
    """

    operator: str
    commitment: str
    salt: bytes
    text: str
    erased_at: str = ""


class ControlTables(Protocol):
    """API keys, answers to be repeated, what notes say. They are no part of any log.

    Any call may raise Unavailable: nothing was changed, or nobody was told that it was; each may
    be made again.
    """

    async def add_key(self, key: ApiKey) -> None:
        """Keep a new key, durably. Raises StorageFailed: the id is taken."""
        ...

    async def key(self, key_id: str) -> ApiKey | None:
        """The key of this id, ended or not."""
        ...

    async def keys(self, operator: str, after: str, count: int) -> list[ApiKey]:
        """At most ``count`` keys of an operator whose ids follow ``after``, by id."""
        ...

    async def end_key(self, key_id: str, at: str) -> ApiKey | None:
        """End a key, durably; ended again, the first instant stays. None: no such key."""
        ...

    async def begin_answer(
        self, caller: str, key: str, request_sha256: str, at: str
    ) -> KeptAnswer | None:
        """Begin to answer a request of this caller under this idempotency key.

        Returns:
            None: it is new, and whoever asks next is told that it was begun. Else what is kept
            under this key: perhaps of another request, perhaps not answered (status 0).
        """
        ...

    async def keep_answer(self, caller: str, key: str, answer: KeptAnswer) -> None:
        """Keep what was answered, durably."""
        ...

    async def forget_answer(self, caller: str, key: str) -> None:
        """Forget what was begun under this key: it may be used anew."""
        ...

    async def forget_answers(self, before: str) -> int:
        """Forget what was begun before this instant; returns how many."""
        ...

    async def add_note(self, note: KeptNote) -> None:
        """Keep what a note says, durably; the same again changes nothing."""
        ...

    async def notes(self, operator: str, commitments: Sequence[str]) -> list[KeptNote]:
        """Those of an operator's notes that are kept, erased or not, in no order."""
        ...

    async def erase_note(self, operator: str, commitment: str, at: str) -> bool:
        """Forget salt and text, durably; False: there is no such note. The first instant stays."""
        ...
