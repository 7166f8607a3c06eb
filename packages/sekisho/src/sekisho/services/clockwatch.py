# SPDX-License-Identifier: Apache-2.0
"""The gate's clock, compared with the authority's and with the boot-time clock in between.

Each lease says when the authority granted it: half way between sending and receiving on this
machine's clock, if the two clocks agree. From there on the wall clock has to go as the boot-time
clock does; how far it does not is the *step*. What is beyond the policies' bound is recorded and
refuses orders (docs/spec/checks.md, row 33), until it was observed to be within it again: nothing
but the next comparison with the authority forgets a step.

This module disciplines no clock. A crash leaves the last observation of a boot that is over: a new
boot begins with none, and refuses until its first lease.
"""

from __future__ import annotations

from sekisho.core.events import ClockObserved
from sekisho.core.terms import format_instant
from sekisho.ports import Clock
from sekisho.services.gatelog import GateLog


class ClockWatch:
    """Looks at one gate's clocks. Only :meth:`measured` moves what steps are counted from."""

    def __init__(self, log: GateLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._anchor = 0
        self._difference = 0

    def measured(self, granted_at_ns: int, sent_monotonic_ns: int) -> None:
        """Take the authority's instant of a grant that has just arrived.

        Args:
            granted_at_ns: on the authority's clock, ns UTC.
            sent_monotonic_ns: boot-time clock when the request was sent.

        Raises:
            StorageFailed: the log takes nothing.
        """
        wall, monotonic = self._clock.now_ns(), self._clock.monotonic_ns()
        middle = wall - (monotonic - sent_monotonic_ns) // 2
        self._anchor, self._difference = wall - monotonic, middle - granted_at_ns
        self._note(wall, monotonic)

    def look(self) -> None:
        """Compare the wall clock with the boot-time clock; cheap, for each second and decision.

        Nothing is recorded while nothing changed, nor before the first lease of the boot: until
        then there is nothing to compare with, and orders are refused.

        Raises:
            StorageFailed: the log takes nothing.
        """
        if self._log.state.outside.clock is not None:
            self._note(self._clock.now_ns(), self._clock.monotonic_ns())

    def sound(self) -> bool:
        """Whether the last observation is within what the policies allow."""
        return self._log.state.outside.sound_clock()

    def _note(self, wall: int, monotonic: int) -> None:
        outside = self._log.state.outside
        step = wall - monotonic - self._anchor
        within = not outside.beyond(self._difference, step)
        if outside.clock is not None and within == outside.sound_clock():
            return
        self._log.record(
            ClockObserved(
                # Never behind the wall clock that it shows, were that stepped back in between.
                at=max(self._log.at(), format_instant(wall)),
                wall=format_instant(wall),
                monotonic=str(monotonic),
                authority_difference_ns=str(self._difference),
                step_ns=str(step),
                within=within,
            )
        )
