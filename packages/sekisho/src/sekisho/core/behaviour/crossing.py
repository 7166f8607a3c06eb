# SPDX-License-Identifier: Apache-2.0
"""What of a score crosses which threshold (docs/spec/behaviour.md, section 7).

Numbers only: whether an incident follows depends on the agent's status and latch, which the gate
knows.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from sekisho.core.amounts import parse_amount
from sekisho.core.behaviour.arithmetic import score_text
from sekisho.core.behaviour.comparison import largest
from sekisho.core.encoding import sha256_hex
from sekisho.core.events import Scores

Kind = Literal["breaker", "hold"]

_INCIDENT_DIGITS = 32
_UNITS = 100
"""Units of an amount (1e-8) in a millionth."""


class Crossing(msgspec.Struct, frozen=True):
    """A score that is beyond its threshold since the entry ``trigger``: the fields of an incident.

    ``observed``: the score of ``factor``, which is the largest; ``threshold``: the policy's text.
    """

    kind: Kind
    score: Literal["risk", "anomaly"]
    factor: str
    observed: str
    threshold: str
    trigger: int


class Thresholds(msgspec.Struct, frozen=True):
    """A policy's thresholds, as written and in units of 1e-8."""

    hold: str
    hold_units: int
    breaker: str
    breaker_units: int
    hold_on_single_order: bool

    def stands_out(self, anomaly: str) -> bool:
        """Whether an anomaly score (six decimals) is above the breaker's threshold."""
        return parse_amount(anomaly) > self.breaker_units

    def of_order(self, scores: Scores, index: int) -> Crossing | None:
        """The hold that the decision at ``index`` brings by its own score."""
        if not self.hold_on_single_order or parse_amount(scores.anomaly) < self.hold_units:
            return None
        factor, _ = largest({name: parse_amount(one) for name, one in scores.factors.items()})
        if not factor:
            return None
        return Crossing("hold", "anomaly", factor, scores.factors[factor], self.hold, index)

    def of_risk(self, risks: dict[str, int], index: int) -> Crossing | None:
        """What the risk score, of these millionths for each factor, brings after an entry."""
        factor, score = largest(risks)
        if score * _UNITS >= self.hold_units:
            return Crossing("hold", "risk", factor, score_text(score), self.hold, index)
        if score * _UNITS > self.breaker_units:
            return Crossing("breaker", "risk", factor, score_text(score), self.breaker, index)
        return None


def read_thresholds(hold: str, breaker: str, *, hold_on_single_order: bool) -> Thresholds:
    """The thresholds of a policy. Raises MalformedInput."""
    return Thresholds(
        hold,
        parse_amount(hold, "hold_threshold"),
        breaker,
        parse_amount(breaker, "breaker_threshold"),
        hold_on_single_order,
    )


def incident_id(origin: str, trigger: int, kind: str) -> str:
    """The id of the incident that a crossing opens: 32 hexadecimal digits."""
    text = f"sekisho/incident/v1\n{origin}\n{trigger}\n{kind}"
    return sha256_hex(text.encode())[:_INCIDENT_DIGITS]
