# SPDX-License-Identifier: Apache-2.0
"""The gate's HTTP interface over a gate on simulated ports; requests travel in memory.

The peer that the server would see is set by hand; everything above it is the real thing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2

from sekisho.adapters.web.peers import EXTENSION, UNKNOWN, Peer
from sekisho.apps.gate_api import GateApi, gate_application
from sekisho.compose.asking import Asking
from sekisho.services.advice import Advice
from sekisho.services.callers import Caller, Callers, token_digest
from sekisho.services.inquiry import Inquiry
from sekisho.services.intake import AdviceDoor, Intake, Room
from tests.gate_world import GateWorld

BOT_TOKEN = "b" * 43
MONITOR_TOKEN = "m" * 43
BOT_UID, MONITOR_UID = 1001, 1002
CALLERS = (
    Caller(name="bot", role="agent", uid=BOT_UID, token_sha256=token_digest(BOT_TOKEN)),
    Caller(name="desk", role="monitor", uid=MONITOR_UID, token_sha256=token_digest(MONITOR_TOKEN)),
)


class StubAdvice:
    """Says that everything would pass, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, bytes]] = []

    async def advise(self, agent: str, body: bytes) -> Advice:
        self.asked.append((agent, body))
        return Advice(would_pass=True, evaluated=True)


class Purse:
    """A budget that admits until it is told not to."""

    spent = False
    cancels_spent = False
    low = False

    def admit(self, agent: str, size: int) -> bool:
        return not self.spent

    def admit_cancel(self, agent: str, size: int) -> bool:
        return not self.cancels_spent

    def low_disk(self) -> bool:
        """Whether the disk has too little room."""
        return self.low


class ApiWorld:
    """One gate, its interface, and a client that comes as whom it is told to."""

    def __init__(self, gate: GateWorld, room: Room | None = None) -> None:
        self.gate = gate
        self.purse = Purse()
        self.intake = Intake(gate.gate.submit, self.purse, room or Room())
        self.inquiry = Inquiry(gate.log, {"PAPER": gate.venue})
        self.advice = StubAdvice()
        self.missing: list[str] = []
        self.peer: Peer | None = Peer("unix", uid=BOT_UID)
        self.application = gate_application(
            GateApi(
                identify=Asking(Callers(CALLERS)),
                submit=self.intake.submit,
                inquiry=self.inquiry,
                advice=AdviceDoor(self.intake, self.advice.advise),
                missing=lambda: self.missing,
                openapi=b"{}",
            ),
            self.inquiry,
        )

    async def _as_peer(self, scope: Any, receive: Any, send: Callable[..., Any]) -> None:
        if self.peer is not None:
            scope.setdefault("extensions", {})[EXTENSION] = self.peer
        await self.application(scope, receive, send)

    async def ask(
        self,
        method: str,
        path: str,
        content: bytes | None = None,
        token: str = BOT_TOKEN,
        **headers: str,
    ) -> httpx2.Response:
        """One request; a body is JSON unless a header says otherwise."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            sent.setdefault("authorization", f"Bearer {token}")
        if content is not None:
            sent.setdefault("content-type", "application/json")
        transport = httpx2.ASGITransport(app=self._as_peer, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://gate") as client:
            return await client.request(method, path, content=content, headers=sent)

    def as_monitor(self) -> None:
        """Come as the monitor from now on (with its token)."""
        self.peer = Peer("unix", uid=MONITOR_UID)

    def as_nobody(self) -> None:
        """Come over a connection that says nothing of its other end."""
        self.peer = UNKNOWN
