# SPDX-License-Identifier: Apache-2.0
"""The gate of a home: the services between the bot, its key and the venue, and their wiring."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sekisho.adapters.free_space import free_percent
from sekisho.adapters.rates.none import NoRates
from sekisho.compose.home import Home
from sekisho.core.encoding import sha256_hex, unb64
from sekisho.core.events import GateOpened
from sekisho.core.governance.roster import Roster
from sekisho.core.identity.ocsp import verify_ocsp
from sekisho.core.identity.oids import Arc
from sekisho.core.identity.profile import load, spki
from sekisho.core.identity.renewal import SUPERSEDED
from sekisho.core.identity.status import Status
from sekisho.ports import AuthorityLink, Clock, Entropy, RateSource, Signer, Venue
from sekisho.services.admission import Admission, Admissions
from sekisho.services.admissionbudget import AdmissionBudget, BudgetLimits
from sekisho.services.advice import AdviceDesk
from sekisho.services.agentgates import ASSIGNED
from sekisho.services.authority import Authority
from sekisho.services.authoritywire import HistoryChunk, HistoryNext, HistoryPiece, HistoryReport
from sekisho.services.gatekeeper import Gatekeeper
from sekisho.services.gatelog import GateLog
from sekisho.services.governing import Governing
from sekisho.services.histories import Histories, HistoryLink
from sekisho.services.incidentwatch import IncidentLink, IncidentWatch
from sekisho.services.knownroster import KnownRoster
from sekisho.services.leasing import Leasing
from sekisho.services.localcommands import LocalAuthority, LocalCommands
from sekisho.services.ratewatch import RateWatch
from sekisho.services.release import Release
from sekisho.services.rosterdesk import RosterLink
from sekisho.services.signoff import BaselineLock
from sekisho.services.status import StatusPush
from sekisho.services.stopping import StopOutcome, Stopping
from sekisho.services.venuewatch import STALE_S, VenueWatch

RECONCILE_S = 1.0


class GateAuthority(AuthorityLink, IncidentLink, LocalAuthority, HistoryLink, Protocol):
    """The authority as a gate reaches it, in the process or over a connection."""

    async def fetch_roster(self) -> Roster:
        """What the authority says is the roster. Raises Unavailable."""
        ...

    async def roster_after(self, sha256: str) -> RosterLink | None:
        """What it says took the place of a roster; None: nothing. Raises Unavailable."""
        ...

    async def admission(self, agent: str) -> Admission:
        """What is needed to admit the agent. Raises NotAuthorised, Unavailable."""
        ...

    async def baseline_lock(self, agent: str) -> BaselineLock | None:
        """The agent's locked baseline; None before there is one. Raises Unavailable."""
        ...


@dataclass(frozen=True, kw_only=True)
class GateParts:
    """What a gate is made from, besides its log, its rates and its venues.

    ``root``, ``issuing``, ``responder`` are certificates, DER; ``roster_sha256`` is of the roster
    that it was enrolled with. ``agent_signer`` finds the key in custody for a public key. ``keep``
    runs something beside the gate until it ends.
    """

    gate: str
    region: str
    environment: str
    clock: Clock
    entropy: Entropy
    authority: GateAuthority
    root: bytes
    issuing: bytes
    responder: bytes
    roster_sha256: str
    arc: Arc
    agent_signer: Callable[[bytes], Signer]
    keep: Callable[[Coroutine[Any, Any, None]], None]
    free_percent: Callable[[], int]
    budget: BudgetLimits | None = None
    venue_silent_s: int = STALE_S


class Gate:
    """A gate with everything around it, and its connection to the authority."""

    def __init__(
        self, parts: GateParts, log: GateLog, rates: RateSource, venues: Mapping[str, Venue]
    ) -> None:
        clock, authority = parts.clock, parts.authority
        self._parts = parts
        self._signers: dict[str, Signer] = {}
        self.log = log
        self.venues = venues
        self.leasing = Leasing(
            log,
            authority,
            clock,
            parts.entropy,
            responder_key=spki(load(parts.responder)),
            read_status=status_reader(parts.issuing),
        )
        self.release = Release(log, venues, clock)
        self.venue_watch = VenueWatch(log, self.release, clock, stale_s=parts.venue_silent_s)
        watched = RateWatch(log, rates)
        self.gatekeeper = Gatekeeper(
            log, self.leasing, watched, self.release, clock, self._signers, self.venue_watch
        )
        self.stopping = Stopping(log, self.release, clock)
        self.histories = Histories(log, self.leasing, self.stopping, self.release, authority, clock)
        self.incident_watch = IncidentWatch(log, self.stopping, authority, clock)
        self.known = KnownRoster(parts.roster_sha256, log, clock)
        self.governing = Governing(log, authority, lambda: self.known.roster)
        self.local = LocalCommands(log, self.stopping, lambda: self.known.roster, clock, authority)
        self.advice = AdviceDesk(log, watched)
        self.budget = AdmissionBudget(log, clock, parts.free_percent, parts.budget)
        self.admissions = Admissions(log, parts.root, parts.arc, self.known.check)

    async def start(self) -> None:
        """Open the log of this boot, find the keys, and reconcile before anything is permitted.

        What does not answer keeps nothing from starting: orders are refused until it does.
        """
        parts = self._parts
        index = self.log.record(
            GateOpened(
                at=self.log.at(),
                gate=parts.gate,
                boot=parts.entropy.bytes(16).hex(),
                region=parts.region,
                environment=parts.environment,
            )
        )
        await self.log.durable(index)
        for agent in self.log.state.agents.values():
            public_key = spki(load(unb64(agent.certificate)))
            self._signers[agent.certificate_sha256] = parts.agent_signer(public_key)
        await self.leasing.ensure()
        await self.venue_watch.reconcile()
        self.incident_watch.start()
        self.local.start()
        parts.keep(self._reconcile())

    async def learn_roster(self) -> bool:
        """Ask the authority for the roster, and follow those in between; whether one is new.

        Raises:
            Unavailable: the authority does not answer.
            VerificationFailed: its answer is neither the roster of the enrolment nor one that took
                its place.
        """
        authority, followed = self._parts.authority, False
        roster = await authority.fetch_roster()
        while not self.known.knows(roster):
            link = await authority.roster_after(self.known.sha256)
            if link is None:
                break
            self.known.follow(link)
            followed = True
        return self.known.take(roster) or followed

    async def adopt_locked(self) -> None:
        """Take into force what the authority locked and an earlier process had no time to adopt.

        Raises:
            Unavailable: the authority does not answer.
        """
        for agent, held in list(self.log.state.agents.items()):
            if self.log.state.lacks_history(held):
                continue  # its baseline comes with it
            lock = await self._parts.authority.baseline_lock(agent)
            if lock is not None and not held.baseline_sha256:
                await self.governing.adopt(agent, lock.baseline_sha256, lock.index)

    async def _reconcile(self) -> None:
        """Look at venues and clocks again and again: fills that nobody waited for, orders that are
        unknown, what rests without a permit.
        """
        while True:
            await self._parts.clock.sleep(RECONCILE_S)
            self.leasing.clocks.look()
            await self.venue_watch.reconcile()

    async def admit(self, agent: str) -> str:
        """Take this agent's orders from now on; returns its certificate's digest."""
        admission = await self._parts.authority.admission(agent)
        signer = self._parts.agent_signer(spki(load(admission.certificate)))
        digest = sha256_hex(admission.certificate)
        self._signers[digest] = signer
        await self.admissions.admit(admission, signer)
        await self.leasing.renew()
        return digest

    async def on_status(self, push: StatusPush) -> StopOutcome | None:
        """What the authority pushes. Only a lease widens; here an agent is stopped or nothing."""
        if push.status == "good":
            return None
        if push.cause == ASSIGNED:
            self.histories.expect()
        return await self.stopping.stop(
            push.agent,
            push.certificate_sha256,
            push.status,
            push.cause,
            push.epoch,
            superseded=push.reason == SUPERSEDED,
        )


def status_reader(issuing: bytes) -> Callable[[bytes, str, int], Status]:
    """How a gate reads the status responses that come with a lease."""

    def read(response: bytes, certificate: str, now_ns: int) -> Status:
        return verify_ocsp(response, issuing, unb64(certificate), now_ns).status.status

    return read


class _HomeAuthority:
    """The authority of the same process, asked as one at the end of a connection would be."""

    def __init__(self, authority: Authority, gate: str) -> None:
        self._authority = authority
        self._gate = gate
        self.last_seen = authority.last_seen
        self.lease = authority.lease
        self.report_incident = authority.report_incident
        self.go_live = authority.go_live
        self.authorise_rearm = authority.authorise_rearm
        self.take_over = authority.take_over

    async def fetch_roster(self) -> Roster:
        return self._authority.roster

    async def roster_after(self, sha256: str) -> RosterLink | None:
        return self._authority.rosters.after(sha256)

    async def give_history(self, chunk: HistoryChunk) -> HistoryNext:
        return await self._authority.histories.take(self._gate, chunk)

    async def history(self, agent: str, offset: int) -> HistoryPiece:
        return await self._authority.histories.read(self._gate, agent, offset)

    async def history_taken(self, report: HistoryReport) -> None:
        await self._authority.histories.taken(self._gate, report)

    async def admission(self, agent: str) -> Admission:
        return await self._authority.admission_for(self._gate, agent)

    async def baseline_lock(self, agent: str) -> BaselineLock | None:
        return self._authority.baseline_lock(agent)


def home_parts(home: Home) -> GateParts:
    """The parts of a home's own gate."""
    state, config = home.authority.state, home.config
    return GateParts(
        gate=config.gate,
        region=config.region,
        environment=config.environment,
        clock=home.around.clock,
        entropy=home.around.entropy,
        authority=_HomeAuthority(home.authority, config.gate),
        root=state.root_certificate,
        issuing=state.issuing_certificate,
        responder=state.responder_certificate,
        roster_sha256=state.roster_sha256,
        arc=home.names.arc,
        agent_signer=home.agent_signer,
        keep=home.keep,
        free_percent=lambda: free_percent(home.path),
    )


async def open_gate(home: Home, rates: RateSource, venues: dict[str, Venue]) -> Gate:
    """Open the gate of a home: read its log, take a lease, ask the venues, then trade.

    With venues it also takes the agents that are certified and that no gate has.
    """
    log = GateLog(await home.gate_journal(), home.around.clock)
    gate = Gate(home_parts(home), log, rates, venues)
    await gate.start()
    await gate.learn_roster()
    home.authority.on_status(gate.on_status)
    await gate.adopt_locked()
    for agent in list(home.authority.state.agents) if venues else ():
        if agent not in home.authority.state.assigned and home.authority.active(agent):
            await gate.admit(agent)
    return gate


async def offline_gate(home: Home) -> Gate:
    """The gate of a home without rates and venues: to stop, to admit, to export, not to trade."""
    return await open_gate(home, NoRates(), {})
