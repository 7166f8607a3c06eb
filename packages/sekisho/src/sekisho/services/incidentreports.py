# SPDX-License-Identifier: Apache-2.0
"""What a gate reports of an incident, as it is recorded, and told again (incidents.md 2)."""

from __future__ import annotations

import msgspec

from sekisho.core.errors import VerificationFailed
from sekisho.core.events import IncidentRecorded
from sekisho.core.incidents.cases import IncidentCase
from sekisho.ports import IncidentReport


def entry_of(report: IncidentReport, at: str) -> IncidentRecorded:
    """A report as the entry that records it at this time."""
    return IncidentRecorded(at=at, **msgspec.structs.asdict(report))


def check_same(known: IncidentCase, report: IncidentReport) -> None:
    """An incident is told twice in the same words, or somebody lies.

    Raises:
        VerificationFailed: it is recorded with other words.
    """
    for name in report.__struct_fields__:
        recorded = known.gate_index if name == "index" else getattr(known, name)
        if recorded != getattr(report, name):
            raise VerificationFailed(
                f"incident {known.incident} is recorded with another {name}", name
            )
