# SPDX-License-Identifier: Apache-2.0
"""Venues, breaks and clocks in the gate's state: what refuses, what latches, what is covered."""

from __future__ import annotations

from typing import Any

import pytest

from sekisho.core.events import (
    Execution,
    GateOpened,
    IncidentOpened,
    RestingUnknown,
    VenueContradicted,
    VenueLost,
    VenueRearmed,
    VenueReconciled,
)
from sekisho.core.gate.venue_checks import withheld
from sekisho.core.gate.venues import ClockStanding, Outside, VenueStanding
from sekisho.core.terms import NS, format_instant
from tests.fold_world import FoldWorld, reasons
from tests.gate_world import CERTIFICATE, scope_of

NOT_RECONCILED = [("control_unavailable", "", "venue PAPER is not reconciled", "")]
LATCHED = [("control_unavailable", "", "venue PAPER is latched", "")]
DAY_S = 86_400
BOUND = 5 * NS


def report(world: FoldWorld, kind: str, name: str, **changes: Any) -> str:
    """Fold an execution report; the factor of the break that it is, empty for none."""
    fields: dict[str, Any] = {
        "agent": "bot", "venue": "PAPER", "client_order_id": name, "venue_order_id": "V",
        "exec_id": f"X{len(world.entries)}", "exec_type": kind, "last_quantity": "0",
        "last_price": "1.085", "cum_quantity": "0", "leaves_quantity": "0", "counterparty": "",
        "reason": "", "transact_at": format_instant(world.now),
    }  # fmt: skip
    world.add(Execution, **(fields | changes))
    due = world.state.outside.due
    return "" if due is None else due.factor


def latch(world: FoldWorld, incident: str = "1" * 32) -> None:
    """Fold the incident that the break calls for."""
    due = world.state.outside.due
    assert due is not None
    world.add(
        IncidentOpened, incident=incident, agent=due.agent,
        certificate_sha256=due.certificate_sha256, incident_kind="break", score="venue",
        factor=due.factor, observed=due.venue, threshold="", trigger=due.trigger,
    )  # fmt: skip


def reopened(world: FoldWorld) -> FoldWorld:
    """The gate is opened again, and has a lease."""
    world.add(GateOpened, gate="g1", boot="1" * 32, region="eu-west-1", environment="test")
    world.lease()
    return world


def test_venue_not_read_since_the_boot_refuses() -> None:
    """What an earlier boot read is not what rests there now."""
    world = reopened(FoldWorld())
    world.observe(venues=("X",))
    assert reasons(world.ask(client_order_id="a")) == NOT_RECONCILED
    world.add(VenueReconciled, venue="PAPER", open_orders=0, unknown=0)
    assert reasons(world.ask(client_order_id="b")) == []


def test_venue_lost_refuses_new_and_amended_orders_and_lets_cancels_pass() -> None:
    """Until it is read again; another venue goes on."""
    world = FoldWorld(scope_of(venues=["PAPER", "X"]))
    world.permit(client_order_id="a", quantity="100")
    world.add(VenueLost, venue="PAPER", detail="")
    assert reasons(world.ask(client_order_id="b")) == NOT_RECONCILED
    assert reasons(world.amend("c", "a", "90")) == NOT_RECONCILED
    assert reasons(world.ask(client_order_id="d", venue="X")) == []
    assert reasons(world.cancel("e", "a")) == []


@pytest.mark.parametrize("far", [BOUND, -BOUND])
@pytest.mark.parametrize(("what", "told"), [("difference", "differs by"), ("step", "stepped by")])
def test_clock_at_the_bound_passes_and_beyond_refuses(far: int, what: str, told: str) -> None:
    """A nanosecond more, in either direction."""
    world = FoldWorld()
    observed: dict[str, Any] = {what: far}
    world.observe(**observed)
    assert reasons(world.ask(client_order_id="a")) == []
    beyond = far + (1 if far > 0 else -1)
    observed = {what: beyond}
    world.observe(**observed)
    found = reasons(world.ask(client_order_id="b"))
    assert found == [("control_unavailable", str(BOUND), f"clock {told} {beyond}", "ns")]
    world.observe()
    assert reasons(world.ask(client_order_id="c")) == []


def test_clock_not_observed_since_the_boot_refuses() -> None:
    """A lease without a comparison of clocks is not enough."""
    world = reopened(FoldWorld())
    world.add(VenueReconciled, venue="PAPER", open_orders=0, unknown=0)
    found = reasons(world.ask())
    assert found == [("control_unavailable", "", "clock is not observed", "")]


def test_clock_bound_is_the_smallest_of_the_agents() -> None:
    """One agent's narrow policy narrows the gate's."""
    world = FoldWorld()
    policy = scope_of() | {"agent": "other"}
    policy["risk_controls"] = policy["risk_controls"] | {"clock_difference_max_s": 1}
    world.observe(difference=2 * NS)
    assert reasons(world.ask(client_order_id="a")) == []
    entry = world.entries[1]
    world.fold(type(entry)(**{
        name: getattr(entry, name) for name in entry.__struct_fields__
    } | {"agent": "other", "policy": policy}))  # fmt: skip
    assert [code for code, *_ in reasons(world.ask(client_order_id="b"))] == ["control_unavailable"]


STRANGERS = [
    ("trade", "nobody", "unpermitted_execution"),
    ("new", "nobody", "unpermitted_order"),
    ("replaced", "nobody", "unpermitted_order"),
    ("canceled", "nobody", ""),
    ("rejected", "nobody", ""),
]


@pytest.mark.parametrize("agent", ["bot", "stranger", ""])
@pytest.mark.parametrize(("kind", "name", "factor"), STRANGERS)
def test_report_of_an_order_that_was_never_permitted_is_a_break(
    agent: str, kind: str, name: str, factor: str
) -> None:
    """Whoever it names; what only ends something is none."""
    assert report(FoldWorld(), kind, name, agent=agent) == factor


def test_report_of_a_refused_or_withdrawn_order_is_a_break() -> None:
    """Nothing left the gate for it."""
    world = FoldWorld()
    world.ask(client_order_id="big", quantity="180000")
    assert report(world, "new", "big") == "unpermitted_order"
    other = FoldWorld()
    other.withdrawn(other.permit(client_order_id="gone"))
    assert report(other, "trade", "gone", last_quantity="1") == "unpermitted_execution"


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize(
    ("kind", "factor"),
    [("trade", "unpermitted_execution"), ("new", "unpermitted_order"), ("canceled", "")],
)
def test_report_of_another_venue_than_the_orders_touches_no_order(
    kind: str, factor: str, *, ended: bool
) -> None:
    """An order is at the venue of its permit alone: another's word neither fills nor ends it."""
    world = FoldWorld()
    world.permit(client_order_id="a", quantity="100")
    if ended:
        assert report(world, "canceled", "a") == ""
    agent = world.state.agents["bot"]
    before = dict(agent.positions), agent.reserved, agent.find("a")
    assert report(world, kind, "a", venue="X", last_quantity="100") == factor
    assert before == (dict(agent.positions), agent.reserved, agent.find("a"))
    assert agent.orphans == 1


def test_break_names_the_agent_only_when_it_is_admitted() -> None:
    """A stranger's name is in the report; the incident is nobody's."""
    world = FoldWorld()
    report(world, "trade", "x", agent="stranger")
    due = world.state.outside.due
    assert due is not None
    assert (due.trigger, due.agent, due.certificate_sha256) == (len(world.entries) - 1, "", "")
    own = FoldWorld()
    report(own, "trade", "x")
    assert own.state.outside.due is not None
    assert own.state.outside.due.certificate_sha256 == CERTIFICATE


@pytest.mark.parametrize(("fills", "factor"), [(("60", "40"), ""), (("60", "40.01"), "above")])
def test_fill_beyond_the_quantity_is_a_break_and_booked(
    fills: tuple[str, ...], factor: str
) -> None:
    """To the unit; what is beyond is in the position all the same."""
    world = FoldWorld()
    world.permit(client_order_id="a", quantity="100")
    found = [report(world, "trade", "a", last_quantity=one) for one in fills][-1]
    assert found == ("execution_above_permit" if factor else "")
    assert world.bot.positions["EUR/USD"] == (10_001_000_000 if factor else 10_000_000_000)


def test_fill_within_a_pending_amendment_is_covered() -> None:
    """The larger quantity was permitted, whether or not the venue has answered for it."""
    world = FoldWorld()
    world.permit(client_order_id="a", quantity="100")
    world.amend("b", "a", "150")
    assert report(world, "trade", "a", last_quantity="150") == ""
    assert report(world, "trade", "a", last_quantity="1") == "execution_above_permit"


def test_fill_within_an_amendment_that_was_pending_at_the_end_is_covered() -> None:
    """The venue may have taken it before it cancelled."""
    world = FoldWorld()
    world.permit(client_order_id="a", quantity="100")
    world.amend("b", "a", "150")
    before = format_instant(world.now)
    report(world, "canceled", "a")
    assert report(world, "trade", "b", last_quantity="150", transact_at=before) == ""
    assert report(world, "trade", "a", last_quantity="1", transact_at=before) == (
        "execution_above_permit"
    )


@pytest.mark.parametrize("end", ["canceled", "expired"])
def test_fill_told_after_the_end_is_booked_and_covered(end: str) -> None:
    """It happened before the cancel; the drop copy is only slower."""
    world = FoldWorld()
    world.permit(client_order_id="a", quantity="100")
    before = format_instant(world.now)
    world.later(1)
    assert report(world, end, "a") == ""
    assert report(world, "trade", "a", last_quantity="30", transact_at=before) == ""
    assert (world.bot.positions["EUR/USD"], world.bot.orphans, world.bot.reserved) == (
        3_000_000_000, 0, 0,
    )  # fmt: skip
    assert report(world, "trade", "a", last_quantity="71", transact_at=before) == (
        "execution_above_permit"
    )


def test_fill_after_the_end_by_the_venues_own_time_is_a_break() -> None:
    """The venue said that nothing is left, and executed more."""
    world = FoldWorld()
    world.permit(client_order_id="a", quantity="100")
    report(world, "canceled", "a")
    world.later(1)
    assert report(world, "trade", "a", last_quantity="1") == "execution_after_end"


@pytest.mark.parametrize("kind", ["new", "replaced", "trade"])
@pytest.mark.parametrize("end", ["rejected", "not_found"])
def test_life_of_what_never_lived_is_a_break(end: str, kind: str) -> None:
    """The venue contradicts itself."""
    world = FoldWorld()
    world.permit(client_order_id="a", quantity="100")
    report(world, end, "a")
    assert report(world, kind, "a", last_quantity="1") == "execution_after_end"


def test_acknowledgement_told_after_the_end_is_none() -> None:
    """Reports of one order may overtake each other."""
    world = FoldWorld()
    world.permit(client_order_id="a")
    report(world, "canceled", "a")
    world.later(1)
    assert report(world, "new", "a") == ""
    assert report(world, "expired", "a") == ""


def test_end_told_again_of_what_never_lived_is_none() -> None:
    """It contradicts nothing."""
    world = FoldWorld()
    world.permit(client_order_id="a")
    report(world, "not_found", "a")
    assert report(world, "rejected", "a") == ""
    assert report(world, "canceled", "a") == ""


def test_quantity_of_a_report_that_is_no_trade_is_not_counted() -> None:
    """A venue may write into it what it likes."""
    world = FoldWorld()
    world.permit(client_order_id="a", quantity="100")
    assert report(world, "new", "a", last_quantity="500") == ""


@pytest.mark.parametrize(("days", "factor"), [(1, ""), (2, "unpermitted_execution")])
def test_ended_order_is_remembered_until_the_day_after_next(days: int, factor: str) -> None:
    """A report that is later still is covered by nothing that the state knows."""
    world = FoldWorld()
    world.permit(client_order_id="a", quantity="100")
    before = format_instant(world.now)
    report(world, "canceled", "a")
    world.later(days * DAY_S)
    assert report(world, "trade", "a", last_quantity="1", transact_at=before) == factor


@pytest.mark.parametrize("kind", ["new", "replaced"])
@pytest.mark.parametrize(
    ("name", "ago", "days", "factor"),
    [
        ("a", 0, 2, ""),
        ("refused", 0, 2, ""),
        ("a", 0, 1, ""),  # it is remembered: ended, and it lived
        ("refused", 0, 1, "unpermitted_order"),
        ("a", -1, 2, "unpermitted_order"),
        ("never", 0, 2, "unpermitted_order"),
    ],
)
def test_old_report_of_a_forgotten_order_that_it_rested_is_no_break(
    kind: str, name: str, ago: int, days: int, factor: str
) -> None:
    """A gate that was away reads that its order began to rest after it has forgotten its end.

    Only of an id used here, and only of a day of which it remembers nothing.
    """
    world = FoldWorld()
    world.permit(client_order_id="a")
    assert reasons(world.ask(client_order_id="refused", venue="Z")) != []
    report(world, "canceled", "a")
    began = world.now
    world.later(days * DAY_S)
    at = format_instant(began - ago * DAY_S * NS)
    assert report(world, kind, name, transact_at=at) == factor
    assert world.bot.orphans == (0 if (name, days) == ("a", 1) else 1)


def test_fill_told_after_the_end_counts_among_the_executions() -> None:
    """When it is told says nothing of how often is executed."""
    rule = {"count_max": 2, "window_s": 60}
    world = FoldWorld(scope_of(repeated_executions=rule))
    world.permit(client_order_id="a")
    report(world, "trade", "a", last_quantity="1")
    before = format_instant(world.now)
    report(world, "canceled", "a")
    assert world.bot.latches == set()
    report(world, "trade", "a", last_quantity="1", transact_at=before)
    assert world.bot.latches == {"repeated_executions"}


def test_old_report_of_a_forgotten_order_that_it_was_executed_is_a_break() -> None:
    """What moved a position is not passed over, however old."""
    world = FoldWorld()
    world.permit(client_order_id="a")
    report(world, "canceled", "a")
    began = format_instant(world.now)
    world.later(2 * DAY_S)
    told = report(world, "trade", "a", last_quantity="1", transact_at=began)
    assert told == "unpermitted_execution"


def test_resting_order_that_is_none_of_ours_is_a_break() -> None:
    """Listed by the venue, and no working order here; one that works here is none."""
    world = FoldWorld()
    world.permit(client_order_id="a")
    world.add(RestingUnknown, venue="PAPER", agent="bot", client_order_id="a")
    assert world.state.outside.due is None
    world.add(RestingUnknown, venue="PAPER", agent="bot", client_order_id="b")
    assert world.state.outside.due is not None
    assert world.state.outside.due.factor == "resting_unknown"


@pytest.mark.parametrize(
    ("venue", "agent", "name", "factor"),
    [
        ("PAPER", "bot", "a", "venue_contradicted"),
        ("PAPER", "bot", "amended", "venue_contradicted"),
        ("X", "bot", "a", ""),
        ("PAPER", "bot", "b", ""),
        ("PAPER", "stranger", "a", ""),
    ],
)
def test_contradiction_is_a_break_where_it_is_about_a_working_order_there(
    venue: str, agent: str, name: str, factor: str
) -> None:
    """By its id or by that of its pending amendment; what it reserves stays reserved."""
    world = FoldWorld(scope_of(venues=["PAPER", "X"]))
    world.permit(client_order_id="a")
    assert reasons(world.amend("amended", "a", quantity="10")) == []
    reserved = world.bot.reserved
    said = {"contradiction": "listed_and_never_seen"}
    world.add(VenueContradicted, venue=venue, agent=agent, client_order_id=name, **said)
    due = world.state.outside.due
    assert ("" if due is None else due.factor) == factor
    assert (reserved, {"a"}) == (world.bot.reserved, set(world.bot.working))
    if due is not None:
        latch(world)
        assert reasons(world.ask(client_order_id="c")) == LATCHED
        assert reasons(world.ask(client_order_id="d", venue="X")) == []


def test_break_latches_its_venue_alone_until_it_is_rearmed_for_that_incident() -> None:
    """It survives the restart, opens no second incident, and holds no agent."""
    world = FoldWorld(scope_of(venues=["PAPER", "X"]))
    report(world, "trade", "x")
    latch(world)
    assert world.bot.status == "good"
    assert reasons(world.ask(client_order_id="a")) == LATCHED
    assert reasons(world.ask(client_order_id="b", venue="X")) == []
    assert report(world, "trade", "y") == ""
    reopened(world).observe()
    assert reasons(world.ask(client_order_id="c")) == LATCHED
    fields: dict[str, Any] = {"venue": "PAPER", "seats": ("a", "b"), "commands": ()}
    world.add(VenueRearmed, incident="2" * 32, **fields)
    assert reasons(world.ask(client_order_id="d")) == LATCHED
    world.add(VenueRearmed, incident="1" * 32, **fields)
    assert reasons(world.ask(client_order_id="e")) == []
    assert report(world, "trade", "z") == "unpermitted_execution"


def test_report_that_comes_again_is_no_second_break() -> None:
    """By venue and execution id, also of an agent that is not admitted here."""
    for agent in ("bot", "stranger"):
        world = FoldWorld()
        report(world, "trade", "x", agent=agent, exec_id="same")
        latch(world)
        world.add(VenueRearmed, venue="PAPER", incident="1" * 32, seats=(), commands=())
        assert report(world, "trade", "x", agent=agent, exec_id="same") == ""


def test_permit_is_withheld_for_each_of_the_three() -> None:
    """What is asked again before release."""
    world = FoldWorld()
    assert withheld(world.state, "PAPER") == ""
    assert withheld(world.state, "ELSEWHERE") == "venue_not_reconciled"
    world.observe(step=BOUND + 1)
    assert withheld(world.state, "PAPER") == "clock_unsound"
    report(world, "trade", "x")
    latch(world)
    assert withheld(world.state, "PAPER") == "venue_latched"


def test_old_report_that_a_rejected_order_rested_is_a_break_while_it_is_remembered() -> None:
    """The venue said that it never lived, whatever day it names."""
    world = FoldWorld()
    world.permit(client_order_id="a")
    report(world, "rejected", "a")
    at = format_instant(world.now - 3 * DAY_S * NS)
    assert report(world, "new", "a", transact_at=at) == "execution_after_end"


def test_venue_of_which_nothing_is_known_is_neither_reconciled_nor_latched() -> None:
    """And re-arming it changes nothing."""
    world = FoldWorld()
    fields: dict[str, Any] = {"incident": "1" * 32, "seats": ("a", "b"), "commands": ()}
    world.add(VenueRearmed, venue="NOWHERE", **fields)
    assert world.state.outside.standing("NOWHERE") == VenueStanding(reconciled=False, incident="")


def test_resting_order_of_an_agent_that_is_not_here_is_a_break_of_nobody() -> None:
    """The credential is this gate's, the order is not."""
    world = FoldWorld()
    world.add(RestingUnknown, venue="PAPER", agent="stranger", client_order_id="a")
    due = world.state.outside.due
    assert due is not None
    assert (due.agent, due.certificate_sha256, due.factor) == ("", "", "resting_unknown")


@pytest.mark.parametrize(
    ("difference", "step", "beyond"),
    [(BOUND, -BOUND, False), (BOUND + 1, 0, True), (0, -BOUND - 1, True)],
)
def test_clock_is_beyond_its_bound_when_either_reading_is(
    difference: int, step: int, beyond: bool
) -> None:
    """Exactly the bound is within it; without an agent there is none, unobserved is unsound."""
    outside = Outside()
    assert not outside.beyond(difference, step)
    assert not outside.sound_clock()
    outside.clock_max_ns = BOUND
    assert outside.beyond(difference, step) is beyond
    outside.clock = ClockStanding(difference, step)
    assert outside.sound_clock() is not beyond
