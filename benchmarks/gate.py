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
from _where import processor_time, stages

AGENT = "bot"
TLS_AGENT = "botls"
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
    pid: int = 0
    """Of the gate; 0: its processor time is not asked for."""


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


def saturated(ways: list[Way], callers: int, seconds: float, rounds: int) -> None:
    """As many orders as come through with so many callers; prints a row each."""
    for way in ways:
        taken, before, own = [], processor_s(way.pid), time.process_time()
        for turn in range(rounds + 1):
            mark = f"c{time.time_ns()}"
            length = seconds if turn else min(seconds, 1.0)
            sample = closed_loop(way.lines[:callers], way.make, mark, seconds=length)
            taken += [sample] if turn else []
            if not turn:
                before, own = processor_s(way.pid), time.process_time()
        one = joined(taken)
        spent = (processor_s(way.pid) - before) / len(one.sent) * 1e6
        own = (time.process_time() - own) / len(one.sent) * 1e6
        print(
            f"  {way.name:<34}{callers:3} callers {one.rate():7.0f} orders/s,"
            f" p50 {at(one.sent, 0.5):6.2f} p99 {at(one.sent, 0.99):6.2f}"
            f" max {at(one.sent, 1):7.2f} ms; processor time an order:"
            f" gate {spent:5.0f} µs, callers {own:4.0f} µs"
        )


class Prepared(NamedTuple):
    """Folders of the gate and of the one that speaks TLS, and where that listens."""

    gate: Path
    secured: Path
    address: str


def prepared(made: Firm, *, tls: bool) -> Prepared:
    """Found the firm and start everything; the gate that speaks TLS only where it is wanted."""
    asyncio.run(made.found([AGENT, TLS_AGENT], lease_s=60))
    gate = asyncio.run(made.gate("g1", AGENT, VENUES))
    secured = asyncio.run(made.gate("g2", TLS_AGENT, tls=True))
    made.serve_gates(["g1", "g2"])
    folders = [
        made.venue("paper", "PAPER", "G1"),
        made.venue("paperfix", "PAPERFIX", "G1"),
        made.venue("direct", "DIRECT", "BOT"),
    ]
    made.start_authority()
    for folder in folders:
        made.start_venue(folder)
    made.start_gate(gate)
    return Prepared(gate, secured, made.start_gate(secured) if tls else "")


def over_sockets(made: Firm, where: Prepared, seconds: float, rounds: int) -> None:
    """Unix socket and mTLS against the empty handler; each gate has the sides of its loop alone."""
    gate, pid = where.gate, made.processes["g1"].pid

    def at_gate() -> Any:
        return unix(gate / "gate.sock")

    def at_empty() -> Any:
        return unix(gate / "bench.sock")

    empty = Way("empty handler", http_lines(CALLERS, at_empty, "/", "", b"{}"), order("FREE"), pid)
    own = Way(
        "gate, Unix socket",
        http_lines(CALLERS, at_gate, "/v1/orders", token_of(gate, AGENT), PERMITTED),
        order("FREE"),
        pid,
    )
    secured = Way(
        "gate, mTLS",
        http_lines(
            CALLERS,
            lambda: mutual_tls(where.address, where.secured),
            "/v1/orders",
            "",
            PERMITTED,
        ),
        order("FREE"),
        made.processes["g2"].pid,
    )
    print(f"allowed, durable, signed: Poisson arrivals, {RATE} orders/s, {CALLERS} connections")
    found = alternating([empty, own, secured], RATE, seconds, rounds)[own.name]
    print(
        f"  target p50 <= 1 ms: {verdict(at(found.due, 0.5) <= 1)},"
        f" p99 <= 5 ms: {verdict(at(found.due, 0.99) <= 5)} (from the instant due)"
    )
    print("closed loop: each caller sends its next order when the last was answered")
    saturated([empty, own], 1, seconds, rounds)
    saturated([empty, own, secured], CALLERS, seconds, rounds)
    processor_time(gate, own.lines, own.make, own.pid, seconds * max(2, rounds))
    stages(gate, own.lines, own.make, RATE, seconds)


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
    beside(gate, ways[2], ways[3], int(40 * seconds * rounds))
    bot.close()
    straight.close()


def beside(gate: Path, direct: Way, whole: Way, pairs: int) -> None:
    """FIX straight to the venue and FIX through the gate, order by order; where the rest goes.

    One order at a time, so none waits for another; which of a pair comes first alternates.
    """

    def taken(count: int) -> tuple[list[float], list[float]]:
        found: dict[str, list[float]] = {direct.name: [], whole.name: []}
        for number in range(count):
            for way in (direct, whole) if number % 2 else (whole, direct):
                found[way.name] += closed_loop(
                    way.lines, way.make, f"p{time.time_ns()}", count=1
                ).sent
        return found[direct.name], found[whole.name]

    taken(20)
    straight, through = taken(pairs)
    beyond = sorted(b - a for a, b in zip(straight, through, strict=True))
    print(f"FIX order by order, {pairs} pairs in turn, one order at a time")
    for name, values in ((direct.name, sorted(straight)), (whole.name, sorted(through))):
        print(f"  {name:<34}p50 {at(values, 0.5):6.2f}  p99 {at(values, 0.99):6.2f} ms")
    middle = at(beyond, 0.5)
    print(f"  {'a pair apart':<34}p50 {middle:6.2f}  p99 {at(beyond, 0.99):6.2f} ms")
    print(f"  target p50 <= 0.5 ms: {verdict(middle <= 0.5)}")
    ask(gate, "/begin")
    ask(gate, "/stages")
    straight, through = taken(pairs)
    wall = ask(gate, "/stages")["wall"]
    keeper, release = (wall[name] / pairs * 1000 for name in ("gatekeeper", "release to the venue"))
    mean, whole_mean = sum(straight) / pairs, sum(through) / pairs
    print("where it goes, mean, timed in a run of its own (benchmarks/fix.py: FIX without a gate)")
    for what, milliseconds in (
        ("straight to the venue", mean),
        ("through the gate", whole_mean),
        ("  front: FIX, its own durable number, sockets", whole_mean - keeper),
        ("  decide, durable record, sign, verify", keeper - release),
        ("  release: FIX to the venue and back", release),
        ("    of it beyond straight to the venue", release - mean),
    ):
        print(f"  {what:<48}{milliseconds * 1000:8.0f} µs")


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
        where = prepared(made, tls="sockets" in wanted)
        if "venues" in wanted:
            at_venues(made, where.gate, seconds, rounds)
            made.end("g1")  # the stages were timed in it
            made.start_gate(where.gate)
        if "sockets" in wanted:
            over_sockets(made, where, seconds, rounds)
        if "memory" in wanted:
            memory(made, where.gate, orders)
        print(f"at the end: {machine()}")


if __name__ == "__main__":
    main()
