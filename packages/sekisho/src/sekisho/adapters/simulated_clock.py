# SPDX-License-Identifier: Apache-2.0
"""A clock that moves only when told, behind the ``Clock`` port: for tests, rehearsals, simulation.

Wall clock and monotonic clock move together by ``advance``; ``step_wall`` moves the wall clock
alone, as a time server or an administrator does. Sleepers wait on the monotonic clock and wake in
the order of their deadlines, equal deadlines in the order in which they went to sleep. Nothing here
reads the machine's clock, so that a run is the same on any machine.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Callable

NS = 1_000_000_000
_TURNS = 32


class SteppedClock:
    """Time stands still until :meth:`advance`, :meth:`advance_to` or :meth:`play`."""

    def __init__(self, now_ns: int, monotonic_ns: int = 0) -> None:
        self._monotonic = monotonic_ns
        self._wall_offset = now_ns - monotonic_ns
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = 0

    def now_ns(self) -> int:
        """The wall clock, nanoseconds UTC."""
        return self._monotonic + self._wall_offset

    def monotonic_ns(self) -> int:
        """The boot-time clock, nanoseconds; never steps."""
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was advanced so far; zero or less gives others their turn."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        await self._waker(seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back when the clock was advanced so far; what is returned takes it back."""
        waker = self._waker(max(0.0, seconds))
        wanted = True

        def ring(_: asyncio.Future[None]) -> None:
            if wanted:
                callback()

        def take_back() -> None:
            nonlocal wanted
            wanted = False
            waker.cancel()

        waker.add_done_callback(ring)
        return take_back

    def _waker(self, seconds: float) -> asyncio.Future[None]:
        """A future that is done when the clock was advanced so far."""
        deadline = self._monotonic + math.ceil(seconds * NS)
        waker: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (deadline, self._count, waker))
        return waker

    def advance(self, seconds: float) -> None:
        """Move both clocks forward at once and wake, in order, everybody whose time has come.

        Who wakes runs when the caller next waits, and sees the clock at its new position.

        Raises:
            ValueError: backwards; only the wall clock can be stepped so, by :meth:`step_wall`.
        """
        self._move(self._monotonic + _nanoseconds(seconds))

    def advance_to(self, now_ns: int) -> None:
        """The same until the wall clock shows ``now_ns``. Raises ValueError if that is past."""
        self._move(now_ns - self._wall_offset)

    def step_wall(self, seconds: float) -> None:
        """Step the wall clock alone, forwards or backwards. Wakes nobody."""
        self._wall_offset += round(seconds * NS)

    async def play(self, seconds: float) -> None:
        """Advance from sleeper to sleeper, letting each run at its own instant before the next.

        Each stop gives the event loop a fixed number of turns, so that what runs in between, and
        what it schedules anew within the time played, is the same in every run.
        """
        end = self._monotonic + _nanoseconds(seconds)
        await self._give_turns()
        while (deadline := self.next_deadline_ns()) is not None and deadline <= end:
            self._move(deadline)
            await self._give_turns()
        self._move(end)
        await self._give_turns()

    def next_deadline_ns(self) -> int | None:
        """The monotonic instant at which the next sleeper wakes; None if nobody sleeps."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)  # was cancelled
        return self._sleepers[0][0] if self._sleepers else None

    def _move(self, monotonic_ns: int) -> None:
        if monotonic_ns < self._monotonic:
            raise ValueError("time moves forward only; step_wall steps the wall clock alone")
        self._monotonic = monotonic_ns
        while (deadline := self.next_deadline_ns()) is not None and deadline <= monotonic_ns:
            heapq.heappop(self._sleepers)[2].set_result(None)

    @staticmethod
    async def _give_turns() -> None:
        for _ in range(_TURNS):
            await asyncio.sleep(0)


class PassingClock:
    """A view of a stepped clock for whoever takes time: sleeping on it lets the time pass at once.

    For a venue in a demonstration or a rehearsal, which nobody else would wait for.
    """

    def __init__(self, clock: SteppedClock) -> None:
        self._clock = clock

    def now_ns(self) -> int:
        """The stepped clock's wall clock, nanoseconds UTC."""
        return self._clock.now_ns()

    def monotonic_ns(self) -> int:
        """The stepped clock's boot-time clock, nanoseconds."""
        return self._clock.monotonic_ns()

    async def sleep(self, seconds: float) -> None:
        """Advance the stepped clock by so much."""
        if seconds > 0:
            self._clock.advance(seconds)
        await asyncio.sleep(0)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        """As the stepped clock: nobody waits here, so no time passes by it."""
        return self._clock.call_later(seconds, callback)


def _nanoseconds(seconds: float) -> int:
    # round, not ceil: 0.1 s is meant as 100,000,000 ns, whatever its binary fraction
    return round(seconds * NS)
