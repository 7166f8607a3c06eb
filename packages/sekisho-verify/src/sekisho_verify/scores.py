# SPDX-License-Identifier: Apache-2.0
"""The scores of one decision computed again (docs/spec/behaviour.md sections 4 and 6).

What an order would add to the habits of its agent, and how rare each of it is by the baseline.
"""

from __future__ import annotations

from sekisho_verify import checks
from sekisho_verify.baseline import Observation
from sekisho_verify.behaviour import Scores, largest
from sekisho_verify.canonical import CENT, DAY, SECOND
from sekisho_verify.case import Case, amendable

_HOUR = 3600 * SECOND


def scored(case: Case) -> bool:
    """Whether the decision records scores: new orders, and amendments for which check 7 holds."""
    return case.order.action == "new" or (case.order.action == "amend" and amendable(case))


def observed(case: Case, stressed: str) -> list[Observation]:
    """What a new order shows by itself, in the order of section 2.

    Args:
        case: of a new order.
        stressed: `yes`, `no` or `unknown`.
    """
    found: list[Observation] = []
    if case.notional is not None:
        found.append(("size", case.notional // CENT))
    found.append(("market", case.pair))
    day, of_day = divmod(case.agent.scope.local(case.now), DAY)
    weekend = 24 if (day + 3) % 7 >= 5 else 0
    found.append(("hours", f"{of_day // _HOUR + weekend:02}"))
    if stressed != "unknown":
        found.append(("stress", stressed))
    return found


def computed(case: Case, read_of_log: int) -> Scores:
    """The scores that the decision has to record.

    Args:
        case: whose `scored` holds.
        read_of_log: `scores.scored` of the entry: how much of the log the risk takes in.
    """
    stressed, behaviour = checks.stressed(case), case.agent.behaviour
    if behaviour.baseline is None:
        return Scores(stressed, "", None, {}, None, read_of_log)
    if case.order.action == "new":
        shown = observed(case, stressed)
        place = 0 if case.notional is None else 1
        shown.insert(place, ("frequency", behaviour.recent_orders(case.now) + 1))
        if case.order.counterparty:
            shown.append(("counterparty", case.order.counterparty))
    else:
        shown = [] if case.notional is None else [("size", case.notional // CENT)]
    factors = behaviour.anomaly(shown)
    risk = behaviour.risk(read_of_log, case.agent.day)
    return Scores(
        stressed,
        behaviour.baseline.sha256,
        largest(factors)[1],
        factors,
        largest(risk)[1] if risk else None,
        read_of_log,
    )
