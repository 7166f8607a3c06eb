# SPDX-License-Identifier: Apache-2.0
"""One life of a gate for the fault matrix: the real services, each dependency behind a wrapper.

As in the simulation (tests/simulation/life.py), with what a gate process has besides: intake and
budget before the gatekeeper, and the round that looks at venues and clocks each second. The
wrappers write down what left the gate; they never ask the gate what it did.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from sekisho.adapters.simulated_rates import FaultyRates
from sekisho.core.errors import OutcomeUnknown, StorageFailed, Unavailable
from sekisho.core.events import GateOpened
from sekisho.core.gate.permit import read_permit
from sekisho.core.terms import format_instant
from sekisho.ports import Quotation, VenueReport
from sekisho.services.admissionbudget import AdmissionBudget
from sekisho.services.gatelog import GateLog
from sekisho.services.intake import Intake, Room
from sekisho.services.journal import Journal
from sekisho.services.ratewatch import RateWatch
from sekisho.services.release import Release
from sekisho.services.stopping import Stopping
from sekisho.services.venuewatch import VenueWatch
from tests.simulation.life import (
    ORIGIN,
    SEGMENT_BYTES,
    Parts,
    WatchedAuthority,
    WatchedKey,
    WatchedLogKey,
    WatchedVenueSession,
    admit,
    keep_publishing,
)
from tests.simulation.outside import CREDENTIAL, RESPONDER, FixedKey, read_status
from tests.unit.core.governance.samples import ROSTER

if TYPE_CHECKING:
    from tests.faults.world import FaultWorld

LINK_S = 2.0
"""So long a gate waits for an answer of the authority (docs/spec/processes.md, section 1)."""
ROUND_S = 1.0
OTHER_KEY = FixedKey(4711)
"""A key that belongs to nobody's certificate."""


class Sent(NamedTuple):
    """A permit on its way to the venue: virtual time, and the gate's wall clock, both ns."""

    permit: str
    at_ns: int
    wall_ns: int


@dataclass(frozen=True)
class Makings(Parts):
    """The classes that a gate is made of; a planted defect exchanges one."""

    release: type[Release] = Release
    venue_watch: type[VenueWatch] = VenueWatch


class ChangeableKey(FixedKey):
    """The agent's key; another one signs in its place while the world says so."""

    def __init__(self, world: FaultWorld, number: int) -> None:
        super().__init__(number)
        self._world = world

    def sign_blocking(self, message: bytes) -> bytes:
        if self._world.wrong_key:
            return OTHER_KEY.sign_blocking(message)
        return super().sign_blocking(message)


class TimedLink(WatchedAuthority):
    """The authority over a connection that gives up in time."""

    async def _cut(self, point: str) -> None:
        fault = await self._world.reach(point)
        if fault == "frozen":
            await self._world.clock.sleep(LINK_S)
        if fault:
            raise Unavailable("the authority does not answer")


class Feed:
    """The market's quotations as the feed tells them."""

    def __init__(self, world: FaultWorld) -> None:
        self._world = world
        self._faulty = world.feed_faults = FaultyRates(world.market)

    async def quotations(self, pairs: tuple[str, ...]) -> tuple[Quotation, ...]:
        world = self._world
        await world.reach("rates.quotations:before")
        world.feed()
        found = await self._faulty.quotations(pairs)
        if world.garbled:
            return tuple(msgspec.structs.replace(one, bid="NaN") for one in found)
        return found


class DoubtfulSession(WatchedVenueSession):
    """The venue as this gate reaches it: cut, slow, or answering what is not so.

    Whatever it answers, the venue's own book stays what it is.
    """

    def __init__(self, world: FaultWorld, log: GateLog) -> None:
        super().__init__(world, log, world.venue.session(CREDENTIAL))
        self._at = world
        self._told = 0

    async def submit(self, permit: str) -> tuple[Any, ...]:
        world = self._at
        world.sent.append(Sent(permit, world.loop.now_ns, world.clock.now_ns()))
        if world.struck("venue.down"):
            await world.reach("venue.submit:before")
            raise Unavailable("no connection to the venue")
        reports = await super().submit(permit)
        if world.struck("venue.down") or world.lie == "never saw it":
            raise OutcomeUnknown("the connection broke before an answer")
        if world.lie == "fills above the quantity":
            reports = (*reports, self._trade(permit))
        return reports

    async def cancel(self, agent: str, client_order_id: str) -> tuple[Any, ...]:
        self._reachable()
        if self._at.lie == "cancels in words only":
            return (self._made_up(agent, client_order_id, "canceled"),)
        if self._at.denies:
            return (self._made_up(agent, client_order_id, "not_found"),)
        return await super().cancel(agent, client_order_id)

    async def open_orders(self, agent: str) -> tuple[str, ...]:
        self._reachable()
        found = await super().open_orders(agent)
        return tuple(one for one in found if not self._hidden(agent, one))

    async def order_reports(self, agent: str, client_order_id: str) -> tuple[Any, ...]:
        self._reachable()
        if self._hidden(agent, client_order_id):
            await self._ask("order_reports")
            return (self._made_up(agent, client_order_id, "not_found"),)
        return await super().order_reports(agent, client_order_id)

    async def reports_since(self, sequence: int) -> tuple[int, tuple[Any, ...]]:
        self._reachable()
        if self._at.denies:
            await self._ask("reports_since")
            return sequence, ()
        return await super().reports_since(sequence)

    def _reachable(self) -> None:
        if self._at.struck("venue.down"):
            raise Unavailable("no connection to the venue")

    def _hidden(self, agent: str, name: str) -> bool:
        """Whether the venue denies this order: one that it took since the lie began."""
        return self._at.denies and name in {
            str(read_permit(one.permit).order["client_order_id"])
            for one in self._at.sent
            if one.at_ns >= self._at.began_ns
        }

    def _trade(self, permit: str) -> VenueReport:
        order = read_permit(permit).order
        quantity = str(int(str(order["quantity"])) * 2)
        report = self._made_up("bot", str(order["client_order_id"]), "trade")
        return msgspec.structs.replace(
            report, last_quantity=quantity, last_price="1.085", cum_quantity=quantity
        )

    def _made_up(self, agent: str, name: str, kind: Any) -> VenueReport:
        self._told += 1
        return VenueReport(
            agent=agent, client_order_id=name, venue_order_id="", exec_id=f"LIE{self._told}",
            exec_type=kind, last_quantity="0", last_price="0", cum_quantity="0",
            leaves_quantity="0", counterparty="PAPER", reason="",
            transact_at=format_instant(self._at.true_clock.now_ns()),
        )  # fmt: skip


class FaultGate:
    """The services of one life, wired as the product wires them."""

    def __init__(self, world: FaultWorld, journal: Journal, log: GateLog, boot: str) -> None:
        clock, parts = world.clock, world.makings
        self.journal, self.log, self.boot = journal, log, boot
        self._world = world
        self.release = parts.release(log, {"PAPER": DoubtfulSession(world, log)}, clock)
        self.leasing = parts.leasing(
            log,
            TimedLink(world),
            clock,
            world.entropy,
            responder_key=RESPONDER.public_key,
            read_status=read_status,
        )
        self.venue_watch = parts.venue_watch(log, self.release, clock)
        keys = {
            one.sha256: WatchedKey(world, one.sha256, ChangeableKey(world, one.key_number), boot)
            for one in world.certificates
        }
        self.gatekeeper = parts.keeper(
            log,
            self.leasing,
            RateWatch(log, Feed(world)),
            self.release,
            clock,
            keys,
            self.venue_watch,
        )
        budget = AdmissionBudget(log, clock, lambda: world.free_percent)
        self.keeper = Intake(self.gatekeeper.submit, budget, Room())
        self.stopping = Stopping(log, self.release, clock)
        self.governing = parts.governing(log, TimedLink(world), lambda: ROSTER)

    async def start(self) -> None:
        """Ask for a lease, ask the venue, then look again each second."""
        await self.leasing.ensure()
        await self._world.reconcile(self)  # type: ignore[arg-type] # it has what is asked of it
        self._world.start(self._rounds())

    async def _rounds(self) -> None:
        """What the gate process does each second; it ends with the log."""
        while self.journal.failed is None:
            await self._world.clock.sleep(ROUND_S)
            try:
                self.leasing.clocks.look()
                await self.venue_watch.reconcile()
            except (StorageFailed, OutcomeUnknown) as error:
                self._world.log_failed(error)


async def open_gate(world: FaultWorld) -> FaultGate:
    """Open the log, say so in it, admit the agent, take up what is unfinished.

    Raises:
        VerificationFailed: the log does not open.
        StorageFailed, OutcomeUnknown: the disk.
    """
    journal = await world.makings.journal.open(
        world.disk,
        origin=ORIGIN,
        signer=WatchedLogKey(world),
        clock=world.clock,
        segment_bytes_max=SEGMENT_BYTES,
    )
    log = world.makings.log(journal, world.clock)
    world.opened([data for _, data in journal.entries()])
    world.start(keep_publishing(journal, world.log_failed))
    boot = world.entropy.bytes(16).hex()
    opened = GateOpened(at=log.at(), gate="g1", boot=boot, region="eu-west-1", environment="test")
    await log.durable(log.record(opened))
    await admit(world, log)
    gate = FaultGate(world, journal, log, boot)
    await gate.start()
    return gate
