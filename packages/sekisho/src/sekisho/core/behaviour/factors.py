# SPDX-License-Identifier: Apache-2.0
"""The eight factors of behaviour, and what one order shows of them before it is decided
(docs/spec/behaviour.md, sections 2 and 4).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sekisho.core.amounts import CENT
from sekisho.core.localtime import LocalTime, weekend
from sekisho.core.sight import Sight
from sekisho.core.terms import DAY_S

Observation = tuple[str, int | str]
"""A factor's name and what was observed: a number ≥ 0 or a label, by the factor's sort."""

FACTORS: Final = (
    "size",
    "frequency",
    "market",
    "hours",
    "stress",
    "counterparty",
    "latency",
    "success",
)
"""In the order in which they are named wherever one must be chosen."""

ANOMALIES: Final = "anomalies"
"""The ninth factor of the risk score: orders that stand out."""

NUMBERS: Final = frozenset({"size", "frequency", "latency"})
"""Factors whose observation is a number; of the others it is a label."""

ESTABLISHED_FROM: Final = 20
"""Observations that a factor needs in the baseline to be compared with it."""

_HOUR_S: Final = 3600


def hour_label(local: LocalTime, now: int) -> str:
    """The local hour as two digits, 24 more on Saturday and Sunday."""
    day, second = divmod(local.seconds(now), DAY_S)
    return f"{second // _HOUR_S + (24 if weekend(day) else 0):02d}"


def seen_before(sight: Sight, frequency: int, local: LocalTime) -> Iterator[Observation]:
    """What is known of an order before it is decided, in the order of ``FACTORS``.

    Args:
        sight: the order as it would become.
        frequency: new decisions of the agent within the hour that ends now, this one included.
        local: the policy's time zone.
    """
    if sight.notional is not None:
        yield "size", sight.notional // CENT
    if sight.action != "new":
        return
    yield "frequency", frequency
    yield "market", sight.pair
    yield "hours", hour_label(local, sight.now)
    if sight.stressed != "unknown":
        yield "stress", sight.stressed
    if sight.counterparty:
        yield "counterparty", sight.counterparty
