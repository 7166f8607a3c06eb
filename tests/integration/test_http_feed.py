# SPDX-License-Identifier: Apache-2.0
"""Rates over HTTP from a real server: asked for, streamed, cut, garbled, silent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from sekisho.adapters.clocks import SystemClock
from sekisho.adapters.rates.http_feed import HttpFeed
from sekisho.adapters.web.listening import Listener
from sekisho.adapters.web.serving import serve
from sekisho.core.errors import ConfigurationInvalid
from sekisho.core.terms import format_instant
from sekisho.ports import Quotation

WAIT_S = 10
Answer = Callable[[Request], Awaitable[Response]]
Seen = Callable[[HttpFeed], Awaitable[bool]]


class QuickClock(SystemClock):
    """Real time, in which nobody waits for long."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(min(seconds, 0.02))


async def until(seen: Seen, feed: HttpFeed, task: asyncio.Task[None]) -> None:
    """Wait for what should be seen; a feed that ended is a failure."""
    async with asyncio.timeout(WAIT_S):
        while not await seen(feed):
            assert not task.done(), task.result()
            await asyncio.sleep(0.01)


def quoted(bid: str, market: str = "EUR/USD") -> dict[str, str]:
    at = format_instant(SystemClock().now_ns())
    return {"market": market, "bid": bid, "ask": "1.2", "quoted_at": at}


def body(*quotations: Any, **more: Any) -> Response:
    return Response(json.dumps({"quotations": quotations} | more), media_type="application/json")


async def latest(feed: HttpFeed, pair: str = "EUR/USD") -> Quotation | None:
    found = await feed.quotations((pair,))
    return found[0] if found else None


def bids(bid: str) -> Seen:
    """Whether the feed has come to this bid."""

    async def seen(feed: HttpFeed) -> bool:
        found = await latest(feed)
        return found is not None and found.bid == bid

    return seen


def faulty(count: int) -> Seen:
    async def seen(feed: HttpFeed) -> bool:
        return feed.state().faults >= count

    return seen


def watch(answer: Answer, *steps: Seen, silent_s: int = 10, **more: Any) -> HttpFeed:
    """Follow a served source until each step was seen, one after the other; the feed at the end."""

    async def story() -> HttpFeed:
        app = Starlette(routes=[Route("/v1/rates", answer), Route("/other", answer)])
        serving = await serve(app, [Listener("127.0.0.1:0")])
        feed = HttpFeed("ONE", serving.addresses[0], QuickClock(), silent_s, **more)
        task = asyncio.create_task(feed.run())
        try:
            for step in steps:
                await until(step, feed, task)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await serving.close(0.1)
        return feed

    return asyncio.run(story())


def test_http_feed_asks_with_its_pairs_and_its_credential() -> None:
    """The source is told who asks and for what; its answer is the latest quotation."""
    asked: list[tuple[str, str]] = []

    async def answer(request: Request) -> Response:
        asked.append((request.headers["authorization"], request.query_params["pairs"]))
        return body(quoted("1.10"))

    feed = watch(answer, bids("1.10"), pairs=("EUR/GBP", "EUR/USD"), credential="secret")
    assert ("Bearer secret", "EUR/GBP,EUR/USD") == asked[0]
    assert 0 == feed.state().faults


def test_http_feed_asks_again_and_survives_bad_answers() -> None:
    """Garbage, an error, a wrong type, a redirect: counted, and the next good answer counts."""
    good = [body(quoted("1.10")), body(quoted("1.11"))]  # the latter also where it must not count
    answers = [
        good[0],
        Response("{", media_type="application/json"),
        Response("[]", media_type="application/json"),
        Response('{"quotations":{}}', media_type="application/json"),
        Response("<html>", media_type="text/html"),
        Response(status_code=302, headers={"location": "/other"}),
        Response(good[1].body, 500, media_type="application/json"),
        Response(bytes(good[1].body) + b" " * 2**20, media_type="application/json"),
    ]

    async def answer(_request: Request) -> Response:
        return answers.pop(0) if answers else good[1]

    feed = watch(answer, bids("1.10"), bids("1.11"))
    assert 7 == feed.state().faults


def test_http_feed_answer_that_leaves_a_pair_out_ends_its_quotation() -> None:
    """A whole answer is all that the source quotes; a heartbeat in it restates no other."""
    count = 0

    async def answer(_request: Request) -> Response:
        nonlocal count
        count += 1
        beat = format_instant(SystemClock().now_ns())
        if count == 1:
            return body(quoted("1.10"), quoted("0.8", "EUR/GBP"), heartbeat=beat)
        return body(quoted("1.11"), heartbeat=beat)

    async def gone(feed: HttpFeed) -> bool:
        return await latest(feed, "EUR/GBP") is None

    watch(answer, bids("1.10"), bids("1.11"), gone)
    assert 2 <= count


def test_http_feed_unchanged_answer_is_a_sign_of_life() -> None:
    """The source answers and its market stands still: not silent, and the age says the rest."""
    old = quoted("1.10") | {"quoted_at": "2020-01-01T00:00:00.000000000Z"}

    async def answer(_request: Request) -> Response:
        return body(old)

    feed = watch(answer, bids("1.10"))
    assert (False, 0) == (feed.silent, feed.state().faults)


@pytest.mark.parametrize("kind", ["text/event-stream", "application/x-ndjson"])
def test_http_feed_stream_is_followed_and_made_again(kind: str) -> None:
    """Lines as they come; a stream that ends is asked for anew."""
    made = 0
    form = "data: {}\n\n" if kind == "text/event-stream" else "{}\n"
    comment = ": alive\nevent: rate\n" if kind == "text/event-stream" else "\n"

    async def lines(bid: str) -> AsyncIterator[str]:
        yield comment
        text = form.format(json.dumps(quoted(bid)))
        yield text[:9]
        yield text[9:]
        await asyncio.sleep(0.05)

    async def answer(_request: Request) -> Response:
        nonlocal made
        made += 1
        return StreamingResponse(lines(f"1.1{made}"), media_type=kind)

    feed = watch(answer, bids("1.11"), bids("1.12"))
    assert 1 <= feed.state().faults  # the end of the first stream


def test_http_feed_stream_that_sends_garbage_alone_is_cut() -> None:
    """It cannot keep a connection, and a good source behind it, for ever."""
    made = 0

    async def drip() -> AsyncIterator[str]:
        while True:
            yield "garbage\n"
            await asyncio.sleep(0.05)

    async def once() -> AsyncIterator[str]:
        yield json.dumps(quoted("1.12")) + "\n"
        await asyncio.sleep(0.05)

    async def answer(_request: Request) -> Response:
        nonlocal made
        made += 1
        return StreamingResponse(once() if made > 1 else drip(), media_type="application/jsonl")

    feed = watch(answer, bids("1.12"), silent_s=1)
    assert made >= 2
    assert 2 <= feed.state().faults


def test_http_feed_source_that_is_not_there_is_counted_and_awaited() -> None:
    """Nobody listens: the feed goes on asking, and is silent."""

    async def story() -> HttpFeed:
        feed = HttpFeed("ONE", "127.0.0.1:1", QuickClock(), 10)
        task = asyncio.create_task(feed.run())
        await until(faulty(3), feed, task)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return feed

    feed = asyncio.run(story())
    assert feed.silent


@pytest.mark.parametrize(
    "address", ["http://rates.invalid/x", "127.0.0.1:1/x?pairs=A", "ftp://127.0.0.1:1", "nowhere"]
)
def test_http_feed_address_that_cannot_be_is_refused(address: str) -> None:
    """Plain HTTP beyond this machine, a query, another scheme, no address."""
    with pytest.raises(ConfigurationInvalid):
        HttpFeed("ONE", address, SystemClock(), 10)
