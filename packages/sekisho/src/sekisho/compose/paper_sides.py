# SPDX-License-Identifier: Apache-2.0
"""The other dialects of a paper venue, over the same book and into the same log."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from sekisho.adapters.disk import FolderDisk
from sekisho.adapters.venues.paper import PaperVenue
from sekisho.adapters.venues.paper_fix import PaperFixSide
from sekisho.adapters.venues.paper_kraken import (
    KrakenKey,
    KrakenSide,
    paper_kraken_application,
)
from sekisho.adapters.venues.paper_recorded import RecordedVenue
from sekisho.adapters.web.listening import Listener
from sekisho.adapters.web.serving import Bounds, serve
from sekisho.compose.paper_config import WHERE, PaperFix, PaperKraken, PaperPlace
from sekisho.core.errors import ConfigurationInvalid
from sekisho.core.kraken import PairTable, plain_pair
from sekisho.ports import Clock

Heard = Callable[[tuple[str, ...]], Awaitable[None]]
"""Hears the names of all holders when they have changed."""


async def open_sides(
    place: PaperPlace,
    venue: RecordedVenue,
    pairs: tuple[str, ...],
    clock: Clock,
    stack: AsyncExitStack,
) -> tuple[list[str], list[Heard]]:
    """Listen for each dialect that is configured; ``stack`` closes them.

    Returns:
        Where they listen, and who wants to hear of holders that come later.

    Raises:
        ConfigurationInvalid: a secret or an address that cannot be used.
    """
    addresses: list[str] = []
    heard: list[Heard] = []
    if place.config.fix is not None:
        side, address = await _fix(place, place.config.fix, venue, clock, stack)
        addresses.append(address)
        heard.append(side.expect)
    if place.config.kraken is not None:
        kraken = _kraken(place, place.config.kraken, venue, pairs, clock)
        listener = paper_listener(place, place.config.kraken.listen)
        bounds = Bounds(connections=place.config.connections, of_one=place.config.connections)
        serving = await serve(paper_kraken_application(kraken), [listener], bounds)
        stack.push_async_callback(serving.close)
        addresses += serving.addresses
    return addresses, heard


def paper_listener(place: PaperPlace, address: str) -> Listener:
    """A socket of the venue: for its own user, or for the configured group."""
    group = place.config.socket_group
    return Listener(place.address(address), 0o660 if group else 0o600, group)


async def _fix(
    place: PaperPlace, settings: PaperFix, venue: RecordedVenue, clock: Clock, stack: AsyncExitStack
) -> tuple[PaperFixSide, str]:
    def knock(credential: str) -> tuple[str, PaperVenue]:
        holder = venue.holder(credential)
        return holder, venue.seen_from(holder)

    disk = FolderDisk(place.file(settings.store))
    stack.callback(disk.close)
    side = PaperFixSide(
        settings.sender,
        disk,
        clock,
        venue.book,
        knock,
        venue.seen_from("fix").refuse_logon,
    )
    stack.push_async_callback(side.close)
    holders = tuple(sorted(set(place.credentials().values())))
    return side, await side.start(paper_listener(place, settings.listen), holders)


def _kraken(
    place: PaperPlace,
    settings: PaperKraken,
    venue: RecordedVenue,
    pairs: tuple[str, ...],
    clock: Clock,
) -> KrakenSide:
    keys = {
        one.key: KrakenKey(_secret(place, one.secret_file), venue.seen_from(one.session))
        for one in settings.pairs()
    }
    return KrakenSide(
        keys,
        PairTable(plain_pair(pair) for pair in pairs),
        clock,
        refused_logon=venue.seen_from("kraken").refuse_logon,
        refused_order=lambda account, reason: venue.seen_from(account).refuse_order(reason),
    )


def _secret(place: PaperPlace, name: str) -> bytes:
    """A key pair's secret. Raises ConfigurationInvalid."""
    try:
        return base64.b64decode(place.secret(name), validate=True)
    except binascii.Error as error:
        raise ConfigurationInvalid(f"{name}: not base64", str(place.file(name)), WHERE) from error
