# SPDX-License-Identifier: Apache-2.0
"""The commands of people about baselines and incidents, on a home folder.

Each opens the home, which does at once what is due, acts, and closes it again. While no process has
a home open nothing is permitted by it either, so a deadline that passes meanwhile takes effect, and
is recorded, at the next opening.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from msgspec import UNSET, UnsetType

from sekisho.apps import served_commands
from sekisho.apps.mistakes import key_of, open_to_command
from sekisho.compose import Gate, Home, offline_gate, running_authority
from sekisho.core.behaviour.watch import describe
from sekisho.core.errors import ConfigurationInvalid
from sekisho.core.governance.commands import SignedCommand
from sekisho.core.incidents.cases import IncidentCase
from sekisho.services.people import sign_command
from sekisho.services.peopledesk import IncidentSheet

People = list[tuple[str, str]]


async def show_baseline(path: Path, agent: str) -> int:
    """``sekisho baseline``: what was observed, in words, and its digest."""
    home = await open_to_command(path, "baseline")
    try:
        gate = await offline_gate(home)
        _known(gate, agent)
        found = gate.log.watch.baseline(agent, home.around.clock.now_ns())
        in_force = gate.log.watch.locked(agent)
    finally:
        await home.close()
    for name, value in describe(found.baseline) if found.baseline["from"] else ():
        click.echo(f"{name}: {value}")  # before the first order there is no window to tell of
    click.echo(f"digest: {found.sha256}")
    click.echo(f"in force: {in_force or 'none; orders are checked against the scope alone'}")
    for sentence in found.missing:
        click.echo(f"missing: {sentence}")
    return 0 if found.complete else 1


async def go_live(path: Path, agent: str, digest: str, people: People, reason: str) -> int:
    """``sekisho go-live``: lock the baseline with this digest."""
    home = await open_to_command(path, "go-live")
    try:
        gate = await offline_gate(home)
        _known(gate, agent)
        signed = _signed(home, "go_live", agent, people, reason, baseline_sha256=digest)
        locked = await gate.governing.go_live(signed)
    finally:
        await home.close()
    click.echo(f"live: {agent} with baseline {locked}")
    return 0


async def rearm(path: Path, agent: str, latch: str, people: People, reason: str) -> int:
    """``sekisho rearm``: two people take a latch off."""
    home = await open_to_command(path, "rearm")
    try:
        gate = await offline_gate(home)
        _known(gate, agent)
        signed = _signed(home, "rearm", agent, people, reason, latch=latch)
        await gate.governing.rearm(signed)
    finally:
        await home.close()
    click.echo(f"re-armed: {latch} of {agent}")
    return 0


async def acknowledge(
    path: Path,
    agent: str,
    disposition: str,
    revoke_at: str | None,
    people: People,
    reason: str,
) -> int:
    """``sekisho acknowledge``: answer the open incident of an agent."""
    running = await running_authority(path)
    if running is not None:
        try:
            done = await served_commands.acknowledge(
                running, agent, disposition, revoke_at, people, reason
            )
        finally:
            await running.close()
        click.echo(f"incident {done.incident}: {done.state}; {_until(done.state, done.ends_at)}")
        return 0
    home = await open_to_command(path, "acknowledge")
    try:
        await offline_gate(home)
        incident = home.authority.incidents.open_incident(agent)
        if incident is None:
            raise ConfigurationInvalid(
                f"{agent[:64]!r} has no open incident",
                "--agent",
                f"look at what there was: sekisho incidents --home {path}",
            )
        signed = _signed(
            home,
            "acknowledge",
            agent,
            people,
            reason,
            incident=incident.incident,
            disposition=disposition,
            revoke_at=UNSET if revoke_at is None else revoke_at,
        )
        await home.authority.acknowledge(signed)
        now = home.authority.incidents.by_id(incident.incident)
    finally:
        await home.close()
    click.echo(f"incident {now.incident}: {now.state}; {_until(now.state, now.ends_at)}")
    return 0


async def show_incidents(path: Path) -> int:
    """``sekisho incidents``: all incidents of a home, the open ones with what they wait for."""
    running = await running_authority(path)
    if running is not None:
        try:
            _show(await running.incidents())
        finally:
            await running.close()
        return 0
    home = await open_to_command(path, "incidents")
    try:
        await offline_gate(home)
        incidents = home.authority.incidents.all()
    finally:
        await home.close()
    _show(incidents)
    return 0


def _show(incidents: Sequence[IncidentCase | IncidentSheet]) -> None:
    if not incidents:
        click.echo("no incidents")
    for one in incidents:
        click.echo(
            f"{one.opened_at}  {one.incident}  {one.agent}  {one.incident_kind}: {one.score} score"
            f" {one.observed} against {one.threshold} ({one.factor})"
        )
        click.echo(f"  {one.state}; {one.outcome or _until(one.state, one.ends_at)}")


def _until(state: str, ends_at: str) -> str:
    """What happens next, and when."""
    return {
        "alerting": "held; nobody was reached yet",
        "grace": f"revoked at {ends_at} unless it is acknowledged",
        "acknowledged": f"revoked at {ends_at} unless two people release it",
        "scheduled": f"to be revoked at {ends_at}",
        "latched": "until two people re-arm it",
        "closed": "over",
    }[state]


def _known(gate: Gate, agent: str) -> None:
    if agent not in gate.log.state.agents:
        names = ", ".join(sorted(gate.log.state.agents))
        known = f"name one of: {names}; " if names else ""
        raise ConfigurationInvalid(
            f"{agent[:64]!r} is not admitted here",
            "--agent",
            f"{known}an agent is admitted when its gate opens to trade; ask another gate by --at"
            " gate.toml",
        )


def _signed(
    home: Home, act: str, agent: str, people: People, reason: str, **more: str | UnsetType
) -> tuple[SignedCommand, ...]:
    now = home.around.clock.now_ns()
    signers = [(seat, key_of(home, seat, Path(key))) for seat, key in people]
    return tuple(
        sign_command(
            signer,
            act,
            agent,
            home.authority,
            seat,
            reason,
            home.around.entropy.bytes(16).hex(),
            now,
            **more,
        )
        for seat, signer in signers
    )
