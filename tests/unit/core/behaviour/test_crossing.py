# SPDX-License-Identifier: Apache-2.0
"""What crosses which threshold, and how long it stands (section 7)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from sekisho.core.behaviour.watch import Crossing, incident_id
from sekisho.core.events import AccumulationRestarted, CancelAsked, Scores, StopReported
from tests.unit.core.behaviour.trail import Trail, baseline_of, policy

HOLD, BREAKER = "0.85", "0.75"


def live(admitted: dict[str, Any] | None = None, **factors: dict[Any, int]) -> Trail:
    trail = Trail(admitted)
    trail.adopt(baseline_of(**(factors or {"size": {1: 20}})))
    return trail


def risen(trail: Trail, times: int = 7) -> Crossing | None:
    """After so many orders that stand out: six are exactly 0.75, seven 0.875."""
    for _ in range(times):
        trail.judged("0.800000")
    return trail.watch.crossing("bot")


def hours_of_five(trail: Trail) -> None:
    trail.later(3_600)
    for _ in range(5):
        trail.new()


def slow(trail: Trail) -> None:
    name = f"s{len(trail.entries)}"
    trail.signed(name)
    trail.later(9)
    trail.report("trade", name)


def refused_by_the_venue(trail: Trail) -> None:
    name = f"r{len(trail.entries)}"
    trail.signed(name)
    trail.report("rejected", name)


def unanswered(trail: Trail) -> None:
    name = f"u{len(trail.entries)}"
    trail.signed(name)
    trail.unresolved(name)


def stressed(trail: Trail) -> None:
    trail.new(
        scores=Scores(
            stressed="yes", baseline_sha256="", anomaly="", factors={}, risk="", scored=0
        )
    )  # fmt: skip


NINE: list[tuple[str, dict[Any, int], Callable[[Trail], Any]]] = [
    ("size", {10: 300, 20: 100}, lambda trail: trail.new(money="9.00")),
    ("frequency", {1: 300, 2: 100}, hours_of_five),
    ("market", {"GBP/USD": 200}, lambda trail: trail.new()),
    ("hours", {"10": 200}, lambda trail: trail.new()),
    ("stress", {"no": 200}, stressed),
    ("counterparty", {"A": 200}, lambda trail: trail.report("trade", "x", "B")),
    ("latency", {10: 300, 20: 100}, slow),
    ("success", {"ok": 200}, refused_by_the_venue),
    ("success", {"ok": 200}, unanswered),
    ("anomalies", {}, lambda trail: trail.judged("0.800000")),
]


@pytest.mark.parametrize(("factor", "counts", "odd"), NINE)
def test_each_factor_alone_crosses_both_thresholds(
    factor: str, counts: dict[Any, int], odd: Callable[[Trail], Any]
) -> None:
    """Only this factor is established: its oddities latch the breaker, then bring the hold."""
    trail = live(policy(hold_threshold="0.9"), **({} if factor == "anomalies" else
                                                  {factor: counts}))  # fmt: skip
    found: dict[str, Crossing] = {}
    for _ in range(120):
        odd(trail)
        crossing = trail.watch.crossing("bot")
        if crossing is not None and crossing.kind not in found:
            found[crossing.kind] = crossing
            risks = trail.risk()
            assert len(trail.entries) - 1 == crossing.trigger
            assert (risks.score, factor) == (crossing.observed, crossing.factor)
            assert risks.factors[factor] == crossing.observed
    assert ["breaker", "hold"] == list(found)
    assert (BREAKER, "risk") == (found["breaker"].threshold, found["breaker"].score)
    assert ("0.9", "risk") == (found["hold"].threshold, found["hold"].score)
    assert "0.750000" < found["breaker"].observed < "0.900000" <= found["hold"].observed


def test_breaker_is_above_its_threshold_and_hold_at_it() -> None:
    """0.75 is not above 0.75; 0.875 is at 0.875, and below 0.875001."""
    trail = live(policy(hold_threshold="0.875001"))
    assert risen(trail, 6) is None
    crossing = risen(trail, 1)
    expected = Crossing("breaker", "risk", "anomalies", "0.875000", BREAKER, 9)
    assert expected == crossing
    crossing = risen(live(policy(hold_threshold="0.875")))
    assert Crossing("hold", "risk", "anomalies", "0.875000", "0.875", 9) == crossing


def test_crossing_names_the_first_of_the_largest() -> None:
    """Market and stress are both 1: the market stands earlier; nothing hides behind anomalies."""
    trail = live(market={"GBP/USD": 2000}, stress={"no": 2000})
    for _ in range(60):
        stressed(trail)
    for _ in range(20):
        trail.judged("0.900000")
    risks = trail.risk().factors
    assert "1.000000" == risks["market"] == risks["stress"] == risks["anomalies"]
    crossing = trail.watch.crossing("bot")
    assert crossing is not None
    assert "market" == crossing.factor


def test_crossing_survives_whatever_is_no_observation() -> None:
    """Until an incident answers it, other entries of the agent and of the gate leave it."""
    trail = live()
    crossing = risen(trail)
    trail.reopen()
    trail.add(CancelAsked, agent="bot", client_order_id="o1", cause="hold")
    trail.add(StopReported, agent="bot", epoch=1, confirmed=(), unconfirmed=(), complete=True)
    trail.sign(3)
    trail.withdraw(3)
    trail.admit(policy())
    assert crossing is not None
    assert crossing == trail.watch.crossing("bot")


@pytest.mark.parametrize("kind", ["breaker", "hold"])
def test_crossing_is_answered_by_an_incident(kind: str) -> None:
    """While the score stays above, the next entry that is judged crosses again."""
    trail = live()
    assert risen(trail) is not None
    trail.incident(kind)
    assert trail.watch.crossing("bot") is None
    index = trail.report("new", "o1")
    crossing = trail.watch.crossing("bot")
    assert crossing is not None
    assert index == crossing.trigger


def test_crossing_is_answered_by_a_restart() -> None:
    """And nothing crosses after it."""
    trail = live()
    assert risen(trail) is not None
    trail.restart()
    assert trail.watch.crossing("bot") is None
    trail.report("new", "o1")
    assert trail.watch.crossing("bot") is None


def test_crossing_of_the_risk_ends_with_it() -> None:
    """Usual orders bring 0.875 to 0.75 and below: the next entry that is judged says so."""
    trail = live()
    assert risen(trail) is not None
    for _ in range(30):
        trail.judged("0.000000")
    assert ("0.750000", None) == (trail.risk().score, trail.watch.crossing("bot"))


def test_crossing_by_one_order_needs_the_policy_for_it() -> None:
    """0.85 is at the threshold; without `hold_on_single_order` one order holds nobody."""
    single = live(policy(hold_on_single_order=True))
    index = single.judged("0.849999", size="0.849999")
    assert single.watch.crossing("bot") is None
    index = single.judged("0.850000", size="0.100000", hours="0.850000", stress="0.850000")
    expected = Crossing("hold", "anomaly", "hours", "0.850000", HOLD, index)
    assert expected == single.watch.crossing("bot")
    plain = live()
    plain.judged("1.000000", size="1.000000")
    assert plain.watch.crossing("bot") is None


def test_crossing_by_one_order_is_named_before_the_risk() -> None:
    """Both hold: the order that did it is named; where it has no factor, the risk is."""
    trail = live(policy(hold_on_single_order=True))
    assert risen(trail) is not None
    trail.judged("0.900000", size="0.900000")
    crossing = trail.watch.crossing("bot")
    assert crossing is not None
    assert ("anomaly", "size") == (crossing.score, crossing.factor)
    trail.judged("0.900000")
    crossing = trail.watch.crossing("bot")
    assert crossing is not None
    assert ("risk", "anomalies") == (crossing.score, crossing.factor)


def test_crossing_by_one_order_stands_until_the_next_decision() -> None:
    """A report of the venue in between does not answer it; another decision replaces it."""
    for replaced_by in ("new", "cancel"):
        trail = live(policy(hold_on_single_order=True))
        trail.judged("0.900000", size="0.900000")
        crossing = trail.watch.crossing("bot")
        trail.report("trade", "o1", "A")
        trail.unresolved("o1")
        assert crossing is not None
        assert crossing == trail.watch.crossing("bot")
        if replaced_by == "new":
            trail.judged("0.000000", size="0.000000")
        else:
            trail.cancel("c", "o1")
        assert trail.watch.crossing("bot") is None


def test_thresholds_are_those_of_the_policy_in_force() -> None:
    """A stricter policy is applied from the next entry that is judged on."""
    trail = live()
    assert risen(trail, 5) is None
    trail.admit(policy(breaker_threshold="0.5"))
    assert trail.watch.crossing("bot") is None
    trail.report("new", "o1")
    crossing = trail.watch.crossing("bot")
    assert crossing is not None
    assert ("breaker", "0.5", "0.625000") == (crossing.kind, crossing.threshold, crossing.observed)
    trail.judged("0.600000")  # stands out by the new threshold
    assert "0.750000" == trail.risk().score


def test_crossing_of_a_threshold_of_zero_names_the_first_factor() -> None:
    """All scores are zero, and zero is at the threshold."""
    trail = live(policy(hold_threshold="0", breaker_threshold="0"))
    index = trail.report("new", "o1")
    expected = Crossing("hold", "risk", "size", "0.000000", "0", index)
    assert expected == trail.watch.crossing("bot")


def test_crossing_needs_a_baseline_and_an_agent() -> None:
    """Before it nothing is judged; a restart of nothing is nothing."""
    trail = Trail()
    assert risen(trail) is None
    trail.add(AccumulationRestarted, agent="bot", first=0, last=1)
    trail.incident()
    assert trail.watch.crossing("bot") is None


def test_incident_id_is_of_origin_trigger_and_kind() -> None:
    """Thirty-two digits of the digest of four lines."""
    text = b"sekisho/incident/v1\ngate.example/g1\n17\nhold"
    expected = hashlib.sha256(text).hexdigest()[:32]
    assert expected == incident_id("gate.example/g1", 17, "hold")
