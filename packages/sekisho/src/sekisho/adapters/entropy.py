# SPDX-License-Identifier: Apache-2.0
"""The operating system's randomness behind the ``Entropy`` port."""

from __future__ import annotations

import os


class SystemEntropy:
    """Cryptographic randomness: the only source for serial numbers, nonces and salts that count."""

    def bytes(self, count: int) -> bytes:
        """``count`` unpredictable bytes. Raises ValueError when ``count`` is negative."""
        return os.urandom(count)
