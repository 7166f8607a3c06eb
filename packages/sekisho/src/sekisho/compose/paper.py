# SPDX-License-Identifier: Apache-2.0
"""The paper venue as a process: another firm, with its own clock, book, list and log.

Its book and its log are files: a life that follows goes on where they end (``paper_recorded``).
Credentials are read again when their file has changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sekisho.adapters.clocks import SystemClock
from sekisho.adapters.rates.bridge import Fixing
from sekisho.adapters.rates.ecb import EcbPath, Fixings, find_rates_file, load_fixings
from sekisho.adapters.rates.file_feed import FileFeed
from sekisho.adapters.rates.http_feed import HttpFeed
from sekisho.adapters.rates.static import StaticRates
from sekisho.adapters.venues.market import Market
from sekisho.adapters.venues.paper_certificates import CertificateFolder, certificates_in
from sekisho.adapters.venues.paper_log import PaperLog
from sekisho.adapters.venues.paper_permits import VenueTrust
from sekisho.adapters.venues.paper_prices import FedMarket, VenueRates
from sekisho.adapters.venues.paper_recorded import RecordedVenue
from sekisho.adapters.venues.paper_store import PaperStore
from sekisho.adapters.web.serving import Bounds, serve
from sekisho.compose.paper_config import PaperPlace, read_paper_config
from sekisho.compose.paper_sides import Heard, open_sides, paper_listener
from sekisho.compose.rate_feeds import rate_feed
from sekisho.compose.trial import RATE_CURRENCIES
from sekisho.core.errors import ConfigurationInvalid
from sekisho.core.identity.oids import Arc
from sekisho.core.markets import pair_of
from sekisho.core.terms import DAY_S, NS
from sekisho.ports import Clock, Quotation, Venue

REPLAY_AHEAD_DAYS = 371
"""The path lasts so long from the start: a year, in whole weeks."""
SYNC_S = 1.0
LOOK_S = 0.5
"""How often the credentials' file is looked at."""
WEEK_DAYS = 7


class PaperDesk:
    """One paper venue with its log and its prices, as the permit protocol's interface asks it."""

    def __init__(self, place: PaperPlace, clock: Clock) -> None:
        config = place.config
        self._place = place
        self._written = place.written_credentials()
        self._seen = self._credential_mark()
        self.feed: FileFeed | HttpFeed | None = None
        self.clock = clock
        self._match_every_s = config.match_every_ms / 1000
        market, self.pairs = self._market(place)
        self.log = PaperLog(place.file(config.log))
        self.store: PaperStore | None = None
        try:
            self.store = PaperStore(place.file(config.book))
            self.venue = RecordedVenue(
                VenueTrust(
                    name=config.name,
                    environments=frozenset({config.environment}),
                    root=_certificate(place, config.root),
                    issuing=_certificate(place, config.issuing),
                    arc=Arc(config.oid_arc),
                ),
                clock,
                market,
                place.credentials(),
                self.log,
                CertificateFolder(place.file(config.certificates)),
                self.store,
            )
        except BaseException:
            self.log.close()
            if self.store is not None:
                self.store.close()
            raise
        self.rates = VenueRates(config.name, market, clock, self.pairs)

    @property
    def series(self) -> str:
        """Names this life of the book."""
        return self.venue.series

    def session(self, credential: str) -> Venue:
        """The venue as the holder of a credential reaches it. Raises NotAuthorised."""
        return self.venue.session(credential)

    def register(self, credential: str, der: bytes) -> None:
        """Take an agent's certificate. Raises NotAuthorised, VerificationFailed, MalformedInput."""
        self.venue.seen_from(self.venue.holder(credential)).know_certificate(der)

    async def quotations(self, pairs: tuple[str, ...]) -> tuple[Quotation, ...]:
        """What the venue trades at now."""
        return await self.rates.quotations(pairs)

    async def match(self) -> None:
        """Match resting orders again and again; end the day at midnight UTC. Until cancelled."""
        day = self.clock.now_ns() // (DAY_S * NS)
        while True:
            await self.clock.sleep(self._match_every_s)
            today = self.clock.now_ns() // (DAY_S * NS)
            if today > day:
                day = today
                self.venue.end_day()
            self.venue.match_resting()

    async def keep_log(self) -> None:
        """Put book and log on stable storage again and again, until cancelled."""
        while True:
            await self.clock.sleep(SYNC_S)
            await asyncio.to_thread(self._sync)

    async def keep_credentials(self, heard: Iterable[Heard]) -> None:
        """Look again and again whether the credentials' file has changed, until cancelled.

        What can no longer be read gives nobody a right: only the configuration's own are good then.
        """
        while True:
            await self.clock.sleep(LOOK_S)
            mark = self._credential_mark()
            if mark == self._seen:
                continue
            self._seen = mark
            found = self._written
            with contextlib.suppress(ConfigurationInvalid):
                found = self._place.added_credentials() | found
            self.venue.renew_credentials(found)
            for one in heard:
                await one(tuple(sorted(set(found.values()))))

    def _credential_mark(self) -> tuple[int, int, int]:
        """Changes with the credentials' file."""
        try:
            seen = self._place.file(self._place.config.credentials_file).stat()
        except OSError:
            return (0, 0, 0)
        return (seen.st_ino, seen.st_mtime_ns, seen.st_size)

    def _sync(self) -> None:
        # The book first: a log that tells more than the book has is of orders that are lost.
        if self.store is not None:
            self.store.sync()
        self.log.sync()

    def close(self) -> None:
        """The last lines on stable storage, then let go. A crash before leaves what it wrote."""
        self._sync()
        if self.store is not None:
            self.store.close()
        self.log.close()

    def _market(self, place: PaperPlace) -> tuple[Market, tuple[str, ...]]:
        """Where prices come from, and the pairs that are told without being asked for."""
        prices, clock = place.config.prices, self.clock
        if prices.kind == "static":
            table = StaticRates(clock, place.config.name)
            for market, (bid, ask) in prices.table.items():
                table.set(market, bid, ask)
            return table, _pairs_of(prices.pairs or tuple(prices.table))
        if prices.kind == "feed":
            self.feed = rate_feed(
                place.config.name,
                prices.feed,
                _feed_address(place),
                clock,
                silent_s=prices.silent_s,
                credential=place.secret(prices.credential_file) if prices.credential_file else "",
                pairs=prices.pairs if prices.feed == "http" else (),
            )
            return FedMarket(self.feed), _pairs_of(prices.pairs)
        fixings = load_fixings(find_rates_file(), RATE_CURRENCIES)
        days = replay_days(fixings, clock.now_ns() // (DAY_S * NS))
        path = EcbPath(fixings, clock, prices.seed, replay_days=days)
        legs = tuple(f"EUR/{currency}" for currency in RATE_CURRENCIES)
        return path, _pairs_of(prices.pairs or legs)


@dataclass(frozen=True)
class VenueFaces:
    """How the venue is spoken to; ``permits`` makes the ASGI application of the permit protocol."""

    permits: Callable[[PaperDesk], Any]


async def run_paper_venue(
    path: Path, faces: VenueFaces, listening: Callable[[str, list[str]], None]
) -> int:
    """Run a paper venue until SIGTERM or SIGINT; a second signal ends the process at once.

    Args:
        path: of its ``venue.toml``.
        faces: the applications that speak to its callers.
        listening: told the venue's name and its addresses when it takes connections.

    Returns:
        0.

    Raises:
        ConfigurationInvalid: a setting, a file or an address that cannot be used.
    """
    place = read_paper_config(path)
    with _stop_signals() as stopped:
        async with AsyncExitStack() as stack:
            desk = PaperDesk(place, SystemClock())
            stack.callback(desk.close)
            heard: list[Heard] = []
            work = [desk.match(), desk.keep_log(), desk.keep_credentials(heard)]
            if desk.feed is not None:
                work.append(desk.feed.run())
            running = [asyncio.create_task(one) for one in work]
            stack.push_async_callback(_cancelled, running)
            listeners = [paper_listener(place, one) for one in place.config.listen]
            bounds = Bounds(connections=place.config.connections, of_one=place.config.connections)
            serving = await serve(faces.permits(desk), listeners, bounds)
            stack.push_async_callback(serving.close)
            sides, wanted = await open_sides(place, desk.venue, desk.pairs, desk.clock, stack)
            heard += wanted
            listening(place.config.name, [*serving.addresses, *sides])
            ended = asyncio.create_task(stopped.wait())
            done, _ = await asyncio.wait([ended, *running], return_when=asyncio.FIRST_COMPLETED)
            ended.cancel()
            for task in done:
                task.result()  # a defect of what runs beside must end the process, and say why
    return 0


def replay_days(fixings: Fixings, today: int) -> int:
    """How many days back the demonstration's path is replayed, in whole weeks.

    So that the path of every currency lasts for ``REPLAY_AHEAD_DAYS`` from ``today`` (days since
    1970-01-01), and the days of the week stay what they are.
    """
    last = min(_last_day(one) for one in fixings.values())
    beyond = today + REPLAY_AHEAD_DAYS - last
    return max(0, -(-beyond // WEEK_DAYS) * WEEK_DAYS)


def _last_day(fixings: Any) -> int:
    found: list[Fixing] = list(fixings)
    if not found:
        raise ConfigurationInvalid("the reference rates' history has a currency without rates")
    return found[-1].day


def _pairs_of(markets: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({pair_of(market)[0] for market in markets}))


def _feed_address(place: PaperPlace) -> str:
    prices = place.config.prices
    return (
        place.address(prices.address) if prices.feed == "http" else str(place.file(prices.address))
    )


def _certificate(place: PaperPlace, name: str) -> bytes:
    """The one certificate of a file, DER. Raises ConfigurationInvalid."""
    try:
        found = certificates_in(place.content(name))
    except ValueError as error:
        raise ConfigurationInvalid(
            f"{place.file(name)}: no certificate ({error})", str(place.file(name))
        ) from error
    if len(found) != 1:
        raise ConfigurationInvalid(
            f"{place.file(name)}: one certificate is wanted, not {len(found)}",
            str(place.file(name)),
        )
    return found[0]


async def _cancelled(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.contextmanager
def _stop_signals() -> Iterator[asyncio.Event]:
    """An event that the first SIGTERM or SIGINT sets; after it they act as if nobody listened."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    names = (signal.SIGTERM, signal.SIGINT)

    def stop() -> None:
        stopped.set()
        for name in names:
            loop.remove_signal_handler(name)

    for name in names:
        loop.add_signal_handler(name, stop)
    try:
        yield stopped
    finally:
        for name in names:
            loop.remove_signal_handler(name)
