# SPDX-License-Identifier: Apache-2.0
"""A gate that was changed, in its last two live hours: the separate verifier names the entry.

The life is that of the exchange's bot on its Friday. Each test takes one guard of the watch away
and lets the gate write what it then would; signatures, hashes and proofs all hold.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sekisho.compose import RISK_SEAT, write_bundle
from sekisho.core.encoding import canonical, sha256_hex
from sekisho.core.events import AccumulationRestarted
from sekisho.core.gate import behaviour_checks, decide
from sekisho.services.gatelog import GateLog
from tests.acceptance.bundle_life import verify
from tests.acceptance.exchange import BOT, FRIDAY, at
from tests.embedded_world import AGENT
from tests.gate_world import codes
from tests.living_world import MONDAY, LivingWorld


def found_in(
    home: LivingWorld, folder: Path, story: Callable[[LivingWorld], Awaitable[None]]
) -> tuple[int, str]:
    """Tell the story in a copy of the home, export, and ask the verifier."""

    async def told() -> LivingWorld:
        world = home.copied(folder / "home", seed=5)
        await world.open()
        await story(world)
        await world.gate.incident_watch.settled()
        await write_bundle(world.home, AGENT, MONDAY, world.clock.now_ns(), folder / "bundle")
        await world.close()
        return world

    world = asyncio.run(told())
    shutil.copy(world.path / "root.pem", folder / "root.pem")
    return verify(folder / "bundle")


async def burst(world: LivingWorld) -> list[Any]:
    """Twenty-five small orders within two minutes: nothing like it in the baseline."""
    begin = at(FRIDAY, "10:10")
    return [
        await world.trade(begin + number * 5 * 10**9, BOT, quantity=str(1_000 + number))
        for number in range(25)
    ]


def test_honest_burst_is_refused_held_and_verified(friday: LivingWorld, tmp_path: Path) -> None:
    """Unchanged, the gate refuses from some order on, holds, and the verifier agrees."""
    answers: list[Any] = []

    async def story(world: LivingWorld) -> None:
        answers.extend(await burst(world))

    code, said = found_in(friday, tmp_path, story)
    refused = next(answer for answer in answers if answer.kind == "refused")
    assert codes(refused) == ["anomalous_order"]
    assert code == 0, said


def test_order_above_its_threshold_permitted_is_found(
    friday: LivingWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 29 taken out: the order that stands out is permitted, and the verifier says where."""
    left = tuple(check for check in decide.CHECKS if check is not behaviour_checks.anomaly)
    monkeypatch.setattr(decide, "CHECKS", left)
    answers: list[Any] = []

    async def story(world: LivingWorld) -> None:
        answers.extend(await burst(world))

    code, said = found_in(friday, tmp_path, story)
    found = said.splitlines()[-1]
    permitted = [answer.decision for answer in answers if answer.kind == "permitted"]
    assert code == 1
    assert "is recorded as permitted, computed refused (anomalous_order" in found
    assert any(f"entry {decision}:" in found for decision in permitted)


def test_crossing_that_opened_no_incident_is_found(
    friday: LivingWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The incident is not opened: the next entry stands where it should be."""
    monkeypatch.setattr(GateLog, "_note_crossing", lambda _self, _name: None)

    async def story(world: LivingWorld) -> None:
        await burst(world)

    code, said = found_in(friday, tmp_path, story)
    assert code == 1
    assert "incident_opened" in said.splitlines()[-1]


def test_accumulation_that_restarts_by_itself_is_found(friday: LivingWorld, tmp_path: Path) -> None:
    """A score put back to nothing, with no people behind it."""

    async def story(world: LivingWorld) -> None:
        log = world.gate.log
        first, last = log.watch.restart_range(AGENT, log.journal.size)
        log.record(AccumulationRestarted(at=log.at(), agent=AGENT, first=first, last=last))
        await world.trade(at(FRIDAY, "10:10"), BOT)

    code, said = found_in(friday, tmp_path, story)
    assert code == 1
    assert "accumulation_restarted" in said.splitlines()[-1]


def test_baseline_of_somebodys_making_is_found(
    two_weeks: LivingWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One order counted in another bucket, its digest signed and locked: it is not what the log
    shows.
    """
    watch_baseline = type(two_weeks).go_live

    async def story(world: LivingWorld) -> None:
        honest = world.gate.log.watch.baseline(AGENT, world.clock.now_ns())
        counts = honest.baseline["factors"]["size"]["counts"]
        counts[-1][0] += 64
        forged = msgspec.structs.replace(honest, sha256=sha256_hex(canonical(honest.baseline)))
        monkeypatch.setattr(
            type(world.gate.log.watch), "baseline", lambda _self, _agent, _now: forged
        )
        await watch_baseline(world, RISK_SEAT)
        monkeypatch.undo()

    code, said = found_in(two_weeks, tmp_path, story)
    assert code == 1
    assert "baseline factor `size`" in said.splitlines()[-1]
