# SPDX-License-Identifier: Apache-2.0
"""Orders that once made an honest gate's bundle fail: gate and verifier must agree on each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sekisho.apps.demo import MARKER, make_room
from sekisho.compose import COMPLIANCE_SEAT
from sekisho.core.encoding import canonical
from sekisho.core.errors import ConfigurationInvalid, VerificationFailed
from sekisho.core.events import StatusActed
from sekisho.core.identity.ocsp import verify_ocsp
from tests.acceptance.bundle_life import export, verify
from tests.embedded_world import AGENT, EmbeddedWorld, order, policy_of, resting

Life = Callable[[EmbeddedWorld], Awaitable[None]]


def amend(name: str, of: str, quantity: str) -> bytes:
    """The bytes of an amendment."""
    fields = {"action": "amend", "client_order_id": name, "orig_client_order_id": of}
    return canonical(fields | {"quantity": quantity})


async def two_amendments_at_once(world: EmbeddedWorld) -> None:
    """The second one finds the first under way and is refused without a value."""
    await world.ask(resting("c0", quantity="100"))
    await asyncio.gather(*(world.ask(amend(n, "c0", "200")) for n in ("a0", "a1")))


async def rate_away_and_crossed(world: EmbeddedWorld) -> None:
    """Orders whose price alone bounds their value, while there is no usable rate."""
    sold = {"side": "sell", "currency": "USD", "price": "1.2", "quantity": "100"}
    world.rates.clear("EUR/USD")
    await world.ask(order("missing", **sold))
    world.rates.set("EUR/USD", "1.2", "1.1")
    await world.ask(order("crossed", **sold))
    await world.ask(order("other", market="USD/EUR", currency="USD", price="0.85", quantity="100"))


async def largest_numbers(world: EmbeddedWorld) -> None:
    """The largest quantity at the largest price is refused, and recorded as what it is."""
    most = "9" * 18
    await world.ask(
        order("most", market="GBP/EUR", currency="GBP", side="sell", quantity=most, price=most)
    )


async def largest_numbers_permitted(world: EmbeddedWorld) -> None:
    """Where the policy has no limit of value even such an order is counted exactly."""
    most = "9" * 18
    await world.ask(
        order("most", market="GBP/EUR", currency="GBP", side="sell", quantity=most, price=most)
    )
    await world.ask(order("next", quantity="1"))


async def clock_stepped_past_the_lease(world: EmbeddedWorld) -> None:
    """The wall clock jumps ahead of the lease: nothing is signed, on either clock's word."""
    await world.ask(order("before", quantity="100"))
    world.stepped.step_wall(17)
    world.quote()
    answer = await world.ask(order("after", quantity="100"))
    assert answer.kind != "permitted"


@pytest.mark.parametrize(
    ("life", "fields"),
    [
        (two_amendments_at_once, {}),
        (rate_away_and_crossed, {}),
        (largest_numbers, {}),
        (largest_numbers_permitted, {"order_notional_max": None, "daily_notional_max": None}),
        (clock_stepped_past_the_lease, {}),
    ],
)
def test_honest_gate_is_always_accepted(
    life: Life, fields: dict[str, object], tmp_path: Path
) -> None:
    """Whatever a bot asks, and however rates and clocks behave, the evidence verifies."""

    async def story() -> tuple[int, str]:
        world = await EmbeddedWorld.start(tmp_path / "home", policy_of(**fields))
        await life(world)
        bundle = await export(world, tmp_path / "bundle")
        await world.close()
        return verify(bundle)

    code, said = asyncio.run(story())
    assert code == 0, said


def test_status_response_of_a_bundle_ends_with_the_moment(tmp_path: Path) -> None:
    """The *good* that a bundle carries is no licence for a key after a later hold."""

    async def story() -> None:
        world = await EmbeddedWorld.start(tmp_path / "home")
        bundle = await export(world, tmp_path / "bundle")
        record = world.home.authority.certificates(AGENT)[0]
        response = next((bundle / "ocsp").glob("*.der")).read_bytes()
        issuing = world.home.authority.state.issuing_certificate
        await world.command("hold", COMPLIANCE_SEAT)
        world.stepped.advance(20)
        with pytest.raises(VerificationFailed):
            verify_ocsp(response, issuing, record.certificate, world.clock.now_ns())
        await world.close()

    asyncio.run(story())


def test_demonstration_replaces_only_what_it_wrote(tmp_path: Path) -> None:
    """A folder with anything else in it is left alone, marker or not."""
    (tmp_path / MARKER).write_text("x")
    (tmp_path / "precious").write_text("x")
    with pytest.raises(ConfigurationInvalid, match="choose another"):
        make_room(tmp_path)
    assert (tmp_path / "precious").read_text() == "x"


def test_gate_that_lifts_a_hold_by_an_old_epoch_is_found_out(tmp_path: Path) -> None:
    """A *good* in the gate's log that is no newer than the hold before it fails verification."""

    async def story() -> tuple[int, str]:
        world = await EmbeddedWorld.start(tmp_path / "home")
        await world.command("hold", COMPLIANCE_SEAT)
        log = world.gate.log
        index = log.record(
            StatusActed(
                at=log.at(),
                agent=AGENT,
                certificate_sha256=log.state.agents[AGENT].certificate_sha256,
                status="good",
                reason="",
                epoch=0,
            )
        )
        await log.durable(index)
        bundle = await export(world, tmp_path / "bundle")
        await world.close()
        return verify(bundle)

    code, said = asyncio.run(story())
    assert (code, "lifts a stop by an epoch that is not newer" in said) == (1, True), said
