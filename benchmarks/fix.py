# SPDX-License-Identifier: Apache-2.0
"""What FIX itself costs: processor time of one message, in this process, with nothing behind it.

The bot's session of a gate's FIX front as it is: bytes in, NewOrderSingle read and judged, the
order's bytes made; the answer, a fill, reported and written. The gate behind it answers at once,
nothing is decided, recorded or signed, and the disk costs nothing. The floor does to the same
bytes what no FIX engine can leave out: checksum and cut on the way in, join and checksum on the
way out. ``benchmarks/gate.py`` measures the same front within the whole.

    python benchmarks/fix.py [--quick]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sekisho.adapters.clocks import SystemClock
from sekisho.adapters.fix.bot_desk import BotDesk
from sekisho.adapters.fix.codec import Framer, encode, parse, write_time
from sekisho.adapters.fix.front import BotSession
from sekisho.adapters.fix.requests import new_body
from sekisho.adapters.fix.store import FixStore
from sekisho.core.events import Execution
from sekisho.core.terms import format_instant
from sekisho.services.gatekeeper import Answer

BOT = BotSession(comp_id="BOT", own_comp_id="SEKISHO", agent="bot", venue="PAPER", account="main")


class _NoDisk:
    """A disk that costs nothing and keeps nothing."""

    async def read(self, path: str) -> bytes:
        raise FileNotFoundError(path)

    async def replace(self, path: str, data: bytes) -> None: ...

    async def append(self, path: str, data: bytes) -> None: ...

    async def sync(self, path: str) -> None: ...


class _Gate:
    """Permits every order and fills it at once."""

    def __init__(self) -> None:
        self.count = 0
        self.bodies: list[bytes] = []
        self._listener: Callable[[int, Execution], None] = lambda _index, _entry: None

    async def submit(self, agent: str, body: bytes) -> Answer:
        self.count += 1
        self.bodies.append(body)
        fill = Execution(
            at="",
            agent=agent,
            venue="PAPER",
            client_order_id=f"o-{self.count}",
            venue_order_id=f"V{self.count}",
            exec_id=f"E{self.count}",
            exec_type="trade",
            last_quantity="10000",
            last_price="1.0851",
            cum_quantity="10000",
            leaves_quantity="0",
            counterparty="PAPER",
            reason="",
            transact_at="2026-05-15T09:15:00.000000000Z",
        )
        self._listener(self.count, fill)
        return Answer(kind="permitted", decision=self.count - 1, order_state="closed")

    async def cancel_all(self, agent: str, client_order_id: str) -> tuple[list[str], list[str]]:
        raise AssertionError((agent, client_order_id))

    def on_execution(self, listener: Callable[[int, Execution], None]) -> None:
        self._listener = listener

    def executions(self, after: int) -> Iterable[tuple[int, Execution]]:
        assert after == -1, after
        return ()

    async def durable(self, index: int) -> None:
        """Nothing is kept."""


def request(number: int, sequence: int) -> bytes:
    """A NewOrderSingle as bots send it."""
    now = write_time(time.time_ns())
    head = [(49, "BOT"), (56, "SEKISHO"), (34, str(sequence)), (52, now)]
    body = [(11, f"o-{number}"), (55, "EUR/USD"), (54, "1"), (60, now), (38, "10000"), (40, "2")]
    body += [(44, "1.0951"), (15, "EUR"), (59, "0"), (1, "main"), (100, "PAPER")]
    return encode("D", head, body)


def per(function: Callable[[Any], Any], given: Sequence[Any]) -> float:
    """Processor time of one call, µs."""
    begin = time.process_time()
    for one in given:
        function(one)
    return (time.process_time() - begin) / len(given) * 1e6


def cut(data: bytes) -> dict[int, str]:
    """The floor of reading: checksum, cut, a value for each tag."""
    assert sum(data[:-7]) % 256 == int(data[-4:-1])
    parts = (part.partition("=") for part in data.decode("ascii")[:-1].split("\x01"))
    return {int(name): value for name, _, value in parts}


def join(fields: list[tuple[int, str]]) -> bytes:
    """The floor of writing: join and checksum."""
    inner = "".join([f"{tag}={value}\x01" for tag, value in fields])
    data = f"8=FIX.4.4\x019={len(inner)}\x01{inner}".encode("ascii")
    return b"%b10=%03d\x01" % (data, sum(data) % 256)


async def front(count: int) -> tuple[float, bytes]:
    """Processor time of one order through the whole front, µs; the last report."""
    store = await FixStore.open(_NoDisk(), "bot")  # type: ignore[arg-type]  # all it asks
    gate = _Gate()
    desk = BotDesk(BOT, store, gate, SystemClock())
    desk.start()
    session = desk.session
    spoken = asyncio.Event()
    session.attach()
    session.outbox.wake = spoken.set
    now = write_time(time.time_ns())
    head = [(49, "BOT"), (56, "SEKISHO"), (34, "1"), (52, now)]
    session.receive(encode("A", head, [(98, "0"), (108, "60")]))
    assert session.state == "active"
    orders = [request(number, number + 1) for number in range(1, count + 1)]
    said = b""
    begin = time.process_time()
    for data in orders:
        session.outbox.waiting.clear()
        spoken.clear()
        session.receive(data)
        inbox, session.inbox = session.inbox, []
        for delivered in inbox:
            desk.deliver(delivered)
        await spoken.wait()
        said = session.outbox.waiting[-1][1]
        await store.flush()
    took = (time.process_time() - begin) / count * 1e6
    assert gate.count == count
    await desk.close()
    return took, said


def once(count: int) -> dict[str, float]:
    """Every figure once, µs."""
    orders = [request(number, number + 1) for number in range(1, count + 1)]
    framed = [body for data in orders for body in Framer().feed(data)]
    messages = [parse(body) for body in framed]
    whole, said = asyncio.run(front(count))
    report = parse(Framer().feed(said)[0])
    head = [(tag, value) for tag, value in report.header.items() if tag != 35]
    body = list(report.body.items())
    flat = [(35, report.kind), *head, *body]
    return {
        "floor: checksum and cut of an order": per(cut, orders),
        "floor: join and checksum of a report": per(join, [flat] * count),
        "cut an order out of the stream": per(lambda data: Framer().feed(data), orders),
        "read its fields": per(parse, framed),
        "make the order's bytes": per(lambda one: new_body(one, "PAPER", "main"), messages),
        "write a report": per(lambda _: encode("8", head, body), orders),
        "the whole front, an order and its report": whole,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer messages")
    count, rounds = (1000, 3) if parser.parse_args().quick else (5000, 7)
    once(200)
    taken = [once(count) for _ in range(rounds)]
    found = {name: statistics.median(one[name] for one in taken) for name in taken[0]}
    print(
        f"processor time of FIX alone, median of {rounds} rounds, {format_instant(time.time_ns())}"
    )
    for name, value in found.items():
        print(f"  {name:<44}{value:8.1f} µs")
    floor = sum(value for name, value in found.items() if name.startswith("floor"))
    whole = found["the whole front, an order and its report"]
    print(f"  the front's ratio to the floor {whole / floor:.1f}")


if __name__ == "__main__":
    main()
