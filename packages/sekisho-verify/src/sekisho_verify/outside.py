# SPDX-License-Identifier: Apache-2.0
"""Venues, clocks and breaks in the fold of a gate's log (docs/spec/checks.md sections 2.2 and 2.4).

What a venue reports that no permit covers is named here by its factor; which entry has to follow,
`watch` says. Rows 31 to 33 read what is kept here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from sekisho_verify import canonical
from sekisho_verify.canonical import SECOND
from sekisho_verify.entries import Entry
from sekisho_verify.findings import require

NEVER = -1
"""`at` of an order of which the venue said that it never lived."""


@dataclasses.dataclass
class Ended:
    """An order that has ended by the venue's word; quantities and money count 1e-8."""

    market: str
    currency: str
    pair: str
    direction: int
    total: int
    whole: int
    quantity: int
    filled: int
    at: int
    day: int
    asked: dict[str, object] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Break:
    """What the entry `trigger` showed that no permit covers."""

    trigger: int
    venue: str
    agent: str
    certificate_sha256: str
    factor: str


class Outside:
    """What the log says of venues and of the gate's clock.

    Attributes:
        reconciled: venues that were read since the boot and not lost.
        latched: venue → id of the break that latched it.
        clock: difference to the authority's clock, and step since, in ns; None before the first.
        due: the break whose incident has to follow.
    """

    def __init__(self) -> None:
        self.reconciled: set[str] = set()
        self.latched: dict[str, str] = {}
        self.clock: tuple[int, int] | None = None
        self.due: Break | None = None
        self._strange: set[tuple[str, str]] = set()

    def apply(self, entry: Entry, bounds: Iterable[int]) -> None:
        """Apply an entry that names no agent's order.

        Args:
            entry: any.
            bounds: `clock_difference_max_s` of the admitted agents' policies.

        Raises:
            VerificationFailed: `within` is not as computed.
        """
        kind, venue = entry["kind"], str(entry.get("venue"))
        if kind == "gate_opened":
            self.reconciled.clear()
            self.clock = None
        elif kind == "venue_reconciled":
            self.reconciled.add(venue)
        elif kind == "venue_lost":
            self.reconciled.discard(venue)
        elif kind == "venue_rearmed" and self.latched.get(venue) == entry["incident"]:
            del self.latched[venue]
        elif kind == "incident_opened" and entry["incident_kind"] == "break":
            self.latched[str(entry["observed"])] = str(entry["incident"])
            self.due = None
        elif kind == "clock_observed":
            self.clock = int(str(entry["authority_difference_ns"])), int(str(entry["step_ns"]))
            within = not list(self.beyond(bounds))
            require(entry["within"] is within, f"`within` is recorded otherwise than {within}")

    def beyond(self, bounds: Iterable[int]) -> Iterable[tuple[int, int, int]]:
        """Place, value and limit of what is more than the smallest bound; all in ns."""
        most = min(bounds, default=None)
        if most is None or self.clock is None:
            return
        for place, value in enumerate(self.clock):
            if abs(value) > most * SECOND:
                yield place, value, most * SECOND

    def strange(self, entry: Entry) -> str:
        """The factor of a report about an agent that is not admitted; "" when it came before."""
        seen = str(entry["venue"]), str(entry["exec_id"])
        if seen in self._strange:
            return ""
        self._strange.add(seen)
        return of_stranger(entry)

    def broken(self, index: int, entry: Entry, certificate: str, factor: str) -> None:
        """An entry shows a break; a venue that is latched is not latched again."""
        venue = str(entry["venue"])
        if factor and venue not in self.latched:
            agent = str(entry["agent"]) if certificate else ""
            self.due = Break(index, venue, agent, certificate, factor)


def of_stranger(entry: Entry) -> str:
    """The factor of a report about no order of this gate."""
    if entry["exec_type"] == "trade":
        return "unpermitted_execution"
    return "unpermitted_order" if entry["exec_type"] in {"new", "replaced"} else ""


def late(ended: Ended | None, entry: Entry) -> str:
    """The factor of a report that finds no working order; a fill of an ended one is counted."""
    if ended is None:
        return of_stranger(entry)
    if entry["exec_type"] == "trade":
        ended.filled += canonical.amount(entry["last_quantity"])
        if ended.filled > ended.quantity:
            return "execution_above_permit"
        after = canonical.instant(entry["transact_at"]) > ended.at
        return "execution_after_end" if after else ""
    lives = entry["exec_type"] in {"new", "replaced"}
    return "execution_after_end" if lives and ended.at == NEVER else ""
