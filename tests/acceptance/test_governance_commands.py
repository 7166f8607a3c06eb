# SPDX-License-Identifier: Apache-2.0
"""Governance from the command line, on a home and beside ``sekisho serve``."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from sekisho.adapters.clocks import SystemClock
from sekisho.apps.cli import cli
from sekisho.compose import Home
from sekisho.core.encoding import canonical
from tests.embedded_world import AGENT, APPROVERS, POLICY, prepared

COMMAND = Path(sys.executable).with_name("sekisho")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a certified agent."""
    asyncio.run(prepared(tmp_path / "home", clock=SystemClock()))
    return tmp_path / "home"


@pytest.fixture
def served(home: Path) -> Iterator[None]:
    """The home's authority as a process."""
    process = subprocess.Popen(
        [COMMAND, "serve", "--home", str(home)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("listening: ")
    yield
    process.send_signal(signal.SIGTERM)
    process.wait(20)
    process.stdout.close()


def run(*arguments: str) -> str:
    """What a command said; it was done."""
    said = CliRunner().invoke(cli, arguments)
    assert 0 == said.exit_code, said.output
    return said.output


def by(home: Path, *seats: str) -> list[str]:
    """Signed by these people."""
    keys = ",".join(str(home / "people" / f"{seat}.key") for seat in seats)
    return ["--seat", ",".join(seats), "--key", keys]


def look(home: Path, what: Any) -> Any:
    """Something of the home's authority, while nobody serves it."""

    async def story() -> Any:
        opened = await Home.open(home)
        try:
            return what(opened.authority)
        finally:
            await opened.close()

    return asyncio.run(story())


def registered(output: str) -> str:
    """The digest that a registration told."""
    line = next(line for line in output.splitlines() if line.startswith("registered: "))
    return line.removesuffix("; next, once for each approver:").split()[-1]


def wider(home: Path) -> str:
    """A new version of the agent's policy, with more of the day; its digest."""
    document = home.with_name("wider.json")
    plain = json.loads(json.dumps(POLICY))
    plain |= {"agent": AGENT, "version": "2"}
    plain["scope"]["daily_notional_max"] = "900000"
    document.write_text(json.dumps(plain), encoding="utf-8")
    return registered(run("register", "--home", str(home), "--policy", str(document)))


def test_approver_is_shown_what_the_new_version_widens(home: Path) -> None:
    """Before signing: each change to the policy that the agent was certified under."""
    digest = wider(home)
    said = run("approve", "--home", str(home), "--policy", digest, "--yes", *by(home, APPROVERS[0]))
    assert "which the agent was certified under:" in said
    assert "WIDENS   scope.daily_notional_max: " in said
    assert said.index("WIDENS") < said.index("approved;")
    first = look(home, lambda one: next(iter(one.state.policies)))
    told = run("policy-diff", "--home", str(home), digest, first)
    assert "narrows  scope.daily_notional_max: 900000 -> " in told
    assert "WIDENS   scope.daily_notional_max" not in told
    document = str(home.with_name("wider.json"))
    assert "0 changes, 0 of them widen" in run("policy-diff", document, document)


@pytest.mark.usefixtures("served")
def test_approver_beside_serve_is_shown_the_same_and_takes_it_back(home: Path) -> None:
    """The process that serves the home records what is signed here."""
    with_home = ["--home", str(home)]
    digest = home.with_name("digest").read_text()
    said = run("approve", *with_home, "--policy", digest, "--yes", *by(home, APPROVERS[0]))
    assert "certified under" not in said  # it is the very policy
    said = run("withdraw", *with_home, "--policy", digest, *by(home, APPROVERS[0]))
    assert f"taken back: what {APPROVERS[0]} approved" in said
    assert "no further issuing: " in said


@pytest.fixture(autouse=True)
def written(home: Path) -> None:
    """The digest of the home's policy, kept beside it before anybody serves the home."""
    digest = look(home, lambda one: next(iter(one.state.policies)))
    home.with_name("digest").write_text(digest)


def test_limits_are_registered_approved_shown_and_kept(home: Path) -> None:
    """From the document to the sum that is taken up, and what is over it."""
    document = home.with_name("limits.json")
    row = {"daily_notional_max": "1", "order_notional_max": "1"}
    document.write_text(json.dumps({"operator": row, "documented_by": "risk-1"}), encoding="utf-8")
    told = run("limits", "register", "--home", str(home), "--limits", str(document))
    digest = registered(told)
    assert "no limits above agents are in force" in run("limits", "show", "--home", str(home))
    for seat in APPROVERS:
        said = run("approve", "--home", str(home), "--policy", digest, "--yes", *by(home, seat))
        assert "operator.daily_notional_max: 1" in said
    shown = run("limits", "show", "--home", str(home))
    assert "EXCEEDED: the operator: daily_notional_max: " in shown


@pytest.mark.parametrize("beside", [True, False])
def test_roster_is_replaced_by_its_approvers(
    home: Path, beside: bool, request: pytest.FixtureRequest
) -> None:
    """Shown seat by seat, signed by two; from then on the new one is in force."""
    roster = msgspec.to_builtins(look(home, lambda one: one.roster))
    gone = next(row["seat"] for row in roster["seats"] if row["role"] != "approver")
    roster["seats"] = [row for row in roster["seats"] if row["seat"] != gone]
    roster["version"] += 1
    document = home.with_name("roster.json")
    document.write_bytes(canonical(roster))
    if beside:
        request.getfixturevalue("served")
    said = run(
        "roster", "change", "--home", str(home), "--roster", str(document), *by(home, *APPROVERS)
    )
    assert f"gone     {gone}: " in said
    assert "in force: roster " in said
    if not beside:
        assert roster["version"] == look(home, lambda one: one.roster.version)
