# SPDX-License-Identifier: Apache-2.0
"""Schemathesis reads the gate's OpenAPI document and attacks a gate with it, as agent and monitor.

The gate's interface and its services are the real ones, on a real socket; what the server would say
of the peer is chosen by the token that the request shows, so that one address serves both.
"""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters.web.listening import Listener
from sekisho.adapters.web.peers import EXTENSION, Peer
from sekisho.adapters.web.serving import serve
from sekisho.core.events import PermitSigned, decode_gate_entry
from tests.gate_api_world import BOT_TOKEN, BOT_UID, MONITOR_TOKEN, MONITOR_UID, ApiWorld
from tests.gate_world import GateWorld

DOCUMENT = Path(__file__).parents[2] / "docs/spec/openapi.json"
SETTINGS = """
[checks.positive_data_acceptance]
enabled = false

[[operations]]
include-path = "/v1/orders/check"

[operations.checks.negative_data_rejection]
enabled = false
"""
"""An order that the schema allows may be refused: that is what a gate is for. Advice about a
malformed order is an answer, 200, which says that it would not pass."""
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("schemathesis") is None,
    reason="schemathesis is not installed: ./dev test --interop",
)


class Attacked:
    """A gate in a thread of its own."""

    def __init__(self) -> None:
        self.address = ""
        self.api: ApiWorld | None = None
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._end: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._up.wait(30)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self._end = asyncio.Event()
        self.api = ApiWorld(await GateWorld.start())
        serving = await serve(self._as_peer, [Listener("127.0.0.1:0")])
        self.address = serving.addresses[0]
        self._up.set()
        await self._end.wait()
        await serving.close()

    async def _as_peer(self, scope: Any, receive: Any, send: Callable[..., Any]) -> None:
        assert self.api is not None
        shown = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        uid = MONITOR_UID if shown == f"Bearer {MONITOR_TOKEN}" else BOT_UID
        scope.setdefault("extensions", {})[EXTENSION] = Peer("unix", uid=uid)
        await self.api.application(scope, receive, send)

    def close(self) -> None:
        """End the thread."""
        assert self._end is not None
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(30)
        self._loop.close()


@pytest.fixture
def attacked() -> Iterator[Attacked]:
    found = Attacked()
    yield found
    found.close()


@pytest.mark.parametrize("token", [BOT_TOKEN, MONITOR_TOKEN], ids=["agent", "monitor"])
def test_schemathesis_finds_nothing(attacked: Attacked, token: str, tmp_path: Path) -> None:
    """No server error, no answer that the document does not allow, no permit by accident."""
    (tmp_path / "schemathesis.toml").write_text(SETTINGS, encoding="utf-8")
    command = [sys.executable, "-m", "schemathesis.cli", "run", str(DOCUMENT)]
    done = subprocess.run(
        [
            *command,
            "--url",
            f"http://{attacked.address}",
            "--header",
            f"Authorization: Bearer {token}",
            "--max-examples",
            "15",
            "--phases",
            "examples,coverage,fuzzing",
            "--seed",
            "1",
            "--suppress-health-check",
            "all",
        ],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert 0 == done.returncode, done.stdout[-6000:] + done.stderr[-2000:]
    assert attacked.api is not None
    log = attacked.api.gate.log
    signed = [
        entry
        for _, data in log.journal.entries()
        if isinstance(entry := decode_gate_entry(data), PermitSigned)
    ]
    assert len(signed) == len(attacked.api.gate.venue.permits)
    assert token == BOT_TOKEN or not signed
