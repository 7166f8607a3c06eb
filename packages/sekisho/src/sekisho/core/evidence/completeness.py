# SPDX-License-Identifier: Apache-2.0
"""How each permitted decision ended: signed, withdrawn, or possibly issued (docs/spec/bundle.md).

No fourth case exists. A log in which a decision ends twice, or is signed without having been
permitted, contradicts itself; that is told and not repaired, since a verifier will find it too.
"""

from __future__ import annotations

from typing import Literal

from sekisho.core.events import Decision, GateEntry, GateOpened, PermitSigned, Withdrawn

Ending = Literal["signed", "withdrawn", "possibly_issued"]


class Completeness:
    """Follows the decisions of one agent; entries come in log order, from index 0.

    Attributes:
        endings: every permitted decision that a permit can follow (new or amend, not cancel), by
            its index. Until an end is on record it is *possibly issued*.
        contradictions: what the log cannot mean, one sentence each, with the entry's index.
    """

    def __init__(self, agent: str) -> None:
        self._agent = agent
        self._opened = -1
        self._withdrawn_cancels: set[int] = set()
        self._cancels: set[int] = set()
        self.endings: dict[int, Ending] = {}
        self.contradictions: list[str] = []

    def take(self, index: int, entry: GateEntry) -> None:
        """Follow one entry."""
        if isinstance(entry, GateOpened):
            self._opened = index
        elif isinstance(entry, Decision):
            if entry.agent == self._agent:
                self._decided(index, entry)
        elif isinstance(entry, PermitSigned | Withdrawn) and entry.agent == self._agent:
            self._ended(index, entry)

    def withdrawn(self, decision: int) -> bool:
        """Whether this decision was withdrawn; that of a cancel counts too."""
        return decision in self._withdrawn_cancels or self.endings.get(decision) == "withdrawn"

    def _decided(self, index: int, entry: Decision) -> None:
        if entry.verdict != "permitted" or entry.order is None:
            return
        if entry.order.get("action") == "cancel":
            self._cancels.add(index)
        else:
            self.endings[index] = "possibly_issued"

    def _ended(self, index: int, entry: PermitSigned | Withdrawn) -> None:
        decision, ending = entry.decision, self.endings.get(entry.decision)
        signed = isinstance(entry, PermitSigned)
        if not signed and decision in self._cancels - self._withdrawn_cancels:
            self._withdrawn_cancels.add(decision)
        elif ending is None:
            self._contradict(index, f"entry {decision} permits nothing that could end so")
        elif ending != "possibly_issued":
            self._contradict(index, f"decision {decision} was {ending} before")
        elif signed and decision < self._opened:
            # Such a permit may have left before the crash; a second signature is never made.
            self._contradict(index, f"decision {decision} is of before the gate was opened again")
        else:
            self.endings[decision] = "signed" if signed else "withdrawn"

    def _contradict(self, index: int, why: str) -> None:
        self.contradictions.append(f"gate log, entry {index}: {why}")
