# SPDX-License-Identifier: Apache-2.0
"""What execution reports do to an agent's state (docs/spec/checks.md, sections 2.2 and 2.3).

Reserved amounts go down only here, on the venue's word, or where nothing ever left the gate. A
report of what no permit of this gate covers is booked as far as it can be, and named: a *break*.
"""

from __future__ import annotations

from typing import Literal

from sekisho.core.amounts import parse_amount
from sekisho.core.events import Execution, OutcomeUnresolved
from sekisho.core.gate.agent import AgentState
from sekisho.core.gate.ended import NEVER
from sekisho.core.gate.prices import fill_value
from sekisho.core.gate.quantities import book
from sekisho.core.gate.working import Pending, Terms, WorkingOrder, remaining
from sekisho.core.terms import NS, parse_instant

Factor = Literal[
    "",
    "unpermitted_execution",
    "unpermitted_order",
    "execution_above_permit",
    "execution_after_end",
]
"""What a report shows that no permit covers; empty: nothing."""


def of_stranger(report: Execution) -> Factor:
    """What a report shows that is about no order of this gate."""
    if report.exec_type == "trade":
        return "unpermitted_execution"
    return "unpermitted_order" if report.exec_type in ("new", "replaced") else ""


def apply_report(agent: AgentState, at: int, report: Execution) -> Factor:
    """Take one execution report into the state; one that came before has no effect.

    Returns:
        What it shows that no permit covers; empty where a permit covers it.
    """
    if (report.venue, report.exec_id) in agent.executed:
        return ""
    agent.executed.add((report.venue, report.exec_id))
    order = agent.find(report.client_order_id)
    if order is None:
        return _apply_late(agent, at, report)
    if order.terms.venue != report.venue:
        return _apply_orphan(agent, report)  # an order is at the venue of its permit alone
    above = _above(order, report)
    _apply(agent, at, order, report)
    return "execution_above_permit" if above else ""


def _apply_late(agent: AgentState, at: int, report: Execution) -> Factor:
    """A report that finds no working order: of one that has ended, or of none."""
    ended = agent.ended.find(report.client_order_id)
    if ended is None and _beyond_memory(agent, report):
        agent.orphans += 1
        return ""
    if ended is None or ended.terms.venue != report.venue:
        return _apply_orphan(agent, report)
    if report.exec_type not in ("new", "replaced", "trade"):
        return ""
    if report.exec_type == "trade":
        quantity = parse_amount(report.last_quantity)
        _book(agent, ended.terms, ended.total, quantity, report)
        _throttle(agent, at)
        agent.ended.fill(ended, quantity)
        if ended.filled > ended.quantity:
            return "execution_above_permit"
        if parse_instant(report.transact_at) > ended.ended_at:
            return "execution_after_end"
        return ""
    return "execution_after_end" if ended.ended_at == NEVER else ""


def _beyond_memory(agent: AgentState, report: Execution) -> bool:
    """Whether it says that an order of an id used here began to rest so long ago that what ended
    then is forgotten. A gate that was away for days reads such reports; what still rests, the list
    of open orders shows.
    """
    if report.exec_type not in ("new", "replaced") or report.client_order_id not in agent.known:
        return False
    return agent.limits.day(parse_instant(report.transact_at)) < agent.day - 1


def _apply_orphan(agent: AgentState, report: Execution) -> Factor:
    """A report about no order of this agent at this venue."""
    agent.orphans += 1
    agent.unbooked += report.exec_type == "trade"
    return of_stranger(report)


def _above(order: WorkingOrder, report: Execution) -> bool:
    """Whether a trade brings more than was permitted, with what a pending amendment allows."""
    if report.exec_type != "trade":
        return False
    most = order.terms.quantity
    if order.pending is not None:
        most = max(most, order.pending.terms.quantity)
    return order.filled + parse_amount(report.last_quantity) > most


def _apply(agent: AgentState, at: int, order: WorkingOrder, report: Execution) -> None:
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
            _replace(agent, order, report)
        case "rejected":
            _fail(agent)
            _end(agent, order, pending, report)
        case "not_found":
            _end(agent, order, pending, report)
        case _:  # canceled, expired: reading the entry lets no other word by
            agent.end(order, parse_instant(report.transact_at))


def apply_unresolved(agent: AgentState, entry: OutcomeUnresolved) -> None:
    """An answer of the venue did not come: nothing is released, and it counts as a failure."""
    if entry.operation == "cancel":
        return
    order = agent.find(entry.client_order_id)
    if order is not None and entry.operation == "submit":
        order.phase = "unknown"
    _fail(agent)


def _end(
    agent: AgentState, order: WorkingOrder, pending: Pending | None, report: Execution
) -> None:
    """End the pending amendment, if that is what the report names, else the order."""
    if pending is None:
        agent.end(order, NEVER)
    else:
        agent.drop_pending(order, pending, parse_instant(report.transact_at))


def _fail(agent: AgentState) -> None:
    agent.failures += 1
    limit = agent.limits.scope.consecutive_failures_max
    if limit != "none" and agent.failures >= limit:
        agent.latches.add("consecutive_failures")


def _trade(agent: AgentState, at: int, order: WorkingOrder, report: Execution) -> None:
    agent.failures = 0
    order.phase = "open"
    quantity = parse_amount(report.last_quantity)
    _book(agent, order.terms, order.total, quantity, report)
    order.filled += quantity
    _settle(agent, order, report)
    _throttle(agent, at)


def _book(agent: AgentState, terms: Terms, total: int, quantity: int, report: Execution) -> None:
    """Move the position of the pair by what was executed."""
    price = parse_amount(report.last_price)
    value = fill_value(terms.valued(), agent.limits.scope.currency, total, quantity, price)
    agent.positions[terms.pair] = agent.positions.get(terms.pair, 0) + terms.direction * value
    # How much of the other currency moved is not known without a price: nothing reduces then.
    agent.unbooked += not book(agent.quantities, terms, quantity, price)


def _settle(agent: AgentState, order: WorkingOrder, report: Execution) -> None:
    """Reserve for what is left; an order with nothing left and nothing pending is closed."""
    reserves = remaining(order.total, order.terms.quantity, order.filled)
    if order.pending is not None:
        pending = order.pending
        reserves = max(reserves, remaining(pending.total, pending.terms.quantity, order.filled))
    agent.reserve(order, reserves)
    if order.leaves() == 0 and order.pending is None:
        agent.end(order, parse_instant(report.transact_at))


def _throttle(agent: AgentState, at: int) -> None:
    limit = agent.limits.scope.repeated_executions
    if limit == "none":
        return
    agent.executions.append(at)
    while agent.executions[0] <= at - limit.window_s * NS:
        agent.executions.popleft()
    if len(agent.executions) >= limit.count_max:
        agent.latches.add("repeated_executions")


def _replace(agent: AgentState, order: WorkingOrder, report: Execution) -> None:
    agent.failures = 0
    order.phase = "open"
    if order.pending is not None:
        agent.replace(order, order.pending)
        _settle(agent, order, report)
