# SPDX-License-Identifier: Apache-2.0
"""The paper venue's own log, and the venue that writes it (docs/spec/venues.md section 2).

One JSON object a line for everything that changed something or tried to. The log is written after
the act that it tells of: a venue that ends in between has executed what no line tells, as a real
one may. Lines go to the system at once, so that they survive the process; :meth:`PaperLog.sync`
puts them on stable storage. Where a line cannot be written, the venue takes nothing more.

The book is in memory. A venue that is started again with its log knows from it which permits were
taken and which orders it had, refuses both, and claims to know nothing more of them.
"""

from __future__ import annotations

import copy
import fcntl
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

from sekisho.adapters.venues.market import Market
from sekisho.adapters.venues.paper import PaperSession, PaperVenue, Rejection, Reports
from sekisho.adapters.venues.paper_permits import Claim, PermitRejected, VenueTrust
from sekisho.core.encoding import canonical, sha256_hex
from sekisho.core.errors import (
    ConfigurationInvalid,
    MalformedInput,
    NotAuthorised,
    Unavailable,
    VerificationFailed,
)
from sekisho.core.terms import format_instant
from sekisho.ports import Clock, VenueReport

REASON_MAX: Final = 200
_LINE_MAX: Final = 4_096
Happened = Literal[
    "executed",
    "resting",
    "cancelled",
    "expired",
    "rejected",
    "denied",
    "registered",
    "refused_logon",
]
_UNBELIEVED: Final = frozenset(
    {
        "permit_malformed",
        "unknown_certificate",
        "signature_invalid",
        "agent_mismatch",
        "wrong_venue",
    }
)
"""Rejections of permits that nobody proved: they spend no permit, and name no order of ours."""
_ENDS: Final[Mapping[str, Happened]] = {"canceled": "cancelled", "expired": "expired"}


class PaperLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line; every field is there, empty where it does not apply."""

    at: str
    session: str
    event: Happened
    agent: str = ""
    client_order_id: str = ""
    permit_id: str = ""
    reason: str = ""


class PaperLog:
    """The file, made when it is not there; one venue writes it.

    Raises:
        ConfigurationInvalid: it cannot be written, is no file, or another process writes it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        try:
            self._handle = os.open(path, flags, 0o600)
        except OSError as error:
            raise ConfigurationInvalid(
                f"{path}: cannot be written ({error.strerror})", str(path), "name another log"
            ) from error
        found = os.fstat(self._handle)
        try:
            if not stat.S_ISREG(found.st_mode):
                raise ConfigurationInvalid(f"{path}: not a file", str(path), "name another log")
            # Two books behind one log would each call the other's resting orders ended.
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.close()
            raise ConfigurationInvalid(
                f"{path}: another process writes it", str(path), "end the other venue first"
            ) from error
        except ConfigurationInvalid:
            self.close()
            raise
        # What a loss of power left of a line gets an end, so that the next one begins anew.
        torn = found.st_size and os.pread(self._handle, 1, found.st_size - 1) != b"\n"
        self._before = b"\n" if torn else b""
        self.failed = ""
        """Why the log takes no more lines; empty while it does."""

    def lines(self) -> Iterator[PaperLine]:
        """What was written so far. A line that is none, as a torn one, is left out."""
        with self._path.open("rb") as file:
            while line := file.readline(_LINE_MAX):
                try:
                    yield msgspec.json.decode(line, type=PaperLine)
                except (msgspec.DecodeError, UnicodeError):
                    continue

    def write(self, line: PaperLine) -> None:
        """Append a line. A failure is kept in :attr:`failed`; the act has happened all the same."""
        data = self._before + canonical(line) + b"\n"
        try:
            if os.write(self._handle, data) != len(data):
                self.failed = "only a part of a line was written"
        except OSError as error:
            self.failed = error.strerror or str(error)
        self._before = b""

    def sync(self) -> None:
        """Put what was written on stable storage; may wait for the disk."""
        try:
            os.fdatasync(self._handle)
        except OSError as error:
            self.failed = error.strerror or str(error)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._handle)


class RecordedVenue(PaperVenue):
    """The paper venue of a process: it knows credentials by their digests, and writes its log.

    Args:
        trust, clock, market: see :class:`PaperVenue`.
        credentials: SHA-256 of each credential, hex, and the name of its holder's session.
        log: where it writes, and learns what an earlier life of it did.
        more_certificates: where certificates are looked for when a permit names an unknown one.
    """

    def __init__(
        self,
        trust: VenueTrust,
        clock: Clock,
        market: Market,
        credentials: Mapping[str, str],
        log: PaperLog,
        more_certificates: Callable[[], Iterable[bytes]] = tuple,
    ) -> None:
        self.series = f"{clock.now_ns() // 10**6:x}-"
        super().__init__(trust, clock, market, list(credentials), series=self.series)
        self._names = dict(credentials)
        self._log = log
        self._session = ""
        self._permits: dict[tuple[str, str], str] = {}
        self._lost: set[tuple[str, str]] = set()
        self._more_certificates = more_certificates
        self._remember()
        self.learn_certificates()

    def seen_from(self, session: str) -> RecordedVenue:
        """The same venue, whose lines name this session: for one dialect or one caller."""
        view = copy.copy(self)
        view._session = session  # noqa: SLF001 - a copy of our own
        return view

    # -- credentials ---------------------------------------------------------------------------

    def knows(self, credential: str) -> bool:
        """Whether the credential is good now."""
        return super().knows(sha256_hex(credential.encode("utf-8", "surrogateescape")))

    def session(self, credential: str) -> PaperSession:
        """The ``Venue`` port for a credential. Raises NotAuthorised, and writes a line of it."""
        view = self.seen_from(self.holder(credential))
        return PaperSession(view, self._clock, credential)

    def holder(self, credential: str) -> str:
        """The name of a credential's session. Raises NotAuthorised, and writes a line of it."""
        if not self.knows(credential):
            self.refuse_logon("unknown credential" if credential else "no credential")
            raise NotAuthorised(f"venue {self.name} does not know this credential")
        return self._names[sha256_hex(credential.encode("utf-8", "surrogateescape"))]

    def refuse_logon(self, reason: str) -> None:
        """Write that somebody was not let in."""
        self._tell("refused_logon", reason=reason)

    def refuse_order(self, reason: str) -> None:
        """Write that a dialect turned an order away before its permit was looked at."""
        self._tell("rejected", reason=reason)

    # -- what arrives --------------------------------------------------------------------------

    def learn_certificates(self) -> int:
        """Look for certificates and take those that hold; how many were taken."""
        taken = 0
        for der in self._more_certificates():
            try:
                self.know_certificate(der)
            except (MalformedInput, VerificationFailed):
                continue  # expired, of another authority, no agent's: not for this venue
            taken += 1
        return taken

    def know_certificate(self, der: bytes) -> None:
        """See :class:`PaperVenue`; a certificate is told of when it is taken."""
        super().know_certificate(der)
        self._tell("registered", reason=sha256_hex(der))

    def take(self, permit: str, *, late: bool = False, reject: bool = False) -> Reports:
        """See :class:`PaperVenue`. Raises Unavailable when the log takes no line."""
        self._check_log()
        refused = len(self.rejections)
        reports = super().take(permit, late=late, reject=reject)
        unknown = len(self.rejections) > refused and _is_unknown(self.rejections[-1])
        if unknown and self.learn_certificates():
            self.rejections.pop()  # nothing was spent: it is judged again by what is known now
            reports = super().take(permit, late=late, reject=reject)
        if len(self.rejections) > refused:
            last = self.rejections[-1]
            self._tell("rejected", last.agent, last.client_order_id, last.permit_id, last.reason)
            return reports
        permit_id, key = next(reversed(self.permits_taken.items()))
        self._permits[key] = permit_id
        self._tell_reports(reports)
        return reports

    def cancel(self, agent: str, client_order_id: str) -> Reports:
        """See :class:`PaperVenue`. Raises Unavailable when the log takes no line."""
        self._check_log()
        order = self._book.find(agent, client_order_id)
        was_open = order is not None and order.open
        reports = super().cancel(agent, client_order_id)
        if was_open:
            self._tell_reports(reports)
        elif order is not None:
            self._tell("rejected", agent, client_order_id, reason="order_not_open")
        return reports

    def order_reports(self, agent: str, client_order_id: str) -> Reports:
        """See :class:`PaperVenue`.

        Raises:
            Unavailable: an order of an earlier life: what became of it is not known any more. To
                say that it was never seen would be a lie that frees what may have been executed.
        """
        key = (agent, client_order_id)
        if key in self._lost and self._book.find(agent, client_order_id) is None:
            raise Unavailable(f"venue {self.name} was started anew and lost its book of this order")
        known = key in self._denied or self._book.find(agent, client_order_id) is not None
        if not known:
            self._check_log()
        reports = super().order_reports(agent, client_order_id)
        if not known:
            self._tell("denied", agent, client_order_id, reason="never_seen")
        return reports

    def match_resting(self) -> None:
        """See :class:`PaperVenue`; nothing is matched while the log takes no line."""
        if self._log.failed:
            return
        before = len(self._book.tape)
        super().match_resting()
        for report in self._book.tape[before:]:
            self._tell_reports((report,))

    def end_day(self) -> None:
        """See :class:`PaperVenue`."""
        before = len(self._book.tape)
        super().end_day()
        for report in self._book.tape[before:]:
            self._tell_reports((report,))

    # -- inside --------------------------------------------------------------------------------

    def _remember(self) -> None:
        """Learn from the log what was taken before, and write that it does not rest any more."""
        resting: dict[tuple[str, str], str] = {}
        for line in self._log.lines():
            key = (line.agent, line.client_order_id)
            if line.permit_id and line.reason not in _UNBELIEVED:
                self.permits_taken.setdefault(line.permit_id, key)
                self._lost.add(key)
            if line.event == "resting":
                resting[key] = line.permit_id
            elif line.event in ("executed", "cancelled", "expired"):
                resting.pop(key, None)
        for (agent, name), permit_id in resting.items():
            self._tell("cancelled", agent, name, permit_id, "venue_restarted")

    def _spend(self, claim: Claim) -> None:
        super()._spend(claim)
        if (claim.permit.agent, claim.order.client_order_id) in self._lost:
            raise PermitRejected("duplicate_order_id", "an order of an earlier life", claim)

    def _check_log(self) -> None:
        if self._log.failed:
            raise Unavailable(f"venue {self.name} cannot write its log: {self._log.failed}")

    def _tell_reports(self, reports: tuple[VenueReport, ...]) -> None:
        """A line for each execution and end; one that it rests, where it still can be executed."""
        for report in reports:
            key = (report.agent, report.client_order_id)
            permit_id = self._permits.get(key, "")
            if report.exec_type == "trade":
                self._tell("executed", *key, permit_id, report.exec_id)
            elif report.exec_type in _ENDS:
                self._tell(_ENDS[report.exec_type], *key, permit_id, report.reason)
            elif report.exec_type == "replaced" and report.leaves_quantity == "0":
                self._tell("cancelled", *key, permit_id, "amended_to_what_is_filled")
        if reports and reports[-1].leaves_quantity != "0":
            last = reports[-1]
            key = (last.agent, last.client_order_id)
            self._tell("resting", *key, self._permits.get(key, ""))

    def _tell(
        self,
        event: Happened,
        agent: str = "",
        client_order_id: str = "",
        permit_id: str = "",
        reason: str = "",
    ) -> None:
        self._log.write(
            PaperLine(
                at=format_instant(self._clock.now_ns()),
                session=self._session,
                event=event,
                agent=agent,
                client_order_id=client_order_id,
                permit_id=permit_id,
                reason=reason[:REASON_MAX],
            )
        )


def _is_unknown(rejection: Rejection) -> bool:
    return rejection.reason == "unknown_certificate"
