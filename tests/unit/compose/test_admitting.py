# SPDX-License-Identifier: Apache-2.0
"""When a gate process admits an agent under another certificate."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from sekisho.compose.gate_process import GateProcess


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
