# SPDX-License-Identifier: Apache-2.0
"""Same bytes in, same digits out: on every interpreter, whatever its hashes are seeded with."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.core.behaviour.digest import all_scores

ROOT = Path(__file__).parents[4]
PATHS = (ROOT, ROOT / "packages/sekisho/src")
EXPECTED = "6d1cfb09510a8ae056fe0ba92d58c07fbf0fb8484afa38edb04cb36b0af46588"


def digest_by(interpreter: str, seed: str) -> str:
    """What another process says of the same entries."""
    environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(str(path) for path in PATHS)}
    done = subprocess.run(
        [interpreter, "-m", "tests.unit.core.behaviour.digest"],
        env=environment, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return done.stdout.strip()


def test_scores_in_this_process_are_the_recorded_ones() -> None:
    """A change of any digit of any score, baseline or crossing shows here."""
    assert EXPECTED == all_scores(1_000)


@pytest.mark.parametrize("seed", ["0", "1", "2"])
def test_scores_do_not_depend_on_the_seed_of_hashes(seed: str) -> None:
    """Three processes, three orders of any set: one digest."""
    assert EXPECTED == digest_by(sys.executable, seed)


@pytest.mark.parametrize("name", ["python3.12", "python3.13", "python3.14"])
def test_scores_do_not_depend_on_the_interpreter(name: str) -> None:
    """Other versions of Python say the same, where one with msgspec is installed."""
    interpreter = shutil.which(name)
    if interpreter is None:
        pytest.skip(f"{name} is not installed here")
    ready = subprocess.run(
        [interpreter, "-c", "import msgspec"], capture_output=True, check=False, timeout=60
    )
    if ready.returncode:
        pytest.skip(f"{name} has no msgspec here")
    assert EXPECTED == digest_by(interpreter, "0")
