# SPDX-License-Identifier: Apache-2.0
"""Assignments of agents to gates, and the histories that move with them, in the register
(docs/spec/authority.md section 6, docs/spec/history.md section 2).

For each entry whether it may come next, and what it changes. What a history says is not read here.
"""

from __future__ import annotations

import re
from typing import Final

from sekisho.core.encoding import sha256_hex
from sekisho.core.errors import VerificationFailed
from sekisho.core.events import AgentAssigned, AgentHandedOver, HistoryLost, HistoryTaken
from sekisho.core.handover import HISTORY_BYTES_MAX
from sekisho.core.identity.begun import StatedBeginning, begun_history
from sekisho.core.identity.commanded import check_commands, read_command
from sekisho.core.identity.records import AgentGate, GateLeft, Records
from sekisho.core.terms import NAME, parse_instant

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def check_assigned(records: Records, entry: AgentAssigned) -> None:
    """Raises VerificationFailed: this gate cannot get the agent so."""
    _need(entry.agent in records.agents, "this agent has no certificate")
    _need(NAME.fullmatch(entry.gate) is not None, "a gate has a name")
    known = records.assigned.get(entry.agent)
    if known is None:
        _need(entry.before == "", "the agent was assigned to no gate before")
        _need(not entry.seats and not entry.commands, "the first gate needs nobody's command")
        _need(entry.epoch == records.epoch, f"the epoch should be {records.epoch}")
        return
    _need(entry.before == known.gate, f"the agent is assigned to {known.gate!r}")
    _need(entry.gate != known.gate, "the agent is assigned to this gate")
    _need(entry.epoch == records.epoch + 1, f"the epoch should be {records.epoch + 1}")
    check_commands(records, entry, "assign", {entry.agent})
    gates = {read_command(text).gate for text in entry.commands}
    _need(gates == {entry.gate}, "a command names another gate")


def check_handed_over(records: Records, entry: AgentHandedOver) -> None:
    """Raises VerificationFailed: nobody owes this history, or it is not this gate's to give."""
    held = _moved(records, entry.agent, entry.epoch)
    _need(held.whole == entry.gate, f"the history is whole at gate {held.whole!r}")
    _need(held.gate == entry.to, f"the agent is assigned to {held.gate!r}")
    _need(not held.kept, "a history of the agent is kept already")
    _need(_DIGEST.fullmatch(entry.history_sha256) is not None, "a digest has 64 digits")
    _need(0 < entry.bytes <= HISTORY_BYTES_MAX, "a history has another size")
    _need(entry.index >= 0, "no entry has this index")
    _check_log(records, entry.gate, entry.origin)


def check_lost(records: Records, entry: HistoryLost) -> None:
    """Raises VerificationFailed: the history is not lost, or does not begin as people stated."""
    held = losable(records, entry.agent, entry.gate)
    _need(NAME.fullmatch(entry.gate) is not None, "a gate has a name")
    _need(entry.before == held.gate, f"the agent is assigned to {held.gate!r}")
    _need(entry.lost == held.whole, f"the history is whole at gate {held.whole!r}")
    _need(entry.epoch == records.epoch + 1, f"the epoch should be {records.epoch + 1}")
    check_commands(records, entry, "assign_lost", {entry.agent})
    roles = {row["role"] for row in records.roster["seats"] if row["seat"] in entry.seats}
    _need("operator" in roles, "no operator commanded it")
    gates = {read_command(text).gate for text in entry.commands}
    _need(gates == {entry.gate}, "a command names another gate")
    _need(entry.baseline_sha256 == locked(records, entry.agent), "another baseline is locked")
    begins = begun_history(records, beginning_of(records, entry))
    told = (entry.history_sha256, entry.bytes)
    _need(told == (sha256_hex(begins), len(begins)), "the history does not begin so")


def losable(records: Records, agent: str, gate: str) -> AgentGate:
    """Where the agent is, if its history may be declared lost for it to begin at this gate.

    Raises:
        VerificationFailed: no gate has the agent, or the history is where it can be had.
    """
    held = records.assigned.get(agent)
    if held is None:
        raise VerificationFailed("no gate has the agent yet; the first that asks gets it")
    _need(not held.kept, "the authority keeps the history: the gate takes it from there")
    _need(held.whole != gate, f"gate {gate!r} has the history itself")
    return held


def locked(records: Records, agent: str) -> str:
    """Digest of the agent's baseline that was locked last; empty for none."""
    known = records.baselines.get(agent)
    return "" if known is None else known.sha256


def beginning_of(records: Records, entry: HistoryLost) -> StatedBeginning:
    """What the history begins with, by the commands. Raises VerificationFailed: they say nothing
    of it.
    """
    said = read_command(entry.commands[0]).lost
    if said is None:
        raise VerificationFailed("no command says how the history begins")
    return StatedBeginning(
        agent=entry.agent,
        epoch=entry.epoch,
        entry=records.size,
        at=parse_instant(entry.at),
        positions=said[0],
        ids_from=said[1],
    )


def check_taken(records: Records, entry: HistoryTaken) -> None:
    """Raises VerificationFailed: no such history is kept for this gate."""
    held = _moved(records, entry.agent, entry.epoch)
    _need(held.gate == entry.gate, f"the agent is assigned to {held.gate!r}")
    _need(held.kept == entry.history_sha256 != "", "no such history is kept")
    _need(entry.index >= 0, "no entry has this index")
    _check_log(records, entry.gate, entry.origin)


def _moved(records: Records, agent: str, epoch: int) -> AgentGate:
    held = records.assigned.get(agent)
    if held is None or not held.owed:
        raise VerificationFailed("nobody lacks a history of this agent")
    _need(held.moved == epoch, f"the agent's last move is that of epoch {held.moved}")
    return held


def _check_log(records: Records, gate: str, origin: str) -> None:
    known = records.gates.get(gate)
    _need(known is not None and known.origin == origin, "it is another gate's log")


def _need(condition: bool, message: str) -> None:
    if not condition:
        raise VerificationFailed(message)


def assigned(records: Records, index: int, entry: AgentAssigned) -> None:
    """The agent is this gate's from here on; its history stays where it is."""
    records.agents_at.setdefault(entry.gate, {})[entry.agent] = None
    known = records.assigned.get(entry.agent)
    if known is None:
        records.assigned[entry.agent] = AgentGate(entry.gate, whole=entry.gate)
    else:
        known.left = known.left | {known.gate: GateLeft(entry.epoch, index)}
        known.gate, known.moved = entry.gate, entry.epoch
    records.epoch = entry.epoch


def handed_over(records: Records, _: int, entry: AgentHandedOver) -> None:
    """The history is kept until a gate took it."""
    held = records.assigned[entry.agent]
    held.kept, held.kept_bytes, held.begun = entry.history_sha256, entry.bytes, b""


def lost(records: Records, index: int, entry: HistoryLost) -> None:
    """The agent is this gate's, and begins there with what people stated."""
    held = records.assigned[entry.agent]
    begins = begun_history(records, beginning_of(records, entry))
    if entry.gate != held.gate:
        held.left = held.left | {held.gate: GateLeft(entry.epoch, index)}
    held.gate, held.moved = entry.gate, entry.epoch
    held.kept, held.kept_bytes, held.begun = entry.history_sha256, entry.bytes, begins
    # It is of what the lost log said: the agent is watched anew, and people sign a new one off.
    records.baselines.pop(entry.agent, None)
    records.epoch = entry.epoch


def taken(records: Records, _: int, entry: HistoryTaken) -> None:
    """The gate that has the agent has its history."""
    held = records.assigned[entry.agent]
    held.whole, held.taken, held.kept, held.begun = entry.gate, held.moved, "", b""
