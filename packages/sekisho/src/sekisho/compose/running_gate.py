# SPDX-License-Identifier: Apache-2.0
"""A gate that another process runs, for the commands of people (docs/spec/states.md).

Its operations socket says who may command and what is so; commands are signed here, by the people's
keys, and carried out there. Nothing of the gate's folder is opened.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from sekisho.adapters.signers.opening import read_passphrase
from sekisho.adapters.web.operations_link import OperationsLink
from sekisho.adapters.web.peers import peer_in
from sekisho.compose.gate_config import read_gate_config
from sekisho.compose.home import Surroundings
from sekisho.config import read_config
from sekisho.core.encoding import canonical
from sekisho.core.errors import OutcomeUnknown
from sekisho.core.governance.commands import SignedCommand
from sekisho.core.governance.roster import Roster
from sekisho.services.authoritywire import AgentSheet
from sekisho.services.localcommands import LocalOutcome


def own_user(scope: Mapping[str, Any]) -> bool:
    """Whether a connection is of this process's user, or of root, on a Unix socket."""
    return peer_in(scope).uid in {0, os.getuid()}


def people_passphrase(home: Path | None, file: Path | None) -> bytes | None:
    """What opens the people's key files; None where neither a home nor a file is named.

    Raises:
        ConfigurationInvalid: no home, or no passphrase there.
    """
    if file is not None:
        return read_passphrase(file)
    if home is not None:
        return read_passphrase(home / read_config(home).passphrase_file)
    return None


def operations_of(config: Path) -> OperationsLink:
    """The operations address of the gate of a ``gate.toml``. Raises ConfigurationInvalid."""
    located = read_gate_config(config)
    operations = located.config.operations
    address = operations.listen or located.address(f"unix:{operations.socket}")
    return OperationsLink(located.config.gate, address)


class RunningGate:
    """One gate, with its roster; of its agents only those looked up."""

    def __init__(self, operations: OperationsLink, roster: Roster, passphrase: Callable[[], bytes]):
        self.operations = operations
        self.roster = roster
        self.passphrase = passphrase
        self.around = Surroundings()
        self._agents: dict[str, AgentSheet] = {}

    @classmethod
    async def connect(cls, config: Path, passphrase: Callable[[], bytes]) -> RunningGate:
        """Ask a gate who may command.

        Raises:
            ConfigurationInvalid: the configuration.
            Unavailable: nobody answers, or the gate never knew a roster.
        """
        operations = operations_of(config)
        try:
            roster = msgspec.convert(await operations.ask("GET", "/v1/roster"), Roster)
        except BaseException:
            await operations.close()
            raise
        return cls(operations, roster, passphrase)

    @property
    def authority(self) -> RunningGate:
        """Itself: whoever signs asks it for roster and epochs."""
        return self

    @property
    def state(self) -> RunningGate:
        """Itself: the epochs of the agents that were looked up."""
        return self

    def agent_epoch(self, agent: str) -> int:
        """The epoch of an agent that was looked up."""
        return self._agents[agent].epoch

    async def look_up(self, agent: str) -> AgentSheet:
        """What the authority says of an agent. Raises NotAuthorised, Unavailable."""
        plain = await self.operations.ask("GET", f"/v1/agents/{agent}")
        self._agents[agent] = msgspec.convert(plain, AgentSheet)
        return self._agents[agent]

    async def baseline(self, agent: str) -> dict[str, Any]:
        """What was observed of an agent. Raises NotAuthorised, Unavailable."""
        found: dict[str, Any] = await self.operations.ask("GET", f"/v1/agents/{agent}/baseline")
        return found

    async def incident_at(self, venue: str) -> str:
        """The incident that latched a venue; empty while it is not latched."""
        status = await self.operations.ask("GET", "/v1/status")
        latched = {one["venue"]: str(one["incident"]) for one in status["venues"]}
        return latched.get(venue, "")

    async def command(self, signed: tuple[SignedCommand, ...]) -> LocalOutcome:
        """Have a command carried out; what it achieved. Raises as ``OperationsLink.ask``."""
        plain = await self.operations.ask("POST", "/v1/commands", canonical(signed))
        try:
            return msgspec.convert(plain, LocalOutcome)
        except msgspec.ValidationError as error:
            raise OutcomeUnknown(f"the gate's answer is not understood: {error}") from error

    async def close(self) -> None:
        """Let go of the connection."""
        await self.operations.close()
