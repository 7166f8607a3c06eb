# SPDX-License-Identifier: Apache-2.0
"""``sekisho gate`` to be measured: ``python _gate_process.py GATE_TOML``.

Three additions: a venue ``FREE`` that fills every order at once and costs nothing, a quotation a
second, and a socket ``bench.sock`` with an empty handler, in the same server as the gate's own,
which also says what this process saw of itself.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from _firm import quote
from _stages import Sampler
from permit import Phases

from sekisho.adapters.web.listening import Listener
from sekisho.adapters.web.serving import serve
from sekisho.apps import gate_command
from sekisho.apps.running import run
from sekisho.compose import gate_process
from sekisho.compose.gate_running import GateFaces, GateProcess, loop_for, run_gate
from sekisho.core.errors import Unavailable
from sekisho.core.events import PermitSigned, StatusActed
from sekisho.core.gate.permit import CONTEXT
from sekisho.ports import VenueReport
from sekisho.services import gatekeeper, gatelog


class _Read(msgspec.Struct):
    """What of a permit is looked at."""

    agent: str
    order: dict[str, str]
    issued_at: str


_PERMIT = msgspec.json.Decoder(_Read)


class FreeVenue:
    """Fills every order whole, at its price, in no time."""

    name = "FREE"

    def __init__(self) -> None:
        self._count = 0
        self._life = time.time_ns()

    async def submit(self, permit: str) -> tuple[VenueReport, ...]:
        part = permit.split(".")[1]
        data = urlsafe_b64decode(part + "=" * (-len(part) % 4))
        read = _PERMIT.decode(data[len(CONTEXT) :])
        order = read.order
        self._count += 1
        return (
            VenueReport(
                agent=read.agent,
                client_order_id=order["client_order_id"],
                venue_order_id=f"V{self._life}-{self._count}",
                exec_id=f"E{self._life}-{self._count}",
                exec_type="trade",
                last_quantity=order["quantity"],
                last_price=order["price"],
                cum_quantity=order["quantity"],
                leaves_quantity="0",
                counterparty="FREE",
                reason="",
                transact_at=read.issued_at,
            ),
        )

    async def cancel(self, agent: str, client_order_id: str) -> tuple[VenueReport, ...]:
        raise Unavailable(f"nothing rests here: {agent} {client_order_id}")

    async def order_reports(self, agent: str, client_order_id: str) -> tuple[VenueReport, ...]:
        raise Unavailable(f"nothing is in doubt here: {agent} {client_order_id}")

    async def open_orders(self, agent: str) -> tuple[str, ...]:  # noqa: ARG002 - the port's
        return ()

    async def reports_since(self, sequence: int) -> tuple[int, tuple[VenueReport, ...]]:
        return sequence, ()


class Watching:
    """What the process saw of itself."""

    def __init__(self) -> None:
        self.process: GateProcess | None = None
        self.permits = 0
        self.last_permit = 0
        self.stopped = 0
        self.orders = 0
        self.wall: dict[str, float] = {}
        self.phases = Phases()
        self.timed = False
        self.sampler = Sampler()

    def follow(self, _index: int, entry: Any) -> None:
        """Note when a permit was signed, and when a stop took effect (CLOCK_MONOTONIC, ns)."""
        if isinstance(entry, PermitSigned):
            self.permits += 1
            self.last_permit = time.monotonic_ns()
        elif isinstance(entry, StatusActed) and entry.status != "good":
            self.stopped = time.monotonic_ns()

    def marks(self) -> dict[str, int]:
        """For the measurement of a stop."""
        assert self.process is not None
        state = self.process.log.state
        left = 0
        if state.lease is not None:
            left = state.lease.deadline - self.process.clock.monotonic_ns()
        return {
            "permits": self.permits,
            "last_permit": self.last_permit,
            "stopped": self.stopped,
            "lease_end": time.monotonic_ns() + left,
        }

    def begin_stages(self) -> None:
        """Wrap what an order goes through; costs a few microseconds an order."""
        assert self.process is not None
        if self.timed:
            return
        self.timed = True
        keeper, log = self.process.gate.gatekeeper, self.process.log
        found = self.phases
        found.wrap(gatekeeper, "parse_order", "parse the order")
        found.wrap(gatekeeper, "decide", "decide: all checks")
        found.wrap(gatelog, "encode_entry", "encode three entries")
        found.wrap(log.journal, "append", "hash three leaves, tree")
        found.wrap(log, "record", "fold three entries")
        found.wrap(keeper, "_permit", "build the permit")
        found.wrap(keeper, "_check_own", "verify our signature")
        found.wrap(keeper, "_stopped", "stopped? twice")
        for signer in keeper._signers.values():  # noqa: SLF001 - instrumented here
            self._time(signer, "sign", "sign")
        self._time(log, "durable", "wait until durable")
        self._time(keeper.release, "submit", "release to the venue")
        self._time(keeper, "submit", "gatekeeper")

    def _time(self, owner: Any, name: str, stage: str) -> None:
        """Wall time of a coroutine, waiting included."""
        function = getattr(owner, name)

        async def timed(*arguments: Any) -> Any:
            begin = time.perf_counter()
            try:
                return await function(*arguments)
            finally:
                self.wall[stage] = self.wall.get(stage, 0.0) + time.perf_counter() - begin

        setattr(owner, name, timed)

    def around(self, app: Any) -> Any:
        """The gate's application, timed while stages are."""

        async def timed(scope: Any, receive: Any, send: Any) -> None:
            if not self.timed:
                await app(scope, receive, send)
                return
            begin = time.perf_counter()
            await app(scope, receive, send)
            self.orders += 1
            self.wall["http"] = self.wall.get("http", 0.0) + time.perf_counter() - begin

        return timed

    def stages(self) -> dict[str, Any]:
        """Totals since the last question, s."""
        told = {"orders": self.orders, "wall": dict(self.wall), "own": dict(self.phases.spent)}
        self.orders = 0
        self.wall.clear()
        self.phases.spent.update(dict.fromkeys(self.phases.spent, 0.0))
        return told


def bench_app(watching: Watching) -> Any:
    """POST: nothing at all. GET: what the process saw."""
    asked: dict[str, Callable[[], Any]] = {
        "/marks": watching.marks,
        "/stages": watching.stages,
        "/begin": watching.begin_stages,
        "/look": watching.sampler.begin,
        "/looked": watching.sampler.end,
        "/missing": lambda: watching.process and watching.process.condition.missing(),
    }

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        said = b"{}"
        if scope["method"] == "GET":
            said = json.dumps(asked[scope["path"]]()).encode()
        head = [(b"content-length", b"%d" % len(said)), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": said})

    return app


def main(path: Path) -> None:
    """Run the gate until SIGTERM."""
    watching = Watching()
    real = gate_process.open_venues

    async def venues(*arguments: Any) -> dict[str, Any]:
        found: dict[str, Any] = dict(await real(*arguments))
        found["FREE"] = FreeVenue()
        return found

    async def quotes() -> None:
        while True:
            quote(path.parent)
            await asyncio.sleep(1)

    async def beside() -> None:
        await serve(bench_app(watching), [Listener(f"unix:{path.parent}/bench.sock")])

    def api(process: GateProcess) -> Any:
        watching.process = process
        process.log.follow(watching.follow)
        process.keep(quotes())
        process.keep(beside())
        return watching.around(gate_command._api(process))  # noqa: SLF001 - the command's own

    gate_process.open_venues = venues
    operations, kraken = gate_command._operations, gate_command._kraken  # noqa: SLF001 - as above
    faces = GateFaces(api=api, operations=operations, kraken=kraken)

    def told(addresses: list[str]) -> None:
        tls = [one for one in addresses if not one.startswith("unix:")]
        print(f"listening: {(tls or addresses)[0]}", flush=True)

    run(run_gate(path, faces, told), loop_for(path))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
