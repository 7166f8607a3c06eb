# SPDX-License-Identifier: Apache-2.0
"""The anomaly score of one order, and what a decision records of it (sections 4 and 6)."""

from __future__ import annotations

from typing import Any

import pytest

from sekisho.core.errors import MalformedInput
from sekisho.core.events import Scores
from sekisho.core.sight import Sight
from sekisho.core.terms import parse_instant
from tests.fold_world import FoldWorld, reasons
from tests.unit.core.behaviour.trail import Trail, baseline_of, policy

CENTS = 10**6
EMPTY = Scores(stressed="no", baseline_sha256="", anomaly="", factors={}, risk="", scored=2)


def live(**factors: dict[Any, int]) -> Trail:
    """An agent with this baseline in force."""
    trail = Trail()
    trail.adopt(baseline_of(**factors))
    return trail


@pytest.mark.parametrize(
    ("cents", "score"),
    [
        (0, "0.000000"),  # 100 of 100 are as large: p = 101/101
        (10, "0.000000"),
        (11, "0.136420"),  # 20 are: -lg(21/101) = 682,102; · 0.2
        (99, "0.136420"),
        (100, "0.136420"),
        (101, "0.472428"),  # none: u = lg 101 + 4·lg(101/100) = 2,004,321 + 17,284
        (200, "0.718073"),  # 2,004,321 + 4·301,030 = 3,208,441: 600,000 + 708,441/6
        (1_000, "0.950054"),  # 6,004,321: 950,000 + 4,321/80
        (10**12, "1.000000"),
    ],
)
def test_size_score_is_its_rank_then_a_steep_tail(cents: int, score: str) -> None:
    """80 orders of 0.10, 20 of 1.00: by hand on each side of each edge."""
    trail = live(size={10: 80, 100: 20})
    assert score == trail.scores(notional=cents * CENTS).factors["size"]


def test_size_beyond_a_baseline_of_zero_cents_is_measured_from_one() -> None:
    """w is at least 1: ten cents are ten times larger, u = lg 21 + 4 = 5,322,219."""
    trail = live(size={0: 20})
    assert "0.916110" == trail.scores(notional=10 * CENTS).factors["size"]


@pytest.mark.parametrize(
    ("pair", "score"),
    [
        ("A/B", "0.000000"),  # as rare or rarer: all
        ("C/D", "0.136420"),  # 15 + 5 of 100
        ("E/F", "0.260312"),  # 5: -lg(6/101) = 1,226,170
        ("G/H", "0.467818"),  # nothing: -lg(1/101) = 2,004,321
    ],
)
def test_market_score_is_the_rank_of_its_frequency(pair: str, score: str) -> None:
    """Labels that are as frequent or less count as rare."""
    trail = live(market={"A/B": 80, "C/D": 15, "E/F": 5})
    assert score == trail.scores(pair=pair).factors["market"]


def test_market_labels_equally_frequent_are_all_usual() -> None:
    """Neither half is rarer than the other."""
    trail = live(market={"A/B": 50, "C/D": 50})
    assert "0.000000" == trail.scores(pair="A/B").factors["market"]


def test_frequency_score_counts_the_order_itself_and_the_hour_before() -> None:
    """Baseline hours of 1 and 3 orders: the third order within an hour ranks with the threes."""
    trail = live(frequency={1: 80, 3: 20})
    assert "0.000000" == trail.scores().factors["frequency"]
    trail.new()
    trail.later(3_599)
    trail.new()
    assert "0.136420" == trail.scores().factors["frequency"]
    trail.later(1)
    assert "0.136420" == trail.scores().factors["frequency"]  # 2 rank with 3 too
    trail.later(3_599)
    assert "0.000000" == trail.scores().factors["frequency"]


def test_hours_stress_and_counterparty_have_scores_of_their_label() -> None:
    """Each is compared with its own counts: Monday 9:00, a calm market, counterparty Z."""
    trail = live(hours={"10": 100}, stress={"yes": 100}, counterparty={"A": 100})
    factors = {"hours": "0.467818", "stress": "0.467818", "counterparty": "0.467818"}
    assert factors == trail.scores(counterparty="Z").factors
    assert ["hours", "stress", "counterparty"] == list(trail.scores(counterparty="Z").factors)
    usual = trail.scores(stressed="yes", counterparty="A").factors
    assert ("0.000000", "0.000000") == (usual["stress"], usual["counterparty"])


def test_scores_leave_out_what_cannot_be_observed() -> None:
    """No notional, an unknown market state, no counterparty: no factor, and no score from it."""
    counts: dict[str, dict[Any, int]] = {
        "size": {1: 20},
        "stress": {"no": 20},
        "counterparty": {"A": 20},
    }
    trail = live(**counts, market={"EUR/USD": 20})
    said = trail.scores(notional=None, stressed="unknown")
    assert ("unknown", ["market"], "0.000000") == (said.stressed, [*said.factors], said.anomaly)


def test_amendment_has_the_factor_size_alone() -> None:
    """The notional of the order as it would become; nothing else of it is new."""
    numbers: dict[str, dict[Any, int]] = {"size": {1: 20}, "frequency": {1: 20}}
    labels: dict[str, dict[Any, int]] = {"market": {"C/D": 20}, "hours": {"01": 20}}
    every = numbers | labels | {"stress": {"yes": 20}, "counterparty": {"Z": 20}}
    said = live(**every).scores(action="amend", notional=10 * CENTS, counterparty="A")
    assert {"size": "0.916110"} == said.factors
    assert "0.916110" == said.anomaly


def test_anomaly_is_the_largest_factor_and_zero_without_any() -> None:
    """The largest score is the order's; an amendment without notional has none."""
    trail = live(size={1: 20}, market={"C/D": 20})
    said = trail.scores(notional=1 * CENTS)
    assert ("0.000000", "0.285925") == (said.factors["size"], said.factors["market"])
    assert "0.285925" == said.anomaly  # -lg(1/21) = 1,322,219
    empty = trail.scores(action="amend", notional=None)
    assert ({}, "0.000000") == (empty.factors, empty.anomaly)


def test_factor_is_established_from_twenty_observations() -> None:
    """Nineteen say too little: no score, and named where scores are shown."""
    trail = live(size={1: 19}, market={"EUR/USD": 20})
    assert ["market"] == list(trail.scores().factors)
    assert (
        "size", "frequency", "hours", "stress", "counterparty", "latency", "success",
    ) == trail.risk().not_established  # fmt: skip
    assert ["market", "anomalies"] == list(trail.risk().factors)


def test_scores_record_baseline_risk_and_how_much_they_take_in() -> None:
    """The digest of the entry, the risk score, the number of entries folded."""
    trail = live(size={1: 20})
    trail.judged("0.800000")
    said = trail.scores()
    assert ("b" * 64, "0.125000", 4) == (said.baseline_sha256, said.risk, said.scored)
    assert "b" * 64 == trail.watch.locked("bot")


def test_scores_without_baseline_are_empty() -> None:
    """In the baseline phase, and for an agent that nobody admitted."""
    trail = Trail()
    assert EMPTY == trail.scores()
    assert EMPTY == trail.scores(agent="nobody")
    assert ("", None) == (trail.watch.locked("bot"), trail.watch.risk("bot", trail.now))
    assert ("", None) == (trail.watch.locked("nobody"), trail.watch.risk("nobody", 0))
    assert (None, None) == (trail.watch.crossing("bot"), trail.watch.crossing("nobody"))


def test_scores_are_those_of_the_decision_day_and_change_nothing() -> None:
    """Asked for a day on which old evidence is out of the window, and then again for today."""
    trail = live(size={1: 20})
    trail.judged("0.800000")
    today = trail.now
    assert "0.125000" == trail.scores(now=today + 29 * 86_400 * 10**9).risk
    assert "0.000000" == trail.scores(now=today + 30 * 86_400 * 10**9).risk
    assert "0.125000" == trail.scores().risk
    later = trail.watch.risk("bot", today + 30 * 86_400 * 10**9)
    assert later is not None
    assert ("0.000000", "0.125000") == (later.score, trail.risk().score)


def test_baseline_second_one_is_refused() -> None:
    """The first stays in force, and what was accumulated stays."""
    trail = live(size={1: 20})
    trail.judged("0.800000")
    trail.adopt(baseline_of(size={5: 30}), "f" * 64)
    assert ("b" * 64, "0.125000") == (trail.watch.locked("bot"), trail.risk().score)


def test_baseline_that_is_none_stops_the_fold() -> None:
    """A log entry that holds no baseline cannot be taken."""
    with pytest.raises(MalformedInput):
        Trail().adopt({"schema": "sekisho/baseline/v1"})


def test_watch_takes_entries_once_and_in_order() -> None:
    """A gap or a repetition is a mistake of the caller, and is not taken."""
    trail = Trail()
    for index in (1, 3):
        with pytest.raises(ValueError, match=f"entry {index} applied to a watch of 2 entries"):
            trail.watch.apply(index, trail.entries[0])
    assert ("gate.example/g1", 2) == (trail.watch.origin, trail.watch.size)


@pytest.mark.parametrize(
    "changes", [{"zone_offsets": []}, {"hold_threshold": 1}, {"breaker_threshold": "high"}]
)
def test_policy_that_cannot_be_read_stops_the_fold(changes: dict[str, Any]) -> None:
    """No term has a default."""
    with pytest.raises(MalformedInput):
        Trail(policy(**changes))


def test_watch_and_gate_agree_on_a_decision() -> None:
    """The gate's own decisions, shown to the watch and folded by it: scored, fresh, permitted."""
    world = FoldWorld()
    trail = Trail(start=parse_instant(world.entries[0].at))
    watch = trail.watch
    for index, entry in enumerate(world.entries):
        if index >= watch.size:
            watch.apply(index, entry)
    shown: list[Sight] = []

    def watching(sight: Sight) -> Scores:
        shown.append(sight)
        return watch.scores(sight)

    world.watching = watching
    for at in range(3):
        decision = world.ask(client_order_id=f"order-{at}")
        watch.apply(decision.state, decision)
        assert ([], "unknown") == (reasons(decision), shown[-1].stressed)
    plain = watch.baseline("bot", world.now).baseline
    # 2,000,000 cents have 21 bits: e = 14, 64·14 + (2,000,000 >> 14) = 896 + 122.
    assert [[1_018, 3]] == plain["factors"]["size"]["counts"]
    assert [["EUR/USD", 3]] == plain["factors"]["market"]["counts"]
