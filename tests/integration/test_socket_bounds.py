# SPDX-License-Identifier: Apache-2.0
"""What one caller, or a stranger, can take of a server's memory, time and places."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from sekisho.adapters.web.listening import Listener, Tls
from sekisho.adapters.web.peers import Peer
from sekisho.adapters.web.places import Bounds, Places
from sekisho.adapters.web.requests import HEADER_BYTES_MAX
from sekisho.adapters.web.serving import Serving
from tests.integration.test_sockets import Authority, client_context, serving

WAIT_S = 5.0
REQUEST = b"GET / HTTP/1.1\r\nhost: gate\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nhost: gate\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
PATIENT = Bounds(header_wait_s=600, handshake_wait_s=600)


def port(server: Serving) -> int:
    return int(server.addresses[0].rpartition(":")[2])


async def connected(server: Serving) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port(server))


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What comes until the connection ends. Raises TimeoutError: it stays open."""
    got = b""
    async with asyncio.timeout(WAIT_S):
        with contextlib.suppress(ConnectionError):
            while more := await reader.read(65_536):
                got += more
    return got


async def answered(reader: asyncio.StreamReader) -> bytes:
    """One answer of the test's application."""
    async with asyncio.timeout(WAIT_S):
        return await reader.readuntil(b"}")


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"GET / HTTP/1.1\r\n", b"x: " + b"a" * 500 + b"\r\n"),
        (b"GET / HTTP/1.1\r\nx: ", b"a" * 500),
        (b"GET /", b"a" * 500),
        (b"\r\n", b"\r\n" * 250),
        (REQUEST + b"GET / HTTP/1.1\r\nx: ", b"a" * 500),
    ],
)
def test_head_without_an_end_is_cut_before_it_is_long(begin: bytes, more: bytes) -> None:
    """Neither many headers nor one long one are kept: the connection ends within some kilobytes."""

    async def story(server: Serving) -> None:
        reader, writer = await connected(server)
        end = asyncio.create_task(ended(reader))
        sent = 0
        writer.write(begin)
        with contextlib.suppress(ConnectionError):
            while not end.done() and sent < 40 * HEADER_BYTES_MAX:
                writer.write(more)
                sent += len(more)
                await writer.drain()
                await asyncio.sleep(0.001)
        await end
        assert sent < 40 * HEADER_BYTES_MAX
        writer.close()

    serving(story, Listener("127.0.0.1:0"), bounds=PATIENT)


def test_trailers_without_an_end_are_cut() -> None:
    """What follows a chunked body is kept like a head, and bounded like one."""

    async def story(server: Serving) -> None:
        reader, writer = await connected(server)
        writer.write(CHUNKED + b"x: ")
        await answered(reader)
        for _ in range(40):
            writer.write(b"a" * 1000)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
        assert b"HTTP/1.1 200" not in await ended(reader)
        writer.close()

    serving(story, Listener("127.0.0.1:0"), bounds=PATIENT)


def test_long_head_in_one_piece_is_400() -> None:
    """A whole head above the bound is refused, however it came; one below it is served."""

    async def story(server: Serving) -> None:
        for size, status in ((HEADER_BYTES_MAX - 200, b"200"), (HEADER_BYTES_MAX, b"400")):
            reader, writer = await connected(server)
            writer.write(REQUEST[:-2] + b"x: " + b"a" * size + b"\r\n\r\n")
            async with asyncio.timeout(WAIT_S):
                assert status == (await reader.readline()).split()[1]
            writer.close()

    serving(story, Listener("127.0.0.1:0"), bounds=PATIENT)


@pytest.mark.parametrize("begun", [b"GET / HTTP/1.1\r\nhost:", b"\r\n"])
def test_slow_head_after_an_answer_is_ended(begun: bytes) -> None:
    """A connection that was used once has no more time for its next head than for its first."""

    async def story(server: Serving) -> None:
        reader, writer = await connected(server)
        writer.write(REQUEST)
        await answered(reader)
        writer.write(begun)
        assert b"HTTP/1.1 200" not in await ended(reader)
        writer.close()

    serving(story, Listener("127.0.0.1:0"), bounds=Bounds(header_wait_s=0.3))


def test_idle_connection_outlives_the_wait_for_a_head() -> None:
    """Between requests nothing is waited for: the next one is served after a long pause."""

    async def story(server: Serving) -> None:
        reader, writer = await connected(server)
        for _ in range(3):
            writer.write(REQUEST)
            assert b"HTTP/1.1 200" in await answered(reader)
            await asyncio.sleep(0.4)
        writer.close()

    serving(story, Listener("127.0.0.1:0"), bounds=Bounds(header_wait_s=0.2))


def test_one_user_has_a_share_of_the_places(tmp_path: Path) -> None:
    """The third of four places is not for the user who has two; one that is given back is."""
    path = tmp_path / "gate.sock"

    async def story(server: Serving) -> None:
        kept = [await asyncio.open_unix_connection(str(path)) for _ in range(2)]
        reader, writer = await asyncio.open_unix_connection(str(path))
        assert b"" == await ended(reader)
        writer.close()
        for reader, writer in kept:
            writer.write(REQUEST)
            assert b"HTTP/1.1 200" in await answered(reader)
            writer.write_eof()
            writer.close()
            await ended(reader)
        reader, writer = await _served(path)
        writer.close()

    serving(story, Listener(f"unix:{path}"), bounds=Bounds(connections=4))


async def _served(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    async with asyncio.timeout(WAIT_S):
        while True:
            reader, writer = await asyncio.open_unix_connection(str(path))
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                writer.write(REQUEST)
                await reader.readuntil(b"}")
                return reader, writer
            await asyncio.sleep(0.01)


def test_share_of_one_peer_leaves_places_for_another() -> None:
    """Users and certificates have shares; places are counted for all, and given back."""
    places = Places(Bounds(connections=4))
    one, other = Peer("unix", uid=7), Peer("tls", certificate=b"c")
    assert [True] * 4 == [places.enter() for _ in range(4)]
    assert not places.enter()
    assert [True, True, False] == [places.seat(one) for _ in range(3)]
    assert [True, True, False] == [places.seat(other) for _ in range(3)]
    places.leave(one)
    assert places.enter()
    assert places.seat(one)
    assert not places.seat(other)


@pytest.fixture
def firm(tmp_path: Path) -> tuple[Listener, Any]:
    """A TLS listener, and the context of a client that it knows."""
    made = Authority(tmp_path, "firm")
    bot = made.issue("bot", x509.UniformResourceIdentifier("spiffe://firm/bot"))
    certificate, key = made.issue("gate", x509.DNSName("localhost"))
    listener = Listener("127.0.0.1:0", tls=Tls(certificate, key, made.path))
    return listener, client_context(made, bot)


def test_silent_stranger_before_tls_is_ended(firm: tuple[Listener, Any]) -> None:
    """Who does not even begin TLS keeps a place for a bounded time only, and it is given back."""
    listener, known = firm

    async def story(server: Serving) -> None:
        for _ in range(2):
            silent = [await connected(server) for _ in range(2)]
            for reader, writer in silent:
                await ended(reader)
                writer.close()
        reader, writer = await asyncio.open_connection("localhost", port(server), ssl=known)
        writer.write(REQUEST)
        assert b"spiffe://firm/bot" in await answered(reader)
        writer.close()

    serving(story, listener, bounds=Bounds(connections=2, of_one=2, handshake_wait_s=0.3))


def test_strangers_before_tls_are_counted(firm: tuple[Listener, Any]) -> None:
    """Above the bound a socket is closed at once, although nothing is known of any of them."""
    listener, _ = firm

    async def story(server: Serving) -> None:
        silent = [await connected(server) for _ in range(2)]
        reader, writer = await connected(server)
        assert b"" == await ended(reader)
        for _, one in [*silent, (reader, writer)]:
            one.close()

    serving(story, listener, bounds=Bounds(connections=2, of_one=2, handshake_wait_s=600))


def test_handshakes_take_some_of_the_places_only(firm: tuple[Listener, Any]) -> None:
    """Strangers in the handshake leave places for those who were in it before."""
    listener, known = firm
    bounds = Bounds(connections=34, handshake_wait_s=600)

    async def story(server: Serving) -> None:
        _, kept = await asyncio.open_connection("localhost", port(server), ssl=known)
        silent = [await connected(server) for _ in range(bounds.handshakes)]
        reader, writer = await connected(server)
        assert b"" == await ended(reader)
        for one in (kept, writer, *(one for _, one in silent)):
            one.close()

    assert 17 == bounds.handshakes
    serving(story, listener, bounds=bounds)
