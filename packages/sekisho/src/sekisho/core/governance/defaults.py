# SPDX-License-Identifier: Apache-2.0
"""Every field of a policy, how it is read, and what stands there when the document is silent.

The table of docs/spec/policy.md sections 1 and 2, as data. A default is written as a document would
state it. Those that depend on the time of registration are in ``timed_defaults``.
"""

from __future__ import annotations

from typing import Any

from sekisho.core.errors import MalformedInput
from sekisho.core.governance import readers as r
from sekisho.core.governance.shape import AppliedDefault, Group, Leaf, Rows
from sekisho.core.terms import (
    AGENT_NAME,
    DAY_S,
    NAME,
    NS,
    day_text,
    format_instant,
    parse_instant,
)

SCHEMA = "sekisho/policy/v1"
VALIDITY_DAYS = 365
REVIEW_DAYS = 90
INSTANT_MAX = 253_370_764_800 * NS
"""9999-01-01: later instants, or those a year and more after them, have no text."""

_COUNT = r.integer(1, 10**9)
_WINDOW = r.integer(1, 2_678_400)
_RATE_WINDOW = r.integer(1, 3_600)
_NAME = r.matching(NAME, "name-1 (letters, digits, . _ @ -; at most 64)")
_NO_LIMIT = "absent limits are written as the word none"
_UNNAMED = "the document names none; production requires it"
_FREQUENCY = r.choice("monthly", "quarterly", "half-yearly", "annual")
_OVERDUE = r.choice("warn", "block_issuing", "refuse")

_COUNT_WINDOW = Group(
    {"count_max": Leaf(_COUNT), "window_s": Leaf(_WINDOW)}, default="none", why=_NO_LIMIT
)

SCOPE = Group(
    {
        "actions": Leaf(
            r.a_set_of_words(("new", "amend", "cancel")),
            ["new", "amend", "cancel"],
            "all three actions; each is checked",
        ),
        "markets": Leaf(r.markets),
        "currency": Leaf(r.currency, "EUR", "the currency in which limits are counted"),
        "order_notional_max": Leaf(r.or_none(r.money), "none", _NO_LIMIT),
        "order_quantity_max": Rows(
            Group(
                {"market": Leaf(r.market), "currency": Leaf(r.currency), "max": Leaf(r.amount)},
            ),
            r.LIST_MAX,
            default="none",
            sort_by=("market", "currency"),
            why=_NO_LIMIT,
        ),
        "price_collar": Group(
            {
                "deviation_max": Leaf(r.fraction),
                "range_max": Leaf(r.fraction),
                "window_s": Leaf(_WINDOW),
            },
            default="none",
            why=_NO_LIMIT,
        ),
        "daily_notional_max": Leaf(r.or_none(r.money), "none", _NO_LIMIT),
        "daily_order_count_max": Leaf(r.or_none(_COUNT), "none", _NO_LIMIT),
        "message_rate": _COUNT_WINDOW,
        "position_notional_max": Leaf(r.or_none(r.money), "none", _NO_LIMIT),
        "venues": Leaf(r.or_none(r.a_set(_NAME)), "none", _NO_LIMIT),
        "counterparties": Leaf(r.or_none(r.a_set(_NAME)), "none", _NO_LIMIT),
        "concentration": Group(
            {
                "share_max": Leaf(r.fraction),
                "window_s": Leaf(_WINDOW),
                "notional_min": Leaf(r.whole_cents),
            },
            default="none",
            why=_NO_LIMIT,
        ),
        "time_zone": Leaf(r.zone, "UTC", "the zone of the policy day and the trading hours"),
        "zone_offsets": Rows(
            Group({"since": Leaf(r.any_instant_of_second), "utc_offset_s": Leaf(r.offset_s)}),
            64,
            frozen=True,
        ),
        "trading_hours": Group(
            {
                "start": Leaf(r.clock),
                "end": Leaf(r.clock_end),
                "exclude_weekends": Leaf(r.boolean, "true", "the stricter reading"),
                "holidays": Leaf(
                    r.a_set(r.day, most=r.HOLIDAYS_MAX, least=0), [], "the document names none"
                ),
            },
            default="none",
            why=_NO_LIMIT,
        ),
        "regions": Leaf(r.a_set(_NAME)),
        "reference_rates": Group(
            {
                "sources": Leaf(r.listed(_NAME), ["primary"], "one source, under this name"),
                "age_max_s": Leaf(_RATE_WINDOW, "60", "older rates refuse the order"),
                "market_order_buffer": Leaf(
                    r.buffer, "0.01", "what a market order may cost above the reference"
                ),
                "jump_max": Leaf(r.fraction, "0.05", "a larger jump of a rate is an outlier"),
                "jump_window_s": Leaf(_RATE_WINDOW, "60", "over which jumps are measured"),
                "disagreement_max": Leaf(
                    r.fraction, "0.005", "sources further apart refuse the order"
                ),
            }
        ),
        "market_stress": Group(
            {
                "action": Leaf(r.choice("refuse", "score")),
                "spread_max": Leaf(r.fraction),
                "move_max": Leaf(r.fraction),
                "window_s": Leaf(_RATE_WINDOW),
            },
            default="none",
            why=_NO_LIMIT,
        ),
        "repeated_executions": _COUNT_WINDOW,
        "repeated_orders": _COUNT_WINDOW,
        "consecutive_failures_max": Leaf(r.or_none(_COUNT), "none", _NO_LIMIT),
    }
)

RISK_CONTROLS = Group(
    {
        "kill_switch_manual": Leaf(r.always, "true", "a person can kill at any time"),
        "hold_threshold": Leaf(r.score, "0.85", "at or above it the certificate is held"),
        "breaker_threshold": Leaf(r.score, "0.75", "above it the circuit breaker latches"),
        "hold_on_single_order": Leaf(
            r.boolean, "false", "one order feeds the risk score and does not hold by itself"
        ),
        "grace_period_s": Leaf(r.integer(0, DAY_S), "300", "five minutes to acknowledge a hold"),
        "acknowledgement_deadline_s": Leaf(
            r.integer(60, 2_678_400), "86400", "24 hours from acknowledgement to a disposition"
        ),
        "permit_lifetime_s": Leaf(r.integer(1, 60), "2", "a permit is used at once or never"),
        "lease_s": Leaf(r.integer(1, 60), "15", "the worst-case stop when cut off"),
        "clock_difference_max_s": Leaf(
            r.integer(1, 60), "1", "the gate refuses when the clocks differ by more"
        ),
    }
)

BEHAVIOUR = Group(
    {
        "baseline_days": Leaf(r.integer(1, 90), "14", "the window from which normal is learned"),
        "baseline_orders_min": Leaf(
            r.integer(20, 10**9), "100", "fewer orders say too little of what is normal"
        ),
        "without_baseline": Leaf(
            r.choice("scope_checks", "refuse"),
            "scope_checks",
            "before a baseline is in force, orders are checked against the scope alone",
        ),
        "baseline_daily_fraction": Leaf(
            r.fraction, "1", "share of the daily cap before a baseline is in force"
        ),
        "risk_lag_entries_max": Leaf(
            r.integer(0, 10**6), "1000", "a watch that lags further behind refuses"
        ),
    }
)

POLICY = Group(
    {
        "schema": Leaf(r.choice(SCHEMA), SCHEMA, "the only version of this document"),
        "agent": Leaf(r.matching(AGENT_NAME, "algo_trader_v2")),
        "desk": Leaf(r.or_none(_NAME), "none", "no desk's limits apply to this agent"),
        "version": Leaf(r.integer(1, 10**9), "1", "the first version of this agent's policy"),
        "environment": Leaf(
            r.choice("test", "rehearsal", "production"), "test", "nothing real is traded"
        ),
        "operator": Group(
            {
                "name": Leaf(r.printable),
                "lei": Leaf(r.lei, r.NO_LEI, "twenty zeros: no LEI; production requires one"),
                "competent_authority": Leaf(r.printable, r.NOT_STATED, _UNNAMED),
                "authorisation_reference": Leaf(r.printable, r.NOT_STATED, _UNNAMED),
            }
        ),
        "valid_from": Leaf(r.instant),
        "valid_until": Leaf(r.instant),
        "scope": SCOPE,
        "risk_controls": RISK_CONTROLS,
        "behaviour": BEHAVIOUR,
        "testing": Group(
            {
                "fitness_test_due": Leaf(r.day),
                "fitness_due": Leaf(r.any_instant_of_second, frozen=True),
                "overdue": Leaf(
                    _OVERDUE, "block_issuing", "an overdue test ends renewals, not trading"
                ),
                "scenario_testing": Leaf(_FREQUENCY, "quarterly", "stress tests each quarter"),
                "penetration_testing": Leaf(_FREQUENCY, "annual", "once a year"),
            }
        ),
        "governance": Group(
            {
                "documented_by": Leaf(_NAME, r.NOT_STATED, _UNNAMED),
                "approved_by": Leaf(
                    r.a_set(_NAME, least=0), [], "no seat is named; any approver of the roster"
                ),
                "last_review": Leaf(r.or_none(r.day), "none", "no review has taken place"),
                "next_review": Leaf(r.day),
                "review_due": Leaf(r.any_instant_of_second, frozen=True),
                "review_overdue": Leaf(_OVERDUE, "refuse", "an overdue review stops new orders"),
                "approvals_required": Leaf(r.integer(1, 16), "2", "no one acts alone"),
                "renewal_overlap_s": Leaf(
                    r.integer(0, 7 * DAY_S), "0", "one active certificate at a time"
                ),
            }
        ),
    }
)


def timed_defaults(tree: dict[str, Any], registered_at_ns: int) -> list[AppliedDefault]:
    """Write into ``tree`` the defaults that follow from the time of registration.

    Validity that is there but cannot be read is left for the walk to report; what would follow from
    it then follows from the time of registration, which no longer matters.
    """
    applied: list[AppliedDefault] = []

    def put(group: dict[str, Any], prefix: str, name: str, value: str, why: str) -> None:
        if name not in group:
            group[name] = value
            applied.append(AppliedDefault(prefix + name, value, why))

    registered = registered_at_ns // NS * NS
    put(tree, "", "valid_from", format_instant(registered), "the time of registration")
    start = _start(tree["valid_from"], registered)
    if start >= INSTANT_MAX:
        return applied
    until = format_instant(start + VALIDITY_DAYS * DAY_S * NS)
    put(tree, "", "valid_until", until, f"{VALIDITY_DAYS} days after valid_from")
    first_day = start // NS // DAY_S
    for prefix, name, days, why in (
        ("testing", "fitness_test_due", VALIDITY_DAYS, "days after valid_from: once a year"),
        ("governance", "next_review", REVIEW_DAYS, "days after valid_from"),
    ):
        group = tree.setdefault(prefix, {})
        if isinstance(group, dict):
            put(group, f"{prefix}.", name, day_text(first_day + days), f"{days} {why}")
    return applied


def _start(valid_from: Any, otherwise: int) -> int:
    try:
        return parse_instant(r.instant(valid_from))
    except MalformedInput:
        return otherwise
