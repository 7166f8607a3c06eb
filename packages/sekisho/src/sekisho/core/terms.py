# SPDX-License-Identifier: Apache-2.0
"""Identifiers, instants and reason codes: the vocabulary that every room shares.

Instants are integer nanoseconds UTC inside and RFC 3339 text with nine digits and ``Z`` in every
document (docs/spec/encoding.md): one spelling for each instant, readable, sortable.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final

import msgspec

from sekisho.core.errors import MalformedInput

NS: Final = 10**9
DAY_S: Final = 86_400

AGENT_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")
CLIENT_ORDER_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,35}")
MARKET: Final = re.compile(r"[A-Z]{3,5}/[A-Z]{3,5}")
CURRENCY: Final = re.compile(r"[A-Z]{3,5}")
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
"""Venues, accounts, counterparties, regions, seats, gates, sources."""

_SECOND = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])\.")
_FRACTION = re.compile(r"[0-9]{9}Z")
_SECOND_CHARACTERS: Final = 20
_EPOCH = date(1970, 1, 1)


class Code(StrEnum):
    """Why an order was refused. Stable for ever; docs/spec/checks.md defines each."""

    MALFORMED_ORDER = "malformed_order"
    AGENT_NOT_ACTIVE = "agent_not_active"
    CERTIFICATE_NOT_YET_VALID = "certificate_not_yet_valid"
    CERTIFICATE_EXPIRED = "certificate_expired"
    CERTIFICATE_HELD = "certificate_held"
    CERTIFICATE_REVOKED = "certificate_revoked"
    POLICY_NOT_IN_FORCE = "policy_not_in_force"
    REVIEW_OVERDUE = "review_overdue"
    ENVIRONMENT_MISMATCH = "environment_mismatch"
    LEASE_EXPIRED = "lease_expired"
    ACTION_NOT_PERMITTED = "action_not_permitted"
    UNKNOWN_ORDER = "unknown_order"
    DUPLICATE_ORDER_ID = "duplicate_order_id"
    REPEATED_ORDER = "repeated_order"
    MARKET_NOT_ALLOWED = "market_not_allowed"
    RATE_MISSING = "rate_missing"
    RATE_STALE = "rate_stale"
    RATE_CROSSED = "rate_crossed"
    RATE_OUTLIER = "rate_outlier"
    RATE_SOURCES_DISAGREE = "rate_sources_disagree"
    MARKET_STRESSED = "market_stressed"
    EXCEEDS_SCOPE_SIZE = "exceeds_scope_size"
    EXCEEDS_QUANTITY = "exceeds_quantity"
    PRICE_OUTSIDE_COLLAR = "price_outside_collar"
    DAILY_VOLUME_CAP_EXCEEDED = "daily_volume_cap_exceeded"
    ORDER_COUNT_EXCEEDED = "order_count_exceeded"
    MESSAGE_RATE_EXCEEDED = "message_rate_exceeded"
    POSITION_LIMIT_EXCEEDED = "position_limit_exceeded"
    VENUE_NOT_ALLOWED = "venue_not_allowed"
    COUNTERPARTY_NOT_ALLOWED = "counterparty_not_allowed"
    CONCENTRATION_EXCEEDED = "concentration_exceeded"
    OUTSIDE_TRADING_HOURS = "outside_trading_hours"
    REGION_NOT_ALLOWED = "region_not_allowed"
    EXECUTION_THROTTLE_LATCHED = "execution_throttle_latched"
    CONSECUTIVE_FAILURES_LATCHED = "consecutive_failures_latched"
    BASELINE_MISSING = "baseline_missing"
    RISK_SCORE_STALE = "risk_score_stale"
    ANOMALOUS_ORDER = "anomalous_order"
    CIRCUIT_BREAKER_ACTIVE = "circuit_breaker_active"
    CONTROL_UNAVAILABLE = "control_unavailable"


class Reason(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One reason of a refusal: what was compared with what.

    All four are text, so that they are recorded, signed and shown as they are. ``limit`` and
    ``observed`` are empty where nothing was compared.
    """

    code: Code
    limit: str
    observed: str
    unit: str


@lru_cache(maxsize=64)
def _day_text(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).isoformat()


@lru_cache(maxsize=64)
def _second_text(seconds: int) -> str:
    day, second = divmod(seconds, DAY_S)
    hour, second = divmod(second, 3600)
    return f"{_day_text(day)}T{hour:02d}:{second // 60:02d}:{second % 60:02d}."


def format_instant(ns: int) -> str:
    """Nanoseconds UTC as ``2026-05-15T09:15:00.000000000Z``."""
    seconds, fraction = divmod(ns, NS)
    return f"{_second_text(seconds)}{fraction:09d}Z"


@lru_cache(maxsize=256)
def _parse_second(text: str) -> int | None:
    """``2026-05-15T09:15:00.`` as seconds since 1970-01-01; None for any other spelling."""
    match = _SECOND.fullmatch(text)
    if match is None:
        return None
    day, hour, minute, second = match.groups()
    return parse_day(day) * DAY_S + int(hour) * 3600 + int(minute) * 60 + int(second)


@lru_cache(maxsize=256)
def parse_instant(text: str, where: str = "instant") -> int:
    """Inverse of :func:`format_instant`; any other spelling is refused.

    Both folds and several checks read the same instants, so the latest are kept.

    Raises:
        MalformedInput: not nine digits and ``Z``, or no such day.
    """
    fraction = text[_SECOND_CHARACTERS:]
    try:
        seconds = _parse_second(text[:_SECOND_CHARACTERS])
    except MalformedInput as error:
        raise MalformedInput(f"{where}: {text!r} has no such day", where) from error
    if seconds is None or _FRACTION.fullmatch(fraction) is None:
        raise MalformedInput(
            f"{where}: {text[:48]!r} is not an instant like 2026-05-15T09:15:00.000000000Z", where
        )
    return seconds * NS + int(fraction[:-1])


def day_text(day: int) -> str:
    """A day number (days since 1970-01-01) as ``2026-05-15``."""
    return _day_text(day)


@lru_cache(maxsize=256)
def parse_day(text: str, where: str = "day") -> int:
    """``2026-05-15`` as days since 1970-01-01.

    Raises:
        MalformedInput: any other spelling, or no such day.
    """
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) is None:
        raise MalformedInput(f"{where}: {text[:32]!r} is not a day like 2026-05-15", where)
    try:
        return (date.fromisoformat(text) - _EPOCH).days
    except ValueError as error:
        raise MalformedInput(f"{where}: {text!r} is no such day", where) from error
