# SPDX-License-Identifier: Apache-2.0
"""An event loop without a machine: virtual time, no I/O, no threads, and processes that can die.

Every task belongs to the process in whose context it was made. When a process dies, none of its
callbacks runs any more: not one line of it, no ``except``, no ``finally`` with an effect.
Which of the callbacks that are ready runs next is drawn from the seed when dice are given.
"""

from __future__ import annotations

import asyncio
import heapq
from asyncio import events
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from random import Random
from typing import Any, NamedTuple, NoReturn, TypeVarTuple, Unpack

NS = 1_000_000_000
_Ts = TypeVarTuple("_Ts")


class Process:
    """One life of a program; whatever it holds in memory goes when it dies."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.tasks: list[asyncio.Task[Any]] = []
        self.roots: list[asyncio.Task[Any]] = []
        """Tasks that were begun from outside; nobody else reads how they ended."""
        self._unread: set[asyncio.Task[Any]] = set()

    def failures(self) -> list[str]:
        """How tasks failed since the last call: those begun from outside, and those within.

        What a task within ended with is somebody's to read until the next call.
        """
        ended = [task for task in self.roots if task.done()]
        self.roots = [task for task in self.roots if not task.done()]
        unread = {task for task in self.tasks if task.done() and _unread(task)}
        unread -= set(ended)
        ended += sorted(unread & self._unread, key=self.tasks.index)
        self._unread = unread - self._unread
        self.tasks = [task for task in self.tasks if not task.done() or task in self._unread]
        errors = [None if task.cancelled() else task.exception() for task in ended]
        return [f"a task ended with {error!r}" for error in errors if error is not None]


def _unread(task: asyncio.Task[Any]) -> bool:
    """Whether it failed and nobody has asked how: what asyncio would log when it is dropped."""
    return bool(task._log_traceback)


PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)


class _Call(NamedTuple):
    """A callback and the process that it belongs to."""

    owner: Process | None
    handle: asyncio.Handle


class SimulatedLoop(asyncio.AbstractEventLoop):
    """Just as much of an event loop as asyncio's tasks, futures, locks and time-outs use.

    Attributes:
        now_ns: virtual time since the loop began, nanoseconds.
        interrupted: set while running, makes :meth:`run` return at once.
    """

    def __init__(self, dice: Random | None = None) -> None:
        self.now_ns = 0
        self.interrupted = False
        self._dice = dice
        self._ready: list[_Call] = []
        self._timers: list[tuple[int, int, _Call]] = []
        self._count = 0
        self._graves: list[asyncio.Task[Any]] = []
        self._burying = False

    # ---------------------------------------------------------------------- what a world does

    def run(self, until_ns: int, done: Callable[[], bool] = lambda: False) -> None:
        """Run until ``done``, an interruption, or the virtual time ``until_ns``."""
        events._set_running_loop(self)
        try:
            while not self.interrupted and not done():
                if self._ready:
                    self._run_one()
                elif self._timers and self._timers[0][0] <= until_ns:
                    self._wake()
                else:
                    self.now_ns = max(self.now_ns, until_ns)
                    return
        finally:
            events._set_running_loop(None)

    def spawn(self, process: Process, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task in a process."""
        context = copy_context()
        context.run(PROCESS.set, process)
        task = self.create_task(work, context=context)
        process.roots.append(task)
        return task

    def kill(self, process: Process) -> None:
        """The process runs no further; its memory is dropped by :meth:`bury`."""
        process.alive = False
        self._graves += process.tasks
        process.tasks = []

    def bury(self) -> None:
        """Drop the memory of dead processes. Their last words change nothing."""
        self._burying = True
        for task in self._graves:
            task._log_destroy_pending = False  # type: ignore[attr-defined] # ours to say
            coroutine = task.get_coro()
            if not task.done() and coroutine is not None:
                with suppress(RuntimeError):  # it wanted to wait for something: it may not
                    coroutine.close()
        self._graves = []
        self._burying = False

    def call_at_ns(self, when_ns: int, callback: Callable[..., Any], *args: Any) -> asyncio.Handle:
        """Call at an exact virtual time."""
        context = copy_context()
        handle = asyncio.Handle(callback, args, self, context)
        self._add_timer(when_ns, context, handle)
        return handle

    # -------------------------------------------------------------------- what asyncio asks for

    def time(self) -> float:
        """Virtual time in seconds, for time-outs."""
        return self.now_ns / NS

    def call_soon(
        self,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        context = copy_context() if context is None else context
        handle = asyncio.Handle(callback, args, self, context)
        if not self._burying:
            self._ready.append(_Call(context.get(PROCESS), handle))
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        context = copy_context() if context is None else context
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._add_timer(round(when * NS), context, handle)
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Any, *, name: str | None = None, context: Context | None = None, **_: Any
    ) -> asyncio.Task[Any]:
        context = copy_context() if context is None else context
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=context)
        owner = context.get(PROCESS)
        if owner is not None:
            (owner.tasks if owner.alive else self._graves).append(task)
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """What asyncio would log, mostly futures of the dead; failures of tasks are read above."""

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers are skipped when their time comes."""

    # ------------------------------------------------------------------------------ the works

    def _add_timer(self, when_ns: int, context: Context, handle: asyncio.Handle) -> None:
        if not self._burying:
            self._count += 1
            call = _Call(context.get(PROCESS), handle)
            heapq.heappush(self._timers, (when_ns, self._count, call))

    def _run_one(self) -> None:
        number = self._dice.randrange(len(self._ready)) if self._dice is not None else 0
        owner, handle = self._ready.pop(number)
        if not handle.cancelled() and (owner is None or owner.alive):
            handle._run()

    def _wake(self) -> None:
        when = self._timers[0][0]
        self.now_ns = max(self.now_ns, when)
        while self._timers and self._timers[0][0] <= when:
            self._ready.append(heapq.heappop(self._timers)[2])


def new_loop(dice: Random | None = None) -> SimulatedLoop:
    """A loop whose virtual time begins at zero."""
    return SimulatedLoop(dice)  # type: ignore[abstract] # what it lacks raises when it is called


class WorldClock:
    """The ``Clock`` port on virtual time, with a wall clock that can be stepped.

    Args:
        loop: whose time it shows.
        wall_ns: the wall clock when the loop began.
    """

    def __init__(self, loop: SimulatedLoop, wall_ns: int) -> None:
        self._loop = loop
        self._wall_ns = wall_ns
        self._boot_ns = 0

    def now_ns(self) -> int:
        """The wall clock, nanoseconds UTC."""
        return self._wall_ns + self._loop.now_ns

    def monotonic_ns(self) -> int:
        """Virtual time since the machine booted."""
        return self._loop.now_ns - self._boot_ns

    async def sleep(self, seconds: float) -> None:
        """Wait on virtual time; zero gives others their turn."""
        waker = self._loop.create_future()
        self._loop.call_at_ns(self._loop.now_ns + round(seconds * NS), _wake_up, waker)
        await waker

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back on virtual time; what is returned takes it back."""
        at_ns = self._loop.now_ns + round(max(0.0, seconds) * NS)
        return self._loop.call_at_ns(at_ns, callback).cancel

    def step(self, seconds: float) -> None:
        """Step the wall clock alone."""
        self._wall_ns += round(seconds * NS)

    def boot(self) -> None:
        """The machine starts anew: the boot-time clock begins again."""
        self._boot_ns = self._loop.now_ns


def _wake_up(waker: asyncio.Future[None]) -> None:
    if not waker.done():
        waker.set_result(None)


async def never() -> NoReturn:
    """Wait for something that does not come: the process is dead."""
    while True:
        await asyncio.get_running_loop().create_future()
