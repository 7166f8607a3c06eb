# SPDX-License-Identifier: Apache-2.0
"""What the bot was told, in the words of the table: the answer's kind, its reasons, its state."""

from __future__ import annotations

from tests.simulation.records import Ask


def told(ask: Ask) -> str:
    """One answer in words; ``no answer`` where none came."""
    answer = ask.answer
    if answer is None:
        return "no answer"
    if answer.kind == "permitted":
        known = answer.order_state in ("open", "closed")
        return "permitted" if known else answer.order_state
    if answer.kind == "withdrawn":
        return f"withdrawn: {answer.detail.partition(':')[0].partition(';')[0]}"
    return ", ".join(sorted({str(reason.code) for reason in answer.reasons})) or answer.kind


def says(said: str, words: tuple[str, ...]) -> bool:
    """Whether one of the words is in what was told: all reasons that apply are told together."""
    return said in words or any(part in words for part in said.split(", "))
