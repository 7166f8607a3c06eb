# SPDX-License-Identifier: Apache-2.0
"""The processes of ``stop.py`` and ``replicas.py``: further gates, the floor's server, the load."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from _firm import token_of
from _load import http_lines, open_loop, unix
from _orders import order

from sekisho.adapters.authority.http_link import ClientTls, HttpLink
from sekisho.adapters.clocks import SystemClock
from sekisho.adapters.entropy import SystemEntropy
from sekisho.adapters.web.listening import Listener, Tls
from sekisho.adapters.web.serving import serve
from sekisho.core.encoding import b64
from sekisho.core.errors import SekishoError, Unavailable
from sekisho.core.ledger.merkle import Tree, leaf_hash
from sekisho.core.terms import NS, format_instant
from sekisho.ports import LeaseRequest
from sekisho.services import authoritywire as wire
from sekisho.services.authorityclient import AuthorityClient
from sekisho.services.eventstream import EventStream
from sekisho.services.leasing import parse_grant
from sekisho.services.status import StatusPush
from sekisho.services.stopping import StopOutcome

RATE = 500
CALLERS = 32
FURTHER_LEASE_S = 15
STOP_S = 0.02
"""A further gate's stand-in for recording the stop, cancelling and looking again: without it the
first gates' reports take the processors, which all gates share here, from telling the others."""


def origin_of(gate: str) -> str:
    """The name of a gate's log."""
    return f"{gate}.sekisho.invalid/log"


# -- further gates: the link alone ----------------------------------------------------------------


class FurtherGate:
    """A gate's end of the link: its stream, its leases, its reports; it notes when it was told."""

    def __init__(
        self,
        address: str,
        name: str,
        certificate: str,
        told: list[Any],
        tls: ClientTls | None = None,
        lease_s: int = FURTHER_LEASE_S,
    ) -> None:
        self.name, self._certificate, self._told = name, certificate, told
        self._lease_s = lease_s
        self.until = 0
        """The end of its last lease that calls its certificate good, monotonic ns."""
        self.client = AuthorityClient(HttpLink(address, tls), name)
        self._boot = SystemEntropy().bytes(16).hex()
        self._tree = Tree()
        self._tree.append(leaf_hash(name.encode()))
        clock = SystemClock()
        self.stream = EventStream(
            self.client, self._stop, clock, after=lambda: 0, renew=self._renewed
        )

    async def run(self) -> None:
        """Be connected, and renew the lease at its half, until cancelled."""
        task = asyncio.create_task(self.stream.run())
        try:
            while True:
                try:
                    await self._lease()
                except SekishoError as error:
                    print(f"{self.name}: {error}", file=sys.stderr, flush=True)
                await asyncio.sleep(self._lease_s / 2 * random.uniform(0.8, 1))
        finally:
            task.cancel()

    async def _renewed(self) -> None:
        """The loop asks in its own time."""

    async def _lease(self) -> None:
        known = await self.client.last_seen(self.name)
        request = LeaseRequest(
            gate=self.name,
            boot=self._boot,
            nonce=SystemEntropy().bytes(16).hex(),
            origin=origin_of(self.name),
            tree_size=1,
            root_hash=b64(self._tree.root()),
            proof_from=known,
            proof=(),
            certificates=(self._certificate,),
        )
        asked = time.monotonic_ns()
        terms = parse_grant((await self.client.lease(request)).grant)[0]
        if not terms.not_good:
            self.until = asked + terms.duration_s * NS

    async def _stop(self, push: StatusPush) -> StopOutcome:
        self._told.append((self.name, time.monotonic_ns()))
        await asyncio.sleep(STOP_S)
        return StopOutcome(
            gate=self.name,
            agent=push.agent,
            stopped_at=format_instant(time.time_ns()),
            last_permit=-1,
            confirmed=(),
            unconfirmed=(),
            recorded=True,
            complete=True,
        )


async def read_bare(address: str, name: str, told: list[Any], tls: ClientTls | None = None) -> None:
    """A reader of the bare fan-out."""
    link = HttpLink(address, tls)
    while True:
        try:
            async for event, _, _ in link.events(f"/events/{name}", silence_s=5):
                if event == "status":
                    told.append((name, time.monotonic_ns()))
        except Unavailable:
            await asyncio.sleep(0.1)


async def subscribe(address: str, gates: dict[str, str], *, bare: bool) -> None:
    """Several gates in this process; a line on stdin asks what they were told since the last."""
    told: list[Any] = []
    if bare:
        work = [read_bare(address, name, told) for name in gates]
    else:
        work = [FurtherGate(address, name, one, told).run() for name, one in gates.items()]
    tasks = [asyncio.create_task(one) for one in work]
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    print("listening", flush=True)
    while await reader.readline():
        print(json.dumps(told), flush=True)
        told.clear()
    for task in tasks:
        task.cancel()


# -- the floor ------------------------------------------------------------------------------------


async def bare_server(address: str, tls: Tls | None = None) -> None:
    """Streams, and one request that puts the same bytes on each of them."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response, StreamingResponse
    from starlette.routing import Route

    queues: list[asyncio.Queue[bytes]] = []
    left: set[object] = set()
    written = asyncio.Event()
    push = StatusPush(
        agent="bench",
        certificate_sha256="c" * 64,
        serial_number="1" * 40,
        status="hold",
        reason="certificateHold",
        epoch=1,
        cause="hold",
        recorded=True,
    )
    told = wire.ToldStatus(push="0" * 16 + "-1", status=push)
    event = b"event: status\nid: 1\ndata: " + wire.write(told) + b"\n\n"

    async def stream(_request: Request) -> Response:
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        queues.append(queue)

        async def parts() -> AsyncGenerator[bytes, None]:
            try:
                yield b": connected\n\n"
                while True:
                    try:
                        async with asyncio.timeout(1):
                            one = await queue.get()
                    except TimeoutError:
                        one = b":\n\n"
                    yield one
                    left.discard(queue if one is event else None)
                    if not left:
                        written.set()
            finally:
                queues.remove(queue)

        return StreamingResponse(parts(), media_type="text/event-stream")

    async def command(_request: Request) -> Response:
        begin = time.thread_time_ns()
        written.clear()
        left.update(queues)
        for queue in queues:
            queue.put_nowait(event)
        if queues:
            await written.wait()
        said = {"told": len(queues), "spent": time.thread_time_ns() - begin}
        return Response(json.dumps(said))

    routes = [Route("/events/{gate}", stream), Route("/command", command, methods=["POST"])]
    await serve(Starlette(routes=routes), [Listener(address, tls=tls)])
    print("listening", flush=True)
    await asyncio.Event().wait()


# -- load -----------------------------------------------------------------------------------------


def load(folder: Path, agent: str) -> None:
    """Orders at the loaded gate, whatever it answers, until this process is ended."""
    token = token_of(folder, agent)
    lines = http_lines(CALLERS, lambda: unix(folder / "gate.sock"), "/v1/orders", token, b"")
    print("listening", flush=True)
    while True:
        mark = f"o{time.time_ns()}"
        open_loop(lines, order("FREE"), mark, rate=RATE, seconds=1, spin=False)
