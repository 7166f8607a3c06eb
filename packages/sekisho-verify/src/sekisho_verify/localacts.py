# SPDX-License-Identifier: Apache-2.0
"""What people commanded at the gate itself: shutdown orders and local stops.

Implements docs/spec/states.md for the gate's log: one named person narrows, and a local stop is
lifted only by a release that the authority recorded after it.
"""

from __future__ import annotations

from sekisho_verify import canonical, people
from sekisho_verify.entries import Entry
from sekisho_verify.findings import require
from sekisho_verify.issued import Issued, Replays
from sekisho_verify.people import Command, Roster


def narrowed(entry: Entry, roster: Roster, now: int, replays: Replays, index: int) -> None:
    """A `shutdown_ordered` or `local_stop` rests on commands of people who may give them.

    Raises:
        VerificationFailed: it does not.
    """
    agent, stops = str(entry["agent"]), entry["kind"] == "local_stop"

    def allowed(command: Command) -> bool:
        ours = command.agent == agent or command.scope == "all:all"
        if stops:
            return ours and command.command in {"hold", "kill"}
        return ours and command.command == "shutdown" and command.mode == entry["mode"]

    found = people.commands(canonical.array_of(entry["commands"]), roster, now, allowed)
    require(entry["seats"] == [one.seat.name for one in found], "names other seats")
    for one in found:
        replays.use(one, agent, index)


class LocalStops:
    """Which agents are stopped on the word of people at the gate: certificate and epoch then."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[Issued, int]] = {}

    def stop(self, issued: Issued, epoch: int) -> None:
        """Stopped, when the gate knew of status changes up to this epoch."""
        self._since[issued.agent] = issued, epoch

    def lift(self, issued: Issued, epoch: int) -> None:
        """The gate acts on `good` of this epoch.

        Raises:
            VerificationFailed: the authority released nothing since the stop.
        """
        if issued.agent not in self._since:
            return
        stopped, since = self._since.pop(issued.agent)
        released = any(since < at <= epoch and status == "good" for at, status in issued.history)
        replaced = issued is not stopped and _replaced(stopped, since, issued.epoch)
        require(released or replaced, "lifts a local stop that the authority's log never released")

    def revoked(self, issued: Issued) -> None:
        """The gate acts on a revocation: with the certificate the stop under it ends."""
        if issued.agent in self._since and self._since[issued.agent][0] is issued:
            del self._since[issued.agent]


def _replaced(stopped: Issued, since: int, epoch: int) -> bool:
    """Whether a certificate issued at this epoch came after the authority's word on the stopped."""
    told = any(since < at <= epoch for at, _ in stopped.history)
    return told or stopped.status_at(epoch) != "good"
