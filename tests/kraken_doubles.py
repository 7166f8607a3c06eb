# SPDX-License-Identifier: Apache-2.0
"""A Kraken-shaped venue on loopback over a desk, with the gate's connector to it; and its pairs."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import parse_qsl

import httpx2

from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.adapters.venues.kraken import KrakenVenue
from sekisho.adapters.venues.kraken_link import KrakenLink
from sekisho.adapters.venues.paper_kraken import (
    KrakenKey,
    KrakenSide,
    paper_kraken_application,
)
from sekisho.adapters.web.listening import Listener
from sekisho.adapters.web.serving import serve
from sekisho.core.kraken import PairTable, plain_pair
from sekisho.ports import VenueReport
from tests.paper_doubles import Desk

PAIRS: Final = PairTable([plain_pair("EUR/USD"), plain_pair("EUR/GBP")])
KEY: Final = "gate-1-at-paper"
OPS: Final = f"{KEY}-ops"
SECRET: Final = bytes(range(64))
SECRET_TEXT: Final = base64.b64encode(SECRET).decode("ascii")


def keys_at(desk: Desk) -> dict[str, KrakenKey]:
    """Both keys of the gate, for the staff's view of the desk's venue."""
    return dict.fromkeys((KEY, OPS), KrakenKey(SECRET, desk.venue))


@asynccontextmanager
async def kraken_at(desk: Desk, **options: bool) -> AsyncIterator[tuple[KrakenVenue, str]]:
    """Serve a desk's venue in this dialect; the connector to it, and the base address."""
    side = KrakenSide(keys_at(desk), PAIRS, desk.clock)
    serving = await serve(paper_kraken_application(side), [Listener("127.0.0.1:0")])
    address = f"http://{serving.addresses[0]}"
    links = [
        KrakenLink(address, key, secret, desk.clock) for key, (secret, _) in keys_at(desk).items()
    ]
    options = {"takes_permits": True} | options
    venue = KrakenVenue("PAPER", links[0], links[1], PAIRS, desk.clock, **options)
    try:
        yield venue, address
    finally:
        await venue.close()
        await serving.close()


def said(plain: Any = None, content: bytes = b"", status: int = 200) -> httpx2.Response:
    """An answer that can be streamed."""
    data = content if plain is None else json.dumps(plain).encode()
    return httpx2.Response(status, stream=httpx2.ByteStream(data))


class Wire(httpx2.AsyncBaseTransport):
    """A wire to the paper venue's Kraken side that loses what it is told to lose."""

    def __init__(self, desk: Desk) -> None:
        self.told: list[str] = []
        side = KrakenSide(
            keys_at(desk), PAIRS, desk.clock, self.told.append, lambda _, why: self.told.append(why)
        )
        self._inner = httpx2.ASGITransport(app=paper_kraken_application(side))
        self.sent: list[tuple[str, dict[str, str]]] = []
        self.lost: list[httpx2.Request] = []
        self.lose_request = ""
        self.lose_answer = ""
        self.alter: dict[str, Any] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        method = request.url.path.rpartition("/")[2]
        self.sent.append((method, dict(parse_qsl(request.content.decode()))))
        if method == self.lose_request:
            self.lost.append(request)
            raise httpx2.ReadTimeout("lost on the way")
        answer = await self._inner.handle_async_request(request)
        if method == self.lose_answer:
            raise httpx2.ReadTimeout("lost on the way back")
        if method in self.alter:
            return said({"error": [], "result": self.alter[method]})
        return answer

    async def arrive(self) -> Any:
        """The first lost request arrives after all; what it is told."""
        answer = await self._inner.handle_async_request(self.lost.pop(0))
        return json.loads(await answer.aread())

    def count(self, method: str) -> int:
        return [name for name, _ in self.sent].count(method)


def connect(wire: Wire, clock: SteppedClock, *, takes_permits: bool = True) -> KrakenVenue:
    clock.advance(0.001)  # a later life's nonces are above those of an earlier one
    trading, operations = (
        KrakenLink("http://127.0.0.1:1", key, SECRET, clock, transport=wire) for key in (KEY, OPS)
    )
    return KrakenVenue("PAPER", trading, operations, PAIRS, clock, takes_permits=takes_permits)


def kinds(reports: tuple[VenueReport, ...]) -> list[tuple[str, str]]:
    return [(report.client_order_id, report.exec_type) for report in reports]
