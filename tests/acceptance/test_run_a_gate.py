# SPDX-License-Identifier: Apache-2.0
"""docs/howto/run-a-gate.md, command by command: it does what it says, and prints what it shows."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from sekisho.apps.cli import cli

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "howto" / "run-a-gate.md"
BIN = Path(sys.executable).parent
SERVERS = (["serve"], ["paper-venue"], ["gate", "--config"])
WAIT_S = 40.0


class Step(NamedTuple):
    """A command of the page, in words, and what the page shows of its output."""

    words: list[str]
    shown: list[str]


def steps(page: str) -> list[Step]:
    """Every command of the page's ``console`` blocks."""
    found: list[Step] = []
    for block in re.findall(r"```console\n(.*?)```", page, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                found.append(Step(shlex.split(line[2:]), []))
            else:
                found[-1].shown.append(line)
    return found


def pattern(shown: list[str]) -> re.Pattern[str]:
    """The output as a pattern: ``…`` is anything in a line; a line of it alone is any lines."""
    lines = [
        r"(?:.*\n)*?" if line == "…" else ".*".join(map(re.escape, line.split("…"))) + r"\n"
        for line in shown
    ]
    return re.compile("".join(lines))


class Terminals:
    """Who follows the page: one terminal for commands, one for each process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.digest = ""
        self.running: list[subprocess.Popen[bytes]] = []

    def follow(self, step: Step) -> str:
        """Do one step; what it printed."""
        words = [self.digest if word == "DIGEST" else word for word in step.words]
        if words[0] == "sekisho" and any(words[1 : 1 + len(one)] == one for one in SERVERS):
            return self.serve(words, pattern(step.shown))
        if words[:2] == ["sekisho", "export"] and step.shown[0].startswith("bundle:"):
            self.end()  # the page says so before it
        if words[:3] == ["sekisho", "gate", "status"]:
            self.wait(lambda: CliRunner().invoke(cli, words[1:]).exit_code == 0, "ready")
        said = self.command(words)
        found = re.search(r"policy ([0-9a-f]{64})", said)
        self.digest = self.digest or (found[1] if found else "")
        return said

    def command(self, words: list[str]) -> str:
        """Run it to its end; the commands of the product in this process, which is quicker."""
        if words[0] == "sekisho":
            return CliRunner().invoke(cli, words[1:]).output
        program = BIN / words[0]
        done = subprocess.run(
            [program, *words[1:]], capture_output=True, text=True, check=False, timeout=WAIT_S
        )
        return done.stdout + done.stderr

    def serve(self, words: list[str], shown: re.Pattern[str]) -> str:
        """Start it, and wait until it has said what the page shows."""
        out = self.folder / f"terminal-{len(self.running)}"
        with out.open("wb") as file:
            process = subprocess.Popen(
                [BIN / words[0], *words[1:]], stdout=file, stderr=subprocess.STDOUT
            )
        self.running.append(process)
        self.wait(lambda: shown.match(out.read_text("utf-8")) is not None, " ".join(words))
        return out.read_text("utf-8")

    def wait(self, done: object, what: str) -> None:
        """Wait until something is so."""
        assert callable(done)
        end = time.monotonic() + WAIT_S
        while not done():
            assert time.monotonic() < end, f"waited in vain for {what}"
            threading.Event().wait(0.1)

    def end(self) -> None:
        """Ctrl-C in every terminal."""
        for process in self.running:
            process.send_signal(signal.SIGINT)
        assert [0] * len(self.running) == [process.wait(WAIT_S) for process in self.running]
        self.running.clear()

    def close(self) -> None:
        """End what is left, by its id."""
        for process in self.running:
            process.kill()
            process.wait(WAIT_S)


@pytest.fixture
def terminals(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminals]:
    """An empty folder with a short name, for sockets have to fit, and the examples in it."""
    folder = Path(tempfile.mkdtemp(prefix="sk-", dir="/tmp"))
    (folder / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(folder)
    made = Terminals(folder)
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
def test_page_run_a_gate_is_what_happens(terminals: Terminals) -> None:
    """Every command of the page, in its order, prints what the page shows."""
    followed = steps(PAGE.read_text("utf-8"))
    for step in followed:
        said = terminals.follow(step)
        shown = pattern(step.shown)
        matches = shown.match if step.words[1] in ("serve", "paper-venue") else shown.fullmatch
        if step.words[1:3] == ["gate", "--config"]:
            matches = shown.match
        assert matches(said), f"{' '.join(step.words)}\n{said}\nshown:\n{chr(10).join(step.shown)}"
    assert 20 < len(followed)


def test_shown_output_matches_nothing_else() -> None:
    """The comparison sees a word that differs, a line too many and a line that is missing."""
    shown = pattern(["first: …", "…", "last"])
    assert shown.fullmatch("first: x\na\nb\nlast\n")
    assert shown.fullmatch("first: \nlast\n")
    for other in ("first: x\nlast\nmore\n", "other: x\nlast\n", "first: x\nb\n"):
        assert not shown.fullmatch(other)
