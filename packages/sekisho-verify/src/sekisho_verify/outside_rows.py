# SPDX-License-Identifier: Apache-2.0
"""Rows 31 to 34 of docs/spec/checks.md section 4: venues and the gate's clock."""

from __future__ import annotations

from sekisho_verify.canonical import day_text
from sekisho_verify.case import Case
from sekisho_verify.reason import Reason, Reasons


def row_31(case: Case) -> Reasons:
    """The venue is reconciled since the boot, and was not lost after that."""
    if case.venue not in case.state.outside.reconciled:
        yield Reason("control_unavailable", "", f"venue {case.venue} is not reconciled")


def row_32(case: Case) -> Reasons:
    """The venue is not latched by a break."""
    if case.venue in case.state.outside.latched:
        yield Reason("control_unavailable", "", f"venue {case.venue} is latched")


def row_33(case: Case) -> Reasons:
    """The clock was compared since the boot, and is within the smallest bound of all policies."""
    outside = case.state.outside
    if outside.clock is None and case.state.deadline is not None:
        yield Reason("control_unavailable", "", "clock is not observed")
    bounds = [one.policy.clock_difference_max_s for one in case.state.agents.values()]
    for place, value, most in outside.beyond(bounds):
        told = ("differs by", "stepped by")[place]
        yield Reason("control_unavailable", str(most), f"clock {told} {value}", "ns")


def row_34(case: Case) -> Reasons:
    """What another gate knows of the agent is here."""
    if case.agent.awaits:
        observed = f"history at gate {case.agent.awaited_from} is not here"
        yield Reason("control_unavailable", "", observed)
    elif case.agent.begun is not None and case.agent.day <= case.agent.begun[0]:
        day = day_text(case.agent.begun[0])
        observed = f"history was declared lost: nothing new on {day}"
        yield Reason("control_unavailable", "", observed)
