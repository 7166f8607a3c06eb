# SPDX-License-Identifier: Apache-2.0
"""The Clock port's contract, on the machine's clock and on the stepped one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from sekisho.adapters.clocks import SystemClock
from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.ports import Clock

Story = Callable[[Clock], Awaitable[None]]
START = 1_747_300_500_000_000_000


@pytest.fixture(params=["system", "stepped"])
def play(request: pytest.FixtureRequest) -> Callable[[Story], None]:
    """Run a story on one of the two clocks; the stepped one is played beside it."""

    async def stepped(story: Story) -> None:
        clock = SteppedClock(START)
        task = asyncio.ensure_future(story(clock))
        await clock.play(5)
        assert task.done()
        await task

    async def system(story: Story) -> None:
        await story(SystemClock())

    def run(story: Story) -> None:
        asyncio.run((stepped if request.param == "stepped" else system)(story))

    return run


def test_clock_now_is_integer_nanoseconds_of_this_century(play: Callable[[Story], None]) -> None:
    """Wall time is an int in nanoseconds since 1970, not seconds or microseconds."""

    async def story(clock: Clock) -> None:
        assert type(clock.now_ns()) is int
        assert 1_600_000_000 * 10**9 < clock.now_ns() < 4_000_000_000 * 10**9
        assert type(clock.monotonic_ns()) is int

    play(story)


def test_clock_monotonic_never_goes_back(play: Callable[[Story], None]) -> None:
    """A later reading is not smaller."""

    async def story(clock: Clock) -> None:
        readings = [clock.monotonic_ns() for _ in range(1000)]
        assert sorted(readings) == readings

    play(story)


@pytest.mark.parametrize("seconds", [0.001, 0.0123])
def test_clock_sleep_lasts_at_least_so_long(play: Callable[[Story], None], seconds: float) -> None:
    """After a sleep the monotonic clock has moved by the whole of it."""

    async def story(clock: Clock) -> None:
        before = clock.monotonic_ns()
        await clock.sleep(seconds)
        assert clock.monotonic_ns() - before >= int(seconds * 10**9)

    play(story)


@pytest.mark.parametrize("seconds", [0, -1])
def test_clock_sleep_of_nothing_gives_others_their_turn(
    play: Callable[[Story], None], seconds: float
) -> None:
    """Zero and less do not wait, but let another task run."""

    async def story(clock: Clock) -> None:
        seen: list[str] = []

        async def other() -> None:
            seen.append("other")

        task = asyncio.ensure_future(other())
        await clock.sleep(seconds)
        seen.append("sleeper")
        await task
        assert seen == ["other", "sleeper"]

    play(story)


def test_clock_sleepers_wake_in_order(play: Callable[[Story], None]) -> None:
    """Who sleeps shorter wakes first, whoever lay down first."""

    async def story(clock: Clock) -> None:
        woken: list[str] = []

        async def sleeper(name: str, seconds: float) -> None:
            await clock.sleep(seconds)
            woken.append(name)

        await asyncio.gather(sleeper("long", 0.06), sleeper("short", 0.01), sleeper("mid", 0.03))
        assert woken == ["short", "mid", "long"]

    play(story)


@pytest.mark.parametrize("seconds", [0.001, 0.0123])
def test_clock_calls_later_once_and_not_too_early(
    play: Callable[[Story], None], seconds: float
) -> None:
    """After at least so long, and never again."""

    async def story(clock: Clock) -> None:
        before, called = clock.monotonic_ns(), []
        clock.call_later(seconds, lambda: called.append(clock.monotonic_ns() - before))
        await clock.sleep(seconds * 3)
        await clock.sleep(seconds * 3)
        assert 1 == len(called)
        assert called[0] >= int(seconds * 10**9)

    play(story)


@pytest.mark.parametrize("seconds", [0, -1])
def test_clock_calls_nothing_at_once(play: Callable[[Story], None], seconds: float) -> None:
    """Zero and less call at another turn of the loop."""

    async def story(clock: Clock) -> None:
        called: list[str] = []
        clock.call_later(seconds, lambda: called.append("called"))
        assert [] == called
        await clock.sleep(0.01)
        assert ["called"] == called

    play(story)


def test_clock_call_that_is_taken_back_is_not_made(play: Callable[[Story], None]) -> None:
    """Before its time; after it, and twice, taking it back does nothing."""

    async def story(clock: Clock) -> None:
        called: list[str] = []
        forget = clock.call_later(0.002, lambda: called.append("first"))
        late = clock.call_later(0.001, lambda: called.append("second"))
        forget()
        forget()
        await clock.sleep(0.01)
        assert ["second"] == called
        late()
        await clock.sleep(0.01)
        assert ["second"] == called

    play(story)
