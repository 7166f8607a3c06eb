# SPDX-License-Identifier: Apache-2.0
"""Every way to reach the paper venue, for the Venue port's conformance suite.

One entry a connector in CONNECTIONS: from a desk, whose venue it serves, to the open connection.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from sekisho.adapters.venues.paper_http import PaperHttpVenue
from sekisho.adapters.web.listening import Listener
from sekisho.adapters.web.serving import serve
from sekisho.apps.paper_venue import permit_application
from sekisho.ports import Quotation, Venue
from tests.fix_doubles import over_fix
from tests.kraken_doubles import kraken_at
from tests.paper_doubles import CREDENTIAL, Desk


class ServedDesk:
    """A desk as the permit protocol's interface sees it."""

    series = "1-"

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def session(self, credential: str) -> Venue:
        return self._desk.venue.session(credential)

    def register(self, credential: str, der: bytes) -> None:
        self._desk.venue.know_certificate(der)

    async def quotations(self, pairs: tuple[str, ...]) -> tuple[Quotation, ...]:
        return await self._desk.market.quotations(pairs or ("EUR/GBP", "EUR/USD"))


@asynccontextmanager
async def in_process(desk: Desk) -> AsyncIterator[Venue]:
    """A session without anything between."""
    yield desk.session


@asynccontextmanager
async def over_unix_http(desk: Desk) -> AsyncIterator[Venue]:
    """The permit protocol over a real Unix socket."""
    with tempfile.TemporaryDirectory() as folder:
        async with http_at(desk, f"unix:{folder}/venue.sock") as venue:
            yield venue


@asynccontextmanager
async def over_tcp_http(desk: Desk) -> AsyncIterator[Venue]:
    """The permit protocol over loopback."""
    async with http_at(desk, "127.0.0.1:0") as venue:
        yield venue


@asynccontextmanager
async def http_at(desk: Desk, address: str) -> AsyncIterator[PaperHttpVenue]:
    """Serve a desk there and connect to it."""
    serving = await serve(permit_application(ServedDesk(desk)), [Listener(address)])
    venue = PaperHttpVenue("PAPER", serving.addresses[0], CREDENTIAL)
    try:
        yield venue
    finally:
        await venue.close()
        await serving.close()


@asynccontextmanager
async def over_kraken(desk: Desk) -> AsyncIterator[Venue]:
    """The Kraken-shaped REST over loopback."""
    async with kraken_at(desk) as (venue, _):
        yield venue


CONNECTIONS: Final[dict[str, Callable[[Desk], AbstractAsyncContextManager[Venue]]]] = {
    "fix": over_fix,
    "in_process": in_process,
    "kraken": over_kraken,
    "paper_http_tcp": over_tcp_http,
    "paper_http_unix": over_unix_http,
}
