# SPDX-License-Identifier: Apache-2.0
"""What the core says of an order that was not sent (checks.md 4.8)."""

from __future__ import annotations

from typing import Any

import pytest

from sekisho.core.encoding import canonical
from sekisho.core.errors import MalformedInput
from sekisho.core.events import Advised, ShutdownOrdered
from sekisho.core.gate.decide import Clocks, advise, no_room
from sekisho.core.gate.order import parse_order
from sekisho.core.terms import NS, Reason
from tests.fold_world import FoldWorld
from tests.gate_world import order, scope_of

RATE = {"message_rate": {"count_max": 2, "window_s": 60}}
Told = list[tuple[str, str, str, str]]


def told(found: tuple[Reason, ...]) -> Told:
    """Code, limit, observed, unit of each reason."""
    return [(str(r.code), r.limit, r.observed, r.unit) for r in found]


def asked(world: FoldWorld, agent: str = "bot", **changes: Any) -> Told:
    """What is said of this order."""
    clocks = Clocks(world.now, world.monotonic)
    return told(advise(world.state, clocks, agent, parse_order(order(**changes))))


def room(world: FoldWorld, agent: str = "bot") -> Told:
    """Why the question is not evaluated."""
    return told(no_room(world.state, Clocks(world.now, world.monotonic), agent))


def spend(world: FoldWorld) -> None:
    """One message."""
    world.add(Advised, agent="bot", body_sha256="b" * 64, would_pass=True, reasons=())


def test_room_ends_at_the_message_rate_and_comes_back_with_the_window() -> None:
    """Two within the window; the third question is not evaluated."""
    world = FoldWorld(scope_of(**RATE))
    for expected in ([], [], [("message_rate_exceeded", "2", "3", "messages")]):
        assert room(world) == expected
        spend(world)
    world.now += 60 * NS
    assert room(world) == []


def test_room_is_there_without_a_limit_and_for_strangers() -> None:
    """Nobody's messages are counted where there is no rate."""
    world = FoldWorld()
    spend(world)
    assert (room(world), room(world, "stranger")) == ([], [])


def test_advice_counts_the_order_as_the_message_after_the_question() -> None:
    """With one message left the question passes and the order would not."""
    world = FoldWorld(scope_of(**RATE))
    assert asked(world) == []
    spend(world)
    assert asked(world) == [("message_rate_exceeded", "2", "3", "messages")]
    free = FoldWorld()
    spend(free)
    assert asked(free) == []


def test_advice_of_strangers_and_of_no_order_is_one_reason() -> None:
    """As a decision would say it."""
    world = FoldWorld()
    clocks = Clocks(world.now, world.monotonic)
    assert asked(world, "stranger") == [("agent_not_active", "", "", "")]
    error = MalformedInput("m" * 201)
    expected = [("malformed_order", "", "m" * 200, "")]
    assert told(advise(world.state, clocks, "bot", error)) == expected
    assert told(advise(world.state, clocks, "stranger", error)) == [
        ("agent_not_active", "", "", "")
    ]


def test_advice_rolls_the_day_and_gives_each_reason_once() -> None:
    """Tomorrow's order is counted tomorrow; two equal reasons are one."""
    world = FoldWorld(
        scope_of(daily_notional_max="20000", reference_rates__sources=["STATIC", "SECOND"])
    )
    world.rate("EUR/USD", "1.0849", "1.0851", source="SECOND")
    world.permit()
    world.report("trade", "order-1", "20000")
    assert [code for code, *_ in asked(world, client_order_id="b")] == ["daily_volume_cap_exceeded"]
    world.later(3 * 86_400)
    assert [code for code, *_ in asked(world, client_order_id="b")] == ["rate_stale"]


def test_advice_of_a_cancel_asks_for_the_order_and_the_id() -> None:
    """Also where new orders are shut out."""
    world = FoldWorld()
    world.permit()
    world.add(ShutdownOrdered, agent="bot", mode="cancel_only", seats=("a",), commands=())
    clocks = Clocks(world.now, world.monotonic)
    for name, orig, expected in (
        ("c", "order-1", []),
        ("c", "gone", [("unknown_order", "", "gone", "")]),
        ("order-1", "order-1", [("duplicate_order_id", "", "order-1", "")]),
    ):
        body = canonical(
            {"action": "cancel", "client_order_id": name, "orig_client_order_id": orig}
        )
        if name == orig:
            with pytest.raises(MalformedInput):
                parse_order(body)
            continue
        assert told(advise(world.state, clocks, "bot", parse_order(body))) == expected
    assert asked(world, client_order_id="d") == [("action_not_permitted", "cancel_only", "new", "")]
