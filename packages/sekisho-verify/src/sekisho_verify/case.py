# SPDX-License-Identifier: Apache-2.0
"""What one decision is made about: the order, or the order that an amendment would make.

Which parts come from the working order and which from the amendment stands in docs/spec/checks.md
section 4, below the table.
"""

from __future__ import annotations

import dataclasses
from fractions import Fraction

from sekisho_verify import canonical, prices
from sekisho_verify.agent import Agent, Working
from sekisho_verify.behaviour import Scores
from sekisho_verify.fold import State
from sekisho_verify.order import Order
from sekisho_verify.prices import Asked


@dataclasses.dataclass
class Case:
    """One decision to be made: the order, or the order that an amendment would make."""

    state: State
    agent: Agent
    order: Order
    now: int
    monotonic: int
    target: Working | None  # the working order that is amended or cancelled, by its present id
    market: str
    side: str
    currency: str
    order_type: str
    price: Fraction | None
    venue: str
    counterparty: str
    notional: int | None = None
    index: int = 0  # of the decision's entry
    scores: Scores | None = None  # None where the decision records none

    @property
    def pair(self) -> str:
        """The pair's name."""
        return prices.pair_of(self.market).name

    @property
    def direction(self) -> int:
        """+1 when X of the pair is bought."""
        return prices.direction(self.market, self.side)

    @property
    def reservation(self) -> int:
        """What the order, or the amended order, would reserve: r of 2.1 (notional is known)."""
        whole = self.notional or 0
        if self.order.action != "amend" or self.target is None:
            return whole
        return self.target.share(whole, self.order.quantity)


def case_of(state: State, agent: Agent, order: Order, now: int, monotonic: int) -> Case:
    """What is judged; the notional is computed where it can be."""
    target = agent.by_name.get(order.original) if order.original else None
    if target is not None and target.order_id != order.original:
        target = None  # a former id, or that of a pending amendment
    price = order.price_ratio
    case = Case(
        state=state,
        agent=agent,
        order=order,
        now=now,
        monotonic=monotonic,
        target=target,
        market=order.market,
        side=order.side,
        currency=order.currency,
        order_type=order.order_type,
        price=price,
        venue=order.venue,
        counterparty=order.counterparty or order.venue,
    )
    if order.action == "amend" and target is not None:
        case.market, case.side, case.currency = target.market, target.side, target.currency
        case.order_type, case.venue = target.order_type, target.venue
        case.counterparty = target.counterparty or target.venue
        if price is None and target.price is not None:
            case.price = Fraction(target.price, canonical.UNIT)
        elif target.order_type == "market":
            case.price = None
    if order.action != "cancel" and case.market and (order.action == "new" or amendable(case)):
        scope = agent.scope
        asked = Asked(case.market, case.side, case.currency, order.quantity, case.price)
        case.notional = prices.notional(
            asked, scope.currency, state.book, scope.sources[0], scope.buffer
        )
    return case


def amendable(case: Case) -> bool:
    """Whether an amendment names a working order that can still be changed so (row 7)."""
    target = case.target
    if target is None or target.pending is not None:
        return False
    return case.order.quantity > target.filled
