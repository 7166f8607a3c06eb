# SPDX-License-Identifier: Apache-2.0
"""The scope of a policy, read strictly into limits (docs/spec/policy.md section 2).

Every field is required, and "no limit" is only the word `none`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import TypeVar

from sekisho_verify import canonical
from sekisho_verify.canonical import CENT, SECOND, UNIT
from sekisho_verify.findings import VerificationFailed, require
from sekisho_verify.limits import Collar, Concentration, Hours, Rate, Scope, Share, Stress
from sekisho_verify.prices import pair_of

_WINDOW_MAX = 2_678_400
_COUNT_MAX = 10**9
_LIST_MAX = 64
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00", re.ASCII)
_ZONE = re.compile(r"[A-Za-z0-9._+/-]{1,64}")
_ACTIONS = ["new", "amend", "cancel"]

T = TypeVar("T")


_OFFSET_MAX = 64_800
_FIELDS = frozenset(
    "actions markets currency order_notional_max order_quantity_max price_collar "
    "daily_notional_max daily_order_count_max message_rate position_notional_max venues "
    "counterparties concentration time_zone zone_offsets trading_hours regions reference_rates "
    "market_stress repeated_executions repeated_orders consecutive_failures_max".split()
)
_RATES = frozenset(
    "sources age_max_s market_order_buffer jump_max jump_window_s disagreement_max".split()
)


def integer(value: object, low: int, high: int) -> int:
    """An integer within both bounds."""
    number = canonical.integer_of(value)
    require(low <= number <= high, f"is not in {low} to {high}")
    return number


def shortest_amount(value: object) -> int:
    """An amount in its shortest form."""
    number = canonical.amount(value)
    require(canonical.shortest(number) == value, "is not in the shortest form")
    return number


def fraction(value: object, *, zero: bool = False) -> Share:
    """A fraction above 0 (or from 0 on), at most 1."""
    number = shortest_amount(value)
    require(number <= UNIT and (number > 0 or zero), "is no fraction within its bounds")
    return Share(canonical.text_of(value), Fraction(number, UNIT))


def ordered_set(value: object, form: Callable[[object], str], most: int = _LIST_MAX) -> list[str]:
    """A sorted list of distinct texts."""
    items = [form(item) for item in canonical.array_of(value)]
    require(len(items) <= most, f"has more than {most} entries")
    require(items == sorted(set(items)), "is not sorted, or holds something twice")
    return items


def name(value: object) -> str:
    """A venue, region, seat, source."""
    return canonical.named(value, "name")


def market(value: object) -> str:
    """A market of two different currencies."""
    text = canonical.named(value, "market")
    first, _, second = text.partition("/")
    require(first != second, "is a market with one currency twice")
    return text


def _money(value: object, *, zero: bool = False) -> int:
    number = shortest_amount(value)
    require(number % CENT == 0 and (number > 0 or zero), "is no money above 0")
    return number


def money_or_none(value: object) -> int | None:
    """Money above 0, or the word `none`."""
    return None if value == "none" else _money(value)


def _count(value: object) -> int:
    return integer(value, 1, _COUNT_MAX)


def _window(value: object) -> int:
    return integer(value, 1, _WINDOW_MAX)


def _rate(value: object) -> Rate:
    given = canonical.fields(value, {"count_max", "window_s"}, "it")
    return Rate(_count(given["count_max"]), _window(given["window_s"]))


def _collar(value: object) -> Collar:
    given = canonical.fields(value, {"deviation_max", "range_max", "window_s"}, "it")
    return Collar(
        fraction(given["deviation_max"]), fraction(given["range_max"]), _window(given["window_s"])
    )


def _concentration(value: object) -> Concentration:
    given = canonical.fields(value, {"share_max", "window_s", "notional_min"}, "it")
    return Concentration(
        fraction(given["share_max"]),
        _window(given["window_s"]),
        _money(given["notional_min"], zero=True),
    )


def _stress(value: object) -> Stress:
    given = canonical.fields(value, {"action", "spread_max", "move_max", "window_s"}, "it")
    require(given["action"] in ("refuse", "score"), "has no known action")
    return Stress(
        str(given["action"]),
        fraction(given["spread_max"]),
        fraction(given["move_max"]),
        integer(given["window_s"], 1, 3600),
    )


def _seconds(value: object) -> int:
    text = canonical.text_of(value)
    require(_CLOCK.fullmatch(text) is not None, "is no time of day")
    return int(text[:2]) * 3600 + int(text[3:]) * 60


def _hours(value: object) -> Hours:
    given = canonical.fields(value, {"start", "end", "exclude_weekends", "holidays"}, "it")
    start, end = _seconds(given["start"]), _seconds(given["end"])
    require(start < end, "starts not before it ends")
    require(isinstance(given["exclude_weekends"], bool), "exclude_weekends is no boolean")
    holidays = ordered_set(given["holidays"], canonical.text_of, 400)
    return Hours(
        f"{given['start']}-{given['end']}",
        start,
        end,
        given["exclude_weekends"] is True,
        frozenset(canonical.day_number(day) for day in holidays),
    )


def _quantities(value: object, markets: list[str]) -> dict[tuple[str, str], int]:
    rows: dict[tuple[str, str], int] = {}
    for row in canonical.array_of(value):
        given = canonical.fields(row, {"market", "currency", "max"}, "a row")
        where, what = canonical.text_of(given["market"]), canonical.text_of(given["currency"])
        require(where in markets and what in where.split("/"), "a row is of no market of these")
        rows[where, what] = shortest_amount(given["max"])
        require(rows[where, what] > 0, "a row allows nothing")
    in_order = len(rows) == len(canonical.array_of(value)) and list(rows) == sorted(rows)
    require(in_order and len(rows) <= _LIST_MAX, "rows are too many, not sorted, or double")
    return rows


def _offset_rows(value: object) -> tuple[tuple[int, int], ...]:
    rows: list[tuple[int, int]] = []
    for row in canonical.array_of(value):
        given = canonical.fields(row, {"since", "utc_offset_s"}, "a row")
        since = canonical.instant(given["since"])
        offset = integer(given["utc_offset_s"], -_OFFSET_MAX, _OFFSET_MAX)
        require(since % SECOND == 0, "a row is not at a whole second")
        require(not rows or (rows[-1][0] < since and rows[-1][1] != offset), "rows do not follow")
        rows.append((since, offset))
    require(1 <= len(rows) <= _LIST_MAX, "has no row, or more than 64")
    return tuple(rows)


def _names(value: object) -> tuple[str, ...]:
    items = ordered_set(value, name)
    require(len(items) > 0, "is empty")
    return tuple(items)


def _sources(value: object) -> tuple[str, ...]:
    items = [name(item) for item in canonical.array_of(value)]
    require(0 < len(items) <= _LIST_MAX and len(set(items)) == len(items), "empty, long or double")
    return tuple(items)


def _actions(value: object) -> tuple[str, ...]:
    items = [canonical.text_of(item) for item in canonical.array_of(value)]
    require(items == [action for action in _ACTIONS if action in items], "are not as allowed")
    return tuple(items)


def _markets(value: object) -> list[str]:
    markets = ordered_set(value, market)
    require(len(markets) > 0, "is empty")
    require(len({pair_of(m).name for m in markets}) == len(markets), "has a pair twice")
    return markets


def _zone(value: object) -> str:
    text = canonical.text_of(value)
    require(_ZONE.fullmatch(text) is not None, "is no name of a time zone")
    return text


def field(given: dict[str, object], above: str, called: str, form: Callable[[object], T]) -> T:
    """One field read by its form; a failure names it with what stands above it."""
    try:
        return form(given[called])
    except VerificationFailed as failure:
        raise VerificationFailed(f"{above}.{called} {failure.what}") from failure


def _currency(value: object) -> str:
    return canonical.named(value, "currency")


def _or_none(form: Callable[[object], T]) -> Callable[[object], T | None]:
    return lambda value: None if value == "none" else form(value)


def read(value: object) -> Scope:
    """The scope of a policy.

    Raises:
        VerificationFailed: names the first field that is not as the specification says.
    """
    given = canonical.fields(value, _FIELDS, "scope")
    rates = canonical.fields(given["reference_rates"], _RATES, "scope.reference_rates")

    def limit(called: str, form: Callable[[object], T]) -> T | None:
        return field(given, "scope", called, _or_none(form))

    def rate(called: str, form: Callable[[object], T]) -> T:
        return field(rates, "scope.reference_rates", called, form)

    markets = field(given, "scope", "markets", _markets)
    buffer = rate("market_order_buffer", lambda v: fraction(v, zero=True))
    require(buffer.ratio < 1, "scope.reference_rates.market_order_buffer is not below 1")
    return Scope(
        actions=field(given, "scope", "actions", _actions),
        markets=tuple(markets),
        pairs=frozenset(pair_of(m).name for m in markets),
        currency=field(given, "scope", "currency", _currency),
        order_notional_max=limit("order_notional_max", _money),
        order_quantity_max=limit("order_quantity_max", lambda v: _quantities(v, markets)),
        price_collar=limit("price_collar", _collar),
        daily_notional_max=limit("daily_notional_max", _money),
        daily_order_count_max=limit("daily_order_count_max", _count),
        message_rate=limit("message_rate", _rate),
        position_notional_max=limit("position_notional_max", _money),
        venues=limit("venues", _names),
        counterparties=limit("counterparties", _names),
        concentration=limit("concentration", _concentration),
        time_zone=field(given, "scope", "time_zone", _zone),
        offsets=field(given, "scope", "zone_offsets", _offset_rows),
        hours=limit("trading_hours", _hours),
        regions=field(given, "scope", "regions", _names),
        sources=rate("sources", _sources),
        age_max_s=rate("age_max_s", lambda v: integer(v, 1, 3600)),
        buffer=buffer.ratio,
        jump_max=rate("jump_max", fraction),
        jump_window_s=rate("jump_window_s", lambda v: integer(v, 1, 3600)),
        disagreement_max=rate("disagreement_max", fraction),
        stress=limit("market_stress", _stress),
        repeated_executions=limit("repeated_executions", _rate),
        repeated_orders=limit("repeated_orders", _rate),
        failures_max=limit("consecutive_failures_max", _count),
    )
