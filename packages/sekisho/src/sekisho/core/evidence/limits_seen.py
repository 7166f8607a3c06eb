# SPDX-License-Identifier: Apache-2.0
"""How close trading came to each limit, and what was refused by it (docs/spec/checks.md).

Read from decision entries alone: nothing is computed anew. What an entry does not record of a
permitted order (its distance from the collar, the position) is known from refusals only.
"""

from __future__ import annotations

import re
from typing import Any, Final

from sekisho.core.amounts import SCALE, ceil_fraction, format_amount, parse_amount, parse_money
from sekisho.core.events import Decision
from sekisho.core.scope import Scope
from sekisho.core.terms import Reason

_NUMBER = re.compile(r"([0-9]{1,60})(?:\.([0-9]{1,8}))?")
_FRACTION_DIGITS: Final = 8
_MARKETS_MAX: Final = 64


def number_of(text: str) -> int | None:
    """A quantity, money, count or share in units of 1e-8; None for any other text."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    whole, part = match.groups()
    return int(whole) * SCALE + int((part or "").ljust(_FRACTION_DIGITS, "0"))


class Nearest:
    """The highest share of one limit that permitted trading used; its own limit stands beside it,
    since a policy may change. Where nothing limits, the highest value.
    """

    __slots__ = ("_limit", "_value", "row")

    def __init__(self) -> None:
        self._value = self._limit = 0
        self.row: dict[str, Any] = {
            "observed": "",
            "limit": "",
            "share": "",
            "at": "",
            "client_order_id": "",
        }

    def take(self, value: int, limit: int, entry: Decision) -> None:
        """One value in units of 1e-8; ``limit`` 0 is none. The first of equals stays."""
        if not self._higher(value, limit):
            return
        self._value, self._limit = value, limit
        self.row = {
            "observed": format_amount(value),
            "limit": format_amount(limit) if limit else "",
            "share": ceil_fraction(value, limit) if limit else "",
            "at": entry.at,
            "client_order_id": order_id(entry),
        }

    def _higher(self, value: int, limit: int) -> bool:
        if not self.row["at"]:
            return True
        if limit and self._limit:
            return value * self._limit > self._value * limit
        if limit or self._limit:
            return bool(limit)
        return value > self._value


class LimitsSeen:
    """What the permitted orders of one agent came to, limit by limit."""

    def __init__(self) -> None:
        self._nearest: dict[str, Nearest] = {}

    def take(self, entry: Decision, scope: Scope, cap: int) -> None:
        """One permitted decision under this scope.

        Args:
            entry: the decision.
            scope: of the policy in force.
            cap: the daily cap in force in units of 1e-8, 0 for none.
        """
        if entry.notional:
            limit = _money(scope.order_notional_max)
            self._of("order_notional_max").take(parse_money(entry.notional), limit, entry)
        if entry.after is not None:
            after = entry.after
            self._of("daily_notional_max").take(parse_money(after.gross_permitted), cap, entry)
            count = scope.daily_order_count_max
            self._of("daily_order_count_max").take(
                after.orders * SCALE, 0 if count == "none" else count * SCALE, entry
            )
            rate = scope.message_rate
            if rate != "none":
                self._of("message_rate").take(after.messages * SCALE, rate.count_max * SCALE, entry)
        self._quantity(entry, scope)

    def _quantity(self, entry: Decision, scope: Scope) -> None:
        order = entry.order
        if order is None or order.get("action") != "new" or scope.order_quantity_max == "none":
            return
        for row in scope.order_quantity_max:
            if (row.market, row.currency) == (order["market"], order["currency"]):
                name = f"order_quantity_max {row.market} {row.currency}"
                self._of(name).take(parse_amount(order["quantity"]), parse_amount(row.max), entry)

    def _of(self, name: str) -> Nearest:
        known = self._nearest.get(name)
        if known is not None:
            return known
        if len(self._nearest) >= _MARKETS_MAX:
            name = "others"
        return self._nearest.setdefault(name, Nearest())

    def plain(self) -> list[dict[str, Any]]:
        """``{name, observed, limit, share, at, client_order_id}``, in the order of names."""
        return [{"name": name, **near.row} for name, near in sorted(self._nearest.items())]


class Tally:
    """All refusals by one code: how many orders, first, last, and the highest value observed."""

    __slots__ = ("_highest", "_value", "count", "first_at", "last_at")

    def __init__(self) -> None:
        self.count = 0
        self.first_at = self.last_at = ""
        self._value = -1
        self._highest = {"observed": "", "limit": "", "unit": "", "at": "", "client_order_id": ""}

    def take(self, entry: Decision, reason: Reason, *, again: bool) -> None:
        """One reason; ``again``: the order had this code before, and counts once."""
        self.count += not again
        self.first_at = self.first_at or entry.at
        self.last_at = entry.at
        value = None if reason.unit in ("ns", "instant") else number_of(reason.observed)
        if value is not None and value > self._value:
            self._value = value
            self._highest = {
                "observed": reason.observed,
                "limit": reason.limit,
                "unit": reason.unit,
                "at": entry.at,
                "client_order_id": order_id(entry),
            }

    def plain(self, code: str) -> dict[str, Any]:
        """For the report."""
        return {
            "code": code,
            "orders": self.count,
            "first_at": self.first_at,
            "last_at": self.last_at,
            "highest": dict(self._highest),
        }


def order_id(entry: Decision) -> str:
    """The order's own name; empty when the body was malformed."""
    return "" if entry.order is None else str(entry.order.get("client_order_id", ""))


def _money(limit: str) -> int:
    return 0 if limit == "none" else parse_amount(limit)
