# SPDX-License-Identifier: Apache-2.0
"""What is observed, and what is not: docs/spec/behaviour.md section 2, by the baseline's counts."""

from __future__ import annotations

import pytest

from sekisho.core.events import Scores
from sekisho.core.terms import parse_instant
from tests.unit.core.behaviour.trail import START, Trail, policy

ANSWERS = {"trade": {"ok": 1}, "rejected": {"failed": 1}}


def test_size_is_observed_in_cents_where_there_is_a_notional() -> None:
    """1.27 is bucket 127; an order whose notional could not be computed is not counted."""
    trail = Trail()
    trail.new(money="1.27")
    trail.new(money="")
    trail.new(money="1.27", permitted=False)
    assert {127: 2} == trail.counts("size")


def test_market_is_observed_as_its_pair_of_refused_orders_too() -> None:
    """Both spellings of a market are one pair."""
    trail = Trail()
    trail.new(market="GBP/EUR")
    trail.new(market="EUR/GBP", permitted=False)
    assert {"EUR/GBP": 2} == trail.counts("market")


def test_frequency_is_the_orders_of_an_hour_seen_when_a_later_one_comes() -> None:
    """9:00 to 9:59:59 is one hour of three orders; an hour without orders is none."""
    trail = Trail()
    trail.new()
    trail.later(1)
    trail.new()
    trail.later(3_598)
    trail.new()
    assert {} == trail.counts("frequency")
    trail.later(1)
    trail.new()
    assert {3: 1} == trail.counts("frequency")
    trail.later(7_200)
    trail.new()
    assert {1: 1, 3: 1} == trail.counts("frequency")


def test_frequency_adoption_and_restart_begin_the_hour_anew() -> None:
    """Orders before them are left out, so none of them counts in the hour that they share."""
    for restarts in (False, True):
        trail = Trail()
        trail.new()
        trail.adopt(trail.watch.baseline("bot", trail.now).baseline)
        if restarts:
            trail.new()
            trail.restart()
        trail.new()
        trail.later(3_600)
        trail.new()
        assert {1: 1} == trail.counts("frequency")


def test_frequency_of_one_order_is_the_last_hour_with_itself() -> None:
    """An order exactly an hour ago is not within; one a nanosecond later is."""
    trail = Trail()
    trail.new()
    trail.adopt(trail.watch.baseline("bot", trail.now).baseline)
    activity = trail.watch._agents["bot"].activity
    hour = 3_600 * 10**9
    assert (1, 0) == (activity.frequency(START + hour - 1), activity.frequency(START + hour))
    trail.later(3_600)
    trail.new()
    assert 1 == len(activity._times)  # what nobody asks for again is forgotten


@pytest.mark.parametrize(
    ("at", "offset_s", "label"),
    [
        ("2026-01-09T23:59:59.999999999Z", 0, "23"),  # a Friday
        ("2026-01-10T00:00:00.000000000Z", 0, "24"),
        ("2026-01-11T23:00:00.000000000Z", 0, "47"),  # a Sunday
        ("2026-01-11T23:00:00.000000000Z", 3_600, "00"),
        ("2026-01-12T00:30:00.000000000Z", -3_600, "47"),
    ],
)
def test_hours_are_local_and_tell_weekends_apart(at: str, offset_s: int, label: str) -> None:
    """In the policy's zone, Saturday and Sunday 24 more."""
    zone = [{"since": "1970-01-01T00:00:00.000000000Z", "utc_offset_s": offset_s}]
    trail = Trail(policy(zone_offsets=zone), start=parse_instant(at))
    trail.new()
    assert {label: 1} == trail.counts("hours")


def test_stress_is_observed_unless_unknown() -> None:
    """What the gate recorded of the market, yes or no."""
    trail = Trail()
    for stressed in ("yes", "no", "unknown", "no"):
        trail.new(
            scores=Scores(
                stressed=stressed, baseline_sha256="", anomaly="", factors={}, risk="", scored=0
            )
        )  # fmt: skip
    trail.new(scores=None)
    assert {"no": 2, "yes": 1} == trail.counts("stress")


def test_counterparty_is_observed_at_each_trade_that_names_one() -> None:
    """The first order begins the window; a trade without a counterparty shows none."""
    trail = Trail()
    trail.report("trade", "stranger", "BEFORE")
    trail.new()
    for kind, name in (("trade", "A"), ("trade", ""), ("new", "B"), ("trade", "A")):
        trail.report(kind, "o1", name)
    assert {"A": 2} == trail.counts("counterparty")


def test_latency_is_from_the_signature_in_milliseconds_rounded_up() -> None:
    """A nanosecond more than 3 ms is 4 ms; the first trade alone counts."""
    trail = Trail()
    trail.signed("a")
    trail.now += 3_000_001
    trail.report("trade", "a")
    trail.later(1)
    trail.report("trade", "a")
    assert ({4: 1}, {"ok": 1}) == (trail.counts("latency"), trail.counts("success"))


@pytest.mark.parametrize("kind", ["trade", "rejected", "canceled", "expired", "not_found"])
def test_wait_ends_with_the_first_final_report(kind: str) -> None:
    """What comes after it under the same id is not observed again."""
    trail = Trail()
    trail.signed("a")
    trail.report("new", "a")
    trail.report(kind, "a")
    trail.report("trade", "a")
    trail.report("rejected", "a")
    assert ANSWERS.get(kind, {}) == trail.counts("success")
    assert {} == trail.watch._agents["bot"].activity._waited


def test_success_unresolved_submission_failed_and_later_trade_is_not_observed() -> None:
    """An answer that did not come is a failure; those of amendments and cancels are none."""
    trail = Trail()
    trail.signed("a")
    trail.unresolved("a", "amend")
    trail.unresolved("a", "cancel")
    assert {} == trail.counts("success")
    trail.unresolved("a")
    trail.unresolved("a")
    trail.report("trade", "a")
    assert ({"failed": 1}, {}) == (trail.counts("success"), trail.counts("latency"))


def test_wait_needs_permission_and_signature() -> None:
    """Reports of an order that was refused, not signed or withdrawn are not observed."""
    trail = Trail()
    trail.new("refused", permitted=False)
    trail.new("unsigned")
    trail.withdraw(trail.new("withdrawn"))
    for name in ("refused", "unsigned", "withdrawn"):
        trail.report("trade", name)
    trail.sign(2)  # no decision about a new permitted order
    trail.report("trade", "refused")
    assert {} == trail.counts("success")
    assert {} == trail.watch._agents["bot"].activity._waited


def test_wait_is_not_begun_after_the_decision_was_overtaken() -> None:
    """A withdrawal, a new process or an amendment before the signature: nothing is waited for."""
    trail = Trail()
    withdrawn = trail.new("a")
    trail.withdraw(withdrawn)
    trail.sign(withdrawn)
    trail.report("trade", "a")
    lost = trail.new("b")
    trail.reopen()
    trail.sign(lost)
    trail.report("trade", "b")
    amended, other = trail.new("c"), trail.new("d")
    trail.amend("c2", "c")
    for decision, name, kind in ((amended, "c", "trade"), (other, "d", "rejected")):
        trail.sign(decision)
        trail.report(kind, name)
    assert {"failed": 1} == trail.counts("success")


def test_wait_ends_with_a_permitted_amendment() -> None:
    """Its answer may come under another id; a refused amendment and a cancel change nothing."""
    trail = Trail()
    trail.signed("a")
    trail.amend("a2", "a", permitted=False)
    trail.cancel("a3", "a")
    trail.report("trade", "a")
    trail.signed("b")
    trail.amend("b2", "b")
    trail.report("trade", "b")
    assert {"ok": 1} == trail.counts("success")


def test_amendments_cancels_malformed_and_other_agents_are_no_orders() -> None:
    """Only new decisions of an admitted agent begin a window and are counted."""
    trail = Trail()
    trail.amend("x2", "x")
    trail.cancel("x3", "x")
    trail.decide(None, permitted=False, scores=None, money="")
    trail.new(agent="other")
    found = trail.watch.baseline("bot", trail.now)
    assert ("", 0) == (found.baseline["from"], found.baseline["orders"])
    assert "no order was asked yet, so the window has not begun" in found.missing
