# SPDX-License-Identifier: Apache-2.0
"""docs/howto/run-an-authority.md, command by command: it does what it says, and prints that."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.test_run_a_gate import BIN, ROOT, WAIT_S, Step, Terminals, pattern, steps
from tests.postgres_server import require_postgres, server

PAGE = (ROOT / "docs/howto/run-an-authority.md").read_text("utf-8")
REPLICAS = PAGE.index("## 5. Two replicas")


class AuthorityTerminals(Terminals):
    """Who follows the page; ``KEY`` is the key that was made first."""

    key = ""
    database = ""

    def follow(self, step: Step) -> str:
        """Do one step; copies are made while nobody serves."""
        words = [{"KEY": self.key, "DATABASE": self.database}.get(one, one) for one in step.words]
        if words[0] == "cp":
            self.end()
        if words[1:2] == ["serve"] and step.shown[0].startswith("sekisho: "):
            return self.command(words)
        said = super().follow(step._replace(words=words))
        made = re.match(r"key ([0-9a-f]{16})", said)
        self.key = self.key or (made[1] if made else "")
        return said

    def command(self, words: list[str]) -> str:
        """Run it to its end; what is not the product's is the system's."""
        if words[0] == "sekisho" and words[1] != "serve":
            return super().command(words)
        place = str(BIN / words[0]) if words[0] == "sekisho" else words[0]
        done = subprocess.run(
            [place, *words[1:]],
            capture_output=True,
            text=True,
            check=False,
            timeout=WAIT_S,
        )
        return done.stdout + done.stderr


@pytest.fixture
def terminals(monkeypatch: pytest.MonkeyPatch) -> Iterator[AuthorityTerminals]:
    """An empty folder with a short name, for sockets have to fit, and the examples in it."""
    folder = Path(tempfile.mkdtemp(prefix="sk-", dir="/tmp"))
    (folder / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(folder)
    made = AuthorityTerminals(folder)
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(folder, ignore_errors=True)


def follow(terminals: AuthorityTerminals, text: str) -> int:
    """Follow a part of the page; how many commands there were."""
    followed = 0
    for block in re.findall(r"```(?:console|toml)\n.*?```", text, re.DOTALL):
        if block.startswith("```toml"):
            name, _, lines = block.removeprefix("```toml\n# ").removesuffix("```").partition(",")
            with (terminals.folder / name).open("a", encoding="utf-8") as file:
                file.write(lines.partition("\n")[2])
            continue
        for step in steps(block):
            said = terminals.follow(step)
            shown = pattern(step.shown)
            matches = shown.match if step.words[1] == "serve" else shown.fullmatch
            wanted = "\n".join(step.shown)
            assert matches(said), f"{' '.join(step.words)}\n{said}\nshown:\n{wanted}"
            followed += 1
    terminals.end()
    return followed


@pytest.mark.slow
def test_page_run_an_authority_is_what_happens(terminals: AuthorityTerminals) -> None:
    """Every command of the parts for one process, in its order, prints what the page shows."""
    assert 15 < follow(terminals, PAGE[:REPLICAS])


@pytest.mark.slow
def test_page_run_an_authority_with_two_replicas_is_what_happens(
    terminals: AuthorityTerminals,
) -> None:
    """The same of the part over PostgreSQL, with a server of the tests' own."""
    require_postgres()
    terminals.database = server().database()
    assert 6 < follow(terminals, PAGE[REPLICAS:])
