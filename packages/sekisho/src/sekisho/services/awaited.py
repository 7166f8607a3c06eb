# SPDX-License-Identifier: Apache-2.0
"""Agents that a gate is configured for and has not admitted yet, and what it waits for.

So too with one whose history is still at the gate that had it (docs/spec/history.md). The decision
about an order of such an agent is recorded as any other: the log knows no such agent
(docs/spec/checks.md, 4). To the bot that would read as final, and it is not: the id was not taken,
and the same request can pass once the agent is admitted. So the bot is told what is true for it,
``control_unavailable`` with a sentence (docs/spec/states.md). Nothing is kept over a start.
"""

from __future__ import annotations

import msgspec

from sekisho.core.gate.venue_checks import HISTORY_AWAY
from sekisho.core.terms import Code, Reason
from sekisho.services.advice import Advice
from sekisho.services.gatekeeper import Answer
from sekisho.services.intake import unavailable

OBSERVED_MAX = 200


class Awaited:
    """Of one gate. Whoever asks here is configured: a stranger never comes so far."""

    def __init__(self) -> None:
        self._why: dict[str, str] = {}

    def failed(self, agent: str, why: str) -> None:
        """The agent was tried to be admitted, and could not be."""
        self._why[agent] = why

    def waits_for(self, agent: str) -> str:
        """A sentence: what keeps the agent from being admitted."""
        why = self._why.get(agent, "the authority has not answered yet")
        return f"agent {agent} is not admitted at this gate yet: {why}"

    def answer(self, agent: str, answer: Answer) -> Answer:
        """The answer as the bot is told of it."""
        if answer.kind != "refused":
            return answer
        if _unknown(answer.reasons):
            return unavailable(f"{self.waits_for(agent)}; ask again with the same id")
        if away := _elsewhere(answer.reasons):
            # Whether this id was used is known there alone: what is told as final would be repeated
            # under another id, and execute twice.
            return unavailable(f"{away}; ask again with the same id when it is")
        return answer

    def advice(self, agent: str, advice: Advice) -> Advice:
        """The advice as the bot is told of it."""
        if not _unknown(advice.reasons):
            return advice
        observed = self.waits_for(agent)[:OBSERVED_MAX]
        reason = Reason(Code.CONTROL_UNAVAILABLE, "", observed, "")
        return msgspec.structs.replace(advice, evaluated=False, reasons=(reason,))


def _elsewhere(reasons: tuple[Reason, ...]) -> str:
    """What a decision says of a history that is at another gate (row 34); empty: nothing."""
    found = [
        one.observed
        for one in reasons
        if one.code == Code.CONTROL_UNAVAILABLE and one.observed.startswith(HISTORY_AWAY)
    ]
    return found[0] if found else ""


def _unknown(reasons: tuple[Reason, ...]) -> bool:
    return [reason.code for reason in reasons] == [Code.AGENT_NOT_ACTIVE]
