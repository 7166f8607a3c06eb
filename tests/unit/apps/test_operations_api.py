# SPDX-License-Identifier: Apache-2.0
"""The operations interface: who is shown what, and what a failure says of a command."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any, NoReturn

import httpx2
import pytest

from sekisho.adapters.web.peers import Peer
from sekisho.apps.gate_status import status_lines
from sekisho.apps.operations_api import (
    COMMANDS_BYTES_MAX,
    OperationsApi,
    operations_application,
)
from sekisho.compose.running_gate import own_user
from sekisho.core.errors import (
    MalformedInput,
    NotAuthorised,
    OutcomeUnknown,
    StorageFailed,
    Unavailable,
)
from sekisho.services.authoritywire import AgentSheet
from tests.unit.compose.test_serve_settings import scope

SHEET = AgentSheet(agent="bot", epoch=7, gate="g", incident="", policy_sha256="ab" * 32)
AGENT = {
    "agent": "bot",
    "status": "good",
    "latches": [],
    "shutdown": "",
    "phase": "baseline",
    "working": 2,
}
STATUS = {
    "gate": "gate-a",
    "region": "eu-west-1",
    "environment": "test",
    "missing": [],
    "connected": True,
    "lease_left_ms": 12_345,
    "agents": [AGENT],
    "venues": [{"venue": "PAPER", "reconciled": True, "incident": ""}],
    "doubts": [],
    "feeds": [{"source": "ecb", "silent": False, "faults": 1, "heard_ms": 250}],
    "log": {"origin": "o/log", "entries": 3, "durable": 3, "published": 2},
    "unreported": [],
}


def api(**other: Any) -> OperationsApi:
    """What a gate would answer."""

    async def take(body: bytes) -> Any:
        return {"length": len(body)}

    async def look_up(_agent: str) -> AgentSheet:
        return SHEET

    parts: dict[str, Any] = {
        "missing": list,
        "metrics": lambda: b"",
        "metrics_type": "text/plain",
        "take": take,
        "status": lambda: STATUS,
        "roster": lambda: {"version": 1},
        "look_up": look_up,
        "baseline": lambda name: {"agent": name} if name == "bot" else None,
        "owner": lambda _scope: True,
    }
    return OperationsApi(**(parts | other))


def ask(it: OperationsApi, method: str, path: str, body: bytes = b"") -> httpx2.Response:
    """One request."""

    async def asked() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=operations_application(it))
        async with httpx2.AsyncClient(transport=transport, base_url="http://gate") as client:
            return await client.request(method, path, content=body)

    return asyncio.run(asked())


def raising(error: Exception) -> Callable[[bytes], Any]:
    """A gate that fails so."""

    async def take(_body: bytes) -> NoReturn:
        raise error

    return take


def test_questions_are_answered_with_what_the_gate_says() -> None:
    """Status, roster, what a person needs of an agent, a baseline; an unknown agent is 404."""
    for path, expected in (
        ("/v1/status", STATUS),
        ("/v1/roster", {"version": 1}),
        ("/v1/agents/bot/baseline", {"agent": "bot"}),
    ):
        answer = ask(api(), "GET", path)
        assert (200, expected) == (answer.status_code, answer.json()), path
    assert 7 == ask(api(), "GET", "/v1/agents/bot").json()["epoch"]
    assert 404 == ask(api(), "GET", "/v1/agents/other/baseline").status_code
    assert 403 == ask(api(), "GET", "/v1/agents/%20x").status_code


def test_baseline_is_shown_to_the_own_user_alone() -> None:
    """Who merely reaches the address learns nothing of how an agent behaves."""
    stranger = api(owner=lambda _scope: False)
    assert 403 == ask(stranger, "GET", "/v1/agents/bot/baseline").status_code
    assert 200 == ask(stranger, "GET", "/v1/status").status_code
    assert own_user(scope(Peer("unix", uid=os.getuid())))
    for other in (Peer("unix", uid=os.getuid() + 1), Peer("tcp"), None):
        assert not own_user(scope(other)), other


@pytest.mark.parametrize(
    ("error", "status", "effect"),
    [
        (OutcomeUnknown("x"), 503, "unknown"),
        (StorageFailed("x"), 503, None),
        (Unavailable("x"), 503, None),
        (NotAuthorised("x"), 403, None),
        (MalformedInput("x"), 400, None),
    ],
)
def test_failure_of_a_command_says_whether_it_may_be_in_force(
    error: Exception, status: int, effect: str | None
) -> None:
    """Only what is perhaps done is called unknown."""
    answer = ask(api(take=raising(error)), "POST", "/v1/commands", b"[]")
    assert (status, effect) == (answer.status_code, answer.json().get("effect"))


def test_commands_that_are_too_long_are_not_read() -> None:
    """The gate never sees them."""
    assert 200 == ask(api(), "POST", "/v1/commands", b"x" * COMMANDS_BYTES_MAX).status_code
    long = ask(api(take=raising(AssertionError())), "POST", "/v1/commands", b"x" * 65_537)
    assert 413 == long.status_code


def test_status_lines_say_what_is_missing_and_what_is_on() -> None:
    """What is well has a plain line; what is not stands in capitals."""
    assert [
        "gate gate-a in eu-west-1, environment test: ready",
        "authority: connected; lease: 12.3 s left",
        "agent bot: good, baseline phase, 2 working orders",
        "venue PAPER: reconciled",
        "rates ecb: heard 0.2 s ago, 1 faults",
        "log o/log: 3 entries, 3 durable, 2 published",
    ] == list(status_lines(STATUS))
    bad = STATUS | {
        "missing": ["no lease yet"],
        "connected": False,
        "agents": [AGENT | {"latches": ["shutdown"], "shutdown": "reduce_only"}],
        "venues": [{"venue": "PAPER", "reconciled": False, "incident": "c" * 32}],
        "feeds": [{"source": "ecb", "silent": True, "faults": 1, "heard_ms": -1}],
        "unreported": ["the authority is away"],
        "doubts": [
            {
                "venue": "PAPER",
                "agent": "bot",
                "client_order_id": "o-7",
                "phase": "unknown",
                "why": "it was started anew",
                "for_s": 42,
            }
        ],
    }
    said = "\n".join(status_lines(bad))
    assert "order o-7 of bot (unknown) keeps its reservation: PAPER has not told" in said
    assert "for 42 s (it was started anew)" in said
    for words in (
        "environment test: NOT READY",
        "missing: no lease yet",
        "NOT CONNECTED",
        "a stop by people is not there yet: the authority is away",
        "latched: shutdown, shut down to reduce_only",
        "venue PAPER: NOT RECONCILED, LATCHED by incident cccc",
        "rates ecb: heard never, 1 faults, SILENT",
    ):
        assert words in said, words
