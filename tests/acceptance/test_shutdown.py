# SPDX-License-Identifier: Apache-2.0
"""What people order at the gate itself, told on the whole product and checked by the verifier."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from sekisho.compose import COMPLIANCE_SEAT, ISSUER_SEAT, OPERATOR_SEAT, RISK_SEAT
from sekisho.core.amounts import CENT
from sekisho.core.errors import NotAuthorised, Unavailable
from sekisho.core.events import Advised, LocalStop, ShutdownOrdered
from sekisho.core.gate import decide, shutdown_checks
from sekisho.core.gate.agent import AgentState
from sekisho.core.gate.checks import Asked, Check
from sekisho.core.governance.commands import SignedCommand, parse_signed_command
from sekisho.core.terms import Reason
from sekisho.services.gatekeeper import Gatekeeper
from sekisho.services.localcommands import LocalOutcome
from sekisho.services.people import sign_command
from sekisho.services.status import TakenBefore
from tests.acceptance.bundle_life import export, verify
from tests.embedded_world import AGENT, EmbeddedWorld, order, person, policy_of, resting

RATE = policy_of(message_rate={"count_max": 100, "window_s": 60})


def signed(world: EmbeddedWorld, act: str, *seats: str, **more: Any) -> tuple[SignedCommand, ...]:
    """Commands of these seats about the agent, signed now."""
    return tuple(
        sign_command(
            person(world.home, seat), act, AGENT, world.home.authority, seat, "test_reason",
            world.home.around.entropy.bytes(16).hex(), world.clock.now_ns(), **more,
        )
        for seat in seats
    )  # fmt: skip


async def give(world: EmbeddedWorld, act: str, *seats: str, **more: Any) -> LocalOutcome:
    """These people give the gate this command."""
    return await world.gate.local.take(signed(world, act, *seats, **more))


def sell(name: str, quantity: str = "20000", **changes: Any) -> bytes:
    """A marketable order to sell euros."""
    return order(name, side="sell", quantity=quantity, **({"price": "1.1"} | changes))


def codes(answer: Any) -> list[str]:
    """Reason codes of an answer."""
    return [str(reason.code) for reason in answer.reasons]


async def wound_down(world: EmbeddedWorld) -> None:
    """Bought, ordered to reduce only, sold, cancels only, re-armed by two, bought again."""
    await world.ask(order("bought", quantity="20000"))
    await give(world, "shutdown", OPERATOR_SEAT, mode="reduce_only")
    assert codes(await world.ask(order("more", quantity="1"))) == ["action_not_permitted"]
    assert codes(await world.ask(sell("over", "20300"))) == ["action_not_permitted"]
    assert (await world.ask(sell("part", "5000"))).kind == "permitted"
    await give(world, "shutdown", RISK_SEAT, mode="cancel_only")
    assert codes(await world.ask(sell("late", "1"))) == ["action_not_permitted"]
    with pytest.raises(NotAuthorised, match="nobody with the role"):
        await give(world, "rearm", RISK_SEAT, latch="shutdown")
    await give(world, "rearm", COMPLIANCE_SEAT, RISK_SEAT, latch="shutdown")
    assert (await world.ask(order("again", quantity="100"))).kind == "permitted"


async def stopped_here(world: EmbeddedWorld) -> None:
    """A local hold, taken over by the authority, and its release by two people."""
    await world.ask(resting("rests", quantity="100"))
    outcome = await give(world, "hold", RISK_SEAT)
    assert (outcome.complete, outcome.taken_over) == (True, True)
    assert codes(await world.ask(order("held", quantity="1"))) == ["certificate_held"]
    world.stepped.advance(1)
    world.quote()
    await world.command("release", COMPLIANCE_SEAT, RISK_SEAT)
    await world.gate.leasing.renew()
    assert (await world.ask(order("free", quantity="100"))).kind == "permitted"


def test_life_with_orders_of_people_at_the_gate_verifies(tmp_path: Path) -> None:
    """Shutdown, re-arming, advice and a local stop: every verdict is computed again as it was."""

    async def story() -> Path:
        world = await EmbeddedWorld.start(tmp_path / "home", RATE)
        assert (await world.gate.advice.advise(AGENT, order("x"))).would_pass
        assert not (await world.gate.advice.advise(AGENT, order("x", quantity="25001"))).would_pass
        await wound_down(world)
        await stopped_here(world)
        kinds = [type(entry) for entry in world.entries()]
        assert [kinds.count(kind) for kind in (ShutdownOrdered, LocalStop, Advised)] == [2, 1, 2]
        await world.reopen()
        assert world.gate.log.state.agents[AGENT].shutdown == ""
        assert (await world.ask(order("after", quantity="100"))).kind == "permitted"
        bundle = await export(world, tmp_path / "bundle")
        await world.close()
        return bundle

    code, said = verify(asyncio.run(story()))
    assert code == 0, said


def test_local_hold_at_the_authority_is_its_own_and_taken_once(tmp_path: Path) -> None:
    """The same commands again change nothing; after a release the answer names its epoch."""

    async def story() -> None:
        world = await EmbeddedWorld.start(tmp_path / "home")
        authority = world.home.authority
        given = signed(world, "hold", RISK_SEAT)
        await world.gate.local.take(given)
        epoch = authority.state.agent_epoch(AGENT)
        assert epoch == 1
        assert await authority.take_over(given) is None
        assert authority.state.agent_epoch(AGENT) == epoch
        await world.command("release", COMPLIANCE_SEAT, RISK_SEAT)
        assert await authority.take_over(given) == TakenBefore(released={AGENT: epoch + 1})
        with pytest.raises(NotAuthorised, match="only a hold or a kill"):
            await authority.take_over(signed(world, "revoke", COMPLIANCE_SEAT))
        with pytest.raises(NotAuthorised, match="only a hold or a kill"):
            await authority.take_over(())
        await world.close()

    asyncio.run(story())


def test_local_kill_is_revoked_by_the_authority(tmp_path: Path) -> None:
    """The gate stops; revocation is the authority's and comes with the same command."""

    async def story() -> None:
        world = await EmbeddedWorld.start(tmp_path / "home")
        await world.ask(resting("rests", quantity="100"))
        outcome = await give(world, "kill", COMPLIANCE_SEAT)
        assert (outcome.act, outcome.complete) == ("kill", True)
        assert [record.status for record in world.home.authority.state.agents[AGENT]] == ["revoked"]
        assert world.gate.log.state.agents[AGENT].status == "revoked"
        assert await world.home.authority.take_over(signed(world, "kill", COMPLIANCE_SEAT))
        await world.close()

    asyncio.run(story())


async def replaced(world: EmbeddedWorld) -> None:
    """The next certificate of the agent, under the same policy, admitted here."""
    policy = world.gate.log.state.agents[AGENT].policy_sha256
    await world.home.issue(AGENT, policy, issuer_seat=ISSUER_SEAT, operator_seat=OPERATOR_SEAT)
    for record in world.home.authority.certificates(AGENT):
        if record.status == "good":
            world.venue.know_certificate(record.certificate)
    await world.gate.admit(AGENT)


def test_local_stop_that_the_authority_did_not_hear_of_outlasts_the_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Revoked elsewhere and replaced: held here until the authority has it and two release it."""

    async def story() -> Path:
        world = await EmbeddedWorld.start(tmp_path / "home")
        await world.ask(order("first", quantity="100"))
        hear = world.home.authority.take_over
        authority: Any = world.gate.local._authority

        async def away(_signed: object) -> None:
            raise Unavailable("cut")

        monkeypatch.setattr(authority, "take_over", away)
        record = world.home.authority.certificates(AGENT)[-1]
        monkeypatch.setattr(world.gate.stopping, "stop", still)
        await give(world, "hold", RISK_SEAT)
        await world.command("revoke", COMPLIANCE_SEAT)
        await replaced(world)
        held = world.gate.log.state.agents[AGENT]
        assert (held.status, held.certificate_sha256 != record.sha256) == ("hold", True)
        assert codes(await world.ask(order("second", quantity="100"))) == ["certificate_held"]
        (stop,) = world.gate.log.local_stops.values()
        await hear(tuple(parse_signed_command(text) for text in stop.commands))
        world.gate.log.heard_stop(max(world.gate.log.local_stops))
        await world.gate.leasing.renew()
        assert codes(await world.ask(order("third", quantity="100"))) == ["certificate_held"]
        await world.command("release", COMPLIANCE_SEAT, RISK_SEAT)
        await world.gate.leasing.renew()
        assert (await world.ask(order("fourth", quantity="100"))).kind == "permitted"
        bundle = await export(world, tmp_path / "bundle")
        await world.close()
        return bundle

    async def still(*_push: object) -> None:
        """A push that does not arrive."""

    code, said = verify(asyncio.run(story()))
    assert code == 0, said


def test_local_kill_ends_with_its_certificate_and_the_replacement_trades(tmp_path: Path) -> None:
    """People approved it anew after the kill: that is their word, and a verifier finds it so."""

    async def story() -> Path:
        world = await EmbeddedWorld.start(tmp_path / "home")
        await world.ask(order("first", quantity="100"))
        await give(world, "hold", RISK_SEAT)
        await world.command("revoke", COMPLIANCE_SEAT)
        assert world.gate.log.state.agents[AGENT].status == "revoked"
        await replaced(world)
        assert (await world.ask(order("second", quantity="100"))).kind == "permitted"
        bundle = await export(world, tmp_path / "bundle")
        await world.close()
        return bundle

    code, said = verify(asyncio.run(story()))
    assert code == 0, said


def none_of(_asked: Asked) -> Iterable[Reason]:
    """A check that lets everything by."""
    return ()


def one_cent_wider(asked: Asked) -> Iterable[Reason]:
    """Reduce-only that lets a position cross zero by a cent."""
    held, leg = asked.agent.quantities, ("EUR/USD", "EUR")
    before = held.get(leg)
    if before is None:  # nothing was bought yet
        yield from shutdown_checks.shutdown(asked)
        return
    held[leg] = before._replace(low=before.low + CENT, high=before.high + CENT)
    try:
        yield from shutdown_checks.shutdown(asked)
    finally:
        held[leg] = before


@pytest.mark.parametrize(
    ("loosened", "mode", "body"),
    [
        (none_of, "cancel_only", order("x", quantity="1")),
        (one_cent_wider, "reduce_only", sell("x", "20000.01", price="1.16")),
    ],
)  # fmt: skip
def test_order_that_passed_under_a_shutdown_makes_the_verifier_name_it(
    loosened: Check,
    mode: str,
    body: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The honest gate refuses; one whose check is loosened is found out by its own log."""

    async def life(folder: Path) -> tuple[str, int, Path]:
        world = await EmbeddedWorld.start(folder / "home", RATE)
        await world.ask(order("bought", quantity="20000"))
        await give(world, "shutdown", RISK_SEAT, mode=mode)
        answer = await world.ask(body)
        bundle = await export(world, folder / "bundle")
        await world.close()
        return answer.kind, answer.decision, bundle

    kind, _, bundle = asyncio.run(life(tmp_path / "honest"))
    assert (kind, verify(bundle)[0]) == ("refused", 0)
    wrong = tuple(loosened if one is shutdown_checks.shutdown else one for one in decide.CHECKS)
    monkeypatch.setattr(decide, "CHECKS", wrong)
    kind, index, bundle = asyncio.run(life(tmp_path / "loosened"))
    assert kind == "permitted"
    code, said = verify(bundle)
    assert (code, f"entry {index}" in said) == (1, True), said


def test_gate_that_signs_what_a_shutdown_overtook_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The person's order came between the decision and the key: the permit is named."""

    async def life(folder: Path) -> tuple[str, Path]:
        world = await EmbeddedWorld.start(folder / "home")

        async def meanwhile() -> None:
            world.used.wait = None
            await give(world, "shutdown", RISK_SEAT, mode="cancel_only")

        world.used.wait = meanwhile
        answer = await world.ask(order("x", quantity="100"))
        bundle = await export(world, folder / "bundle")
        await world.close()
        return answer.kind, bundle

    kind, bundle = asyncio.run(life(tmp_path / "honest"))
    assert (kind, verify(bundle)[0]) == ("withdrawn", 0)
    monkeypatch.setattr(Gatekeeper, "_stopped", lambda *_: "")
    kind, bundle = asyncio.run(life(tmp_path / "careless"))
    assert kind == "permitted"
    code, said = verify(bundle)
    assert (code, "left only cancel_only" in said) == (1, True), said


def test_advice_left_out_of_the_count_makes_the_verifier_name_the_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gate whose advice is free counts fewer messages than its log shows."""

    async def story() -> Path:
        world = await EmbeddedWorld.start(tmp_path / "home", RATE)
        monkeypatch.setattr(AgentState, "advised", lambda *_: None)
        await world.gate.advice.advise(AGENT, order("x"))
        await world.ask(order("y", quantity="100"))
        bundle = await export(world, tmp_path / "bundle")
        await world.close()
        return bundle

    code, said = verify(asyncio.run(story()))
    assert (code, "`before` is recorded as" in said) == (1, True), said
