# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.simulation``: run seeds, one seed, a planted bug, or the scripted life."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable
from functools import partial

from tests.simulation.bugs import BUGS
from tests.simulation.faults import Coverage
from tests.simulation.registry_seeds import live_through as live_through_authority
from tests.simulation.registry_seeds import run_registry_seed
from tests.simulation.run import Result, parts_of, run_seed
from tests.simulation.script import live_through

_COUNTED = (
    "steps",
    "points",
    "faults",
    "deaths",
    "orders",
    "permits",
    "incidents",
    "observed",
)


def main(arguments: list[str]) -> int:
    """0: all invariants held. 1: one did not, or a planted bug was not found. 2: usage."""
    options = _options().parse_args(arguments)
    if options.script:
        return _authority_script() if options.authority else _script(options.bug)
    run = run_registry_seed if options.authority else partial(run_seed, bug=options.bug)
    again = f" --bug {options.bug}" if options.bug else " --authority" * options.authority
    if options.seed is not None:
        return _one(run(options.seed), again)
    seeds = range(options.first, options.first + options.seeds)
    return _many(map(run, seeds), again, found_is_good=bool(options.bug))


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds (100)")
    parser.add_argument("--first", type=int, default=1, help="the first of them (1)")
    parser.add_argument("--seed", type=int, help="this seed alone, with its story and trace")
    parser.add_argument("--bug", choices=sorted(BUGS), default="", help="plant this mistake")
    parser.add_argument("--authority", action="store_true", help="the authority, not a gate")
    parser.add_argument("--script", action="store_true", help="the scripted life, each await")
    return parser


def _one(result: Result, again: str) -> int:
    print("\n".join(result.story))
    print(f"seed {result.seed}: {result.steps} steps, {result.points} points", end=", ")
    print(f"{result.faults} faults")
    print(f"trace {result.trace}")
    return _told(result, again)


def _many(results: Iterable[Result], again: str, *, found_is_good: bool) -> int:
    coverage, sums, failed, count = Coverage(), Counter[str](), 0, 0
    for result in results:
        coverage.add(result.coverage)
        for name in _COUNTED:
            sums[name] += getattr(result, name)
        failed += _told(result, again)
        count += 1
        if found_is_good and failed:
            return 0
    print("\n".join(coverage.lines()))
    print(f"{count} seeds: " + ", ".join(f"{sums[name]} {name}" for name in sorted(sums)))
    print("every invariant held" if not failed else f"{failed} seeds failed")
    return int(failed > 0 or found_is_good)


def _told(result: Result, again: str) -> int:
    if not result.violated:
        return 0
    print(f"seed {result.seed}, step {result.steps}: {result.finding}")
    print(f"  again: python -m tests.simulation --seed {result.seed}{again}")
    return 1


def _authority_script() -> int:
    points, wrong = live_through_authority()
    print(f"the authority's scripted life reaches {points} awaits; the power was lost at each")
    print("\n".join(wrong) or "every invariant held")
    return int(bool(wrong))


def _script(bug: str) -> int:
    worst = 0
    for name, incidents in (("day", False), ("incidents", True)):
        points, failed = live_through(parts_of(bug), incidents=incidents)
        print(f"the script of {name} reaches {points} awaits; the power was lost at each of them")
        for life in failed:
            print(f"await {life.crash_at}: {life.finding}")
        print("every invariant held" if not failed else f"{len(failed)} lives failed")
        worst |= int(bool(failed))
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
