# SPDX-License-Identifier: Apache-2.0
"""Scope: what an agent may do. One type in policy, certificate, gate and evidence.

Every field is required. "No limit" is only the explicit word ``none``; a field that is absent is an
error, never a permission. docs/spec/checks.md gives each field its check; a test enumerates the
fields and demands one refusal for each.
"""

from __future__ import annotations

from typing import Literal

import msgspec

NoLimit = Literal["none"]
Action = Literal["new", "amend", "cancel"]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Frozen, closed, keyword-only: what every part of a scope is."""


class QuantityLimit(_Part, frozen=True):
    """Largest quantity of one order in one market, counted in ``currency`` (a leg of the
    market).
    """

    market: str
    currency: str
    max: str


class PriceCollar(_Part, frozen=True):
    """Per order: distance from the reference mid. Over a period: range of permitted prices."""

    deviation_max: str
    range_max: str
    window_s: int


class CountWindow(_Part, frozen=True):
    """At most ``count_max`` within the last ``window_s`` seconds."""

    count_max: int
    window_s: int


class Concentration(_Part, frozen=True):
    """Largest share of one counterparty, once the window's total reaches ``notional_min``."""

    share_max: str
    window_s: int
    notional_min: str


class TradingHours(_Part, frozen=True):
    """``start`` ≤ local time < ``end``, as ``HH:MM`` in the scope's zone; ``24:00`` ends a day."""

    start: str
    end: str
    exclude_weekends: bool
    holidays: tuple[str, ...]


class ReferenceRates(_Part, frozen=True):
    """Which rate sources must agree, how fresh they are, and what makes a rate unusable."""

    sources: tuple[str, ...]
    age_max_s: int
    market_order_buffer: str
    jump_max: str
    jump_window_s: int
    disagreement_max: str


class MarketStress(_Part, frozen=True):
    """A market is stressed when its spread or its move within the window exceeds these."""

    action: Literal["refuse", "score"]
    spread_max: str
    move_max: str
    window_s: int


class ZoneOffset(_Part, frozen=True):
    """From ``since`` (an instant) on, local time = UTC + ``utc_offset_s``."""

    since: str
    utc_offset_s: int


class Scope(_Part, frozen=True):
    """The limits. Amounts are text (docs/spec/encoding.md), fractions too (``"0.05"`` = 5 %)."""

    actions: tuple[Action, ...]
    markets: tuple[str, ...]
    currency: str
    order_notional_max: str | NoLimit
    order_quantity_max: tuple[QuantityLimit, ...] | NoLimit
    price_collar: PriceCollar | NoLimit
    daily_notional_max: str | NoLimit
    daily_order_count_max: int | NoLimit
    message_rate: CountWindow | NoLimit
    position_notional_max: str | NoLimit
    venues: tuple[str, ...] | NoLimit
    counterparties: tuple[str, ...] | NoLimit
    concentration: Concentration | NoLimit
    time_zone: str
    zone_offsets: tuple[ZoneOffset, ...]
    trading_hours: TradingHours | NoLimit
    regions: tuple[str, ...]
    reference_rates: ReferenceRates
    market_stress: MarketStress | NoLimit
    repeated_executions: CountWindow | NoLimit
    repeated_orders: CountWindow | NoLimit
    consecutive_failures_max: int | NoLimit
