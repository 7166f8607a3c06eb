# SPDX-License-Identifier: Apache-2.0
"""Mistakes that somebody could make in the services, planted to see that the matrix goes red.

Each names the column that must show it, and the row and phase in which it does.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from sekisho.core.events import Decision, VenueRearmed
from sekisho.core.gate.agent import AgentState
from sekisho.core.gate.decide import decide
from sekisho.core.gate.order import CancelOrder, Order
from sekisho.core.gate.working import WorkingOrder
from sekisho.core.governance.commands import SignedCommand, signed_command_text
from sekisho.core.terms import Code
from sekisho.services.gatekeeper import Answer, Gatekeeper
from sekisho.services.governing import Governing
from sekisho.services.leasing import Leasing
from sekisho.services.release import Release
from sekisho.services.venuewatch import VenueWatch
from tests.faults.cell import Phase
from tests.faults.judging import RECORD, RETURNS, SCOPE, TOLD, TWICE
from tests.faults.wiring import Makings
from tests.simulation.bugs import AcknowledgesBeforeSync, SignsBeforeFlush


class TakesAnySignature(Gatekeeper):
    """What the key service returns is a signature; why verify one's own?"""

    def _check_own(self, held: AgentState, message: bytes, signature: bytes) -> None:
        """Not looked at."""


class SkipsTheWithdraw(Gatekeeper):
    """It was permitted when it was decided, so it goes out."""

    def _stopped(self, held: AgentState, index: int, entry: Decision) -> str:
        return ""


class OverlooksTheSize(Gatekeeper):
    """A limit that is logged and not enforced."""

    async def _take(self, agent: str, body: bytes, order: Order) -> Answer:
        await self.leasing.ensure()
        self.rates.record(await self.rates.fetch(agent, order))
        self._look_outside()
        entry = decide(self.log.state, self.log.clocks(), agent, body, order)
        if [reason.code for reason in entry.reasons] == [Code.EXCEEDS_SCOPE_SIZE]:
            entry = msgspec.structs.replace(entry, verdict="permitted", reasons=())
        index = self.log.record(entry)
        await self.log.durable(index)
        if entry.verdict != "permitted" or isinstance(order, CancelOrder):
            return Answer(kind="refused", decision=index, reasons=entry.reasons)
        return await self._issue(agent, index, entry, order)


class SendsAgain(Release):
    """No answer, so once more."""

    async def submit(self, agent: str, venue: str, client_order_id: str, permit: str) -> None:
        await super().submit(agent, venue, client_order_id, permit)
        order = self._log.state.agents[agent].find(client_order_id)
        if order is not None and order.phase == "unknown":
            await super().submit(agent, venue, client_order_id, permit)


class BelievesAtOnce(Release):
    """The venue says that it never saw the order: so it never will."""

    def _expired(self, agent: str, order: WorkingOrder) -> bool:
        return True


class NeverLooks(VenueWatch):
    """A venue that was reconciled once stays so."""

    def look(self) -> None:
        """Nothing is lost."""


class LiftsAtStart(VenueWatch):
    """Reconciled anew, so the latch may go."""

    def _reconciled(self, venue: str, resting: int) -> None:
        super()._reconciled(venue, resting)
        self._log.state.outside.standing(venue).incident = ""


class LiftsForOne(Governing):
    """Who is at the console may take the latch off."""

    async def rearm(self, signed: tuple[SignedCommand, ...]) -> int:
        command = signed[0].command
        entry = VenueRearmed(
            at=self._log.at(),
            venue="PAPER",
            incident=str(command.incident),
            seats=tuple(one.command.seat for one in signed),
            commands=tuple(signed_command_text(one) for one in signed),
        )
        return self._log.record(entry)


class AsksOnce(Leasing):
    """An authority that did not answer is not asked again."""

    async def renew(self) -> None:
        if self.last_failure is not None:
            raise self.last_failure
        await super().renew()


class Defect(NamedTuple):
    """A mistake, the column that shows it, and a cell in which it does."""

    makings: Makings
    column: str
    row: str
    phase: Phase


def _made(**parts: Any) -> Makings:
    return Makings(**parts)


DEFECTS: dict[str, Defect] = {
    "signs-before-recording": Defect(
        _made(keeper=SignsBeforeFlush), RECORD, "journal: fsync error, lost", "before"
    ),
    "acknowledges-before-sync": Defect(
        _made(journal=AcknowledgesBeforeSync), RECORD, "journal: fsync error, lost", "flush"
    ),
    "takes-any-signature": Defect(
        _made(keeper=TakesAnySignature), RECORD, "signer: wrong key", "key"
    ),
    "skips-the-withdraw": Defect(_made(keeper=SkipsTheWithdraw), SCOPE, "clock: steps back", "key"),
    "overlooks-the-size": Defect(
        _made(keeper=OverlooksTheSize), SCOPE, "authority: down", "before"
    ),
    "sends-again": Defect(_made(release=SendsAgain), TWICE, "venue: down", "venue"),
    "believes-at-once": Defect(
        _made(release=BelievesAtOnce), TWICE, "venue: not_found, has it", "before"
    ),
    "never-looks": Defect(_made(venue_watch=NeverLooks), TOLD, "venue: down", "before"),
    "lifts-at-start": Defect(
        _made(venue_watch=LiftsAtStart), RETURNS, "venue: fills above order", "after"
    ),
    "lifts-for-one": Defect(
        _made(governing=LiftsForOne), RETURNS, "venue: cancels in words", "after"
    ),
    "asks-once": Defect(_made(leasing=AsksOnce), RETURNS, "authority: down", "before"),
}
