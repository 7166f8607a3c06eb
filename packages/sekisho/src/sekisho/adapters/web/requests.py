# SPDX-License-Identifier: Apache-2.0
"""uvicorn's HTTP protocol with a peer, a place, and an end for heads that are slow or too long.

A head has so many bytes and so many seconds from its first byte, the first one of a connection from
its beginning. Between requests a connection may be idle. What comes outside of a body is counted
as a head, also the trailers of a chunked body: the parser keeps it in memory until it is whole.
"""

from __future__ import annotations

import asyncio
import importlib.util
from functools import cache
from typing import Any

from sekisho.adapters.web.peers import EXTENSION, Peer, peer_of
from sekisho.adapters.web.places import Places

HEADER_BYTES_MAX = 16_384


@cache
def protocol() -> Any:
    """The protocol class for what is installed; made with ``places`` and ``entered``."""
    if importlib.util.find_spec("httptools") is None:
        return _with_h11()
    return _with_httptools()


class _Bounded:
    """Mixed into a protocol of uvicorn, before it."""

    cycle: Any
    transport: Any
    loop: asyncio.AbstractEventLoop
    app: Any

    def __init__(self, *, places: Places, entered: bool, **given: Any) -> None:
        super().__init__(**given)
        self._places = places
        self._entered = entered
        self._seated: Peer | None = None
        self._waiting: asyncio.TimerHandle | None = None
        self._early: list[bytes] = []

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)  # type: ignore[misc]  # uvicorn's
        peer, app = peer_of(transport), self.app
        self._entered = self._entered or self._places.enter()
        if not self._entered or not self._places.seat(peer):
            transport.abort()
            return
        self._seated = peer

        async def with_peer(scope: Any, receive: Any, send: Any) -> None:
            self._head_taken()
            scope.setdefault("extensions", {})[EXTENSION] = peer
            await app(scope, receive, send)

        self.app = with_peer
        self._wait()
        early, self._early = self._early, []
        for data in early:
            self.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.transport is None:  # lost before it was made: ``Handshake`` sees to its place
            return
        self._stop_waiting()
        if self._entered:
            self._entered = False
            self._places.leave(self._seated)
        super().connection_lost(exc)  # type: ignore[misc]  # uvicorn's

    def data_received(self, data: bytes) -> None:
        if self.transport is None:
            self._early.append(data)
            return
        if self.transport.is_closing():
            return
        super().data_received(data)  # type: ignore[misc]  # uvicorn's
        if not self.transport.is_closing() and self._outside_of_requests():
            self._wait()

    def _outside_of_requests(self) -> bool:
        """Whether bytes have come that no request under way explains: uvicorn ends its own wait."""
        return self.cycle is None or bool(self.cycle.response_complete)

    def _head_taken(self) -> None:
        """The application was given a request, so its head was whole."""
        self._stop_waiting()

    def _wait(self) -> None:
        """From now a head has to come, unless one is waited for already."""
        if self._waiting is None:
            wait_s = self._places.bounds.header_wait_s
            self._waiting = self.loop.call_later(wait_s, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


def _with_h11() -> type[Any]:
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class SlowBoundH11(_Bounded, H11Protocol):
        """h11 bounds the bytes of a head itself."""

    return SlowBoundH11


def _with_httptools() -> type[Any]:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    class SlowBoundHttpTools(_Bounded, HttpToolsProtocol):
        """httptools keeps heads of any length, so they are counted here.

        ``_said`` are the bytes of the head that the parser has told of, ``_untold`` those that were
        given to it in pieces from which it told of no head, body or end.
        """

        _said = 0
        _untold = 0
        _told = False
        _begun = False

        def data_received(self, data: bytes) -> None:
            self._told = False
            super().data_received(data)
            self._untold = 0 if self._told else self._untold + len(data)
            if self._untold > HEADER_BYTES_MAX and self.transport is not None:
                self.transport.abort()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._said, self._begun = 0, True

        def on_url(self, url: bytes) -> None:
            self._say(len(url))
            super().on_url(url)

        def on_header(self, name: bytes, value: bytes) -> None:
            self._say(len(name) + len(value) + 4)
            super().on_header(name, value)

        def on_headers_complete(self) -> None:
            self._told, self._begun = True, False
            self._stop_waiting()
            super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            self._told = True
            super().on_body(body)

        def on_message_complete(self) -> None:
            self._told = True
            super().on_message_complete()

        def _say(self, count: int) -> None:
            """Raises OverflowError, which uvicorn answers with 400 and an end."""
            self._said += count
            if self._said > HEADER_BYTES_MAX:
                raise OverflowError("the head of a request is too long")

        def _outside_of_requests(self) -> bool:
            return self._begun or super()._outside_of_requests()

        def _head_taken(self) -> None:
            """Nothing: the next head may have begun, and is waited for."""

    return SlowBoundHttpTools
