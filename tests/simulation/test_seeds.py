# SPDX-License-Identifier: Apache-2.0
"""The simulation: seeds that pass, planted bugs that are found, and the same trace every time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.__main__ import main
from tests.simulation.bugs import BUGS
from tests.simulation.faults import Coverage
from tests.simulation.invariants import INVARIANTS
from tests.simulation.run import STEPS_MIN, Result, first_found, run_seed
from tests.simulation.script import live, live_through

ROOT = Path(__file__).parents[2]
QUICK = range(1, 31)
FULL = range(31, 1_001)
BUG_SEEDS = 1_000
SOME = range(0, 260, 17)


def failed(results: list[Result]) -> list[str]:
    return [f"seed {one.seed}: {one.finding}" for one in results if one.violated]


def test_seeds_hold_every_invariant() -> None:
    """Seeds of fifty steps and more, with faults in each, and no invariant is broken."""
    results = [run_seed(seed) for seed in QUICK]
    assert failed(results) == []
    assert min(one.steps for one in results) >= STEPS_MIN
    assert sum(one.faults for one in results) > 10 * len(results)
    assert sum(one.permits for one in results) > 5 * len(results)
    assert 4 < sum(one.observed for one in results) < len(results) - 4
    assert sum(one.incidents for one in results) > len(results)


@pytest.mark.slow
def test_more_seeds_hold_every_invariant() -> None:
    """A thousand seeds, and every fault was met at every point that has it, or is named.

    Among the states in which it was met are those that only an incident brings about.
    """
    coverage = Coverage()
    results = []
    for seed in FULL:
        results.append(run_seed(seed))
        coverage.add(results[-1].coverage)
    print("\n".join(coverage.lines()))
    assert failed(results) == []
    struck = {(fault, point) for fault, point, _ in coverage.struck}
    assert [pair for pair in coverage.possible() if pair not in struck] == []
    assert {"held_by_incident", "breaker"} < {state for _, _, state in coverage.struck}


def test_seeds_that_once_failed_pass() -> None:
    """Each seed that shows a defect that was found runs again, here or above, and shows nothing."""
    seeds = sorted({int(seed) for seed, _, _ in listed_seeds()} - set(QUICK))
    assert seeds
    assert failed([run_seed(seed) for seed in seeds]) == []


@pytest.mark.slow
def test_seeds_that_once_failed_still_show_the_defect() -> None:
    """The list is no relic: with the defect planted each of its seeds fails as it says."""
    for seed, invariant, bug in listed_seeds():
        assert run_seed(int(seed), bug).violated == invariant


def listed_seeds() -> list[list[str]]:
    lines = (ROOT / "tests/simulation/seeds.txt").read_text("ascii").splitlines()
    return [line.split() for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("bug", sorted(BUGS))
def test_planted_bug_is_found(bug: str) -> None:
    """A planted mistake is found within a thousand seeds, by an invariant that is about it.

    The services as they are pass the very seed that finds it.
    """
    first = BUGS[bug].first
    found = first_found(bug, range(first, first + BUG_SEEDS))
    assert found is not None
    print(f"{bug}: seed {found.seed}, step {found.steps}: {found.finding}")
    assert found.violated in BUGS[bug].found_by
    assert found.violated in {invariant.__name__ for invariant in INVARIANTS}
    assert run_seed(found.seed).violated == ""


def test_scripted_life_survives_a_power_loss_at_each_await() -> None:
    """One life, ended at each of its awaits in turn: every invariant holds afterwards."""
    points, lives = live_through()
    print(f"{points} awaits")
    assert points > 250
    assert [(life.crash_at, life.finding) for life in lives] == []


@pytest.mark.slow
def test_scripted_incidents_survive_a_power_loss_at_each_await() -> None:
    """The life with incidents: opened, told, lifted, opened again while the authority is away."""
    points, lives = live_through(incidents=True)
    print(f"{points} awaits")
    assert points > 200
    assert [(life.crash_at, life.finding) for life in lives] == []


def test_scripted_incidents_survive_a_power_loss_at_some_awaits() -> None:
    """Some of them: a taste of the full test."""
    lives = [live(number, incidents=True) for number in SOME]
    assert [(life.crash_at, life.finding) for life in lives] == [(number, "") for number in SOME]
    assert min(life.deaths for life in lives[1:]) > lives[0].deaths


def test_scripted_life_finds_a_signature_before_the_flush() -> None:
    """The script is no rubber stamp: with a planted bug its undisturbed life already fails."""
    bug = BUGS["sign-before-flush"]
    assert live_through(bug.parts)[1] != []


def trace(seed: int, hash_seed: str) -> str:
    """What a process of its own prints about a seed."""
    environment = dict(os.environ) | {"PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-m", "tests.simulation", "--seed", str(seed)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_seed_gives_the_same_trace_in_two_processes() -> None:
    """Nothing but the seed decides: two processes with other hash seeds tell the same story."""
    first, second = trace(5, "1"), trace(5, "2")
    assert "trace " in first
    assert first == second
    assert run_seed(5).trace in first


def test_other_seed_gives_another_trace() -> None:
    """The trace is of what happened, so another seed has another one."""
    assert run_seed(5).trace != run_seed(6).trace


def test_failing_seed_prints_the_command_that_replays_it(capsys: pytest.CaptureFixture) -> None:
    """Whoever sees a failure can run it again by copying one line."""
    assert main(["--bug", "sign-before-flush", "--seeds", "3"]) == 0
    said = capsys.readouterr().out
    assert "python -m tests.simulation --seed 1 --bug sign-before-flush" in said
    assert main(["--bug", "sign-before-flush", "--seed", "1"]) == 1
    assert "invariant_p1" in capsys.readouterr().out


def test_seeds_print_their_coverage(capsys: pytest.CaptureFixture) -> None:
    """The table fault × await point × state is printed with what was never struck."""
    assert main(["--first", "1", "--seeds", "3"]) == 0
    said = capsys.readouterr().out
    assert "power_loss            disk.sync:before" in said
    assert "pairs of fault and point were struck" in said
    assert "every invariant held" in said
