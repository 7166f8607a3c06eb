# SPDX-License-Identifier: Apache-2.0
"""What the paper venue trades at: the best bid and ask of a market at an instant.

Prices are integers of 1e-8, second currency per unit of the first. A market without end of depth:
any quantity trades at the best price, unless a fault says otherwise (``paper_faults``).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from sekisho.core.amounts import SCALE, ceil_div


class Best(NamedTuple):
    """Best bid and ask, 0 < bid ≤ ask, in units of 1e-8."""

    bid: int
    ask: int


class Market(Protocol):
    """Where prices come from; ``EcbPath`` and ``StaticRates`` are such."""

    def best(self, market: str, at_ns: int) -> Best | None:
        """Best bid and ask of ``market`` as written, at an instant; None when it is not quoted."""
        ...


def inverted(best: Best) -> Best | None:
    """The same quotation with the currencies exchanged, bid rounded down and ask up.

    None when the inverse is too small for units of 1e-8.
    """
    bid = SCALE * SCALE // best.ask
    return Best(bid, ceil_div(SCALE * SCALE, best.bid)) if bid > 0 else None
