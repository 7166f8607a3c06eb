# SPDX-License-Identifier: Apache-2.0
"""Telling listeners of a change of status, all at once, and collecting what they achieved.

A listener that fails or does not answer never keeps another one waiting; each is named in what is
handed back. One that answers late goes on with its stop; nobody cancels it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from sekisho.ports import Clock
from sekisho.services.status import StatusListener, StatusPush
from sekisho.services.stopping import StopOutcome
from sekisho.services.waiting import settle

ANSWER_WAIT_S = 5.0
"""A kill answers within 10 s, the confirmation by a person included."""


class Announcer:
    """The listeners of one authority."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._listeners: list[tuple[StatusListener, Callable[[StatusPush], bool], str]] = []
        self._running: set[asyncio.Task[StopOutcome | None]] = set()

    def on_status(
        self,
        listener: StatusListener,
        concerns: Callable[[StatusPush], bool] | None = None,
        name: str = "",
    ) -> None:
        """Call ``listener`` from now on for each change that concerns it; all, where None.

        Whom a push does not concern is not asked, and counts neither as told nor as failed.
        """
        known = name or f"listener {len(self._listeners)}"
        self._listeners.append((listener, concerns or (lambda _: True), known))

    def start(self, pushes: Sequence[StatusPush]) -> list[asyncio.Task[StopOutcome | None]]:
        """Begin telling every listener of every push; they run when the caller next waits."""
        tasks = []
        for push in pushes:
            for listener, concerns, name in self._listeners:
                if not concerns(push):
                    continue
                task = asyncio.create_task(_call(listener, push), name=name)
                self._running.add(task)
                task.add_done_callback(self._running.discard)
                tasks.append(task)
        return tasks

    async def collect(
        self, tasks: list[asyncio.Task[StopOutcome | None]], *, stopping: bool
    ) -> tuple[tuple[StopOutcome, ...], tuple[str, ...]]:
        """What the listeners achieved, and what went wrong, waiting at most ANSWER_WAIT_S.

        Args:
            tasks: from :meth:`start`.
            stopping: whether an answer of None is a failure.
        """
        await settle(self._clock, tasks, ANSWER_WAIT_S)
        reports: list[StopOutcome] = []
        failures: list[str] = []
        for task in tasks:
            name = task.get_name()
            if not task.done():
                failures.append(f"{name} did not answer within {ANSWER_WAIT_S} s")
            elif task.cancelled():
                failures.append(f"{name} was cancelled")
            elif (error := task.exception()) is not None:
                failures.append(f"{name} failed: {error!r}"[:300])
            elif (report := task.result()) is not None:
                reports.append(report)
            elif stopping:
                failures.append(f"{name} stopped nothing")
        return tuple(reports), tuple(failures)


async def _call(listener: StatusListener, push: StatusPush) -> StopOutcome | None:
    return await listener(push)
