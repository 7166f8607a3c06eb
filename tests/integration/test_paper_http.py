# SPDX-License-Identifier: Apache-2.0
"""What the permit protocol's client makes of a venue that fails: known or unknown, never guessed.

The venue is a socket that answers by instruction, so that each way to fail happens at its place.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sekisho.adapters.venues.paper_http import PaperHttpVenue
from sekisho.core.errors import ConfigurationInvalid, OutcomeUnknown, Unavailable
from tests.paper_doubles import CREDENTIAL, Desk, order
from tests.venue_connections import http_at

Reply = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Call = Callable[[PaperHttpVenue], Awaitable[Any]]
ACTS: list[Call] = [
    lambda venue: venue.submit("permit"),
    lambda venue: venue.cancel("fx", "o-1"),
]
QUESTIONS: list[Call] = [
    lambda venue: venue.open_orders("fx"),
    lambda venue: venue.order_reports("fx", "o-1"),
    lambda venue: venue.reports_since(0),
]
PROBLEM = "application/problem+json"


def answered(status: int, content: str, kind: str = "application/json", length: int = 0) -> Reply:
    """Read the request, answer, close."""

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\n"
        size = length or len(content)
        writer.write(f"{head}content-length: {size}\r\n\r\n{content}".encode())
        await writer.drain()

    return reply


def problem(status: int, word: str) -> Reply:
    content = {"type": f"urn:sekisho:problem:{word}", "status": status, "detail": "why"}
    return answered(status, json.dumps(content), PROBLEM)


async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read the request and break the connection."""
    await reader.readuntil(b"\r\n\r\n")


async def cut_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Break the connection as soon as it is made: the request may be on its way already."""


async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read and say nothing."""
    await reader.read()


async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A good answer, a byte now and then: each read is in time, the whole is not."""
    await reader.readuntil(b"\r\n\r\n")
    page = {"reports": [], "client_order_ids": [], "series": "a-", "sequence": 0, "complete": True}
    content = b" " * 100 + json.dumps(page).encode()
    writer.write(b"HTTP/1.1 200 X\r\ncontent-type: application/json\r\n")
    writer.write(f"content-length: {len(content)}\r\n\r\n".encode())
    for byte in content:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.01)


def against(reply: Reply, call: Call) -> Any:
    """What a call comes to at a venue that replies so."""

    async def story() -> Any:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await reply(reader, writer)
            except (OSError, asyncio.IncompleteReadError):
                pass  # the client has gone
            finally:
                writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        venue = PaperHttpVenue("PAPER", f"{host}:{port}", "secret", timeout_s=0.3)
        try:
            return await call(venue)
        finally:
            await venue.close()
            server.close()

    return asyncio.run(story())


UNSURE = [
    cut,
    cut_at_once,
    mute,
    dripping,
    answered(200, '{"reports":'),
    answered(200, '{"reports":[]}', length=999),
    answered(200, "[]"),
    answered(200, '{"reports":[{"agent":"fx"}]}'),
    answered(500, "the venue failed"),
    answered(504, "the outcome is not known"),
    answered(503, "a proxy's word", "text/html"),
    answered(400, '{"type":"about:blank"}', PROBLEM),
    answered(503, "{", PROBLEM),
    answered(302, ""),
    problem(500, "unavailable"),
]
CERTAIN = [
    problem(400, "malformed"),
    problem(401, "unauthenticated"),
    problem(413, "too-large"),
    problem(503, "unavailable"),
]


@pytest.mark.parametrize("call", ACTS)
@pytest.mark.parametrize("reply", UNSURE)
def test_paper_http_act_that_may_have_arrived_is_unknown(reply: Reply, call: Call) -> None:
    """Whatever comes after the request may have left, but a good answer or the venue's promise."""
    with pytest.raises(OutcomeUnknown):
        against(reply, call)


@pytest.mark.parametrize("call", ACTS)
@pytest.mark.parametrize("reply", CERTAIN)
def test_paper_http_act_that_the_venue_turned_away_is_unavailable(reply: Reply, call: Call) -> None:
    """The venue's own problem document promises that nothing took effect."""
    with pytest.raises(Unavailable):
        against(reply, call)


@pytest.mark.parametrize("call", QUESTIONS)
@pytest.mark.parametrize("reply", [*UNSURE, *CERTAIN])
def test_paper_http_question_without_answer_is_unavailable(reply: Reply, call: Call) -> None:
    """A question changes nothing, so nothing is unknown but the answer."""
    with pytest.raises(Unavailable):
        against(reply, call)


@pytest.mark.parametrize("call", [*ACTS, *QUESTIONS])
@pytest.mark.parametrize("address", ["127.0.0.1:1", "unix:nowhere/venue.sock"])
def test_paper_http_venue_that_is_not_there_is_unavailable(address: str, call: Call) -> None:
    """Nobody listens: not one byte left."""

    async def story() -> None:
        venue = PaperHttpVenue("PAPER", address, "secret", timeout_s=2)
        try:
            await call(venue)
        finally:
            await venue.close()

    with pytest.raises(Unavailable):
        asyncio.run(story())


@pytest.mark.parametrize(
    "page",
    [
        {"series": "a-", "sequence": 5, "complete": True, "reports": []},
        {"series": "a-", "sequence": 0, "complete": False, "reports": []},
    ],
)
def test_paper_http_tape_that_does_not_count_is_unavailable(page: dict[str, Any]) -> None:
    """A page that skips reports, or one that promises more and gives none, is no tape."""
    with pytest.raises(Unavailable):
        against(answered(200, json.dumps(page)), lambda venue: venue.reports_since(0))


@pytest.mark.parametrize(
    "address", ["venue.invalid:80", "http://10.0.0.1:80", "x", "ftp://[::1]:1"]
)
def test_paper_http_address_beyond_this_machine_needs_tls(address: str) -> None:
    """A credential does not go over the wire in the clear."""
    with pytest.raises(ConfigurationInvalid):
        PaperHttpVenue("PAPER", address, "secret")


def test_paper_http_tape_comes_in_pages_and_anew_after_a_restart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pages make one whole; a venue that was begun anew is read from its beginning."""
    monkeypatch.setattr("sekisho.apps.paper_venue.TAPE_PAGE", 2)

    async def story() -> tuple[int, list[str], int, list[str]]:
        desk = Desk()
        async with http_at(desk, "127.0.0.1:0") as venue:
            for number in range(3):
                await venue.submit(desk.permit(order(f"o-{number}")))
            sequence, first = await venue.reports_since(0)
            monkeypatch.setattr("tests.venue_connections.ServedDesk.series", "2-")
            del desk.venue._book.tape(CREDENTIAL)[1:]
            anew, second = await venue.reports_since(sequence)
        return (
            sequence,
            [one.exec_type for one in first],
            anew,
            [one.exec_type for one in second],
        )

    assert (6, ["new", "trade"] * 3, 1, ["new"]) == asyncio.run(story())
