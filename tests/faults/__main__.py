# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.faults``: print the fault matrix; exit 1 where an invariant is broken."""

from __future__ import annotations

import argparse
import sys

from tests.faults.cell import PHASES, QUICK, run_cell
from tests.faults.defects import DEFECTS
from tests.faults.rows import ROWS
from tests.faults.table import lines


def main(arguments: list[str]) -> int:
    """Run the cells that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one instant of each order's middle")
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose name has this text")
    parser.add_argument("--defect", choices=sorted(DEFECTS), help="plant a mistake, to see red")
    asked = parser.parse_args(arguments)
    makings = DEFECTS[asked.defect].makings if asked.defect else None
    phases = QUICK if asked.quick else PHASES
    cells = [
        run_cell(row, phase, makings) for row in ROWS if asked.only in row.name for phase in phases
    ]
    print("\n".join(lines(cells)))
    return int(not cells or not all(cell.sound for cell in cells))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
