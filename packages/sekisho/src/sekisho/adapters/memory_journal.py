# SPDX-License-Identifier: Apache-2.0
"""The log of a rehearsal: hashes of everything, and the last entries alone.

It has the interface of the journal that a gate writes, and keeps nothing on disk: a rehearsal signs
with keys that end with it, and nobody relies on its permits. What it keeps does not grow with the
history: the right edge of the tree, and the newest entries and their hashes. An older entry is an
``IndexError``: nothing that a rehearsal does asks for one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from sekisho.core.ledger.merkle import Frontier, leaf_hash
from sekisho.core.ledger.tiles import check_entry

KEPT_ENTRIES = 256


class MemoryJournal:
    """A log in memory, all of it durable at once, as far as a rehearsal is."""

    def __init__(self, origin: str, kept: int = KEPT_ENTRIES) -> None:
        self.origin = origin
        self.failed: Exception | None = None
        self._tree = Frontier()
        self._entries: deque[tuple[bytes, bytes]] = deque(maxlen=kept)

    @property
    def size(self) -> int:
        """Number of entries: the index of the next."""
        return self._tree.size

    @property
    def durable_size(self) -> int:
        """The same: nothing is waited for."""
        return self._tree.size

    def append(self, entry: bytes) -> int:
        """Sequence an entry; returns its index. Raises MalformedInput: empty or too long."""
        check_entry(entry)
        index = self._tree.size
        hashed = leaf_hash(entry)
        self._tree.append(hashed)
        self._entries.append((entry, hashed))
        return index

    def condemn(self, error: Exception) -> None:
        """Fail for good."""
        self.failed = self.failed or error

    async def flushed(self, index: int) -> None:
        """Return at once. Raises IndexError: there is no such entry."""
        if not 0 <= index < self.size:
            raise IndexError(f"no entry {index} in a log of {self.size}")

    def entry(self, index: int) -> bytes:
        """One of the newest entries. Raises IndexError."""
        return self._entries[self._place(index)][0]

    def leaf_hash(self, index: int) -> bytes:
        """Its leaf hash, 32 bytes. Raises IndexError."""
        return self._entries[self._place(index)][1]

    def entries(self, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """Entries from ``start`` with their indexes. Raises IndexError for one that is gone."""
        for index in range(start, self.size):
            yield index, self.entry(index)

    def root(self, size: int | None = None) -> bytes:
        """Root of all entries. Raises IndexError for any other size."""
        if size not in (None, self.size):
            raise IndexError(f"only the root of all {self.size} entries is known, not of {size}")
        return self._tree.root()

    def consistency_proof(self, old_size: int, new_size: int) -> list[bytes]:
        """Empty, where that is the proof. Raises IndexError where it would need what is gone."""
        if old_size not in (0, new_size) or new_size != self.size:
            raise IndexError(f"no proof from {old_size} to {new_size} is kept")
        return []

    def _place(self, index: int) -> int:
        place = index - self.size + len(self._entries)
        if not 0 <= place < len(self._entries):
            raise IndexError(f"entry {index} is not kept; the newest {len(self._entries)} are")
        return place
