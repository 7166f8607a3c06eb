# SPDX-License-Identifier: Apache-2.0
"""A log whose entries are in a store, for one writer and any number of followers.

As ``journal``, but for where a batch becomes durable (docs/spec/stores.md). Each process publishes
the tiles of what is durable in a folder of its own; the writer keeps the newest signed checkpoint
in the store and in a second place too. A follower reads what others wrote and appends nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from sekisho.core.errors import (
    AnotherWrites,
    OutcomeUnknown,
    StorageFailed,
    TermLost,
    Unavailable,
    VerificationFailed,
)
from sekisho.core.identity.claims import LogClaim
from sekisho.core.ledger.checkpoint import Checkpoint, verify_checkpoint
from sekisho.core.ledger.frames import SEGMENT_BYTES_MAX
from sekisho.core.ledger.note import VerifierKey
from sekisho.core.terms import NS
from sekisho.ports import Clock, Disk, Signer
from sekisho.services.journal import Journal
from sekisho.services.publisher import Publisher
from sekisho.services.recovery import (
    CHECKPOINT_PATH,
    Recovered,
    from_edge,
    read_checkpoint,
    segment_path,
)
from sekisho.services.sequence import KEPT_ENTRIES
from sekisho.services.signing import BoundedSigner
from sekisho.storeports import EntryStore, LogHead, Term

READ_ENTRIES = 1_000
"""Entries read or written at once."""
RENEW_S = 0.5
SURE_S = 2.5
"""For so long after it last heard from the store a process knows who writes the log; below the 3 s
after which a writer that does not renew is replaced."""


class StoreJournal(Journal):
    """Made by :meth:`open_in`, as a follower; :meth:`begin_writing` makes it the writer.

    Attributes:
        heard_ns: boot-time clock when that was sent which the store answered last.
    """

    keeps_claims = True
    fence_s = 3
    heard_ns: int
    _store: EntryStore
    _anchor: Disk | None
    _term: Term | None
    _claims: dict[int, tuple[LogClaim, ...]]
    _kept_size: int

    @classmethod
    async def open_in(
        cls,
        store: EntryStore,
        disk: Disk,
        *,
        origin: str,
        signer: Signer,
        clock: Clock,
        anchor: Disk | None = None,
        kept_entries: int = KEPT_ENTRIES,
    ) -> StoreJournal:
        """Read the log as far as it goes now.

        Args:
            store: keeps the entries.
            disk: folder for what this process publishes; may be empty.
            origin: the log's name.
            signer: its Ed25519 key.
            clock: for the times of publishing.
            anchor: the second place of the newest checkpoint.
            kept_entries: published entries that stay in memory.

        Raises:
            VerificationFailed: the store does not continue a checkpoint that was signed.
            Unavailable: the store.
            StorageFailed, OutcomeUnknown: the disk.
        """
        log_key = VerifierKey.from_spki(origin, signer.public_key)
        checkpoint, note = await read_checkpoint(disk, log_key)
        sequence = await from_edge(disk, checkpoint, kept_entries)
        recovered = Recovered(sequence, segment_path(0), None, checkpoint, note)
        publisher = Publisher(disk, BoundedSigner(signer, clock), log_key, recovered)
        journal = cls(disk, clock, publisher, recovered, SEGMENT_BYTES_MAX)
        journal._store, journal._anchor = store, anchor
        journal._term = None
        journal._claims = {}
        journal._kept_size = 0
        journal.heard_ns = clock.monotonic_ns()
        await journal.catch_up()
        if checkpoint is not None:
            journal._must_continue(checkpoint, "published here")
        await journal._compare()
        return journal

    @property
    def writing(self) -> bool:
        """Whether this process is the log's writer, as far as it knows."""
        return self._term is not None and self.failed is None

    # -- following -----------------------------------------------------------------------------

    async def catch_up(self) -> int:
        """Read what others wrote; returns how many entries there were.

        Raises:
            Unavailable: the store did not answer.
            VerificationFailed: the store holds less than was read; the journal has failed.
        """
        before = self.size
        asked_ns = self._clock.monotonic_ns()
        head = await self._store.head(self.origin)
        if head.size < self.durable_size:
            error = VerificationFailed(
                f"{self.origin}: the store holds {head.size} entries and held {self.durable_size}"
                " before: it was put back to an older state"
            )
            self._fail(error)
            raise error
        while self.size < head.size:
            for entry in await self._store.entries(self.origin, self.size, READ_ENTRIES):
                self._sequence.append(entry)
            self.durable_size = self._written_size = self.size
            self._note_durable()
        self.heard_ns = asked_ns
        return self.size - before

    async def head(self) -> LogHead:
        """How far the log goes in the store, and who writes it. Raises Unavailable."""
        return await self._store.head(self.origin)

    async def grown(self, seconds: float) -> None:
        """Wait until there may be more to read, at most so long. Raises Unavailable."""
        await self._store.grown(self.origin, self.size, seconds)

    # -- writing -------------------------------------------------------------------------------

    async def begin_writing(self, writer: str, address: str) -> Term:
        """Take the log's newest term and read what its writers before wrote.

        A crash after it leaves a writer that is dead, and another may follow.

        Raises:
            Unavailable: another writer lives, or the store did not answer.
            VerificationFailed: the store does not continue what was signed; nothing is written.
        """
        asked_ns = self._clock.monotonic_ns()
        term = await self._store.take(self.origin, writer, address)
        await self.catch_up()
        self.heard_ns = asked_ns
        if self.size != term.size:
            raise VerificationFailed(
                f"{self.origin}: the store names {term.size} entries and holds {self.size}"
            )
        await self._compare()
        self._term = term
        return term

    def append(self, entry: bytes) -> int:
        """As the journal's. Raises AnotherWrites: this process follows."""
        if self._term is None and self.failed is None:
            raise AnotherWrites(f"{self.origin}: this process follows the log and writes nothing")
        return super().append(entry)

    def claim(self, index: int, claims: Iterable[LogClaim]) -> None:
        """What the entry at ``index``, just appended, claims to be there for once."""
        if taken := tuple(claims):
            self._claims[index] = taken

    async def keep_term(self) -> None:
        """Show that the writer lives, until cancelled.

        Raises:
            TermLost: another process writes the log; the journal has failed.
        """
        while self._term is not None and self.failed is None:
            asked_ns = self._clock.monotonic_ns()
            try:
                await self._store.renew(self._term)
                self.heard_ns = asked_ns
            except Unavailable:
                pass  # whoever waits longer than the store allows may be replaced, and is fenced
            except TermLost as error:
                self._fail(error)
                raise
            await self._clock.sleep(RENEW_S)

    async def flushed(self, index: int) -> None:
        """As the journal's, and only while this process is sure of what the log is.

        Raises:
            Unavailable: the store has not answered for SURE_S; another process may write by now.
        """
        await super().flushed(index)
        if self._clock.monotonic_ns() - self.heard_ns > SURE_S * NS:
            raise Unavailable(
                f"{self.origin}: the store has not answered for {SURE_S} s: another process may"
                " write the log by now"
            )

    async def publish(self) -> bytes:
        """As the journal's; the writer's checkpoint is kept in the store and in the second place.

        A crash in between leaves an older checkpoint there, which is true too.
        """
        note = await super().publish()
        if self._term is None or self._kept_size == self.published_size:
            return note
        size = self.published_size
        try:
            await self._store.keep_checkpoint(self._term, size, note)
            if self._anchor is not None:
                await self._anchor.replace(CHECKPOINT_PATH, note)
        except TermLost as error:
            self._fail(error)
            raise
        except (StorageFailed, OutcomeUnknown) as error:
            self._unpublished_since = self._clock.monotonic_ns()
            raise Unavailable(f"{self.origin}: the checkpoint was not kept: {error}") from error
        self._kept_size = size
        return note

    async def _flush_batch(self, start: int, end: int) -> None:
        if self._term is None:
            raise StorageFailed(f"{self.origin}: this process has no term")
        end = min(end, start + READ_ENTRIES)
        entries = [entry for _, entry in self._sequence.entries(start, end)]
        claims = [one for index in range(start, end) for one in self._claims.pop(index, ())]
        # A crash after this leaves all of the batch or nothing: it is one transaction.
        self._written_size = end
        asked_ns = self._clock.monotonic_ns()
        try:
            await self._store.append(self._term, start, entries, claims)
        except StorageFailed:
            self._written_size = start  # certainly nothing of it
            raise
        self.durable_size, self.heard_ns = end, max(self.heard_ns, asked_ns)

    # -- what was signed -------------------------------------------------------------------------

    async def _compare(self) -> None:
        """The entries must reproduce the newest checkpoints that were kept."""
        notes = [("kept in the store", await self._store.checkpoint(self.origin))]
        if self._anchor is not None:
            try:
                notes.append(("kept in the second place", await self._anchor.read(CHECKPOINT_PATH)))
            except FileNotFoundError:
                notes.append(("kept in the second place", b""))  # a log's first writer
        for place, note in notes:
            if note:
                checkpoint, _ = verify_checkpoint(note, self.log_key)
                self._must_continue(checkpoint, place)

    def _must_continue(self, checkpoint: Checkpoint, place: str) -> None:
        if checkpoint.size > self.size:
            raise VerificationFailed(
                f"{self.origin}: the checkpoint {place} names {checkpoint.size} entries and the"
                f" store holds {self.size}: it was put back to an older state",
                do="bring the missing entries back: a newer backup, a replica, published tiles",
            )
        if self.root(checkpoint.size) != checkpoint.root_hash:
            raise VerificationFailed(
                f"{self.origin}: the store's first {checkpoint.size} entries are not those of the"
                f" checkpoint {place}: the log was changed or forked and must not go on"
            )
