# SPDX-License-Identifier: Apache-2.0
"""Room for connections of one listener, from the moment that a socket was accepted.

A connection has a place before anything is known of it, also before TLS. A handshake ends within
seconds, and only some places are for handshakes, so that strangers cannot take those of the known.
Who is known by user or certificate has a share of the places, so that one cannot take them all.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from sekisho.adapters.web.peers import Peer

HEADER_WAIT_S = 10.0
HANDSHAKE_WAIT_S = 5.0
_HANDSHAKES_MIN = 16


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one listener takes.

    Attributes:
        connections: open ones, with those in the handshake of TLS.
        header_wait_s: seconds from the first byte of a request's head, or from the connection's
            beginning, until the head is whole.
        of_one: connections of one user or client certificate; 0: half of all.
        handshake_wait_s: seconds until TLS is agreed.
    """

    connections: int = 512
    header_wait_s: float = HEADER_WAIT_S
    of_one: int = 0
    handshake_wait_s: float = HANDSHAKE_WAIT_S

    @property
    def share(self) -> int:
        """Connections of one peer."""
        return self.of_one or max(1, self.connections // 2)

    @property
    def handshakes(self) -> int:
        """Connections that may be in the handshake at one time."""
        return min(self.connections, max(_HANDSHAKES_MIN, self.connections // 2))


class Places:
    """The places of one listener."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.taken = 0
        self.handshaking: dict[asyncio.Task[None], asyncio.Transport] = {}
        self._of: Counter[int | bytes] = Counter()
        self.refused: Callable[[], None] = lambda: None
        """Told of each connection that could not agree on TLS."""

    def enter(self) -> bool:
        """Take a place for an accepted socket; False: there is none."""
        if self.taken >= self.bounds.connections:
            return False
        self.taken += 1
        return True

    def seat(self, peer: Peer) -> bool:
        """Count a connection with a place for its peer; False: the peer has its share.

        A peer that neither kernel nor TLS names (TCP on loopback) has no share of its own.
        """
        name = _name(peer)
        if name is not None and self._of[name] >= self.bounds.share:
            return False
        if name is not None:
            self._of[name] += 1
        return True

    def leave(self, peer: Peer | None) -> None:
        """Give a place back, and the seat of ``peer`` if it had one."""
        self.taken -= 1
        name = None if peer is None else _name(peer)
        if name is not None:
            self._of[name] -= 1
            if not self._of[name]:
                del self._of[name]

    def cut_handshakes(self) -> None:
        """End all connections that are in the handshake."""
        for task, transport in list(self.handshaking.items()):
            task.cancel()
            transport.abort()


def _name(peer: Peer) -> int | bytes | None:
    return peer.certificate if peer.uid is None else peer.uid


def on_uvloop() -> bool:
    """Whether the running loop is uvloop's."""
    return type(asyncio.get_running_loop()).__module__.startswith("uvloop")


class Handshake(asyncio.Protocol):
    """A TCP connection until TLS is agreed; then ``make``'s protocol has it, and its place.

    No server of asyncio or uvicorn counts a connection before its handshake, so they are handed
    the connection only after it. ``make``'s protocol may be given data before it is told of the
    connection.
    """

    def __init__(
        self, context: ssl.SSLContext, places: Places, make: Callable[[], asyncio.Protocol]
    ) -> None:
        self._context = context
        self._places = places
        self._make = make

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place and begin; without a place the connection ends."""
        places = self._places
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what listening makes
        if len(places.handshaking) >= places.bounds.handshakes or not places.enter():
            transport.abort()
            return
        # start_tls pauses reading, before the loop reads anything: uvloop bears no pause from here.
        task = asyncio.get_running_loop().create_task(self._agree(transport))
        places.handshaking[task] = transport
        task.add_done_callback(places.handshaking.pop)

    async def _agree(self, transport: asyncio.Transport) -> None:
        protocol, agreed = self._make(), None
        try:
            agreed = await asyncio.get_running_loop().start_tls(
                transport,
                protocol,
                self._context,
                server_side=True,
                ssl_handshake_timeout=self._places.bounds.handshake_wait_s,
                ssl_shutdown_timeout=self._places.bounds.handshake_wait_s,
            )
        except asyncio.CancelledError:
            pass  # close() cancels, and this ends
        except OSError:
            # No certificate, a stranger's, an expired one, no TLS at all: nobody that may ask.
            self._places.refused()
        if agreed is None or agreed.is_closing():
            transport.abort()
            self._places.leave(None)
            return
        protocol.connection_made(agreed)
