# SPDX-License-Identifier: Apache-2.0
"""The bot of the demonstration: it wants to trade, and holds nothing but its name.

It plans its day from the policy it was told about: sizes around three quarters of the largest
order, within the day's cap, most of them around the middle of the morning. All its choices come
from a seed, in integers. It knows the gate only as something that takes bytes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sekisho.core.amounts import CENT, SCALE, format_amount, parse_amount
from sekisho.core.encoding import canonical
from sekisho.core.scope import Scope
from sekisho.core.terms import DAY_S, NS
from sekisho.ports import Entropy

ORDERS_A_DAY = (24, 25, 26)
USUAL_SIZE_PERCENT = 74
CAP_USE_PERCENT = 98
FIRST_MARKET_PERCENT = 73
UNLIMITED_SIZE = 25_000 * SCALE
COUNTERPARTIES = ("COINEX", "KRAKEN", "BINANCE")
TICK = SCALE // 100_000


class Intent(NamedTuple):
    """One order that the bot means to ask for, before it knows the price."""

    at_ns: int
    market: str
    side: str
    size: int


class Trader:
    """Plans days and writes orders."""

    def __init__(self, scope: Scope, entropy: Entropy) -> None:
        self._scope = scope
        self._entropy = entropy
        self._count = 0
        self.usual_max = (
            UNLIMITED_SIZE
            if scope.order_notional_max == "none"
            else parse_amount(scope.order_notional_max)
        )

    def below(self, bound: int) -> int:
        """A number from 0 to ``bound`` − 1."""
        return int.from_bytes(self._entropy.bytes(8), "big") % bound

    def plan_day(self, midnight_ns: int) -> list[Intent]:
        """What the bot means to do on the day that begins at this instant, in order of time.

        Args:
            midnight_ns: local midnight of the policy's zone, ns UTC.
        """
        count = ORDERS_A_DAY[self.below(len(ORDERS_A_DAY))]
        sizes = [self._size() for _ in range(count)]
        cap = self._scope.daily_notional_max
        if cap != "none":
            room = parse_amount(cap) * CAP_USE_PERCENT // 100
            if sum(sizes) > room:
                sizes = [size * room // sum(sizes) // CENT * CENT for size in sizes]
        start, end = self._hours()
        seconds = sorted(self._second(start, end) for _ in range(count))
        return [
            Intent(midnight_ns + second * NS, self._market(), ("buy", "sell")[self.below(2)], size)
            for second, size in zip(seconds, sizes, strict=True)
            if size > 0
        ]

    def order(self, intent: Intent, bid: int, ask: int, *, away_percent: int = 0) -> bytes:
        """The order for an intent at the present prices, as bytes for the gate.

        Args:
            intent: what is meant.
            bid: of the market, in units of 1e-8.
            ask: of the market, in units of 1e-8.
            away_percent: how far from the market the price is; 0 is marketable.
        """
        self._count += 1
        base, quote = intent.market.split("/")
        buys = intent.side == "buy"
        price = ask + 5 * TICK if buys else bid - 5 * TICK
        if away_percent:
            share = price * away_percent // 100
            price = price - share if buys else price + share
        price = price // TICK * TICK
        order: dict[str, Any] = {
            "action": "new",
            "client_order_id": f"order-{self._count:05d}",
            "market": intent.market,
            "side": intent.side,
            "order_type": "limit",
            "quantity": format_amount(intent.size),
            "currency": self._scope.currency if self._scope.currency in (base, quote) else base,
            "price": format_amount(price),
            "time_in_force": "day",
            "venue": "PAPER" if self._scope.venues == "none" else self._scope.venues[0],
            "account": "main",
            "counterparty": self._counterparty(),
        }
        return canonical(order)

    def _size(self) -> int:
        """Around three quarters of the largest order: the sum of two dice, in whole euros or so."""
        usual = self.usual_max * USUAL_SIZE_PERCENT // 100
        spread = self.usual_max // 8
        drawn = self.below(spread) + self.below(spread) - spread + usual
        return min(drawn, self.usual_max) // SCALE * SCALE or CENT

    def _hours(self) -> tuple[int, int]:
        hours = self._scope.trading_hours
        if hours == "none":
            return 0, DAY_S
        start, end = (
            int(text[:2]) * 3600 + int(text[3:]) * 60 for text in (hours.start, hours.end)
        )
        return start, end

    def _second(self, start: int, end: int) -> int:
        """Two of three orders anywhere in the hours, the third in the second quarter of them."""
        span = end - start
        if self.below(3) == 0:
            return start + span // 4 + self.below(span // 4)
        return start + self.below(span)

    def _market(self) -> str:
        markets = self._scope.markets
        if len(markets) == 1 or self.below(100) < FIRST_MARKET_PERCENT:
            return markets[0]
        return markets[1 + self.below(len(markets) - 1)]

    def _counterparty(self) -> str:
        allowed = self._scope.counterparties
        names = COUNTERPARTIES if allowed == "none" else allowed
        return names[self.below(len(names))]
