# SPDX-License-Identifier: Apache-2.0
"""How a rehearsal tells how far it is: a moving line on a terminal, now and then one elsewhere."""

from __future__ import annotations

import io

from rich.console import Console

from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.apps.rehearse import LINE_EVERY_S, ProgressLine
from sekisho.compose.rehearsal import Progress
from sekisho.services.rehearsal_figures import RehearsalFigures


def progress(rows: int, read: int = 0) -> Progress:
    """So many rows, and so much of a file of 1,000 bytes."""
    figures = RehearsalFigures("bot", "EUR")
    figures.rows = rows
    return Progress(figures, read, 1_000)


def test_pipe_gets_a_plain_line_every_few_seconds() -> None:
    """Not one for each row; share, rows and rate in each."""
    clock, file = SteppedClock(0), io.StringIO()
    line = ProgressLine(Console(file=file), clock)
    with line.shown():
        for passed in range(1, 2 * LINE_EVERY_S + 1):
            clock.advance(1)
            line(progress(100 * passed, 50 * passed))
    first, second = file.getvalue().splitlines()
    assert (
        " 25 %  500 rows  100 rows/s  refused 0  bad 0  5 s, about 15 s left",
        " 50 %  1,000 rows  100 rows/s  refused 0  bad 0  10 s, about 10 s left",
    ) == (first, second)
    assert "\x1b" not in file.getvalue()


def test_terminal_gets_one_line_that_moves_and_goes() -> None:
    """On a terminal the line is redrawn and nothing of it stays."""
    clock, file = SteppedClock(0), io.StringIO()
    line = ProgressLine(Console(file=file, force_terminal=True, width=100), clock)
    with line.shown():
        clock.advance(1)
        line(progress(100, 100))
        during = file.getvalue()
    assert " 10 %  100 rows" in during
    assert "\x1b[2K" in file.getvalue()[len(during) :]
    clock.advance(LINE_EVERY_S)
    line(progress(600, 600))
    assert file.getvalue().endswith("about 4 s left\n")


def test_file_without_size_counts_without_a_share() -> None:
    """What has no size, such as a pipe, is read too: rows and rate are still told."""
    clock, file = SteppedClock(0), io.StringIO()
    line = ProgressLine(Console(file=file), clock)
    clock.advance(LINE_EVERY_S)
    figures = RehearsalFigures("bot", "EUR")
    line(Progress(figures, 0, 0))
    assert "  0 %  0 rows" in file.getvalue()
