# SPDX-License-Identifier: Apache-2.0
"""Orders that a venue does not answer for: what they hold, and what goes on beside them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from sekisho.compose.gate_watching import Condition
from sekisho.core.encoding import canonical
from sekisho.core.errors import OutcomeUnknown, Unavailable
from sekisho.core.events import VenueContradicted, VenueLost, VenueRearmed, VenueReconciled
from sekisho.ports import VenueReport
from sekisho.services.venuedoubts import AGAIN_S, ASKING_S, Doubts
from tests.gate_world import GateWorld, codes
from tests.unit.services.test_outside_world import OddVenue, kinds, odd, run

GAUGE = "sekisho_venue_orders_in_doubt"
RESERVED = 20_000 * 10**8
LOST = "venue PAPER is not reconciled"
LATCHED = "venue PAPER is latched"


class Forgetful:
    """Makes a venue unable to tell of some orders; counts who was asked after."""

    def __init__(self, world: GateWorld, venue: OddVenue, *names: str) -> None:
        self.names = set(names)
        self.asked: list[str] = []
        self.takes_s = 0.0
        self._world = world
        self._answer = venue.order_reports
        venue.order_reports = self._ask  # type: ignore[method-assign] # it lost its memory

    async def _ask(self, agent: str, client_order_id: str) -> tuple[VenueReport, ...]:
        self.asked.append(client_order_id)
        self._world.clock.advance(self.takes_s)
        if client_order_id in self.names:
            raise Unavailable("it was started anew")
        return await self._answer(agent, client_order_id)


async def unknown(*names: str) -> tuple[GateWorld, OddVenue]:
    """A gate whose orders of these ids are unknown, as after a time-out of each."""
    world, venue = await odd()
    venue.silent = True
    for name in names:
        assert (await world.ask(client_order_id=name)).order_state == "unknown"
    venue.silent = False
    return world, venue


def begun_anew(world: GateWorld) -> None:
    """As a new process: every venue is to be reconciled, and nothing was asked yet."""
    world.log.record(VenueLost(at=world.log.at(), venue="PAPER", detail="test"))
    world.venue_watch.doubts = Doubts(world.log, world.release, world.clock)


def phases(world: GateWorld) -> dict[str, str]:
    working = world.log.state.agents["bot"].working
    return {name: order.phase for name, order in working.items()}


def test_order_that_cannot_be_asked_after_keeps_no_other_waiting() -> None:
    """The others are resolved, the venue is reconciled, new orders are permitted."""

    async def story() -> None:
        world, venue = await unknown("a", "b", "c")
        lost = Forgetful(world, venue, "a")
        begun_anew(world)
        await world.venue_watch.reconcile()
        assert {"a": "unknown", "b": "open", "c": "open"} == phases(world)
        assert (2, 1) == _last_reconciled(world)
        assert codes(await world.ask(client_order_id="d")) == []
        assert sorted(lost.asked) == ["a", "b", "c"]

    run(story)


def test_order_in_doubt_keeps_its_reservation_and_is_told_of() -> None:
    """Which order, why, and since when; until the venue tells what became of it."""

    async def story() -> None:
        world, venue = await unknown("a")
        lost = Forgetful(world, venue, "a")
        await world.venue_watch.reconcile()
        world.clock.advance(AGAIN_S)
        await world.venue_watch.reconcile()
        doubts = world.venue_watch.doubts
        (told,) = doubts.told()
        assert ("PAPER", "bot", "a", "unknown", "it was started anew", AGAIN_S) == told
        assert [told._asdict()] == condition(world).status()["doubts"]
        assert {"PAPER": 1.0, "X": 0.0} == condition(world).readings()[GAUGE]
        assert not [one for one in condition(world).missing() if "PAPER" in one]
        assert world.venue_watch.troubles == {"PAPER": "1 orders are in doubt"}
        assert RESERVED == world.log.state.agents["bot"].reserved
        lost.names.clear()
        world.clock.advance(AGAIN_S)
        await world.venue_watch.reconcile()
        assert ([], 0, {}) == (list(doubts.told()), doubts.count("PAPER"), {})
        assert {"a": "open"} == phases(world)

    run(story)


def test_order_in_doubt_is_asked_after_again_but_not_each_second() -> None:
    """A venue that cannot tell is not pressed."""

    async def story() -> None:
        world, venue = await unknown("a")
        lost = Forgetful(world, venue, "a")
        await world.venue_watch.reconcile()
        for _ in range(AGAIN_S - 1):
            world.clock.advance(1)
            await world.venue_watch.reconcile()
        assert ["a"] == lost.asked
        world.clock.advance(1)
        await world.venue_watch.reconcile()
        assert ["a", "a"] == lost.asked

    run(story)


def test_many_slow_answers_do_not_hold_the_drop_copy() -> None:
    """A round asks for so long; who was left comes first in the next, and then it is reconciled."""

    async def story() -> None:
        names = [f"o-{number}" for number in range(5)]
        world, venue = await unknown(*names)
        lost = Forgetful(world, venue, *names)
        lost.takes_s = ASKING_S / 2
        begun_anew(world)
        before, rounds = _last_reconciled(world)[0], 0
        while _last_reconciled(world)[0] == before:
            await world.venue_watch.read("PAPER")
            rounds += 1
        assert (3, names) == (rounds, lost.asked[: len(names)])

    run(story)


def test_venue_that_answers_nothing_is_not_reconciled() -> None:
    """Its drop copy came, its list of what rests did not: nobody knows what rests."""

    async def story() -> None:
        world, venue = await unknown("a")
        Forgetful(world, venue, "a")
        begun_anew(world)
        before = _last_reconciled(world)

        async def nothing(agent: str) -> tuple[str, ...]:
            raise OutcomeUnknown(f"no list for {agent}")

        venue.open_orders = nothing  # type: ignore[method-assign] # it does not answer
        await world.venue_watch.reconcile()
        assert before == _last_reconciled(world)
        assert "no list for bot" in world.venue_watch.troubles["PAPER"]

    run(story)


def test_order_never_seen_and_listed_as_open_frees_nothing_and_latches_the_venue() -> None:
    """Two answers that cannot both be so: lost until they agree, latched until people re-arm."""

    async def story() -> None:
        world, venue = await unknown("a")
        await world.ask(client_order_id="b", venue="X")
        venue.permits.clear()  # the look-up never saw it; the list still has it
        world.clock.advance(2)
        await world.venue_watch.reconcile()
        world.quote()
        refused = await world.ask(client_order_id="c")
        assert [LOST, LATCHED] == [one.observed for one in refused.reasons]
        assert "lists it as open" in kinds(world, VenueLost)[-1].detail
        assert ["listed_and_never_seen"] == contradictions(world)
        assert any("PAPER contradicts itself: a: " in one for one in condition(world).missing())
        assert ("unknown", RESERVED) == (phases(world)["a"], reserved_at_paper(world))
        before = len(kinds(world, VenueLost)), _last_reconciled(world)
        world.clock.advance(1)
        await world.venue_watch.reconcile()
        assert before == (len(kinds(world, VenueLost)), _last_reconciled(world))
        assert codes(await world.ask(client_order_id="d", venue="X")) == []
        venue.resting.clear()
        world.clock.advance(AGAIN_S)
        await world.venue_watch.reconcile()
        assert "a" not in phases(world)
        world.quote()
        refused = await world.ask(client_order_id="e")
        assert [LATCHED] == [one.observed for one in refused.reasons]
        rearm(world)
        assert codes(await world.ask(client_order_id="f")) == []

    run(story)


def test_venue_that_goes_on_contradicting_itself_is_latched_again_when_it_was_rearmed() -> None:
    """Once while it is latched; people who re-arm it too early change nothing."""

    async def story() -> None:
        world, venue = await unknown("a")
        venue.permits.clear()
        for _ in range(3):
            world.clock.advance(AGAIN_S)
            await world.venue_watch.reconcile()
        assert 1 == len(contradictions(world))
        first = rearm(world)
        world.clock.advance(1)
        await world.venue_watch.reconcile()
        assert 2 == len(contradictions(world))
        assert world.log.state.outside.standing("PAPER").incident not in ("", first)

    run(story)


def test_order_acknowledged_and_never_seen_frees_nothing_and_latches_the_venue() -> None:
    """The venue said that it rests; now list and look-up agree that it never lived."""

    async def story() -> None:
        world, venue = await odd()
        await world.ask(client_order_id="a")
        await world.venue_watch.reconcile()
        venue.resting.clear()
        venue.permits.clear()
        world.clock.advance(AGAIN_S)
        await world.venue_watch.reconcile()
        assert ["open_and_never_seen"] == contradictions(world)
        assert ({"a": "open"}, RESERVED) == (phases(world), reserved_at_paper(world))

    run(story)


def test_amendment_that_the_venue_never_saw_is_no_contradiction() -> None:
    """Of the amendment it has said nothing; the order goes on as it was."""

    async def story() -> None:
        world, venue = await odd()
        await world.ask(client_order_id="a")
        await world.venue_watch.reconcile()
        venue.away = True
        body = {
            "action": "amend", "client_order_id": "b", "orig_client_order_id": "a",
            "quantity": "10",
        }  # fmt: skip
        await world.gate.submit("bot", canonical(body))
        assert world.log.state.agents["bot"].working["a"].pending is not None
        world.clock.advance(2)
        await world.venue_watch.reconcile()
        assert world.log.state.agents["bot"].working["a"].pending is None
        assert ([], {"a": "open"}) == (contradictions(world), phases(world))

    run(story)


def test_order_called_open_and_not_listed_latches_when_the_venue_says_so_again() -> None:
    """A list may come late once; five seconds on it is a contradiction, and nothing is freed."""

    async def story() -> None:
        world, venue = await odd()
        await world.ask(client_order_id="a")
        await world.venue_watch.reconcile()
        venue.resting.clear()
        world.clock.advance(AGAIN_S)
        await world.venue_watch.reconcile()
        (told,) = world.venue_watch.doubts.told()
        assert ("a", "PAPER calls it open, and does not list it") == (
            told.client_order_id, told.why,
        )  # fmt: skip
        assert [] == contradictions(world)
        world.clock.advance(AGAIN_S)
        await world.venue_watch.reconcile()
        assert ["open_and_not_listed"] == contradictions(world)
        assert ({"a": "open"}, RESERVED) == (phases(world), reserved_at_paper(world))

    run(story)


def test_order_that_is_listed_again_is_in_doubt_no_more() -> None:
    """And a list that came late twice, with a good one between, is none too many."""

    async def story() -> None:
        world, venue = await odd()
        await world.ask(client_order_id="a")
        await world.venue_watch.reconcile()
        rests = dict(venue.resting)
        for listed in ({}, rests, {}):
            venue.resting = dict(listed)
            world.clock.advance(AGAIN_S)
            await world.venue_watch.reconcile()
            assert (0 if listed else 1) == world.venue_watch.doubts.count("PAPER")
        assert [] == contradictions(world)

    run(story)


def test_order_in_doubt_reserves_again_on_each_new_day() -> None:
    """Nobody proved that it is gone: what it may still do is counted, whatever the day."""

    async def story() -> None:
        world, venue = await unknown("a")
        Forgetful(world, venue, "a")
        for _ in range(3):
            world.clock.advance(86_400)
            await world.venue_watch.reconcile()
            world.quote()
            await world.ask(client_order_id=f"n-{world.clock.now_ns()}", venue="NONE")
            bot = world.log.state.agents["bot"]
            assert (RESERVED, RESERVED) == (bot.gross, bot.reserved)

    run(story)


def test_order_that_rests_no_more_and_cannot_be_asked_after_is_in_doubt() -> None:
    """An open one too: it is not listed, its end was not told."""

    async def story() -> None:
        world, venue = await odd()
        await world.ask(client_order_id="a")
        await world.venue_watch.reconcile()
        venue.resting.clear()
        Forgetful(world, venue, "a")
        world.clock.advance(AGAIN_S)
        await world.venue_watch.reconcile()
        (told,) = world.venue_watch.doubts.told()
        assert ("a", "open") == (told.client_order_id, told.phase)
        assert {"a": "open"} == phases(world)

    run(story)


def contradictions(world: GateWorld) -> list[str]:
    """What is on record of venues that contradict themselves, in order."""
    return [one.contradiction for one in kinds(world, VenueContradicted)]


def reserved_at_paper(world: GateWorld) -> int:
    """What orders at PAPER reserve."""
    working = world.log.state.agents["bot"].working.values()
    return sum(order.reserved for order in working if order.terms.venue == "PAPER")


def rearm(world: GateWorld) -> str:
    """Two people took the latch of PAPER off; which incident's."""
    incident = world.log.state.outside.standing("PAPER").incident
    seats = {"seats": ("compliance-1", "risk-1"), "commands": ()}
    world.log.record(VenueRearmed(at=world.log.at(), venue="PAPER", incident=incident, **seats))
    return incident


def condition(world: GateWorld) -> Condition:
    """What the gate tells of itself."""
    gate: Any = SimpleNamespace(
        log=world.log,
        leasing=world.leasing,
        release=world.release,
        venue_watch=world.venue_watch,
        local=SimpleNamespace(unreported={}),
        venues=["PAPER", "X"],
    )
    parts: Any = SimpleNamespace(
        draining=False, under_way={}, turned_away=0, states=list, low_disk=lambda: False
    )
    journal: Any = world.log.journal
    return Condition(gate, journal, parts, parts, lambda: True, ())


def _last_reconciled(world: GateWorld) -> tuple[int, int]:
    """How many reconciliations are on record, and how many orders the last one left unknown."""
    found = [one for one in kinds(world, VenueReconciled) if one.venue == "PAPER"]
    return len(found), found[-1].unknown
