# SPDX-License-Identifier: Apache-2.0
"""Exact amounts: quantities, prices and money as integers in units of 1e-8 (docs/spec/encoding.md).

On every wire an amount is text of one grammar; inside it is an ``int`` that counts 1e-8. Products
and quotients stay exact as integer ratios until one rounding, always away from permission: up for
what is counted against a limit. No float and no decimal context takes part, so any program on any
machine gets the same digits.
"""

from __future__ import annotations

import re
from typing import Final

from sekisho.core.errors import MalformedInput

SCALE: Final = 10**8
CENT: Final = 10**6
"""One hundredth of a currency unit, in units of 1e-8."""

_AMOUNT = re.compile(r"(0|[1-9][0-9]{0,17})(?:\.([0-9]{1,8}))?")
_MONEY = re.compile(r"(-?)(0|[1-9][0-9]{0,59})\.([0-9]{2})")
_FRACTION_DIGITS: Final = 6


def parse_amount(text: str, where: str = "amount") -> int:
    r"""Read an amount, ``\A(0|[1-9][0-9]{0,17})(\.[0-9]{1,8})?\Z``, into units of 1e-8.

    Raises:
        MalformedInput: anything else, in particular signs, exponents, blanks, NaN, Infinity.
    """
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise MalformedInput(
            f"{where}: {text[:48]!r} is not an amount; write digits with at most 18 before and 8"
            ' after the point, for example "25000.00"',
            where,
        )
    whole, part = match.groups()
    if part is None:
        return int(whole) * SCALE
    return int(whole) * SCALE + int(part.ljust(8, "0"))


def format_amount(units: int) -> str:
    """Write units of 1e-8 as the shortest amount text; the inverse of :func:`parse_amount`."""
    sign = "-" if units < 0 else ""
    whole, part = divmod(abs(units), SCALE)
    if part == 0:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{part:08d}".rstrip("0")


def format_money(units: int) -> str:
    """Write units of 1e-8 that are whole cents with exactly two decimals, ``"25000.00"``."""
    sign = "-" if units < 0 else ""
    cents = abs(units) // CENT
    return f"{sign}{cents // 100}.{cents % 100:02d}"


def parse_money(text: str) -> int:
    """Inverse of :func:`format_money`: computed money may be larger than any amount on a wire.

    Raises:
        MalformedInput: not at most 60 digits with two decimals.
    """
    match = _MONEY.fullmatch(text)
    if match is None:
        raise MalformedInput(f"{text[:80]!r} is not money like 25000.00")
    sign, whole, cents = match.groups()
    units = (int(whole) * 100 + int(cents)) * CENT
    return -units if sign else units


def ceil_div(numerator: int, denominator: int) -> int:
    """Quotient rounded towards plus infinity; the denominator is positive."""
    return -(-numerator // denominator)


def ceil_cent(numerator: int, denominator: int = 1) -> int:
    """Round the ratio (in units of 1e-8) up to whole cents."""
    return ceil_div(numerator, denominator * CENT) * CENT


def ceil_fraction(numerator: int, denominator: int) -> str:
    """Write a ratio ≥ 0 as a decimal of six digits, rounded up: how shares and deviations are
    shown.
    """
    millionths = ceil_div(numerator * 10**_FRACTION_DIGITS, denominator)
    return f"{millionths // 10**_FRACTION_DIGITS}.{millionths % 10**_FRACTION_DIGITS:06d}"
