# SPDX-License-Identifier: Apache-2.0
"""``sekisho operators``: further operators of a server, each with an authority of its own."""

from __future__ import annotations

from pathlib import Path

import click

from sekisho.apps.embedded import found_anew, show_next
from sekisho.apps.mistakes import whole_or_nothing
from sekisho.apps.people_commands import HOME
from sekisho.apps.running import program, run
from sekisho.compose import Home, Surroundings, init_home, register_document
from sekisho.compose.new_home import REQUEST
from sekisho.compose.operators import (
    OPERATORS,
    folder_of,
    further_operators,
    further_settings,
    under_own_root,
)
from sekisho.config import read_config

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group()
def operators() -> None:
    """Further operators of a server: each has its own log, keys, people and register."""


@operators.command(name="open")
@click.argument("name")
@HOME
@click.option("--policy", type=FILE, required=True, help="Policy document, YAML or JSON.")
def open_one(name: str, home: Path, policy: Path) -> None:
    """Make a further operator's home in the server's; served from its next start on."""
    run(_open(home, name, policy))


@operators.command(name="list")
@HOME
def list_all(home: Path) -> None:
    """List the operators of a server."""
    run(_list(home))


async def _open(home: Path, name: str, policy: Path) -> int:
    around = Surroundings()
    registration = register_document(policy, around.clock.now_ns())
    settings, folder = further_settings(home, name), folder_of(home, name)
    with whole_or_nothing(folder):
        init_home(folder, settings, around.entropy, offline_root=True)
        given = under_own_root(home, folder, around)
        if given is None:
            click.echo(f"request: {folder / REQUEST}")
            click.echo("the root's key is not in this home; next, where it is:")
            click.echo(f"  {program()} ceremony issuing --request {REQUEST} --root … --out …")
            click.echo(
                f"  {program()} found --home {folder} --policy {policy} --root … --issuing …"
            )
            return 0
        roster = await found_anew(await Home.open(folder, around), registration, given)
    click.echo(f"operator {name}: {folder}")
    show_next(folder, registration, roster)
    click.echo(f"served from the next start on: {program()} serve --home {home}")
    return 0


async def _list(home: Path) -> int:
    click.echo(f"{read_config(home).operator}: {home}")
    founded = further_operators(home)
    folder = home / OPERATORS
    for name in sorted(one.name for one in folder.iterdir()) if folder.is_dir() else ():
        click.echo(f"{name}: {folder / name}{'' if name in founded else ', not founded yet'}")
    return 0
