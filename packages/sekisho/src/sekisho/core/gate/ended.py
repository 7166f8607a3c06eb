# SPDX-License-Identifier: Apache-2.0
"""Orders that have ended, remembered so that a late report still finds its permit
(docs/spec/checks.md, section 2.2).

A fill may be reported after the cancel that ended what was left: it is covered by the permit up to
its quantity, and belongs into the position. Two policy days after its end an order is forgotten;
what is reported of it then is covered by nothing that the state knows.
"""

from __future__ import annotations

from typing import Final

import msgspec

from sekisho.core.gate.working import Terms, WorkingOrder

NEVER: Final = -1
"""``ended_at`` of an order of which the venue said that it never lived."""


class EndedOrder(msgspec.Struct, gc=False):
    """One order that can no longer be executed, by the venue's word.

    ``total`` is money for ``quantity``, of which ``filled`` is executed. ``ended_at``: the venue's
    time of the report that ended it, ns, or NEVER. ``day``: the policy day of the end.
    """

    terms: Terms
    total: int
    quantity: int
    filled: int
    ended_at: int
    day: int


class EndedOrders:
    """The ended orders of one agent, by every id that they had. Two are equal when all of that
    is.
    """

    __slots__ = ("_by_name",)
    __hash__ = None  # type: ignore[assignment]  # it changes: equal ones would not stay so

    def __init__(self) -> None:
        self._by_name: dict[str, EndedOrder] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EndedOrders) and self._by_name == other._by_name

    def find(self, name: str) -> EndedOrder | None:
        """The ended order that has or had this id."""
        return self._by_name.get(name)

    def add(self, names: list[str], order: WorkingOrder, ended_at: int, day: int) -> None:
        """Remember an order as it is when it ends, with what a pending amendment allowed."""
        quantity = order.terms.quantity
        if order.pending is not None:
            quantity = max(quantity, order.pending.terms.quantity)
        ended = EndedOrder(order.terms, order.total, quantity, order.filled, ended_at, day)
        for name in names:
            self._by_name[name] = ended

    def forget(self, day: int) -> None:
        """A policy day has begun: forget what ended before the day before it."""
        for name in [name for name, ended in self._by_name.items() if ended.day < day - 1]:
            del self._by_name[name]
