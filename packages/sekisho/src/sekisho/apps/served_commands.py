# SPDX-License-Identifier: Apache-2.0
"""People's commands about a home that another process serves: signed here, carried out there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec import UNSET

from sekisho.apps.mistakes import key_of
from sekisho.compose.running_authority import RunningAuthority
from sekisho.core.errors import ConfigurationInvalid
from sekisho.core.governance.commands import SignedCommand
from sekisho.services.assigning import AssignOutcome
from sekisho.services.people import sign_command
from sekisho.services.peopledesk import AcknowledgedAs
from sekisho.services.status import KillReport, StatusOutcome

People = list[tuple[str, str]]


def signed_by(
    home: RunningAuthority, act: str, agent: str, people: People, reason: str, **more: Any
) -> tuple[SignedCommand, ...]:
    """Everybody's signature over the same command about an agent that was looked up."""
    signers = [(seat, key_of(home, seat, Path(key))) for seat, key in people]
    now = home.around.clock.now_ns()
    return tuple(
        sign_command(
            signer,
            act,
            agent,
            home,
            seat,
            reason,
            home.around.entropy.bytes(16).hex(),
            now,
            **more,
        )
        for seat, signer in signers
    )


async def change_status(
    home: RunningAuthority, act: str, agent: str, people: People, reason: str
) -> StatusOutcome:
    """Hold, release, revoke or kill."""
    await home.look_up(agent)
    signed = signed_by(home, act, agent, people, reason)
    return await home.command(signed, KillReport if act == "kill" else StatusOutcome)


async def assign(
    home: RunningAuthority, agent: str, gate: str, people: People, reason: str, **history: Any
) -> AssignOutcome:
    """Move an agent to another gate; ``history`` is what a command says that declares one lost."""
    await home.look_up(agent)
    signed = signed_by(home, "assign", agent, people, reason, gate=gate, **history)
    return await home.command(signed, AssignOutcome)


async def acknowledge(
    home: RunningAuthority,
    agent: str,
    disposition: str,
    revoke_at: str | None,
    people: People,
    reason: str,
) -> AcknowledgedAs:
    """Answer the open incident. Raises ConfigurationInvalid: there is none."""
    incident = (await home.look_up(agent)).incident
    if not incident:
        raise ConfigurationInvalid(
            f"{agent[:64]!r} has no open incident",
            "--agent",
            f"look at what there was: sekisho incidents --home {home.path}",
        )
    signed = signed_by(
        home,
        "acknowledge",
        agent,
        people,
        reason,
        incident=incident,
        disposition=disposition,
        revoke_at=UNSET if revoke_at is None else revoke_at,
    )
    return await home.command(signed, AcknowledgedAs)
