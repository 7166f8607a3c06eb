# SPDX-License-Identifier: Apache-2.0
"""What a shutdown order or the breaker leaves to an agent (docs/spec/checks.md sections 2 and 4.7).

Which orders only take a position back is judged in `reducing`.
"""

from __future__ import annotations

from collections.abc import Iterable

from sekisho_verify import canonical
from sekisho_verify.agent import Agent
from sekisho_verify.entries import Entry
from sekisho_verify.findings import require

_NARROWER = ("", "reduce_only", "cancel_only")


def left(agent: Agent) -> str:
    """What is left: "" everything, else the name of the mode."""
    if agent.shutdown:
        return agent.shutdown
    return "reduce_only" if "circuit_breaker" in agent.latches else ""


class Narrowing:
    """One entry on its way into the state: did it leave less of trading than before?"""

    def __init__(self, agent: Agent | None) -> None:
        self._agent = agent
        self._before = "" if agent is None else left(agent)

    def applied(self, index: int) -> None:
        """The entry at this index was applied."""
        agent = self._agent
        if agent is not None and _NARROWER.index(left(agent)) > _NARROWER.index(self._before):
            agent.narrowed = index


def apply(agent: Agent, kind: str, entry: Entry, now: int) -> None:
    """The effect of the entries by which people narrow at the gate, and of advice.

    Raises:
        VerificationFailed: advice beyond the message rate, or that contradicts itself.
    """
    if kind == "shutdown_ordered":
        agent.latches.add("shutdown")
        if agent.shutdown != "cancel_only":
            agent.shutdown = str(entry["mode"])
    elif kind == "rearmed" and entry["latch"] == "shutdown":
        agent.shutdown = ""
    elif kind == "local_stop":
        present = entry["certificate_sha256"] == agent.certificate_sha256
        if present and agent.status != "revoked":
            agent.status, agent.stopped, agent.left = "hold", True, False
    elif kind == "advised":
        passes = canonical.array_of(entry["reasons"]) == []
        require(entry["would_pass"] is passes, "advises what its reasons do not say")
        if (rate := agent.scope.message_rate) is not None:
            number = agent.count_messages(now) + 1
            require(number <= rate.count_max, "gives advice beyond the message rate")
            agent.messages.add(now, None, rate.window_s)


def phases(agents: Iterable[Agent], agent: Agent | None, kind: str, entry: Entry) -> None:
    """How sure it is what became of working orders; reports are taken in `fold`."""
    if kind == "gate_opened":
        for one in agents:
            for order in one.working.values():
                if order.phase == "permitted":
                    order.phase = "possibly_issued"
    if agent is None:
        return
    if kind == "permit_signed":
        signed = agent.working.get(canonical.integer_of(entry["decision"]))
        if signed is not None and signed.phase != "open":
            signed.phase = "signed"
    elif kind == "outcome_unresolved" and entry["operation"] == "submit":
        asked = agent.by_name.get(str(entry["client_order_id"]))
        if asked is not None:
            asked.phase = "unknown"


def not_left(state_agent: Agent | None, entry: Entry) -> None:
    """No permit for a decision that stands before the entry which left less.

    Raises:
        VerificationFailed: there is one.
    """
    if state_agent is None or not left(state_agent):
        return
    at = state_agent.narrowed
    decided = canonical.integer_of(entry["decision"])
    require(decided > at, f"has a permit after entry {at} left only {left(state_agent)}")
