# SPDX-License-Identifier: Apache-2.0
"""Bodies of requests: bounded in size and time, of the type that is read."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request

from sekisho.apps import authority_api, bodies
from sekisho.apps.bodies import TurnedAway, read_body, read_json_body, take_body
from sekisho.core.errors import MalformedInput


def arriving(*parts: bytes, ends: bool = True, kind: str = "application/json") -> Request:
    """A request of these parts, after which a caller that does not end falls silent."""
    left = list(parts)

    async def receive() -> dict[str, Any]:
        if not left and not ends:
            await asyncio.Event().wait()
        part = left.pop(0) if left else b""
        return {"type": "http.request", "body": part, "more_body": bool(left) or not ends}

    headers = [(b"content-type", kind.encode())]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


def test_body_that_does_not_come_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the wait the request is malformed, however much of it is there."""
    monkeypatch.setattr(bodies, "BODY_WAIT_S", 0.01)

    async def story() -> None:
        async with asyncio.timeout(5):
            with pytest.raises(TurnedAway) as caught:
                await read_body(arriving(b"{", ends=False), 100)
            assert caught.value.word == "malformed"
            with pytest.raises(MalformedInput, match="no complete request"):
                await authority_api._body(arriving(b"{", ends=False))

    asyncio.run(story())


def test_body_is_taken_up_to_its_bound_and_no_further() -> None:
    """The last byte that is allowed passes; one more is refused, in one part or in several."""
    assert asyncio.run(read_body(arriving(b"12", b"345"), 5)) == b"12345"
    for parts in ((b"123456",), (b"12345", b"6"), (b"12", b"34", b"56", b"78")):
        with pytest.raises(TurnedAway, match="at most 5 bytes") as caught:
            asyncio.run(read_body(arriving(*parts), 5))
        assert caught.value.word == "too-large"


def test_body_that_does_not_say_json_is_not_read() -> None:
    """Another type is refused by its own word; parameters of the type do not matter."""
    good = arriving(b"{}", kind="Application/JSON; charset=utf-8")
    assert asyncio.run(read_json_body(good, 5)) == b"{}"
    for kind in ("", "text/plain", "application/json-patch+json"):
        with pytest.raises(TurnedAway) as caught:
            asyncio.run(read_json_body(arriving(b"{}", kind=kind), 5))
        assert caught.value.word == "unsupported-media-type"


def test_body_whose_sender_has_gone_is_no_body() -> None:
    """What came before is not taken for the whole."""

    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    with pytest.raises(ClientDisconnect):
        asyncio.run(take_body(gone, 5))
