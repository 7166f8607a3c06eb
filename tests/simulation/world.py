# SPDX-License-Identifier: Apache-2.0
"""The world around a gate, driven by one seed: time, disk, keys, market, venue, people, deaths.

The world is outside of every process: it looks at disk, venue and authority directly.
"""

from __future__ import annotations

import copy
from asyncio import Task
from functools import cache
from random import Random
from typing import Any

from sekisho.adapters.rates.static import StaticRates
from sekisho.core.encoding import canonical, sha256_hex
from sekisho.core.errors import OutcomeUnknown, SekishoError, StorageFailed
from sekisho.core.identity.scope_extension import scope_json
from sekisho.core.terms import parse_instant
from tests.gate_world import POLICY
from tests.simulation.faults import FaultPlan
from tests.simulation.life import Gate, Parts, keep_publishing, open_gate
from tests.simulation.outside import Certified, SmallAuthority, WatchedVenue, certify
from tests.simulation.records import Ask, Replay, Seen, Stop
from tests.simulation.stage import Stage

LEASE_S = 15
CAPS = (60_000, 150_000, 600_000)
"""Daily caps that a seed may have."""
ORDER_MAX = "25000"
_STARTS = ("2026-05-15T09:00:00.000000000Z", "2026-05-15T23:59:20.000000000Z")


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


class World(Stage):
    """Everything that a seed moves around a gate."""

    def __init__(
        self, seed: int, *, parts: Parts | None = None, crash_at: int = 0, quiet: bool = False
    ) -> None:
        dice = Random(f"world {seed}")
        plan = FaultPlan(dice, crash_at=crash_at, quiet=quiet)
        start = parse_instant(_STARTS[0 if quiet else dice.randrange(len(_STARTS))])
        super().__init__("gate", seed, start, plan, dice)
        self.parts = parts or Parts()
        self.market = StaticRates(self.true_clock)
        self.mids = {"EUR/USD": 10_850, "EUR/GBP": 8_501}
        self.feed_state = "live"
        self.feed(force=True)
        self.seen = Seen()
        self.authority = SmallAuthority(self.true_clock, LEASE_S)
        self.cut_off = False
        self.venue = WatchedVenue(self.true_clock, self.market, self.seen.tick)
        self.cap = CAPS[-1 if quiet else dice.randrange(len(CAPS))]
        self.policy, self.policy_sha256 = policy_with(self.cap)
        self.certificates: list[Certified] = []
        self.certify()
        self.gate: Gate | None = None
        self.replay = Replay()

    def look(self) -> Replay:
        """The replay of what is durable at this instant."""
        self.replay.advance(self.durable())
        return self.replay

    def state(self) -> str:
        """What the gate is at."""
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

    # ----------------------------------------------------------------------------- lives

    def serves(self) -> bool:
        """Whether there is a gate."""
        return self.gate is not None

    async def live(self) -> None:
        """Open the gate, publish in the background, ask the venue what is not known."""
        gate = await open_gate(self)
        self.gate = gate
        self.start(keep_publishing(gate.log.journal, self.log_failed))
        await self.reconcile(gate)

    def forget(self) -> None:
        """Who waited for the dead gate waits no more; what was durable must still be there."""
        self.gate = None
        for ask in self.seen.asks:
            ask.over = True
        for stop in self.seen.stops:
            stop.ended = stop.ended or self.seen.tick()

    async def reconcile(self, gate: Gate) -> None:
        """The gate asks the venue what it does not know."""
        try:
            await gate.release.reconcile()
        except (StorageFailed, OutcomeUnknown) as error:
            self.log_failed(error)

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
            self.failures.append(f"a stop failed: {error!r}")
        stop.ended = self.seen.tick()
        self.note(f"stopped {stop.outcome}")
