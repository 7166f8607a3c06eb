# SPDX-License-Identifier: Apache-2.0
"""A Kraken-shaped venue from its credential and the gate's log."""

from __future__ import annotations

import asyncio

import pytest

from sekisho.compose.kraken_venue import open_kraken_venue
from sekisho.core.errors import ConfigurationInvalid
from sekisho.core.events import GateEntry, PermitSigned, StopReported, encode_entry
from sekisho.core.terms import format_instant
from tests.kraken_doubles import KEY, SECRET_TEXT, kraken_at
from tests.paper_doubles import NOW, Desk, resting

AT = format_instant(NOW)


@pytest.mark.parametrize("lines", [1, 2])
def test_kraken_venue_knows_the_permits_of_the_log(lines: int) -> None:
    """With one key pair or with two: what was permitted before is named, and not sent again."""
    desk = Desk()
    permit = desk.permit(resting())
    entries: list[GateEntry] = [
        StopReported(at=AT, agent="fx", epoch=1, confirmed=(), unconfirmed=(), complete=True),
        PermitSigned(at=AT, agent="fx", decision=0, permit=permit),
    ]
    credential = "".join(f"{key} {SECRET_TEXT}\n" for key in (KEY, f"{KEY}-ops")[:lines])

    async def story() -> None:
        async with kraken_at(desk) as (first, address):
            await first.submit(permit)
            desk.clock.advance(0.001)
            log = [(index, encode_entry(entry)) for index, entry in enumerate(entries)]
            venue = open_kraken_venue(
                "PAPER", address, credential, ["EUR/USD"], desk.clock, log, takes_permits=True
            )
            assert ("o-1",) == await venue.open_orders("fx")
            assert ["rejected"] == [one.exec_type for one in await venue.submit(permit)]
            await venue.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    "credential",
    ["", KEY, f"{KEY} short", f"{KEY} {SECRET_TEXT} more", f"{KEY} {SECRET_TEXT}\n" * 2,
     "".join(f"k{number} {SECRET_TEXT}\n" for number in range(3))],
)  # fmt: skip
def test_kraken_venue_credential_of_another_form_is_refused(credential: str) -> None:
    """One or two different key pairs, each on a line."""
    with pytest.raises(ConfigurationInvalid):
        open_kraken_venue("PAPER", "http://127.0.0.1:1", credential, ["EUR/USD"], Desk().clock, [])
