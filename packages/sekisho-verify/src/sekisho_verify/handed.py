# SPDX-License-Identifier: Apache-2.0
"""Fields of the entries about agents that move, and of what a lease says of them
(docs/spec/history.md, section 2).
"""

from __future__ import annotations

from sekisho_verify import canonical
from sekisho_verify.findings import require
from sekisho_verify.forms import (
    AGENT,
    DIGEST,
    NAME,
    TEXT,
    TEXTS,
    Form,
    alone_or,
    boolean,
    count,
    each,
    record,
)


def _row(value: object) -> object:
    members = canonical.array_of(value)
    require(len(members) > 0, "has an empty row")
    return TEXT(members[0])


GATE: dict[str, dict[str, Form]] = {
    "history_awaited": {"agent": AGENT, "before": NAME, "epoch": count},
    "history_given": {
        "agent": AGENT,
        "gate": NAME,
        "epoch": count,
        "history_sha256": DIGEST,
        "bytes": count,
        "rows": count,
    },
    "history_part": {
        "agent": AGENT,
        "epoch": count,
        "history_sha256": DIGEST,
        "part": count,
        "last": boolean,
        "rows": each(_row),
    },
}
_KEPT: dict[str, Form] = {
    "agent": AGENT,
    "gate": NAME,
    "epoch": count,
    "history_sha256": DIGEST,
    "origin": TEXT,
    "index": count,
}
AUTHORITY: dict[str, dict[str, Form]] = {
    "agent_handed_over": _KEPT | {"to": NAME, "bytes": count},
    "history_taken": _KEPT,
    "history_lost": {
        "agent": AGENT,
        "gate": NAME,
        "before": NAME,
        "lost": NAME,
        "epoch": count,
        "baseline_sha256": alone_or("", DIGEST),
        "history_sha256": DIGEST,
        "bytes": count,
        "seats": each(NAME),
        "commands": TEXTS,
    },
}
_MOVED = record(before=NAME, gate=NAME, epoch=count, history=alone_or("", DIGEST))


def moved(value: object) -> None:
    """`moved` of a lease. Raises VerificationFailed: it has another form."""
    found = canonical.object_of(value)
    require(len(found) > 0, "has a lease whose `moved` names nobody")
    for agent, told in found.items():
        AGENT(agent)
        _MOVED(told)
