# SPDX-License-Identifier: Apache-2.0
"""Merkle tree hashing, proofs and their verification (docs/spec/ledger.md section 2, RFC 6962).

:class:`Tree` holds the hashes of all complete subtrees of a log, 64 bytes an entry, and answers
for any size up to its own. :class:`Frontier` holds only what a root needs. Neither stores entries.
The verifying functions follow RFC 9162 section 2.1 and raise; they never answer False.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Sequence

from sekisho.core.errors import VerificationFailed

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """Hash of one entry: SHA-256(0x00 ‖ entry), 32 bytes."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of two children: SHA-256(0x01 ‖ left ‖ right), 32 bytes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def split_point(size: int) -> int:
    """The largest power of two smaller than ``size`` (≥ 2): where RFC 6962 divides a tree."""
    return 1 << (size - 1).bit_length() - 1


class Frontier:
    """The complete subtrees at the right edge of a growing tree, largest first."""

    __slots__ = ("_roots", "size")

    def __init__(self) -> None:
        self.size = 0
        self._roots: list[bytes] = []

    def append(self, subtree_root: bytes, height: int = 0) -> None:
        """Add a complete subtree of 2**height leaves at the right.

        Raises:
            ValueError: the size is not a multiple of 2**height, so that it would not be a subtree.
        """
        if self.size & ((1 << height) - 1):
            raise ValueError(f"a subtree of height {height} cannot stand at size {self.size}")
        carry = self.size >> height
        while carry & 1:
            subtree_root = node_hash(self._roots.pop(), subtree_root)
            carry >>= 1
        self._roots.append(subtree_root)
        self.size += 1 << height

    def root(self) -> bytes:
        """Root of all that was appended, 32 bytes."""
        return _fold_right(self._roots)


class Tree:
    """All complete subtrees of a log; level h holds the roots of those of 2**h leaves."""

    __slots__ = ("_levels", "size")

    def __init__(self) -> None:
        self.size = 0
        self._levels: list[bytearray] = [bytearray()]

    def append(self, leaf: bytes) -> None:
        """Add the leaf hash of the next entry."""
        levels = self._levels
        levels[0] += leaf
        index, height, current = self.size, 0, leaf
        while index & 1:
            left = bytes(levels[height][-2 * HASH_BYTES : -HASH_BYTES])
            current = node_hash(left, current)
            height += 1
            index >>= 1
            if height == len(levels):
                levels.append(bytearray())
            levels[height] += current
        self.size += 1

    def leaf(self, index: int) -> bytes:
        """Leaf hash of one entry. Raises IndexError when there is none."""
        if not 0 <= index < self.size:
            raise IndexError(f"no entry {index} in a tree of {self.size}")
        return self.hashes(0, index, 1)

    def hashes(self, height: int, start: int, count: int) -> bytes:
        """Concatenated roots of ``count`` complete subtrees of 2**height leaves from the start-th.

        Raises:
            IndexError: the tree does not have them yet.
        """
        end = start + count
        if start < 0 or count < 0 or end > self.size >> height:
            raise IndexError(f"no hashes {start} to {end} at height {height}")
        if not count:
            return b""
        return bytes(self._levels[height][start * HASH_BYTES : end * HASH_BYTES])

    def root(self, size: int | None = None) -> bytes:
        """Root of the first ``size`` entries (all by default). Raises IndexError beyond the end."""
        size = self.size if size is None else size
        if not 0 <= size <= self.size:
            raise IndexError(f"no size {size} in a tree of {self.size}")
        return self._range_root(0, size)

    def inclusion_proof(self, index: int, size: int | None = None) -> list[bytes]:
        """Siblings from leaf to root that show entry ``index`` in the tree of ``size``.

        Raises:
            IndexError: not 0 ≤ index < size ≤ the tree's size.
        """
        size = self.size if size is None else size
        if not 0 <= index < size <= self.size:
            raise IndexError(f"no entry {index} in size {size} of a tree of {self.size}")
        proof: list[bytes] = []
        low, high = 0, size
        while high - low > 1:
            middle = low + split_point(high - low)
            if index < middle:
                proof.append(self._range_root(middle, high))
                high = middle
            else:
                proof.append(self._range_root(low, middle))
                low = middle
        proof.reverse()
        return proof

    def consistency_proof(self, old_size: int, new_size: int | None = None) -> list[bytes]:
        """Hashes that show the tree of ``old_size`` to be the beginning of that of ``new_size``.

        Empty from size 0 and between equal sizes.

        Raises:
            IndexError: not 0 ≤ old_size ≤ new_size ≤ the tree's size.
        """
        new_size = self.size if new_size is None else new_size
        if not 0 <= old_size <= new_size <= self.size:
            raise IndexError(f"no sizes {old_size}, {new_size} in a tree of {self.size}")
        if old_size in {0, new_size}:
            return []
        proof: list[bytes] = []
        low, high, whole = 0, new_size, True
        while high != old_size:
            middle = low + split_point(high - low)
            if old_size <= middle:
                proof.append(self._range_root(middle, high))
                high = middle
            else:
                proof.append(self._range_root(low, middle))
                low, whole = middle, False
        if not whole:
            proof.append(self._range_root(low, high))
        proof.reverse()
        return proof

    def _range_root(self, low: int, high: int) -> bytes:
        """Root of entries low to high, where low is where RFC 6962 would split."""
        roots: list[bytes] = []
        while low < high:
            height = (high - low).bit_length() - 1
            if low:
                height = min(height, (low & -low).bit_length() - 1)
            roots.append(self.hashes(height, low >> height, 1))
            low += 1 << height
        return _fold_right(roots)


def _fold_right(roots: Sequence[bytes]) -> bytes:
    if not roots:
        return EMPTY_ROOT
    result = roots[-1]
    for left in reversed(roots[:-1]):
        result = node_hash(left, result)
    return result


def root_from_inclusion_proof(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The root that a proof leads to (RFC 9162 section 2.1.3.2).

    Raises:
        VerificationFailed: the index is not in the size, or the proof has not the right length.
    """
    if not 0 <= index < size:
        raise VerificationFailed(f"index {index} is not in a log of {size} entries")
    node, last, current = index, size - 1, leaf
    for sibling in _sound(proof):
        if last == 0:
            raise VerificationFailed("the inclusion proof is too long")
        if node & 1 or node == last:
            current = node_hash(sibling, current)
            while node and not node & 1:
                node >>= 1
                last >>= 1
        else:
            current = node_hash(current, sibling)
        node >>= 1
        last >>= 1
    if last:
        raise VerificationFailed("the inclusion proof is too short")
    return current


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Check that the entry with this leaf hash is entry ``index`` of the log (size, root).

    Raises:
        VerificationFailed: it is not shown.
    """
    if not hmac.compare_digest(root_from_inclusion_proof(leaf, index, size, proof), root):
        raise VerificationFailed(f"entry {index} is not in the log of size {size} with this root")


def verify_consistency(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the log (old_size, old_root) is the beginning of (new_size, new_root).

    Raises:
        VerificationFailed: it is not shown; the log was cut, rewritten or forked.
    """
    if not 0 <= old_size <= new_size:
        raise VerificationFailed(f"a log of {new_size} entries does not continue one of {old_size}")
    if old_size in {0, new_size}:
        if proof:
            raise VerificationFailed("the consistency proof is too long")
        expected = new_root if old_size else EMPTY_ROOT
        if not hmac.compare_digest(old_root, expected):
            raise VerificationFailed(f"two different roots at size {old_size}")
        if not old_size and not new_size and not hmac.compare_digest(new_root, EMPTY_ROOT):
            raise VerificationFailed("two different roots at size 0")
        return
    _verify_growth(old_size, old_root, new_size, new_root, list(_sound(proof)))


def _verify_growth(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: list[bytes]
) -> None:
    """RFC 9162 section 2.1.4.2, for 0 < old_size < new_size."""
    if old_size & (old_size - 1) == 0:
        proof = [old_root, *proof]
    if not proof:
        raise VerificationFailed("the consistency proof is too short")
    node, last = old_size - 1, new_size - 1
    while node & 1:
        node >>= 1
        last >>= 1
    old = new = proof[0]
    for sibling in proof[1:]:
        if last == 0:
            raise VerificationFailed("the consistency proof is too long")
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while node and not node & 1:
                node >>= 1
                last >>= 1
        else:
            new = node_hash(new, sibling)
        node >>= 1
        last >>= 1
    if last:
        raise VerificationFailed("the consistency proof is too short")
    if not hmac.compare_digest(old, old_root) or not hmac.compare_digest(new, new_root):
        raise VerificationFailed(
            f"the log of size {new_size} does not continue the log of size {old_size}"
        )


def _sound(proof: Sequence[bytes]) -> Iterator[bytes]:
    """The proof's hashes; a hash of another length would let two readings of one node pass."""
    for item in proof:
        if len(item) != HASH_BYTES:
            raise VerificationFailed(f"a proof holds {len(item)} bytes where a hash has 32")
        yield item
