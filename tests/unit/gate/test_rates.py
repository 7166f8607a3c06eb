# SPDX-License-Identifier: Apache-2.0
"""Rate data and market stress, refused through the real rate port: inside, at, outside."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sekisho.core.events import RateObserved, decode_gate_entry
from sekisho.ports import Quotation
from tests.gate_world import POLICY, GateWorld, codes, scope_of


def test_rate_missing_refuses() -> None:
    """Without a rate for the order's pair nothing is signed, even if the size needs none."""

    async def story() -> None:
        world = await GateWorld.start()
        world.rates.clear("EUR/USD")
        answer = await world.ask()
        assert codes(answer) == ["rate_missing"]
        assert answer.reasons[0].observed == "STATIC:EUR/USD"

    asyncio.run(story())


@pytest.mark.parametrize(
    ("age_s", "expected"),
    [(60, []), (61, ["rate_stale"]), (-1, []), (-2, ["rate_stale"])],
)
def test_rate_age_is_bounded_on_both_sides(age_s: int, expected: list[str]) -> None:
    """A rate older than the policy's limit, or dated into the future, is stale."""

    async def story() -> None:
        world = await GateWorld.start()
        world.rates.age("EUR/USD", age_s)
        assert codes(await world.ask()) == expected

    asyncio.run(story())


def test_rate_crossed_refuses_and_locked_passes() -> None:
    """bid > ask is no market; bid = ask is one; a bid of zero is none."""

    async def story() -> None:
        world = await GateWorld.start()
        world.rates.cross("EUR/USD")
        assert codes(await world.ask()) == ["rate_crossed"]
        world.clock.advance(1)
        world.rates.set("EUR/USD", "1.085", "1.085")
        assert codes(await world.ask(client_order_id="order-2")) == []
        world.clock.advance(1)
        world.rates.set("EUR/USD", "0", "1.085")
        assert codes(await world.ask(client_order_id="order-3")) == ["rate_crossed"]

    asyncio.run(story())


@pytest.mark.parametrize(
    ("after_s", "price", "expected"),
    [(60, "1.05", []), (60, "1.05000001", ["rate_outlier"]), (61, "1.5", [])],
)
def test_rate_jump_within_the_window_is_an_outlier(
    after_s: int, price: str, expected: list[str]
) -> None:
    """More than the policy's share within its window refuses; later it is simply the market."""

    async def story() -> None:
        world = await GateWorld.start()
        world.rates.set("EUR/USD", "1", "1")
        assert codes(await world.ask(price="1")) == []
        world.clock.advance(after_s)
        world.rates.set("EUR/USD", price, price)
        assert codes(await world.ask(client_order_id="order-2", price="1")) == expected

    asyncio.run(story())


@pytest.mark.parametrize(("other", "expected"), [("1.005", []), ("1.00500001",
                         ["rate_sources_disagree"])])  # fmt: skip
def test_rate_sources_must_agree(other: str, expected: list[str]) -> None:
    """Two sources that are further apart than the policy allows refuse the order."""

    async def story() -> None:
        world = await GateWorld.start(scope_of(reference_rates__sources=["STATIC", "SECOND"]))
        world.rates.set("EUR/USD", "1", "1")
        world.rates.set("EUR/USD", other, other, source="SECOND")
        assert codes(await world.ask(price="1")) == expected

    asyncio.run(story())


def test_rate_second_source_missing_refuses() -> None:
    """A source that the policy lists and that says nothing is a missing rate."""

    async def story() -> None:
        world = await GateWorld.start(scope_of(reference_rates__sources=["STATIC", "SECOND"]))
        answer = await world.ask()
        assert [r.observed for r in answer.reasons] == ["SECOND:EUR/USD"]

    asyncio.run(story())


def test_rate_older_than_the_latest_is_ignored() -> None:
    """Replaying an old quotation does not bring an old market back."""

    async def story() -> None:
        world = await GateWorld.start(
            scope_of(price_collar={"deviation_max": "0.01", "range_max": "9", "window_s": 1})
        )
        assert codes(await world.ask()) == []
        world.rates.age("EUR/USD", 10)
        world.rates.set("EUR/USD", "1.2", "1.2", quoted_at="2026-05-15T08:59:50.000000000Z")
        assert codes(await world.ask(client_order_id="order-2")) == []

    asyncio.run(story())


def test_rate_unreadable_is_recorded_as_crossed_and_refuses() -> None:
    """What a feed sends and nobody can read refuses the order and stays visible in the log."""

    async def story() -> None:
        world = await GateWorld.start()

        async def absurd(pairs: tuple[str, ...]) -> tuple[Quotation, ...]:
            return (
                Quotation(market="EUR/USD", source="STATIC", bid="NaN", ask="1e9", quoted_at="x"),
                Quotation(market="EUR/USD\n", source="STATIC", bid="1", ask="1", quoted_at="x"),
            )

        world.rates.quotations = absurd  # type: ignore[method-assign]  # known
        assert codes(await world.ask()) == ["rate_crossed"]
        rates = [
            entry
            for _, data in world.log.journal.entries()
            if isinstance(entry := decode_gate_entry(data), RateObserved)
        ]
        assert [(rate.bid, rate.ask) for rate in rates] == [("0", "0")]

    asyncio.run(story())


def test_conversion_rate_is_needed_where_the_currency_is_no_leg() -> None:
    """An order in USD/CHF under a EUR policy is valued by EUR/USD, worst side and buffer."""

    async def story() -> None:
        world = await GateWorld.start(scope_of(markets=["USD/CHF"]))
        asked: dict[str, Any] = {"market": "USD/CHF", "currency": "USD", "price": "0.9"}
        world.rates.set("USD/CHF", "0.9", "0.9")
        world.rates.clear("EUR/USD")
        assert codes(await world.ask(**asked)) == ["rate_missing"]
        world.rates.set("EUR/USD", "1", "1.25")
        # USD → EUR at the ask side 1/1 with 1 %: 24752.47 × 1.01 = 24999.9947, one cent more is not
        answer = await world.ask(client_order_id="order-2", quantity="24752.47", **asked)
        assert (codes(answer), world.decision(answer).notional) == ([], "25000.00")
        answer = await world.ask(client_order_id="order-3", quantity="24752.48", **asked)
        assert codes(answer) == ["exceeds_scope_size"]

    asyncio.run(story())


def test_market_order_is_valued_with_the_buffer_on_the_worst_side() -> None:
    """Nobody knows the price of a market order: the ask and the buffer bound it."""

    async def story() -> None:
        world = await GateWorld.start(scope_of(markets=["GBP/EUR"]))
        world.rates.set("GBP/EUR", "1.1", "1.2")
        asked: dict[str, Any] = {
            "market": "GBP/EUR", "currency": "GBP", "order_type": "market", "price": None,
            "quantity": "1000", "side": "sell",
        }  # fmt: skip
        answer = await world.ask(**asked)
        assert world.decision(answer).notional == "1212.00"
        asked |= {"currency": "GBP", "order_type": "limit", "price": "1.3"}
        answer = await world.ask(**asked | {"client_order_id": "order-2"})
        assert world.decision(answer).notional == "1300.00"
        answer = await world.ask(**asked | {"client_order_id": "order-3", "side": "buy"})
        assert world.decision(answer).notional == "1300.00"

    asyncio.run(story())


STRESS = {"action": "refuse", "spread_max": "0.01", "move_max": "0.02", "window_s": 60}


@pytest.mark.parametrize(
    ("ask", "action", "expected"),
    [
        ("1.01", "refuse", []),
        ("1.0101", "refuse", ["market_stressed"]),
        ("1.0101", "score", []),
    ],
)
def test_market_stress_by_spread(ask: str, action: str, expected: list[str]) -> None:
    """A spread above the policy's share of the mid is stress; the policy may only note it."""

    async def story() -> None:
        world = await GateWorld.start(scope_of(market_stress=STRESS | {"action": action}))
        world.rates.set("EUR/USD", "1", ask)
        assert codes(await world.ask(price="1")) == expected

    asyncio.run(story())


@pytest.mark.parametrize(("price", "expected"), [("1.02", []), ("1.02000001",
                         ["market_stressed"])])  # fmt: skip
def test_market_stress_by_move(price: str, expected: list[str]) -> None:
    """A move above the policy's share within its window is stress."""

    async def story() -> None:
        world = await GateWorld.start(scope_of(market_stress=STRESS))
        world.rates.set("EUR/USD", "1", "1")
        assert codes(await world.ask(price="1")) == []
        world.clock.advance(60)
        world.rates.set("EUR/USD", price, price)
        assert codes(await world.ask(price="1", client_order_id="order-2")) == expected

    asyncio.run(story())


def test_rate_source_down_refuses() -> None:
    """A feed that does not answer leaves the last rate, and that gets stale."""

    async def story() -> None:
        world = await GateWorld.start(POLICY)
        from sekisho.core.errors import Unavailable

        async def down(pairs: tuple[str, ...]) -> tuple[Quotation, ...]:
            raise Unavailable("feed down")

        assert codes(await world.ask()) == []
        world.rates.quotations = down  # type: ignore[method-assign]  # known
        world.clock.advance(61)
        assert codes(await world.ask(client_order_id="order-2")) == ["rate_stale"]

    asyncio.run(story())
