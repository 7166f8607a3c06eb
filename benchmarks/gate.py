# SPDX-License-Identifier: Apache-2.0
"""A gate as a service: orders over its sockets, each allowed, recorded durably and signed.

The gate is a process of its own with a real authority beside it; the venue ``FREE`` in it costs
nothing, so what is measured ends with the signed permit. The load comes from this process, over raw
sockets. In the same run, alternating: the same server with an empty handler; the same orders sent
straight to a paper venue, with the permits that a gate would have made, over the permit protocol
and over FIX; and another product's decision alone, where its package is installed. ``benchmarks/
restart.py`` measures a gate that starts with 10^6 entries in its log.

    python benchmarks/gate.py [--quick] [--orders N] [--folder DIR]
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from _firm import (
    CREDENTIAL,
    Firm,
    ask,
    firm,
    machine,
    processor_s,
    resident_mib,
    token_of,
)
from _load import (
    FixLine,
    Line,
    Sample,
    at,
    closed_loop,
    http_lines,
    joined,
    mutual_tls,
    open_loop,
    unix,
)
from _orders import OwnPermits, fix_order, order

AGENT = "bot"
RATE = 500
VENUE_RATE = 100
CALLERS = 64
CONNECTIONS = 32
PERMITTED = b'"kind":"permitted"'
VENUES = """\
[[venues]]
name = "PAPER"
kind = "paper"
address = "unix:../paper/venue.sock"
credential_file = "credential"
[[venues]]
name = "PAPERFIX"
kind = "fix"
address = "unix:../paperfix/fix.sock"
credential_file = "credential"
account = "G1"
sender = "G1"
target = "VENUE"
takes_permits = true
"""


class Way(NamedTuple):
    """One way of an order that is measured."""

    name: str
    lines: list[Line]
    make: Callable[[str, int], Any]


def alternating(ways: list[Way], rate: float, seconds: float, rounds: int) -> dict[str, Sample]:
    """Each way in turn, so that a busy moment of the machine meets all of them; prints a row each.

    The first round warms up and is left out.
    """
    taken: dict[str, list[Sample]] = {way.name: [] for way in ways}
    for turn in range(rounds + 1):
        for way in ways:
            mark = f"o{time.time_ns()}"
            length = seconds if turn else min(seconds, 1.0)
            sample = open_loop(way.lines, way.make, mark, rate=rate, seconds=length)
            if turn:
                taken[way.name].append(sample)
    print(f"  {'ms':<34} from the instant due      from the sending")
    print(f"  {'':<34}    p50    p99    max       p50    p99    max   orders/s")
    found = {}
    for name, samples in taken.items():
        found[name] = one = joined(samples)
        due = "".join(f"{at(one.due, part):7.2f}" for part in (0.5, 0.99, 1))
        sent = "".join(f"{at(one.sent, part):7.2f}" for part in (0.5, 0.99, 1))
        print(f"  {name:<34}{due}   {sent}   {one.rate():8.0f}")
    return found


def saturated(ways: list[Way], callers: int, seconds: float, rounds: int, pid: int) -> None:
    """As many orders as come through with so many callers; prints a row each."""
    for way in ways:
        taken, before = [], processor_s(pid)
        for turn in range(rounds + 1):
            mark = f"c{time.time_ns()}"
            length = seconds if turn else min(seconds, 1.0)
            sample = closed_loop(way.lines[:callers], way.make, mark, seconds=length)
            taken += [sample] if turn else []
            before = before if turn else processor_s(pid)
        one, spent = joined(taken), processor_s(pid) - before
        print(
            f"  {way.name:<34}{callers:3} callers {one.rate():7.0f} orders/s,"
            f" p50 {at(one.sent, 0.5):6.2f} p99 {at(one.sent, 0.99):6.2f}"
            f" max {at(one.sent, 1):7.2f} ms; gate's processor time"
            f" {spent / len(one.sent) * 1e6:5.0f} µs an order"
        )


def prepared(made: Firm) -> tuple[Path, str]:
    """Found the firm, start everything; the gate's folder and the address of its TLS side."""
    asyncio.run(made.found([AGENT], lease_s=60))
    gate = asyncio.run(made.gate("g1", AGENT, VENUES))
    made.serve_gates(["g1"])
    folders = [
        made.venue("paper", "PAPER", "G1"),
        made.venue("paperfix", "PAPERFIX", "G1"),
        made.venue("direct", "DIRECT", "BOT"),
    ]
    made.start_authority()
    for folder in folders:
        made.start_venue(folder)
    return gate, made.start_gate(gate)


def over_sockets(gate: Path, tls: str, seconds: float, rounds: int, pid: int) -> None:
    """Unix socket and mTLS against the empty handler."""
    token = token_of(gate, AGENT)

    def at_gate() -> Any:
        return unix(gate / "gate.sock")

    def at_empty() -> Any:
        return unix(gate / "bench.sock")

    empty = Way("empty handler", http_lines(CALLERS, at_empty, "/", "", b"{}"), order("FREE"))
    own = Way(
        "gate, Unix socket",
        http_lines(CALLERS, at_gate, "/v1/orders", token, PERMITTED),
        order("FREE"),
    )
    secured = Way(
        "gate, mTLS",
        http_lines(CALLERS, lambda: mutual_tls(tls, gate), "/v1/orders", "", PERMITTED),
        order("FREE"),
    )
    print(f"allowed, durable, signed: Poisson arrivals, {RATE} orders/s, {CALLERS} connections")
    found = alternating([empty, own, secured], RATE, seconds, rounds)[own.name]
    print(
        f"  target p50 <= 1 ms: {verdict(at(found.due, 0.5) <= 1)},"
        f" p99 <= 5 ms: {verdict(at(found.due, 0.99) <= 5)} (from the instant due)"
    )
    print("closed loop: each caller sends its next order when the last was answered")
    saturated([empty, own], 1, seconds, rounds, pid)
    saturated([empty, own, secured], CALLERS, seconds, rounds, pid)
    print("where the time of an order goes, mean, Unix socket, timed in a run of its own")
    stages(gate, own, seconds)


def stages(gate: Path, own: Way, seconds: float) -> None:
    """Where the time goes; the wrappers stay, so this comes last."""
    ask(gate, "/begin")
    ask(gate, "/stages")
    sample = open_loop(own.lines, own.make, f"st-{time.time_ns()}", rate=RATE, seconds=seconds)
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


def at_venues(made: Firm, gate: Path, seconds: float, rounds: int) -> None:
    """The same orders through the gate to a venue, and straight to one."""
    token = token_of(gate, AGENT)
    template = one_permit(gate, token)
    permits = OwnPermits(made, AGENT, template)
    logon = ((553, AGENT), (554, token))
    bot = FixLine(unix(gate / "fix.sock"), "BOT", "SEKISHO", "", *logon)
    direct = made.folder / "direct"
    straight = FixLine(unix(direct / "fix.sock"), "BOT", "VENUE", AGENT, (554, CREDENTIAL))

    def lines(path: Path, route: str, bearer: str, wanted: bytes) -> list[Line]:
        return http_lines(CONNECTIONS, lambda: unix(path), route, bearer, wanted)

    gate_lines = lines(gate / "gate.sock", "/v1/orders", token, PERMITTED)
    venue_lines = lines(direct / "venue.sock", "/v1/permits", CREDENTIAL, b'"trade"')
    ways = [
        Way("direct: permit protocol", venue_lines, permits.http),
        Way("gate: HTTP, permit protocol", gate_lines, order("PAPER")),
        Way("direct: FIX", [straight], permits.fix),
        Way("gate: FIX, FIX", [bot], fix_order("PAPERFIX")),
        Way("gate: HTTP, FIX", gate_lines, order("PAPERFIX")),
        Way("gate: FIX, free venue", [bot], fix_order("FREE")),
        Way("gate: HTTP, free venue", gate_lines, order("FREE")),
    ]
    print(f"to a venue and back: {VENUE_RATE} orders/s; four processes share the processors")
    found = alternating(ways, VENUE_RATE, seconds, rounds)
    middle = {name: at(one.due, 0.5) for name, one in found.items()}
    added = middle["gate: FIX, FIX"] - middle["direct: FIX"]
    front = middle["gate: FIX, free venue"] - middle["gate: HTTP, free venue"]
    print(f"  gate with FIX on both sides, beyond FIX straight to the venue, p50: {added:.2f} ms")
    print(f"  target <= 0.5 ms: {verdict(added <= 0.5)}")
    print(f"  FIX instead of HTTP at the gate's front, p50: {front:.2f} ms")
    bot.close()
    straight.close()


def one_permit(gate: Path, token: str) -> str:
    """A permit that the gate made just now."""
    import httpx2

    transport = httpx2.HTTPTransport(uds=str(gate / "gate.sock"))
    with httpx2.Client(transport=transport, trust_env=False) as client:
        answer = client.post(
            "http://gate/v1/orders",
            content=order("FREE")(f"template-{time.time_ns()}", 1),
            headers={"authorization": f"Bearer {token}", "content-type": "application/json"},
        )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["permit"])


def memory(made: Firm, gate: Path, orders: int) -> None:
    """Memory of the gate's process over many orders, then how long it takes to start again."""
    token = token_of(gate, AGENT)
    made.end("g1")
    made.start_gate(gate)
    lines = http_lines(CALLERS, lambda: unix(gate / "gate.sock"), "/v1/orders", token, PERMITTED)
    process, step = made.processes["g1"].pid, min(100_000, max(1, orders // 10))
    begin = time.perf_counter()
    print(f"memory: {orders} orders, {CALLERS} callers")
    print("    orders   resident MiB   orders/s")
    print(f"{0:10} {resident_mib(process):14.0f}")

    def every(count: int) -> None:
        if count % step == 0:
            rate = count / (time.perf_counter() - begin)
            print(f"{count:10} {resident_mib(process):14.0f} {rate:10.0f}", flush=True)

    closed_loop(lines, order("FREE"), f"m-{time.time_ns()}", count=orders, every=every)
    made.end("g1")
    size = sum(path.stat().st_size for path in (gate / "gate/journal").iterdir()) / 2**20
    begin = time.perf_counter()
    made.start_gate(gate)
    took = time.perf_counter() - begin
    print(
        f"the gate started again on a journal of {size:.0f} MiB: {took:.2f} s from the command"
        " until it takes orders, imports, lease and venues included"
    )


def peer(count: int) -> None:
    """One decision of another product's published package, in this process, nothing recorded."""
    name = "agent-governance-toolkit-core"
    if importlib.util.find_spec("agentmesh") is None:
        print(f"another product's decision path: skipped: pip install {name}")
        return
    from agentmesh.governance.policy import (  # type: ignore[import-not-found]  # not in any lock
        PolicyEngine,
    )

    rules = "".join(
        f"  - name: {rule}\n    condition: {text}\n    action: {action}\n"
        for rule, text, action in (
            ("size", "action.size > 25000", "deny"),
            ("market", "action.market not in ['EUR/USD', 'GBP/EUR']", "deny"),
            ("score", "action.score > 0.75", "deny"),
            ("known", "action.type == 'trade'", "allow"),
        )
    )
    engine = PolicyEngine()
    engine.load_yaml(
        "apiVersion: governance.toolkit/v1\nname: bench\nagents: ['*']\n"
        f"default_action: deny\nrules:\n{rules}"
    )
    context = {"action": {"type": "trade", "size": 12000, "market": "EUR/USD", "score": 0.1}}
    taken = []
    for _ in range(count):
        begin = time.perf_counter_ns()
        decision = engine.evaluate("did:bench", context)
        taken.append((time.perf_counter_ns() - begin) / 1000)
    taken.sort()
    print(
        f"another product's decision path ({name}), in one process, no record, no signature:"
        f" {'allowed' if decision.allowed else 'denied'},"
        f" p50 {at(taken, 0.5):.0f} p99 {at(taken, 0.99):.0f} µs"
    )


def verdict(met: bool) -> str:
    """Whether a target is met."""
    return "met" if met else "MISSED"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short rounds")
    parser.add_argument("--orders", type=int, default=100_000, help="of the memory run")
    parser.add_argument("--folder", type=Path, default=None, help="where to write")
    parser.add_argument("--only", default="", help="sockets, venues, memory or peer")
    arguments = parser.parse_args()
    seconds, rounds = (1.0, 1) if arguments.quick else (4.0, 5)
    orders = min(arguments.orders, 10_000) if arguments.quick else arguments.orders
    wanted = (
        arguments.only.split(",") if arguments.only else ["peer", "venues", "sockets", "memory"]
    )
    if "peer" in wanted:
        peer(2_000 if arguments.quick else 20_000)
    if wanted == ["peer"]:
        return
    with (
        tempfile.TemporaryDirectory(prefix="sk", dir=arguments.folder) as name,
        firm(Path(name)) as made,
    ):
        print(machine())
        gate, tls = prepared(made)
        if "venues" in wanted:
            at_venues(made, gate, seconds, rounds)
        if "sockets" in wanted:
            over_sockets(gate, tls, seconds, rounds, made.processes["g1"].pid)
        if "memory" in wanted:
            memory(made, gate, orders)
        print(f"at the end: {machine()}")


if __name__ == "__main__":
    main()
