# SPDX-License-Identifier: Apache-2.0
"""The states of an incident and what leads from one to another (docs/spec/incidents.md section 1).

The table is the whole rule of what may follow what; who may do it, and when it is due, is judged
elsewhere. What the table does not hold does not happen.
"""

from __future__ import annotations

from typing import Final, Literal

State = Literal["alerting", "grace", "acknowledged", "scheduled", "latched", "closed"]
Kind = Literal["breaker", "hold", "break"]
Outcome = Literal["released", "revoked", "killed", "rearmed", "superseded"]
Act = Literal[
    "reached",
    "answered",
    "dated",
    "condemned",
    "grace_expired",
    "deadline_expired",
    "fault",
    "release",
    "revoke",
    "kill",
    "rearm",
    "supersede",
]
"""``reached``: an alert was delivered. ``answered``: acknowledged, to be looked into or as a false
alarm. ``dated``: acknowledged as a fault, to be revoked at a stated time. ``condemned``: the same,
to be revoked at once. The others are causes of a change of status, a re-arming, and another
incident that takes this one's place."""

BEGINS: Final[dict[Kind, State]] = {"hold": "alerting", "breaker": "latched", "break": "latched"}

TABLE: Final[dict[tuple[State, Act], State]] = {
    ("alerting", "reached"): "grace",
    ("alerting", "release"): "closed",
    ("alerting", "revoke"): "closed",
    ("alerting", "kill"): "closed",
    ("alerting", "supersede"): "closed",
    ("grace", "answered"): "acknowledged",
    ("grace", "dated"): "scheduled",
    ("grace", "condemned"): "acknowledged",
    ("grace", "grace_expired"): "closed",
    ("grace", "release"): "closed",
    ("grace", "revoke"): "closed",
    ("grace", "kill"): "closed",
    ("grace", "supersede"): "closed",
    ("acknowledged", "answered"): "acknowledged",
    ("acknowledged", "dated"): "scheduled",
    ("acknowledged", "condemned"): "acknowledged",
    ("acknowledged", "deadline_expired"): "closed",
    ("acknowledged", "fault"): "closed",
    ("acknowledged", "release"): "closed",
    ("acknowledged", "revoke"): "closed",
    ("acknowledged", "kill"): "closed",
    ("acknowledged", "supersede"): "closed",
    ("scheduled", "dated"): "scheduled",
    ("scheduled", "condemned"): "acknowledged",
    ("scheduled", "fault"): "closed",
    ("scheduled", "release"): "closed",
    ("scheduled", "revoke"): "closed",
    ("scheduled", "kill"): "closed",
    ("scheduled", "supersede"): "closed",
    ("latched", "rearm"): "closed",
    ("latched", "revoke"): "closed",
    ("latched", "kill"): "closed",
    ("latched", "supersede"): "closed",
}
"""(state, act) → state. Nothing leaves ``closed``; ``alerting`` never ends by time."""

OUTCOMES: Final[dict[Act, Outcome]] = {
    "grace_expired": "revoked",
    "deadline_expired": "revoked",
    "fault": "revoked",
    "release": "released",
    "revoke": "revoked",
    "kill": "killed",
    "rearm": "rearmed",
    "supersede": "superseded",
}
"""What an act that closes an incident makes of it."""

TIMED: Final[dict[State, Act]] = {
    "grace": "grace_expired",
    "acknowledged": "deadline_expired",
    "scheduled": "fault",
}
"""What time alone does in a state, once it is over."""


def acknowledgement(disposition: str, revoke_at: str) -> Act:
    """Which act an acknowledgement is."""
    if disposition != "fault":
        return "answered"
    return "dated" if revoke_at else "condemned"
