# SPDX-License-Identifier: Apache-2.0
"""What the watch says, and what the gate makes of it: rows 16 and 27 to 30, and the fold."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from sekisho.core.events import (
    AccumulationRestarted,
    BaselineAdopted,
    Decision,
    IncidentOpened,
    Rearmed,
    Scores,
)
from sekisho.core.sight import Sight
from tests.fold_world import FoldWorld, reasons
from tests.gate_world import CERTIFICATE, POLICY, scope_of

DIGEST = "b" * 64
THRESHOLD = "0.75"


def with_behaviour(**changes: Any) -> dict[str, Any]:
    """The policy with these fields of its behaviour section changed."""
    policy = copy.deepcopy(POLICY)
    policy["behaviour"] |= changes
    return policy


def adopt(world: FoldWorld, digest: str = DIGEST) -> int:
    return world.add(
        BaselineAdopted, agent="bot", baseline={}, baseline_sha256=digest, authority_index=9
    )


def incident(world: FoldWorld, kind: str, certificate: str = CERTIFICATE) -> int:
    return world.add(
        IncidentOpened, incident="0" * 32, agent="bot", certificate_sha256=certificate,
        incident_kind=kind, score="risk", factor="size", observed="0.900000", threshold="0.85",
        trigger=world.state.size - 1,
    )  # fmt: skip


class Said:
    """A watch that says what it was told to, and remembers what it was shown."""

    def __init__(self, world: FoldWorld, **changes: Any) -> None:
        self.world, self.changes = world, changes
        self.shown: list[Sight] = []

    def __call__(self, sight: Sight) -> Scores:
        self.shown.append(sight)
        fields: dict[str, Any] = {
            "stressed": sight.stressed,
            "baseline_sha256": DIGEST,
            "anomaly": "0.100000",
            "factors": {"size": "0.100000"},
            "risk": "0.200000",
            "scored": self.world.state.size,
        }
        return Scores(**(fields | self.changes))


def live(policy: dict[str, Any] | None = None) -> FoldWorld:
    world = FoldWorld(policy)
    adopt(world)
    return world


def ask(world: FoldWorld, **said: Any) -> Decision:
    """Ask for a new order, of which the watch says this."""
    world.watching = Said(world, **said)
    return world.ask(client_order_id=f"order-{world.state.size}")


def test_baseline_missing_is_refused_only_where_the_policy_says_so() -> None:
    """Row 27: without a baseline the policy either refuses or checks the scope alone."""
    refusing = FoldWorld(with_behaviour(without_baseline="refuse"))
    assert reasons(refusing.ask()) == [("baseline_missing", "", "", "")]
    assert reasons(FoldWorld().ask()) == []
    adopt(refusing)
    assert reasons(ask(refusing)) == []


def test_scores_without_a_watch_are_refused_once_live() -> None:
    """Row 28: no watch, no exposure; what the gate saw is recorded all the same."""
    world = live()
    decision = world.ask()
    assert reasons(decision) == [("risk_score_stale", "1000", "", "entries")]
    assert decision.scores == Scores(
        stressed="unknown", baseline_sha256="", anomaly="", factors={}, risk="", scored=0
    )


def test_scores_that_are_missing_are_refused_once() -> None:
    """Row 28: what is missing is not behind as well."""
    world = live(with_behaviour(risk_lag_entries_max=0))
    assert reasons(world.ask()) == [("risk_score_stale", "0", "", "entries")]


@pytest.mark.parametrize(
    "changes",
    [{"baseline_sha256": "c" * 64}, {"risk": ""}, {"anomaly": ""}],
    ids=lambda changes: str(*changes),
)
def test_scores_of_something_else_are_refused(changes: dict[str, Any]) -> None:
    """Row 28: scores of another baseline, or without a number, count as none."""
    assert reasons(ask(live(), **changes)) == [("risk_score_stale", "1000", "", "entries")]


@pytest.mark.parametrize(("lag", "refused"), [(0, False), (3, False), (4, True), (-1, True)])
def test_scores_may_lag_by_what_the_policy_says(lag: int, refused: bool) -> None:
    """Row 28: at the limit they pass; beyond it, or ahead of the log, they do not."""
    world = live(with_behaviour(risk_lag_entries_max=3))
    decision = ask(world, scored=world.state.size - lag)
    expected = [("risk_score_stale", "3", str(lag), "entries")] if refused else []
    assert reasons(decision) == expected


@pytest.mark.parametrize(("score", "refused"), [("0.750000", False), ("0.750001", True)])
def test_order_is_refused_strictly_above_the_threshold(score: str, refused: bool) -> None:
    """Rows 29 and 30: at the threshold an order passes, a millionth above it does not."""
    anomalous = ask(live(), anomaly=score)
    assert reasons(anomalous) == (
        [("anomalous_order", THRESHOLD, score, "score")] if refused else []
    )
    risky = ask(live(), risk=score)
    assert reasons(risky) == (
        [("circuit_breaker_active", THRESHOLD, score, "score")] if refused else []
    )


def test_breaker_stays_latched_until_rearmed() -> None:
    """Row 30: the latch refuses whatever the score is now, lets cancels pass, and is re-armed."""
    world = live()
    resting = str((ask(world).order or {})["client_order_id"])
    incident(world, "breaker")
    refused = ask(world, risk="0.000000")
    assert reasons(refused) == [("circuit_breaker_active", THRESHOLD, "0.000000", "score")]
    assert reasons(world.cancel("x", resting)) == []
    world.add(Rearmed, agent="bot", latch="circuit_breaker", seats=("a", "b"), commands=())
    assert world.bot.latches == set()


def test_rearming_the_breaker_leaves_other_latches_and_counts() -> None:
    """Each latch has its own command."""
    world = live()
    incident(world, "breaker")
    world.bot.latches.add("repeated_executions")
    world.bot.executions.append(world.now)
    world.bot.failures = 2
    world.add(Rearmed, agent="bot", latch="circuit_breaker", seats=("a", "b"), commands=())
    assert world.bot.latches == {"repeated_executions"}
    assert (list(world.bot.executions), world.bot.failures) == ([world.now], 2)


def test_hold_incident_holds_the_present_certificate_only() -> None:
    """An incident stops the certificate that it names, and lifts no revocation."""
    world = live()
    incident(world, "hold", "f" * 64)
    before = world.bot.status
    incident(world, "hold")
    assert (before, world.bot.status) == ("good", "hold")
    assert reasons(ask(world)) == [("certificate_held", "", "", "")]
    world.status("revoked")
    incident(world, "hold")
    assert world.bot.status == "revoked"


def test_baseline_once_in_force_is_not_replaced() -> None:
    """A second adoption changes nothing; a new certificate inherits the baseline."""
    world = live()
    adopt(world, "c" * 64)
    assert world.bot.baseline_sha256 == DIGEST
    world.admit(POLICY, certificate_sha256="e" * 64)
    assert world.bot.baseline_sha256 == DIGEST


def test_restart_of_the_accumulation_changes_nothing_that_a_check_reads() -> None:
    """The gate's own state does not depend on it."""
    world = live()
    world.add(AccumulationRestarted, agent="bot", first=0, last=1)
    assert reasons(ask(world)) == []


def test_entries_of_an_unknown_agent_have_no_effect() -> None:
    """Baselines and incidents of agents that were never admitted are passed over."""
    world = FoldWorld()
    world.add(
        BaselineAdopted, agent="other", baseline={}, baseline_sha256=DIGEST, authority_index=9
    )
    world.add(
        IncidentOpened, incident="0" * 32, agent="other", certificate_sha256=CERTIFICATE,
        incident_kind="hold", score="risk", factor="size", observed="0.9", threshold="0.85",
        trigger=0,
    )  # fmt: skip
    assert (world.bot.status, world.bot.baseline_sha256) == ("good", "")


def test_daily_cap_before_a_baseline_is_a_share_rounded_down() -> None:
    """Row 16: half of 40,000.01 is 20,000.00; live, the whole cap holds."""
    policy = with_behaviour(baseline_daily_fraction="0.5")
    policy["scope"]["daily_notional_max"] = "40000.01"
    world = FoldWorld(policy)
    over = world.ask(quantity="20000.01")
    assert reasons(over) == [("daily_volume_cap_exceeded", "20000.00", "20000.01", "EUR")]
    assert reasons(world.ask(client_order_id="a", quantity="20000")) == []
    adopt(world)
    world.watching = Said(world)
    assert reasons(world.ask(client_order_id="b", quantity="20000.01")) == []


def test_no_daily_cap_has_no_share_either() -> None:
    """A cap of none stays none before a baseline."""
    policy = scope_of(daily_notional_max="none", order_notional_max="none")
    policy["behaviour"]["baseline_daily_fraction"] = "0.5"
    assert reasons(FoldWorld(policy).ask(quantity="900000")) == []


def test_watch_is_shown_what_the_order_would_become() -> None:
    """A new order is shown with its value and counterparty, an amendment with its new value."""
    world = live(scope_of(order_notional_max="none"))
    world.watching = said = Said(world)
    world.ask(counterparty="KRAKEN")
    world.amend("b", "order-1", "21000")
    world.ask(client_order_id="c", market="EUR/CHF")
    assert said.shown == [
        Sight("bot", world.now, "new", "EUR/USD", 20_000 * 10**8, "KRAKEN", "unknown"),
        Sight("bot", world.now, "amend", "EUR/USD", 21_000 * 10**8, "KRAKEN", "unknown"),
        Sight("bot", world.now, "new", "CHF/EUR", 20_000 * 10**8, "", "unknown"),
    ]


def test_cancels_and_amendments_of_nothing_are_not_shown_to_the_watch() -> None:
    """What adds nothing is not scored, and its decision holds no scores."""
    world = live()
    world.watching = said = Said(world)
    decision = world.amend("b", "gone", "1")
    assert reasons(decision) == [("unknown_order", "", "gone", "")]
    assert (decision.scores, said.shown) == (None, [])


@pytest.mark.parametrize(
    ("bid", "ask", "said"), [("1.0849", "1.0851", "no"), ("1.07", "1.10", "yes")]
)
def test_stress_is_measured_whatever_the_policy_does_about_it(
    bid: str, ask: str, said: str
) -> None:
    """With ``score`` a stressed market refuses nothing and is shown to the watch."""
    policy = scope_of(
        market_stress={"action": "score", "spread_max": "0.01", "move_max": "1", "window_s": 60}
    )
    world = FoldWorld(policy)
    world.rate("EUR/USD", bid, ask)
    decision = world.ask()
    assert decision.scores is not None
    assert (reasons(decision), decision.scores.stressed) == ([], said)
