# SPDX-License-Identifier: Apache-2.0
"""The life of one agent, act by act, told through the public services alone.

Nothing here appends an entry: everything in the logs is written by the same gate and authority that
any program would use. Time is stepped, so that weeks take seconds. The acts are in the order of
:func:`sekisho.apps.demo.tell`; each leaves the clock where the next begins.
"""

from __future__ import annotations

from typing import NamedTuple

import click

from sekisho.apps.trader import Intent, Trader
from sekisho.compose import (
    COMPLIANCE_SEAT,
    ISSUER_SEAT,
    OPERATOR_SEAT,
    RATE_CURRENCIES,
    VENUE_CREDENTIAL,
    Gate,
    Home,
    Trial,
    load_person,
    open_gate,
    paper_venue,
    system_clock,
)
from sekisho.core.amounts import SCALE, format_money
from sekisho.core.behaviour.watch import describe
from sekisho.core.errors import ConfigurationInvalid
from sekisho.core.events import Decision, decode_gate_entry
from sekisho.core.governance.commands import SignedCommand
from sekisho.core.governance.document import Registration
from sekisho.core.terms import DAY_S, NS, Reason, day_text, format_instant, parse_day, parse_instant
from sekisho.services.gatekeeper import Answer
from sekisho.services.people import sign_approval, sign_command

FIRST_DAY = "2026-05-04"
"""A Monday; the ECB's fixings of these weeks are real."""
OVERSIZE_TENTHS = 72
"""The large order of the story is 7.2 times the largest that is allowed."""
RECONCILE_TRIES = 100
"""On stepped time a look at the venue is over before a busy machine has come to it."""
LATENCY_MS = (20, 41)
"""What the paper venue takes for each leg: from so many milliseconds, so many further ones."""
FRIDAY = 4


class Request(NamedTuple):
    """One order, its answer, and the reasons on record; ``took_ns`` of the machine's clock."""

    number: int
    answer: Answer
    reasons: tuple[Reason, ...]
    took_ns: int


class Story:
    """The people, the bot and the services of one run."""

    def __init__(self, home: Home, around: Trial, registration: Registration) -> None:
        self.home = home
        self.around = around
        self.registration = registration
        self.policy = registration.policy
        self.trader = Trader(self.policy.scope, around.bot_entropy)
        self.asked: list[Request] = []
        self.day = parse_day(FIRST_DAY)
        self._revocation = 0
        self._wall = system_clock()

    def say(self, act: str, text: str) -> None:
        """A line for whoever watches."""
        click.echo(f"{act:<11}{text}")

    # -- before ----------------------------------------------------------------------------------

    async def approve_and_certify(self) -> None:
        """The approvers sign the digest; the authority issues; the key stays in custody."""
        home, authority = self.home, self.home.authority
        await authority.register_policy(self.registration)
        for seat in authority.roster.seats:
            if seat.role != "approver":
                continue
            self.around.clock.advance(60)
            key = load_person(home.path / "people" / f"{seat.seat}.key", home.passphrase())
            now = self.around.clock.now_ns()
            approval = sign_approval(
                key, self.registration.sha256, authority.roster, seat.seat, now
            )
            if await authority.give_approval(approval) is not None:
                self.say("approved", f"{seat.seat} and those before: the resolution stands")
                break
            self.say("approved", seat.seat)
        await self._certify()

    async def _certify(self) -> None:
        issued = await self.home.issue(
            self.policy.agent,
            self.registration.sha256,
            issuer_seat=ISSUER_SEAT,
            operator_seat=OPERATOR_SEAT,
        )
        self.say("certified", f"{self.policy.agent}, serial {issued.serial_number}")

    async def open_gate(self) -> Gate:
        """The gate between the bot, its key and the venue's credential."""
        self.venue = paper_venue(self.home, self.around.venue_clock, self.around.rates)
        gate = await open_gate(
            self.home,
            self.around.rates,
            {self.home.config.venue: self.venue.session(VENUE_CREDENTIAL)},
        )
        await gate.admit(self.policy.agent)
        return gate

    # -- trading ---------------------------------------------------------------------------------

    async def ask(self, gate: Gate, intent: Intent, away_percent: int = 0) -> Request:
        """The bot asks for one order at its time."""
        if intent.at_ns > self.around.clock.now_ns():
            self.around.clock.advance_to(intent.at_ns)
        # Once a second in a gate that runs on: here time jumps from order to order.
        self.venue.faults.latency_s = 0
        venues = gate.log.state.outside
        for _ in range(RECONCILE_TRIES):
            await gate.venue_watch.reconcile()
            if venues.standing(self.home.config.venue).reconciled:
                break
        best = self.around.rates.best(intent.market, self.around.clock.now_ns())
        if best is None:
            raise ConfigurationInvalid(
                f"the demonstration has no rates for {intent.market}; its policy may name markets"
                f" of {', '.join(('EUR', *RATE_CURRENCIES))}"
            )
        first, further = LATENCY_MS
        self.venue.faults.latency_s = (first + self.trader.below(further)) / 1000
        body = self.trader.order(intent, best.bid, best.ask, away_percent=away_percent)
        begun = self._wall.monotonic_ns()
        answer = await gate.gatekeeper.submit(self.policy.agent, body)
        took = self._wall.monotonic_ns() - begun
        entry = decode_gate_entry(gate.log.journal.entry(answer.decision))
        reasons = entry.reasons if isinstance(entry, Decision) else answer.reasons
        asked = Request(len(self.asked) + 1, answer, reasons, took)
        self.asked.append(asked)
        return asked

    def trades_on(self, day: int) -> bool:
        """Whether the bot trades on this day at all."""
        hours = self.policy.scope.trading_hours
        return (day + 3) % 7 < 5 or (hours != "none" and not hours.exclude_weekends)

    async def trade_day(self, gate: Gate, until_s: int = DAY_S) -> None:
        """Ordinary orders of the present day, until so many seconds after its midnight."""
        midnight = self.midnight()
        for intent in self.trader.plan_day(midnight):
            if intent.at_ns < midnight + until_s * NS:
                await self.ask(gate, intent)
        if until_s < DAY_S:
            return
        self.venue.end_day()
        await gate.release.reconcile()
        held = gate.log.state.agents[self.policy.agent]
        risk = gate.log.watch.risk(self.policy.agent, self.around.clock.now_ns())
        score = "" if risk is None else f"   risk score {risk.score}"
        self.say(
            day_text(self.day),
            f"{held.orders:3d} orders  {format_money(held.gross):>12}"
            f" {self.policy.scope.currency}{score}",
        )

    async def baseline_days(self, gate: Gate) -> None:
        """The window from which the watch learns what is normal."""
        end = self.day + self.policy.behaviour.baseline_days
        self.say("baseline", f"{self.policy.behaviour.baseline_days} days are observed")
        while self.day < end:
            if self.trades_on(self.day):
                await self.trade_day(gate)
            self.day += 1
        while not self.trades_on(self.day):
            self.day += 1

    async def go_live(self, gate: Gate) -> None:
        """Compliance reads the baseline's summary and signs its digest."""
        self.around.clock.advance_to(self.midnight() + self.opening_s() * NS)
        found = gate.log.watch.baseline(self.policy.agent, self.around.clock.now_ns())
        for name, value in describe(found.baseline):
            self.say("", f"{name}: {value}")
        if found.missing:
            for sentence in found.missing:
                self.say("no baseline", sentence)
            return
        command = self.command("go_live", "baseline_reviewed", baseline_sha256=found.sha256)
        digest = await gate.governing.go_live((command,))
        self.say("live", f"{COMPLIANCE_SEAT} locked baseline {digest[:16]}…")

    # -- the incident ----------------------------------------------------------------------------

    async def until_friday_morning(self, gate: Gate) -> None:
        """The first live week, up to two hours after Friday's opening."""
        while (self.day + 3) % 7 != FRIDAY:
            if self.trades_on(self.day):
                await self.trade_day(gate)
            self.day += 1
        await self.trade_day(gate, self.opening_s() + 2 * 3600)

    async def oversize(self, gate: Gate) -> Request:
        """Two orders that rest, then the order that is far too large."""
        begin = self.midnight() + (self.opening_s() + 2 * 3600) * NS
        market, usual = self.policy.scope.markets[0], self.trader.usual_max * 3 // 4
        for minute in (10, 20):
            await self.ask(gate, Intent(begin + minute * 60 * NS, market, "buy", usual), 2)
        large = self.trader.usual_max * OVERSIZE_TENTHS // 10
        asked = await self.ask(gate, Intent(begin + 1800 * NS, market, "buy", large))
        await gate.incident_watch.settled()
        return asked

    async def answer(self) -> None:
        """Within the grace period compliance acknowledges a fault: revoked tomorrow at eleven."""
        authority, agent = self.home.authority, self.policy.agent
        # Three minutes, or half of a grace period that is shorter than six.
        self.around.clock.advance(min(180, self.policy.risk_controls.grace_period_s / 2))
        await authority.due()
        incident = authority.incidents.open_incident(agent)
        if authority.active(agent) is None:
            self.say("revoked", "this policy leaves no time to answer")
            return
        if incident is None:
            self.say("held", f"by {COMPLIANCE_SEAT}: this policy holds on no single order")
            await authority.command((self.command("hold", "limit_breach"),))
            return
        deadline = self.policy.risk_controls.acknowledgement_deadline_s * NS
        eleven = self.midnight() + (DAY_S + 11 * 3600) * NS
        at = min(eleven, self.around.clock.now_ns() + deadline)
        command = self.command(
            "acknowledge",
            "algorithm_fault",
            incident=incident.incident,
            disposition="fault",
            revoke_at=format_instant(at),
        )
        await authority.acknowledge((command,))
        self._revocation = at
        self.say("answered", f"{COMPLIANCE_SEAT}: a fault; to be revoked {format_instant(at)[:16]}")

    async def saturday(self, gate: Gate) -> Request:
        """The revocation takes effect; the bot asks once more."""
        self.day += 1
        authority, eleven = self.home.authority, self.midnight() + 11 * 3600 * NS
        self.around.clock.advance_to(self._revocation or eleven)
        await authority.due()
        if authority.active(self.policy.agent) is not None:
            await authority.command((self.command("revoke", "algorithm_fault"),))
        self.say("revoked", format_instant(self.around.clock.now_ns())[:16])
        self.around.clock.advance_to(eleven + 300 * NS)
        market, size = self.policy.scope.markets[0], self.trader.usual_max * 22 // 25
        return await self.ask(
            gate, Intent(self.around.clock.now_ns(), market, "buy", size // SCALE * SCALE)
        )

    async def replace(self, gate: Gate) -> None:
        """A new key and certificate under the same policy; the baseline is inherited."""
        self.around.clock.advance(55 * 60)
        await self._certify()
        for record in self.home.authority.certificates():
            if record.status == "good":
                self.venue.know_certificate(record.certificate)
        await gate.admit(self.policy.agent)
        baseline = gate.log.watch.locked(self.policy.agent)
        if baseline:
            self.say("inherited", f"baseline {baseline[:16]}…")
        self.day += 1
        while not self.trades_on(self.day):
            self.day += 1

    def resting(self) -> tuple[str, ...]:
        """What can still be executed at the venue."""
        return self.venue.open_orders(self.policy.agent)

    # -- where and when --------------------------------------------------------------------------

    def command(self, act: str, reason_code: str, **more: str) -> SignedCommand:
        """What the compliance officer signs."""
        home = self.home
        key = load_person(home.path / "people" / f"{COMPLIANCE_SEAT}.key", home.passphrase())
        return sign_command(
            key,
            act,
            self.policy.agent,
            home.authority,
            COMPLIANCE_SEAT,
            reason_code,
            home.around.entropy.bytes(16).hex(),
            self.around.clock.now_ns(),
            **more,
        )

    def opening_s(self) -> int:
        """When trading begins, in seconds of the local day."""
        hours = self.policy.scope.trading_hours
        return 0 if hours == "none" else int(hours.start[:2]) * 3600 + int(hours.start[3:]) * 60

    def midnight(self) -> int:
        """Local midnight that begins the present day, ns UTC."""
        noon = self.day * DAY_S * NS + DAY_S * NS // 2
        offset = self.policy.scope.zone_offsets[0].utc_offset_s
        for row in self.policy.scope.zone_offsets:
            if parse_instant(row.since) <= noon:
                offset = row.utc_offset_s
        return (self.day * DAY_S - offset) * NS
