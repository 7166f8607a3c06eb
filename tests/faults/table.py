# SPDX-License-Identifier: Apache-2.0
"""The matrix as text: one line a cell, and below it what is wrong, if anything is."""

from __future__ import annotations

from tests.faults.cell import Cell
from tests.faults.judging import OTHER, RECORD, RETURNS, SCOPE, TOLD, TWICE

HEAD = (
    "dependency", "fault", "phase", "what the bot was told",
    "permits without record", "outside scope", "sent twice", "returns", "why not",
)  # fmt: skip
WHY_MAX = 60


def lines(cells: list[Cell]) -> list[str]:
    """The table, its findings, and a closing line."""
    rows = [_line(cell) for cell in cells]
    widths = [max(len(row[at]) for row in (HEAD, *rows)) for at in range(len(HEAD))]
    text = [
        "  ".join(part.ljust(width) for part, width in zip(row, widths, strict=True)).rstrip()
        for row in (HEAD, tuple("-" * width for width in widths), *rows)
    ]
    wrong = [
        f"RED  {cell.row.name}, {cell.phase}: {column}: {finding}"
        for cell in cells
        for column, findings in cell.wrong.items()
        for finding in findings
    ]
    red = sum(not cell.sound for cell in cells)
    return [*text, *wrong, f"{len(cells)} cells, {red} red" if red else f"{len(cells)} cells"]


def _line(cell: Cell) -> tuple[str, ...]:
    return (
        cell.row.dependency,
        cell.row.fault,
        cell.phase,
        _told(cell),
        str(cell.count(RECORD)),
        str(cell.count(SCOPE)),
        str(cell.count(TWICE)),
        _returns(cell),
        _why(cell),
    )


def _told(cell: Cell) -> str:
    """The order in the middle; then what the others were told, in the order of the first time."""
    shown = " → ".join(said for said in cell.said)
    middle = cell.middle
    text = shown if cell.said and cell.middle == cell.said[0] else f"{middle} | {shown}"
    return f"{text} (WRONG)" if cell.count(TOLD) + cell.count(OTHER) else text


def _returns(cell: Cell) -> str:
    if cell.count(RETURNS):
        return "WRONG"
    if cell.row.returns == "restart":
        return "started anew"
    if cell.row.returns == "people":
        return "by two people"
    return "at once" if not cell.returned_s else f"after {cell.returned_s:.0f} s"


def _why(cell: Cell) -> str:
    """Why it did not come back at once, in the words that the bot was told."""
    if cell.row.why and cell.row.why in cell.why:
        return cell.row.why
    return cell.why if len(cell.why) <= WHY_MAX else f"{cell.why[:WHY_MAX]}…"
