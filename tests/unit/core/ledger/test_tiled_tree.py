# SPDX-License-Identifier: Apache-2.0
"""A tree that keeps its right edge and fetches the rest says what a tree that keeps all says."""

from __future__ import annotations

import pytest

from sekisho.core.errors import MalformedInput, VerificationFailed
from sekisho.core.ledger.merkle import Tree, leaf_hash
from sekisho.core.ledger.tiled_tree import TILES_KEPT, TiledTree
from sekisho.core.ledger.tiles import WIDTH, Tile, edge_tiles, new_tiles, tile_hashes

SIZE = 66_000
WHOLE = Tree()
for _number in range(SIZE):
    WHOLE.append(leaf_hash(b"%d" % _number))


def numbers(count: int, below: int, seed: int) -> list[int]:
    """Numbers that jump about, 0 ≤ n < below."""
    return [(seed + step * 7_919) * 104_729 % below for step in range(count)]


class Shelf:
    """The stored tiles; a test may change them."""

    def __init__(self) -> None:
        self.changed: dict[Tile, bytes] = {}
        self.fetched: list[Tile] = []

    def fetch(self, tile: Tile) -> bytes:
        self.fetched.append(tile)
        return self.changed.get(tile) or tile_hashes(WHOLE, tile)


def grown(shelf: Shelf, size: int, forget_at: tuple[int, ...]) -> TiledTree:
    tree = TiledTree(shelf.fetch)
    for index in range(size):
        tree.append(WHOLE.leaf(index))
        if tree.size in forget_at:
            tree.forget(tree.size)
    return tree


def from_edge(shelf: Shelf, size: int) -> TiledTree:
    edge = [(tile, tile_hashes(WHOLE, tile)) for tile in edge_tiles(size)]
    return TiledTree.from_edge(shelf.fetch, size, edge)


def kept_bytes(tree: TiledTree) -> int:
    return sum(len(level) for level in tree._levels)


def test_tree_that_forgot_answers_as_the_whole_one() -> None:
    """Leaves, roots, proofs at many sizes, after forgetting at several."""
    size = 2_000
    tree = grown(Shelf(), size, (256, 700, 1024, 1536))
    for number, other in zip(numbers(200, size, 1), numbers(200, size, 5), strict=True):
        new = 1 + number
        old, index = other % (new + 1), other % new
        assert WHOLE.root(new) == tree.root(new)
        assert WHOLE.consistency_proof(old, new) == tree.consistency_proof(old, new)
        assert WHOLE.inclusion_proof(index, new) == tree.inclusion_proof(index, new)
        assert WHOLE.leaf(index) == tree.leaf(index)
    for tile in new_tiles(0, size):
        assert tile_hashes(WHOLE, tile) == tile_hashes(tree, tile)


@pytest.mark.parametrize("size", [0, 256, 512, 65_536, 65_792])
def test_tree_from_its_edge_grows_as_the_whole_one(size: int) -> None:
    """The partial tiles of a size are enough to go on from it, at every level."""
    tree = from_edge(Shelf(), size)
    assert (size, WHOLE.root(size)) == (tree.size, tree.root())
    end = min(SIZE, size + 300)
    for index in range(size, end):
        tree.append(WHOLE.leaf(index))
    tree.forget(end // WIDTH * WIDTH)
    for number, other in zip(numbers(40, end, 1), numbers(40, end, 5), strict=True):
        new = 1 + number
        old = other % new
        assert WHOLE.root(new) == tree.root(new)
        assert WHOLE.consistency_proof(old, new) == tree.consistency_proof(old, new)
        assert WHOLE.inclusion_proof(old, new) == tree.inclusion_proof(old, new)


def test_tree_keeps_little_whatever_its_size() -> None:
    """Not more than two partial tiles of hashes at each level stay, and a bounded cache."""
    shelf = Shelf()
    tree = from_edge(shelf, 65_536)
    assert kept_bytes(tree) <= 2 * WIDTH * 32
    for index in range(65_536):
        tree.leaf(index)
    assert len(tree._tiles) <= TILES_KEPT
    grown_tree = grown(shelf, 2_048, (2_048,))
    assert kept_bytes(grown_tree) <= 2 * WIDTH * 32


def test_tree_beyond_its_size_is_an_index_error() -> None:
    """What is not there is not fetched either."""
    shelf = Shelf()
    tree = from_edge(shelf, 512)
    for wrong in ((0, 512, 1), (0, -1, 1), (8, 2, 1), (0, 0, -1)):
        with pytest.raises(IndexError):
            tree.hashes(*wrong)
    assert b"" == tree.hashes(0, 512, 0)
    assert [] == shelf.fetched


@pytest.mark.parametrize("tile", [Tile(0, 3), Tile(1, 0)])
def test_tree_whose_stored_tile_was_changed_says_so(tile: Tile) -> None:
    """A tile is believed only if the hash above it says so, at every level."""
    shelf = Shelf()
    tree = from_edge(shelf, 65_536)
    right = tile_hashes(WHOLE, tile)
    shelf.changed[tile] = right[:64] + bytes(32) + right[96:]
    with pytest.raises(VerificationFailed, match=r"is not what was published"):
        tree.leaf(3 * WIDTH + 9)
    shelf.changed[tile] = right[:-1]
    with pytest.raises(VerificationFailed, match=tile.path):
        tree.leaf(3 * WIDTH + 9)
    del shelf.changed[tile]
    assert WHOLE.leaf(3 * WIDTH + 9) == tree.leaf(3 * WIDTH + 9)


def test_tree_whose_two_levels_were_changed_together_says_so() -> None:
    """Changing a tile and the hash above it moves the contradiction up to the edge in memory."""
    shelf = Shelf()
    tree = from_edge(shelf, 65_536)
    other = Tree()
    for index in range(WIDTH):
        other.append(leaf_hash(b"forged" if index == 5 else b"%d" % index))
    shelf.changed[Tile(0, 0)] = other.hashes(0, 0, WIDTH)
    shelf.changed[Tile(1, 0)] = other.root() + tile_hashes(WHOLE, Tile(1, 0))[32:]
    with pytest.raises(VerificationFailed, match=r"tile/1/000 is not what was published"):
        tree.leaf(5)


def test_tree_edge_of_another_length_is_malformed() -> None:
    """An edge tile must have as many hashes as its width says."""
    with pytest.raises(MalformedInput):
        TiledTree.from_edge(Shelf().fetch, 512, [(Tile(1, 0, 2), bytes(32))])
