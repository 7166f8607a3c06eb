# SPDX-License-Identifier: Apache-2.0
"""Section 3 of behaviour.md, and what a profile says of one value (sections 4 and 5)."""

from __future__ import annotations

from typing import Any

import pytest

from sekisho_verify.baseline import Habits, Profile, Value
from sekisho_verify.canonical import day_number, digest_of, encode

FRIDAY = day_number("2026-05-15")


@pytest.mark.parametrize(
    ("label", "expected"),
    [("A", 0), ("B", 296_751), ("C", 682_102), ("D", 962_929), ("E", 962_929), ("F", 2_004_321)],
)
def test_rarity_of_a_label_counts_all_that_is_as_rare(label: str, expected: int) -> None:
    """p = 101, 51, 21, 11, 11 and 1 of 101: equal counts count together, a new label alone."""
    profile = Profile("market", {"A": 50, "B": 30, "C": 10, "D": 5, "E": 5})
    assert expected == profile.rarity(label)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0),
        (5, 0),
        (6, 210_853),  # 16 of 26
        (10, 210_853),
        (11, 636_822),  # 6 of 26
        (288, 636_822),
        (291, 636_822),  # the last value of the largest bucket
        (292, 1_414_973 + 4 * 5_990),
        (2880, 1_414_973 + 4 * 1_000_000),
    ],
)
def test_rarity_of_a_number_above_all_that_was_seen_grows_by_the_fourth_power(
    value: int, expected: int
) -> None:
    """Up to the largest bucket its rank, above it the rank of nothing and the distance."""
    assert expected == Profile("size", {5: 10, 10: 10, 200: 5}).rarity(value)


def test_rarity_above_a_largest_value_of_zero_measures_from_one() -> None:
    """w is at least 1."""
    assert 1_322_219 + 4 * 698_970 == Profile("latency", {0: 20}).rarity(5)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, 0), (49, 0), (50, 0), (51, 1), (75, 1), (76, 2), (90, 2), (91, 3), (97, 3), (98, 4)],
)
def test_category_of_a_number_is_how_many_edges_lie_below(value: int, expected: int) -> None:
    """Edges at 50, 75, 90, 97 and 100 per cent; one count for each value 1 to 100."""
    profile = Profile("frequency", dict.fromkeys(range(1, 101), 1))
    assert expected == profile.category(value)
    assert [50, 25, 15, 7, 3, 0] == profile.shares
    assert [4, 5] == [profile.category(one) for one in (100, 101)]


def test_category_of_a_number_with_equal_edges_skips() -> None:
    """Where edges fall together, the categories between them are empty."""
    profile = Profile("size", {5: 10, 10: 10, 200: 5})
    assert [0, 2, 5] == [profile.category(one) for one in (10, 288, 292)]
    assert [20, 0, 5, 0, 0, 0] == profile.shares


def test_category_of_hours_takes_the_rarest_hundredth() -> None:
    """The longest run by (count, label) of at most n/100; what was never seen is rare too."""
    counts: dict[Value, int] = {"09": 294, "10": 2, "03": 2, "02": 1, "01": 1}
    profile = Profile("hours", counts)
    rare = [label for label in ("01", "02", "03", "09", "10", "44") if profile.category(label)]
    assert ["01", "02", "44"] == rare
    assert [298, 2] == profile.shares
    more = Profile("hours", counts | {"09": 394})  # n / 100 is 4: "03" fits exactly
    assert [1, 0] == [more.category(label) for label in ("03", "10")]


def test_category_of_labels_and_of_fixed_factors() -> None:
    """Labels in their order and one for all others; stress and success have two."""
    market = Profile("market", {"GBP/USD": 1, "EUR/USD": 2})
    assert [0, 1, 2] == [market.category(one) for one in ("EUR/USD", "GBP/USD", "EUR/GBP")]
    assert [2, 1, 0] == market.shares
    assert [3, 0] == Profile("stress", {"no": 3}).shares
    assert [0, 7] == Profile("success", {"failed": 7}).shares


def test_profile_fee_and_weight_follow_from_n() -> None:
    """m = max(30, n // 4), f = 1,302,883 · (K − 1) // (2n)."""
    small, large = Profile("stress", {"no": 100}), Profile("size", {3: 124})
    assert [(30, 6_514), (31, 26_267)] == [(one.weight, one.fee) for one in (small, large)]


def habits(length: int = 3) -> Habits:
    """Orders on Friday, Sunday and Monday; observations on all days around."""
    found = Habits()
    found.add(FRIDAY, [("counterparty", "early")])
    orders = [(FRIDAY, 130), (FRIDAY, 128), (FRIDAY + 2, 7), (FRIDAY + 3, 9)]
    for number, (day, size) in enumerate(orders):
        found.order(day, length if number == 0 else 90)
        found.add(day, [("size", size), ("market", "EUR/USD")])
    found.add(FRIDAY, [("counterparty", "B"), ("success", "ok")])
    found.add(FRIDAY + 1, [("counterparty", "A"), ("counterparty", "B")])
    return found


def document(**changes: Any) -> dict[str, Any]:
    """The baseline of three days, written out."""
    empty: dict[str, Any] = {"n": 0, "counts": []}
    names = "size frequency market hours stress counterparty latency success"
    factors = dict.fromkeys(names.split(), empty)
    factors["size"] = {"n": 3, "counts": [[7, 1], [128, 1], [129, 1]]}
    factors["market"] = {"n": 3, "counts": [["EUR/USD", 3]]}
    factors["counterparty"] = {"n": 3, "counts": [["A", 1], ["B", 2]]}
    factors["success"] = {"n": 1, "counts": [["ok", 1]]}
    found = {"schema": "sekisho/baseline/v1", "agent": "fx", "orders": 3, "days": 2}
    return found | {"from": "2026-05-15", "to": "2026-05-17", "factors": factors} | changes


def test_baseline_counts_exactly_the_window() -> None:
    """From the first new decision on, so many days; numbers in buckets, rows sorted."""
    found = habits().baseline("fx")
    assert found is not None
    assert document() == found.document
    assert digest_of(document()) == found.sha256
    longer = habits(4).baseline("fx")
    assert longer is not None
    assert (4, 3, "2026-05-18") == (longer.orders, longer.days, longer.document["to"])


def test_baseline_before_the_first_order_is_none() -> None:
    """Without a new decision there is no window."""
    found = Habits()
    found.add(FRIDAY, [("counterparty", "B")])
    assert found.baseline("fx") is None


@pytest.mark.parametrize(
    ("today", "orders_min", "length", "complete"),
    [
        (FRIDAY + 2, 2, 2, False),  # of two days with orders, one lies in it
        (FRIDAY + 4, 4, 4, False),  # three days with orders, four wanted
        (FRIDAY + 1, 2, 1, True),
        (FRIDAY, 2, 1, False),  # the window's last day
        (FRIDAY + 1, 3, 1, False),
    ],
)
def test_baseline_complete_when_over_and_enough(
    today: int, orders_min: int, length: int, complete: bool
) -> None:
    """Past `to`, orders and days at their least."""
    found = habits(length).baseline("fx")
    assert found is not None
    assert complete == found.complete(today, orders_min)


@pytest.mark.parametrize(("days", "complete"), [(4, False), (5, True)])
def test_baseline_of_a_long_window_needs_five_days(days: int, complete: bool) -> None:
    """min(5, days of the window)."""
    found = Habits()
    for day in range(days):
        found.order(FRIDAY + day, 14)
    made = found.baseline("fx")
    assert made is not None
    assert complete == made.complete(FRIDAY + 14, 1)


def test_baseline_that_no_entry_can_hold_is_not_complete() -> None:
    """At most 49,152 canonical bytes."""
    found = Habits()
    found.order(FRIDAY, 1)
    found.add(FRIDAY, [("counterparty", "c" * 46_000)])
    made = found.baseline("fx")
    assert made is not None
    size = len(encode(made.document))
    for more, complete in ((49_152 - size, True), (49_153 - size, False)):
        longer = Habits()
        longer.order(FRIDAY, 1)
        longer.add(FRIDAY, [("counterparty", "c" * (46_000 + more))])
        made = longer.baseline("fx")
        assert made is not None
        assert complete == made.complete(FRIDAY + 1, 1)


@pytest.mark.parametrize(("count", "established"), [(19, []), (20, ["market"])])
def test_factor_is_established_from_twenty_on(count: int, established: list[str]) -> None:
    """n ≥ 20."""
    found = Habits()
    for _ in range(count):
        found.order(FRIDAY, 1)
        found.add(FRIDAY, [("market", "EUR/USD")])
    made = found.baseline("fx")
    assert made is not None
    assert established == list(made.profiles)
