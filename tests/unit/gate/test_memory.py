# SPDX-License-Identifier: Apache-2.0
"""What the fold remembers over a window: messages, contents, counterparties, prices."""

from __future__ import annotations

from typing import Any

from sekisho.core.terms import NS
from tests.fold_world import FoldWorld, reasons
from tests.gate_world import scope_of

UNIT = 10**8

LISTS: dict[str, Any] = {
    "message_rate": {"count_max": 9, "window_s": 10},
    "repeated_orders": {"count_max": 9, "window_s": 10},
    "concentration": {"share_max": "1", "window_s": 10, "notional_min": "1"},
    "price_collar": {"deviation_max": "9", "range_max": "9", "window_s": 10},
}


def lengths(world: FoldWorld) -> tuple[int, ...]:
    """How much each list of the agent holds."""
    bot = world.bot
    return (
        len(bot.messages), len(bot.contents), len(bot.content_counts), len(bot.counterparties),
        len(bot.counterparty_sums), sum(len(p._lows) + len(p._highs) for p in bot.prices.values()),
    )  # fmt: skip


def test_lists_grow_only_while_their_limit_is_in_force() -> None:
    """Without limits nothing is remembered."""
    world = FoldWorld()
    world.permit()
    assert lengths(world) == (0, 0, 0, 0, 0, 0)
    world = FoldWorld(scope_of(**LISTS))
    world.permit()
    assert lengths(world) == (1, 1, 1, 1, 1, 2)


def test_lists_forget_at_the_window_and_not_before() -> None:
    """What is exactly one window old goes when the next is added; one nanosecond less stays."""
    for gap, expected in ((10 * NS - 1, (2, 2, 2, 2, 2, 3)), (10 * NS, (1, 1, 1, 1, 1, 2))):
        world = FoldWorld(scope_of(**LISTS))
        world.permit(client_order_id="a", counterparty="A", price="1.08")
        world.now += gap
        world.permit(client_order_id="b", counterparty="B", price="1.09")
        assert lengths(world) == expected


def test_lists_keep_equal_contents_and_counterparties_apart() -> None:
    """One of two equal contents is forgotten, the other still counts."""
    world = FoldWorld(scope_of(**LISTS))
    for name in ("a", "b"):
        world.permit(client_order_id=name, counterparty="A", quantity="100")
        world.later(6)
    assert list(world.bot.content_counts.values()) == [2]
    world.permit(client_order_id="c", counterparty="B", quantity="7")
    assert sorted(world.bot.content_counts.values()) == [1, 1]
    assert world.bot.counterparty_sums == {"A": 100 * UNIT, "B": 7 * UNIT}
    world.later(3)
    # "b" is 9 s old and counts, "a" would be 15 s old
    assert world.bot.counterparties_within(world.now - 10 * NS) == {"A": 100 * UNIT, "B": 7 * UNIT}
    assert world.bot.counterparties_within(world.now - 9 * NS) == {"A": 0, "B": 7 * UNIT}


def test_prices_of_amendments_count_and_those_of_market_orders_do_not() -> None:
    """The collar's range runs over every permitted price of the pair."""
    rule = {"deviation_max": "9", "range_max": "0.01", "window_s": 10}
    world = FoldWorld(scope_of(price_collar=rule))
    world.permit(order_type="market", price=None)
    assert world.bot.prices == {}
    world.permit(client_order_id="a", price="1.08")
    world.amend("b", "a", "20000", price="1.09")
    expected = [("price_outside_collar", "0.01", "0.010663", "fraction")]
    assert reasons(world.ask(client_order_id="c", price="1.0785")) == expected


def test_range_of_prices_ends_with_the_window() -> None:
    """A price one window old is out of the range; one nanosecond less is in it."""
    rule = {"deviation_max": "9", "range_max": "0.01", "window_s": 10}
    for gap, expected in ((10 * NS, []), (10 * NS - 1, ["0.100000"])):
        world = FoldWorld(scope_of(price_collar=rule))
        world.permit(client_order_id="a", price="1")
        world.now += gap
        found = reasons(world.ask(client_order_id="b", price="1.1"))
        assert [reason[2] for reason in found] == expected


def test_concentration_looks_at_new_orders_only() -> None:
    """An amendment changes no share; a share is of the window's total, this order included."""
    rule = {"share_max": "0.6", "window_s": 60, "notional_min": "100"}
    world = FoldWorld(scope_of(concentration=rule))
    world.permit(client_order_id="a", counterparty="A", quantity="50")
    assert reasons(world.amend("a2", "a", "25000")) == []
    world.permit(client_order_id="b", counterparty="B", quantity="60")
    expected = [("concentration_exceeded", "0.6", "0.655173", "fraction")]
    assert reasons(world.ask(client_order_id="c", counterparty="B", quantity="35")) == expected
    world.permit(client_order_id="d", counterparty="C", quantity="10")


def test_share_of_a_new_counterparty_begins_at_nothing() -> None:
    """One cent beside one cent is a half, exactly."""
    rule = {"share_max": "0.49999999", "window_s": 60, "notional_min": "0"}
    policy = scope_of(concentration=rule)
    world = FoldWorld()
    world.admit(scope_of(concentration=rule | {"share_max": "1"}), certificate_sha256="e" * 64)
    world.permit(client_order_id="a", counterparty="A", quantity="0.01")
    world.admit(policy, certificate_sha256="f" * 64)
    expected = [("concentration_exceeded", "0.49999999", "0.500000", "fraction")]
    assert reasons(world.ask(client_order_id="b", counterparty="B", quantity="0.01")) == expected


def test_repeats_of_a_content_end_with_the_window_and_leave_others_alone() -> None:
    """Between two orders nothing is forgotten, so what is past the window is taken off."""
    world = FoldWorld(scope_of(repeated_orders={"count_max": 2, "window_s": 10}))
    for name in ("a", "b"):
        world.permit(client_order_id=name)
        world.permit(client_order_id=f"{name}-other", quantity="7")
        world.now += 5 * NS
    world.now -= 1
    expected = [("repeated_order", "2", "3", "orders")]
    assert reasons(world.ask(client_order_id="c")) == expected
    assert reasons(world.ask(client_order_id="d", quantity="7")) == expected
    world.now += 1
    assert reasons(world.ask(client_order_id="e")) == []
    assert reasons(world.ask(client_order_id="f", quantity="7")) == []
    assert reasons(world.ask(client_order_id="g")) == expected


def test_repeats_past_the_window_are_taken_off_once_each_and_by_content() -> None:
    """One of three is past the window and two of another content too: two are left of each."""
    world = FoldWorld(scope_of(repeated_orders={"count_max": 4, "window_s": 10}))
    for name in ("a", "b", "c"):
        world.permit(client_order_id=name, quantity="7" if name != "a" else "5")
    world.later(9)
    for name in ("d", "e"):
        world.permit(client_order_id=name, quantity="5")
        world.permit(client_order_id=f"{name}-other", quantity="7")
    world.later(1)
    now = world.now - 10 * NS
    counts = {world.bot.repeats_within(digest, now) for digest in world.bot.content_counts}
    assert (counts, sorted(world.bot.content_counts.values())) == ({2}, [3, 4])
