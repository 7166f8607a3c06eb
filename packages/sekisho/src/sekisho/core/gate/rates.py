# SPDX-License-Identifier: Apache-2.0
"""Checks of the rate data itself: rows 11 and 12 of docs/spec/checks.md section 4.

Bad rate data refuses the order and is recorded; no order is valued by a rate that these refuse.
"""

from __future__ import annotations

from collections.abc import Iterable

from sekisho.core.amounts import ceil_div, ceil_fraction
from sekisho.core.events import RateUsed
from sekisho.core.gate.checks import Asked
from sekisho.core.gate.extremes import Ratio
from sekisho.core.gate.limits import Limits
from sekisho.core.gate.prices import Examined, above_share, spread_of
from sekisho.core.gate.state import GateState
from sekisho.core.gate.working import Terms
from sekisho.core.markets import pair_of
from sekisho.core.sight import Stressed
from sekisho.core.terms import Code, Reason

_MS = 10**6
FUTURE_MAX_MS = 1_000
"""A quotation may be dated ahead of the gate's clock by so much, in milliseconds."""


def needed_pairs(terms: Terms, currency: str) -> tuple[str, ...]:
    """The pairs whose rates the order needs: its own, and the conversion's where there is one."""
    if currency in terms.market.split("/"):
        return (terms.pair,)
    return (terms.pair, pair_of(f"{terms.currency}/{currency}")[0])


def examined(state: GateState, limits: Limits, terms: Terms, now: int) -> list[list[Examined]]:
    """What every source says of every needed pair: what row 11 judges, and the entry names."""
    found: list[list[Examined]] = []
    for pair in needed_pairs(terms, limits.scope.currency):
        of_pair: list[Examined] = []
        for source in limits.scope.reference_rates.sources:
            held = state.quotations.get((source, pair))
            age_ms = 0 if held is None else ceil_div(now - held.latest.quoted_at, _MS)
            of_pair.append(Examined(pair, source, held, age_ms))
        found.append(of_pair)
    return found


def used(asked: Asked) -> dict[str, dict[str, RateUsed]]:
    """The quotations that the decision used, by pair and source, as its entry names them."""
    found: dict[str, dict[str, RateUsed]] = {}
    for of_pair in asked.rates:
        for one in of_pair:
            if one.held is not None:
                rate = RateUsed(index=one.held.index, age_ms=one.age_ms)
                found.setdefault(one.pair, {})[one.source] = rate
    return found


def rate_data(asked: Asked) -> Iterable[Reason]:
    """Row 11: every source of every needed pair is there, sound, fresh, calm, and they agree."""
    found = False
    for of_pair in asked.rates:
        mids: list[Ratio] = []
        for one in of_pair:
            for reason in _source(asked, one, mids):
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


def _source(asked: Asked, one: Examined, mids: list[Ratio]) -> Iterable[Reason]:
    rules, held = asked.limits.scope.reference_rates, one.held
    if held is None:
        yield Reason(Code.RATE_MISSING, "", f"{one.source}:{one.pair}", "")
        return
    quote = held.latest
    if quote.sides is None:
        where = f"{one.source}:{one.pair}"
        yield Reason(Code.RATE_CROSSED, quote.ask_text, quote.bid_text, where)
        return
    mids.append(quote.sides.mid)
    if one.age_ms > rules.age_max_s * 1000 or one.age_ms < -FUTURE_MAX_MS:
        yield Reason(Code.RATE_STALE, str(rules.age_max_s * 1000), str(one.age_ms), "ms")
    jump = held.move(rules.jump_window_s)
    if above_share(jump, asked.limits.jump_max):
        yield Reason(
            Code.RATE_OUTLIER, rules.jump_max, ceil_fraction(jump.num, jump.den), "fraction"
        )


def market_stress(asked: Asked) -> Iterable[Reason]:
    """Row 12: spread and move of the first source's quotations."""
    stress = asked.limits.stress
    if stress is None or stress.rules.action != "refuse" or asked.terms is None:
        return
    for limit, share in _stresses(asked.state, asked.limits, asked.terms.pair) or ():
        yield Reason(Code.MARKET_STRESSED, limit, ceil_fraction(share.num, share.den), "fraction")


def stressed(state: GateState, limits: Limits, pair: str) -> Stressed:
    """Whether the market of a pair is stressed, whatever the policy does about it."""
    found = _stresses(state, limits, pair)
    if found is None:
        return "unknown"
    return "yes" if found else "no"


def _stresses(state: GateState, limits: Limits, pair: str) -> list[tuple[str, Ratio]] | None:
    """What exceeds its limit, with the limit as written; None where it cannot be said."""
    stress = limits.stress
    held = state.quotations.get((limits.scope.reference_rates.sources[0], pair))
    if stress is None or held is None or held.latest.sides is None:
        return None
    measured = (
        (stress.rules.spread_max, stress.spread_max, held.latest.sides.spread),
        (stress.rules.move_max, stress.move_max, held.move(stress.rules.window_s)),
    )
    return [(text, share) for text, limit, share in measured if above_share(share, limit)]
