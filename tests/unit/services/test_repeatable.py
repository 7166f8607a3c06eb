# SPDX-License-Identifier: Apache-2.0
"""A request sent again under its idempotency key."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.core.errors import Unavailable
from sekisho.core.terms import DAY_S
from sekisho.services.repeatable import ControlAnswer, Repeatable, Repeated
from tests.control_doubles import MemoryTables
from tests.unit.core.governance import samples

DONE = ControlAnswer(201, "application/json", b'{"id":1}')
REQUEST = ("POST", "/v1/things", b"{}")


class Work:
    """Counts how often it was done."""

    def __init__(self, answer: ControlAnswer = DONE) -> None:
        self.answer = answer
        self.done = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> ControlAnswer:
        await self.gate.wait()
        self.done += 1
        return self.answer


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


def repeatable(tables: MemoryTables | None = None) -> Repeatable:
    return Repeatable(tables or MemoryTables(), SteppedClock(samples.NOW))


def test_request_sent_again_is_done_once_and_answered_the_same() -> None:
    """Also by another process over the same tables."""

    async def story() -> None:
        work, tables = Work(), MemoryTables()
        for one in (repeatable(tables), repeatable(tables)):
            assert await one.carry_out("c", "k", REQUEST, work) == DONE
        assert work.done == 1

    play(story())


@pytest.mark.parametrize(
    "other", [("PUT", *REQUEST[1:]), ("POST", "/v1/others", b"{}"), ("POST", "/v1/things", b"[]")]
)
def test_key_used_for_another_request_is_refused(other: tuple[str, str, bytes]) -> None:
    """Method, path and body are what the key was used for."""

    async def story() -> None:
        work, one = Work(), repeatable()
        await one.carry_out("c", "k", REQUEST, work)
        assert await one.carry_out("c", "k", other, work) == Repeated("other")
        assert work.done == 1

    play(story())


def test_keys_of_two_callers_have_nothing_to_do_with_each_other() -> None:
    """Each caller's key is its own."""

    async def story() -> None:
        work, one = Work(), repeatable()
        for caller in ("a", "b"):
            assert await one.carry_out(caller, "k", REQUEST, work) == DONE
        assert work.done == 2

    play(story())


def test_request_of_many_at_once_is_done_once() -> None:
    """While it runs the others hear so."""

    async def story() -> None:
        work, one = Work(), repeatable()
        work.gate.clear()
        asked = [asyncio.ensure_future(one.carry_out("c", "k", REQUEST, work)) for _ in range(20)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        work.gate.set()
        answers = await asyncio.gather(*asked)
        assert answers.count(DONE) == 1
        assert answers.count(Repeated("running")) == 19
        assert work.done == 1

    play(story())


def test_caller_that_goes_away_leaves_its_answer() -> None:
    """What was begun is finished and kept."""

    async def story() -> None:
        work, one = Work(), repeatable()
        work.gate.clear()
        asking = asyncio.ensure_future(one.carry_out("c", "k", REQUEST, work))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asking.cancel()
        work.gate.set()
        with pytest.raises(asyncio.CancelledError):
            await asking
        for _ in range(5):
            await asyncio.sleep(0)
        assert await one.carry_out("c", "k", REQUEST, work) == DONE
        assert work.done == 1

    play(story())


def test_answer_that_was_begun_in_a_dead_process_is_unknown() -> None:
    """Nobody can say what happened: that is the answer, and nothing is done."""

    async def story() -> None:
        work, tables = Work(), MemoryTables()
        await tables.begin_answer("c", "k", "?", "2026-01-01T00:00:00.000000000Z")
        one = repeatable(tables)
        assert await one.carry_out("c", "k", REQUEST, work) == Repeated("other")
        tables.answers.clear()
        first = asyncio.ensure_future(one.carry_out("c", "k", REQUEST, _never))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert await repeatable(tables).carry_out("c", "k", REQUEST, work) == Repeated("unknown")
        assert work.done == 0
        first.cancel()

    play(story())


async def _never() -> ControlAnswer:
    await asyncio.Event().wait()
    return DONE


def test_answer_of_a_failing_server_is_not_kept() -> None:
    """After a 503 the same key asks anew."""

    async def story() -> None:
        one = repeatable()
        failing, work = Work(ControlAnswer(503, "x", b"")), Work()
        assert (await one.carry_out("c", "k", REQUEST, failing)) == failing.answer
        assert await one.carry_out("c", "k", REQUEST, work) == DONE

    play(story())


def test_store_that_does_not_answer_lets_nothing_be_done() -> None:
    """Without a place to keep the answer the request is not carried out."""

    async def story() -> None:
        work, tables = Work(), MemoryTables()
        tables.away = True
        with pytest.raises(Unavailable):
            await repeatable(tables).carry_out("c", "k", REQUEST, work)
        assert work.done == 0

    play(story())


def test_old_answers_are_forgotten_after_a_day() -> None:
    """A day later the key may be used anew, not before."""

    async def story() -> None:
        work, tables, clock = Work(), MemoryTables(), SteppedClock(samples.NOW)
        one = Repeatable(tables, clock)
        await one.carry_out("c", "k", REQUEST, work)
        clock.advance(DAY_S)
        assert await one.forget_old() == 0
        clock.advance(1)
        assert await one.forget_old() == 1
        assert await one.carry_out("c", "k", REQUEST, work) == DONE
        assert work.done == 2

    play(story())
