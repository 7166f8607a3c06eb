# SPDX-License-Identifier: Apache-2.0
"""Telling people of an open incident until somebody was reached; then the grace begins.

Nobody is told before the hold is on disk, and no grace begins before anybody was told
(docs/spec/incidents.md sections 1 and 5). When the next round is due is remembered in this process
only: after a start everybody is told again.
"""

from __future__ import annotations

from typing import Final

from sekisho.core.errors import SekishoError
from sekisho.core.events import GraceStarted
from sekisho.core.incidents.cases import IncidentCase
from sekisho.core.incidents.lawful import grace_of
from sekisho.core.terms import NS, format_instant
from sekisho.ports import Clock, Notifier
from sekisho.services.alerting import Alerting
from sekisho.services.registerlog import RegisterLog

RETRY_S: Final = (1, 2, 4, 8, 16, 32, 60)
"""How long to wait before every channel is tried again, when nobody was reached."""
_TOLD_IN = ("alerting", "latched")


class AlertRounds:
    """The rounds of all open incidents."""

    def __init__(self, log: RegisterLog, alerting: Alerting, clock: Clock) -> None:
        self._log = log
        self._alerting = alerting
        self._clock = clock
        self._rounds: dict[str, int] = {}
        self._next: dict[str, int] = {}
        self.troubles: dict[str, str] = {}
        """Incident → why its last round could not be recorded; it is tried again."""

    def add(self, notifier: Notifier) -> None:
        """One more channel: whoever was not reached is told again at once."""
        self._alerting.notifiers.append(notifier)
        self._rounds.clear()
        self._next.clear()

    def wait_ns(self, case: IncidentCase) -> int | None:
        """Nanoseconds until the next round is due, 0 or less: it is; None: none will be."""
        if case.state not in _TOLD_IN or case.delivered or not self._alerting.notifiers:
            return None
        if self._log.journal.failed is not None:
            return None
        return self._next.get(case.incident, 0) - self._clock.monotonic_ns()

    async def tell(self, case: IncidentCase) -> None:
        """One round. What fails of it is in ``troubles``, and is tried again later."""
        done = self._rounds.get(case.incident, 0)
        self._rounds[case.incident] = done + 1
        try:
            await self._log.all_durable()
            if case.state in _TOLD_IN:
                await self._alerting.tell(case, "opened")
            if self.wants_grace(case):
                self.begin_grace(case)
            self.troubles.pop(case.incident, None)
        except SekishoError as error:
            self.troubles[case.incident] = str(error)
        wait = RETRY_S[min(done, len(RETRY_S) - 1)]
        self._next[case.incident] = self._clock.monotonic_ns() + wait * NS

    def wants_grace(self, case: IncidentCase) -> bool:
        """Whether somebody was told and the grace did not begin."""
        return case.state == "alerting" and case.delivered

    def begin_grace(self, case: IncidentCase) -> int:
        """Record that the grace begins now; returns 1: one act.

        Raises:
            StorageFailed: the log failed; nothing begins.
        """
        now = self._log.now()
        # A crash before this is on disk leaves people who were told: at the start it begins anew.
        self._log.record(
            GraceStarted(
                at=format_instant(now),
                incident=case.incident,
                ends_at=format_instant(grace_of(self._log.book, case, now)),
                monotonic=str(self._clock.monotonic_ns()),
            )
        )
        return 1
