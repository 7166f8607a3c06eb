# SPDX-License-Identifier: Apache-2.0
"""One agent compared with its locked baseline: anomaly and risk score, each with its factors
(docs/spec/behaviour.md, sections 4 and 5).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from sekisho.core.behaviour.accumulation import Accumulation
from sekisho.core.behaviour.arithmetic import MILLION, score_text
from sekisho.core.behaviour.baseline import Baseline
from sekisho.core.behaviour.factors import ANOMALIES, ESTABLISHED_FROM, FACTORS, Observation
from sekisho.core.behaviour.rarity import Rarity
from sekisho.core.behaviour.wager import INCREMENT_MAX, Wager

USUAL_ORDER: Final = -50_000
"""What an order that does not stand out takes from the evidence of those that do."""
EVIDENCE_OF_ONE: Final = 12
"""Micro-decades of evidence for one millionth of score: nine decades are 0.75."""
_ORDER: Final = (*FACTORS, ANOMALIES)


class RiskScore(msgspec.Struct, frozen=True):
    """A risk score and what each factor contributes; ``not_established`` could not be compared."""

    score: str
    factors: dict[str, str]
    not_established: tuple[str, ...]


class Comparison:
    """The baseline in force and what was observed since.

    Attributes:
        baseline: what is compared with.
        sha256: digest of the baseline.
        began: index of the entry with which the accumulation began.
        not_established: factors of which the baseline has too few observations.
    """

    def __init__(self, baseline: Baseline, sha256: str, index: int) -> None:
        self.baseline = baseline
        self.sha256 = sha256
        self.began = index
        established = [name for name in FACTORS if baseline.factors[name].n >= ESTABLISHED_FROM]
        self.not_established = tuple(name for name in FACTORS if name not in established)
        self._rarities = {name: Rarity(baseline.factors[name]) for name in established}
        self._wagers = {name: Wager(name, baseline.factors[name]) for name in established}
        self._standing_out = Accumulation(1)
        self._accumulations: tuple[tuple[str, Accumulation], ...] = (
            *self._wagers.items(),
            (ANOMALIES, self._standing_out),
        )

    def wagers(self) -> dict[str, Wager]:
        """The bet on each established factor, in the order of the factors."""
        return self._wagers

    def standing_out(self) -> Accumulation:
        """The evidence of orders that stand out."""
        return self._standing_out

    def plain_baseline(self) -> dict[str, Any]:
        """The baseline as a log entry holds it."""
        plain: dict[str, Any] = msgspec.to_builtins(self.baseline)
        return plain

    # -- one order -----------------------------------------------------------------------------

    def anomaly(self, seen: Iterable[Observation]) -> tuple[int, dict[str, int]]:
        """The anomaly score of an order and the score of each factor, in millionths."""
        scores = {
            name: self._rarities[name].score(value)
            for name, value in seen
            if name in self._rarities
        }
        return max(scores.values(), default=0), scores

    # -- the window ----------------------------------------------------------------------------

    def observe(self, day: int, observation: Observation) -> None:
        """Take one observation of the day that was rolled to."""
        name, value = observation
        wager = self._wagers.get(name)
        if wager is not None:
            wager.observe(day, value)

    def judged(self, day: int, *, stands_out: bool) -> None:
        """An order was scored: whether it was above the breaker's threshold."""
        self._standing_out.add(day, INCREMENT_MAX if stands_out else USUAL_ORDER, 0)

    def roll(self, day: int) -> None:
        """Begin a later policy day."""
        for _, accumulation in self._accumulations:
            accumulation.roll(day)

    def restart(self, index: int) -> None:
        """Forget what was observed: the entry at ``index`` says that it begins anew."""
        self.began = index
        for _, accumulation in self._accumulations:
            accumulation.restart()

    def risks(self) -> dict[str, int]:
        """The risk score of each factor, in millionths, on the day that was rolled to."""
        return {name: _score(one.evidence) for name, one in self._accumulations}

    def risks_on(self, day: int) -> dict[str, int]:
        """The same as it would be at the beginning of a later policy day."""
        return {name: _score(one.evidence_on(day)) for name, one in self._accumulations}


def _score(evidence: int) -> int:
    return min(MILLION, evidence // EVIDENCE_OF_ONE)


def largest(scores: dict[str, int]) -> tuple[str, int]:
    """The first of the largest, in the order of the factors; ``("", -1)`` without any."""
    found, most = "", -1
    for name in _ORDER:
        score = scores.get(name, -1)
        if score > most:
            found, most = name, score
    return found, most


def as_texts(scores: dict[str, int]) -> dict[str, str]:
    """Scores as they are written."""
    return {name: score_text(score) for name, score in scores.items()}
