# SPDX-License-Identifier: Apache-2.0
"""The paper venue of a process: it writes its log and its book, and goes on where they end.

Its book is in a file of its own (``paper_store``): orders, open orders, look-up and each account's
drop copy go on after a restart. What the log tells of and the book does not have, as after a loss
of power, is *lost*: the venue takes no permit of it again, and claims to know nothing more. Where a
line cannot be written, the venue takes nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from sekisho.adapters.venues.market import Market
from sekisho.adapters.venues.paper import PaperVenue, Rejection, Reports
from sekisho.adapters.venues.paper_book import HOUSE, PaperOrder
from sekisho.adapters.venues.paper_log import REASON_MAX, Happened, PaperLine, PaperLog
from sekisho.adapters.venues.paper_permits import Claim, PermitRejected, VenueTrust
from sekisho.adapters.venues.paper_store import KeptReport, PaperStore
from sekisho.core.encoding import sha256_hex
from sekisho.core.errors import (
    MalformedInput,
    NotAuthorised,
    Unavailable,
    VerificationFailed,
)
from sekisho.core.terms import format_instant
from sekisho.ports import Clock, VenueReport

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
_HASH: Final = "never_seen:"
"""A denial by the hash of agent and id, as one dialect has it."""


class RecordedVenue(PaperVenue):
    """The paper venue of a process: it knows credentials by their digests.

    Args:
        trust, clock, market: see :class:`PaperVenue`.
        credentials: SHA-256 of each credential, hex, and the name of its holder's session.
        log: where it writes, and learns what an earlier life of it did.
        more_certificates: where certificates are looked for when a permit names an unknown one.
        store: where its book is; None: in memory alone.
    """

    def __init__(
        self,
        trust: VenueTrust,
        clock: Clock,
        market: Market,
        credentials: Mapping[str, str],
        log: PaperLog,
        more_certificates: Callable[[], Iterable[bytes]] = tuple,
        store: PaperStore | None = None,
    ) -> None:
        life = f"{clock.now_ns() // 10**6:x}-"
        super().__init__(trust, clock, market, credentials, series=life)
        self.series = life
        """Names this life: whoever counted in another one reads each tape from its beginning, for a
        loss of power may have taken the last of what was told."""
        self.book = life if store is None else store.begin(life)
        """Names the book, over all its lives."""
        self._log = log
        self._store = store
        self._permits: dict[tuple[str, str], str] = {}
        self._lost: set[tuple[str, str]] = set()
        self._more_certificates = more_certificates
        self._restore()
        self._book.written = self._write
        self._remember()
        self.learn_certificates()

    # -- credentials ---------------------------------------------------------------------------

    def _known_as(self, credential: str) -> str:
        return sha256_hex(credential.encode("utf-8", "surrogateescape"))

    def holder(self, credential: str) -> str:
        """See :class:`PaperVenue`; a line is written of an unknown one."""
        try:
            return super().holder(credential)
        except NotAuthorised:
            self.refuse_logon("unknown credential" if credential else "no credential")
            raise

    def renew_credentials(self, credentials: Mapping[str, str]) -> None:
        """These are good from now on, by their digests, and no others."""
        self._holders.clear()  # the same object in each account's view
        self._holders.update(credentials)

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
        self._tell_reports(reports)
        return reports

    def cancel(self, agent: str, client_order_id: str) -> Reports:
        """See :class:`PaperVenue`. Raises Unavailable when the log takes no line."""
        self._check_log()
        order = self.find(agent, client_order_id)
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
        known = self._book.known(agent, client_order_id)
        if key in self._lost and not known:
            raise Unavailable(f"venue {self.name} was started anew and lost its book of this order")
        known = known or key in self._denied
        if not known:
            self._check_log()
        reports = super().order_reports(agent, client_order_id)
        if not known:
            self._tell("denied", agent, client_order_id, reason="never_seen")
        return reports

    def deny_hash(self, cl_ord_id: str) -> None:
        """See :class:`PaperVenue`. Raises Unavailable when the log takes no line."""
        if cl_ord_id in self._denied_hashes:
            return
        self._check_log()
        super().deny_hash(cl_ord_id)
        self._tell("denied", reason=f"{_HASH}{cl_ord_id}"[:REASON_MAX])

    def match_resting(self) -> None:
        """See :class:`PaperVenue`; nothing is matched while the log takes no line."""
        try:
            self._check_log()
        except Unavailable:
            return
        before = len(self._book.tape(HOUSE))
        super().match_resting()
        for report in self._book.tape(HOUSE)[before:]:
            self._tell_reports((report,))

    def end_day(self) -> None:
        """See :class:`PaperVenue`."""
        before = len(self._book.tape(HOUSE))
        super().end_day()
        for report in self._book.tape(HOUSE)[before:]:
            self._tell_reports((report,))

    # -- inside --------------------------------------------------------------------------------

    def _restore(self) -> None:
        """Take the book of earlier lives back."""
        for kept in () if self._store is None else self._store.reports():
            if kept.permit_id:
                key = (kept.report.agent, kept.terms.client_order_id)
                self.permits_taken.setdefault(kept.permit_id, key)
                self._permits[key] = kept.permit_id
            self._book.restore(kept.account, kept.terms, kept.report)

    def _write(self, order: PaperOrder, report: VenueReport) -> None:
        """Keep a report in the book's file, before anybody hears of it."""
        if self._store is not None:
            key = (report.agent, order.terms.client_order_id)
            permit_id = self._permits.get(key, "")
            self._store.write(KeptReport(order.account, permit_id, order.terms, report))

    def _remember(self) -> None:
        """Learn from the log what was taken and denied before, and write what it does not tell."""
        resting: dict[tuple[str, str], str] = {}
        told: set[str] = set()
        ended: set[tuple[str, str]] = set()
        for line in self._log.lines():
            key = (line.agent, line.client_order_id)
            if line.permit_id and line.reason not in _UNBELIEVED:
                self.permits_taken.setdefault(line.permit_id, key)
                if not self._book.known(*key):
                    self._lost.add(key)
            if line.event == "resting":
                resting[key] = line.permit_id
            elif line.event in ("executed", "cancelled", "expired"):
                resting.pop(key, None)
                told.add(line.reason)
                if line.event != "executed":
                    ended.add(key)
            elif line.event == "denied":
                self._deny_again(line)
        self._tell_missing(resting, ended, told)

    def _deny_again(self, line: PaperLine) -> None:
        """What was said once holds for ever."""
        if line.reason.startswith(_HASH):
            self._denied_hashes.add(line.reason.removeprefix(_HASH))
        else:
            key = (line.agent, line.client_order_id)
            self._denied[key] = self._book.not_found(*key)

    def _tell_missing(
        self,
        resting: dict[tuple[str, str], str],
        ended: set[tuple[str, str]],
        told: set[str],
    ) -> None:
        """What the book has and no line tells: the process ended between the two."""
        for order in self._book.orders(HOUSE):
            view, key = self.seen_from(order.account), (order.agent, order.terms.client_order_id)
            missing = [
                one for one in order.reports if one.exec_type == "trade" and one.exec_id not in told
            ]
            last, rested = order.reports[-1], resting.pop(key, None) is not None
            if last.exec_type not in ("trade", "rejected") and not order.open and key not in ended:
                missing.append(last)
            for report in missing:
                view._tell_reports((report,), rests=False)  # noqa: SLF001 - a view of our own
            if order.open and (missing or not rested):
                view._tell("resting", *key, self._permits.get(key, ""))  # noqa: SLF001 - as above
        for (agent, name), permit_id in resting.items():
            if not self._book.known(agent, name):
                self._tell("cancelled", agent, name, permit_id, "venue_restarted")

    def _spend(self, claim: Claim) -> None:
        super()._spend(claim)
        key = (claim.permit.agent, claim.order.client_order_id)
        if key in self._lost:
            raise PermitRejected("duplicate_order_id", "an order of an earlier life", claim)
        self._permits[key] = claim.permit.permit_id

    def _check_log(self) -> None:
        failed = self._log.failed or (self._store.failed if self._store is not None else "")
        if failed:
            raise Unavailable(f"venue {self.name} cannot write its log: {failed}")

    def _tell_reports(self, reports: tuple[VenueReport, ...], *, rests: bool = True) -> None:
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
        if rests and reports and reports[-1].leaves_quantity != "0":
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
                session=self.account,
                event=event,
                agent=agent,
                client_order_id=client_order_id,
                permit_id=permit_id,
                reason=reason[:REASON_MAX],
            )
        )


def _is_unknown(rejection: Rejection) -> bool:
    return rejection.reason == "unknown_certificate"
