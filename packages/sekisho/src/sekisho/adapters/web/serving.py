# SPDX-License-Identifier: Apache-2.0
"""An ASGI application on sockets of ours, with the peer in every request's scope.

uvicorn, with httptools and uvloop where they are installed and without them where not. Three things
are added, each because no ASGI server has it: the peer (``peers``), an end for connections that
send nothing or too slowly, and a bound on connections. Bodies are bounded by the application.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import uvicorn

from sekisho.adapters.web.listening import BACKLOG, Listener, bind, server_context
from sekisho.adapters.web.peers import EXTENSION, peer_of

HEADER_WAIT_S = 10.0
IDLE_S = 75
HEADER_BYTES_MAX = 16_384


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one server takes: open connections, and seconds until a request's head is there."""

    connections: int = 512
    header_wait_s: float = HEADER_WAIT_S


class _OwnSignals(uvicorn.Server):
    """Signals belong to the process, not to one of its servers."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


class Serving:
    """One application on some sockets, until :meth:`close`."""

    def __init__(self, app: Any, listeners: Sequence[Listener], bounds: Bounds) -> None:
        self._app = app
        self._listeners = listeners
        self._bounds = bounds
        self._servers: list[_OwnSignals] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.addresses: list[str] = []
        """Where it listens, with the port that was really bound."""

    async def start(self) -> None:
        """Bind all sockets, then serve; returns when every server takes connections.

        Raises:
            ConfigurationInvalid: a socket cannot be bound; none is left bound.
        """
        sockets = []
        try:
            for listener in self._listeners:
                sockets.append(bind(listener))  # noqa: PERF401 - what is bound must be closed
        except Exception:
            for bound in sockets:
                bound.close()
            raise
        for listener, bound in zip(self._listeners, sockets, strict=True):
            bound.listen(BACKLOG)
            name = bound.getsockname()
            unix = listener.address.startswith("unix:")
            self.addresses.append(listener.address if unix else f"{name[0]}:{name[1]}")
            server = _OwnSignals(self._configuration(listener))
            self._servers.append(server)
            self._tasks.append(asyncio.create_task(server.serve(sockets=[bound])))
        while not all(server.started for server in self._servers):
            for task in self._tasks:
                if task.done():
                    task.result()
            await asyncio.sleep(0.005)

    async def close(self, drain_s: float = 5.0) -> None:
        """Take nothing new, let running requests end within ``drain_s``, then cut them."""
        for server in self._servers:
            server.should_exit = True
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=drain_s)
            for server in self._servers:
                server.force_exit = True
            if late:
                await asyncio.wait(late, timeout=2)

    def _configuration(self, listener: Listener) -> uvicorn.Config:
        configuration = uvicorn.Config(
            self._app,
            http=_protocol(self._bounds),
            interface="asgi3",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=IDLE_S,
            h11_max_incomplete_event_size=HEADER_BYTES_MAX,
        )
        configuration.load()
        if listener.tls is not None:
            configuration.ssl = server_context(listener.tls)
        return configuration


@cache
def _protocol(bounds: Bounds) -> Any:
    """The protocol class of uvicorn that is installed, knowing its peer and its bounds."""
    if importlib.util.find_spec("httptools") is not None:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as Chosen
    else:
        from uvicorn.protocols.http.h11_impl import (  # type: ignore[assignment]  # same interface
            H11Protocol as Chosen,
        )

    class PeerProtocol(Chosen):
        """Puts the peer into each scope, and ends connections that do not say what they want."""

        _waiting: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > bounds.connections:
                transport.abort()
                return
            peer, app = peer_of(transport), self.app

            async def with_peer(scope: Any, receive: Any, send: Any) -> None:
                if self._waiting is not None:  # a whole head has come
                    self._waiting.cancel()
                    self._waiting = None
                scope.setdefault("extensions", {})[EXTENSION] = peer
                await app(scope, receive, send)

            self.app = with_peer
            self._waiting = self.loop.call_later(bounds.header_wait_s, transport.abort)

        def connection_lost(self, exc: Exception | None) -> None:
            if self._waiting is not None:
                self._waiting.cancel()
            super().connection_lost(exc)

    return PeerProtocol


async def serve(app: Any, listeners: Sequence[Listener], bounds: Bounds | None = None) -> Serving:
    """Serve ``app`` on ``listeners``; see :class:`Serving`."""
    serving = Serving(app, listeners, bounds or Bounds())
    await serving.start()
    return serving


def loop_factory() -> Any:
    """uvloop's event loop where it is installed, else the standard one."""
    if importlib.util.find_spec("uvloop") is None:
        return asyncio.new_event_loop
    import uvloop

    return uvloop.new_event_loop
