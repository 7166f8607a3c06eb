# SPDX-License-Identifier: Apache-2.0
"""`summary.json` computed again (docs/spec/bundle.md step 9)."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping

from sekisho_verify import canonical
from sekisho_verify.canonical import money
from sekisho_verify.decisions import Decided
from sekisho_verify.findings import require
from sekisho_verify.issued import Issued


@dataclasses.dataclass(frozen=True)
class LogSize:
    """Origin and size of a log."""

    origin: str
    size: int

    def as_json(self) -> dict[str, object]:
        """As in the summary."""
        return {"origin": self.origin, "tree_size": self.size}


def counted(decided: Iterable[Decided], agent: str, start: int, end: int) -> list[Decided]:
    """Decisions of the agent with start ≤ at < end, in order."""
    return [one for one in decided if one.agent == agent and start <= one.at < end]


def computed(
    period: tuple[str, str],
    agent: str,
    counted_decisions: Collection[Decided],
    outcomes: tuple[Mapping[int, int], Collection[int]],
    certificates: Iterable[Issued],
    logs: tuple[LogSize, LogSize],
) -> dict[str, object]:
    """The summary that follows from the logs.

    Args:
        period: from and to, as text.
        agent: whose bundle it is.
        counted_decisions: see `counted`.
        outcomes: decision index → index of its signature; indices of withdrawn decisions.
        certificates: of all agents, with their status at the end.
        logs: of gate and authority.
    """
    signed, withdrawn = outcomes
    permitted = [one for one in counted_decisions if one.permitted]
    refused = [one for one in counted_decisions if not one.permitted]
    open_ends = [
        one
        for one in permitted
        if one.asked is not None and one.index not in signed and one.index not in withdrawn
    ]
    return {
        "schema": "sekisho/summary/v1",
        "agent": agent,
        "from": period[0],
        "to": period[1],
        "orders": len(counted_decisions),
        "permitted": len(permitted),
        "refused": len(refused),
        "withdrawn": sum(one.index in withdrawn for one in permitted),
        "signatures": sum(one.index in signed for one in permitted),
        "possibly_issued": len(open_ends),
        "refusals": [
            {
                "index": one.index,
                "at": canonical.instant_text(one.at),
                "client_order_id": "" if one.order is None else one.order.order_id,
                "codes": [reason.code for reason in one.reasons],
            }
            for one in refused
        ],
        "highest_day": _highest_day(counted_decisions),
        "certificates": [
            {
                "certificate_sha256": one.certificate.sha256,
                "serial_number": one.certificate.serial,
                "status": one.status.status,
            }
            for one in certificates
            if one.agent == agent
        ],
        "gate": logs[0].as_json(),
        "authority": logs[1].as_json(),
    }


def _highest_day(decisions: Collection[Decided]) -> dict[str, object]:
    day, highest = "", 0
    for one in decisions:
        if one.gross > highest:
            day, highest = one.day, one.gross
    return {"day": day, "gross_permitted": money(highest)}


def compare(recorded: bytes, wanted: dict[str, object]) -> None:
    """`summary.json` is exactly this.

    Raises:
        VerificationFailed: names the first field that differs.
    """
    given = canonical.fields(canonical.parse_object(recorded), wanted.keys(), "the summary")
    for name, value in wanted.items():
        same = canonical.encode(given[name]) == canonical.encode(value)
        require(same, f"`{name}` is not what follows from the logs")
