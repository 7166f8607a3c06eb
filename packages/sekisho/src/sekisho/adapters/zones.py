# SPDX-License-Identifier: Apache-2.0
"""Transitions of a time zone, asked once, when a policy is registered (docs/spec/policy.md, 4).

The time-zone database is the machine's own or the ``tzdata`` package. Nothing is written. After
registration nobody asks it again: the transitions are part of what is signed.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sekisho.core.errors import ConfigurationInvalid
from sekisho.core.scope import ZoneOffset
from sekisho.core.terms import NS, format_instant

_STEP_S = 6 * 3_600
"""No zone has ever changed its offset and changed it back within six hours."""
_YEARS_MAX_S = 10 * 366 * 86_400
_LAST_S = 253_370_764_800
_MACHINE_NAMES = ("localtime", "posixrules", "Factory")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def zone_offsets(name: str, from_ns: int, until_ns: int) -> tuple[ZoneOffset, ...]:
    """The offsets of a zone from one instant until another (ns UTC, rounded down to seconds).

    The first row begins at ``from_ns``; each further one at the second at which the offset changes,
    the last one at most at ``until_ns``.

    Raises:
        ConfigurationInvalid: no such zone, or not a span of at most ten years.
    """
    first, last = from_ns // NS, until_ns // NS
    if not 0 <= first <= last <= min(first + _YEARS_MAX_S, _LAST_S):
        raise ConfigurationInvalid("zone offsets are given for a span of at most ten years")
    if name in _MACHINE_NAMES:
        raise ConfigurationInvalid(f"{name!r} is no zone that means the same on every machine")
    try:
        zone = ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigurationInvalid(
            f"no time zone {name[:64]!r}; write one like UTC or Europe/Zurich"
        ) from error
    rows = [(first, _offset_s(zone, first))]
    before = first
    while before < last:
        after = min(before + _STEP_S, last)
        if _offset_s(zone, after) != rows[-1][1]:
            change = _first_change(zone, before, after)
            rows.append((change, _offset_s(zone, change)))
            after = change
        before = after
    return tuple(
        ZoneOffset(since=format_instant(since * NS), utc_offset_s=offset) for since, offset in rows
    )


def _first_change(zone: ZoneInfo, before: int, after: int) -> int:
    """The second at which the offset is first another than at ``before``."""
    offset = _offset_s(zone, before)
    while after - before > 1:
        middle = (before + after) // 2
        if _offset_s(zone, middle) == offset:
            before = middle
        else:
            after = middle
    return after


def _offset_s(zone: ZoneInfo, second: int) -> int:
    local = (_EPOCH + timedelta(seconds=second)).astimezone(zone)
    offset = local.utcoffset()
    if offset is None:
        raise ConfigurationInvalid(f"the zone {zone.key!r} has no offset")
    return offset // timedelta(seconds=1)
