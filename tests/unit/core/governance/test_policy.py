# SPDX-License-Identifier: Apache-2.0
"""What a policy may hold: each field and rule at its boundary; canonical bytes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from sekisho.core.encoding import canonical
from sekisho.core.errors import MalformedInput
from sekisho.core.governance.policy import POLICY_BYTES_MAX, policy_from_canonical, policy_sha256
from sekisho.core.governance.rules import end_of_day
from sekisho.core.terms import parse_instant
from tests.unit.core.governance.samples import LEI, PRODUCTION, changed, register

WINDOW = {"count_max": "1", "window_s": "1"}
TEST = changed("environment", "test")


def fault(document: dict[str, Any]) -> str:
    """The report of a document that must be refused."""
    with pytest.raises(MalformedInput) as caught:
        register(document)
    return str(caught.value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schema", "sekisho/policy/v2"),
        ("agent", "Algo"),
        ("agent", "a" * 64),
        ("agent", "a\n"),
        ("version", "0"),
        ("version", "01"),
        ("version", "1000000001"),
        ("version", "-1"),
        ("version", "1.0"),
        ("environment", "live"),
        ("operator.name", ""),
        ("operator.name", " a"),
        ("operator.name", "a" * 129),
        ("operator.name", "a\u202eb"),
        ("operator.name", "a\nb"),
        ("operator.lei", LEI[:-1] + "3"),
        ("operator.lei", LEI.lower()),
        ("operator.lei", LEI[:-1]),
        ("operator.competent_authority", "\u0000"),
        ("valid_from", "2026-05-15"),
        ("valid_from", "2026-05-15T09:15:00.5Z"),
        ("valid_from", "2026-02-30T00:00:00Z"),
        ("valid_from", "2026-05-15T09:15:00+00:00"),
        ("scope.actions", []),
        ("scope.actions", ["buy"]),
        ("scope.actions", ["new", "new"]),
        ("scope.markets", []),
        ("scope.markets", ["EUR/EUR"]),
        ("scope.markets", ["EURUSD"]),
        ("scope.markets", ["eur/usd"]),
        ("scope.markets", ["EUR/USD", "EUR_USD"]),
        ("scope.markets", ["EUR/USD", "USD/EUR"]),
        ("scope.currency", "eur"),
        ("scope.order_notional_max", "0"),
        ("scope.order_notional_max", "0.001"),
        ("scope.order_notional_max", "-1"),
        ("scope.order_notional_max", "NaN"),
        ("scope.order_notional_max", "None"),
        ("scope.order_notional_max", "1,000"),
        ("scope.order_notional_max", None),
        ("scope.order_notional_max", ["1"]),
        ("scope.order_notional_max", {}),
        ("scope.daily_notional_max", "0.005"),
        ("scope.position_notional_max", "0.005"),
        ("scope.daily_order_count_max", "0"),
        ("scope.message_rate", {"count_max": "0", "window_s": "1"}),
        ("scope.message_rate", {"count_max": "1", "window_s": "0"}),
        ("scope.message_rate", {"count_max": "1", "window_s": "2678401"}),
        ("scope.message_rate", {"count_max": "1"}),
        ("scope.message_rate", "1/s"),
        ("scope.message_rate", {}),
        ("scope.order_quantity_max", []),
        ("scope.order_quantity_max", {"market": "EUR/USD", "currency": "EUR", "max": "1"}),
        ("scope.order_quantity_max", ["EUR/USD"]),
        ("scope.order_quantity_max", [{"market": "EUR/USD", "currency": "EUR", "max": "0"}]),
        ("scope.order_quantity_max", [{"market": "EUR/USD", "currency": "EUR"}]),
        ("scope.order_quantity_max", [{"market": "EUR/USD", "currency": "GBP", "max": "1"}]),
        ("scope.order_quantity_max", [{"market": "USD/EUR", "currency": "EUR", "max": "1"}]),
        ("scope.order_quantity_max", [{"market": "EUR/USD", "currency": "EUR", "max": "1"}] * 2),
        ("scope.price_collar", {"deviation_max": "0", "range_max": "1", "window_s": "1"}),
        ("scope.price_collar", {"deviation_max": "1.1", "range_max": "1", "window_s": "1"}),
        ("scope.price_collar", {"deviation_max": "1", "range_max": "1", "window_s": "2678401"}),
        ("scope.concentration", {"share_max": "1.1", "window_s": "1", "notional_min": "1"}),
        ("scope.concentration", {"share_max": "1", "window_s": "1", "notional_min": "0.001"}),
        ("scope.venues", []),
        ("scope.venues", ["A", "A"]),
        ("scope.venues", ["a b"]),
        ("scope.venues", ["none", ""]),
        ("scope.counterparties", []),
        ("scope.regions", []),
        ("scope.regions", [f"r{number}" for number in range(65)]),
        ("scope.time_zone", "Europe/Nowhere"),
        ("scope.time_zone", "../etc/passwd"),
        ("scope.time_zone", "localtime"),
        ("scope.trading_hours", {"start": "17:00", "end": "08:00"}),
        ("scope.trading_hours", {"start": "08:00", "end": "08:00"}),
        ("scope.trading_hours", {"start": "24:00", "end": "24:00"}),
        ("scope.trading_hours", {"start": "08:00", "end": "24:01"}),
        ("scope.trading_hours", {"start": "8:00", "end": "17:00"}),
        ("scope.trading_hours", {"start": "08:60", "end": "17:00"}),
        ("scope.trading_hours", {"start": "08:00"}),
        ("scope.trading_hours.exclude_weekends", "yes"),
        ("scope.trading_hours.holidays", ["2026-12-25", "2026-12-25"]),
        ("scope.trading_hours.holidays", ["2026-02-29"]),
        ("scope.reference_rates.sources", []),
        ("scope.reference_rates.sources", ["a", "a"]),
        ("scope.reference_rates.age_max_s", "3601"),
        ("scope.reference_rates.age_max_s", "0"),
        ("scope.reference_rates.market_order_buffer", "1"),
        ("scope.reference_rates.jump_max", "0"),
        ("scope.reference_rates.jump_window_s", "3601"),
        ("scope.reference_rates.disagreement_max", "1.00000001"),
        ("scope.reference_rates", "none"),
        ("scope.market_stress.action", "ignore"),
        ("scope.market_stress.window_s", "3601"),
        ("scope.market_stress.spread_max", "2"),
        ("scope.market_stress.move_max", "0"),
        ("scope.repeated_executions", {"count_max": "0", "window_s": "1"}),
        ("scope.repeated_orders", {"count_max": "1", "window_s": "0"}),
        ("scope.consecutive_failures_max", "0"),
        ("risk_controls.kill_switch_manual", "false"),
        ("risk_controls.kill_switch_manual", "no"),
        ("risk_controls.hold_threshold", "0.8500001"),
        ("risk_controls.hold_threshold", "1.1"),
        ("risk_controls.hold_threshold", "0.7499"),
        ("risk_controls.breaker_threshold", "0.8501"),
        ("risk_controls.breaker_threshold", "0"),
        ("risk_controls.grace_period_s", "86401"),
        ("risk_controls.acknowledgement_deadline_s", "59"),
        ("risk_controls.lease_s", "0"),
        ("risk_controls.lease_s", "61"),
        ("risk_controls.lease_s", "1"),
        ("risk_controls.permit_lifetime_s", "16"),
        ("risk_controls.permit_lifetime_s", "0"),
        ("risk_controls.clock_difference_max_s", "0"),
        ("behaviour.baseline_days", "0"),
        ("behaviour.baseline_days", "91"),
        ("behaviour.baseline_orders_min", "19"),
        ("behaviour.without_baseline", "allow"),
        ("behaviour.baseline_daily_fraction", "0"),
        ("behaviour.baseline_daily_fraction", "1.1"),
        ("behaviour.risk_lag_entries_max", "1000001"),
        ("testing.fitness_test_due", "soon"),
        ("testing.scenario_testing", "never"),
        ("testing.penetration_testing", "2026-01-01"),
        ("governance.documented_by", "A Person"),
        ("governance.approved_by", ["compliance_team"]),
        ("governance.approved_by", ["ceo", "ceo"]),
        ("governance.last_review", "2026-08-02"),
        ("governance.next_review", "none"),
        ("governance.next_review", "2028-05-16"),
        ("governance.review_overdue", "ignore"),
        ("testing.overdue", "ignore"),
        ("testing.fitness_test_due", "2028-05-16"),
        ("desk", "a desk"),
        ("governance.approvals_required", "0"),
        ("governance.approvals_required", "17"),
        ("governance.renewal_overlap_s", "-1"),
        ("governance.renewal_overlap_s", "604801"),
    ],
)
def test_policy_with_a_value_outside_its_bounds_is_refused(path: str, value: Any) -> None:
    """Just outside each bound registration refuses, naming the field."""
    document = changed(path, value) if value is not None else changed(path, None)
    if value is None:  # absent is the word none, which production refuses
        assert f"{path}: cannot be none" in fault(document)
        return
    report = fault(document)
    related = {
        "risk_controls.hold_threshold": "risk_controls.breaker_threshold",
        "risk_controls.lease_s": "risk_controls.permit_lifetime_s",
        "governance.last_review": "governance.next_review",
    }
    assert f"\n{path}" in report or f"\n{related.get(path, path)}" in report


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("version", "1000000000"),
        ("agent", "a" * 63),
        ("operator.name", "a" * 128),
        ("operator.name", "Société Générale"),
        ("valid_from", "2026-05-15T09:15:00.000Z"),
        ("scope.actions", "cancel"),
        ("scope.order_notional_max", "0.01"),
        ("scope.order_notional_max", "999999999999999999"),
        ("scope.message_rate", {"count_max": "1", "window_s": "2678400"}),
        ("scope.price_collar", {"deviation_max": "1", "range_max": "1", "window_s": "1"}),
        ("scope.concentration", {"share_max": "1", "window_s": "1", "notional_min": "0"}),
        ("scope.regions", [f"r{number}" for number in range(64)]),
        ("scope.trading_hours", {"start": "00:00", "end": "24:00"}),
        ("scope.trading_hours", {"start": "08:00", "end": "08:01"}),
        ("scope.trading_hours", "none"),
        ("scope.reference_rates.age_max_s", "3600"),
        ("scope.reference_rates.market_order_buffer", "0"),
        ("scope.reference_rates.market_order_buffer", "0.99999999"),
        ("scope.reference_rates.jump_window_s", "3600"),
        ("scope.market_stress.window_s", "3600"),
        ("scope.repeated_orders", WINDOW),
        ("risk_controls.hold_threshold", "0.75"),
        ("risk_controls.hold_threshold", "1"),
        ("risk_controls.breaker_threshold", "0.85"),
        ("risk_controls.grace_period_s", "0"),
        ("risk_controls.grace_period_s", "86400"),
        ("risk_controls.acknowledgement_deadline_s", "60"),
        ("risk_controls.lease_s", "60"),
        ("risk_controls.lease_s", "2"),
        ("risk_controls.permit_lifetime_s", "15"),
        ("behaviour.baseline_days", "1"),
        ("behaviour.baseline_days", "90"),
        ("behaviour.baseline_orders_min", "20"),
        ("behaviour.without_baseline", "refuse"),
        ("behaviour.baseline_daily_fraction", "0.5"),
        ("behaviour.risk_lag_entries_max", "0"),
        ("governance.last_review", "2026-08-01"),
        ("governance.next_review", "2028-05-15"),
        ("governance.approvals_required", "16"),
        ("governance.approved_by", []),
    ],
)
def test_policy_with_a_value_at_its_bound_is_registered(path: str, value: Any) -> None:
    """Just inside each bound registration succeeds, and the bytes read back."""
    registration = register(changed(path, value))
    assert registration.policy == policy_from_canonical(registration.canonical)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("scope.order_notional_max", "cannot be none"),
        ("scope.order_quantity_max", "cannot be none"),
        ("scope.price_collar", "cannot be none"),
        ("scope.message_rate", "cannot be none"),
        ("scope.position_notional_max", "cannot be none"),
        ("scope.venues", "cannot be none"),
        ("operator.lei", "must be stated"),
        ("operator.competent_authority", "must be stated"),
        ("operator.authorisation_reference", "must be stated"),
        ("governance.documented_by", "must be stated"),
    ],
)
def test_production_policy_without_it_is_refused_and_test_policy_is_not(
    path: str, message: str
) -> None:
    """Production states what test and rehearsal may leave open, and nothing else fails."""
    assert f"policy: 1 fault\n{path}: {message} in environment production" == fault(
        changed(path, None)
    )
    for environment in ("test", "rehearsal"):
        register(changed(path, None, changed("environment", environment)))


def test_production_policy_with_one_approval_is_refused() -> None:
    """One approval is for test and rehearsal."""
    assert "below 2 in environment production" in fault(
        changed("governance.approvals_required", "1")
    )
    assert (
        1
        == register(
            changed("governance.approvals_required", "1", TEST)
        ).policy.governance.approvals_required
    )


@pytest.mark.parametrize(
    ("until", "message"),
    [
        ("2026-05-15T09:15:00Z", "is not after valid_from"),
        ("2026-05-15T09:15:01Z", ""),
        ("2028-05-15T09:15:00Z", ""),
        ("2028-05-15T09:15:01Z", "more than two years"),
    ],
)
def test_validity_is_above_nothing_and_at_most_two_years(until: str, message: str) -> None:
    """At least a second, at most 731 days."""
    document = changed("valid_until", until)
    if message:
        assert message in fault(document)
    else:
        assert until.replace("Z", ".000000000Z") == register(document).policy.valid_until


@pytest.mark.parametrize("path", ["agent", "operator", "scope", "scope.markets", "scope.regions"])
def test_policy_without_what_has_no_default_is_refused(path: str) -> None:
    """What nobody can guess must be stated."""
    assert "is missing" in fault(changed(path, None))


CANONICAL = register(PRODUCTION).canonical


def edited(path: str, value: Any) -> bytes:
    """The canonical production policy with one part replaced, canonical again."""
    return canonical(changed(path, value, msgspec.json.decode(CANONICAL)))


def test_canonical_bytes_read_back_to_the_same_policy() -> None:
    """The way back loses nothing, and the digest is the same."""
    registration = register(PRODUCTION)
    policy = policy_from_canonical(registration.canonical)
    assert (registration.policy, registration.sha256) == (policy, policy_sha256(policy))


@pytest.mark.parametrize(
    "data",
    [
        CANONICAL + b"\n",
        b" " + CANONICAL,
        CANONICAL.replace(b'"25000"', b'"25000.0"'),
        CANONICAL.replace(b'["EUR/USD","GBP/EUR"]', b'["GBP/EUR","EUR/USD"]'),
        CANONICAL.replace(b'["EUR/USD","GBP/EUR"]', b'["EUR_USD","GBP/EUR"]'),
        CANONICAL.replace(b'"version":1', b'"version":"1"'),
        CANONICAL.replace(b'"kill_switch_manual":true', b'"kill_switch_manual":"true"'),
        CANONICAL.replace(b'"venues":["PAPER"]', b'"venues":"PAPER"'),
        CANONICAL.replace(b'"agent":', b'"agentId":'),
        CANONICAL.replace(b'"version":1', b'"version":null'),
        CANONICAL.replace(b',"version":1', b""),
        CANONICAL.replace(b'"version":1', b'"version":1,"version":1'),
        CANONICAL.replace(b'"version":1', b'"extra":1,"version":1'),
        b"{}",
        b"[]",
        b"",
    ],
)
def test_bytes_that_are_not_canonical_are_refused(data: bytes) -> None:
    """One policy has one spelling; whatever registration would forgive is refused here."""
    assert data != CANONICAL
    with pytest.raises(MalformedInput):
        policy_from_canonical(data)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("scope.venues", "none"),
        ("risk_controls.breaker_threshold", "0.86"),
        ("risk_controls.permit_lifetime_s", 16),
        ("scope.zone_offsets", []),
        ("scope.zone_offsets", [{"since": "2026-05-15T09:15:01.000000000Z", "utc_offset_s": 0}]),
        ("scope.zone_offsets", [{"since": "2026-05-15T09:15:00.500000000Z", "utc_offset_s": 0}]),
        ("scope.zone_offsets", [{"since": "2026-05-15T09:14:59.500000000Z", "utc_offset_s": 7200}]),
        ("scope.zone_offsets", [{"since": "2026-05-15T09:15:00.000000000Z", "utc_offset_s": "x"}]),
        (
            "scope.zone_offsets",
            [{"since": "2026-05-15T09:15:00.000000000Z", "utc_offset_s": 64_801}],
        ),
        (
            "scope.zone_offsets",
            [{"since": "2026-05-15T09:15:00.000000000Z", "utc_offset_s": 7200}] * 2,
        ),
        ("governance.review_due", "2026-08-02T00:00:00.000000000Z"),
        ("testing.fitness_due", "2027-05-16T00:00:00.000000000Z"),
        ("valid_until", "2026-05-15T09:15:00.000000000Z"),
    ],
)
def test_canonical_bytes_that_break_a_rule_are_refused(path: str, value: Any) -> None:
    """Whoever writes canonical bytes himself gets past none of the rules."""
    with pytest.raises(MalformedInput, match=path):
        policy_from_canonical(edited(path, value))


def test_canonical_bytes_with_an_unknown_field_are_refused() -> None:
    """A field that nobody checks is not carried along."""
    with pytest.raises(MalformedInput, match="extra: is not a field"):
        policy_from_canonical(edited("extra", "1"))


def test_canonical_bytes_without_a_field_that_has_a_default_are_refused() -> None:
    """Defaults are for documents; what is signed states everything."""
    for path in ("scope.venues", "risk_controls", "scope.zone_offsets", "version"):
        with pytest.raises(MalformedInput, match=f"{path}: is missing"):
            policy_from_canonical(edited(path, None))


def test_canonical_bytes_beyond_the_size_are_refused() -> None:
    """The bound holds before anything is parsed."""
    with pytest.raises(MalformedInput, match="more than 16384 bytes"):
        policy_from_canonical(b" " * (POLICY_BYTES_MAX + 1))


def test_review_is_due_at_local_midnight() -> None:
    """The review day ends in the policy's zone: Zurich's summer midnight is 22:00 UTC."""
    assert "2026-08-01T22:00:00.000000000Z" == register(PRODUCTION).policy.governance.review_due


@pytest.mark.parametrize(
    ("transitions", "expected"),
    [
        ([("2026-01-01T00:00:00", 0)], "2026-06-02T00:00:00"),
        ([("2027-01-01T00:00:00", 3600)], "2026-06-01T23:00:00"),
        # Clocks jump from 23:30 to 00:30: the jump ends the day.
        ([("2026-01-01T00:00:00", 0), ("2026-06-01T23:30:00", 3600)], "2026-06-01T23:30:00"),
        # Clocks go back from 00:30 to 23:30: the first midnight ends the day.
        ([("2026-01-01T00:00:00", 3600), ("2026-06-01T23:30:00", 0)], "2026-06-01T23:00:00"),
        # Clocks go back before midnight: midnight by the new offset.
        ([("2026-01-01T00:00:00", 3600), ("2026-06-01T22:30:00", 0)], "2026-06-02T00:00:00"),
    ],
)
def test_end_of_day_is_the_first_instant_of_the_next(
    transitions: list[tuple[str, int]], expected: str
) -> None:
    """The day ends when local time first reaches the next one, whatever the clocks do."""
    rows = [(parse_instant(f"{since}.000000000Z"), offset) for since, offset in transitions]
    assert f"{expected}.000000000Z" == end_of_day("2026-06-01", rows)
