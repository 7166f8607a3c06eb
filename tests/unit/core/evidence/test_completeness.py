# SPDX-License-Identifier: Apache-2.0
"""How permitted decisions end, and logs that contradict themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.core.events import GateEntry, GateOpened, PermitSigned, Withdrawn
from sekisho.core.evidence.completeness import Completeness
from tests.authority_world import AGENT
from tests.evidence_world import ORDER, decision

AT = "2026-05-15T09:00:00.000000000Z"
OPENED = GateOpened(at=AT, gate="g1", boot="b" * 32, region="r", environment="test")


def permitted(**other: Any) -> Any:
    """A permitted new order."""
    return decision(0, **other)


def cancelled() -> Any:
    """A permitted cancel."""
    return permitted(order={"action": "cancel", "client_order_id": "c"})


def signed(index: int, agent: str = AGENT) -> PermitSigned:
    """The permit of a decision."""
    return PermitSigned(at=AT, agent=agent, decision=index, permit="a.b.c")


def withdrawn(index: int) -> Withdrawn:
    """The withdrawal of a decision."""
    return Withdrawn(at=AT, agent=AGENT, decision=index, reason="lease_expired")


def followed(*entries: GateEntry) -> Completeness:
    """A log of these entries, followed for the agent."""
    found = Completeness(AGENT)
    for index, entry in enumerate(entries):
        found.take(index, entry)
    return found


def test_completeness_each_permitted_decision_ends_one_way() -> None:
    """Signed, withdrawn, or possibly issued; a refusal and a cancel get no permit."""
    found = followed(
        permitted(),
        permitted(),
        permitted(),
        permitted(verdict="refused"),
        cancelled(),
        signed(0),
        withdrawn(1),
    )
    assert {0: "signed", 1: "withdrawn", 2: "possibly_issued"} == found.endings
    assert [] == found.contradictions


def test_completeness_malformed_and_other_agents_do_not_count() -> None:
    """Only the agent's own orders are followed."""
    found = followed(
        permitted(agent="other"), permitted(order=None, verdict="refused"), signed(0, "other")
    )
    assert ({}, []) == (found.endings, found.contradictions)


def test_completeness_withdrawn_cancel_counts_once() -> None:
    """A cancel that did not go out is withdrawn; twice is a contradiction."""
    found = followed(cancelled(), withdrawn(0))
    assert (True, {}, []) == (found.withdrawn(0), found.endings, found.contradictions)
    assert 1 == len(followed(cancelled(), withdrawn(0), withdrawn(0)).contradictions)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([permitted(), signed(0), signed(0)], "decision 0 was signed before"),
        ([permitted(), withdrawn(0), signed(0)], "decision 0 was withdrawn before"),
        ([permitted(), signed(0), withdrawn(0)], "decision 0 was signed before"),
        ([permitted(verdict="refused"), signed(0)], "entry 0 permits nothing"),
        ([cancelled(), signed(0)], "entry 0 permits nothing"),
        ([OPENED, signed(0)], "entry 0 permits nothing"),
        ([signed(1), permitted()], "entry 1 permits nothing"),
        ([permitted(agent="other"), signed(0)], "entry 0 permits nothing"),
        ([permitted(), OPENED, signed(0)], "before the gate was opened again"),
    ],
)
def test_completeness_contradiction_is_told(entries: Sequence[GateEntry], said: str) -> None:
    """What no gate of ours writes is named with its index, and changes nothing."""
    found = followed(*entries)
    assert 1 == len(found.contradictions)
    assert said in found.contradictions[0]
    assert found.contradictions[0].startswith("gate log, entry ")


def test_completeness_withdrawn_after_reopening_is_no_contradiction() -> None:
    """Only a signature may not come late."""
    found = followed(permitted(), OPENED, withdrawn(0))
    assert ({0: "withdrawn"}, []) == (found.endings, found.contradictions)


@given(st.lists(st.sampled_from(["new", "amend", "cancel", "refuse", "sign", "withdraw"])))
def test_completeness_every_permitted_decision_is_accounted_for(kinds: list[str]) -> None:
    """Whatever a lawful gate does, endings are exactly its permitted new and amend decisions."""
    entries: list[GateEntry] = []
    waiting: list[int] = []
    permits = 0
    for kind in kinds:
        if kind in {"new", "amend", "cancel"}:
            if kind != "cancel":
                waiting.append(len(entries))
                permits += 1
            entries.append(permitted(order=ORDER | {"action": kind}))
        elif kind == "refuse":
            entries.append(permitted(verdict="refused"))
        elif waiting:
            entries.append((signed if kind == "sign" else withdrawn)(waiting.pop()))
    found = followed(*entries)
    ends = list(found.endings.values())
    assert [] == found.contradictions
    assert permits == len(ends)
    assert len(waiting) == ends.count("possibly_issued")
