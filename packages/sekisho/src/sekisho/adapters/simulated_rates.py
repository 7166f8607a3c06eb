# SPDX-License-Identifier: Apache-2.0
"""Any ``RateSource`` with faults by instruction: down, silent, frozen, crossed, shifted.

For tests and drills. It changes what a gate is told, never what the paper venue trades at.
"""

from __future__ import annotations

import msgspec

from sekisho.core.amounts import SCALE, format_amount, parse_amount
from sekisho.core.errors import Unavailable
from sekisho.core.markets import pair_of
from sekisho.ports import Quotation, RateSource


class FaultyRates:
    """Passes quotations on, changed by what is set in its attributes.

    ``down``: every call raises Unavailable. ``silent``: pairs that are left out. ``crossed``: pairs
    whose bid and ask are exchanged. ``shifted``: pairs whose bid and ask are multiplied by
    (1 + share), the share an integer in units of 1e-8 (−30 % is −30_000_000). ``freeze``: from now
    on, what was last passed on for a pair comes again, unchanged, its instant too.
    """

    def __init__(self, source: RateSource) -> None:
        self.down = False
        self.silent: set[str] = set()
        self.crossed: set[str] = set()
        self.shifted: dict[str, int] = {}
        self._source = source
        self._last: dict[str, tuple[Quotation, ...]] = {}
        self._frozen: dict[str, tuple[Quotation, ...]] = {}

    def freeze(self, pair: str) -> None:
        """Repeat what was last passed on for this pair; nothing if nothing was."""
        self._frozen[pair] = self._last.get(pair, ())

    def thaw(self, pair: str) -> None:
        """Pass fresh quotations on again."""
        self._frozen.pop(pair, None)

    async def quotations(self, pairs: tuple[str, ...]) -> tuple[Quotation, ...]:
        """As the port says. Raises Unavailable while ``down``."""
        if self.down:
            raise Unavailable("the rate source is down by instruction")
        fresh = await self._source.quotations(pairs)
        result: list[Quotation] = []
        for pair in pairs:
            mine = self._frozen.get(pair)
            if mine is None:
                mine = tuple(self._change(q, pair) for q in fresh if pair_of(q.market)[0] == pair)
                self._last[pair] = mine
            if pair not in self.silent:
                result.extend(mine)
        return tuple(result)

    def _change(self, quotation: Quotation, pair: str) -> Quotation:
        bid, ask = quotation.bid, quotation.ask
        if pair in self.shifted:
            factor = SCALE + self.shifted[pair]
            bid = format_amount(parse_amount(bid) * factor // SCALE)
            ask = format_amount(parse_amount(ask) * factor // SCALE)
        if pair in self.crossed:
            bid, ask = ask, bid
        return msgspec.structs.replace(quotation, bid=bid, ask=ask)
