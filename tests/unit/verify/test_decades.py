# SPDX-License-Identifier: Apache-2.0
"""Section 1 of behaviour.md and the curve of section 4: logarithms, buckets, scores."""

from __future__ import annotations

import math

import pytest

from sekisho_verify.decades import bucket, bucket_floor, exact_lg, lg, score_of, score_text


@pytest.mark.parametrize(
    ("above", "below", "expected"),
    [
        (1, 1, 0),
        (1000, 1, 3_000_000),
        (1, 1000, -3_000_000),
        (2, 1, 301_030),  # 301029.9957
        (3, 7, -367_977),  # -367976.785
        (532, 341, 193_157),  # 193157.253
        (251, 1, 2_399_674),  # 2399673.721
        (10**400, 1, 400_000_000),
        (1, 10**400, -400_000_000),
    ],
)
def test_lg_counts_micro_decades(above: int, below: int, expected: int) -> None:
    """Known logarithms, rounded to an integer; also those that no binary number holds."""
    assert expected == lg(above, below) == exact_lg(above, below)


def test_lg_close_to_a_half_is_decided_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """An estimate near the half between two integers does not decide."""
    assert 301_030 == lg(20_000_000_000, 10_000_000_000)
    monkeypatch.setattr(math, "log10", lambda _: 0.3010305)  # 301030.5 micro-decades
    assert 477_121 == lg(30_000_000_001, 10_000_000_000)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0),
        (63, 63),
        (64, 64),
        (127, 127),
        (128, 128),
        (129, 128),
        (130, 129),
        (255, 191),
        (256, 192),
        (259, 192),
        (260, 193),
        (10**6, 64 * 13 + (10**6 >> 13)),
    ],
)
def test_bucket_at_its_edges(value: int, expected: int) -> None:
    """One value a bucket below 128, then 64 buckets for each doubling."""
    assert expected == bucket(value)


def test_bucket_floor_is_the_smallest_value_of_each_bucket() -> None:
    """The floor lies in its bucket, one less in the bucket before."""
    assert [127, 128, 254, 256] == [bucket_floor(number) for number in (127, 128, 191, 192)]
    for number in range(1, 2000):
        assert (number, number - 1) == (
            bucket(bucket_floor(number)),
            bucket(bucket_floor(number) - 1),
        )


@pytest.mark.parametrize(
    ("rarity", "expected"),
    [
        (0, "0.000000"),
        (1, "0.000000"),
        (9, "0.000001"),
        (1_000_000, "0.200000"),
        (1_000_004, "0.200001"),
        (2_000_000, "0.466666"),
        (2_500_000, "0.600000"),
        (3_000_000, "0.683333"),
        (4_000_000, "0.850000"),
        (6_000_000, "0.950000"),
        (9_999_999, "0.999999"),
        (10_000_000, "1.000000"),
        (77_000_000, "1.000000"),
    ],
)
def test_score_is_linear_between_the_points_and_rounded_down(rarity: int, expected: str) -> None:
    """The points themselves, values between them, and all above the last."""
    assert expected == score_text(score_of(rarity))
