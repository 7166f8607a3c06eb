# SPDX-License-Identifier: Apache-2.0
"""Orders in doubt: a venue does not tell what became of them, one by one.

Each is asked after on its own, so that one that cannot be answered for keeps no other waiting, and
keeps its reservation until the venue tells (docs/spec/states.md, *Venues*). A round has a time of
its own; who was asked longest ago comes first, and an order in doubt is asked after again every
``AGAIN_S``. What the venue says of an order and contradicts is kept for whoever latches it. No rule
is decided here. A crash loses the times alone: a new boot asks about all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from sekisho.core.errors import OutcomeUnknown, Unavailable
from sekisho.core.terms import NS
from sekisho.ports import Clock
from sekisho.services.gatelog import GateLog
from sekisho.services.release import Release
from sekisho.services.venuereports import Contradiction, Word

ASKING_S = 5
"""So long a round asks about orders; those that are left come first in the next one."""
AGAIN_S = 5
"""How often an order in doubt is asked after."""
WHY_MAX = 200

Name = tuple[str, str]
"""Agent and order id."""


class Doubt(NamedTuple):
    """Why a venue does not tell of an order, since when (boot-time clock, ns), and in which word
    it contradicts itself, empty for none.
    """

    why: str
    since: int
    word: Word | Literal[""]


class Contradicted(NamedTuple):
    """An order of which a venue says what cannot both be so."""

    agent: str
    client_order_id: str
    word: Word
    why: str


class Doubtful(NamedTuple):
    """An order in doubt, as whoever runs the gate is told of it."""

    venue: str
    agent: str
    client_order_id: str
    phase: str
    why: str
    for_s: int


class Doubts:
    """What the venues of one gate do not answer for."""

    def __init__(self, log: GateLog, release: Release, clock: Clock) -> None:
        self._log = log
        self._release = release
        self._clock = clock
        self._asked: dict[tuple[str, Name], int] = {}
        self._doubts: dict[tuple[str, Name], Doubt] = {}
        self._unlisted: set[tuple[str, Name]] = set()

    async def ask_unfinished(self, venue: str) -> bool:
        """Ask about each order that the venue has not answered for, and each pending amendment.

        Returns:
            Whether each of them was asked after at least once since the boot.

        Raises:
            StorageFailed: the log takes nothing.
        """
        self._forget()
        unfinished = list(self._release.unfinished(venue))
        await self.ask_each(venue, unfinished)
        return all((venue, name) in self._asked for name in unfinished)

    async def ask_gone(self, venue: str, names: Iterable[Name], listed: Iterable[Name]) -> None:
        """Ask about orders that are not among those which the venue lists as open.

        One that it goes on calling open, asked twice ``AGAIN_S`` apart, contradicts its list; once
        may be a list that came late. Of an order that is ``listed`` again nothing is in doubt.

        Raises:
            StorageFailed: the log takes nothing.
        """
        for name in set(listed) - set(self._release.unfinished(venue)):
            self._doubts.pop((venue, name), None)
            self._unlisted.discard((venue, name))
        gone = list(names)
        rested = {name: self._asked.get((venue, name)) for name in gone if self._rests(name)}
        await self.ask_each(venue, gone)
        for name, before in rested.items():
            key = venue, name
            asked = self._asked.get(key)
            if asked is None or asked == before or key in self._doubts or not self._rests(name):
                continue  # not asked again, in doubt for another reason, or ended
            word: Word | Literal[""] = "open_and_not_listed" if key in self._unlisted else ""
            self._unlisted.add(key)
            self._doubts[key] = Doubt(f"{venue} calls it open, and does not list it", asked, word)

    def _rests(self, name: Name) -> bool:
        """Whether the venue called this order open, and nothing of it is under way."""
        held = self._log.state.agents.get(name[0])
        order = None if held is None else held.working.get(name[1])
        return order is not None and order.phase == "open" and order.pending is None

    async def ask_each(self, venue: str, names: Iterable[Name]) -> None:
        """Ask about these, as far as the time goes and their turn has come.

        Raises:
            StorageFailed: the log takes nothing.
        """
        begin = self._clock.monotonic_ns()
        for name in sorted(names, key=lambda one: self._asked.get((venue, one), -1)):
            now, key = self._clock.monotonic_ns(), (venue, name)
            if now - begin >= ASKING_S * NS:
                return
            if key in self._doubts and now - self._asked[key] < AGAIN_S * NS:
                continue
            await self._ask(key, now)

    async def _ask(self, key: tuple[str, Name], now: int) -> None:
        venue, (agent, order) = key
        self._asked[key] = now
        try:
            await self._release.ask(venue, agent, order)
        except (OutcomeUnknown, Unavailable) as error:
            before = self._doubts.get(key)
            since = now if before is None else before.since
            word: Word | Literal[""] = error.word if isinstance(error, Contradiction) else ""
            self._doubts[key] = Doubt(str(error)[:WHY_MAX], since, word)
        else:
            self._doubts.pop(key, None)

    def contradiction(self, venue: str) -> Contradicted | None:
        """Of which order the venue says what cannot both be so; None of none."""
        agents = self._log.state.agents
        for (where, (agent, order)), doubt in self._doubts.items():
            held = agents.get(agent)
            if where == venue and doubt.word and held is not None and held.find(order) is not None:
                return Contradicted(agent, order, doubt.word, f"{order}: {doubt.why}")
        return None

    def count(self, venue: str) -> int:
        """How many orders of this venue are in doubt."""
        return sum(where == venue for where, _ in self._doubts)

    def told(self) -> Iterator[Doubtful]:
        """Every order in doubt, for whoever runs the gate."""
        now = self._clock.monotonic_ns()
        for (venue, (agent, order)), doubt in sorted(self._doubts.items()):
            held = self._log.state.agents.get(agent)
            working = None if held is None else held.find(order)
            if working is not None:
                passed = (now - doubt.since) // NS
                yield Doubtful(venue, agent, order, working.phase, doubt.why, passed)

    def _forget(self) -> None:
        """Of what has ended nothing is in doubt."""
        agents = self._log.state.agents
        for key in list(self._asked):
            agent, order = key[1]
            if agent not in agents or agents[agent].find(order) is None:
                del self._asked[key]
                self._doubts.pop(key, None)
                self._unlisted.discard(key)
