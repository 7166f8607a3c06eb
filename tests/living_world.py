# SPDX-License-Identifier: Apache-2.0
"""An agent that lives for weeks: it trades by a routine, is observed, goes live, and drifts.

Everything passes through the ports: orders through the gate, fills and their delay through the
venue, prices through the rate source. Nobody tells the watch anything.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from sekisho.adapters.simulated_clock import PassingClock, SteppedClock
from sekisho.compose import COMPLIANCE_SEAT
from sekisho.core.encoding import b64, canonical
from sekisho.core.events import IncidentOpened, StatusChanged, decode_authority_entry
from sekisho.core.governance.commands import SignedCommand, command_message
from sekisho.core.terms import DAY_S, NS, parse_instant
from sekisho.services.gatekeeper import Answer
from sekisho.services.people import sign_command
from tests.embedded_world import AGENT, EmbeddedWorld, person, policy_of, venue_of

MONDAY = parse_instant("2026-05-04T00:00:00.000000000Z")
HOUR = 3600
CERTIFIED = MONDAY - 3 * DAY_S * NS + 9 * HOUR * NS


class Habit(msgspec.Struct, frozen=True, kw_only=True):
    """How the agent trades: what a drift changes. Sizes in euros, hours of the local day."""

    orders: int = 27
    hours: tuple[int, int] = (8, 17)
    sizes: tuple[int, int] = (16_500, 20_500)
    markets: tuple[str, ...] = ("EUR/USD",) * 73 + ("GBP/EUR",) * 27
    counterparties: tuple[str, ...] = ("COINEX", "KRAKEN", "BINANCE")
    latency_ms: tuple[int, int] = (20, 60)
    stressed: bool = False
    rejected: bool = False


class LivingWorld(EmbeddedWorld):
    """One agent with a routine. ``draw`` is a small generator: the same in every run."""

    def __init__(self, path: Path, clock: SteppedClock, seed: int = 1) -> None:
        super().__init__(path, clock)
        self._seed = seed
        self.count = 0
        self.asked: list[Answer] = []

    def draw(self, bound: int) -> int:
        """A number from 0 to ``bound`` − 1."""
        self._seed = (self._seed * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self._seed >> 33) % bound

    async def open(self, venues: Any = None) -> None:
        """As the embedded world, with a venue that takes its time."""
        if self._venue is None:
            clock = PassingClock(self.stepped)
            await super().open(venues)
            await self.close()
            self._venue = venue_of(self.home, clock, self.rates)
            self._venue._book._reported = self.clock.now_ns() // NS  # as if it had gone on
            for record in self.home.authority.certificates(AGENT):
                if record.status == "good":
                    self._venue.know_certificate(record.certificate)
        await super().open(venues)

    def copied(self, to: Path, seed: int) -> LivingWorld:
        """The same home in another folder, at the same time; this one must be closed."""
        shutil.copytree(self.path, to)
        clock = SteppedClock(self.clock.now_ns(), self.clock.monotonic_ns())
        other = LivingWorld(to, clock, seed)
        other.count = self.count
        return other

    # -- trading -------------------------------------------------------------------------------

    async def trade(self, at_ns: int, habit: Habit, **changes: Any) -> Answer:
        """One order of this habit at this time."""
        if at_ns > self.clock.now_ns():
            self.stepped.advance_to(at_ns)
        if habit.stressed:
            self.rates.set("EUR/USD", "1.1600", "1.1700")
            self.rates.set("EUR/GBP", "0.8650", "0.8740")
        else:
            self.quote()
        first, last = habit.latency_ms
        self.venue.faults.latency_s = (first + self.draw(last - first + 1)) / 2000
        if habit.rejected:
            self.venue.faults.submits.append("reject")
        self.count += 1
        low, high = habit.sizes
        market = habit.markets[self.draw(len(habit.markets))]
        order = {
            "action": "new",
            "client_order_id": f"o-{self.count}",
            "market": market,
            "side": ("buy", "sell")[self.count % 2],
            "order_type": "market",
            "quantity": str(low + self.draw(high - low + 1)),
            "currency": "EUR",
            "time_in_force": "ioc",
            "venue": "PAPER",
            "account": "main",
            "counterparty": habit.counterparties[self.draw(len(habit.counterparties))],
        } | changes
        answer = await self.ask(
            canonical({name: value for name, value in order.items() if value is not None})
        )
        self.asked.append(answer)
        return answer

    async def trade_day(
        self, day: int, habit: Habit, until: Callable[[], bool] = lambda: False
    ) -> None:
        """The orders of one day, day 0 being the Monday, spread over its hours."""
        start, end = habit.hours
        span = (end - start) * HOUR
        for number in range(habit.orders):
            if until():
                return
            second = start * HOUR + (number * span + self.draw(span // 2)) // habit.orders
            await self.trade(MONDAY + (day * DAY_S + second) * NS, habit)

    async def trade_until(self, first_day: int, days: int, habit: Habit) -> int:
        """Weekdays of this habit, until the agent is stopped; how many orders that took."""
        before = self.count
        for day in range(first_day, first_day + days):
            if day % 7 < 5:
                await self.trade_day(day, habit, lambda: self.status != "good")
        await self.gate.incident_watch.settled()
        return self.count - before

    # -- people --------------------------------------------------------------------------------

    def sign(self, act: str, seat: str, **more: Any) -> SignedCommand:
        """A command of this seat about the agent, signed now."""
        return sign_command(
            person(self.home, seat),
            act,
            AGENT,
            self.home.authority,
            seat,
            "test_reason",
            self.home.around.entropy.bytes(16).hex(),
            self.clock.now_ns(),
            **more,
        )

    def forged(self, genuine: SignedCommand) -> SignedCommand:
        """The same command, signed with a key that no roster has."""
        key = ec.generate_private_key(ec.SECP256R1())
        signature = key.sign(command_message(genuine.command), ec.ECDSA(hashes.SHA256()))
        return msgspec.structs.replace(genuine, signature=b64(signature))

    async def go_live(self, seat: str = COMPLIANCE_SEAT) -> str:
        """Compliance signs the baseline that the gate has collected."""
        found = self.gate.log.watch.baseline(AGENT, self.clock.now_ns())
        return await self.gate.governing.go_live(
            (self.sign("go_live", seat, baseline_sha256=found.sha256),)
        )

    # -- looking -------------------------------------------------------------------------------

    @property
    def status(self) -> str:
        """The agent's status at the gate."""
        return self.gate.log.state.agents[AGENT].status

    def risk(self) -> Any:
        """The present risk score with its factors."""
        return self.gate.log.watch.risk(AGENT, self.clock.now_ns())

    def incidents(self) -> list[IncidentOpened]:
        """What the gate opened."""
        return list(self.gate.log.incidents.values())

    def story(self) -> list[str]:
        """Status changes at the authority, by cause."""
        entries = (
            decode_authority_entry(data) for _, data in self.home.journals["authority"].entries()
        )
        return [entry.cause for entry in entries if isinstance(entry, StatusChanged)]


def crypto_policy(**risk: Any) -> dict[str, Any]:
    """The exchange's policy: 25,000 an order, 500,000 a day, 08:00 to 17:00, no weekends."""
    policy = policy_of(
        trading_hours={"start": "08:00", "end": "17:00", "exclude_weekends": True},
        daily_notional_max="600000",
        market_stress={
            "action": "score",
            "spread_max": "0.002",
            "move_max": "0.5",
            "window_s": 60,
        },
    )
    policy["risk_controls"] = {"hold_on_single_order": True} | risk
    return policy
