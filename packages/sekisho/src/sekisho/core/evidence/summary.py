# SPDX-License-Identifier: Apache-2.0
"""What a period came to, counted from the logs alone (docs/spec/bundle.md, ``summary.json``).

Every permitted decision is accounted for: signed, withdrawn, or possibly issued.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sekisho.core.amounts import format_money, parse_amount
from sekisho.core.events import (
    AuthorityEntry,
    CertificateIssued,
    Decision,
    GateEntry,
    PermitSigned,
    StatusChanged,
    Withdrawn,
)
from sekisho.core.terms import parse_instant

SCHEMA = "sekisho/summary/v1"


class GateCounts:
    """Counts of one agent's decisions within since ≤ at < until; entries come in log order."""

    def __init__(self, agent: str, since_ns: int, until_ns: int) -> None:
        self._agent = agent
        self._since, self._until = since_ns, until_ns
        self._open: set[int] = set()
        self._counted: set[int] = set()
        self.permitted = self.refused = self.withdrawn = self.signatures = 0
        self.refusals: list[dict[str, Any]] = []
        self._highest = (0, "")

    def take(self, index: int, entry: GateEntry) -> None:
        """Count one entry."""
        if getattr(entry, "agent", "") != self._agent:
            return
        if isinstance(entry, Decision):
            if self._since <= parse_instant(entry.at) < self._until:
                self._decision(index, entry)
        elif isinstance(entry, PermitSigned | Withdrawn) and entry.decision in self._counted:
            self._open.discard(entry.decision)
            if isinstance(entry, PermitSigned):
                self.signatures += 1
            else:
                self.withdrawn += 1

    def _decision(self, index: int, entry: Decision) -> None:
        self._counted.add(index)
        order = entry.order
        if entry.after is not None:
            volume = parse_amount(entry.after.gross_permitted)
            if volume > self._highest[0]:
                self._highest = (volume, entry.after.day)
        if entry.verdict == "permitted":
            self.permitted += 1
            if order is not None and order["action"] != "cancel":
                self._open.add(index)
            return
        self.refused += 1
        self.refusals.append(
            {
                "index": index,
                "at": entry.at,
                "client_order_id": "" if order is None else order["client_order_id"],
                "codes": [str(reason.code) for reason in entry.reasons],
            }
        )

    def plain(self) -> dict[str, Any]:
        """The gate's part of the summary."""
        return {
            "orders": self.permitted + self.refused,
            "permitted": self.permitted,
            "refused": self.refused,
            "withdrawn": self.withdrawn,
            "signatures": self.signatures,
            "possibly_issued": len(self._open),
            "refusals": self.refusals,
            "highest_day": {
                "day": self._highest[1],
                "gross_permitted": format_money(self._highest[0]),
            },
        }


def certificates(agent: str, entries: Iterable[AuthorityEntry]) -> list[dict[str, str]]:
    """Every certificate of the agent with its status at the end of the authority's log."""
    found: dict[str, dict[str, str]] = {}
    for entry in entries:
        if isinstance(entry, CertificateIssued) and entry.agent == agent:
            found[entry.certificate_sha256] = {
                "certificate_sha256": entry.certificate_sha256,
                "serial_number": entry.serial_number,
                "status": "good",
            }
        elif isinstance(entry, StatusChanged) and entry.certificate_sha256 in found:
            found[entry.certificate_sha256]["status"] = entry.status
    return list(found.values())
