# SPDX-License-Identifier: Apache-2.0
"""What the watch remembers of one agent: a fold of the entries that name it
(docs/spec/behaviour.md).

Its policy day is that of docs/spec/checks.md section 2: it is rolled before an entry is taken, and
never back.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from sekisho.core.behaviour import history
from sekisho.core.behaviour.activity import Activity
from sekisho.core.behaviour.baseline import Collected, Collecting, read_baseline
from sekisho.core.behaviour.comparison import Comparison
from sekisho.core.behaviour.crossing import Crossing, Thresholds, read_thresholds
from sekisho.core.errors import MalformedInput
from sekisho.core.events import (
    AccumulationRestarted,
    AgentAdmitted,
    BaselineAdopted,
    Decision,
    Execution,
    GateEntry,
    HistoryPart,
    IncidentOpened,
    OutcomeUnresolved,
)
from sekisho.core.localtime import LocalTime, read_offsets
from sekisho.core.scope import ZoneOffset
from sekisho.core.terms import Code


class _Scope(msgspec.Struct, frozen=True):
    zone_offsets: tuple[ZoneOffset, ...]


class _RiskControls(msgspec.Struct, frozen=True):
    hold_threshold: str
    breaker_threshold: str
    hold_on_single_order: bool


class Rules(msgspec.Struct, frozen=True):
    """What a policy says of the baseline's window."""

    baseline_days: int
    baseline_orders_min: int


class WatchTerms(msgspec.Struct, frozen=True):
    """What the watch reads of a policy; governance checked the rest when it registered it."""

    scope: _Scope
    risk_controls: _RiskControls
    behaviour: Rules


def read_terms(policy: dict[str, Any]) -> tuple[LocalTime, Thresholds, Rules]:
    """Time zone, thresholds and rules of the baseline.

    Raises:
        MalformedInput: a term is missing or not what its name says.
    """
    try:
        terms = msgspec.convert(policy, WatchTerms)
    except msgspec.ValidationError as error:
        raise MalformedInput(f"policy: {error}", "policy") from error
    if not terms.scope.zone_offsets:
        raise MalformedInput("policy: zone_offsets must not be empty", "scope.zone_offsets")
    controls = terms.risk_controls
    thresholds = read_thresholds(
        controls.hold_threshold,
        controls.breaker_threshold,
        hold_on_single_order=controls.hold_on_single_order,
    )
    return read_offsets(terms.scope.zone_offsets), thresholds, terms.behaviour


NOT_ABOUT_THE_ORDER: Final = frozenset(
    {
        Code.CERTIFICATE_NOT_YET_VALID,
        Code.CERTIFICATE_EXPIRED,
        Code.CERTIFICATE_HELD,
        Code.CERTIFICATE_REVOKED,
        Code.POLICY_NOT_IN_FORCE,
        Code.REVIEW_OVERDUE,
        Code.ENVIRONMENT_MISMATCH,
        Code.LEASE_EXPIRED,
        Code.RATE_MISSING,
        Code.RATE_STALE,
        Code.RATE_CROSSED,
        Code.RATE_OUTLIER,
        Code.RATE_SOURCES_DISAGREE,
        Code.REGION_NOT_ALLOWED,
        Code.EXECUTION_THROTTLE_LATCHED,
        Code.CONSECUTIVE_FAILURES_LATCHED,
        Code.BASELINE_MISSING,
    }
)
"""Refusals that would meet any order at that moment."""


class AgentWatch:
    """One agent's part of the watch. Only the fold writes to it.

    Attributes:
        local: the time zone of the policy in force.
        day: the policy day that was rolled to.
        activity: what it did lately.
        comparison: with the baseline in force; None in the baseline phase.
        crossing: what the last entries crossed, until an incident or a restart answers it.
    """

    def __init__(self, entry: AgentAdmitted, at: int) -> None:
        self.local, self.thresholds, self._rules = read_terms(entry.policy)
        self.day = self.local.day(at)
        self.activity = Activity()
        self.comparison: Comparison | None = None
        self.crossing: Crossing | None = None
        self._collecting = Collecting(entry.agent)
        self.taking = ("", 0)
        """Digest of the history that is being taken, and its next part."""

    def day_of(self, now: int) -> int:
        """The policy day at ``now``, which no entry precedes."""
        return max(self.day, self.local.day(now))

    def roll(self, at: int) -> None:
        """Begin a new policy day if ``at`` lies in one."""
        day = self.local.day(at)
        if day > self.day:
            self.day = day
            if self.comparison is not None:
                self.comparison.roll(day)

    def take(self, index: int, at: int, entry: GateEntry) -> None:
        """Take one entry that names the agent; the day was rolled to it."""
        match entry:
            case AgentAdmitted():
                self.local, self.thresholds, self._rules = read_terms(entry.policy)
                self.roll(at)
            case BaselineAdopted():
                if self.comparison is None:
                    baseline = read_baseline(entry.baseline)
                    self.comparison = Comparison(baseline, entry.baseline_sha256, index)
                    self.activity.restart_hour()
            case AccumulationRestarted():
                if self.comparison is not None:
                    self.comparison.restart(index)
                    self.activity.restart_hour()
                self.crossing = None
            case IncidentOpened():
                if entry.incident_kind != "break":
                    self.crossing = None
            case HistoryPart():
                history.take(self, index, entry)
            case _:
                self._observe(index, at, entry)

    def collected(self, now: int) -> Collected:
        """The baseline as it is at ``now``, and what it lacks."""
        return self._collecting.collected(self.day_of(now), self._rules.baseline_orders_min)

    def _observe(self, index: int, at: int, entry: GateEntry) -> None:
        comparison = self.comparison
        counts = not isinstance(entry, Decision) or _learned_from(entry)
        if (
            counts
            and isinstance(entry, Decision)
            and entry.order
            and entry.order["action"] == "new"
        ):
            self._collecting.new_decision(self.day, self._rules.baseline_days)
        for observation in self.activity.observe(index, at, entry, self.local):
            if counts:
                self._collecting.observe(self.day, observation)
            if comparison is not None:
                comparison.observe(self.day, observation)
        if comparison is not None and isinstance(entry, Decision | Execution | OutcomeUnresolved):
            self._judge(index, entry, comparison)

    def _judge(
        self, index: int, entry: Decision | Execution | OutcomeUnresolved, comparison: Comparison
    ) -> None:
        """Compare the scores after an entry that can raise them with the thresholds.

        What one order crossed stands until the next decision: a report of the venue in between does
        not answer it.
        """
        held = self.crossing
        own = held if held is not None and held.score == "anomaly" else None
        if isinstance(entry, Decision):
            own = None
            scores = entry.scores
            if scores is not None and scores.anomaly:
                stands_out = self.thresholds.stands_out(scores.anomaly)
                comparison.judged(self.day, stands_out=stands_out)
                own = self.thresholds.of_order(scores, index)
        self.crossing = own or self.thresholds.of_risk(comparison.risks(), index)


def _learned_from(decision: Decision) -> bool:
    """Whether a decision tells what is normal: nothing about the order itself refuses it.

    What the scope refuses is not how the agent trades, and could be anything.
    """
    return all(reason.code in NOT_ABOUT_THE_ORDER for reason in decision.reasons)
