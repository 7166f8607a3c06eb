# SPDX-License-Identifier: Apache-2.0
"""An authority behind its real sockets, and gates' ends of the link, for tests of the link.

The authority is that of a home, in this process, on a Unix socket. A gate here has a log that grows
and a listener that stops what it is told to; what it can sign is the leases that it was granted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sekisho.adapters.authority.http_link import HttpLink
from sekisho.adapters.clocks import SystemClock
from sekisho.apps.authority_application import served_app
from sekisho.compose import load_person
from sekisho.compose.serve import ServedAuthority
from sekisho.core.governance.commands import SignedCommand
from sekisho.core.terms import NS
from sekisho.ports import LeaseGranted
from sekisho.services.authorityclient import AuthorityClient
from sekisho.services.eventstream import EventStream
from sekisho.services.leasing import parse_grant
from sekisho.services.people import sign_command
from sekisho.services.status import StatusPush
from sekisho.services.stopping import StopOutcome
from tests.authority_world import GateDouble, log_key
from tests.embedded_world import AGENT, prepared

GATES = "[serve.gates]\n"


class LinkedGate(GateDouble):
    """A gate's end: leases over HTTP, a stream, and a listener that says what it stopped."""

    def __init__(self, address: str, name: str = "gate-1", origin: str = "", **answer: Any) -> None:
        super().__init__(name, origin or f"log.example/{name}", name[-1] * 32)
        self.clock = SystemClock()
        self.client = AuthorityClient(HttpLink(address), name)
        self.answer = answer
        self.heard: list[StatusPush] = []
        self.epoch = 0
        self.renewals = 0
        self.leases: list[tuple[LeaseGranted, int]] = []
        self.stream = EventStream(
            self.client, self._stop, self.clock, after=lambda: self.epoch, renew=self._renew
        )
        self._task: asyncio.Task[None] | None = None

    async def _renew(self) -> None:
        self.renewals += 1

    async def _stop(self, push: StatusPush) -> StopOutcome:
        self.heard.append(push)
        fields: dict[str, Any] = {
            "gate": self.gate,
            "agent": push.agent,
            "stopped_at": "2026-05-15T09:00:00.000000000Z",
            "last_permit": -1,
            "confirmed": (),
            "unconfirmed": (),
            "recorded": True,
            "complete": True,
        }
        return StopOutcome(**(fields | self.answer))

    def heard_so_many(self, count: int) -> bool:
        """Whether it was told so many pushes."""
        return len(self.heard) == count

    def listen(self) -> None:
        """Connect the stream, and keep it so."""
        self._task = asyncio.ensure_future(self.stream.run())

    async def deaf(self) -> None:
        """Cut the stream and stay away."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await self.stream.close()
            self.stream.connected = False

    async def close(self) -> None:
        """End everything."""
        await self.deaf()
        await self.client.close()

    async def ask_lease(self, *certificates: str) -> LeaseGranted:
        """Ask as a gate does; what was granted is kept with the deadline that a gate counts."""
        if not self.size:
            self.grow()
        sent = self.clock.monotonic_ns()
        known = await self.client.last_seen(self.gate)
        granted = await self.client.lease(self.request(known, certificates))
        duration = parse_grant(granted.grant)[0].duration_s
        self.leases.append((granted, sent + duration * NS))
        return granted

    def may_sign(self, certificate: str) -> bool:
        """Whether a lease that it holds answers for the certificate, and nothing has stopped it."""
        granted, deadline = self.leases[-1]
        stopped = any(push.certificate_sha256 == certificate for push in self.heard)
        live = self.clock.monotonic_ns() < deadline
        return live and certificate in granted.status and not stopped


class LinkWorld:
    """A served home with a certified agent."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.served: ServedAuthority
        self.gates: list[LinkedGate] = []

    @classmethod
    async def start(cls, path: Path, *names: str) -> LinkWorld:
        """A home that serves these gates (the home's own by default) to this user."""
        await prepared(path, clock=SystemClock())
        if names:
            with (path / "sekisho.toml").open("a", encoding="utf-8") as file:
                file.write(GATES + "".join(f'"{name}" = "own"\n' for name in names))
        world = cls(path)
        await world.open()
        return world

    async def open(self) -> None:
        """Serve."""
        self.served = await ServedAuthority.start(self.path, served_app)

    async def close(self) -> None:
        """End the gates, then the authority."""
        for gate in self.gates:
            await gate.close()
        await self.served.close()

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"unix:{self.path / 'authority.sock'}"

    @property
    def certificate(self) -> str:
        """The digest of the agent's certificate."""
        return self.served.home.authority.state.agents[AGENT][-1].sha256

    async def gate(self, name: str = "gate-1", **answer: Any) -> LinkedGate:
        """A gate whose log is certified."""
        gate = LinkedGate(self.address, name, **answer)
        await self.served.home.authority.certify_log(gate.origin, log_key(gate.origin))
        self.gates.append(gate)
        return gate

    def sign(self, act: str, *seats: str, **more: Any) -> tuple[SignedCommand, ...]:
        """People's command about the agent."""
        home = self.served.home
        return tuple(
            sign_command(
                load_person(home.path / "people" / f"{seat}.key", home.passphrase()),
                act,
                AGENT,
                home.authority,
                seat,
                "test_reason",
                home.around.entropy.bytes(16).hex(),
                home.around.clock.now_ns(),
                **more,
            )
            for seat in seats
        )


async def until(done: Callable[[], bool], wait_s: float = 10.0) -> None:
    """Wait until something is so; a test that waits in vain fails by the time-out."""
    async with asyncio.timeout(wait_s):
        while not done():  # noqa: ASYNC110 - what is waited for is in other tasks
            await asyncio.sleep(0.01)
