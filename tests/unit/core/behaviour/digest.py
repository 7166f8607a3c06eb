# SPDX-License-Identifier: Apache-2.0
"""Prints one digest over all scores of a few thousand made-up entries; run in a process of its own.

The numbers come from a small generator of its own, so that no library's choice takes part.
"""

from __future__ import annotations

from collections.abc import Iterator

from sekisho.core.encoding import canonical, sha256_hex
from sekisho.core.terms import NS
from tests.unit.core.behaviour.trail import Trail, policy

MARKETS = ("EUR/USD", "GBP/EUR", "USD/CHF", "AUD/NZD", "EUR/JPY")


def numbers(seed: int) -> Iterator[int]:
    """Whole numbers below 2^31, always the same ones."""
    while True:
        seed = (seed * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407) % 2**64
        yield seed >> 33


def step(trail: Trail, dice: Iterator[int], said: list[bytes]) -> None:
    """One order with what follows it; its scores, and the risk after it, are said."""
    trail.now += next(dice) % 1_500 * NS + next(dice)
    name, live = f"n{len(trail.entries)}", trail.watch.locked("bot") != ""
    cents = 1_000 + (next(dice) % 1_000) ** (3 if next(dice) % 9 == 0 else 2)
    market = MARKETS[(next(dice) % 25 + (20 if next(dice) % 30 == 0 else 0)) // 10]
    scores = trail.watch.scores(
        trail.sight(
            pair=market, notional=cents * 10**6, counterparty="ABCD"[next(dice) % 4],
            stressed=("no", "no", "no", "yes", "unknown")[next(dice) % 5],
        )
    )  # fmt: skip
    said.append(canonical(scores))
    decision = trail.new(
        name, market=market, money=f"{cents // 100}.{cents % 100:02d}", scores=scores
    )
    trail.sign(decision)
    trail.now += next(dice)
    ends = ("trade", "trade", "trade", "rejected", "canceled")[next(dice) % 5]
    trail.report(ends, name, "ABCD"[next(dice) % 4] if ends == "trade" else "")
    crossing = trail.watch.crossing("bot")
    if live:
        said.append(canonical([trail.risk(), crossing]))
    if crossing is not None:
        trail.incident(crossing.kind)
        trail.restart()


def all_scores(orders: int) -> str:
    """The digest of everything that the watch said."""
    dice, said = numbers(1), [b""]
    trail = Trail(policy(baseline_days=3))
    for at in range(orders):
        if at == orders // 3:
            found = trail.watch.baseline("bot", trail.now)
            said.append(canonical(found))
            trail.adopt(found.baseline, found.sha256)
        step(trail, dice, said)
    return sha256_hex(b"\n".join(said))


if __name__ == "__main__":
    print(all_scores(1_000))
