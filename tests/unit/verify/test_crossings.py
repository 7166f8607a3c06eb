# SPDX-License-Identifier: Apache-2.0
"""Sections 5 and 7 of behaviour.md: what crosses, what must follow at once, and what may not."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from sekisho_verify.findings import VerificationFailed
from tests.unit.verify.build_policy import AGENT, policy
from tests.unit.verify.small_gate import ORIGIN, SmallGate, new


def live(**controls: Any) -> SmallGate:
    """An agent with a baseline of 20 orders alike, under these risk controls."""
    given = policy(order_notional_max="none", daily_notional_max="none")
    given["risk_controls"] |= controls
    given["behaviour"]["risk_lag_entries_max"] = 1000
    gate = SmallGate(given)
    gate.learn()
    gate.adopt()
    gate.rate()
    return gate


def big(gate: SmallGate, count: int = 1) -> None:
    """Orders that stand out: 0.125 of risk each, 0.916160 of anomaly."""
    for _ in range(count):
        gate.judge(new(f"big-{gate.index}", quantity="100000"))


def crossing(gate: SmallGate) -> tuple[Any, ...]:
    """Kind, score, factor, observed and threshold of the incident that is due."""
    due = gate.due()
    names = ("incident_kind", "score", "factor", "observed", "threshold")
    return tuple(due[name] for name in names) if due else ()


def touch(gate: SmallGate) -> None:
    """An entry that names the agent and shows nothing."""
    gate.entry("cancel_asked", agent=AGENT, client_order_id="x", cause="bot")


def test_breaker_crosses_strictly_above_its_threshold() -> None:
    """Four orders are 0.5: not above 0.5, above 0.499999."""
    gate = live(breaker_threshold="0.5")
    big(gate, 4)
    assert () == crossing(gate)
    gate = live(breaker_threshold="0.499999")
    big(gate, 4)
    expected = ("breaker", "risk", "anomalies", "0.500000", "0.499999")
    assert expected == crossing(gate)
    text = f"sekisho/incident/v1\n{ORIGIN}\n{gate.index - 1}\nbreaker"
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    due = gate.due()
    assert (digest, AGENT, "aa" * 32, gate.index - 1) == tuple(
        due[name] for name in ("incident", "agent", "certificate_sha256", "trigger")
    )


def test_hold_crosses_at_its_threshold() -> None:
    """At 0.5 it holds; the hold comes before the breaker."""
    gate = live(breaker_threshold="0.4", hold_threshold="0.5")
    big(gate, 3)
    assert () == crossing(gate)
    big(gate)
    assert ("hold", "risk", "anomalies", "0.500000", "0.5") == crossing(gate)
    gate = live(breaker_threshold="0.4", hold_threshold="0.500001")
    big(gate, 4)
    assert "breaker" == crossing(gate)[0]


@pytest.mark.parametrize(("threshold", "held"), [("0.91616", True), ("0.916161", False)])
def test_single_order_holds_at_its_threshold_where_the_policy_says_so(
    threshold: str, held: bool
) -> None:
    """The anomaly is named, with the largest factor of the order."""
    gate = live(hold_threshold=threshold, hold_on_single_order=True)
    big(gate)
    expected = ("hold", "anomaly", "size", "0.916160", threshold) if held else ()
    assert expected == crossing(gate)
    gate = live(hold_threshold=threshold)
    big(gate)
    assert () == crossing(gate)


def test_single_order_is_named_when_the_risk_crosses_too() -> None:
    """Both hold: the anomaly is named."""
    gate = live(hold_threshold="0.2", breaker_threshold="0.2", hold_on_single_order=True)
    big(gate)
    gate.watch.due = None  # left out, to let a second one cross with both
    big(gate)
    assert ("anomaly", "size") == crossing(gate)[1:3]


def test_crossing_needs_a_good_agent_and_a_latch_that_is_off() -> None:
    """Held: nothing crosses. Latched: only a hold does."""
    gate = live(breaker_threshold="0.2", hold_threshold="0.6")
    big(gate, 2)
    assert "breaker" == crossing(gate)[0]
    gate.follow()
    big(gate, 2)
    assert () == crossing(gate)
    big(gate)
    assert "hold" == crossing(gate)[0]
    gate.follow()
    assert "hold" == gate.agent.status
    big(gate, 2)
    assert () == crossing(gate)


def test_crossing_of_a_revoked_agent_is_none() -> None:
    """Nothing is left to stop."""
    gate = live(breaker_threshold="0.2")
    gate.status("revoked")
    big(gate, 3)
    touch(gate)
    assert () == crossing(gate)


def sent(gate: SmallGate, number: int, how: str) -> None:
    """An order that was signed, and what the venue says of it."""
    gate.rate()
    assert [] == gate.judge(new(f"sent-{number}"))
    gate.entry("permit_signed", agent=AGENT, decision=gate.index - 1)
    gate.report(f"sent-{number}", how, last_quantity="10000", last_price="1.1")


def test_crossing_may_come_with_the_venues_report() -> None:
    """Twenty successes, then rejects: the factor is `success`, the trigger the report's entry."""
    given = policy(order_notional_max="none", daily_notional_max="none")
    given["risk_controls"]["breaker_threshold"] = "0.3"
    gate = SmallGate(given)
    for number in range(20):
        sent(gate, number, "trade")
        gate.wait(60 if number != 9 else 86_400)
    gate.wait(86_400)
    gate.adopt()
    number = 20
    while not crossing(gate) and number < 40:
        sent(gate, number, "rejected")
        number += 1
    assert ("breaker", "risk", "success") == crossing(gate)[:3]
    assert "execution" == gate.entries[gate.due()["trigger"]]["kind"]
    assert 20 < number < 40


def test_before_a_baseline_nothing_crosses() -> None:
    """There is no score."""
    gate = SmallGate(policy(order_notional_max="none", daily_notional_max="none"))
    big(gate, 12)
    assert () == crossing(gate)


def test_incident_must_follow_at_once() -> None:
    """Nothing but the incident, or after the gate was opened again the incident."""
    for entry in ("cancel_asked", "rate_observed", "accumulation_restarted"):
        gate = live(breaker_threshold="0.2")
        big(gate, 2)
        with pytest.raises(VerificationFailed, match="calls for incident_opened"):
            gate.watch.arrives(gate.index, {"kind": entry, "agent": AGENT})
    gate = live(breaker_threshold="0.2")
    big(gate, 2)
    gate.opened()
    gate.opened()
    with pytest.raises(VerificationFailed, match="calls for incident_opened"):
        gate.judge(new("x"))
    gate.follow()
    touch(gate)
    assert {"circuit_breaker"} == gate.agent.latches


@pytest.mark.parametrize(
    "changes",
    [
        {"incident": "0" * 32},
        {"agent": "other"},
        {"certificate_sha256": "bb" * 32},
        {"incident_kind": "hold"},
        {"score": "anomaly"},
        {"factor": "size"},
        {"observed": "0.250001"},
        {"threshold": "0.20"},
        {"trigger": 1},
    ],
)
def test_incident_other_than_the_crossing_fails(changes: dict[str, Any]) -> None:
    """Every field follows from the log."""
    gate = live(breaker_threshold="0.2")
    big(gate, 2)
    with pytest.raises(VerificationFailed, match=f"`{next(iter(changes))}` is recorded as"):
        gate.follow(**changes)


@pytest.mark.parametrize("kind", ["incident_opened", "accumulation_restarted"])
def test_entry_that_nothing_calls_for_fails(kind: str) -> None:
    """Neither an incident nor a restart of the gate's own making."""
    gate = live()
    with pytest.raises(VerificationFailed, match="which nothing before it calls for"):
        gate.entry(kind, agent=AGENT)


def test_incident_holds_and_latches_in_the_state() -> None:
    """A hold only for the present certificate, and only what is good; the epoch stays."""
    gate = live()
    fields = {"agent": AGENT, "incident_kind": "hold"}
    for status, certificate, expected in (
        ("good", "bb" * 32, "good"),
        ("good", "aa" * 32, "hold"),
        ("revoked", "aa" * 32, "revoked"),
    ):
        gate.agent.status = status
        entry: dict[str, Any] = {"kind": "incident_opened", "certificate_sha256": certificate}
        entry |= fields
        gate.state.apply(entry, gate.now)
        assert (expected, 0) == (gate.agent.status, gate.agent.epoch)
    assert set() == gate.agent.latches


def restarted(gate: SmallGate) -> dict[str, Any]:
    """What has to follow, which is a new accumulation."""
    due = gate.due()
    assert "accumulation_restarted" == due["kind"]
    return due


def test_restart_follows_a_rearmed_breaker_before_anything_crosses_again() -> None:
    """The old evidence does not latch again; afterwards the score is 0."""
    gate = live(breaker_threshold="0.2")
    adopted = gate.agent.behaviour.began
    big(gate, 2)
    gate.follow()
    gate.entry("rearmed", agent=AGENT, latch="circuit_breaker")
    assert adopted == restarted(gate)["first"]
    with pytest.raises(VerificationFailed, match="calls for accumulation_restarted"):
        gate.watch.arrives(gate.index, {"kind": "decision", "agent": AGENT})
    first = gate.index
    gate.follow()
    assert (first, ()) == (gate.agent.behaviour.began, crossing(gate))
    gate.judge(new("x"))
    assert gate.scores is not None
    assert 0 == gate.scores.risk
    gate.entry("rearmed", agent=AGENT, latch="consecutive_failures")
    assert {} == gate.due()
    gate.entry("rearmed", agent=AGENT, latch="circuit_breaker")
    assert first == restarted(gate)["first"]


@pytest.mark.parametrize("changes", [{"first": 1}, {"last": 1}, {"agent": "other"}])
def test_restart_that_names_another_range_fails(changes: dict[str, Any]) -> None:
    """From the accumulation's beginning to the entry before."""
    gate = live()
    gate.entry("rearmed", agent=AGENT, latch="circuit_breaker")
    with pytest.raises(VerificationFailed, match=f"`{next(iter(changes))}` is recorded as"):
        gate.follow(**changes)


def test_restart_after_the_gate_was_opened_again_names_its_own_place() -> None:
    """The process ended between the two entries."""
    gate = live()
    gate.entry("rearmed", agent=AGENT, latch="circuit_breaker")
    gate.opened()
    last = gate.index - 1
    gate.follow()
    assert last == gate.entries[-1]["last"]


def test_restart_follows_a_release_and_a_replacement_alone() -> None:
    """`good` after `hold`, or another certificate; not the same one, not `good` after `good`."""
    gate = live()
    gate.status("good", 1)
    assert {} == gate.due()
    gate.status("hold", 2)
    gate.status("good", 2)  # not newer: lifts nothing
    assert {} == gate.due()
    gate.status("good", 3)
    restarted(gate)
    gate.follow()
    gate.admit()
    assert {} == gate.due()
    gate.admit("bb" * 32)
    restarted(gate)


def test_restart_is_not_called_for_without_a_baseline() -> None:
    """In the baseline phase nothing accumulates."""
    gate = SmallGate()
    gate.status("hold", 1)
    gate.status("good", 2)
    gate.admit("bb" * 32)
    gate.entry("rearmed", agent=AGENT, latch="circuit_breaker")
    assert {} == gate.due()
