# SPDX-License-Identifier: Apache-2.0
"""Fields of incidents, and of entries about venues and clocks (docs/spec/entries.md)."""

from __future__ import annotations

from sekisho_verify.forms import (
    AGENT,
    AMOUNT,
    DIGEST,
    HEX32,
    INSTANT,
    NAME,
    NUMBER,
    ORDER_ID,
    SCORE,
    SIGNED,
    TEXT,
    TEXTS,
    Form,
    alone_or,
    boolean,
    closed,
    count,
    each,
)

FACTORS = tuple("size frequency market hours stress counterparty latency success".split())
"""The factors of behaviour.md section 2, in its order."""
BREAKS = (
    "unpermitted_execution",
    "unpermitted_order",
    "execution_above_permit",
    "execution_after_end",
    "resting_unknown",
    "venue_contradicted",
)
"""What a break can be (checks.md section 2.4)."""
SCORED: dict[str, Form] = {
    "agent": AGENT,
    "certificate_sha256": DIGEST,
    "incident_kind": closed("breaker", "hold"),
    "score": closed("risk", "anomaly"),
    "factor": closed(*FACTORS, "anomalies"),
    "observed": SCORE,
    "threshold": AMOUNT,
}
BROKEN: dict[str, Form] = {
    "agent": alone_or("", AGENT),
    "certificate_sha256": alone_or("", DIGEST),
    "incident_kind": closed("break"),
    "score": closed("venue"),
    "factor": closed(*BREAKS),
    "observed": NAME,
    "threshold": closed(""),
}
CROSSED: dict[str, Form] = {"incident": HEX32} | SCORED
OUTSIDE: dict[str, dict[str, Form]] = {
    "venue_reconciled": {"venue": NAME, "open_orders": count, "unknown": count},
    "venue_lost": {"venue": NAME, "detail": TEXT},
    "resting_unknown": {"venue": NAME, "agent": AGENT, "client_order_id": ORDER_ID},
    "venue_contradicted": {
        "venue": NAME,
        "agent": AGENT,
        "client_order_id": ORDER_ID,
        "contradiction": closed(
            "listed_and_never_seen", "open_and_never_seen", "open_and_not_listed"
        ),
    },
    "venue_rearmed": {
        "venue": NAME,
        "incident": HEX32,
        "seats": each(NAME),
        "commands": TEXTS,
    },
    "clock_observed": {
        "wall": INSTANT,
        "monotonic": NUMBER,
        "authority_difference_ns": SIGNED,
        "step_ns": SIGNED,
        "within": boolean,
    },
}
"""Kind → fields, of what the gate's log says of venues and of its clock."""
