# SPDX-License-Identifier: Apache-2.0
"""Limits, incidents and the baseline, as a chronicle tells them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from sekisho.core.behaviour.arithmetic import bucket_floor
from sekisho.core.events import AlertSent, IncidentClosed, RearmAuthorised
from sekisho.core.evidence import incident_story
from sekisho.core.evidence.baseline_digest import digest_of, floor_of, read_counts
from sekisho.core.evidence.limits_seen import number_of
from sekisho.core.terms import Code
from tests.chronicle_world import (
    AGENT,
    INCIDENTS,
    SIZE,
    admitted,
    adopted,
    at,
    chronicle,
    counters,
    decided,
    issued,
    monthly,
    opened,
    procedure,
    recorded,
    status,
)


def uses(*entries: Any) -> dict[str, Any]:
    """The use of each limit, by name."""
    return {row["name"]: row for row in chronicle(entries).figures()["limits"]}


def alert(number: int = 0) -> AlertSent:
    """One attempt."""
    return AlertSent(
        at=at(3, 9),
        incident=INCIDENTS[number],
        about="opened",
        channel="mail",
        outcome="failed",
        detail="",
    )


def closed(outcome: Any, number: int = 0) -> IncidentClosed:
    """The end of an incident."""
    return IncidentClosed(at=at(3, 10), incident=INCIDENTS[number], outcome=outcome)


def story(*authority: Any) -> dict[str, Any]:
    """The first incident told, from the authority's log alone."""
    told: dict[str, Any] = chronicle((), authority).figures()["incidents"]["told"][0]
    return told


def test_limit_use_is_the_highest_share_of_permitted_orders() -> None:
    """Value, volume, count, messages and quantity; a refused order uses nothing."""
    found = uses(
        admitted(at(1, 7)),
        decided(at(4, 9), "a", "20000.00", after=counters("2026-05-04", "150000.00", 3)),
        decided(at(4, 9), "b", "25000.00", after=counters("2026-05-04", "160000.00", 2)),
        decided(at(4, 9), "c", "180000.00", reasons=(SIZE,)),
    )
    assert ("25000", "25000", "1.000000", "b") == (
        found["order_notional_max"]["observed"],
        found["order_notional_max"]["limit"],
        found["order_notional_max"]["share"],
        found["order_notional_max"]["client_order_id"],
    )
    assert ("160000", "0.800000") == (
        found["daily_notional_max"]["observed"],
        found["daily_notional_max"]["share"],
    )
    assert ("3", "") == (
        found["daily_order_count_max"]["observed"],
        found["daily_order_count_max"]["limit"],
    )
    assert ("3", "0.030000") == (
        found["message_rate"]["observed"],
        found["message_rate"]["share"],
    )
    assert "25000" == found["order_quantity_max EUR/USD EUR"]["observed"]


def test_limit_use_is_compared_by_share_when_the_limit_changed() -> None:
    """900 of 1,000 is nearer than 20,000 of 25,000, and a limit says more than none."""
    found = uses(
        admitted(at(1, 7), order_notional_max="none"),
        decided(at(2, 9), "free", "90000.00"),
        admitted(at(3, 7)),
        decided(at(3, 9), "large", "20000.00"),
        admitted(at(4, 7), order_notional_max="1000"),
        decided(at(4, 9), "near", "900.00"),
        admitted(at(5, 7), order_notional_max="none"),
        decided(at(5, 9), "free-again", "95000.00"),
    )["order_notional_max"]
    assert ("near", "1000", "0.900000") == (
        found["client_order_id"],
        found["limit"],
        found["share"],
    )


def test_limit_none_shows_the_highest_value_and_no_share() -> None:
    """Where nothing limits, the use is a value alone; what has no counters is left out."""
    found = uses(
        admitted(at(1, 7), order_notional_max="none", message_rate="none"),
        decided(at(2, 9), "a", "90000.00"),
        decided(at(2, 9), "b", "80000.00", after=None),
    )
    assert ("90000", "", "") == tuple(
        found["order_notional_max"][key] for key in ("observed", "limit", "share")
    )
    assert "message_rate" not in found


def test_limit_of_a_quantity_is_that_of_its_market() -> None:
    """Another market or currency has no row; amendments and policies without rows have none."""
    other = {"market": "GBP/EUR", "currency": "GBP"}
    amend = {"action": "amend", "client_order_id": "b", "quantity": "7"}
    order = decided(at(2, 9), "a").order or {}
    entries = [
        admitted(at(1, 7)),
        decided(at(2, 9), "a", order=order | other),
        decided(at(2, 9), "b", order=amend),
        admitted(at(3, 7), order_quantity_max="none"),
        decided(at(3, 9), "c"),
    ]
    assert [name for name in uses(*entries) if name.startswith("order_quantity_max")] == []


def test_limit_names_beyond_their_number_share_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Policies with ever new markets make no list longer."""
    monkeypatch.setattr("sekisho.core.evidence.limits_seen._MARKETS_MAX", 1)
    found = uses(admitted(at(1, 7)), decided(at(2, 9), "a"))
    assert {"order_notional_max", "others"} == set(found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("180000.00", 18_000_000_000_000),
        ("0.050000", 5_000_000),
        ("7", 700_000_000),
        ("", None),
        ("EUR/USD", None),
        ("2026-05-16T10:00:00", None),
        ("-1", None),
        ("1.", None),
    ],
)
def test_number_of_reads_numbers_and_nothing_else(text: str, expected: int | None) -> None:
    """Units of 1e-8; None where the text is no number."""
    assert expected == number_of(text)


def test_incident_of_a_hold_is_told_from_opening_to_release() -> None:
    """Times, deadlines, channels and seats, in order, both logs together."""
    told = monthly()["incidents"]["told"][0]
    assert [
        "opened",
        "recorded",
        "status",
        "alert",
        "alert",
        "grace",
        "acknowledged",
        "status",
        "closed",
    ] == [step["what"] for step in told["steps"]]
    assert ("large", "released") == (told["client_order_id"], told["outcome"])
    assert at(20, 17, 5, 32) == told["steps"][5]["until"]
    assert ("investigating", ["compliance-1"]) == (
        told["steps"][6]["detail"],
        told["steps"][6]["seats"],
    )
    assert ["compliance-1", "risk-1"] == told["steps"][7]["seats"]


def test_incident_of_a_breaker_names_who_re_armed_it() -> None:
    """The re-arming directly before the end belongs to it."""
    told = monthly()["incidents"]["told"][1]
    steps = [(step["what"], step["seats"]) for step in told["steps"][-2:]]
    assert [("rearmed", ["compliance-1", "risk-1"]), ("closed", [])] == steps


def test_incident_rearm_elsewhere_in_the_log_is_not_its_own() -> None:
    """Another entry lies between, another end, or another agent's latch: no step is made of it."""
    rearm = next(entry for entry in procedure() if isinstance(entry, RearmAuthorised))
    between = story(recorded(at(3, 9), 0, "breaker"), rearm, alert(1), closed("rearmed"))
    ended = story(recorded(at(3, 9), 0, "breaker"), rearm, closed("superseded"))
    other = msgspec.structs.replace(rearm, agent="other")
    foreign = story(recorded(at(3, 9), 0, "breaker"), other, closed("rearmed"))
    for told in (between, ended, foreign):
        assert ["recorded", "closed"] == [step["what"] for step in told["steps"]]


@pytest.mark.parametrize(("outcome", "replaced"), [("revoked", 1), ("killed", 1), ("released", 0)])
def test_incident_replacement_follows_the_end_of_a_certificate(outcome: str, replaced: int) -> None:
    """The first certificate after a revocation replaces it; the next one is another matter."""
    told = story(
        issued(at(1, 9), "0a"),
        recorded(at(3, 9), 0, "hold"),
        status(at(3, 10), "revoked", "grace_expired", INCIDENTS[0]),
        closed(outcome),
        issued(at(4, 9), "0b"),
        issued(at(5, 9), "0c"),
    )
    steps = [step["detail"] for step in told["steps"] if step["what"] == "replacement"]
    assert ["certificate 0b"][:replaced] == steps


def test_incident_of_another_agent_is_left_out() -> None:
    """Neither its record nor its steps are told."""
    entries = [recorded(at(3, 9), 0, "hold", "other"), alert(), closed("released")]
    found = chronicle((), entries).figures()["incidents"]
    assert {"count": 0, "open": 0, "omitted": 0, "told": []} == found


def test_incidents_open_at_the_end_are_counted() -> None:
    """One is closed, one is not; neither log alone counts an incident twice."""
    gate = [admitted(at(1, 7)), opened(1, at(3, 9)), opened(2, at(3, 9), "breaker", 0, 1)]
    entries = [recorded(at(3, 9), 0, "hold"), closed("released")]
    found = chronicle(gate, entries).figures()["incidents"]
    assert (2, 1) == (found["count"], found["open"])


def test_incidents_beyond_their_number_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first are told, all are counted, and later entries of the others do no harm."""
    monkeypatch.setattr(incident_story, "INCIDENTS_MAX", 1)
    gate = [admitted(at(1, 7)), opened(1, at(3, 9)), opened(2, at(3, 9), "breaker", 0, 1)]
    entries = [recorded(at(3, 9), 0, "hold"), recorded(at(3, 9), 1, "breaker"), alert(1)]
    found = chronicle(gate, entries).figures()["incidents"]
    assert (2, 1, [INCIDENTS[0]]) == (
        found["count"],
        found["omitted"],
        [row["incident"] for row in found["told"]],
    )


def test_incident_steps_beyond_their_number_are_counted_and_the_end_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thousand failed alerts do not hide how it ended."""
    monkeypatch.setattr(incident_story, "STEPS_MAX", 3)
    told = story(recorded(at(3, 9), 0, "hold"), *[alert()] * 10, closed("revoked"))
    assert (["recorded", "alert", "alert", "closed"], 8) == (
        [step["what"] for step in told["steps"]],
        told["steps_omitted"],
    )


def test_baseline_floors_are_those_of_the_specification() -> None:
    """The same floors as the room that counts, at each edge of a doubling."""
    edges = [*range(130), *range(190, 194), *range(255, 258), 1000, 1023, 1024, 4095]
    assert [bucket_floor(number) for number in edges] == [floor_of(number) for number in edges]


def test_baseline_digest_names_middle_end_and_most_frequent() -> None:
    """Quantiles by buckets, money for sizes, what is not established."""
    entry = adopted(at(15, 7))
    plain = digest_of(entry, read_counts(entry.baseline))
    rows = {row["factor"]: row for row in plain["factors"]}
    assert ("2", "3", "3") == tuple(rows["frequency"][key] for key in ("median", "p95", "largest"))
    assert f"{floor_of(960) // 100}.{floor_of(960) % 100:02d}" == rows["size"]["median"]
    assert ("EUR/USD", 150, 2) == tuple(
        rows["market"][key] for key in ("most_frequent", "most_frequent_count", "labels")
    )
    established = [name for name, row in rows.items() if row["established"]]
    assert ["size", "frequency", "market", "hours", "latency", "success"] == established
    assert ("", 0) == (rows["stress"]["most_frequent"], rows["stress"]["labels"])


def test_codes_of_the_figures_are_those_of_the_vocabulary() -> None:
    """Every code that a report names is one that the documentation has a page for."""
    named = {row["code"] for row in monthly()["refusals"]["by_code"]}
    assert set() == named - {str(code) for code in Code}
    assert AGENT == monthly()["agent"]
