# SPDX-License-Identifier: Apache-2.0
"""What the watch costs, how often it is wrong about an agent in control, and how soon it is right.

Cost: processor time of one entry taken by the fold, and of the scores of one order, against a floor
in the same run: reading the same entries from their bytes, which every fold of a log must do.

False alarms: simulated agents whose behaviour never changes. The first 14 days become the baseline,
the 30 days after it are judged. Orders are independent of each other, which those of real agents
are not; docs/explanation/behaviour.md says what follows from that.

Detection: the same agents, changed in one way from a random day of the month on; orders until the
first crossing, the first changed one counted.

    python benchmarks/watch.py [--quick] [--months N] [--seed N]

Thresholds here are the defaults, 0.75 and 0.85, and one order alone holds nobody; how often one
would is counted beside. Fewer orders make a complete baseline than by default, so that agents that
trade little can be judged too.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sekisho.core.behaviour.watch import WatchState
from sekisho.core.encoding import canonical
from sekisho.core.events import (
    AgentAdmitted,
    BaselineAdopted,
    Decision,
    Execution,
    GateEntry,
    PermitSigned,
    decode_gate_entry,
)
from sekisho.core.sight import Sight
from sekisho.core.terms import DAY_S, NS, format_instant

MONDAY = 20_458  # 2026-01-05
BASELINE_DAYS = 14
MONTH_DAYS = 30
POLICY = {
    "scope": {"zone_offsets": [{"since": "1970-01-01T00:00:00.000000000Z", "utc_offset_s": 0}]},
    "risk_controls": {
        "hold_threshold": "0.85",
        "breaker_threshold": "0.75",
        "hold_on_single_order": False,
    },
    "behaviour": {"baseline_days": BASELINE_DAYS, "baseline_orders_min": 50},
}
HOURS = {8: 3, 9: 6, 10: 5, 11: 3, 12: 2, 13: 3, 14: 5, 15: 6, 16: 3}


@dataclass(frozen=True)
class Manner:
    """How an agent behaves. Money in cents, times in milliseconds."""

    orders_a_day: float = 25
    median_cents: float = 1_850_000
    sigma: float = 0.35
    correlation: float = 0.0
    """Of the logarithm of an order's size with that of the one before."""
    latency_ms: float = 120
    latency_sigma: float = 0.5
    failing: float = 0.02
    stressed: float = 0.02
    hours: dict[int, int] = field(default_factory=lambda: HOURS)
    markets: dict[str, int] = field(
        default_factory=lambda: {"EUR/USD": 6, "EUR/GBP": 3, "CHF/EUR": 1}
    )
    counterparties: dict[str, int] = field(default_factory=lambda: {"A": 7, "B": 2, "C": 1})


class SyntheticAgent:
    """One simulated agent, its log and the watch that folds it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.watch = WatchState("gate.example/g1")
        self.index = 0
        self.now = 0
        self.deviation = 0.0
        self.entries: list[GateEntry] = []
        self.keep = False
        self.add(
            AgentAdmitted(
                at=format_instant(MONDAY * DAY_S * NS), agent="bot", certificate="",
                certificate_sha256="c" * 64, serial_number="01", not_before="", not_after="",
                policy=POLICY, policy_sha256="d" * 64, authority_index=0,
            )
        )  # fmt: skip

    def add(self, entry: GateEntry) -> None:
        """Append to the log."""
        self.watch.apply(self.index, entry)
        self.index += 1
        if self.keep:
            self.entries.append(entry)

    def _pick(self, weights: dict[Any, int]) -> Any:
        return self.random.choices(list(weights), list(weights.values()))[0]

    def _poisson(self, mean: float) -> int:
        count, left = 0, math.exp(-mean)
        product = self.random.random()
        while product > left:
            count += 1
            product *= self.random.random()
        return count

    def day(self, day: int, manner: Manner) -> Iterator[Decision]:
        """One day of orders, each taken with its permit and report before the next is asked."""
        if day % 7 in (5, 6):
            return
        times = sorted(
            self._pick(manner.hours) * 3600 * NS + self.random.randrange(3600 * NS)
            for _ in range(self._poisson(manner.orders_a_day))
        )
        for time_of_day in times:
            now = max(self.now, (MONDAY + day) * DAY_S * NS + time_of_day)
            yield from self._order(now, manner)

    def _order(self, now: int, manner: Manner) -> Iterator[Decision]:
        fresh = self.random.gauss(0, math.sqrt(1 - manner.correlation**2))
        self.deviation = manner.correlation * self.deviation + fresh
        cents = round(manner.median_cents * math.exp(manner.sigma * self.deviation))
        sight = Sight(
            "bot", now, "new", self._pick(manner.markets), cents * 10**6, "",
            "yes" if self.random.random() < manner.stressed else "no",
        )  # fmt: skip
        scores = self.watch.scores(sight)
        decision, name = self.index, f"o{self.index}"
        entry = Decision(
            at=format_instant(now), agent="bot",
            order={"action": "new", "client_order_id": name, "market": sight.pair},
            body_sha256="e" * 64, body_bytes=0, state=decision, monotonic="0", verdict="permitted",
            reasons=(), notional=f"{cents // 100}.{cents % 100:02d}", before=None, after=None,
            scores=scores, rates={}, certificate_sha256="c" * 64, policy_sha256="d" * 64, epoch=0,
        )  # fmt: skip
        self.add(entry)
        self.add(PermitSigned(at=format_instant(now), agent="bot", decision=decision, permit="p"))
        wait = manner.latency_ms * math.exp(self.random.gauss(0, manner.latency_sigma))
        now += round(wait * 10**6)
        traded = self.random.random() >= manner.failing
        self.add(
            Execution(
                at=format_instant(now), agent="bot", venue="PAPER", client_order_id=name,
                venue_order_id="v", exec_id=name, exec_type="trade" if traded else "rejected",
                last_quantity="1", last_price="1", cum_quantity="1", leaves_quantity="0",
                counterparty=self._pick(manner.counterparties) if traded else "", reason="",
                transact_at=format_instant(now),
            )
        )  # fmt: skip
        self.now = now
        yield entry

    def settle(self, manner: Manner) -> None:
        """Live through the baseline window and adopt what was collected."""
        for day in range(BASELINE_DAYS):
            for _ in self.day(day, manner):
                pass
        now = (MONDAY + BASELINE_DAYS) * DAY_S * NS
        found = self.watch.baseline("bot", now)
        assert found.complete, found.missing
        self.add(
            BaselineAdopted(
                at=format_instant(now), agent="bot", baseline=found.baseline,
                baseline_sha256=found.sha256, authority_index=1,
            )
        )  # fmt: skip


@dataclass
class JudgedMonth:
    """What a month of judging showed; counts of orders since the change, None: never."""

    breaker: int | None = None
    hold: int | None = None
    single: int | None = None
    orders: int = 0
    anomalous: int = 0
    peaks: dict[str, int] = field(default_factory=dict)
    """The largest risk score of each factor, in millionths."""


def live(seed: int, before: Manner, change: Callable[[Manner], Manner] | None) -> JudgedMonth:
    """One agent: its baseline, then a month, changed from a day of the first half on."""
    life, month = SyntheticAgent(seed), JudgedMonth()
    life.settle(before)
    begins = BASELINE_DAYS + (life.random.randrange(10) if change else 0)
    for day in range(BASELINE_DAYS, BASELINE_DAYS + MONTH_DAYS):
        changed = day >= begins
        manner = change(before) if change is not None and changed else before
        for entry in life.day(day, manner):
            month.orders += changed
            _note(month, life, entry)
    return month


def _note(month: JudgedMonth, life: SyntheticAgent, entry: Decision) -> None:
    assert entry.scores is not None
    risk, crossing = life.watch.risk("bot", life.now), life.watch.crossing("bot")
    assert risk is not None
    for name, text in risk.factors.items():
        month.peaks[name] = max(month.peaks.get(name, 0), int(text.replace(".", "")))
    if not month.orders:
        return
    month.anomalous += entry.scores.anomaly > "0.75"
    if entry.scores.anomaly >= "0.85" and month.single is None:
        month.single = month.orders
    if crossing is not None and month.breaker is None:
        month.breaker = month.orders
    if crossing is not None and crossing.kind == "hold" and month.hold is None:
        month.hold = month.orders


CONTROL = {
    "25 orders a day, sizes spread by 0.35": Manner(),
    "the same, sizes spread by 1.0": Manner(sigma=1.0),
    "the same, each size correlated 0.5 with the one before": Manner(correlation=0.5),
    "the same, correlated 0.8": Manner(correlation=0.8),
    "10 orders a day": Manner(orders_a_day=10),
    "200 orders a day": Manner(orders_a_day=200),
}
CHANGES: dict[str, Callable[[Manner], Manner]] = {
    "sizes +50 %": lambda m: replace(m, median_cents=m.median_cents * 1.5),
    "sizes +20 %": lambda m: replace(m, median_cents=m.median_cents * 1.2),
    "every order ten times larger": lambda m: replace(m, median_cents=m.median_cents * 10),
    "a new counterparty only": lambda m: replace(m, counterparties={"D": 1}),
    "another market only": lambda m: replace(m, markets={"GBP/USD": 1}),
    "all orders in stressed markets": lambda m: replace(m, stressed=1.0),
    "latency x 3": lambda m: replace(m, latency_ms=m.latency_ms * 3),
    "hours 8 later": lambda m: replace(m, hours={h + 8: w for h, w in m.hours.items()}),
    "four times as many orders": lambda m: replace(m, orders_a_day=m.orders_a_day * 4),
    "one order in three fails": lambda m: replace(m, failing=0.33),
}


def control(months: int, seed: int, *, factors: bool) -> None:
    """False alarms of agents that never change; ``factors``: with the peaks of each factor."""
    print(f"In control, {months} agent-months each; share of months with at least one crossing:")
    for name, manner in CONTROL.items():
        lives = [live(seed + at, manner, None) for at in range(months)]
        orders = sum(one.orders for one in lives)
        print(
            f"  {name}: breaker {_share(lives, 'breaker')}, hold {_share(lives, 'hold')}; orders"
            f" above 0.75 {sum(one.anomalous for one in lives) / orders:.3%},"
            f" months with an order at 0.85 {_share(lives, 'single')}"
        )
        for factor in lives[0].peaks if factors else ():
            peaks = sorted(one.peaks.get(factor, 0) for one in lives)
            print(f"      {factor:13} peak risk {_quantiles(peaks)}")


def _quantiles(peaks: list[int]) -> str:
    return ", ".join(
        f"{share} % {peaks[min(len(peaks) - 1, len(peaks) * share // 100)] / 10**6:.2f}"
        for share in (50, 90, 99, 100)
    )


def _share(lives: list[JudgedMonth], name: str) -> str:
    return f"{sum(getattr(one, name) is not None for one in lives) / len(lives):.2%}"


def tenfold(agents: int, seed: int) -> None:
    """One order ten times the median, asked of agents that have just gone live."""
    for name, manner in CONTROL.items():
        scores = []
        for at in range(agents):
            agent = SyntheticAgent(seed + at)
            agent.settle(manner)
            money = round(manner.median_cents) * 10 * 10**6
            sight = Sight("bot", agent.now, "new", "EUR/USD", money, "", "no")
            scores.append(agent.watch.scores(sight).anomaly)
        scores.sort()
        refused = sum(score > "0.75" for score in scores) / agents
        print(
            f"  one order ten times the median, {name}: anomaly {scores[agents // 2]} (median),"
            f" refused {refused:.0%}, at 0.85 {sum(one >= '0.85' for one in scores) / agents:.0%}"
        )


def detection(months: int, seed: int) -> None:
    """Orders until a changed agent is noticed."""
    print(f"Changed, {months} agents each: orders until (median; share that crossed)")
    for name, change in CHANGES.items():
        lives = [live(seed + at, Manner(), change) for at in range(months)]
        parts = []
        for what in ("single", "breaker", "hold"):
            found = [value for one in lives if (value := getattr(one, what)) is not None]
            median = f"{statistics.median(found):.0f}" if found else "-"
            parts.append(f"{what} {median} ({len(found) / len(lives):.0%})")
        print(f"  {name}: {', '.join(parts)}")


def cost(repeat: int) -> None:
    """Processor time against reading the entries from their bytes."""
    agent = SyntheticAgent(1)
    agent.settle(Manner())
    agent.keep = True
    for day in range(BASELINE_DAYS, BASELINE_DAYS + MONTH_DAYS):
        for _ in agent.day(day, Manner()):
            pass
    entries = agent.entries
    lines = [canonical(entry) for entry in entries]
    floors, folds, scorings = [], [], []
    sight = Sight("bot", agent.now, "new", "EUR/USD", 1_850_000 * 10**6, "A", "no")
    for _ in range(repeat):
        again = SyntheticAgent(1)
        again.settle(Manner())
        floors.append(_timed(decode_gate_entry, [(line,) for line in lines]))
        numbered = list(enumerate(entries, again.index))
        folds.append(_timed(again.watch.apply, numbered))
        scorings.append(_timed(again.watch.scores, [(sight,)] * len(entries)))
    floor, fold, scoring = min(floors), min(folds), min(scorings)
    print(f"Cost over {len(entries)} entries, best of {repeat}:")
    print(f"  floor, one entry read from its bytes  {floor:6.2f} us")
    print(f"  one entry taken by the watch          {fold:6.2f} us  {fold / floor:.2f} x the floor")
    print(f"  the scores of one order               {scoring:6.2f} us")


def _timed(work: Callable[..., object], calls: Sequence[tuple[Any, ...]]) -> float:
    """Microseconds of processor time for one call."""
    begin = time.process_time()
    for arguments in calls:
        work(*arguments)
    return (time.process_time() - begin) / len(calls) * 10**6


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few agents")
    parser.add_argument("--months", type=int, default=0, help="agent-months of each kind")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    months = asked.months or (40 if asked.quick else 400)
    cost(3 if asked.quick else 10)
    control(months, asked.seed, factors=not asked.quick)
    detection(max(10, months // 4), asked.seed)
    tenfold(max(10, months // 4), asked.seed)


if __name__ == "__main__":
    main()
