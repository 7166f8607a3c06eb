# SPDX-License-Identifier: Apache-2.0
"""A gate's venues and rate feeds, from its configuration."""

from __future__ import annotations

from contextlib import AsyncExitStack

from sekisho.adapters.rates.several import SeveralFeeds
from sekisho.adapters.venues.paper_http import PaperHttpVenue
from sekisho.compose.fix_gate import open_fix_venue
from sekisho.compose.gate_config import Located, VenueSettings
from sekisho.compose.kraken_venue import open_kraken_venue
from sekisho.compose.rate_feeds import rate_feed, several_feeds
from sekisho.ports import Clock, Disk, Venue
from sekisho.services.gatelog import EntryLog


def open_feeds(located: Located, clock: Clock) -> SeveralFeeds:
    """Every configured feed; they say nothing before ``run`` runs. Raises ConfigurationInvalid."""
    feeds = []
    for one in located.config.rates:
        address = str(located.file(one.address))
        if one.kind == "http":
            address = located.address(one.address)
        credential = located.secret(one.credential_file).decode() if one.credential_file else ""
        feeds.append(
            rate_feed(
                one.source,
                one.kind,
                address,
                clock,
                silent_s=one.silent_s,
                credential=credential,
                pairs=one.pairs,
            )
        )
    return several_feeds(feeds)


async def open_venues(
    located: Located, clock: Clock, log: EntryLog, sessions: Disk, stack: AsyncExitStack
) -> dict[str, Venue]:
    """Every configured venue; ``stack`` closes them. None is asked anything yet.

    Args:
        located: the gate's configuration.
        clock: the gate's.
        log: the gate's, whose permits a venue without a name for agents has to know.
        sessions: where FIX sessions keep their numbers.
        stack: what closes what was opened.

    Raises:
        ConfigurationInvalid: a setting or a credential that cannot be used.
        StorageFailed: a session's file.
    """
    return {
        one.name: await _venue(located, one, clock, log, sessions, stack)
        for one in located.config.venues
    }


async def _venue(
    located: Located,
    settings: VenueSettings,
    clock: Clock,
    log: EntryLog,
    sessions: Disk,
    stack: AsyncExitStack,
) -> Venue:
    credential = located.secret(settings.credential_file).decode("ascii", "replace")
    address = located.address(settings.address)
    wait_s = settings.timeout_ms / 1000
    if settings.kind == "paper":
        paper = PaperHttpVenue(settings.name, address, credential, timeout_s=wait_s)
        stack.push_async_callback(paper.close)
        return paper
    if settings.kind == "kraken":
        kraken = open_kraken_venue(
            settings.name,
            address,
            credential,
            settings.markets,
            clock,
            log.entries(),
            takes_permits=settings.takes_permits,
            time_out_s=wait_s,
        )
        stack.push_async_callback(kraken.close)
        return kraken
    fix = await open_fix_venue(located, settings, sessions, clock)
    stack.push_async_callback(fix.close)
    return fix
