# SPDX-License-Identifier: Apache-2.0
"""Merkle hashing against the published vectors of Certificate Transparency, and its guards."""

from __future__ import annotations

import hashlib

import pytest

from sekisho.core.errors import VerificationFailed
from sekisho.core.ledger.merkle import (
    EMPTY_ROOT,
    Frontier,
    Tree,
    leaf_hash,
    node_hash,
    root_from_inclusion_proof,
    split_point,
    verify_consistency,
    verify_inclusion,
)

LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]
LEAVES.append("606162636465666768696a6b6c6d6e6f")
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def grow(count: int) -> Tree:
    tree = Tree()
    for number in range(count):
        tree.append(leaf_hash(b"%d" % number))
    return tree


def test_tree_root_on_certificate_transparency_leaves_equals_published_roots() -> None:
    """The eight leaves and nine roots that Certificate Transparency's own tests use."""
    tree, frontier = Tree(), Frontier()
    assert tree.root().hex() == ROOTS[0]
    for size, text in enumerate(LEAVES, start=1):
        tree.append(leaf_hash(bytes.fromhex(text)))
        frontier.append(leaf_hash(bytes.fromhex(text)))
        assert tree.root().hex() == ROOTS[size]
        assert frontier.root().hex() == ROOTS[size]
    assert [tree.root(size).hex() for size in range(9)] == ROOTS


def test_split_point_at_powers_of_two_is_strictly_smaller() -> None:
    """RFC 6962 divides at the largest power of two below the size."""
    assert [split_point(size) for size in (2, 3, 4, 5, 8, 9)] == [1, 2, 2, 4, 4, 8]


def test_leaf_and_node_hashes_are_in_different_domains() -> None:
    """A node can never be passed off as an entry."""
    assert leaf_hash(b"ab") == hashlib.sha256(b"\x00ab").digest()
    assert node_hash(b"a", b"b") == hashlib.sha256(b"\x01ab").digest()


def test_frontier_subtree_at_a_size_where_none_can_stand_is_refused() -> None:
    """A subtree of four leaves after one leaf is not a complete subtree of any tree."""
    frontier = Frontier()
    frontier.append(leaf_hash(b"x"))
    with pytest.raises(ValueError, match="cannot stand"):
        frontier.append(leaf_hash(b"y"), 2)


def test_tree_questions_beyond_its_size_are_refused() -> None:
    """No hash, root or proof is made up for entries that do not exist."""
    tree = grow(5)
    for call in (
        lambda: tree.leaf(5),
        lambda: tree.leaf(-1),
        lambda: tree.hashes(0, 4, 2),
        lambda: tree.hashes(0, -1, 1),
        lambda: tree.hashes(1, 2, 1),
        lambda: tree.root(6),
        lambda: tree.root(-1),
        lambda: tree.inclusion_proof(5),
        lambda: tree.inclusion_proof(0, 6),
        lambda: tree.consistency_proof(3, 6),
        lambda: tree.consistency_proof(4, 3),
    ):
        with pytest.raises(IndexError):
            call()
    assert tree.hashes(9, 0, 0) == b""


def test_inclusion_proof_too_short_too_long_or_out_of_range_is_refused() -> None:
    """Each way in which a proof can have the wrong shape has its own refusal."""
    tree = grow(7)
    proof = tree.inclusion_proof(3)
    leaf, root = tree.leaf(3), tree.root()
    verify_inclusion(leaf, 3, 7, proof, root)
    for index, size, hashes, reason in (
        (3, 7, proof[:-1], "too short"),
        (3, 7, [*proof, root], "too long"),
        (7, 7, proof, "not in a log"),
        (-1, 7, proof, "not in a log"),
        (3, 7, [proof[0] + b"x", *proof[1:]], "33 bytes"),
    ):
        with pytest.raises(VerificationFailed, match=reason):
            root_from_inclusion_proof(leaf, index, size, hashes)
    with pytest.raises(VerificationFailed, match="with this root"):
        verify_inclusion(leaf, 3, 7, proof, EMPTY_ROOT)


def test_consistency_proof_of_the_wrong_shape_is_refused() -> None:
    """Too short, too long, shrinking, and differing roots at equal sizes."""
    tree = grow(7)
    proof = tree.consistency_proof(3)
    verify_consistency(3, tree.root(3), 7, tree.root(), proof)
    other = leaf_hash(b"other")
    for old_size, old_root, new_size, new_root, hashes, reason in (
        (3, tree.root(3), 7, tree.root(), proof[:-1], "too short"),
        (3, tree.root(3), 7, tree.root(), [], "too short"),
        (3, tree.root(3), 7, tree.root(), [*proof, other], "too long"),
        (3, other, 7, tree.root(), proof, "does not continue"),
        (3, tree.root(3), 7, other, proof, "does not continue"),
        (7, tree.root(), 3, tree.root(3), proof, "does not continue"),
        (3, tree.root(3), 3, other, [], "two different roots"),
        (3, tree.root(3), 3, tree.root(3), [other], "too long"),
        (0, EMPTY_ROOT, 3, tree.root(3), [other], "too long"),
        (0, other, 3, tree.root(3), [], "two different roots"),
        (0, EMPTY_ROOT, 0, other, [], "two different roots"),
        (-1, other, 3, other, [], "does not continue"),
        (3, tree.root(3), 7, tree.root(), [b"short", *proof[1:]], "5 bytes"),
    ):
        with pytest.raises(VerificationFailed, match=reason):
            verify_consistency(old_size, old_root, new_size, new_root, hashes)
    verify_consistency(0, EMPTY_ROOT, 3, tree.root(3), [])
    verify_consistency(0, EMPTY_ROOT, 0, EMPTY_ROOT, [])
    verify_consistency(3, tree.root(3), 3, tree.root(3), [])
