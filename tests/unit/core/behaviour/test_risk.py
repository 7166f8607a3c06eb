# SPDX-License-Identifier: Apache-2.0
"""The rolling risk score: increments by hand, the window, restarts (section 5)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from sekisho.core.behaviour.accumulation import Accumulation
from sekisho.core.behaviour.arithmetic import lg
from sekisho.core.behaviour.baseline import FactorCounts
from sekisho.core.behaviour.wager import Categories, Wager
from tests.unit.core.behaviour.trail import Trail, baseline_of


def factor(counts: dict[Any, int]) -> FactorCounts:
    return FactorCounts(sum(counts.values()), tuple(sorted(counts.items())))


def evidences(name: str, counts: dict[Any, int], values: list[Any]) -> list[int]:
    """Evidence after each of these observations of one day."""
    wager, found = Wager(name, factor(counts)), []
    for value in values:
        wager.observe(0, value)
        found.append(wager.evidence)
    return found


def live(**factors: dict[Any, int]) -> Trail:
    trail = Trail()
    trail.adopt(baseline_of(**factors))
    return trail


def test_number_categories_are_bounded_by_five_edges() -> None:
    """200 values: 1 to 100 once, then rarer; edges at 50, 75, 90, 97 and 100 %, by counting."""
    counts = dict.fromkeys(range(1, 101), 1) | {110: 50, 120: 30, 126: 14, 127: 6}
    categories = Categories("size", factor(counts))
    assert [100, 50, 30, 14, 6, 0] == categories.counts
    assert [0, 0, 1, 1, 2, 2, 3, 4, 5, 5] == [
        categories.of(value) for value in (0, 100, 101, 110, 111, 120, 126, 127, 128, 10**9)
    ]


def test_number_edges_are_at_the_first_count_that_reaches_them() -> None:
    """200 values, each once and in buckets far from their values: 50 % is the hundredth."""
    categories = Categories("size", factor(dict.fromkeys(range(301, 501), 1)))
    assert [100, 50, 30, 14, 6, 0] == categories.counts
    assert [400, 450, 480, 494, 500] == categories._edges


def test_number_categories_of_one_value_are_the_first_and_the_last() -> None:
    """All edges lie at the one bucket: below or in it usual, beyond it never seen."""
    categories = Categories("latency", factor({200: 30}))
    assert [30, 0, 0, 0, 0, 0] == categories.counts
    # Bucket 200: e = 2, (200 - 128) << 2 = 288 to 291.
    assert [0, 0, 0, 5] == [categories.of(value) for value in (0, 288, 291, 292)]


def test_label_categories_are_the_labels_and_all_others() -> None:
    """In the baseline's order; what it does not have comes last."""
    categories = Categories("market", factor({"A/B": 3, "C/D": 20}))
    assert ([3, 20, 0], False) == (categories.counts, categories.one_sided)
    assert [0, 1, 2] == [categories.of(label) for label in ("A/B", "C/D", "E/F")]


@pytest.mark.parametrize(
    ("counts", "rare"),
    [
        ({"09": 199, "10": 1}, ["10", "11", "12"]),
        ({"09": 198, "10": 1, "12": 1}, ["10", "11", "12"]),  # 2 of 200 are one in a hundred
        ({"09": 197, "10": 1, "12": 2}, ["10", "11"]),
        ({"09": 197, "10": 2, "12": 1}, ["11", "12"]),  # the rarer first
        ({"09": 98, "10": 1, "12": 1}, ["10", "11"]),  # of equals the first label
        ({"09": 197, "10": 2}, ["11", "12"]),  # 2 of 199 are more than one in a hundred
        ({"09": 20, "10": 10}, ["11", "12"]),
    ],
)
def test_hours_rare_ones_have_at_most_one_in_a_hundred(
    counts: dict[str, int], rare: list[str]
) -> None:
    """The longest run of the rarest that fits, and every hour that was never seen."""
    categories = Categories("hours", factor(counts))
    assert rare == [hour for hour in ("09", "10", "11", "12") if categories.of(hour)]
    assert sum(counts.get(hour, 0) for hour in rare) == categories.counts[1]


@pytest.mark.parametrize(("name", "usual", "odd"), [("stress", "no", "yes"),
                                                   ("success", "ok", "failed")])  # fmt: skip
def test_stress_and_success_have_a_usual_label(name: str, usual: str, odd: str) -> None:
    """Suspicion is about the other one, whichever is more frequent."""
    categories = Categories(name, factor({usual: 5, odd: 15}))
    assert ([5, 15], True) == (categories.counts, categories.one_sided)
    assert (0, 1) == (categories.of(usual), categories.of(odd))


def test_increment_is_what_learning_foretells_better() -> None:
    """n = 100, c = (99, 1), K = 2: m = 30, fee 1,302,883 // 200 = 6,514.

    First `yes`: nothing learned, lg 1 − fee, so the evidence stays 0. Second: N = (0, 1), and
    lg((1·202 + 30·3) / (31·3)) = lg(292/93). Third: lg((2·202 + 90) / (32·3)) = lg(494/96).
    """
    second = 496_900 - 6_514
    third = 711_456 - 6_514
    expected = [0, second, second + third]
    assert (496_900, 711_456) == (lg(292, 93), lg(494, 96))
    assert expected == evidences("stress", {"no": 99, "yes": 1}, ["yes"] * 3)


def test_increment_prior_grows_with_the_baseline() -> None:
    """n = 200: m = 50, not 30; the second `yes` is lg((404 − 2 + 50·5) / (51·5)) − fee."""
    expected = lg(402 + 50 * 5, 51 * 5) - 1_302_883 // 400
    assert expected == evidences("stress", {"no": 198, "yes": 2}, ["yes"] * 2)[-1]


def test_increment_is_limited_to_a_decade_and_a_half() -> None:
    """However odd, no single observation wins more: seven of them are not enough for 0.75."""
    found = evidences("stress", {"no": 100_000}, ["yes"] * 40)
    steps = [later - earlier for earlier, later in pairwise(found)]
    assert (1_500_000, 1_500_000) == (max(steps), steps[-1])


def test_increment_is_nothing_while_more_is_usual_than_in_the_baseline() -> None:
    """Half of the baseline was odd; after a usual one, an odd one wins and loses nothing."""
    wager = Wager("success", factor({"ok": 50, "failed": 50}))
    wager.observe(0, "ok")  # nothing is known before the first: it pays the fee
    lost = wager._days[0].total
    assert -6_514 == lost
    wager.observe(0, "failed")  # N = (1, 0): 1·202 > 1·101
    assert (lost, 0) == (wager._days[0].total, wager.evidence)
    wager.observe(0, "failed")  # N = (1, 1): 1·202 = 2·101 is not more, so it is bet on
    assert lost + lg(202 + 30 * 101, 32 * 101) - 6_514 == wager._days[0].total
    assert [1, 2] == wager.counts


def test_increment_share_of_the_usual_is_the_baselines() -> None:
    """80 of 100 were usual: one of two is less, so the odd one is bet on."""
    wager = Wager("success", factor({"ok": 80, "failed": 20}))
    for label in ("ok", "failed"):
        wager.observe(0, label)
    before = wager._days[0].total
    wager.observe(0, "failed")  # 1·202 < 2·161
    assert before + lg(202 + 30 * 41, 32 * 41) - 6_514 == wager._days[0].total


def test_increment_of_a_mix_is_two_sided() -> None:
    """Too much of the most usual market is a change too."""
    found = evidences("market", {"A/B": 50, "C/D": 50}, ["A/B"] * 200)
    assert found[-1] > 9 * 10**6
    assert 0 == evidences("hours", {"09": 50, "10": 50}, ["09"] * 200)[-1]


def test_fee_grows_with_the_categories() -> None:
    """The first observation has learned nothing: it pays the fee and leaves no evidence.

    n = 100; five categories beyond the first for numbers, two for two known labels and all others.
    """
    for name, counts, value, fee in (
        ("size", {1: 100}, 0, 1_302_883 * 5 // 200),
        ("market", {"A/B": 50, "C/D": 50}, "A/B", 1_302_883 * 2 // 200),
    ):
        wager = Wager(name, factor(counts))
        assert 0 == wager.evidence
        wager.observe(0, value)
        assert (-fee, 0) == (wager._days[0].total, wager.evidence)


def test_fee_makes_an_unchanged_agent_lose() -> None:
    """Observed exactly as in the baseline, a bet comes to nothing."""
    assert 0 == evidences("market", {"A/B": 50, "C/D": 50}, ["A/B", "C/D"] * 100)[-1]


def test_anomalies_have_a_stated_weight() -> None:
    """One order above the breaker's threshold adds 0.125; twenty-nine usual ones leave 0.004."""
    trail = live(size={1: 20})
    trail.judged("0.750000")  # not above
    assert "0.000000" == trail.risk().score
    trail.judged("0.750001")
    assert {"anomalies": "0.125000", "size": "0.000000"} == trail.risk().factors
    for _ in range(29):
        trail.judged("0.000000")
    assert "0.004166" == trail.risk().score  # (1,500,000 − 29·50,000) // 12
    trail.judged("0.000000")
    assert "0.000000" == trail.risk().score


def test_score_is_the_largest_factor_and_at_most_one() -> None:
    """Nine orders that stand out would be 1.125."""
    trail = live(size={1: 20})
    for _ in range(9):
        trail.judged("1.000000")
    assert ("1.000000", "1.000000") == (trail.risk().score, trail.risk().factors["anomalies"])


def test_window_is_thirty_policy_days() -> None:
    """What was observed on day 0 counts on day 29 and no more on day 30."""
    trail = live(size={1: 20})
    trail.judged("0.800000")
    trail.until_day(29)
    trail.cancel("c", "o1")
    assert "0.125000" == trail.risk().score
    trail.until_day(1)
    trail.cancel("d", "o1")
    assert "0.000000" == trail.risk().score


def test_window_rolls_evidence_to_the_best_stretch_that_is_left() -> None:
    """Day 0 wins four, day 1 wins two: on day 30 two are left, though six were the evidence."""
    trail = live(size={1: 20})
    for _ in range(4):
        trail.judged("0.800000")
    trail.until_day(1)
    for _ in range(2):
        trail.judged("0.800000")
    assert "0.750000" == trail.risk().score
    trail.until_day(29)
    assert "0.250000" == trail.risk().score  # as it would be
    trail.judged("0.800000")
    assert "0.375000" == trail.risk().score  # as it is


@pytest.mark.parametrize(
    ("last_day", "foretold"),
    [([4], [6, 4, 4, 0]), ([-6, 4, -1, 2], [5, 5, 5, 0]), ([-6, 9, -8], [1, 1, 1, 0])],
)
def test_window_keeps_the_days_that_are_left(last_day: list[int], foretold: list[int]) -> None:
    """5 on day 0, -3 on day 1, and day 2: evidence as of days 29 to 32, when they fall out."""
    accumulation = Accumulation(1)
    for day, increment in ((0, 5), (1, -3), *((2, one) for one in last_day)):
        if not accumulation.seen or day > accumulation._days[-1].day:
            accumulation.roll(day)
        accumulation.add(day, increment, 0)
    assert foretold[0] == accumulation.evidence
    assert foretold == [accumulation.evidence_on(day) for day in (29, 30, 31, 32)]
    days = len(last_day)
    for day, evidence, seen in zip((29, 30, 31, 32), foretold, (2, 1, 0, -days), strict=True):
        accumulation.roll(day)
        left = (accumulation.evidence, accumulation.counts, accumulation.seen)
        assert (evidence, [days + seen], days + seen) == left
    accumulation.add(32, 5, 0)
    accumulation.restart()
    accumulation.add(32, -1, 0)
    accumulation.add(32, 3, 0)
    assert (3, 2) == (accumulation.evidence, accumulation.seen)


def test_window_forgets_counts_with_their_day() -> None:
    """Learned on day 0, forgotten on day 30: the same observation wins nothing again."""
    wager = Wager("stress", factor({"no": 99, "yes": 1}))
    wager.observe(0, "yes")
    wager.roll(30)
    assert ([0, 0], 0) == (wager.counts, wager.seen)
    wager.observe(30, "yes")
    assert (0, [0, 1]) == (wager.evidence, wager.counts)


def test_observations_count_from_the_adoption_on() -> None:
    """What came before is the baseline's, or nobody's."""
    trail = Trail()
    for _ in range(5):
        trail.judged("0.800000")
    trail.adopt(baseline_of(size={1: 20}))
    assert "0.000000" == trail.risk().score


def test_restart_empties_everything_and_names_what_it_leaves_out() -> None:
    """First the adoption, then the restart before; evidence, days and counts are gone."""
    trail = live(stress={"no": 99, "yes": 1}, size={1: 20})
    assert (2, 9) == trail.watch.restart_range("bot", 10)
    for _ in range(3):
        trail.judged("0.800000")
    index = trail.restart()
    restart = trail.entries[index]
    assert (2, 5) == (getattr(restart, "first", 0), getattr(restart, "last", 0))
    assert ("0.000000", {"0.000000"}) == (trail.risk().score, set(trail.risk().factors.values()))
    assert (6, 11) == trail.watch.restart_range("bot", 12)
    trail.until_day(1)
    trail.judged("0.000000")
    assert "0.000000" == trail.risk().score
    comparison = trail.watch._agents["bot"].comparison
    assert comparison is not None
    assert [1, 0] == comparison._wagers["stress"].counts


def test_restart_without_baseline_has_no_range() -> None:
    """Nothing accumulates before a baseline is in force."""
    trail = Trail()
    for name in ("bot", "nobody"):
        with pytest.raises(ValueError, match="has no baseline in force"):
            trail.watch.restart_range(name, 5)
