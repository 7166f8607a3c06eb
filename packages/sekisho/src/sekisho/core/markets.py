# SPDX-License-Identifier: Apache-2.0
"""Markets and their pairs (docs/spec/checks.md, section 3.1)."""

from __future__ import annotations


def pair_of(market: str) -> tuple[str, bool]:
    """The pair of a market (currencies in alphabetical order) and whether the market inverts it."""
    base, quote = market.split("/")
    return (market, False) if base < quote else (f"{quote}/{base}", True)
