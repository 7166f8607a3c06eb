# SPDX-License-Identifier: Apache-2.0
"""The sequenced entries of one log and the tree over them, in memory that does not grow with it.

The newest entries are in memory, and all that is not published. An older one is read from its entry
bundle and compared with its leaf hash, and that with the tree, whose right edge is in memory: what
is read is what was published, or it is an error. Nothing else in the services keeps entries. This
module knows nothing of durability; that is the journal's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from sekisho.core.errors import MalformedInput, VerificationFailed
from sekisho.core.ledger.merkle import leaf_hash
from sekisho.core.ledger.tiled_tree import TiledTree
from sekisho.core.ledger.tiles import (
    ENTRY_BYTES_MAX,
    WIDTH,
    Tile,
    check_entry,
    decode_bundle,
    encode_bundle,
)

ReadFile = Callable[[str, int, int], bytes]
"""``Disk.read_range``: path, offset, length."""

KEPT_ENTRIES = 4_096
"""Published entries that stay in memory, the newest ones."""
_BUNDLES_KEPT = 4
_BUNDLE_BYTES_MAX = WIDTH * (2 + ENTRY_BYTES_MAX)


class Sequence:
    """Entries in order, numbered from 0, with their hashes.

    Attributes:
        tree: the tree over all of them.
    """

    __slots__ = ("_bundles", "_entries", "_first", "_kept", "_read", "tree")

    def __init__(self, read: ReadFile, kept: int | None = KEPT_ENTRIES) -> None:
        """An empty log.

        Args:
            read: how published files are read.
            kept: published entries to keep in memory; None keeps all, for a log whose published
                files cannot be relied on.
        """
        self._read = read
        self._kept = kept
        self._first = 0
        self._entries: list[bytes] = []
        self._bundles: dict[int, list[bytes]] = {}
        self.tree = TiledTree(self._tile)

    @classmethod
    def from_edge(
        cls, read: ReadFile, size: int, edge: Iterable[tuple[Tile, bytes]], kept: int
    ) -> Sequence:
        """A log of ``size`` entries, a multiple of 256, of which none is in memory.

        Raises:
            MalformedInput: a tile has not the length that its width says.
        """
        sequence = cls(read, kept)
        sequence.tree = TiledTree.from_edge(sequence._tile, size, edge)
        sequence._first = size
        return sequence

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

    def forget(self, published: int) -> None:
        """Let go of entries that full published bundles hold, except for the newest."""
        if self._kept is None:
            return
        first = min(published, self.size - self._kept) // WIDTH * WIDTH
        if first > self._first:
            del self._entries[: first - self._first]
            self._first = first
            self.tree.forget(first)

    def entry(self, index: int) -> bytes:
        """One entry.

        Raises:
            IndexError: there is none.
            VerificationFailed: what is stored is not what was published.
            StorageFailed: it cannot be read.
        """
        if not 0 <= index < self.size:
            raise IndexError(f"no entry {index} in a log of {self.size}")
        if index >= self._first:
            return self._entries[index - self._first]
        return self._bundle(index // WIDTH)[index % WIDTH]

    def entries(self, start: int = 0, end: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Entries with their indexes, up to those that exist when the iteration gets there."""
        index = start
        while index < (self.size if end is None else end):
            yield index, self.entry(index)
            index += 1

    def bundle(self, tile: Tile) -> bytes:
        """The entry bundle beside a tile of level 0."""
        begin = tile.start - self._first
        return encode_bundle(self._entries[begin : begin + tile.width])

    def _bundle(self, number: int) -> list[bytes]:
        """A full published bundle, compared with the tree."""
        entries = self._bundles.get(number)
        if entries is None:
            tile = Tile(0, number)
            data = self._file(tile.entries_path, _BUNDLE_BYTES_MAX)
            leaves = self.tree.hashes(0, tile.start, WIDTH)
            entries = _checked(tile, data, leaves)
            if len(self._bundles) >= _BUNDLES_KEPT:
                del self._bundles[next(iter(self._bundles))]
            self._bundles[number] = entries
        return entries

    def _tile(self, tile: Tile) -> bytes:
        return self._file(tile.path, WIDTH * 32 + 1)

    def _file(self, path: str, length: int) -> bytes:
        try:
            return self._read(path, 0, length)
        except FileNotFoundError as error:
            raise VerificationFailed(f"{path} was published and is gone", path) from error


def _checked(tile: Tile, data: bytes, leaves: bytes) -> list[bytes]:
    """The entries of a full bundle. Raises VerificationFailed, naming the first that differs."""
    path = tile.entries_path
    try:
        entries = decode_bundle(data, WIDTH)
    except MalformedInput as error:
        raise VerificationFailed(f"{path}: {error}", path) from error
    for number, entry in enumerate(entries):
        if leaf_hash(entry) != leaves[number * 32 : number * 32 + 32]:
            raise VerificationFailed(
                f"{path}: entry {tile.start + number} is not what was published: the stored log "
                "was damaged or changed; restore the file from a copy",
                path,
            )
    return entries
