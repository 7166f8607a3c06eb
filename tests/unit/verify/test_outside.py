# SPDX-License-Identifier: Apache-2.0
"""Venues, clocks and breaks: rows 31 to 33, and what must follow a report without a permit."""

from __future__ import annotations

from typing import Any

import pytest

from sekisho_verify.canonical import SECOND, instant_text
from sekisho_verify.findings import VerificationFailed
from sekisho_verify.ownacts import OwnActs
from tests.unit.verify.build_policy import AGENT
from tests.unit.verify.small_gate import SmallGate, amend, cancel, new

LOST = ("control_unavailable", "", "venue PAPER is not reconciled", "")
LATCHED = ("control_unavailable", "", "venue PAPER is latched", "")
BOUND = SECOND  # of the builder's policy
DAY = 86_400


def factor(gate: SmallGate) -> str:
    """What the last entry has to be followed by, if by a break."""
    return str(gate.due().get("factor", ""))


def test_row_31_venue_not_reconciled_since_the_opening_refuses() -> None:
    """Lost, and opened again; a cancel passes."""
    gate = SmallGate()
    assert [] == gate.judge(new("a", quantity="100"))
    gate.entry("venue_lost", venue="PAPER", detail="")
    assert [LOST] == gate.judge(new("b", quantity="100"))
    assert [LOST] == gate.judge(amend("a", "c", "90"))
    assert [] == gate.judge(cancel("a", "d"))
    gate.outside("PAPER")
    assert [] == gate.judge(new("e", quantity="100"))
    gate.opened()
    gate.entry("lease_held", deadline_monotonic="1000")
    unseen = ("control_unavailable", "", "clock is not observed", "")
    assert [LOST, unseen] == gate.judge(new("f", quantity="100"))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("what", "told"), [("difference", "differs by"), ("step", "stepped by")])
def test_row_33_bound_of_the_clock_is_inclusive(what: str, told: str, sign: int) -> None:
    """A nanosecond more refuses, in either direction, until an observation within it."""
    gate = SmallGate()
    gate.outside(**{what: sign * BOUND})
    assert [] == gate.judge(new("a", quantity="100"))
    far = sign * (BOUND + 1)
    gate.outside(**{what: far})
    expected = ("control_unavailable", str(BOUND), f"clock {told} {far}", "ns")
    assert [expected] == gate.judge(new("b", quantity="100"))
    gate.outside()
    assert [] == gate.judge(new("c", quantity="100"))


@pytest.mark.parametrize(("step", "within"), [(BOUND, False), (BOUND + 1, True)])
def test_clock_observation_that_judges_itself_wrongly_fails(step: int, within: bool) -> None:
    """`within` is computed again."""
    members = {"authority_difference_ns": "0", "step_ns": str(step), "within": within}
    with pytest.raises(VerificationFailed, match="`within` is recorded otherwise"):
        SmallGate().entry("clock_observed", **members)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("trade", "unpermitted_execution"),
        ("new", "unpermitted_order"),
        ("replaced", "unpermitted_order"),
        ("canceled", ""),
    ],
)
@pytest.mark.parametrize("agent", [AGENT, "stranger", ""])
def test_report_of_what_was_never_permitted_calls_for_a_break(
    kind: str, expected: str, agent: str
) -> None:
    """Of no order of this gate, whoever it names; the incident names an admitted agent alone."""
    gate = SmallGate()
    gate.report("nobodys", kind, agent=agent, last_quantity="1", last_price="1")
    assert expected == factor(gate)
    if expected:
        due = gate.due()
        named = (AGENT, "aa" * 32) if agent == AGENT else ("", "")
        assert named == (due["agent"], due["certificate_sha256"])
        assert ("PAPER", gate.index - 1) == (due["observed"], due["trigger"])


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize(
    ("kind", "expected"),
    [("trade", "unpermitted_execution"), ("new", "unpermitted_order"), ("canceled", "")],
)
def test_report_of_another_venue_touches_no_order(kind: str, expected: str, *, ended: bool) -> None:
    """An order is at the venue of its permit alone."""
    gate = SmallGate()
    gate.judge(new("a", quantity="100"))
    if ended:
        gate.report("a", "canceled")
    before = gate.position(), gate.counters()
    gate.report("a", kind, venue="X", last_quantity="100", last_price="1")
    assert expected == factor(gate)
    assert before == (gate.position(), gate.counters())


def test_fill_above_the_permit_and_after_the_end_are_breaks() -> None:
    """To the unit, and by the venue's own time; a fill that was only told late is none."""
    gate = SmallGate()
    gate.judge(new("a", quantity="100"))
    before = instant_text(gate.now)
    gate.wait(1)
    gate.report("a", "canceled")
    gate.report("a", "trade", last_quantity="60", last_price="1", transact_at=before)
    assert "" == factor(gate)
    assert 60 * 10**8 == gate.position()
    gate.wait(1)
    gate.report("a", "trade", last_quantity="40", last_price="1")
    assert "execution_after_end" == factor(gate)
    gate.follow()
    gate.judge(new("b", quantity="100"))
    other = SmallGate()
    other.judge(new("a", quantity="100"))
    other.report("a", "trade", last_quantity="100.00000001", last_price="1")
    assert "execution_above_permit" == factor(other)


@pytest.mark.parametrize(("days", "expected"), [(1, ""), (2, "unpermitted_execution")])
def test_ended_order_is_known_until_the_day_after_next(days: int, expected: str) -> None:
    """Then nothing covers a report of it."""
    gate = SmallGate()
    gate.judge(new("a", quantity="100"))
    before = instant_text(gate.now)
    gate.report("a", "canceled")
    gate.wait(days * DAY)
    gate.report("a", "trade", last_quantity="1", last_price="1", transact_at=before)
    assert expected == factor(gate)


def test_resting_order_that_works_here_is_no_break() -> None:
    """One that does not work here is."""
    gate = SmallGate()
    gate.judge(new("a", quantity="100"))
    gate.entry("resting_unknown", venue="PAPER", agent=AGENT, client_order_id="a")
    assert "" == factor(gate)
    gate.entry("resting_unknown", venue="PAPER", agent=AGENT, client_order_id="b")
    assert "resting_unknown" == factor(gate)


@pytest.mark.parametrize("kind", ["new", "replaced"])
@pytest.mark.parametrize(
    ("name", "began", "days", "expected"),
    [
        ("a", 0, 2, ""),
        ("refused", 0, 2, ""),
        ("a", 0, 1, ""),
        ("refused", 0, 1, "unpermitted_order"),
        ("a", 1, 2, "unpermitted_order"),
        ("never", 0, 2, "unpermitted_order"),
    ],
)
def test_old_report_that_a_forgotten_order_rested_is_no_break(
    kind: str, name: str, began: int, days: int, expected: str
) -> None:
    """Of an id used here, and of a day of which nothing is remembered."""
    gate = SmallGate()
    gate.judge(new("a", quantity="100"))
    assert [] != gate.judge(new("refused", quantity="100", venue="UNLISTED"))
    gate.report("a", "canceled")
    at = instant_text(gate.now + began * DAY * SECOND)
    gate.wait(days * DAY)
    gate.report(name, kind, transact_at=at)
    assert expected == factor(gate)


CONTRADICTION = {"contradiction": "listed_and_never_seen"}


@pytest.mark.parametrize(
    ("venue", "name", "expected"),
    [
        ("PAPER", "a", "venue_contradicted"),
        ("PAPER", "c", "venue_contradicted"),
        ("OTHER", "a", ""),
        ("PAPER", "b", ""),
    ],
)
def test_contradiction_about_an_order_that_works_at_the_venue_is_a_break(
    venue: str, name: str, expected: str
) -> None:
    """By its own id, or by its pending amendment's; nothing is released by it."""
    gate = SmallGate()
    gate.judge(new("a", quantity="100"))
    gate.judge(amend("a", "c", "90"))
    reserved = gate.agent.open_reserved
    named = {"venue": venue, "agent": AGENT, "client_order_id": name}
    gate.entry("venue_contradicted", **named, **CONTRADICTION)
    assert expected == factor(gate)
    assert reserved == gate.agent.open_reserved
    if expected:
        gate.follow()
        assert [LATCHED] == gate.judge(new("e", quantity="100"))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, ""),
        ({"client_order_id": "b"}, "names no order that works at its venue"),
        ({"venue": "OTHER"}, "names no order that works at its venue"),
        ({"agent": "stranger"}, "names no order that works at its venue"),
        ({"contradiction": "open_and_never_seen"}, "calls open an order"),
        ({"contradiction": "open_and_not_listed"}, "calls open an order"),
    ],
)
def test_contradiction_that_cannot_be_is_found(changes: dict[str, str], told: str) -> None:
    """A gate names one of its working orders there; open is what the venue called so."""
    gate = SmallGate()
    gate.judge(new("a", quantity="100"))
    entry: dict[str, object] = {
        "kind": "venue_contradicted", "venue": "PAPER", "agent": AGENT, "client_order_id": "a",
        **CONTRADICTION, **changes,
    }  # fmt: skip
    acts = OwnActs(gate.state)
    if not told:
        acts.arrives(gate.index, entry)
        return
    with pytest.raises(VerificationFailed, match=told):
        acts.arrives(gate.index, entry)
    if "contradiction" in changes:
        gate.report("a", "new")
        acts.arrives(gate.index, entry)


def test_break_without_its_incident_fails() -> None:
    """The next entry is the incident, whatever else comes; only an opening stands between."""
    gate = SmallGate()
    gate.report("nobodys", "trade", last_quantity="1", last_price="1")
    gate.opened()
    with pytest.raises(VerificationFailed, match="calls for incident_opened"):
        gate.rate()
    gate.follow()
    gate.rate()


@pytest.mark.parametrize(
    "changes",
    [
        {"observed": "OTHER"},
        {"factor": "unpermitted_order"},
        {"agent": "", "certificate_sha256": ""},
        {"incident": "0" * 32},
        {"incident_kind": "hold"},
        {"trigger": 0},
    ],
)
def test_break_with_another_field_fails(changes: dict[str, Any]) -> None:
    """Every field is computed again."""
    gate = SmallGate()
    gate.report("nobodys", "trade", last_quantity="1", last_price="1")
    with pytest.raises(VerificationFailed, match="is recorded as"):
        gate.follow(**changes)


@pytest.mark.parametrize("agent", [AGENT, "stranger"])
def test_report_that_comes_again_is_no_second_break(agent: str) -> None:
    """By venue and execution id, also of an agent that is not admitted here."""
    gate = SmallGate()
    for expected in ("unpermitted_execution", ""):
        gate.report("x", "trade", agent=agent, exec_id="e", last_quantity="1", last_price="1")
        assert expected == factor(gate)
        if expected:
            incident = gate.due()["incident"]
            gate.follow()
            gate.entry("venue_rearmed", venue="PAPER", incident=incident)


def test_fill_within_an_amendment_that_was_pending_at_the_end_is_covered() -> None:
    """The larger quantity was permitted."""
    gate = SmallGate()
    gate.judge(new("a", quantity="100"))
    gate.judge(amend("a", "b", "150"))
    before = instant_text(gate.now)
    gate.report("a", "canceled")
    gate.report("b", "trade", last_quantity="150", last_price="1", transact_at=before)
    assert "" == factor(gate)
    gate.report("a", "trade", last_quantity="1", last_price="1", transact_at=before)
    assert "execution_above_permit" == factor(gate)


def test_break_that_nothing_shows_fails() -> None:
    """An incident of a break stands directly after what shows it."""
    gate = SmallGate()
    gate.report("nobodys", "trade", last_quantity="1", last_price="1")
    fields = gate.due()
    gate.follow()
    with pytest.raises(VerificationFailed, match="which nothing before it calls for"):
        gate.entry(**fields)


def test_row_32_latched_venue_refuses_until_that_incident_is_rearmed() -> None:
    """A second break opens nothing; the latch survives an opening."""
    gate = SmallGate()
    gate.report("nobodys", "trade", last_quantity="1", last_price="1")
    incident = str(gate.due()["incident"])
    gate.follow()
    assert [LATCHED] == gate.judge(new("a", quantity="100"))
    assert [] == gate.judge(new("b", quantity="100", venue="OTHER"))
    gate.report("other", "trade", last_quantity="1", last_price="1")
    assert "" == factor(gate)
    gate.opened()
    gate.entry("lease_held", deadline_monotonic="1000")
    gate.outside()
    assert [LATCHED] == gate.judge(new("c", quantity="100"))
    gate.entry("venue_rearmed", venue="PAPER", incident="0" * 32)
    assert [LATCHED] == gate.judge(new("d", quantity="100"))
    gate.entry("venue_rearmed", venue="PAPER", incident=incident)
    assert [] == gate.judge(new("e", quantity="100"))
