# SPDX-License-Identifier: Apache-2.0
"""Venues that hang, vanish or contradict, and clocks that step: what the gate's services do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sekisho.core.errors import OutcomeUnknown, Unavailable
from sekisho.core.events import (
    ClockObserved,
    Execution,
    IncidentOpened,
    RestingUnknown,
    VenueLost,
    VenueReconciled,
    decode_gate_entry,
)
from sekisho.core.terms import NS
from sekisho.ports import IncidentReport, VenueReport
from sekisho.services.incidentwatch import IncidentWatch
from sekisho.services.release import CALL_S
from tests.gate_world import MORNING, GateWorld, StubVenue, codes, scope_of

BOUND_S = 5


def run(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(story())  # type: ignore[arg-type] # every story is a coroutine function


def kinds(world: GateWorld, *wanted: type) -> list[Any]:
    """Entries of these kinds, in order."""
    entries = [decode_gate_entry(data) for _, data in world.log.journal.entries()]
    return [entry for entry in entries if isinstance(entry, wanted)]


class OddVenue(StubVenue):
    """Answers each question when it is told to; has a drop copy of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.tape: list[VenueReport] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.deaf = False

    def hang(self, operation: str) -> asyncio.Event:
        """Let an operation wait until the event is set."""
        return self.gates.setdefault(operation, asyncio.Event())

    async def _wait(self, operation: str) -> None:
        if operation in self.gates:
            await self.gates[operation].wait()

    async def submit(self, permit: str) -> tuple[VenueReport, ...]:
        reports = await super().submit(permit)
        await self._wait("submit")
        return reports

    async def cancel(self, agent: str, client_order_id: str) -> tuple[VenueReport, ...]:
        await self._wait("cancel")
        return await super().cancel(agent, client_order_id)

    async def reports_since(self, sequence: int) -> tuple[int, tuple[VenueReport, ...]]:
        if self.deaf:
            raise Unavailable("no drop copy")
        await self._wait("reports_since")
        return len(self.tape), tuple(self.tape[sequence:])

    def tells(self, kind: Any, name: str, **changes: Any) -> None:
        """One more report in the drop copy."""
        fields: dict[str, Any] = {
            "agent": "bot", "client_order_id": name, "venue_order_id": "V", "exec_id": f"D{name}",
            "exec_type": kind, "last_quantity": "5", "last_price": "1.085", "cum_quantity": "5",
            "leaves_quantity": "0", "counterparty": "", "reason": "", "transact_at": MORNING,
        }  # fmt: skip
        self.tape.append(VenueReport(**(fields | changes)))


async def odd(policy: dict[str, Any] | None = None) -> tuple[GateWorld, OddVenue]:
    """A gate connected to PAPER, which is odd, and to X, which is as any other."""
    world = await GateWorld.start(policy or scope_of(venues=["PAPER", "X"]))
    venue = OddVenue()
    world.release._venues = {"PAPER": venue, "X": StubVenue()}
    return world, venue


def spied(venue: OddVenue) -> list[str]:
    """Ids that the venue is asked about from now on; it does not answer."""
    asked: list[str] = []

    async def reports(agent: str, client_order_id: str) -> tuple[VenueReport, ...]:
        asked.append(client_order_id)
        raise OutcomeUnknown("not now")

    venue.order_reports = reports  # type: ignore[method-assign] # a spy
    return asked


# -- reconciled before anything is permitted ------------------------------------------------------


def test_venue_that_does_not_answer_at_the_start_gets_no_order() -> None:
    """Refused and recorded; the venues that answer go on; when it answers, so does it."""

    async def story() -> None:
        world, venue = await odd()
        venue.deaf = True
        await world.venue_watch.reconcile()
        assert [entry.venue for entry in kinds(world, VenueReconciled)] == ["X"]
        refused = await world.ask()
        assert refused.reasons[0].observed == "venue PAPER is not reconciled"
        assert world.decision(refused).verdict == "refused"
        assert codes(await world.ask(client_order_id="b", venue="X")) == []
        assert venue.permits == []
        venue.deaf = False
        world.clock.advance(1)
        assert codes(await world.ask(client_order_id="c")) == []

    run(story)


def test_venue_not_readable_for_longer_than_the_bound_is_lost() -> None:
    """At the bound it is not, a moment later it is: on record, before the decision that uses it."""

    async def story() -> None:
        world, venue = await odd()
        assert codes(await world.ask(client_order_id="a")) == []
        venue.deaf = True
        world.clock.advance(30)
        world.quote()
        assert codes(await world.ask(client_order_id="b")) == []
        world.clock.advance(1)
        world.quote()
        refused = await world.ask(client_order_id="c")
        assert refused.reasons[0].observed == "venue PAPER is not reconciled"
        (lost,) = kinds(world, VenueLost)
        assert (lost.venue, "no drop copy" in lost.detail) == ("PAPER", True)

    run(story)


def test_venue_that_hangs_holds_no_order_of_another() -> None:
    """Neither while it is read nor when an order for it waits."""

    async def story() -> None:
        world, venue = await odd()
        venue.hang("reports_since")
        first = asyncio.ensure_future(world.ask())
        answer = await world.ask(client_order_id="b", venue="X")
        assert (codes(answer), first.done()) == ([], False)
        await world.clock.play(1)
        assert codes(await first) == ["control_unavailable"]

    run(story)


# -- unknown outcomes -------------------------------------------------------------------------


def test_submit_that_never_returns_is_unknown_and_its_late_answer_is_taken() -> None:
    """The gate waits for so long and no longer; nothing is released, nothing is sent twice."""

    async def story() -> None:
        world, venue = await odd()
        late = venue.hang("submit")
        asked = asyncio.ensure_future(world.ask())
        await world.clock.play(CALL_S - 1)
        assert not asked.done()
        await world.clock.play(1)
        answer = await asked
        assert (answer.kind, answer.order_state) == ("permitted", "unknown")
        held = world.log.state.agents["bot"]
        assert held.reserved == 20_000 * 10**8
        late.set()
        await world.clock.play(0)
        order = held.find("order-1")
        assert order is not None
        assert (order.phase, len(venue.permits)) == ("open", 1)
        assert (await world.ask()).order_state == "open"
        assert len(venue.permits) == 1

    run(story)


def test_cancel_that_never_returns_is_unknown() -> None:
    """The order stays, and whoever asked gets an answer."""

    async def story() -> None:
        world, venue = await odd()
        await world.ask()
        venue.hang("cancel")
        done = asyncio.ensure_future(world.release.cancel("bot", "order-1", "test"))
        await world.clock.play(CALL_S)
        assert await done is False
        assert world.log.state.agents["bot"].reserved == 20_000 * 10**8

    run(story)


def test_order_on_its_way_is_not_asked_about() -> None:
    """A venue that was asked about an order it does not know may refuse it when it arrives."""

    async def story() -> None:
        world, venue = await odd()
        venue.hang("submit")
        asked = spied(venue)
        first = asyncio.ensure_future(world.ask())
        await world.clock.play(3)
        await world.venue_watch.reconcile()
        assert asked == []
        await world.clock.play(CALL_S)
        await first
        world.clock.advance(1)
        await world.venue_watch.reconcile()
        assert set(asked) == {"order-1"}

    run(story)


def test_order_whose_key_is_waited_for_is_not_asked_about() -> None:
    """Decided and recorded, not signed yet: it is on its way to the venue."""

    async def story() -> None:
        world, venue = await odd()
        asked = spied(venue)

        async def looks() -> None:
            await world.venue_watch.reconcile()

        world.signer.before = looks
        assert (await world.ask()).kind == "permitted"
        assert asked == []

    run(story)


def test_order_on_its_way_is_not_asked_about_when_its_lease_is_short() -> None:
    """The permit has expired, and the venue still has the call."""

    async def story() -> None:
        policy = scope_of(venues=["PAPER", "X"])
        policy["risk_controls"] = policy["risk_controls"] | {"lease_s": 2}
        world, venue = await odd(policy)
        venue.hang("submit")
        asked = spied(venue)
        first = asyncio.ensure_future(world.ask())
        await world.clock.play(3)
        await world.venue_watch.reconcile()
        assert asked == []
        await world.clock.play(CALL_S)
        await first

    run(story)


def test_not_found_is_believed_only_when_the_permit_has_expired() -> None:
    """Until then the permit could still arrive: the reservation stays."""

    async def story() -> None:
        world, venue = await odd()
        venue.silent = True
        await world.ask()
        venue.permits.clear()  # it never saw it
        venue.resting.clear()
        held = world.log.state.agents["bot"]
        world.clock.advance(1.999)
        await world.venue_watch.reconcile()
        assert held.reserved == 20_000 * 10**8
        world.clock.advance(0.001)
        await world.venue_watch.reconcile()
        assert held.reserved == 0

    run(story)


# -- breaks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("agent", ["bot", "stranger", "no agent's name", ""])
@pytest.mark.parametrize("name", ["x", "not an id!"])
def test_fill_without_a_permit_is_recorded_and_latches_its_venue(agent: str, name: str) -> None:
    """Whoever it names; at the next look, in one step with its incident."""

    async def story() -> None:
        world, venue = await odd()
        assert codes(await world.ask(client_order_id="a")) == []
        venue.tells("trade", name, agent=agent)
        await world.venue_watch.reconcile()
        (entry,) = [one for one in kinds(world, Execution) if one.exec_type == "trade"]
        (incident,) = kinds(world, IncidentOpened)
        known = agent if agent in ("bot", "stranger") else ""
        assert (entry.agent, entry.client_order_id) == (known, name if name == "x" else "")
        named = agent if agent == "bot" else ""
        assert (incident.agent, incident.observed, incident.factor) == (
            named, "PAPER", "unpermitted_execution",
        )  # fmt: skip
        refused = await world.ask(client_order_id="b")
        assert refused.reasons[0].observed == "venue PAPER is latched"
        assert codes(await world.ask(client_order_id="c", venue="X")) == []
        await world.venue_watch.reconcile()
        assert len(kinds(world, IncidentOpened)) == 1

    run(story)


def test_rejection_that_names_nobody_is_no_break() -> None:
    """Somebody's forged permit was refused by the venue: nothing lives."""

    async def story() -> None:
        world, venue = await odd()
        venue.tells("rejected", "", agent="")
        await world.venue_watch.reconcile()
        assert kinds(world, IncidentOpened) == []
        assert world.release.odd_reports == 1

    run(story)


def test_order_resting_that_is_none_of_ours_is_found() -> None:
    """Compared every five seconds; what rests because of us is left alone."""

    async def story() -> None:
        world, venue = await odd()
        await world.ask(client_order_id="a")
        await world.venue_watch.reconcile()
        venue.resting["foreign"] = venue.permits[0]
        world.clock.advance(4)
        await world.venue_watch.reconcile()
        assert kinds(world, RestingUnknown) == []
        world.clock.advance(1)
        await world.venue_watch.reconcile()
        (found,) = kinds(world, RestingUnknown)
        assert found.client_order_id == "foreign"
        assert kinds(world, IncidentOpened)[0].factor == "resting_unknown"

    run(story)


def test_order_believed_closed_that_still_rests_is_found() -> None:
    """The venue confirmed the cancel, and lists the order as open."""

    async def story() -> None:
        world, venue = await odd()
        await world.ask(client_order_id="a")
        permit = venue.resting["a"]
        await world.release.cancel("bot", "a", "test")
        venue.resting["a"] = permit
        await world.venue_watch.reconcile()
        world.clock.advance(5)
        await world.venue_watch.reconcile()
        assert kinds(world, RestingUnknown)[0].client_order_id == "a"

    run(story)


def test_order_that_came_and_went_while_the_venue_was_asked_is_no_break() -> None:
    """Its list is of an earlier moment than what the gate knows by now."""

    async def story() -> None:
        world, venue = await odd()
        await world.ask(client_order_id="a")
        await world.venue_watch.reconcile()
        world.clock.advance(5)
        listed = venue.open_orders

        async def slowly(agent: str) -> tuple[str, ...]:
            venue.open_orders = listed  # type: ignore[method-assign] # once
            await world.ask(client_order_id="b")
            found = await listed(agent)
            await world.release.cancel("bot", "b", "test")
            return found

        venue.open_orders = slowly  # type: ignore[method-assign] # it takes its time
        await world.venue_watch.reconcile()
        assert "b" in world.log.state.agents["bot"].known
        assert kinds(world, RestingUnknown, IncidentOpened) == []

    run(story)


def test_foreign_order_is_recorded_once_while_its_venue_is_latched() -> None:
    """Every five seconds the same would fill the log."""

    async def story() -> None:
        world, venue = await odd()
        await world.ask(client_order_id="a")
        await world.venue_watch.reconcile()
        venue.resting["foreign"] = venue.permits[0]
        for _ in range(3):
            world.clock.advance(5)
            await world.venue_watch.reconcile()
        assert len(kinds(world, RestingUnknown)) == 1

    run(story)


def test_break_of_nobody_is_reported_and_stops_nobody() -> None:
    """The authority is told; there is no agent to be stopped."""

    async def story() -> None:
        world, venue = await odd()
        told: list[str] = []

        class Link:
            async def report_incident(self, report: IncidentReport) -> None:
                told.append(report.incident)

        await world.ask(client_order_id="a")
        venue.tells("trade", "x", agent="stranger")
        await world.venue_watch.reconcile()
        watch = IncidentWatch(world.log, world.stopping, Link(), world.clock)
        watch.start()  # as at each start: every incident in the log
        (task,) = watch._running.values()
        await task
        assert told == [kinds(world, IncidentOpened)[0].incident]
        assert (watch.unreported, venue.cancels) == ({}, [])

    run(story)


def test_order_that_does_not_rest_there_any_more_is_asked_for() -> None:
    """Its end is told by the venue's reports, not assumed."""

    async def story() -> None:
        world, venue = await odd()
        await world.ask(client_order_id="a")
        await world.venue_watch.reconcile()
        permit = venue.resting.pop("a")
        ended = venue.report(permit, "canceled")

        async def reports(agent: str, client_order_id: str) -> tuple[VenueReport, ...]:
            return (ended,)

        venue.order_reports = reports  # type: ignore[method-assign] # what it says of the order
        world.clock.advance(5)
        await world.venue_watch.reconcile()
        assert world.log.state.agents["bot"].working == {}

    run(story)


def test_venue_latched_while_the_key_is_waited_for_gets_no_permit() -> None:
    """Decided before, not released after."""

    async def story() -> None:
        world, venue = await odd()

        async def breaks() -> None:
            venue.tells("trade", "x")
            await world.venue_watch.reconcile()

        world.signer.before = breaks
        answer = await world.ask()
        assert (answer.kind, answer.detail) == (
            "withdrawn", "venue_latched; signature destroyed",
        )  # fmt: skip
        assert venue.permits == []

    run(story)


# -- clocks ---------------------------------------------------------------------------------------


def test_lease_with_clocks_apart_permits_nothing() -> None:
    """Gate and authority must agree on the time to within the policy's bound."""

    async def story() -> None:
        world = await GateWorld.start()
        world.authority.clock_error_s = 6
        refused = await world.ask()
        assert codes(refused) == ["control_unavailable"]
        assert refused.reasons[0].observed == "clock differs by -6000000000"
        world.authority.clock_error_s = 5
        world.clock.advance(1)
        assert codes(await world.ask(client_order_id="b")) == []

    run(story)


@pytest.mark.parametrize("step", [BOUND_S + 1, -BOUND_S - 1])
def test_clock_that_steps_refuses_until_a_lease_compared_it_again(step: int) -> None:
    """In both directions; back within the bound, or with the next lease, orders pass."""

    async def story() -> None:
        world = await GateWorld.start()
        assert codes(await world.ask(client_order_id="a")) == []
        world.clock.step_wall(step)
        world.authority.clock_error_s = -step  # the authority's clock did not step
        world.quote()
        refused = await world.ask(client_order_id="b")
        assert refused.reasons[0].observed == f"clock stepped by {step * NS}"
        world.clock.step_wall(-step)
        world.authority.clock_error_s = 0
        world.quote()
        assert codes(await world.ask(client_order_id="c")) == []
        within = [entry.within for entry in kinds(world, ClockObserved)]
        assert within == [True, False, True]

    run(story)


def test_clock_step_is_forgotten_by_the_next_lease_alone() -> None:
    """Whoever only looks again sees the same step."""

    async def story() -> None:
        world = await GateWorld.start()
        await world.ask(client_order_id="a")
        world.authority.down = True
        world.clock.step_wall(6)
        for _ in range(3):
            world.clock.advance(1)
            world.leasing.clocks.look()
        assert not world.leasing.clocks.sound()
        world.authority.down = False
        await world.leasing.renew()  # both clocks show the same: the authority's was wrong before
        assert world.leasing.clocks.sound()

    run(story)


@pytest.mark.parametrize("step", [BOUND_S, -BOUND_S])
def test_clock_step_at_the_bound_is_not_recorded(step: int) -> None:
    """Nothing changed that a decision would look at."""

    async def story() -> None:
        world = await GateWorld.start()
        await world.ask(client_order_id="a")
        world.clock.step_wall(step)
        world.leasing.clocks.look()
        assert len(kinds(world, ClockObserved)) == 1

    run(story)


def test_difference_is_taken_from_the_middle_of_the_request() -> None:
    """An answer that takes eight seconds with clocks alike differs by no more than what is lost."""

    async def story() -> None:
        world = await GateWorld.start()
        grants = world.authority.lease

        async def slowly(request: Any) -> Any:
            world.clock.advance(4)
            granted = await grants(request)
            world.clock.advance(4)
            return granted

        world.authority.lease = slowly  # type: ignore[method-assign] # a slow network
        await world.leasing.renew()
        (seen,) = kinds(world, ClockObserved)
        assert (seen.authority_difference_ns, seen.step_ns, seen.within) == ("0", "0", True)

    run(story)


@pytest.mark.parametrize("frozen_s", [15, 3600])
def test_process_frozen_between_signature_and_release_does_not_release(frozen_s: int) -> None:
    """Stopped or suspended, the boot-time clock goes on: the lease is over when it wakes."""

    async def story() -> None:
        world = await GateWorld.start()

        async def frozen() -> None:
            world.clock.advance(frozen_s)

        world.signer.before = frozen
        answer = await world.ask()
        assert (answer.kind, answer.detail) == (
            "withdrawn", "lease_expired; signature destroyed",
        )  # fmt: skip
        assert world.venue.permits == []

    run(story)


@pytest.mark.parametrize("step", [-3600, 3600])
def test_clock_step_while_the_key_is_waited_for_releases_nothing(step: int) -> None:
    """A step in either direction neither lengthens the lease nor lets the permit out."""

    async def story() -> None:
        world = await GateWorld.start()

        async def steps() -> None:
            world.clock.step_wall(step)
            world.clock.advance(14.9)

        world.signer.before = steps
        answer = await world.ask()
        assert answer.kind == "withdrawn"
        assert world.venue.permits == []

    run(story)
