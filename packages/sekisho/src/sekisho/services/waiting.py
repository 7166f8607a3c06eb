# SPDX-License-Identifier: Apache-2.0
"""Waiting for several things at once, but no longer than a time on the Clock port.

Nothing that is waited for is cancelled: what is late goes on, and its failure is not lost silently
to a warning of the event loop; whoever stopped waiting has said that it was late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

from sekisho.ports import Clock


async def settle(clock: Clock, futures: Collection[asyncio.Future[Any]], seconds: float) -> bool:
    """Wait until all are done or the time is over; returns whether all are done.

    Args:
        clock: on which the time is counted.
        futures: any number; their results and failures are the caller's to read.
        seconds: the longest wait.
    """
    pending = {future for future in futures if not future.done()}
    if not pending:
        return True
    over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def end() -> None:
        if not over.done():
            over.set_result(None)

    left = len(pending)

    def one_done(_: asyncio.Future[Any]) -> None:
        # Counted, not looked through: with hundreds of futures each end would look at them all.
        nonlocal left
        left -= 1
        if not left:
            end()

    forget = clock.call_later(seconds, end)
    for future in pending:
        future.add_done_callback(one_done)
    try:
        await over
    finally:
        forget()
        for future in pending:
            future.remove_done_callback(one_done)
    late = [future for future in pending if not future.done()]
    for future in late:
        future.add_done_callback(_seen)
    return not late


def _seen(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()
