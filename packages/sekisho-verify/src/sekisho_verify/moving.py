# SPDX-License-Identifier: Apache-2.0
"""Histories in a gate's log compared with the authority's log (docs/spec/history.md, section 5).

That a history is what its log gives, and that parts are whole, `history` has found already. Here:
what was taken is what the authority kept for this move, and nothing was permitted before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Protocol

from sekisho_verify import canonical
from sekisho_verify.assigned import Assignments
from sekisho_verify.decisions import Decided
from sekisho_verify.entries import Entry
from sekisho_verify.findings import VerificationFailed, require


class _Log(Protocol):
    """A log that was read."""

    @property
    def origin(self) -> str: ...

    @property
    def entries(self) -> Sequence[Entry]: ...


def walk(assignments: Assignments, log: _Log, decided: Mapping[int, Decided]) -> list[str]:
    """Judge what a gate's log says of moves; a line for each history that it took.

    Raises:
        VerificationFailed: names the first entry that does not agree with the authority's log.
    """
    moving = Moving(assignments, log.origin)
    moving.walk(log.entries, decided)
    return moving.lines


class Moving:
    """One gate's log, and the agents that moved to it or away."""

    def __init__(self, assignments: Assignments, origin: str) -> None:
        self._assignments = assignments
        self._origin = origin
        self._gate = ""
        self._epoch = 0  # of the lease in force
        self._taken: dict[str, int] = defaultdict(int)  # agent → epoch of the last history
        self._heads: dict[str, list[object]] = {}
        self.lines: list[str] = []

    def walk(self, entries: Sequence[Entry], decided: Mapping[int, Decided]) -> None:
        """Judge every entry that has to do with a move.

        Raises:
            VerificationFailed: names the first that does not agree with the authority's log.
        """
        for index, entry in enumerate(entries):
            try:
                self._entry(index, entry, decided)
            except VerificationFailed as failure:
                raise failure.at(f"gate log, entry {index}") from failure
        for (agent, sha256), kept in self._assignments.histories.items():
            if kept.origin == self._origin:
                place = f"gate log, entry {kept.index}"
                there = entries[kept.index] if kept.index < len(entries) else {}
                same = (there.get("kind"), there.get("agent"), there.get("history_sha256"))
                told = "is not the history that the authority says came from there"
                require(same == ("history_given", agent, sha256), told, place)

    def _entry(self, index: int, entry: Entry, decided: Mapping[int, Decided]) -> None:
        kind = entry["kind"]
        if kind == "gate_opened":
            self._gate = str(entry["gate"])
        elif kind == "lease_held":
            self._epoch = canonical.integer_of(entry["epoch"])
        elif kind == "history_part":
            if entry["part"] == 0:
                first = canonical.array_of(entry["rows"])[0]
                self._heads[str(entry["agent"])] = canonical.array_of(first)
            if entry["last"]:
                self._took(index, entry)
        elif kind == "decision" and (made := decided.get(index)) is not None:
            adds = made.order is not None and made.order.action != "cancel"
            if made.permitted and adds:
                self._permitted(made.agent)

    def _took(self, index: int, entry: Entry) -> None:
        agent, sha256 = str(entry["agent"]), str(entry["history_sha256"])
        epoch = canonical.integer_of(entry["epoch"])
        kept = self._assignments.histories.get((agent, sha256))
        if kept is None:
            raise VerificationFailed("takes a history that the authority does not keep")
        head = self._heads.get(agent, [])[2:]
        wrong = "takes a history of another agent, move or log than the authority kept"
        require(head == [agent, kept.epoch, kept.origin, kept.index], wrong)
        mine = kept.taken in {None, (self._gate, epoch, index)}
        require(mine, "takes a history that another entry took")
        moved = self._assignments.moved_to(agent, self._gate, epoch)
        require(moved == epoch, f"takes a history for a move that epoch {epoch} is not")
        self._taken[agent] = max(self._taken[agent], epoch)
        told = f"its history at gate {kept.gate}, entry {kept.index} of {kept.origin}"
        if not kept.origin:
            told = f"what people stated when its history at gate {kept.gate} was lost"
        self.lines.append(f"{agent} began here with {told}: {sha256}")

    def _permitted(self, agent: str) -> None:
        moved = self._assignments.moved_to(agent, self._gate, self._epoch)
        before = self._taken[agent] >= moved
        require(before, f"permits before the history of the move of epoch {moved} was taken")
