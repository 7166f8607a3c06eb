# SPDX-License-Identifier: Apache-2.0
"""Takes FIX connections and hands each to the session that its logon names (docs/spec/fix.md, 3).

Who may have a session is decided by the caller, from the first message and from what kernel and
TLS say of the peer. A connection that is refused gets no answer: it learns nothing, and uses no
sequence number of a session that is not its own. Connections before their logon have a room of
their own and a few seconds: they take no place of a session.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import NamedTuple

from sekisho.adapters.fix.codec import MESSAGE_BYTES_MAX, FixMessage, Framer, MessageRejected, parse
from sekisho.adapters.fix.driving import drive
from sekisho.adapters.fix.session import Delivered, SessionMachine
from sekisho.adapters.web.listening import BACKLOG, Listener, bind, server_context
from sekisho.adapters.web.peers import Peer, peer_of
from sekisho.adapters.web.places import Bounds, Handshake, Places, on_uvloop
from sekisho.core.errors import MalformedInput
from sekisho.ports import Clock

CONNECTIONS_MAX = 64
"""Sessions of one acceptor that may be connected."""
BEFORE_LOGON_MAX = 32
"""Connections of one acceptor whose logon is not there yet."""
LOGON_WITHIN_S = 4.0
FIX_CONNECTIONS_MAX = 2 * BEFORE_LOGON_MAX + CONNECTIONS_MAX
"""All of one acceptor, with those in the handshake of TLS."""
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
        self._counts = False
        self._handshakes = Places(Bounds(BEFORE_LOGON_MAX))

    async def start(self) -> None:
        """Bind and listen. Raises ConfigurationInvalid."""
        tls = self._listener.tls
        context = native = None if tls is None else server_context(tls)
        if on_uvloop():
            context = None  # its start_tls does not serve: the server agrees TLS itself
        self._counts = context is not None
        native = None if self._counts else native
        bound = bind(self._listener)

        def made() -> asyncio.Protocol:
            if context is None:
                return self._streams()
            return Handshake(context, self._handshakes, self._streams)

        if self.address.startswith("unix:"):
            loop = asyncio.get_running_loop()
            self._server = await loop.create_unix_server(
                made, sock=bound, backlog=BACKLOG, ssl=native
            )
        else:
            host, port = bound.getsockname()[:2]
            self.address = f"{host}:{port}"
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(made, sock=bound, backlog=BACKLOG, ssl=native)

    async def close(self) -> None:
        """Take nothing new, log every session out, then cut what is left."""
        if self._server is not None:
            self._server.close()
        self._handshakes.cut_handshakes()
        for session in self._open.values():
            if session is not None:
                session.logout("the gate ends")
        if self._open:
            _, late = await asyncio.wait(list(self._open), timeout=LOGOUT_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._counts:
            self._handshakes.leave(None)  # the place of the handshake; those below are others
        task = asyncio.current_task()
        before = sum(session is None for session in self._open.values())
        if task is None or before >= BEFORE_LOGON_MAX:
            self._refuse(writer, "too many connections without a logon")
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
            async with asyncio.timeout(LOGON_WITHIN_S):
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
        if sum(session is not None for session in self._open.values()) >= CONNECTIONS_MAX:
            self._refuse(writer, "too many sessions")
            return
        self._open[task] = admitted.session
        await drive(admitted.session, reader, writer, self._clock, admitted.deliver, data)

    def _streams(self) -> asyncio.Protocol:
        """What asyncio's own servers of streams make for a connection."""
        reader = asyncio.StreamReader()
        return asyncio.StreamReaderProtocol(reader, self._connected)

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
