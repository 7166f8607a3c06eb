# SPDX-License-Identifier: Apache-2.0
"""What a period came to, counted from the logs alone (docs/spec/bundle.md, ``summary.json``).

Every permitted decision is accounted for by ``completeness``: signed, withdrawn, or possibly issued
at the end of the log, wherever the period ends. Whether the verdicts are right is not judged here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sekisho.core.amounts import format_money, parse_money
from sekisho.core.events import (
    AuthorityEntry,
    CertificateIssued,
    Decision,
    GateEntry,
    StatusChanged,
)
from sekisho.core.evidence.completeness import Completeness, Ending
from sekisho.core.terms import format_instant, parse_instant

SCHEMA = "sekisho/summary/v1"


class GateCounts:
    """Counts of one agent's decisions within since ≤ at < until; entries come in log order.

    Attributes:
        completeness: of all decisions of the agent, inside the period and outside.
    """

    def __init__(self, agent: str, since_ns: int, until_ns: int) -> None:
        self._agent = agent
        self._since, self._until = since_ns, until_ns
        self._permitted: list[int] = []
        self._refusals: list[dict[str, Any]] = []
        self._highest = (0, "")
        self.completeness = Completeness(agent)

    def take(self, index: int, entry: GateEntry) -> None:
        """Count one entry."""
        self.completeness.take(index, entry)
        if (
            isinstance(entry, Decision)
            and entry.agent == self._agent
            and self._since <= parse_instant(entry.at) < self._until
        ):
            self._decision(index, entry)

    def _decision(self, index: int, entry: Decision) -> None:
        if entry.after is not None:
            volume = parse_money(entry.after.gross_permitted)
            if volume > self._highest[0]:
                self._highest = (volume, entry.after.day)
        if entry.verdict == "permitted":
            self._permitted.append(index)
            return
        self._refusals.append(
            {
                "index": index,
                "at": entry.at,
                "client_order_id": "" if entry.order is None else entry.order["client_order_id"],
                "codes": [str(reason.code) for reason in entry.reasons],
            }
        )

    def _ended(self, ending: Ending) -> int:
        return sum(self.completeness.endings.get(index) == ending for index in self._permitted)

    def plain(self) -> dict[str, Any]:
        """The gate's part of the summary, as of the last entry taken."""
        return {
            "orders": len(self._permitted) + len(self._refusals),
            "permitted": len(self._permitted),
            "refused": len(self._refusals),
            "withdrawn": sum(self.completeness.withdrawn(index) for index in self._permitted),
            "signatures": self._ended("signed"),
            "possibly_issued": self._ended("possibly_issued"),
            "refusals": self._refusals,
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


def summary(
    agent: str,
    period: tuple[int, int],
    gate: tuple[str, Iterable[GateEntry]],
    authority: tuple[str, Iterable[AuthorityEntry]],
) -> tuple[dict[str, Any], Completeness]:
    """The whole summary, to be encoded canonically, and how the agent's decisions ended.

    Args:
        agent: whom it is about.
        period: from and to (exclusive), ns UTC.
        gate: origin of the gate's log and its entries from index 0.
        authority: the same of the authority's log.
    """
    counts = GateCounts(agent, *period)
    size = 0
    for index, entry in enumerate(gate[1]):
        counts.take(index, entry)
        size = index + 1
    registered = list(authority[1])
    plain = {
        "schema": SCHEMA,
        "agent": agent,
        "from": format_instant(period[0]),
        "to": format_instant(period[1]),
        **counts.plain(),
        "certificates": certificates(agent, registered),
        "gate": {"origin": gate[0], "tree_size": size},
        "authority": {"origin": authority[0], "tree_size": len(registered)},
    }
    return plain, counts.completeness
