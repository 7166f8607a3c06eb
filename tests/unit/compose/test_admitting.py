# SPDX-License-Identifier: Apache-2.0
"""When a gate process admits an agent under another certificate."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from sekisho.compose.gate_process import GateProcess
from sekisho.core.errors import NotAuthorised


def test_replacement_waits_until_the_authority_has_heard_of_the_local_stop() -> None:
    """An unheard stop of this agent keeps its new certificate out; another agent's does not."""
    admitted: list[str] = []
    stops: dict[int, Any] = {}

    async def admission(_name: str) -> Any:
        return SimpleNamespace(certificate=b"new")

    async def admit(name: str) -> None:
        admitted.append(name)

    held = SimpleNamespace(certificate_sha256="0" * 64)
    process: Any = SimpleNamespace(
        log=SimpleNamespace(
            state=SimpleNamespace(agents={"bot": held}), unheard_stops=lambda: stops
        ),
        client=SimpleNamespace(admission=admission),
        gate=SimpleNamespace(admit=admit),
        teller=SimpleNamespace(tell=lambda *_words, **_more: None),
    )
    stops[5] = SimpleNamespace(agent="bot")
    asyncio.run(GateProcess._admit_one(process, "bot"))
    assert [] == admitted
    stops[5] = SimpleNamespace(agent="other")
    asyncio.run(GateProcess._admit_one(process, "bot"))
    assert ["bot"] == admitted


def test_agent_that_cannot_be_admitted_keeps_nothing_else_waiting() -> None:
    """Lease, baselines and roster go on beside it; it is told of once, and of a change."""
    done: list[str] = []
    said: list[tuple[str, str]] = []
    failures = iter(["no certificate", "no certificate", "", "no certificate"])

    def step(name: str) -> Any:
        async def take() -> None:
            done.append(name)

        return take

    async def admit() -> None:
        done.append("admission")
        if word := next(failures):
            raise NotAuthorised(word)

    async def sleep(_seconds: float) -> None:
        if len(done) == 20:
            raise asyncio.CancelledError

    process: Any = SimpleNamespace(
        gate=SimpleNamespace(
            leasing=SimpleNamespace(ensure=step("lease")),
            histories=SimpleNamespace(step=step("history")),
            adopt_locked=step("baseline"),
        ),
        _admit=admit,
        _keep_roster=step("roster"),
        journal=SimpleNamespace(failed=None),
        clock=SimpleNamespace(sleep=sleep),
        teller=SimpleNamespace(warn=lambda _event, about, detail: said.append((about, detail))),
    )
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(GateProcess._ask_authority(process))
    assert ["lease", "admission", "history", "baseline", "roster"] * 4 == done
    assert [("admission", "no certificate")] * 2 == said
