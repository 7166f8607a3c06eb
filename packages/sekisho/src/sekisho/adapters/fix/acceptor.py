# SPDX-License-Identifier: Apache-2.0
"""Takes FIX connections and hands each to the session that its logon names (docs/spec/fix.md, 3).

Who may have a session is decided by the caller, from the first message and from what kernel and
TLS say of the peer. A connection that is refused gets no answer: it learns nothing, and uses no
sequence number of a session that is not its own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import NamedTuple

from sekisho.adapters.fix.codec import MESSAGE_BYTES_MAX, FixMessage, Framer, MessageRejected, parse
from sekisho.adapters.fix.driving import drive
from sekisho.adapters.fix.session import LOGON_WAIT_S, Delivered, SessionMachine
from sekisho.adapters.web.listening import BACKLOG, Listener, bind, server_context
from sekisho.adapters.web.peers import Peer, peer_of
from sekisho.core.errors import MalformedInput
from sekisho.ports import Clock

CONNECTIONS_MAX = 64
LOGOUT_S = 2.0


class Admitted(NamedTuple):
    """A session that a logon may have, and who takes its messages."""

    session: SessionMachine
    deliver: Callable[[Delivered], None]


Admit = Callable[[FixMessage, Peer], Admitted | str]
"""The session for a logon, or why there is none."""


class FixAcceptor:
    """Listens until :meth:`close`.

    Attributes:
        address: where it listens, with the port that was really bound.
        refused: why connections were refused, the latest hundred.
    """

    def __init__(self, listener: Listener, clock: Clock, admit: Admit) -> None:
        self.address = listener.address
        self.refused: list[str] = []
        self._listener = listener
        self._clock = clock
        self._admit = admit
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], SessionMachine | None] = {}

    async def start(self) -> None:
        """Bind and listen. Raises ConfigurationInvalid."""
        tls = self._listener.tls
        context = None if tls is None else server_context(tls)
        bound = bind(self._listener)
        if self.address.startswith("unix:"):
            self._server = await asyncio.start_unix_server(
                self._connected, sock=bound, backlog=BACKLOG, ssl=context
            )
        else:
            host, port = bound.getsockname()[:2]
            self.address = f"{host}:{port}"
            self._server = await asyncio.start_server(
                self._connected, sock=bound, backlog=BACKLOG, ssl=context
            )

    async def close(self) -> None:
        """Take nothing new, log every session out, then cut what is left."""
        if self._server is not None:
            self._server.close()
        for session in self._open.values():
            if session is not None:
                session.logout("the gate ends")
        if self._open:
            _, late = await asyncio.wait(list(self._open), timeout=LOGOUT_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._open) >= CONNECTIONS_MAX:
            self._refuse(writer, "too many connections")
            return
        self._open[task] = None
        try:
            await self._serve(task, reader, writer)
        except asyncio.CancelledError:
            # Only close() cancels: the connection is cut, and that is how this task ends.
            writer.transport.abort()
        finally:
            del self._open[task]

    async def _serve(
        self,
        task: asyncio.Task[None],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        try:
            async with asyncio.timeout(LOGON_WAIT_S):
                data, message = await _first_message(reader)
        except (MalformedInput, MessageRejected, TimeoutError, OSError) as error:
            self._refuse(writer, f"no logon: {type(error).__name__} {error}")
            return
        admitted = self._admit(message, peer_of(writer.transport))
        if isinstance(admitted, str):
            self._refuse(writer, admitted)
            return
        if admitted.session.state != "closed":
            self._refuse(writer, f"{admitted.session.terms.peer} is connected already")
            return
        self._open[task] = admitted.session
        await drive(admitted.session, reader, writer, self._clock, admitted.deliver, data)

    def _refuse(self, writer: asyncio.StreamWriter, reason: str) -> None:
        self.refused = [*self.refused[-99:], reason]
        with contextlib.suppress(OSError):
            writer.close()


async def _first_message(reader: asyncio.StreamReader) -> tuple[bytes, FixMessage]:
    """What was read until the first message was whole, and that message.

    Raises:
        MalformedInput: it is no message of FIX 4.4, or the connection ended.
        MessageRejected: it is malformed.
    """
    data, framer = b"", Framer()
    while True:
        more = await reader.read(MESSAGE_BYTES_MAX)
        if not more:
            raise MalformedInput("the connection ended before a logon")
        data += more
        found = framer.feed(more)
        if found:
            return data, parse(found[0])
        if framer.garbled:
            raise MalformedInput("the CheckSum of the first message is wrong")
