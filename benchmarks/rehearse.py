# SPDX-License-Identifier: Apache-2.0
"""What a rehearsal costs: rows a second and peak memory, for histories of growing length.

Each length runs in a process of its own, from a file made with a seed: about two years of one
agent, orders evenly spread over the trading hours, so that a longer history is a busier one. Peak
memory is the kernel's (VmHWM). The floor, in the same run, is the decision alone: all checks and
scores of one order against a state that does not change; no reading, no record, no signature.

    python benchmarks/rehearse.py [--quick] [--folder DIR]
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sekisho.adapters.history.rates import OwnPrices
from sekisho.adapters.known_ids import KnownIds
from sekisho.compose.documents import register_document
from sekisho.compose.rehearsal import RehearsalRequest, rehearse
from sekisho.compose.rehearsal_gate import RehearsalStage
from sekisho.core.drills.history import RowDefaults, read_row
from sekisho.core.evidence.chronicle import Chronicle
from sekisho.core.gate.decide import decide
from sekisho.core.gate.order import parse_order
from sekisho.core.terms import NS

ROWS = (10_000, 100_000, 1_000_000)
QUICK_ROWS = (10_000, 30_000)
DECISIONS = 20_000
QUICK_DECISIONS = 2_000
SEED = "sekisho"
HEADER = (
    "time,client_order_id,market,side,type,currency,quantity,price,venue,counterparty,status,"
    "latency_ms"
)
FIRST_DAY = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = 522
"""Trading days of two years."""
OPENS_S, CLOSES_S = 8 * 3_600, 17 * 3_600
MARKETS = ("EUR/USD", "EUR/USD", "GBP/EUR")
TICKS = {"EUR/USD": 108_500, "GBP/EUR": 117_500}
POLICY = """
agent: bot
operator: {name: Benchmark}
scope:
  markets: [EUR/USD, GBP/EUR]
  currency: EUR
  order_notional_max: 25000
  daily_notional_max: 100000000
  price_collar: {deviation_max: 0.05, range_max: 0.10, window_s: 300}
  message_rate: {count_max: 100000, window_s: 60}
  position_notional_max: 100000000000
  venues: [PAPER]
  regions: [eu-west-1]
  trading_hours: {start: "08:00", end: "17:00"}
  market_stress: {action: score, spread_max: 0.01, move_max: 0.05, window_s: 60}
  consecutive_failures_max: 100
"""


def draw(count: int) -> Iterator[int]:
    """Four numbers of 16 bits for each row, from the seed alone."""
    for number in range(count):
        digest = hashlib.sha256(f"{SEED}\n{number}".encode()).digest()
        yield int.from_bytes(digest[:8], "big")


def write_orders(path: Path, count: int) -> None:
    """A history of so many rows: the same bytes for the same seed."""
    step = DAYS * (CLOSES_S - OPENS_S) * 1000 // count
    ticks = dict(TICKS)
    with path.open("w", encoding="ascii") as file:
        file.write(HEADER + "\n")
        for number, drawn in enumerate(draw(count)):
            day, left = divmod(number * step + drawn % step, (CLOSES_S - OPENS_S) * 1000)
            week, weekday = divmod(day, 5)
            at = FIRST_DAY + timedelta(days=7 * week + weekday, milliseconds=OPENS_S * 1000 + left)
            market = MARKETS[(drawn >> 16) % len(MARKETS)]
            ticks[market] += (drawn >> 20) % 11 - 5 - (ticks[market] - TICKS[market]) // 500
            price, latency = ticks[market], 5_000 + (drawn >> 24) % 20_000
            status = "canceled" if (drawn >> 40) % 25 == 0 else "filled"
            file.write(
                f"{at.isoformat(timespec='milliseconds').removesuffix('+00:00')}Z,A-{number:08d},"
                f"{market},{('buy', 'sell')[(drawn >> 30) % 2]},limit,{market[:3]},"
                f"{100 + (drawn >> 32) % 800},{price // 100_000}.{price % 100_000:05d},PAPER,"
                f"{('COINEX', 'KRAKEN', 'BINANCE')[(drawn >> 44) % 3]},{status},"
                f"{latency // 1000}.{latency % 1000:03d}\n"
            )


def run_one(policy: Path, orders: Path, out: Path) -> None:
    """In a process of its own: rehearse, and print what it took as JSON."""
    begun = time.perf_counter()
    request = RehearsalRequest(policy, orders, None, out, {})
    result = asyncio.run(rehearse(request, stopped=lambda: False, progress=lambda _progress: None))
    took = time.perf_counter() - begun
    status = Path("/proc/self/status").read_text("ascii")
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    print(
        json.dumps(
            {
                "rows": result.figures.rows,
                "refused": result.figures.verdicts["refused"],
                "complete": result.summary["complete"],
                "seconds": took,
                "peak_kib": int(peak.split()[1]),
            }
        )
    )


async def floor(policy: Path, folder: Path, count: int) -> float:
    """Seconds of one decision, all checks and scores, nothing else."""
    known = KnownIds(folder / "floor-ids")
    rates = OwnPrices(("primary",))
    stage = RehearsalStage(
        register_document(policy, time.time_ns()), rates, known, Chronicle("bot")
    )
    fields = {
        "time": "2024-01-02T10:00:00Z",
        "market": "EUR/USD",
        "side": "buy",
        "quantity": "500",
        "price": "1.085",
        "counterparty": "KRAKEN",
    }
    row = read_row(fields, 2, RowDefaults(venue="PAPER"))
    gate = await stage.open((row.at // NS - 60) * NS)
    gate.clock.advance_to(row.at)
    rates.advance(row)
    gate.venue.expect(row)
    first = await gate.gatekeeper.submit("bot", row.body)
    assert first.kind == "permitted", first
    other = read_row(fields | {"client_order_id": "other"}, 3, RowDefaults(venue="PAPER"))
    order, log = parse_order(other.body), gate.log
    begun = time.perf_counter()
    for _ in range(count):
        entry = decide(log.state, log.clocks(), "bot", other.body, order, log.watch.scores)
    took = (time.perf_counter() - begun) / count
    assert entry.verdict == "permitted", entry.reasons
    known.close()
    return took


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="10,000 and 30,000 rows")
    parser.add_argument("--folder", type=Path, default=None, help="where the files are made")
    parser.add_argument("--one", nargs=3, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        run_one(*options.one)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        policy = folder / "policy.yaml"
        policy.write_text(POLICY, encoding="ascii")
        decided = asyncio.run(
            floor(policy, folder, QUICK_DECISIONS if options.quick else DECISIONS)
        )
        print(f"floor: a decision alone, {decided * 1e6:.0f} µs")
        print(
            f"{'rows':>10} {'rows/s':>8} {'µs/row':>8} {'× floor':>8} {'peak MiB':>9}"
            f" {'refused':>8}"
        )
        for count in QUICK_ROWS if options.quick else ROWS:
            orders = folder / f"orders-{count}.csv"
            write_orders(orders, count)
            done = subprocess.run(  # noqa: S603 - this script on its own files
                [sys.executable, __file__, "--one", policy, orders, folder / f"out-{count}"],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            found = json.loads(done.stdout)
            assert found["rows"] == count, found
            assert found["complete"], found
            each = found["seconds"] / count
            print(
                f"{count:>10,} {1 / each:>8,.0f} {each * 1e6:>8.0f} {each / decided:>8.1f}"
                f" {found['peak_kib'] / 1024:>9.1f} {found['refused']:>8,}",
                flush=True,
            )


if __name__ == "__main__":
    main()
