# SPDX-License-Identifier: Apache-2.0
"""``sekisho enroll``: a gate's folder from a home, served or not, and what to run next."""

from __future__ import annotations

from pathlib import Path

import click

from sekisho.apps.mistakes import open_to_command
from sekisho.apps.running import program
from sekisho.compose import running_authority
from sekisho.compose.enrolling import Enrolled, enroll_gate


async def enroll_new_gate(
    path: Path, gate: str, out: Path, agents: tuple[str, ...], *, paper: bool
) -> int:
    """Have the gate's log certified, by the process that serves the home if one does."""
    home = await running_authority(path) or await open_to_command(path, "enroll")
    try:
        made = await enroll_gate(home, gate, out, agents, paper=paper)
    finally:
        await home.close()
    _show(made, path, gate)
    return 0


def _show(made: Enrolled, home: Path, gate: str) -> None:
    click.echo(f"gate: {made.config}")
    for agent, token in made.tokens.items():
        click.echo(f"token of {agent}: {token}")
    if not made.tokens:
        click.echo(f"nobody may ask yet: write an [[agents]] table into {made.config}")
    for agent, other in made.elsewhere.items():
        click.echo(
            f"{agent} is with gate {other}; an operator moves it:\n  {program()} assign"
            f" --home {home} --agent {agent} --gate {gate} --seat SEAT --key FILE --reason CODE"
        )
    click.echo("next, each in a terminal of its own:")
    click.echo(f"  {program()} serve --home {home}")
    if made.paper is not None:
        click.echo(f"  {program()} paper-venue --home {home}")
    click.echo(f"  {program()} gate --config {made.config}")
