# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.mutation``: change a room place by place; each change must turn a test red.

    python -m tests.mutation [--quick] [--room gate] [--file NAME]

Prints the guards first (each early return, refusal and guarded block removed: all must be found),
then the score over all other mutants, then each survivor. ``--quick`` asks every guard and a sample
of the others. Mutants that change nothing observable stand in equivalent.toml, each with a reason;
an entry there that names no mutant any more fails too. Exit code 1: something survived.
"""

from __future__ import annotations

import argparse
import sys
import time
import tomllib
from pathlib import Path

from tests.mutation.mutants import Mutant, mutants
from tests.mutation.running import ROOT, Hunt, Room, open_room

ROOMS = {
    "gate": (
        "packages/sekisho/src/sekisho/core/gate",
        ("tests/unit/gate/test_*.py", "tests/property/test_gate_*.py"),
    ),
}
QUICK_STEP = 7


def main() -> int:
    """Run one room and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="all guards, a sample of the rest")
    parser.add_argument("--guards", action="store_true", help="guards only")
    parser.add_argument("--room", choices=sorted(ROOMS), default="gate")
    parser.add_argument("--file", default="", help="only modules of this name")
    arguments = parser.parse_args()
    begin = time.monotonic()
    folder, patterns = ROOMS[arguments.room]
    room = open_room(folder, patterns)
    everything = [
        mutant
        for path in room.modules
        if arguments.file in path
        for mutant in mutants((ROOT / path).read_text("utf-8"), path)
    ]
    excused = equivalents()
    left = [mutant for mutant in everything if mutant.name not in excused]
    listed = len(everything) - len(left)
    print(f"{len(room.cases)} cases; {len(everything)} mutants, {listed} listed as equivalent")
    others = [mutant for mutant in left if mutant.family == "score"]
    survivors = asked(room, "guards", [mutant for mutant in left if mutant.family == "guard"])
    if not arguments.guards:
        chosen = others[::QUICK_STEP] if arguments.quick else others
        survivors += asked(room, "others", chosen)
    for mutant in survivors:
        print(f"{mutant.path}:{mutant.line}\n    {mutant.name}")
    gone = set() if arguments.file else excused - {mutant.name for mutant in everything}
    for name in sorted(gone):
        print(f"equivalent.toml names what is not there any more: {name}")
    print(f"{time.monotonic() - begin:.1f} s")
    return 1 if survivors or gone else 0


def asked(room: Room, title: str, chosen: list[Mutant]) -> list[Mutant]:
    """Run the mutants and print one line."""
    hunt = Hunt(room)
    hunt.run(chosen)
    total, survived = len(chosen), len(hunt.survivors)
    score = 100 * hunt.found / total if total else 100.0
    said = f"{title}: {total} mutants, {hunt.found} found, {survived} survived: {score:.1f} %"
    print(said, flush=True)
    return hunt.survivors


def equivalents() -> set[str]:
    """Names of the mutants that change nothing observable; each entry must give its reason."""
    table = tomllib.loads(Path(__file__).with_name("equivalent.toml").read_text("utf-8"))
    for entry in table.get("mutant", []):
        if not entry["reason"]:
            raise ValueError(f"no reason is given for {entry['name']}")
    return {entry["name"] for entry in table.get("mutant", [])}


if __name__ == "__main__":
    sys.exit(main())
