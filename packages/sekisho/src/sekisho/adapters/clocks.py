# SPDX-License-Identifier: Apache-2.0
"""The machine's clock behind the ``Clock`` port (ports.py).

Wall time comes from the system's real-time clock and may step; callers never let time run back.
The monotonic clock is the boot-time clock, which counts through suspension: a lease must lapse
while a lid is closed. This module does not discipline or judge clocks.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable

from sekisho.core.errors import ConfigurationInvalid


def boot_time_clock(platform: str) -> int:
    """The id of the clock of this platform that never steps and counts through suspension.

    Args:
        platform: as ``sys.platform`` writes it.

    Raises:
        ConfigurationInvalid: the platform has no such clock that is known here. A clock that stands
            still during suspension would prolong leases, so none is taken in its place.
    """
    # CLOCK_BOOTTIME is Linux's; on macOS CLOCK_MONOTONIC is the one that counts while asleep.
    name = {"linux": "CLOCK_BOOTTIME", "darwin": "CLOCK_MONOTONIC"}.get(platform)
    clock: int | None = None if name is None else getattr(time, name, None)
    if clock is None:
        raise ConfigurationInvalid(
            f"platform {platform!r} has no boot-time clock that counts through suspension;"
            " run the gate on Linux or macOS"
        )
    return clock


class SystemClock:
    """Real time, for everything but tests and rehearsals."""

    def __init__(self) -> None:
        self._boot_time = boot_time_clock(sys.platform)

    def now_ns(self) -> int:
        """UTC, integer nanoseconds since 1970-01-01."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """Nanoseconds since boot, suspension included."""
        return time.clock_gettime_ns(self._boot_time)

    async def sleep(self, seconds: float) -> None:
        """Wait at least so long on the boot-time clock; zero or less gives others their turn."""
        end = self.monotonic_ns() + int(seconds * 1_000_000_000)
        await asyncio.sleep(seconds)
        # The event loop's timer is coarser than a nanosecond and may fire a little early.
        while (left := end - self.monotonic_ns()) > 0:  # noqa: ASYNC110 - waits for time alone
            await asyncio.sleep(left / 1_000_000_000)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back on the boot-time clock; what is returned takes it back."""
        alarm = _Alarm(self, self.monotonic_ns() + int(seconds * 1_000_000_000), callback)
        alarm.wait(seconds)
        return alarm.cancel


class _Alarm:
    """One call that is to come."""

    __slots__ = ("_callback", "_clock", "_end", "_handle", "_loop")

    def __init__(self, clock: SystemClock, end: int, callback: Callable[[], None]) -> None:
        self._clock, self._end, self._callback = clock, end, callback
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.TimerHandle | None = None

    def wait(self, seconds: float) -> None:
        self._handle = self._loop.call_later(max(0.0, seconds), self._ring)

    def cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()

    def _ring(self) -> None:
        # The event loop's timer is coarser than a nanosecond and may fire a little early.
        left = self._end - self._clock.monotonic_ns()
        if left > 0:
            self.wait(left / 1_000_000_000)
        else:
            self._callback()
