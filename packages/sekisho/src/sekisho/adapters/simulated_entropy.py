# SPDX-License-Identifier: Apache-2.0
"""Bytes that look random and are not, behind the ``Entropy`` port: for tests and simulation only.

Whoever knows the seed knows every byte. A production composition must never wire this class:
nonces, boot ids and serial numbers made from it can be foretold. SHA-256 in counter mode, so that
the same seed gives the same bytes on any machine.
"""

from __future__ import annotations

from sekisho.core.encoding import sha256


class SeededEntropy:
    """The stream SHA-256(seed ‖ 0) ‖ SHA-256(seed ‖ 1) ‖ …, counters as 8 bytes, big-endian.

    How the stream is cut into calls does not change it.
    """

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._counter = 0
        self._rest = b""

    def bytes(self, count: int) -> bytes:
        """The next ``count`` bytes of the stream. Raises ValueError when ``count`` is negative."""
        if count < 0:
            raise ValueError("a count of bytes is not negative")
        while len(self._rest) < count:
            self._rest += sha256(self._seed + self._counter.to_bytes(8, "big"))
            self._counter += 1
        piece, self._rest = self._rest[:count], self._rest[count:]
        return piece
