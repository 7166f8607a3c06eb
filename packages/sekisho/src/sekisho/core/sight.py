# SPDX-License-Identifier: Apache-2.0
"""What the gate shows of one order to the watch before it decides, and how it asks.

The gate does not know who computes scores; the watch does not know what the gate checks. Both know
this (docs/spec/behaviour.md, sections 4 and 6).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from sekisho.core.events import Scores

Stressed = Literal["yes", "no", "unknown"]


class Sight(NamedTuple):
    """One new order or amendment as it would become.

    ``now``: log time of the decision, ns. ``notional``: money in units of 1e-8, None where it
    cannot be computed. ``counterparty``: empty when the order names none.
    """

    agent: str
    now: int
    action: Literal["new", "amend"]
    pair: str
    notional: int | None
    counterparty: str
    stressed: Stressed


Watching = Callable[[Sight], Scores]
"""Scores of the order, from the fold of all entries that the watch has taken so far."""
