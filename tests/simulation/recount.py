# SPDX-License-Identifier: Apache-2.0
"""The counters once more, from docs/spec/checks.md section 2 alone, in fractions.

Deliberately another way than the product's fold: an order is a small record, money is a Fraction,
and nothing is kept that the counters do not need. One agent, a policy in UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any

from sekisho.core.events import AgentAdmitted, Decision, Execution, GateEntry, Withdrawn


@dataclass
class Counted:
    """One order: money in cents, quantities exact; ``change`` is (id, quantity, total) pending."""

    name: str
    decision: int
    total: int
    reserved: int
    quantity: Fraction
    filled: Fraction = Fraction(0)
    change: tuple[str, Fraction, int] | None = None

    def rest(self, total: int, quantity: Fraction) -> int:
        """What a reservation still is when only the leaves can happen."""
        return ceil(total * max(Fraction(0), quantity - self.filled) / quantity)


class Recount:
    """Gross permitted, reserved and orders of the policy day; the sums that were ever permitted."""

    def __init__(self) -> None:
        self.day = ""
        self.gross = 0
        self.orders = 0
        self.working: list[Counted] = []
        self.added: dict[int, tuple[str, int]] = {}
        """Decision index → policy day and what it added to gross."""
        self._names: dict[str, Counted] = {}
        self._changed_by: dict[int, Counted] = {}
        self._executed: set[tuple[str, str]] = set()

    @property
    def reserved(self) -> int:
        """Cents that working orders reserve."""
        return sum(order.reserved for order in self.working)

    def take(self, index: int, entry: GateEntry) -> list[str]:
        """Count one entry; where its own counters say something else, that is returned."""
        if isinstance(entry, AgentAdmitted) or (self.day and getattr(entry, "agent", "")):
            self._roll(entry.at[:10])
        if isinstance(entry, Decision) and entry.before is not None:
            wrong = self._compare("before", index, entry.before)
            if entry.verdict == "permitted" and entry.order is not None:
                self._permit(index, entry, entry.order)
            return wrong + self._compare("after", index, entry.after)
        if isinstance(entry, Withdrawn):
            self._withdraw(entry.decision)
        elif isinstance(entry, Execution):
            self._execute(entry)
        return []

    def _roll(self, day: str) -> None:
        if day > self.day:
            self.day, self.gross, self.orders = day, self.reserved, 0

    def _compare(self, which: str, index: int, counters: Any) -> list[str]:
        mine = (self.day, self.gross, self.reserved, self.orders)
        said = (
            counters.day,
            _cents(counters.gross_permitted),
            _cents(counters.open_reserved),
            counters.orders,
        )
        return [] if mine == said else [f"entry {index} {which}: recorded {said}, counted {mine}"]

    def _permit(self, index: int, entry: Decision, order: dict[str, Any]) -> None:
        if order["action"] == "cancel":
            return
        amount, quantity = _cents(entry.notional), Fraction(order["quantity"])
        name = order["client_order_id"]
        if order["action"] == "new":
            counted = Counted(name, index, amount, amount, quantity)
            self.working.append(counted)
            self.orders += 1
            more = amount
        else:
            counted = self._names[order["orig_client_order_id"]]
            reserves = counted.rest(amount, quantity)
            more = max(0, reserves - counted.reserved)
            counted.change = (name, quantity, amount)
            counted.reserved = max(counted.reserved, reserves)
            self._changed_by[index] = counted
        self._names[name] = counted
        self.gross += more
        self.added[index] = (self.day, more)

    def _withdraw(self, decision: int) -> None:
        for order in self.working:
            if order.decision == decision:
                self.working.remove(order)
                return
        changed = self._changed_by.get(decision)
        if changed is not None and changed in self.working:
            self._settle(changed, drop=True)

    def _settle(self, order: Counted, *, drop: bool = False) -> None:
        """Reserve for what can still happen; an order with nothing left and no change is gone."""
        if drop and order.change is not None:
            del self._names[order.change[0]]  # reports under this id are about nothing any more
            order.change = None
        order.reserved = order.rest(order.total, order.quantity)
        if order.change is not None:
            order.reserved = max(order.reserved, order.rest(order.change[2], order.change[1]))
        elif not drop and order.filled >= order.quantity:
            self.working.remove(order)

    def _execute(self, report: Execution) -> None:
        order = self._names.get(report.client_order_id)
        if (report.venue, report.exec_id) in self._executed:
            return
        self._executed.add((report.venue, report.exec_id))
        if order is None or order not in self.working:
            return
        own = order.change is None or order.change[0] != report.client_order_id
        if report.exec_type == "trade":
            order.filled += Fraction(report.last_quantity)
            self._settle(order)
        elif report.exec_type == "replaced" and order.change is not None:
            order.name, order.quantity, order.total = order.change
            order.change = None
            self._settle(order)
        elif report.exec_type in ("canceled", "expired") or (
            own and report.exec_type in ("rejected", "not_found")
        ):
            self.working.remove(order)
        elif report.exec_type in ("rejected", "not_found"):
            self._settle(order, drop=True)


def _cents(text: str) -> int:
    value = Fraction(text) * 100
    assert value.denominator == 1, text
    return value.numerator
