# SPDX-License-Identifier: Apache-2.0
"""Logarithms, buckets and scores as integers (docs/spec/behaviour.md sections 1 and 4).

Micro-decades count 1e-6 of a power of ten, scores count 1e-6. No result depends on a machine.
"""

from __future__ import annotations

import decimal
import functools
import itertools
import math

MILLION = 10**6
_CONTEXT = decimal.Context(prec=28, rounding=decimal.ROUND_HALF_EVEN)
_DECIDED = 0.49
_POINTS = (
    (0, 0),
    (MILLION, 200_000),
    (2_500_000, 600_000),
    (4 * MILLION, 850_000),
    (6 * MILLION, 950_000),
    (10 * MILLION, MILLION),
)
"""u in micro-decades → score; linear between, 1 above."""


def exact_lg(above: int, below: int) -> int:
    """lg(above/below) in micro-decades, as section 1 says: 28 digits, half to even.

    Args:
        above: a positive integer.
        below: a positive integer.
    """
    ratio = _CONTEXT.divide(decimal.Decimal(above), decimal.Decimal(below))
    scaled = _CONTEXT.multiply(_CONTEXT.log10(ratio), decimal.Decimal(MILLION))
    return int(scaled.to_integral_value(decimal.ROUND_HALF_EVEN))


@functools.lru_cache(maxsize=65_536)
def lg(above: int, below: int) -> int:
    """The same number as `exact_lg`, faster.

    A binary estimate is wrong by far less than 1e-6 of a micro-decade; it decides the integer only
    where it lies more than 0.01 away from the half between two.
    """
    try:
        estimate = math.log10(above / below) * MILLION
    except (OverflowError, ValueError):  # no binary number holds the ratio
        return exact_lg(above, below)
    nearest = round(estimate)
    return nearest if abs(estimate - nearest) < _DECIDED else exact_lg(above, below)


def bucket(value: int) -> int:
    """The bucket of an integer from 0 on; buckets order as values do."""
    shift = max(0, value.bit_length() - 7)
    return 64 * shift + (value >> shift)


def bucket_floor(number: int) -> int:
    """The smallest value of a bucket."""
    if number < 128:
        return number
    shift = number // 64 - 1
    return (number - 64 * shift) << shift


def score_of(rarity: int) -> int:
    """The score of u micro-decades (u from 0 on): linear between the points, rounded down."""
    for (u0, s0), (u1, s1) in itertools.pairwise(_POINTS):
        if rarity <= u1:
            return s0 + (rarity - u0) * (s1 - s0) // (u1 - u0)
    return MILLION


def score_text(score: int) -> str:
    """A score with six decimals."""
    whole, part = divmod(score, MILLION)
    return f"{whole}.{part:06}"
