# SPDX-License-Identifier: Apache-2.0
"""Tile coordinates, paths and bundles."""

from __future__ import annotations

import pytest

from sekisho.core.errors import MalformedInput
from sekisho.core.ledger.merkle import Tree, leaf_hash
from sekisho.core.ledger.tiles import (
    Tile,
    bundle_leaf_hashes,
    decode_bundle,
    edge_tiles,
    encode_bundle,
    new_tiles,
    parse_tile_path,
    root_from_edge,
    split_hashes,
    subtree_root,
    tile_hashes,
)


def test_new_tiles_of_a_log_of_70000_equal_the_specification_example() -> None:
    """273 full and one of 112 at level 0; one full and one of 17; one of 1."""
    tiles = new_tiles(0, 70_000)
    assert [sum(t.level == level and t.width == 256 for t in tiles) for level in (0, 1, 2)] == [
        273,
        1,
        0,
    ]
    assert edge_tiles(70_000) == [Tile(0, 273, 112), Tile(1, 1, 17), Tile(2, 0, 1)]
    assert new_tiles(0, 256) == [Tile(0, 0), Tile(1, 0, 1)]
    assert new_tiles(0, 0) == []


def test_new_tiles_after_a_published_size_leave_out_what_exists() -> None:
    """Only files that the older size had not are written; an unchanged upper tile is one it had."""
    assert new_tiles(300, 301) == [Tile(0, 1, 45)]
    assert new_tiles(256, 257) == [Tile(0, 1, 1)]
    assert new_tiles(511, 512) == [Tile(0, 1), Tile(1, 0, 2)]
    assert new_tiles(300, 300) == []


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 999, 1), "tile/0/999.p/1"),
        (Tile(1, 1000, 255), "tile/1/x001/000.p/255"),
        (Tile(63, 1234067), "tile/63/x001/x234/067"),
    ],
)
def test_tile_path_in_groups_of_three_digits_round_trips(tile: Tile, path: str) -> None:
    """The path is that of C2SP and reads back to the same tile."""
    assert tile.path == path
    assert parse_tile_path(path) == (tile, False)


def test_tile_entries_path_of_level_0_round_trips_and_of_others_is_refused() -> None:
    """Entries lie beside tiles of level 0 only."""
    assert Tile(0, 1, 3).entries_path == "tile/entries/001.p/3"
    assert parse_tile_path("tile/entries/001.p/3") == (Tile(0, 1, 3), True)
    with pytest.raises(ValueError, match="level 0"):
        _ = Tile(1, 0).entries_path


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/000.p/256",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/00/000",
        "tile/64/000",
        "tile/0/x000/001",
        "tile/0/1",
        "tile/0/0001",
        "tile/0/000/000",
        "tile/0/000\n",
        "tile/entries/",
        "/tile/0/000",
    ],
)
def test_tile_path_of_another_spelling_is_refused(path: str) -> None:
    """One file, one path."""
    with pytest.raises(MalformedInput):
        parse_tile_path(path)


@pytest.mark.parametrize("bad", [(-1, 0, 1), (64, 0, 1), (0, -1, 1), (0, 0, 0), (0, 0, 257)])
def test_tile_coordinates_outside_any_log_are_refused(bad: tuple[int, int, int]) -> None:
    """No level, index or width beyond the format."""
    with pytest.raises(MalformedInput):
        Tile(*bad)


def test_bundle_of_longest_and_shortest_entry_round_trips() -> None:
    """1 and 65,535 bytes are entries."""
    entries = [b"x", b"y" * 65_535]
    assert decode_bundle(encode_bundle(entries), 2) == entries
    assert bundle_leaf_hashes(encode_bundle(entries), 2) == leaf_hash(b"x") + leaf_hash(entries[1])


@pytest.mark.parametrize("entries", [[], [b""], [b"x" * 65_536], [b"x"] * 257])
def test_bundle_of_what_no_log_holds_is_refused(entries: list[bytes]) -> None:
    """Nothing, an empty entry, an entry too long, one entry too many."""
    with pytest.raises(MalformedInput):
        encode_bundle(entries)


@pytest.mark.parametrize(
    ("data", "width"),
    [
        (b"", 1),
        (b"\x00", 1),
        (b"\x00\x00", 1),
        (b"\x00\x02x", 1),
        (b"\x00\x01xy", 1),
        (b"\x00\x01x", 2),
        (b"\x00\x01x\x00\x01x", 1),
        (b"", 0),
        (b"\x00\x01x" * 257, 257),
    ],
)
def test_bundle_cut_short_or_too_long_is_refused(data: bytes, width: int) -> None:
    """The count, every length and the end are checked."""
    with pytest.raises(MalformedInput):
        decode_bundle(data, width)


def test_tile_contents_of_another_length_are_refused() -> None:
    """A tile holds exactly as many hashes as its name says."""
    with pytest.raises(MalformedInput):
        split_hashes(bytes(63), 2)
    assert split_hashes(bytes(64), 2) == [bytes(32)] * 2


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 511, 512, 65_536, 65_537, 66_000])
def test_root_from_edge_tiles_alone_equals_the_root_of_the_tree(size: int) -> None:
    """The partial tiles at the right edge are enough to derive the root."""
    tree = Tree()
    for number in range(size):
        tree.append(leaf_hash(number.to_bytes(4, "big")))
    edge = [(tile, tile_hashes(tree, tile)) for tile in edge_tiles(size)]
    assert root_from_edge(edge) == tree.root()


def test_subtree_root_of_a_full_tile_equals_the_hash_one_level_up() -> None:
    """Tile (0, 1) is hash 1 of tile (1, 0)."""
    tree = Tree()
    for number in range(512):
        tree.append(leaf_hash(number.to_bytes(4, "big")))
    hashes = split_hashes(tile_hashes(tree, Tile(0, 1)), 256)
    assert subtree_root(hashes) == tile_hashes(tree, Tile(1, 0, 2))[32:]
