# SPDX-License-Identifier: Apache-2.0
"""Commands of governance: ``policy-diff``, ``withdraw``, ``limits``, ``roster``. Thin."""

from __future__ import annotations

from pathlib import Path

import click

from sekisho.apps.people_commands import HOME, people
from sekisho.apps.running import run

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command(name="policy-diff")
@click.argument("before")
@click.argument("after")
@click.option("--home", type=click.Path(path_type=Path), help="Folder of the home, for digests.")
def policy_diff(before: str, after: str, home: Path | None) -> None:
    """What changes from one policy to another: files, or digests that a home knows."""
    from sekisho.apps import governance_acts

    run(governance_acts.policy_diff(home, before, after))


@click.command()
@HOME
@click.option("--policy", "digest", required=True, help="Digest of the policy, or of limits.")
@click.option("--seat", required=True, help="Who takes the approval back.")
@click.option("--key", type=FILE, required=True, help="The approver's key file.")
def withdraw(home: Path, digest: str, seat: str, key: Path) -> None:
    """Take an approval back: it counts no more for what is issued from now on."""
    from sekisho.apps import governance_acts

    run(governance_acts.withdraw(home, digest, seat, key))


@click.group()
def limits() -> None:
    """Limits above agents: of the operator and of its desks."""


@limits.command(name="register")
@HOME
@click.option("--limits", "document", type=FILE, required=True, help="Document, YAML or JSON.")
def register_limits(home: Path, document: Path) -> None:
    """Register limits; they are in force once approved."""
    from sekisho.apps import governance_acts

    run(governance_acts.register_limits(home, document))


@limits.command(name="show")
@HOME
def show_limits(home: Path) -> None:
    """Show the limits in force, what is taken up, and reviews and tests that are due."""
    from sekisho.apps import governance_acts

    run(governance_acts.show_governance(home))


@click.group()
def roster() -> None:
    """Who the people are."""


@roster.command(name="change")
@HOME
@click.option("--roster", "document", type=FILE, required=True, help="The new roster, JSON.")
@click.option("--seat", required=True, help="Approvers of the one in force: SEAT,SEAT.")
@click.option("--key", required=True, help="Their key files, in the same order.")
def change_roster(home: Path, document: Path, seat: str, key: str) -> None:
    """Put another roster in force, by more than half of the approvers of the present one."""
    from sekisho.apps import governance_acts

    run(governance_acts.change_roster(home, document, people(seat, key)))


GOVERNANCE_COMMANDS = (policy_diff, withdraw, limits, roster)
