# SPDX-License-Identifier: Apache-2.0
"""A log of one agent, ``bot``, written by hand and folded by the watch alone.

No gate decides here: the entries say what they are told to say. Time moves by hand, in seconds.
"""

from __future__ import annotations

import copy
from typing import Any

from sekisho.core.behaviour.watch import RiskScore, WatchState
from sekisho.core.events import (
    AccumulationRestarted,
    AgentAdmitted,
    BaselineAdopted,
    Decision,
    Execution,
    GateEntry,
    GateOpened,
    IncidentOpened,
    OutcomeUnresolved,
    PermitSigned,
    Scores,
    Withdrawn,
)
from sekisho.core.sight import Sight
from sekisho.core.terms import DAY_S, NS, day_text, format_instant, parse_instant

START = parse_instant("2026-01-05T09:00:00.000000000Z")  # a Monday
UTC = [{"since": "1970-01-01T00:00:00.000000000Z", "utc_offset_s": 0}]
FACTORS = ["size", "frequency", "market", "hours", "stress", "counterparty", "latency", "success"]
QUIET = Scores(stressed="no", baseline_sha256="", anomaly="", factors={}, risk="", scored=0)


def policy(**changes: Any) -> dict[str, Any]:
    """A policy as far as the watch reads it; changes by the field's name."""
    made: dict[str, Any] = {
        "scope": {"zone_offsets": copy.deepcopy(UTC), "currency": "EUR"},
        "risk_controls": {
            "hold_threshold": "0.85",
            "breaker_threshold": "0.75",
            "hold_on_single_order": False,
            "lease_s": 15,
        },
        "behaviour": {"baseline_days": 14, "baseline_orders_min": 20},
    }
    for name, value in changes.items():
        next(part for part in made.values() if name in part)[name] = value
    return made


def rows(factor: str, counts: dict[Any, int]) -> dict[str, Any]:
    """One factor of a baseline object."""
    return {"n": sum(counts.values()), "counts": [[key, counts[key]] for key in sorted(counts)]}


def baseline_of(orders: int = 100, /, **factors: dict[Any, int]) -> dict[str, Any]:
    """A baseline object: the factors that are named, and nothing observed of the others."""
    return {
        "schema": "sekisho/baseline/v1",
        "agent": "bot",
        "from": "2026-01-05",
        "to": "2026-01-18",
        "orders": orders,
        "days": 10,
        "factors": {name: rows(name, factors.get(name, {})) for name in FACTORS},
    }


class Trail:
    """The log and the watch that folds it."""

    def __init__(self, admitted: dict[str, Any] | None = None, *, start: int = START) -> None:
        self.watch = WatchState("gate.example/g1")
        self.entries: list[GateEntry] = []
        self.now = start
        self.names = 0
        self.add(GateOpened, gate="g1", boot="0" * 32, region="eu-west-1", environment="test")
        self.admit(admitted or policy())

    # -- entries -------------------------------------------------------------------------------

    def add(self, kind: Any, **fields: Any) -> int:
        """Fold one entry at the present time; returns its index."""
        index = len(self.entries)
        entry = kind(at=format_instant(self.now), **fields)
        self.entries.append(entry)
        self.watch.apply(index, entry)
        return index

    def later(self, seconds: float) -> None:
        self.now += round(seconds * NS)

    def until_day(self, days: int, hour: int = 9) -> None:
        """Go to an hour of a later day."""
        self.now = (self.now // NS // DAY_S + days) * DAY_S * NS + hour * 3600 * NS

    def admit(self, admitted: dict[str, Any], agent: str = "bot") -> int:
        return self.add(
            AgentAdmitted, agent=agent, certificate="", certificate_sha256="c" * 64,
            serial_number="01", not_before="", not_after="", policy=admitted,
            policy_sha256="d" * 64, authority_index=0,
        )  # fmt: skip

    def reopen(self) -> int:
        return self.add(GateOpened, gate="g1", boot="1" * 32, region="r", environment="test")

    def decide(
        self, order: dict[str, Any] | None, *, permitted: bool = True, money: str = "100.00",
        scores: Scores | None = QUIET, agent: str = "bot",
    ) -> int:  # fmt: skip
        return self.add(
            Decision, agent=agent, order=order, body_sha256="e" * 64, body_bytes=1,
            state=len(self.entries), monotonic="0", verdict="permitted" if permitted else "refused",
            reasons=(), notional=money, before=None, after=None, scores=scores, rates={},
            certificate_sha256="c" * 64, policy_sha256="d" * 64, epoch=0,
        )  # fmt: skip

    def new(self, name: str = "", market: str = "EUR/USD", **more: Any) -> int:
        """A decision about a new order."""
        self.names += 1
        name = name or f"o{self.names}"
        return self.decide({"action": "new", "client_order_id": name, "market": market}, **more)

    def amend(self, name: str, orig: str, **more: Any) -> int:
        return self.decide(
            {"action": "amend", "client_order_id": name, "orig_client_order_id": orig,
             "quantity": "1"}, **more
        )  # fmt: skip

    def cancel(self, name: str, orig: str, **more: Any) -> int:
        return self.decide(
            {"action": "cancel", "client_order_id": name, "orig_client_order_id": orig},
            scores=None, money="", **more,
        )  # fmt: skip

    def sign(self, decision: int) -> int:
        return self.add(PermitSigned, agent="bot", decision=decision, permit="p")

    def withdraw(self, decision: int) -> int:
        return self.add(Withdrawn, agent="bot", decision=decision, reason="r")

    def report(self, kind: str, name: str, counterparty: str = "") -> int:
        return self.add(
            Execution, agent="bot", venue="PAPER", client_order_id=name, venue_order_id="V",
            exec_id=f"E{len(self.entries)}", exec_type=kind, last_quantity="1", last_price="1",
            cum_quantity="1", leaves_quantity="0", counterparty=counterparty, reason="",
            transact_at=format_instant(self.now),
        )  # fmt: skip

    def unresolved(self, name: str, operation: str = "submit") -> int:
        return self.add(
            OutcomeUnresolved, agent="bot", client_order_id=name, operation=operation, detail=""
        )

    def signed(self, name: str, **more: Any) -> int:
        """A new order that was permitted and signed."""
        return self.sign(self.new(name, **more))

    def adopt(self, baseline: dict[str, Any], digest: str = "b" * 64) -> int:
        return self.add(
            BaselineAdopted, agent="bot", baseline=baseline, baseline_sha256=digest,
            authority_index=9,
        )  # fmt: skip

    def restart(self) -> int:
        first, last = self.watch.restart_range("bot", len(self.entries))
        return self.add(AccumulationRestarted, agent="bot", first=first, last=last)

    def incident(self, kind: str = "breaker") -> int:
        return self.add(
            IncidentOpened, incident="0" * 32, agent="bot", certificate_sha256="c" * 64,
            incident_kind=kind, score="risk", factor="size", observed="0.9", threshold="0.85",
            trigger=len(self.entries) - 1,
        )  # fmt: skip

    # -- asking --------------------------------------------------------------------------------

    def sight(self, **changes: Any) -> Sight:
        return Sight("bot", self.now, "new", "EUR/USD", 100 * 10**8, "", "no")._replace(**changes)

    def scores(self, **changes: Any) -> Scores:
        return self.watch.scores(self.sight(**changes))

    def judged(self, anomaly: str, **factors: str) -> int:
        """A decision that records this anomaly score."""
        scores = Scores(
            stressed="no", baseline_sha256="b" * 64, anomaly=anomaly, factors=factors,
            risk="0.000000", scored=len(self.entries),
        )  # fmt: skip
        return self.new(scores=scores, money="")

    def counts(self, factor: str) -> dict[Any, int]:
        """What the baseline has of a factor."""
        found = self.watch.baseline("bot", self.now).baseline["factors"][factor]
        assert sum(count for _, count in found["counts"]) == found["n"]
        return dict(found["counts"])

    def risk(self) -> RiskScore:
        found = self.watch.risk("bot", self.now)
        assert found is not None
        return found

    def today(self) -> str:
        return day_text(self.now // NS // DAY_S)
