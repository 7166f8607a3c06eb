# SPDX-License-Identifier: Apache-2.0
"""The readable difference of two policies: every field, and which way it moved."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sekisho.core.governance.defaults import POLICY
from sekisho.core.governance.difference import RULES, Change, difference
from sekisho.core.governance.shape import Group, Leaf, Rows, join
from tests.unit.core.governance.samples import PRODUCTION, changed, register

FULL = changed(
    "scope",
    PRODUCTION["scope"]
    | {
        "counterparties": ["A", "B"],
        "daily_order_count_max": "10",
        "repeated_executions": {"count_max": "5", "window_s": "60"},
        "repeated_orders": {"count_max": "5", "window_s": "60"},
        "consecutive_failures_max": "5",
        "reference_rates": {"sources": ["a", "b"]},
    },
    changed("environment", "test", changed("desk", "fx", PRODUCTION)),
)
_DAY = "2026-12-01"


def of(path: str, value: Any, document: dict[str, Any] = FULL) -> tuple[Change, ...]:
    """What one other value changes."""
    return difference(register(document).policy, register(changed(path, value, document)).policy)


MOVES: list[tuple[str, Any, str]] = [
    ("desk", "none", "widens"),
    ("desk", "rates", "changes"),
    ("version", "2", "changes"),
    ("operator.name", "Other", "changes"),
    ("valid_from", "2026-05-15T09:15:01Z", "narrows"),
    ("valid_until", "2026-12-31T00:00:00Z", "narrows"),
    ("scope.currency", "USD", "changes"),
    ("scope.order_notional_max", "25000.01", "widens"),
    ("scope.order_notional_max", "9000", "narrows"),
    ("scope.order_notional_max", "none", "widens"),
    ("scope.daily_notional_max", "500001", "widens"),
    ("scope.position_notional_max", "99999", "narrows"),
    ("scope.daily_order_count_max", "9", "narrows"),
    ("scope.price_collar.deviation_max", "0.03", "widens"),
    ("scope.price_collar.window_s", "301", "narrows"),
    ("scope.price_collar", "none", "widens"),
    ("scope.message_rate.count_max", "61", "widens"),
    ("scope.message_rate.window_s", "61", "narrows"),
    ("scope.repeated_orders", "none", "widens"),
    ("scope.venues", "none", "widens"),
    ("scope.concentration.window_s", "60", "changes"),
    ("scope.concentration.notional_min", "1", "widens"),
    ("scope.trading_hours.start", "07:59", "widens"),
    ("scope.trading_hours.end", "17:01", "widens"),
    ("scope.trading_hours.exclude_weekends", "false", "widens"),
    ("scope.trading_hours", "none", "widens"),
    ("scope.reference_rates.sources", ["b", "a"], "changes"),
    ("scope.reference_rates.age_max_s", "61", "widens"),
    ("scope.reference_rates.market_order_buffer", "0.02", "narrows"),
    ("scope.market_stress.action", "score", "widens"),
    ("scope.market_stress", "none", "widens"),
    ("scope.consecutive_failures_max", "6", "widens"),
    ("risk_controls.hold_threshold", "0.9", "widens"),
    ("risk_controls.breaker_threshold", "0.7", "narrows"),
    ("risk_controls.hold_on_single_order", "true", "narrows"),
    ("risk_controls.grace_period_s", "0", "narrows"),
    ("risk_controls.lease_s", "16", "widens"),
    ("behaviour.baseline_days", "15", "changes"),
    ("behaviour.without_baseline", "refuse", "narrows"),
    ("testing.overdue", "warn", "widens"),
    ("testing.overdue", "refuse", "narrows"),
    ("testing.scenario_testing", "monthly", "narrows"),
    ("governance.review_overdue", "block_issuing", "widens"),
    ("governance.approvals_required", "3", "narrows"),
    ("governance.renewal_overlap_s", "3600", "widens"),
    ("governance.documented_by", "other", "changes"),
    ("governance.last_review", "none", "changes"),
]


@pytest.mark.parametrize(("path", "value", "effect"), MOVES)
def test_difference_of_one_field_says_which_way(path: str, value: Any, effect: str) -> None:
    """One change of one field; the way back is the opposite."""
    other = changed(path, value, FULL)
    before, after = register(FULL).policy, register(other).policy
    found = [one for one in difference(before, after) if one.path == path]
    back = [one for one in difference(after, before) if one.path == path]
    assert [(path, effect)] == [(one.path, one.effect) for one in found]
    opposite = {"widens": "narrows", "narrows": "widens", "changes": "changes"}
    assert [(found[0].after, found[0].before, opposite[effect])] == [
        (one.before, one.after, one.effect) for one in back
    ]


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (
            "scope.markets",
            ["EUR/USD", "AUD/USD", "GBP/EUR"],
            [("scope.markets[AUD/USD]", "", "AUD/USD", "widens")],
        ),
        ("scope.actions", ["new"], [
            ("scope.actions[amend]", "amend", "", "narrows"),
            ("scope.actions[cancel]", "cancel", "", "narrows"),
        ]),
        ("scope.counterparties", ["B", "C"], [
            ("scope.counterparties[A]", "A", "", "narrows"),
            ("scope.counterparties[C]", "", "C", "widens"),
        ]),
        ("scope.regions", ["eu-west-1", "us"], [("scope.regions[us]", "", "us", "widens")]),
        ("scope.trading_hours.holidays", [], [
            ("scope.trading_hours.holidays[2026-12-25]", "2026-12-25", "", "widens"),
        ]),
        ("governance.approved_by", ["ceo"], [
            ("governance.approved_by[cfo]", "cfo", "", "widens"),
        ]),
        ("scope.order_quantity_max", [
            {"market": "EUR/USD", "currency": "USD", "max": "1"},
            {"market": "GBP/EUR", "currency": "GBP", "max": "20000.5"},
        ], [
            ("scope.order_quantity_max[EUR/USD EUR].max", "25000", "", "narrows"),
            ("scope.order_quantity_max[EUR/USD USD].max", "", "1", "widens"),
            ("scope.order_quantity_max[GBP/EUR GBP].max", "20000", "20000.5", "widens"),
        ]),
        ("governance.next_review", _DAY, [
            ("governance.next_review", "2026-08-01", _DAY, "widens"),
            ("governance.review_due", "2026-08-01T22:00:00.000000000Z",
             "2026-12-01T23:00:00.000000000Z", "widens"),
        ]),
        ("testing.fitness_test_due", _DAY, [
            ("testing.fitness_test_due", "2027-05-15", _DAY, "narrows"),
            ("testing.fitness_due", "2027-05-15T22:00:00.000000000Z",
             "2026-12-01T23:00:00.000000000Z", "narrows"),
        ]),
    ],
)  # fmt: skip
def test_difference_of_sets_and_rows_is_by_member(
    path: str, value: Any, expected: list[tuple[str, str, str, str]]
) -> None:
    """What was added and what was taken away, each alone, sorted."""
    found = [(one.path, one.before, one.after, one.effect) for one in of(path, value)]
    assert expected == [row for row in found if row[0] != "scope.zone_offsets"]


def test_difference_of_a_measure_leaves_no_direction() -> None:
    """More of another currency, or later in another zone, is neither wider nor narrower."""
    other = changed("scope.currency", "USD", changed("scope.order_notional_max", "1", FULL))
    found = difference(register(FULL).policy, register(other).policy)
    assert [("scope.currency", "changes"), ("scope.order_notional_max", "changes")] == [
        (one.path, one.effect) for one in found
    ]
    hours = changed("scope.trading_hours.start", "07:00", changed("scope.time_zone", "UTC", FULL))
    moved = {
        one.path: one.effect for one in difference(register(FULL).policy, register(hours).policy)
    }
    assert "changes" == moved["scope.trading_hours.start"]


def test_difference_of_no_number_that_only_rose_in_digits_is_by_value() -> None:
    """9000 is less than 25000, whatever the texts say."""
    assert ["narrows"] == [one.effect for one in of("scope.order_notional_max", "9000")]


def leaves(shape: Group, path: str = "") -> Iterator[str]:
    """Every field of the shape."""
    for name, part in shape.fields.items():
        here = join(path, name)
        if isinstance(part, Group):
            yield from leaves(part, here)
        elif isinstance(part, Rows) and part.sort_by:
            yield from (f"{here}[].{one}" for one in part.row.fields if one not in part.sort_by)
        else:
            assert isinstance(part, Leaf | Rows)
            yield here


UNORDERED = {
    "schema",
    "agent",
    "desk",
    "version",
    "environment",
    "operator.name",
    "operator.lei",
    "operator.competent_authority",
    "operator.authorisation_reference",
    "scope.currency",
    "scope.concentration.window_s",
    "scope.time_zone",
    "scope.zone_offsets",
    "scope.reference_rates.sources",
    "risk_controls.kill_switch_manual",
    "behaviour.baseline_days",
    "behaviour.baseline_orders_min",
    "governance.documented_by",
    "governance.last_review",
}
"""Fields that have no direction."""


def test_difference_has_a_rule_for_each_field_or_none_on_purpose() -> None:
    """A new field of the policy is put into the table, or into the list of those without."""
    assert set(leaves(POLICY)) == RULES.keys() | UNORDERED
    assert not RULES.keys() & UNORDERED
