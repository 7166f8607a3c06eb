# SPDX-License-Identifier: Apache-2.0
"""What a shutdown order or a latched breaker leaves of trading (docs/spec/checks.md, section 4.7).

An order reduces by its effect, never by a word of the bot: it takes back a position that is known
for certain, and all that is working in its direction together does not cross zero. That is judged
by quantity: the same money is another quantity after the price has moved.
"""

from __future__ import annotations

from typing import NamedTuple

from sekisho.core.amounts import format_amount
from sekisho.core.gate.checks import Asked, Reasons
from sekisho.core.gate.order import AmendOrder
from sekisho.core.gate.quantities import is_counted, most, most_of, taken_back
from sekisho.core.gate.working import Terms
from sekisho.core.terms import Code, Reason

NOT_RECONCILED = "not reconciled"


class Remainder(NamedTuple):
    """What would be held in the order's direction at most, in units of 1e-8 of the currency."""

    amount: int
    currency: str


def remainder(asked: Asked) -> Remainder | None:
    """Position, working orders and the order together, in its direction, in its own currency and
    in the other one if fills were counted in it: the first that is above zero, else the first.
    None where one of them cannot be computed.
    """
    terms = asked.terms
    if terms is None or asked.reserves is None:
        return None
    base, quote = terms.market.split("/")
    other = quote if terms.currency == base else base
    found: list[Remainder] = []
    for currency in (terms.currency, other):
        if currency == other and not is_counted(asked.agent.quantities, terms.pair, other):
            continue
        amount = _moves(asked, terms, currency)
        if amount is None:
            return None
        back = taken_back(asked.agent.quantities, terms, currency)
        found.append(Remainder(amount - back, currency))
    return next((one for one in found if one.amount > 0), found[0])


def _moves(asked: Asked, terms: Terms, currency: str) -> int | None:
    """The most that this order and the working ones of its direction can move."""
    target = asked.target
    own = most(terms, 0 if target is None else target.filled, currency)
    if target is not None and own is not None:
        # Until the venue has confirmed the amendment, the order as it is can still be filled.
        before = most_of(target, currency)
        own = None if before is None else max(own, before)
    if own is None:
        return None
    side = (terms.pair, terms.direction)
    for order in asked.agent.working.values():
        if order is target or (order.terms.pair, order.terms.direction) != side:
            continue
        works = most_of(order, currency)
        if works is None:
            return None
        own += works
    return own


def reduces(asked: Asked) -> bool:
    """Whether the order only takes back a position of which nothing is in doubt."""
    left, terms = remainder(asked), asked.terms
    return (
        terms is not None
        and left is not None
        and left.amount <= 0
        and asked.agent.reconciled(terms.pair)
    )


def passes_breaker(asked: Asked) -> bool:
    """Whether the latched breaker lets the order by: one that reduces, unless all are shut out."""
    return asked.agent.restriction == "reduce_only" and reduces(asked)


def shutdown(asked: Asked) -> Reasons:
    """Row 6, its third line: what a named person ordered."""
    mode = asked.agent.shutdown
    if mode == "cancel_only":
        action = "amend" if isinstance(asked.order, AmendOrder) else "new"
        yield Reason(Code.ACTION_NOT_PERMITTED, mode, action, "")
    elif mode and not reduces(asked):
        left, terms = remainder(asked), asked.terms
        if left is None or terms is None:
            yield Reason(Code.ACTION_NOT_PERMITTED, mode, "", "")
        elif not asked.agent.reconciled(terms.pair):
            yield Reason(Code.ACTION_NOT_PERMITTED, mode, NOT_RECONCILED, "")
        else:
            yield Reason(Code.ACTION_NOT_PERMITTED, mode, format_amount(left.amount), left.currency)
