# SPDX-License-Identifier: Apache-2.0
"""Orders that only take a position back, and what a shutdown order says of the others.

Implements docs/spec/checks.md section 4.7: by quantity, in the currencies that fills were counted
in and in that of the order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

from sekisho_verify import narrowing
from sekisho_verify.agent import Working
from sekisho_verify.canonical import UNIT, shortest
from sekisho_verify.case import Case

_IN_DOUBT = frozenset({"possibly_issued", "unknown"})


def exposure(case: Case) -> int | None:
    """Direction × p + o + a of section 4.4, money; None where it cannot be computed."""
    if case.notional is None:
        return None
    agent, side = case.agent, (case.pair, case.direction)
    others, added = agent.reserved_by_side.get(side, 0), case.reservation
    if case.order.action == "amend" and case.target is not None:
        others, added = others - case.target.reserved, max(added, case.target.reserved)
    return case.direction * agent.positions.get(case.pair, 0) + others + added


def _most(
    case: tuple[str, str, str], price: Fraction | None, leaves: int, currency: str
) -> int | None:
    """The most of a currency that an order moves; None where nothing bounds it.

    Args:
        case: market, side and currency of the order.
        price: its limit, as written for the market; None: a market order.
        leaves: what can still be executed, counts 1e-8 of its currency.
        currency: either leg.
    """
    market, side, counted = case
    if counted == currency:
        return leaves
    is_base = market.partition("/")[0] == currency
    if not price or (side == "sell") is not is_base:
        return None  # what is got for a quantity has no upper bound
    return math.ceil(leaves / price if is_base else leaves * price)


def _most_of_working(one: Working, currency: str) -> int | None:
    stages = [(one.quantity, one.price)]
    if one.pending is not None:
        stages.append((one.pending.quantity, one.pending.price))
    worst = 0
    for quantity, units in stages:
        price = None if units is None else Fraction(units, UNIT)
        leaves = max(0, quantity - one.filled)
        found = _most((one.market, one.side, one.currency), price, leaves, currency)
        if found is None:
            return None
        worst = max(worst, found)
    return worst


def _remainder_in(case: Case, currency: str) -> int | None:
    target = case.target if case.order.action == "amend" else None
    leaves = case.order.quantity - (0 if target is None else target.filled)
    own = _most((case.market, case.side, case.currency), case.price, leaves, currency)
    if target is not None and own is not None:
        before = _most_of_working(target, currency)
        own = None if before is None else max(own, before)
    if own is None:
        return None
    total = own
    for one in case.agent.working.values():
        if one is target or (one.pair, one.direction) != (case.pair, case.direction):
            continue
        others = _most_of_working(one, currency)
        if others is None:
            return None
        total += others
    legs = case.agent.legs.get(case.pair)
    return total if legs is None else total + legs.at_most(currency, case.direction)


def remainder(case: Case) -> tuple[int, str] | None:
    """What would be held in the order's direction, and of what; None: cannot be computed."""
    if case.notional is None:
        return None
    legs = case.agent.legs.get(case.pair)
    counted = set() if legs is None else legs.counted
    judged = [case.currency, *sorted(counted - {case.currency})]
    found: list[tuple[int, str]] = []
    for currency in judged:
        total = _remainder_in(case, currency)
        if total is None:
            return None
        found.append((total, currency))
    return next((one for one in found if one[0] > 0), found[0])


def _reconciled(case: Case) -> bool:
    doubted = (
        one.phase in _IN_DOUBT for one in case.agent.working.values() if one.pair == case.pair
    )
    return case.agent.unbooked == 0 and not any(doubted)


def reduces(case: Case) -> bool:
    """Whether the order only takes back a position that is reconciled."""
    total = remainder(case)
    return total is not None and total[0] <= 0 and _reconciled(case)


def passes_breaker(case: Case) -> bool:
    """Whether the latched breaker lets the order by."""
    return narrowing.left(case.agent) == "reduce_only" and reduces(case)


def refused(case: Case) -> Iterator[tuple[str, str, str]]:
    """Limit, observed and unit where a shutdown order forbids a new order or an amendment."""
    mode, total = case.agent.shutdown, remainder(case)
    if mode == "cancel_only":
        yield mode, case.order.action, ""
    elif mode and not reduces(case):
        if total is None:
            yield mode, "", ""
        elif not _reconciled(case):
            yield mode, "not reconciled", ""
        else:
            yield mode, shortest(total[0]), total[1]
