# SPDX-License-Identifier: Apache-2.0
"""Tiles and entry bundles: coordinates, paths and contents (docs/spec/ledger.md section 4, C2SP).

What is not here: reading or writing files, and pruning, which this product does not do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sekisho.core.errors import MalformedInput
from sekisho.core.ledger.merkle import HASH_BYTES, Frontier, Tree, leaf_hash

WIDTH = 256
"""Hashes in a full tile."""
HEIGHT = 8
"""Tree levels that one tile level spans."""
ENTRY_BYTES_MAX = 65_535
LEVEL_MAX = 63

_PATH = re.compile(
    r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?\Z"
)


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """One tile: level, index within the level, and how many hashes it holds (1 to 256)."""

    level: int
    index: int
    width: int = WIDTH

    def __post_init__(self) -> None:
        """Refuse coordinates that no log can have."""
        if not (0 <= self.level <= LEVEL_MAX and self.index >= 0 and 1 <= self.width <= WIDTH):
            raise MalformedInput(f"no tile ({self.level}, {self.index}, {self.width})")

    @property
    def path(self) -> str:
        """Where its hashes are, relative to the log's folder."""
        return f"tile/{self.level}/{self._number()}"

    @property
    def entries_path(self) -> str:
        """Where the entries of a tile of level 0 are. Raises ValueError for another level."""
        if self.level:
            raise ValueError("only tiles of level 0 have entries")
        return f"tile/entries/{self._number()}"

    @property
    def start(self) -> int:
        """Index of its first hash within the level."""
        return self.index * WIDTH

    def _number(self) -> str:
        digits = str(self.index)
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        number = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
        return number if self.width == WIDTH else f"{number}.p/{self.width}"


def parse_tile_path(path: str) -> tuple[Tile, bool]:
    """Strict inverse of the two paths: the tile, and whether the path was that of its entries.

    Raises:
        MalformedInput: not the one spelling of a tile's path.
    """
    match = _PATH.match(path)
    if match is None:
        raise MalformedInput("not the path of a tile", path[:80])
    level, number, width = match.groups()
    entries = level == "entries"
    digits = number.replace("x", "").replace("/", "")
    tile = Tile(0 if entries else int(level), int(digits), int(width or WIDTH))
    if (tile.entries_path if entries else tile.path) != path:
        raise MalformedInput("not the canonical path of a tile", path[:80])
    return tile, entries


def edge_tiles(size: int) -> list[Tile]:
    """The partial tiles of a log of ``size`` entries, lowest level first."""
    tiles: list[Tile] = []
    level = 0
    while size:
        if size % WIDTH:
            tiles.append(Tile(level, size // WIDTH, size % WIDTH))
        size //= WIDTH
        level += 1
    return tiles


def new_tiles(old_size: int, new_size: int) -> list[Tile]:
    """The tiles that a log of ``new_size`` has and one of ``old_size`` has not, lowest level first.

    With ``old_size`` 0: all full tiles and the partial ones at the edge.
    """
    tiles: list[Tile] = []
    level = 0
    while new_size > old_size:
        full = new_size // WIDTH
        tiles.extend(Tile(level, index) for index in range(old_size // WIDTH, full))
        if new_size % WIDTH:
            tiles.append(Tile(level, full, new_size % WIDTH))
        old_size //= WIDTH
        new_size //= WIDTH
        level += 1
    return tiles


def tile_hashes(tree: Tree, tile: Tile) -> bytes:
    """The contents of a tile, 32 bytes a hash. Raises IndexError when the tree is too small."""
    return tree.hashes(tile.level * HEIGHT, tile.start, tile.width)


def split_hashes(data: bytes, width: int) -> list[bytes]:
    """The hashes of a stored tile.

    Raises:
        MalformedInput: not exactly ``width`` hashes.
    """
    if len(data) != width * HASH_BYTES:
        raise MalformedInput(f"a tile of {width} hashes cannot have {len(data)} bytes")
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def subtree_root(hashes: Sequence[bytes]) -> bytes:
    """Root over the hashes of a full tile: the hash that stands for it one level up."""
    frontier = Frontier()
    for item in hashes:
        frontier.append(item)
    return frontier.root()


def root_from_edge(edge: Sequence[tuple[Tile, bytes]]) -> bytes:
    """Root of a log from the contents of its partial tiles alone (:func:`edge_tiles`).

    Raises:
        MalformedInput: a tile has not the length that its width says.
    """
    frontier = Frontier()
    for tile, data in sorted(edge, key=lambda item: -item[0].level):
        for item in split_hashes(data, tile.width):
            frontier.append(item, tile.level * HEIGHT)
    return frontier.root()


def check_entry(entry: bytes) -> None:
    """Refuse what no log can hold. Raises MalformedInput: empty or above 65,535 bytes."""
    if not entry:
        raise MalformedInput("an entry cannot be empty")
    if len(entry) > ENTRY_BYTES_MAX:
        raise MalformedInput(f"an entry of {len(entry)} bytes is above {ENTRY_BYTES_MAX}")


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Entries as a bundle. Raises MalformedInput: none, more than 256, or one that is not valid."""
    if not 1 <= len(entries) <= WIDTH:
        raise MalformedInput(f"a bundle cannot hold {len(entries)} entries")
    parts: list[bytes] = []
    for entry in entries:
        check_entry(entry)
        parts.append(len(entry).to_bytes(2, "big"))
        parts.append(entry)
    return b"".join(parts)


def decode_bundle(data: bytes, width: int) -> list[bytes]:
    """The entries of a bundle of exactly ``width`` entries.

    Raises:
        MalformedInput: cut short, an empty entry, or bytes after the last one.
    """
    if not 1 <= width <= WIDTH:
        raise MalformedInput(f"a bundle cannot hold {width} entries")
    entries: list[bytes] = []
    at = 0
    for number in range(width):
        length = int.from_bytes(data[at : at + 2], "big")
        end = at + 2 + length
        if not length or end > len(data):
            raise MalformedInput(f"entry {number} of a bundle of {width} is empty or cut short")
        entries.append(data[at + 2 : end])
        at = end
    if at != len(data):
        raise MalformedInput(f"{len(data) - at} bytes after the last entry of a bundle")
    return entries


def bundle_leaf_hashes(data: bytes, width: int) -> bytes:
    """What the tile of level 0 beside a bundle must hold. Raises MalformedInput."""
    return b"".join(leaf_hash(entry) for entry in decode_bundle(data, width))
