# SPDX-License-Identifier: Apache-2.0
"""A registered policy is read strictly: every field, its bounds, and the word none."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sekisho_verify import policy as policies
from sekisho_verify.findings import VerificationFailed
from tests.unit.verify.build_policy import policy
from tests.unit.verify.build_signed import People, b64, canonical, sha

WINDOW = {"count_max": 1, "window_s": 1}
COLLAR = {"deviation_max": "0.1", "range_max": "1", "window_s": 2_678_400}
HOURS = {"start": "08:00", "end": "24:00", "exclude_weekends": False, "holidays": []}
STRESS = {"action": "score", "spread_max": "0.1", "move_max": "0.1", "window_s": 3600}
SINCE = {"since": "2026-05-01T00:00:00.000000000Z", "utc_offset_s": 0}


def changed(path: str, value: Any) -> dict[str, Any]:
    """A policy with one member replaced; `...` removes it."""
    document = policy()
    *above, last = path.split(".")
    member = document
    for name in above:
        member = member[name]
    if value is ...:
        del member[last]
    else:
        member[last] = copy.deepcopy(value)
    return document


def paths(document: dict[str, Any], above: str = "") -> list[str]:
    """Every member, at every depth."""
    found = []
    for name, value in document.items():
        found.append(above + name)
        if isinstance(value, dict):
            found += paths(value, f"{above}{name}.")
    return found


def test_policy_digest_is_that_of_its_canonical_bytes() -> None:
    """What approvers sign."""
    assert sha(canonical(policy())) == policies.read(policy()).sha256


@pytest.mark.parametrize("path", paths(policy()))
def test_policy_every_field_is_required_and_typed(path: str) -> None:
    """Without it, or with null, a number, a list of lists in its place, it is no policy."""
    odd: list[Any] = [..., None, 1.5, [[]], {"x": 1}, ""]
    for value in odd + [True] * path.endswith("version"):
        with pytest.raises(VerificationFailed):
            policies.read(changed(path, value))


GOOD: list[tuple[str, Any]] = [
    ("scope.order_notional_max", "none"),
    ("scope.order_notional_max", "0.01"),
    ("scope.price_collar", COLLAR),
    ("scope.trading_hours", HOURS),
    ("scope.market_stress", STRESS),
    ("scope.repeated_orders", WINDOW),
    ("scope.concentration", {"share_max": "1", "window_s": 1, "notional_min": "0"}),
    ("scope.order_quantity_max", [{"market": "EUR/USD", "currency": "USD", "max": "0.00000001"}]),
    ("scope.venues", ["A", "B"]),
    ("scope.actions", ["new", "cancel"]),
    ("scope.consecutive_failures_max", 10**9),
    ("governance.last_review", "2026-07-30"),
    ("risk_controls.hold_threshold", "0.75"),
    ("risk_controls.grace_period_s", 0),
    ("behaviour.baseline_days", 1),
    ("behaviour.baseline_days", 90),
    ("behaviour.baseline_orders_min", 20),
    ("behaviour.baseline_orders_min", 10**9),
    ("behaviour.without_baseline", "refuse"),
    ("behaviour.baseline_daily_fraction", "0.00000001"),
    ("behaviour.risk_lag_entries_max", 0),
    ("behaviour.risk_lag_entries_max", 10**6),
    ("operator.lei", "0" * 20),
]


@pytest.mark.parametrize(("path", "value"), GOOD)
def test_policy_at_the_bounds_is_read(path: str, value: Any) -> None:
    """The bounds themselves are allowed."""
    assert policies.read(changed(path, value)).agent == "fx_trader"


BAD: list[tuple[str, Any]] = [
    ("schema", "sekisho/policy/v2"),
    ("environment", "live"),
    ("version", 0),
    ("version", 10**9 + 1),
    ("agent", "Fx"),
    ("more", 1),
    ("operator.name", " x"),
    ("operator.name", "x" * 129),
    ("operator.name", "a\nb"),
    ("operator.lei", "529900T8BM49AURSDO56"),
    ("valid_from", "2026-05-01T00:00:00.000000001Z"),
    ("valid_until", "2026-05-01T00:00:00.000000000Z"),
    ("valid_until", "2028-05-01T00:00:01.000000000Z"),
    ("behaviour.more", 1),
    ("behaviour.baseline_days", 0),
    ("behaviour.baseline_days", 91),
    ("behaviour.baseline_orders_min", 19),
    ("behaviour.baseline_orders_min", 10**9 + 1),
    ("behaviour.without_baseline", "allow"),
    ("behaviour.baseline_daily_fraction", "0"),
    ("behaviour.baseline_daily_fraction", "1.1"),
    ("behaviour.risk_lag_entries_max", -1),
    ("behaviour.risk_lag_entries_max", 10**6 + 1),
    ("risk_controls.acknowledgement_deadline_s", 2_678_401),
    ("risk_controls.kill_switch_manual", False),
    ("risk_controls.hold_threshold", "1.1"),
    ("risk_controls.hold_threshold", "0.74"),
    ("risk_controls.hold_threshold", "0.8500001"),
    ("risk_controls.breaker_threshold", "0"),
    ("risk_controls.hold_on_single_order", "false"),
    ("risk_controls.grace_period_s", 86401),
    ("risk_controls.grace_period_s", -1),
    ("risk_controls.acknowledgement_deadline_s", 59),
    ("risk_controls.permit_lifetime_s", 16),
    ("risk_controls.lease_s", 61),
    ("risk_controls.clock_difference_max_s", 0),
    ("testing.scenario_testing", "weekly"),
    ("testing.fitness_test_due", "2027-02-29"),
    ("testing.fitness_test_due", "2028-05-02"),
    ("testing.fitness_due", "2027-05-02T00:00:00.000000001Z"),
    ("testing.overdue", "ignore"),
    ("desk", "a desk"),
    ("governance.documented_by", "approver_a"),
    ("governance.approved_by", ["b", "a"]),
    ("governance.next_review", "2028-05-02"),
    ("governance.last_review", "2026-07-31"),
    ("governance.review_due", "2026-07-31T00:00:00.000000001Z"),
    ("governance.review_overdue", "ignore"),
    ("governance.approvals_required", 0),
    ("governance.approvals_required", 17),
    ("governance.renewal_overlap_s", -1),
    ("governance.renewal_overlap_s", 604_801),
    ("scope.actions", ["amend", "new"]),
    ("scope.markets", ["EUR/USD", "USD/EUR"]),
    ("scope.markets", []),
    ("scope.markets", ["EUR/EUR"]),
    ("scope.markets", ["GBP/EUR", "EUR/USD"]),
    ("scope.markets", "none"),
    ("scope.order_notional_max", "0"),
    ("scope.order_notional_max", "25000.00"),
    ("scope.order_notional_max", "0.001"),
    ("scope.order_notional_max", 25000),
    ("scope.order_quantity_max", [{"market": "USD/EUR", "currency": "USD", "max": "1"}]),
    ("scope.order_quantity_max", [{"market": "EUR/USD", "currency": "GBP", "max": "1"}]),
    ("scope.order_quantity_max", [{"market": "EUR/USD", "currency": "EUR", "max": "0"}]),
    ("scope.order_quantity_max", [{"market": "EUR/USD", "currency": "EUR", "max": "1"}] * 2),
    ("scope.price_collar", COLLAR | {"range_max": "1.1"}),
    ("scope.price_collar", COLLAR | {"deviation_max": "0"}),
    ("scope.price_collar", COLLAR | {"window_s": 2_678_401}),
    ("scope.message_rate", WINDOW | {"count_max": 0}),
    ("scope.message_rate", WINDOW | {"window_s": 0}),
    ("scope.venues", []),
    ("scope.regions", "none"),
    ("scope.time_zone", "Europe/Zürich"),
    ("scope.zone_offsets", []),
    ("scope.zone_offsets", [SINCE | {"since": "2026-05-02T00:00:00.000000000Z"}]),
    ("scope.zone_offsets", [SINCE, SINCE]),
    ("scope.zone_offsets", [SINCE | {"utc_offset_s": 64801}]),
    ("scope.trading_hours", HOURS | {"end": "08:00"}),
    ("scope.trading_hours", HOURS | {"start": "24:00"}),
    ("scope.trading_hours", HOURS | {"end": "24:01"}),
    ("scope.trading_hours", HOURS | {"holidays": ["2026-02-30"]}),
    ("scope.market_stress", STRESS | {"action": "warn"}),
    ("scope.market_stress", STRESS | {"window_s": 3601}),
    ("scope.reference_rates.sources", []),
    ("scope.reference_rates.sources", ["a", "a"]),
    ("scope.reference_rates.age_max_s", 3601),
    ("scope.reference_rates.market_order_buffer", "1"),
    ("scope.reference_rates.jump_max", "0"),
]


@pytest.mark.parametrize(("path", "value"), BAD)
def test_policy_beyond_the_bounds_is_refused(path: str, value: Any) -> None:
    """One step outside, or another spelling."""
    with pytest.raises(VerificationFailed):
        policies.read(changed(path, value))


def production() -> dict[str, Any]:
    """A policy that environment production takes."""
    document = policy(
        order_quantity_max=[{"market": "EUR/USD", "currency": "EUR", "max": "1"}],
        price_collar=COLLAR,
        position_notional_max="100000",
        venues=["PAPER"],
    )
    document["environment"] = "production"
    document["operator"] |= {"competent_authority": "A", "authorisation_reference": "B"}
    return document


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("scope.order_notional_max", "none"),
        ("scope.order_quantity_max", "none"),
        ("scope.price_collar", "none"),
        ("scope.message_rate", "none"),
        ("scope.position_notional_max", "none"),
        ("scope.venues", "none"),
        ("operator.lei", "0" * 20),
        ("operator.competent_authority", "not_stated"),
        ("operator.authorisation_reference", "not_stated"),
        ("governance.documented_by", "not_stated"),
        ("governance.approvals_required", 1),
    ],
)
def test_policy_production_refuses_what_trials_may_leave_open(path: str, value: str) -> None:
    """Environment production wants limits, an operator and two approvals."""
    document = production()
    assert "production" == policies.read(document).environment
    above, _, last = path.partition(".")
    document[above][last] = value
    with pytest.raises(VerificationFailed):
        policies.read(document)


def test_review_due_follows_from_the_offset_in_force() -> None:
    """00:00 local of the day after, also where the clocks change in between."""
    rows = [SINCE, {"since": "2026-07-30T23:30:00.000000000Z", "utc_offset_s": 7200}]
    document = changed("scope.zone_offsets", rows)
    document["governance"]["review_due"] = "2026-07-30T23:30:00.000000000Z"
    document["testing"]["fitness_due"] = "2027-05-01T22:00:00.000000000Z"
    assert policies.read(document).review_due_text == "2026-07-30T23:30:00.000000000Z"


def p384() -> bytes:
    """A key of another curve."""
    key = ec.generate_private_key(ec.SECP384R1()).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def compressed() -> bytes:
    """A P-256 key with its point compressed."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    whole = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    point = key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    bits = b"\x03" + bytes((len(point) + 1, 0)) + point
    algorithm = whole[2 : 2 + 2 + whole[3]]
    return b"\x30" + bytes((len(algorithm) + len(bits),)) + algorithm + bits


def test_roster_of_another_form_is_refused() -> None:
    """Sorted seats, each once, each with its own key in its one encoding."""
    from sekisho_verify.people import roster

    people = People()
    good = people.roster
    assert people.sha256 == roster(good).sha256
    seats: Any = good["seats"]
    bad: list[dict[str, Any]] = [
        good | {"schema": "x"},
        good | {"seats": []},
        good | {"seats": seats[::-1]},
        good | {"seats": [seats[0], seats[0]]},
        good | {"seats": [seats[0], seats[1] | {"public_key": seats[0]["public_key"]}]},
        good | {"seats": [seats[0] | {"role": "king"}]},
        good | {"seats": [seats[0] | {"public_key": "AAAA"}]},
        good | {"seats": [seats[0] | {"public_key": seats[0]["public_key"] + "\n"}]},
    ]
    bad += [
        good | {"seats": [seats[0] | {"public_key": b64(key)}]} for key in (p384(), compressed())
    ]
    for value in bad:
        with pytest.raises(VerificationFailed):
            roster(value)


def test_policy_thresholds_are_exact_millionths() -> None:
    """What scores are compared with, and the text that reasons show."""
    found = policies.read(changed("risk_controls.breaker_threshold", "0.123456")).stops
    assert (123_456, "0.123456", 850_000, "0.85") == (
        found.breaker,
        found.breaker_text,
        found.hold,
        found.hold_text,
    )
