# SPDX-License-Identifier: Apache-2.0
"""The world around a gate, driven by one seed: time, disk, keys, market, venue, people, deaths.

The world is outside of every process: it acts between runs of the event loop and looks at disk,
venue and authority directly. What happens is hashed into a trace; the same seed gives the same one.
"""

from __future__ import annotations

import copy
import hashlib
from asyncio import Task
from collections.abc import Callable
from functools import cache
from random import Random
from typing import Any

from sekisho.adapters.rates.static import StaticRates
from sekisho.adapters.simulated_disk import SimulatedDisk
from sekisho.adapters.simulated_entropy import SeededEntropy
from sekisho.core.encoding import canonical, sha256_hex
from sekisho.core.errors import OutcomeUnknown, SekishoError, StorageFailed, VerificationFailed
from sekisho.core.identity.scope_extension import scope_json
from sekisho.core.terms import parse_instant
from sekisho.services.gatelog import GateLog
from tests.gate_world import POLICY
from tests.simulation.faults import DEATHS, FaultPlan
from tests.simulation.life import Gate, Parts, keep_publishing, open_gate
from tests.simulation.loop import NS, PROCESS, Process, WorldClock, never, new_loop
from tests.simulation.outside import SmallAuthority, WatchedVenue, certify
from tests.simulation.records import Ask, DurableLog, Replay, Seen, Stop

LEASE_S = 15
CAPS = (60_000, 150_000, 600_000)
"""Daily caps that a seed may have."""
ORDER_MAX = "25000"
_STARTS = ("2026-05-15T09:00:00.000000000Z", "2026-05-15T23:59:20.000000000Z")
_LAG_NS = {
    "disk.sync": (100_000, 900_000),
    "disk.sync_folder": (100_000, 900_000),
    "signer.sign": (50_000, 2_000_000),
    "venue": (300_000, 6_000_000),
    "authority": (2_000_000, 30_000_000),
    "rates": (100_000, 3_000_000),
}


@cache
def policy_with(cap: int) -> tuple[dict[str, Any], str]:
    """The policy of a seed, with its digest: a daily cap, a latch, no hours."""
    policy = copy.deepcopy(POLICY)
    policy |= {"operator": {"name": "Example Trading", "lei": "0" * 20}, "version": 1}
    policy["scope"] |= {
        "order_notional_max": ORDER_MAX,
        "daily_notional_max": str(cap),
        "trading_hours": "none",
        "consecutive_failures_max": 4,
        "message_rate": {"count_max": 40, "window_s": 10},
        "repeated_orders": {"count_max": 6, "window_s": 5},
    }
    return policy, sha256_hex(canonical(policy))


class World:
    """Everything that a seed moves."""

    def __init__(
        self, seed: int, *, parts: Parts | None = None, crash_at: int = 0, quiet: bool = False
    ) -> None:
        self.dice = Random(f"world {seed}")
        self.parts = parts or Parts()
        self.plan = FaultPlan(self.dice, crash_at=crash_at, quiet=quiet)
        shuffled = self.dice.random() < 0.5 and not quiet
        self.loop = new_loop(Random(f"loop {seed}") if shuffled else None)
        start = parse_instant(_STARTS[0 if quiet else self.dice.randrange(len(_STARTS))])
        self.true_clock = WorldClock(self.loop, start)
        self.clock = WorldClock(self.loop, start)
        self.entropy = SeededEntropy(str(seed).encode())
        self.market = StaticRates(self.true_clock)
        self.mids = {"EUR/USD": 10_850, "EUR/GBP": 8_501}
        self.feed_state = "live"
        self.feed(force=True)
        self.seen = Seen()
        self.authority = SmallAuthority(self.true_clock, LEASE_S)
        self.cut_off = False
        self.venue = WatchedVenue(self.true_clock, self.market, self.seen.tick)
        self.cap = CAPS[-1 if quiet else self.dice.randrange(len(CAPS))]
        self.policy, self.policy_sha256 = policy_with(self.cap)
        self.certificates = []  # type: list[Any]
        self.certify()
        self.disk = SimulatedDisk(point=self._disk_point)
        self.gate: Gate | None = None
        self.process: Process | None = None
        self.death = ""
        self.lives = 0
        self.deaths = 0
        self.stop_tasks: list[Task[None]] = []
        self._durable = DurableLog()
        self.replay = Replay()
        self._hash = hashlib.sha256()

    # -------------------------------------------------------------------------------- looking

    def note(self, text: str) -> None:
        """Write a line into the trace."""
        self._hash.update(f"{self.loop.now_ns} {text}\n".encode())

    def trace(self) -> str:
        """The hash of all that happened, and of the durable log."""
        whole = self._hash.copy()
        whole.update(self.look().tree.root())
        return whole.hexdigest()

    def look(self) -> Replay:
        """The replay of what is durable at this instant."""
        self.replay.advance(self._durable.entries(self.disk))
        return self.replay

    def state(self) -> str:
        """What the gate is at, in a word: for the coverage."""
        gate = self.gate
        if gate is None:
            return "starting"
        if gate.log.journal.failed is not None:
            return "failed"
        held, lease = gate.log.state.agents["bot"], gate.log.state.lease
        if any(stop.ended == 0 for stop in self.seen.stops[-1:]):
            return "stopping"
        if held.status != "good":
            return held.status
        if lease is None or self.clock.monotonic_ns() >= lease.deadline:
            return "no_lease"
        return "latched" if held.latches else "trading"

    # ------------------------------------------------------------------------------- the points

    async def reach(self, point: str, under_way: Callable[[], None] | None = None) -> str:
        """A point of a port: wait a little, perhaps die, perhaps be slow; else the fault's name.

        Args:
            point: its name.
            under_way: what has perhaps left already when the process dies here.
        """
        process = PROCESS.get()
        if process is None or not process.alive:
            await never()
        self.plan.state = self.state()
        fault = self.plan.draw(point)
        self.note(f"{point} {fault}")
        if fault in DEATHS:
            if under_way is not None and self.dice.randrange(2):
                under_way()
            self.die(fault)
            await never()
        if fault == "slow":
            await self.true_clock.sleep(self.plan.slow_s())
            return ""
        name, _, when = point.partition(":")
        lag = _LAG_NS.get(name) or _LAG_NS.get(name.partition(".")[0])
        if lag is not None and when == "before":
            await self.true_clock.sleep(self.dice.randrange(*lag) / NS)
        return fault

    async def _disk_point(self, name: str) -> None:
        operation, _, place = name.partition(" ")
        path, _, when = place.rpartition(":")
        fault = await self.reach(f"disk.{operation}:{when}")
        if fault == "disk_full":
            self.disk.free_bytes = self.dice.randrange(300)
        elif fault:
            self.disk.fail(operation, path, persisted=fault == "sync_error_persisted")

    # -------------------------------------------------------------------------- lives and deaths

    def die(self, death: str) -> None:
        """The gate's process ends at this instant."""
        if self.process is not None and self.process.alive:
            self.note(death)
            self.loop.kill(self.process)
            self.loop.interrupted = True
            self.death = death

    def bury(self) -> None:
        """Drop the memory of the dead life; the disk becomes what the next one finds."""
        power_loss = self.death == DEATHS[0]
        self.loop.interrupted = False
        self.loop.bury()
        self.death, self.gate, self.process = "", None, None
        self.deaths += 1
        self.stop_tasks = []
        for ask in self.seen.asks:
            ask.over = True
        for stop in self.seen.stops:
            stop.ended = stop.ended or self.seen.tick()
        if power_loss:
            self.disk = self.disk.crash(self.dice)
            self.clock.boot()
        else:
            self.disk = self.disk.kill()
        self.look()

    def open(self) -> None:
        """Begin lives until one of them serves; after some attempts nothing hinders it."""
        for attempt in range(12):
            if self.gate is None:
                self._begin_life(calm=attempt > 5)
        if self.gate is None:
            self.seen.failures.append("the gate does not open although nothing is wrong")

    def _begin_life(self, *, calm: bool) -> None:
        before, self.plan.calm = self.plan.calm, self.plan.calm or calm
        self.lives += 1
        self.process = Process(f"gate {self.lives}")
        task = self.loop.spawn(self.process, self._live())
        self.run(120, task.done)
        self.plan.calm = before
        if self.gate is None:
            self._end_life()

    def _end_life(self) -> None:
        """The process that could not open its log is ended, unless it died by itself."""
        if self.process is not None:
            self.die(DEATHS[1])
            self.bury()

    async def _live(self) -> None:
        try:
            gate = await open_gate(self)
        except VerificationFailed as error:
            self.seen.failures.append(f"the log does not open: {error}")
            return
        except (StorageFailed, OutcomeUnknown) as error:
            self.note(f"not opened: {type(error).__name__}")
            return
        self.gate = gate
        process = PROCESS.get()
        assert process is not None
        self.loop.spawn(process, keep_publishing(gate.log.journal, self._log_failed))
        await self.reconcile(gate)

    async def reconcile(self, gate: Gate) -> None:
        """The gate asks the venue what it does not know."""
        try:
            await gate.release.reconcile()
        except (StorageFailed, OutcomeUnknown) as error:
            self._log_failed(error)

    def _log_failed(self, error: Exception) -> None:
        self.note(f"the log failed: {type(error).__name__}")

    def opened(self, log: GateLog) -> None:
        """A life has read its log: it must know exactly what is durable."""
        known = [data for _, data in log.journal.entries()]
        if known != self.look().raw:
            self.seen.failures.append("the log that was opened is not what is durable")

    def run(self, seconds: float, done: Callable[[], bool] = lambda: False) -> None:
        """Let things happen for at most so long; a death ends it and is cleared away."""
        self.loop.run(self.loop.now_ns + round(seconds * NS), done)
        if self.process is not None:
            self.seen.failures += self.process.failures()
        if self.death:
            self.bury()

    # ------------------------------------------------------------------------- what people do

    def certify(self) -> None:
        """A certificate of the next generation under the same policy."""
        generation = len(self.certificates) + 1
        made = certify(generation, scope_json(self.policy), self.policy_sha256)
        self.certificates.append(made)
        self.authority.certificates[made.sha256] = made.der
        self.venue.know_certificate(made.der)

    def feed(self, *, force: bool = False) -> None:
        """The market quotes anew, unless its feed stands still or is crossed."""
        if self.feed_state != "live" and not force:
            return
        for market, mid in self.mids.items():
            low, high = mid - 1, mid + 1
            if self.feed_state == "crossed":
                low, high = high, low
            self.market.set(market, f"{low / 10_000:.4f}", f"{high / 10_000:.4f}")

    def start(self, work: Any) -> Task[Any]:
        """Begin something inside the gate's process."""
        assert self.process is not None
        return self.loop.spawn(self.process, work)

    def ask(self, body: bytes, name: str) -> tuple[Ask, Task[None]]:
        """The bot sends an order."""
        ask = Ask(body, name, self.lives)
        self.seen.asks.append(ask)
        assert self.gate is not None
        return ask, self.start(self._submit(self.gate, ask))

    async def _submit(self, gate: Gate, ask: Ask) -> None:
        try:
            answer = await gate.keeper.submit("bot", ask.body)
        except Exception as error:  # noqa: BLE001 - whatever it is, an answer was due
            ask.failure = repr(error)
            return
        finally:
            ask.over = True
        ask.answer = answer
        self.note(f"answer {ask.name} {answer.kind} {answer.decision} {answer.order_state}")
        if answer.decision >= 0:
            ask.durable = self.look().entry(answer.decision) is not None

    def stop(self, certificate_sha256: str, status: Any, epoch: int, reason: str) -> Task[None]:
        """Push a status to the gate."""
        assert self.gate is not None
        return self.start(self._stop(self.gate, certificate_sha256, status, epoch, reason))

    async def _stop(
        self, gate: Gate, certificate: str, status: Any, epoch: int, reason: str
    ) -> None:
        stop = Stop(certificate, epoch, self.seen.tick())
        self.seen.stops.append(stop)
        try:
            stop.outcome = await gate.stopping.stop("bot", certificate, status, reason, epoch)
        except SekishoError as error:
            self.seen.failures.append(f"a stop failed: {error!r}")
        stop.ended = self.seen.tick()
        self.note(f"stopped {stop.outcome}")
