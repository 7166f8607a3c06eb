# SPDX-License-Identifier: Apache-2.0
"""The whole embedded product in a temporary folder, for tests that ask it as a firm would.

Everything is real: folders and their locks, encrypted keys, certificates, leases, both logs, the
paper venue. Only time, where a test wants it, moves by hand. A home takes about a second to make;
one is made for each policy and copied for each test.
"""

from __future__ import annotations

import atexit
import copy
import json
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from sekisho.adapters.entropy import SystemEntropy
from sekisho.adapters.rates.static import StaticRates
from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.adapters.venues.paper import PaperVenue
from sekisho.adapters.venues.paper_permits import VenueTrust
from sekisho.compose import (
    COMPLIANCE_SEAT,
    ISSUER_SEAT,
    OPERATOR_SEAT,
    VENUE_CREDENTIAL,
    Gate,
    Home,
    Surroundings,
    init_home,
    load_person,
    make_people,
    open_gate,
    register_document,
)
from sekisho.config import Config, StoreSettings
from sekisho.core.encoding import canonical
from sekisho.core.events import Decision, GateEntry, PermitSigned, decode_gate_entry
from sekisho.core.gate.permit import assemble, read_permit, signing_input, split
from sekisho.core.ledger.note import VerifierKey
from sekisho.core.terms import NS, parse_instant
from sekisho.ports import Clock, Signer, Venue
from sekisho.services.gatekeeper import Answer
from sekisho.services.people import sign_approval, sign_command
from sekisho.services.status import KillReport, StatusOutcome
from tests.ledger_doubles import read_log

MORNING = parse_instant("2026-05-15T09:00:00.000000000Z")  # a Friday
AGENT = "bot"
APPROVERS = ("ceo@cryptoex", "cfo@cryptoex", "compliance_lead@cryptoex")
POLICY: dict[str, Any] = {
    "agent": AGENT,
    "operator": {"name": "Example Trading"},
    "scope": {
        "markets": ["EUR/USD", "GBP/EUR"],
        "currency": "EUR",
        "order_notional_max": "25000",
        "daily_notional_max": "500000",
        "venues": ["PAPER"],
        "regions": ["eu-west-1"],
        "time_zone": "UTC",
        "trading_hours": {"start": "00:00", "end": "24:00", "exclude_weekends": True},
        "reference_rates": {"sources": ["STATIC"]},
    },
    "governance": {
        "documented_by": "compliance_team@cryptoex",
        "approved_by": list(APPROVERS),
        "approvals_required": 3,
    },
}
_TEMPLATES: dict[str, Path] = {}


def policy_of(**scope: Any) -> dict[str, Any]:
    """The policy with these fields of its scope replaced; None leaves one out."""
    policy = copy.deepcopy(POLICY)
    policy["scope"] = {
        name: value for name, value in (policy["scope"] | scope).items() if value is not None
    }
    return policy


def order(name: str = "o-1", **changes: Any) -> bytes:
    """A limit order to buy EUR 24,999 at 1.2 dollars, marketable at the world's rates."""
    fields = {
        "action": "new",
        "client_order_id": name,
        "market": "EUR/USD",
        "side": "buy",
        "order_type": "limit",
        "quantity": "24999",
        "currency": "EUR",
        "price": "1.2",
        "time_in_force": "day",
        "venue": "PAPER",
        "account": "main",
    }
    return canonical({key: text for key, text in (fields | changes).items() if text is not None})


def resting(name: str = "o-1", **changes: Any) -> bytes:
    """The same at 1.1 dollars, below the market: it rests."""
    return order(name, **({"price": "1.1"} | changes))


def cancel(name: str, of: str) -> bytes:
    """The bytes that ask to cancel an order."""
    return canonical({"action": "cancel", "client_order_id": name, "orig_client_order_id": of})


class RunningClock(SteppedClock):
    """Goes on a little with every look at it, as a real one does."""

    step_ns = 0

    def now_ns(self) -> int:
        if self.step_ns:
            self.advance(self.step_ns / NS)
        return super().now_ns()


class Used:
    """Every use of an agent's key, by whatever instance of the gate: outside of any home."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.wait: Callable[[], Awaitable[None]] | None = None
        """Awaited after a use was written down: a key service that takes its time."""

    def permit_ids(self) -> list[str]:
        """Ids of the permits that were signed, in order, repetitions included."""
        return [read_permit(unsigned(message)).permit_id for message in self.messages]


def unsigned(message: bytes) -> str:
    """A permit with an empty signature, to be read."""
    return f"{message.decode()}.{'A' * 86}"


class WatchedSigner:
    """A signer that writes down each use of its key before the key is used."""

    def __init__(self, inner: Signer, used: Used) -> None:
        self._inner = inner
        self._used = used
        self.uri = inner.uri
        self.algorithm = inner.algorithm
        self.public_key = inner.public_key

    async def sign(self, message: bytes) -> bytes:
        self._used.messages.append(message)
        if self._used.wait is not None:
            await self._used.wait()
        return await self._inner.sign(message)

    def sign_blocking(self, message: bytes) -> bytes:
        self._used.messages.append(message)
        return self._inner.sign_blocking(message)


class WatchedHome(Home):
    """A home whose agents' keys are watched."""

    used: Used

    def agent_signer(self, public_key: bytes) -> Signer:
        return WatchedSigner(super().agent_signer(public_key), self.used)


async def make(path: Path, policy: dict[str, Any], clock: Clock, store: str = "") -> None:
    """Found, register, approve by three, issue; everything closed again."""
    around = Surroundings(clock, SystemEntropy())
    document = path.with_name(f"{path.name}-policy.json")
    document.write_text(json.dumps(policy), encoding="utf-8")
    registration = register_document(document, clock.now_ns())
    settings = Config(issuer_name="Trial Issuer", store=StoreSettings(url=store))
    init_home(path, settings, around.entropy)
    home = await Home.open(path, around)
    try:
        people = make_people(path / "people", home.passphrase(), registration.policy)
        authority = await home.found(people)
        await authority.register_policy(registration)
        for seat in APPROVERS:
            signer = person(home, seat)
            now = clock.now_ns()
            await authority.give_approval(
                sign_approval(signer, registration.sha256, authority.roster, seat, now)
            )
        await home.issue(
            registration.policy.agent,
            registration.sha256,
            issuer_seat=ISSUER_SEAT,
            operator_seat=OPERATOR_SEAT,
        )
    finally:
        await home.close()


async def prepared(
    path: Path, policy: dict[str, Any] | None = None, clock: Clock | None = None
) -> None:
    """A home with a certified agent in the new folder ``path``: a copy of one made before."""
    at = clock or SteppedClock(MORNING)
    key = canonical({"policy": policy or POLICY, "clock": type(at).__name__}).decode()
    if isinstance(at, SteppedClock):
        key += str(at.now_ns())  # a home is as old as its certificates
    if key not in _TEMPLATES:
        folder = Path(tempfile.mkdtemp(prefix="sekisho-home-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        await make(folder / "home", policy or POLICY, at)
        _TEMPLATES[key] = folder / "home"
    shutil.copytree(_TEMPLATES[key], path)


def person(home: Home, seat: str) -> Signer:
    """The key of a person of the trial."""
    return load_person(home.path / "people" / f"{seat}.key", home.passphrase())


def venue_of(home: Home, clock: Clock, rates: StaticRates) -> PaperVenue:
    """The paper venue: another firm, which outlives the gate and knows its certificates."""
    state = home.authority.state
    trust = VenueTrust(
        name=home.config.venue,
        root=state.root_certificate,
        issuing=state.issuing_certificate,
        environments=frozenset({home.config.environment}),
    )
    return PaperVenue(trust, clock, rates, [VENUE_CREDENTIAL])


class EmbeddedWorld:
    """One open home with its gate, one agent, and the venue, which survives reopening."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self.clock = clock
        self.rates = StaticRates(clock)
        self.used = Used()
        self.home: Home
        self.gate: Gate
        self._venue: PaperVenue | None = None

    @classmethod
    async def start(
        cls, path: Path, policy: dict[str, Any] | None = None, clock: Clock | None = None
    ) -> EmbeddedWorld:
        """A new home, opened, its agent admitted."""
        clock = clock or SteppedClock(MORNING)
        await prepared(path, policy, clock)
        world = cls(path, clock)
        await world.open()
        await world.gate.admit(AGENT)
        return world

    @property
    def venue(self) -> PaperVenue:
        """The venue, as its own staff see it."""
        assert self._venue is not None
        return self._venue

    @property
    def stepped(self) -> SteppedClock:
        """The clock, where it moves by hand."""
        assert isinstance(self.clock, SteppedClock)
        return self.clock

    def quote(self) -> None:
        """Fresh, calm rates."""
        self.rates.set("EUR/USD", "1.1648", "1.165")
        self.rates.set("EUR/GBP", "0.8692", "0.8694")

    async def open(self, venues: dict[str, Venue] | None = None) -> None:
        """Open the home and its gate: recovery, lease, reconciliation."""
        self.quote()
        home = await WatchedHome.open(self.path, Surroundings(self.clock, SystemEntropy()))
        assert isinstance(home, WatchedHome)
        home.used = self.used
        self.home = home
        if self._venue is None:
            self._venue = venue_of(home, self.clock, self.rates)
            for record in home.authority.certificates(AGENT):
                self._venue.know_certificate(record.certificate)
        session = self.venue.session(VENUE_CREDENTIAL)
        self.gate = await open_gate(
            home, self.rates, {session.name: session} if venues is None else venues
        )

    async def close(self) -> None:
        """Close in good order."""
        await self.home.close()

    async def reopen(self) -> None:
        """Close in good order and open again."""
        await self.close()
        await self.open()

    async def ask(self, body: bytes) -> Answer:
        """The bot asks."""
        return await self.gate.gatekeeper.submit(AGENT, body)

    async def command(self, act: str, *seats: str) -> StatusOutcome:
        """People of these seats command something about the agent."""
        authority = self.home.authority
        signed = tuple(
            sign_command(
                person(self.home, seat),
                act,
                AGENT,
                authority,
                seat,
                "test_reason",
                self.home.around.entropy.bytes(16).hex(),
                self.clock.now_ns(),
            )
            for seat in seats
        )
        return await authority.command(signed)

    async def kill(self) -> KillReport:
        """Compliance kills the agent."""
        outcome = await self.command("kill", COMPLIANCE_SEAT)
        assert isinstance(outcome, KillReport)
        return outcome

    # -- looking -------------------------------------------------------------------------------

    def entries(self) -> list[GateEntry]:
        """Everything in the gate's log."""
        return [decode_gate_entry(data) for _, data in self.gate.log.journal.entries()]

    def decisions(self, verdict: str = "") -> list[tuple[int, Decision]]:
        """Decisions with their indexes; of one verdict, or all."""
        return [
            (index, entry)
            for index, entry in enumerate(self.entries())
            if isinstance(entry, Decision) and verdict in ("", entry.verdict)
        ]

    def permits(self) -> dict[int, str]:
        """Decision → its permit, from the gate's log."""
        return {e.decision: e.permit for e in self.entries() if isinstance(e, PermitSigned)}

    def log_keys(self) -> dict[str, VerifierKey]:
        """What verifies each log, by its folder."""
        return {name: journal.log_key for name, journal in self.home.journals.items()}


def read_folder(folder: Path, key: VerifierKey) -> list[bytes]:
    """Verify a log's published folder as a stranger; its entries."""
    return read_log(lambda path: (folder / path).read_bytes(), key)[1]


def altered(jws: str, **changes: Any) -> str:
    """The permit with fields of its payload changed, under the signature that it had."""
    found = msgspec.structs.replace(read_permit(jws), **changes)
    return assemble(signing_input(found), split(jws)[1])
