# SPDX-License-Identifier: Apache-2.0
"""Orders that only take a position back, and what a shutdown order says of the others.

Implements docs/spec/checks.md section 4.7.
"""

from __future__ import annotations

from collections.abc import Iterator

from sekisho_verify import narrowing
from sekisho_verify.canonical import money
from sekisho_verify.case import Case

_IN_DOUBT = frozenset({"possibly_issued", "unknown"})


def exposure(case: Case) -> int | None:
    """Direction × p + o + a of section 4.4; None where it cannot be computed."""
    if case.notional is None:
        return None
    agent, side = case.agent, (case.pair, case.direction)
    others, added = agent.reserved_by_side.get(side, 0), case.reservation
    if case.order.action == "amend" and case.target is not None:
        others, added = others - case.target.reserved, max(added, case.target.reserved)
    return case.direction * agent.positions.get(case.pair, 0) + others + added


def _reconciled(case: Case) -> bool:
    doubted = (
        one.phase in _IN_DOUBT for one in case.agent.working.values() if one.pair == case.pair
    )
    return case.agent.unbooked == 0 and not any(doubted)


def reduces(case: Case) -> bool:
    """Whether the order only takes back a position that is reconciled."""
    total = exposure(case)
    return total is not None and total <= 0 and _reconciled(case)


def passes_breaker(case: Case) -> bool:
    """Whether the latched breaker lets the order by."""
    return narrowing.left(case.agent) == "reduce_only" and reduces(case)


def refused(case: Case) -> Iterator[tuple[str, str, str]]:
    """Limit, observed and unit where a shutdown order forbids a new order or an amendment."""
    mode, total = case.agent.shutdown, exposure(case)
    if mode == "cancel_only":
        yield mode, case.order.action, ""
    elif mode and not reduces(case):
        if total is None:
            yield mode, "", ""
        elif not _reconciled(case):
            yield mode, "not reconciled", ""
        else:
            yield mode, money(total), case.agent.scope.currency
