# SPDX-License-Identifier: Apache-2.0
"""Commands that people sign: stopping, answering an incident, re-arming, going live.

Thin: each names the options and hands over. ``--seat A,B --key FILE,FILE`` is two people.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from sekisho.apps.running import run

_F = TypeVar("_F", bound=Callable[..., Any])

HOME = click.option(
    "--home", type=click.Path(path_type=Path), required=True, help="Folder of the home."
)
AGENT = click.option("--agent", required=True, help="Name of the agent.")


def signed_options(command: _F) -> _F:
    """The options by which people sign."""
    for option in (
        click.option("--reason", "reason_code", required=True, help="A code: limit_breach."),
        click.option("--key", required=True, help="Their key files, in the same order."),
        click.option("--seat", required=True, help="Who commands; for two people: SEAT,SEAT."),
    ):
        command = option(command)
    return command


def people(seat: str, key: str) -> list[tuple[str, str]]:
    """Seats with their key files. Raises UsageError."""
    seats, keys = seat.split(","), key.split(",")
    if len(seats) != len(keys):
        raise click.UsageError(
            f"--seat names {len(seats)} and --key {len(keys)}: one key file for each seat"
        )
    return list(zip(seats, keys, strict=True))


def _act(name: str, help_text: str) -> click.Command:
    @click.command(name=name, help=help_text)
    @HOME
    @AGENT
    @signed_options
    def act(home: Path, agent: str, seat: str, key: str, reason_code: str) -> None:
        from sekisho.apps.embedded import command_status

        run(command_status(home, name, agent, people(seat, key), reason_code))

    return act


@click.command()
@HOME
@AGENT
@click.option(
    "--as",
    "disposition",
    type=click.Choice(["investigating", "fault", "false-alarm"]),
    required=True,
    help="What it is; a fault is revoked, a false alarm waits for two people who release it.",
)
@click.option("--revoke-at", default=None, help="For a fault: revoke then, not at once.")
@signed_options
def acknowledge(
    home: Path,
    agent: str,
    disposition: str,
    revoke_at: str | None,
    seat: str,
    key: str,
    reason_code: str,
) -> None:
    """Answer the open incident of an agent before its grace period ends."""
    from sekisho.apps import procedure

    said = disposition.replace("-", "_")
    run(procedure.acknowledge(home, agent, said, revoke_at, people(seat, key), reason_code))


@click.command()
@HOME
@AGENT
@click.option(
    "--latch",
    type=click.Choice(
        ["circuit_breaker", "repeated_executions", "consecutive_failures", "shutdown"]
    ),
    required=True,
)
@signed_options
def rearm(home: Path, agent: str, latch: str, seat: str, key: str, reason_code: str) -> None:
    """Take a latch off: two named people of different roles."""
    from sekisho.apps import procedure

    run(procedure.rearm(home, agent, latch, people(seat, key), reason_code))


@click.command(name="go-live")
@HOME
@AGENT
@click.option("--baseline", "digest", required=True, help="Digest of the baseline that was read.")
@signed_options
def go_live(home: Path, agent: str, digest: str, seat: str, key: str, reason_code: str) -> None:
    """Lock the agent's baseline: from here on its orders are compared with it."""
    from sekisho.apps import procedure

    run(procedure.go_live(home, agent, digest, people(seat, key), reason_code))


@click.command()
@HOME
@AGENT
def baseline(home: Path, agent: str) -> None:
    """Show what was observed of an agent, and the digest to sign; exit 1 while incomplete."""
    from sekisho.apps import procedure

    run(procedure.show_baseline(home, agent))


@click.command()
@HOME
def incidents(home: Path) -> None:
    """Show the incidents of a home and what the open ones wait for."""
    from sekisho.apps import procedure

    run(procedure.show_incidents(home))


COMMANDS: tuple[click.Command, ...] = (
    _act("hold", "Stop an agent until two people release it."),
    _act("release", "Lift a hold: two named people of different roles."),
    _act("revoke", "Revoke an agent's certificate for good."),
    _act("kill", "Stop an agent, revoke all its certificates, cancel its resting orders."),
    acknowledge,
    rearm,
    go_live,
    baseline,
    incidents,
)
