# SPDX-License-Identifier: Apache-2.0
"""A venue in the process, behind the ``Venue`` port: another firm, with its own clock and memory.

It executes nothing without a good permit (``paper_permits``), takes each permit once, and answers
for ever what became of an order. What it holds survives a crash of the gate; nothing of it is on
disk here (``paper_log`` adds that). It is no part of the gate and shares no state with it.

Each credential opens an *account*: orders, open orders, look-up and drop copy of its holder, and of
nobody else. A permit executes for the account whose credential brought it, wherever it was signed.
Of an order that another account has, nothing is told, not even that it was never seen.

Which rejections name an order: only those that are *final* for it, because the permit is authentic,
made out for this venue, and its client order id was free. They are in the order's reports and in
the drop copy. Any other rejection (forged, altered, replayed, for another venue, an id in use) has
empty ``agent`` and ``client_order_id``: it must not close an order that lives, or one whose genuine
permit is still to come. All of them are in ``rejections``.

``not_found`` is a proof: whoever was told it, by ``order_reports`` or ``cancel``, can rely on it,
for the venue remembers the id and rejects a permit that arrives later, for whichever account
(``denied_before``).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import NamedTuple, NoReturn, Self

from sekisho.adapters.venues.kraken_form import venue_id
from sekisho.adapters.venues.market import Market
from sekisho.adapters.venues.paper_book import HOUSE, Book, PaperOrder
from sekisho.adapters.venues.paper_faults import Faults
from sekisho.adapters.venues.paper_permits import Claim, PermitRejected, PermitRules, VenueTrust
from sekisho.core.amounts import parse_amount
from sekisho.core.errors import MalformedInput, NotAuthorised, OutcomeUnknown, Unavailable
from sekisho.core.gate.order import NewOrder
from sekisho.core.gate.permit import Permit
from sekisho.core.terms import format_instant
from sekisho.ports import Clock, VenueReport

Reports = tuple[VenueReport, ...]
_SAME_IN_AMENDMENT = ("market", "side", "order_type", "currency", "time_in_force", "account")


class Rejection(NamedTuple):
    """One permit that was not executed. What it claims to be is empty where it cannot be read."""

    at: str
    reason: str
    detail: str
    permit_id: str
    agent: str
    client_order_id: str
    final: bool


class PaperVenue:
    """The firm: what its staff and the tests use, who see all accounts. A gate uses
    :meth:`session`.

    Args:
        trust: the venue's name, the environments that it serves, whose certificates it accepts.
        clock: the venue's own.
        market: where its prices come from.
        credentials: each with the name of its holder, whose account it opens; without names each
            is a holder of its own.
        faults: instructions; none by default.
        series: part of every id that it gives; another one for each life of a venue.
    """

    def __init__(
        self,
        trust: VenueTrust,
        clock: Clock,
        market: Market,
        credentials: Sequence[str] | Mapping[str, str],
        faults: Faults | None = None,
        series: str = "",
    ) -> None:
        self.name = trust.name
        self.account = HOUSE
        """Whose orders this view of the venue shows, and for whom it takes permits."""
        self.faults = Faults() if faults is None else faults
        self.rejections: list[Rejection] = []
        self.permits_taken: dict[str, tuple[str, str]] = {}
        """Permit id → agent and client order id, in order: the venue's own list."""
        self._clock = clock
        self._rules = PermitRules(trust, clock)
        self._book = Book(trust.name, clock, market, series)
        named = credentials if isinstance(credentials, Mapping) else {c: c for c in credentials}
        self._holders = dict(named)
        self._denied: dict[tuple[str, str], VenueReport] = {}
        self._denied_hashes: set[str] = set()
        self._delayed: list[tuple[str, str]] = []

    # ------------------------------------------------------------------ what the staff do

    def know_certificate(self, der: bytes) -> None:
        """Register an agent's certificate. Raises VerificationFailed when it does not hold now."""
        self._rules.know_certificate(der)

    def seen_from(self, account: str) -> Self:
        """The same venue as the holder of an account sees it."""
        view = copy.copy(self)  # what it holds is shared: one book, one list of permits
        view.account = account
        return view

    def session(self, credential: str) -> PaperSession:
        """The ``Venue`` port for a credential. Raises NotAuthorised for an unknown one."""
        return PaperSession(self.seen_from(self.holder(credential)), self._clock, credential)

    def holder(self, credential: str) -> str:
        """The name of a credential's holder. Raises NotAuthorised for an unknown one."""
        found = self._holders.get(self._known_as(credential))
        if found is None:
            raise NotAuthorised(f"venue {self.name} does not know this credential")
        return found

    def withdraw_credential(self, credential: str) -> None:
        """End the right of every session that was opened with it."""
        self._holders.pop(self._known_as(credential), None)

    def knows(self, credential: str) -> bool:
        """Whether the credential is good now."""
        return self._known_as(credential) in self._holders

    def _known_as(self, credential: str) -> str:
        return credential

    def match_resting(self) -> None:
        """Fill resting orders that the market has reached. Prices move only when this is called."""
        self._book.match_resting(self._depth())

    def release_late_fills(self) -> None:
        """End the wait of orders that were taken with the fault ``fill_late``."""
        self._book.release_late(self._depth())

    def deliver_delayed(self) -> Reports:
        """Let permits arrive that were under way when their sender gave up."""
        arrived = list(self._delayed)
        self._delayed.clear()
        return tuple(
            report for account, permit in arrived for report in self.seen_from(account).take(permit)
        )

    def end_day(self) -> None:
        """Expire every open order that is not ``gtc``."""
        self._book.end_day()

    # ------------------------------------------------------------------ what arrives

    def delay(self, permit: str) -> None:
        """Keep a permit under way until :meth:`deliver_delayed`."""
        self._delayed.append((self.account, permit))

    def take(self, permit: str, *, late: bool = False, reject: bool = False) -> Reports:
        """Judge a permit that has arrived and act on it, at one instant: nothing can come between.

        Args:
            permit: the JWS.
            late: by instruction, let a new order rest until its fill is released.
            reject: by instruction, reject it although it is good.

        Returns:
            The reports that this caused; a single ``rejected`` when it was not taken.
        """
        try:
            claim = self._rules.read(permit)
            self._rules.authenticate(claim)
            self._spend(claim)
        except PermitRejected as rejected:
            self._note(rejected, final=False)
            return (self._book.anonymous(rejected.reason),)
        agent, order = claim.permit.agent, claim.order
        try:
            working = self._examine(claim, reject=reject)
        except PermitRejected as rejected:
            self._note(rejected, final=True)
            return tuple(self._book.reject(self.account, agent, order, rejected.reason).reports)
        if working is None:
            taken = self._book.take(self.account, agent, order, late=late, depth=self._depth())
            return tuple(taken.reports)
        before = len(working.reports)
        self._book.replace(working, order, self._depth())
        return tuple(working.reports[before:])

    def cancel(self, agent: str, client_order_id: str) -> Reports:
        """Cancel what is left of an order.

        Returns:
            The cancel; for an order that is no longer open all its reports, so that the caller
            learns its fate; for one never seen ``not_found``, which then is a proof.
        """
        order = self.find(agent, client_order_id)
        if order is None or not order.open:
            return self.order_reports(agent, client_order_id)
        self._book.cancel(order, "canceled_by_gate")
        return (order.reports[-1],)

    def open_orders(self, agent: str) -> tuple[str, ...]:
        """See the port."""
        return self._book.open_orders(self.account, agent)

    def find(self, agent: str, client_order_id: str) -> PaperOrder | None:
        """The order of this account that has or had this id; to be read alone."""
        return self._book.find(self.account, agent, client_order_id)

    def orders(self) -> Sequence[PaperOrder]:
        """Every order of this account, by age; to be read alone."""
        return self._book.orders(self.account)

    def order_reports(self, agent: str, client_order_id: str) -> Reports:
        """All reports of the order that has or had this id, or one ``not_found``.

        Raises:
            Unavailable: another account has the order: its permit was used, so that it was never
                seen would be a lie.
        """
        order = self.find(agent, client_order_id)
        if order is not None:
            return tuple(order.reports)
        if self._book.known(agent, client_order_id):
            raise Unavailable(f"venue {self.name}: this order is not of this account")
        key = (agent, client_order_id)
        if key not in self._denied:
            self._denied[key] = self._book.not_found(agent, client_order_id)
        return (self._denied[key],)

    def deny_hash(self, cl_ord_id: str) -> None:
        """Somebody was told that no order of this hash of agent and id was seen: none will be."""
        self._denied_hashes.add(cl_ord_id)

    def tape_length(self) -> int:
        """How many reports this account was told."""
        return len(self._book.tape(self.account))

    def reports_since(self, sequence: int) -> tuple[int, Reports]:
        """See the port. Raises MalformedInput for a sequence that the venue has not given out."""
        tape = self._book.tape(self.account)
        if not 0 <= sequence <= len(tape):
            raise MalformedInput(f"sequence {sequence} is not one of this account's", "sequence")
        return len(tape), tuple(tape[sequence:])

    # ------------------------------------------------------------------ inside

    def _depth(self) -> int | None:
        return parse_amount(self.faults.depth, "depth") if self.faults.depth else None

    def _spend(self, claim: Claim) -> None:
        """Take an authentic permit's id for ever, whatever becomes of the order."""
        permit, order = claim.permit, claim.order
        if permit.permit_id in self.permits_taken:
            raise PermitRejected("permit_replayed", "this permit was taken before", claim)
        self.permits_taken[permit.permit_id] = (permit.agent, order.client_order_id)
        if self._book.known(permit.agent, order.client_order_id):
            raise PermitRejected("duplicate_order_id", "the venue has an order of this id", claim)

    def _examine(self, claim: Claim, *, reject: bool) -> PaperOrder | None:
        """Judge an authentic permit whose id was free; the working order that it amends, if any."""
        key = (claim.permit.agent, claim.order.client_order_id)
        if key in self._denied or venue_id(*key) in self._denied_hashes:
            raise PermitRejected("denied_before", "the venue has said not_found", claim)
        self._rules.judge(claim)
        if reject:
            raise PermitRejected("rejected_by_instruction", "", claim)
        if not self._book.quoted(claim.order.market):
            raise PermitRejected("market_not_quoted", claim.order.market, claim)
        return self._amended(claim)

    def _amended(self, claim: Claim) -> PaperOrder | None:
        """The working order that an amendment is about; None for a new order."""
        replaces = claim.replaces
        if replaces is None:
            return None
        working = self.find(claim.permit.agent, replaces)
        if working is None or working.terms.client_order_id != replaces:
            raise PermitRejected("unknown_order", f"no order has the id {replaces} now", claim)
        if not working.open:
            raise PermitRejected("order_not_open", f"{replaces} is closed", claim)
        for name in _SAME_IN_AMENDMENT:
            if getattr(working.terms, name) != getattr(claim.order, name):
                raise PermitRejected("amendment_changes_order", name, claim)
        if parse_amount(claim.order.quantity) < working.filled:
            raise PermitRejected("quantity_already_filled", "", claim)
        return working

    def _note(self, rejected: PermitRejected, *, final: bool) -> None:
        permit: Permit | None = rejected.claim.permit if rejected.claim is not None else None
        order: NewOrder | None = rejected.claim.order if rejected.claim is not None else None
        self.rejections.append(
            Rejection(
                format_instant(self._clock.now_ns()),
                rejected.reason,
                rejected.detail,
                "" if permit is None else permit.permit_id,
                "" if permit is None else permit.agent,
                "" if order is None else order.client_order_id,
                final,
            )
        )


class PaperSession:
    """A gate's connection to the paper venue; it passes through the venue's faults.

    Once its credential is withdrawn, every call raises Unavailable and has no effect.
    """

    def __init__(self, venue: PaperVenue, clock: Clock, credential: str) -> None:
        self._venue = venue
        self._clock = clock
        self._credential = credential

    @property
    def name(self) -> str:
        """The venue's name."""
        return self._venue.name

    async def submit(self, permit: str) -> Reports:
        """See the port, and ``paper_faults`` for what can go wrong."""
        await self._arrive()
        fault = self._venue.faults.next_submit()
        if fault == "time_out_before":
            await self._time_out()
        if fault == "delay":
            self._venue.delay(permit)
            await self._time_out()
        reports = self._venue.take(permit, late=fault == "fill_late", reject=fault == "reject")
        if fault == "time_out_after":
            await self._time_out()
        if fault == "lose_ack":
            raise OutcomeUnknown(f"the connection to {self.name} broke before an answer")
        await self._clock.sleep(self._venue.faults.latency_s)
        return reports

    async def cancel(self, agent: str, client_order_id: str) -> Reports:
        """See the port: cancels go by the session's credential, without a permit."""
        await self._arrive()
        fault = self._venue.faults.next_cancel()
        if fault == "time_out_before":
            await self._time_out()
        if fault == "ignore":
            return ()
        reports = self._venue.cancel(agent, client_order_id)
        if fault == "lose_ack":
            raise OutcomeUnknown(f"the connection to {self.name} broke before an answer")
        await self._clock.sleep(self._venue.faults.latency_s)
        return reports

    async def open_orders(self, agent: str) -> tuple[str, ...]:
        """See the port."""
        await self._arrive()
        answer = self._venue.open_orders(agent)
        await self._clock.sleep(self._venue.faults.latency_s)
        return answer

    async def order_reports(self, agent: str, client_order_id: str) -> Reports:
        """See the port."""
        await self._arrive()
        answer = self._venue.order_reports(agent, client_order_id)
        await self._clock.sleep(self._venue.faults.latency_s)
        return answer

    async def reports_since(self, sequence: int) -> tuple[int, Reports]:
        """See the port."""
        await self._arrive()
        answer = self._venue.reports_since(sequence)
        await self._clock.sleep(self._venue.faults.latency_s)
        return answer

    async def _arrive(self) -> None:
        """Travel to the venue. A crash of the caller here leaves nothing at the venue."""
        await self._clock.sleep(self._venue.faults.latency_s)
        if self._venue.faults.down:
            raise Unavailable(f"venue {self.name} is down by instruction")
        if not self._venue.knows(self._credential):
            raise Unavailable(f"venue {self.name} has withdrawn this credential")

    async def _time_out(self) -> NoReturn:
        await self._clock.sleep(self._venue.faults.time_out_s)
        raise OutcomeUnknown(f"no answer from {self.name} within the time allowed")
