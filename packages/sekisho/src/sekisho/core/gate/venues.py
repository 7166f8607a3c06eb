# SPDX-License-Identifier: Apache-2.0
"""Venues and clocks in the gate's state (docs/spec/checks.md, section 2.4).

A venue can be traded at while it is reconciled since the boot and not latched; a clock can be
trusted while the last observation of it is within what the policies allow. Nothing here reads a
venue or a clock: entries say what was read. Which reports are covered by a permit, ``reports``
says; here a break becomes the latch of its venue.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from sekisho.core.events import (
    ClockObserved,
    IncidentOpened,
    RestingUnknown,
    VenueContradicted,
    VenueLost,
    VenueRearmed,
    VenueReconciled,
)
from sekisho.core.gate.agent import AgentState
from sekisho.core.terms import NS

Told = (
    VenueReconciled | VenueLost | RestingUnknown | VenueContradicted | VenueRearmed | ClockObserved
)
RESTING_UNKNOWN = "resting_unknown"
"""The factor of a break that the venue's list of open orders shows."""
CONTRADICTED = "venue_contradicted"
"""The factor of a break that two words of the venue about one order show."""


class VenueStanding(msgspec.Struct):
    """What the gate knows of one venue.

    ``incident``: the break that latched it, empty while it is not latched.
    """

    reconciled: bool
    incident: str


def _unread() -> VenueStanding:
    """A venue of which nothing is known."""
    return VenueStanding(reconciled=False, incident="")


class ClockStanding(NamedTuple):
    """The last observation of the gate's clock, both in ns."""

    difference: int
    step: int


class Break(NamedTuple):
    """What the entry ``trigger`` showed that cannot be in order; its incident has to follow.

    ``agent`` and ``certificate_sha256`` are empty where the venue names no agent of this gate.
    """

    trigger: int
    venue: str
    agent: str
    certificate_sha256: str
    factor: str


class Outside:
    """Venues, clock and breaks of one gate. Only the fold writes to it.

    Attributes:
        venues: by name; absent: never reconciled, never latched.
        clock: the last observation since the boot, or None.
        clock_max_ns: the smallest difference that the admitted agents' policies allow; None while
            there is no agent.
        due: the break whose incident has to be the next entry.
        strange: venue and ``exec_id`` of the reports about agents that this gate does not have.
    """

    __slots__ = ("clock", "clock_max_ns", "due", "strange", "venues")

    def __init__(self) -> None:
        self.venues: dict[str, VenueStanding] = {}
        self.clock: ClockStanding | None = None
        self.clock_max_ns: int | None = None
        self.due: Break | None = None
        self.strange: set[tuple[str, str]] = set()

    def standing(self, venue: str) -> VenueStanding:
        """What is known of a venue."""
        return self.venues.get(venue) or _unread()

    def beyond(self, difference: int, step: int) -> bool:
        """Whether such an observation is more than the policies allow."""
        most = self.clock_max_ns
        return most is not None and max(abs(difference), abs(step)) > most

    def sound_clock(self) -> bool:
        """Whether the clock was observed since the boot, and within what the policies allow."""
        return self.clock is not None and not self.beyond(*self.clock)

    def opened(self) -> None:
        """A gate process began: no venue is reconciled, no clock observed; latches stay."""
        self.clock = None
        for venue in self.venues.values():
            venue.reconciled = False

    def admitted(self, agents: Mapping[str, AgentState]) -> None:
        """An agent was admitted, or its policy changed."""
        self.clock_max_ns = min(
            agent.limits.terms.risk_controls.clock_difference_max_s * NS
            for agent in agents.values()
        )

    def broken(self, index: int, venue: str, held: AgentState | None, factor: str) -> None:
        """An entry shows what no permit covers. A venue that is latched is not latched again.

        ``held``: the agent that it names, None where that is not one of this gate.
        """
        if self.standing(venue).incident:
            return
        if held is None:
            self.due = Break(index, venue, "", "", factor)
        else:
            self.due = Break(index, venue, held.agent, held.certificate_sha256, factor)

    def latch(self, entry: IncidentOpened) -> None:
        """The incident of a break: the venue is latched from here on."""
        self.venues.setdefault(entry.observed, _unread()).incident = entry.incident
        self.due = None

    def apply(self, index: int, entry: Told, agents: Mapping[str, AgentState]) -> None:
        """Take an entry about venues or the clock."""
        match entry:
            case VenueReconciled():
                self.venues.setdefault(entry.venue, _unread()).reconciled = True
            case VenueLost():
                self.venues.setdefault(entry.venue, _unread()).reconciled = False
            case RestingUnknown():
                held = agents.get(entry.agent)
                if held is None or held.find(entry.client_order_id) is None:
                    self.broken(index, entry.venue, held, RESTING_UNKNOWN)
            case VenueContradicted():
                held = agents.get(entry.agent)
                order = None if held is None else held.find(entry.client_order_id)
                if order is not None and order.terms.venue == entry.venue:
                    self.broken(index, entry.venue, held, CONTRADICTED)
            case VenueRearmed():
                standing = self.venues.get(entry.venue)
                if standing is not None and standing.incident == entry.incident:
                    standing.incident = ""
            case ClockObserved():
                step = int(entry.step_ns)
                self.clock = ClockStanding(int(entry.authority_difference_ns), step)
