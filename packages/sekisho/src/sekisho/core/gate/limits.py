# SPDX-License-Identifier: Apache-2.0
"""A policy made ready for deciding: the same limits, read once into numbers.

Nothing is added or left out; a limit of ``none`` becomes None, and every other absence is an error.
The gate knows of a policy only what this module names.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from sekisho.core.amounts import CENT, SCALE, parse_amount
from sekisho.core.errors import MalformedInput
from sekisho.core.localtime import LocalTime, read_offsets
from sekisho.core.markets import pair_of
from sekisho.core.scope import (
    Concentration,
    MarketStress,
    NoLimit,
    PriceCollar,
    QuantityLimit,
    Scope,
)
from sekisho.core.terms import parse_day, parse_instant

_Overdue = Literal["warn", "block_issuing", "refuse"]


class _Governance(msgspec.Struct, frozen=True):
    review_due: str
    review_overdue: _Overdue


class _Testing(msgspec.Struct, frozen=True):
    fitness_due: str
    overdue: _Overdue


class _RiskControls(msgspec.Struct, frozen=True):
    breaker_threshold: str
    permit_lifetime_s: int
    lease_s: int
    clock_difference_max_s: int


class _Behaviour(msgspec.Struct, frozen=True):
    without_baseline: Literal["scope_checks", "refuse"]
    baseline_daily_fraction: str
    risk_lag_entries_max: int


class PolicyTerms(msgspec.Struct, frozen=True):
    """What the gate reads of a policy document; governance checked the rest when it registered
    it.
    """

    agent: str
    environment: str
    valid_from: str
    valid_until: str
    scope: Scope
    risk_controls: _RiskControls
    behaviour: _Behaviour
    testing: _Testing
    governance: _Governance


class Hours(msgspec.Struct, frozen=True):
    """Trading hours in seconds of the local day."""

    start_s: int
    end_s: int
    exclude_weekends: bool
    holidays: frozenset[int]
    text: str


class Collar(msgspec.Struct, frozen=True):
    """A price collar with its shares in units of 1e-8."""

    rules: PriceCollar
    deviation_max: int
    range_max: int


class Shares(msgspec.Struct, frozen=True):
    """A concentration limit with share and money in units of 1e-8."""

    rules: Concentration
    share_max: int
    notional_min: int


class Stress(msgspec.Struct, frozen=True):
    """What makes a market stressed, with its shares in units of 1e-8."""

    rules: MarketStress
    spread_max: int
    move_max: int


class Limits(msgspec.Struct, frozen=True):
    """A policy's terms with every amount in units of 1e-8 and every instant in nanoseconds."""

    terms: PolicyTerms
    scope: Scope
    valid_from: int
    valid_until: int
    review_due: int
    fitness_due: int
    pairs: frozenset[str]
    order_notional_max: int | None
    daily_notional_max: int | None
    daily_notional_before_baseline: int | None
    breaker_threshold: int
    position_notional_max: int | None
    quantity_max: dict[tuple[str, str], int] | None
    collar: Collar | None
    concentration: Shares | None
    buffer: int
    jump_max: int
    disagreement_max: int
    stress: Stress | None
    hours: Hours | None
    local: LocalTime

    def local_s(self, now: int) -> int:
        """Seconds of local time since 1970-01-01 in the policy's frozen zone."""
        return self.local.seconds(now)

    def day(self, now: int) -> int:
        """The policy day of an instant, in days since 1970-01-01."""
        return self.local.day(now)


def read_limits(policy: dict[str, Any]) -> Limits:
    """Make a policy document (as a log entry holds it) ready for deciding.

    Raises:
        MalformedInput: a term is missing or not what its name says.
    """
    try:
        terms = msgspec.convert(policy, PolicyTerms)
    except msgspec.ValidationError as error:
        raise MalformedInput(f"policy: {error}", "policy") from error
    scope = terms.scope
    if not scope.zone_offsets or not scope.reference_rates.sources:
        raise MalformedInput("policy: zone_offsets and reference_rates.sources must not be empty")
    daily = _optional(scope.daily_notional_max)
    collar, stress, share = scope.price_collar, scope.market_stress, scope.concentration
    return Limits(
        terms=terms,
        scope=scope,
        valid_from=parse_instant(terms.valid_from, "valid_from"),
        valid_until=parse_instant(terms.valid_until, "valid_until"),
        review_due=parse_instant(terms.governance.review_due, "governance.review_due"),
        fitness_due=parse_instant(terms.testing.fitness_due, "testing.fitness_due"),
        pairs=frozenset(pair_of(market)[0] for market in scope.markets),
        order_notional_max=_optional(scope.order_notional_max),
        daily_notional_max=daily,
        daily_notional_before_baseline=_fraction_of(daily, terms.behaviour.baseline_daily_fraction),
        breaker_threshold=parse_amount(terms.risk_controls.breaker_threshold),
        position_notional_max=_optional(scope.position_notional_max),
        quantity_max=_quantities(scope.order_quantity_max),
        collar=None
        if collar == "none"
        else Collar(collar, parse_amount(collar.deviation_max), parse_amount(collar.range_max)),
        concentration=None
        if share == "none"
        else Shares(share, parse_amount(share.share_max), parse_amount(share.notional_min)),
        buffer=parse_amount(scope.reference_rates.market_order_buffer),
        jump_max=parse_amount(scope.reference_rates.jump_max),
        disagreement_max=parse_amount(scope.reference_rates.disagreement_max),
        stress=None
        if stress == "none"
        else Stress(stress, parse_amount(stress.spread_max), parse_amount(stress.move_max)),
        hours=_hours(scope),
        local=read_offsets(scope.zone_offsets),
    )


def _optional(text: str) -> int | None:
    return None if text == "none" else parse_amount(text)


def _fraction_of(money: int | None, fraction: str) -> int | None:
    """That share of a limit, rounded down to the cent."""
    return None if money is None else money * parse_amount(fraction) // SCALE // CENT * CENT


def _quantities(
    rows: tuple[QuantityLimit, ...] | NoLimit,
) -> dict[tuple[str, str], int] | None:
    if rows == "none":
        return None
    return {(row.market, row.currency): parse_amount(row.max) for row in rows}


def _clock_s(text: str) -> int:
    hour, minute = text.split(":")
    return int(hour) * 3600 + int(minute) * 60


def _hours(scope: Scope) -> Hours | None:
    hours = scope.trading_hours
    if hours == "none":
        return None
    return Hours(
        start_s=_clock_s(hours.start),
        end_s=_clock_s(hours.end),
        exclude_weekends=hours.exclude_weekends,
        holidays=frozenset(parse_day(day, "holidays") for day in hours.holidays),
        text=f"{hours.start}-{hours.end}",
    )
