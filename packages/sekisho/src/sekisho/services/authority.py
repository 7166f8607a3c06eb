# SPDX-License-Identifier: Apache-2.0
"""The authority: certifies agents on the strength of signed approvals, and takes it back.

One process, one log (docs/spec/authority.md). This module founds and opens it; policies, issuing,
commands, status answers and leases are its parts. Whatever it tells anybody is durable in its log
first; what narrows is told even when that fails, and says so.

It does not hold agents' keys, decide about orders, or trust a gate's word about its own log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Literal

import msgspec

from sekisho.core.encoding import b64
from sekisho.core.errors import (
    ConfigurationInvalid,
    NotAuthorised,
    OutcomeUnknown,
    StorageFailed,
    Unavailable,
)
from sekisho.core.events import Founded
from sekisho.core.governance.commands import SignedCommand
from sekisho.core.governance.document import Registration
from sekisho.core.governance.resolution import Approval, Resolution
from sekisho.core.governance.roster import Roster, check_roster, roster_sha256
from sekisho.core.identity.profile import Names, load, spki
from sekisho.core.identity.published import check_places
from sekisho.core.identity.records import RegisteredCertificate
from sekisho.core.identity.register import AuthorityState
from sekisho.core.incidents.book import IncidentBook
from sekisho.ports import (
    Clock,
    Entropy,
    IncidentReport,
    LeaseGranted,
    LeaseRequest,
    Notifier,
)
from sekisho.services.admission import Admission
from sekisho.services.admittance import admission_of
from sekisho.services.agentgates import AgentGates
from sekisho.services.alerting import Alerting
from sekisho.services.alertrounds import AlertRounds
from sekisho.services.announcing import Announcer
from sekisho.services.assigning import Assigning, AssignOutcome
from sekisho.services.certification import Certification, IssuedCertificate
from sekisho.services.commanding import Commanding
from sekisho.services.founding import (
    AuthorityKeys,
    CeremonyCertificates,
    founding_certificates,
)
from sekisho.services.historydesk import HistoryDesk
from sekisho.services.incidentdesk import AckOutcome, IncidentDesk
from sekisho.services.journal import Journal
from sekisho.services.leases import Leases
from sekisho.services.policydesk import PolicyDesk
from sekisho.services.publicdesk import PublicDesk
from sekisho.services.registerlog import RegisterLog
from sekisho.services.revocation import RevocationStatus
from sekisho.services.rosterdesk import RosterDesk
from sekisho.services.signoff import BaselineLock, RearmAuthorisation, SignOff
from sekisho.services.status import StatusListener, StatusOutcome
from sekisho.services.statusacts import StatusActs
from sekisho.services.statusdesk import StatusDesk

__all__ = ["Authority", "AuthorityKeys"]


class Authority:
    """Made by :meth:`found` or :meth:`open`. One instance owns its log."""

    def __init__(
        self,
        log: RegisterLog,
        keys: AuthorityKeys,
        names: Names,
        clock: Clock,
        entropy: Entropy,
        notifiers: Sequence[Notifier] = (),
    ) -> None:
        self.log = log
        state = log.state
        self.rosters = RosterDesk(log)
        issuing_key = keys.work_with(keys.issuing, clock)
        self.announcer = Announcer(clock)
        self._revocation = RevocationStatus(
            log,
            issuing_key=issuing_key,
            responder_key=keys.work_with(keys.responder, clock),
            names=names,
        )
        self.public = PublicDesk(log, self._revocation)
        self.policies = PolicyDesk(log, lambda: self.roster)
        self._certification = Certification(
            log,
            names=names,
            issuing_key=issuing_key,
            entropy=entropy,
            approved=self.policies.approved,
            own_keys=frozenset(
                spki(load(der))
                for der in (
                    state.root_certificate,
                    state.issuing_certificate,
                    state.responder_certificate,
                )
            ),
        )
        alerting = Alerting(log, clock)
        commanding = Commanding(log, lambda: self.roster)
        self._gates = AgentGates(log, clock)
        self.histories = HistoryDesk(log)
        self._leases = Leases(log, self._revocation, keys.responder, clock, self._gates)
        acts = StatusActs(log, self._revocation, self.announcer, alerting, clock, self._gates)
        rounds = AlertRounds(log, alerting, clock)
        self._incidents = IncidentDesk(log, acts, rounds, self._revocation, commanding, clock)
        self._desk = StatusDesk(log, acts, commanding, self._incidents.catch_up)
        self.take_over = self._desk.take_over
        self._assigning = Assigning(
            log, self._gates, self.announcer, commanding, self._incidents.catch_up, self.histories
        )
        self._signoff = SignOff(log, commanding, self._incidents.catch_up)
        for notifier in notifiers:
            self._incidents.add_notifier(notifier)

    @classmethod
    async def found(
        cls,
        *,
        journal: Journal,
        keys: AuthorityKeys,
        environment: Literal["test", "rehearsal", "production"],
        names: Names,
        roster: Roster,
        clock: Clock,
        entropy: Entropy,
        notifiers: Sequence[Notifier] = (),
        given: CeremonyCertificates | None = None,
    ) -> Authority:
        """Make root, issuing CA and responder certificate, and write the first entry.

        Root and issuing CA may be ``given`` instead, and then no root key is needed.

        Raises:
            ConfigurationInvalid: the log has entries already, or there is no root.
            VerificationFailed: what is given is not of the profile, or not for these keys.
            MalformedInput: the roster is not well made.
            StorageFailed, OutcomeUnknown: the log; look at it again before founding anew.
        """
        log = RegisterLog(journal, clock)
        if journal.size:
            raise ConfigurationInvalid(f"the authority of {journal.origin} is founded; open it")
        check_roster(roster)
        names.arc.check()
        root, issuing, responder = founding_certificates(keys, names, log.now(), entropy, given)
        entry = Founded(
            at=log.at(),
            environment=environment,
            crl_shards=names.crl_shards,
            root_certificate=b64(root),
            issuing_certificate=b64(issuing),
            responder_certificate=b64(responder),
            roster=msgspec.to_builtins(roster),
            roster_sha256=roster_sha256(roster),
        )
        # A crash before this returns leaves an empty log, or a founded one that can be opened.
        await log.durable(log.record(entry))
        return cls(log, keys, names, clock, entropy, notifiers)

    @classmethod
    async def open(
        cls,
        journal: Journal,
        keys: AuthorityKeys,
        clock: Clock,
        entropy: Entropy,
        *,
        names: Names,
        notifiers: Sequence[Notifier] = (),
    ) -> Authority:
        """Fold the log of a founded authority, and do what became due meanwhile.

        Raises:
            ConfigurationInvalid: the log is empty, or certifies other keys than these.
            VerificationFailed, MalformedInput: the log holds what no authority writes.
        """
        log = RegisterLog(journal, clock)
        authority = cls.over(log, keys, clock, entropy, names=names, notifiers=notifiers)
        await authority.due()
        return authority

    @classmethod
    def over(
        cls,
        log: RegisterLog,
        keys: AuthorityKeys,
        clock: Clock,
        entropy: Entropy,
        *,
        names: Names,
        notifiers: Sequence[Notifier] = (),
    ) -> Authority:
        """An authority over a folded log, which does nothing by itself: it may be a follower's.

        Raises:
            ConfigurationInvalid: the log is empty, or certifies other keys than these.
        """
        if not log.journal.size:
            raise ConfigurationInvalid(
                f"the log {log.journal.origin} is empty; found the authority"
            )
        state = log.state
        for der, signer in (
            (state.issuing_certificate, keys.issuing),
            (state.responder_certificate, keys.responder),
        ):
            if spki(load(der)) != signer.public_key:
                raise ConfigurationInvalid(f"{signer.uri} is not the key that this log certifies")
        if state.crl_shards != names.crl_shards:
            raise ConfigurationInvalid(
                f"this authority's CRL has {state.crl_shards} shards: put publish.crl_shards back"
            )
        for der in islice(state.log_keys.values(), 1):
            check_places(der, names)
        return cls(log, keys, names, clock, entropy, notifiers)

    @property
    def state(self) -> AuthorityState:
        """The register, to be read; it may be ahead of what is durable."""
        return self.log.state

    @property
    def roster(self) -> Roster:
        """The roster in force."""
        return self.rosters.roster

    # -- policies and approvals ----------------------------------------------------------------

    async def register_policy(self, registration: Registration) -> str:
        """Record a policy; returns its digest; see :meth:`PolicyDesk.register_policy`."""
        return await self.policies.register_policy(registration)

    async def give_approval(self, approval: Approval) -> Resolution | None:
        """Record one approval; see :meth:`PolicyDesk.give_approval`."""
        return await self.policies.give_approval(approval)

    def missing(self, policy_sha256: str) -> str:
        """Why a policy has no resolution yet; empty when it has; see :meth:`PolicyDesk.missing`."""
        return self.policies.missing(policy_sha256)

    # -- certificates --------------------------------------------------------------------------

    async def certify_log(self, origin: str, public_key_spki: bytes) -> bytes:
        """Bind a log's Ed25519 key (DER) to its origin; see :meth:`Certification.certify_log`."""
        return await self._certification.certify_log(origin, public_key_spki)

    async def issue(
        self,
        agent: str,
        policy_sha256: str,
        public_key_spki: bytes,
        *,
        proof: bytes,
        issuer_seat: str,
        operator_seat: str,
    ) -> IssuedCertificate:
        """Issue an agent's order-signing certificate; see :meth:`Certification.issue`."""
        self._incidents.catch_up()
        issued = await self._certification.issue(
            lambda: self.roster,
            agent,
            policy_sha256,
            public_key_spki,
            proof=proof,
            issuer_seat=issuer_seat,
            operator_seat=operator_seat,
        )
        self._incidents.look()  # what it renews has an end now
        return issued

    def certificates(self, agent: str | None = None) -> tuple[RegisteredCertificate, ...]:
        """Every certificate ever issued (of one agent), in the order of issue; to be read."""
        if agent is not None:
            return tuple(self.state.agents.get(agent, ()))
        return tuple(self.state.certificates.values())

    def admission(self, agent: str) -> Admission:
        """What a gate needs to admit the agent under its active certificate.

        Raises:
            NotAuthorised: the agent has no active certificate.
            Unavailable: its entry is not durable yet.
        """
        return admission_of(self.log, self.rosters.of, agent)

    # -- status --------------------------------------------------------------------------------

    @property
    def on_status(self) -> Callable[[StatusListener], None]:
        """Tell a listener of every change of status; see :meth:`Announcer.on_status`."""
        return self.announcer.on_status

    async def command(self, signed_commands: tuple[SignedCommand, ...]) -> StatusOutcome:
        """Hold, release, revoke or kill on the word of people; see :meth:`StatusDesk.command`."""
        return await self._desk.command(signed_commands)

    async def crl(self, shard: int = 0) -> bytes:
        """A shard of the CRL as of now, DER; see :meth:`RevocationStatus.crl`."""
        return await self._revocation.crl(shard)

    async def ocsp(self, certificate_sha256: str, *, next_update_ns: int) -> bytes:
        """A status response as of now, DER; see :meth:`RevocationStatus.ocsp`."""
        return await self._revocation.ocsp(certificate_sha256, next_update_ns=next_update_ns)

    def active(self, agent: str) -> RegisteredCertificate | None:
        """The agent's certificate that is neither revoked nor expired; see ``Records.active``."""
        return self.state.active(agent, self.log.now())

    # -- incidents -----------------------------------------------------------------------------

    @property
    def incidents(self) -> IncidentBook:
        """The book of incidents, to be read; it may be ahead of what is durable."""
        return self._incidents.book

    async def report_incident(self, report: IncidentReport) -> None:
        """A gate opened an incident; see :meth:`IncidentDesk.report`."""
        await self._incidents.report(report)

    async def acknowledge(self, signed: tuple[SignedCommand, ...]) -> AckOutcome:
        """People answer an incident; see :meth:`IncidentDesk.acknowledge`."""
        return await self._incidents.acknowledge(signed)

    async def due(self) -> int:
        """Do what became due; returns how many acts; see :meth:`IncidentDesk.due`."""
        return await self._incidents.due()

    async def run_incidents(self) -> None:
        """Do everything when it becomes due, until cancelled."""
        await self._incidents.run()

    def add_notifier(self, notifier: Notifier) -> None:
        """One more channel by which people are told of incidents."""
        self._incidents.add_notifier(notifier)

    async def go_live(
        self, signed: tuple[SignedCommand, ...], *, origin: str, complete: bool
    ) -> BaselineLock:
        """People sign a baseline off; see :meth:`SignOff.go_live`."""
        return await self._signoff.go_live(signed, origin=origin, complete=complete)

    async def authorise_rearm(self, signed: tuple[SignedCommand, ...]) -> RearmAuthorisation:
        """Two people take a latch off; see :meth:`SignOff.authorise_rearm`."""
        return await self._signoff.authorise_rearm(signed)

    def baseline_lock(self, agent: str) -> BaselineLock | None:
        """The agent's locked baseline and its entry; None before there is one."""
        return self._signoff.baseline_lock(agent)

    # -- gates -----------------------------------------------------------------------------------

    @property
    def gates(self) -> AgentGates:
        """Which gate has which agent; see :class:`AgentGates`."""
        return self._gates

    async def assign(self, signed: tuple[SignedCommand, ...]) -> AssignOutcome:
        """An operator moves an agent to another gate; see :meth:`Assigning.assign`."""
        return await self._assigning.assign(signed)

    async def admission_for(self, gate: str, agent: str) -> Admission:
        """What this gate needs to admit the agent, which is assigned to it by this.

        Raises:
            NotAuthorised: no such agent, another gate has it, or no active certificate.
            Unavailable: the gate before may still sign; or the log cannot be written.
        """
        if self.active(agent) is None:
            raise NotAuthorised(f"{agent[:64]!r} has no active certificate")
        try:
            self._gates.claim(gate, agent)
            await self.log.all_durable()
        except (StorageFailed, OutcomeUnknown) as error:
            raise Unavailable(f"the authority admits nobody: {error}") from error
        return self._gates.told(gate, self.admission(agent))

    async def last_seen(self, gate: str) -> int:
        """Tree size of the gate's log at its last lease or boot; 0 if none."""
        return await self._leases.last_seen(gate)

    async def lease(self, request: LeaseRequest) -> LeaseGranted:
        """Grant a lease or refuse; see :meth:`Leases.lease`."""
        return await self._leases.lease(request)
