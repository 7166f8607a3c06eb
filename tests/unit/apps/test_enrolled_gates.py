# SPDX-License-Identifier: Apache-2.0
"""What a home does for gates that are enrolled: who may certify a log, whose log is exported."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import httpx2
import pytest
from click.testing import CliRunner

from sekisho.adapters.clocks import SystemClock
from sekisho.adapters.disk import FolderDisk
from sekisho.adapters.entropy import SystemEntropy
from sekisho.apps.authority_api import authority_app
from sekisho.apps.cli import cli
from sekisho.compose import Home, offline_gate
from sekisho.compose.enrolling import enroll_gate
from sekisho.core.encoding import b64
from sekisho.services.peopledesk import LogRequest, PeopleDesk
from sekisho.services.remotegates import RemoteGates
from tests.authority_world import AuthorityWorld, log_key
from tests.embedded_world import AGENT, prepared

PERIOD = ("--from", "2026-01-01T00:00:00Z", "--to", "2036-01-01T00:00:00Z")


def not_asked(_what: object) -> NoReturn:
    """Registrations and issuing, of which nothing is asked here."""
    raise AssertionError


class Caller:
    """Whoever is at the other end: the authority's own user or not."""

    def __init__(self, *, own: bool) -> None:
        self.own = own

    def gates(self, _scope: Mapping[str, Any]) -> frozenset[str]:
        """No gate."""
        return frozenset()

    def owner(self, _scope: Mapping[str, Any]) -> bool:
        """As made."""
        return self.own


@pytest.mark.parametrize(("own", "status"), [(True, 200), (False, 403)])
def test_log_keys_are_certified_for_the_authoritys_own_user_alone(own: bool, status: int) -> None:
    """Anybody else gets no certificate, whatever key they bring; the log shows none."""
    origin = "gate-x.sekisho.invalid/log"

    async def story() -> tuple[int, bool]:
        world = await AuthorityWorld.start()
        desk = PeopleDesk(world.authority, not_asked, not_asked)
        gates = RemoteGates(world.authority, world.clock, SystemEntropy())
        app = authority_app(world.authority, gates, desk, Caller(own=own))
        asked = LogRequest(origin=origin, public_key=b64(log_key(origin)))
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://authority") as client:
            body = {"origin": asked.origin, "public_key": asked.public_key}
            answer = await client.post("/v1/logs", json=body)
        return answer.status_code, origin in world.authority.state.log_keys

    assert (status, own) == asyncio.run(story())


def export(home: Path, out: Path, *more: object) -> str:
    """An export that is refused and leaves nothing; what it said."""
    words = ["export", "--home", home, "--agent", AGENT, *PERIOD, "--out", out, *more]
    done = CliRunner().invoke(cli, [str(word) for word in words])
    assert 1 == done.exit_code, done.output
    assert not out.exists()
    return done.output


@pytest.fixture
def enrolled(tmp_path: Path) -> Path:
    """A home whose agent is with gate-a, and gates a and b beside it, which never ran."""

    async def make() -> None:
        await prepared(tmp_path / "home", clock=SystemClock())
        home = await Home.open(tmp_path / "home")
        try:
            for gate in ("gate-a", "gate-b"):
                await enroll_gate(home, gate, tmp_path / gate, (AGENT,), paper=True)
            await home.authority.admission_for("gate-a", AGENT)
        finally:
            await home.close()

    asyncio.run(make())
    return tmp_path


def test_export_of_a_gate_that_never_had_the_agent_is_refused(enrolled: Path) -> None:
    """A bundle that would show nothing of it is not written; the right gate is named."""
    for more in ((), ("--gate-config", enrolled / "gate-b" / "gate.toml")):
        said = export(enrolled / "home", enrolled / "out", *more)
        assert "gate gate-a has it" in said
        assert "--gate-config gate-a/gate.toml" in said


def test_export_of_a_gate_that_runs_or_never_ran_says_so(enrolled: Path) -> None:
    """Nobody else may have the log open; without one there is nothing to export."""
    config = enrolled / "gate-a" / "gate.toml"
    said = export(enrolled / "home", enrolled / "out", "--gate-config", config)
    assert "this gate has never run" in said
    disk = FolderDisk(enrolled / "gate-a" / "gate")
    try:
        said = export(enrolled / "home", enrolled / "out", "--gate-config", config)
    finally:
        disk.close()
    assert "export: not done" in said
    assert "end sekisho gate" in said


def test_enroll_says_what_to_run_and_where_the_agent_is(enrolled: Path) -> None:
    """The token's file, the gate that has the agent and how it is moved, what is next."""
    out = enrolled / "gate-c"
    words = ["enroll", "--home", enrolled / "home", "--gate", "gate-c", "--out", out]
    done = CliRunner().invoke(cli, [str(word) for word in (*words, "--agent", AGENT, "--paper")])
    assert 0 == done.exit_code, done.output
    for line in (
        f"gate: {out}/gate.toml",
        f"token of {AGENT}: {out}/keys/{AGENT}.token",
        f"{AGENT} is with gate gate-a; an operator moves it:",
        f"  sekisho paper-venue --home {enrolled}/home",
        f"  sekisho gate --config {out}/gate.toml",
    ):
        assert line in done.output.splitlines(), done.output


def test_baseline_before_the_first_order_says_what_is_missing(tmp_path: Path) -> None:
    """An agent that was admitted and never asked: no summary, no failure, exit 1."""

    async def admit() -> None:
        await prepared(tmp_path / "home", clock=SystemClock())
        home = await Home.open(tmp_path / "home")
        try:
            await (await offline_gate(home)).admit(AGENT)
        finally:
            await home.close()

    words = ["baseline", "--home", str(tmp_path / "home"), "--agent", AGENT]
    asyncio.run(prepared(tmp_path / "new", clock=SystemClock()))
    unknown = CliRunner().invoke(cli, ["baseline", "--home", str(tmp_path / "new"), *words[3:]])
    assert (1, True) == (unknown.exit_code, "its gate opens to trade" in unknown.output)
    asyncio.run(admit())
    done = CliRunner().invoke(cli, words)
    assert 1 == done.exit_code
    assert done.output.startswith("digest: ")
    assert "missing: " in done.output
