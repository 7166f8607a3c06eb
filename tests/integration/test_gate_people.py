# SPDX-License-Identifier: Apache-2.0
"""People's commands at a gate's operations socket: what is signed, sent, shown, and exits with."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from sekisho.adapters.web.listening import Listener
from sekisho.adapters.web.operations_link import OperationsLink
from sekisho.adapters.web.serving import Bounds, serve
from sekisho.apps.cli import cli
from sekisho.apps.operations_api import OperationsApi, operations_application
from sekisho.compose import COMPLIANCE_SEAT, RISK_SEAT, Home
from sekisho.compose.enrolling import enroll_gate
from sekisho.compose.running_gate import own_user
from sekisho.core.encoding import canonical, parse_plain
from sekisho.core.errors import (
    MalformedInput,
    NotAuthorised,
    OutcomeUnknown,
    Unavailable,
)
from sekisho.core.governance.commands import Command, authorise_commands, parse_signed_command
from sekisho.core.governance.roster import Roster
from sekisho.services.authoritywire import AgentSheet
from sekisho.services.localcommands import LocalOutcome
from sekisho.services.stopping import StopOutcome
from tests.embedded_world import AGENT, prepared

INCIDENT = "c" * 32


class FakeGate:
    """Answers at a gate's operations socket; judges signatures as a gate does."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.config = folder / "gate-a" / "gate.toml"
        self.taken: list[tuple[Command, ...]] = []
        self.outcome: dict[str, Any] = {}
        self.roster: Roster
        asyncio.run(self._make())

    async def _make(self) -> None:
        await prepared(self.home)
        home = await Home.open(self.home)
        try:
            await enroll_gate(home, "gate-a", self.config.parent, (AGENT,), paper=True)
            self.roster = home.authority.roster
            self.now = home.around.clock.now_ns()
        finally:
            await home.close()

    async def take(self, body: bytes) -> Any:
        """Whether it would be believed; what it achieved is what the test said."""
        signed = tuple(parse_signed_command(canonical(one).decode()) for one in parse_plain(body))
        authorise_commands(signed, self.roster, self.now)
        self.taken.append(tuple(one.command for one in signed))
        fields = {"act": signed[0].command.command, "agents": (AGENT,), "recorded": True}
        return msgspec.to_builtins(LocalOutcome(**(fields | {"complete": True} | self.outcome)))

    async def look_up(self, agent: str) -> AgentSheet:
        """The authority's word, as the gate hands it on."""
        return AgentSheet(agent=agent, epoch=41, gate="gate-a", incident="", policy_sha256="0" * 64)

    def application(self) -> Any:
        """What listens."""
        venues = [{"venue": "PAPER", "incident": INCIDENT}, {"venue": "OTHER", "incident": ""}]
        return operations_application(
            OperationsApi(
                missing=list,
                metrics=bytes,
                metrics_type="text/plain",
                take=self.take,
                status=lambda: {"venues": venues},
                roster=lambda: self.roster,
                look_up=self.look_up,
                baseline=lambda agent: {
                    "agent": agent,
                    "locked_sha256": "",
                    "collected_sha256": "ab" * 32,
                    "complete": False,
                    "missing": ["3 orders were asked in it, at least 100 are needed"],
                    "summary": [["days", "1"]],
                },
                owner=own_user,
            )
        )

    def command(self, act: str, *words: str, code: int = 0) -> str:
        """A command of the command line at this gate; what it said."""
        told = CliRunner().invoke(cli, [act, "--at", str(self.config), *words])
        assert told.exception is None or isinstance(told.exception, SystemExit), repr(
            told.exception
        )
        assert code == told.exit_code, told.output
        return told.output

    def by(self, *seats: str) -> list[str]:
        """Signed by these people of the trial."""
        keys = ",".join(str(self.home / "people" / f"{seat}.key") for seat in seats)
        who = ["--home", str(self.home), "--seat", ",".join(seats), "--key", keys]
        return [*who, "--reason", "test_reason"]


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[FakeGate]:
    """A gate that listens while the test runs."""
    made = FakeGate(tmp_path)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    address = f"unix:{made.config.parent}/operations.sock"
    listening = serve(made.application(), [Listener(address)], Bounds())
    serving = asyncio.run_coroutine_threadsafe(listening, loop).result(10)
    try:
        yield made
    finally:
        asyncio.run_coroutine_threadsafe(serving.close(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def test_shutdown_says_whom_and_how_and_shows_the_mode_in_force(gate: FakeGate) -> None:
    """One agent or all; the mode of the answer, which may be narrower, is what is shown."""
    gate.outcome = {"modes": {AGENT: "cancel_only"}}
    said = gate.command("shutdown", "--agent", AGENT, "--mode", "reduce-only", *gate.by(RISK_SEAT))
    assert [f"shutdown: {AGENT}: cancel_only in force", "recorded: yes", "complete"] == (
        said.splitlines()
    )
    gate.command("shutdown", "--agent", "all", "--mode", "cancel-only", *gate.by(RISK_SEAT))
    (one,), (every,) = gate.taken
    assert (AGENT, "reduce_only") == (one.agent, one.mode)
    assert ({"kind": "all", "name": "all"}, "cancel_only") == (
        msgspec.to_builtins(every.scope),
        every.mode,
    )


def test_stop_that_is_not_complete_exits_1_and_names_what_is_left(gate: FakeGate) -> None:
    """An order that nobody confirmed, an authority that has not heard: said, and no success."""
    gate.outcome = {
        "reports": (
            StopOutcome(
                gate="gate-a",
                agent=AGENT,
                stopped_at="2026-05-15T09:00:00.000000000Z",
                last_permit=5,
                confirmed=("a",),
                unconfirmed=("b",),
                recorded=True,
                complete=False,
            ),
        ),
        "taken_over": False,
        "failures": ("authority: away",),
        "complete": False,
    }
    said = gate.command("kill", "--agent", AGENT, *gate.by(RISK_SEAT), code=1)
    assert [
        f"kill: {AGENT}",
        "recorded: yes",
        f"gate gate-a: {AGENT}: 1 resting orders confirmed as ended, 1 not confirmed",
        "NOT CONFIRMED: b; ask the venue, then cancel again",
        "the authority has it: NOT YET",
        "FAILED: authority: away",
        "NOT COMPLETE",
    ] == said.splitlines()


def test_what_widens_carries_the_authoritys_epoch_and_both_people(gate: FakeGate) -> None:
    """A latch of an agent at its epoch, that of a venue for its incident, a baseline's digest."""
    both = gate.by(RISK_SEAT, COMPLIANCE_SEAT)
    said = gate.command("rearm", "--agent", AGENT, "--latch", "shutdown", *both)
    assert f"re-armed: shutdown of {AGENT}\n" == said
    said = gate.command("rearm", "--venue", "PAPER", "--latch", "venue", *both)
    assert "re-armed: venue of PAPER\n" == said
    digest = "ab" * 32
    gate.command("go-live", "--agent", AGENT, "--baseline", digest, *gate.by(COMPLIANCE_SEAT))
    agents, venues, live = gate.taken
    assert [(41, "shutdown", RISK_SEAT), (41, "shutdown", COMPLIANCE_SEAT)] == [
        (one.epoch, one.latch, one.seat) for one in agents
    ]
    assert {(0, INCIDENT)} == {(one.epoch, one.incident) for one in venues}
    assert [(41, digest)] == [(one.epoch, one.baseline_sha256) for one in live]
    said = gate.command("rearm", "--venue", "OTHER", "--latch", "venue", *both, code=1)
    assert "not latched at this gate" in said
    assert 3 == len(gate.taken)


def test_baseline_of_a_gate_is_shown_and_exits_1_while_incomplete(gate: FakeGate) -> None:
    """What was observed, the digest to sign, and what is missing."""
    assert [
        "days: 1",
        f"digest: {'ab' * 32}",
        "in force: none; orders are checked against the scope alone",
        "missing: 3 orders were asked in it, at least 100 are needed",
    ] == gate.command("baseline", "--agent", AGENT, code=1).splitlines()


def test_refusals_and_wrong_usage_are_told_before_anything_is_given(gate: FakeGate) -> None:
    """One person for two, no passphrase, half of a venue's latch, neither home nor gate."""
    alone = gate.by(RISK_SEAT)
    said = gate.command("rearm", "--agent", AGENT, "--latch", "shutdown", *alone, code=1)
    assert "compliance" in said
    typed = gate.command("hold", "--agent", AGENT, *alone[2:], code=1)
    assert "--passphrase-file" in typed
    file = ["--passphrase-file", str(gate.home / "keys" / "passphrase")]
    gate.command("hold", "--agent", AGENT, *alone[2:], *file)
    for words in (
        ["--agent", AGENT, "--latch", "venue"],
        ["--venue", "PAPER", "--latch", "shutdown"],
        ["--venue", "PAPER", "--agent", AGENT, "--latch", "venue"],
    ):
        gate.command("rearm", *words, *alone, code=2)
    signed = ["--agent", AGENT, *alone[2:]]
    for words in (
        ["hold", *signed],
        ["shutdown", "--mode", "cancel-only", *signed],
        ["rearm", "--home", str(gate.home), "--venue", "PAPER", "--latch", "venue", *alone[2:]],
    ):
        assert 2 == CliRunner().invoke(cli, words).exit_code, words
    assert ["hold"] == [taken[0].command for taken in gate.taken]


def test_gate_that_does_not_answer_stops_nothing_and_says_so(tmp_path: Path) -> None:
    """Nobody at the socket: NOT DONE for what stops, and the way to the authority."""
    gate = FakeGate(tmp_path)
    for act, words in (
        ("hold", []),
        ("kill", []),
        ("shutdown", ["--mode", "cancel-only"]),
    ):
        said = gate.command(act, "--agent", AGENT, *words, *gate.by(RISK_SEAT), code=1)
        assert f"{act}: NOT DONE, nothing is stopped: gate gate-a: nobody answers" in said
        assert "give the command to the authority: --home DIR" in said


async def answered(folder: Path, said: bytes, method: str) -> Any:
    """What a person is told by a gate that sends these bytes and hangs up."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()
        writer.close()

    path = folder / "s"
    server = await asyncio.start_unix_server(say, path)
    link = OperationsLink("gate-a", f"unix:{path}")
    try:
        return await link.ask(method, "/v1/x")
    finally:
        await link.close()
        server.close()
        await server.wait_closed()


def http(status: int, body: bytes) -> bytes:
    """An answer as bytes."""
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body)


@pytest.mark.parametrize(
    ("said", "got", "posted"),
    [
        (http(503, b'{"detail":"d"}'), Unavailable, Unavailable),
        (http(503, b'{"detail":"d","effect":"unknown"}'), Unavailable, OutcomeUnknown),
        (http(500, b"{}"), Unavailable, OutcomeUnknown),
        (http(200, b"no json"), Unavailable, OutcomeUnknown),
        (b"", Unavailable, OutcomeUnknown),
        (http(403, b'{"detail":"d"}'), NotAuthorised, NotAuthorised),
        (http(404, b"{}"), NotAuthorised, NotAuthorised),
        (http(400, b'{"detail":"d"}'), MalformedInput, MalformedInput),
    ],
)
def test_link_a_command_without_a_clear_answer_is_unknown_never_failed(
    tmp_path: Path, said: bytes, got: type[Exception], posted: type[Exception]
) -> None:
    """A cut, an odd body, a defect: perhaps it is in force. A question had no effect."""
    for method, expected in (("GET", got), ("POST", posted)):
        with pytest.raises(expected):
            asyncio.run(answered(tmp_path, said, method))


def test_link_nobody_there_is_unavailable_and_says_what_to_do(tmp_path: Path) -> None:
    """Nothing was given to anybody."""

    async def story() -> None:
        link = OperationsLink("gate-a", f"unix:{tmp_path}/nobody")
        try:
            await link.ask("POST", "/v1/commands")
        finally:
            await link.close()

    with pytest.raises(Unavailable, match="nobody answers") as caught:
        asyncio.run(story())
    assert "sekisho gate --config" in caught.value.do
