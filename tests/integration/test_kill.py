# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random moments under load, on real folders; then everything is counted again.

The venue lives in this process and outlives every gate. Nothing that is checked here is the dead
gate's memory: its answers and the uses of its key were written down outside the home, the log is
read from the disk and decided anew.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from sekisho.adapters.clocks import SystemClock
from sekisho.compose import VENUE_CREDENTIAL
from sekisho.core.amounts import format_money, parse_amount
from sekisho.core.encoding import sha256_hex, unb64
from sekisho.core.events import Decision, PermitSigned, Withdrawn
from sekisho.core.gate.permit import Permit, read_permit
from sekisho.services.gatekeeper import Answer
from tests.embedded_world import (
    AGENT,
    EmbeddedWorld,
    policy_of,
    prepared,
    read_folder,
    unsigned,
)
from tests.integration.kill_driver import serve_venue
from tests.simulation.records import Replay, fits

ROOT = Path(__file__).parents[2]
LIVES_PER_HOME = 5
LONGEST_S = 0.25
STARTS_S = 30
CAP = "900000"
POLICY = policy_of(daily_notional_max=CAP, trading_hours="none")
ANSWERS = {"permitted", "refused", "withdrawn", "possibly_issued"}


class Noted:
    """What the dead left behind outside the home."""

    def __init__(self, notes: Path, uses: Path) -> None:
        self.bodies: dict[str, bytes] = {}
        self.answers: dict[str, Answer] = {}
        for line in _lines(notes):
            fact = msgspec.json.decode(line)
            if "asked" in fact:
                self.bodies[fact["asked"]] = unb64(fact["body"])
            else:
                self.answers[fact["answered"]] = msgspec.convert(fact["answer"], Answer)
        self.uses = [read_permit(unsigned(line)) for line in _lines(uses)]


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines() if path.exists() else []


class Victim:
    """One home that is killed again and again."""

    def __init__(self, folder: Path, clock: SystemClock) -> None:
        self.folder = folder
        self.world = EmbeddedWorld(folder / "home", clock)
        self.replay = Replay()
        self.socket = folder / "venue"
        self.hung_up = asyncio.Event()
        self.checked: set[str] = set()
        self.during_load = 0

    async def make(self) -> asyncio.Server:
        """The home, and the venue on its socket."""
        await prepared(self.world.path, POLICY, self.world.clock)
        await self.world.open()
        session = self.world.venue.session(VENUE_CREDENTIAL)
        await self.world.close()
        return await serve_venue(session, str(self.socket), self.hung_up)

    def line(self, seed: int) -> str:
        """What the driver is told."""
        notes, uses = self.folder / "notes", self.folder / "uses"
        return f"{self.world.path} {self.socket} {notes} {uses} {seed}\n"

    async def examine(self) -> None:
        """Everything, after one death."""
        self.check_published()
        noted = Noted(self.folder / "notes", self.folder / "uses")
        await self.world.open()
        try:
            if AGENT not in self.world.gate.log.state.agents:
                await self.world.gate.admit(AGENT)  # it died before it was admitted
            await self.world.gate.log.durable(self.world.gate.log.journal.size - 1)
            self.check_log(noted)
            self.check_answers(noted)
            await self.check_retries(noted)
            self.check_log(noted)
        finally:
            await self.world.close()
        self.check_published()
        self.checked = set(noted.bodies)

    def check_published(self) -> None:
        """What is published verifies, and the log that was read goes on from it."""
        for name, journal in self.world.home.journals.items():
            folder = self.world.path / name
            if (folder / "checkpoint").exists():
                entries = read_folder(folder, journal.log_key)
                if name == "gate":
                    shorter = min(len(entries), len(self.replay.raw))
                    assert entries[:shorter] == self.replay.raw[:shorter]

    def check_log(self, noted: Noted) -> None:
        """Decided and counted again; no use of the key without its record; the venue's list."""
        journal = self.world.gate.log.journal
        self.replay.advance([data for _, data in journal.entries()])
        assert [] == self.replay.findings[:3]
        times = [entry.at for entry in self.replay.entries]
        assert sorted(times) == times
        uses = noted.uses + [read_permit(unsigned(one)) for one in self.world.used.messages]
        assert [] == [use.log_index for use in uses if not fits(self.replay, use)]
        ids = [use.permit_id for use in uses]
        assert len(ids) == len(set(ids)), "a permit was signed twice"
        assert set(self.world.venue.permits_taken) <= set(ids)
        for _, entry in self.replay.of(PermitSigned):
            assert read_permit(entry.permit).permit_id in set(ids)
        self.check_counters(uses)

    def check_counters(self, uses: list[Permit]) -> None:
        """Memory after the start equals the independent recount, and the cap holds."""
        held, counted = self.world.gate.log.state.agents[AGENT], self.replay.recount
        for mine, said in ((counted.gross, held.gross), (counted.reserved, held.reserved)):
            assert format_money(said) == format_money(mine * 10**6)
        assert counted.orders == held.orders
        sums: dict[str, int] = {}
        for day, cents in counted.added.values():
            sums[day] = sums.get(day, 0) + cents * 10**6
        assert all(value <= parse_amount(CAP) for value in sums.values())
        assert len(uses) <= len(counted.added)

    def check_answers(self, noted: Noted) -> None:
        """Every answer that was given is in the log, with the content that it was given for."""
        for name, answer in noted.answers.items():
            if name in self.checked:
                continue
            body = noted.bodies[name]
            entry = self.replay.entry(answer.decision)
            assert isinstance(entry, Decision), f"{name}: acknowledged and lost"
            assert (sha256_hex(body), len(body)) == (entry.body_sha256, entry.body_bytes)
            assert answer.kind in ("permitted", "refused", "withdrawn")
            assert (answer.kind == "refused") == (entry.verdict == "refused")
            assert list(answer.reasons) == list(entry.reasons) or answer.kind != "refused"

    async def check_retries(self, noted: Noted) -> None:
        """Asked again, an order gets its one decision; the unanswered a definite answer."""
        known = {
            entry.order["client_order_id"]: (index, entry.verdict)
            for index, entry in self.replay.of(Decision)
            if entry.order is not None
        }
        ended = {e.decision: "permitted" for _, e in self.replay.of(PermitSigned)}
        ended |= {e.decision: "withdrawn" for _, e in self.replay.of(Withdrawn)}
        for name, body in noted.bodies.items():
            if name in self.checked or b'"one"' in body:
                continue
            answer = await self.world.ask(body)
            assert answer.kind in ANSWERS, answer
            if name in known:
                index, verdict = known[name]
                assert index == answer.decision
                if b'"cancel"' not in body and verdict == "permitted":
                    assert ended.get(index, "possibly_issued") == answer.kind
            else:
                assert name not in noted.answers, f"{name}: acknowledged and lost"
            again = await self.world.ask(body)
            assert (answer.kind, answer.decision) == (again.kind, again.decision)
        assert len(noted.bodies) >= len(noted.answers)


async def kill_one(driver: asyncio.subprocess.Process, victim: Victim, seed: int) -> None:
    """One life of the gate, ended by SIGKILL at a random time."""
    assert driver.stdin is not None
    assert driver.stdout is not None
    victim.hung_up.clear()
    before = len(_lines(victim.folder / "notes"))
    driver.stdin.write(victim.line(seed).encode())
    word, child = (await driver.stdout.readline()).split()
    assert word == b"child"
    if seed % 4:  # three of four die under load, the fourth perhaps while it opens
        async with asyncio.timeout(STARTS_S):
            while len(_lines(victim.folder / "notes")) == before:  # noqa: ASYNC110 - it is a file
                await asyncio.sleep(0.005)
    await asyncio.sleep(Random(seed).uniform(0.0, LONGEST_S))
    os.kill(int(child), signal.SIGKILL)
    gone = (await driver.stdout.readline()).split()
    assert [b"gone", child, b"%d" % -signal.SIGKILL] == gone
    if len(_lines(victim.folder / "notes")) > before:
        victim.during_load += 1
        await victim.hung_up.wait()


async def kill_many(folder: Path, count: int) -> dict[str, Any]:
    """Kill so many gates, each home five times."""
    driver = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.integration.kill_driver",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    totals = {"lives": 0, "under load": 0, "asked": 0, "answered": 0, "signed": 0}
    try:
        for number in range(0, count, LIVES_PER_HOME):
            victim = Victim(folder / str(number), SystemClock())
            victim.folder.mkdir()
            server = await victim.make()
            for seed in range(number, number + LIVES_PER_HOME):
                await kill_one(driver, victim, seed)
                await victim.examine()
            server.close()
            noted = Noted(victim.folder / "notes", victim.folder / "uses")
            totals["lives"] += LIVES_PER_HOME
            totals["under load"] += victim.during_load
            totals["asked"] += len(noted.bodies)
            totals["answered"] += len(noted.answers)
            totals["signed"] += len(noted.uses)
    finally:
        assert driver.stdin is not None
        driver.stdin.close()
        await driver.wait()
    print(totals)
    return totals


def test_kill_at_random_twenty_times_nothing_is_lost_or_signed_twice(tmp_path: Path) -> None:
    """Twenty deaths: no signature without record, no answer lost, counters as counted anew."""
    totals = asyncio.run(kill_many(tmp_path, 20))
    assert totals["under load"] >= 15
    assert totals["signed"] > 100


@pytest.mark.slow
def test_kill_at_random_two_hundred_times_nothing_is_lost_or_signed_twice(tmp_path: Path) -> None:
    """The same two hundred times."""
    totals = asyncio.run(kill_many(tmp_path, 200))
    assert totals["under load"] >= 150
    assert totals["signed"] > 1000
