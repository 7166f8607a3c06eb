# SPDX-License-Identifier: Apache-2.0
"""Sections 2, 4 and 6 of behaviour.md along a log, and the checks that rest on them."""

from __future__ import annotations

from typing import Any

import pytest

from sekisho_verify.findings import VerificationFailed
from tests.unit.verify.build_policy import AGENT, policy
from tests.unit.verify.small_gate import SmallGate, amend, cancel, market, new

STRESS = {"action": "score", "spread_max": "0.01", "move_max": "0.02", "window_s": 60}
MS = 0.001


def live(count: int = 20, document: dict[str, Any] | None = None, **scope: Any) -> SmallGate:
    """A gate whose agent has a baseline of so many orders of 10,000 EUR, all alike."""
    gate = SmallGate(document, **({"order_notional_max": "none"} | scope))
    gate.learn(count)
    gate.adopt()
    gate.wait(3600)  # Sunday 10:15, an hour never seen
    gate.rate()
    return gate


def document(**behaviour: Any) -> dict[str, Any]:
    """A policy with other members of `behaviour` or `risk_controls`."""
    found = policy(order_notional_max="none", daily_notional_max="none")
    for name, value in behaviour.items():
        found["behaviour" if name in found["behaviour"] else "risk_controls"][name] = value
    return found


# ------------------------------------------------------------------------------- observations


def test_frequency_is_observed_when_an_hour_is_over() -> None:
    """By hours of UTC, at the first new decision of a later one; refused orders count."""
    gate = SmallGate()  # 09:15
    gate.judge(new())
    gate.judge(new())  # the same id: refused
    gate.wait(2699.999999999)  # 09:59:59.999999999
    gate.judge(new("order-2"))
    assert [] == gate.factor("frequency")
    gate.wait(0.000000001)
    gate.judge(new("order-3"))
    assert [[3, 1]] == gate.factor("frequency")
    gate.wait(7200)  # a whole hour without orders is no observation
    gate.judge(new("order-4"))
    assert [[1, 1], [3, 1]] == gate.factor("frequency")


def test_frequency_of_an_order_is_of_the_hour_that_ends_with_it() -> None:
    """at − 3,600 s < time ≤ at, itself included, ranked among the baseline's hours."""
    gate = SmallGate(daily_notional_max="none")
    for number in range(24):
        gate.judge(new(f"o-{number}", quantity=str(number + 1)))
        gate.wait(5400)
    gate.wait(43_200)
    gate.adopt()
    gate.judge(new("x-1"))
    gate.wait(3600)
    gate.judge(new("x-2"))
    assert gate.scores is not None
    assert 0 == gate.scores.factors["frequency"]
    gate.wait(3599.999999999)
    gate.judge(new("x-3"))
    assert gate.scores is not None
    # 23 hours of one order each: lg(24) + 4 · lg(2) = 1,380,211 + 1,204,120
    assert 600_000 + 84_331 * 250_000 // 1_500_000 == gate.scores.factors["frequency"]


def test_size_is_observed_in_cents_where_there_is_a_notional() -> None:
    """A market order without a quotation has none."""
    gate = SmallGate()
    gate.judge(new(quantity="1.27"))
    gate.state.book.clear()
    gate.judge(market("order-2", currency="USD"))
    assert [[127, 1]] == gate.factor("size")
    assert [["EUR/USD", 2]] == gate.factor("market")


def test_market_and_hours_are_observed_in_the_policys_terms() -> None:
    """The pair whatever the spelling; the local hour, weekends apart."""
    rows = [{"since": "2026-05-01T00:00:00.000000000Z", "utc_offset_s": 7200}]
    given = policy(zone_offsets=rows)
    given["governance"]["review_due"] = "2026-07-30T22:00:00.000000000Z"
    given["testing"]["fitness_due"] = "2027-05-01T22:00:00.000000000Z"
    given["behaviour"]["baseline_days"] = 4
    gate = SmallGate(given)
    gate.judge(new())
    gate.judge(new("order-2", market="GBP/EUR", currency="EUR"))
    gate.wait(86_400)
    gate.judge(new("order-3"))
    assert [["EUR/GBP", 1], ["EUR/USD", 2]] == gate.factor("market")
    assert [["11", 2], ["35", 1]] == gate.factor("hours")
    gate.wait(86_400 + 12.75 * 3600)  # Sunday 09:15 UTC and 12 hours 45: Monday 00:00 there
    gate.judge(new("order-4"))
    assert [["00", 1], ["11", 2], ["35", 1]] == gate.factor("hours")


@pytest.mark.parametrize(
    ("bid", "ask", "stress", "expected"),
    [
        ("1.1", "1.1002", STRESS, [["no", 1]]),
        ("1.1", "1.12", STRESS, [["yes", 1]]),
        ("1.2", "1.2002", STRESS, [["yes", 1]]),  # moved by more than 2 %
        ("1.2", "1.1", STRESS, []),
        ("1.1", "1.1002", "none", []),
    ],
)
def test_stress_is_evaluated_whatever_the_action(
    bid: str, ask: str, stress: Any, expected: list[Any]
) -> None:
    """Either condition; unknown without the setting or an uncrossed quotation."""
    gate = SmallGate(market_stress=stress)
    gate.rate(bid, ask)
    gate.judge(new())
    assert expected == gate.factor("stress")
    word = {"yes": "yes", "no": "no"}.get(expected[0][0] if expected else "", "unknown")
    assert gate.scores is not None
    assert word == gate.scores.stressed


def test_other_decisions_are_not_observed() -> None:
    """Amendments and cancels show nothing of the baseline's factors."""
    gate = SmallGate()
    gate.judge(new())
    gate.judge(amend("order-1", "order-2", "11000"))
    gate.judge(cancel("order-1", "order-3"))
    assert [["EUR/USD", 1]] == gate.factor("market")


def signed(gate: SmallGate, order_id: str, **changes: Any) -> None:
    """A new order, signed at once."""
    gate.judge(new(order_id, **changes))
    gate.entry("permit_signed", agent=AGENT, decision=gate.index - 1)


def test_latency_is_from_signature_to_first_trade_in_ms_rounded_up() -> None:
    """The first trade alone; an order that was not signed is not waited for."""
    gate = SmallGate()
    signed(gate, "order-1", quantity="10")
    gate.judge(new("order-2", quantity="11"))
    gate.wait(5 * MS + 0.000000001)
    gate.report("order-1", "new")
    for _ in range(2):
        gate.report("order-1", "trade", last_quantity="1", last_price="1")
    gate.report("order-2", "trade", last_quantity="1", last_price="1")
    assert [[6, 1]] == gate.factor("latency")
    assert [["ok", 1]] == gate.factor("success")
    signed(gate, "order-3", quantity="12")
    gate.wait(7 * MS)
    gate.report("order-3", "trade", last_quantity="1", last_price="1")
    assert [[6, 1], [7, 1]] == gate.factor("latency")


@pytest.mark.parametrize("exec_type", ["canceled", "expired", "not_found"])
def test_order_that_ends_otherwise_is_not_waited_for(exec_type: str) -> None:
    """Neither success nor failure, and what comes later is not observed."""
    gate = SmallGate()
    signed(gate, "order-1")
    gate.report("order-1", exec_type)
    gate.report("order-1", "trade", last_quantity="1", last_price="1")
    if exec_type == "not_found":
        gate.follow()  # what the venue never saw was executed: a break
    gate.report("order-1", "rejected")
    assert ([], []) == (gate.factor("latency"), gate.factor("success"))


@pytest.mark.parametrize("how", ["rejected", "submit", "amend", "cancel"])
def test_success_fails_once_for_each_order(how: str) -> None:
    """The first reject, or the submit that was never resolved; a later trade is not observed."""
    gate = SmallGate()
    signed(gate, "order-1")
    for _ in range(2):
        if how == "rejected":
            gate.report("order-1", "rejected")
        else:
            gate.entry("outcome_unresolved", agent=AGENT, client_order_id="order-1", operation=how)
    expected = [["failed", 1]] if how in {"rejected", "submit"} else []
    assert expected == gate.factor("success")
    gate.report("order-1", "trade", last_quantity="1", last_price="1")
    assert (expected or [["ok", 1]]) == gate.factor("success")


def test_reports_under_another_id_are_not_of_the_order() -> None:
    """After a replacement the venue speaks of another id: the counterparty alone is observed."""
    gate = SmallGate()
    signed(gate, "order-1")
    gate.judge(amend("order-1", "order-2", "11000"))
    gate.entry("permit_signed", agent=AGENT, decision=gate.index - 1)
    gate.report("order-2", "replaced")
    gate.report("order-2", "trade", last_quantity="1", last_price="1", counterparty="BANK")
    assert ([], []) == (gate.factor("latency"), gate.factor("success"))
    assert [["BANK", 1]] == gate.factor("counterparty")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("what", ["amend", "withdrawn", "opened", "refused amendment", "cancel"])
def test_order_that_is_amended_or_interrupted_is_not_waited_for(what: str, when: str) -> None:
    """A permitted amendment ends the waiting; so do, before the signature, the two others."""
    gate = SmallGate()
    decision = gate.index
    gate.judge(new())
    sign = {"agent": AGENT, "decision": decision}
    if when == "after":
        gate.entry("permit_signed", **sign)
    if what == "amend":
        gate.judge(amend("order-1", "order-2", "11000"))
    elif what == "refused amendment":
        gate.judge(amend("order-1", "order-2", "99000"))
    elif what == "cancel":
        gate.judge(cancel("order-1", "order-2"))
    elif what == "opened":
        gate.opened()
    else:
        gate.entry("withdrawn", agent=AGENT, decision=decision)
    if when == "before":
        gate.entry("permit_signed", **sign)
    gate.wait(0.5)
    gate.report("order-1", "trade", last_quantity="1", last_price="1")
    left = what in {"refused amendment", "cancel"}
    waited = left or (when == "after" and what != "amend")
    assert waited == (gate.factor("latency") != [])


def test_order_that_was_refused_is_not_waited_for() -> None:
    """Whatever is signed after it."""
    gate = SmallGate()
    gate.judge(new("order-0"))
    decision = gate.index
    gate.judge(new(quantity="99000"))
    gate.entry("permit_signed", agent=AGENT, decision=decision)
    gate.report("order-1", "trade", last_quantity="1", last_price="1")
    assert [] == gate.factor("latency")


def test_counterparty_is_observed_at_every_trade_that_names_one() -> None:
    """Not at other reports."""
    gate = SmallGate()
    signed(gate, "order-1")
    for kind, who in (("trade", "A"), ("trade", "A"), ("trade", ""), ("canceled", "B")):
        gate.report("order-1", kind, last_quantity="1", last_price="1", counterparty=who)
    assert [["A", 2]] == gate.factor("counterparty")


# ------------------------------------------------------------------------------------ scores


def test_scores_in_the_baseline_phase_hold_stress_alone() -> None:
    """Everything else is empty, before a baseline is in force."""
    gate = SmallGate()
    gate.judge(new())
    assert gate.scores is not None
    expected = {"stressed": "unknown", "baseline_sha256": "", "anomaly": "", "factors": {}}
    assert expected | {"risk": "", "scored": gate.index - 1} == gate.scores.as_json()


def test_scores_of_a_new_order_name_each_established_factor() -> None:
    """20 orders alike: 21 of 21 for what was seen, 1 of 21 for what was not."""
    gate = live()
    gate.judge(new("x", quantity="10000", counterparty="BANK"))
    assert gate.scores is not None
    found = gate.scores.as_json()
    # the hour was never seen: u = 1,322,219 → 0.2 + 0.322219 · 0.4 / 1.5
    expected = {"hours": "0.285925", "market": "0.000000", "size": "0.000000"}
    assert expected == found["factors"]
    assert ("0.285925", "0.000000", gate.index - 1) == tuple(
        found[name] for name in ("anomaly", "risk", "scored")
    )
    behaviour = gate.agent.behaviour
    assert behaviour.baseline is not None
    assert behaviour.baseline.sha256 == found["baseline_sha256"]


def test_scores_of_a_counterparty_come_from_the_order() -> None:
    """Where counterparties are established, an order that names none is not scored for one."""
    gate = SmallGate(daily_notional_max="none")
    for number in range(20):
        gate.rate()
        signed(gate, f"o-{number}", quantity=str(number + 1))
        gate.report(f"o-{number}", "trade", last_quantity="1", last_price="1", counterparty="BANK")
        gate.wait(6000)
    gate.wait(86_400)
    gate.adopt()
    for named, expected in ((None, None), ("BANK", 0), ("ELSE", 285_925)):
        gate.judge(new(f"x-{named}", counterparty=named))
        assert gate.scores is not None
        assert expected == gate.scores.factors.get("counterparty")


def test_scores_of_an_amendment_are_of_its_size() -> None:
    """As the order would become; none for a cancel or an amendment of nothing."""
    gate = live(daily_notional_max="none")
    gate.judge(new("x", quantity="10000"))
    gate.judge(amend("x", "y", "100000"))
    assert gate.scores is not None
    # 1,322,219 + 4 · 1,000,250 (10,000,000 / 999,424) = 5,323,219: 0.85 + 1.323219 / 2 · 0.1
    assert {"size": 916_160} == dict(gate.scores.factors)
    for given in (amend("none", "z", "1"), cancel("x", "w")):
        gate.judge(given)
        assert gate.scores is None


def test_scores_of_an_order_without_any_factor_are_zero() -> None:
    """An amendment whose size cannot be computed: 0, not nothing."""
    gate = live(markets=["EUR/USD"], daily_notional_max="none")
    gate.judge(market("x", quantity="10000", currency="USD"))
    gate.state.book.clear()
    gate.judge(amend("x", "y", "11000"))
    assert gate.scores is not None
    assert ("0.000000", {}) == (gate.scores.as_json()["anomaly"], gate.scores.factors)


# ------------------------------------------------------------------------------------ checks


@pytest.mark.parametrize(("quantity", "refused"), [("500.05", False), ("500.06", True)])
def test_row_16_before_a_baseline_the_share_of_the_cap_counts(quantity: str, refused: bool) -> None:
    """1000.11 × 0.5, rounded down to the cent; the whole cap once a baseline is in force."""
    given = document(baseline_daily_fraction="0.5")
    given["scope"]["daily_notional_max"] = "1000.11"
    gate = SmallGate(given)
    reason = ("daily_volume_cap_exceeded", "500.05", "500.06", "EUR")
    assert ([reason] if refused else []) == gate.judge(new(quantity=quantity))
    gate = SmallGate(given)
    gate.learn(quantity="1")
    gate.adopt()
    gate.rate()
    found = [row[:3] for row in gate.judge(new("x", quantity="1000.12"))]
    assert ("daily_volume_cap_exceeded", "1000.11", "1002.12") in found  # two of 1.00 are open


@pytest.mark.parametrize("without", ["scope_checks", "refuse"])
def test_row_27_refuses_before_a_baseline_where_the_policy_says_so(without: str) -> None:
    """New orders and amendments, not cancels; the orders are observed all the same."""
    gate = SmallGate(document(without_baseline=without))
    expected = [("baseline_missing", "", "", "")] if without == "refuse" else []
    assert expected == gate.judge(new())
    assert [["EUR/USD", 1]] == gate.factor("market")
    unknown = ("unknown_order", "", "none", "")
    assert [unknown, *expected] == gate.judge(amend("none", "a", "1"))
    assert [unknown] == gate.judge(cancel("none", "b"))


@pytest.mark.parametrize(("lag", "observed"), [(10, None), (11, "11")])
def test_row_28_refuses_a_risk_score_that_lags(lag: int, observed: str | None) -> None:
    """Entry index − `scored` up to the limit."""
    gate = live()
    for number in range(12):
        gate.entry("cancel_asked", agent=AGENT, client_order_id=f"c-{number}", cause="bot")
    expected = [] if observed is None else [("risk_score_stale", "10", observed, "entries")]
    assert expected == gate.judge(new("x", quantity="10000"), lag=lag)


def test_row_28_refuses_without_a_risk_score() -> None:
    """What was read ends before the baseline: there is no score, and no lag to show."""
    gate = live()
    found = gate.judge(new("x", quantity="10000"), lag=gate.index)
    assert [("risk_score_stale", "10", "", "entries")] == found
    gate = live()
    first = gate.index - 2  # the baseline's own entry; the last one is a quotation
    assert "stale" in gate.judge(new("x"), lag=gate.index - first)[0][0]
    gate = live()
    assert [] == gate.judge(new("x"), lag=gate.index - first - 1)


@pytest.mark.parametrize(("threshold", "refused"), [("0.285925", False), ("0.285924", True)])
def test_row_29_refuses_above_the_breakers_threshold(threshold: str, refused: bool) -> None:
    """Strictly above; limit and score as written."""
    gate = live(document=document(breaker_threshold=threshold))
    reason = ("anomalous_order", threshold, "0.285925", "score")
    assert ([reason] if refused else []) == gate.judge(new("x", quantity="10000"))


def big(gate: SmallGate, count: int) -> list[Any]:
    """So many orders that stand out; returns the reasons of the last."""
    found: list[Any] = []
    for number in range(count):
        found = gate.judge(new(f"big-{gate.index}-{number}", quantity="100000"))
    return found


@pytest.mark.parametrize(("threshold", "refused"), [("0.5", False), ("0.499999", True)])
def test_row_30_refuses_a_risk_score_above_the_threshold(threshold: str, refused: bool) -> None:
    """Before the latch is on: four orders that stand out are 0.5."""
    gate = live(document=document(breaker_threshold=threshold))
    big(gate, 4)
    gate.watch.due = None  # the incident is left out, to see the number alone
    reason = ("circuit_breaker_active", threshold, "0.500000", "score")
    assert ([reason] if refused else []) == gate.judge(new("x", quantity="10000"))


def test_row_30_latch_refuses_whatever_the_score() -> None:
    """Shown with the present risk score; with none for an amendment of nothing."""
    gate = live(document=document(breaker_threshold="0.4"))
    big(gate, 4)
    gate.follow()
    reason = ("circuit_breaker_active", "0.4", "0.500000", "score")
    assert [reason] == gate.judge(new("x", quantity="10000"))
    reasons = gate.judge(amend("none", "y", "1"))
    expected = [("unknown_order", "", "none", ""), ("circuit_breaker_active", "0.4", "", "score")]
    assert expected == reasons
    gate.entry("rearmed", agent=AGENT, latch="circuit_breaker")
    gate.follow()
    assert [] == gate.judge(new("z", quantity="10001"))


def test_risk_lagging_is_read_as_it_was_and_rolled_to_the_day() -> None:
    """The score after the first `scored` entries, also when it was read further before."""
    gate = live(document=document(risk_lag_entries_max=1000))
    start = gate.index
    big(gate, 3)
    read = []
    for upto in (start + 3, start + 1, start, start + 2):
        gate.judge(new(f"r-{upto}", quantity="10000"), lag=gate.index - upto)
        assert gate.scores is not None
        read.append(gate.scores.risk)
    assert [375_000, 125_000, 0, 250_000] == read
    gate.wait(29 * 86_400)
    gate.judge(new("late", quantity="10000"), lag=gate.index - (start + 2))
    assert gate.scores is not None
    assert 250_000 == gate.scores.risk
    gate.wait(86_400)
    gate.judge(new("later", quantity="10000"), lag=gate.index - (start + 2))
    assert gate.scores is not None
    assert 0 == gate.scores.risk


def test_adopting_what_does_not_follow_fails() -> None:
    """Of this agent, complete, recomputed, once."""
    gate = SmallGate()
    gate.learn()
    found = gate.agent.behaviour.window(AGENT)
    assert found is not None
    other = dict(found.document, orders=21)
    factors = dict(found.document, factors={})
    bad: list[tuple[dict[str, Any], str]] = [
        ({"baseline": other}, "`orders` is recorded as 21, computed 20"),
        ({"baseline": factors}, "is not what the log shows"),
        ({"baseline_sha256": "0" * 64}, "is not its digest"),
        ({"agent": "nobody"}, "not admitted"),
    ]
    for changes, what in bad:
        with pytest.raises(VerificationFailed, match=what):
            gate.adopt(**changes)
    gate.adopt()
    with pytest.raises(VerificationFailed, match="second baseline"):
        gate.adopt()
    for count in (18, 0):
        early = SmallGate()
        early.learn(count)
        with pytest.raises(VerificationFailed, match="before it is complete"):
            early.adopt()


def test_order_that_the_scope_refused_is_not_learned_from() -> None:
    """Neither counted nor shown: the baseline is as if it had not been asked."""
    gate = SmallGate()
    gate.judge(new())
    refused = gate.judge(new("order-2", quantity="26000"))
    gate.judge(new("order-3"))
    assert ["exceeds_scope_size"] == [code for code, *_ in refused]
    assert [["EUR/USD", 2]] == gate.factor("market")
