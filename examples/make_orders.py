# SPDX-License-Identifier: Apache-2.0
"""Makes the history of ``examples/orders.csv`` and its rates: a plausible month of one agent.

The same seed gives the same bytes on any machine. A few rows are meant to be refused, and one is
meant to be no good at all, so that a rehearsal has something to show.

    python examples/make_orders.py [--seed TEXT] [--days N] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

FIRST_DAY = datetime(2026, 5, 4, tzinfo=UTC)
"""A Monday."""
DAYS = 30
ORDERS_A_DAY = (24, 31)
COUNTERPARTIES = ("COINEX", "COINEX", "COINEX", "COINEX", "KRAKEN", "KRAKEN", "BINANCE")
MARKETS = ("EUR/USD", "EUR/USD", "EUR/USD", "GBP/EUR")
START_TICKS = {"EUR/USD": 108_500, "GBP/EUR": 117_500}
HEADER = (
    "time,client_order_id,market,side,type,currency,quantity,price,time_in_force,venue,account,"
    "counterparty,status,filled_quantity,fill_price,latency_ms,executed_counterparty"
)


class Dice:
    """Numbers that follow from a seed: SHA-256 over the seed and a counter."""

    def __init__(self, seed: str) -> None:
        self._seed = seed.encode()
        self._count = 0

    def below(self, bound: int) -> int:
        """A number from 0 to ``bound`` − 1."""
        self._count += 1
        digest = hashlib.sha256(self._seed + b"\n" + str(self._count).encode()).digest()
        return int.from_bytes(digest[:8], "big") % bound

    def between(self, low: int, high: int) -> int:
        """A number from ``low`` to ``high``."""
        return low + self.below(high - low + 1)


class Asked(NamedTuple):
    """One order of the bot, with what became of it."""

    at: datetime
    market: str
    side: str
    quantity: int
    price: int
    counterparty: str
    status: str
    latency_us: int


def month(seed: str, days: int = DAYS) -> tuple[list[str], list[str]]:
    """The lines of the orders and of the rates, headers first."""
    dice = Dice(seed)
    orders, rates = [HEADER], ["time,market,bid,ask"]
    for number, (asked, mid) in enumerate(_orders(dice, days), 1):
        quoted = asked.at - timedelta(milliseconds=dice.between(200, 4_000))
        rates.append(f"{_time(quoted)},{asked.market},{_price(mid - 4)},{_price(mid + 4)}")
        orders.append(_row(f"A-{number:06d}", asked))
    return _with_exceptions(orders), [rates[0], *sorted(rates[1:])]


def _orders(dice: Dice, days: int) -> Iterator[tuple[Asked, int]]:
    """Orders in the order of their times, with the middle of their market."""
    ticks = dict(START_TICKS)
    for day in range(days):
        today = FIRST_DAY + timedelta(days=day)
        if today.weekday() > 4:
            continue
        # From nine to half past four, most of it around eleven.
        seconds = sorted(
            32_400 + (dice.below(27_000) if dice.below(3) else 5_400 + dice.below(5_400))
            for _ in range(dice.between(*ORDERS_A_DAY))
        )
        for second in seconds:
            market = MARKETS[dice.below(len(MARKETS))]
            ticks[market] += dice.between(-60, 60)
            at = today + timedelta(seconds=second)
            yield _asked(dice, at, market, ticks[market]), ticks[market]


def _asked(dice: Dice, at: datetime, market: str, mid: int) -> Asked:
    side = ("buy", "sell")[dice.below(2)]
    chance = dice.below(100)
    status = "filled"
    if chance >= 93:
        status = ("canceled", "canceled", "canceled", "expired", "expired", "rejected", "rejected")[
            chance - 93
        ]
    return Asked(
        at=at,
        market=market,
        side=side,
        quantity=(dice.between(30, 70) + dice.between(30, 70) + dice.between(0, 60)) * 100,
        price=mid + (9 if side == "buy" else -9),
        counterparty=COUNTERPARTIES[dice.below(len(COUNTERPARTIES))],
        status=status,
        latency_us=dice.between(8_000, 20_000) + dice.below(8) // 7 * dice.below(60_000),
    )


def _row(name: str, asked: Asked) -> str:
    filled = asked.quantity if asked.status == "filled" else 0
    executed = asked.counterparty if filled else ""
    fields = (
        _time(asked.at),
        name,
        asked.market,
        asked.side,
        "limit",
        asked.market[:3],
        asked.quantity,
        _price(asked.price),
        "day",
        "PAPER",
        "main",
        asked.counterparty,
        asked.status,
        filled,
        _price(asked.price) if filled else "",
        f"{asked.latency_us // 1000}.{asked.latency_us % 1000:03d}",
        executed,
    )
    return ",".join(map(str, fields))


def _with_exceptions(rows: list[str]) -> list[str]:
    """A few rows that a policy refuses, and one that cannot be read."""
    rows = list(rows)
    for place, column, text in (
        (101, 6, "31000"),  # larger than the largest order
        (555, 6, "90000"),  # so large that it is unlike anything before
        (203, 7, "1.31500"),  # a price with two digits exchanged
        (310, 2, "EUR/JPY"),  # a market that nobody allowed
        (421, 9, "DARKPOOL"),  # a venue that nobody allowed
        (460, 1, rows[455].split(",")[1]),  # an id that was used before
        (520, 0, rows[520].split(",")[0].removesuffix("Z")),  # an instant without its zone
    ):
        if place < len(rows):
            fields = rows[place].split(",")
            fields[column] = text
            rows[place] = ",".join(fields)
    return rows


def _time(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _price(ticks: int) -> str:
    return f"{ticks // 100_000}.{ticks % 100_000:05d}"


def main() -> None:
    """Write ``orders.csv`` and ``rates.csv``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", default="sekisho")
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    orders, rates = month(options.seed, options.days)
    for name, lines in (("orders.csv", orders), ("rates.csv", rates)):
        # RFC 4180 ends lines with both characters.
        (options.out / name).write_bytes("".join(f"{line}\r\n" for line in lines).encode("ascii"))


if __name__ == "__main__":
    main()
