# SPDX-License-Identifier: Apache-2.0
"""What a rehearsal counts, and the summary that it makes of it (docs/reference/rehearse.md, 5).

It takes what the gate recorded and decides nothing. What it keeps does not grow with the history:
counts, the first of each kind, the highest of each kind.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from sekisho.core.amounts import format_money, parse_money
from sekisho.core.drills.history import BadRow, HistoryRow
from sekisho.core.events import Decision, IncidentOpened, Latch, RateUsed
from sekisho.core.terms import Reason, format_instant

SCHEMA = "sekisho/rehearsal/v1"
EXAMPLES_MAX = 3
BAD_ROWS_MAX = 10
INCIDENTS_MAX = 1_000


@dataclass
class _Refusals:
    """One reason code: how many orders, and the first of them."""

    orders: int = 0
    first: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class _Highest:
    """The highest score of something, and where it was."""

    score: str = ""
    line: int = 0
    name: str = ""

    def take(self, text: str, line: int, name: str) -> None:
        """Keep a score above those before; scores have six decimals and sort as text."""
        if text > self.score:
            self.score, self.line, self.name = text, line, name

    def shown(self) -> dict[str, Any] | None:
        """For the summary; None where there was none."""
        if not self.score:
            return None
        return {"score": self.score, "line": self.line, "id": self.name}


class DecisionLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``decisions.jsonl``: what the gate made of one row.

    ``verdict``: ``permitted``, ``refused``, ``withdrawn`` (permitted, then stopped before it was
    signed), ``repeated`` (an id that came before with the same content: the first answer again).
    """

    line: int
    time: str
    id: str
    verdict: str
    reasons: tuple[Reason, ...]
    rates: dict[str, dict[str, RateUsed]]
    anomaly: str
    risk: str
    contributions: dict[str, str]


class RehearsalFigures:
    """Counts of one run."""

    def __init__(self, agent: str, currency: str) -> None:
        self.agent = agent
        self.currency = currency
        self.rows = 0
        self.bad = 0
        self.bad_rates = 0
        self.renewals = 0
        self.last_line = 0
        self.verdicts = dict.fromkeys(("permitted", "refused", "withdrawn", "repeated"), 0)
        self.days = 0
        self.without_outcome = 0
        self.refusals: dict[str, _Refusals] = {}
        self.incidents: dict[str, int] = {"breaker": 0, "hold": 0}
        self.latches: dict[str, int] = {}
        self.first_bad: list[BadRow] = []
        self.highest_day = ("", 0)
        self.adopted_line = 0
        self._opened: list[dict[str, Any]] = []
        self._first = self._last = ""
        self._day = ""
        self._anomaly, self._risk = _Highest(), _Highest()
        self._factors: dict[str, _Highest] = {}

    @property
    def good(self) -> int:
        """Rows that were read."""
        return self.rows - self.bad

    @property
    def asked(self) -> int:
        """Orders that the gate decided about."""
        return self.good - self.verdicts["repeated"]

    def bad_row(self, row: BadRow) -> None:
        """A row that could not be read."""
        self.rows += 1
        self.bad += 1
        self.last_line = max(self.last_line, row.line)
        if len(self.first_bad) < BAD_ROWS_MAX:
            self.first_bad.append(row)

    def bad_rate(self, row: BadRow) -> None:
        """A row of the rates that could not be read."""
        self.bad_rates += 1
        if len(self.first_bad) < BAD_ROWS_MAX:
            self.first_bad.append(row)

    def row(self, row: HistoryRow, verdict: str, entry: Decision | None) -> DecisionLine:
        """A row that was read, with the gate's decision; None for a repeated one."""
        self.rows += 1
        self.last_line = row.line
        self.verdicts[verdict] += 1
        self.without_outcome += row.outcome is None
        time = format_instant(row.at)
        self._first = self._first or time
        self._last = time
        reasons: tuple[Reason, ...] = ()
        anomaly = risk = ""
        factors: dict[str, str] = {}
        rates: dict[str, dict[str, RateUsed]] = {}
        if entry is not None:
            reasons, rates = entry.reasons, entry.rates
            self._count_day(entry)
            self._count_refusals(row, time, reasons)
            if entry.scores is not None:
                anomaly, risk, factors = self._count_scores(row, entry)
        return DecisionLine(
            line=row.line,
            time=time,
            id=row.client_order_id,
            verdict=verdict,
            reasons=reasons,
            rates=rates,
            anomaly=anomaly,
            risk=risk,
            contributions=factors,
        )

    def incident(self, line: int, entry: IncidentOpened) -> None:
        """An incident that would have been opened; ``line`` is the last row asked about."""
        self.incidents[entry.incident_kind] = self.incidents.get(entry.incident_kind, 0) + 1
        if len(self._opened) < INCIDENTS_MAX:
            self._opened.append(
                {
                    "line": line,
                    "time": entry.at,
                    "kind": entry.incident_kind,
                    "score": entry.score,
                    "factor": entry.factor,
                    "observed": entry.observed,
                    "threshold": entry.threshold,
                }
            )

    def latch(self, latch: Latch) -> None:
        """A latch that people would have had to take off."""
        self.latches[latch] = self.latches.get(latch, 0) + 1

    def summary(
        self,
        *,
        complete: bool,
        policy: dict[str, Any],
        baseline: dict[str, Any],
        notes: list[str],
    ) -> dict[str, Any]:
        """Everything that was counted, as ``summary.json`` has it."""
        return {
            "schema": SCHEMA,
            "complete": complete,
            "up_to_line": self.last_line,
            "agent": self.agent,
            "policy": policy,
            "period": {"from": self._first, "to": self._last, "days": self.days},
            "rows": {"read": self.rows, "good": self.good, "bad": self.bad},
            "rates": {"bad": self.bad_rates},
            "orders": {"asked": self.asked, **self.verdicts},
            "refusals": [
                {"code": code, "orders": found.orders, "first": found.first}
                for code, found in sorted(
                    self.refusals.items(), key=lambda item: (-item[1].orders, item[0])
                )
            ],
            "highest_day": {
                "day": self.highest_day[0],
                "gross_permitted": format_money(self.highest_day[1]),
                "currency": self.currency,
            },
            "incidents": {
                **self.incidents,
                "latches": dict(sorted(self.latches.items())),
                "first": self._opened,
            },
            "scores": {
                "highest_anomaly": self._anomaly.shown(),
                "highest_risk": self._risk.shown(),
                "highest_by_factor": {
                    name: found.shown() for name, found in sorted(self._factors.items())
                },
            },
            "baseline": baseline,
            "bad_rows": [msgspec.to_builtins(row) for row in self.first_bad],
            "notes": notes,
        }

    def _count_day(self, entry: Decision) -> None:
        if entry.after is None:
            return
        if entry.after.day != self._day:
            self._day = entry.after.day
            self.days += 1
        gross = parse_money(entry.after.gross_permitted)
        if gross > self.highest_day[1]:
            self.highest_day = (entry.after.day, gross)

    def _count_refusals(self, row: HistoryRow, time: str, reasons: tuple[Reason, ...]) -> None:
        seen: set[str] = set()
        for reason in reasons:
            code = str(reason.code)
            if code in seen:
                continue  # an order counts once for a code, however many reasons have it
            seen.add(code)
            found = self.refusals.setdefault(code, _Refusals())
            found.orders += 1
            if len(found.first) < EXAMPLES_MAX:
                found.first.append(
                    {
                        "line": row.line,
                        "time": time,
                        "id": row.client_order_id,
                        "limit": reason.limit,
                        "observed": reason.observed,
                        "unit": reason.unit,
                    }
                )

    def _count_scores(self, row: HistoryRow, entry: Decision) -> tuple[str, str, dict[str, str]]:
        scores = entry.scores
        if scores is None:
            return "", "", {}
        self._anomaly.take(scores.anomaly, row.line, row.client_order_id)
        self._risk.take(scores.risk, row.line, row.client_order_id)
        for name, score in scores.factors.items():
            self._factors.setdefault(name, _Highest()).take(score, row.line, row.client_order_id)
        return scores.anomaly, scores.risk, scores.factors
