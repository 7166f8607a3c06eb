# SPDX-License-Identifier: Apache-2.0
"""What execution reports do to an agent's state (docs/spec/checks.md, sections 2.2 and 2.3).

Reserved amounts go down only here, on the venue's word, or where nothing ever left the gate.
"""

from __future__ import annotations

from sekisho.core.amounts import parse_amount
from sekisho.core.events import Execution, OutcomeUnresolved
from sekisho.core.gate.agent import AgentState
from sekisho.core.gate.prices import fill_value
from sekisho.core.gate.working import Pending, WorkingOrder, remaining
from sekisho.core.terms import NS


def apply_report(agent: AgentState, at: int, report: Execution) -> None:
    """Take one execution report into the state; one that came before has no effect."""
    if (report.venue, report.exec_id) in agent.executed:
        return
    agent.executed.add((report.venue, report.exec_id))
    order = agent.find(report.client_order_id)
    if order is None:
        agent.orphans += 1
        return
    pending = order.pending
    if pending is not None and pending.terms.order.client_order_id != report.client_order_id:
        pending = None
    match report.exec_type:
        case "new":
            agent.failures = 0
            order.phase = "open"
        case "trade":
            _trade(agent, at, order, report)
        case "replaced":
            _replace(agent, order)
        case "rejected":
            _fail(agent)
            _end(agent, order, pending)
        case "not_found":
            _end(agent, order, pending)
        case _:  # canceled, expired: reading the entry lets no other word by
            agent.close(order)


def apply_unresolved(agent: AgentState, entry: OutcomeUnresolved) -> None:
    """An answer of the venue did not come: nothing is released, and it counts as a failure."""
    if entry.operation == "cancel":
        return
    order = agent.find(entry.client_order_id)
    if order is not None and entry.operation == "submit":
        order.phase = "unknown"
    _fail(agent)


def _end(agent: AgentState, order: WorkingOrder, pending: Pending | None) -> None:
    """End the pending amendment, if that is what the report names, else the order."""
    if pending is None:
        agent.close(order)
    else:
        agent.drop_pending(order, pending)


def _fail(agent: AgentState) -> None:
    agent.failures += 1
    limit = agent.limits.scope.consecutive_failures_max
    if limit != "none" and agent.failures >= limit:
        agent.latches.add("consecutive_failures")


def _trade(agent: AgentState, at: int, order: WorkingOrder, report: Execution) -> None:
    agent.failures = 0
    order.phase = "open"
    quantity = parse_amount(report.last_quantity)
    price = parse_amount(report.last_price)
    terms = order.terms
    value = fill_value(terms.valued(), agent.limits.scope.currency, order.total, quantity, price)
    agent.positions[terms.pair] = agent.positions.get(terms.pair, 0) + terms.direction * value
    order.filled += quantity
    _settle(agent, order)
    _throttle(agent, at)


def _settle(agent: AgentState, order: WorkingOrder) -> None:
    """Reserve for what is left; an order with nothing left and nothing pending is closed."""
    reserves = remaining(order.total, order.terms.quantity, order.filled)
    if order.pending is not None:
        pending = order.pending
        reserves = max(reserves, remaining(pending.total, pending.terms.quantity, order.filled))
    agent.reserve(order, reserves)
    if order.leaves() == 0 and order.pending is None:
        agent.close(order)


def _throttle(agent: AgentState, at: int) -> None:
    limit = agent.limits.scope.repeated_executions
    if limit == "none":
        return
    agent.executions.append(at)
    while agent.executions[0] <= at - limit.window_s * NS:
        agent.executions.popleft()
    if len(agent.executions) >= limit.count_max:
        agent.latches.add("repeated_executions")


def _replace(agent: AgentState, order: WorkingOrder) -> None:
    agent.failures = 0
    order.phase = "open"
    if order.pending is not None:
        agent.replace(order, order.pending)
        _settle(agent, order)
