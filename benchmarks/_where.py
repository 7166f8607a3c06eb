# SPDX-License-Identifier: Apache-2.0
"""Where the time of an order goes in a gate: its processor time, and what an order waits for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from _firm import ask, processor_s
from _load import Line, Make, closed_loop, open_loop


def processor_time(gate: Path, lines: Sequence[Line], make: Make, pid: int, seconds: float) -> None:
    """Where the gate's processor time of an order goes."""
    print(f"where the gate's processor time of an order goes, {len(lines)} callers, sampled")
    before = processor_s(pid)
    ask(gate, "/look")
    sample = closed_loop(lines, make, f"l{time.time_ns()}", seconds=seconds)
    told = ask(gate, "/looked")
    spent = (processor_s(pid) - before) / len(sample.sent) * 1e6
    whole = sum(told.values())
    for name, count in sorted(told.items(), key=lambda item: -item[1]):
        print(f"  {name:<44}{count / whole * spent:8.0f} µs")
    print(f"  {'together, the looking included':<44}{spent:8.0f} µs")


def stages(gate: Path, lines: Sequence[Line], make: Make, rate: float, seconds: float) -> None:
    """Where the time goes; the wrappers stay, so this comes last."""
    print("where the time of an order goes, mean, Unix socket, timed in a run of its own")
    ask(gate, "/begin")
    ask(gate, "/stages")
    sample = open_loop(lines, make, f"st-{time.time_ns()}", rate=rate, seconds=seconds)
    told = ask(gate, "/stages")
    count, wall, own_time = told["orders"], told["wall"], told["own"]
    mean = sum(sample.due) / len(sample.due)

    def row(name: str, milliseconds: float) -> None:
        print(f"  {name:<44}{milliseconds * 1000:8.0f} µs")

    each = {name: spent / count * 1000 for name, spent in wall.items()}
    inner = sum(own_time.values()) / count * 1000
    row("caller: from the instant due to the answer", mean)
    row("  sockets, server, event loop", mean - each["http"])
    row("  HTTP: routing, who asks, body, answer", each["http"] - each["gatekeeper"])
    row("  wait until the decision is durable", each["wait until durable"])
    own_time["sign"] = wall["sign"]
    for name, spent in sorted(own_time.items(), key=lambda item: -item[1]):
        row(f"  {name}", spent / count * 1000)
    rest = each["gatekeeper"] - each["wait until durable"] - each["sign"] - inner
    row("  rest of the gatekeeper, other orders' turns", rest)
