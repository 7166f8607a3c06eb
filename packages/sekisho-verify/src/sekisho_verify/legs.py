# SPDX-License-Identifier: Apache-2.0
"""How much of each currency of a pair an agent holds by fills (docs/spec/checks.md section 4.7).

Each leg lies within two integers, because a fill is a ratio in one of the two. A pair in which the
legs that fills were counted in are zero is flat, and both legs begin anew.
"""

from __future__ import annotations

import math
from fractions import Fraction


class Legs:
    """Both legs of one pair.

    Attributes:
        counted: currencies that fills were counted in since the pair was flat.
        bounds: of each leg, low and high.
    """

    def __init__(self) -> None:
        self.counted: set[str] = set()
        self.bounds: dict[str, tuple[int, int]] = {}

    def fill(self, moved: dict[str, Fraction], counted: str, direction: int) -> None:
        """Take a fill: how much of each currency (counts 1e-8) it moved, and the direction."""
        self.counted.add(counted)
        for currency, much in moved.items():
            low, high = self.bounds.get(currency, (0, 0))
            amount = direction * much
            self.bounds[currency] = low + math.floor(amount), high + math.ceil(amount)
        if all(self.bounds[currency] == (0, 0) for currency in self.counted):
            self.counted.clear()
            self.bounds.clear()

    def at_most(self, currency: str, direction: int) -> int:
        """Direction × what is held, at most; counts 1e-8."""
        low, high = self.bounds.get(currency, (0, 0))
        return high if direction > 0 else -low
