# SPDX-License-Identifier: Apache-2.0
"""The decision: all checks, all reasons, one pure function (docs/spec/checks.md, section 4).

Permitted is what is left when every check ran and none had a reason. There is no other way to it.
"""

from __future__ import annotations

import msgspec

from sekisho.core.amounts import format_money
from sekisho.core.encoding import sha256_hex
from sekisho.core.errors import MalformedInput
from sekisho.core.events import Counters, Decision, Scores
from sekisho.core.gate import behaviour_checks, checks, rates, shutdown_checks, venue_checks
from sekisho.core.gate.agent import AgentState
from sekisho.core.gate.checks import Asked, Check, Reasons
from sekisho.core.gate.order import AmendOrder, CancelOrder, NewOrder, Order
from sekisho.core.gate.prices import Examined, notional
from sekisho.core.gate.state import GateState
from sekisho.core.gate.working import Terms, WorkingOrder, amended, remaining, terms_of
from sekisho.core.sight import Sight, Watching
from sekisho.core.terms import Code, Reason, format_instant

OBSERVED_MAX = 200

CHECKS: tuple[Check, ...] = (
    checks.certificate,
    checks.policy_in_force,
    checks.review,
    checks.environment,
    checks.lease,
    checks.action,
    shutdown_checks.shutdown,
    checks.known_order,
    checks.duplicate,
    checks.repeated,
    checks.market,
    rates.rate_data,
    rates.market_stress,
    checks.size,
    checks.quantity,
    checks.collar,
    checks.daily_volume,
    checks.order_count,
    checks.message_rate,
    checks.position,
    checks.venue,
    checks.counterparty,
    checks.concentration,
    checks.trading_hours,
    checks.region,
    checks.throttle,
    checks.failures,
    behaviour_checks.baseline,
    behaviour_checks.freshness,
    behaviour_checks.anomaly,
    behaviour_checks.circuit_breaker,
    venue_checks.reconciled,
    venue_checks.unlatched,
    venue_checks.clock,
    venue_checks.history,
)
"""Every check of an order that can add risk, in the order in which reasons are given."""

CANCEL_CHECKS: tuple[Check, ...] = (checks.known_order, checks.duplicate)
"""A cancel only takes risk away: it passes while stopped."""


def _next_message(asked: Asked) -> Reasons:
    """Row 18 for the order that is asked about: the question before it is a message too."""
    limit = asked.limits.scope.message_rate
    if limit == "none":
        return
    count = asked.agent.messages_within(asked.now) + 2
    if count > limit.count_max:
        yield Reason(Code.MESSAGE_RATE_EXCEEDED, str(limit.count_max), str(count), "messages")


ADVICE_CHECKS: tuple[Check, ...] = (
    checks.action,
    shutdown_checks.shutdown,
    checks.known_order,
    checks.duplicate,
    checks.repeated,
    checks.market,
    rates.rate_data,
    rates.market_stress,
    checks.size,
    checks.quantity,
    checks.collar,
    checks.daily_volume,
    checks.order_count,
    _next_message,
    checks.position,
    checks.venue,
    checks.counterparty,
    checks.concentration,
    checks.trading_hours,
    checks.region,
)
"""What an agent may be told beforehand: the scope, never its status or scores."""


class Clocks(msgspec.Struct, frozen=True):
    """The clock readings of one decision: log time and boot-time clock, both ns."""

    now: int
    monotonic: int


def refuse_malformed(
    state: GateState, clocks: Clocks, agent: str, body: bytes, error: MalformedInput
) -> Decision:
    """The decision about a body that is no order."""
    held = state.agents.get(agent)
    return _entry(state, clocks, agent, body, None, (_malformed(error),), held, None)


def decide(
    state: GateState,
    clocks: Clocks,
    agent: str,
    body: bytes,
    order: Order,
    watching: Watching | None = None,
) -> Decision:
    """Decide about one well-formed order.

    Args:
        state: the fold of every earlier entry. The agent's policy day is rolled to now.
        clocks: readings that the entry records.
        agent: whom the gate authenticated.
        body: the bytes as received, for their digest.
        order: the same, parsed.
        watching: who scores it. Without a watch an agent with a baseline in force is refused.

    Returns:
        The entry to record. Nothing has taken effect yet.
    """
    held = state.agents.get(agent)
    if held is None:
        reason = Reason(Code.AGENT_NOT_ACTIVE, "", "", "")
        return _entry(state, clocks, agent, body, order, (reason,), None, None)
    held.roll(clocks.now)
    asked = _asked(state, held, clocks, order, watching)
    chosen = CANCEL_CHECKS if isinstance(order, CancelOrder) else CHECKS
    reasons: list[Reason] = []
    for check in chosen:
        for reason in check(asked):
            if reason not in reasons:
                reasons.append(reason)
    return _entry(state, clocks, agent, body, order, tuple(reasons), held, asked)


def no_room(state: GateState, clocks: Clocks, agent: str) -> tuple[Reason, ...]:
    """Why a question for advice is not evaluated: it is a message, and the rate is used up."""
    held = state.agents.get(agent)
    if held is None:
        return ()
    limit = held.limits.scope.message_rate
    if limit == "none":
        return ()
    count = held.messages_within(clocks.now) + 1
    if count <= limit.count_max:
        return ()
    return (Reason(Code.MESSAGE_RATE_EXCEEDED, str(limit.count_max), str(count), "messages"),)


def advise(
    state: GateState, clocks: Clocks, agent: str, order: Order | MalformedInput
) -> tuple[Reason, ...]:
    """Why the scope would refuse an order at this moment; nothing is scored or decided.

    Args:
        state: the fold of every earlier entry. The agent's policy day is rolled to now.
        clocks: readings that the entry records.
        agent: whom the gate authenticated.
        order: what it asks about, or why that is no order.
    """
    held = state.agents.get(agent)
    if held is None:
        return (Reason(Code.AGENT_NOT_ACTIVE, "", "", ""),)
    if isinstance(order, MalformedInput):
        return (_malformed(order),)
    held.roll(clocks.now)
    asked = _asked(state, held, clocks, order, None)
    chosen = CANCEL_CHECKS if isinstance(order, CancelOrder) else ADVICE_CHECKS
    return tuple(dict.fromkeys(reason for check in chosen for reason in check(asked)))


def _malformed(error: MalformedInput) -> Reason:
    return Reason(Code.MALFORMED_ORDER, "", str(error)[:OBSERVED_MAX], "")


def _target(agent: AgentState, order: Order) -> WorkingOrder | None:
    if isinstance(order, NewOrder):
        return None
    return agent.working.get(order.orig_client_order_id)


def _becomes(order: Order, target: WorkingOrder | None) -> Terms | None:
    """The order as it would become; None where there is nothing to value."""
    if isinstance(order, NewOrder):
        return terms_of(order)
    if isinstance(order, AmendOrder) and target is not None and target.pending is None:
        terms = amended(target.terms, order)
        return terms if terms.quantity > target.filled else None
    return None


def _asked(
    state: GateState,
    agent: AgentState,
    clocks: Clocks,
    order: Order,
    watching: Watching | None,
) -> Asked:
    target = _target(agent, order)
    terms = _becomes(order, target)
    limits = agent.limits
    value = reserves = quote = None
    found: list[list[Examined]] = []
    if terms is not None:
        found = rates.examined(state, limits, terms, clocks.now)
        quote = found[0][0].latest
        conversion = found[1][0].latest if len(found) > 1 else None  # a leg needs none
        value = notional(terms.valued(), limits.scope.currency, limits.buffer, quote, conversion)
        if value is not None:
            filled = 0 if target is None else target.filled
            reserves = remaining(value, terms.quantity, filled)
    scores = None
    if terms is not None:
        sight = _sight(state, agent, clocks.now, order, terms, value)
        scores = _unscored(sight) if watching is None else watching(sight)
    return Asked(
        state, agent, limits, clocks.now, clocks.monotonic, order, target, terms, value, reserves,
        quote, found, scores,
    )  # fmt: skip


def _sight(
    state: GateState,
    agent: AgentState,
    now: int,
    order: Order,
    terms: Terms,
    value: int | None,
) -> Sight:
    named = terms.order.counterparty
    return Sight(
        agent=agent.agent,
        now=now,
        action="new" if isinstance(order, NewOrder) else "amend",
        pair=terms.pair,
        notional=value,
        counterparty=named if isinstance(named, str) else "",
        stressed=rates.stressed(state, agent.limits, terms.pair),
    )


def _unscored(sight: Sight) -> Scores:
    """What is recorded where there is no watch: what the gate saw, and no score."""
    return Scores(
        stressed=sight.stressed, baseline_sha256="", anomaly="", factors={}, risk="", scored=0
    )


def _after(asked: Asked, before: Counters) -> Counters:
    """The counters once a permitted decision takes effect; the fold must come to the same."""
    agent, order = asked.agent, asked.order
    rate = asked.limits.scope.message_rate
    messages = before.messages + (0 if rate == "none" else 1)
    more = checks.added(asked) or 0
    reserved = agent.reserved
    if asked.reserves is not None:
        own = 0 if asked.target is None else asked.target.reserved
        reserved += max(own, asked.reserves) - own
    return Counters(
        day=before.day,
        gross_permitted=format_money(agent.gross + more),
        open_reserved=format_money(reserved),
        orders=before.orders + (1 if isinstance(order, NewOrder) else 0),
        messages=messages,
    )


def _entry(
    state: GateState,
    clocks: Clocks,
    agent: str,
    body: bytes,
    order: Order | None,
    reasons: tuple[Reason, ...],
    held: AgentState | None,
    asked: Asked | None,
) -> Decision:
    before = after = None
    value = ""
    if asked is not None:
        before = after = asked.agent.counters(clocks.now)
        if not reasons:
            after = _after(asked, before)
        if asked.notional is not None:
            value = format_money(asked.notional)
    return Decision(
        at=format_instant(clocks.now),
        agent=agent,
        order=msgspec.to_builtins(order),
        body_sha256=sha256_hex(body),
        body_bytes=len(body),
        state=state.size,
        monotonic=str(clocks.monotonic),
        verdict="refused" if reasons else "permitted",
        reasons=reasons,
        notional=value,
        before=before,
        after=after,
        scores=None if asked is None else asked.scores,
        rates={} if asked is None else rates.used(asked),
        certificate_sha256="" if held is None else held.certificate_sha256,
        policy_sha256="" if held is None else held.policy_sha256,
        epoch=0 if held is None else held.epoch,
    )
