# SPDX-License-Identifier: Apache-2.0
"""People's commands to a gate that another process runs: signed here, carried out there.

They reach the gate without the authority; what widens needs the authority too, which the gate asks.
Exit code 0 only when all of it was achieved.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click

from sekisho.apps.mistakes import key_of
from sekisho.compose.running_gate import RunningGate, people_passphrase
from sekisho.core.errors import ConfigurationInvalid, SekishoError
from sekisho.core.governance.commands import Reach, SignedCommand
from sekisho.services.localcommands import LocalOutcome
from sekisho.services.people import sign_command

People = list[tuple[str, str]]
ALL = "all"
STOPPING = ("hold", "kill", "shutdown")


class Keyring:
    """What opens the people's keys: a file, the home's, or what the person types."""

    def __init__(self, home: Path | None, file: Path | None) -> None:
        self._home = home
        self._file = file

    def passphrase(self) -> bytes:
        """The passphrase. Raises ConfigurationInvalid."""
        known = people_passphrase(self._home, self._file)
        if known is not None:
            return known
        if not sys.stdin.isatty():
            raise ConfigurationInvalid(
                "nobody is here to type the passphrase of the key",
                "--key",
                "name the file that holds it: --passphrase-file FILE, or in a trial --home DIR",
            )
        return str(click.prompt("passphrase of the key", hide_input=True, err=True)).encode()


async def narrow(
    config: Path,
    act: str,
    agent: str,
    people: People,
    reason: str,
    keys: Keyring,
    **more: Any,
) -> int:
    """``shutdown``, ``hold`` or ``kill`` of one agent or all, at the gate."""
    async with _connected(config, act, keys) as gate:
        whom = Reach(kind="all", name="all") if agent == ALL else agent
        outcome = await gate.command(_signed(gate, act, whom, people, reason, **more))
    show_local(outcome)
    return 0 if outcome.complete else 1


async def rearm(
    config: Path, agent: str, venue: str, latch: str, people: People, reason: str, keys: Keyring
) -> int:
    """Take a latch of an agent, or that of a venue, off."""
    async with _connected(config, "rearm", keys) as gate:
        if latch != "venue":
            await gate.look_up(agent)
            signed = _signed(gate, "rearm", agent, people, reason, latch=latch)
        else:
            incident = await gate.incident_at(venue)
            if not incident:
                raise ConfigurationInvalid(
                    f"the venue {venue[:64]!r} is not latched at this gate",
                    "--venue",
                    "look at `sekisho gate status`",
                )
            whom = Reach(kind="venue", name=venue)
            more = {"latch": latch, "incident": incident}
            signed = _signed(gate, "rearm", whom, people, reason, **more)
        outcome = await gate.command(signed)
    click.echo(f"re-armed: {latch} of {venue or agent}")
    return 0 if outcome.complete else 1


async def go_live(
    config: Path, agent: str, digest: str, people: People, reason: str, keys: Keyring
) -> int:
    """Lock the baseline with this digest."""
    async with _connected(config, "go-live", keys) as gate:
        await gate.look_up(agent)
        signed = _signed(gate, "go_live", agent, people, reason, baseline_sha256=digest)
        outcome = await gate.command(signed)
    click.echo(f"live: {agent} with baseline {digest}")
    return 0 if outcome.complete else 1


async def show_baseline(config: Path, agent: str) -> int:
    """What was observed, in words, and its digest; exit code 1 while it is incomplete."""
    async with _connected(config, "baseline", Keyring(None, None)) as gate:
        found = await gate.baseline(agent)
    for name, value in found["summary"]:
        click.echo(f"{name}: {value}")
    click.echo(f"digest: {found['collected_sha256']}")
    in_force = found["locked_sha256"] or "none; orders are checked against the scope alone"
    click.echo(f"in force: {in_force}")
    for sentence in found["missing"]:
        click.echo(f"missing: {sentence}")
    return 0 if found["complete"] else 1


def show_local(outcome: LocalOutcome) -> None:
    """Say what a stop achieved at the gate, and what it did not."""
    for agent in outcome.agents:
        mode = outcome.modes.get(agent, "")
        click.echo(f"{outcome.act}: {agent}{f': {mode} in force' if mode else ''}")
    click.echo(f"recorded: {'yes' if outcome.recorded else 'NO'}")
    for report in outcome.reports:
        click.echo(
            f"gate {report.gate}: {report.agent}: {len(report.confirmed)} resting orders confirmed"
            f" as ended, {len(report.unconfirmed)} not confirmed"
        )
        for order in report.unconfirmed:
            click.echo(f"NOT CONFIRMED: {order}; ask the venue, then cancel again")
    if outcome.reports:
        click.echo(f"the authority has it: {'yes' if outcome.taken_over else 'NOT YET'}")
    for failure in outcome.failures:
        click.echo(f"FAILED: {failure}")
    click.echo("complete" if outcome.complete else "NOT COMPLETE")


@asynccontextmanager
async def _connected(config: Path, act: str, keys: Keyring) -> AsyncGenerator[RunningGate, None]:
    """The gate; a stop that fails before it was given says so."""
    try:
        gate = await RunningGate.connect(config, _once(keys.passphrase))
    except SekishoError as error:
        if act in STOPPING:
            error.args = (f"{act}: NOT DONE, nothing is stopped: {error}",)
        raise
    try:
        yield gate
    finally:
        await gate.close()


def _once(ask: Callable[[], bytes]) -> Callable[[], bytes]:
    """Asked once, and remembered: two people of a trial have one passphrase."""
    known: list[bytes] = []

    def answer() -> bytes:
        if not known:
            known.append(ask())
        return known[0]

    return answer


def _signed(
    gate: RunningGate, act: str, agent: str | Reach, people: People, reason: str, **more: Any
) -> tuple[SignedCommand, ...]:
    now = gate.around.clock.now_ns()
    signers = [(seat, key_of(gate, seat, Path(key))) for seat, key in people]
    return tuple(
        sign_command(
            signer,
            act,
            agent,
            gate,
            seat,
            reason,
            gate.around.entropy.bytes(16).hex(),
            now,
            **more,
        )
        for seat, signer in signers
    )
