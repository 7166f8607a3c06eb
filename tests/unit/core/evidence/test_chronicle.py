# SPDX-License-Identifier: Apache-2.0
"""What a chronicle gathers of one agent: exact counts, kept extremes, bounded memory."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest

from sekisho.core.encoding import canonical, parse_plain
from sekisho.core.errors import MalformedInput
from sekisho.core.events import CancelAsked, Decision, RateUsed, Rearmed, StatusActed, Withdrawn
from sekisho.core.evidence import chronicle as chronicles
from sekisho.core.evidence import days_seen, points_seen, standing
from sekisho.core.evidence.chronicle import Chronicle
from sekisho.core.terms import NS, Code, Reason, format_instant, parse_instant
from tests.chronicle_world import (
    AGENT,
    BASELINE,
    HELD,
    HOURS,
    SIZE,
    admitted,
    adopted,
    at,
    chronicle,
    counters,
    decided,
    execution,
    issued,
    month,
    monthly,
    opened,
    procedure,
    scores,
    status,
)

ADMITTED = admitted(at(1, 7))


def told(*entries: Any) -> dict[str, Any]:
    """Figures of a gate's log that begins with the admission."""
    return chronicle([ADMITTED, *entries]).figures()


def acted(status: Any, epoch: int, serial: str = "0a") -> StatusActed:
    """A status that the gate acted on."""
    return StatusActed(
        at=at(2, 9),
        agent=AGENT,
        certificate_sha256=serial * 32,
        status=status,
        reason="",
        epoch=epoch,
    )


def test_chronicle_of_a_month_counts_what_the_log_holds() -> None:
    """Orders, endings, incidents and the period, counted another way here."""
    log = month()
    decisions = [entry for entry in log if isinstance(entry, Decision)]
    refused = sum(entry.verdict == "refused" for entry in decisions)
    figures = monthly()
    orders = figures["orders"]
    assert len(decisions) == orders["asked"]
    assert (refused, len(decisions) - refused) == (orders["refused"], orders["permitted"])
    assert sum(isinstance(entry, Withdrawn) for entry in log) == orders["withdrawn"]
    assert orders["permitted"] == orders["signed"] + orders["withdrawn"] + 1
    assert (refused, len(log)) == (figures["refusals"]["count"], figures["entries"]["gate"])
    assert (log[1].at, log[-1].at) == (figures["from"], figures["to"])
    for key in ("asked", "permitted", "refused", "withdrawn"):
        assert orders[key] == sum(row[key] for row in figures["days"]["rows"])
    assert orders["asked"] == sum(map(sum, figures["hours"]["asked"]))
    assert refused == sum(map(sum, figures["hours"]["refused"]))


def test_figures_are_plain_canonical_and_change_nothing() -> None:
    """They survive the canonical encoding, and asking twice gives the same."""
    made = chronicle(month(), procedure())
    first = canonical(made.figures())
    assert made.figures() == parse_plain(first)
    assert first == canonical(made.figures())


def test_chronicle_logs_mixed_or_one_after_the_other_tell_the_same() -> None:
    """Only the order within a log counts."""
    mixed = Chronicle(AGENT)
    steps: list[Any] = [(entry.at, 0, index, entry) for index, entry in enumerate(month())]
    steps += [(entry.at, 1, index, entry) for index, entry in enumerate(procedure())]
    for _, log, index, entry in sorted(steps, key=lambda step: step[:3]):
        (mixed.take_authority if log else mixed.take_gate)(index, entry)
    last = Chronicle(AGENT)
    for index, given in enumerate(procedure()):
        last.take_authority(index, given)
    for index, entry in enumerate(month()):
        last.take_gate(index, entry)
    expected = monthly()
    assert expected == mixed.figures()
    assert expected == last.figures()


def test_chronicle_entries_of_another_agent_are_left_out() -> None:
    """Nothing of another agent is counted, listed or shown; the entries were read all the same."""
    other = msgspec.structs.replace(decided(at(2, 9), "x", reasons=(SIZE,)), agent="other")
    figures = told(other, msgspec.structs.replace(opened(0, at(2, 9)), agent="other"))
    assert (0, 0, 3) == (
        figures["orders"]["asked"],
        figures["incidents"]["count"],
        figures["entries"]["gate"],
    )
    assert [] == figures["points"]["rows"]


def test_chronicle_without_entries_is_empty_and_whole() -> None:
    """Every part is there, with nothing in it."""
    figures = Chronicle(AGENT).figures()
    assert ("", "", 0) == (figures["from"], figures["to"], figures["orders"]["asked"])
    assert "not_admitted" == figures["standing"]["status"]
    assert set(monthly()) == set(figures)


def test_points_beyond_their_number_keep_extremes_counts_and_incidents() -> None:
    """100,000 orders: lists stay small, counts exact, and no extreme is thinned away."""
    made = chronicle([ADMITTED])
    plain = decided(at(4, 9), "plain", "100.00")
    refusal = decided(at(4, 9), "no", "150.00", reasons=(HELD,))
    large = decided(at(4, 9), "large", "24999.99")
    huge = decided(at(4, 9), "huge", "900000.00", reasons=(SIZE,))
    trigger = decided(at(4, 9), "trigger", "120.00", reasons=(HELD,))
    special = {12_345: large, 54_321: huge, 77_777: trigger}
    start = parse_instant(at(4, 0))
    usual: list[Decision] = []
    for number in range(100_000):
        if number % 100 == 0:
            when = format_instant(start + number * 40 * NS)
            usual = [msgspec.structs.replace(entry, at=when) for entry in (refusal, plain, plain)]
        made.take_gate(2 * number + 1, special.get(number, usual[number % 3]))
        if number == 77_777:
            made.take_gate(2 * number + 2, opened(0, trigger.at, trigger=2 * number + 1))
    figures = made.figures()
    refused = sum(number % 3 == 0 for number in range(100_000) if number not in special) + 2
    assert (100_000, refused) == (figures["orders"]["asked"], figures["orders"]["refused"])
    assert refused == sum(row["refused"] for row in figures["days"]["rows"])
    points = figures["points"]["rows"]
    most = points_seen.PERMITTED_MAX + points_seen.REFUSED_MAX + 2 * points_seen.LARGEST_MAX + 1
    assert (True, 100_000) == (1000 < len(points) <= most, figures["points"]["count"])
    names = {row["client_order_id"] for row in points}
    assert {"plain", "no", "large", "huge", "trigger"} == names
    assert ["hold"] == [row["incident_kind"] for row in points if row["incident_kind"]]
    listed = figures["refusals"]["listed"]
    assert (500, refused) == (len(listed), figures["refusals"]["count"])
    assert (0, 99_999) == ((listed[0]["index"] - 1) // 2, (listed[-1]["index"] - 1) // 2)
    assert len(canonical(figures)) < 1_000_000


def test_refusal_is_listed_with_the_rates_that_it_used() -> None:
    """Source, entry and age, as the decision names them."""
    rates = {"EUR/USD": {"primary": RateUsed(index=3, age_ms=250)}}
    made = chronicle([ADMITTED])
    made.take_gate(1, decided(at(4, 9), "no", reasons=(HOURS,), rates=rates))
    (listed,) = made.figures()["refusals"]["listed"]
    assert {"EUR/USD": {"primary": {"index": 3, "age_ms": 250}}} == listed["rates"]


def test_memory_of_many_orders_is_that_of_few() -> None:
    """Nothing inside holds more rows after 6,000 orders than after 4,000."""
    made = chronicle([ADMITTED])
    sizes = []
    for number in range(6000):
        entry = decided(at(4, 9), f"n{number}", f"{number % 97 + 1}.00", scores=scores("0.1", ""))
        made.take_gate(number + 1, entry)
        if number in (3999, 5999):
            sizes.append(_rows(made, set()))
    assert sizes[1] <= sizes[0] + points_seen.PERMITTED_MAX // 2


def _rows(value: Any, seen: set[int]) -> int:
    """How many items all containers reachable from a value hold."""
    if id(value) in seen or isinstance(value, str | bytes | int | type):
        return 0
    seen.add(id(value))
    inside: list[Any] = []
    if isinstance(value, dict):
        inside = list(value.values())
    elif isinstance(value, list | tuple | set):
        inside = list(value)
    elif hasattr(value, "__dict__"):
        return sum(_rows(part, seen) for part in vars(value).values())
    return len(inside) + sum(_rows(part, seen) for part in inside)


def test_point_withdrawn_is_marked_and_counted() -> None:
    """The order shows how it ended."""
    gone = Withdrawn(at=at(2, 9), agent=AGENT, decision=1, reason="lease_expired")
    figures = told(decided(at(2, 9), "a"), gone)
    assert ("withdrawn", 1) == (
        figures["points"]["rows"][0]["ending"],
        figures["orders"]["withdrawn"],
    )


def test_point_too_long_ago_is_counted_though_not_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The count never depends on what is still at hand."""
    monkeypatch.setattr(points_seen.PointsSeen, "RECENT_MAX", 1)
    gone = Withdrawn(at=at(2, 9), agent=AGENT, decision=1, reason="lease_expired")
    figures = told(
        decided(at(2, 9), "a"), decided(at(2, 9), "b"), gone, opened(3, at(2, 9), "hold")
    )
    endings = [row["ending"] for row in figures["points"]["rows"]]
    assert (["permitted", "permitted"], 1) == (endings, figures["orders"]["withdrawn"])
    assert "" == figures["incidents"]["told"][0]["client_order_id"]


def test_pinned_beyond_their_number_are_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even incidents cannot make the memory grow."""
    monkeypatch.setattr(points_seen, "PINNED_MAX", 1)
    figures = told(
        decided(at(2, 9), "a"),
        opened(2, at(2, 9), trigger=1),
        decided(at(2, 9), "b"),
        opened(4, at(2, 9), "breaker", 3, 1),
    )
    kinds = [row["incident_kind"] for row in figures["points"]["rows"]]
    assert (["hold", ""], 2) == (kinds, figures["incidents"]["count"])


def test_orders_without_value_are_counted_and_are_no_points() -> None:
    """Malformed bodies and cancels have no value and nevertheless count."""
    cancel = {"action": "cancel", "client_order_id": "c", "orig_client_order_id": "a"}
    malformed = Reason(Code.MALFORMED_ORDER, "", "not JSON", "")
    figures = told(
        decided(at(2, 9), "c", "", order=cancel),
        decided(at(2, 9), "", "", order=None, reasons=(malformed,), before=None, after=None),
    )
    assert [] == figures["points"]["rows"]
    rows = {row["action"]: row for row in figures["orders"]["by_action"]}
    assert (1, 1) == (rows["cancel"]["permitted"], rows["malformed"]["refused"])
    assert "" == figures["refusals"]["listed"][0]["client_order_id"]


def test_refusal_is_listed_with_every_reason_and_counted_once_for_a_code() -> None:
    """Two sources without a rate are one order refused by that code."""
    missing = [Reason(Code.RATE_MISSING, "", f"s{number}:EUR/USD", "") for number in (1, 2)]
    figures = told(decided(at(2, 9), "a", reasons=(*missing, SIZE)))
    codes = {row["code"]: row for row in figures["refusals"]["by_code"]}
    assert (1, 1) == (codes["rate_missing"]["orders"], codes["exceeds_scope_size"]["orders"])
    assert [["exceeds_scope_size", 1], ["rate_missing", 1]] == figures["days"]["rows"][0]["codes"]
    assert 3 == len(figures["refusals"]["listed"][0]["reasons"])
    assert SIZE.observed == figures["refusals"]["listed"][0]["reasons"][2]["observed"]


def test_refusal_highest_observed_is_compared_as_a_number() -> None:
    """9 is below 180,000; what is no number, or only a clock's, is no highest value."""
    small = Reason(Code.EXCEEDS_SCOPE_SIZE, "5.00", "9.00", "EUR")
    expired = Reason(Code.LEASE_EXPIRED, "1", "2", "ns")
    figures = told(
        decided(at(2, 9), "a", reasons=(SIZE,)),
        decided(at(2, 10), "b", reasons=(small, expired, HOURS)),
    )
    rows = {row["code"]: row for row in figures["refusals"]["by_code"]}
    assert "180000.00" == rows["exceeds_scope_size"]["highest"]["observed"]
    assert "a" == rows["exceeds_scope_size"]["highest"]["client_order_id"]
    assert (at(2, 9), at(2, 10)) == (
        rows["exceeds_scope_size"]["first_at"],
        rows["exceeds_scope_size"]["last_at"],
    )
    assert ("", "") == (
        rows["lease_expired"]["highest"]["observed"],
        rows["outside_trading_hours"]["highest"]["observed"],
    )


def test_day_is_that_of_the_policys_zone() -> None:
    """23:30 UTC is the next day, and the next hour of the week, two hours to the east."""
    east = [{"since": "1970-01-01T00:00:00.000000000Z", "utc_offset_s": 7200}]
    entries = [admitted(at(1, 7), zone_offsets=east), decided(at(4, 23, 30), "a")]
    figures = chronicle(entries).figures()
    assert ["2026-05-05"] == [row["day"] for row in figures["days"]["rows"]]
    assert 1 == figures["hours"]["asked"][1][1]  # Tuesday, 01:00


def test_day_before_any_policy_is_of_utc() -> None:
    """A decision for an agent that is not admitted yet has a day too."""
    figures = chronicle([decided(at(4, 23, 30), "a", reasons=(HELD,))]).figures()
    assert ["2026-05-04"] == [row["day"] for row in figures["days"]["rows"]]


def test_day_cap_is_a_fraction_until_the_baseline_is_in_force() -> None:
    """Rounded down to the cent before, whole afterwards; none stays none."""
    policy = copy.deepcopy(ADMITTED.policy)
    policy["scope"]["daily_notional_max"] = "100.01"
    policy["behaviour"]["baseline_daily_fraction"] = "0.333"
    first = msgspec.structs.replace(ADMITTED, policy=policy)
    entries = [first, decided(at(4, 9), "a", "20.00"), adopted(at(5, 8)), decided(at(5, 9), "b")]
    figures = chronicle(entries).figures()
    assert ["33.30", "100.01"] == [row["cap"] for row in figures["days"]["rows"]]
    assert "100.01" == figures["controls"]["daily_cap"]
    free = [admitted(at(1, 7), daily_notional_max="none"), decided(at(4, 9), "a")]
    assert [""] == [row["cap"] for row in chronicle(free).figures()["days"]["rows"]]


def test_days_beyond_their_number_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest become one row; the sums lose nothing, also when a day comes late."""
    monkeypatch.setattr(days_seen, "DAYS_MAX", 2)
    days = (4, 5, 6, 7, 4)
    entries = [decided(at(day, 9), f"o{day}", f"{day}.00", reasons=(HELD,)) for day in days]
    rows = told(*entries)["days"]
    assert ["2026-05-06", "2026-05-07"] == [row["day"] for row in rows["rows"]]
    assert (3, 3, "5.00") == (
        rows["earlier"]["asked"],
        rows["earlier"]["refused"],
        rows["earlier"]["largest_refused"],
    )
    assert [["certificate_held", 3]] == rows["earlier"]["codes"]


def test_day_shows_its_highest_volume_and_largest_orders() -> None:
    """The volume of a day is the highest counter, whatever came last."""
    figures = told(
        decided(at(4, 9), "a", "70.00", after=counters("2026-05-04", "500.00")),
        decided(at(4, 10), "b", "80.00", reasons=(SIZE,), after=counters("2026-05-04", "400.00")),
    )
    row = figures["days"]["rows"][0]
    assert ("500.00", "70.00", "80.00") == (
        row["gross_permitted"],
        row["largest_permitted"],
        row["largest_refused"],
    )


def test_mix_counts_before_and_since_the_baseline() -> None:
    """Markets of new orders by pair, counterparties of trades, beside the locked counts."""
    inverse = decided(at(4, 9), "a").order or {}
    figures = told(
        decided(at(4, 9), "a", order=inverse | {"market": "USD/EUR"}),
        execution(at(4, 9), "a", "BANK-B"),
        execution(at(4, 9), "b", ""),
        execution(at(4, 9), "c", "BANK-C", "canceled"),
        adopted(at(15, 9)),
        decided(at(15, 9), "d"),
    )
    assert {"label": "EUR/USD", "baseline": 150, "before": 1, "live": 1} == figures["mix"][
        "market"
    ]["rows"][0]
    labels = [row["label"] for row in figures["mix"]["counterparty"]["rows"]]
    assert ["BANK-A", "BANK-B"] == labels


def test_mix_labels_beyond_their_number_are_counted_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A hostile number of names makes no list longer."""
    monkeypatch.setattr(chronicles, "MIX_MAX", 2)
    figures = told(*(execution(at(4, 9), f"o{n}", f"B{n % 3}") for n in range(9)))
    mix = figures["mix"]["counterparty"]
    assert ([3, 3], {"before": 3, "live": 0}) == (
        [row["before"] for row in mix["rows"]],
        mix["others"],
    )


def test_scores_keep_the_highest_and_say_whose() -> None:
    """Of one hour the highest of each; without a baseline nothing is scored."""
    figures = told(
        decided(at(4, 9, 1), "a", scores=scores("0.100000", "0.300000")),
        decided(at(4, 9, 2), "b", scores=scores("0.900000", "0.200000")),
        decided(at(4, 11), "c", scores=scores("", "")),
    )
    spans = figures["scores"]["spans"]
    assert ["0.900000", ""] == [span["anomaly"]["score"] for span in spans]
    assert ["0.300000", ""] == [span["risk"]["score"] for span in spans]
    assert ("b", 2) == (spans[0]["anomaly"]["client_order_id"], figures["scores"]["scored"])
    assert "a" == figures["scores"]["highest_risk"]["client_order_id"]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ((), ("good", False)),
        ((opened(1, at(2, 9)),), ("hold", False)),
        ((opened(1, at(2, 9), "breaker"),), ("good", True)),
        ((acted("hold", 1), acted("good", 2)), ("good", False)),
        ((acted("hold", 2), acted("good", 2)), ("hold", False)),
        ((acted("revoked", 1), acted("good", 2)), ("revoked", False)),
        ((acted("hold", 1, "0b"),), ("good", False)),
        ((acted("revoked", 1), opened(1, at(2, 9))), ("revoked", False)),
        ((acted("revoked", 1), admitted(at(2, 9), "0b")), ("good", False)),
        ((acted("hold", 1), admitted(at(2, 9))), ("hold", False)),
    ],
)
def test_status_follows_the_fold_of_the_gate(entries: Any, expected: Any) -> None:
    """docs/spec/checks.md 2, for status and breaker."""
    found = told(*entries)["standing"]
    assert expected == (found["status"], found["circuit_breaker"])


def test_standing_of_the_month_names_policy_approvers_and_certificates() -> None:
    """Who approved, both certificates with their status, a breaker that was re-armed."""
    found = monthly()["standing"]
    assert ["ceo-1", "cfo-1"] == found["policies"][0]["approved_by"]
    certificates = [(row["serial_number"], row["status"]) for row in found["certificates"]]
    assert [("0a", "revoked"), ("0b", "good")] == certificates
    assert ("good", False) == (found["status"], found["circuit_breaker"])
    assert ["compliance-1", "risk-1"] == next(
        row["seats"] for row in found["events"]["told"] if row["what"] == "rearmed"
    )


def test_standing_certificates_are_by_time_whichever_log_is_first() -> None:
    """One that was issued before and never admitted stands before the one that was admitted."""
    early = issued(at(1, 5), "0f")
    found = chronicle([ADMITTED], [early]).figures()["standing"]["certificates"]
    assert ["0f", "0a"] == [row["serial_number"] for row in found]


def test_entries_that_say_nothing_of_the_breaker_or_a_known_certificate_change_nothing() -> None:
    """Another latch, a cancel that is asked, a second baseline, a certificate never seen."""
    rearmed = next(entry for entry in month() if isinstance(entry, Rearmed))
    entries = [
        decided(at(1, 6), "early"),
        ADMITTED,
        opened(1, at(2, 9), "breaker"),
        msgspec.structs.replace(rearmed, latch="repeated_executions"),
        CancelAsked(at=at(2, 9), agent=AGENT, client_order_id="a", cause="hold"),
        adopted(at(2, 9)),
        adopted(at(3, 9)),
    ]
    unknown = msgspec.structs.replace(status(at(2, 9), "revoked", "kill"), certificate_sha256="f")
    found = chronicle(entries, [unknown]).figures()
    assert (True, ["good"]) == (
        found["standing"]["circuit_breaker"],
        [row["status"] for row in found["standing"]["certificates"]],
    )
    assert (at(2, 9), []) == (found["baseline"]["adopted_at"], found["limits"])


def test_standing_lists_beyond_their_number_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Certificates and policies that are not listed are counted."""
    monkeypatch.setattr(standing, "CERTIFICATES_MAX", 1)
    monkeypatch.setattr(standing, "POLICIES_MAX", 1)
    later = msgspec.structs.replace(admitted(at(2, 9), "0b"), policy_sha256="c" * 64)
    found = told(later)["standing"]
    assert {"policies": 1, "certificates": 1} == found["left_out"]
    assert ("c" * 64, 1) == (found["policy_sha256"], len(found["policies"]))


def test_baseline_that_is_none_is_refused_where_it_is_taken() -> None:
    """An entry that no gate writes is no baseline."""
    broken = msgspec.structs.replace(adopted(at(2, 9)), baseline={"orders": 1})
    with pytest.raises(MalformedInput, match="baseline"):
        chronicle([broken])
    short = copy.deepcopy(BASELINE)
    short["factors"]["size"]["n"] = 201
    with pytest.raises(MalformedInput, match="do not sum"):
        told(msgspec.structs.replace(adopted(at(2, 9)), baseline=short))
