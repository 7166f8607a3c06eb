# SPDX-License-Identifier: Apache-2.0
"""One real refusal for each code, made by the gate: the examples of docs/reference/reasons.

Each function makes a world in which an order is refused for that code, and returns its reasons.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from typing import Any

from sekisho.core.errors import OutcomeUnknown
from sekisho.core.events import BaselineAdopted, IncidentOpened, Scores
from sekisho.core.sight import Sight
from sekisho.core.terms import Code, Reason
from tests.fold_world import DEADLINE, FoldWorld
from tests.gate_world import CERTIFICATE, POLICY, GateWorld, order, scope_of

LATER = "2026-06-01T00:00:00.000000000Z"
BEFORE = "2026-05-01T00:00:00.000000000Z"
BASELINE = "b" * 64
Made = tuple[Reason, ...]


def policy_of(part: str = "", **changes: Any) -> dict[str, Any]:
    """The tests' policy with these fields of one part, or of its top, changed."""
    policy = copy.deepcopy(POLICY)
    (policy[part] if part else policy).update(changes)
    return policy


def asked(policy: dict[str, Any] | None = None, /, **changes: Any) -> Made:
    """One order in a world of this policy; ``start_…`` changes the world."""
    start = {name: changes.pop(name) for name in list(changes) if name.startswith("start_")}
    world = FoldWorld(policy, **{name[6:]: value for name, value in start.items()})
    return world.ask(**changes).reasons


def in_scope(**scope: Any) -> Made:
    """The usual order under a scope with these fields changed."""
    return asked(scope_of(**scope))


def malformed() -> Made:
    return FoldWorld().decide(order().replace(b'"20000"', b"20000")).reasons


def stranger() -> Made:
    return FoldWorld().decide(order(), agent="stranger").reasons


def stopped(status: str) -> Made:
    world = FoldWorld()
    world.status(status)
    return world.ask().reasons


def lapsed() -> Made:
    world = FoldWorld()
    world.monotonic = DEADLINE
    return world.ask().reasons


def unknown() -> Made:
    return FoldWorld().cancel("cancel-1", "order-7").reasons


def duplicate() -> Made:
    world = FoldWorld()
    world.permit()
    return world.ask(quantity="10000").reasons


def repeated() -> Made:
    world = FoldWorld(scope_of(repeated_orders={"count_max": 1, "window_s": 60}))
    world.permit()
    return world.ask(client_order_id="order-2").reasons


def too_many(**scope: Any) -> Made:
    world = FoldWorld(scope_of(**scope))
    world.permit()
    return world.ask(client_order_id="order-2").reasons


def stale() -> Made:
    world = FoldWorld()
    world.later(61)
    return world.ask().reasons


def quoted(
    bid: str, ask: str, policy: dict[str, Any] | None = None, source: str = "STATIC"
) -> Made:
    """The usual order after one more quotation, a second later."""
    world = FoldWorld(policy)
    world.later(1)
    world.rate("EUR/USD", bid, ask, source=source)
    return world.ask().reasons


def latched_by_trades() -> Made:
    world = FoldWorld(scope_of(repeated_executions={"count_max": 1, "window_s": 60}))
    world.permit()
    world.report("trade", "order-1", "20000")
    return world.ask(client_order_id="order-2").reasons


def latched_by_failures() -> Made:
    world = FoldWorld(scope_of(consecutive_failures_max=1))
    world.permit()
    world.report("rejected", "order-1")
    return world.ask(client_order_id="order-2").reasons


def scored(policy: dict[str, Any] | None = None, *, latched: bool = False, **said: Any) -> Made:
    """An order of an agent that is live, of which the watch says this."""
    world = FoldWorld(policy)
    world.add(
        BaselineAdopted, agent="bot", baseline={}, baseline_sha256=BASELINE, authority_index=9
    )
    if latched:
        world.add(
            IncidentOpened, incident="0" * 32, agent="bot", certificate_sha256=CERTIFICATE,
            incident_kind="breaker", score="risk", factor="size", observed="0.781250",
            threshold="0.75", trigger=world.state.size - 1,
        )  # fmt: skip
    fields: dict[str, Any] = {
        "anomaly": "0.120000",
        "risk": "0.300000",
        "scored": world.state.size,
    } | said

    def watching(sight: Sight) -> Scores:
        return Scores(
            stressed=sight.stressed, baseline_sha256=BASELINE, factors={"size": "0.120000"},
            **fields,
        )  # fmt: skip

    world.watching = watching
    return world.ask().reasons


def no_disk() -> Made:
    """The gate's log cannot be synced."""

    async def story() -> Made:
        world = await GateWorld.start()

        async def broken(path: str) -> None:
            raise OutcomeUnknown(f"{path}: perhaps not durable: Input/output error")

        world.disk.sync = broken  # type: ignore[method-assign]  # a disk that fails
        return (await world.ask()).reasons

    return asyncio.run(story())


EXAMPLES: dict[Code, Callable[[], Made]] = {
    Code.MALFORMED_ORDER: malformed,
    Code.AGENT_NOT_ACTIVE: stranger,
    Code.CERTIFICATE_NOT_YET_VALID: lambda: asked(start_not_before=LATER),
    Code.CERTIFICATE_EXPIRED: lambda: asked(start_not_after=BEFORE),
    Code.CERTIFICATE_HELD: lambda: stopped("hold"),
    Code.CERTIFICATE_REVOKED: lambda: stopped("revoked"),
    Code.POLICY_NOT_IN_FORCE: lambda: asked(policy_of(valid_until=BEFORE)),
    Code.REVIEW_OVERDUE: lambda: asked(policy_of("governance", review_due=BEFORE)),
    Code.ENVIRONMENT_MISMATCH: lambda: asked(start_environment="production"),
    Code.LEASE_EXPIRED: lapsed,
    Code.ACTION_NOT_PERMITTED: lambda: in_scope(actions=["amend", "cancel"]),
    Code.UNKNOWN_ORDER: unknown,
    Code.DUPLICATE_ORDER_ID: duplicate,
    Code.REPEATED_ORDER: repeated,
    Code.MARKET_NOT_ALLOWED: lambda: in_scope(markets=["EUR/GBP", "EUR/JPY"]),
    Code.RATE_MISSING: lambda: asked(start_quoted=False),
    Code.RATE_STALE: stale,
    Code.RATE_CROSSED: lambda: quoted("1.0852", "1.0851"),
    Code.RATE_OUTLIER: lambda: quoted("1.1499", "1.1501"),
    Code.RATE_SOURCES_DISAGREE: lambda: quoted(
        "1.0949", "1.0951", scope_of(reference_rates__sources=["STATIC", "SECOND"]), "SECOND"
    ),
    Code.MARKET_STRESSED: lambda: in_scope(
        market_stress={"action": "refuse", "spread_max": "0.0001", "move_max": "1", "window_s": 60}
    ),
    Code.EXCEEDS_SCOPE_SIZE: lambda: asked(quantity="180000"),
    Code.EXCEEDS_QUANTITY: lambda: in_scope(
        order_quantity_max=[{"market": "EUR/USD", "currency": "EUR", "max": "15000"}]
    ),
    Code.PRICE_OUTSIDE_COLLAR: lambda: asked(
        scope_of(price_collar={"deviation_max": "0.01", "range_max": "1", "window_s": 60}),
        price="1.1",
    ),
    Code.DAILY_VOLUME_CAP_EXCEEDED: lambda: too_many(daily_notional_max="30000"),
    Code.ORDER_COUNT_EXCEEDED: lambda: too_many(daily_order_count_max=1),
    Code.MESSAGE_RATE_EXCEEDED: lambda: too_many(message_rate={"count_max": 1, "window_s": 10}),
    Code.POSITION_LIMIT_EXCEEDED: lambda: too_many(position_notional_max="30000"),
    Code.VENUE_NOT_ALLOWED: lambda: in_scope(venues=["VENUE-A", "VENUE-B"]),
    Code.COUNTERPARTY_NOT_ALLOWED: lambda: in_scope(counterparties=["BANK-A", "BANK-B"]),
    Code.CONCENTRATION_EXCEEDED: lambda: in_scope(
        concentration={"share_max": "0.5", "window_s": 3600, "notional_min": "10000"}
    ),
    Code.OUTSIDE_TRADING_HOURS: lambda: asked(start_at="2026-05-16T09:00:00.000000000Z"),
    Code.REGION_NOT_ALLOWED: lambda: asked(start_region="us-east-1"),
    Code.EXECUTION_THROTTLE_LATCHED: latched_by_trades,
    Code.CONSECUTIVE_FAILURES_LATCHED: latched_by_failures,
    Code.BASELINE_MISSING: lambda: asked(policy_of("behaviour", without_baseline="refuse")),
    Code.RISK_SCORE_STALE: lambda: scored(policy_of("behaviour", risk_lag_entries_max=2), scored=0),
    Code.ANOMALOUS_ORDER: lambda: scored(anomaly="0.810000"),
    Code.CIRCUIT_BREAKER_ACTIVE: lambda: scored(latched=True, risk="0.781250"),
    Code.CONTROL_UNAVAILABLE: no_disk,
}


def example(code: Code) -> Reason:
    """The reason of this code; nothing else is wrong in its example."""
    (reason,) = EXAMPLES[code]()
    return reason
