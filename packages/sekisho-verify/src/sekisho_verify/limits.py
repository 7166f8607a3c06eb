# SPDX-License-Identifier: Apache-2.0
"""The limits of a scope as the checks compute with them (docs/spec/policy.md section 2).

A limit that is the word `none` is None here. Fractions keep their text, because reasons show
limits as written. Reading them from a policy is done in `scope`.
"""

from __future__ import annotations

import dataclasses
from fractions import Fraction

from sekisho_verify.canonical import DAY, SECOND


@dataclasses.dataclass(frozen=True)
class Share:
    """A fraction and how the policy writes it."""

    text: str
    ratio: Fraction


@dataclasses.dataclass(frozen=True)
class Rate:
    """At most so many within a window."""

    count_max: int
    window_s: int


@dataclasses.dataclass(frozen=True)
class Collar:
    """How far a limit price may lie from the reference, and from others of the window."""

    deviation_max: Share
    range_max: Share
    window_s: int


@dataclasses.dataclass(frozen=True)
class Concentration:
    """What share of the window's notional one counterparty may have, from a minimum on."""

    share_max: Share
    window_s: int
    notional_min: int


@dataclasses.dataclass(frozen=True)
class Stress:
    """When the market counts as stressed, and whether that refuses."""

    action: str
    spread_max: Share
    move_max: Share
    window_s: int


@dataclasses.dataclass(frozen=True)
class Hours:
    """Local trading hours; start and end are seconds of the day, holidays day numbers."""

    text: str
    start: int
    end: int
    exclude_weekends: bool
    holidays: frozenset[int]


@dataclasses.dataclass(frozen=True)
class Scope:
    """Every limit; money and quantities count 1e-8; None is the word `none`."""

    actions: tuple[str, ...]
    markets: tuple[str, ...]
    pairs: frozenset[str]
    currency: str
    order_notional_max: int | None
    order_quantity_max: dict[tuple[str, str], int] | None
    price_collar: Collar | None
    daily_notional_max: int | None
    daily_order_count_max: int | None
    message_rate: Rate | None
    position_notional_max: int | None
    venues: tuple[str, ...] | None
    counterparties: tuple[str, ...] | None
    concentration: Concentration | None
    time_zone: str
    offsets: tuple[tuple[int, int], ...]
    hours: Hours | None
    regions: tuple[str, ...]
    sources: tuple[str, ...]
    age_max_s: int
    buffer: Fraction
    jump_max: Share
    jump_window_s: int
    disagreement_max: Share
    stress: Stress | None
    repeated_executions: Rate | None
    repeated_orders: Rate | None
    failures_max: int | None

    def local(self, now: int) -> int:
        """Local time in ns by the offset in force (checks.md section 1)."""
        offset = self.offsets[0][1]
        for since, seconds in self.offsets:
            if since > now:
                break
            offset = seconds
        return now + offset * SECOND

    def day(self, now: int) -> int:
        """The policy day, in days since 1970-01-01."""
        return self.local(now) // DAY
