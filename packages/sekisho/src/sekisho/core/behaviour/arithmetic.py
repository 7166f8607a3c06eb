# SPDX-License-Identifier: Apache-2.0
"""Logarithms, buckets and scores in integers (docs/spec/behaviour.md, sections 1 and 4).

What leaves this module is an integer or the text of one, the same on every machine. Decimal
arithmetic has a context of its own here, so no setting of a thread or a program takes part.
"""

from __future__ import annotations

import math
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from functools import lru_cache
from itertools import pairwise
from typing import Final

MILLION: Final = 1_000_000
"""One, as a score; one decade, as a logarithm."""

_CONTEXT: Final = Context(
    prec=28,
    rounding=ROUND_HALF_EVEN,
    Emin=-999_999,
    Emax=999_999,
    capitals=1,
    clamp=0,
    flags=[],
    traps=[InvalidOperation, DivisionByZero, Overflow],
)
_MILLION: Final = Decimal(MILLION)
_DOUBTFUL: Final = 0.01
"""An estimate this near to the middle between two integers decides nothing."""
_ESTIMATED_MAX: Final = 10**200

_EXACT_BELOW: Final = 64
_MANTISSA_BITS: Final = 7

_POINTS: Final = (
    (0, 0),
    (1_000_000, 200_000),
    (2_500_000, 600_000),
    (4_000_000, 850_000),
    (6_000_000, 950_000),
    (10_000_000, 1_000_000),
)
"""How rare, in micro-decades, and the score of it; linear in between."""


def lg(a: int, b: int) -> int:
    """log10(a / b) in micro-decades, rounded to an integer, half to even; a, b > 0.

    Decimal arithmetic defines it. A binary estimate is some 10,000 times nearer than ``_DOUBTFUL``
    even with a poor library of mathematics, so where it is not near the middle between two integers
    its nearest integer is the exact result; else, and for huge numbers, the decimals are asked.
    """
    if a <= _ESTIMATED_MAX and b <= _ESTIMATED_MAX:
        estimate = math.log10(a / b) * MILLION
        nearest = round(estimate)
        if abs(estimate - nearest) < 0.5 - _DOUBTFUL:
            return nearest
    return lg_by_decimals(a, b)


def lg_by_decimals(a: int, b: int) -> int:
    """The definition of :func:`lg`, some fifty times slower."""
    ratio = _CONTEXT.divide(Decimal(a), Decimal(b))
    return int(_CONTEXT.to_integral_value(_CONTEXT.multiply(_CONTEXT.log10(ratio), _MILLION)))


def bucket(value: int) -> int:
    """The bucket of an integer ≥ 0: exact below 128, then 64 for each doubling."""
    if value < _EXACT_BELOW:
        return value
    shift = value.bit_length() - _MANTISSA_BITS
    return 64 * shift + (value >> shift)


def bucket_floor(number: int) -> int:
    """The smallest integer of a bucket."""
    if number < 2 * _EXACT_BELOW:
        return number
    shift = number // 64 - 1
    return (number - 64 * shift) << shift


def rarity_score(micro_decades: int) -> int:
    """The score, in millionths, of something that is so many micro-decades rare; ≥ 0."""
    for (low, low_score), (high, high_score) in pairwise(_POINTS):
        if micro_decades <= high:
            rise = (micro_decades - low) * (high_score - low_score)
            return low_score + rise // (high - low)
    return MILLION


@lru_cache(maxsize=4096)
def score_text(millionths: int) -> str:
    """A score as it is written, ``0.573187``."""
    return f"{millionths // MILLION}.{millionths % MILLION:06d}"
