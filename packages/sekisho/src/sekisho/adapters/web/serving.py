# SPDX-License-Identifier: Apache-2.0
"""An ASGI application on sockets of ours, with the peer in every request's scope.

uvicorn, with httptools and uvloop where they are installed and without them where not. Three things
are added, each because no ASGI server has it: the peer (``peers``), an end for connections that
send nothing, too slowly or too long a head (``requests``), and a bound on connections from the
moment that they are accepted (``places``). Bodies are bounded by the application.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import uvicorn

from sekisho.adapters.web.listening import BACKLOG, Listener, bind, server_context
from sekisho.adapters.web.places import Bounds, Handshake, Places, on_uvloop
from sekisho.adapters.web.requests import HEADER_BYTES_MAX, protocol

__all__ = ["Bounds", "Serving", "loop_factory", "serve"]

IDLE_S = 75


class _OwnSignals(uvicorn.Server):
    """Signals belong to the process, not to one of its servers."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


class Serving:
    """One application on some sockets, until :meth:`close`."""

    def __init__(
        self,
        app: Any,
        listeners: Sequence[Listener],
        bounds: Bounds,
        refused: Callable[[], None] = lambda: None,
    ) -> None:
        """``refused`` is told of each connection that could not agree on TLS."""
        self._refused = refused
        self._app = app
        self._listeners = listeners
        self._bounds = bounds
        self._servers: list[_OwnSignals] = []
        self._places: list[Places] = []
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
        for places in self._places:
            places.cut_handshakes()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=drain_s)
            for server in self._servers:
                server.force_exit = True
            if late:
                await asyncio.wait(late, timeout=2)

    def _configuration(self, listener: Listener) -> uvicorn.Config:
        places = Places(self._bounds)
        places.refused = self._refused
        self._places.append(places)
        context = native = None if listener.tls is None else server_context(listener.tls)
        if on_uvloop():
            context = None  # its start_tls does not serve: the server agrees TLS itself

        def made(**given: Any) -> asyncio.Protocol:
            """For uvicorn, which hands it every accepted socket; so TLS is ours, not its own."""
            make: Callable[[], asyncio.Protocol] = partial(
                protocol(), places=places, entered=context is not None, **given
            )
            return make() if context is None else Handshake(context, places, make)

        configuration = uvicorn.Config(
            self._app,
            http=made,  # type: ignore[arg-type]  # called as its classes are
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
        configuration.ssl = native if context is None else None
        return configuration


async def serve(
    app: Any,
    listeners: Sequence[Listener],
    bounds: Bounds | None = None,
    refused: Callable[[], None] = lambda: None,
) -> Serving:
    """Serve ``app`` on ``listeners``; see :class:`Serving`."""
    serving = Serving(app, listeners, bounds or Bounds(), refused)
    await serving.start()
    return serving


def loop_factory() -> Any:
    """uvloop's event loop where it is installed, else the standard one."""
    if importlib.util.find_spec("uvloop") is None:
        return asyncio.new_event_loop
    import uvloop

    return uvloop.new_event_loop
