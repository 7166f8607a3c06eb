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
    timer = asyncio.ensure_future(clock.sleep(seconds))
    while pending and not timer.done():
        await asyncio.wait({*pending, timer}, return_when=asyncio.FIRST_COMPLETED)
        pending = {future for future in pending if not future.done()}
    timer.cancel()
    for future in pending:
        future.add_done_callback(_seen)
    return not pending


def _seen(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()
