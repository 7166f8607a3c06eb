# SPDX-License-Identifier: Apache-2.0
"""Local time and the policy day, by the offsets that a policy froze (docs/spec/checks.md, 1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sekisho.core.scope import ZoneOffset
from sekisho.core.terms import DAY_S, NS, parse_instant

SATURDAY = 5


class LocalTime(NamedTuple):
    """``offsets``: (since, ns UTC; offset, s), rising; the first one holds before its time too."""

    offsets: tuple[tuple[int, int], ...]

    def seconds(self, now: int) -> int:
        """Seconds of local time since 1970-01-01."""
        offset = self.offsets[0][1]
        for since, seconds in self.offsets:
            if since > now:
                break
            offset = seconds
        return now // NS + offset

    def day(self, now: int) -> int:
        """The policy day of an instant, in days since 1970-01-01."""
        return self.seconds(now) // DAY_S


def read_offsets(rows: Iterable[ZoneOffset]) -> LocalTime:
    """The rows of a scope's ``zone_offsets``. Raises MalformedInput."""
    return LocalTime(tuple((parse_instant(r.since, "zone_offsets"), r.utc_offset_s) for r in rows))


def weekend(day: int) -> bool:
    """Whether a day (days since 1970-01-01, a Thursday) is a Saturday or a Sunday."""
    return (day + 3) % 7 >= SATURDAY
