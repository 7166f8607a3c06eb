# SPDX-License-Identifier: Apache-2.0
"""Says of most new ids that they are new, without a look into the file of ids.

A Bloom filter in blocks: a key that was added is always found; one that was not is taken for added
about once in a hundred looks at two million keys, and then the file is asked. So the filter can
cost a look-up too many, never a wrong answer. It takes 2 bytes a key: 4 MiB for 10^6 orders, each
of which has two (id and report), and one block of 1 MiB at least. What this module does not do:
keep the blocks; ``seen_file`` writes them with the rows that they are about.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

BLOCK_KEYS = 2**19
"""Keys in a block; then another is begun."""
_BITS = 16 * BLOCK_KEYS
_BLOCK_BYTES = _BITS // 8
_SEAL_BYTES = 32
_PLACES = struct.Struct("<4I")
_MASK = _BITS - 1
Places = tuple[int, int, int, int]


class SeenFilter:
    """The keys that were added."""

    def __init__(self) -> None:
        self._blocks = [bytearray(_BLOCK_BYTES)]
        self._keys = 0
        self._changed = 0

    def may_have(self, places: Places) -> bool:
        """False: what has these :func:`places` certainly was not added."""
        one, two, three, four = places
        for bits in self._blocks:
            if (
                bits[one >> 3] >> (one & 7) & 1
                and bits[two >> 3] >> (two & 7) & 1
                and bits[three >> 3] >> (three & 7) & 1
                and bits[four >> 3] >> (four & 7) & 1
            ):
                return True
        return False

    def add(self, places: Places) -> None:
        """Have what has these :func:`places` from now on."""
        if self._keys == BLOCK_KEYS:
            self._blocks.append(bytearray(_BLOCK_BYTES))
            self._keys = 0
        self._keys += 1
        bits = self._blocks[-1]
        for place in places:
            bits[place >> 3] |= 1 << (place & 7)

    @property
    def keys(self) -> int:
        """How many were added, those twice that were added twice."""
        return BLOCK_KEYS * (len(self._blocks) - 1) + self._keys

    @property
    def size(self) -> int:
        """Bytes of memory."""
        return len(self._blocks) * _BLOCK_BYTES

    def changed(self) -> list[tuple[int, int, bytes]]:
        """Number, keys and a copy of each block that may differ from when this was last asked."""
        first, last = self._changed, len(self._blocks) - 1
        self._changed = last
        return [
            (number, self._keys if number == last else BLOCK_KEYS, bytes(self._blocks[number]))
            for number in range(first, last + 1)
        ]

    def unchanged(self) -> None:
        """What :meth:`changed` gave was not kept: it gives all of it again."""
        self._changed = 0

    def begin(self, blocks: Sequence[tuple[int, bytes]]) -> bool:
        """Have what all blocks have, each its keys and its :func:`sealed` copy, in their order.

        False, and nothing is taken, where they are not what was given out.
        """
        last = len(blocks) - 1
        for number, (keys, data) in enumerate(blocks):
            whole = len(data) == _BLOCK_BYTES + _SEAL_BYTES and sealed(data[_SEAL_BYTES:]) == data
            if not whole or not BLOCK_KEYS >= keys >= (0 if number == last else BLOCK_KEYS):
                return False
        if blocks:
            self._blocks = [bytearray(data[_SEAL_BYTES:]) for _, data in blocks]
            self._keys, self._changed = blocks[-1][0], last
        return True


def sealed(block: bytes) -> bytes:
    """A block as it is kept: a bit that is lost on a disk would make a known id new."""
    return hashlib.sha256(block).digest() + block


def places(key: bytes) -> Places:
    """The bits of a key, the same in each block."""
    one, two, three, four = _PLACES.unpack(hashlib.blake2b(key, digest_size=16).digest())
    return one & _MASK, two & _MASK, three & _MASK, four & _MASK
