# SPDX-License-Identifier: Apache-2.0
"""One life of a gate: the real services, with every port wrapped so that the world can intervene.

A wrapper awaits a numbered point before and after what it passes on. At a point the world may
delay, fail, or end the process; after that nothing of this life runs, and a new one opens over what
the disk kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from sekisho.adapters.venues.paper import PaperSession
from sekisho.core.encoding import b64, b64url, sha256_hex
from sekisho.core.errors import OutcomeUnknown, StorageFailed, Unavailable
from sekisho.core.events import AgentAdmitted, GateOpened
from sekisho.core.gate.permit import read_permit
from sekisho.core.governance.commands import SignedCommand
from sekisho.ports import IncidentReport, LeaseGranted, LeaseRequest, Quotation
from sekisho.services.gatekeeper import Gatekeeper
from sekisho.services.gatelog import GateLog
from sekisho.services.governing import Governing
from sekisho.services.incidentwatch import IncidentWatch
from sekisho.services.journal import Journal
from sekisho.services.leasing import Leasing
from sekisho.services.ratewatch import RateWatch
from sekisho.services.release import Release
from sekisho.services.stopping import Stopping
from sekisho.services.venuewatch import VenueWatch
from tests.ledger_doubles import SoftwareSigner
from tests.simulation.loop import never
from tests.simulation.outside import (
    BEGIN,
    CREDENTIAL,
    END,
    RESPONDER,
    FixedKey,
    Lifted,
    Locked,
    read_status,
)
from tests.simulation.records import KeyUse, Submission, fits
from tests.unit.core.governance.samples import ROSTER

if TYPE_CHECKING:
    from tests.simulation.stage import Stage
    from tests.simulation.world import World

ORIGIN = "gate.example/g1"
SEGMENT_BYTES = 24_000
"""Small, so that a seed begins several segments."""


@dataclass(frozen=True)
class Parts:
    """The classes that a gate is made of; a planted bug exchanges one."""

    journal: type[Journal] = Journal
    log: type[GateLog] = GateLog
    keeper: type[Gatekeeper] = Gatekeeper
    leasing: type[Leasing] = Leasing
    incident_watch: type[IncidentWatch] = IncidentWatch
    governing: type[Governing] = Governing


class WatchedKey:
    """The agent's key behind the ``Signer`` port; each use is written down when it is asked for."""

    algorithm = "ES256"

    def __init__(self, world: World, certificate_sha256: str, key: FixedKey, boot: str) -> None:
        self.uri = key.uri
        self.public_key = key.public_key
        self._world = world
        self._certificate = certificate_sha256
        self._key = key
        self._boot = boot

    async def sign(self, message: bytes) -> bytes:
        world = self._world
        permit = read_permit(f"{message.decode('ascii')}.{b64url(bytes(64))}")
        durable = fits(world.look(), permit)
        seen = world.seen
        use = KeyUse(seen.tick(), world.loop.now_ns, self._boot, self._certificate, permit, durable)
        seen.key_uses.append(use)
        fault = await world.reach("signer.sign:before")
        if fault == "down":
            raise Unavailable("the key service does not answer")
        if fault == "hangs":
            await never()
        signature = self._key.sign_blocking(message if not fault else b"something else")
        if not fault:
            use.signatures.append(signature)
        if await world.reach("signer.sign:after") == "lost_answer":
            raise OutcomeUnknown("the key service did not answer in time")
        return signature

    def sign_blocking(self, message: bytes) -> NoReturn:
        raise NotImplementedError("the gate signs on its event loop")


class WatchedLogKey(SoftwareSigner):
    """The key of the gate's log."""

    def __init__(self, world: Stage) -> None:
        super().__init__(7)
        self._world = world

    async def sign(self, message: bytes) -> bytes:
        if await self._world.reach("log_signer.sign:before") == "down":
            raise Unavailable("the log's key does not answer")
        return self.sign_blocking(message)


class WatchedVenueSession:
    """The venue as this gate reaches it."""

    name = "PAPER"

    def __init__(self, world: World, log: GateLog, session: PaperSession) -> None:
        self._world = world
        self._log = log
        self._session = session

    async def submit(self, permit: str) -> tuple[Any, ...]:
        world, payload = self._world, read_permit(permit)
        held = self._log.state.agents[payload.agent]
        reserved = held.find(str(payload.order["client_order_id"])) is not None
        submission = Submission(
            world.seen.tick(), payload.certificate_sha256, payload.permit_id, reserved
        )
        world.seen.submissions.append(submission)
        faults = world.venue.faults
        fault = await world.reach("venue.submit:before", lambda: world.venue.delay(permit))
        if fault == "down":
            raise Unavailable("no connection to the venue")
        if fault:
            faults.submits.append(fault)  # type: ignore[arg-type] # named like the venue's own
        reports = await self._session.submit(permit)
        await world.reach("venue.submit:after")
        return reports

    async def cancel(self, agent: str, client_order_id: str) -> tuple[Any, ...]:
        world = self._world
        fault = await world.reach("venue.cancel:before")
        if fault == "down":
            raise Unavailable("no connection to the venue")
        if fault:
            world.venue.faults.cancels.append(fault)  # type: ignore[arg-type] # as above
        reports = await self._session.cancel(agent, client_order_id)
        await world.reach("venue.cancel:after")
        return reports

    async def open_orders(self, agent: str) -> tuple[str, ...]:
        await self._ask("open_orders")
        return await self._session.open_orders(agent)

    async def order_reports(self, agent: str, client_order_id: str) -> tuple[Any, ...]:
        await self._ask("order_reports")
        return await self._session.order_reports(agent, client_order_id)

    async def reports_since(self, sequence: int) -> tuple[int, tuple[Any, ...]]:
        await self._ask("reports_since")
        return await self._session.reports_since(sequence)

    async def _ask(self, operation: str) -> None:
        fault = await self._world.reach(f"venue.{operation}:before")
        if fault == "down":
            raise Unavailable("no connection to the venue")
        if fault:
            raise OutcomeUnknown("the venue's answer was lost")


class WatchedAuthority:
    """The authority over a network."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def last_seen(self, gate: str) -> int:
        await self._cut("authority.last_seen:before")
        return self._world.authority.seen[0]

    async def lease(self, request: LeaseRequest) -> LeaseGranted:
        await self._cut("authority.lease:before")
        world, authority = self._world, self._world.authority
        granted = authority.lease(request, world.loop.now_ns)
        epoch, good = authority.epoch, authority.grants[-1].good
        if await world.reach("authority.lease:after"):
            raise Unavailable("the connection broke before the answer")
        world.seen.goods += [(world.seen.tick(), name, epoch) for name in sorted(good)]
        return granted

    async def report_incident(self, report: IncidentReport) -> None:
        """Tell of an incident; a hold that it brings is pushed, and the push may be lost."""
        await self._cut("authority.report_incident:before")
        world = self._world
        if world.deaf:
            raise Unavailable("the authority takes no incidents")
        held = world.authority.report_incident(report)
        if held and world.gate is not None and world.dice.randrange(4):
            world.stop(report.certificate_sha256, "hold", world.authority.epoch, "automatic_hold")
        if await world.reach("authority.report_incident:after"):
            raise Unavailable("the connection broke before the answer")

    async def go_live(
        self, signed: tuple[SignedCommand, ...], *, origin: str, complete: bool
    ) -> Locked:
        """Lock a baseline."""
        assert origin == ORIGIN
        await self._cut("authority.govern:before")
        locked = self._world.authority.go_live(signed, complete=complete)
        if await self._world.reach("authority.govern:after"):
            raise Unavailable("the connection broke before the answer")
        return locked

    async def authorise_rearm(self, signed: tuple[SignedCommand, ...]) -> Lifted:
        """Record that people take a latch off."""
        await self._cut("authority.govern:before")
        lifted = self._world.authority.authorise_rearm(signed)
        if await self._world.reach("authority.govern:after"):
            raise Unavailable("the connection broke before the answer")
        return lifted

    async def _cut(self, point: str) -> None:
        if await self._world.reach(point) or self._world.cut_off:
            raise Unavailable("the authority does not answer")


class WatchedRates:
    """The market's quotations over a network."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def quotations(self, pairs: tuple[str, ...]) -> tuple[Quotation, ...]:
        if await self._world.reach("rates.quotations:before"):
            raise Unavailable("the rate source does not answer")
        self._world.feed()
        return await self._world.market.quotations(pairs)


class Gate:
    """The services of one life, wired as the product wires them."""

    def __init__(self, world: World, journal: Journal, log: GateLog, boot: str) -> None:
        clock, parts = world.clock, world.parts
        self.journal = journal
        self.log = log
        self._world = world
        session = WatchedVenueSession(world, log, world.venue.session(CREDENTIAL))
        link = WatchedAuthority(world)
        self.release = Release(log, {"PAPER": session}, clock)
        self.leasing = parts.leasing(
            log,
            link,
            clock,
            world.entropy,
            responder_key=RESPONDER.public_key,
            read_status=read_status,
        )
        keys = {
            one.sha256: WatchedKey(world, one.sha256, FixedKey(one.key_number), boot)
            for one in world.certificates
        }
        self.venue_watch = VenueWatch(log, self.release, clock)
        self.keeper = parts.keeper(
            log,
            self.leasing,
            RateWatch(log, WatchedRates(world)),
            self.release,
            clock,
            keys,
            self.venue_watch,
        )
        self.stopping = Stopping(log, self.release, clock)
        self.incident_watch = parts.incident_watch(log, self.stopping, link, clock)
        self.governing = parts.governing(log, link, lambda: ROSTER)

    async def start(self) -> None:
        """Ask for a lease, ask the venue, take up what an earlier life left unfinished."""
        await self.leasing.ensure()
        await self._world.reconcile(self)
        lock, held = self._world.authority.locked, self.log.state.agents["bot"]
        if lock is not None and not held.baseline_sha256:
            await self.governing.adopt("bot", lock.baseline_sha256, lock.index)
        self.incident_watch.start()


async def open_gate(world: World) -> Gate:
    """Open the log, say so in it, admit the agent, and take up what is unfinished.

    Raises:
        VerificationFailed: the log does not open; with honest disks that is a defect.
        StorageFailed, OutcomeUnknown: the disk; start again.
    """
    journal = await world.parts.journal.open(
        world.disk,
        origin=ORIGIN,
        signer=WatchedLogKey(world),
        clock=world.clock,
        segment_bytes_max=SEGMENT_BYTES,
    )
    log = world.parts.log(journal, world.clock)
    log.on_incident(world.crossed)
    world.opened([data for _, data in journal.entries()])
    world.start(keep_publishing(journal, world.log_failed))
    boot = world.entropy.bytes(16).hex()
    opened = GateOpened(at=log.at(), gate="g1", boot=boot, region="eu-west-1", environment="test")
    await log.durable(log.record(opened))
    await admit(world, log)
    gate = Gate(world, journal, log, boot)
    await gate.start()
    return gate


async def admit(world: World, log: GateLog) -> None:
    """Take the agent under its newest certificate, if that is news."""
    newest, held = world.certificates[-1], log.state.agents.get("bot")
    if held is None or held.certificate_sha256 != newest.sha256:
        entry = AgentAdmitted(
            at=log.at(),
            agent="bot",
            certificate=b64(newest.der),
            certificate_sha256=sha256_hex(newest.der),
            serial_number=newest.serial_number,
            not_before=BEGIN,
            not_after=END,
            policy=world.policy,
            policy_sha256=world.policy_sha256,
            authority_index=0,
        )
        await log.durable(log.record(entry))


async def keep_publishing(journal: Journal, failed: Callable[[Exception], None]) -> None:
    """Publish checkpoints when due, until the journal fails."""
    try:
        await journal.run()
    except (StorageFailed, OutcomeUnknown) as error:
        failed(error)
