# SPDX-License-Identifier: Apache-2.0
"""Logarithms, buckets and scores in integers."""

from __future__ import annotations

import decimal
import math

import pytest

from sekisho.core.behaviour.arithmetic import (
    bucket,
    bucket_floor,
    lg,
    lg_by_decimals,
    rarity_score,
    score_text,
)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (1, 1, 0),
        (10, 1, 1_000_000),
        (1, 1000, -3_000_000),
        (2, 1, 301_030),  # 0.30102999566…
        (1, 2, -301_030),
        (251, 1, 2_399_674),  # 2.39967372…
        (10**70, 1, 70_000_000),
        (10**400, 10, 399_000_000),
        (10, 10**400, -399_000_000),
    ],
)
def test_lg_of_known_ratios_is_exact(a: int, b: int, expected: int) -> None:
    """Tables of logarithms give these; huge numbers overflow nothing."""
    assert (expected, expected) == (lg(a, b), lg_by_decimals(a, b))


def test_lg_near_the_middle_trusts_decimals_not_the_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A library of mathematics that errs in the ninth digit changes no result."""
    near = [
        (a, b)
        for a in range(1, 400)
        for b in range(a + 1, 400)
        if abs(math.log10(a / b) * 10**6 % 1 - 0.5) < 0.001
    ]
    assert len(near) > 50
    expected = [lg_by_decimals(a, b) for a, b in near]
    exact = math.log10
    for error in (1 + 1e-9, 1 - 1e-9):
        monkeypatch.setattr(math, "log10", lambda x, e=error: exact(x) * e)
        assert expected == [lg(a, b) for a, b in near]


def test_lg_in_a_careless_thread_is_the_same() -> None:
    """The decimal context of the thread takes no part."""
    expected = [lg_by_decimals(a, 997) for a in range(1, 300)]
    with decimal.localcontext() as context:
        context.prec, context.rounding = 3, decimal.ROUND_UP
        context.traps[decimal.Inexact] = True
        assert expected == [lg_by_decimals(a, 997) for a in range(1, 300)]
        assert expected == [lg(a, 997) for a in range(1, 300)]


@pytest.mark.parametrize(
    ("value", "number", "floor"),
    [
        (0, 0, 0),
        (63, 63, 63),
        (64, 64, 64),
        (127, 127, 127),
        (128, 128, 128),
        (129, 128, 128),
        (255, 191, 254),
        (256, 192, 256),
        (260, 193, 260),
        # 1,850,000 has 21 bits: e = 14, 1,850,000 >> 14 = 112, 64·14 + 112 = 1008; 112 << 14.
        (1_850_000, 1008, 1_835_008),
    ],
)
def test_bucket_of_known_values_is_this(value: int, number: int, floor: int) -> None:
    """By hand, on both sides of each change of width."""
    assert (number, floor) == (bucket(value), bucket_floor(bucket(value)))


@pytest.mark.parametrize(
    ("micro_decades", "expected"),
    [
        (0, 0),
        (1, 0),
        (5, 1),
        (1_000_000, 200_000),
        (1_000_001, 200_000),
        (1_000_004, 200_001),
        (2_500_000, 600_000),
        (4_000_000, 850_000),
        (6_000_000, 950_000),
        (10_000_000, 1_000_000),
        (10_000_001, 1_000_000),
        (2_399_674, 573_246),  # a new label after 250 orders: 200,000 + 1,399,674·4/15
    ],
)
def test_rarity_score_is_linear_between_its_points(micro_decades: int, expected: int) -> None:
    """The points, and between them rounded down."""
    assert expected == rarity_score(micro_decades)


def test_score_text_has_six_decimals() -> None:
    """From 0 to 1, one spelling each."""
    scores = (0, 1, 573_187, 1_000_000)
    assert ["0.000000", "0.000001", "0.573187", "1.000000"] == [score_text(one) for one in scores]
