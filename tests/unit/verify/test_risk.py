# SPDX-License-Identifier: Apache-2.0
"""Section 5 of behaviour.md: evidence, its window, and what it scores; numbers worked out apart."""

from __future__ import annotations

import pytest

from sekisho_verify.baseline import Profile
from sekisho_verify.risk import Accumulation, Evidence

DAY = 100
STRESS = Profile("stress", {"no": 95, "yes": 5})  # K = 2, m = 30, fee 6,514
MARKET = Profile("market", {"EUR/USD": 100})  # K = 2


def scores(factor: str, profile: Profile, labels: list[str], day: int = DAY) -> list[int]:
    """The factor's score after each observation of one day."""
    found, rows = Accumulation({factor: profile}, day), []
    for label in labels:
        found.observe(day, [(factor, label)], stands_out=None)
        rows.append(found.scores(day)[factor])
    return rows


def test_evidence_of_stressed_trading_grows_and_shrinks() -> None:
    """Increments −6514, 186643, 312639, −47907, −45825, 379301; E never below 0; score E // 12."""
    found = scores("stress", STRESS, ["yes", "yes", "yes", "no", "no", "yes"])
    assert [0, 15_553, 41_606, 37_614, 33_795, 65_404] == found


def test_evidence_of_two_sided_factor_counts_at_every_observation() -> None:
    """Market is not one-sided: −6514, −20754, 853824, 1112462, −46562."""
    found = scores("market", MARKET, ["EUR/USD", "X/Y", "A/B", "C/D", "EUR/USD"])
    assert [0, 0, 71_152, 163_857, 159_977] == found


def test_evidence_one_sided_takes_no_notice_while_the_usual_is_more_usual() -> None:
    """After one `no` (1 · 202 > 1 · 191) a `yes` counts for nothing; when it is rarer it does."""
    quiet = scores("stress", STRESS, ["no"] * 10 + ["yes"])
    assert [0] * 11 == quiet
    mixed = scores("stress", STRESS, ["no", "yes", "yes", "yes"])
    # N = (1, 1): 202 > 382 no longer holds: lg((202 + 330) / (32 · 11)) − f = 172855, then 299275
    assert [0, 0, 14_404, 39_344] == mixed


def test_evidence_one_step_is_at_most_one_and_a_half_decades() -> None:
    """The cap of step 2."""
    profile = Profile("market", {"EUR/USD": 10**6})
    rows = scores("market", profile, ["X/Y"] * 7)
    assert 125_000 == rows[6] - rows[5]
    assert 125_000 > rows[2] - rows[1]


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (DAY + 1, 451_375),  # T and B of both days
        (DAY + 29, 451_375),
        (DAY + 30, 0),  # the first day is out: max(0 − 47907, 0)
    ],
)
def test_evidence_rolled_is_the_largest_stretch_that_ends_now(day: int, expected: int) -> None:
    """Three `yes` on one day, one `no` on the next; read without being changed."""
    found = Accumulation({"stress": STRESS}, DAY)
    for _ in range(3):
        found.observe(DAY, [("stress", "yes")], stands_out=None)
    found.observe(DAY + 1, [("stress", "no")], stands_out=None)
    assert expected // 12 == found.scores(day)["stress"]
    assert 451_375 // 12 == found.scores(DAY + 1)["stress"]


def test_evidence_of_a_bad_day_is_forgotten_by_its_best_stretch() -> None:
    """A day that began quiet and ended badly counts from where it turned: C = max(C + T, B)."""
    one = Evidence()
    for increment in (-900, 500, 400):
        one.add(DAY, increment)
    assert (900, 900) == (one.now, one.rolled(DAY + 1))
    one.roll(DAY + 1)
    one.add(DAY + 1, -100)
    one.add(DAY + 1, 50)
    assert (850, 850) == (one.now, one.rolled(DAY + 2))
    assert 50 == one.rolled(DAY + 30)
    one.roll(DAY + 30)
    assert (50, {DAY + 1}) == (one.now, set(one.days))


def test_counts_that_fall_out_of_the_window_are_taken_off() -> None:
    """On the thirtieth day after, N is empty again: the same observations count the same."""
    found = Accumulation({"stress": STRESS}, DAY)
    rows = []
    for day in (DAY, DAY + 30):
        for _ in range(3):
            found.observe(day, [("stress", "yes")], stands_out=None)
            rows.append(found.scores(day)["stress"])
    assert rows[:3] == rows[3:]
    kept = Accumulation({"stress": STRESS}, DAY)
    for day in (DAY, DAY + 29):
        for _ in range(3):
            kept.observe(day, [("stress", "yes")], stands_out=None)
    assert kept.scores(DAY + 29)["stress"] > 2 * rows[2]


def test_orders_that_stand_out_weigh_an_eighth_each() -> None:
    """Six are 0.75 exactly, a quiet order takes 0.05 decades off, and none go below 0."""
    found, rows = Accumulation({}, DAY), []
    for stands_out in (False, *[True] * 6, False):
        found.observe(DAY, [], stands_out=stands_out)
        rows.append(found.scores(DAY)["anomalies"])
    assert [0, 125_000, 250_000, 375_000, 500_000, 625_000, 750_000, 745_833] == rows


def test_score_ends_at_one() -> None:
    """E beyond twelve decades."""
    found = Accumulation({}, DAY)
    for _ in range(9):
        found.observe(DAY, [], stands_out=True)
    assert {"anomalies": 1_000_000} == found.scores(DAY)


def test_observation_of_a_factor_that_is_not_established_counts_nowhere() -> None:
    """Only established factors are bet on."""
    found = Accumulation({"stress": STRESS}, DAY)
    found.observe(DAY, [("market", "X/Y")], stands_out=None)
    assert {"stress": 0, "anomalies": 0} == found.scores(DAY)
