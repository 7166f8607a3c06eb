# SPDX-License-Identifier: Apache-2.0
"""Limits that count over time: caps of a day, windows, positions, latches."""

from __future__ import annotations

import asyncio
from typing import Any

from sekisho.core.encoding import canonical
from tests.gate_world import CERTIFICATE, GateWorld, codes, scope_of


def amend(name: str, orig: str, quantity: str, **more: str) -> bytes:
    return canonical(
        {"action": "amend", "client_order_id": name, "orig_client_order_id": orig,
         "quantity": quantity, **more}
    )  # fmt: skip


def cancel(name: str, orig: str) -> bytes:
    return canonical({"action": "cancel", "client_order_id": name, "orig_client_order_id": orig})


def test_daily_volume_is_counted_at_once_and_never_given_back() -> None:
    """The cap counts what was permitted; a cancel frees the reservation, not the day's gross."""

    async def story() -> None:
        world = await GateWorld.start(scope_of(daily_notional_max="60000"))
        for name in ("a", "b", "c"):
            assert codes(await world.ask(client_order_id=name)) == []
        await world.ask(cancel("x", "a"))
        answer = await world.ask(client_order_id="d", quantity="0.01")
        assert codes(answer) == ["daily_volume_cap_exceeded"]
        counters = world.decision(answer).before
        assert counters is not None
        assert (counters.gross_permitted, counters.open_reserved) == ("60000.00", "40000.00")

    asyncio.run(story())


def test_daily_volume_begins_anew_with_what_still_rests() -> None:
    """At the policy's midnight resting orders reserve again; the rest of the cap is free."""

    async def story() -> None:
        policy = scope_of(daily_notional_max="60000", trading_hours="none")
        world = await GateWorld.start(policy, at="2026-05-14T23:59:59.000000000Z")
        await world.ask(client_order_id="rests")
        world.venue.fill = True
        await world.ask(client_order_id="filled")
        world.clock.advance(1)
        world.quote()
        first = await world.ask(client_order_id="next")
        before = world.decision(first).before
        assert before is not None
        assert (before.day, before.gross_permitted, before.orders) == ("2026-05-15", "20000.00", 0)
        assert codes(await world.ask(client_order_id="last")) == []
        assert codes(await world.ask(client_order_id="over", quantity="0.01")) == [
            "daily_volume_cap_exceeded"
        ]

    asyncio.run(story())


def test_order_count_counts_new_orders_of_the_day() -> None:
    """One more than the limit is refused; the next day it is free again."""

    async def story() -> None:
        policy = scope_of(daily_order_count_max=2, trading_hours="none")
        world = await GateWorld.start(policy)
        assert codes(await world.ask(client_order_id="a")) == []
        assert codes(await world.ask(client_order_id="b")) == []
        assert codes(await world.ask(amend("am", "a", "100"))) == []
        assert codes(await world.ask(client_order_id="c")) == ["order_count_exceeded"]
        world.clock.advance(15 * 3600)
        world.quote()
        assert codes(await world.ask(client_order_id="d")) == []

    asyncio.run(story())


def test_message_rate_counts_amends_and_cancels_and_slides() -> None:
    """All three kinds count; the window is open at its far end."""

    async def story() -> None:
        world = await GateWorld.start(scope_of(message_rate={"count_max": 3, "window_s": 10}))
        assert codes(await world.ask(client_order_id="a")) == []
        world.clock.advance(1)
        assert codes(await world.ask(amend("b", "a", "100"))) == []
        assert codes(await world.ask(cancel("c", "b"))) == []
        assert codes(await world.ask(client_order_id="d")) == ["message_rate_exceeded"]
        world.clock.advance(8.999999999)
        assert codes(await world.ask(client_order_id="e")) == ["message_rate_exceeded"]
        world.clock.advance(0.000000001)
        assert codes(await world.ask(client_order_id="f")) == []

    asyncio.run(story())


def test_repeated_order_counts_equal_content_under_new_ids() -> None:
    """A loop that sends one order again and again under fresh ids is stopped by content."""

    async def story() -> None:
        world = await GateWorld.start(scope_of(repeated_orders={"count_max": 2, "window_s": 10}))
        assert codes(await world.ask(client_order_id="a")) == []
        assert codes(await world.ask(client_order_id="b")) == []
        assert codes(await world.ask(client_order_id="c")) == ["repeated_order"]
        assert codes(await world.ask(client_order_id="d", quantity="20001")) == []
        world.clock.advance(10)
        assert codes(await world.ask(client_order_id="e")) == []

    asyncio.run(story())


def test_collar_over_a_period_bounds_the_range_of_prices() -> None:
    """Prices that are each near the market may not wander further than the policy's range."""

    async def story() -> None:
        collar = {"deviation_max": "1", "range_max": "0.01", "window_s": 10}
        world = await GateWorld.start(scope_of(price_collar=collar))
        assert codes(await world.ask(client_order_id="a", price="1")) == []
        assert codes(await world.ask(client_order_id="b", price="1.01")) == []
        assert codes(await world.ask(client_order_id="c", price="1.01000001")) == [
            "price_outside_collar"
        ]
        world.clock.advance(10)
        assert codes(await world.ask(client_order_id="d", price="1.01000001")) == []

    asyncio.run(story())


def test_concentration_is_a_share_of_the_window() -> None:
    """One counterparty's share counts once the window has the stated minimum."""

    async def story() -> None:
        rule = {"share_max": "0.5", "window_s": 60, "notional_min": "30000"}
        world = await GateWorld.start(scope_of(concentration=rule))
        assert codes(await world.ask(client_order_id="a", counterparty="ONE")) == []
        assert codes(await world.ask(client_order_id="b", counterparty="TWO")) == []
        answer = await world.ask(client_order_id="c", counterparty="ONE")
        assert codes(answer) == ["concentration_exceeded"]
        assert answer.reasons[0].observed == "0.666667"
        world.clock.advance(60)
        world.quote()
        assert codes(await world.ask(client_order_id="d", counterparty="ONE")) == []

    asyncio.run(story())


def test_position_counts_fills_and_working_orders_by_direction() -> None:
    """Filled and resting buys add up; a sell has room for both sides; inverse markets net."""

    async def story() -> None:
        world = await GateWorld.start(scope_of(position_notional_max="40000"))
        world.venue.fill = True
        assert codes(await world.ask(client_order_id="a")) == []
        world.venue.fill = False
        assert codes(await world.ask(client_order_id="b")) == []
        assert codes(await world.ask(client_order_id="c", quantity="0.01")) == [
            "position_limit_exceeded"
        ]
        assert world.log.state.agents["bot"].positions == {"EUR/USD": 20000 * 10**8}
        assert codes(await world.ask(client_order_id="s", side="sell", quantity="25000")) == []
        assert codes(await world.ask(client_order_id="t", side="sell", quantity="25000")) == []
        answer = await world.ask(client_order_id="u", side="sell", quantity="10000.01")
        assert codes(answer) == ["position_limit_exceeded"]
        assert answer.reasons[0].observed == "40000.01"

    asyncio.run(story())


def test_position_of_inverse_market_is_one_position() -> None:
    """SELL EUR/GBP is BUY GBP/EUR: writing the pair the other way round evades nothing."""

    async def story() -> None:
        world = await GateWorld.start(scope_of(position_notional_max="20000"))
        assert (
            codes(await world.ask(client_order_id="a", market="EUR/GBP", price="0.85", side="sell"))
            == []
        )
        assert codes(
            await world.ask(client_order_id="b", market="GBP/EUR", price="1.17", quantity="1")
        ) == ["position_limit_exceeded"]
        assert (
            codes(await world.ask(client_order_id="c", market="GBP/EUR", price="1.17", side="sell"))
            == []
        )

    asyncio.run(story())


def test_execution_throttle_latches_until_rearmed() -> None:
    """After the policy's number of executions the agent stands still until people re-arm it."""

    async def story() -> None:
        rule = {"count_max": 2, "window_s": 60}
        world = await GateWorld.start(scope_of(repeated_executions=rule))
        world.venue.fill = True
        assert codes(await world.ask(client_order_id="a")) == []
        assert codes(await world.ask(client_order_id="b")) == []
        assert codes(await world.ask(client_order_id="c")) == ["execution_throttle_latched"]
        world.clock.advance(3600)
        world.quote()
        assert codes(await world.ask(client_order_id="d")) == ["execution_throttle_latched"]
        world.rearm("repeated_executions")
        assert codes(await world.ask(client_order_id="e")) == []

    asyncio.run(story())


def test_execution_throttle_does_not_latch_outside_its_window() -> None:
    """Executions that are further apart than the window are not repeated ones."""

    async def story() -> None:
        rule = {"count_max": 2, "window_s": 60}
        world = await GateWorld.start(scope_of(repeated_executions=rule))
        world.venue.fill = True
        for name in ("a", "b", "c"):
            assert codes(await world.ask(client_order_id=name)) == []
            world.clock.advance(60)
            world.quote()

    asyncio.run(story())


def test_consecutive_failures_latch_until_rearmed() -> None:
    """Silence of the venue counts; an acknowledgement in between starts the count anew."""

    async def story() -> None:
        world = await GateWorld.start(scope_of(consecutive_failures_max=2))
        world.venue.silent = True
        assert codes(await world.ask(client_order_id="a")) == []
        world.venue.silent = False
        assert codes(await world.ask(client_order_id="b")) == []
        world.venue.silent = True
        assert codes(await world.ask(client_order_id="c")) == []
        assert codes(await world.ask(client_order_id="d")) == []
        answer = await world.ask(client_order_id="e")
        assert codes(answer) == ["consecutive_failures_latched"]
        assert (answer.reasons[0].limit, answer.reasons[0].observed) == ("2", "2")
        world.venue.silent = False
        world.clock.advance(3600)
        world.quote()
        assert codes(await world.ask(client_order_id="f")) == ["consecutive_failures_latched"]
        world.rearm("consecutive_failures")
        assert codes(await world.ask(client_order_id="g")) == []

    asyncio.run(story())


def test_amendment_is_checked_as_the_order_it_would_become() -> None:
    """20,000 amended to 180,000 is refused; upwards adds the difference, downwards nothing."""

    async def story() -> None:
        world = await GateWorld.start(scope_of(daily_notional_max="45000"))
        await world.ask(client_order_id="a")
        assert codes(await world.ask(amend("b", "a", "180000"))) == [
            "exceeds_scope_size",
            "daily_volume_cap_exceeded",
        ]
        answer = await world.ask(amend("c", "a", "25000"))
        after = world.decision(answer).after
        assert after is not None
        assert (codes(answer), after.gross_permitted) == ([], "25000.00")
        answer = await world.ask(amend("d", "c", "10000"))
        after = world.decision(answer).after
        assert after is not None
        assert (after.gross_permitted, after.open_reserved) == ("25000.00", "25000.00")
        held = world.log.state.agents["bot"]
        assert (held.reserved, list(held.working)) == (10000 * 10**8, ["d"])
        assert world.venue.permits[-1].replaces == "c"
        assert world.venue.permits[-1].order["quantity"] == "10000"

    asyncio.run(story())


def test_amendment_or_cancel_of_no_order_is_refused() -> None:
    """What is not there cannot be changed; what is being changed is not changed twice."""

    async def story() -> None:
        world = await GateWorld.start()
        assert codes(await world.ask(amend("a", "none", "1"))) == ["unknown_order"]
        assert codes(await world.ask(cancel("b", "none"))) == ["unknown_order"]
        await world.ask(client_order_id="o")
        world.venue.silent = True
        assert codes(await world.ask(amend("c", "o", "21000"))) == []
        assert codes(await world.ask(amend("d", "o", "22000"))) == ["unknown_order"]
        market: dict[str, Any] = {"order_type": "market", "price": None}
        await world.ask(client_order_id="m", **market)
        assert codes(await world.ask(amend("e", "m", "21000", price="1"))) == [
            "action_not_permitted"
        ]

    asyncio.run(story())


def test_amendment_down_to_what_is_filled_is_refused() -> None:
    """An order cannot become smaller than what was executed."""

    async def story() -> None:
        world = await GateWorld.start()
        await world.ask(client_order_id="o")
        permit = world.venue.permits[-1]
        world.release.take(
            "PAPER", (world.venue.report(permit, "trade", "5000", "1.085", leaves="15000"),)
        )
        assert codes(await world.ask(amend("a", "o", "5000"))) == ["unknown_order"]
        assert codes(await world.ask(amend("b", "o", "5000.00000001"))) == []

    asyncio.run(story())


def test_replacement_certificate_resets_nothing() -> None:
    """A new certificate under the same policy keeps ids, counters, positions and latches."""

    async def story() -> None:
        policy = scope_of(daily_notional_max="40000", consecutive_failures_max=1)
        world = await GateWorld.start(policy)
        await world.ask(client_order_id="a")
        world.venue.silent = True
        await world.ask(client_order_id="b")
        await world.stopping.stop("bot", CERTIFICATE, "revoked", "test", 1)
        world.admit(policy, certificate="e" * 64)
        answer = await world.ask(client_order_id="a", quantity="1")
        assert codes(answer) == [
            "duplicate_order_id",
            "daily_volume_cap_exceeded",
            "consecutive_failures_latched",
        ]

    asyncio.run(story())


def test_policy_of_amendments_with_message_limit_of_none_counts_no_messages() -> None:
    """Counters show zero messages where the policy has no message limit."""

    async def story() -> None:
        world = await GateWorld.start()
        answer: Any = await world.ask()
        assert world.decision(answer).after.messages == 0  # type: ignore[union-attr]  # known

    asyncio.run(story())
