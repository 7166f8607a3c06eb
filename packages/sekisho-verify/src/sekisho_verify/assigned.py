# SPDX-License-Identifier: Apache-2.0
"""Which gate had which agent (docs/spec/processes.md section 1, docs/spec/authority.md section 6).

An agent is assigned to one gate at a time, and moves on the signed command of an operator alone.
The gate's log is compared with this: a lease answers for a gate's own agents, and a stop because an
agent moved away is one that the authority recorded.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence

from sekisho_verify import canonical
from sekisho_verify.canonical import instant_text
from sekisho_verify.entries import Entry
from sekisho_verify.findings import VerificationFailed, require
from sekisho_verify.people import Command


@dataclasses.dataclass(frozen=True)
class Move:
    """From this epoch on the agent is the gate's; ``before`` is "" for the first gate."""

    epoch: int
    gate: str
    before: str


@dataclasses.dataclass
class Kept:
    """A history that a gate handed over: for which move, from which entry of which log, and the
    entry of which log's gate took it.
    """

    epoch: int
    gate: str
    origin: str
    index: int
    taken: tuple[str, int, int] | None = None  # gate, epoch, index


@dataclasses.dataclass(frozen=True)
class Lost:
    """People declared at this time (ns) that an agent's history at a gate is lost."""

    agent: str
    gate: str
    at: int
    seats: tuple[str, ...]
    positions: str
    index: int


@dataclasses.dataclass
class _Whole:
    """Which gate has the history of an agent, until which move; digest of what is kept."""

    gate: str
    moved: int = 0
    taken: int = 0
    kept: str = ""


class Assignments:
    """All assignments of one authority's log.

    Attributes:
        histories: agent and digest → what was handed over under it, the last.
        losses: histories that were declared lost.
    """

    def __init__(self) -> None:
        self._moves: dict[str, list[Move]] = defaultdict(list)
        self._whole: dict[str, _Whole] = {}
        self.histories: dict[tuple[str, str], Kept] = {}
        self.losses: list[Lost] = []

    def present(self, agent: str) -> str:
        """The gate that has the agent now; "" for none."""
        return self._moves[agent][-1].gate if self._moves[agent] else ""

    def take(self, entry: Entry, epoch: int) -> None:
        """One `agent_assigned`; its commands are judged apart.

        Args:
            entry: of that kind.
            epoch: of the log before it.

        Raises:
            VerificationFailed: it does not follow from the assignments before.
        """
        agent, gate = str(entry["agent"]), str(entry["gate"])
        before = self.present(agent)
        require(entry["before"] == before, f"`before` is not {before or 'empty'}")
        require(gate != before, "assigns an agent to the gate that has it")
        wanted = epoch + 1 if before else epoch
        require(entry["epoch"] == wanted, f"`epoch` is not {wanted}")
        self._moves[agent].append(Move(wanted, gate, before))
        if before:
            self._whole[agent].moved = wanted
        else:
            self._whole[agent] = _Whole(gate)

    def lost(self, entry: Entry, epoch: int, loss: Lost) -> None:
        """One `history_lost`; its commands and what begins are judged apart.

        Args:
            entry: of that kind.
            epoch: of the log before it.
            loss: what people declared by it.

        Raises:
            VerificationFailed: it does not follow from what was assigned and handed over before.
        """
        agent, gate = loss.agent, str(entry["gate"])
        before, whole = self.present(agent), self._whole.get(agent)
        if whole is None:
            raise VerificationFailed("is of an agent that no gate has")
        require(entry["before"] == before, f"`before` is not {before}")
        require(entry["lost"] == whole.gate, f"`lost` is not {whole.gate}")
        require(whole.kept == "", "declares a history lost that the authority keeps")
        require(whole.gate != gate, "declares a history lost that this gate has itself")
        require(entry["epoch"] == epoch + 1, f"`epoch` is not {epoch + 1}")
        self._moves[agent].append(Move(epoch + 1, gate, before))
        whole.moved, whole.kept = epoch + 1, str(entry["history_sha256"])
        self.histories[agent, whole.kept] = Kept(epoch + 1, whole.gate, "", loss.index)
        self.losses.append(loss)

    def lost_after(self, agent: str, gate: str) -> int | None:
        """When the agent's history at this gate was first declared lost (ns); None: never."""
        found = [one.at for one in self.losses if (one.agent, one.gate) == (agent, gate)]
        return min(found, default=None)

    def handed_over(self, entry: Entry) -> None:
        """One `agent_handed_over`. Raises VerificationFailed: it is not lawful."""
        whole = self._owed(entry)
        require(whole.gate == entry["gate"], f"is of a history that is whole at {whole.gate}")
        require(whole.kept == "", "is of a history of which one is kept already")
        agent, sha256 = str(entry["agent"]), str(entry["history_sha256"])
        require(self.present(agent) == entry["to"], "names another gate than has the agent")
        whole.kept = sha256
        self.histories[agent, sha256] = Kept(
            whole.moved, whole.gate, str(entry["origin"]), canonical.integer_of(entry["index"])
        )

    def taken(self, entry: Entry) -> None:
        """One `history_taken`. Raises VerificationFailed: it is not lawful."""
        whole = self._owed(entry)
        agent, gate = str(entry["agent"]), str(entry["gate"])
        require(self.present(agent) == gate, "is of a gate that does not have the agent")
        require(whole.kept == entry["history_sha256"], "takes a history that is not kept")
        kept = self.histories[agent, whole.kept]
        kept.taken = gate, whole.moved, canonical.integer_of(entry["index"])
        whole.gate, whole.taken, whole.kept = gate, whole.moved, ""

    def _owed(self, entry: Entry) -> _Whole:
        whole = self._whole.get(str(entry["agent"]))
        if whole is None or whole.moved <= whole.taken:
            raise VerificationFailed("is of an agent whose history nobody lacks")
        require(entry["epoch"] == whole.moved, f"is not of the last move, of epoch {whole.moved}")
        return whole

    def elsewhere(self, agent: str, entries: Sequence[Entry]) -> list[str]:
        """A line for each other gate that had the agent, whose log is not in this bundle, and for
        each history of it that was declared lost.

        Args:
            agent: whom the bundle is about.
            entries: of the gate's log that is in it.
        """
        here = {entry["gate"] for entry in entries if entry["kind"] == "gate_opened"}
        others = sorted({one.gate for one in self._moves[agent]} - here)
        told = [f"NOT WHOLE: {agent} was also at gate {gate}: see its bundle" for gate in others]
        return told + [
            f"HISTORY LOST: {' and '.join(one.seats)} declared on {instant_text(one.at)} that the"
            f" history of {agent} at gate {one.gate} is lost, positions stated as {one.positions};"
            " what that gate signed after the last checkpoint that the authority saw of its log,"
            " and what of it was executed, is not known"
            for one in self.losses
            if one.agent == agent
        ]

    def left(self, agent: str, gate: str, epoch: int) -> bool:
        """Whether the agent moved away from the gate at this epoch."""
        return any(
            one.epoch == epoch and one.before == gate != one.gate for one in self._moves[agent]
        )

    def moved_to(self, agent: str, gate: str, epoch: int) -> int:
        """The epoch of the agent's last move to the gate, up to this one; 0 if none."""
        found = [
            one.epoch
            for one in self._moves[agent]
            if one.before and one.gate == gate and one.epoch <= epoch
        ]
        return max(found, default=0)

    def may_answer(self, agent: str, gate: str, epoch: int) -> bool:
        """Whether a lease of this epoch for the gate may speak of the agent.

        A log that knows no assignment of the agent until then is one from before they were kept.
        """
        had = [one.gate for one in self._moves[agent] if one.epoch <= epoch]
        return not had or had[-1] == gate


def allowed(command: Command, entry: Entry) -> bool:
    """Whether a command is the one that this assignment may rest on."""
    ours = command.command == "assign" and command.agent == entry["agent"]
    as_said = (command.history == "lost") is (entry["kind"] == "history_lost")
    return ours and as_said and command.gate == canonical.text_of(entry["gate"])
