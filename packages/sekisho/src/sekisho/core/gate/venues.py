# SPDX-License-Identifier: Apache-2.0
"""Venues and clocks in the gate's state (docs/spec/checks.md, section 2.4).

A venue can be traded at while it is reconciled since the boot and not latched; a clock can be
trusted while the last observation of it is within what the policies allow. Nothing here reads a
venue or a clock: entries say what was read. Which reports are covered by a permit, ``reports``
says; here a break becomes the latch of its venue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from sekisho.core.events import (
    ClockObserved,
    IncidentOpened,
    RestingUnknown,
    VenueLost,
    VenueRearmed,
    VenueReconciled,
)
from sekisho.core.terms import NS

if TYPE_CHECKING:
    from sekisho.core.gate.state import GateState

RESTING_UNKNOWN = "resting_unknown"
"""The factor of a break that the venue's list of open orders shows."""


class VenueStanding(msgspec.Struct):
    """What the gate knows of one venue.

    ``incident``: the break that latched it, empty while it is not latched.
    """

    reconciled: bool = False
    incident: str = ""


class ClockStanding(NamedTuple):
    """The last observation of the gate's clock, both in ns."""

    difference: int
    step: int


class Break(NamedTuple):
    """What the entry ``trigger`` showed that no permit covers; its incident has to follow.

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
        return self.venues.get(venue) or VenueStanding()

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

    def admitted(self, state: GateState) -> None:
        """An agent was admitted, or its policy changed."""
        self.clock_max_ns = min(
            agent.limits.terms.risk_controls.clock_difference_max_s * NS
            for agent in state.agents.values()
        )

    def broken(self, state: GateState, index: int, venue: str, agent: str, factor: str) -> None:
        """An entry shows what no permit covers. A venue that is latched is not latched again."""
        if self.standing(venue).incident:
            return
        held = state.agents.get(agent)
        if held is None:
            self.due = Break(index, venue, "", "", factor)
        else:
            self.due = Break(index, venue, agent, held.certificate_sha256, factor)

    def latch(self, entry: IncidentOpened) -> None:
        """The incident of a break: the venue is latched from here on."""
        self.venues.setdefault(entry.observed, VenueStanding()).incident = entry.incident
        self.due = None


def reconciled(state: GateState, _index: int, _at: int, entry: VenueReconciled) -> None:
    """The venue was read."""
    state.outside.venues.setdefault(entry.venue, VenueStanding()).reconciled = True


def lost(state: GateState, _index: int, _at: int, entry: VenueLost) -> None:
    """The venue could not be read for too long."""
    state.outside.venues.setdefault(entry.venue, VenueStanding()).reconciled = False


def resting(state: GateState, index: int, _at: int, entry: RestingUnknown) -> None:
    """The venue lists what is no working order here."""
    held = state.agents.get(entry.agent)
    if held is None or held.find(entry.client_order_id) is None:
        state.outside.broken(state, index, entry.venue, entry.agent, RESTING_UNKNOWN)


def rearmed(state: GateState, _index: int, _at: int, entry: VenueRearmed) -> None:
    """Named people took the latch off that this incident had set."""
    held = state.outside.venues.get(entry.venue)
    if held is not None and held.incident == entry.incident:
        held.incident = ""


def observed(state: GateState, _index: int, _at: int, entry: ClockObserved) -> None:
    """The clock was compared."""
    state.outside.clock = ClockStanding(int(entry.authority_difference_ns), int(entry.step_ns))
