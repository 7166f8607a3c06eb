# SPDX-License-Identifier: Apache-2.0
"""The watch against a slow reference, and what must hold of any log."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sekisho.core.behaviour.accumulation import Accumulation
from sekisho.core.behaviour.arithmetic import bucket, bucket_floor, lg, lg_by_decimals, rarity_score
from sekisho.core.behaviour.watch import WatchState
from sekisho.core.events import Scores
from sekisho.core.sight import Stressed
from sekisho.core.terms import DAY_S, NS
from tests.unit.core.behaviour.naive import Naive
from tests.unit.core.behaviour.trail import Trail

positive = st.integers(1, 10**12)
anything = st.integers(0, 10**70)

ACTS = (
    "trade trade trade trade trade trade rejected unresolved resting withdrawn refused amended"
    " amend-unsigned reopened canceled anomalous restart"
).split()
PAUSES = (40, 40, 40, 900, 900, 900, 5_000, 5_000, 5_000, 60_000, 60_000, 400_000)
steps = st.tuples(st.sampled_from(ACTS), st.sampled_from(PAUSES), st.integers(0, 99))
lives = st.lists(steps, min_size=45, max_size=90)


def act(trail: Trail, step: tuple[str, int, int], *, live: bool) -> None:
    """One step in the life of an agent; ``live``: with scores, and with restarts."""
    what, pause, die = step
    trail.later(pause + die / 7)
    if what == "restart" and live:
        trail.restart()
    name = f"n{len(trail.entries)}"
    more: dict[str, Any] = {
        "market": ("EUR/USD", "GBP/EUR", "USD/EUR", "AUD/NZD")[die % 4],
        "money": "" if die == 50 else f"{(die * die * die) + 20}.{die:02d}",
    }
    stressed: Stressed = ("no", "no", "yes", "unknown")[die % 4]
    anomaly = ("0.800000" if what == "anomalous" else "0.100000") if live else ""
    factors = {"size": anomaly} if live else {}
    scores = Scores(
        stressed=stressed, baseline_sha256="", anomaly=anomaly, factors=factors, risk="", scored=0
    )  # fmt: skip
    decision = trail.new(name, permitted=what != "refused", scores=scores, **more)
    if what in ("refused", "withdrawn"):
        if what == "withdrawn":
            trail.withdraw(decision)
        return
    if what == "reopened":
        trail.reopen()
    if what == "amend-unsigned":
        trail.amend(f"{name}a", name, scores=scores)
    trail.sign(decision)
    trail.later(die * die / 1000)
    if what == "amended":
        trail.amend(f"{name}a", name, scores=scores)
    if what == "unresolved":
        trail.unresolved(name)
    elif what == "canceled":
        trail.report("canceled", name)
    elif what != "resting":
        trail.report("rejected" if what == "rejected" else "trade", name, "ABC"[die % 3])


def two_lives(first: list[Any], second: list[Any]) -> Trail:
    """A baseline phase, the adoption of what it showed, and a live phase."""
    trail = Trail()
    for step in first:
        act(trail, step, live=False)
    trail.adopt(trail.watch.baseline("bot", trail.now).baseline)
    for step in second:
        act(trail, step, live=True)
    return trail


@given(anything, anything)
def test_bucket_orders_as_values_do(one: int, other: int) -> None:
    """A larger value never has a smaller bucket."""
    low, high = sorted((one, other))
    assert bucket(low) <= bucket(high)


@given(anything)
def test_bucket_floor_is_its_first_value_and_near(value: int) -> None:
    """The floor lies in the bucket, the value before it does not, and it is at most 1/64 away."""
    floor = bucket_floor(bucket(value))
    assert bucket(value) == bucket(floor)
    assert floor <= value
    assert 64 * (value - floor) <= floor
    assert floor == 0 or bucket(floor - 1) < bucket(floor)


@settings(max_examples=500)
@given(positive, positive)
def test_lg_is_what_decimals_say(a: int, b: int) -> None:
    """The quick way and the definition give the same integer."""
    assert lg_by_decimals(a, b) == lg(a, b)


@given(st.integers(0, 12_000_000), st.integers(0, 12_000_000))
def test_rarity_score_rises_with_rarity(one: int, other: int) -> None:
    """What is rarer never scores less."""
    low, high = sorted((one, other))
    assert rarity_score(low) <= rarity_score(high)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(-2_000_000, 1_500_000)), max_size=60))
def test_evidence_is_the_largest_sum_of_any_stretch_that_ends_now(
    steps: list[tuple[int, int]],
) -> None:
    """Day by day, rolling or not, the evidence equals the naive maximum over all suffixes."""
    accumulation, day, seen = Accumulation(2), 0, []
    for days, increment in steps:
        if days:
            day += days
            foretold = accumulation.evidence_on(day)
            accumulation.roll(day)
            assert foretold == accumulation.evidence
        accumulation.add(day, increment, increment % 2)
        seen.append((day, increment))
        inside = [(then, value) for then, value in seen if then > day - 30]
        values = [value for _, value in inside]
        assert max(sum(values[at:]) for at in range(len(values) + 1)) == accumulation.evidence
        assert len(values) == accumulation.seen
        assert [sum(v % 2 == k for v in values) for k in (0, 1)] == accumulation.counts


@settings(max_examples=25, deadline=None)
@given(lives, lives, st.integers(0, 10**9))
def test_watch_agrees_with_a_slow_reference(first: Any, second: Any, cents: int) -> None:
    """Baseline, scores of an order and risk factors equal those computed from all entries."""
    trail = two_lives(first, second)
    naive = Naive(trail.entries)
    for name, counts in naive.baseline().items():
        assert dict(counts) == trail.counts(name), name
    sight = trail.sight(notional=cents * 10**6, counterparty="A" if cents % 2 else "Z")
    assert naive.scores(sight) == trail.watch.scores(sight)
    later = sight._replace(now=sight.now + cents % 40 * DAY_S * NS, stressed="unknown")
    assert naive.scores(later) == trail.watch.scores(later)


@settings(max_examples=15, deadline=None)
@given(lives, lives, st.integers(0, 300))
def test_watch_of_a_prefix_goes_on_as_the_whole(first: Any, second: Any, cut: int) -> None:
    """Folding a prefix, being asked, and folding the rest gives what folding all at once gives."""
    trail = two_lives(first, second)
    asked = WatchState("gate.example/g1")
    for index, entry in enumerate(trail.entries):
        if index == cut % len(trail.entries):
            asked.scores(trail.sight())
            asked.risk("bot", trail.now)
            asked.baseline("bot", trail.now)
        asked.apply(index, entry)
    assert trail.watch.scores(trail.sight()) == asked.scores(trail.sight())
    assert trail.watch.risk("bot", trail.now) == asked.risk("bot", trail.now)
    assert trail.watch.baseline("bot", trail.now) == asked.baseline("bot", trail.now)
    assert trail.watch.crossing("bot") == asked.crossing("bot")


@settings(max_examples=15, deadline=None)
@given(lives, st.permutations(range(8)), st.integers(1, 10**8))
def test_anomaly_of_orders_at_one_time_does_not_depend_on_their_order(
    life: Any, order: list[int], cents: int
) -> None:
    """Baseline and anomaly scores are the same however decisions of one instant are arranged."""
    answers = []
    for arranged in (list(range(8)), order):
        trail = two_lives(life, [])
        for at in arranged:
            trail.new(f"same{at}", money=f"{at * 1000}.00", market=("EUR/USD", "EUR/GBP")[at % 2])
        said = trail.scores(notional=cents * 10**6)
        answers.append((said.anomaly, said.factors, trail.watch.baseline("bot", trail.now)))
    assert answers[0] == answers[1]


@settings(max_examples=15, deadline=None)
@given(lives, st.integers(0, 10**9), st.integers(0, 10**9))
def test_anomaly_size_larger_never_scores_less(life: Any, one: int, other: int) -> None:
    """Of two orders that differ in size alone the larger has no smaller score."""
    trail = two_lives(life, [])
    low, high = (trail.scores(notional=cents * 10**6) for cents in sorted((one, other)))
    assert low.factors.get("size", "") <= high.factors.get("size", "")
    assert low.anomaly <= high.anomaly
