# SPDX-License-Identifier: Apache-2.0
"""docs/spec/behaviour.md a second time, slowly and without the product's code.

It keeps every entry and looks through all of them again for each answer: windows, counts and sums
are taken from scratch. Agent ``bot``, zone UTC, log times as entries have them.
"""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

from sekisho.core.events import GateEntry, Scores
from sekisho.core.sight import Sight

ORDER = ["size", "frequency", "market", "hours", "stress", "counterparty", "latency", "success"]
NUMBERS = {"size", "frequency", "latency"}
HOUR = 3_600_000_000_000
CONTEXT = Context(prec=28, rounding=ROUND_HALF_EVEN)
POINTS = [("0", "0"), ("1", "0.20"), ("2.5", "0.60"), ("4", "0.85"), ("6", "0.95"), ("10", "1")]


def lg(ratio: Fraction) -> int:
    """Micro-decades of a ratio."""
    quotient = CONTEXT.divide(Decimal(ratio.numerator), Decimal(ratio.denominator))
    scaled = CONTEXT.multiply(CONTEXT.log10(quotient), Decimal(10**6))
    return int(scaled.to_integral_value(ROUND_HALF_EVEN, CONTEXT))


def bucket(value: int) -> int:
    """By the definition: e from the bit length."""
    e = 0 if value < 128 else value.bit_length() - 7
    return value if value < 64 else 64 * e + (value >> e)


def floor_of(number: int) -> int:
    """The first value of a bucket, by looking."""
    low, high = 0, 2 ** (number // 64 + 8)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if bucket(middle) < number else (low, middle)
    return low


def ns(text: str) -> int:
    """Nanoseconds of an instant."""
    seconds = datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    return int(seconds.timestamp()) * 10**9 + int(text[20:29])


def day_of(now: int) -> int:
    return now // (24 * HOUR)


def pair(market: str) -> str:
    return "/".join(sorted(market.split("/")))


def label_of_hour(now: int) -> str:
    hour = now // HOUR % 24
    return f"{hour + (24 if (day_of(now) + 3) % 7 >= 5 else 0):02d}"


def millionths(micro: int) -> int:
    """The score of u micro-decades."""
    for (u0, s0), (u1, s1) in pairwise(POINTS):
        low, high = (int(Fraction(u) * 10**6) for u in (u0, u1))
        if micro <= high:
            below, above = (int(Fraction(s) * 10**6) for s in (s0, s1))
            return below + math.floor(Fraction((micro - low) * (above - below), high - low))
    return 10**6


def text(score: int) -> str:
    return f"{score // 10**6}.{score % 10**6:06d}"


class Naive:
    """Every answer from all entries."""

    def __init__(self, entries: list[GateEntry]) -> None:
        self.entries = [(at, ns(entry.at), entry) for at, entry in enumerate(entries)]

    # -- observations --------------------------------------------------------------------------

    def mine(self, kind: str) -> list[tuple[int, int, Any]]:
        """The agent's entries of one kind."""
        return [
            (index, now, entry) for index, now, entry in self.entries
            if type(entry).__name__ == kind and getattr(entry, "agent", "") == "bot"
        ]  # fmt: skip

    def new(self) -> list[tuple[int, int, Any]]:
        return [
            row for row in self.mine("Decision") if row[2].order and row[2].order["action"] == "new"
        ]

    def restarts(self) -> list[int]:
        """Indexes at which the running hour and the accumulation begin anew."""
        return [index for index, _, _ in self.mine("BaselineAdopted")[:1]] + [
            index for index, _, _ in self.mine("AccumulationRestarted")
        ]

    def observations(self) -> list[tuple[int, int, str, Any]]:
        """(index, day, factor, value) in the order of the log."""
        found: list[tuple[int, int, str, Any]] = []
        for index, now, entry in self.new():
            day = day_of(now)
            if entry.notional:
                found.append((index, day, "size", int(Fraction(entry.notional) * 100)))
            found += [(index, day, "frequency", n) for n in self._hour_before(index, now)]
            found.append((index, day, "market", pair(entry.order["market"])))
            found.append((index, day, "hours", label_of_hour(now)))
            if entry.scores and entry.scores.stressed != "unknown":
                found.append((index, day, "stress", entry.scores.stressed))
        for index, now, entry in self.mine("Execution"):
            if entry.exec_type == "trade" and entry.counterparty:
                found.append((index, day_of(now), "counterparty", entry.counterparty))
        for index, _, entry in self.new():
            found += self._answer(index, entry)
        return sorted(found, key=lambda row: (row[0], ORDER.index(row[2])))

    def _hour_before(self, index: int, now: int) -> list[int]:
        """The count of an hour that this new decision ends."""
        since = max([at for at in self.restarts() if at < index], default=-1)
        before = [then for at, then, _ in self.new() if since < at < index]
        if not before or before[-1] // HOUR == now // HOUR:
            return []
        return [sum(1 for then in before if then // HOUR == before[-1] // HOUR)]

    def _answer(self, decision: int, entry: Any) -> list[tuple[int, int, str, Any]]:
        """Latency and success of one new order, if they were observed."""
        name, signed = entry.order["client_order_id"], None
        for index, now, later in (
            self.entries[decision + 1 :] if entry.verdict == "permitted" else ()
        ):
            match self._bearing(decision, name, later):
                case "signed":
                    signed = now
                case "unsigned" if signed is None:
                    return []
                case "ended" | "amended" as word:
                    if signed is not None or word == "amended":
                        return []
                case "failed" if signed is not None:
                    return [(index, day_of(now), "success", "failed")]
                case "traded" if signed is not None:
                    took = math.ceil(Fraction(now - signed, 10**6))
                    day = day_of(now)
                    return [(index, day, "latency", took), (index, day, "success", "ok")]
                case _:
                    pass
        return []

    def _bearing(self, decision: int, name: str, later: Any) -> str:
        """What a later entry means for the order of a decision."""
        kind = type(later).__name__
        if kind == "GateOpened" or (kind == "Withdrawn" and later.decision == decision):
            return "unsigned"
        if getattr(later, "agent", "") != "bot":
            return ""
        if kind == "PermitSigned" and later.decision == decision:
            return "signed"
        if kind == "Decision" and later.verdict == "permitted" and later.order:
            return (
                "amended"
                if later.order.get("orig_client_order_id") == name
                and (later.order["action"] == "amend")
                else ""
            )
        if kind == "OutcomeUnresolved" and later.client_order_id == name:
            return "failed" if later.operation == "submit" else ""
        if kind == "Execution" and later.client_order_id == name:
            return {
                "trade": "traded", "rejected": "failed", "canceled": "ended", "expired": "ended",
                "not_found": "ended",
            }.get(later.exec_type, "")  # fmt: skip
        return ""

    # -- baseline ------------------------------------------------------------------------------

    def baseline(self, window_days: int = 14) -> dict[str, Counter[Any]]:
        """Counts of each factor over the window."""
        start = self.new()[0]
        first = day_of(start[1])
        counts: dict[str, Counter[Any]] = {name: Counter() for name in ORDER}
        for index, day, name, value in self.observations():
            if index >= start[0] and day < first + window_days:
                counts[name][bucket(value) if name in NUMBERS else value] += 1
        return counts

    def locked(self) -> dict[str, dict[Any, int]]:
        """The baseline in force: established factors only."""
        plain = self.mine("BaselineAdopted")[0][2].baseline["factors"]
        return {name: dict(plain[name]["counts"]) for name in ORDER if plain[name]["n"] >= 20}

    # -- anomaly -------------------------------------------------------------------------------

    def scores(self, sight: Sight) -> Scores:
        """Section 6."""
        seen: dict[str, Any] = {}
        if sight.notional is not None:
            seen["size"] = sight.notional // 10**6
        if sight.action == "new":
            within = [1 for _, then, _ in self.new() if sight.now - HOUR < then <= sight.now]
            seen |= {
                "frequency": len(within) + 1,
                "market": sight.pair,
                "hours": label_of_hour(sight.now),
            }
            if sight.stressed != "unknown":
                seen["stress"] = sight.stressed
            if sight.counterparty:
                seen["counterparty"] = sight.counterparty
        factors = {
            name: self._rarity(name, seen[name], counts)
            for name, counts in self.locked().items()
            if name in seen
        }
        return Scores(
            stressed=sight.stressed,
            baseline_sha256=self.mine("BaselineAdopted")[0][2].baseline_sha256,
            anomaly=text(max(factors.values(), default=0)),
            factors={name: text(score) for name, score in factors.items()},
            risk=text(max(self.risks(sight.now).values())),
            scored=len(self.entries),
        )

    def _rarity(self, name: str, value: Any, counts: dict[Any, int]) -> int:
        n = sum(counts.values())
        if name not in NUMBERS:
            own = counts.get(value, 0)
            as_rare = sum(count for count in counts.values() if count <= own)
        elif bucket(value) > max(counts):
            widest = max(1, floor_of(max(counts)))
            return millionths(lg(Fraction(n + 1)) + 4 * lg(Fraction(value, widest)))
        else:
            as_rare = sum(count for key, count in counts.items() if key >= bucket(value))
        return millionths(-lg(Fraction(as_rare + 1, n + 1)))

    # -- risk ----------------------------------------------------------------------------------

    def categories(self, name: str, counts: dict[Any, int]) -> tuple[int, Any]:
        """Their number, and the function from an observation to its category."""
        if name in NUMBERS:
            spread = sorted(Counter(counts).elements())
            edges = [
                next(v for at, v in enumerate(spread, 1) if at * 100 >= q * len(spread))
                for q in (50, 75, 90, 97, 100)
            ]
            return 6, lambda value: sum(edge < bucket(value) for edge in edges)
        if name in ("market", "counterparty"):
            labels = sorted(counts)
            return len(
                labels
            ) + 1, lambda value: labels.index(value) if value in labels else len(labels)
        if name == "hours":
            order = sorted(counts, key=lambda label: (counts[label], label))
            rare = [
                label for at, label in enumerate(order)
                if sum(counts[one] for one in order[: at + 1]) * 100 <= sum(counts.values())
            ]  # fmt: skip
            return 2, lambda value: int(value not in counts or value in rare)
        return 2, lambda value: ["no", "yes"].index(value) if name == "stress" else [
            "ok", "failed",
        ].index(value)  # fmt: skip

    def risks(self, now: int) -> dict[str, int]:
        """Risk score of each factor, from increments added up over every suffix of the window."""
        since = self.restarts()[-1]
        seen = [row for row in self.observations() if row[0] > since]
        scores = {
            name: self._evidence(
                self._increments(name, counts, [row for row in seen if row[2] == name]), now
            )
            for name, counts in self.locked().items()
        }
        judged = [
            (day_of(then), 1_500_000 if float(entry.scores.anomaly) > 0.75 else -50_000)
            for index, then, entry in self.mine("Decision")
            if index > since and entry.scores and entry.scores.anomaly
        ]
        scores["anomalies"] = self._evidence(judged, now)
        return {name: min(10**6, evidence // 12) for name, evidence in scores.items()}

    def _evidence(self, increments: list[tuple[int, int]], now: int) -> int:
        inside = [value for day, value in increments if day_of(now) - 30 < day]
        return max(sum(inside[at:]) for at in range(len(inside) + 1))

    def _increments(
        self, name: str, counts: dict[Any, int], rows: list[tuple[int, int, str, Any]]
    ) -> list[tuple[int, int]]:
        size, category_of = self.categories(name, counts)
        c = [0] * size
        for key, count in counts.items():
            c[category_of(floor_of(key) if name in NUMBERS else key)] += count
        n = sum(c)
        weight, fee = max(30, n // 4), 1_302_883 * (size - 1) // (2 * n)
        found: list[tuple[int, int]] = []
        for at, (_, day, _, value) in enumerate(rows):
            held = Counter(category_of(v) for _, then, _, v in rows[:at] if day - 30 < then)
            share = [Fraction(2 * c[k] + 1, 2 * n + size) for k in range(size)]
            total, k = sum(held.values()), category_of(value)
            one_sided = name not in ("market", "counterparty")
            if one_sided and held[0] > total * share[0]:
                found.append((day, 0))
                continue
            learned = (held[k] + weight * share[k]) / (total + weight)
            found.append((day, min(1_500_000, lg(learned / share[k]) - fee)))
        return found
