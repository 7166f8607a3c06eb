# SPDX-License-Identifier: Apache-2.0
"""The one writer of a log (docs/spec/ledger.md sections 7 to 9).

Appending sequences an entry in memory, at once. Entries become durable in batches: while one batch
is being written and synced, the next gathers, and all its waiters share one sync. On any failure of
the disk the journal fails for good; only opening it anew, which reads what is really there, helps.

Not here: what an entry means, who may append, and how much.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from sekisho.core.errors import (
    OutcomeUnknown,
    SekishoError,
    StorageFailed,
    Unavailable,
    VerificationFailed,
)
from sekisho.core.identity.claims import LogClaim
from sekisho.core.ledger.frames import SEGMENT_BYTES_MAX, encode_frame
from sekisho.core.ledger.note import VerifierKey
from sekisho.ports import Clock, Disk, Signer
from sekisho.services.publisher import Publisher
from sekisho.services.recovery import JOURNAL_FOLDER, Recovered, recover, segment_path
from sekisho.services.sequence import KEPT_ENTRIES
from sekisho.services.signing import BoundedSigner

T = TypeVar("T")

CHECKPOINT_ENTRIES = 256
CHECKPOINT_NS = 1_000_000_000
_LOOK_SECONDS = 0.05


class Journal:
    """One log, open for writing. Made by :meth:`open`; belongs to one event loop.

    Attributes:
        log_key: the key that verifies the log's checkpoints; its name is the origin.
        durable_size: number of entries known to be on stable storage.
        failed: why the journal takes and acknowledges nothing more; None while it works.
        flush_took: told of each batch how many ns it took to be durable.
        keeps_claims: whether :meth:`claim` keeps anything.
        fence_s: how long a writer before may go on, unaware of this one; seconds.
    """

    keeps_claims = False
    fence_s = 0

    def __init__(
        self,
        disk: Disk,
        clock: Clock,
        publisher: Publisher,
        recovered: Recovered,
        segment_bytes_max: int,
    ) -> None:
        self.failed: Exception | None = None
        self.flush_took: Callable[[int], None] = lambda _ns: None
        self.durable_size = recovered.sequence.size
        self._disk = disk
        self._clock = clock
        self.log_key = publisher.log_key
        self._publisher = publisher
        self._publishing = asyncio.Lock()
        self._sequence = recovered.sequence
        self._segment = recovered.segment
        self._segment_bytes = recovered.segment_bytes
        self._segment_bytes_max = segment_bytes_max
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._flushing: asyncio.Task[None] | None = None
        self._written_size = self.durable_size
        self._progress = asyncio.Event()
        self._unpublished_since: int | None = None
        self._note_durable()

    @classmethod
    async def open(
        cls,
        disk: Disk,
        *,
        origin: str,
        signer: Signer,
        clock: Clock,
        segment_bytes_max: int = SEGMENT_BYTES_MAX,
        kept_entries: int = KEPT_ENTRIES,
    ) -> Journal:
        """Recover the log of this disk, or begin one.

        Args:
            disk: the log's folder, this journal's alone.
            origin: the log's name.
            signer: its Ed25519 key.
            clock: for the times of publishing.
            segment_bytes_max: length of a segment.
            kept_entries: published entries that stay in memory; older ones are read when needed.

        Raises:
            VerificationFailed: damage, or a log that its checkpoint contradicts; nothing changed.
            MalformedInput: the origin cannot name a key, or the signer's key is not Ed25519.
            StorageFailed, OutcomeUnknown: the disk.
        """
        log_key = VerifierKey.from_spki(origin, signer.public_key)
        recovered = await recover(disk, log_key, kept_entries)
        publisher = Publisher(disk, BoundedSigner(signer, clock), log_key, recovered)
        return cls(disk, clock, publisher, recovered, segment_bytes_max)

    @property
    def origin(self) -> str:
        """The log's name."""
        return self.log_key.name

    @property
    def vkey(self) -> str:
        """What a verifier of this log needs to know."""
        return self.log_key.vkey

    @property
    def size(self) -> int:
        """Number of sequenced entries: the index of the next."""
        return self._sequence.size

    @property
    def published_size(self) -> int:
        """Number of entries that a signed checkpoint covers."""
        return self._publisher.size

    @property
    def checkpoint(self) -> bytes:
        """The last signed checkpoint; empty before the first."""
        return self._publisher.note

    def append(self, entry: bytes) -> int:
        """Sequence an entry, in memory, and return its index. It is durable after ``flushed``.

        Raises:
            StorageFailed: the journal failed or is closed; the entry is nowhere.
            MalformedInput: empty or above 65,535 bytes.
        """
        if self.failed is not None:
            raise StorageFailed(f"the journal {self.origin} failed: {self.failed}; open it anew")
        index = self._sequence.append(entry)
        if self._flushing is None:
            self._start_flushing()
        return index

    def claim(self, index: int, claims: Iterable[LogClaim]) -> None:
        """What the entry at ``index`` claims to be there for once; files keep no claims."""

    def condemn(self, error: Exception) -> None:
        """Fail for good: what is stored was found to be other than what was published."""
        self._fail(error)

    def entry(self, index: int) -> bytes:
        """A sequenced entry.

        Raises:
            IndexError: there is none.
            VerificationFailed: what is stored is not what was published; the journal has failed.
            StorageFailed: it cannot be read now.
        """
        return self._reading(lambda: self._sequence.entry(index))

    def leaf_hash(self, index: int) -> bytes:
        """Its leaf hash, 32 bytes. Raises as :meth:`entry`."""
        return self._reading(lambda: self._sequence.tree.leaf(index))

    def entries(self, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """Sequenced entries with their indexes, for folding. Raises as :meth:`entry`."""
        index = start
        while index < self.size:
            yield index, self.entry(index)
            index += 1

    def root(self, size: int | None = None) -> bytes:
        """Root of the first ``size`` entries. Raises as :meth:`entry`."""
        return self._reading(lambda: self._sequence.tree.root(size))

    def inclusion_proof(self, index: int, size: int) -> list[bytes]:
        """That entry ``index`` is in the log of ``size``. Raises as :meth:`entry`."""
        return self._reading(lambda: self._sequence.tree.inclusion_proof(index, size))

    def consistency_proof(self, old_size: int, new_size: int) -> list[bytes]:
        """That the log of ``new_size`` continues that of ``old_size``. Raises as :meth:`entry`."""
        return self._reading(lambda: self._sequence.tree.consistency_proof(old_size, new_size))

    def _reading(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except VerificationFailed as error:
            self._fail(error)
            raise

    async def flushed(self, index: int) -> None:
        """Wait until entry ``index`` is durable.

        Cancelling a waiter cancels neither the write nor other waiters.

        Raises:
            OutcomeUnknown: the disk failed; the entry may be there.
            StorageFailed: the disk failed before the entry was handed to it, or the journal had
                failed before the call.
            IndexError: there is no such entry.
        """
        if not 0 <= index < self.size:
            raise IndexError(f"no entry {index} in a log of {self.size}")
        if self.failed is not None:
            raise self._failure(index)
        if index < self.durable_size:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((index, waiter))
        if self._flushing is None:
            self._start_flushing()
        await waiter

    async def publish(self) -> bytes:
        """Publish all durable entries; returns the signed checkpoint (also when nothing is new).

        Raises:
            Unavailable: the signer, or no file could be opened; try again.
            VerificationFailed, StorageFailed, OutcomeUnknown: the journal has failed.
        """
        async with self._publishing:
            if self.failed is not None:
                raise StorageFailed(f"the journal {self.origin} failed: {self.failed}")
            size = self.durable_size
            since = self._clock.monotonic_ns()
            try:
                note = await self._publisher.publish(size)
            except Unavailable:
                raise
            except SekishoError as error:
                self._fail(error)
                raise
            self._unpublished_since = since if self.durable_size > size else None
            return note

    def checkpoint_due(self) -> bool:
        """Whether 256 durable entries are unpublished, or some have been for one second."""
        if self._unpublished_since is None:
            return False
        waited = self._clock.monotonic_ns() - self._unpublished_since
        return (
            self.durable_size - self.published_size >= CHECKPOINT_ENTRIES or waited >= CHECKPOINT_NS
        )

    async def run(self) -> None:
        """Publish whenever a checkpoint is due, until cancelled or closed.

        A signer that does not answer is asked again, as is a disk that could open no file; the
        checkpoint stays due meanwhile.

        Raises:
            VerificationFailed, StorageFailed, OutcomeUnknown: the journal has failed.
        """
        while True:
            await self._progress.wait()
            if isinstance(self.failed, _Closed):
                return
            if self.failed is not None:
                raise StorageFailed(f"the journal {self.origin} failed: {self.failed}")
            if self.checkpoint_due():
                try:
                    await self.publish()
                except Unavailable:
                    await self._clock.sleep(_LOOK_SECONDS)
                if self._unpublished_since is None:
                    self._progress.clear()
            else:
                await self._clock.sleep(_LOOK_SECONDS)

    async def close(self) -> None:
        """Flush, publish, and take nothing more. Closing again does nothing.

        Raises:
            Unavailable: as ``publish``; all is durable, the last entries are not published.
            VerificationFailed, StorageFailed, OutcomeUnknown: not all is durable or published.
        """
        if isinstance(self.failed, _Closed):
            return
        if self.size:
            await self.flushed(self.size - 1)
        try:
            await self.publish()
        finally:
            if self.failed is None:
                self._fail(_Closed("it is closed"))

    # -------------------------------------------------------------------------------- flushing

    def _start_flushing(self) -> None:
        """Begin the flushing task; without a running loop the first waiter will."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._flushing = loop.create_task(self._flush())

    async def _flush(self) -> None:
        """Write and sync batch after batch until nothing waits."""
        try:
            while self.durable_size < self.size and self.failed is None:
                begin = self._clock.monotonic_ns()
                await self._flush_batch(self.durable_size, self.size)
                self.flush_took(self._clock.monotonic_ns() - begin)
                self._note_durable()
                self._wake()
        except asyncio.CancelledError:
            self._fail(OutcomeUnknown("flushing was cancelled in the middle of a write"))
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, nothing more is acknowledged
            self._fail(error)
        finally:
            self._flushing = None

    async def _flush_batch(self, start: int, end: int) -> None:
        data = b"".join(
            encode_frame(index, start, entry) for index, entry in self._sequence.entries(start, end)
        )
        if self._segment_bytes and self._segment_bytes + len(data) > self._segment_bytes_max:
            # The old segment is synced, so its name and content outlive any crash from here on.
            self._segment, self._segment_bytes = segment_path(start), None
        # A crash after this leaves none, some or all of the batch; recovery cuts the torn part.
        self._written_size = end
        try:
            await self._disk.append_durably(self._segment, data)
        except StorageFailed:
            self._written_size = start  # certainly nothing of it
            raise
        if self._segment_bytes is None:
            # A crash before this may lose the whole new segment; nobody was told of its entries.
            await self._disk.sync_folder(JOURNAL_FOLDER)
        self._segment_bytes = (self._segment_bytes or 0) + len(data)
        self.durable_size = end

    def _note_durable(self) -> None:
        if self.durable_size > self.published_size:
            if self._unpublished_since is None:
                self._unpublished_since = self._clock.monotonic_ns()
            self._progress.set()

    def _wake(self) -> None:
        waiting: list[tuple[int, asyncio.Future[None]]] = []
        for index, waiter in self._waiters:
            if index >= self.durable_size:
                waiting.append((index, waiter))
            elif not waiter.done():
                waiter.set_result(None)
        self._waiters = waiting

    def _fail(self, error: Exception) -> None:
        """Fail for good: nothing more is taken, and every waiter is told what may have happened."""
        if self.failed is not None:
            return
        self.failed = error
        for index, waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(self._failure(index))
        self._waiters = []
        self._progress.set()

    def _failure(self, index: int) -> StorageFailed | OutcomeUnknown:
        message = f"the journal {self.origin} failed: {self.failed}; open it anew"
        if index < self._written_size:
            return OutcomeUnknown(f"entry {index}: {message}")
        return StorageFailed(f"entry {index}: {message}")


class _Closed(StorageFailed):
    """The journal was closed in good order."""
