# SPDX-License-Identifier: Apache-2.0
"""Every command of people, with ``sekisho serve`` running on the home and with nobody there.

Each works, or says in words what to do instead; none answers with a trace. What has no ``--home``
cannot care.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest
from click.testing import CliRunner, Result

from sekisho.adapters.clocks import SystemClock
from sekisho.apps.cli import cli
from sekisho.compose import COMPLIANCE_SEAT, OPERATOR_SEAT, RISK_SEAT, Home
from tests.embedded_world import AGENT, APPROVERS, POLICY, prepared

COMMAND = Path(sys.executable).with_name("sekisho")
DONE = (0, "")
SERVERS = ("serve", "paper-venue")
"""They go on until they are ended: tests of their own start them."""


class Row(NamedTuple):
    """A command: its arguments, and ``(exit code, said)`` with ``serve`` running and without."""

    name: str
    arguments: list[str]
    running: tuple[int, str]
    stopped: tuple[int, str]


def by(home: Path, *seats: str) -> list[str]:
    """About the agent, signed by these people."""
    keys = ",".join(str(home / "people" / f"{seat}.key") for seat in seats)
    return ["--agent", AGENT, "--seat", ",".join(seats), "--key", keys, "--reason", "test_reason"]


def rows(home: Path, policy: str) -> list[Row]:
    """All commands with ``--home``, in an order in which each has something to do."""
    document = home.with_name("home-policy.json")
    document.write_text(json.dumps(POLICY | {"agent": "second"}), encoding="utf-8")
    risk, two = by(home, RISK_SEAT), by(home, RISK_SEAT, COMPLIANCE_SEAT)
    period = ["--from", "2026-01-01T00:00:00Z", "--to", "2026-01-02T00:00:00Z"]
    at_gate = "--at gate.toml"
    end = "end sekisho serve"
    approver = ["--seat", APPROVERS[0], "--key", str(home / "people" / f"{APPROVERS[0]}.key")]
    admitted = "is admitted when its gate opens to trade"
    return [
        Row("init", ["--policy", str(document)], (1, "choose"), (1, "choose")),
        Row("found", ["--policy", str(document), "--root", str(home / "root.pem"), "--issuing",
            str(home / "issuing.pem")], (1, end), (1, "founded already")),
        Row("register", ["--policy", str(document)], (1, end), DONE),
        Row("approve", ["--policy", policy, *approver, "--yes"], DONE, DONE),
        Row("issue", ["--agent", AGENT, "--policy", policy], (1, "revoke"), (1, "revoke")),
        Row("incidents", [], DONE, DONE),
        Row("acknowledge", ["--as", "fault", *risk], (1, "sekisho incidents"),
            (1, "sekisho incidents")),
        Row("hold", risk, DONE, DONE),
        Row("release", two, DONE, DONE),
        Row("assign", ["--gate", "gate-2", *by(home, OPERATOR_SEAT)], (1, "no gate has it yet"),
            (1, "serve --home")),
        Row("baseline", ["--agent", AGENT], (1, at_gate), (1, admitted)),
        Row("go-live", ["--baseline", "0" * 64, *risk], (1, at_gate), (1, admitted)),
        Row("rearm", ["--latch", "shutdown", *two], (1, at_gate), (1, admitted)),
        Row("shutdown", ["--mode", "cancel-only", *risk], (2, "gate.toml"), (2, "gate.toml")),
        Row("enroll", ["--gate", "gate-2", "--out", str(home.with_name("gate-2"))], DONE, DONE),
        Row("export", ["--agent", AGENT, *period, "--out", str(home.with_name("out"))], (1, end),
            DONE),
        Row("revoke", risk, DONE, DONE),
        Row("kill", risk, DONE, DONE),
        Row("policy-diff", [policy, policy], DONE, DONE),
        Row("withdraw", ["--policy", policy, *approver], DONE, DONE),
    ]  # fmt: skip


def takes_home(command: click.Command) -> bool:
    """Whether a home can be named to it."""
    return any("--home" in parameter.opts for parameter in command.params)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a certified agent that no gate has."""
    asyncio.run(prepared(tmp_path / "home", clock=SystemClock()))
    return tmp_path / "home"


@pytest.fixture
def policy(home: Path) -> str:
    """The digest of its policy."""

    async def look() -> str:
        opened = await Home.open(home)
        try:
            return next(iter(opened.authority.state.policies))
        finally:
            await opened.close()

    return asyncio.run(look())


@pytest.fixture
def served(home: Path, policy: str) -> Iterator[None]:
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


def check(said: Result, row: Row, expected: tuple[int, str]) -> None:
    """The exit code, the words, and of a failure what to do."""
    code, words = expected
    assert (code, True) == (said.exit_code, words in said.output), (row.name, said.output)
    assert isinstance(said.exception, SystemExit | None), (row.name, said.exception)
    if code == 1:
        assert "\n    do  " in said.output, (row.name, said.output)


def run_all(home: Path, policy: str, which: str) -> None:
    """Every row once, one after another."""
    for row in rows(home, policy):
        said = CliRunner().invoke(cli, [row.name, "--home", str(home), *row.arguments])
        check(said, row, getattr(row, which))


def test_table_names_every_command_that_takes_a_home(home: Path) -> None:
    """A new command has to say what it does while its home is served."""
    listed = {row.name for row in rows(home, "0" * 64)}
    commands: dict[str, Any] = dict(cli.commands)
    assert {name for name, one in commands.items() if takes_home(one)} == listed | set(SERVERS)


@pytest.mark.usefixtures("served")
def test_every_command_beside_serve_works_or_says_what_to_do(home: Path, policy: str) -> None:
    """What can be done there is done there; the rest names the gate, or says to end it."""
    run_all(home, policy, "running")
    again = CliRunner().invoke(cli, ["serve", "--home", str(home)])
    check(again, Row("serve", [], DONE, DONE), (1, "in use by another process"))


def test_every_command_without_serve_works_or_says_what_to_do(home: Path, policy: str) -> None:
    """The home is opened by the command itself."""
    run_all(home, policy, "stopped")
    shutil.rmtree(home.with_name("gate-2"))
