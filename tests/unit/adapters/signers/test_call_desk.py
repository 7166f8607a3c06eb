# SPDX-License-Identifier: Apache-2.0
"""Blocking calls on threads of their own: bounded, dropped when nobody waits, no loop blocked."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from sekisho.adapters.signers import call_desk
from sekisho.adapters.signers.call_desk import CallDesk
from sekisho.core.errors import KeyDisabled, Unavailable


@pytest.fixture
def release() -> threading.Event:
    """Lets what hangs go on."""
    return threading.Event()


def refuse() -> None:
    """A call that fails."""
    raise KeyDisabled("gone")


@pytest.fixture(params=["waiting", "blocking"])
def through(request: pytest.FixtureRequest) -> Callable[[CallDesk, Callable[[], object]], object]:
    """Both ways to have a call made."""
    if request.param == "waiting":
        return lambda desk, work: asyncio.run(desk.call(work))
    return lambda desk, work: desk.call_blocking(work)


def test_call_result_and_failure_come_back(
    through: Callable[[CallDesk, Callable[[], object]], object],
) -> None:
    """What it returns is returned, what it raises is raised."""
    desk = CallDesk("t", threads=1, wait_s=10)
    assert through(desk, lambda: 7) == 7
    with pytest.raises(KeyDisabled, match="gone"):
        through(desk, refuse)
    assert through(desk, lambda: 8) == 8


def test_call_that_hangs_is_unavailable_and_later_calls_are_never_made(
    through: Callable[[CallDesk, Callable[[], object]], object], release: threading.Event
) -> None:
    """Its caller goes on; a call that waited behind it and was given up is dropped."""
    desk = CallDesk("t", threads=1, wait_s=0.05)
    made: list[int] = []
    with pytest.raises(Unavailable, match="in time"):
        through(desk, release.wait)
    with pytest.raises(Unavailable, match="in time"):
        through(desk, lambda: made.append(1))
    release.set()
    assert desk.call_blocking(lambda: 9, 10) == 9
    assert made == []


def test_call_that_is_cancelled_is_never_made(release: threading.Event) -> None:
    """A caller with less patience than the desk cancels; nothing is done for nobody."""
    desk = CallDesk("t", threads=1, wait_s=10)
    made: list[int] = []

    async def impatient() -> None:
        first = asyncio.create_task(desk.call(release.wait))
        second = asyncio.create_task(desk.call(lambda: made.append(1)))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        release.set()
        await first

    asyncio.run(impatient())
    assert desk.call_blocking(lambda: 9) == 9
    assert made == []


def test_calls_beyond_what_may_wait_are_refused_at_once(
    release: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that hangs does not fill the memory."""
    monkeypatch.setattr(call_desk, "WAITING_MAX", 2)
    desk = CallDesk("t", threads=1, wait_s=10)
    begun = threading.Event()

    def hang() -> None:
        begun.set()
        release.wait()

    async def crowd() -> list[object]:
        first = asyncio.create_task(desk.call(hang))
        await asyncio.to_thread(begun.wait, 10)
        others = [asyncio.create_task(desk.call(lambda: None)) for _ in range(3)]
        done, _ = await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
        release.set()
        await asyncio.gather(first, *others, return_exceptions=True)
        return [one.exception() for one in done]

    refused = asyncio.run(crowd())
    assert [(type(one), "too many" in str(one)) for one in refused] == [(Unavailable, True)]


def test_process_ends_although_a_call_hangs() -> None:
    """A token that never answers does not keep a gate from ending."""
    program = (
        "import threading\n"
        "from sekisho.adapters.signers.call_desk import CallDesk\n"
        "from sekisho.core.errors import Unavailable\n"
        "try:\n"
        "    CallDesk('t', threads=1, wait_s=0.05).call_blocking(threading.Event().wait)\n"
        "except Unavailable:\n"
        "    print('gone on')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "gone on\n"
