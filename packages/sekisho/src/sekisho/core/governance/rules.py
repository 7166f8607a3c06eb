# SPDX-License-Identifier: Apache-2.0
"""What joins the fields of a policy (docs/spec/policy.md, 1, 2 and 4): rules, and what they freeze.

A rule looks at values that are canonical one by one; where one of its fields had a fault of its own
it says nothing. The same rules run at registration and whenever canonical bytes are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from sekisho.core.amounts import parse_amount
from sekisho.core.governance.readers import NO_LEI, NOT_STATED
from sekisho.core.terms import DAY_S, NS, format_instant, parse_day, parse_instant

VALIDITY_MAX_S = 731 * DAY_S
REVIEW_DAYS_MAX = 731
PRODUCTION_LIMITS = (
    "scope.order_notional_max",
    "scope.order_quantity_max",
    "scope.price_collar",
    "scope.message_rate",
    "scope.position_notional_max",
    "scope.venues",
)
PRODUCTION_APPROVALS_MIN = 2
_PRODUCTION_STATED = {
    "operator.lei": NO_LEI,
    "operator.competent_authority": NOT_STATED,
    "operator.authorisation_reference": NOT_STATED,
    "governance.documented_by": NOT_STATED,
}

Values = dict[str, Any]
Fault = tuple[str, str]


def at(values: Values, path: str) -> Any:
    """The value at a path; None where a fault or the word ``none`` of a parent left nothing."""
    found: Any = values
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def broken_rules(values: Values) -> Iterator[Fault]:
    """Every rule that does not hold, as (path, message)."""
    for rule in RULES:
        yield from rule(values)


def quantity_rows(values: Values) -> Iterator[Fault]:
    """A quantity limit is for a market of this policy, in one of its two currencies."""
    rows, markets = at(values, "scope.order_quantity_max"), at(values, "scope.markets")
    if not isinstance(rows, list) or markets is None:
        return
    for index, row in enumerate(rows):
        path = f"scope.order_quantity_max[{index}]"
        if row["market"] not in markets:
            yield f"{path}.market", f"{row['market']} is not one of scope.markets"
        if row["currency"] not in row["market"].split("/"):
            yield f"{path}.currency", f"{row['currency']} is not a currency of {row['market']}"


def hours(values: Values) -> Iterator[Fault]:
    """Trading hours begin before they end; hours over midnight are not one interval."""
    start, end = at(values, "scope.trading_hours.start"), at(values, "scope.trading_hours.end")
    if start is not None and end is not None and start >= end:
        yield "scope.trading_hours.end", f"{end} is not after the start, {start}"


def thresholds(values: Values) -> Iterator[Fault]:
    """The breaker acts no later than the hold."""
    breaker = at(values, "risk_controls.breaker_threshold")
    hold = at(values, "risk_controls.hold_threshold")
    if breaker is not None and hold is not None and parse_amount(breaker) > parse_amount(hold):
        yield "risk_controls.breaker_threshold", f"{breaker} is above hold_threshold, {hold}"


def lifetimes(values: Values) -> Iterator[Fault]:
    """A permit does not outlive a lease."""
    permit = at(values, "risk_controls.permit_lifetime_s")
    lease = at(values, "risk_controls.lease_s")
    if permit is not None and lease is not None and permit > lease:
        yield "risk_controls.permit_lifetime_s", f"{permit} is above lease_s, {lease}"


def validity(values: Values) -> Iterator[Fault]:
    """A policy begins before it ends, and lasts two years at most."""
    start, end = at(values, "valid_from"), at(values, "valid_until")
    if start is None or end is None:
        return
    seconds = (parse_instant(end) - parse_instant(start)) // NS
    if seconds <= 0:
        yield "valid_until", f"{end} is not after valid_from, {start}"
    elif seconds > VALIDITY_MAX_S:
        yield "valid_until", f"{end} is more than two years (731 days) after valid_from, {start}"


def reviews(values: Values) -> Iterator[Fault]:
    """The next review follows the last one, and comes within two years."""
    last, following = at(values, "governance.last_review"), at(values, "governance.next_review")
    if following is None:
        return
    if last not in (None, "none") and parse_day(last) > parse_day(following):
        yield "governance.next_review", f"{following} is before last_review, {last}"
    start = at(values, "valid_from")
    if start is not None and parse_day(following) > _day_of(start) + REVIEW_DAYS_MAX:
        yield "governance.next_review", f"{following} is more than two years after valid_from"


def tests(values: Values) -> Iterator[Fault]:
    """The fitness test is due within two years."""
    due, start = at(values, "testing.fitness_test_due"), at(values, "valid_from")
    if due is None or start is None:
        return
    if parse_day(due) > _day_of(start) + REVIEW_DAYS_MAX:
        yield "testing.fitness_test_due", f"{due} is more than two years after valid_from"


def proposer(values: Values) -> Iterator[Fault]:
    """Who documented the policy does not approve it."""
    seat, approvers = at(values, "governance.documented_by"), at(values, "governance.approved_by")
    if seat is not None and approvers is not None and seat in approvers:
        yield "governance.approved_by", f"{seat} documented this policy and cannot approve it"


def production(values: Values) -> Iterator[Fault]:
    """What a policy for real trading cannot leave open."""
    if at(values, "environment") != "production":
        return
    for path in PRODUCTION_LIMITS:
        if at(values, path) == "none":
            yield path, "cannot be none in environment production"
    for path, absent in _PRODUCTION_STATED.items():
        if at(values, path) == absent:
            yield path, "must be stated in environment production"
    required = at(values, "governance.approvals_required")
    if required is not None and required < PRODUCTION_APPROVALS_MIN:
        yield "governance.approvals_required", "is below 2 in environment production"


def offsets(values: Values) -> Iterator[Fault]:
    """The zone's transitions rise strictly and begin no later than the policy."""
    rows, start = at(values, "scope.zone_offsets"), at(values, "valid_from")
    if rows is None:
        return
    since = [parse_instant(row["since"]) for row in rows]
    if any(later <= earlier for earlier, later in pairwise(since)):
        yield "scope.zone_offsets", "do not rise"
    if start is not None and since[0] > parse_instant(start):
        yield "scope.zone_offsets", f"begin after valid_from, {start}"


FROZEN_DAYS = {
    "governance.review_due": "governance.next_review",
    "testing.fitness_due": "testing.fitness_test_due",
}
"""A frozen instant → the day whose end it is."""


def ends_of_days(values: Values) -> Iterator[Fault]:
    """The frozen end of a day is the one that the frozen zone gives."""
    rows = at(values, "scope.zone_offsets")
    for path, of in FROZEN_DAYS.items():
        due, day = at(values, path), at(values, of)
        if due is None or day is None or rows is None:
            continue
        expected = end_of_day(day, [(parse_instant(r["since"]), r["utc_offset_s"]) for r in rows])
        if due != expected:
            yield path, f"is {due}, not the end of {of}, {expected}"


RULES: tuple[Callable[[Values], Iterator[Fault]], ...] = (
    quantity_rows,
    hours,
    thresholds,
    lifetimes,
    validity,
    reviews,
    tests,
    proposer,
    production,
    offsets,
    ends_of_days,
)


def end_of_day(day: str, transitions: Sequence[tuple[int, int]]) -> str:
    """The first instant at which local time is at or after the midnight that ends the day.

    Args:
        day: ``2026-08-01``.
        transitions: (ns UTC, offset in seconds), rising; the first offset also holds before it.
    """
    midnight = (parse_day(day) + 1) * DAY_S * NS
    moment = midnight - transitions[0][1] * NS
    for since, offset in transitions[1:]:
        if moment < since:
            break
        # Where clocks jump over midnight the jump itself is the end of the day.
        moment = max(since, midnight - offset * NS)
    return format_instant(moment)


def frozen_until(values: Values) -> int | None:
    """Until when the zone's transitions are needed: validity, review and test, ns UTC."""
    end, days = at(values, "valid_until"), [at(values, day) for day in FROZEN_DAYS.values()]
    if end is None or None in days:
        return None
    # Two days cover the end of a day in any zone.
    return max(parse_instant(end), (max(parse_day(day) for day in days) + 2) * DAY_S * NS)


def _day_of(instant: str) -> int:
    return parse_instant(instant) // NS // DAY_S
