# SPDX-License-Identifier: Apache-2.0
"""Every cell of the fault matrix holds, and planted mistakes turn it red."""

from __future__ import annotations

import pytest

from tests.faults.__main__ import main
from tests.faults.cell import PHASES, Phase, run_cell
from tests.faults.defects import DEFECTS
from tests.faults.rows import ROWS, Row
from tests.faults.table import HEAD

BY_NAME = {row.name: row for row in ROWS}


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_cell_nothing_is_wrong(row: Row, phase: Phase) -> None:
    """No permit without record or outside scope, none twice; told and returned as stated."""
    assert {} == run_cell(row, phase).wrong


@pytest.mark.parametrize("name", DEFECTS)
def test_planted_defect_turns_its_column_red(name: str) -> None:
    """A mistake in a service is seen in the column that is about it."""
    defect = DEFECTS[name]
    assert run_cell(BY_NAME[defect.row], defect.phase, defect.makings).count(defect.column) > 0


def test_same_cell_is_the_same_cell() -> None:
    """Time and chance are fixed: a cell that is red once is red again."""
    first, second = (run_cell(BY_NAME["venue: slow"], "key") for _ in range(2))
    assert first == second


def test_command_prints_a_line_for_each_cell(capsys: pytest.CaptureFixture[str]) -> None:
    """The table has its columns and a line a cell; all well is exit code 0."""
    code = main(["--quick", "--only", "signer: down"])
    printed = capsys.readouterr().out.splitlines()
    assert (0, 6, "3 cells") == (code, len(printed), printed[-1])
    assert all(word in printed[0] for word in HEAD)


def test_command_with_a_defect_is_red_and_names_the_cell(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A broken invariant is exit code 1, and the finding is printed."""
    code = main(["--quick", "--only", "signer: wrong key", "--defect", "takes-any-signature"])
    printed = capsys.readouterr().out
    assert 1 == code
    assert "RED  signer: wrong key, before: no record: a permit left" in printed


def test_command_that_selects_nothing_fails(capsys: pytest.CaptureFixture[str]) -> None:
    """A selection without a cell shows nothing, so it is no success."""
    assert 1 == main(["--only", "no such row"])
    assert "0 cells" in capsys.readouterr().out
