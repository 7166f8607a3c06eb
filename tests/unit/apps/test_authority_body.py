# SPDX-License-Identifier: Apache-2.0
"""The authority's bodies: a caller that stops in the middle of one is not waited for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import Request

from sekisho.apps import authority_api
from sekisho.core.errors import MalformedInput


def test_body_that_does_not_come_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the wait the request is malformed, however much of it is there."""
    monkeypatch.setattr(authority_api, "BODY_WAIT_S", 0.01)
    parts: list[dict[str, Any]] = [{"type": "http.request", "body": b"{", "more_body": True}]

    async def receive() -> dict[str, Any]:
        if parts:
            return parts.pop()
        await asyncio.Event().wait()
        raise AssertionError

    async def story() -> None:
        request = Request({"type": "http", "method": "POST", "headers": []}, receive)
        async with asyncio.timeout(5):
            with pytest.raises(MalformedInput):
                await authority_api._body(request)

    asyncio.run(story())
