# SPDX-License-Identifier: Apache-2.0
"""FIX connections that do not log on: what they can take from those that do."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sekisho.adapters.fix import acceptor
from tests.integration.test_fix_connections import TOKEN, connected, front


def test_connection_without_a_logon_is_ended_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its wait is the acceptor's own, shorter than that of a session that has begun."""
    monkeypatch.setattr(acceptor, "LOGON_WITHIN_S", 0.2)

    async def story() -> None:
        async with front(tmp_path, []) as (_, path):
            silent = await connected(path)
            async with asyncio.timeout(5):
                assert b"" == await silent.reader.read()
            await silent.close()

    asyncio.run(story())


def test_silent_connections_take_no_place_of_a_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two rooms: the session has its place, one silent connection has the other room's, no more."""
    monkeypatch.setattr(acceptor, "BEFORE_LOGON_MAX", 1)
    monkeypatch.setattr(acceptor, "CONNECTIONS_MAX", 1)

    async def story() -> None:
        async with front(tmp_path, []) as (found, path):
            bot = await connected(path)
            (answer,) = await bot.tell(bot.side.logon(*TOKEN))
            assert "A" == answer.kind
            silent, second = await connected(path), await connected(path)
            async with asyncio.timeout(5):
                assert b"" == await second.reader.read()
            assert ["too many connections without a logon"] == found.acceptors[0].refused
            (answer,) = await bot.tell(bot.side.message("1", (112, "x")))
            assert "x" == answer.get(112)
            for one in (silent, second, bot):
                await one.close()

    asyncio.run(story())
