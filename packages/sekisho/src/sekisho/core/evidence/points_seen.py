# SPDX-License-Identifier: Apache-2.0
"""Single orders for a plot: thinned, but with every extreme (docs/reference/report.md).

Kept whatever comes: the largest permitted, the largest refused, and those that opened an incident.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

from sekisho.core.amounts import parse_money
from sekisho.core.events import Decision
from sekisho.core.evidence.limits_seen import order_id
from sekisho.core.evidence.thinning import EveryNth, Largest

PERMITTED_MAX: Final = 1500
REFUSED_MAX: Final = 500
LARGEST_MAX: Final = 50
PINNED_MAX: Final = 1000


class OrderPoint:
    """One order with a value. ``ending`` becomes ``withdrawn`` where that follows."""

    __slots__ = ("action", "at", "ending", "incident", "index", "name", "notional")

    def __init__(self, index: int, entry: Decision, action: str) -> None:
        self.index = index
        self.at = entry.at
        self.name = order_id(entry)
        self.action = action
        self.notional = entry.notional
        self.ending: str = entry.verdict
        self.incident = ""

    def plain(self) -> dict[str, Any]:
        """For the report."""
        return {
            "index": self.index,
            "at": self.at,
            "client_order_id": self.name,
            "action": self.action,
            "notional": self.notional,
            "ending": self.ending,
            "incident_kind": self.incident,
        }


class PointsSeen:
    """The orders of one agent."""

    RECENT_MAX: Final = 1024
    """How far back an order can still be marked: group commit is far shorter than this."""

    def __init__(self) -> None:
        self._permitted: EveryNth[OrderPoint] = EveryNth(PERMITTED_MAX)
        self._refused: EveryNth[OrderPoint] = EveryNth(REFUSED_MAX)
        self._largest: dict[str, Largest[OrderPoint]] = {
            "permitted": Largest(LARGEST_MAX),
            "refused": Largest(LARGEST_MAX),
        }
        self._pinned: list[OrderPoint] = []
        self._recent: OrderedDict[int, OrderPoint] = OrderedDict()

    def take(self, index: int, entry: Decision, action: str) -> None:
        """One decision; without a value it is no point."""
        if not entry.notional:
            return
        point = OrderPoint(index, entry, action)
        self._recent[index] = point
        if len(self._recent) > self.RECENT_MAX:
            self._recent.popitem(last=False)
        (self._permitted if entry.verdict == "permitted" else self._refused).take(point)
        self._largest[entry.verdict].take(parse_money(entry.notional), point)

    def withdrawn(self, decision: int) -> None:
        """A permitted order left nothing."""
        if decision in self._recent:
            self._recent[decision].ending = "withdrawn"

    def pin(self, trigger: int, incident_kind: str) -> None:
        """The order that opened an incident, if it was an order, is never thinned away."""
        if trigger in self._recent and len(self._pinned) < PINNED_MAX:
            self._recent[trigger].incident = incident_kind
            self._pinned.append(self._recent[trigger])

    def plain(self) -> dict[str, Any]:
        """``rows`` by index; of the others one in ``stride`` is there."""
        kept = {
            point.index: point
            for points in (
                self._permitted.kept,
                self._refused.kept,
                self._largest["permitted"].items(),
                self._largest["refused"].items(),
                self._pinned,
            )
            for point in points
        }
        return {
            "count": self._permitted.seen + self._refused.seen,
            "stride_permitted": self._permitted.stride,
            "stride_refused": self._refused.stride,
            "rows": [point.plain() for _, point in sorted(kept.items())],
        }
