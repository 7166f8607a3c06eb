# SPDX-License-Identifier: Apache-2.0
"""A tree of any size in little memory: the right edge is kept, older hashes come from full tiles.

What is read back is checked on the way: a full tile is believed only if its root is the hash one
level up, and that one in turn, to the edge that is in memory. So a tile that was changed is found
when it is used, whoever changed it. Not here: files; the caller fetches tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sekisho.core.errors import MalformedInput, VerificationFailed
from sekisho.core.ledger.merkle import HASH_BYTES, Tree, node_hash
from sekisho.core.ledger.tiles import HEIGHT, LEVEL_MAX, WIDTH, Tile, split_hashes, subtree_root

FetchTile = Callable[[Tile], bytes]
"""The stored content of a full tile; raises VerificationFailed when there is none."""

TILES_KEPT = 32
"""Full tiles that were fetched and checked and stay in memory, 8 KiB each."""


class TiledTree(Tree):
    """A tree that lets go of what full, stored tiles hold."""

    __slots__ = ("_fetch", "_gone", "_tiles")

    def __init__(self, fetch: FetchTile) -> None:
        super().__init__()
        self._fetch = fetch
        self._gone: list[int] = []
        self._tiles: dict[tuple[int, int], bytes] = {}

    @classmethod
    def from_edge(
        cls, fetch: FetchTile, size: int, edge: Iterable[tuple[Tile, bytes]]
    ) -> TiledTree:
        """The tree of the first ``size`` entries from its partial tiles (:func:`edge_tiles`).

        Nothing is believed yet: the caller compares the root with a signed one.

        Args:
            fetch: where full tiles come from.
            size: a multiple of 256.
            edge: the partial tiles of that size, all of level 1 or above, with their contents.

        Raises:
            MalformedInput: a tile has not the length that its width says.
        """
        tree = cls(fetch)
        tree._levels = [bytearray() for _ in range(max(1, size.bit_length()))]
        tree.size = size
        tree._note_gone(size)
        for tile, data in edge:
            hashes, height = split_hashes(data, tile.width), tile.level * HEIGHT
            while hashes:
                tree._levels[height][:] = b"".join(hashes)
                pairs = zip(hashes[::2], hashes[1::2], strict=False)
                hashes = [node_hash(left, right) for left, right in pairs]
                height += 1
                if height % HEIGHT == 0:
                    break  # the root of a tile stands in the tile above it
        return tree

    def forget(self, size: int) -> None:
        """Let go of what full tiles of a log of ``size`` entries hold; they can be fetched."""
        before = list(self._gone)
        self._note_gone(size)
        for height, gone in enumerate(self._gone):
            known = before[height] if height < len(before) else 0
            del self._levels[height][: (gone - known) * HASH_BYTES]

    def hashes(self, height: int, start: int, count: int) -> bytes:
        """Concatenated roots of ``count`` complete subtrees of 2**height leaves from the start-th.

        Raises:
            IndexError: the tree does not have them yet.
            VerificationFailed: a stored tile is gone, or is not what the tree has.
        """
        end = start + count
        if start < 0 or count < 0 or end > self.size >> height:
            raise IndexError(f"no hashes {start} to {end} at height {height}")
        if not count:
            return b""
        gone = self._gone[height] if height < len(self._gone) else 0
        found = bytearray()
        while start < min(end, gone):
            part = self._stored(height, start, min(end, gone) - start)
            found += part
            start += len(part) // HASH_BYTES
        begin = max(0, start - gone) * HASH_BYTES
        return bytes(found + self._levels[height][begin : begin + (end - start) * HASH_BYTES])

    def _note_gone(self, size: int) -> None:
        """How many hashes of each height full tiles of this size hold; the size never falls."""
        gone: list[int] = []
        for level in range(LEVEL_MAX):
            full = size >> HEIGHT * (level + 1)
            if not full:
                break
            gone.extend(full * WIDTH >> part for part in range(HEIGHT))
        self._gone = gone

    def _stored(self, height: int, start: int, count: int) -> bytes:
        """Hashes of one height from the tile that holds the first of them, at most ``count``."""
        level, above = divmod(height, HEIGHT)
        index, offset = divmod(start << above, WIDTH)
        hashes = split_hashes(self._tile(level, index), WIDTH)[offset : offset + (count << above)]
        for _ in range(above):
            pairs = zip(hashes[::2], hashes[1::2], strict=True)
            hashes = [node_hash(left, right) for left, right in pairs]
        return b"".join(hashes)

    def _tile(self, level: int, index: int) -> bytes:
        """A full tile whose root is the hash above it."""
        data = self._tiles.get((level, index))
        if data is None:
            tile = Tile(level, index)
            data = self._fetch(tile)
            try:
                root = subtree_root(split_hashes(data, WIDTH))
            except MalformedInput as error:
                raise VerificationFailed(f"{tile.path}: {error}", tile.path) from error
            if root != self.hashes(HEIGHT * (level + 1), index, 1):
                raise VerificationFailed(
                    f"{tile.path} is not what was published: entries from {index * WIDTH} on, "
                    f"{WIDTH ** (level + 1)} of them, cannot be shown",
                    tile.path,
                )
            if len(self._tiles) >= TILES_KEPT:
                del self._tiles[next(iter(self._tiles))]
            self._tiles[level, index] = data
        return data
