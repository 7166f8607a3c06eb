# SPDX-License-Identifier: Apache-2.0
"""Properties of trees, proofs and bundles, against the definition in RFC 6962."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.core.errors import MalformedInput, VerificationFailed
from sekisho.core.ledger.merkle import Frontier, Tree, leaf_hash, verify_consistency
from sekisho.core.ledger.merkle import verify_inclusion as check
from sekisho.core.ledger.tiles import (
    Tile,
    decode_bundle,
    encode_bundle,
    new_tiles,
    parse_tile_path,
)
from tests.ledger_doubles import naive_root

LEAVES = [leaf_hash(b"%d" % number) for number in range(300)]
TREE = Tree()
for _leaf in LEAVES:
    TREE.append(_leaf)
sizes = st.integers(0, 300)


@given(sizes)
def test_root_of_any_size_equals_the_definition(size: int) -> None:
    """Tree and frontier give the root that RFC 6962 defines recursively."""
    frontier = Frontier()
    for leaf in LEAVES[:size]:
        frontier.append(leaf)
    assert naive_root(LEAVES[:size]) == TREE.root(size)
    assert naive_root(LEAVES[:size]) == frontier.root()


@given(st.integers(1, 300), st.data())
def test_inclusion_proof_verifies_and_no_other_claim_does(size: int, data: st.DataObject) -> None:
    """A proof holds for its own leaf, index, size and root, and not with any hash changed."""
    index = data.draw(st.integers(0, size - 1))
    proof, root = TREE.inclusion_proof(index, size), TREE.root(size)
    check(LEAVES[index], index, size, proof, root)
    other = data.draw(st.integers(0, size))
    if other != index:
        with pytest.raises(VerificationFailed):
            check(LEAVES[index], other, size, proof, root)
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        changed = [*proof[:at], bytes(32), *proof[at + 1 :]]
        with pytest.raises(VerificationFailed):
            check(LEAVES[index], index, size, changed, root)


@given(sizes, sizes, st.data())
def test_consistency_proof_verifies_and_no_other_claim_does(
    first: int, second: int, data: st.DataObject
) -> None:
    """A proof holds for its own sizes and roots, and not for a log that was rewritten."""
    old, new = sorted((first, second))
    proof = TREE.consistency_proof(old, new)
    verify_consistency(old, TREE.root(old), new, TREE.root(new), proof)
    if old:
        forked = Tree()
        at = data.draw(st.integers(0, old - 1))
        for index in range(new):
            forked.append(bytes(32) if index == at else LEAVES[index])
        with pytest.raises(VerificationFailed):
            verify_consistency(
                old, TREE.root(old), new, forked.root(), forked.consistency_proof(old)
            )


@given(st.integers(0, 2**40), st.integers(0, 2**20))
def test_new_tiles_are_what_one_size_has_beyond_the_other(old: int, growth: int) -> None:
    """Files of the larger size minus files of the smaller, in an order where parents come last."""
    growth %= 1 + 2**11
    tiles = new_tiles(old, old + growth)
    assert [tile.level for tile in tiles] == sorted(tile.level for tile in tiles)
    if old + growth < 3000:
        assert set(tiles) == set(new_tiles(0, old + growth)) - set(new_tiles(0, old))


@given(st.integers(0, 63), st.integers(0, 2**55), st.integers(1, 256))
def test_tile_path_of_any_tile_round_trips(level: int, index: int, width: int) -> None:
    """Path and parse are inverse."""
    assert parse_tile_path(Tile(level, index, width).path) == (Tile(level, index, width), False)


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=20), st.data())
def test_bundle_round_trips_and_no_prefix_of_it_is_one(
    entries: list[bytes], data: st.DataObject
) -> None:
    """All bytes count: a bundle cut anywhere is refused."""
    encoded = encode_bundle(entries)
    assert decode_bundle(encoded, len(entries)) == entries
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(MalformedInput):
        decode_bundle(encoded[:cut], len(entries))


@given(st.binary(max_size=200), st.integers(0, 300))
def test_bundle_of_any_bytes_decodes_to_itself_or_is_refused(data: bytes, width: int) -> None:
    """Nothing else comes out of arbitrary bytes."""
    try:
        entries = decode_bundle(data, width)
    except MalformedInput:
        return
    assert encode_bundle(entries) == data
