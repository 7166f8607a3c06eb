# SPDX-License-Identifier: Apache-2.0
"""The baseline: its window, when it is complete, its bytes, and what is no baseline."""

from __future__ import annotations

import copy
import hashlib
import json
from typing import Any

import pytest

from sekisho.core.behaviour import baseline
from sekisho.core.behaviour.baseline import read_baseline
from sekisho.core.behaviour.watch import WatchState, describe
from sekisho.core.errors import MalformedInput
from tests.unit.core.behaviour.trail import FACTORS, Trail, baseline_of, policy

TWO_DAYS = {"baseline_days": 2, "baseline_orders_min": 2}


def test_window_is_whole_policy_days_from_the_first_order() -> None:
    """Late on the first of two days to the end of the second; what comes after is not counted."""
    trail = Trail(policy(**TWO_DAYS))
    trail.until_day(0, hour=23)
    trail.signed("a", money="1.00")
    trail.until_day(1, hour=23)
    trail.new(money="1.01")
    trail.until_day(1, hour=0)
    trail.new(money="1.02")
    trail.report("trade", "a", "LATE")
    found = trail.watch.baseline("bot", trail.now)
    assert ("2026-01-05", "2026-01-06") == (found.baseline["from"], found.baseline["to"])
    assert (2, 2) == (found.baseline["orders"], found.baseline["days"])
    assert {100: 1, 101: 1} == trail.counts("size")
    assert {} == trail.counts("counterparty")


def test_window_follows_the_policy_day_of_the_zone() -> None:
    """At 23:00 UTC it is the next day an hour further east."""
    zone = [{"since": "1970-01-01T00:00:00.000000000Z", "utc_offset_s": 3_600}]
    trail = Trail(policy(zone_offsets=zone, **TWO_DAYS))
    trail.until_day(0, hour=23)
    trail.new()
    assert "2026-01-06" == trail.watch.baseline("bot", trail.now).baseline["from"]


def test_window_keeps_the_length_of_its_first_day() -> None:
    """A policy that comes later changes how many orders are needed, not the window."""
    trail = Trail(policy(**TWO_DAYS))
    trail.new()
    trail.admit(policy(baseline_days=9, baseline_orders_min=7))
    found = trail.watch.baseline("bot", trail.now)
    assert "2026-01-06" == found.baseline["to"]
    assert "1 orders were asked in it, at least 7 are needed" in found.missing


def test_day_does_not_go_back_with_the_zone() -> None:
    """After a move west the first hours still belong to the day that has begun."""
    east, west = (
        [{"since": "1970-01-01T00:00:00.000000000Z", "utc_offset_s": offset}]
        for offset in (3_600, -3_600)
    )
    trail = Trail(policy(zone_offsets=east, **TWO_DAYS))
    trail.until_day(0, hour=23)
    trail.new()
    trail.admit(policy(zone_offsets=west, **TWO_DAYS))
    trail.new()
    found = trail.watch.baseline("bot", trail.now)
    assert ("2026-01-06", 2, 1) == (
        found.baseline["from"], found.baseline["orders"], found.baseline["days"],
    )  # fmt: skip
    assert "the window ends with 2026-01-07" in found.missing


def test_day_is_rolled_again_with_a_new_zone() -> None:
    """A move east that makes it tomorrow begins tomorrow at once."""
    east = [{"since": "1970-01-01T00:00:00.000000000Z", "utc_offset_s": 3_600}]
    trail = Trail(policy(**TWO_DAYS))
    trail.until_day(0, hour=23)
    trail.admit(policy(zone_offsets=east, **TWO_DAYS))
    trail.admit(policy(**TWO_DAYS))  # and moving back at once does not take it back
    trail.new()
    assert "2026-01-06" == trail.watch.baseline("bot", trail.now).baseline["from"]


def test_complete_needs_the_end_of_the_window_orders_and_days() -> None:
    """Each thing that is missing has its sentence; with all of them there it is complete."""
    trail = Trail(policy(baseline_days=6, baseline_orders_min=6))
    for _ in range(4):
        trail.new()
        trail.until_day(1)
    trail.new()
    now = trail.now
    day = 86_400 * 10**9
    last = now + 2 * day
    assert "the window ends with 2026-01-10" in trail.watch.baseline("bot", now + day).missing
    assert (
        "the window ends with 2026-01-10",
        "5 orders were asked in it, at least 6 are needed",
    ) == trail.watch.baseline("bot", now).missing
    assert not trail.watch.baseline("bot", now).complete
    assert (
        "5 orders were asked in it, at least 6 are needed",
    ) == trail.watch.baseline("bot", last).missing  # fmt: skip
    trail.new()
    found = trail.watch.baseline("bot", last)
    assert (True, ()) == (found.complete, found.missing)


@pytest.mark.parametrize(("days", "with_orders", "needed"), [(3, 2, 3), (14, 4, 5)])
def test_complete_needs_five_days_with_orders_or_all(
    days: int, with_orders: int, needed: int
) -> None:
    """Many orders on few days say little of what is normal."""
    trail = Trail(policy(baseline_days=days))
    for _ in range(with_orders):
        for _ in range(20):
            trail.new()
        trail.until_day(1)
    trail.until_day(20)
    found = trail.watch.baseline("bot", trail.now)
    expected = f"{with_orders} days have an order, at least {needed} are needed"
    assert (expected,) == found.missing


def test_complete_needs_to_fit_into_an_entry() -> None:
    """A bot that asks for thousands of markets gets no baseline that no log could hold."""
    trail = Trail(policy(baseline_days=1))
    for at in range(3_500):
        letters = "".join(chr(65 + at // 26**power % 26) for power in range(3))
        trail.new(market=f"{letters}/AAAAA", permitted=False)
    trail.until_day(1)
    found = trail.watch.baseline("bot", trail.now)
    size = len(json.dumps(found.baseline, separators=(",", ":")))
    assert size > 49_152
    assert (f"it has {size} bytes, at most 49152 fit into an entry",) == found.missing


def test_complete_baseline_may_be_as_large_as_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit it fits, one byte beyond it does not."""
    trail = Trail(policy(baseline_days=1, baseline_orders_min=1))
    trail.new()
    trail.until_day(1)
    size = len(json.dumps(trail.watch.baseline("bot", trail.now).baseline, separators=(",", ":")))
    for limit, complete in ((size, True), (size - 1, False)):
        monkeypatch.setattr(baseline, "BASELINE_BYTES_MAX", limit)
        assert complete == trail.watch.baseline("bot", trail.now).complete


def test_digest_is_of_sorted_compact_json() -> None:
    """Another program's canonical bytes have the same SHA-256; rows are sorted."""
    trail = Trail()
    for money, market in (("9.99", "GBP/USD"), ("0.05", "AUD/USD"), ("0.50", "EUR/USD")):
        trail.new(money=money, market=market)
    found = trail.watch.baseline("bot", trail.now)
    text = json.dumps(found.baseline, separators=(",", ":"), sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest() == found.sha256
    counts = found.baseline["factors"]
    assert [[5, 1], [50, 1], [316, 1]] == counts["size"]["counts"]  # 999: e = 3, 192 + 124
    labels = ["AUD/USD", "EUR/USD", "GBP/USD"]
    assert [[label, 1] for label in labels] == counts["market"]["counts"]
    assert FACTORS == list(counts)


def test_baseline_of_a_stranger_is_missing() -> None:
    """An agent that was never admitted has nothing that could be complete."""
    found = WatchState("o").baseline("nobody", 0)
    assert (False, ("'nobody' is not admitted",)) == (found.complete, found.missing)


def test_collected_baseline_can_be_read_back() -> None:
    """What is collected is what an adoption accepts."""
    trail = Trail()
    for _ in range(3):
        trail.new()
        trail.later(4_000)
    plain = trail.watch.baseline("bot", trail.now).baseline
    assert 3 == read_baseline(plain).orders


def broken(path: str, value: Any) -> dict[str, Any]:
    plain = copy.deepcopy(baseline_of(size={5: 1, 6: 2}, market={"A/B": 1, "C/D": 2}))
    *parents, last = path.split(".")
    part = plain
    for name in parents:
        part = part[name]
    part[last] = value
    return plain


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schema", "sekisho/baseline/v2"),
        ("from", "1.1.2026"),
        ("to", ""),
        ("orders", "7"),
        ("more", 1),
        ("factors", {}),
        ("factors.luck", {"n": 0, "counts": []}),
        ("factors.size.n", 4),
        ("factors.size.more", 4),
        ("factors.size.counts", [[6, 1], [5, 2]]),
        ("factors.size.counts", [[5, 1], [5, 2]]),
        ("factors.size.counts", [[5, 3], [6, 0]]),
        ("factors.size.counts", [[-1, 1], [6, 2]]),
        ("factors.size.counts", [["5", 1], ["6", 2]]),
        ("factors.market.counts", [["C/D", 1], ["A/B", 2]]),
        ("factors.market.counts", [["A/B", 1], ["A/B", 2]]),
        ("factors.market.counts", [["A/B", 1], [6, 2]]),
        ("factors.hours", {"n": 1, "counts": [["48", 1]]}),
        ("factors.stress", {"n": 1, "counts": [["maybe", 1]]}),
        ("factors.success", {"n": 1, "counts": [["yes", 1]]}),
    ],
)
def test_read_baseline_refuses_what_is_none(path: str, value: Any) -> None:
    """A log entry that holds something else than a baseline stops the fold."""
    with pytest.raises(MalformedInput, match=r"baseline|from|to"):
        read_baseline(broken(path, value))


def test_describe_tells_what_a_person_signs() -> None:
    """Every line by hand: 40 orders, sizes 1.00 (30 times) and 5.08, hours 9, 10, 15."""
    plain = baseline_of(
        40,
        size={100: 30, 254: 10},  # bucket 254: e = 2, 126 << 2 = 504 cents
        frequency={2: 20, 3: 1},
        market={"EUR/USD": 30, "AUD/USD": 10},
        hours={"09": 10, "10": 10, "34": 5, "15": 15},
        stress={"no": 39, "yes": 1},
        counterparty=dict.fromkeys("ABCDEFGHIJ", 1),
        latency={50: 39, 120: 1},
        success={"ok": 38, "failed": 2},
    )
    assert (
        ("agent", "bot"),
        ("window", "2026-01-05 to 2026-01-18"),
        ("orders", "40"),
        ("days with orders", "10"),
        ("orders per day", "4.0"),
        ("size, median", "1.00"),
        ("size, 95 % at most", "5.04"),
        ("size, largest", "5.04"),
        ("orders per hour, 95 % at most", "2"),
        ("markets", "EUR/USD 75.0 %, AUD/USD 25.0 %"),
        ("peak hours", "09:00-11:00, 62.5 % of orders"),
        ("in stressed markets", "2.5 %"),
        (
            "counterparties",
            ", ".join(f"{name} 10.0 %" for name in "ABCDEFGH") + ", 2 others 20.0 %",
        ),
        ("latency, median", "50 ms"),
        ("latency, 95 % at most", "50 ms"),
        ("success rate", "95.0 %"),
        ("not established", "counterparty (10 of 20 observations)"),
    ) == describe(plain)


def test_describe_names_the_smallest_value_that_reaches_a_share() -> None:
    """A hundred values, each once: the median is the fiftieth, 95 % the ninety-fifth."""
    each = dict.fromkeys(range(1, 101), 1)
    lines = dict(describe(baseline_of(size=each, frequency=each, latency=each)))
    assert ("0.50", "0.95") == (lines["size, median"], lines["size, 95 % at most"])
    assert ("50 ms", "95 ms") == (lines["latency, median"], lines["latency, 95 % at most"])
    assert "95" == lines["orders per hour, 95 % at most"]
    thirds = dict(describe(baseline_of(success={"failed": 1, "ok": 2})))
    assert "66.7 %" == thirds["success rate"]


def test_describe_of_nothing_says_so() -> None:
    """No line invents a number; a peak over midnight is written as such."""
    lines = dict(describe(baseline_of(0) | {"days": 0}))
    told = ["agent", "window", "orders", "days with orders", "not established"]
    assert told == [name for name, line in lines.items() if line != "none observed"]
    assert "size (0 of 20 observations), frequency" in lines["not established"]
    lines = dict(describe(baseline_of(hours={"23": 1})))
    assert "22:00-00:00, 100.0 % of orders" == lines["peak hours"]
    numbers = ("size", "frequency", "latency")
    every: dict[str, dict[Any, int]] = {
        name: {1: 20} if name in numbers else {"A": 20} for name in FACTORS
    }
    every |= {"hours": {"01": 20}, "stress": {"no": 20}, "success": {"ok": 20}}
    assert "none: every factor is" == dict(describe(baseline_of(**every)))["not established"]
