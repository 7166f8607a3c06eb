# SPDX-License-Identifier: Apache-2.0
"""The incident procedure of an authority: reports of gates, answers of people, and time.

What may follow what stands in ``core.incidents``; this module brings it about in the order of
docs/spec/incidents.md: recorded, held, told, then the grace runs, and what nobody answers becomes
final. Nothing here lifts anything.

A crash anywhere leaves the log with an incident in some state; :meth:`IncidentDesk.due`, at the
next opening, goes on from there. What was sent and is not on record is sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import msgspec
from msgspec import UNSET

from sekisho.core.errors import (
    NotAuthorised,
    OutcomeUnknown,
    StorageFailed,
    VerificationFailed,
)
from sekisho.core.events import IncidentAcknowledged
from sekisho.core.governance.commands import SignedCommand
from sekisho.core.identity.lawful import HOLD_REASON
from sekisho.core.identity.records import Renewal
from sekisho.core.identity.renewal import SUPERSEDED, other_of
from sekisho.core.identity.status import Status
from sekisho.core.incidents.book import IncidentBook
from sekisho.core.incidents.cases import IncidentCase, OwedClose
from sekisho.core.incidents.deadlines import over, remaining
from sekisho.core.incidents.forms import check_form
from sekisho.core.incidents.lawful import deadline_of
from sekisho.core.incidents.table import TIMED
from sekisho.core.terms import NS, format_instant, parse_instant
from sekisho.ports import Clock, IncidentReport, Notifier
from sekisho.services.alertrounds import AlertRounds
from sekisho.services.commanding import Commanding, Taken
from sekisho.services.incidentreports import check_same, entry_of
from sekisho.services.registerlog import RegisterLog
from sekisho.services.revocation import RevocationStatus
from sekisho.services.status import Act, StatusAct, StatusOutcome
from sekisho.services.statusacts import StatusActs, close_ended
from sekisho.services.waiting import settle

LOOK_S: Final = 30.0
"""How soon a deadline is looked at again at the latest: the wall clock may have been stepped."""
_ACTS: Final[dict[str, tuple[Act, Status, str]]] = {
    "automatic_hold": ("automatic_hold", "hold", HOLD_REASON),
    "grace_expired": ("grace_expired", "revoked", "privilegeWithdrawn"),
    "deadline_expired": ("deadline_expired", "revoked", "privilegeWithdrawn"),
    "fault": ("fault", "revoked", "privilegeWithdrawn"),
    SUPERSEDED: ("superseded", "revoked", SUPERSEDED),
}
_T = TypeVar("_T")


class AckOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """An acknowledgement that is on record, and what the incident waits for next.

    ``ends_at`` is ``""`` when it is over; ``status`` is what a revocation at once achieved.
    """

    incident: str
    agent: str
    disposition: str
    state: str
    ends_at: str
    index: int
    seats: tuple[str, ...]
    status: StatusOutcome | None


class IncidentDesk:
    """All incidents of one authority. One instance owns the log."""

    def __init__(
        self,
        log: RegisterLog,
        acts: StatusActs,
        rounds: AlertRounds,
        revocation: RevocationStatus,
        commanding: Commanding,
        clock: Clock,
    ) -> None:
        self._log = log
        self._acts = acts
        self._rounds = rounds
        self._revocation = revocation
        self._commanding = commanding
        self._clock = clock
        self._changed = asyncio.Event()
        self._work: dict[asyncio.Task[Any], str] = {}
        self._running: set[asyncio.Task[Any]] = set()

    @property
    def book(self) -> IncidentBook:
        """The book, to be read."""
        return self._log.book

    def add_notifier(self, notifier: Notifier) -> None:
        """One more channel; whom nobody could be told of is told by it at once."""
        self._rounds.add(notifier)
        self._changed.set()

    # -- gates report --------------------------------------------------------------------------

    async def report(self, report: IncidentReport) -> None:
        """Record an incident that a gate opened; hold, tell people, begin the grace.

        Once recorded it is seen through, also when the caller goes away. The same report again does
        nothing more.

        Raises:
            VerificationFailed, MalformedInput: no such certificate or log, a field of another form,
                or the incident is recorded with another content; nothing happened.
            StorageFailed, OutcomeUnknown: it is not, or perhaps not, on record. A hold is in effect
                in this process and was told to the gates all the same.
        """
        self._fire(self._clock.monotonic_ns())
        known = self.book.cases.get(report.incident)
        if known is not None:
            check_same(known, report)
            await self._log.durable(known.index)
            return
        entry = entry_of(report, self._log.at())
        check_form(entry)
        try:
            index = self._log.record(entry)
        except StorageFailed:
            await asyncio.shield(self._run(self._hold_unrecorded(report)))
            raise
        work = self._pay()
        self._changed.set()
        await asyncio.shield(self._run(self._see_through(report.incident, index, work)))

    async def _see_through(
        self, incident: str, index: int, work: list[asyncio.Task[StatusOutcome]]
    ) -> None:
        for task in work:
            outcome = await task
            waiting = self._log.journal.failed is None and index >= self._log.journal.durable_size
            if waiting and not outcome.recorded:
                raise OutcomeUnknown(f"incident {incident}: the disk has not answered yet")
        await self._log.durable(index)
        await self._drain(incident)

    async def _hold_unrecorded(self, report: IncidentReport) -> None:
        """The log takes nothing: stop all the same, in this process and at every gate."""
        if report.incident_kind != "hold":
            return
        record = self._log.state.certificates[report.certificate_sha256]
        for one in (record, other_of(self._log.state, record.sha256)):
            if one is not None and self._revocation.of(one)[0] == "good":
                now = self._log.now()
                await self._change(one.sha256, report.incident, "automatic_hold", now)

    # -- people answer -------------------------------------------------------------------------

    async def acknowledge(self, signed: tuple[SignedCommand, ...]) -> AckOutcome:
        """Take the answer of people to an incident.

        Raises:
            MalformedInput, VerificationFailed: a command is not well made or does not hold.
            NotAuthorised: duties, a nonce used before, no such incident of the agent, or it does
                not wait for this answer; nothing was recorded.
            StorageFailed, OutcomeUnknown: not, or perhaps not, on record: ask again.
        """
        monotonic = self._clock.monotonic_ns()
        self._fire(monotonic)
        taken = self._commanding.take(signed, ("acknowledge",), self._log.now())
        agent = self._commanding.agent(taken.command)
        case = self.book.cases.get(str(taken.command.incident))
        if case is None or case.agent != agent:
            raise NotAuthorised(f"{agent} has no incident {taken.command.incident}")
        if case.state == "closed":
            raise NotAuthorised(f"incident {case.incident} is over: {case.outcome}")
        entry = self._answer(case, taken, monotonic)
        try:
            index = self._log.record(entry)
        except VerificationFailed as error:
            raise NotAuthorised(f"acknowledge: {error}") from error
        work = self._pay()
        self._changed.set()
        return await asyncio.shield(self._run(self._answered(case, index, entry, work)))

    def _answer(self, case: IncidentCase, taken: Taken, monotonic: int) -> IncidentAcknowledged:
        command = taken.command
        if command.disposition is UNSET:
            raise NotAuthorised("acknowledge: it says no disposition")
        revoke_at = "" if command.revoke_at is UNSET else command.revoke_at
        deadline = case.deadline or deadline_of(self.book, case, taken.now)
        return IncidentAcknowledged(
            at=format_instant(taken.now),
            incident=case.incident,
            disposition=command.disposition,
            revoke_at=revoke_at,
            ends_at=revoke_at or format_instant(deadline),
            monotonic=str(monotonic),
            seats=taken.seats,
            commands=taken.texts,
        )

    async def _answered(
        self,
        case: IncidentCase,
        index: int,
        entry: IncidentAcknowledged,
        work: list[asyncio.Task[StatusOutcome]],
    ) -> AckOutcome:
        status = [await task for task in work]
        if not status:
            # A crash before this leaves the incident as it was: held, its time running.
            await self._log.durable(index)
        return AckOutcome(
            incident=case.incident,
            agent=case.agent,
            disposition=entry.disposition,
            state=case.state,
            ends_at=case.ends_at,
            index=index,
            seats=entry.seats,
            status=status[-1] if status else None,
        )

    # -- time passes ---------------------------------------------------------------------------

    def catch_up(self) -> int:
        """Make final what is over; returns the log time for whatever is judged next, ns.

        What is over is over, whoever comes with a command a moment later.
        """
        self._fire(self._clock.monotonic_ns())
        return self._log.now()

    def look(self) -> None:
        """Something else became due, or will be, than was known."""
        self._changed.set()

    async def due(self) -> int:
        """Do everything that is due now, and what is due as soon as that is done.

        Returns:
            How many acts that were: changes of status, rounds of alerts, graces begun.
        """
        return await self._drain(None)

    async def run(self) -> None:
        """Do everything when it becomes due, until cancelled."""
        while True:
            self._changed.clear()
            self._begin(None)
            wait = self._wait_s()
            changed = asyncio.ensure_future(self._changed.wait())
            try:
                if wait is None:
                    await changed
                else:
                    await settle(self._clock, [changed], min(wait, LOOK_S))
            finally:
                changed.cancel()

    async def _drain(self, only: str | None) -> int:
        count = 0
        while True:
            begun = self._begin(only)
            count += begun
            pending = [task for task, of in self._work.items() if only in (None, of)]
            if pending:
                await asyncio.wait(pending)
            elif not begun:
                return count

    def _begin(self, only: str | None) -> int:
        """Begin everything that is due, or what is of one incident; how many acts that is."""
        count = len(self._fire(self._clock.monotonic_ns()))
        for case in self.book.open_cases():
            if only in (None, case.incident) and case.incident not in self._work.values():
                count += self._follow(case)
        return count

    def _follow(self, case: IncidentCase) -> int:
        """Begin the next step that waits for no deadline; 1 if there is one."""
        if self._rounds.wants_grace(case):
            return self._rounds.begin_grace(case)
        wait = self._rounds.wait_ns(case)
        if wait is None or wait > 0:
            return 0
        self._keep(asyncio.ensure_future(self._rounds.tell(case)), case.incident)
        return 1

    def _fire(self, monotonic: int) -> list[asyncio.Task[StatusOutcome]]:
        """Pay what the log is owed, and revoke where the time is over; sequenced at once."""
        work = self._pay()
        for case in self.book.open_cases():
            now = self._log.now()
            if self._waits(case) and over(case.timers, now, monotonic):
                # The wall clock may say less than the boot-time clock: log time is moved, so that
                # whoever reads the log sees the end reached.
                at = max(now, parse_instant(case.ends_at))
                work.append(
                    self._change(case.certificate_sha256, case.incident, TIMED[case.state], at)
                )
        over_now = [pair for pair in self._renewed() if self._log.now() >= pair.ends_at]
        for pair in over_now:
            work.append(self._change(pair.before.sha256, "", SUPERSEDED, self._log.now()))
        return work

    def _renewed(self) -> list[Renewal]:
        """Certificates that a successor follows, but those that ended without a log."""
        pairs = self._log.state.renewals.values()
        return [one for one in pairs if self._revocation.of(one.before)[0] != "revoked"]

    def _waits(self, case: IncidentCase) -> bool:
        """Whether time will still do something; not where it did what it could without a log."""
        if case.state not in TIMED:
            return False  # also a break, which may be of no certificate
        record = self._log.state.certificates[case.certificate_sha256]
        return self._revocation.of(record)[0] != "revoked"

    def _pay(self) -> list[asyncio.Task[StatusOutcome]]:
        """Record what an act that has begun still owes, and begin its effects."""
        work = []
        while self.book.owed:
            owed = self.book.owed[0]
            now = self._log.now()
            if isinstance(owed, OwedClose):
                close_ended(self._log, now)
                continue
            work.append(self._change(owed.certificate_sha256, owed.incident, owed.cause, now))
            if self.book.owed and self.book.owed[0] == owed:
                break  # the log takes nothing; the next opening pays
        return work

    def _change(
        self, sha256: str, incident: str, cause: str, now: int
    ) -> asyncio.Task[StatusOutcome]:
        """Change a status on nobody's word; sequenced when this returns."""
        act, status, reason = _ACTS[cause]
        record = self._log.state.certificates[sha256]
        task = self._acts.begin(
            StatusAct(
                now=now,
                act=act,
                status=status,
                reason=reason,
                agents=(record.agent,),
                change=(record,),
                incident=incident,
            )
        )
        self._keep(task, incident)
        return task

    # -- tasks ---------------------------------------------------------------------------------

    def _wait_s(self) -> float | None:
        """Seconds until something is due that has no task yet; None: nothing will be."""
        now, monotonic = self._log.now(), self._clock.monotonic_ns()
        rests = []
        for case in self.book.open_cases():
            if self._waits(case):
                rests.append(remaining(case.timers, now, monotonic))
            elif case.incident not in self._work.values():
                rests.append(self._rounds.wait_ns(case))
        rests += [pair.ends_at - now for pair in self._renewed()]
        known = [rest for rest in rests if rest is not None]
        return max(0, min(known)) / NS if known else None

    def _run(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        """Something that goes on when its caller goes away."""
        task = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._left)
        return task

    def _left(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # the caller may have gone away; what it means is in the log

    def _keep(self, task: asyncio.Task[Any], incident: str) -> None:
        self._work[task] = incident
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        del self._work[task]
        self._left(task)
        self._changed.set()
