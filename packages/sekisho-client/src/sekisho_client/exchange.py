# SPDX-License-Identifier: Apache-2.0
"""One request over one connection, and what came of it: a whole reply, or none.

The connection layer of httpx2 (httpcore2) without what a bot's link must not have: no redirects, no
proxies or certificates of the environment, no cookies, no decoding of compressed bodies. Nothing is
sent twice here. A reply is bounded in size, and in time as a whole: a gate that sends a byte now
and then is cut like one that sends nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any, TypeVar

import httpcore2

from sekisho_client.answers import Reply
from sekisho_client.calls import Call, Course, NoReply
from sekisho_client.endpoint import Endpoint

REPLY_BYTES_MAX = 1_048_576
"""Longest body that is read. A page of 500 orders has about 200,000 bytes."""
CONNECTIONS_MAX = 64
IDLE_S = 30.0
"""An idle connection is not used again after this time: gates close theirs later than that."""
T = TypeVar("T")
_NOT_SENT = (httpcore2.ConnectError, httpcore2.ConnectTimeout, httpcore2.PoolTimeout)
_CUT = (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError)


class Link:
    """The connection of a :class:`~sekisho_client.gate.Gate`; may be shared among threads."""

    def __init__(self, endpoint: Endpoint, backend: httpcore2.NetworkBackend | None = None) -> None:
        self._endpoint = endpoint
        self._pool = httpcore2.ConnectionPool(
            **_pool_settings(endpoint),
            network_backend=_InTime(backend or httpcore2.SyncBackend()),
        )

    def run(self, call: Call[T]) -> T:
        """Make a call; see :class:`Course`."""
        course = Course(call)
        while course.again(self._attempt(call)):
            pass
        return course.result()

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    def _attempt(self, call: Call[T]) -> Reply | NoReply:
        with _ending(self._endpoint.answer_s):
            try:
                with self._pool.stream(**_request(self._endpoint, call)) as response:
                    taken = bytearray()
                    for part in response.iter_stream():
                        taken += part
                        if len(taken) > REPLY_BYTES_MAX:
                            return _too_long()
                    return _reply(response, taken)
            except (*_NOT_SENT, *_CUT) as error:
                return _none(error, self._endpoint)


class AsyncLink:
    """The connection of an :class:`~sekisho_client.async_gate.AsyncGate`, for one event loop."""

    def __init__(
        self, endpoint: Endpoint, backend: httpcore2.AsyncNetworkBackend | None = None
    ) -> None:
        self._endpoint = endpoint
        self._pool = httpcore2.AsyncConnectionPool(
            **_pool_settings(endpoint), network_backend=backend
        )

    async def run(self, call: Call[T]) -> T:
        """Make a call; see :class:`Course`."""
        course = Course(call)
        while course.again(await self._attempt(call)):
            pass
        return course.result()

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.aclose()

    async def _attempt(self, call: Call[T]) -> Reply | NoReply:
        try:
            async with (
                asyncio.timeout(self._endpoint.answer_s),
                self._pool.stream(**_request(self._endpoint, call)) as response,
            ):
                taken = bytearray()
                async for part in response.aiter_stream():
                    taken += part
                    if len(taken) > REPLY_BYTES_MAX:
                        return _too_long()
                return _reply(response, taken)
        except (*_NOT_SENT, *_CUT) as error:
            return _none(error, self._endpoint)
        except TimeoutError:
            return NoReply(sent=True, detail="no whole answer in time")


def _pool_settings(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "ssl_context": endpoint.tls,
        "uds": endpoint.socket_path,
        "max_connections": CONNECTIONS_MAX,
        "keepalive_expiry": IDLE_S,
        "retries": 0,
    }


def _request(endpoint: Endpoint, call: Call[T]) -> dict[str, Any]:
    headers = {"Accept": "application/json, application/problem+json"}
    if endpoint.authorization:
        headers["Authorization"] = endpoint.authorization
    if call.body is not None:
        headers["Content-Type"] = "application/json"
    headers.update(call.headers)
    connect_s, answer_s = min(endpoint.connect_s, endpoint.answer_s), endpoint.answer_s
    return {
        "method": call.method,
        "url": endpoint.origin + call.target,
        "headers": headers,
        "content": call.body,
        "extensions": {
            "timeout": {
                "connect": connect_s,
                "pool": connect_s,
                "read": answer_s,
                "write": answer_s,
            }
        },
    }


def _reply(response: httpcore2.Response, taken: bytearray) -> Reply:
    kinds = [value for name, value in response.headers if name.lower() == b"content-type"]
    # Two of them say two things; an empty one is neither JSON nor a problem.
    kind = kinds[0].decode("latin-1") if len(kinds) == 1 else ""
    return Reply(response.status, kind.partition(";")[0].strip().lower(), bytes(taken))


def _too_long() -> NoReply:
    return NoReply(sent=True, detail=f"an answer of more than {REPLY_BYTES_MAX} bytes")


def _none(error: Exception, endpoint: Endpoint) -> NoReply:
    detail = str(error) or type(error).__name__
    if isinstance(error, _NOT_SENT):
        where = endpoint.socket_path or endpoint.origin
        return NoReply(sent=False, detail=f"{endpoint.whom} was not reached at {where}: {detail}")
    if isinstance(error, httpcore2.TimeoutException):
        return NoReply(sent=True, detail="no whole answer in time")
    return NoReply(sent=True, detail=f"the connection ended before a whole answer: {detail}")


# -- one end for a whole exchange ------------------------------------------------------------------

_ends_at: ContextVar[float] = ContextVar("ends_at")


@contextlib.contextmanager
def _ending(seconds: float) -> Iterator[None]:
    """Everything that this context reads or writes must be done within so many seconds."""
    token = _ends_at.set(_monotonic() + seconds)
    try:
        yield
    finally:
        _ends_at.reset(token)


def _monotonic() -> float:
    return time.monotonic()  # noqa: TID251 - a bot has no Clock port; waits are measured


def _left(timeout: float | None, late: Callable[[str], Exception]) -> float:
    left = _ends_at.get() - _monotonic()
    if left <= 0:
        raise late("no whole answer in time")
    return left if timeout is None else min(left, timeout)


class _InTime(httpcore2.NetworkBackend):
    """A backend whose waits end with the exchange, however often they begin anew."""

    def __init__(self, inner: httpcore2.NetworkBackend) -> None:
        self._inner = inner

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        wait = _left(timeout, httpcore2.ConnectTimeout)
        return _StreamInTime(
            self._inner.connect_tcp(host, port, wait, local_address, socket_options)
        )

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        wait = _left(timeout, httpcore2.ConnectTimeout)
        return _StreamInTime(self._inner.connect_unix_socket(path, wait, socket_options))


class _StreamInTime(httpcore2.NetworkStream):
    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout, httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(timeout, httpcore2.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        wait = _left(timeout, httpcore2.ConnectTimeout)
        return _StreamInTime(self._inner.start_tls(ssl_context, server_hostname, wait))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
