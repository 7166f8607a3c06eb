# SPDX-License-Identifier: Apache-2.0
"""Signed commands of people as entries of an authority's log rest on them.

How many people of how many roles an act needs, that the commands ask for it, and that none is used
twice (docs/spec/policy.md sections 7 and 8). Signatures are not judged here: whoever writes an
entry verified them, and whoever checks a bundle verifies them again.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from sekisho.core.encoding import parse_plain
from sekisho.core.errors import MalformedInput, VerificationFailed
from sekisho.core.events import (
    AgentAssigned,
    BaselineLocked,
    HistoryLost,
    IncidentAcknowledged,
    RearmAuthorised,
    StatusChanged,
    VenueRearmAuthorised,
)
from sekisho.core.identity.records import Records

ROLES_MIN: Final = {
    "hold": 1,
    "revoke": 1,
    "kill": 1,
    "release": 2,
    "acknowledge": 1,
    "go_live": 1,
    "rearm": 2,
    "assign": 1,
    "assign_lost": 2,
}
"""How many different roles must sign, one person each. A cause that is not here needs nobody: it
rests on an incident (docs/spec/incidents.md)."""


Commanded = (
    StatusChanged
    | IncidentAcknowledged
    | RearmAuthorised
    | BaselineLocked
    | AgentAssigned
    | HistoryLost
    | VenueRearmAuthorised
)


@dataclass(frozen=True, slots=True)
class CommandUse:
    """What the fold reads of a signed command: who commanded what, and its nonce.

    ``gate`` is that of an ``assign``, None in every other command; ``lost`` what one says that
    declares a history lost: positions and ``ids_from``.
    """

    command: str
    agent: str | None
    seat: str
    nonce: str
    gate: str | None
    lost: tuple[tuple[tuple[str, str], ...], str] | None = None


@lru_cache(maxsize=64)
def read_command(text: str) -> CommandUse:
    """Who commanded what, from the text of a signed command (docs/spec/policy.md section 7).

    Kept by its text: one command about all agents stands in an entry for each of them.

    Raises:
        MalformedInput: not the text of a signed command.
    """
    plain = parse_plain(text.encode("utf-8"))
    command = plain.get("command") if isinstance(plain, dict) else None
    if not isinstance(command, dict):
        raise MalformedInput("not a signed command")
    word, seat, nonce = (command.get(name) for name in ("command", "seat", "nonce"))
    agent, gate = command.get("agent"), command.get("gate")
    if not (isinstance(word, str) and isinstance(seat, str) and isinstance(nonce, str)):
        raise MalformedInput("a command has command, seat and nonce")
    if not (agent is None or isinstance(agent, str)):
        raise MalformedInput("a command names an agent by its name")
    if not (gate is None or isinstance(gate, str)):
        raise MalformedInput("a command names a gate by its name")
    if "history" not in command:
        return CommandUse(word, agent, seat, nonce, gate)
    positions, ids_from = command.get("positions"), command.get("ids_from")
    if word != "assign" or not isinstance(positions, dict) or not isinstance(ids_from, str):
        raise MalformedInput("a history is declared lost by assign, with positions and ids_from")
    lost = (tuple(sorted((pair, str(amount)) for pair, amount in positions.items())), ids_from)
    return CommandUse("assign_lost", agent, seat, nonce, gate, lost)


def check_commands(
    records: Records, entry: Commanded, act: str, agents: AbstractSet[str | None] | None
) -> None:
    """Whether an entry has the commands of the people whom its act needs, none used before.

    Args:
        records: before the entry.
        entry: with ``seats`` and ``commands``.
        act: what each command must ask for.
        agents: whom a command may name, None being no single agent; None: not judged here.

    Raises:
        VerificationFailed, MalformedInput: it has not.
    """
    commands = [read_command(text) for text in entry.commands]
    _need(
        tuple(command.seat for command in commands) == entry.seats,
        "the seats are not those of the commands",
    )
    _need(len(set(entry.seats)) == len(entry.seats), "one person counts once")
    roles = {row["role"] for row in records.roster["seats"] if row["seat"] in entry.seats}
    _need(len(roles) >= ROLES_MIN[act], "too few people, or too few roles, commanded it")
    _need(
        all(
            command.command == act and (agents is None or command.agent in agents)
            for command in commands
        ),
        "a command asks for something else",
    )
    # One act may change several certificates: their entries follow one another.
    if not isinstance(entry, StatusChanged) or entry.commands != records.last_commands:
        nonces = {(command.seat, command.nonce) for command in commands}
        _need(not nonces & records.used_nonces, "a command was used before")


def _need(condition: bool, message: str) -> None:
    if not condition:
        raise VerificationFailed(message)
