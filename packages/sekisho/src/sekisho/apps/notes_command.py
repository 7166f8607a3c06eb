# SPDX-License-Identifier: Apache-2.0
"""``sekisho notes``: forget what a note says, asked of a served home by its own user."""

from __future__ import annotations

from pathlib import Path

import click

from sekisho.apps.people_commands import HOME
from sekisho.apps.running import run
from sekisho.compose.running_control import running_control
from sekisho.config import read_config
from sekisho.services.notes import NoteRow


@click.group()
def notes() -> None:
    """Notes of a served home."""


@notes.command()
@HOME
@click.option("--index", required=True, type=click.IntRange(0), help="The note's entry.")
@click.option("--operator", default="", help="Whose log; the home's own by default.")
def erase(home: Path, index: int, operator: str) -> None:
    """Forget what a note says, for good; its entry stays in the log and can be verified."""
    run(_erase(home, index, operator))


async def _erase(home: Path, index: int, operator: str) -> int:
    place = f"/v1/operators/{operator or read_config(home).operator}/log/notes"
    async with running_control(home) as control:
        erased = await control.ask("POST", f"{place}/{index}/erase", None, NoteRow)
    click.echo(f"erased: entry {erased.index}, {erased.commitment}, at {erased.erased_at}")
    return 0
