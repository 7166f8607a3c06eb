# SPDX-License-Identifier: Apache-2.0
"""Orders over raw sockets, for measurements: open loop by Poisson arrivals, and closed loop.

Arrivals are waited for by spinning, since a sleep is coarser than what is measured. In the open
loop a latency is counted twice: from the instant at which the order was due (an order that waits
for the sender, or for a free connection, waits in it), and from the moment in which it was sent.
"""

from __future__ import annotations

import random
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from sekisho.adapters.fix.codec import Framer, encode, parse, write_time

MS = 1_000_000
DRAIN_S = 15
IDLE_S = 5
UNDER_WAY_MAX = 32
"""Orders of one FIX session; a gate refuses more than it has room for."""


class Line(Protocol):
    """One connection to whoever takes orders."""

    def fileno(self) -> int: ...

    def wake(self) -> None:
        """Be connected: a server cuts connections on which nothing was sent for long."""
        ...

    def free(self) -> bool:
        """Whether another order can be sent now."""
        ...

    def send(self, name: str, message: Any) -> None:
        """Send one order."""
        ...

    def read(self) -> list[str]:
        """Names of orders that were answered."""
        ...


Make = Callable[[str, int], Any]
"""Name and number of an order → what a line sends."""


class HttpLine:
    """HTTP/1.1, one request at a time; an answer is 200 and holds ``wanted``; any one, if empty."""

    def __init__(self, connect: Callable[[], socket.socket], head: bytes, wanted: bytes) -> None:
        self._connect, self._head, self._wanted = connect, head, wanted
        self._said = b""
        self._name = ""
        self._used = 0.0
        self._socket: socket.socket | None = None

    def wake(self) -> None:
        if self._socket is not None and time.monotonic() - self._used < IDLE_S:
            return
        if self._socket is not None:
            self._socket.close()
        self._socket = self._connect()
        self._socket.setblocking(False)

    def fileno(self) -> int:
        assert self._socket is not None
        return self._socket.fileno()

    def free(self) -> bool:
        return not self._name

    def send(self, name: str, message: bytes) -> None:
        assert self._socket is not None
        self._name, self._used = name, time.monotonic()
        self._socket.sendall(self._head % len(message) + message)

    def read(self) -> list[str]:
        assert self._socket is not None
        try:
            while part := self._socket.recv(65_536):
                self._said += part
                if len(part) < 16_384:
                    break
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        head, end, body = self._said.partition(b"\r\n\r\n")
        if not end:
            return []
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return []
        if self._wanted:
            assert head.startswith(b"HTTP/1.1 200"), self._said[:600]
            assert self._wanted in body, self._said[:600]
        name, self._name, self._said = self._name, "", b""
        return [name]


class FixLine:
    """A FIX session that has logged on; any number of orders under way."""

    def __init__(self, made: socket.socket, own: str, peer: str, agent: str, *logon: Any) -> None:
        self._socket, self._own, self._peer, self._agent = made, own, peer, agent
        self._next = 1
        self._framer = Framer()
        self._waiting: set[str] = set()
        self._tell("A", [(98, "0"), (108, "60"), *logon])
        while not any(message.kind == "A" for message in self._take()):
            pass
        made.setblocking(False)

    def fileno(self) -> int:
        return self._socket.fileno()

    def wake(self) -> None:
        """It was logged on when it was made."""

    def free(self) -> bool:
        return len(self._waiting) < UNDER_WAY_MAX

    def send(self, name: str, message: Any) -> None:
        self._waiting.add(name)
        self._tell("D", message)

    def read(self) -> list[str]:
        found = []
        for message in self._take():
            name = message.get(11)
            assert message.kind in "081A", message
            assert message.get(39) != "8", message
            if message.kind == "1":
                self._tell("0", [(112, message.get(112))])
            if message.kind == "8" and name in self._waiting:
                self._waiting.discard(name)
                found.append(name)
        return found

    def _tell(self, kind: str, body: Sequence[tuple[int, str]]) -> None:
        head = [(49, self._own), (56, self._peer), (34, str(self._next))]
        head += [(50, self._agent)] if self._agent else []
        self._next += 1
        self._socket.sendall(encode(kind, [*head, (52, write_time(time.time_ns()))], body))

    def _take(self) -> list[Any]:
        try:
            data = self._socket.recv(65_536)
        except BlockingIOError:
            return []
        assert data, "the session was ended"
        return [parse(body) for body in self._framer.feed(data)]

    def close(self) -> None:
        """Log out."""
        self._tell("5", [])
        self._socket.setblocking(True)
        self._socket.settimeout(5)
        while self._socket.recv(65_536):
            pass
        self._socket.close()


def unix(path: Path) -> socket.socket:
    """A connection to a Unix socket."""
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(10)
    made.connect(str(path))
    return made


def mutual_tls(address: str, folder: Path) -> ssl.SSLSocket:
    """A connection to ``HOST:PORT`` with the bot's certificate."""
    context = ssl.create_default_context(cafile=folder / "ca.crt")
    context.load_cert_chain(folder / "bot.crt", folder / "bot.key")
    host, _, port = address.rpartition(":")
    plain = socket.create_connection((host, int(port)), timeout=10)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(plain, server_hostname=host)


def http_lines(
    count: int, connect: Callable[[], socket.socket], path: str, token: str, wanted: bytes
) -> list[Line]:
    """Connections that post orders to a path."""
    bearer = f"authorization: Bearer {token}\r\n" if token else ""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: bench\r\n{bearer}"
        "content-type: application/json\r\ncontent-length: %d\r\n\r\n"
    ).encode()
    return [HttpLine(connect, head, wanted) for _ in range(count)]


class Sample(NamedTuple):
    """Latencies in ms, sorted, and how long it took in all, s."""

    due: list[float]
    sent: list[float]
    seconds: float

    def rate(self) -> float:
        """Answers a second."""
        return len(self.sent) / self.seconds


def at(values: Sequence[float], part: float) -> float:
    """A quantile of sorted values; 0 of none."""
    return values[min(len(values) - 1, int(len(values) * part))] if values else 0.0


def joined(samples: Sequence[Sample]) -> Sample:
    """Rounds of the same measurement as one."""
    return Sample(
        sorted(value for one in samples for value in one.due),
        sorted(value for one in samples for value in one.sent),
        sum(one.seconds for one in samples),
    )


def open_loop(
    lines: Sequence[Line],
    make: Make,
    mark: str,
    *,
    rate: float,
    seconds: float,
    spin: bool = True,
) -> Sample:
    """Poisson arrivals of ``rate`` a second, whatever the answers do; without ``spin`` to 1 ms."""
    chance, number = random.Random(mark), 0
    poll, by_file = _polled(lines)
    due_at: dict[str, tuple[int, int]] = {}
    late: deque[int] = deque()
    from_due: list[float] = []
    from_sent: list[float] = []
    ready: tuple[str, Any] | None = None
    begin = time.perf_counter_ns()
    end, due = begin + int(seconds * 1e9), begin + int(chance.expovariate(rate) * 1e9)
    while (now := time.perf_counter_ns()) < end or late or due_at:
        assert now < end + DRAIN_S * 1e9, f"{len(due_at)} orders were never answered"
        while due <= now and due < end:
            late.append(due)
            due += int(chance.expovariate(rate) * 1e9)
        if ready is None:
            number += 1
            name = f"{mark}-{number}"
            ready = (name, make(name, number))
        free = next((line for line in lines if line.free()), None) if late else None
        if free is not None:
            name, message = ready
            ready = None
            due_at[name] = (late.popleft(), time.perf_counter_ns())
            free.send(name, message)
        wait = 0.0 if spin else max(0.0, min((due - now) / 1e9, 0.05))
        for file, _ in poll.poll(wait):
            for name in by_file[file].read():
                now = time.perf_counter_ns()
                was_due, was_sent = due_at.pop(name)
                from_due.append((now - was_due) / MS)
                from_sent.append((now - was_sent) / MS)
    poll.close()
    return Sample(sorted(from_due), sorted(from_sent), (time.perf_counter_ns() - begin) / 1e9)


def closed_loop(
    lines: Sequence[Line],
    make: Make,
    mark: str,
    *,
    seconds: float = 0.0,
    count: int = 0,
    every: Callable[[int], None] | None = None,
) -> Sample:
    """Each line sends its next order when the last was answered.

    Args:
        lines: a caller each.
        make: the orders.
        mark: begins their names.
        seconds: how long; 0: until ``count`` orders were sent.
        count: how many.
        every: called after each answer with how many there were.
    """
    poll, by_file = _polled(lines)
    sent_at: dict[str, int] = {}
    taken: list[float] = []
    number = 0
    begin = time.perf_counter_ns()
    end = begin + int(seconds * 1e9)

    def send(line: Line) -> None:
        nonlocal number
        number += 1
        name = f"{mark}-{number}"
        message = make(name, number)
        sent_at[name] = time.perf_counter_ns()
        line.send(name, message)

    for line in lines:
        send(line)
    while sent_at:
        for file, _ in poll.poll(DRAIN_S):
            line = by_file[file]
            for name in line.read():
                now = time.perf_counter_ns()
                taken.append((now - sent_at.pop(name)) / MS)
                if every is not None:
                    every(len(taken))
                if now < end or number < count:
                    send(line)
    poll.close()
    taken.sort()
    return Sample(taken, taken, (time.perf_counter_ns() - begin) / 1e9)


def _polled(lines: Sequence[Line]) -> tuple[select.epoll, dict[int, Line]]:
    poll = select.epoll()
    for line in lines:
        line.wake()
        poll.register(line.fileno(), select.EPOLLIN)
    return poll, {line.fileno(): line for line in lines}
