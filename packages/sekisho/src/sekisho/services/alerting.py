# SPDX-License-Identifier: Apache-2.0
"""Telling people of incidents, by every configured channel (docs/spec/incidents.md section 5).

Each attempt is an entry, whatever became of it. A channel that hangs or fails in any way keeps
nobody waiting for longer than a listener would, and counts as not delivered. What follows from an
alert that was delivered, or was not, is decided elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Literal

from sekisho.core.errors import SekishoError
from sekisho.core.events import AlertSent
from sekisho.core.incidents.cases import IncidentCase
from sekisho.core.incidents.lawful import grace_of
from sekisho.core.terms import format_instant
from sekisho.ports import Alert, Clock, Notifier
from sekisho.services.announcing import ANSWER_WAIT_S
from sekisho.services.registerlog import RegisterLog
from sekisho.services.status import Act
from sekisho.services.waiting import settle

About = Literal["opened", "overdue", "revoked", "released"]
DETAIL_MAX = 300

_ABOUT: Final[dict[Act, About]] = {
    "release": "released",
    "revoke": "revoked",
    "kill": "revoked",
    "fault": "revoked",
    "grace_expired": "overdue",
    "deadline_expired": "overdue",
}
"""What people are told of an act that ended an incident; of the others nothing."""
_CAN: Final[dict[About, str]] = {
    "opened": "acknowledge it (compliance or risk), release it (compliance and risk), or revoke",
    "overdue": "revoked, since nobody answered in time; replace the certificate",
    "revoked": "revoked for good; replace the certificate",
    "released": "nothing is wanted; the agent may act again",
}
_BROKEN: Final = (
    "compare the venue's own list with the gate's log, find who used the credential or the key,"
    " replace it; re-arm the venue (compliance and risk)"
)
_LATCHED: Final = "look into it; re-arm the breaker (compliance and risk), hold or revoke"


class Alerting:
    """The channels of one authority."""

    def __init__(self, log: RegisterLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._running: set[asyncio.Task[None]] = set()
        self.notifiers: list[Notifier] = []

    async def tell(self, case: IncidentCase, about: About) -> None:
        """Try every channel at once, and record each attempt.

        Raises:
            StorageFailed: the log failed; what was attempted is not on record.
            VerificationFailed: what was told of is not so any more; the same.
        """
        alert = self._alert(case, about)
        tasks = [(one.name, self._start(one, alert)) for one in self.notifiers]
        await settle(self._clock, [task for _, task in tasks], ANSWER_WAIT_S)
        # A crash before these are on disk leaves alerts that were sent and are not on record:
        # people are told again at the next start.
        for channel, task in tasks:
            detail = _failure(task)
            self._log.record(
                AlertSent(
                    at=self._log.at(),
                    incident=case.incident,
                    about=about,
                    channel=channel,
                    outcome="failed" if detail else "delivered",
                    detail=detail,
                )
            )

    async def tell_ends(self, incidents: Sequence[str], act: Act) -> None:
        """Tell of incidents that this act has ended. One attempt each; nothing waits for it."""
        about = _ABOUT.get(act)
        if about is None:
            return
        for incident in incidents:
            try:
                await self.tell(self._log.book.by_id(incident), about)
            except SekishoError:
                # The end itself is on record and in effect; the log has failed since.
                return

    def _start(self, notifier: Notifier, alert: Alert) -> asyncio.Task[None]:
        task = asyncio.ensure_future(_notify(notifier, alert))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def _alert(self, case: IncidentCase, about: About) -> Alert:
        until = ""
        if about == "opened" and case.incident_kind == "hold":
            # The grace begins when this is delivered, so it ends no earlier than this.
            until = format_instant(grace_of(self._log.book, case, self._log.now()))
        can = _CAN[about]
        if about == "opened" and case.incident_kind == "breaker":
            can = _LATCHED
        if about == "opened" and case.incident_kind == "break":
            can = _BROKEN
        return Alert(
            incident=case.incident,
            agent=case.agent,
            about=about,
            incident_kind=case.incident_kind,
            score=case.score,
            factor=case.factor,
            observed=case.observed,
            threshold=case.threshold,
            state=case.state,
            until=until,
            can=can,
        )


async def _notify(notifier: Notifier, alert: Alert) -> None:
    await notifier.notify(alert)


def _failure(task: asyncio.Task[None]) -> str:
    """Why an attempt counts as not delivered; empty when it was. ASCII, since channels say odd
    things and an entry must be readable for ever.
    """
    if not task.done():
        text = f"no answer within {ANSWER_WAIT_S} s"
    elif task.cancelled():
        text = "cancelled"
    elif (error := task.exception()) is not None:
        text = str(error) or type(error).__name__
    else:
        return ""
    return text[:DETAIL_MAX].encode("ascii", "replace").decode("ascii")
