# SPDX-License-Identifier: Apache-2.0
"""One agent, two gates and their authority, on one stepped clock: moved while orders fly.

Authority and gates are the product's own, on simulated disks; each can be killed, or lose power,
and is opened anew. The links between them and to the venue delay, are cut, and lose answers. What
the agent's key signed is written down by the key itself, so that a log that was lost is not needed
to know it.
"""

from __future__ import annotations

import asyncio
import copy
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Final, TypeVar

from sekisho.adapters.rates.static import StaticRates
from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.adapters.simulated_disk import SimulatedDisk
from sekisho.adapters.simulated_entropy import SeededEntropy
from sekisho.compose.gate import Gate, GateParts
from sekisho.core.encoding import b64url, canonical
from sekisho.core.errors import OutcomeUnknown, Unavailable
from sekisho.core.events import Decision, GateEntry, Rearmed, ShutdownOrdered, decode_gate_entry
from sekisho.core.gate.permit import Permit, read_permit
from sekisho.core.terms import NS, format_instant, parse_instant
from sekisho.ports import VenueReport
from sekisho.services.agentgates import AgentGates
from sekisho.services.gatekeeper import Answer
from sekisho.services.gatelog import GateLog
from sekisho.services.journal import Journal
from sekisho.services.status import StatusPush
from sekisho.services.stopping import StopOutcome
from tests.authority_world import AGENT, NAMES, START, AuthorityWorld, signer
from tests.gate_world import ORDER
from tests.ledger_doubles import SoftwareSigner

CAP: Final = 40_000
NAMED: Final = ("g1", "g2")
ORIGINS: Final = {"g1": "log.example/gate-1", "g2": "log.example/gate-2"}
AGENT_KEY: Final = 1001
STEP_S: Final = 1.0
T = TypeVar("T")
POLICY: Final[dict[str, Any]] = {
    "scope__daily_notional_max": str(CAP),
    "scope__order_quantity_max": "none",
    "scope__price_collar": "none",
    "scope__message_rate": "none",
    "scope__position_notional_max": "none",
    "scope__concentration": "none",
    "scope__trading_hours": "none",
    "scope__market_stress": "none",
    "scope__repeated_orders": "none",
    "scope__time_zone": "UTC",
    "scope__reference_rates": {"sources": ["STATIC"]},
    "behaviour__baseline_daily_fraction": "1",
    "behaviour__without_baseline": "scope_checks",
    "risk_controls__lease_s": "10",
}


async def founded() -> AuthorityWorld:
    """An authority with a certified agent and the logs of both gates; worlds are copies of it."""
    world = await AuthorityWorld.start(clock=SteppedClock(START))
    await world.certified(**POLICY)
    for number, origin in enumerate(ORIGINS.values()):
        await world.authority.certify_log(origin, SoftwareSigner(20 + number).public_key)
    return world


@dataclass(frozen=True)
class Use:
    """The agent's key signed this permit, for this gate, at this time (ns)."""

    gate: str
    at: int
    permit: Permit

    @property
    def order_id(self) -> str:
        return str(self.permit.order["client_order_id"])


class Life:
    """One process of a gate; when it is over nothing that it began reaches anybody."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.tasks: set[asyncio.Task[Any]] = set()
        self.gate: Gate

    def keep(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if not task.cancelled():
            task.exception()  # a failed log ends what runs beside it: the world starts it anew

    @property
    def held(self) -> Any:
        """What this gate knows of the agent, or None."""
        return self.gate.log.state.agents.get(AGENT)

    def could_sign(self, now: int) -> bool:
        """Whether this gate might use the key now, by all that it knows."""
        held, lease = self.held, self.gate.log.state.lease
        if not self.alive or held is None or lease is None or held.awaits:
            return False
        named = held.certificate_sha256 in lease.status and held.status == "good"
        return bool(named and now < lease.deadline)


class Key:
    """The agent's key at one gate; each use is judged when it is asked for."""

    algorithm = "ES256"

    def __init__(self, world: TwoGates, life: Life) -> None:
        self._key = signer(AGENT_KEY)
        self.uri, self.public_key = self._key.uri, self._key.public_key
        self._world, self._life = world, life

    async def sign(self, message: bytes) -> bytes:
        permit = read_permit(f"{message.decode('ascii')}.{b64url(bytes(64))}")
        self._world.used(self._life, permit)
        await self._world.hop(self._life)
        return self._key.sign_blocking(message)

    def sign_blocking(self, message: bytes) -> bytes:
        return self._key.sign_blocking(message)


class Link:
    """The authority as one gate reaches it: slow, cut, or without the answer."""

    def __init__(self, world: TwoGates, life: Life) -> None:
        self._world, self._life = world, life

    async def _ask(self, call: Callable[[AuthorityWorld], Awaitable[T]]) -> T:
        world, life = self._world, self._life
        await world.hop(life, link=True)
        there = world.authority
        found = await call(there)
        await world.hop(life, link=True)
        if there is not world.authority:
            raise Unavailable("the authority died on the way")
        return found

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        """Calls of the same name, of the authority itself or of its desk for histories."""
        gate = self._life.name
        desks = {"give_history": "take", "history": "read", "history_taken": "taken"}

        async def call(*given: Any) -> Any:
            def there(world: AuthorityWorld) -> Awaitable[Any]:
                authority = world.authority
                if name in desks:
                    return getattr(authority.histories, desks[name])(gate, *given)
                if name == "admission":
                    return authority.admission_for(gate, *given)
                found = getattr(authority, name)
                return _at_once(found if name == "roster" else found(*given))

            return await self._ask(there)

        return call

    async def fetch_roster(self) -> Any:
        return await self.__getattr__("roster")()


async def _at_once(found: Any) -> Any:
    return await found if isinstance(found, Awaitable) else found


class Session:
    """The one venue as a gate reaches it, under the gate's own account."""

    name = "PAPER"

    def __init__(self, world: TwoGates, life: Life) -> None:
        self._world, self._life, self._venue = world, life, world.venue

    async def _hop(self) -> None:
        await self._world.hop(self._life)

    async def submit(self, permit: str) -> tuple[VenueReport, ...]:
        await self._hop()
        found = self._venue.take(self._life.name, read_permit(permit), self._world.clock.now_ns())
        await self._hop()
        if self._world.dice.randrange(12) == 0:
            raise OutcomeUnknown("the venue's answer was lost")
        return found

    async def cancel(self, _agent: str, name: str) -> tuple[VenueReport, ...]:
        await self._hop()
        found = self._venue.end(name) if self._venue.owns(self._life.name, name) else ()
        await self._hop()
        return found

    async def open_orders(self, _agent: str) -> tuple[str, ...]:
        await self._hop()
        resting = self._venue.resting
        return tuple(sorted(one for one in resting if self._venue.owns(self._life.name, one)))

    async def order_reports(self, _agent: str, name: str) -> tuple[VenueReport, ...]:
        await self._hop()
        if self._venue.owner.get(name, self._life.name) != self._life.name:
            raise Unavailable("the order is of another account")
        found = tuple(one for one in self._venue.told if one.client_order_id == name)
        if found:
            return found
        self._venue.denied.add(name)
        return (self._venue.made(name, "not_found"),)

    async def reports_since(self, sequence: int) -> tuple[int, tuple[VenueReport, ...]]:
        await self._hop()
        told = [one for one in self._venue.told if self._venue.owns(self._life.name, one)]
        return len(told), tuple(told[sequence:])


class OneVenue:
    """Takes each id once, whoever brings it, and looks at the end of its permit."""

    def __init__(self, world: TwoGates) -> None:
        self._world = world
        self.told: list[VenueReport] = []
        self.resting: dict[str, Permit] = {}
        self.owner: dict[str, str] = {}
        self.denied: set[str] = set()

    def owns(self, gate: str, of: str | VenueReport) -> bool:
        """Whether an order, or a report, is of this gate's account."""
        name = of if isinstance(of, str) else of.client_order_id
        return self.owner.get(name) == gate

    def made(self, name: str, kind: Any, quantity: str = "0", price: str = "0") -> VenueReport:
        return VenueReport(
            agent=AGENT,
            client_order_id=name,
            venue_order_id=f"V-{name}",
            exec_id=f"E{len(self.told)}" if kind != "not_found" else f"none-{name}",
            exec_type=kind,
            last_quantity=quantity,
            last_price=price,
            cum_quantity=quantity,
            leaves_quantity="0",
            counterparty="PAPER",
            reason="",
            transact_at=format_instant(self._world.clock.now_ns()),
        )

    def _tell(self, name: str, *told: Any) -> tuple[VenueReport, ...]:
        self.told.append(self.made(name, *told))
        return (self.told[-1],)

    def take(self, gate: str, permit: Permit, now: int) -> tuple[VenueReport, ...]:
        name = str(permit.order["client_order_id"])
        if name in self.owner:
            self._world.findings.append(f"{name}: brought to the venue twice")
            return ()
        self.owner[name] = gate
        if name in self.denied or now >= parse_instant(permit.expires_at):
            return self._tell(name, "rejected")
        self.resting[name] = permit
        return self._tell(name, "new")

    def end(self, name: str) -> tuple[VenueReport, ...]:
        gone = self.resting.pop(name, None)
        return () if gone is None else self._tell(name, "canceled")

    def fill(self, name: str) -> None:
        """All of a resting order is executed."""
        order = self.resting.pop(name).order
        self._tell(name, "trade", str(order["quantity"]), str(order["price"]))


class TwoGates:
    """The world of one seed."""

    def __init__(self, seed: int, authority: AuthorityWorld) -> None:
        self.dice = Random(f"two gates {seed}")
        self.clock = authority.clock
        self.authority = authority
        self.venue = OneVenue(self)
        self.disks = {name: SimulatedDisk() for name in NAMED}
        self.lives: dict[str, Life] = {}
        self.cut: set[str] = set()
        self.uses: list[Use] = []
        self.findings: list[str] = []
        self.latched: set[str] = set()
        self.lost_day = -1
        self.ids_from = ""
        self.gone = ""
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, set[str]] = defaultdict(set)
        self.counted: dict[str, int] = defaultdict(int)
        self.flying: set[asyncio.Task[Any]] = set()
        self.buried: set[asyncio.Task[Any] | None] = set()
        self._boots = 0

    @classmethod
    async def start(cls, seed: int, template: AuthorityWorld) -> TwoGates:
        clock = SteppedClock(START + 3600 * NS)
        copied = AuthorityWorld(template.authority, clock, copy.deepcopy(template.disk))
        world = cls(seed, await copied.again())
        world._open_authority()
        for name in NAMED:
            await world.start_gate(name)
        return world

    # -- what everybody awaits -----------------------------------------------------------------

    async def hop(self, life: Life, *, link: bool = False) -> None:
        """One way over the network: takes a moment, is cut, or ends in a process that is over."""
        await self.clock.sleep(self.dice.choice((0, 0, 0, 0.01, 0.2)))
        if not life.alive:
            self.buried.add(asyncio.current_task())
            await asyncio.Event().wait()
        if link and life.name in self.cut:
            raise Unavailable("the link is cut")

    async def play(self, seconds: float) -> None:
        await self.clock.play(seconds)

    def used(self, life: Life, permit: Permit) -> None:
        """The key is about to sign: judge by what is so now."""
        now, use = self.clock.monotonic_ns(), Use(life.name, self.clock.now_ns(), permit)
        for other in self.lives.values():
            if other is not life and other.name != life.name and other.could_sign(now):
                self.findings.append(f"{use.order_id}: both gates could sign")
        if not life.could_sign(now):
            self.findings.append(f"{use.order_id}: signed by {life.name}, which may not")
        if self.latched:
            self.findings.append(f"{use.order_id}: signed under the latches {self.latched}")
        if use.at // (86_400 * NS) <= self.lost_day:
            self.findings.append(f"{use.order_id}: signed on the day of a lost history")
        if not use.order_id.startswith(self.ids_from):
            self.findings.append(f"{use.order_id}: an id of before the history was lost")
        self.uses.append(use)

    # -- processes -----------------------------------------------------------------------------

    def _open_authority(self) -> None:
        authority = self.authority.authority
        authority.histories.keep_in(self.authority.disk)
        for name in NAMED:
            authority.on_status(self._listener(name, authority.gates))

    def _listener(self, name: str, gates: AgentGates) -> Any:
        async def listen(push: StatusPush) -> StopOutcome | None:
            life = self.lives.get(name)
            if life is None or not life.alive or not gates.concerned(name, push):
                return None
            await self.hop(life, link=True)
            told = await life.gate.on_status(push)
            await self.hop(life, link=True)
            return told

        return listen

    async def restart_authority(self) -> None:
        """It dies, with or without the machine, and is opened on what its disk has."""
        old = self.authority
        disk = old.disk.crash(self.dice) if self.dice.randrange(2) else old.disk.kill()
        self.counted["authority restarted"] += 1
        self.authority = await old.again(disk)
        self._open_authority()

    async def start_gate(self, name: str) -> None:
        disk, life = self.disks[name], Life(name)
        number = NAMED.index(name)
        journal = await Journal.open(
            disk, origin=ORIGINS[name], signer=SoftwareSigner(20 + number), clock=self.clock
        )
        self._boots += 1
        state, rates = self.authority.authority.state, StaticRates(self.clock)
        rates.set("EUR/USD", "1.0849", "1.0851")
        parts = GateParts(
            gate=name,
            region="eu-west-1",
            environment="test",
            clock=self.clock,
            entropy=SeededEntropy(f"boot {self._boots}".encode()),
            authority=Link(self, life),  # type: ignore[arg-type] # answers by name
            root=state.root_certificate,
            issuing=state.issuing_certificate,
            responder=state.responder_certificate,
            roster_sha256=state.roster_sha256,
            arc=NAMES.arc,
            agent_signer=lambda _: Key(self, life),
            keep=life.keep,
            free_percent=lambda: 90,
        )
        life.gate = Gate(parts, GateLog(journal, self.clock), rates, {"PAPER": Session(self, life)})
        self.lives[name] = life
        life.keep(self._live(life, rates))

    async def _live(self, life: Life, rates: StaticRates) -> None:
        """As the process does: start, then ask the authority again and again."""
        await life.gate.start()
        told = -1
        while True:
            rates.set("EUR/USD", "1.0849", "1.0851")
            for step in (life.gate.leasing.ensure, self._admit(life), life.gate.histories.step):
                try:
                    await step()
                except Unavailable:
                    life.gate.log.require_sound()
                except Exception as error:  # noqa: BLE001 - what a process only tells of
                    self.counted[type(error).__name__] += 1
                    life.gate.log.require_sound()
            told = await self._told_again(life, told)
            await self.clock.sleep(STEP_S)

    def _admit(self, life: Life) -> Callable[[], Awaitable[Any]]:
        async def admit() -> None:
            if life.held is None or life.held.status != "good":
                await life.gate.admit(AGENT)

        return admit

    async def _told_again(self, life: Life, told: int) -> int:
        """A gate that connects again is told of the move away that it has not confirmed."""
        authority, name = self.authority.authority, life.name
        held = authority.state.assigned.get(AGENT)
        left = None if held is None else held.left.get(name)
        if left is None or left.epoch <= told or name in self.cut or life.held is None:
            return told
        report = await life.gate.on_status(authority.gates.push_of(AGENT, name))
        if report is not None and report.complete and life.alive:
            self.authority.authority.gates.stopped(name, AGENT, left.epoch)
            return left.epoch
        return told

    def kill_gate(self, name: str) -> None:
        """SIGKILL or power loss."""
        life = self.lives.pop(name, None)
        if life is None:
            return
        life.alive = False
        for task in list(life.tasks):
            task.cancel()
        disk = self.disks[name]
        self.disks[name] = disk.crash(self.dice) if self.dice.randrange(2) else disk.kill()
        self.counted["gate killed"] += 1

    # -- what is asked -------------------------------------------------------------------------

    def fly(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.ensure_future(work)
        self.flying.add(task)
        task.add_done_callback(self._landed)

    def _landed(self, task: asyncio.Task[Any]) -> None:
        self.flying.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.counted[f"{type(error).__name__}"] += 1

    async def ask(self, name: str, gate: str, **changes: Any) -> Answer | None:
        """The bot asks one gate; None when nobody is there."""
        return await self.plain(gate, ORDER | {"client_order_id": name} | changes)

    async def plain(self, gate: str, asked: dict[str, Any]) -> Answer | None:
        """The same for a request as it is."""
        life = self.lives.get(gate)
        if life is None:
            return None
        name, body = str(asked["client_order_id"]), canonical(asked)
        answer = await life.gate.gatekeeper.submit(AGENT, body)
        if life.alive:
            self.counted[answer.kind] += 1
            self.answers[name].add(answer.kind)
        return answer

    def latch(self) -> None:
        """A person leaves cancels alone to the agent, at a gate that has it whole."""
        for life in self.lives.values():
            if not self.latched and life.could_sign(self.clock.monotonic_ns()):
                self.fly(self._latch(life))

    async def _latch(self, life: Life) -> None:
        log = life.gate.log
        ordered = ShutdownOrdered(
            at=log.at(), agent=AGENT, mode="cancel_only", seats=("a",), commands=()
        )
        await log.durable(log.record(ordered))
        if life.alive and not life.held.awaits:
            self.latched.add("shutdown")
            self.counted["latched"] += 1

    async def rearm(self) -> None:
        """Two people take every latch off, at the gate that has the agent whole."""
        for life in list(self.lives.values()):
            if self.latched and life.could_sign(self.clock.monotonic_ns()):
                log = life.gate.log
                for latch in sorted(life.held.latches):
                    seats: Any = {"seats": ("a", "b"), "commands": ()}
                    index = log.record(Rearmed(at=log.at(), agent=AGENT, latch=latch, **seats))
                    await log.durable(index)
                if life.alive:
                    self.latched.clear()
                    self.counted["re-armed"] += 1

    async def move(self, gate: str, **lost: Any) -> None:
        """An operator, and compliance where a history is lost."""
        world = self.authority
        epoch = world.authority.state.agent_epoch(AGENT)
        seats = ["gate_runner", "compliance_lead"][: 1 + bool(lost)]
        signed = [world.signed("assign", who, gate=gate, epoch=epoch, **lost) for who in seats]
        outcome = await world.authority.assign(tuple(signed))
        if outcome.recorded:
            self.counted["lost" if lost else "moved"] += 1
        if outcome.recorded and lost:
            self.lost_day = self.clock.now_ns() // (86_400 * NS)
            self.latched = {"circuit_breaker"}

    # -- afterwards ----------------------------------------------------------------------------

    def entries(self, gate: str) -> Iterator[tuple[bytes, GateEntry]]:
        """A gate's log, if it is not lost."""
        if gate in self.lives:
            for _, data in self.lives[gate].gate.log.journal.entries():
                yield data, decode_gate_entry(data)

    def permitted(self) -> Iterator[Decision]:
        """Every permitted new order of both logs."""
        for gate in NAMED:
            for _, entry in self.entries(gate):
                if isinstance(entry, Decision) and entry.verdict == "permitted" and entry.notional:
                    yield entry

    async def end(self) -> None:
        """Nothing runs any more."""
        for name in list(self.lives):
            life = self.lives[name]
            life.alive = False
            for task in list(life.tasks):
                task.cancel()
        for task in [*self.flying, *(one for one in self.buried if one is not None)]:
            task.cancel()
        await asyncio.sleep(0)
