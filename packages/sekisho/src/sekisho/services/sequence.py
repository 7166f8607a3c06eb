# SPDX-License-Identifier: Apache-2.0
"""The sequenced entries of one log and the tree over them, in memory.

This is the seam where a log that outgrows memory gets another store: nothing else in the services
keeps entries. It knows nothing of durability; that is the journal's.
"""

from __future__ import annotations

from collections.abc import Iterator

from sekisho.core.ledger.merkle import Tree, leaf_hash
from sekisho.core.ledger.tiles import Tile, check_entry, encode_bundle


class Sequence:
    """Entries in order, numbered from 0, with their hashes."""

    __slots__ = ("_entries", "tree")

    def __init__(self) -> None:
        self._entries: list[bytes] = []
        self.tree = Tree()

    @property
    def size(self) -> int:
        """Index of the next entry."""
        return self.tree.size

    def append(self, entry: bytes) -> int:
        """Give the entry the next index. Raises MalformedInput: empty or above 65,535 bytes."""
        check_entry(entry)
        index = self.tree.size
        self._entries.append(entry)
        self.tree.append(leaf_hash(entry))
        return index

    def entry(self, index: int) -> bytes:
        """One entry. Raises IndexError when there is none."""
        if not 0 <= index < self.size:
            raise IndexError(f"no entry {index} in a log of {self.size}")
        return self._entries[index]

    def entries(self, start: int = 0, end: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Entries with their indexes, up to those that exist when the iteration gets there."""
        index = start
        while index < (self.size if end is None else end):
            yield index, self.entry(index)
            index += 1

    def bundle(self, tile: Tile) -> bytes:
        """The entry bundle beside a tile of level 0."""
        return encode_bundle(self._entries[tile.start : tile.start + tile.width])
