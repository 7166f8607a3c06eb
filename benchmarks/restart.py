# SPDX-License-Identifier: Apache-2.0
"""Memory over many orders, and how long a gate takes to open its log again.

Orders are folded and written as a gate writes them, without deciding them anew: of four, three are
permitted, signed and filled (three entries), one is refused (one entry): 2.5 entries an order, of
about 1 KiB. One order comes every four seconds of log time, around the clock. Then other processes
open the log: with its snapshots, and with ``--whole`` without them, which folds every entry.

    python benchmarks/restart.py [--quick] [--orders N] [--folder DIR] [--whole]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from journal import _Clock, _Signer
from permit import CERTIFICATE, POLICY

from sekisho.adapters.disk import FolderDisk
from sekisho.adapters.seen_file import SeenFile
from sekisho.core.encoding import b64
from sekisho.core.events import (
    AgentAdmitted,
    Decision,
    Execution,
    GateOpened,
    PermitSigned,
    RateObserved,
)
from sekisho.core.terms import NS, Code, Reason, parse_instant
from sekisho.services.gatelog import GateLog
from sekisho.services.journal import Journal
from sekisho.services.snapshots import SeenInMemory, Snapshots

ORIGIN = "gate.example/bench"
START = parse_instant("2026-01-05T00:00:00.000000000Z")
EVERY_S = 4
BATCH = 200
UNPUBLISHED_MAX = 5_000
PERMIT = "p" * 1_500


class _LogTime(_Clock):
    """Log time moves with the orders; the rest is the machine's."""

    def __init__(self) -> None:
        self.now = START

    def now_ns(self) -> int:
        return self.now


def resident_mib() -> float:
    """Memory of this process that is in the machine, MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def admit(log: GateLog) -> None:
    """The first entries of a gate with one agent."""
    policy = POLICY | {"risk_controls": POLICY["risk_controls"] | {"clock_difference_max_s": 5}}
    at = log.at()
    log.record(GateOpened(at=at, gate="g1", boot="0" * 32, region="eu-west-1", environment="test"))
    log.record(
        AgentAdmitted(
            at=at, agent="bot", certificate=b64(bytes(700)), certificate_sha256=CERTIFICATE,
            serial_number="01", not_before="2020-01-01T00:00:00.000000000Z",
            not_after="2120-01-01T00:00:00.000000000Z", policy=policy, policy_sha256="d" * 64,
            authority_index=0,
        )
    )  # fmt: skip


def take_order(log: GateLog, number: int) -> None:
    """One order with what follows from it."""
    at, name, refused = log.at(), f"o-{number:09d}", number % 4 == 0
    order: dict[str, Any] = {
        "action": "new", "client_order_id": name, "market": "EUR/USD", "side": "buy",
        "order_type": "limit", "quantity": f"{1000 + number % 9000}", "currency": "EUR",
        "price": "1.085", "time_in_force": "day", "venue": "PAPER", "account": "main",
    }  # fmt: skip
    if number % 100 == 1:
        mid = 10_849 + number % 7
        log.record(
            RateObserved(
                at=at, market="EUR/USD", source="STATIC", bid=f"1.{mid - 10_000:04d}",
                ask=f"1.{mid - 9_998:04d}", quoted_at=at,
            )
        )  # fmt: skip
    reasons = (Reason(Code.EXCEEDS_SCOPE_SIZE, "1.00", "2.00", "EUR"),) if refused else ()
    index = log.record(
        Decision(
            at=at, agent="bot", order=order, body_sha256="e" * 64, body_bytes=300,
            state=log.journal.size, monotonic="1", verdict="refused" if refused else "permitted",
            reasons=reasons, notional=f"{order['quantity']}.00", before=None, after=None,
            scores=None, rates={}, certificate_sha256=CERTIFICATE,
            policy_sha256="d" * 64, epoch=0,
        )
    )  # fmt: skip
    if refused:
        return
    log.record(PermitSigned(at=at, agent="bot", decision=index, permit=PERMIT))
    log.record(
        Execution(
            at=at, agent="bot", venue="PAPER", client_order_id=name, venue_order_id=f"V{number}",
            exec_id=f"E{number}", exec_type="trade", last_quantity=order["quantity"],
            last_price="1.085", cum_quantity=order["quantity"], leaves_quantity="0",
            counterparty="PAPER", reason="", transact_at=at,
        )
    )  # fmt: skip


async def grow(folder: Path, orders: int) -> None:
    """Write the log; print memory on the way."""
    clock, disk = _LogTime(), FolderDisk(folder / "gate")
    journal = await Journal.open(disk, origin=ORIGIN, signer=_Signer(), clock=clock)
    seen = SeenFile(folder / "ids.sqlite", ORIGIN)
    snapshots = Snapshots(disk, seen)
    log = await snapshots.open_log(journal, clock)
    admit(log)
    tasks = [asyncio.create_task(journal.run()), asyncio.create_task(snapshots.run(log, clock))]
    begin = time.perf_counter()
    print("    orders    entries  log MiB  resident MiB  unpublished  entries/s")
    for number in range(1, orders + 1):
        take_order(log, number)
        clock.now += EVERY_S * NS
        if number % BATCH == 0:
            await log.durable(journal.size - 1)
            if journal.size - journal.published_size > UNPUBLISHED_MAX:
                await journal.publish()  # a loop that only writes leaves the publisher no turn
        if number % max(1, orders // 10) == 0:
            size = sum(path.stat().st_size for path in (folder / "gate/journal").iterdir()) / 2**20
            rate = journal.size / (time.perf_counter() - begin)
            print(
                f"{number:10} {journal.size:10} {size:8.0f} {resident_mib():13.0f}"
                f" {journal.size - journal.published_size:12} {rate:10.0f}"
            )
    await snapshots.close(log)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await journal.close()
    seen.close()
    disk.close()
    print(f"notices: {snapshots.notices}")


async def reopen(folder: Path, *, whole: bool) -> None:
    """Open the log as a gate does; print how long each part took."""
    disk, clock = FolderDisk(folder / "gate"), _LogTime()
    begin, own = time.perf_counter(), time.process_time()
    journal = await Journal.open(disk, origin=ORIGIN, signer=_Signer(), clock=clock)
    opened = time.perf_counter()
    if whole:
        snapshots, seen = Snapshots(disk, SeenInMemory()), None
        log = GateLog(journal, clock)
    else:
        seen = SeenFile(folder / "ids.sqlite", ORIGIN)
        snapshots = Snapshots(disk, seen)
        log = await snapshots.open_log(journal, clock)
    folded = time.perf_counter()
    how = "all folded   " if whole else "from snapshot"
    print(
        f"{how}  {log.state.size:9} entries: journal {opened - begin:6.2f} s, folds "
        f"{folded - opened:6.2f} s, together {folded - begin:6.2f} s, of which processor "
        f"{time.process_time() - own:6.2f} s, {resident_mib():5.0f} MiB, "
        f"notices {snapshots.notices}"
    )
    if seen is not None:
        seen.close()
    disk.close()


def main() -> None:
    """Grow a log, then open it in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="20,000 orders")
    parser.add_argument("--orders", type=int, default=400_000, help="10^6 entries by default")
    parser.add_argument("--folder", type=Path, default=None, help="where to write")
    parser.add_argument("--whole", action="store_true", help="also open without snapshots")
    parser.add_argument("--open", choices=["snapshot", "whole"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.open:
        asyncio.run(reopen(arguments.folder, whole=arguments.open == "whole"))
        return
    orders = 20_000 if arguments.quick else arguments.orders
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        asyncio.run(grow(Path(name), orders))
        for how in ["snapshot", "snapshot", *(["whole"] if arguments.whole else [])]:
            command = [sys.executable, __file__, "--open", how, "--folder", name]
            subprocess.run(command, check=True)  # noqa: S603 - this file itself


if __name__ == "__main__":
    main()
