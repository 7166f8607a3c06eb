# SPDX-License-Identifier: Apache-2.0
"""Taking signed commands of people: they hold, their duties are met, and they were not used before.

What a command then does is the matter of whoever takes it. Nothing is recorded here.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from sekisho.core.errors import NotAuthorised
from sekisho.core.governance.commands import (
    Command,
    SignedCommand,
    authorise_commands,
    signed_command_text,
)
from sekisho.core.governance.roster import Roster
from sekisho.services.registerlog import RegisterLog


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """Commands that hold at ``now`` (log time, ns) and say the same as ``command``."""

    now: int
    command: Command
    seats: tuple[str, ...]
    texts: tuple[str, ...]
    nonces: frozenset[tuple[str, str]]


class Commanding:
    """All commands of one authority."""

    def __init__(self, log: RegisterLog, roster: Callable[[], Roster]) -> None:
        self._log = log
        self._roster = roster
        self._seen: set[tuple[str, str]] = set()

    def take(self, signed: tuple[SignedCommand, ...], acts: tuple[str, ...], now: int) -> Taken:
        """Verify commands that say the same; they may be judged again until :meth:`used`.

        Args:
            signed: the commands.
            acts: what may be commanded here.
            now: log time by which they are judged; their entry carries the same instant.

        Raises:
            MalformedInput, VerificationFailed: a command is not well made or does not hold.
            NotAuthorised: duties, another act, or a nonce that was used before.
        """
        seats = authorise_commands(signed, self._roster(), now)
        command = signed[0].command
        if command.command not in acts:
            raise NotAuthorised(f"{command.command}: this is not a matter of {' or '.join(acts)}")
        nonces = frozenset((one.command.seat, one.command.nonce) for one in signed)
        if nonces & self._log.state.used_nonces or nonces & self._seen:
            raise NotAuthorised(f"{command.command}: this command was used before; sign a new one")
        return Taken(
            now=now,
            command=command,
            seats=tuple(seat.seat for seat in seats),
            texts=tuple(signed_command_text(one) for one in signed),
            nonces=nonces,
        )

    def taken(self, signed: tuple[SignedCommand, ...]) -> bool:
        """Whether every one of these commands was used before."""
        nonces = {(one.command.seat, one.command.nonce) for one in signed}
        return nonces <= (self._log.state.used_nonces | self._seen)

    def used(self, taken: Taken) -> None:
        """From here on these commands do nothing more, also where they leave no entry."""
        self._seen |= taken.nonces

    def agent(self, command: Command) -> str:
        """The one agent that a command names. Raises NotAuthorised: unknown here, or none."""
        if not isinstance(command.agent, str) or command.agent not in self._log.state.agents:
            raise NotAuthorised(f"{command.agent!r} has no certificate of this authority")
        return command.agent

    def check_epoch(self, command: Command, agent: str) -> None:
        """What widens is for the present state only, whatever happened since it was signed.

        Raises:
            NotAuthorised: the person saw another epoch.
            StorageFailed: the log failed; nothing that widens is done any more.
        """
        self._log.require_sound()
        present = self._log.state.agent_epoch(agent)
        if command.epoch != present:
            raise NotAuthorised(
                f"{command.command}: signed at epoch {command.epoch}, the agent is at {present};"
                " look again"
            )
