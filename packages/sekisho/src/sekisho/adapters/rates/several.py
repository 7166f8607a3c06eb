# SPDX-License-Identifier: Apache-2.0
"""Several sources of rates as one ``RateSource``, each under its own name.

Nothing is averaged or chosen here: every source's quotation is passed on, and the checks compare
them. A source that does not answer is left out; the checks refuse for the missing rate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from sekisho.adapters.rates.feed import FeedState
from sekisho.core.errors import ConfigurationInvalid, Unavailable
from sekisho.core.markets import pair_of
from sekisho.ports import Quotation


class Feed(Protocol):
    """A source that is kept up to date by :meth:`run` and answers from memory."""

    name: str

    async def run(self) -> None:
        """Follow the source until cancelled; no failure of the source ends it."""
        ...

    async def quotations(self, pairs: tuple[str, ...]) -> tuple[Quotation, ...]:
        """See ``ports.RateSource``; never waits."""
        ...

    def state(self) -> FeedState:
        """How it fares."""
        ...


class SeveralFeeds:
    """The feeds of a gate.

    Raises:
        ConfigurationInvalid: none, or two of one name.
    """

    def __init__(self, feeds: Sequence[Feed]) -> None:
        names = [feed.name for feed in feeds]
        if not names or len(set(names)) != len(names):
            raise ConfigurationInvalid("rates: one feed or more, each with a name of its own")
        self._feeds = tuple(feeds)

    async def run(self) -> None:
        """Keep all of them up to date until cancelled. A defect in one is raised."""
        async with asyncio.TaskGroup() as group:
            for feed in self._feeds:
                group.create_task(feed.run())

    async def quotations(self, pairs: tuple[str, ...]) -> tuple[Quotation, ...]:
        """By pair as asked, then by source as configured.

        Raises:
            Unavailable: no source could be asked.
        """
        found: list[Quotation] = []
        failed = 0
        for feed in self._feeds:
            try:
                found += await feed.quotations(pairs)
            except Unavailable:
                failed += 1
        if failed == len(self._feeds):
            raise Unavailable("no source of rates answers")
        if len(found) < 2:
            return tuple(found)
        order = {pair: number for number, pair in enumerate(pairs)}
        return tuple(sorted(found, key=lambda one: order.get(pair_of(one.market)[0], len(order))))

    def states(self) -> tuple[FeedState, ...]:
        """How each fares, as configured."""
        return tuple(feed.state() for feed in self._feeds)
