# SPDX-License-Identifier: Apache-2.0
"""The case of the bank's FX bot, told to its end: drift, and what the auditors then try.

A bank's bot trades EUR/USD for up to fifty millions a day. One week after it went live its
executions get slow. Nobody is asked: when the risk score reaches 0.85 the certificate is held, the
compliance team is told, and nothing further is signed. Then auditors replay, bypass, inject and
forge.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from sekisho.compose import COMPLIANCE_SEAT, RISK_SEAT, write_bundle
from sekisho.core.errors import VerificationFailed
from sekisho.core.events import PermitSigned, decode_gate_entry
from sekisho.core.gate.permit import assemble, split
from sekisho_verify.findings import VerificationFailed as NotGood
from sekisho_verify.permit import verify_permit
from tests.acceptance.bank import FX, SECOND_WEEK
from tests.acceptance.bundle_life import verify
from tests.embedded_world import AGENT
from tests.gate_world import codes
from tests.living_world import MONDAY, LivingWorld

SEVEN = {f"{number} " for number in range(1, 8)}
SLOW = msgspec.structs.replace(FX, latency_ms=(58, 60))


def tell(
    bank: LivingWorld, folder: Path, story: Callable[[LivingWorld], Awaitable[None]]
) -> LivingWorld:
    """A story that begins after the first live week, in a copy of the bank's home."""

    async def told() -> LivingWorld:
        world = bank.copied(folder / "home", seed=9)
        await world.open()
        await story(world)
        await world.close()
        return world

    return asyncio.run(told())


def permits(world: LivingWorld) -> list[PermitSigned]:
    """Every permit of the gate's log, in order."""
    entries = (decode_gate_entry(data) for _, data in world.gate.log.journal.entries())
    return [entry for entry in entries if isinstance(entry, PermitSigned)]


def presented(world: LivingWorld, permit: str) -> str:
    """What a counterparty does with a permit: verify it with the root that it trusts, offline."""
    state = world.home.authority.state
    (record,) = world.home.authority.certificates(AGENT)
    return verify_permit(
        permit,
        certificate=record.certificate,
        issuing=state.issuing_certificate,
        root=state.root_certificate,
        venue="PAPER",
        now_ns=world.clock.now_ns(),
        environments=frozenset({"test"}),
    ).permit_id


def test_slow_executions_hold_the_bot_and_nothing_more_is_signed(
    live_week: LivingWorld, tmp_path: Path
) -> None:
    """The score reaches 0.85: held, alerted, and every further order refused before the key."""

    async def story(world: LivingWorld) -> None:
        ordinary = await world.trade(MONDAY + SECOND_WEEK * 86_400 * 10**9 + 9 * 3600 * 10**9, FX)
        assert presented(world, ordinary.permit)
        await world.trade_until(SECOND_WEEK, 14, SLOW)
        incident = world.incidents()[-1]
        assert (incident.factor, incident.observed >= "0.850000") == ("latency", True)
        alert = json.loads((world.path / "alerts.jsonl").read_text().splitlines()[0])
        assert (alert["incident"], alert["about"]) == (incident.incident, "opened")
        before, uses = permits(world), len(world.used.messages)
        calls = [await world.trade(world.clock.now_ns(), SLOW) for _ in range(20)]
        assert {codes(call)[0] for call in calls} == {"certificate_held"}
        assert (permits(world), len(world.used.messages)) == (before, uses)

    tell(live_week, tmp_path, story)


def test_auditors_replay_every_decision(live_week: LivingWorld, tmp_path: Path) -> None:
    """From the bundle, every verdict and every score is computed again by another program."""

    async def story(world: LivingWorld) -> None:
        await world.trade_until(SECOND_WEEK, 14, SLOW)
        await write_bundle(world.home, AGENT, MONDAY, world.clock.now_ns(), tmp_path / "bundle")

    world = tell(live_week, tmp_path, story)
    shutil.copy(world.path / "root.pem", tmp_path / "root.pem")
    code, said = verify(tmp_path / "bundle")
    assert code == 0, said
    verdicts = [line[25:35].strip() for line in said.splitlines() if line[:2] in SEVEN]
    assert verdicts == ["passed"] * 6 + ["open"]  # nobody has answered the incident yet


def test_auditors_order_without_a_permit_is_not_executed(
    live_week: LivingWorld, tmp_path: Path
) -> None:
    """Past the gate there is no key: a permit without its signature buys nothing at the venue."""

    async def story(world: LivingWorld) -> None:
        genuine = permits(world)[-1].permit
        signed, _ = split(genuine)
        forged = assemble(signed, split(permits(world)[-2].permit)[1])
        before = len(world.venue.permits_taken)
        (report,) = world.venue.take(forged)
        assert (report.exec_type, len(world.venue.permits_taken)) == ("rejected", before)
        with pytest.raises(NotGood):
            presented(world, forged)

    tell(live_week, tmp_path, story)


@pytest.mark.parametrize(
    ("bid", "ask", "code"),
    [("1.1700", "1.1600", "rate_crossed"), ("1.4000", "1.4001", "rate_outlier")],
)
def test_auditors_bad_rates_refuse_the_order(
    bid: str, ask: str, code: str, live_week: LivingWorld, tmp_path: Path
) -> None:
    """Crossed rates, a rate that jumps: the order is refused for it, and the rate is on record."""

    async def story(world: LivingWorld) -> None:
        at = MONDAY + (SECOND_WEEK * 86_400 + 9 * 3600) * 10**9
        await world.trade(at, FX, market="EUR/USD")
        inject = lambda: world.rates.set("EUR/USD", bid, ask)  # noqa: E731 - what is injected
        world.quote = inject  # type: ignore[method-assign]  # rates that somebody changed
        refused = await world.trade(at + 10**9, FX, market="EUR/USD")
        assert code in codes(refused)

    tell(live_week, tmp_path, story)


def test_auditors_spoofed_release_is_refused(live_week: LivingWorld, tmp_path: Path) -> None:
    """A message that says "released", signed by keys that the roster does not have."""

    async def story(world: LivingWorld) -> None:
        await world.trade_until(SECOND_WEEK, 14, SLOW)
        spoofed = tuple(
            world.forged(world.sign("release", seat)) for seat in (COMPLIANCE_SEAT, RISK_SEAT)
        )
        with pytest.raises(VerificationFailed):
            await world.home.authority.command(spoofed)
        assert (world.status, world.story()) == ("hold", ["automatic_hold"])

    tell(live_week, tmp_path, story)
