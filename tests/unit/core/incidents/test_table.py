# SPDX-License-Identifier: Apache-2.0
"""The table of incidents: every state with every act, by the entries that bring them about."""

from __future__ import annotations

from typing import get_args

import pytest

from sekisho.core.errors import VerificationFailed
from sekisho.core.events import AuthorityEntry
from sekisho.core.incidents.table import BEGINS, OUTCOMES, TABLE, TIMED, Act, State
from tests.unit.core.identity.entries import at, changed, issued
from tests.unit.core.incidents.procedures import (
    FIRST,
    REVOKE_S,
    SECOND,
    BothFolds,
    acknowledged,
    alerted,
    automatic,
    certificate,
    grace,
    log_of,
    rearmed,
    recorded,
)

STATES: tuple[State, ...] = get_args(State)
ACTS: tuple[Act, ...] = get_args(Act)
LATE_S = 50_000


def entries_of(folds: BothFolds, act: Act) -> list[AuthorityEntry]:
    """What an authority writes when this happens now."""
    epoch = folds.state.epoch + 1
    scheduled = folds.state_of() == "scheduled"
    deadline = at(100 + 3600) if scheduled or folds.state_of() == "acknowledged" else ""
    match act:
        case "reached":
            return [alerted(at=at(200)), grace(200)]
        case "answered":
            return [acknowledged(200, ends_at=deadline)]
        case "dated":
            return [acknowledged(200, "fault", at(REVOKE_S - 1))]
        case "condemned":
            return [acknowledged(200, "fault", ends_at=deadline)]
        case "fault" if folds.state_of() == "acknowledged":
            at_once = acknowledged(200, "fault", ends_at=deadline)
            return [at_once, automatic(act, epoch, at=at(LATE_S))]
        case "grace_expired" | "deadline_expired" | "fault":
            return [automatic(act, epoch, at=at(LATE_S))]
        case "release":
            return [changed("release", "good", epoch, at=at(200), incident=FIRST)]
        case "revoke" | "kill":
            return [changed(act, "revoked", epoch, at=at(200), incident=FIRST)]
        case "rearm":
            epoch = folds.state.agent_epoch("bot")
            return [rearmed(200, epoch=epoch, said={"epoch": epoch, "incident": FIRST})]
        case "supersede":
            after = 100_001
            return [
                issued(2, at=at(after), not_after=at(after + 1)),
                recorded(SECOND, at=at(after), certificate_sha256=certificate(2)),
            ]


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("state", STATES)
def test_incident_in_each_state_does_what_the_table_says(state: State, act: Act) -> None:
    """A row of the table happens; what is no row is unlawful, or does nothing to the incident."""
    folds = log_of(state)
    expected = TABLE.get((state, act))
    entries = entries_of(folds, act)
    if expected is None and act != "supersede":
        with pytest.raises(VerificationFailed):
            folds.add(*entries)
        assert folds.state_of() == state
        return
    folds.add(*entries)
    if expected != "closed" and act == "condemned":
        assert folds.state_of() == expected
        expected = "closed"
    folds.pay()
    assert folds.state_of() == (expected or state)
    outcome = folds.book.by_id(FIRST).outcome
    if state != "closed":
        wanted = OUTCOMES["fault" if act == "condemned" else act] if expected == "closed" else ""
        assert outcome == wanted
    assert (folds.book.open_incident("bot") is None) == (
        expected == "closed" and act != "supersede"
    ) or state == "closed"


def test_table_lets_nothing_leave_closed_and_no_time_end_alerting() -> None:
    """What is over stays over; while nobody was reached the agent stays held."""
    assert "closed" not in {state for state, _ in TABLE}
    assert "alerting" not in TIMED
    assert all(TABLE[state, act] == "closed" for state, act in TIMED.items())
    assert {state for _, state in BEGINS.items()} == {"alerting", "latched"}
    assert {act for (_, act), state in TABLE.items() if state == "closed"} == set(OUTCOMES)
