# SPDX-License-Identifier: Apache-2.0
"""The case of the exchange's bot, told to its end (the demonstration tells it too).

A bot of a crypto exchange trades EUR/USD and GBP/EUR: 25,000 euros an order, weekdays 08:00 to
17:00. After a fortnight its baseline is locked and it goes live. On the eighth day it asks for
180,000 euros. Where the text that this follows contradicts itself, it is read so: the order is
stopped *and* the certificate is held at once; what comes after the grace period is final; two
refused orders are counted as two; and a Saturday is outside the trading hours.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sekisho.compose import COMPLIANCE_SEAT, ISSUER_SEAT, OPERATOR_SEAT, RISK_SEAT, write_bundle
from sekisho.core.errors import NotAuthorised, VerificationFailed
from sekisho.core.terms import format_instant
from tests.acceptance.bundle_life import verify
from tests.acceptance.exchange import BOT, FRIDAY, at
from tests.embedded_world import AGENT
from tests.gate_world import codes
from tests.living_world import MONDAY, LivingWorld

SEVEN = {f"{number} " for number in range(1, 8)}


def tell(
    friday: LivingWorld, folder: Path, story: Callable[[LivingWorld], Awaitable[None]]
) -> LivingWorld:
    """A story that begins on that Friday, in a copy of the exchange's home."""

    async def told() -> LivingWorld:
        world = friday.copied(folder / "home", seed=5)
        await world.open()
        await story(world)
        await world.close()
        return world

    return asyncio.run(told())


async def ask_for_180_000(world: LivingWorld) -> None:
    """Two orders rest; then, at 10:30, the bot asks for 180,000 euros, and it is held at once."""
    for minute in ("10:10", "10:20"):
        resting = await world.trade(
            at(FRIDAY, minute), BOT, order_type="limit", price="1.10", side="buy",
            market="EUR/USD", time_in_force="day",
        )  # fmt: skip
        assert resting.order_state == "open", world.venue.rejections
    answer = await world.trade(
        at(FRIDAY, "10:30"), BOT, quantity="180000", market="EUR/USD", side="buy"
    )
    await world.gate.incident_watch.settled()
    assert codes(answer) == ["exceeds_scope_size", "anomalous_order"]


async def acknowledge(world: LivingWorld, seat: str, disposition: str, **more: str) -> None:
    """A person answers the open incident."""
    incident = world.home.authority.incidents.open_incident(AGENT)
    assert incident is not None
    signed = world.sign(
        "acknowledge", seat, incident=incident.incident, disposition=disposition, **more
    )
    await world.home.authority.acknowledge((signed,))


async def pass_time(world: LivingWorld, until: int) -> None:
    """Time passes, and what falls due is done."""
    world.stepped.advance_to(until)
    await world.home.authority.due()


def test_whole_case_ends_as_the_text_says(friday: LivingWorld, tmp_path: Path) -> None:
    """Refused, held, acknowledged as a fault, revoked, refused again, replaced, trading again."""

    async def story(world: LivingWorld) -> None:
        await ask_for_180_000(world)
        incident = world.incidents()[-1]
        assert (incident.score, incident.factor) == ("anomaly", "size")
        assert incident.observed >= "0.900000"
        assert (world.status, world.story()) == ("hold", ["automatic_hold"])
        assert world.venue.open_orders(AGENT) == ()

        world.stepped.advance(180)
        eleven = at(FRIDAY + 1, "10:30")
        await acknowledge(world, COMPLIANCE_SEAT, "fault", revoke_at=format_instant(eleven))
        await pass_time(world, eleven)
        assert world.story() == ["automatic_hold", "fault"]

        after = await world.trade(at(FRIDAY + 1, "11:00"), BOT, quantity="22000")
        assert codes(after) == ["certificate_revoked", "outside_trading_hours"]

        policy = world.gate.log.state.agents[AGENT].policy_sha256
        baseline = world.gate.log.watch.locked(AGENT)
        await world.home.issue(AGENT, policy, issuer_seat=ISSUER_SEAT, operator_seat=OPERATOR_SEAT)
        for record in world.home.authority.certificates(AGENT):
            if record.status == "good":
                world.venue.know_certificate(record.certificate)
        await world.gate.admit(AGENT)
        assert (world.gate.log.watch.locked(AGENT), world.status) == (baseline, "good")

        before = len(world.asked)
        await world.trade_day(FRIDAY + 3, BOT)
        assert {answer.kind for answer in world.asked[before:]} == {"permitted"}
        refused = [answer for answer in world.asked if answer.kind == "refused"]
        assert len(refused) == 2

    tell(friday, tmp_path, story)


def test_unanswered_hold_becomes_final_after_the_grace_period(
    friday: LivingWorld, tmp_path: Path
) -> None:
    """Nobody acknowledges within five minutes: revoked, not a second earlier."""

    async def story(world: LivingWorld) -> None:
        await ask_for_180_000(world)
        await pass_time(world, at(FRIDAY, "10:34"))
        assert world.story() == ["automatic_hold"]
        await pass_time(world, at(FRIDAY, "10:36"))
        assert world.story() == ["automatic_hold", "grace_expired"]

    tell(friday, tmp_path, story)


def test_grace_goes_on_while_the_process_is_gone(friday: LivingWorld, tmp_path: Path) -> None:
    """Restarted in the middle of grace, or long after it: the deadline is kept."""

    async def story(world: LivingWorld) -> None:
        await ask_for_180_000(world)
        world.stepped.advance(120)
        await world.reopen()
        await world.home.authority.due()
        assert (world.status, world.story()) == ("hold", ["automatic_hold"])
        await world.close()
        world.stepped.advance(3600)
        await world.open()
        await world.home.authority.due()
        assert world.story() == ["automatic_hold", "grace_expired"]

    tell(friday, tmp_path, story)


def test_clock_stepped_back_lengthens_no_grace(friday: LivingWorld, tmp_path: Path) -> None:
    """The wall clock goes back an hour in the middle of grace; six minutes later it is over."""

    async def story(world: LivingWorld) -> None:
        await ask_for_180_000(world)
        world.stepped.advance(60)
        world.stepped.step_wall(-3600)
        world.stepped.advance(300)
        await world.home.authority.due()
        assert world.story() == ["automatic_hold", "grace_expired"]

    tell(friday, tmp_path, story)


@pytest.mark.parametrize("seat", [OPERATOR_SEAT, ISSUER_SEAT, "compliance_team@cryptoex"])
def test_acknowledgement_by_another_role_changes_nothing(
    seat: str, friday: LivingWorld, tmp_path: Path
) -> None:
    """The operator, the issuer and the developer may not acknowledge; grace runs on."""

    async def story(world: LivingWorld) -> None:
        await ask_for_180_000(world)
        with pytest.raises(NotAuthorised):
            await acknowledge(world, seat, "false_alarm")
        await pass_time(world, at(FRIDAY, "10:36"))
        assert world.story() == ["automatic_hold", "grace_expired"]

    tell(friday, tmp_path, story)


def test_acknowledgement_by_a_stranger_changes_nothing(friday: LivingWorld, tmp_path: Path) -> None:
    """A key that is in no roster, in the name of a seat that is."""

    async def story(world: LivingWorld) -> None:
        await ask_for_180_000(world)
        incident = world.home.authority.incidents.open_incident(AGENT)
        assert incident is not None
        genuine = world.sign(
            "acknowledge", RISK_SEAT, incident=incident.incident, disposition="false_alarm"
        )
        forged = world.forged(genuine)
        with pytest.raises(VerificationFailed):
            await world.home.authority.acknowledge((forged,))
        assert world.home.authority.incidents.by_id(incident.incident).state == "grace"

    tell(friday, tmp_path, story)


@pytest.mark.parametrize(
    "seats",
    [(COMPLIANCE_SEAT,), (COMPLIANCE_SEAT, COMPLIANCE_SEAT), (COMPLIANCE_SEAT, ISSUER_SEAT)],
)
def test_release_by_fewer_than_two_roles_is_refused(
    seats: tuple[str, ...], friday: LivingWorld, tmp_path: Path
) -> None:
    """One person, the same person twice, or somebody whose part this is not: still held."""

    async def story(world: LivingWorld) -> None:
        await ask_for_180_000(world)
        await acknowledge(world, COMPLIANCE_SEAT, "false_alarm")
        with pytest.raises(NotAuthorised):
            await world.command("release", *seats)
        assert (world.status, world.story()) == ("hold", ["automatic_hold"])

    tell(friday, tmp_path, story)


def test_false_alarm_released_by_two_begins_a_new_accumulation(
    friday: LivingWorld, tmp_path: Path
) -> None:
    """Compliance and risk release it: trading goes on, and what was left out is named."""

    async def story(world: LivingWorld) -> None:
        await ask_for_180_000(world)
        await acknowledge(world, COMPLIANCE_SEAT, "false_alarm")
        outcome = await world.command("release", COMPLIANCE_SEAT, RISK_SEAT)
        assert (outcome.complete, world.story()) == (True, ["automatic_hold", "release"])
        await world.gate.leasing.renew()
        ordinary = await world.trade(at(FRIDAY, "11:00"), BOT)
        assert ordinary.kind == "permitted"
        assert world.home.authority.incidents.open_incident(AGENT) is None
        assert world.risk().score == "0.000000"

    tell(friday, tmp_path, story)


def test_bundle_of_the_case_passes_the_seven_checks(friday: LivingWorld, tmp_path: Path) -> None:
    """What is exported is verified by the separate program, and all seven checks pass."""

    async def story(world: LivingWorld) -> None:
        await ask_for_180_000(world)
        await pass_time(world, at(FRIDAY, "10:36"))
        await write_bundle(world.home, AGENT, MONDAY, world.clock.now_ns(), tmp_path / "bundle")

    world = tell(friday, tmp_path, story)
    shutil.copy(world.path / "root.pem", tmp_path / "root.pem")
    code, said = verify(tmp_path / "bundle")
    assert code == 0, said
    verdicts = [line[25:35].strip() for line in said.splitlines() if line[:2] in SEVEN]
    assert verdicts == ["passed"] * 7
