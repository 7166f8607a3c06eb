# SPDX-License-Identifier: Apache-2.0
"""Histories that lie: doctored, missing, of another agent or move; each is found and named."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sekisho.core.encoding import canonical, parse_plain
from sekisho.core.events import HistoryAwaited, HistoryGiven, decode_gate_entry
from sekisho.core.handover import Head
from sekisho.core.terms import format_instant
from sekisho_verify import moving
from sekisho_verify.assigned import Assignments
from sekisho_verify.decisions import Decided
from sekisho_verify.findings import VerificationFailed
from tests.gate_world import ORIGIN, GateWorld, scope_of
from tests.histories import Life, folded_by_others, moved

AGENT, THERE = "bot", "gate.example/g2"
Entries = list[dict[str, Any]]


async def _traded() -> list[bytes]:
    world = await GateWorld.start(scope_of())
    for number in range(3):
        world.venue.fill = number == 1
        await world.ask(client_order_id=f"o-{number}", quantity="1000")
    await world.ask(client_order_id="large", quantity="90000")
    return [data for _, data in world.log.journal.entries()]


@dataclass
class Moved:
    """Both logs of a move, as objects: what the gate gave, what the next one took and did."""

    gave: Entries
    took: Entries
    sha256: str
    index: int


@pytest.fixture(scope="module")
def original() -> Moved:
    """A move in good order."""
    life = Life(ORIGIN)
    for leaf in asyncio.run(_traded()):
        life.take(decode_gate_entry(leaf))
    now = life.state.at
    at = format_instant(now)
    life.take(HistoryAwaited(at=at, agent=AGENT, before="g1", epoch=7))
    (agent,) = life.state.agents.values()
    index = len(life.leaves)
    rows = life.rows(agent, now, Head(AGENT, 7, ORIGIN, index))
    data = b"".join(canonical(row) + b"\n" for row in rows)
    there = moved(life, rows)
    sha256 = hashlib.sha256(data).hexdigest()
    life.take(
        HistoryGiven(
            at=at, agent=AGENT, gate="second", epoch=7, history_sha256=sha256, bytes=len(data),
            rows=len(rows),
        )
    )  # fmt: skip
    return Moved(
        [parse_plain(one) for one in life.leaves],
        [parse_plain(one) for one in there.leaves],
        sha256,
        index,
    )


def copied(entries: Entries) -> Entries:
    return cast("Entries", [parse_plain(canonical(one)) for one in entries])


def walked(entries: Entries, origin: str = ORIGIN) -> str:
    """What the fold finds; empty when all holds."""
    try:
        folded_by_others([canonical(one) for one in entries], origin)
    except VerificationFailed as failure:
        return str(failure)
    return ""


def last(entries: Entries, kind: str) -> dict[str, Any]:
    return [one for one in entries if one["kind"] == kind][-1]


def row(entries: Entries, kind: str) -> list[Any]:
    """A row of the history that was taken."""
    return next(one for one in last(entries, "history_part")["rows"] if one[0] == kind)


def test_history_in_good_order_is_found_to_be_so(original: Moved) -> None:
    """What was given is what the log gives, and what was taken is what was given."""
    assert ("", "") == (walked(original.gave), walked(original.took))


@pytest.mark.parametrize(
    "change",
    [{"history_sha256": "0" * 64}, {"bytes": 5}, {"rows": 5}, {"epoch": 8}],
)
def test_given_history_that_the_log_does_not_give_is_found(
    original: Moved, change: dict[str, Any]
) -> None:
    """Digest, size, number of rows and move are computed again."""
    doctored = copied(original.gave)
    last(doctored, "history_given").update(change)
    assert "gives another history than this log does" in walked(doctored)


def test_history_given_without_awaiting_it_is_found(original: Moved) -> None:
    """A gate that gave its agent away and goes on would have two histories."""
    doctored = [one for one in copied(original.gave) if one["kind"] != "history_awaited"]
    assert "does not await itself" in walked(doctored)


def _less_used(entries: Entries) -> None:
    row(entries, "counters")[2] = "0"


def _no_id(entries: Entries) -> None:
    part = last(entries, "history_part")
    part["rows"] = [one for one in part["rows"] if one[0] != "id"]


def _other_answer(entries: Entries) -> None:
    row(entries, "id")[3] = "withdrawn"


def _not_last(entries: Entries) -> None:
    last(entries, "history_part")["part"] = 1


def _strange(entries: Entries) -> None:
    last(entries, "history_part")["rows"].append(["strange"])


def _not_awaited(entries: Entries) -> None:
    entries[:] = [one for one in entries if one["kind"] != "history_awaited"]


@pytest.mark.parametrize(
    ("doctor", "found"),
    [
        (_less_used, "another digest than it names"),
        (_no_id, "another digest than it names"),
        (_other_answer, "another digest than it names"),
        (_not_last, "of which part 0 is due"),
        (_strange, "no known kind"),
        (_not_awaited, "does not await"),
    ],
)
def test_taken_history_that_was_doctored_is_found(
    original: Moved, doctor: Callable[[Entries], None], found: str
) -> None:
    """A smaller counter, an id left out, another answer, a part missing, a row that is none."""
    doctored = copied(original.took)
    doctor(doctored)
    assert found in walked(doctored)


# -- compared with the authority's log -------------------------------------------------------------


def authority(original: Moved, **changes: Any) -> Assignments:
    """What the authority's log says of the move; ``changes`` to the hand-over."""
    found = Assignments()
    fields = {"agent": AGENT, "seats": [], "commands": []}
    found.take(fields | {"gate": "g1", "before": "", "epoch": 6}, 6)
    found.take(fields | {"gate": "second", "before": "g1", "epoch": 7}, 6)
    entry = {
        "agent": AGENT,
        "gate": "g1",
        "to": "second",
        "epoch": 7,
        "history_sha256": original.sha256,
        "bytes": 1,
        "origin": ORIGIN,
        "index": original.index,
    } | changes
    if entry["gate"]:
        found.handed_over(entry)
    return found


def compared(entries: Entries, assignments: Assignments, decided: Any = None) -> str:
    log = SimpleNamespace(origin=THERE, entries=entries)
    try:
        lines = moving.walk(assignments, log, decided or {})
    except VerificationFailed as failure:
        return str(failure)
    assert len(lines) == 1
    return ""


def test_taken_history_that_the_authority_kept_is_told(original: Moved) -> None:
    """Whose log it came from, and that of no other entry."""
    assert "" == compared(original.took, authority(original))


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"gate": ""}, "does not keep"),
        ({"history_sha256": "0" * 64}, "does not keep"),
        ({"index": 4}, "of another agent, move or log"),
        ({"origin": "elsewhere"}, "of another agent, move or log"),
    ],
)
def test_taken_history_that_the_authority_did_not_keep_is_found(
    original: Moved, changes: dict[str, Any], found: str
) -> None:
    """None, another digest, or that of another entry or log."""
    assert found in compared(original.took, authority(original, **changes))


def test_history_that_another_gate_took_is_not_taken_again(original: Moved) -> None:
    """One history begins one life."""
    known = authority(original)
    taken = {"agent": AGENT, "epoch": 7, "history_sha256": original.sha256, "origin": THERE}
    known.taken(taken | {"gate": "second", "index": 99})
    assert "that another entry took" in compared(original.took, known)


def test_permit_before_the_history_of_the_move_is_found(original: Moved) -> None:
    """A gate that leaves the taking out has a log that says so."""
    without = [one for one in original.took if not one["kind"].startswith("history_")]
    lease = {"kind": "lease_held", "epoch": 7}
    decision = {"kind": "decision", "agent": AGENT}
    entries = [*without, lease, decision]
    index = len(entries) - 1
    order: Any = SimpleNamespace(action="new")
    made = Decided(index, 0, AGENT, order, permitted=True, reasons=())
    found = compared(entries, authority(original), {index: made})
    assert "before the history of the move of epoch 7" in found
    entries = [*original.took, lease, decision]
    index = len(entries) - 1
    made = Decided(index, 0, AGENT, order, permitted=True, reasons=())
    assert "" == compared(entries, authority(original), {index: made})


def test_history_that_the_log_of_the_gate_before_does_not_hold_is_found(original: Moved) -> None:
    """The authority says that it came from there."""
    log = SimpleNamespace(origin=ORIGIN, entries=original.gave)
    assert [] == moving.walk(authority(original), log, {})
    with pytest.raises(VerificationFailed, match="came from there"):
        moving.walk(authority(original, index=2), log, {})


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"gate": "second"}, "whole at g1"),
        ({"to": "g1"}, "another gate than has the agent"),
        ({"epoch": 6}, "not of the last move"),
        ({"agent": "other"}, "nobody lacks"),
    ],
)
def test_hand_over_that_is_not_lawful_is_found(
    original: Moved, changes: dict[str, Any], found: str
) -> None:
    """Of another gate, to another, of another move or agent."""
    with pytest.raises(VerificationFailed, match=found):
        authority(original, **changes)


def test_second_hand_over_and_taking_of_nothing_are_found(original: Moved) -> None:
    """One history a move."""
    known = authority(original)
    entry = {"agent": AGENT, "gate": "g1", "to": "second", "epoch": 7, "bytes": 1, "index": 1}
    with pytest.raises(VerificationFailed, match="kept already"):
        known.handed_over(entry | {"history_sha256": "1" * 64, "origin": ORIGIN})
    taken = {"agent": AGENT, "gate": "second", "epoch": 7, "origin": THERE, "index": 9}
    with pytest.raises(VerificationFailed, match="not kept"):
        known.taken(taken | {"history_sha256": "1" * 64})
    with pytest.raises(VerificationFailed, match="does not have the agent"):
        known.taken(taken | {"history_sha256": original.sha256, "gate": "g1"})
