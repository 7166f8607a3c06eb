# SPDX-License-Identifier: Apache-2.0
"""Checks of what the watch says: rows 27 to 30 of docs/spec/checks.md section 4.

The gate knows numbers and whose baseline they are of; who computed them, and how, it does not know.
A watch that is missing, behind, or speaks of another baseline refuses.
"""

from __future__ import annotations

from sekisho.core.amounts import parse_amount
from sekisho.core.gate.checks import Asked, Reasons
from sekisho.core.gate.shutdown_checks import passes_breaker
from sekisho.core.terms import Code, Reason


def baseline(asked: Asked) -> Reasons:
    """Row 27: whether an agent may trade before a baseline is in force."""
    if not asked.agent.baseline_sha256 and (
        asked.limits.terms.behaviour.without_baseline != "scope_checks"
    ):
        yield Reason(Code.BASELINE_MISSING, "", "", "")


def freshness(asked: Asked) -> Reasons:
    """Row 28: with a baseline in force, scores are of it and take in what happened until now."""
    scores, most = asked.scores, asked.limits.terms.behaviour.risk_lag_entries_max
    if not asked.agent.baseline_sha256 or asked.terms is None:
        return
    if (
        scores is None
        or scores.baseline_sha256 != asked.agent.baseline_sha256
        or not scores.risk
        or not scores.anomaly
    ):
        yield Reason(Code.RISK_SCORE_STALE, str(most), "", "entries")
        return
    lag = asked.state.size - scores.scored
    if not 0 <= lag <= most:
        yield Reason(Code.RISK_SCORE_STALE, str(most), str(lag), "entries")


def anomaly(asked: Asked) -> Reasons:
    """Row 29: the order's own anomaly score."""
    scores = asked.scores
    if scores is not None and scores.anomaly and above_threshold(asked, scores.anomaly):
        yield Reason(Code.ANOMALOUS_ORDER, _threshold(asked), scores.anomaly, "score")


def circuit_breaker(asked: Asked) -> Reasons:
    """Row 30: the breaker's latch, and the risk score itself; an order that reduces passes both
    while the latch is on.
    """
    scores = asked.scores
    risk = "" if scores is None else scores.risk
    latched = "circuit_breaker" in asked.agent.latches
    if latched and passes_breaker(asked):
        return
    if latched or (risk and above_threshold(asked, risk)):
        yield Reason(Code.CIRCUIT_BREAKER_ACTIVE, _threshold(asked), risk, "score")


def above_threshold(asked: Asked, score: str) -> bool:
    """Whether a score (six decimals) is above the policy's breaker threshold."""
    return parse_amount(score) > asked.limits.breaker_threshold


def _threshold(asked: Asked) -> str:
    return asked.limits.terms.risk_controls.breaker_threshold
