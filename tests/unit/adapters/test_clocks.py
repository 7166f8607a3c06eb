# SPDX-License-Identifier: Apache-2.0
"""The machine's clock and the stepped one, beyond what the port says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.adapters.clocks import SystemClock, boot_time_clock
from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.core.errors import ConfigurationInvalid

START = 1_747_300_500_000_000_000


@pytest.mark.parametrize("platform", ["win32", "emscripten", ""])
def test_boot_time_clock_of_an_unknown_platform_is_refused(platform: str) -> None:
    """A clock that stands still during suspension is never taken in its place."""
    with pytest.raises(ConfigurationInvalid, match="boot-time clock"):
        boot_time_clock(platform)


def test_boot_time_clock_of_macos_is_the_monotonic_one() -> None:
    """On macOS that is the clock which counts while asleep."""
    assert boot_time_clock("darwin") == time.CLOCK_MONOTONIC


def test_system_clock_monotonic_reads_the_boot_time_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The reading comes from the clock that the platform's rule names, untouched."""
    clock = SystemClock()
    monkeypatch.setattr(time, "clock_gettime_ns", lambda which: 7_000 + which)
    assert clock.monotonic_ns() == 7_000 + time.CLOCK_BOOTTIME


def test_system_clock_sleep_waits_on_when_its_timer_fires_early(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A timer that fires early does not shorten the sleep."""
    reading = [0]
    slept: list[float] = []

    async def early(seconds: float) -> None:
        slept.append(seconds)
        reading[0] += round(seconds * 10**9) // 2 or 1

    clock = SystemClock()
    monkeypatch.setattr(time, "clock_gettime_ns", lambda _: reading[0])
    monkeypatch.setattr(asyncio, "sleep", early)
    asyncio.run(clock.sleep(1))
    assert reading[0] >= 10**9
    assert slept[:3] == [1, 0.5, 0.25]


def test_system_clock_calls_later_when_its_timer_fires_early(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A timer that fires early is set again for what is left."""
    reading, waited = [0], []

    async def story() -> None:
        clock, done = SystemClock(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def early(seconds: float, ring: Callable[[], None]) -> asyncio.Handle:
            waited.append(seconds)
            reading[0] += round(seconds * 10**9) // 2 or 1
            return loop.call_soon(ring)

        with monkeypatch.context() as patched:
            patched.setattr(time, "clock_gettime_ns", lambda _: reading[0])
            patched.setattr(loop, "call_later", early)
            clock.call_later(1, done.set)
            await done.wait()

    asyncio.run(story())
    assert reading[0] >= 10**9
    assert waited[:3] == [1, 0.5, 0.25]


def test_stepped_clock_call_taken_back_after_the_advance_is_not_made() -> None:
    """Its time has come, but its turn has not."""

    async def story() -> None:
        clock, called = SteppedClock(START), []
        forget = clock.call_later(1, lambda: called.append("called"))
        clock.advance(1)
        forget()
        await asyncio.sleep(0)
        assert [] == called
        assert clock.next_deadline_ns() is None

    asyncio.run(story())


def test_stepped_clock_advance_moves_both_clocks() -> None:
    """Wall and monotonic clock move by the same number of nanoseconds."""
    clock = SteppedClock(START, 500)
    clock.advance(0.1)
    assert (clock.now_ns(), clock.monotonic_ns()) == (START + 100_000_000, 100_000_500)


def test_stepped_clock_advance_to_sets_the_wall_clock() -> None:
    """The wall clock shows what was asked, and the monotonic one has moved by the difference."""
    clock = SteppedClock(START)
    clock.advance_to(START + 42)
    assert (clock.now_ns(), clock.monotonic_ns()) == (START + 42, 42)


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_stepped_clock_step_moves_the_wall_clock_alone(seconds: int) -> None:
    """A stepped wall clock leaves the monotonic one and the sleepers where they are."""

    async def story() -> None:
        clock = SteppedClock(START)
        sleeper = asyncio.ensure_future(clock.sleep(10))
        await clock.sleep(0)
        clock.step_wall(seconds)
        await clock.sleep(0)
        assert (clock.now_ns() - START, clock.monotonic_ns()) == (seconds * 10**9, 0)
        assert not sleeper.done()
        clock.advance(10)
        await sleeper
        assert clock.now_ns() - START == (seconds + 10) * 10**9

    asyncio.run(story())


def test_stepped_clock_backwards_is_refused() -> None:
    """The monotonic clock never goes back, by either method."""
    clock = SteppedClock(START)
    with pytest.raises(ValueError, match="forward"):
        clock.advance(-1)
    with pytest.raises(ValueError, match="forward"):
        clock.advance_to(START - 1)
    assert clock.monotonic_ns() == 0


def test_stepped_clock_sleeper_wakes_at_its_deadline_and_not_before() -> None:
    """One nanosecond before the deadline everybody still sleeps."""

    async def story() -> None:
        clock = SteppedClock(START)
        sleeper = asyncio.ensure_future(clock.sleep(1))
        await clock.sleep(0)
        clock.advance_to(START + 10**9 - 1)
        await clock.sleep(0)
        assert not sleeper.done()
        clock.advance_to(START + 10**9)
        await sleeper

    asyncio.run(story())


def test_stepped_clock_sleep_rounds_up() -> None:
    """A tenth of a nanosecond is waited for, not forgotten."""

    async def story() -> None:
        clock = SteppedClock(START)
        sleeper = asyncio.ensure_future(clock.sleep(1e-10))
        await clock.sleep(0)
        clock.advance(0)
        await clock.sleep(0)
        assert not sleeper.done()
        clock.advance_to(START + 1)
        await sleeper

    asyncio.run(story())


def test_stepped_clock_play_lets_each_run_at_its_own_instant() -> None:
    """Who wakes and sleeps again within the time played, sees each of its instants."""

    async def story() -> None:
        clock = SteppedClock(START)
        seen: list[int] = []

        async def periodic() -> None:
            while True:
                await clock.sleep(0.3)
                seen.append(clock.monotonic_ns())

        task = asyncio.ensure_future(periodic())
        await clock.play(1)
        task.cancel()
        assert seen == [300_000_000, 600_000_000, 900_000_000]
        assert clock.monotonic_ns() == 10**9

    asyncio.run(story())


def test_stepped_clock_cancelled_sleeper_is_forgotten() -> None:
    """A cancelled sleeper neither blocks nor breaks the advance."""

    async def story() -> None:
        clock = SteppedClock(START)
        first = asyncio.ensure_future(clock.sleep(1))
        second = asyncio.ensure_future(clock.sleep(2))
        await clock.sleep(0)
        first.cancel()
        await clock.sleep(0)
        assert clock.next_deadline_ns() == 2 * 10**9
        clock.advance(2)
        await second
        assert clock.next_deadline_ns() is None

    asyncio.run(story())


@given(st.lists(st.integers(1, 50), min_size=1, max_size=12), st.integers(50, 60))
def test_stepped_clock_any_sleepers_wake_by_deadline_then_by_arrival(
    seconds: list[int], total: int
) -> None:
    """However they lie down, they wake by deadline, equal deadlines in order of arrival."""

    async def story() -> None:
        clock = SteppedClock(START)
        woken: list[tuple[int, int]] = []

        async def sleeper(index: int, length: int) -> None:
            await clock.sleep(length)
            woken.append((length, index))

        tasks = [asyncio.ensure_future(sleeper(i, s)) for i, s in enumerate(seconds)]
        await clock.sleep(0)
        clock.advance(total)
        await asyncio.gather(*tasks)
        assert woken == sorted(woken)

    asyncio.run(story())
