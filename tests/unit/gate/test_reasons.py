# SPDX-License-Identifier: Apache-2.0
"""Every refusal word for word: code, limit, observed, unit (docs/spec/checks.md section 4)."""

from __future__ import annotations

from typing import Any

import pytest

from sekisho.core.errors import MalformedInput
from sekisho.core.events import Counters
from sekisho.core.terms import NS
from tests.fold_world import DEADLINE, MONOTONIC, FoldWorld, reasons
from tests.gate_world import POLICY, order, scope_of

NOW = "2026-05-15T09:00:00.000000000Z"
COLLAR = {"deviation_max": "0.01", "range_max": "1", "window_s": 60}
ALL_LIMITS: dict[str, Any] = {
    "order_quantity_max": [{"market": "EUR/USD", "currency": "EUR", "max": "25000"}],
    "price_collar": COLLAR,
    "daily_order_count_max": 100,
    "message_rate": {"count_max": 100, "window_s": 10},
    "position_notional_max": "500000",
    "counterparties": ["PAPER"],
    "concentration": {"share_max": "1", "window_s": 60, "notional_min": "1"},
    "market_stress": {"action": "refuse", "spread_max": "1", "move_max": "1", "window_s": 60},
    "repeated_executions": {"count_max": 100, "window_s": 60},
    "repeated_orders": {"count_max": 100, "window_s": 60},
    "consecutive_failures_max": 100,
}

TABLE: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any], list[tuple[str, ...]]]] = [
    # what, changes of the scope, of the world, of the order, expected reasons
    ("not yet", {}, {"not_before": "2026-05-15T09:00:00.000000001Z"}, {},
     [("certificate_not_yet_valid", "2026-05-15T09:00:00.000000001Z", NOW, "instant")]),
    ("expired", {}, {"not_after": NOW}, {}, [("certificate_expired", NOW, NOW, "instant")]),
    ("environment", {}, {"environment": "production"}, {},
     [("environment_mismatch", "test", "production", "")]),
    ("no lease", {}, {"lease": False}, {}, [("lease_expired", "", str(MONOTONIC), "ns")]),
    ("action", {"actions": ["amend", "cancel"]}, {}, {},
     [("action_not_permitted", "amend,cancel", "new", "")]),
    ("market", {"reference_rates__sources": ["A", "B"]}, {}, {"market": "EUR/CHF"},
     [("market_not_allowed", "EUR/USD,GBP/EUR", "EUR/CHF", ""),
      ("rate_missing", "", "A:CHF/EUR", ""), ("rate_missing", "", "B:CHF/EUR", "")]),
    ("size", {}, {}, {"quantity": "25000.01"},
     [("exceeds_scope_size", "25000.00", "25000.01", "EUR")]),
    ("quantity", {"order_quantity_max": [{"market": "EUR/USD", "currency": "EUR", "max": "1.5"}]},
     {}, {"quantity": "1.51"}, [("exceeds_quantity", "1.5", "1.51", "EUR")]),
    ("quantity without row", {"order_quantity_max": []}, {}, {"quantity": "0.00000001"},
     [("exceeds_quantity", "0", "0.00000001", "EUR")]),
    ("collar", {"price_collar": COLLAR}, {}, {"price": "1.1"},
     [("price_outside_collar", "0.01", "0.013825", "fraction")]),
    ("volume", {"daily_notional_max": "100"}, {}, {"quantity": "100.01"},
     [("daily_volume_cap_exceeded", "100.00", "100.01", "EUR")]),
    ("orders", {"daily_order_count_max": 0}, {}, {},
     [("order_count_exceeded", "0", "1", "orders")]),
    ("messages", {"message_rate": {"count_max": 0, "window_s": 1}}, {}, {},
     [("message_rate_exceeded", "0", "1", "messages")]),
    ("repeated", {"repeated_orders": {"count_max": 0, "window_s": 1}}, {}, {},
     [("repeated_order", "0", "1", "orders")]),
    ("position", {"position_notional_max": "19999.99"}, {}, {},
     [("position_limit_exceeded", "19999.99", "20000.00", "EUR")]),
    ("venue", {"venues": ["A", "B"]}, {}, {}, [("venue_not_allowed", "A,B", "PAPER", "")]),
    ("no limit of names", {"venues": "none", "counterparties": "none"}, {}, {"venue": "X"}, []),
    ("counterparty", {"counterparties": ["A", "B"]}, {}, {"counterparty": "C"},
     [("counterparty_not_allowed", "A,B", "C", "")]),
    ("concentration", {"concentration": {"share_max": "0.5", "window_s": 60,
                                         "notional_min": "1"}}, {}, {},
     [("concentration_exceeded", "0.5", "1.000000", "fraction")]),
    ("hours", {}, {"at": "2026-05-15T17:03:59.999999999Z"}, {},
     [("outside_trading_hours", "08:00-17:00", "2026-05-15T17:03:59", "UTC")]),
    ("hours early", {}, {"at": "2026-05-15T05:06:07.000000000Z"}, {},
     [("outside_trading_hours", "08:00-17:00", "2026-05-15T05:06:07", "UTC")]),
    ("region", {"regions": ["a", "b"]}, {}, {}, [("region_not_allowed", "a,b", "eu-west-1", "")]),
    ("crossed", {}, {"quoted": False}, {},
     [("rate_missing", "", "STATIC:EUR/USD", "")]),
    ("all limits pass", ALL_LIMITS, {}, {}, []),
    ("market inverted legs", {"markets": ["USD/EUR"]}, {}, {}, []),
    ("opening minute", {"trading_hours__start": "09:00", "trading_hours__end": "09:01"}, {}, {},
     []),
    ("minutes count", {"trading_hours__start": "09:01"}, {}, {},
     [("outside_trading_hours", "09:01-17:00", "2026-05-15T09:00:00", "UTC")]),
    ("minute before", {"trading_hours__start": "09:01"},
     {"at": "2026-05-15T09:00:59.999999999Z"}, {},
     [("outside_trading_hours", "09:01-17:00", "2026-05-15T09:00:59", "UTC")]),
    ("minute begins", {"trading_hours__start": "09:01"}, {"at": "2026-05-15T09:01:00.000000000Z"},
     {}, []),
    ("last second", {}, {"at": "2026-05-15T23:59:59.000000000Z"}, {},
     [("outside_trading_hours", "08:00-17:00", "2026-05-15T23:59:59", "UTC")]),
    ("no value under all limits", ALL_LIMITS | {"reference_rates__market_order_buffer": "1"}, {},
     {"currency": "USD"}, [("rate_missing", "", "EUR/USD", ""),
                           ("exceeds_quantity", "0", "20000", "USD")]),
    ("end of day", {"trading_hours__start": "00:00", "trading_hours__end": "24:00"},
     {"at": "2026-05-15T23:59:59.999999999Z"}, {}, []),
    ("zone before", {"zone_offsets": [
        {"since": "2026-05-15T09:00:00.000000001Z", "utc_offset_s": -36000},
        {"since": "2026-05-15T10:00:00.000000000Z", "utc_offset_s": 0}]}, {}, {},
     [("outside_trading_hours", "08:00-17:00", "2026-05-14T23:00:00", "UTC")]),
    ("zone at", {"zone_offsets": [
        {"since": "1970-01-01T00:00:00.000000000Z", "utc_offset_s": -36000},
        {"since": NOW, "utc_offset_s": 0},
        {"since": "2026-05-15T09:00:00.000000001Z", "utc_offset_s": -36000}]}, {}, {}, []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("what", "scope", "world", "asked", "expected"), TABLE, ids=[row[0] for row in TABLE]
)
def test_refusal_says_exactly_what_was_compared(
    what: str,
    scope: dict[str, Any],
    world: dict[str, Any],
    asked: dict[str, Any],
    expected: list[tuple[str, ...]],
) -> None:
    """Each reason has the limit, the observed value and the unit of the specification."""
    assert reasons(FoldWorld(scope_of(**scope), **world).ask(**asked)) == expected


def test_status_refusals_have_no_values() -> None:
    """Hold and revocation compare nothing."""
    world = FoldWorld()
    world.status("hold")
    assert reasons(world.ask()) == [("certificate_held", "", "", "")]
    world.status("revoked", 2)
    assert reasons(world.ask(client_order_id="b")) == [("certificate_revoked", "", "", "")]


def test_lease_deadline_is_exclusive() -> None:
    """At the deadline the right to sign is over."""
    world = FoldWorld()
    world.monotonic = DEADLINE - 1
    assert reasons(world.ask()) == []
    world.monotonic = DEADLINE
    expected = [("lease_expired", str(DEADLINE), str(DEADLINE), "ns")]
    assert reasons(world.ask(client_order_id="b")) == expected


def test_policy_and_review_say_their_instants() -> None:
    """A policy that is over and a review that is due name both sides."""
    policy = POLICY | {
        "valid_until": NOW,
        "governance": {"review_due": NOW, "review_overdue": "refuse"},
        "testing": {"fitness_due": NOW, "overdue": "refuse"},
    }
    assert reasons(FoldWorld(policy).ask()) == [
        ("policy_not_in_force", f"{POLICY['valid_from']}/{NOW}", NOW, "instant"),
        ("review_overdue", NOW, NOW, "instant"),
        ("review_overdue", NOW, NOW, "instant (fitness test)"),
    ]


def test_latches_say_their_limits() -> None:
    """The throttle names its count, the failures their limit and how many there were."""
    world = FoldWorld(
        scope_of(repeated_executions={"count_max": 2, "window_s": 60}, consecutive_failures_max=2)
    )
    for name in ("a", "b"):
        world.permit(client_order_id=name)
        world.report("trade", name, "20000")
    for name in ("c", "c"):
        world.unresolved(name, "submit")
    expected = [
        ("execution_throttle_latched", "2", "", "executions"),
        ("consecutive_failures_latched", "2", "2", "failures"),
    ]
    assert reasons(world.ask(client_order_id="d")) == expected


def test_latch_stays_when_a_new_policy_drops_its_limit() -> None:
    """A limit that becomes none does not lift the latch that it set."""
    world = FoldWorld(scope_of(repeated_executions={"count_max": 1, "window_s": 60}))
    world.permit()
    world.report("trade", "order-1", "20000")
    world.admit(POLICY, certificate_sha256="e" * 64)
    expected = [("execution_throttle_latched", "none", "", "executions")]
    assert reasons(world.ask(client_order_id="b")) == expected


def test_duplicate_and_unknown_name_the_ids() -> None:
    """An id used before, also by a refused order, and an order that is not there."""
    world = FoldWorld()
    world.ask(quantity="180000")
    assert reasons(world.ask()) == [("duplicate_order_id", "", "order-1", "")]
    assert reasons(world.cancel("c", "gone")) == [("unknown_order", "", "gone", "")]
    expected = [("unknown_order", "", "gone", ""), ("duplicate_order_id", "", "c", "")]
    assert reasons(world.cancel("c", "gone")) == expected


def test_amendment_of_unknown_order_runs_only_what_needs_no_order() -> None:
    """Checks of market, value and venue have nothing to look at; the others still answer."""
    world = FoldWorld(scope_of(**ALL_LIMITS | {"message_rate": {"count_max": 0, "window_s": 1},
                                               "regions": ["x"]}))  # fmt: skip
    decision = world.amend("a", "gone", "1", price="1")
    assert reasons(decision) == [
        ("unknown_order", "", "gone", ""),
        ("message_rate_exceeded", "0", "1", "messages"),
        ("region_not_allowed", "x", "eu-west-1", ""),
    ]
    assert decision.notional == ""


def test_amendment_with_a_price_for_a_market_order_is_refused() -> None:
    """A market order has no price to change; without one the amendment passes."""
    world = FoldWorld()
    world.permit(order_type="market", price=None)
    expected = [("action_not_permitted", "no price", "1", "")]
    assert reasons(world.amend("a", "order-1", "1", price="1")) == expected
    assert reasons(world.amend("b", "order-1", "1")) == []


def test_amendment_not_permitted_names_itself() -> None:
    """A policy may allow new orders and no amendments."""
    world = FoldWorld(scope_of(actions=["new", "cancel"]))
    world.permit()
    expected = [("action_not_permitted", "new,cancel", "amend", "")]
    assert reasons(world.amend("a", "order-1", "1")) == expected


def test_counts_say_how_many_there_would_be() -> None:
    """The observed number includes this order."""
    world = FoldWorld(
        scope_of(
            daily_order_count_max=2,
            message_rate={"count_max": 2, "window_s": 9},
            repeated_orders={"count_max": 2, "window_s": 9},
        )
    )
    world.permit(client_order_id="a")
    world.permit(client_order_id="b")
    decision = world.ask(client_order_id="c")
    assert reasons(decision) == [
        ("repeated_order", "2", "3", "orders"),
        ("order_count_exceeded", "2", "3", "orders"),
        ("message_rate_exceeded", "2", "3", "messages"),
    ]
    expected = Counters(
        day="2026-05-15", gross_permitted="40000.00", open_reserved="40000.00", orders=2,
        messages=2,
    )  # fmt: skip
    assert (decision.before, decision.after) == (expected, expected)


def test_amendments_and_cancels_are_no_repeated_orders_and_no_orders_of_the_day() -> None:
    """Only new orders are counted by content and by day."""
    world = FoldWorld(
        scope_of(daily_order_count_max=1, repeated_orders={"count_max": 1, "window_s": 9})
    )
    world.permit()
    assert reasons(world.amend("a", "order-1", "100")) == []
    assert world.bot.orders == 1


def test_reason_equal_to_an_earlier_one_is_not_repeated() -> None:
    """Two sources that are equally stale give one reason."""
    world = FoldWorld(scope_of(reference_rates__sources=["STATIC", "SECOND"]))
    world.rate("EUR/USD", "1.0849", "1.0851", source="SECOND")
    world.later(61)
    assert reasons(world.ask()) == [("rate_stale", "60000", "61000", "ms")]


def test_unknown_agent_and_malformed_order_compare_nothing() -> None:
    """One reason each, no counters, and the digests of whom the gate knows."""
    world = FoldWorld()
    world.status("hold", 7)
    stranger = world.decide(order(), agent="stranger")
    assert reasons(stranger) == [("agent_not_active", "", "", "")]
    assert (stranger.before, stranger.after, stranger.notional) == (None, None, "")
    assert (stranger.certificate_sha256, stranger.policy_sha256, stranger.epoch) == ("", "", 0)
    malformed = world.decide(b"[" + b" " * 10)
    assert (malformed.order, malformed.notional, malformed.body_bytes) == (None, "", 11)
    assert (malformed.certificate_sha256, malformed.epoch) == ("c" * 64, 7)
    assert malformed.policy_sha256 == "d" * 64
    assert [(str(r.code), r.limit, r.unit) for r in malformed.reasons] == [
        ("malformed_order", "", "")
    ]


def test_malformed_message_is_cut_to_200_characters() -> None:
    """What a bot sent does not grow the record."""
    from sekisho.core.gate.decide import Clocks, refuse_malformed

    world = FoldWorld()
    error = MalformedInput("m" * 201)
    decision = refuse_malformed(world.state, Clocks(world.now, 0), "bot", b"", error)
    assert decision.reasons[0].observed == "m" * 200


def test_decision_of_a_permitted_order_has_every_field() -> None:
    """State, clocks, digests, notional and counters are those of the moment."""
    world = FoldWorld()
    world.status("good", 3)
    assert world.bot.epoch == 3
    assert FoldWorld().decide(order()).epoch == 0
    decision = world.ask(quantity="100.001")
    assert (decision.state, decision.monotonic, decision.at) == (9, str(MONOTONIC), NOW)
    assert (decision.verdict, decision.notional, decision.epoch) == ("permitted", "100.01", 3)
    assert decision.before == Counters(
        day="2026-05-15", gross_permitted="0.00", open_reserved="0.00", orders=0, messages=0
    )
    assert decision.after == Counters(
        day="2026-05-15", gross_permitted="100.01", open_reserved="100.01", orders=1, messages=0
    )
    assert decision.order is not None
    assert decision.order["action"] == "new"


def test_refused_order_that_is_valued_says_its_notional() -> None:
    """A refusal shows what the order would have been worth, and changes no counter."""
    decision = FoldWorld().ask(quantity="180000")
    assert (decision.notional, decision.before == decision.after) == ("180000.00", True)


def test_messages_window_is_open_at_its_far_end() -> None:
    """A message exactly one window old counts no more, also in the counters."""
    world = FoldWorld(scope_of(message_rate={"count_max": 2, "window_s": 10}))
    world.permit(client_order_id="a")
    world.later(4)
    world.permit(client_order_id="b")
    world.now += 6 * NS - 1
    assert world.bot.counters(world.now).messages == 2
    world.now += 1
    assert world.bot.counters(world.now).messages == 1
    assert reasons(world.ask(client_order_id="c")) == []
