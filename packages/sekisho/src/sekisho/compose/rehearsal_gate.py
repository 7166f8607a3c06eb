# SPDX-License-Identifier: Apache-2.0
"""The gate of a rehearsal: the services of any gate, keys made for the run, an authority in memory.

The environment is ``rehearsal`` whatever the policy says, and no key outlives the process: nothing
that is signed here is good anywhere. A policy lasts two years at most; a longer history gets
another authority, policy and certificate when that time is over, under which the agent goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from sekisho.adapters.entropy import SystemEntropy
from sekisho.adapters.history.rates import OwnPrices, RateFile
from sekisho.adapters.known_ids import KnownIds, RecentAnswers, RecentReports
from sekisho.adapters.memory_journal import MemoryJournal
from sekisho.adapters.signers.software import SoftwareSigner
from sekisho.adapters.signers.x509_key import SignerKey
from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.adapters.simulated_disk import SimulatedDisk
from sekisho.adapters.venues.history import EveryVenue, HistoryVenue
from sekisho.adapters.zones import zone_offsets
from sekisho.compose.gate import status_reader
from sekisho.compose.trial import (
    COMPLIANCE_SEAT,
    ISSUER_SEAT,
    OPERATOR_SEAT,
    RISK_SEAT,
    trial_seats,
)
from sekisho.core.drills.history import day_end
from sekisho.core.encoding import b64, canonical
from sekisho.core.events import (
    AuthorityEntry,
    GateOpened,
    IncidentClosed,
    decode_authority_entry,
)
from sekisho.core.evidence.chronicle import Chronicle
from sekisho.core.gate.agent import Seen
from sekisho.core.governance.document import Registration, read_policy
from sekisho.core.governance.roster import Roster, Seat, roster_sha256
from sekisho.core.identity.profile import Arc, Names
from sekisho.core.terms import DAY_S, NS, day_text, format_instant, parse_instant
from sekisho.ports import Signer
from sekisho.services.admission import Admissions
from sekisho.services.authority import Authority, AuthorityKeys
from sekisho.services.certification import possession_message
from sekisho.services.gatekeeper import Gatekeeper
from sekisho.services.governing import Governing
from sekisho.services.journal import Journal
from sekisho.services.knownroster import KnownRoster
from sekisho.services.leasing import Leasing
from sekisho.services.people import sign_approval
from sekisho.services.ratewatch import RateWatch
from sekisho.services.rehearsal import RehearsalGate, RehearsalLog
from sekisho.services.rehearsal_authority import LEASE_S, RehearsalAuthority, RehearsalPeople
from sekisho.services.release import Release
from sekisho.services.venuewatch import VenueWatch

ENVIRONMENT: Final = "rehearsal"
VALID_DAYS: Final = 731
"""The longest that a policy may last."""
ORIGIN: Final = "gate.rehearsal.invalid/log"
AUTHORITY_ORIGIN: Final = "authority.rehearsal.invalid/log"


class RehearsalStage:
    """Everything around the gate of one run. :meth:`open` comes first."""

    def __init__(
        self,
        registration: Registration,
        rates: RateFile | OwnPrices,
        known: KnownIds,
        chronicle: Chronicle,
    ) -> None:
        """Take the policy as its document has it, rates, where ids are kept, who tells of it."""
        self.policy_sha256 = ""
        self._registration = registration
        self._agent = registration.policy.agent
        self._rates = rates
        self._known = known
        self._chronicle = chronicle
        self._authority_entries = 0
        self._entropy = SystemEntropy()
        self._people = {name: _key(name) for name, _ in trial_seats(registration.policy)}
        self._signers: dict[str, Signer] = {}

    async def open(self, begins_ns: int) -> RehearsalGate:
        """Open the gate at an instant of the history, and admit the agent."""
        self._clock = SteppedClock(max(0, begins_ns))
        self._link = RehearsalAuthority(self._clock)
        self._log = RehearsalLog(
            MemoryJournal(ORIGIN),
            self._clock,
            lambda: Seen(self._known, RecentAnswers(), RecentReports()),
        )
        self._log.follow(self._chronicle.take_gate)
        self._log.record(
            GateOpened(
                at=self._log.at(),
                gate=ENVIRONMENT,
                boot=self._entropy.bytes(16).hex(),
                region=self._registration.policy.scope.regions[0],
                environment=ENVIRONMENT,
            )
        )
        venue = HistoryVenue(self._agent, self._rates, self._day_end)
        release = Release(self._log, EveryVenue(venue), self._clock)
        valid_until, leasing = await self._certify()
        seats = {name: self._people[name] for name in (COMPLIANCE_SEAT, RISK_SEAT)}
        self._gate = RehearsalGate(
            log=self._log,
            gatekeeper=Gatekeeper(
                self._log,
                leasing,
                RateWatch(self._log, self._rates),
                release,
                self._clock,
                self._signers,
                VenueWatch(self._log, release, self._clock),
            ),
            release=release,
            governing=Governing(self._log, self._link, lambda: self._link.roster),
            authority=self._link,
            people=RehearsalPeople(self._agent, seats, self._link, self._clock, self._entropy),
            venue=venue,
            rates=self._rates,
            clock=self._clock,
            valid_until=valid_until,
            renew=self._renew,
            close_incident=self._close_incident,
        )
        return self._gate

    async def _renew(self) -> int:
        """Go on under another certificate from now on; returns until when."""
        valid_until, self._gate.gatekeeper.leasing = await self._certify()
        return valid_until

    def _close_incident(self, incident: str, outcome: Literal["released", "rearmed"]) -> None:
        """Tell the report what an authority in earnest would have written into its log."""
        self._told(IncidentClosed(at=self._log.at(), incident=incident, outcome=outcome))

    def _told(self, entry: AuthorityEntry) -> None:
        self._chronicle.take_authority(self._authority_entries, entry)
        self._authority_entries += 1

    def _day_end(self, at: int) -> int:
        return day_end(self._log.state.agents[self._agent].limits.local, at)

    async def _certify(self) -> tuple[int, Leasing]:
        """An authority from now on, its certificate, the agent admitted under it."""
        begins_ns = self._clock.now_ns() // NS * NS
        registration = rehearsal_policy(self._registration, begins_ns)
        self.policy_sha256 = self.policy_sha256 or registration.sha256
        responder, agent_key = _key("responder"), _key(self._agent)
        authority = await _found(registration, self._clock, self._people, responder)
        proof = possession_message(
            agent=self._agent,
            environment=ENVIRONMENT,
            policy_sha256=registration.sha256,
            public_key_spki=agent_key.public_key,
        )
        issued = await authority.issue(
            self._agent,
            registration.sha256,
            agent_key.public_key,
            proof=agent_key.sign_blocking(proof),
            issuer_seat=ISSUER_SEAT,
            operator_seat=OPERATOR_SEAT,
        )
        self._signers[issued.certificate_sha256] = agent_key
        self._link.speak_for(authority, responder)
        for _, data in authority.log.journal.entries():
            self._told(decode_authority_entry(data))
        known = KnownRoster(roster_sha256(authority.roster), self._log, self._clock)
        admissions = Admissions(self._log, issued.root_certificate, Arc(), known.check)
        await admissions.admit(authority.admission(self._agent), agent_key)
        leasing = Leasing(
            self._log,
            self._link,
            self._clock,
            self._entropy,
            responder_key=responder.public_key,
            read_status=status_reader(issued.issuing_certificate),
            duration_max_s=LEASE_S,
        )
        await leasing.renew()
        return parse_instant(issued.not_after), leasing


def rehearsal_policy(registration: Registration, begins_ns: int) -> Registration:
    """The same policy for the environment ``rehearsal``, with dates that fit the history.

    Args:
        registration: of the document as it stands.
        begins_ns: from when on it is valid, ns UTC, a whole second.
    """
    plain = msgspec.to_builtins(registration.policy)
    last_day = day_text(begins_ns // NS // DAY_S + VALID_DAYS)
    plain["environment"] = ENVIRONMENT
    plain["valid_from"] = format_instant(begins_ns)
    plain["valid_until"] = format_instant(begins_ns + VALID_DAYS * DAY_S * NS)
    plain["testing"].update(fitness_test_due=last_day, overdue="warn")
    plain["governance"].update(last_review="none", next_review=last_day, review_overdue="warn")
    # These are written by registration, from the dates; a document never has them.
    del plain["governance"]["review_due"], plain["testing"]["fitness_due"]
    del plain["scope"]["zone_offsets"]
    return read_policy(
        canonical(plain), form="json", registered_at_ns=begins_ns, zone_offsets=zone_offsets
    )


def _key(name: str) -> SoftwareSigner:
    """A P-256 key that ends with the process."""
    return SoftwareSigner(f"memory:{name}", ec.generate_private_key(ec.SECP256R1()))


async def _found(
    registration: Registration,
    clock: SteppedClock,
    people: Mapping[str, SoftwareSigner],
    responder: SoftwareSigner,
) -> Authority:
    """An authority in memory, with the policy approved by everybody who must."""
    log_key = SoftwareSigner("memory:log", ed25519.Ed25519PrivateKey.generate())
    journal = await Journal.open(
        SimulatedDisk(), origin=AUTHORITY_ORIGIN, signer=log_key, clock=clock
    )
    seats = tuple(
        Seat(seat=name, role=role, public_key=b64(people[name].public_key))
        for name, role in sorted(trial_seats(registration.policy))
    )
    keys = AuthorityKeys(
        root=_key("root"), issuing=_key("issuing"), responder=responder, x509_key=SignerKey
    )
    authority = await Authority.found(
        journal=journal,
        keys=keys,
        environment=ENVIRONMENT,
        names=Names(issuer_name="Rehearsal"),
        roster=Roster(version=1, seats=seats),
        clock=clock,
        entropy=SystemEntropy(),
    )
    await authority.register_policy(registration)
    for seat in seats:
        if seat.role == "approver":
            approval = sign_approval(
                people[seat.seat], registration.sha256, authority.roster, seat.seat, clock.now_ns()
            )
            await authority.give_approval(approval)
    return authority
