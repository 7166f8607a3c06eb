# SPDX-License-Identifier: Apache-2.0
"""A gate on simulated ports, for tests that ask it from the bytes of an order on.

Journal, fold, checks, signing and release are the real ones. The authority answers leases as it is
told to, the venue reports what it is told to, time moves by hand.
"""

from __future__ import annotations

import copy
from typing import Any, cast

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sekisho.adapters.rates.static import StaticRates
from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.adapters.simulated_disk import SimulatedDisk
from sekisho.adapters.simulated_entropy import SeededEntropy
from sekisho.core.encoding import b64, canonical
from sekisho.core.errors import OutcomeUnknown, Unavailable
from sekisho.core.events import AgentAdmitted, Decision, GateOpened, Rearmed, decode_gate_entry
from sekisho.core.gate.permit import Permit, read_permit
from sekisho.core.identity.status import Status
from sekisho.core.terms import NS, format_instant, parse_instant
from sekisho.ports import ExecType, LeaseGranted, LeaseRequest, VenueReport
from sekisho.services.gatekeeper import Answer, Gatekeeper
from sekisho.services.gatelog import GateLog
from sekisho.services.journal import Journal
from sekisho.services.leasing import CONTEXT, LeaseTerms, Leasing
from sekisho.services.ratewatch import RateWatch
from sekisho.services.release import Release
from sekisho.services.stopping import Stopping
from sekisho.services.venuewatch import VenueWatch
from tests.ledger_doubles import SoftwareSigner

MORNING = "2026-05-15T09:00:00.000000000Z"  # a Friday
CERTIFICATE = "c" * 64
ORIGIN = "gate.example/g1"

POLICY: dict[str, Any] = {
    "agent": "bot",
    "environment": "test",
    "valid_from": "2026-01-01T00:00:00.000000000Z",
    "valid_until": "2027-01-01T00:00:00.000000000Z",
    "risk_controls": {
        "hold_threshold": "0.85",
        "breaker_threshold": "0.75",
        "clock_difference_max_s": 5,
        "hold_on_single_order": True,
        "permit_lifetime_s": 2,
        "lease_s": 15,
    },
    "behaviour": {
        "baseline_days": 14,
        "baseline_orders_min": 100,
        "without_baseline": "scope_checks",
        "baseline_daily_fraction": "1",
        "risk_lag_entries_max": 1000,
    },
    "testing": {
        "fitness_due": "2026-12-01T00:00:00.000000000Z",
        "overdue": "block_issuing",
    },
    "governance": {
        "review_due": "2026-12-01T00:00:00.000000000Z",
        "review_overdue": "refuse",
    },
    "scope": {
        "actions": ["new", "amend", "cancel"],
        "markets": ["EUR/USD", "GBP/EUR"],
        "currency": "EUR",
        "order_notional_max": "25000",
        "order_quantity_max": "none",
        "price_collar": "none",
        "daily_notional_max": "500000",
        "daily_order_count_max": "none",
        "message_rate": "none",
        "position_notional_max": "none",
        "venues": ["PAPER"],
        "counterparties": "none",
        "concentration": "none",
        "time_zone": "UTC",
        "zone_offsets": [{"since": "1970-01-01T00:00:00.000000000Z", "utc_offset_s": 0}],
        "trading_hours": {
            "start": "08:00",
            "end": "17:00",
            "exclude_weekends": True,
            "holidays": ["2026-05-14"],
        },
        "regions": ["eu-west-1"],
        "reference_rates": {
            "sources": ["STATIC"],
            "age_max_s": 60,
            "market_order_buffer": "0.01",
            "jump_max": "0.05",
            "jump_window_s": 60,
            "disagreement_max": "0.005",
        },
        "market_stress": "none",
        "repeated_executions": "none",
        "repeated_orders": "none",
        "consecutive_failures_max": "none",
    },
}

ORDER = {
    "action": "new",
    "client_order_id": "order-1",
    "market": "EUR/USD",
    "side": "buy",
    "order_type": "limit",
    "quantity": "20000",
    "currency": "EUR",
    "price": "1.085",
    "time_in_force": "day",
    "venue": "PAPER",
    "account": "main",
}


class P256Signer:
    """A P-256 key in memory; ``before`` is awaited before it signs, ``away`` makes it fail."""

    uri = "test:p256"
    algorithm = "ES256"

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.away = False
        self.lies = False
        self.signed = 0
        self.before: Any = None

    @property
    def public_key(self) -> bytes:
        return self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    async def sign(self, message: bytes) -> bytes:
        if self.before is not None:
            await self.before()
        return self.sign_blocking(message)

    def sign_blocking(self, message: bytes) -> bytes:
        if self.away:
            raise Unavailable("the key service does not answer")
        self.signed += 1
        return self._key.sign(
            b"something else" if self.lies else message, ec.ECDSA(hashes.SHA256())
        )


class StubAuthority:
    """Grants leases as it is told to."""

    def __init__(self, clock: SteppedClock) -> None:
        self.signer = P256Signer()
        self._clock = clock
        self.epoch = 0
        self.status: dict[str, str] = {}
        self.down = False
        self.duration_s = 15
        self.clock_error_s = 0
        self.alter: dict[str, Any] = {}

    async def last_seen(self, gate: str) -> int:
        return 0

    async def lease(self, request: LeaseRequest) -> LeaseGranted:
        if self.down:
            raise Unavailable("the authority does not answer")
        status = {name: self.status.get(name, "good") for name in request.certificates}
        terms = {
            "gate": request.gate,
            "boot": request.boot,
            "nonce": request.nonce,
            "epoch": self.epoch,
            "tree_size": request.tree_size,
            "root_hash": request.root_hash,
            "granted_at": format_instant(self._clock.now_ns() + self.clock_error_s * NS),
            "duration_s": self.duration_s,
            "not_good": sorted(name for name, said in status.items() if said != "good"),
        }
        terms.update(self.alter)
        message = CONTEXT + canonical(msgspec.convert(terms, LeaseTerms))
        signature = self.signer.sign_blocking(message)
        grant = canonical({"lease": terms, "signature": b64(signature)}).decode()
        return LeaseGranted(
            grant=grant, status={name: b64(said.encode()) for name, said in status.items()}
        )


class StubVenue:
    """Takes permits; acknowledges, fills, stays silent or is away as it is told to."""

    name = "PAPER"

    def __init__(self) -> None:
        self.permits: list[Permit] = []
        self.resting: dict[str, Permit] = {}
        self.fill = False
        self.silent = False
        self.away = False
        self.cancel_silent = False
        self.cancels: list[str] = []
        self._count = 0

    def report(self, permit: Permit, kind: ExecType, quantity: str = "0", price: str = "0",
               leaves: str = "0", reason: str = "", name: str = "") -> VenueReport:  # fmt: skip
        self._count += 1
        return VenueReport(
            agent=permit.agent,
            client_order_id=name or permit.order["client_order_id"],
            venue_order_id="V1",
            exec_id=f"E{self._count}",
            exec_type=kind,
            last_quantity=quantity,
            last_price=price,
            cum_quantity=quantity,
            leaves_quantity=leaves,
            counterparty="KRAKEN",
            reason=reason,
            transact_at=permit.issued_at,
        )

    async def submit(self, permit: str) -> tuple[VenueReport, ...]:
        if self.away:
            raise Unavailable("the venue does not answer")
        taken = read_permit(permit)
        self.permits.append(taken)
        if isinstance(taken.replaces, str):
            self.resting.pop(taken.replaces, None)
        self.resting[taken.order["client_order_id"]] = taken
        if self.silent:
            raise OutcomeUnknown("time-out")
        if isinstance(taken.replaces, str):
            return (self.report(taken, "replaced", leaves=taken.order["quantity"]),)
        if self.fill:
            del self.resting[taken.order["client_order_id"]]
            return (
                self.report(taken, "new", leaves=taken.order["quantity"]),
                self.report(taken, "trade", taken.order["quantity"], taken.order["price"]),
            )
        return (self.report(taken, "new", leaves=taken.order["quantity"]),)

    async def cancel(self, agent: str, client_order_id: str) -> tuple[VenueReport, ...]:
        self.cancels.append(client_order_id)
        if self.cancel_silent:
            raise OutcomeUnknown("time-out")
        permit = self.resting.pop(client_order_id, None)
        return () if permit is None else (self.report(permit, "canceled"),)

    async def open_orders(self, agent: str) -> tuple[str, ...]:
        return tuple(sorted(self.resting))

    async def order_reports(self, agent: str, client_order_id: str) -> tuple[VenueReport, ...]:
        for permit in self.permits:
            if permit.order["client_order_id"] == client_order_id:
                return (self.report(permit, "new", leaves=permit.order["quantity"]),)
        self._count += 1
        return (
            VenueReport(
                agent=agent, client_order_id=client_order_id, venue_order_id="",
                exec_id=f"E{self._count}", exec_type="not_found", last_quantity="0",
                last_price="0", cum_quantity="0", leaves_quantity="0", counterparty="",
                reason="", transact_at=MORNING,
            ),
        )  # fmt: skip

    async def reports_since(self, sequence: int) -> tuple[int, tuple[VenueReport, ...]]:
        return sequence, ()


def scope_of(**changes: Any) -> dict[str, Any]:
    """The policy with these fields of its scope changed (``a__b`` changes field b of part a)."""
    policy = copy.deepcopy(POLICY)
    for name, value in changes.items():
        part, _, field = name.partition("__")
        if field:
            policy["scope"][part][field] = value
        else:
            policy["scope"][part] = value
    return policy


def order(**changes: Any) -> bytes:
    """The bytes of an order; a change to None leaves the field out."""
    merged = ORDER | changes
    return canonical({name: value for name, value in merged.items() if value is not None})


def read_status(said: bytes, certificate: str, now_ns: int) -> Status:
    """The stub authority's answers are the bare word."""
    return cast("Status", said.decode())


class GateWorld:
    """One gate with one admitted agent, ``bot``."""

    def __init__(self, log: GateLog, clock: SteppedClock, disk: SimulatedDisk) -> None:
        self.log, self.clock, self.disk = log, clock, disk
        self.authority = StubAuthority(clock)
        self.rates = StaticRates(clock)
        self.venue = StubVenue()
        self.signer = P256Signer()
        self.release = Release(log, {"PAPER": self.venue}, clock)
        self.venue_watch = VenueWatch(log, self.release, clock)
        self.leasing = Leasing(
            log,
            self.authority,
            clock,
            SeededEntropy(b"gate"),
            responder_key=self.authority.signer.public_key,
            read_status=read_status,
        )
        self.gate = Gatekeeper(
            log,
            self.leasing,
            RateWatch(log, self.rates),
            self.release,
            clock,
            {CERTIFICATE: self.signer},
            self.venue_watch,
        )
        self.stopping = Stopping(log, self.release, clock)

    @classmethod
    async def start(
        cls,
        policy: dict[str, Any] | None = None,
        *,
        at: str = MORNING,
        region: str = "eu-west-1",
        environment: str = "test",
        not_before: str = "2026-01-01T00:00:00.000000000Z",
        not_after: str = "2027-01-01T00:00:00.000000000Z",
        disk: SimulatedDisk | None = None,
        clock: SteppedClock | None = None,
    ) -> GateWorld:
        clock = clock or SteppedClock(parse_instant(at))
        disk = disk or SimulatedDisk()
        journal = await Journal.open(disk, origin=ORIGIN, signer=SoftwareSigner(), clock=clock)
        log = GateLog(journal, clock)
        boot = f"{journal.size:032x}"
        log.record(
            GateOpened(at=log.at(), gate="g1", boot=boot, region=region, environment=environment)
        )
        world = cls(log, clock, disk)
        if "bot" not in log.state.agents:
            world.admit(policy or POLICY, not_before=not_before, not_after=not_after)
        world.quote()
        return world

    def admit(
        self,
        policy: dict[str, Any],
        *,
        not_before: str = "2026-01-01T00:00:00.000000000Z",
        not_after: str = "2027-01-01T00:00:00.000000000Z",
        certificate: str = CERTIFICATE,
    ) -> None:
        self.log.record(
            AgentAdmitted(
                at=self.log.at(),
                agent="bot",
                certificate=b64(b"certificate"),
                certificate_sha256=certificate,
                serial_number="01",
                not_before=not_before,
                not_after=not_after,
                policy=policy,
                policy_sha256="d" * 64,
                authority_index=0,
            )
        )

    def quote(self) -> None:
        """Fresh, calm, uncrossed rates for both markets, mids 1.085 and 0.8501."""
        self.rates.set("EUR/USD", "1.0849", "1.0851")
        self.rates.set("EUR/GBP", "0.85", "0.8502")

    async def ask(self, body: bytes | None = None, agent: str = "bot", **changes: Any) -> Answer:
        return await self.gate.submit(agent, order(**changes) if body is None else body)

    def decision(self, answer: Answer) -> Decision:
        entry = decode_gate_entry(self.log.journal.entry(answer.decision))
        assert isinstance(entry, Decision)
        return entry

    def rearm(self, latch: Any) -> None:
        self.log.record(
            Rearmed(at=self.log.at(), agent="bot", latch=latch, seats=("a", "b"), commands=())
        )


def codes(answer: Answer) -> list[str]:
    """The reason codes of an answer."""
    return [str(reason.code) for reason in answer.reasons]
