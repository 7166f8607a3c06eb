# SPDX-License-Identifier: Apache-2.0
"""What changes between two policies, and which way (docs/spec/policy.md, 10).

For whoever approves a new version: each change alone, and whether it *widens* what the agent may
do or how late it is stopped, *narrows* it, or just *changes*. The direction follows from the field
by one table; a field without a rule there, or one whose measure changed too, says ``changes``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, Literal, NamedTuple

import msgspec

from sekisho.core.amounts import parse_amount
from sekisho.core.encoding import canonical
from sekisho.core.governance.defaults import POLICY
from sekisho.core.governance.policy import Policy
from sekisho.core.governance.shape import Group, Leaf, Rows, join
from sekisho.core.terms import parse_day, parse_instant

Effect = Literal["widens", "narrows", "changes"]
_TURNED: Final[dict[Effect, Effect]] = {"widens": "narrows", "narrows": "widens"}


class Change(msgspec.Struct, frozen=True):
    """One change. ``before`` and ``after`` are texts; empty where there was, or is, nothing."""

    path: str
    before: str
    after: str
    effect: Effect


class _Order(NamedTuple):
    """``rank`` puts values in an order; a higher one widens, or narrows where ``turned``.

    ``unit`` is the path of what the values are measured in: where it changed, nothing follows.
    """

    rank: Callable[[Any], int]
    turned: bool = False
    unit: str = ""


class _Members(NamedTuple):
    """A set: one more widens, or narrows where ``turned``."""

    turned: bool = False


def _among(*words: str) -> Callable[[Any], int]:
    """Words from the narrowest to the widest."""
    return words.index


def _clock(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


_CURRENCY, _ZONE = "scope.currency", "scope.time_zone"
_AMOUNT, _MORE, _LESS = _Order(parse_amount), _Order(int), _Order(int, turned=True)
_MONEY = _Order(parse_amount, unit=_CURRENCY)
_OVERDUE = _Order(_among("refuse", "block_issuing", "warn"))
_FREQUENCY = _Order(_among("monthly", "quarterly", "half-yearly", "annual"))
_LATER = _Order(parse_instant)

RULES: Final[dict[str, _Order | _Members]] = {
    "valid_from": _Order(parse_instant, turned=True),
    "valid_until": _LATER,
    "scope.actions": _Members(),
    "scope.markets": _Members(),
    "scope.order_notional_max": _MONEY,
    "scope.order_quantity_max[].max": _AMOUNT,
    "scope.price_collar.deviation_max": _AMOUNT,
    "scope.price_collar.range_max": _AMOUNT,
    "scope.price_collar.window_s": _LESS,
    "scope.daily_notional_max": _MONEY,
    "scope.daily_order_count_max": _MORE,
    "scope.message_rate.count_max": _MORE,
    "scope.message_rate.window_s": _LESS,
    "scope.position_notional_max": _MONEY,
    "scope.venues": _Members(),
    "scope.counterparties": _Members(),
    "scope.concentration.share_max": _AMOUNT,
    "scope.concentration.notional_min": _MONEY,
    "scope.trading_hours.start": _Order(_clock, turned=True, unit=_ZONE),
    "scope.trading_hours.end": _Order(_clock, unit=_ZONE),
    "scope.trading_hours.exclude_weekends": _LESS,
    "scope.trading_hours.holidays": _Members(turned=True),
    "scope.regions": _Members(),
    "scope.reference_rates.age_max_s": _MORE,
    "scope.reference_rates.market_order_buffer": _Order(parse_amount, turned=True),
    "scope.reference_rates.jump_max": _AMOUNT,
    "scope.reference_rates.jump_window_s": _LESS,
    "scope.reference_rates.disagreement_max": _AMOUNT,
    "scope.market_stress.action": _Order(_among("refuse", "score")),
    "scope.market_stress.spread_max": _AMOUNT,
    "scope.market_stress.move_max": _AMOUNT,
    "scope.market_stress.window_s": _LESS,
    "scope.repeated_executions.count_max": _MORE,
    "scope.repeated_executions.window_s": _LESS,
    "scope.repeated_orders.count_max": _MORE,
    "scope.repeated_orders.window_s": _LESS,
    "scope.consecutive_failures_max": _MORE,
    "risk_controls.hold_threshold": _AMOUNT,
    "risk_controls.breaker_threshold": _AMOUNT,
    "risk_controls.hold_on_single_order": _LESS,
    "risk_controls.grace_period_s": _MORE,
    "risk_controls.acknowledgement_deadline_s": _MORE,
    "risk_controls.permit_lifetime_s": _MORE,
    "risk_controls.lease_s": _MORE,
    "risk_controls.clock_difference_max_s": _MORE,
    "behaviour.without_baseline": _Order(_among("refuse", "scope_checks")),
    "behaviour.baseline_daily_fraction": _AMOUNT,
    "behaviour.risk_lag_entries_max": _MORE,
    "testing.fitness_test_due": _Order(parse_day),
    "testing.fitness_due": _LATER,
    "testing.overdue": _OVERDUE,
    "testing.scenario_testing": _FREQUENCY,
    "testing.penetration_testing": _FREQUENCY,
    "governance.approved_by": _Members(turned=True),
    "governance.next_review": _Order(parse_day),
    "governance.review_due": _LATER,
    "governance.review_overdue": _OVERDUE,
    "governance.approvals_required": _LESS,
    "governance.renewal_overlap_s": _MORE,
}
"""Which way a field widens. ``none`` in place of a value always widens; these say the rest."""

NO_LIMIT: Final = ("desk",)
"""Fields without an order in which ``none`` is the absence of a limit all the same."""


def difference(before: Policy, after: Policy) -> tuple[Change, ...]:
    """Every change from the one policy to the other, in the order of the policy's fields.

    A set, and rows with a key, change by their members, sorted: ``scope.markets[GBP/EUR]``.
    """
    old, new = msgspec.to_builtins(before), msgspec.to_builtins(after)
    units = {unit for unit in (_CURRENCY, _ZONE) if _at(old, unit) != _at(new, unit)}
    return tuple(_group(POLICY, old, new, "", frozenset(units)))


def _group(
    group: Group, old: dict[str, Any], new: dict[str, Any], path: str, units: frozenset[str]
) -> Iterator[Change]:
    for name, shape in group.fields.items():
        yield from _part(shape, old[name], new[name], join(path, name), units)


def _part(
    shape: Leaf | Group | Rows, old: Any, new: Any, path: str, units: frozenset[str]
) -> Iterator[Change]:
    if old == new:
        return
    rule = RULES.get(path)
    if "none" in (old, new) and (
        rule is not None or isinstance(shape, Group | Rows) or path in NO_LIMIT
    ):
        yield Change(path, _text(old), _text(new), "widens" if new == "none" else "narrows")
    elif isinstance(shape, Group):
        yield from _group(shape, old, new, path, units)
    elif isinstance(shape, Rows) and shape.sort_by:
        yield from _rows(shape, old, new, path, units)
    elif isinstance(rule, _Members):
        yield from _members(rule, old, new, path)
    else:
        yield Change(path, _text(old), _text(new), _effect(rule, old, new, units))


def _effect(rule: _Order | None, old: Any, new: Any, units: frozenset[str]) -> Effect:
    """Which way one value moved."""
    if rule is None or rule.unit in units:
        return "changes"
    before, after = rule.rank(old), rule.rank(new)
    if before == after:
        return "changes"
    return "widens" if (after > before) != rule.turned else "narrows"


def _members(rule: _Members, old: list[Any], new: list[Any], path: str) -> Iterator[Change]:
    gained: Effect = "narrows" if rule.turned else "widens"
    for member in sorted({*old, *new}):
        if member not in old:
            yield Change(f"{path}[{member}]", "", str(member), gained)
        elif member not in new:
            yield Change(f"{path}[{member}]", str(member), "", _TURNED[gained])


def _rows(
    shape: Rows, old: list[Any], new: list[Any], path: str, units: frozenset[str]
) -> Iterator[Change]:
    """Rows by their keys: without a row nothing is allowed there, so one more widens."""
    before, after = ({_key(shape, row): row for row in rows} for rows in (old, new))
    for key in sorted({*before, *after}):
        was, now = before.get(key), after.get(key)
        for name in shape.row.fields:
            if name in shape.sort_by:
                continue
            place = f"{path}[{' '.join(key)}].{name}"
            if was is None or now is None:
                one, other = _text("" if was is None else was[name]), ""
                if now is not None:
                    other = _text(now[name])
                yield Change(place, one, other, "widens" if was is None else "narrows")
            elif was[name] != now[name]:
                rule = RULES.get(f"{path}[].{name}")
                order = rule if isinstance(rule, _Order) else None
                effect = _effect(order, was[name], now[name], units)
                yield Change(place, _text(was[name]), _text(now[name]), effect)


def _key(shape: Rows, row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in shape.sort_by)


def _at(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = value[name]
    return value


def _text(value: Any) -> str:
    """A value as it is shown: its text, or canonical JSON of what has parts."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return canonical(value).decode() if isinstance(value, dict | list | tuple) else str(value)
