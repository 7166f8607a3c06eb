# SPDX-License-Identifier: Apache-2.0
"""Commands that people sign: stopping, answering an incident, re-arming, going live.

Thin: each names the options and hands over. ``--seat A,B --key FILE,FILE`` is two people. With
``--at gate.toml`` the command goes to that gate, whether or not its authority answers.
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
AT = click.option(
    "--at",
    "--gate-config",
    "at",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="gate.toml: give it to this running gate itself.",
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


def home_or_gate(command: _F) -> _F:
    """The options that say where a command goes: to a home, or to a gate."""
    for option in (
        click.option(
            "--passphrase-file",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            help="With --at: what opens the key; by default the home's, else it is asked for.",
        ),
        AT,
        click.option("--home", type=click.Path(path_type=Path), help="Folder of the home."),
    ):
        command = option(command)
    return command


def the_home(home: Path | None) -> Path:
    """A home that has to be named. Raises UsageError."""
    if home is None:
        raise click.UsageError("name --home DIR, or --at gate.toml")
    return home


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


def _stop(name: str, help_text: str) -> click.Command:
    @click.command(name=name, help=f"{help_text} With --at also --agent all.")
    @home_or_gate
    @AGENT
    @signed_options
    def stop(
        home: Path | None,
        at: Path | None,
        passphrase_file: Path | None,
        agent: str,
        seat: str,
        key: str,
        reason_code: str,
    ) -> None:
        from sekisho.apps import embedded, gate_people

        who = people(seat, key)
        if at is None:
            run(embedded.command_status(the_home(home), name, agent, who, reason_code))
        keys = gate_people.Keyring(home, passphrase_file)
        run(gate_people.narrow(at, name, agent, who, reason_code, keys))

    return stop


@click.command()
@home_or_gate
@click.option("--agent", required=True, help="Name of the agent, or all.")
@click.option("--mode", type=click.Choice(["cancel-only", "reduce-only"]), required=True)
@signed_options
def shutdown(
    home: Path | None,
    at: Path | None,
    passphrase_file: Path | None,
    agent: str,
    mode: str,
    seat: str,
    key: str,
    reason_code: str,
) -> None:
    """Leave an agent of a running gate cancels alone, or what reduces; two people re-arm it."""
    from sekisho.apps import gate_people

    if at is None:
        raise click.UsageError("--gate-config gate.toml is wanted: it is given to the gate")
    keys = gate_people.Keyring(home, passphrase_file)
    said = mode.replace("-", "_")
    who = people(seat, key)
    run(gate_people.narrow(at, "shutdown", agent, who, reason_code, keys, mode=said))


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
@home_or_gate
@click.option("--agent", default="", help="Name of the agent.")
@click.option("--venue", default="", help="With --at and --latch venue: name of the venue.")
@click.option(
    "--latch",
    type=click.Choice(
        ["circuit_breaker", "repeated_executions", "consecutive_failures", "shutdown", "venue"]
    ),
    required=True,
)
@signed_options
def rearm(
    home: Path | None,
    at: Path | None,
    passphrase_file: Path | None,
    agent: str,
    venue: str,
    latch: str,
    seat: str,
    key: str,
    reason_code: str,
) -> None:
    """Take a latch off: two named people of different roles."""
    from sekisho.apps import gate_people, procedure

    of_venue = latch == "venue"
    if (not venue if of_venue else not agent) or (venue if not of_venue else agent):
        raise click.UsageError("the latch venue is of a --venue, every other one of an --agent")
    who = people(seat, key)
    if at is not None:
        keys = gate_people.Keyring(home, passphrase_file)
        run(gate_people.rearm(at, agent, venue, latch, who, reason_code, keys))
    if of_venue:
        raise click.UsageError("the latch of a venue is taken off --at its gate")
    run(procedure.rearm(the_home(home), agent, latch, who, reason_code))


@click.command(name="go-live")
@home_or_gate
@AGENT
@click.option("--baseline", "digest", required=True, help="Digest of the baseline that was read.")
@signed_options
def go_live(
    home: Path | None,
    at: Path | None,
    passphrase_file: Path | None,
    agent: str,
    digest: str,
    seat: str,
    key: str,
    reason_code: str,
) -> None:
    """Lock the agent's baseline: from here on its orders are compared with it."""
    from sekisho.apps import gate_people, procedure

    who = people(seat, key)
    if at is None:
        run(procedure.go_live(the_home(home), agent, digest, who, reason_code))
    keys = gate_people.Keyring(home, passphrase_file)
    run(gate_people.go_live(at, agent, digest, who, reason_code, keys))


@click.command()
@click.option("--home", type=click.Path(path_type=Path), help="Folder of the home.")
@AT
@AGENT
def baseline(home: Path | None, at: Path | None, agent: str) -> None:
    """Show what was observed of an agent, and the digest to sign; exit 1 while incomplete."""
    from sekisho.apps import gate_people, procedure

    if at is None:
        run(procedure.show_baseline(the_home(home), agent))
    run(gate_people.show_baseline(at, agent))


@click.command()
@HOME
def incidents(home: Path) -> None:
    """Show the incidents of a home and what the open ones wait for."""
    from sekisho.apps import procedure

    run(procedure.show_incidents(home))


COMMANDS: tuple[click.Command, ...] = (
    _stop("hold", "Stop an agent until two people release it."),
    _act("release", "Lift a hold: two named people of different roles."),
    _act("revoke", "Revoke an agent's certificate for good."),
    _stop("kill", "Stop an agent, revoke all its certificates, cancel its resting orders."),
    shutdown,
    acknowledge,
    rearm,
    go_live,
    baseline,
    incidents,
)
