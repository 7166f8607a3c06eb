# SPDX-License-Identifier: Apache-2.0
"""The forms of an incident's fields (docs/spec/entries.md), judged before it is recorded.

A verifier refuses a log with an entry of another form, whoever reported it. What the fields mean is
judged in ``lawful``, with id and index; a log that is read again is not judged here.
"""

from __future__ import annotations

import re
from typing import Final

from sekisho.core.amounts import parse_amount
from sekisho.core.errors import MalformedInput
from sekisho.core.events import IncidentRecorded
from sekisho.core.terms import AGENT_NAME, NAME

CROSSED: Final = frozenset(
    "size frequency market hours stress counterparty latency success anomalies".split()
)
"""Factors of a score that crossed (docs/spec/behaviour.md)."""
BROKEN: Final = frozenset(
    {
        "unpermitted_execution",
        "unpermitted_order",
        "execution_above_permit",
        "execution_after_end",
        "resting_unknown",
        "venue_contradicted",
    }
)
"""What a break can be (docs/spec/checks.md section 2.4)."""
_SCORE: Final = re.compile(r"0\.[0-9]{6}|1\.000000", re.ASCII)
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def check_form(entry: IncidentRecorded) -> None:
    """Whether each field has the form of the entry's kind.

    Raises:
        MalformedInput: one has not; names it.
    """
    broken = entry.incident_kind == "break"
    none = broken and not entry.agent
    _need(none or AGENT_NAME.fullmatch(entry.agent) is not None, "agent", "the name of an agent")
    none = broken and not entry.certificate_sha256
    known = none or _DIGEST.fullmatch(entry.certificate_sha256) is not None
    _need(known, "certificate_sha256", "64 hex digits")
    _need((entry.score == "venue") == broken, "score", "venue of a break alone")
    if broken:
        _need(entry.factor in BROKEN, "factor", "what a break can be")
        _need(NAME.fullmatch(entry.observed) is not None, "observed", "the name of a venue")
        _need(entry.threshold == "", "threshold", "empty")
        return
    _need(entry.factor in CROSSED, "factor", "a factor of a score")
    _need(_SCORE.fullmatch(entry.observed) is not None, "observed", "a score of six decimals")
    parse_amount(entry.threshold, "threshold")


def _need(held: bool, where: str, what: str) -> None:
    if not held:
        raise MalformedInput(f"incident: {where} is not {what}", where)
