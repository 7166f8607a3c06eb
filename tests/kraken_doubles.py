# SPDX-License-Identifier: Apache-2.0
"""A Kraken-shaped venue on loopback over a desk, with the gate's connector to it; and its pairs."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from sekisho.adapters.venues.kraken import KrakenVenue
from sekisho.adapters.venues.kraken_link import KrakenLink
from sekisho.adapters.venues.paper_kraken import KrakenSide, paper_kraken_application
from sekisho.adapters.web.listening import Listener
from sekisho.adapters.web.serving import serve
from sekisho.core.kraken import PairTable, plain_pair
from tests.paper_doubles import Desk

PAIRS: Final = PairTable([plain_pair("EUR/USD"), plain_pair("EUR/GBP")])
KEY: Final = "gate-1-at-paper"
SECRET: Final = bytes(range(64))
SECRET_TEXT: Final = base64.b64encode(SECRET).decode("ascii")


@asynccontextmanager
async def kraken_at(desk: Desk, **options: bool) -> AsyncIterator[tuple[KrakenVenue, str]]:
    """Serve a desk's venue in this dialect; the connector to it, and the base address."""
    keys = {KEY: SECRET, f"{KEY}-ops": SECRET}
    side = KrakenSide(desk.venue, keys, PAIRS, desk.clock)
    serving = await serve(paper_kraken_application(side), [Listener("127.0.0.1:0")])
    address = f"http://{serving.addresses[0]}"
    links = [KrakenLink(address, key, secret, desk.clock) for key, secret in keys.items()]
    options = {"takes_permits": True} | options
    venue = KrakenVenue("PAPER", links[0], links[1], PAIRS, desk.clock, **options)
    try:
        yield venue, address
    finally:
        await venue.close()
        await serving.close()
