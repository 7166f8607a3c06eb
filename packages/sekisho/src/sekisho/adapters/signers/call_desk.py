# SPDX-License-Identifier: Apache-2.0
"""Blocking calls of a key service, made by threads of their own and waited for within a bound.

A token or service that hangs keeps neither the event loop nor the end of the process: the threads
are daemons, nobody joins them. A call whose caller has gone is not begun; the result of one that
was under way is thrown away. Each call here may be made twice or too late without harm.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError as NotBegun
from concurrent.futures import Future
from queue import Full, Queue
from typing import Any, TypeVar

from sekisho.core.errors import Unavailable

T = TypeVar("T")
WAITING_MAX = 256
"""Calls that wait for a thread; more than a permit's life would let through anyway."""


class CallDesk:
    """A few threads that make one service's calls."""

    def __init__(self, name: str, *, threads: int, wait_s: float) -> None:
        self._name = name
        self._count = threads
        self._wait_s = wait_s
        self._queue: Queue[tuple[Future[Any], Callable[[], Any]]] = Queue(WAITING_MAX)
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    async def call(self, work: Callable[[], T], wait_s: float | None = None) -> T:
        """Have a call made; what it raises is raised here.

        Raises:
            Unavailable: too many wait, or it did not end in time; what it did is not known here.
        """
        future = self._hand_in(work)
        try:
            async with asyncio.timeout(wait_s or self._wait_s):
                # Giving this up cancels the future: what no thread has begun is never begun.
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            raise self._slow() from error

    def call_blocking(self, work: Callable[[], T], wait_s: float | None = None) -> T:
        """The same for callers outside the event loop."""
        future = self._hand_in(work)
        try:
            return future.result(wait_s or self._wait_s)
        except (TimeoutError, NotBegun) as error:
            raise self._slow() from error
        finally:
            future.cancel()

    def _slow(self) -> Unavailable:
        told = f"{self._name}: no answer in time; what it answers later is thrown away"
        return Unavailable(told, self._name)

    def _hand_in(self, work: Callable[[], T]) -> Future[T]:
        with self._lock:
            if not self._threads:
                for number in range(self._count):
                    thread = threading.Thread(
                        target=self._work, name=f"{self._name} {number}", daemon=True
                    )
                    self._threads.append(thread)
                    thread.start()
        future: Future[T] = Future()
        try:
            self._queue.put_nowait((future, work))
        except Full:
            raise Unavailable(f"{self._name}: too many calls wait", self._name) from None
        return future

    def _work(self) -> None:
        while True:
            future, work = self._queue.get()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except BaseException as error:  # noqa: BLE001 - it is the caller's, whatever it is
                    future.set_exception(error)
