# SPDX-License-Identifier: Apache-2.0
"""Telling of a change of status, all at once, and collecting what was achieved.

Gates at the end of a line are found by the push (``remotegates``): nobody else is asked. Listeners
in this process hear of every push. Whoever fails or does not answer never keeps another one
waiting; each is named in what is handed back. One that answers late goes on with its stop; nobody
cancels it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from sekisho.ports import Clock
from sekisho.services.status import StatusListener, StatusPush
from sekisho.services.stopping import StopOutcome
from sekisho.services.waiting import settle

ANSWER_WAIT_S = 5.0
"""A kill answers within 10 s, the confirmation by a person included."""
WRITTEN_WAIT_S = 0.05
"""How long what may wait is kept from the processor until the pushes are with the kernel."""


class PushAsked(NamedTuple):
    """One that was told of one push.

    ``written`` is done when the push has left this process, or never will; None where it has none
    to leave. ``answer`` is what it achieved.
    """

    name: str
    answer: asyncio.Future[StopOutcome | None]
    written: asyncio.Future[None] | None = None


Lines = Callable[[StatusPush], Sequence[PushAsked]]
"""Tells the gates that a push concerns and that are connected, without waiting for anything."""


class Announcer:
    """The listeners and lines of one authority."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._listeners: list[tuple[StatusListener, str]] = []
        self._lines: list[Lines] = []
        self._running: set[asyncio.Task[StopOutcome | None]] = set()

    def on_status(self, listener: StatusListener) -> None:
        """Call ``listener`` from now on for each change."""
        self._listeners.append((listener, f"listener {len(self._listeners)}"))

    def add_lines(self, lines: Lines) -> None:
        """Tell these of each change too; whom one does not concern is no failure."""
        self._lines.append(lines)

    def start(self, pushes: Sequence[StatusPush]) -> list[PushAsked]:
        """Tell the lines of every push, then begin with the listeners.

        Nothing is awaited: it is all on its way when the caller next waits.
        """
        asked = [one for push in pushes for lines in self._lines for one in lines(push)]
        for push in pushes:
            for listener, name in self._listeners:
                task = asyncio.create_task(_call(listener, push))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
                asked.append(PushAsked(name, task))
        return asked

    async def written(self, asked: Sequence[PushAsked]) -> None:
        """Return when all of it has left this process, or after WRITTEN_WAIT_S.

        What is begun before that takes the processor from the pushes.
        """
        leaving = [one.written for one in asked if one.written is not None]
        await settle(self._clock, leaving, WRITTEN_WAIT_S)

    async def collect(
        self, asked: Sequence[PushAsked], *, stopping: bool
    ) -> tuple[tuple[StopOutcome, ...], tuple[str, ...]]:
        """What was achieved, and what went wrong, waiting at most ANSWER_WAIT_S.

        Args:
            asked: from :meth:`start`.
            stopping: whether an answer of None is a failure.
        """
        await settle(self._clock, [one.answer for one in asked], ANSWER_WAIT_S)
        reports: list[StopOutcome] = []
        failures: list[str] = []
        for name, answer, _ in asked:
            if not answer.done():
                failures.append(f"{name} did not answer within {ANSWER_WAIT_S} s")
            elif answer.cancelled():
                failures.append(f"{name} was cancelled")
            elif (error := answer.exception()) is not None:
                failures.append(f"{name} failed: {error!r}"[:300])
            elif (report := answer.result()) is not None:
                reports.append(report)
            elif stopping:
                failures.append(f"{name} stopped nothing")
        return tuple(reports), tuple(failures)


async def _call(listener: StatusListener, push: StatusPush) -> StopOutcome | None:
    return await listener(push)
