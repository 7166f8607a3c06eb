# SPDX-License-Identifier: Apache-2.0
"""Schemathesis attacks the control plane with its own document, as each role of one operator.

The application is the real one over two operators, behind a socket of this process. What one
operator's key is answered never has anything of the other in it.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters.web.listening import Listener
from sekisho.adapters.web.serving import serve
from sekisho.apps.control_application import control_application
from sekisho.apps.control_document import control_document
from sekisho.apps.control_routes import control_routes
from sekisho.core.governance.access import KEY_ROLES, Role
from tests.authority_world import AGENT, policy_of
from tests.control_world import ControlWorld, HostedDouble

MARKER = "zebra_of_the_other_firm"
SETTINGS = """
[checks.positive_data_acceptance]
enabled = false
"""
"""What the document allows may be refused: signatures, duties and the state decide."""
THOROUGH: tuple[Role, ...] = ("owner", "compliance", "program")
"""Roles for which every part of every request is varied: between them they reach every route."""
CALLERS: tuple[Role, ...] = ("anyone", "owner", *KEY_ROLES)
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("schemathesis") is None,
    reason="schemathesis is not installed: ./dev test --interop",
)


class Attacked:
    """A control plane over two operators in a thread of its own, and all that it answered."""

    def __init__(self) -> None:
        self.address = ""
        self.answers: list[tuple[str, int, bytes]] = []
        self.headers: dict[str, str] = {}
        self.known: dict[str, list[str]] = {}
        self._world: ControlWorld | None = None
        self._app: Any = None
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
        world = self._world = await ControlWorld.start()
        digests = [
            await _planted(world.operators["acme"], AGENT),
            await _planted(world.operators["beta"], MARKER),
        ]
        certificates = [
            one.sha256
            for name in ("acme", "beta")
            for records in world.operators[name].world.authority.state.agents.values()
            for one in records
        ]
        self.known = {
            "operator": ["acme", "beta", "nobody"],
            "agent": [AGENT, "nobody"],
            "digest": digests,
            "other": digests,
            "sha256": certificates,
        }
        self._app = control_application(control_routes(world.api, world.server))
        serving = await serve(self._heard, [Listener("127.0.0.1:0")])
        self.address = serving.addresses[0]
        self._up.set()
        await self._end.wait()
        await serving.close()

    async def _heard(self, scope: Any, receive: Any, send: Callable[..., Any]) -> None:
        told: list[Any] = [scope["path"], 0, b""]

        async def heard(message: Any) -> None:
            told[1] = message.get("status", told[1])
            told[2] += message.get("body", b"")
            await send(message)

        await self._app(scope, receive, heard)
        self.answers.append((told[0], told[1], told[2]))

    def come_as(self, role: Role) -> list[str]:
        """Options of a key of this role at acme; the server's own user is known without."""
        world = self._world
        assert world is not None
        world.owner = role == "owner"
        if role not in KEY_ROLES:
            return []
        made = asyncio.run_coroutine_threadsafe(world.bearer(role), self._loop)
        return [f"--header=Authorization: {made.result(10)['authorization']}"]

    def close(self) -> None:
        """End the thread."""
        assert self._end is not None
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(30)
        self._loop.close()


async def _planted(hosted: HostedDouble, agent: str) -> str:
    """An agent with a certificate, so that there is something to read; its policy's digest."""
    registration = policy_of(agent)
    await hosted.take(registration)
    await hosted.world.approve(registration)
    await hosted.world.issue(registration)
    await hosted.world.authority.log.journal.publish()
    return registration.sha256


@pytest.fixture(scope="module")
def attacked() -> Iterator[Attacked]:
    found = Attacked()
    yield found
    found.close()


def narrowed(known: dict[str, list[str]], *, keyless: bool) -> str:
    """The document, with names that are there in its paths: of both operators.

    ``keyless``: for the authority's own user, who is known without a key.
    """
    document = json.loads(control_document())
    for item in document["paths"].values():
        for operation in item.values():
            if keyless:
                operation["security"] = []
            for one in operation.get("parameters", ()):
                if one["in"] == "path" and one["name"] in known:
                    one["schema"] = {"type": "string", "enum": known[one["name"]]}
    return json.dumps(document)


@pytest.mark.slow
@pytest.mark.parametrize("role", CALLERS)
def test_schemathesis_control_plane_as_a_role_finds_nothing(
    attacked: Attacked, role: Role, tmp_path: Path
) -> None:
    """No server error, no answer beside the document, nothing of the other operator."""
    (tmp_path / "schemathesis.toml").write_text(SETTINGS, encoding="utf-8")
    document = narrowed(attacked.known, keyless=role == "owner")
    (tmp_path / "document.json").write_text(document, encoding="utf-8")
    options = attacked.come_as(role)
    attacked.answers.clear()
    command = [sys.executable, "-m", "schemathesis.cli", "run", "document.json"]
    done = subprocess.run(
        [
            *command,
            "--url",
            f"http://{attacked.address}",
            *options,
            "--max-examples=2",
            f"--phases={'coverage,fuzzing' if role in THOROUGH else 'fuzzing'}",
            "--exclude-operation-id=postOcsp",  # its body is DER, which is made elsewhere
            "--seed=1",
            "--suppress-health-check=all",
        ],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert 0 == done.returncode, done.stdout[-6000:] + done.stderr[-2000:]
    assert [] == [one for one in attacked.answers if one[1] >= 500]
    assert [] == [one for one in attacked.answers if MARKER.encode() in one[2]]
    admitted = {path for path, status, _ in attacked.answers if status == 200}
    own = {path for path in admitted if path.startswith("/v1/operators/acme/")}
    assert bool(own) == (role not in ("agent", "anyone"))
    beyond = {path for path in admitted if "/beta/" in path and not path.startswith("/pki/")}
    assert beyond == (beyond if role in ("owner", "issuer_admin") else set())
