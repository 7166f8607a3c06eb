# SPDX-License-Identifier: Apache-2.0
"""Replicas of one authority over one PostgreSQL database, in this process or in their own."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import msgspec

from sekisho.adapters.clocks import SystemClock
from sekisho.apps.authority_application import served_app
from sekisho.compose import load_person
from sekisho.compose.serve import ServedAuthority
from sekisho.core.governance.commands import SignedCommand, signed_command_text
from sekisho.core.governance.roster import Roster
from sekisho.services.people import sign_command
from tests.embedded_world import AGENT, POLICY, make
from tests.integration.link_world import LinkedGate
from tests.postgres_server import require_postgres, server

COMMAND = Path(sys.executable).with_name("sekisho")
WAIT_S = 20.0
PASSPHRASE = "keys/passphrase"


async def until(look: Callable[[], object], what: str = "") -> None:
    """Wait until ``look`` finds something."""
    async with asyncio.timeout(WAIT_S):
        while not look():  # noqa: ASYNC110 - what is looked at belongs to others
            await asyncio.sleep(0.01)


class ReplicaWorld:
    """Homes that share keys and a database; each is one replica."""

    def __init__(self, path: Path, names: tuple[str, ...]) -> None:
        self.path = path
        self.names = names
        self.clock = SystemClock()
        self.served: dict[str, ServedAuthority] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.gates: list[LinkedGate] = []
        self._nonce = 0

    @classmethod
    async def start(cls, path: Path, *names: str, gates: tuple[str, ...] = ()) -> ReplicaWorld:
        """Make the homes; nothing is served yet."""
        require_postgres()
        world = cls(path, names)
        first = path / names[0]
        await make(first, POLICY, world.clock, server().database())
        for name in names[1:]:
            shutil.copytree(first, path / name, ignore=shutil.ignore_patterns(".lock"))
        for name in names:
            with (path / name / "sekisho.toml").open("a", encoding="utf-8") as file:
                file.write(f'replica = "{name}"\naddress = "{world.address(name)}"\n')
                file.write("\n[serve.gates]\n")
                file.write("".join(f'"{gate}" = "own"\n' for gate in gates))
        return world

    def address(self, name: str) -> str:
        """Where a replica listens."""
        return f"unix:{self.path / name / 'authority.sock'}"

    async def serve(self, name: str) -> ServedAuthority:
        """Serve a replica in this process."""
        self.served[name] = await ServedAuthority.start(self.path / name, served_app)
        return self.served[name]

    def run(self, name: str) -> subprocess.Popen[bytes]:
        """Serve a replica in a process of its own."""
        with (self.path / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [COMMAND, "serve", "--home", self.path / name],
                stdout=log,
                stderr=log,
                cwd=self.path,
            )
        return self.processes[name]

    def writes(self, name: str) -> bool:
        """Whether a replica of this process is the writer."""
        journal: Any = self.served[name].home.journals["authority"]
        return bool(journal.writing)

    async def gate(self, replica: str, name: str) -> LinkedGate:
        """A gate at this replica, whose log is certified there."""
        gate = LinkedGate(self.address(replica), name)
        self.gates.append(gate)
        return gate

    async def client(self, name: str) -> httpx2.AsyncClient:
        """Speaks to a replica as its own user."""
        socket = self.address(name).removeprefix("unix:")
        return httpx2.AsyncClient(
            transport=httpx2.AsyncHTTPTransport(uds=socket),
            base_url="http://authority",
            timeout=30.0,
        )

    async def agent(self, name: str) -> dict[str, Any]:
        """What a replica says of the agent."""
        async with await self.client(name) as http:
            found = await http.get(f"/v1/agents/{AGENT}")
            return dict(found.json())

    async def sign(self, name: str, act: str, *seats: str) -> tuple[SignedCommand, ...]:
        """Signed commands about the agent, with what a replica says of it."""
        async with await self.client(name) as http:
            sheet = (await http.get(f"/v1/agents/{AGENT}")).json()
            roster = (await http.get("/v1/roster")).content
        return self.signed(_Seen(roster, sheet["epoch"]), act, *seats)

    def signed(self, seen: _Seen, act: str, *seats: str) -> tuple[SignedCommand, ...]:
        """The same, of what was seen before."""
        passphrase = (self.path / self.names[0] / PASSPHRASE).read_bytes().strip()
        people = self.path / self.names[0] / "people"
        signed = []
        for seat in seats:
            self._nonce += 1
            signed.append(
                sign_command(
                    load_person(people / f"{seat}.key", passphrase),
                    act,
                    AGENT,
                    seen,
                    seat,
                    "test_reason",
                    f"{self._nonce:032x}",
                    self.clock.now_ns(),
                )
            )
        return tuple(signed)

    async def command(self, name: str, signed: tuple[SignedCommand, ...]) -> httpx2.Response:
        """Give signed commands to a replica."""
        async with await self.client(name) as http:
            return await http.post(
                "/v1/commands",
                json={"commands": [signed_command_text(one) for one in signed]},
            )

    async def close(self) -> None:
        """End everything."""
        for gate in self.gates:
            await gate.close()
        for served in self.served.values():
            await served.close()
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()


class _Seen:
    """What a person saw before signing."""

    def __init__(self, roster: bytes, epoch: int) -> None:
        self.roster = msgspec.json.decode(roster, type=Roster)
        self.state = self
        self._epoch = epoch

    def agent_epoch(self, _: str) -> int:
        return self._epoch


async def answers(world: ReplicaWorld, name: str) -> None:
    """Wait until a replica has a writer to hand on to, or writes."""
    socket = Path(world.address(name).removeprefix("unix:"))
    await until(socket.exists)
    async with asyncio.timeout(WAIT_S):
        while not await _has_writer(world, name):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)


async def _has_writer(world: ReplicaWorld, name: str) -> bool:
    try:
        async with await world.client(name) as http:
            found = await http.get("/v1/gates/gate-1/checkpoint")
    except httpx2.TransportError:
        return False
    return found.status_code == 200
