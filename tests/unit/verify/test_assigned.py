# SPDX-License-Identifier: Apache-2.0
"""One gate an agent, as both logs show it: moves on an operator's word, leases for one's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from sekisho_verify.bundle import Verification
from tests.unit.verify.build_bundle import Draft, outcome
from tests.unit.verify.build_policy import AGENT
from tests.unit.verify.build_signed import at

GOOD = ("", "", "")
END = at(30)


@pytest.fixture(scope="module")
def original() -> Draft:
    """The draft that every test copies: two status changes, so the epoch at its end is 2."""
    return Draft()


def first(**changes: Any) -> dict[str, Any]:
    """The assignment to the first gate that asks, directly after its boot."""
    return {
        "kind": "agent_assigned",
        "at": at(2),
        "agent": AGENT,
        "gate": "gate-1",
        "before": "",
        "epoch": 0,
        "seats": [],
        "commands": [],
    } | changes


def move(draft: Draft, **changes: Any) -> dict[str, Any]:
    """The operator's move to another gate at the end; ``told`` changes the command."""
    seat = changes.pop("seat", "operator_o")
    told = {"gate": "gate-2", "epoch": 2, "commanded_at": END} | changes.pop("told", {})
    signed = draft.people.command(seat, "assign", **told)
    fields = {"at": END, "gate": "gate-2", "before": "gate-1", "epoch": 3}
    return first(**(fields | {"seats": [seat], "commands": [signed]} | changes))


def with_first(original: Draft) -> Draft:
    draft = original.copy()
    draft.authority.insert(9, first())
    return draft


def moved(original: Draft, **changes: Any) -> Draft:
    """The agent was the gate's, and moved away at the end."""
    draft = with_first(original)
    draft.authority.append(move(draft, **changes))
    return draft


def stopped(draft: Draft, **changes: Any) -> Draft:
    """The gate stops the agent because it moved away."""
    draft.act("hold", 3)
    draft.gate[-1].update({"at": END, "reason": "assigned"} | changes)
    return draft


def test_assignment_and_move_that_are_lawful_are_accepted(original: Draft, tmp_path: Path) -> None:
    """The first needs nobody; the move needs an operator; the gate's stop follows from it."""
    assert GOOD == outcome(with_first(original), tmp_path / "first")
    assert GOOD == outcome(moved(original), tmp_path / "moved")
    assert GOOD == outcome(stopped(moved(original)), tmp_path / "stopped")


def test_bundle_of_one_of_two_gates_says_that_it_is_not_whole(
    original: Draft, tmp_path: Path
) -> None:
    """Another gate that had the agent is named, so that nobody takes a part for the whole."""
    for draft, expected in ((with_first(original), False), (moved(original), True)):
        root = draft.pki.root.public_bytes(Encoding.PEM)
        folder = tmp_path / str(expected)
        report = Verification(draft.seal(folder), root, None, None).run()
        line = f"NOT WHOLE: {AGENT} was also at gate gate-2: see its bundle"
        assert (True, expected) == (report.good, line in report.text())


Change = Callable[[Draft], Any]

FIRST: list[tuple[dict[str, Any], str]] = [
    ({"agent": "other"}, "has no certificate"),
    ({"before": "gate-9"}, "`before` is not empty"),
    ({"epoch": 1}, "`epoch` is not 0"),
    ({"seats": ["operator_o"]}, "needs nobody's command"),
]


@pytest.mark.parametrize(("changes", "what"), FIRST)
def test_first_assignment_that_is_not_lawful_fails(
    original: Draft, tmp_path: Path, changes: dict[str, Any], what: str
) -> None:
    """Of an agent without certificate, from somewhere, as a new epoch, on somebody's word."""
    draft = original.copy()
    draft.authority.insert(9, first(**changes))
    step, place, told = outcome(draft, tmp_path)
    assert ("approval", "authority log, entry 9") == (step, place), told
    assert what in told


MOVES: list[tuple[dict[str, Any], str]] = [
    ({"before": "gate-9"}, "`before` is not gate-1"),
    ({"gate": "gate-1", "told": {"gate": "gate-1"}}, "the gate that has it"),
    ({"epoch": 2}, "`epoch` is not 3"),
    ({"told": {"gate": "gate-3"}}, "is not for it"),
    ({"told": {"agent": "other"}}, "is not for it"),
    ({"told": {"epoch": 1}}, "for epoch 1"),
    ({"told": {"epoch": None}}, "lacks the epoch"),
    ({"told": {"gate": None}}, "lacks the field gate"),
    ({"seat": "risk_r"}, "may not sign assign"),
    ({"seats": [], "commands": []}, "no signed command"),
]


@pytest.mark.parametrize(("changes", "what"), MOVES)
def test_move_that_is_not_lawful_fails(
    original: Draft, tmp_path: Path, changes: dict[str, Any], what: str
) -> None:
    """From another gate, to the same, at another epoch, or not on an operator's word for it."""
    draft = moved(original, **changes)
    step, place, told = outcome(draft, tmp_path)
    assert ("approval", f"authority log, entry {len(draft.authority) - 1}") == (step, place), told
    assert what in told


def test_stop_for_a_move_that_was_not_recorded_fails(original: Draft, tmp_path: Path) -> None:
    """A gate does not stop an agent as moved when the authority moved nothing away from it."""
    draft = stopped(with_first(original))
    assert "lacks" in outcome(draft, tmp_path / "none")[2]
    draft = moved(original)
    draft.authority[9]["gate"] = "gate-9"
    draft.authority[-1]["before"] = "gate-9"
    told = outcome(stopped(draft), tmp_path / "other")
    assert ("status", "acts on hold, the authority's log has good") == (told[0], told[2])


def test_lease_that_answers_for_another_gates_agent_fails(original: Draft, tmp_path: Path) -> None:
    """The responder must not give two gates the right to sign for one agent."""
    draft = with_first(original)
    draft.authority[9]["gate"] = "gate-9"
    held = next(index for index, one in enumerate(draft.gate) if one["kind"] == "lease_held")
    assert GOOD == outcome(draft, tmp_path / "silent")
    draft.gate[held]["status"] = {draft.certificate_sha256: "AA=="}
    _, place, told = outcome(draft, tmp_path / "answers")
    assert (f"gate log, entry {held}", True) == (place, "which is another gate's" in told)
