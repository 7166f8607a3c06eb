# SPDX-License-Identifier: Apache-2.0
"""Whether a gate may tell the authority this (docs/spec/processes.md section 1).

A connection shows which gate calls; what a gate says is taken for its own log and its own agents
alone. Nothing is recorded here, and what the log says in itself is judged where it is recorded.
"""

from __future__ import annotations

from sekisho.core.errors import NotAuthorised
from sekisho.core.governance.commands import SignedCommand
from sekisho.core.identity.records import Records
from sekisho.ports import IncidentReport


def check_incident(records: Records, gate: str, report: IncidentReport) -> None:
    """An incident is of the gate's own log, and of an agent that it has or had.

    Of an agent that moved away it is one of a certificate that was issued before the move.

    Raises:
        NotAuthorised: it is not.
    """
    _check_log(records, gate, report.origin)
    if not report.agent:
        return  # a break of a venue that names no agent; the register judges the rest
    held = records.assigned.get(report.agent)
    if held is not None and held.gate == gate:
        return
    left = None if held is None else held.left.get(gate)
    known = records.certificates.get(report.certificate_sha256)
    if left is None or known is None or known.index > left.index:
        raise NotAuthorised(f"gate {gate!r} does not have agent {report.agent[:64]!r}")


def check_go_live(
    records: Records, gate: str, origin: str, signed: tuple[SignedCommand, ...]
) -> None:
    """A baseline follows from the log of the gate that has the agent.

    Raises:
        NotAuthorised: it does not.
    """
    _check_log(records, gate, origin)
    for one in signed:
        agent = one.command.agent
        held = records.assigned.get(agent) if isinstance(agent, str) else None
        if held is None or held.gate != gate:
            raise NotAuthorised(f"go_live: gate {gate!r} does not have this agent")


def _check_log(records: Records, gate: str, origin: str) -> None:
    known = records.gates.get(gate)
    if known is None or known.origin != origin:
        raise NotAuthorised(f"the log {origin[:64]!r} is not that of gate {gate!r}")
