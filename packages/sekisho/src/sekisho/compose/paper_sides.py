# SPDX-License-Identifier: Apache-2.0
"""The other dialects of a paper venue, over the same book and into the same log."""

from __future__ import annotations

import base64
import binascii
from contextlib import AsyncExitStack

from sekisho.adapters.disk import FolderDisk
from sekisho.adapters.venues.paper import PaperVenue
from sekisho.adapters.venues.paper_fix import PaperFixSide
from sekisho.adapters.venues.paper_kraken import KrakenSide, paper_kraken_application
from sekisho.adapters.venues.paper_log import RecordedVenue
from sekisho.adapters.web.listening import Listener
from sekisho.adapters.web.serving import Bounds, serve
from sekisho.compose.paper_config import WHERE, PaperFix, PaperKraken, PaperPlace
from sekisho.core.errors import ConfigurationInvalid
from sekisho.core.kraken import PairTable, plain_pair
from sekisho.ports import Clock


async def open_sides(
    place: PaperPlace,
    venue: RecordedVenue,
    pairs: tuple[str, ...],
    clock: Clock,
    stack: AsyncExitStack,
) -> list[str]:
    """Listen for each dialect that is configured; ``stack`` closes them.

    Returns:
        Where they listen.

    Raises:
        ConfigurationInvalid: a secret or an address that cannot be used.
    """
    addresses: list[str] = []
    if place.config.fix is not None:
        addresses.append(await _fix(place, place.config.fix, venue, clock, stack))
    if place.config.kraken is not None:
        side = _kraken(place, place.config.kraken, venue, pairs, clock)
        listener = paper_listener(place, place.config.kraken.listen)
        bounds = Bounds(connections=place.config.connections, of_one=place.config.connections)
        serving = await serve(paper_kraken_application(side), [listener], bounds)
        stack.push_async_callback(serving.close)
        addresses += serving.addresses
    return addresses


def paper_listener(place: PaperPlace, address: str) -> Listener:
    """A socket of the venue: for its own user, or for the configured group."""
    group = place.config.socket_group
    return Listener(place.address(address), 0o660 if group else 0o600, group)


async def _fix(
    place: PaperPlace, settings: PaperFix, venue: RecordedVenue, clock: Clock, stack: AsyncExitStack
) -> str:
    def knock(credential: str) -> tuple[str, PaperVenue]:
        holder = venue.holder(credential)
        return holder, venue.seen_from(holder)

    disk = FolderDisk(place.file(settings.store))
    stack.callback(disk.close)
    side = PaperFixSide(
        settings.sender,
        disk,
        clock,
        venue.series,
        knock,
        venue.seen_from("fix").refuse_logon,
    )
    stack.push_async_callback(side.close)
    holders = tuple(sorted({one.session for one in place.config.credentials}))
    return await side.start(paper_listener(place, settings.listen), holders)


def _kraken(
    place: PaperPlace,
    settings: PaperKraken,
    venue: RecordedVenue,
    pairs: tuple[str, ...],
    clock: Clock,
) -> KrakenSide:
    try:
        secret = base64.b64decode(place.secret(settings.secret_file), validate=True)
    except binascii.Error as error:
        raise ConfigurationInvalid(
            f"{settings.secret_file}: not base64", str(place.file(settings.secret_file)), WHERE
        ) from error
    seen = venue.seen_from(settings.session)
    return KrakenSide(
        seen,
        {settings.key: secret},
        PairTable(plain_pair(pair) for pair in pairs),
        clock,
        refused_logon=seen.refuse_logon,
        refused_order=seen.refuse_order,
    )
