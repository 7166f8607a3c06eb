# SPDX-License-Identifier: Apache-2.0
"""When the time of an incident is over (docs/spec/incidents.md section 3).

Two clocks are looked at: log time, which can be moved by whoever sets the machine's clock, and the
boot-time clock, which cannot but begins anew with the machine. Either may say that it is over;
together they can be fooled towards "earlier", never towards "later". Times are integer nanoseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Timer(NamedTuple):
    """A span that began at log time ``at`` and boot-time clock ``monotonic``, until ``ends_at``."""

    at: int
    monotonic: int
    ends_at: int


def passed(timer: Timer, monotonic: int) -> int:
    """What has passed at least since the timer began, by the boot-time clock alone.

    A reading below the timer's is of a later boot, which is as old as its reading says.
    """
    return monotonic - timer.monotonic if monotonic >= timer.monotonic else monotonic


def remaining(timers: Sequence[Timer], now: int, monotonic: int) -> int | None:
    """Nanoseconds until the first of the timers is over, at most; 0 or less: over. None: no timer.

    Args:
        timers: that run side by side.
        now: log time.
        monotonic: boot-time clock.
    """
    rests = [
        min(
            timer.ends_at - now,
            timer.ends_at - timer.at - passed(timer, monotonic),
        )
        for timer in timers
    ]
    return min(rests, default=None)


def over(timers: Sequence[Timer], now: int, monotonic: int) -> bool:
    """Whether any of the timers is over."""
    rest = remaining(timers, now, monotonic)
    return rest is not None and rest <= 0
