# SPDX-License-Identifier: Apache-2.0
"""Checks of the rate data itself: rows 11 and 12 of docs/spec/checks.md section 4.

Bad rate data refuses the order and is recorded; no order is valued by a rate that these refuse.
"""

from __future__ import annotations

from collections.abc import Iterable

from sekisho.core.amounts import ceil_div, ceil_fraction
from sekisho.core.gate.checks import Asked
from sekisho.core.gate.extremes import Ratio
from sekisho.core.gate.prices import above_share, pair_of, spread_of
from sekisho.core.terms import Code, Reason

_MS = 10**6
FUTURE_MAX_MS = 1_000
"""A quotation may be dated ahead of the gate's clock by so much, in milliseconds."""


def needed_pairs(asked: Asked) -> tuple[str, ...]:
    """The pairs whose rates the order needs: its own, and the conversion's where there is one."""
    terms, currency = asked.terms, asked.limits.scope.currency
    if terms is None:
        return ()
    if currency in terms.market.split("/"):
        return (terms.pair,)
    return (terms.pair, pair_of(f"{terms.currency}/{currency}")[0])


def rate_data(asked: Asked) -> Iterable[Reason]:
    """Row 11: every source of every needed pair is there, sound, fresh, calm, and they agree."""
    found = False
    for pair in needed_pairs(asked):
        mids: list[Ratio] = []
        for source in asked.limits.scope.reference_rates.sources:
            for reason in _source(asked, source, pair, mids):
                found = True
                yield reason
        if mids:
            apart = spread_of(mids)
            if above_share(apart, asked.limits.disagreement_max):
                found = True
                limit = asked.limits.scope.reference_rates.disagreement_max
                yield Reason(
                    Code.RATE_SOURCES_DISAGREE,
                    limit,
                    ceil_fraction(apart.num, apart.den),
                    "fraction",
                )
    if asked.terms is not None and asked.notional is None and not found:
        yield Reason(Code.RATE_MISSING, "", asked.terms.pair, "")


def _source(asked: Asked, source: str, pair: str, mids: list[Ratio]) -> Iterable[Reason]:
    rules = asked.limits.scope.reference_rates
    held = asked.state.quotations.get((source, pair))
    if held is None:
        yield Reason(Code.RATE_MISSING, "", f"{source}:{pair}", "")
        return
    quote = held.latest
    if quote.sides is None:
        yield Reason(Code.RATE_CROSSED, quote.ask_text, quote.bid_text, f"{source}:{pair}")
        return
    mids.append(quote.sides.mid)
    age = ceil_div(asked.now - quote.quoted_at, _MS)
    if age > rules.age_max_s * 1000 or age < -FUTURE_MAX_MS:
        yield Reason(Code.RATE_STALE, str(rules.age_max_s * 1000), str(age), "ms")
    jump = held.move(rules.jump_window_s)
    if above_share(jump, asked.limits.jump_max):
        yield Reason(
            Code.RATE_OUTLIER, rules.jump_max, ceil_fraction(jump.num, jump.den), "fraction"
        )


def market_stress(asked: Asked) -> Iterable[Reason]:
    """Row 12: spread and move of the first source's quotations."""
    stress, terms = asked.limits.stress, asked.terms
    if stress is None or stress.rules.action != "refuse" or terms is None:
        return
    first = asked.limits.scope.reference_rates.sources[0]
    held = asked.state.quotations.get((first, terms.pair))
    if held is None or held.latest.sides is None:
        return
    rules, wide = stress.rules, held.latest.sides.spread
    if above_share(wide, stress.spread_max):
        yield Reason(
            Code.MARKET_STRESSED, rules.spread_max, ceil_fraction(wide.num, wide.den), "fraction"
        )
    move = held.move(rules.window_s)
    if above_share(move, stress.move_max):
        yield Reason(
            Code.MARKET_STRESSED, rules.move_max, ceil_fraction(move.num, move.den), "fraction"
        )
