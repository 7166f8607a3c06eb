# SPDX-License-Identifier: Apache-2.0
"""Effects of each entry on the state, as docs/spec/checks.md sections 1 and 2 say."""

from __future__ import annotations

import pytest

from sekisho.core.encoding import canonical
from sekisho.core.events import CancelAsked, StopReported
from sekisho.core.gate.state import GateState
from sekisho.core.terms import NS
from tests.fold_world import FoldWorld, reasons
from tests.gate_world import CERTIFICATE, POLICY, scope_of

UNIT = 10**8


def money(world: FoldWorld) -> tuple[float, float, float]:
    """Gross of the day, reserved, and what is reserved for buying EUR/USD; in whole euros."""
    bot = world.bot
    bought = bot.reserved_by.get(("EUR/USD", 1), 0)
    return bot.gross / UNIT, bot.reserved / UNIT, bought / UNIT


def test_entries_must_come_one_after_the_other() -> None:
    """A skipped or doubled entry is an error, not a state."""
    world = FoldWorld()
    for index in (len(world.entries) - 1, len(world.entries) + 1):
        with pytest.raises(ValueError, match=f"entry {index} applied"):
            world.state.apply(index, world.entries[0])
    assert world.state.size == len(world.entries)


def test_state_time_is_that_of_the_latest_entry() -> None:
    """The log time never falls."""
    world = FoldWorld()
    world.later(-5)
    world.lease()
    assert world.state.at == world.now + 5 * NS


def test_gate_opened_ends_the_lease_and_doubts_what_was_only_permitted() -> None:
    """A new process has no lease; permits that nobody saw signed may have been."""
    from sekisho.core.events import GateOpened

    world = FoldWorld()
    for name in ("a", "b", "c"):
        index = world.permit(client_order_id=name)
        if name != "a":
            world.signed(index)
    world.report("new", "c")
    world.add(GateOpened, gate="g2", boot="1" * 32, region="r", environment="e")
    state = world.state
    assert (state.gate, state.boot, state.region, state.environment) == ("g2", "1" * 32, "r", "e")
    assert state.lease is None
    phases = [world.order(name).phase for name in ("a", "b", "c")]
    assert phases == ["possibly_issued", "signed", "open"]


def test_admission_keeps_everything_that_was_counted() -> None:
    """Only certificate, policy and status are new; a hold of the old certificate is not."""
    world = FoldWorld()
    world.permit()
    world.status("revoked", 4)
    world.admit(scope_of(currency="EUR"), certificate_sha256="e" * 64, policy_sha256="f" * 64)
    bot = world.bot
    assert (bot.status, bot.epoch, bot.orders, money(world)) == (
        "good",
        4,
        1,
        (20000, 20000, 20000),
    )
    assert (bot.certificate_sha256, bot.policy_sha256) == ("e" * 64, "f" * 64)
    assert bot.certificate == "Y2VydGlmaWNhdGU="


def test_admission_again_of_the_same_certificate_lifts_no_hold() -> None:
    """A restarted gate admits what it knows; what is held stays held."""
    world = FoldWorld()
    world.status("hold")
    world.admit(POLICY)
    assert world.bot.status == "hold"


def test_admission_under_a_zone_ahead_begins_the_day() -> None:
    """The day is that of the policy in force after the entry."""
    world = FoldWorld(scope_of(trading_hours="none"), at="2026-05-15T23:00:00.000000000Z")
    world.permit()
    world.report("canceled", "order-1")
    ahead = [{"since": "1970-01-01T00:00:00.000000000Z", "utc_offset_s": 3600}]
    world.admit(scope_of(zone_offsets=ahead), certificate_sha256="e" * 64)
    assert money(world) == (0, 0, 0)


def test_status_of_another_certificate_raises_the_epoch_only() -> None:
    """An old certificate's revocation does not stop its replacement."""
    world = FoldWorld()
    world.status("revoked", 5, certificate="e" * 64)
    assert (world.bot.status, world.bot.epoch) == ("good", 5)
    world.status("hold", 3)
    assert (world.bot.status, world.bot.epoch) == ("hold", 5)


def test_status_revoked_is_final() -> None:
    """No later status of the same certificate takes a revocation back."""
    world = FoldWorld()
    world.status("revoked", 1)
    world.status("good", 2)
    assert world.bot.status == "revoked"


def test_status_of_a_stranger_changes_nothing() -> None:
    """An entry that names an agent without a policy here has no effect."""
    world = FoldWorld()
    from sekisho.core.events import (
        Execution,
        OutcomeUnresolved,
        PermitSigned,
        Rearmed,
        StatusActed,
        Withdrawn,
    )  # fmt: skip

    before = vars(world.bot).copy()
    world.add(StatusActed, agent="x", certificate_sha256=CERTIFICATE, status="hold", reason="",
              epoch=1)  # fmt: skip
    world.add(PermitSigned, agent="x", decision=0, permit="")
    world.add(Withdrawn, agent="x", decision=0, reason="")
    world.add(OutcomeUnresolved, agent="x", client_order_id="o", operation="submit", detail="")
    world.add(Rearmed, agent="x", latch="consecutive_failures", seats=(), commands=())
    world.add(Execution, agent="x", venue="V", client_order_id="o", venue_order_id="", exec_id="1",
              exec_type="new", last_quantity="0", last_price="0", cum_quantity="0",
              leaves_quantity="0", counterparty="", reason="", transact_at="")  # fmt: skip
    world.add(CancelAsked, agent="bot", client_order_id="o", cause="")
    world.add(StopReported, agent="bot", epoch=9, confirmed=(), unconfirmed=(), complete=True)
    world.fold(world.decide(b"{", agent="x"))
    world.fold(world.decide(b"{"))
    assert (vars(world.bot), list(world.state.agents)) == (before, ["bot"])


def test_permit_signed_moves_the_phase_and_is_the_answer() -> None:
    """What the venue said already is not taken back by the signature's entry."""
    world = FoldWorld()
    assert world.bot.last_permit == -1
    first, second = (world.permit(client_order_id=name) for name in ("a", "b"))
    assert world.order("a").phase == "permitted"
    index = world.signed(first)
    assert (world.order("a").phase, world.bot.last_permit) == ("signed", index)
    world.report("new", "b")
    assert world.bot.answers == {first: index}
    world.signed(second)
    assert (world.order("b").phase, world.bot.answers[second]) == ("open", index + 2)
    world.signed(9999)
    change = world.amend("a2", "a", "100").state
    world.order("a").phase = "unknown"
    world.signed(change)
    assert (world.order("a").phase, world.bot.last_permit) == ("unknown", index + 5)


def test_withdrawn_closes_a_new_order_and_drops_an_amendment() -> None:
    """Nothing left the gate: the reservation goes, the day's gross stays."""
    world = FoldWorld()
    first = world.permit(quantity="100")
    change = world.amend("am", "order-1", "300").state
    assert money(world) == (300, 300, 300)
    index = world.withdrawn(change)
    assert (money(world), world.order("order-1").pending) == ((300, 100, 100), None)
    assert (world.bot.answers[change], world.bot.find("am")) == (index, None)
    world.withdrawn(change)
    assert money(world) == (300, 100, 100)
    world.amend("again", "order-1", "300")
    world.withdrawn(first)
    assert (money(world), world.bot.working, world.bot.by_decision) == ((500, 0, 0), {}, {})


def test_amendment_reserves_the_larger_until_it_is_answered() -> None:
    """Up adds the difference at once, down gives nothing back before the venue's word."""
    world = FoldWorld()
    world.permit(quantity="100")
    assert reasons(world.amend("up", "order-1", "250")) == []
    assert money(world) == (250, 250, 250)
    world.report("replaced", "up")
    assert reasons(world.amend("down", "up", "50")) == []
    assert money(world) == (250, 250, 250)
    world.report("replaced", "down")
    assert money(world) == (250, 50, 50)
    bot = world.bot
    assert (list(bot.working), bot.aliases) == (["down"], {"order-1": "down", "up": "down"})
    assert list(bot.by_decision.values()) == [world.order("order-1")]
    world.report("canceled", "up")
    assert (bot.working, bot.aliases, bot.by_decision, bot.reserved) == ({}, {}, {}, 0)


def test_amendment_counts_what_is_filled_once() -> None:
    """Only leaves reserve: 300 with 40 filled amended to 100 reserves 60, gross adds nothing."""
    world = FoldWorld()
    world.permit(quantity="300")
    world.report("trade", "order-1", "40")
    assert money(world) == (300, 260, 260)
    decision = world.amend("a", "order-1", "100")
    assert decision.notional == "100.00"
    assert money(world) == (300, 260, 260)
    world.report("replaced", "a")
    assert money(world) == (300, 60, 60)
    decision = world.amend("b", "a", "140")
    assert (decision.notional, money(world)) == ("140.00", (340, 100, 100))


def test_amendment_keeps_what_it_does_not_name() -> None:
    """Market, side, venue, account and price stay; id and quantity are the amendment's."""
    world = FoldWorld()
    context = {"model_sha256": "a" * 64}
    world.permit(quantity="300", decision_context=context)
    world.amend("a", "order-1", "200")
    pending = world.order("order-1").pending
    assert pending is not None
    order = pending.terms.order
    assert (order.client_order_id, order.quantity, order.price) == ("a", "200", "1.085")
    assert not order.decision_context
    world.report("replaced", "a")
    world.amend("b", "a", "200", price="1.09", decision_context=context)
    changed = world.order("a").pending
    assert changed is not None
    assert changed.terms.order.price == "1.09"
    assert canonical(changed.terms.order.decision_context) == canonical(context)


def test_amendment_rejected_or_not_found_leaves_the_order() -> None:
    """The venue refuses the change: the order is as before; the failure counts for a reject."""
    for kind, failures in (("rejected", 1), ("not_found", 0)):
        world = FoldWorld()
        world.permit(quantity="100")
        world.amend("a", "order-1", "300")
        world.report(kind, "a")
        assert (money(world), world.bot.failures) == ((300, 100, 100), failures)
        assert (world.order("order-1").pending, world.bot.aliases) == (None, {})
        assert len(world.bot.by_decision) == 1
        assert reasons(world.amend("b", "order-1", "100")) == []


@pytest.mark.parametrize("kind", ["canceled", "expired", "rejected", "not_found"])
def test_order_that_ends_releases_everything(kind: str) -> None:
    """By any of its names, with or without a pending amendment."""
    for pending in (False, True):
        world = FoldWorld()
        world.permit(quantity="100")
        world.permit(client_order_id="other", quantity="1")
        world.amend("o2", "other", "2")
        if pending:
            world.amend("a", "order-1", "300")
        world.report(kind, "order-1")
        assert (world.bot.find("order-1"), world.bot.find("a")) == (None, None)
        assert (world.bot.aliases, world.bot.reserved) == ({"o2": "other"}, 2 * UNIT)
        assert len(world.bot.by_decision) == 2


def test_trade_moves_position_and_reservation() -> None:
    """A fill reserves less and moves the position by its own value, in its direction."""
    world = FoldWorld()
    world.permit(quantity="100")
    world.permit(client_order_id="s", quantity="50", side="sell")
    world.report("trade", "order-1", "30.001")
    bot = world.bot
    assert bot.positions == {"EUR/USD": 3001 * UNIT // 100}
    assert (bot.reserved, world.order("order-1").phase) == (120 * UNIT, "open")
    world.report("trade", "s", "50")
    assert bot.positions == {"EUR/USD": 3001 * UNIT // 100 - 50 * UNIT}
    assert (bot.find("s"), money(world)) == (None, (150, 70, 70))
    world.report("trade", "order-1", "80")
    assert (bot.working, bot.reserved) == ({}, 0)


def test_trade_of_an_order_being_amended_reserves_the_larger_rest() -> None:
    """Until the venue answers, either version may be executed."""
    world = FoldWorld()
    world.permit(quantity="100")
    world.amend("a", "order-1", "300")
    world.report("trade", "order-1", "100")
    assert (money(world), world.order("order-1").filled) == ((300, 200, 200), 100 * UNIT)
    world.report("replaced", "a")
    assert money(world) == (300, 200, 200)
    world.amend("b", "a", "150")
    world.report("trade", "a", "20")
    assert money(world) == (300, 180, 180)
    world.report("trade", "a", "30")
    world.report("replaced", "b")
    assert (world.bot.working, money(world)) == ({}, (300, 0, 0))


def test_report_that_came_before_has_no_effect() -> None:
    """An execution id counts once for each venue."""
    world = FoldWorld()
    world.permit(quantity="100")
    for _ in range(2):
        world.report("trade", "order-1", "30", exec_id="same")
    assert (world.bot.positions, world.bot.reserved) == ({"EUR/USD": 30 * UNIT}, 70 * UNIT)


def test_report_of_no_order_is_an_orphan() -> None:
    """It is counted and has no other effect."""
    world = FoldWorld(scope_of(consecutive_failures_max=1))
    world.report("rejected", "gone")
    world.report("trade", "gone", "1")
    bot = world.bot
    assert (bot.orphans, bot.failures, bot.positions, bot.latches) == (2, 0, {}, set())


def test_replaced_without_a_pending_amendment_only_opens() -> None:
    """A venue that says more than was asked changes no terms."""
    world = FoldWorld(scope_of(consecutive_failures_max=9))
    world.permit(quantity="100")
    world.unresolved("order-1", "submit")
    world.report("replaced", "order-1")
    order = world.order("order-1")
    assert (order.phase, order.total, world.bot.failures) == ("open", 100 * UNIT, 0)


def test_unresolved_counts_for_submit_and_amend_only() -> None:
    """Silence to a cancel is no failure; silence to a submit makes the order unknown."""
    world = FoldWorld(scope_of(consecutive_failures_max=3))
    world.permit()
    world.unresolved("order-1", "cancel")
    assert (world.bot.failures, world.order("order-1").phase) == (0, "permitted")
    world.unresolved("order-1", "amend")
    assert (world.bot.failures, world.order("order-1").phase) == (1, "permitted")
    world.unresolved("order-1", "submit")
    assert (world.bot.failures, world.order("order-1").phase) == (2, "unknown")
    assert world.bot.latches == set()
    world.unresolved("gone", "submit")
    assert (world.bot.failures, world.bot.latches) == (3, {"consecutive_failures"})


@pytest.mark.parametrize("kind", ["new", "trade", "replaced"])
def test_failures_end_with_a_good_answer(kind: str) -> None:
    """Consecutive means without an answer of the venue in between; the latch stays."""
    world = FoldWorld(scope_of(consecutive_failures_max=2))
    world.permit()
    world.unresolved("order-1", "submit")
    world.report(kind, "order-1", "1")
    assert (world.bot.failures, world.order("order-1").phase) == (0, "open")


def test_rejects_are_counted_without_a_limit_and_never_latch() -> None:
    """A policy without the limit counts and does not stop."""
    world = FoldWorld()
    world.permit()
    world.report("rejected", "order-1")
    assert (world.bot.failures, world.bot.latches) == (1, set())


def test_rearming_one_latch_leaves_the_other() -> None:
    """Each latch has its own counter, which begins anew."""
    rule = {"count_max": 1, "window_s": 60}
    world = FoldWorld(scope_of(repeated_executions=rule, consecutive_failures_max=1))
    world.permit()
    world.report("trade", "order-1", "1")
    world.report("rejected", "order-1")
    assert world.bot.latches == {"repeated_executions", "consecutive_failures"}
    world.rearm("repeated_executions")
    assert (world.bot.latches, list(world.bot.executions)) == ({"consecutive_failures"}, [])
    assert world.bot.failures == 1
    world.bot.executions.append(1)
    world.rearm("consecutive_failures")
    assert (world.bot.latches, world.bot.failures, len(world.bot.executions)) == (set(), 0, 1)


def test_executions_window_is_open_at_its_far_end() -> None:
    """Two executions one nanosecond closer than the window latch; at the window they do not."""
    rule = {"count_max": 2, "window_s": 60}
    for gap, expected in ((60 * NS, set()), (60 * NS - 1, {"repeated_executions"})):
        world = FoldWorld(scope_of(repeated_executions=rule))
        world.permit()
        world.report("trade", "order-1", "1")
        world.now += gap
        world.report("trade", "order-1", "1")
        assert world.bot.latches == expected


def test_decision_of_an_id_seen_before_keeps_the_first_answer() -> None:
    """A refused duplicate does not become the answer to the id."""
    world = FoldWorld()
    first = world.permit()
    world.ask(quantity="1")
    assert world.bot.known["order-1"].decision == first


def test_refused_amendment_has_no_effect() -> None:
    """Only its id is known from then on."""
    world = FoldWorld(scope_of(message_rate={"count_max": 9, "window_s": 10}))
    world.permit()
    world.amend("a", "order-1", "180000")
    assert (world.order("order-1").pending, money(world)) == (None, (20000, 20000, 20000))
    assert (len(world.bot.messages), "a" in world.bot.known) == (1, True)


def test_cancel_counts_one_message_and_nothing_else() -> None:
    """A cancel has no notional and releases nothing by itself."""
    world = FoldWorld(scope_of(message_rate={"count_max": 9, "window_s": 10}))
    world.permit()
    decision = world.cancel("c", "order-1")
    assert (decision.verdict, decision.notional) == ("permitted", "")
    assert decision.before is not None
    assert decision.after is not None
    assert (decision.before.messages, decision.after.messages) == (1, 2)
    assert (money(world), decision.after.orders) == ((20000, 20000, 20000), 1)


def test_cancel_of_an_order_being_amended_passes() -> None:
    """A pending amendment keeps nobody from taking risk away."""
    world = FoldWorld()
    world.permit()
    world.amend("a", "order-1", "21000")
    assert reasons(world.cancel("c", "order-1")) == []


def test_day_rolls_with_the_first_entry_of_the_next_day_and_never_back() -> None:
    """Gross begins with what rests; a clock that steps back does not reopen a day."""
    world = FoldWorld(scope_of(trading_hours="none"), at="2026-05-15T23:59:59.999999999Z")
    world.permit(quantity="100")
    world.permit(client_order_id="b", quantity="50")
    world.report("canceled", "b")
    assert (money(world), world.bot.orders) == ((150, 100, 100), 2)
    world.now += 1
    world.report("new", "order-1")
    assert (money(world), world.bot.orders, world.bot.day) == ((100, 100, 100), 0, 20589)
    world.permit(client_order_id="c", quantity="1")
    world.now -= 1
    world.report("canceled", "c")
    assert (money(world), world.bot.orders, world.bot.day) == ((101, 100, 100), 1, 20589)


def test_position_counts_the_amended_order_once() -> None:
    """The order itself is left out of what works, and counts with the larger of both versions."""
    world = FoldWorld(scope_of(position_notional_max="1000"))
    world.permit(quantity="600")
    world.permit(client_order_id="b", quantity="300")
    assert reasons(world.amend("a", "order-1", "700")) == []
    world.report("replaced", "a")
    expected = [("position_limit_exceeded", "1000.00", "1000.01", "EUR")]
    assert reasons(world.amend("c", "a", "700.01")) == expected
    smaller = scope_of(position_notional_max="999.99")
    world.admit(smaller, certificate_sha256="e" * 64)
    # downwards, the larger version counts until the venue has taken the smaller one
    expected = [("position_limit_exceeded", "999.99", "1000.00", "EUR")]
    assert reasons(world.amend("d", "a", "1")) == expected


def test_content_ignores_id_and_context_only() -> None:
    """What repeats is the order; what the agent says of its reasons does not make it another."""
    world = FoldWorld(scope_of(repeated_orders={"count_max": 1, "window_s": 60}))
    world.permit()
    again = world.ask(client_order_id="b", decision_context={"model_sha256": "a" * 64})
    assert reasons(again) == [("repeated_order", "1", "2", "orders")]
    world.permit(client_order_id="c", account="other")


def test_state_before_the_first_entry_is_empty() -> None:
    """Nothing is assumed: no name, no time, no lease, no agent."""
    state = GateState()
    assert (state.size, state.at, state.lease, state.agents, state.quotations) == (
        0,
        0,
        None,
        {},
        {},
    )
    assert (state.gate, state.boot, state.region, state.environment) == ("", "", "", "")


def test_amendment_refused_after_everything_was_filled_reserves_nothing() -> None:
    """What is executed in full reserves nothing for itself, however the change ends."""
    world = FoldWorld()
    world.permit(quantity="100")
    world.amend("a", "order-1", "300")
    world.report("trade", "order-1", "100")
    world.report("rejected", "a")
    assert money(world) == (300, 0, 0)


def test_amendment_downwards_passes_at_a_full_cap() -> None:
    """It adds nothing to the day, so there is nothing to refuse."""
    world = FoldWorld(scope_of(daily_notional_max="20000"))
    world.permit()
    assert reasons(world.amend("a", "order-1", "1")) == []
    assert money(world) == (20000, 20000, 20000)


def test_smallest_order_reserves_a_whole_cent() -> None:
    """Rounding is away from permission, and what is counted is what is reserved."""
    world = FoldWorld()
    assert world.ask(quantity="0.00000001").notional == "0.01"
    assert money(world) == (0.01, 0.01, 0.01)


def test_amendment_is_no_repeated_order_under_any_limit() -> None:
    """The check looks at new orders only."""
    world = FoldWorld()
    world.permit()
    none_left = scope_of(repeated_orders={"count_max": 0, "window_s": 9})
    world.admit(none_left, certificate_sha256="e" * 64)
    assert reasons(world.amend("a", "order-1", "1")) == []


def test_amendment_that_cannot_be_is_not_valued() -> None:
    """While another is pending, or down to what is filled: one reason, no notional."""
    world = FoldWorld()
    world.permit(quantity="100")
    world.report("trade", "order-1", "40")
    for name, quantity in (("a", "40"), ("b", "39.99999999")):
        decision = world.amend(name, "order-1", quantity)
        assert reasons(decision) == [("unknown_order", "", "order-1", "")]
        assert decision.notional == ""
    assert reasons(world.amend("c", "order-1", "40.00000001")) == []
    decision = world.amend("d", "order-1", "180000")
    assert (reasons(decision), decision.notional) == ([("unknown_order", "", "order-1", "")], "")


def test_amendment_of_a_market_order_is_checked_as_a_market_order() -> None:
    """A price that it may not have is not looked at by the collar either."""
    collar = {"deviation_max": "0.01", "range_max": "0.01", "window_s": 9}
    world = FoldWorld(scope_of(price_collar=collar))
    world.permit(order_type="market", price=None)
    expected = [("action_not_permitted", "no price", "9", "")]
    assert reasons(world.amend("a", "order-1", "1", price="9")) == expected
