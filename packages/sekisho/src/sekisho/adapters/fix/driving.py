# SPDX-License-Identifier: Apache-2.0
"""Moves bytes between a connection and a :class:`SessionMachine`, as long as the connection lasts.

One task reads, one writes, one lets time pass. Before bytes are written, the numbers that they
carry are durable: a crash in between leaves numbers that the other side asks for, never two
messages of one number.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from sekisho.adapters.fix.session import Delivered, SessionMachine
from sekisho.core.errors import OutcomeUnknown, StorageFailed
from sekisho.ports import Clock

READ_BYTES = 4_096
"""So much is read before other work has its turn: it bounds the messages of one turn."""
RESEND_PAUSE_S = 0.01
"""Between two steps of a resend: who asks for one after another takes no more than a share."""
TICK_S = 0.2
CLOSE_WAIT_S = 2.0


async def drive(
    session: SessionMachine,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    clock: Clock,
    deliver: Callable[[Delivered], None],
    first: bytes = b"",
) -> str:
    """Run one connection to its end; returns why it ended.

    Args:
        session: not attached.
        reader: of the connection.
        writer: of the connection; closed when this returns.
        clock: what the session's time is.
        deliver: called at once for each message, in order; must not wait.
        first: bytes that were read already.
    """
    waiting = asyncio.Event()
    session.outbox.wake = waiting.set
    session.attach()

    tasks = [
        asyncio.create_task(_read(session, reader, deliver, first)),
        asyncio.create_task(_write_all(session, writer, waiting)),
        asyncio.create_task(_beat(session, clock)),
    ]
    waiting.set()
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done() and not tasks[1].done() and session.over:
            # What the session still says, a logout for instance, goes out first.
            await asyncio.wait(tasks[1:2], timeout=CLOSE_WAIT_S)
        return _why(session, tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        session.outbox.wake = _nobody
        session.detach()
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(writer.wait_closed(), CLOSE_WAIT_S)


async def _read(
    session: SessionMachine,
    reader: asyncio.StreamReader,
    deliver: Callable[[Delivered], None],
    data: bytes,
) -> str:
    while True:
        for at in range(0, len(data), READ_BYTES):
            session.receive(data[at : at + READ_BYTES])
            inbox, session.inbox = session.inbox, []
            for delivered in inbox:
                deliver(delivered)
            # A reader that has bytes gives them without waiting: the loop is given back here.
            await asyncio.sleep(0)
        data = await reader.read(READ_BYTES)
        if not data:
            return "the other side closed the connection"


async def _write_all(
    session: SessionMachine, writer: asyncio.StreamWriter, waiting: asyncio.Event
) -> str:
    while True:
        await waiting.wait()
        waiting.clear()
        while session.outbox.waiting:
            await _write(session, writer)
            if session.outbox.resending and not session.outbox.waiting:
                await _resume(session)
        if session.over:
            return session.over


async def _resume(session: SessionMachine) -> None:
    """Let the next step of a resend wait; a session that is over leaves off."""
    if not session.over:
        await asyncio.sleep(RESEND_PAUSE_S)
    if session.over:
        session.outbox.leave_off()
    else:
        session.outbox.resume()


async def _beat(session: SessionMachine, clock: Clock) -> str:
    while True:
        await clock.sleep(TICK_S)
        session.tick()


async def _write(session: SessionMachine, writer: asyncio.StreamWriter) -> None:
    """Write what waits: durable first, then to the socket."""
    ready = list(session.outbox.waiting)
    # A crash here: the numbers are used and nothing was sent; the other side asks for them.
    await session.store.flush()
    # From here to the write nothing is awaited: what is marked as written was handed over.
    if session.outbox.waiting[: len(ready)] != ready:
        return
    del session.outbox.waiting[: len(ready)]
    session.outbox.written = max(session.outbox.written, *(number for number, _ in ready), 0)
    writer.write(b"".join(data for _, data in ready))
    await writer.drain()


def _why(session: SessionMachine, tasks: list[asyncio.Task[str]]) -> str:
    for task in tasks:
        if task.done() and not task.cancelled():
            error = task.exception()
            if isinstance(error, StorageFailed | OutcomeUnknown):
                return f"the session's file failed: {error}"
            if isinstance(error, OSError):
                return f"the connection broke: {error}"
            if error is not None:
                raise error
            return session.over or task.result()
    return session.over


def _nobody() -> None:
    """Nothing to wake: there is no connection."""
