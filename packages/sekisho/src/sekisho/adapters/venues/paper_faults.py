# SPDX-License-Identifier: Apache-2.0
"""What goes wrong at the paper venue, by instruction: for tests, drills and simulation.

A plain object. The queues hold one instruction for each coming call, oldest first; a call beyond
them goes well. An instruction is used up when the call reaches the venue.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

SubmitFault = Literal[
    "none",
    "time_out_before",
    "time_out_after",
    "lose_ack",
    "delay",
    "reject",
    "fill_late",
]
"""``time_out_before``: lost on the way, the caller waits and learns nothing. ``time_out_after``:
taken, the same. ``lose_ack``: taken, the connection breaks at once. ``delay``: under way when the
caller gives up; arrives with ``PaperVenue.deliver_delayed``. ``reject``: a good order is rejected.
``fill_late``: rests, whatever its type, until ``PaperVenue.release_late_fills``."""

CancelFault = Literal["none", "time_out_before", "lose_ack", "ignore"]
"""``ignore``: the venue answers with nothing and the order stays, so that a stop is incomplete."""


@dataclass
class Faults:
    """Instructions; the fields may be changed at any time.

    Attributes:
        submits, cancels: what happens to the coming calls.
        down: every call raises Unavailable.
        depth: the most of one order that trades at one matching, an amount as text; "" is no bound.
        latency_s: how long a message travels, each way, on the venue's clock.
        time_out_s: how long the caller waits before a time-out, on the venue's clock.
    """

    submits: deque[SubmitFault] = field(default_factory=deque)
    cancels: deque[CancelFault] = field(default_factory=deque)
    down: bool = False
    depth: str = ""
    latency_s: float = 0
    time_out_s: float = 0

    def next_submit(self) -> SubmitFault:
        """The instruction for the submission that arrives now."""
        return self.submits.popleft() if self.submits else "none"

    def next_cancel(self) -> CancelFault:
        """The instruction for the cancel that arrives now."""
        return self.cancels.popleft() if self.cancels else "none"
