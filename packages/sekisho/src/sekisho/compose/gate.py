# SPDX-License-Identifier: Apache-2.0
"""The gate of a home: the services between the bot, its key and the venue, and their wiring."""

from __future__ import annotations

from collections.abc import Callable

from sekisho.adapters.rates.none import NoRates
from sekisho.compose.home import Home
from sekisho.core.encoding import sha256_hex, unb64
from sekisho.core.events import GateOpened
from sekisho.core.identity.ocsp import verify_ocsp
from sekisho.core.identity.profile import load, spki
from sekisho.core.identity.status import Status
from sekisho.ports import RateSource, Signer, Venue
from sekisho.services.admission import Admissions
from sekisho.services.gatekeeper import Gatekeeper
from sekisho.services.gatelog import GateLog
from sekisho.services.governing import Governing
from sekisho.services.incidentwatch import IncidentWatch
from sekisho.services.journal import Journal
from sekisho.services.leasing import Leasing
from sekisho.services.ratewatch import RateWatch
from sekisho.services.release import Release
from sekisho.services.status import StatusPush
from sekisho.services.stopping import StopOutcome, Stopping

RECONCILE_S = 1.0


class Gate:
    """The gate of a home with everything around it, and its connection to the authority."""

    def __init__(
        self, home: Home, journal: Journal, rates: RateSource, venues: dict[str, Venue]
    ) -> None:
        clock, entropy = home.around.clock, home.around.entropy
        state = home.authority.state
        self._home = home
        self._signers: dict[str, Signer] = {}
        self.log = GateLog(journal, clock)
        self.leasing = Leasing(
            self.log,
            home.authority,
            clock,
            entropy,
            responder_key=spki(load(state.responder_certificate)),
            read_status=status_reader(state.issuing_certificate),
        )
        self.release = Release(self.log, venues, clock)
        self.gatekeeper = Gatekeeper(
            self.log, self.leasing, RateWatch(self.log, rates), self.release, clock, self._signers
        )
        self.stopping = Stopping(self.log, self.release, clock)
        self.incident_watch = IncidentWatch(self.log, self.stopping, home.authority, clock)
        self.governing = Governing(self.log, home.authority, lambda: home.authority.roster)
        self.admissions = Admissions(self.log, state.root_certificate, home.names.arc)

    async def start(self) -> None:
        """Open the log of this boot, find the keys, and reconcile before anything is permitted."""
        config = self._home.config
        index = self.log.record(
            GateOpened(
                at=self.log.at(),
                gate=config.gate,
                boot=self._home.around.entropy.bytes(16).hex(),
                region=config.region,
                environment=config.environment,
            )
        )
        await self.log.durable(index)
        for agent in self.log.state.agents.values():
            public_key = spki(load(unb64(agent.certificate)))
            self._signers[agent.certificate_sha256] = self._home.agent_signer(public_key)
        await self.leasing.ensure()
        await self.release.reconcile()
        self._home.authority.on_status(self._on_status)
        await self._adopt_locked()
        self.incident_watch.start()
        self._home.keep(self._reconcile())

    async def _adopt_locked(self) -> None:
        """Take into force what the authority locked and an earlier process had no time to adopt."""
        for agent, held in self.log.state.agents.items():
            lock = self._home.authority.baseline_lock(agent)
            if lock is not None and not held.baseline_sha256:
                await self.governing.adopt(agent, lock.baseline_sha256, lock.index)

    async def _reconcile(self) -> None:
        """Ask the venues again and again: fills that nobody waited for, orders that are unknown."""
        while True:
            await self._home.around.clock.sleep(RECONCILE_S)
            await self.release.reconcile()

    async def admit(self, agent: str) -> str:
        """Take this agent's orders from now on; returns its certificate's digest."""
        admission = self._home.authority.admission(agent)
        signer = self._home.agent_signer(spki(load(admission.certificate)))
        digest = sha256_hex(admission.certificate)
        self._signers[digest] = signer
        await self.admissions.admit(admission, signer)
        await self.leasing.renew()
        return digest

    async def _on_status(self, push: StatusPush) -> StopOutcome | None:
        """What the authority pushes. Only a lease widens; here an agent is stopped or nothing."""
        if push.status == "good":
            return None
        return await self.stopping.stop(
            push.agent, push.certificate_sha256, push.status, push.cause, push.epoch
        )


def status_reader(issuing: bytes) -> Callable[[bytes, str, int], Status]:
    """How a gate reads the status responses that come with a lease."""

    def read(response: bytes, certificate: str, now_ns: int) -> Status:
        return verify_ocsp(response, issuing, unb64(certificate), now_ns).status.status

    return read


async def open_gate(home: Home, rates: RateSource, venues: dict[str, Venue]) -> Gate:
    """Open the gate of a home: read its log, take a lease, ask the venues, then trade."""
    gate = Gate(home, await home.gate_journal(), rates, venues)
    await gate.start()
    return gate


async def offline_gate(home: Home) -> Gate:
    """The gate of a home without rates and venues: to stop, to admit, to export, not to trade."""
    return await open_gate(home, NoRates(), {})
