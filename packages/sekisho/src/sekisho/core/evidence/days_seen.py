# SPDX-License-Identifier: Apache-2.0
"""Counts by policy day and by hour of the week, exact whatever the number of orders.

Days beyond DAYS_MAX are added to one row ``earlier``, the oldest first; totals lose nothing.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final, NamedTuple

from sekisho.core.amounts import CENT, SCALE, format_money, parse_amount, parse_money
from sekisho.core.events import Decision
from sekisho.core.scope import Scope
from sekisho.core.terms import DAY_S, day_text

DAYS_MAX: Final = 4000
_HOUR_S: Final = 3600
_MONDAY: Final = 3
"""Day 0, 1970-01-01, was a Thursday: 3 where Monday is 0."""


class Caps(NamedTuple):
    """The daily cap once live, and before; units of 1e-8, 0 is none."""

    live: int = 0
    before: int = 0

    @classmethod
    def of(cls, scope: Scope, policy: dict[str, Any]) -> Caps:
        """Of a policy (docs/spec/checks.md, 4: the fraction, rounded down to the cent)."""
        if scope.daily_notional_max == "none":
            return cls()
        live = parse_amount(scope.daily_notional_max)
        fraction = parse_amount(policy["behaviour"]["baseline_daily_fraction"])
        return cls(live, live * fraction // SCALE // CENT * CENT)

    def now(self, *, live: bool) -> int:
        """The cap that holds."""
        return self.live if live else self.before


class DayCounts:
    """One policy day."""

    __slots__ = (
        "asked",
        "cap",
        "codes",
        "gross",
        "largest_permitted",
        "largest_refused",
        "permitted",
        "refused",
        "withdrawn",
    )

    def __init__(self) -> None:
        self.asked = self.permitted = self.refused = self.withdrawn = 0
        self.gross = self.cap = self.largest_permitted = self.largest_refused = 0
        self.codes: Counter[str] = Counter()

    def join(self, other: DayCounts) -> None:
        """Sums of the counts, the higher of the amounts."""
        self.asked += other.asked
        self.permitted += other.permitted
        self.refused += other.refused
        self.withdrawn += other.withdrawn
        self.gross = max(self.gross, other.gross)
        self.cap = max(self.cap, other.cap)
        self.largest_permitted = max(self.largest_permitted, other.largest_permitted)
        self.largest_refused = max(self.largest_refused, other.largest_refused)
        self.codes.update(other.codes)

    def plain(self, day: str) -> dict[str, Any]:
        """Money as text; ``cap`` is the day's last one, empty for none."""
        return {
            "day": day,
            "asked": self.asked,
            "permitted": self.permitted,
            "refused": self.refused,
            "withdrawn": self.withdrawn,
            "gross_permitted": format_money(self.gross),
            "cap": format_money(self.cap) if self.cap else "",
            "largest_permitted": format_money(self.largest_permitted),
            "largest_refused": format_money(self.largest_refused),
            "codes": [[code, count] for code, count in sorted(self.codes.items())],
        }


class DaysSeen:
    """The policy days of one agent."""

    def __init__(self) -> None:
        self._days: dict[int, DayCounts] = {}
        self._earlier = DayCounts()
        self._joined = 0

    def of(self, day: int) -> DayCounts:
        """The counts of a day (days since 1970-01-01)."""
        if day not in self._days:
            self._days[day] = DayCounts()
            if len(self._days) > DAYS_MAX:
                oldest = min(self._days)
                self._earlier.join(self._days.pop(oldest))
                self._joined += 1
                if oldest == day:
                    return self._earlier
        return self._days[day]

    def take(self, day: int, entry: Decision, cap: int) -> None:
        """One decision on its policy day, with the cap in force in units of 1e-8."""
        counts = self.of(day)
        counts.asked += 1
        counts.cap = cap
        notional = parse_money(entry.notional) if entry.notional else 0
        if entry.after is not None:
            counts.gross = max(counts.gross, parse_money(entry.after.gross_permitted))
        if entry.verdict == "permitted":
            counts.permitted += 1
            counts.largest_permitted = max(counts.largest_permitted, notional)
            return
        counts.refused += 1
        counts.largest_refused = max(counts.largest_refused, notional)
        # An order counts once for each code, however many sources gave it.
        counts.codes.update(dict.fromkeys((str(r.code) for r in entry.reasons), 1))

    def plain(self) -> dict[str, Any]:
        """``rows`` by day; ``earlier`` is the sum of ``joined`` days that are no rows any more."""
        return {
            "rows": [counts.plain(day_text(day)) for day, counts in sorted(self._days.items())],
            "joined": self._joined,
            "earlier": self._earlier.plain("") if self._joined else {},
        }


class WeekHours:
    """Decisions by weekday (Monday first) and local hour."""

    def __init__(self) -> None:
        self._asked = [[0] * 24 for _ in range(7)]
        self._refused = [[0] * 24 for _ in range(7)]

    def take(self, local: int, *, refused: bool) -> None:
        """One decision at a local time in seconds since 1970-01-01."""
        day, second = divmod(local, DAY_S)
        weekday, hour = (day + _MONDAY) % 7, second // _HOUR_S
        self._asked[weekday][hour] += 1
        self._refused[weekday][hour] += refused

    def plain(self) -> dict[str, Any]:
        """Seven rows of twenty-four counts."""
        return {
            "asked": [list(row) for row in self._asked],
            "refused": [list(row) for row in self._refused],
        }
