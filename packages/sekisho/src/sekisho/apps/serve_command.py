# SPDX-License-Identifier: Apache-2.0
"""The authority as a process, and the gates around it: ``serve``, ``assign``, ``enroll``.

Thin: each names its options and hands over. What a server needs is imported when it is run.
"""

from __future__ import annotations

from pathlib import Path

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
@signed_options
def assign(home: Path, agent: str, gate: str, seat: str, key: str, reason_code: str) -> None:
    """Move an agent to another gate: an operator; the one before is stopped first."""
    from sekisho.apps.embedded import assign_agent

    run(assign_agent(home, agent, gate, people(seat, key), reason_code))


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
