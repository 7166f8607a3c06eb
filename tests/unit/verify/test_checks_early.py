# SPDX-License-Identifier: Apache-2.0
"""Rows 1 to 9 and 23 to 26 of checks.md section 4: at, just inside, just outside the boundary."""

from __future__ import annotations

import pytest

from sekisho_verify.canonical import instant
from tests.unit.verify.build_policy import policy
from tests.unit.verify.small_gate import SmallGate, amend, cancel, market, new

HOURS = {"start": "08:00", "end": "17:00", "exclude_weekends": True, "holidays": ["2026-05-14"]}


def at(text: str, gate: SmallGate) -> SmallGate:
    """The gate at another time, with a fresh rate alone."""
    gate.now = instant(text)
    gate.state.book.clear()
    gate.rate()
    return gate


def test_row_1_now_at_not_before_passes() -> None:
    """The certificate is valid from its first instant on."""
    gate = SmallGate()
    gate.admit("bb" * 32, not_before="2026-05-15T09:15:00.000000000Z")
    assert [] == gate.judge(new())


def test_row_1_now_before_not_before_refuses() -> None:
    """One nanosecond earlier it is not."""
    gate = SmallGate()
    gate.admit("bb" * 32, not_before="2026-05-15T09:15:00.000000001Z")
    limit, now = "2026-05-15T09:15:00.000000001Z", "2026-05-15T09:15:00.000000000Z"
    assert [("certificate_not_yet_valid", limit, now, "instant")] == gate.judge(new())


@pytest.mark.parametrize(("end", "refused"), [("01", False), ("00", True)])
def test_row_1_now_at_not_after_refuses(end: str, refused: bool) -> None:
    """The end is exclusive."""
    gate = SmallGate()
    limit, now = f"2026-05-15T09:15:00.0000000{end}Z", "2026-05-15T09:15:00.000000000Z"
    gate.admit("bb" * 32, not_after=limit)
    expected = [("certificate_expired", limit, now, "instant")] if refused else []
    assert expected == gate.judge(new())


@pytest.mark.parametrize("status", ["hold", "revoked"])
def test_row_1_status_not_good_refuses_new_and_passes_cancel(status: str) -> None:
    """A stop refuses new exposure; a cancel passes."""
    gate = SmallGate()
    assert [] == gate.judge(new())
    gate.status(status)
    code = {"hold": "certificate_held", "revoked": "certificate_revoked"}[status]
    assert [(code, "", "", "")] == gate.judge(new("order-2"))
    assert [] == gate.judge(cancel("order-1", "order-3"))


def test_row_1_release_after_hold_passes() -> None:
    """A hold ends when the gate acts on good."""
    gate = SmallGate()
    gate.status("hold")
    gate.status("good", epoch=2)
    assert [] == gate.judge(new())


def test_row_1_status_of_another_certificate_passes() -> None:
    """Only the present certificate's status counts; the epoch rises all the same."""
    gate = SmallGate()
    gate.status("revoked", epoch=7, certificate="cc" * 32)
    assert [] == gate.judge(new())
    assert 7 == gate.agent.epoch


def test_row_1_readmission_of_held_certificate_refuses() -> None:
    """Admitting the same certificate again lifts nothing; another one starts good."""
    gate = SmallGate()
    gate.status("hold")
    gate.admit()
    assert [("certificate_held", "", "", "")] == gate.judge(new())
    gate.admit("bb" * 32)
    assert [] == gate.judge(new("order-2"))


def test_row_1_good_after_revoked_refuses() -> None:
    """Revoked is final."""
    gate = SmallGate()
    gate.status("revoked")
    gate.status("good", epoch=2)
    assert [("certificate_revoked", "", "", "")] == gate.judge(new())


@pytest.mark.parametrize(
    ("now", "refused"),
    [
        ("2026-05-01T00:00:00.000000000Z", False),
        ("2026-07-30T23:59:59.999999999Z", False),
        ("2026-04-30T23:59:59.999999999Z", True),
    ],
)
def test_row_2_valid_from_is_inclusive(now: str, refused: bool) -> None:
    """The policy is in force from its first instant on."""
    gate = SmallGate()
    gate.admit("bb" * 32, not_before="2026-01-01T00:00:00.000000000Z")
    at(now, gate)
    found = [reason[0] for reason in gate.judge(new())]
    assert refused == ("policy_not_in_force" in found)


@pytest.mark.parametrize(
    ("now", "refused"),
    [("2026-07-30T23:59:59.999999999Z", False), ("2026-07-31T00:00:00.000000000Z", True)],
)
def test_row_2_valid_until_is_exclusive(now: str, refused: bool) -> None:
    """The policy is not in force at its last instant; limit and now are shown."""
    document = policy()
    document["valid_until"] = "2026-07-31T00:00:00.000000000Z"
    document["governance"]["review_overdue"] = "warn"
    gate = at(now, SmallGate(document))
    limit = "2026-05-01T00:00:00.000000000Z/2026-07-31T00:00:00.000000000Z"
    expected = [("policy_not_in_force", limit, now, "instant")] if refused else []
    assert expected == gate.judge(new())


@pytest.mark.parametrize(
    ("now", "mode", "refused"),
    [
        ("2026-07-30T23:59:59.999999999Z", "refuse", False),
        ("2026-07-31T00:00:00.000000000Z", "refuse", True),
        ("2026-07-31T00:00:00.000000000Z", "block_issuing", False),
        ("2026-07-31T00:00:00.000000000Z", "warn", False),
    ],
)
def test_row_3_review_due_is_exclusive(now: str, mode: str, refused: bool) -> None:
    """From the due instant on, orders are refused unless the policy only warns."""
    document = policy()
    document["governance"]["review_overdue"] = mode
    gate = at(now, SmallGate(document))
    limit = "2026-07-31T00:00:00.000000000Z"
    expected = [("review_overdue", limit, now, "instant")] if refused else []
    assert expected == gate.judge(new())
    document = policy()
    document["governance"]["review_overdue"] = "warn"
    document["testing"].update(fitness_test_due="2026-07-30", fitness_due=limit, overdue=mode)
    gate = at(now, SmallGate(document))
    expected = [("review_overdue", limit, now, "instant (fitness test)")] if refused else []
    assert expected == gate.judge(new())


def test_row_4_other_environment_refuses() -> None:
    """The gate's environment must be the policy's."""
    gate = SmallGate()
    gate.opened(environment="rehearsal")
    gate.entry("lease_held", deadline_monotonic="1000")
    gate.outside()
    assert [("environment_mismatch", "test", "rehearsal", "")] == gate.judge(new())


@pytest.mark.parametrize(("monotonic", "refused"), [(999, False), (1000, True)])
def test_row_5_deadline_is_exclusive(monotonic: int, refused: bool) -> None:
    """At the deadline the lease is over."""
    expected = [("lease_expired", "1000", str(monotonic), "ns")] if refused else []
    assert expected == SmallGate().judge(new(), monotonic)


def test_row_5_no_lease_after_opening_refuses() -> None:
    """Opening the gate ends the lease."""
    gate = SmallGate()
    gate.opened()
    gate.outside()
    assert [("lease_expired", "", "5", "ns")] == gate.judge(new(), 5)


def test_row_6_action_outside_scope_refuses() -> None:
    """Only listed actions; a cancel passes all the same."""
    gate = SmallGate(actions=["new"])
    assert [] == gate.judge(new())
    assert [("action_not_permitted", "new", "amend", "")] == gate.judge(
        amend("order-1", "order-2", "11000")
    )
    assert [] == gate.judge(cancel("order-1", "order-3"))


def test_row_6_price_for_market_order_refuses() -> None:
    """An amendment cannot turn a market order into a limit order."""
    gate = SmallGate()
    assert [] == gate.judge(market())
    expected = [("action_not_permitted", "no price", "1.10", "")]
    assert expected == gate.judge(amend("order-1", "order-2", "11000", price="1.10"))


def test_row_7_unknown_original_refuses() -> None:
    """What is not working can be neither amended nor cancelled."""
    gate = SmallGate()
    expected = [("unknown_order", "", "order-9", "")]
    assert expected == gate.judge(amend("order-9", "order-1", "10000"))
    assert expected == gate.judge(cancel("order-9", "order-2"))


@pytest.mark.parametrize(("quantity", "refused"), [("4000", True), ("4000.00000001", False)])
def test_row_7_new_quantity_must_exceed_filled(quantity: str, refused: bool) -> None:
    """An amendment to what is filled already is refused."""
    gate = SmallGate()
    gate.judge(new())
    gate.report("order-1", "trade", last_quantity="4000", last_price="1.1")
    expected = [("unknown_order", "", "order-1", "")] if refused else []
    assert expected == gate.judge(amend("order-1", "order-2", quantity))


def test_row_7_second_amendment_while_pending_refuses() -> None:
    """One amendment at a time; the pending id is not an order's id yet."""
    gate = SmallGate()
    gate.judge(new())
    assert [] == gate.judge(amend("order-1", "order-2", "11000"))
    assert [("unknown_order", "", "order-1", "")] == gate.judge(amend("order-1", "order-3", "9000"))
    assert [("unknown_order", "", "order-2", "")] == gate.judge(cancel("order-2", "order-4"))
    gate.report("order-2", "replaced")
    assert [("unknown_order", "", "order-1", "")] == gate.judge(cancel("order-1", "order-5"))
    assert [] == gate.judge(amend("order-2", "order-6", "12000"))


def test_row_8_known_id_refuses_even_after_refusal() -> None:
    """An id is used once for ever, over all three actions."""
    gate = SmallGate()
    gate.judge(new(quantity="30000"))
    assert [("duplicate_order_id", "", "order-1", "")] == gate.judge(new())
    assert ["unknown_order", "duplicate_order_id"] == [
        reason[0] for reason in gate.judge(cancel("order-9", "order-1"))
    ]


@pytest.mark.parametrize(("seconds", "refused"), [(9.999999999, True), (10, False)])
def test_row_9_window_ends_before_its_first_instant(seconds: float, refused: bool) -> None:
    """The same content counts while now − window < time."""
    gate = SmallGate(repeated_orders={"count_max": 1, "window_s": 10})
    assert [] == gate.judge(new())
    gate.now += round(seconds * 10**9)
    expected = [("repeated_order", "1", "2", "orders")] if refused else []
    assert expected == gate.judge(new("order-2"))


def test_row_9_count_and_content_decide() -> None:
    """Two may pass where two are allowed; other content passes; context and id do not count."""
    gate = SmallGate(repeated_orders={"count_max": 2, "window_s": 10})
    assert [] == gate.judge(new())
    context = {"model_sha256": "ab" * 32}
    assert [] == gate.judge(new("order-2", decision_context=context))
    assert [("repeated_order", "2", "3", "orders")] == gate.judge(new("order-3"))
    assert [] == gate.judge(new("order-4", quantity="9999"))


@pytest.mark.parametrize(
    ("now", "refused"),
    [
        ("2026-05-15T08:00:00.000000000Z", False),
        ("2026-05-15T16:59:59.999999999Z", False),
        ("2026-05-15T07:59:59.999999999Z", True),
        ("2026-05-15T17:00:00.000000000Z", True),
        ("2026-05-14T12:00:00.000000000Z", True),
        ("2026-05-16T12:00:00.000000000Z", True),
        ("2026-05-17T12:00:00.000000000Z", True),
        ("2026-05-18T12:00:00.000000000Z", False),
    ],
)
def test_row_23_hours_start_inclusive_end_exclusive(now: str, refused: bool) -> None:
    """Outside hours, on weekends and on holidays orders are refused, once."""
    gate = SmallGate(trading_hours=HOURS)
    at(now, gate)
    expected = [("outside_trading_hours", "08:00-17:00", now[:19], "UTC")] if refused else []
    assert expected == gate.judge(new())


def test_row_23_offset_in_force_moves_local_time() -> None:
    """Local time is by the last offset whose `since` has come."""
    rows = [
        {"since": "2026-05-01T00:00:00.000000000Z", "utc_offset_s": 0},
        {"since": "2026-05-15T07:00:00.000000000Z", "utc_offset_s": 3600},
    ]
    document = policy(trading_hours=HOURS, zone_offsets=rows, time_zone="Europe/London")
    document["governance"]["review_due"] = "2026-07-30T23:00:00.000000000Z"
    document["testing"]["fitness_due"] = "2027-05-01T23:00:00.000000000Z"
    gate = SmallGate(document)
    at("2026-05-15T06:59:59.999999999Z", gate)
    expected = ("outside_trading_hours", "08:00-17:00", "2026-05-15T06:59:59", "Europe/London")
    assert [expected] == gate.judge(new())
    at("2026-05-15T07:00:00.000000000Z", gate)
    assert [] == gate.judge(new("order-2"))


def test_row_23_weekend_allowed_where_policy_says_so() -> None:
    """Without `exclude_weekends` a Saturday is a day as any other."""
    gate = SmallGate(trading_hours=HOURS | {"exclude_weekends": False})
    assert [] == at("2026-05-16T12:00:00.000000000Z", gate).judge(new())


def test_row_24_region_outside_scope_refuses() -> None:
    """The region is the gate's own."""
    gate = SmallGate(regions=["eu-west-1", "us-east-1"])
    gate.opened(region="ap-east-1")
    gate.entry("lease_held", deadline_monotonic="1000")
    gate.outside()
    assert [("region_not_allowed", "eu-west-1,us-east-1", "ap-east-1", "")] == gate.judge(new())


def trade(gate: SmallGate, number: int) -> None:
    """One order, filled."""
    gate.judge(new(f"t-{number}", quantity="10"))
    gate.report(f"t-{number}", "trade", last_quantity="10", last_price="1.1")


@pytest.mark.parametrize(("seconds", "latched"), [(9.999999999, True), (10, False)])
def test_row_25_executions_in_window_latch(seconds: float, latched: bool) -> None:
    """The count within the window latches; nothing but re-arming takes it off."""
    gate = SmallGate(repeated_executions={"count_max": 2, "window_s": 10})
    trade(gate, 1)
    gate.now += round(seconds * 10**9)
    trade(gate, 2)
    expected = [("execution_throttle_latched", "2", "", "executions")] if latched else []
    assert expected == gate.judge(new())
    gate.wait(20)
    gate.rate()
    assert expected == gate.judge(new("order-2", quantity="9"))
    gate.entry("rearmed", agent="fx_trader", latch="repeated_executions")
    assert [] == gate.judge(new("order-3", quantity="8"))


@pytest.mark.parametrize(("failures", "latched"), [(1, False), (2, True)])
def test_row_26_failures_latch_until_rearmed(failures: int, latched: bool) -> None:
    """Rejects and unknown outcomes count; the observed value is their number."""
    gate = SmallGate(consecutive_failures_max=2)
    for number in range(failures):
        gate.judge(new(f"f-{number}", quantity="10"))
        if number:
            unknown = {"client_order_id": f"f-{number}", "operation": "submit"}
            gate.entry("outcome_unresolved", agent="fx_trader", **unknown)
        else:
            gate.report(f"f-{number}", "rejected")
    expected = [("consecutive_failures_latched", "2", "2", "failures")] if latched else []
    assert expected == gate.judge(new())
    gate.entry("rearmed", agent="fx_trader", latch="consecutive_failures")
    assert [] == gate.judge(new("order-2", quantity="9"))


def test_row_26_success_between_failures_starts_anew() -> None:
    """Consecutive means without a success in between."""
    gate = SmallGate(consecutive_failures_max=2)
    for number in range(2):
        gate.judge(new(f"f-{number}", quantity="10"))
        gate.report(f"f-{number}", "rejected")
        gate.judge(new(f"s-{number}", quantity="10"))
        gate.report(f"s-{number}", "new")
    assert [] == gate.judge(new())
