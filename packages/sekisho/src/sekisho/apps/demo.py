# SPDX-License-Identifier: Apache-2.0
"""The demonstration: one agent's life on real rates, told through the public services alone.

It appends no entry of its own: everything in the bundle was written by the same gate and authority
that any program would use. Time is stepped, so that two weeks take seconds; the figures of speed
are of this machine's clock.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
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
    Surroundings,
    Trial,
    builtin_policy,
    init_home,
    load_person,
    make_people,
    open_gate,
    paper_venue,
    register_document,
    system_clock,
    trial,
    write_bundle,
)
from sekisho.config import Config
from sekisho.core.amounts import format_money, parse_amount, parse_money
from sekisho.core.errors import ConfigurationInvalid
from sekisho.core.events import Decision, decode_gate_entry
from sekisho.core.governance.document import Registration
from sekisho.core.terms import DAY_S, NS, day_text, parse_day, parse_instant
from sekisho.services.gatekeeper import Answer
from sekisho.services.people import sign_approval, sign_command
from sekisho.services.status import KillReport

FIRST_DAY = "2026-05-04"
"""A Monday; the ECB's fixings of that fortnight are real."""
TRADING_DAYS = 10
OVERSIZE_TENTHS = 72
"""The large order of the story is 7.2 times the largest that is allowed."""
MARKER = "demonstration.txt"
OWN_NAMES = {MARKER, "home", "bundle", "root.pem", "verify.txt"}
"""What a demonstration writes: a folder that holds anything else is not replaced."""
TEXT_DAY_ORDERS = 48


class Request(NamedTuple):
    """One order and its answer; ``took_ns`` of the machine's clock."""

    number: int
    client_order_id: str
    answer: Answer
    took_ns: int


class Story:
    """The people, the bot and the services of one run."""

    def __init__(
        self, home: Home, around: Trial, registration: Registration, quiet: bool = False
    ) -> None:
        self.home = home
        self.around = around
        self.registration = registration
        self.policy = registration.policy
        self.trader = Trader(self.policy.scope, around.bot_entropy)
        self.asked: list[Request] = []
        self._wall = system_clock()
        self._quiet = quiet

    def say(self, text: str) -> None:
        """A line for whoever watches."""
        click.echo(text)

    async def approve_and_certify(self) -> None:
        """Three approvers sign the digest; the authority issues; the key stays in custody."""
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
                self.say(f"approved   {seat.seat} and those before: the resolution stands")
                break
            self.say(f"approved   {seat.seat}")
        issued = await home.issue(
            self.policy.agent,
            self.registration.sha256,
            issuer_seat=ISSUER_SEAT,
            operator_seat=OPERATOR_SEAT,
        )
        self.say(f"certified  {self.policy.agent}, serial {issued.serial_number}")

    async def open_gate(self) -> Gate:
        """The gate between the bot, its key and the venue's credential."""
        venue = paper_venue(self.home, self.around.clock, self.around.rates)
        gate = await open_gate(
            self.home, self.around.rates, {self.home.config.venue: venue.session(VENUE_CREDENTIAL)}
        )
        await gate.admit(self.policy.agent)
        self.venue = venue
        return gate

    async def ask(self, gate: Gate, intent: Intent, away_percent: int = 0) -> Request:
        """The bot asks for one order at its time."""
        if intent.at_ns > self.around.clock.now_ns():
            self.around.clock.advance_to(intent.at_ns)
        best = self.around.rates.best(intent.market, self.around.clock.now_ns())
        if best is None:
            raise ConfigurationInvalid(
                f"the demonstration has no rates for {intent.market}; its policy may name markets"
                f" of {', '.join(('EUR', *RATE_CURRENCIES))}"
            )
        body = self.trader.order(intent, best.bid, best.ask, away_percent=away_percent)
        begun = self._wall.monotonic_ns()
        answer = await gate.gatekeeper.submit(self.policy.agent, body)
        took = self._wall.monotonic_ns() - begun
        asked = Request(len(self.asked) + 1, f"order {len(self.asked) + 1}", answer, took)
        self.asked.append(asked)
        return asked

    async def fortnight(self, gate: Gate) -> None:
        """Ten trading days of ordinary orders."""
        day, traded = parse_day(FIRST_DAY), 0
        while traded < TRADING_DAYS:
            if (day + 3) % 7 < 5:
                traded += 1
                for intent in self.trader.plan_day(day * DAY_S * NS - self._offset_ns(day)):
                    await self.ask(gate, intent)
                self.venue.end_day()
                await gate.release.reconcile()
                self._report_day(gate, day)
            day += 1
        self._next_day = day
        while (self._next_day + 3) % 7 >= 5:
            self._next_day += 1

    def _offset_ns(self, day: int) -> int:
        """The zone's offset in the middle of a day, ns."""
        noon = day * DAY_S * NS + DAY_S * NS // 2
        offset = self.policy.scope.zone_offsets[0].utc_offset_s
        for row in self.policy.scope.zone_offsets:
            if parse_instant(row.since) <= noon:
                offset = row.utc_offset_s
        return offset * NS

    def _report_day(self, gate: Gate, day: int) -> None:
        held = gate.log.state.agents[self.policy.agent]
        self.say(
            f"{day_text(day)} {held.orders:3d} orders  {format_money(held.gross):>12}"
            f" {self.policy.scope.currency}"
        )

    async def last_day(self, gate: Gate) -> tuple[Request, KillReport, Request, int]:
        """Two orders that rest, the order that is too large, the kill, the order after it."""
        midnight = self._next_day * DAY_S * NS - self._offset_ns(self._next_day)
        hours = self.policy.scope.trading_hours
        start = 0 if hours == "none" else int(hours.start[:2]) * 3600 + int(hours.start[3:]) * 60
        begin = midnight + (start + 2 * 3600) * NS
        market, usual = self.policy.scope.markets[0], self.trader.usual_max // 2
        for minute in (0, 10):
            await self.ask(gate, Intent(begin + minute * 60 * NS, market, "buy", usual), 2)
        large = self.trader.usual_max * OVERSIZE_TENTHS // 10
        oversize = await self.ask(gate, Intent(begin + 1800 * NS, market, "buy", large))
        self.around.clock.advance(120)
        report, begun = await self._kill()
        after = await self.ask(
            gate, Intent(self.around.clock.now_ns(), market, "buy", self.trader.usual_max * 8 // 9)
        )
        return oversize, report, after, self._wall.monotonic_ns() - begun

    async def _kill(self) -> tuple[KillReport, int]:
        """A named person of compliance stops the agent for good."""
        home, seat = self.home, COMPLIANCE_SEAT
        key = load_person(home.path / "people" / f"{seat}.key", home.passphrase())
        command = sign_command(
            key,
            "kill",
            self.policy.agent,
            home.authority,
            seat,
            "scope_breach_attempted",
            home.around.entropy.bytes(16).hex(),
            self.around.clock.now_ns(),
        )
        begun = self._wall.monotonic_ns()
        outcome = await home.authority.command((command,))
        if not isinstance(outcome, KillReport):
            raise ConfigurationInvalid("the authority did not answer a kill with its report")
        self.say(
            f"kill       by {seat}: {len(outcome.confirmed)} resting orders confirmed as cancelled,"
            f" {len(outcome.unconfirmed)} not; {'complete' if outcome.complete else 'NOT COMPLETE'}"
        )
        return outcome, begun


async def run_demo(seed: str, policy: Path | None, out: Path) -> int:
    """``sekisho demo``: exit code 0 when everything that it says was checked holds."""
    make_room(out)
    start = (parse_day(FIRST_DAY) - 3) * DAY_S * NS + 9 * 3600 * NS
    document = policy if policy is not None else builtin_policy()
    registration = register_document(document, start)
    around = trial(seed, start, registration.policy.scope.reference_rates.sources)
    home_folder = out / "home"
    config = Config(issuer_name="Demonstration Issuer", region=registration.policy.scope.regions[0])
    init_home(home_folder, config, around.entropy)
    (out / MARKER).write_text("made by sekisho demo; replaced by the next run\n", encoding="utf-8")
    home = await Home.open(home_folder, Surroundings(around.clock, around.entropy))
    try:
        await home.found(
            make_people(home_folder / "people", home.passphrase(), registration.policy)
        )
        story = Story(home, around, registration)
        _introduce(story, policy)
        await story.approve_and_certify()
        gate = await story.open_gate()
        await story.fortnight(gate)
        oversize, _, after, after_ns = await story.last_day(gate)
        end = around.clock.now_ns() + NS
        await write_bundle(home, registration.policy.agent, start, end, out / "bundle")
        highest = _highest(gate)
    finally:
        await home.close()
    (out / "root.pem").write_bytes((out / "bundle/certificates/root.pem").read_bytes())
    return _finish(story, out, oversize, after, after_ns, highest)


def _introduce(story: Story, given: Path | None) -> None:
    scope = story.policy.scope
    story.say(f"policy     {story.policy.agent}: {', '.join(scope.markets)}")
    for default in story.registration.defaults:
        if given is not None:
            story.say(f"default    {default.path} = {default.value}")
    size, cap = scope.order_notional_max, scope.daily_notional_max
    if "none" not in (size, cap):
        day = TEXT_DAY_ORDERS * parse_amount(size) * 74 // 100
        if day > parse_amount(cap):
            story.say(
                f"note       {TEXT_DAY_ORDERS} orders a day, as the story has it, would come to"
                f" about {format_money(day)}, above the cap of {cap}: the bot asks for 24 to 26"
            )


def make_room(out: Path) -> None:
    """An earlier demonstration is replaced; anything else is left alone."""
    if not out.exists():
        out.mkdir(parents=True)
        return
    found = {path.name for path in out.iterdir()} if out.is_dir() and not out.is_symlink() else None
    if found is None or (found and (MARKER not in found or not found <= OWN_NAMES)):
        raise ConfigurationInvalid(
            f"{out}: holds something else than an earlier demonstration; choose another --out"
        )
    shutil.rmtree(out)
    out.mkdir()


def _highest(gate: Gate) -> tuple[str, str]:
    """The largest gross volume of a day that any decision recorded, and that day."""
    best = (0, "")
    for _, data in gate.log.journal.entries():
        entry = decode_gate_entry(data)
        if isinstance(entry, Decision) and entry.after is not None:
            best = max(best, (parse_money(entry.after.gross_permitted), entry.after.day))
    return format_money(best[0]), best[1]


def _finish(
    story: Story,
    out: Path,
    oversize: Request,
    after: Request,
    after_ns: int,
    highest: tuple[str, str],
) -> int:
    refused = [one for one in story.asked if one.answer.kind == "refused"]
    permitted = [one for one in story.asked if one.answer.kind == "permitted"]
    verified = _verify(out)
    story.say("")
    story.say(
        f"{len(story.asked)} orders asked · {len(permitted)} permitted · {len(refused)} refused,"
        " before the venue saw them"
    )
    for one in refused:
        speed = f"(refused in {one.took_ns / 1e6:.1f} ms)"
        if one.number == after.number:
            speed = f"({after_ns / 1e6:.1f} ms after the kill)"
        story.say(f"  order {one.number}  {_reasons(one.answer)}  {speed}")
    cap = story.policy.scope.daily_notional_max
    if cap != "none":
        story.say(
            f"never above {_grouped(format_money(parse_amount(cap)))}"
            f" {story.policy.scope.currency} a day"
            f" (highest: {_grouped(highest[0])} on {highest[1]})"
        )
    for line in verified[1]:
        story.say(line)
    verifier = _shown(Path(sys.executable).parent / "sekisho-verify")
    story.say(f"next: open {out}/   ·   change one byte of {out}/bundle and verify again:")
    story.say(f"      {verifier} {out}/bundle --root {out}/root.pem")
    expected = oversize.answer.kind == "refused" and after.answer.kind == "refused"
    return 0 if verified[0] and expected else 1


def _reasons(answer: Answer) -> str:
    """What was compared with what, as a person reads it."""
    parts = []
    for reason in answer.reasons:
        if not reason.limit:
            parts.append(f"{reason.code}")
        elif "." in reason.limit and reason.limit.replace(".", "").isdigit():
            observed = f"{_grouped(reason.observed)} {reason.unit}"
            parts.append(f"{observed}  {reason.code}: limit {_grouped(reason.limit)}")
        else:
            parts.append(f"{reason.code}: limit {reason.limit}, observed {reason.observed}")
    return "; ".join(parts)


def _grouped(money: str) -> str:
    """``25000.00`` as ``25,000.00``."""
    whole, point, cents = money.partition(".")
    return f"{int(whole):,}{point}{cents}" if whole.isdigit() else money


def _shown(path: Path) -> str:
    """A path as the reader would type it from here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _verify(out: Path) -> tuple[bool, list[str]]:
    """Ask the separate verifier and the shell script; what they say is what is shown."""
    root = str(out / "root.pem")
    separate = _program(
        [sys.executable, "-m", "sekisho_verify", str(out / "bundle"), "--root", root]
    )
    shell = _program(["bash", str(out / "bundle/verify.sh"), "--root", root])
    (out / "verify.txt").write_text(
        f"$ sekisho-verify\n{separate[1]}\n$ verify.sh\n{shell[1]}", encoding="utf-8"
    )
    signatures = len(list((out / "bundle" / "permits").glob("*.sig")))
    found = {
        "sekisho-verify": "all verdicts re-computed",
        "openssl": f"certificate chain, CRL, {signatures} signatures, ledgers",
    }
    lines: list[str] = []
    for name, (code, text) in (("sekisho-verify", separate), ("openssl", shell)):
        begin = f"evidence: {out}/bundle —" if not lines else "         "
        if code == 0:
            lines.append(f"{begin} checked by {name} ({found[name]})")
        else:
            lines.append(f"{begin} {name} did NOT accept it (exit {code}):")
            lines += [f"    {line}" for line in text.splitlines()[-12:]]
    return separate[0] == 0 and shell[0] == 0, lines


def _program(command: list[str]) -> tuple[int, str]:
    try:
        done = subprocess.run(  # noqa: S603 - our own programs on our own files
            command, capture_output=True, text=True, check=False
        )
    except OSError as error:
        return 127, f"{command[0]}: {error.strerror}; install it to check the bundle with it"
    return done.returncode, done.stdout + done.stderr
