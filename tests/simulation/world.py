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
from sekisho.core.events import IncidentOpened
from sekisho.core.governance.commands import signed_command_text
from sekisho.core.identity.scope_extension import scope_json
from sekisho.core.terms import parse_instant
from tests.gate_world import POLICY
from tests.simulation import people
from tests.simulation.faults import DEATHS, FaultPlan
from tests.simulation.life import ORIGIN, Gate, Parts, open_gate
from tests.simulation.outside import Certified, SmallAuthority, WatchedVenue, certify
from tests.simulation.records import Ask, Given, Hold, Replay, Seen, Stop, between_frames
from tests.simulation.stage import Stage

LEASE_S = 15
CAPS = (60_000, 150_000, 600_000)
"""Daily caps that a seed may have."""
ORDER_MAX = "25000"
STARTS = ("2026-05-14T09:00:00.000000000Z", "2026-05-14T23:59:20.000000000Z")
"""When the faults begin: in the morning, or just before a policy day ends."""
EVES = ("2026-05-13T08:20:00.000000000Z", "2026-05-13T00:20:00.000000000Z")
"""When the quiet day before begins, in a life that has one."""
_THRESHOLDS = (("0.85", "0.75", True), ("0.95", "0.9", True), ("0.85", "0.75", False))


@cache
def policy_with(cap: int, hold: str, breaker: str, single: bool) -> tuple[dict[str, Any], str]:
    """The policy of a seed, with its digest: a daily cap, thresholds, a latch, no hours."""
    policy = copy.deepcopy(POLICY)
    policy["risk_controls"] |= {
        "hold_threshold": hold,
        "breaker_threshold": breaker,
        "hold_on_single_order": single,
    }
    policy["behaviour"] |= {"baseline_days": 1, "baseline_orders_min": 20}
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
        self,
        seed: int,
        *,
        parts: Parts | None = None,
        quiet: bool = False,
        observed: bool | None = None,
    ) -> None:
        dice = Random(f"world {seed}")
        plan = FaultPlan(dice, quiet=quiet)
        late = 0 if quiet else dice.randrange(2)
        drawn = dice.randrange(4) > 0
        self.observed = drawn if observed is None else observed
        """Whether this life has a quiet day first, and goes live with its baseline."""
        self.begins_ns = parse_instant(STARTS[late])
        start = parse_instant(EVES[late]) if self.observed else self.begins_ns
        super().__init__("gate", seed, start, plan, dice)
        self.parts = parts or Parts()
        self.market = StaticRates(self.true_clock)
        self.mids = {"EUR/USD": 10_850, "EUR/GBP": 8_501}
        self.feed_state = "live"
        self.feed(force=True)
        self.seen = Seen()
        self.authority = SmallAuthority(self.true_clock, LEASE_S)
        self.cut_off = self.deaf = self.settled = False
        """The link is cut; the authority takes no incidents; faults are over, and time passed."""
        self.tears = False
        """The next power loss comes between two entries of one write, if there are two."""
        self.armed: tuple[str, str] | None = None
        """Point and fault that an incident calls up when it opens."""
        self.venue = WatchedVenue(self.true_clock, self.market, self.seen.tick)
        caps = CAPS[1:] if self.observed else CAPS
        self.cap = CAPS[-1] if quiet else caps[dice.randrange(len(caps))]
        terms = _THRESHOLDS[0 if quiet else dice.randrange(len(_THRESHOLDS))]
        self.policy, self.policy_sha256 = policy_with(self.cap, *terms)
        self.certificates: list[Certified] = []
        self.certify()
        self.gate: Gate | None = None
        self.replay = Replay(ORIGIN)

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
            by_incident = held.certificate_sha256 in self.replay.following.holding
            return "held_by_incident" if by_incident and held.status == "hold" else held.status
        if lease is None or self.clock.monotonic_ns() >= lease.deadline:
            return "no_lease"
        if "circuit_breaker" in held.latches:
            return "breaker"
        return "latched" if held.latches else "live" if held.baseline_sha256 else "trading"

    # ----------------------------------------------------------------------------- lives

    def serves(self) -> bool:
        """Whether there is a gate."""
        return self.gate is not None

    async def live(self) -> None:
        """Open the gate, publish in the background, take up what is unfinished."""
        self.gate = await open_gate(self)

    def bury(self) -> None:
        """As any stage; a power loss may also come between two entries of one write."""
        torn = None
        tears = self.tears or self.armed is not None or self.dice.randrange(4) == 0
        if self._death == DEATHS[0] and tears:
            torn = between_frames(self.disk, self.dice, before_incident=self.armed is not None)
        self.armed = None
        super().bury()
        if torn is not None:
            self.disk.corrupt(*torn)

    def forget(self) -> None:
        """Who waited for the dead gate waits no more; what was durable must still be there."""
        self.gate = None
        self.seen.ends.append(self.seen.tick())
        for ask in self.seen.asks:
            ask.over = True
        for stop in self.seen.stops:
            stop.ended = stop.ended or self.seen.tick()

    async def reconcile(self, gate: Gate) -> None:
        """The gate asks the venue what it does not know."""
        try:
            gate.leasing.clocks.look()
            await gate.venue_watch.reconcile()
            await gate.log.durable(gate.log.journal.size - 1)
        except (StorageFailed, OutcomeUnknown) as error:
            self.log_failed(error)

    def crossed(self, index: int, entry: IncidentOpened) -> None:
        """An incident opened in the gate's memory, at this instant."""
        self.note(f"incident {index} {entry.incident_kind} {entry.factor}")
        if entry.incident_kind == "hold":
            hold = Hold(self.seen.tick(), entry.incident, entry.certificate_sha256)
            self.seen.holds.append(hold)
        if self.armed is not None:
            self.plan.ambush = self.armed

    # ------------------------------------------------------------------------- what people do

    def command(self, kind: str, seats: tuple[str, ...], **fields: Any) -> Any:
        """What these people sign, now, at the epoch that the authority shows them."""
        self.seen.nonces += 100
        now = self.true_clock.now_ns()
        epoch = self.authority.epoch
        return people.command(kind, seats, self.seen.nonces, now, epoch=epoch, **fields)

    def go_live(self) -> None:
        """Compliance signs the baseline that the gate collected."""
        if self.gate is not None:
            self.start(self._go_live(self.gate))

    async def _go_live(self, gate: Gate) -> None:
        found = gate.log.watch.baseline("bot", gate.log.clocks().now)
        signed = self.command("go_live", (people.COMPLIANCE,), baseline_sha256=found.sha256)
        try:
            await gate.governing.go_live(signed)
        except SekishoError as error:
            self.note(f"not live: {type(error).__name__}")

    def rearm(self, latch: str, seats: tuple[str, ...]) -> None:
        """These people command that a latch be taken off."""
        if self.gate is not None:
            signed = self.command("rearm", seats, latch=latch)
            texts = tuple(signed_command_text(one) for one in signed)
            self.seen.given.append(Given(latch, seats, texts))
            self.start(self._rearm(self.gate, signed))

    async def _rearm(self, gate: Gate, signed: Any) -> None:
        try:
            await gate.governing.rearm(signed)
        except SekishoError as error:
            self.note(f"not re-armed: {type(error).__name__}")

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
