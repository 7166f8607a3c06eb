# SPDX-License-Identifier: Apache-2.0
"""``sekisho gate status``: what a running gate says of itself, in words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from sekisho.compose.running_gate import operations_of


async def show_status(config: Path) -> int:
    """Exit code 0 only when the gate may permit."""
    operations = operations_of(config)
    try:
        status = await operations.ask("GET", "/v1/status")
    finally:
        await operations.close()
    for line in status_lines(status):
        click.echo(line)
    return 1 if status["missing"] else 0


def status_lines(status: dict[str, Any]) -> Iterator[str]:
    """A line for each thing."""
    ready = "NOT READY" if status["missing"] else "ready"
    yield (
        f"gate {status['gate']} in {status['region']}, environment {status['environment']}: {ready}"
    )
    for one in status["missing"]:
        yield f"  missing: {one}"
    connected = "connected" if status["connected"] else "NOT CONNECTED"
    yield f"authority: {connected}; lease: {_seconds(status['lease_left_ms'])} left"
    for why in status["unreported"]:
        yield f"  a stop by people is not there yet: {why}"
    for agent in status["agents"]:
        mode = f", shut down to {agent['shutdown']}" if agent["shutdown"] else ""
        latches = f", latched: {', '.join(agent['latches'])}" if agent["latches"] else ""
        yield (
            f"agent {agent['agent']}: {agent['status']}, {agent['phase']} phase,"
            f" {agent['working']} working orders{latches}{mode}"
        )
    for venue in status["venues"]:
        latched = f", LATCHED by incident {venue['incident']}" if venue["incident"] else ""
        known = "reconciled" if venue["reconciled"] else "NOT RECONCILED"
        yield f"venue {venue['venue']}: {known}{latched}"
    for one in status["doubts"]:
        yield (
            f"  order {one['client_order_id']} of {one['agent']} ({one['phase']}) keeps its"
            f" reservation: {one['venue']} has not told what became of it for {one['for_s']} s"
            f" ({one['why']})"
        )
    for feed in status["feeds"]:
        heard = "never" if feed["heard_ms"] < 0 else f"{_seconds(feed['heard_ms'])} ago"
        silent = ", SILENT" if feed["silent"] else ""
        yield f"rates {feed['source']}: heard {heard}, {feed['faults']} faults{silent}"
    log = status["log"]
    yield (
        f"log {log['origin']}: {log['entries']} entries, {log['durable']} durable,"
        f" {log['published']} published"
    )


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds // 1000}.{milliseconds % 1000 // 100} s"
