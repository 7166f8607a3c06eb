# SPDX-License-Identifier: Apache-2.0
"""Histories that were declared lost, as a stranger judges them: by whom, when, and what begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from sekisho_verify.bundle import Verification
from tests.unit.verify.build_bundle import Draft, outcome
from tests.unit.verify.build_policy import AGENT
from tests.unit.verify.build_signed import at, canonical, sha
from tests.unit.verify.test_assigned import END, GOOD, move, with_first

SAID = {"gate": "gate-2", "epoch": 2, "commanded_at": END, "history": "lost", "ids_from": "gen2-"}
HELD = {"EUR/USD": "-1200.00"}
BOTH = ("operator_o", "risk_r")


@pytest.fixture(scope="module")
def original() -> Draft:
    """The draft that every test copies: the agent is at gate-1, the epoch at its end is 2."""
    return with_first(Draft())


def begins(draft: Draft, epoch: int = 3, **changes: Any) -> bytes:
    """The history that follows, written by hand from the policy of these bundles."""
    scope = draft.policy["scope"]
    day = "20588"  # 2026-05-15
    latches = ["circuit_breaker"]
    latches += ["consecutive_failures"] * (scope["consecutive_failures_max"] != "none")
    latches += ["repeated_executions"] * (scope["repeated_executions"] != "none")
    gross = str(int(float(scope["daily_notional_max"]) * 10**8))
    found: dict[str, list[Any]] = {
        "history": ["sekisho/history/v1", AGENT, epoch, "", len(draft.authority)],
        "counters": [day, gross, "0", "0", "0", "1"],
        "latches": ["", latches],
        "begun": [day, "gen2-"],
        "position": ["EUR/USD", str(-1200 * 10**8)],
        "hour": ["0", "0"],
    }
    rows = (found | changes).items()
    return b"".join(canonical([kind, *row]) + b"\n" for kind, row in rows)


def loss(draft: Draft, **changes: Any) -> dict[str, Any]:
    """A `history_lost` at the end; ``told`` changes the commands, ``who`` the seats."""
    who = changes.pop("who", BOTH)
    told = SAID | {"positions": HELD} | changes.pop("told", {})
    data = changes.pop("data", None) or begins(draft)
    return {
        "kind": "history_lost",
        "at": END,
        "agent": AGENT,
        "gate": "gate-2",
        "before": "gate-1",
        "lost": "gate-1",
        "epoch": 3,
        "baseline_sha256": "",
        "history_sha256": sha(data),
        "bytes": len(data),
        "seats": list(who),
        "commands": [draft.people.command(seat, "assign", **told) for seat in who],
    } | changes


def lost(original: Draft, **changes: Any) -> Draft:
    draft = original.copy()
    draft.authority.append(loss(draft, **changes))
    return draft


def told(draft: Draft, folder: Path) -> tuple[bool, str]:
    root = draft.pki.root.public_bytes(Encoding.PEM)
    report = Verification(draft.seal(folder), root, None, None).run()
    return report.good, report.text()


def test_lost_history_is_accepted_and_said_in_words(original: Draft, tmp_path: Path) -> None:
    """By whom, when, with which positions, and what nobody can know any more."""
    good, text = told(lost(original), tmp_path)
    assert good, text
    line = next(one for one in text.splitlines() if "HISTORY LOST" in one)
    for word in (*BOTH, END, "gate-1", '{"EUR/USD":"-1200.00"}', "is not known", "checkpoint"):
        assert word in line
    assert "HISTORY LOST" not in told(original, tmp_path / "none")[1]


def test_lost_history_of_an_agent_that_was_moved_before_is_accepted(
    original: Draft, tmp_path: Path
) -> None:
    """An operator moved it first; the entry says where it is, and what is lost."""
    draft = original.copy()
    draft.authority.append(move(draft))
    more = {"before": "gate-2", "epoch": 4, "told": {"epoch": 3}}
    assert GOOD == outcome(lost(draft, data=begins(draft, 4), **more), tmp_path)


FORGED: list[tuple[dict[str, Any], str]] = [
    ({"told": {"positions": {"EUR/USD": "1200.00"}}}, "begins another history"),
    ({"told": {"positions": {}}}, "begins another history"),
    ({"told": {"ids_from": "gen3-"}}, "begins another history"),
    ({"history_sha256": "0" * 64}, "begins another history"),
    ({"bytes": 9}, "begins another history"),
    ({"who": ("operator_o",)}, "lacks the signatures of an operator and of"),
    ({"who": ("risk_r",)}, "lacks the signatures of an operator and of"),
    ({"who": ("risk_r", "compliance_c")}, "lacks the signatures of an operator and of"),
    ({"who": ("operator_o", "operator_o")}, "a nonce twice"),
    ({"who": ("operator_o", "trader_t")}, "may not sign assign"),
    ({"who": ("operator_o", "approver_a")}, "may not sign assign"),
    ({"seats": ["risk_r", "operator_o"]}, "names other seats"),
    ({"told": {"history": None}}, "without saying how it begins"),
    ({"told": {"positions": None}}, "without saying how it begins"),
    ({"told": {"history": None, "positions": None, "ids_from": None}}, "is not for it"),
    ({"told": {"history": "gone"}}, "no known value"),
    ({"told": {"ids_from": "g"}}, "malformed field"),
    ({"told": {"positions": {"USD/EUR": "1.00"}}}, "position of no pair"),
    ({"told": {"positions": {"EUR/USD": "0.00"}}}, "position of 0"),
    ({"told": {"gate": "gate-3"}}, "is not for it"),
    ({"told": {"agent": "other"}}, "is not for it"),
    ({"told": {"epoch": 1}}, "for epoch 1"),
    ({"epoch": 4}, "begins another history"),
    ({"lost": "gate-9"}, "`lost` is not gate-1"),
    ({"before": "gate-9"}, "`before` is not gate-1"),
    ({"gate": "gate-1", "told": {"gate": "gate-1"}}, "that this gate has itself"),
    ({"baseline_sha256": "0" * 64}, "not the one locked"),
]


@pytest.mark.parametrize(("changes", "what"), FORGED)
def test_forged_loss_is_found(
    original: Draft, tmp_path: Path, changes: dict[str, Any], what: str
) -> None:
    """Other positions, too few people, a wrong move, or nobody's word for it."""
    draft = lost(original, **changes)
    step, place, said = outcome(draft, tmp_path)
    assert ("approval", f"authority log, entry {len(draft.authority) - 1}") == (step, place), said
    assert what in said


@pytest.mark.parametrize(
    "row",
    [
        {"counters": ["20588", "0", "0", "0", "0", "1"]},
        {"counters": ["20587", "100000000000000", "0", "0", "0", "1"]},
        {"latches": ["", []]},
        {"begun": ["20587", "gen2-"]},
    ],
)
def test_history_that_begins_wider_than_it_must_is_found(
    original: Draft, tmp_path: Path, row: dict[str, Any]
) -> None:
    """Nothing used of the day, no latch, or a day that is over: an authority's favour."""
    draft = lost(original, data=begins(original, **row))
    assert "begins another history" in outcome(draft, tmp_path)[2]


def test_loss_of_a_replayed_command_is_found(original: Draft, tmp_path: Path) -> None:
    """The same signatures do it once."""
    draft = lost(original)
    again = dict(draft.authority[-1])
    draft.authority.append(again | {"epoch": 4, "before": "gate-2"})
    assert "repeats a nonce" in outcome(draft, tmp_path)[2]


def test_plain_move_by_the_commands_of_a_loss_is_found(original: Draft, tmp_path: Path) -> None:
    """They say something else."""
    draft = original.copy()
    found = loss(draft)
    names = ("at", "agent", "gate", "before", "epoch", "seats", "commands")
    draft.authority.append({"kind": "agent_assigned"} | {name: found[name] for name in names})
    assert "is not for it" in outcome(draft, tmp_path)[2]


def test_loss_before_the_last_lease_of_the_gate_ended_is_found(
    original: Draft, tmp_path: Path
) -> None:
    """The log of the gate that was gone shows a lease which answers for the agent beyond it."""
    for second, found in ((45, False), (46, True)):
        draft = lost(original)
        held = draft.lease(29, 2, granted_at=at(29, second), nonce="f" * 32)
        draft.gate[held]["status"] = {draft.certificate_sha256: "AA=="}
        _, place, said = outcome(draft, tmp_path / str(second))
        assert f"gate log, entry {held}" == place
        assert found is ("after its history was lost" in said), said


def test_stop_of_the_gate_that_gets_the_agent_is_no_stop_for_a_move(
    original: Draft, tmp_path: Path
) -> None:
    """An agent whose history begins where it is moved away from nobody there."""
    draft = original.copy()
    draft.authority[9]["gate"] = "gate-9"
    draft.authority.append(move(draft, before="gate-9", gate="gate-1", told={"gate": "gate-1"}))
    more = {"gate": "gate-1", "before": "gate-1", "lost": "gate-9", "epoch": 4}
    said = {"gate": "gate-1", "epoch": 3}
    draft.authority.append(loss(draft, data=begins(draft, 4), told=said, **more))
    draft.act("hold", 4)
    draft.gate[-1].update({"at": END, "reason": "assigned"})
    assert "the authority's log has good" in outcome(draft, tmp_path)[2]
