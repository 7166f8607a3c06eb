# SPDX-License-Identifier: Apache-2.0
"""A month of one agent as entries of both logs, written by hand for the report's tests.

Verdicts and scores are made up to fill every part of the page; no gate made them.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from sekisho.core.encoding import b64
from sekisho.core.events import (
    AgentAdmitted,
    AlertSent,
    AuthorityEntry,
    BaselineAdopted,
    CertificateIssued,
    Counters,
    Decision,
    Execution,
    GateEntry,
    GateOpened,
    GraceStarted,
    IncidentAcknowledged,
    IncidentClosed,
    IncidentOpened,
    IncidentRecorded,
    PermitSigned,
    PolicyRegistered,
    RearmAuthorised,
    Rearmed,
    Resolved,
    Scores,
    StatusActed,
    StatusChanged,
    StopReported,
    Withdrawn,
)
from sekisho.core.evidence.chronicle import Chronicle
from sekisho.core.terms import DAY_S, NS, Code, Reason, format_instant, parse_day
from tests.gate_world import ORDER, POLICY

AGENT = "bot"
ORIGIN = "gate.example/g1"
FIRST = parse_day("2026-05-01")
DIGEST = "ab12" * 16
SIZE = Reason(Code.EXCEEDS_SCOPE_SIZE, "25000.00", "180000.00", "EUR")
HOURS = Reason(Code.OUTSIDE_TRADING_HOURS, "08:00-17:00", "2026-05-16T10:00:00", "UTC")
HELD = Reason(Code.CERTIFICATE_HELD, "", "", "")
INCIDENTS = ("1" * 32, "2" * 32)
BASELINE: dict[str, Any] = {
    "schema": "sekisho/baseline/v1",
    "agent": AGENT,
    "from": "2026-05-01",
    "to": "2026-05-14",
    "orders": 200,
    "days": 10,
    "factors": {
        "size": {"n": 200, "counts": [[960, 100], [1024, 90], [1100, 10]]},
        "frequency": {"n": 200, "counts": [[1, 10], [2, 100], [3, 90]]},
        "market": {"n": 200, "counts": [["EUR/GBP", 50], ["EUR/USD", 150]]},
        "hours": {"n": 200, "counts": [["08", 40], ["09", 160]]},
        "stress": {"n": 0, "counts": []},
        "counterparty": {"n": 19, "counts": [["BANK-A", 19]]},
        "latency": {"n": 180, "counts": [[12, 180]]},
        "success": {"n": 180, "counts": [["ok", 180]]},
    },
}


def policy(**scope: Any) -> dict[str, Any]:
    """The policy of these tests; ``scope`` replaces fields of its scope."""
    made = copy.deepcopy(POLICY)
    made["scope"] |= {
        "daily_notional_max": "200000",
        "message_rate": {"count_max": 100, "window_s": 60},
        "order_quantity_max": [{"market": "EUR/USD", "currency": "EUR", "max": "25000"}],
    } | scope
    made["version"] = 1
    made["operator"] = {
        "name": "Example Trading AG",
        "lei": "00000000000000000000",
        "competent_authority": "not_stated",
        "authorisation_reference": "not_stated",
    }
    made["risk_controls"] |= {"grace_period_s": 300}
    return made


def at(day: int, hour: int, minute: int = 0, second: int = 0) -> str:
    """A time on that day of May 2026, UTC."""
    seconds = (FIRST + day - 1) * DAY_S + hour * 3600 + minute * 60 + second
    return format_instant(seconds * NS)


def admitted(when: str, serial: str = "0a", **scope: Any) -> AgentAdmitted:
    """The agent under a certificate."""
    return AgentAdmitted(
        at=when,
        agent=AGENT,
        certificate=b64(serial.encode()),
        certificate_sha256=serial * 32,
        serial_number=serial,
        not_before=at(29, 9, 30) if serial == "0b" else at(1, 6, 45),
        not_after=format_instant((FIRST + 364) * DAY_S * NS),
        policy=policy(**scope),
        policy_sha256=DIGEST,
        authority_index=3,
    )


def counters(day: str, gross: str, orders: int = 1) -> Counters:
    """Counters of a day."""
    return Counters(
        day=day, gross_permitted=gross, open_reserved=gross, orders=orders, messages=orders % 7
    )


def scores(anomaly: str, risk: str, index: int = 0) -> Scores:
    """What the watch said."""
    return Scores(
        stressed="no",
        baseline_sha256="b" * 64 if anomaly else "",
        anomaly=anomaly,
        factors={"size": anomaly} if anomaly else {},
        risk=risk,
        scored=index,
    )


def decided(when: str, name: str, notional: str = "20000.00", **other: Any) -> Decision:
    """A decision; ``reasons`` make it a refusal."""
    refused = bool(other.get("reasons"))
    order = ORDER | {"client_order_id": name, "quantity": notional.removesuffix(".00") or "1"}
    fields: dict[str, Any] = {
        "at": when,
        "agent": AGENT,
        "order": order,
        "body_sha256": "b" * 64,
        "body_bytes": 200,
        "state": 0,
        "monotonic": "0",
        "verdict": "refused" if refused else "permitted",
        "reasons": (),
        "notional": notional,
        "before": counters(when[:10], "0.00"),
        "after": counters(when[:10], "0.00" if refused else notional or "0.00"),
        "scores": None,
        "rates": {},
        "certificate_sha256": "0a" * 32,
        "policy_sha256": DIGEST,
        "epoch": 0,
    }
    return Decision(**(fields | other))


def opened(index: int, when: str, kind: Any = "hold", trigger: int = 0, number: int = 0) -> Any:
    """An incident at the gate."""
    return IncidentOpened(
        at=when,
        incident=INCIDENTS[number],
        agent=AGENT,
        certificate_sha256="0a" * 32,
        incident_kind=kind,
        score="anomaly" if kind == "hold" else "risk",
        factor="size",
        observed="0.950000" if kind == "hold" else "0.760000",
        threshold="0.85" if kind == "hold" else "0.75",
        trigger=trigger,
    )


def execution(when: str, name: str, counterparty: str, kind: Any = "trade") -> Execution:
    """A report of the venue."""
    return Execution(
        at=when,
        agent=AGENT,
        venue="PAPER",
        client_order_id=name,
        venue_order_id=f"v-{name}",
        exec_id=f"x-{name}",
        exec_type=kind,
        last_quantity="20000",
        last_price="1.085",
        cum_quantity="20000",
        leaves_quantity="0",
        counterparty=counterparty,
        reason="",
        transact_at=when,
    )


def adopted(when: str) -> BaselineAdopted:
    """The baseline is in force."""
    return BaselineAdopted(
        at=when, agent=AGENT, baseline=BASELINE, baseline_sha256="b" * 64, authority_index=5
    )


def _draw(state: int) -> int:
    """The next of a fixed sequence of numbers that look like chance."""
    return (state * 6364136223846793005 + 1442695040888963407) % 2**64


def _day(day: int, state: int) -> Iterator[GateEntry]:
    """Orders of one working day, some refused."""
    gross, name = 0, 0
    for hour in range(8, 17):
        for minute in range(0, 60, 20):
            state = _draw(state)
            value = 1000 + (state >> 33) % 12500
            when, name = at(day, hour, minute, (state >> 20) % 60), name + 1
            refused = gross + value > 200_000
            gross += 0 if refused else value
            live = day > 14
            reason = Reason(
                Code.DAILY_VOLUME_CAP_EXCEEDED, "200000.00", f"{gross + value}.00", "EUR"
            )
            text = f"0.{100000 + (state >> 13) % 350000}" if live else ""
            yield decided(
                when,
                f"d{day:02d}-{name:02d}",
                f"{value}.00",
                reasons=(reason,) if refused else (),
                after=counters(when[:10], f"{gross}.00", name),
                order=ORDER
                | {
                    "client_order_id": f"d{day:02d}-{name:02d}",
                    "quantity": str(value),
                    "market": "EUR/USD" if state >> 62 else "GBP/EUR",
                },
                scores=scores(text, f"0.{20000 * (day - 14):06d}" if live else ""),
            )


def month() -> list[GateEntry]:
    """A gate's log of May 2026: baseline, live, a hold, a release, a breaker, a revocation."""
    entries: list[GateEntry] = [
        GateOpened(at=at(1, 7), gate="g1", boot="b" * 32, region="eu-west-1", environment="test"),
        admitted(at(1, 7, 1)),
    ]
    state = 1
    for day in range(1, 31):
        if day == 15:
            entries.append(adopted(at(15, 7)))
        if (FIRST + day - 1 + 3) % 7 < 5 and day < 29:
            for entry in _day(day, state):
                state = _draw(state)
                entries.append(entry)
                index = len(entries) - 1
                if isinstance(entry, Decision) and entry.verdict == "permitted":
                    _end(entries, index, entry)
            if day == 20:
                _hold(entries)
        elif day == 23:
            weekend = at(23, 10)
            entries.append(decided(weekend, "saturday", reasons=(HOURS, HELD)))
    _end_of_month(entries)
    return entries


def _end(entries: list[GateEntry], index: int, entry: Decision) -> None:
    name = str((entry.order or {})["client_order_id"])
    if index % 97 == 0:
        entries.append(Withdrawn(at=entry.at, agent=AGENT, decision=index, reason="status_changed"))
        return
    entries.append(PermitSigned(at=entry.at, agent=AGENT, decision=index, permit="p"))
    entries.append(execution(entry.at, name, "BANK-A" if index % 3 else "BANK-B"))


def _hold(entries: list[GateEntry]) -> None:
    when = at(20, 17, 0, 30)
    entries.append(
        decided(
            when,
            "large",
            "180000.00",
            reasons=(SIZE, Reason(Code.ANOMALOUS_ORDER, "0.75", "0.950000", "score")),
            scores=scores("0.950000", "0.210000"),
        )
    )
    entries += [
        opened(0, when, trigger=len(entries) - 1),
        StatusActed(
            at=when,
            agent=AGENT,
            certificate_sha256="0a" * 32,
            status="hold",
            reason="certificateHold",
            epoch=1,
        ),
        StopReported(
            at=when, agent=AGENT, epoch=1, confirmed=("d20-26",), unconfirmed=(), complete=True
        ),
        decided(at(20, 17, 1), "after-hold", reasons=(HELD,)),
        StatusActed(
            at=at(20, 18),
            agent=AGENT,
            certificate_sha256="0a" * 32,
            status="good",
            reason="",
            epoch=2,
        ),
    ]


def _end_of_month(entries: list[GateEntry]) -> None:
    entries += [
        decided(at(28, 17, 30), "late", reasons=(HOURS,), scores=scores("0.440000", "0.760000")),
        opened(0, at(28, 17, 30), "breaker", len(entries), 1),
        Rearmed(
            at=at(28, 18),
            agent=AGENT,
            latch="circuit_breaker",
            seats=("compliance-1", "risk-1"),
            commands=("c", "r"),
        ),
        StatusActed(
            at=at(29, 9),
            agent=AGENT,
            certificate_sha256="0a" * 32,
            status="revoked",
            reason="cessationOfOperation",
            epoch=3,
        ),
        admitted(at(29, 10), "0b"),
        decided(at(29, 10, 5), "again", "5000.00"),
    ]


def status(when: str, what: Any, cause: str, incident: str = "", *seats: str) -> StatusChanged:
    """A change of status at the authority."""
    return StatusChanged(
        at=when,
        agent=AGENT,
        serial_number="0a",
        certificate_sha256="0a" * 32,
        status=what,
        reason="",
        epoch=1,
        cause=cause,
        incident=incident,
        seats=seats,
        commands=(),
    )


def recorded(when: str, number: int, kind: Any, agent: str = AGENT) -> IncidentRecorded:
    """An incident arrived at the authority."""
    gate = opened(0, when, kind, 7, number)
    return IncidentRecorded(
        at=when,
        incident=gate.incident,
        agent=agent,
        certificate_sha256=gate.certificate_sha256,
        origin=ORIGIN,
        index=8,
        incident_kind=kind,
        score=gate.score,
        factor=gate.factor,
        observed=gate.observed,
        threshold=gate.threshold,
    )


def issued(when: str, serial: str) -> CertificateIssued:
    """A certificate."""
    return CertificateIssued(
        at=when,
        agent=AGENT,
        serial_number=serial,
        certificate=b64(serial.encode()),
        certificate_sha256=serial * 32,
        policy_sha256=DIGEST,
        resolution_sha256="e" * 64,
        renews="",
        not_before=when,
        not_after=format_instant((FIRST + 364) * DAY_S * NS),
    )


def procedure() -> list[AuthorityEntry]:
    """The authority's log of the same month."""
    return [*_approved(), *_answered(INCIDENTS[0]), *_ended(INCIDENTS[1])]


def _approved() -> list[AuthorityEntry]:
    approvals = [{"seat": "ceo-1"}, {"seat": "cfo-1"}]
    return [
        PolicyRegistered(
            at=at(1, 6), agent=AGENT, policy=policy(), policy_sha256=DIGEST, defaults=()
        ),
        Resolved(
            at=at(1, 6, 30),
            policy_sha256=DIGEST,
            resolution={"approvals": approvals},
            resolution_sha256="e" * 64,
        ),
        issued(at(1, 6, 45), "0a"),
    ]


def _answered(first: str) -> list[AuthorityEntry]:
    return [
        recorded(at(20, 17, 0, 30), 0, "hold"),
        status(at(20, 17, 0, 30), "hold", "automatic_hold", first),
        AlertSent(
            at=at(20, 17, 0, 31),
            incident=first,
            about="opened",
            channel="mail",
            outcome="failed",
            detail="no answer",
        ),
        AlertSent(
            at=at(20, 17, 0, 32),
            incident=first,
            about="opened",
            channel="pager",
            outcome="delivered",
            detail="",
        ),
        GraceStarted(
            at=at(20, 17, 0, 32), incident=first, ends_at=at(20, 17, 5, 32), monotonic="1"
        ),
        IncidentAcknowledged(
            at=at(20, 17, 3),
            incident=first,
            disposition="investigating",
            revoke_at="",
            ends_at=at(21, 17, 3),
            monotonic="2",
            seats=("compliance-1",),
            commands=("c",),
        ),
        status(at(20, 18), "good", "release", first, "compliance-1", "risk-1"),
        IncidentClosed(at=at(20, 18), incident=first, outcome="released"),
    ]


def _ended(second: str) -> list[AuthorityEntry]:
    return [
        recorded(at(28, 17, 30, 1), 1, "breaker"),
        RearmAuthorised(
            at=at(28, 18),
            agent=AGENT,
            latch="circuit_breaker",
            epoch=2,
            seats=("compliance-1", "risk-1"),
            commands=("c", "r"),
        ),
        IncidentClosed(at=at(28, 18), incident=second, outcome="rearmed"),
        status(at(29, 9), "revoked", "revoke", "", "compliance-1"),
        issued(at(29, 9, 30), "0b"),
    ]


def chronicle(gate: Any = (), authority: Any = ()) -> Chronicle:
    """Both logs, the gate's first."""
    made = Chronicle(AGENT)
    for index, entry in enumerate(gate):
        made.take_gate(index, entry)
    for index, entry in enumerate(authority):
        made.take_authority(index, entry)
    return made


def monthly() -> dict[str, Any]:
    """The figures of the whole month."""
    return chronicle(month(), procedure()).figures()
