# SPDX-License-Identifier: Apache-2.0
"""What an agent holds of a pair, in units of its currencies (docs/spec/checks.md, section 4.7).

Money tells what a position was worth when it was executed; only a quantity tells what takes it
back, wherever the price has gone since. Both legs are kept, each within two bounds, because a fill
that is counted in one currency is a ratio of the other. *Counted* are the legs that fills were
counted in; when all of these are exactly zero the pair is flat, and what is left of the other leg
is profit or loss, no position.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import NamedTuple

from sekisho.core.amounts import SCALE, ceil_div
from sekisho.core.gate.working import Terms, WorkingOrder


class Held(NamedTuple):
    """One leg, in units of 1e-8 of its currency, with the sign of the pair's direction.

    What is held is not below ``low`` and not above ``high``.
    """

    low: int
    high: int
    counted: bool


NOTHING = Held(0, 0, counted=False)
Quantities = MutableMapping[tuple[str, str], Held]
"""By pair and currency."""


def book(held: Quantities, terms: Terms, quantity: int, price: int) -> bool:
    """Take a fill of ``quantity`` at ``price``, both in units of 1e-8; whether that can be told."""
    if price <= 0:
        return False
    base, quote = terms.market.split("/")
    in_base = terms.currency == base
    own, other = (terms.pair, terms.currency), (terms.pair, quote if in_base else base)
    num, den = (quantity * price, SCALE) if in_base else (quantity * SCALE, price)
    held[own] = _moved(held.get(own, NOTHING), terms.direction * quantity, 1)._replace(counted=True)
    held[other] = _moved(held.get(other, NOTHING), terms.direction * num, den)
    if not any(leg.counted and (leg.low or leg.high) for leg in (held[own], held[other])):
        del held[own], held[other]
    return True


def _moved(leg: Held, num: int, den: int) -> Held:
    return Held(leg.low + num // den, leg.high + ceil_div(num, den), leg.counted)


def taken_back(held: Quantities, terms: Terms, currency: str) -> int:
    """How much of ``currency`` an order in this direction certainly finds to take back; below
    zero where it finds none.
    """
    leg = held.get((terms.pair, currency), NOTHING)
    return -leg.high if terms.direction > 0 else leg.low


def is_counted(held: Quantities, pair: str, currency: str) -> bool:
    """Whether fills of the pair were counted in this currency since it was flat."""
    return held.get((pair, currency), NOTHING).counted


def most(terms: Terms, filled: int, currency: str) -> int | None:
    """The most of ``currency`` that what is left of an order can move, up to a unit of 1e-8; None
    where nothing bounds it.

    A limit price bounds what is given for a quantity, never what is got: an order that is counted
    in the other currency is bounded only where it sells ``currency``.
    """
    left = max(0, terms.quantity - filled)
    if terms.currency == currency:
        return left
    base = terms.market.split("/")[0]
    sells = (terms.order.side == "sell") == (currency == base)
    price = terms.price
    if not sells or price is None or price.num <= 0:
        return None
    if currency == base:
        return ceil_div(left * price.den, price.num)
    return ceil_div(left * price.num, price.den)


def most_of(order: WorkingOrder, currency: str) -> int | None:
    """The same of a working order, with what its pending amendment allows."""
    now = most(order.terms, order.filled, currency)
    if order.pending is None:
        return now
    then = most(order.pending.terms, order.filled, currency)
    return None if now is None or then is None else max(now, then)
