# SPDX-License-Identifier: Apache-2.0
"""Reference rates on their way into the log: asked for, then recorded before a decision uses them.

Quality is judged by the checks, not here. What cannot even be written down as a quotation is
recorded as crossed (bid 0), so that it refuses orders and stays visible.
"""

from __future__ import annotations

from sekisho.core.amounts import parse_amount
from sekisho.core.errors import MalformedInput, Unavailable
from sekisho.core.events import RateObserved
from sekisho.core.gate.order import CancelOrder, NewOrder, Order
from sekisho.core.markets import pair_of
from sekisho.core.terms import MARKET, NAME, parse_instant
from sekisho.ports import Quotation, RateSource
from sekisho.services.gatelog import GateLog


class RateWatch:
    """Fetches the rates that an order needs and records what changed."""

    def __init__(self, log: GateLog, source: RateSource) -> None:
        self._log = log
        self._source = source
        self._written: dict[tuple[str, str], Quotation] = {}

    async def fetch(self, agent: str, order: Order) -> tuple[Quotation, ...]:
        """The quotations for the pairs of an order; nothing when the source does not answer.

        Nothing is not permission: the checks refuse for the missing or stale rate.
        """
        pairs = self._pairs(agent, order)
        if not pairs:
            return ()
        try:
            return await self._source.quotations(pairs)
        except Unavailable:
            return ()

    def record(self, quotations: tuple[Quotation, ...]) -> None:
        """Write each quotation that is new into the log."""
        for quotation in quotations:
            key = (quotation.source, quotation.market)
            if self._written.get(key) == quotation:
                continue
            if (
                MARKET.fullmatch(quotation.market) is None
                or NAME.fullmatch(quotation.source) is None
            ):
                continue
            self._written[key] = quotation
            self._log.record(self._entry(quotation))

    def _pairs(self, agent: str, order: Order) -> tuple[str, ...]:
        held = self._log.state.agents.get(agent)
        if held is None or isinstance(order, CancelOrder):
            return ()
        if isinstance(order, NewOrder):
            market, currency = order.market, order.currency
        else:
            target = held.working.get(order.orig_client_order_id)
            if target is None:
                return ()
            market, currency = target.terms.market, target.terms.currency
        into = held.limits.scope.currency
        if into in market.split("/"):
            return (pair_of(market)[0],)
        return (pair_of(market)[0], pair_of(f"{currency}/{into}")[0])

    def _entry(self, quotation: Quotation) -> RateObserved:
        bid, ask, quoted_at = quotation.bid, quotation.ask, quotation.quoted_at
        try:
            parse_amount(bid)
            parse_amount(ask)
            parse_instant(quoted_at)
        except MalformedInput:
            bid, ask, quoted_at = "0", "0", self._log.at()
        return RateObserved(
            at=self._log.at(),
            market=quotation.market,
            source=quotation.source,
            bid=bid,
            ask=ask,
            quoted_at=quoted_at,
        )
