# SPDX-License-Identifier: Apache-2.0
"""An authority with a certified agent, a gate that reports, a channel to people, time by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Self

from sekisho.adapters.simulated_notifier import SimulatedNotifier
from sekisho.core.encoding import sha256_hex
from sekisho.core.events import (
    AlertSent,
    CrlIssued,
    GraceStarted,
    IncidentAcknowledged,
    IncidentClosed,
    IncidentRecorded,
    StatusChanged,
)
from sekisho.core.incidents.cases import IncidentCase
from sekisho.core.terms import NS, format_instant
from sekisho.ports import IncidentReport
from sekisho.services.certification import IssuedCertificate
from sekisho.services.incidentdesk import AckOutcome
from tests.authority_world import AGENT, GATE_ORIGIN, AuthorityWorld, log_key

GRACE_S = 300
DEADLINE_S = 3600
POLICY = {
    "risk_controls__grace_period_s": str(GRACE_S),
    "risk_controls__acknowledgement_deadline_s": str(DEADLINE_S),
}


def name_of(number: int) -> str:
    """The id of an incident."""
    return sha256_hex(b"incident %d" % number)[:32]


class IncidentWorld(AuthorityWorld):
    """One authority, one agent, one channel that delivers."""

    issued: IssuedCertificate
    channel: SimulatedNotifier

    @classmethod
    async def begin(cls, *, channel: bool = True, **changes: Any) -> Self:
        """Found, certify the gate's log and the agent, and configure the channel."""
        world = await cls.start()
        await world.authority.certify_log(GATE_ORIGIN, log_key(GATE_ORIGIN))
        world.issued = await world.certified(**(POLICY | changes))
        world.channel = SimulatedNotifier("pager")
        if channel:
            world.notifiers = (world.channel,)
            world.authority.add_notifier(world.channel)
        return world

    async def again(self, disk: Any = None) -> Self:
        """The process died and starts anew on what is on disk."""
        world = await super().again(disk)
        world.issued, world.channel = self.issued, self.channel
        return world

    # -- acts ----------------------------------------------------------------------------------

    def report_of(self, number: int = 1, kind: str = "hold", **other: Any) -> IncidentReport:
        """What the gate says."""
        fields: dict[str, Any] = {
            "origin": GATE_ORIGIN,
            "index": 100 + number,
            "incident": name_of(number),
            "agent": AGENT,
            "certificate_sha256": self.issued.certificate_sha256,
            "incident_kind": kind,
            "score": "risk",
            "factor": "size",
            "observed": "0.870000",
            "threshold": "0.85",
        }
        return IncidentReport(**(fields | other))

    async def report(self, number: int = 1, kind: str = "hold", **other: Any) -> None:
        """The gate says it."""
        await self.authority.report_incident(self.report_of(number, kind, **other))

    def answer(self, disposition: str, *, who: str = "risk_lead", **other: Any) -> Any:
        """One person's acknowledgement of the open incident."""
        fields = {"incident": name_of(1), "disposition": disposition} | other
        return self.signed("acknowledge", who, **fields)

    async def acknowledge(self, disposition: str, **other: Any) -> AckOutcome:
        """Somebody answers."""
        return await self.authority.acknowledge((self.answer(disposition, **other),))

    def soon(self, seconds: float) -> str:
        """An instant so many seconds from now."""
        return format_instant(self.clock.now_ns() + round(seconds * NS))

    # -- looking -------------------------------------------------------------------------------

    def case(self, number: int = 1) -> IncidentCase:
        """An incident as the authority knows it."""
        return self.authority.incidents.by_id(name_of(number))

    def held_status(self) -> str:
        """The register's status of the certificate."""
        return self.authority.state.certificates[self.issued.certificate_sha256].status

    def story(self) -> list[str]:
        """What the log says since the certificate, in short."""
        return [
            told
            for entry in self.entries()
            if (told := _told(entry)) and not isinstance(entry, CrlIssued)
        ]


def _told(entry: object) -> str:
    match entry:
        case IncidentRecorded():
            return f"recorded {entry.incident_kind}"
        case StatusChanged():
            return entry.cause
        case AlertSent():
            return f"{entry.channel} {entry.about} {entry.outcome}"
        case GraceStarted():
            return "grace"
        case IncidentAcknowledged():
            return f"answered {entry.disposition}"
        case IncidentClosed():
            return f"closed {entry.outcome}"
        case _:
            return ""


def play(story: Coroutine[Any, Any, None]) -> None:
    """Run a story to its end."""
    asyncio.run(story)
