# SPDX-License-Identifier: Apache-2.0
"""The authority as a process, and the gates around it: ``serve``, ``assign``, ``enroll``.

Thin: each names its options and hands over. What a server needs is imported when it is run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sekisho.apps.people_commands import AGENT, HOME, people, signed_options
from sekisho.apps.running import run


@click.command()
@HOME
def serve(home: Path) -> None:
    """Run the authority: certify, lease, stop, until SIGTERM or SIGINT."""
    from sekisho.apps.authority_application import served_app
    from sekisho.compose.serve import run_authority

    run(run_authority(home, served_app, _told))


@click.command()
@HOME
@AGENT
@click.option("--gate", required=True, help="Name of the gate that gets the agent.")
@click.option(
    "--history-lost",
    "lost",
    is_flag=True,
    help="The gate before is gone for good: an operator and compliance or risk.",
)
@click.option(
    "--position",
    "positions",
    multiple=True,
    metavar="PAIR=MONEY",
    help="With --history-lost: EUR/USD=-1200.00, what the agent holds; once for each pair.",
)
@click.option("--flat", is_flag=True, help="With --history-lost: the agent holds nothing.")
@click.option("--ids-from", help="With --history-lost: how each new client_order_id begins.")
@signed_options
def assign(home: Path, agent: str, gate: str, seat: str, key: str, **more: Any) -> None:
    """Move an agent to another gate: an operator; the one before is stopped first."""
    from sekisho.apps.embedded import assign_agent

    reason_code = more.pop("reason_code")
    said = _history(**more)
    run(assign_agent(home, agent, gate, people(seat, key), reason_code, **said))


def _history(
    *, lost: bool, positions: tuple[str, ...], flat: bool, ids_from: str | None
) -> dict[str, Any]:
    """What people state of a history that is lost; nothing where it is not. Raises UsageError."""
    if not lost:
        if positions or flat or ids_from is not None:
            raise click.UsageError("--position, --flat and --ids-from go with --history-lost")
        return {}
    if ids_from is None:
        raise click.UsageError("--history-lost needs --ids-from: which ids were used is not known")
    if flat == bool(positions):
        raise click.UsageError("--history-lost needs what the agent holds: --position, or --flat")
    stated = [one.partition("=") for one in positions]
    found = {pair: amount for pair, _, amount in stated}
    if len(found) < len(stated):
        raise click.UsageError("--position: a pair stands twice")
    return {"history": "lost", "positions": found, "ids_from": ids_from}


@click.command()
@HOME
@click.option("--gate", required=True, help="Name of the new gate.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="New folder.")
@click.option("--agent", "agents", multiple=True, help="Copy this agent's key into its custody.")
@click.option("--paper", is_flag=True, help="Let it trade at the paper venue of this trial home.")
def enroll(home: Path, gate: str, out: Path, agents: tuple[str, ...], *, paper: bool) -> None:
    """Make the folder of a new gate: keys, certified log, trusted certificates, settings."""
    from sekisho.apps.enrolled import enroll_new_gate

    run(enroll_new_gate(home, gate, out, agents, paper=paper))


def _told(addresses: list[str]) -> None:
    for address in addresses:
        click.echo(f"listening: {address}")


SERVE_COMMANDS: tuple[click.Command, ...] = (serve, assign, enroll)
