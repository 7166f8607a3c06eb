# SPDX-License-Identifier: Apache-2.0
"""``sekisho paper-venue``: the process of a paper venue, by its configuration or beside a home."""

from __future__ import annotations

from pathlib import Path

import click

from sekisho.apps.running import run

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command("paper-venue")
@click.option("--config", type=FILE, default=None, help="Its venue.toml.")
@click.option("--home", type=FOLDER, default=None, help="A trial home: its venue is made there.")
def paper_venue(config: Path | None, home: Path | None) -> None:
    """Run a paper venue: another firm, which executes nothing without a good permit."""
    from sekisho.apps.paper_venue import permit_application
    from sekisho.compose.paper import VenueFaces, run_paper_venue
    from sekisho.compose.paper_home import venue_of_home

    if (config is None) == (home is None):
        raise click.UsageError("give either --config FILE or --home DIR")
    path = config if config is not None else venue_of_home(home or Path())
    run(run_paper_venue(path, VenueFaces(permits=permit_application), _listening))


def _listening(name: str, addresses: list[str]) -> None:
    for address in addresses:
        click.echo(f"paper venue {name} listens at {address}")
    click.echo("its book is a file: what rests there still rests at the next start")
