# SPDX-License-Identifier: Apache-2.0
"""What a new user gets wrong: one line that says what, one that says what to do, exit code 1."""

from __future__ import annotations

import asyncio
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sekisho.adapters.authority.http_link import HttpLink
from sekisho.adapters.clocks import SystemClock
from sekisho.adapters.web.operations_link import OperationsLink
from sekisho.apps.cli import cli
from sekisho.core.errors import NotAuthorised, Unavailable
from tests.embedded_world import AGENT, prepared

Change = Callable[[Path], None]


def run(*words: str) -> Result:
    """One command."""
    return CliRunner().invoke(cli, list(words))


def check(said: Result, what: str, do: str) -> None:
    """Exit code 1, what is wrong in the first line, what to do in a row of its own, no trace."""
    assert 1 == said.exit_code, said.output
    assert isinstance(said.exception, SystemExit), said.exception
    lines = [line for line in said.output.splitlines() if not line.startswith("{")]
    assert lines[0].startswith("sekisho: "), said.output
    assert what in said.output, said.output
    assert do in lines[-1].removeprefix("    do        "), said.output
    assert lines[-1].startswith("    do        ")


@pytest.fixture(scope="module")
def enrolled() -> Iterator[Path]:
    """A short folder with a home and the gate ``g`` that was enrolled there."""
    folder = Path(tempfile.mkdtemp(prefix="sk-"))
    asyncio.run(prepared(folder / "home", clock=SystemClock()))
    words = ("enroll", "--home", str(folder / "home"), "--gate", "gate-2", "--paper")
    assert 0 == run(*words, "--out", str(folder / "g"), "--agent", AGENT).exit_code
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def gate(enrolled: Path) -> Iterator[Path]:
    """A copy of the gate's folder, beside the home."""
    shutil.copytree(enrolled / "g", enrolled / "copy")
    yield enrolled / "copy"
    shutil.rmtree(enrolled / "copy")


def shown(name: str) -> Change:
    """A secret that others may read."""
    return lambda folder: (folder / name).chmod(0o644)


def gone(name: str) -> Change:
    """A file that is not there."""
    return lambda folder: (folder / name).unlink()


def copied(name: str, over: str) -> Change:
    """A file in the place of another."""

    def change(folder: Path) -> None:
        shutil.copy(folder / name, folder / over)

    return change


def edited(old: str, new: str) -> Change:
    """A line of the configuration as somebody mistyped it."""

    def change(folder: Path) -> None:
        path = folder / "gate.toml"
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


@pytest.mark.parametrize(
    ("change", "what", "do"),
    [
        (shown("keys/passphrase"), "others can read", "chmod 600"),
        (shown("keys/gate-log.key"), "others can read", "chmod 600"),
        (shown("keys/venue-PAPER"), "others than its owner can read", "chmod 600"),
        (gone("keys/gate-log.key"), "cannot be read", "name the key's file"),
        (gone("root.pem"), "root.pem", "from the authority's home"),
        (copied("root.pem", "responder.pem"), "do not go together", "from the authority's home"),
        (edited("region =", "regoin ="), "no setting 'regoin'", "write region"),
        (edited(f'name = "{AGENT}"', 'name = "Bot"'), "not an agent's name", "correct the file"),
        (
            edited("[[agents]]", f'[api]\nsocket = "{"s" * 100}"\n[[agents]]'),
            "at most 100 bytes",
            "name a shorter path",
        ),
    ],
)
def test_gate_that_cannot_start_says_why(gate: Path, change: Change, what: str, do: str) -> None:
    """Rights, files, settings: found at the start, and each is named with its remedy."""
    change(gate)
    check(run("gate", "--config", str(gate / "gate.toml")), what, do)


def test_gate_whose_port_is_taken_says_so(gate: Path) -> None:
    """Another program listens there."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        table = f'[operations]\nlisten = "127.0.0.1:{port}"\n[[agents]]'
        edited("[[agents]]", table)(gate)
        said = run("gate", "--config", str(gate / "gate.toml"))
    check(said, f"127.0.0.1:{port}: cannot be listened on", "choose another address")


def test_gate_that_does_not_run_is_told_with_how_to_start_it(gate: Path) -> None:
    """Commands at a gate need its process."""
    said = run("gate", "status", "--config", str(gate / "gate.toml"))
    check(said, "nobody answers at", "start it: sekisho gate")


def test_enroll_under_a_name_that_is_taken_says_to_choose_another(enrolled: Path) -> None:
    """Not whom to ask: another name is all that is wanted."""
    words = ("enroll", "--home", str(enrolled / "home"), "--gate", "gate-2")
    said = run(*words, "--out", str(enrolled / "twice"))
    check(said, "has a certificate for another key", "choose another --gate")
    assert not (enrolled / "twice").exists()


def test_home_in_a_folder_that_is_too_deep_for_a_socket_says_so(
    enrolled: Path, tmp_path: Path
) -> None:
    """A socket's path is bounded by the system."""
    deep = tmp_path / ("d" * 100) / "home"
    shutil.copytree(enrolled / "home", deep)
    check(run("serve", "--home", str(deep)), "at most 100 bytes", "name a shorter path")


def test_baseline_of_an_agent_that_no_gate_has_says_when_one_does(enrolled: Path) -> None:
    """No list of none."""
    said = run("baseline", "--home", str(enrolled / "home"), "--agent", "rob")
    check(said, "is not admitted here", "an agent is admitted when its gate opens to trade")
    assert "name one of" not in said.output


def test_authority_that_does_not_run_is_told_with_how_to_start_it(tmp_path: Path) -> None:
    """The address, and the command; no number of the system alone."""

    async def story() -> str:
        link = HttpLink(f"unix:{tmp_path}/nobody.sock")
        try:
            with pytest.raises(Unavailable) as refused:
                await link.ask("GET", "/v1/roster", b"", wait_s=2)
            return str(refused.value)
        finally:
            await link.close()

    said = asyncio.run(story())
    assert f"nobody answers at unix:{tmp_path}/nobody.sock" in said
    assert "start it: sekisho serve" in said


@pytest.mark.parametrize("status", ["403 Forbidden", "404 Not Found"])
def test_refusal_of_a_gate_says_where_to_look(tmp_path: Path, status: str) -> None:
    """Whom it knows is seen in its status."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b'{"detail":"no such agent"}'
        head = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    async def story() -> str:
        path = tmp_path / "o.sock"
        async with await asyncio.start_unix_server(answer, path):
            link = OperationsLink("g", f"unix:{path}")
            try:
                with pytest.raises(NotAuthorised, match="no such agent") as refused:
                    await link.ask("GET", "/v1/agents/rob")
                return refused.value.do
            finally:
                await link.close()

    assert "sekisho gate status --config" in asyncio.run(story())
