# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.simulation``: run seeds, one seed, a planted bug, or the scripted life."""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from tests.simulation.bugs import BUGS
from tests.simulation.faults import Coverage
from tests.simulation.run import Result, parts_of, replay_command, run_seed
from tests.simulation.script import live_through


def main(arguments: list[str]) -> int:
    """0: all invariants held. 1: one did not, or a planted bug was not found. 2: usage."""
    options = _options().parse_args(arguments)
    if options.script:
        return _script(options.bug)
    if options.seed is not None:
        return _one(options.seed, options.bug)
    return _many(range(options.first, options.first + options.seeds), options.bug)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds (100)")
    parser.add_argument("--first", type=int, default=1, help="the first of them (1)")
    parser.add_argument("--seed", type=int, help="this seed alone, with its story and trace")
    parser.add_argument("--bug", choices=sorted(BUGS), default="", help="plant this mistake")
    parser.add_argument("--script", action="store_true", help="the scripted life, each await")
    return parser


def _one(seed: int, bug: str) -> int:
    result = run_seed(seed, bug)
    print("\n".join(result.story))
    print(f"seed {seed}: {result.steps} steps, {result.points} points, {result.faults} faults")
    print(f"trace {result.trace}")
    return _told(result, bug)


def _many(seeds: range, bug: str) -> int:
    coverage, sums, failed = Coverage(), Counter[str](), 0
    for seed in seeds:
        result = run_seed(seed, bug)
        coverage.add(result.coverage)
        for name in ("steps", "points", "faults", "deaths", "orders", "permits"):
            sums[name] += getattr(result, name)
        failed += _told(result, bug)
        if bug and failed:
            return 0
    print("\n".join(coverage.lines()))
    print(f"{len(seeds)} seeds: " + ", ".join(f"{sums[name]} {name}" for name in sorted(sums)))
    print("every invariant held" if not failed else f"{failed} seeds failed")
    return int(failed > 0 or bool(bug))


def _told(result: Result, bug: str) -> int:
    if not result.violated:
        return 0
    print(f"seed {result.seed}, step {result.steps}: {result.finding}")
    print(f"  again: {replay_command(result.seed, bug)}")
    return 1


def _script(bug: str) -> int:
    points, failed = live_through(parts_of(bug))
    print(f"the scripted life reaches {points} awaits; the power was lost at each of them in turn")
    for life in failed:
        print(f"await {life.crash_at}: {life.finding}")
    print("every invariant held" if not failed else f"{len(failed)} lives failed")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
