# SPDX-License-Identifier: Apache-2.0
"""``sekisho rehearse`` in this process: a small policy, rows of a history, what came of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from click.testing import CliRunner

from sekisho.apps.cli import cli

EXAMPLES = Path(__file__).parents[1] / "examples"
SMALL = """
agent: bot
operator: {name: Example Trading}
scope:
  markets: [EUR/USD]
  currency: EUR
  order_notional_max: 25000
  daily_notional_max: 30000
  venues: [PAPER]
  regions: [eu-west-1]
  consecutive_failures_max: 3
behaviour: {baseline_days: 2, baseline_orders_min: 20}
risk_controls: {hold_on_single_order: true}
"""
HEADER = "time,client_order_id,market,side,quantity,price,time_in_force,status,latency_ms"


class Run(NamedTuple):
    """What the command said, and the folder that it wrote."""

    code: int
    out: str
    err: str
    folder: Path

    @property
    def summary(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "summary.json").read_text("utf-8"))
        return found

    def lines(self, name: str = "decisions.jsonl") -> list[dict[str, Any]]:
        text = (self.folder / name).read_text("utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def verdicts(self) -> list[str]:
        return [line["verdict"] for line in self.lines()]

    def reasons(self, line: int) -> list[str]:
        (found,) = (one for one in self.lines() if one["line"] == line)
        return [reason["code"] for reason in found["reasons"]]


def run(*arguments: object, folder: Path) -> Run:
    """Run the command in this process."""
    done = CliRunner().invoke(cli, ["rehearse", "--out", str(folder), *map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
    return Run(done.exit_code, done.stdout, done.stderr, folder)


def small(
    folder: Path,
    rows: Iterable[str],
    *arguments: str,
    policy: str = SMALL,
    header: str = HEADER,
    name: str = "orders.csv",
) -> Run:
    """Rehearse these rows with a small policy."""
    (folder / "policy.yaml").write_text(policy, encoding="utf-8")
    (folder / name).write_text("\n".join((header, *rows)), encoding="utf-8")
    return run(
        "--policy", folder / "policy.yaml", "--orders", folder / name, *arguments,
        folder=folder / "out",
    )  # fmt: skip


def row(
    time: str,
    name: str = "",
    quantity: int = 1000,
    price: str = "1.085",
    force: str = "",
    status: str = "filled",
    latency: str = "",
) -> str:
    """One line of :data:`HEADER`; the time is of May 2026, without its zone."""
    return f"2026-05-{time}Z,{name},EUR/USD,buy,{quantity},{price},{force},{status},{latency}"


def days(first: int, last: int, orders: int = 12) -> list[str]:
    """Ordinary days: an order every ten minutes from ten o'clock."""
    return [
        row(f"{day:02d}T{10 + number // 6:02d}:{number % 6}0:00", latency="12")
        for day in range(first, last + 1)
        for number in range(orders)
    ]
