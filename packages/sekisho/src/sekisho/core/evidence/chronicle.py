# SPDX-License-Identifier: Apache-2.0
"""What happened to one agent, gathered from both logs for a report (docs/reference/report.md).

Entries are taken one by one, in log order; the two logs may be mixed. What is kept does not grow
with the number of orders: counts are exact, per policy day and in all; points of plots are thinned,
but never the largest orders, the refusals' extremes, or what opened an incident. Nothing is judged
and nothing proven here; a bundle does that.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import Any, Final

import msgspec

from sekisho.core.amounts import format_money, parse_amount
from sekisho.core.events import (
    AgentAdmitted,
    AuthorityEntry,
    BaselineAdopted,
    Decision,
    Execution,
    GateEntry,
    GateOpened,
    IncidentOpened,
    PermitSigned,
    Rearmed,
    StatusActed,
    StopReported,
    Withdrawn,
)
from sekisho.core.evidence.baseline_digest import digest_of, labels_of, read_counts
from sekisho.core.evidence.days_seen import Caps, DaysSeen, WeekHours
from sekisho.core.evidence.incident_story import IncidentStory
from sekisho.core.evidence.limits_seen import LimitsSeen, Tally, order_id
from sekisho.core.evidence.points_seen import PointsSeen
from sekisho.core.evidence.standing import Standing
from sekisho.core.evidence.thinning import FirstAndLast, Peak, Spans
from sekisho.core.localtime import LocalTime, read_offsets
from sekisho.core.markets import pair_of
from sekisho.core.scope import Scope
from sekisho.core.terms import parse_instant

SCHEMA: Final = "sekisho/report/v1"
REFUSALS_HALF: Final = 250
"""Refusals listed: the first and the last so many of them."""
SPANS_MAX: Final = 1500
MIX_MAX: Final = 200
"""Labels of a mix counted by name; those that come later are counted together."""
_UTC: Final = LocalTime(((0, 0),))
_MICRO: Final = 100
"""Units of 1e-8 in a millionth: scores are integers of millionths here."""


class Mix:
    """Counts by label, before the baseline was in force and since. Labels are bounded."""

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}
        self._others = [0, 0]

    def take(self, label: str, *, live: bool) -> None:
        """One observation."""
        if label in self._counts or len(self._counts) < MIX_MAX:
            self._counts.setdefault(label, [0, 0])[live] += 1
        else:
            self._others[live] += 1

    def plain(self, locked: list[tuple[str, int]]) -> dict[str, Any]:
        """Rows ``{label, baseline, before, live}``, the most frequent first."""
        baseline = dict(locked)
        counted: list[tuple[str, int, int, int]] = []
        for label in {**baseline, **self._counts}:
            before, live = self._counts.get(label, (0, 0))
            counted.append((label, baseline.get(label, 0), before, live))
        counted.sort(key=lambda row: (-row[1], -row[3], -row[2], row[0]))
        rows = [
            {"label": label, "baseline": locked_count, "before": before, "live": live}
            for label, locked_count, before, live in counted
        ]
        return {"rows": rows, "others": {"before": self._others[0], "live": self._others[1]}}


class Chronicle:
    """Gathers one agent's life; :meth:`figures` can be asked at any time and changes nothing."""

    def __init__(self, agent: str) -> None:
        self._agent = agent
        self._standing = Standing(agent)
        self._incidents = IncidentStory(agent)
        self._limits = LimitsSeen()
        self._points = PointsSeen()
        self._days = DaysSeen()
        self._hours = WeekHours()
        self._spans = Spans(SPANS_MAX)
        self._refusals: FirstAndLast[dict[str, Any]] = FirstAndLast(REFUSALS_HALF)
        self._tallies: dict[str, Tally] = {}
        self._markets, self._counterparties = Mix(), Mix()
        self._executions: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._scope: Scope | None = None
        self._local = _UTC
        self._caps = Caps()
        self._adopted: BaselineAdopted | None = None
        self._names: OrderedDict[int, str] = OrderedDict()
        self._highest = {"anomaly": Peak(), "risk": Peak()}
        self._first_at = self._last_at = ""
        self._taken = {"gate": 0, "authority": 0}

    def take_gate(self, index: int, entry: GateEntry) -> None:
        """One entry of the gate's log.

        Raises:
            MalformedInput: an entry that no gate writes.
        """
        self._taken["gate"] += 1
        if isinstance(entry, GateOpened):
            self._standing.opened(entry)
            return
        if getattr(entry, "agent", None) != self._agent:
            return
        self._seen(entry.at)
        match entry:
            case Decision():
                self._decided(index, entry)
            case Withdrawn():
                self._counts["withdrawn"] += 1
                self._days.of(self._day(entry.at)).withdrawn += 1
                self._points.withdrawn(entry.decision)
            case PermitSigned():
                self._counts["signed"] += 1
            case Execution():
                self._executed(entry)
            case IncidentOpened():
                self._standing.crossed(entry)
                self._incidents.opened(index, entry, self._names.get(entry.trigger, ""))
                self._points.pin(entry.trigger, entry.incident_kind)
            case _:
                self._stood(index, entry)

    def take_authority(self, index: int, entry: AuthorityEntry) -> None:
        """One entry of the authority's log."""
        self._taken["authority"] += 1
        self._standing.take(index, entry)
        self._incidents.take(index, entry)

    def figures(self) -> dict[str, Any]:
        """Everything that the report shows: text, integers, booleans, lists and objects of them."""
        locked = None if self._adopted is None else read_counts(self._adopted.baseline)
        markets = labels_of(locked, "market") if locked else []
        counterparties = labels_of(locked, "counterparty") if locked else []
        return {
            "schema": SCHEMA,
            "agent": self._agent,
            "from": self._first_at,
            "to": self._last_at,
            "entries": dict(self._taken),
            "orders": self._orders(),
            "standing": self._standing.plain(),
            "controls": self._controls(),
            "limits": self._limits.plain(),
            "points": self._points.plain(),
            "days": self._days.plain(),
            "hours": self._hours.plain(),
            "scores": self._scores(),
            "refusals": {
                "count": self._refusals.seen,
                "listed": self._refusals.items(),
                "by_code": [tally.plain(code) for code, tally in sorted(self._tallies.items())],
            },
            "mix": {
                "market": self._markets.plain(markets),
                "counterparty": self._counterparties.plain(counterparties),
            },
            "baseline": digest_of(self._adopted, locked) if self._adopted and locked else {},
            "incidents": self._incidents.plain(),
        }

    # -- taking -------------------------------------------------------------------------------

    def _seen(self, at: str) -> None:
        self._first_at = self._first_at or at
        self._last_at = at

    def _day(self, at: str) -> int:
        return self._local.day(parse_instant(at))

    def _stood(self, index: int, entry: GateEntry) -> None:
        match entry:
            case AgentAdmitted():
                self._standing.admitted(index, entry)
                self._scope = msgspec.convert(entry.policy["scope"], Scope)
                self._local = read_offsets(self._scope.zone_offsets)
                self._caps = Caps.of(self._scope, entry.policy)
            case StatusActed():
                self._standing.acted(index, entry)
            case Rearmed():
                self._standing.rearmed(index, entry)
            case StopReported():
                self._standing.stopped(index, entry)
            case BaselineAdopted():
                read_counts(entry.baseline)  # refused here, where the entry is named
                self._adopted = self._adopted or entry
            case _:
                return

    def _decided(self, index: int, entry: Decision) -> None:
        now = parse_instant(entry.at)
        name = order_id(entry)
        action = "malformed" if entry.order is None else str(entry.order["action"])
        self._names[index] = name
        if len(self._names) > self._points.RECENT_MAX:
            self._names.popitem(last=False)
        self._counts[entry.verdict] += 1
        self._counts[f"{action} {entry.verdict}"] += 1
        cap = self._caps.now(live=self._adopted is not None)
        self._days.take(self._local.day(now), entry, cap)
        self._hours.take(self._local.seconds(now), refused=entry.verdict == "refused")
        self._points.take(index, entry, action)
        self._scored(now, entry, name)
        if action == "new" and entry.order is not None:
            pair, _ = pair_of(entry.order["market"])
            self._markets.take(pair, live=self._adopted is not None)
        if entry.verdict == "refused":
            self._refused(index, entry, action)
        elif self._scope is not None:
            self._limits.take(entry, self._scope, cap)

    def _scored(self, now: int, entry: Decision, name: str) -> None:
        if entry.scores is None:
            return
        span = self._spans.at(now)
        for text, kind, peak in (
            (entry.scores.anomaly, "anomaly", span.anomaly),
            (entry.scores.risk, "risk", span.risk),
        ):
            if text:
                value = parse_amount(text) // _MICRO
                peak.take(value, entry.at, name)
                self._highest[kind].take(value, entry.at, name)
        span.count += 1
        self._counts["scored"] += bool(entry.scores.anomaly)

    def _refused(self, index: int, entry: Decision, action: str) -> None:
        codes: set[str] = set()
        for reason in entry.reasons:
            code = str(reason.code)
            self._tallies.setdefault(code, Tally()).take(entry, reason, again=code in codes)
            codes.add(code)
        order = entry.order or {}
        self._refusals.take(
            {
                "index": index,
                "at": entry.at,
                "client_order_id": order_id(entry),
                "action": action,
                "market": order.get("market", ""),
                "side": order.get("side", ""),
                "notional": entry.notional,
                "reasons": [
                    {
                        "code": str(reason.code),
                        "limit": reason.limit,
                        "observed": reason.observed,
                        "unit": reason.unit,
                    }
                    for reason in entry.reasons
                ],
                "rates": msgspec.to_builtins(entry.rates),
            }
        )

    def _executed(self, entry: Execution) -> None:
        self._executions[entry.exec_type] += 1
        if entry.exec_type == "trade" and entry.counterparty:
            self._counterparties.take(entry.counterparty, live=self._adopted is not None)

    # -- telling ------------------------------------------------------------------------------

    def _orders(self) -> dict[str, Any]:
        counts = self._counts
        return {
            "asked": counts["permitted"] + counts["refused"],
            "permitted": counts["permitted"],
            "refused": counts["refused"],
            "withdrawn": counts["withdrawn"],
            "signed": counts["signed"],
            "by_action": [
                {
                    "action": action,
                    "permitted": counts[f"{action} permitted"],
                    "refused": counts[f"{action} refused"],
                }
                for action in ("new", "amend", "cancel", "malformed")
            ],
            "executions": [
                {"exec_type": kind, "count": count}
                for kind, count in sorted(self._executions.items())
            ],
        }

    def _controls(self) -> dict[str, Any]:
        policy = self._standing.policy
        controls = {} if policy is None else policy["risk_controls"]
        return {
            "breaker_threshold": controls.get("breaker_threshold", ""),
            "hold_threshold": controls.get("hold_threshold", ""),
            "grace_period_s": controls.get("grace_period_s", 0),
            "lease_s": controls.get("lease_s", 0),
            "time_zone": "UTC" if self._scope is None else self._scope.time_zone,
            "daily_cap": format_money(self._caps.now(live=self._adopted is not None)),
        }

    def _scores(self) -> dict[str, Any]:
        return {
            "scored": self._counts["scored"],
            "span_s": self._spans.width_s,
            "spans": [
                {
                    "start": start,
                    "orders": span.count,
                    "anomaly": _score(span.anomaly),
                    "risk": _score(span.risk),
                }
                for start, span in self._spans.rows()
            ],
            "highest_anomaly": _score(self._highest["anomaly"]),
            "highest_risk": _score(self._highest["risk"]),
        }


def _score(peak: Peak) -> dict[str, Any]:
    """A peak; ``score`` empty where nothing was scored."""
    score = f"{peak.value // 10**6}.{peak.value % 10**6:06d}" if peak.value >= 0 else ""
    return {"score": score, "at": peak.at, "client_order_id": peak.name}
