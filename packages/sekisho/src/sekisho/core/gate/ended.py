# SPDX-License-Identifier: Apache-2.0
"""Orders that have ended, remembered so that a late report still finds its permit
(docs/spec/checks.md, section 2.2).

A fill may be reported after the cancel that ended what was left: it is covered by the permit up to
its quantity, and belongs into the position. Two policy days after its end an order is forgotten;
what is reported of it then is covered by nothing that the state knows.

They are by far the largest part of the state, so a snapshot of them is encoded in slices while
orders go on. It is of one moment all the same: :class:`EndedCut`.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from itertools import islice
from typing import Final, NamedTuple

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

    __slots__ = ("_by_name", "_cuts")
    __hash__ = None  # type: ignore[assignment]  # it changes: equal ones would not stay so

    def __init__(self) -> None:
        self._by_name: dict[str, EndedOrder] = {}
        self._cuts: list[EndedCut] = []

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

    def fill(self, ended: EndedOrder, quantity: int) -> None:
        """A fill that was reported after the end: the one thing of an ended order that changes."""
        for cut in self._cuts:
            cut.keep(ended)
        ended.filled += quantity

    def cut(self) -> EndedCut:
        """What is remembered now, whatever is added, filled and forgotten until it is closed."""
        made = EndedCut(self, dict(self._by_name))
        self._cuts.append(made)
        return made

    def close(self, cut: EndedCut) -> None:
        """Keep nothing more for a cut."""
        self._cuts = [one for one in self._cuts if one is not cut]

    def forget(self, day: int) -> None:
        """A policy day has begun: forget what ended before the day before it."""
        for name in [name for name, ended in self._by_name.items() if ended.day < day - 1]:
            del self._by_name[name]


class EndedRow(NamedTuple):
    """One ended order with all its ids, sorted, and what was executed of it at the cut."""

    names: list[str]
    order: EndedOrder
    filled: int


class EndedCut:
    """The ended orders of one agent as they were at one moment, to be read in slices.

    The moment costs a copy of the table of ids. Orders are shared with the state, which says of
    each that it fills late how much was executed at the cut.
    """

    def __init__(self, ended: EndedOrders, by_name: dict[str, EndedOrder]) -> None:
        self._ended = ended
        self._by_name = by_name
        self._before: dict[int, int] = {}

    def keep(self, order: EndedOrder) -> None:
        """The order is about to change: remember how it was. What came later is not of this cut."""
        self._before.setdefault(id(order), order.filled)

    def close(self) -> None:
        """Nothing more is read."""
        self._ended.close(self)

    def slices(self, size: int) -> Iterator[list[EndedRow]]:
        """All rows, in the order of their first ids, at most ``size`` at a time.

        An empty slice means that a part of the sorting is done, which takes no longer than a full
        one: whoever reads may do something else after each.
        """
        first: dict[int, str] = {}
        others: dict[int, list[str]] = {}
        runs: list[list[str]] = []
        items = iter(self._by_name.items())
        while run := list(islice(items, 4 * size)):
            for name, order in run:
                if first.setdefault(id(order), name) is not name:
                    others.setdefault(id(order), []).append(name)
            runs.append(sorted(name for name, _ in run))
            yield []
        rows: list[EndedRow] = []
        for name in merge(*runs):
            order = self._by_name[name]
            names = sorted([first[id(order)], *others.get(id(order), ())])
            if name == names[0]:
                rows.append(EndedRow(names, order, self._before.get(id(order), order.filled)))
            if len(rows) == size:
                yield rows
                rows = []
        yield rows
