# SPDX-License-Identifier: Apache-2.0
"""Checks of what is outside the gate: rows 31 to 34 of docs/spec/checks.md section 4.

What is not known to be sound refuses: a venue that was not read since the boot, a venue at which
something happened without a permit, a clock that was not compared, or not within the bound.
"""

from __future__ import annotations

from sekisho.core.gate.checks import Asked, Reasons
from sekisho.core.gate.state import GateState
from sekisho.core.terms import Code, Reason, day_text

HISTORY_AWAY = "history at gate "
"""How the reason of row 34 begins while a history is not here."""


def reconciled(asked: Asked) -> Reasons:
    """Row 31: the venue is reconciled since the boot, and was not lost after that."""
    if asked.terms is None:
        return
    venue = asked.terms.venue
    if not asked.state.outside.standing(venue).reconciled:
        yield _unavailable(f"venue {venue} is not reconciled")


def unlatched(asked: Asked) -> Reasons:
    """Row 32: nothing happened at the venue without a permit, or people re-armed it since."""
    if asked.terms is None:
        return
    venue = asked.terms.venue
    if asked.state.outside.standing(venue).incident:
        yield _unavailable(f"venue {venue} is latched")


def clock(asked: Asked) -> Reasons:
    """Row 33: the gate's clock is the authority's, and did not step since it was compared."""
    outside = asked.state.outside
    if outside.clock is None:
        if asked.state.lease is not None:  # without one, row 5 has said what is missing
            yield _unavailable("clock is not observed")
        return
    most = outside.clock_max_ns or 0
    for told, found in zip(("differs by", "stepped by"), outside.clock, strict=True):
        if abs(found) > most:
            yield Reason(Code.CONTROL_UNAVAILABLE, str(most), f"clock {told} {found}", "ns")


def history(asked: Asked) -> Reasons:
    """Row 34: what another gate knows of the agent is here."""
    if asked.agent.awaits:
        yield _unavailable(f"{HISTORY_AWAY}{asked.agent.awaited_from} is not here")
    elif asked.agent.day <= asked.agent.begun.day:
        day = day_text(asked.agent.begun.day)
        yield _unavailable(f"history was declared lost: nothing new on {day}")


def _unavailable(observed: str) -> Reason:
    return Reason(Code.CONTROL_UNAVAILABLE, "", observed, "")


def withheld(state: GateState, venue: str) -> str:
    """Why a permit for this venue may not leave any more; empty when it may.

    Asked again before the key is used and before release: what rows 31 to 33 found may have changed
    since the decision.
    """
    standing = state.outside.standing(venue)
    if not standing.reconciled:
        return "venue_not_reconciled"
    if standing.incident:
        return "venue_latched"
    return "" if state.outside.sound_clock() else "clock_unsound"
