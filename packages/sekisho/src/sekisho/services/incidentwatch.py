# SPDX-License-Identifier: Apache-2.0
"""What a gate does when one of its agents opened an incident: stop, cancel, and tell the authority.

The stop itself is not here: the ``incident_opened`` entry took effect before anything was awaited.
This carries it outwards: what rests is cancelled although the disk fails and although the authority
does not answer. The authority hears only of what no crash can undo: what a later start finds at
another index, or not at all, would contradict what it has on record.

A crash anywhere here loses nothing: :meth:`start` tells the authority again of every incident in
the log, which takes each once, and cancels again what still rests under a hold.
"""

from __future__ import annotations

import asyncio
from itertools import chain, repeat
from typing import Protocol

from sekisho.core.errors import OutcomeUnknown, StorageFailed
from sekisho.core.events import IncidentOpened
from sekisho.ports import Clock, IncidentReport
from sekisho.services.gatelog import GateLog
from sekisho.services.stopping import Stopping
from sekisho.services.waiting import settle

REPORT_WAIT_S = 1.0
"""So long the authority is waited for before the gate cancels on its own word."""
RETRY_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)


class IncidentLink(Protocol):
    """How the authority is told."""

    async def report_incident(self, report: IncidentReport) -> None:
        """Idempotent by the incident's id. Raises when it is not recorded there."""
        ...


class IncidentWatch:
    """Carries the incidents of one gate to the venue and to the authority."""

    def __init__(
        self, log: GateLog, stopping: Stopping, authority: IncidentLink, clock: Clock
    ) -> None:
        self._log = log
        self._stopping = stopping
        self._authority = authority
        self._clock = clock
        self._running: dict[str, asyncio.Task[None]] = {}
        self.unreported: dict[str, str] = {}
        """Incident → why the authority does not know it yet."""
        log.on_incident(self._opened)

    def start(self) -> None:
        """Report every incident again, and open what an earlier process had no time to open."""
        for index, entry in list(self._log.incidents.items()):
            self._opened(index, entry)
        self._log.note_crossings()

    async def settled(self) -> None:
        """Return when everything begun so far was carried out or handed to the retries."""
        while self._running:
            await asyncio.wait(set(self._running.values()))

    async def close(self) -> None:
        """Stop retrying; a later start tells the authority again."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _opened(self, index: int, entry: IncidentOpened) -> None:
        if entry.incident not in self._running:
            task = asyncio.get_running_loop().create_task(self._carry(index, entry))
            self._running[entry.incident] = task
            task.add_done_callback(lambda _: self._running.pop(entry.incident, None))

    async def _carry(self, index: int, entry: IncidentOpened) -> None:
        if not await self._durable(index, entry):
            await self._stop_here(entry)  # this log takes nothing more; the next start tells
            return
        reporting = asyncio.ensure_future(self._report(index, entry))
        if not await settle(self._clock, [reporting], REPORT_WAIT_S):
            await self._stop_here(entry)  # it hangs: what rests does not wait for it
        if await reporting:
            # The authority's own stop comes with the report, unless it was lost on its way, or
            # came to a process that died of it.
            await self._stop_here(entry, what_rests=True)
            return
        await self._stop_here(entry)
        for wait in chain(RETRY_S, repeat(RETRY_S[-1])):
            await self._clock.sleep(wait)
            if await self._report(index, entry):
                return

    async def _durable(self, index: int, entry: IncidentOpened) -> bool:
        try:
            await self._log.durable(index)
        except (StorageFailed, OutcomeUnknown) as error:
            self.unreported[entry.incident] = str(error)
            return False
        return True

    async def _report(self, index: int, entry: IncidentOpened) -> bool:
        report = IncidentReport(
            origin=self._log.origin,
            index=index,
            incident=entry.incident,
            agent=entry.agent,
            certificate_sha256=entry.certificate_sha256,
            incident_kind=entry.incident_kind,
            score=entry.score,
            factor=entry.factor,
            observed=entry.observed,
            threshold=entry.threshold,
        )
        try:
            await self._authority.report_incident(report)
        except Exception as error:  # noqa: BLE001 - whatever keeps it from the authority: try again
            self.unreported[entry.incident] = str(error) or repr(error)
            return False
        self.unreported.pop(entry.incident, None)
        self._log.heard(entry.incident)
        return True

    async def _stop_here(self, entry: IncidentOpened, *, what_rests: bool = False) -> None:
        """Stop on our own word, and cancel what rests; ``what_rests``: only if something does.

        Only what still holds: people may have released it long ago, and this is a restart.
        """
        if entry.incident_kind != "hold":
            return
        held = self._log.state.agents[entry.agent]
        if (
            held.certificate_sha256 == entry.certificate_sha256
            and held.status == "hold"
            and (held.working or not what_rests)
        ):
            # No status is recorded: the incident's entry holds, and a status is the authority's.
            await self._stopping.carry_out(entry.agent, "incident", held.epoch)
