# SPDX-License-Identifier: Apache-2.0
"""A canonical policy for tests of the verifier, written out by hand from policy.md."""

from __future__ import annotations

import copy
from typing import Any

from tests.unit.verify.build_pki import LEI

AGENT = "fx_trader"


def scope(**changes: Any) -> dict[str, Any]:
    """A scope with few limits; `changes` replace members."""
    found: dict[str, Any] = {
        "actions": ["new", "amend", "cancel"],
        "markets": ["EUR/USD", "GBP/EUR"],
        "currency": "EUR",
        "order_notional_max": "25000",
        "order_quantity_max": "none",
        "price_collar": "none",
        "daily_notional_max": "100000",
        "daily_order_count_max": "none",
        "message_rate": {"count_max": 100, "window_s": 60},
        "position_notional_max": "none",
        "venues": "none",
        "counterparties": "none",
        "concentration": "none",
        "time_zone": "UTC",
        "zone_offsets": [{"since": "2026-05-01T00:00:00.000000000Z", "utc_offset_s": 0}],
        "trading_hours": "none",
        "regions": ["eu-west-1"],
        "reference_rates": {
            "sources": ["primary"],
            "age_max_s": 60,
            "market_order_buffer": "0.01",
            "jump_max": "0.05",
            "jump_window_s": 60,
            "disagreement_max": "0.005",
        },
        "market_stress": "none",
        "repeated_executions": "none",
        "repeated_orders": "none",
        "consecutive_failures_max": "none",
    }
    return found | copy.deepcopy(changes)


def policy(**scope_changes: Any) -> dict[str, Any]:
    """A policy of environment test; `scope_changes` replace members of its scope."""
    return {
        "schema": "sekisho/policy/v1",
        "agent": AGENT,
        "desk": "none",
        "version": 1,
        "environment": "test",
        "operator": {
            "name": "Example Trading",
            "lei": LEI,
            "competent_authority": "not_stated",
            "authorisation_reference": "not_stated",
        },
        "valid_from": "2026-05-01T00:00:00.000000000Z",
        "valid_until": "2027-05-01T00:00:00.000000000Z",
        "scope": scope(**scope_changes),
        "risk_controls": {
            "kill_switch_manual": True,
            "hold_threshold": "0.85",
            "breaker_threshold": "0.75",
            "hold_on_single_order": False,
            "grace_period_s": 300,
            "acknowledgement_deadline_s": 86400,
            "permit_lifetime_s": 2,
            "lease_s": 15,
            "clock_difference_max_s": 1,
        },
        "behaviour": {
            "baseline_days": 2,
            "baseline_orders_min": 20,
            "without_baseline": "scope_checks",
            "baseline_daily_fraction": "1",
            "risk_lag_entries_max": 10,
        },
        "testing": {
            "fitness_test_due": "2027-05-01",
            "fitness_due": "2027-05-02T00:00:00.000000000Z",
            "overdue": "block_issuing",
            "scenario_testing": "quarterly",
            "penetration_testing": "annual",
        },
        "governance": {
            "documented_by": "author",
            "approved_by": ["approver_a"],
            "last_review": "none",
            "next_review": "2026-07-30",
            "review_due": "2026-07-31T00:00:00.000000000Z",
            "review_overdue": "refuse",
            "approvals_required": 2,
            "renewal_overlap_s": 0,
        },
    }
