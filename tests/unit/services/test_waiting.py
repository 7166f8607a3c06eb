# SPDX-License-Identifier: Apache-2.0
"""Waiting for several things, no longer than a time on the Clock port."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.services.waiting import settle

START = 1_747_300_500_000_000_000


def futures(count: int) -> list[asyncio.Future[Any]]:
    return [asyncio.get_running_loop().create_future() for _ in range(count)]


def test_settle_ends_when_all_are_done_and_leaves_no_timer() -> None:
    """Results and failures alike; what was waited for stays the caller's to read."""

    async def story() -> None:
        clock, (one, two) = SteppedClock(START), futures(2)
        waiting = asyncio.ensure_future(settle(clock, [one, two], 5))
        await clock.play(1)
        one.set_result("x")
        await clock.play(1)
        assert not waiting.done()
        two.set_exception(ValueError("y"))
        assert await waiting
        assert (None, "x", "y") == (clock.next_deadline_ns(), one.result(), str(two.exception()))

    asyncio.run(story())


def test_settle_does_not_wait_for_what_is_done() -> None:
    """Nor for nothing."""

    async def story() -> None:
        clock, (one,) = SteppedClock(START), futures(1)
        one.set_result(None)
        assert await settle(clock, [one], 5)
        assert await settle(clock, [], 5)
        assert clock.next_deadline_ns() is None

    asyncio.run(story())


def test_settle_ends_with_the_time_and_cancels_nothing() -> None:
    """What is late goes on, and a failure of it is not told of as one that nobody read."""

    async def story() -> None:
        clock, (one, two) = SteppedClock(START), futures(2)
        told: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, what: told.append(what))
        waiting = asyncio.ensure_future(settle(clock, [one, two], 5))
        await clock.play(4.999)
        one.set_result(None)
        assert not waiting.done()
        await clock.play(0.001)
        assert (True, False) == (waiting.done(), await waiting)
        assert not two.cancelled()
        two.set_exception(ValueError("late"))
        await asyncio.sleep(0)
        del two, waiting
        assert [] == told

    asyncio.run(story())


def test_settle_that_is_given_up_leaves_no_timer() -> None:
    """Who waited was cancelled."""

    async def story() -> None:
        clock, (one,) = SteppedClock(START), futures(1)
        waiting = asyncio.ensure_future(settle(clock, [one], 5))
        await clock.play(1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (None, False) == (clock.next_deadline_ns(), one.cancelled())

    asyncio.run(story())
