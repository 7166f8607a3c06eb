# SPDX-License-Identifier: Apache-2.0
"""Mistakes that somebody could make in the services, each as small as it would be in a patch.

They are planted to see whether the simulation finds them; a simulation that finds nothing in a
correct program has shown nothing yet.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import msgspec

from sekisho.core.errors import OutcomeUnknown, StorageFailed
from sekisho.core.events import Decision, decode_gate_entry
from sekisho.core.gate.agent import AgentState
from sekisho.core.gate.decide import decide
from sekisho.core.gate.order import CancelOrder, Order, order_digest
from sekisho.services.gatekeeper import Answer, Gatekeeper
from sekisho.services.journal import Journal
from tests.simulation import bugs_incidents as incidents
from tests.simulation.life import Parts


class SignsBeforeFlush(Gatekeeper):
    """The flush was slow, so the key is asked while it runs."""

    async def _take(self, agent: str, body: bytes, order: Order) -> Answer:
        await self.leasing.ensure()
        self.rates.record(await self.rates.fetch(agent, order))
        entry = decide(self.log.state, self.log.clocks(), agent, body, order)
        index = self.log.record(entry)
        if entry.verdict == "permitted" and not isinstance(order, CancelOrder):
            answer, _ = await asyncio.gather(
                self._issue(agent, index, entry, order), self.log.durable(index)
            )
            return answer
        await self.log.durable(index)
        return self._first_answer(
            self.log.state.agents[agent],
            order,
            self.log.state.agents[agent].known[order.client_order_id],
        )


class CountsAfterAwait(Gatekeeper):
    """The decision is made first and recorded after something else was waited for."""

    async def _take(self, agent: str, body: bytes, order: Order) -> Answer:
        self.log.require_sound()
        self.rates.record(await self.rates.fetch(agent, order))
        await self.leasing.ensure()
        entry = decide(self.log.state, self.log.clocks(), agent, body, order)
        await self.rates.fetch(agent, order)  # "refresh for the next one"
        entry = msgspec.structs.replace(entry, at=self.log.at(), state=self.log.state.size)
        index = self.log.record(entry)
        await self.log.durable(index)
        if entry.verdict != "permitted":
            return Answer(kind="refused", decision=index, reasons=entry.reasons)
        if isinstance(order, CancelOrder):
            await self.release.cancel(agent, order.orig_client_order_id, "asked by the agent")
            return self._state_answer(agent, order, index, "")
        return await self._issue(agent, index, entry, order)


class AcknowledgesBeforeSync(Journal):
    """Written is taken for durable; the sync follows when the waiters have gone on."""

    async def _flush_batch(self, start: int, end: int) -> None:
        disk, sync = self._disk, self._disk.sync

        async def acknowledge(path: str) -> None:
            self.durable_size = end
            self._wake()
            await sync(path)

        disk.sync = acknowledge  # type: ignore[method-assign] # the planted mistake
        try:
            await super()._flush_batch(start, end)
        finally:
            disk.sync = sync  # type: ignore[method-assign] # as above


class IgnoresSyncError(Journal):
    """The sync failed, the data was written, the next sync will do."""

    async def _flush_batch(self, start: int, end: int) -> None:
        try:
            await super()._flush_batch(start, end)
        except OutcomeUnknown:
            self.durable_size = end


class SignsAgainOnRetry(Gatekeeper):
    """A permitted decision without a permit is signed when the bot asks again."""

    async def submit(self, agent: str, body: bytes) -> Answer:
        answer = await super().submit(agent, body)
        if answer.kind != "possibly_issued":
            return answer
        entry: Any = decode_gate_entry(self.log.journal.entry(answer.decision))
        held = self.log.state.agents[agent]
        if isinstance(entry, Decision) and answer.decision in held.by_decision:
            order = held.by_decision[answer.decision].terms.order
            try:
                return await self._issue(agent, answer.decision, entry, order)
            except (StorageFailed, OutcomeUnknown):
                return answer
        return answer


class StaleStatus(Gatekeeper):
    """The status is read once, when the order arrives, and trusted afterwards."""

    def _stopped(self, held: AgentState, index: int, entry: Decision) -> str:
        # The decision was made while the status was good, so it must still be.
        said = super()._stopped(held, index, entry)
        return "" if said in ("certificate_held", "certificate_revoked") else said


class ForgetsTheOrder(Gatekeeper):
    """Whether the order is still there is not looked at before the permit leaves."""

    def _stopped(self, held: AgentState, index: int, entry: Decision) -> str:
        said = super()._stopped(held, index, entry)
        return "" if said == "order_closed" else said


class AnswersFromMemory(Gatekeeper):
    """A retry gets what memory holds, durable or not."""

    async def _known_answer(self, agent: str, order: Order) -> Answer | None:
        held = self.log.state.agents.get(agent)
        known = None if held is None else held.known.get(order.client_order_id)
        if held is None or known is None or known.digest != order_digest(order):
            return None
        return self._first_answer(held, order, known)


class Planted(NamedTuple):
    """A bug, the invariants that may find it, and the seed at which the search begins."""

    parts: Parts
    found_by: tuple[str, ...]
    first: int = 1


BUGS: dict[str, Planted] = {
    "sign-before-flush": Planted(
        Parts(keeper=SignsBeforeFlush),
        ("invariant_p1_decision_is_durable_before_the_key_is_asked",),
    ),
    "count-after-await": Planted(
        Parts(keeper=CountsAfterAwait),
        ("invariant_p2_decisions_recompute", "invariant_p2_cap_holds"),
    ),
    "acknowledge-before-sync": Planted(
        Parts(journal=AcknowledgesBeforeSync),
        (
            "invariant_p1_decision_is_durable_before_the_key_is_asked",
            "invariant_p6_answers_survive",
        ),
    ),
    "ignored-sync-error": Planted(
        Parts(journal=IgnoresSyncError),
        (
            "invariant_p1_decision_is_durable_before_the_key_is_asked",
            "invariant_p6_answers_survive",
            "invariant_p6_checkpoints_stay_true",
            "invariant_stops_are_in_the_log",
        ),
    ),
    "sign-again-on-retry": Planted(
        Parts(keeper=SignsAgainOnRetry),
        (
            "invariant_p2_key_is_asked_once_for_a_decision",
            "invariant_p2_what_rests_is_reserved",
            "invariant_p4_lease_bounds_every_signature",
        ),
        first=88,
    ),
    "stale-status": Planted(
        Parts(keeper=StaleStatus),
        ("invariant_p4_nothing_after_a_stop", "invariant_p4_nothing_after_an_incident"),
    ),
    "submit-after-cancel": Planted(
        Parts(keeper=ForgetsTheOrder),
        ("invariant_p2_what_rests_is_reserved", "invariant_every_order_is_answered"),
        first=133,
    ),
    "crossing-after-await": Planted(
        Parts(log=incidents.NotesTheCrossingLater),
        ("invariant_p7_crossings_are_followed",),
    ),
    "incident-forgotten-at-start": Planted(
        Parts(log=incidents.ForgetsTheIncident),
        ("invariant_p7_crossings_are_followed",),
        first=3,
    ),
    "restart-forgotten-at-start": Planted(
        Parts(log=incidents.ForgetsTheRestart),
        ("invariant_p7_crossings_are_followed",),
    ),
    "latch-forgotten-at-start": Planted(
        Parts(log=incidents.ForgetsTheLatch),
        (
            "invariant_p2_memory_is_what_the_log_says",
            "invariant_p2_decisions_recompute",
            "invariant_p7_crossings_are_followed",  # the breaker that stands is opened once more
        ),
    ),
    "lift-at-equal-epoch": Planted(
        Parts(leasing=incidents.LiftsAtTheSameEpoch),
        (
            "invariant_p5_incidents_are_lifted_by_people",
            "invariant_p4_nothing_after_an_incident",
            "invariant_p7_crossings_are_followed",
        ),
        first=3,
    ),
    "lift-before-heard": Planted(
        Parts(leasing=incidents.LiftsWhatNobodyHeard),
        (
            "invariant_p5_incidents_are_lifted_by_people",
            "invariant_p4_nothing_after_an_incident",
        ),
        first=3,
    ),
    "tell-before-durable": Planted(
        Parts(incident_watch=incidents.TellsAtOnce),
        ("invariant_p4_authority_hears_of_each_incident",),
        first=17,
    ),
    "stop-again-at-start": Planted(
        Parts(incident_watch=incidents.StopsAgain),
        ("invariant_p5_release_takes_effect",),
        first=3,
    ),
    "no-stop-after-report": Planted(
        Parts(incident_watch=incidents.TrustsThePush),
        ("invariant_p4_what_rested_is_cancelled_or_named",),
        first=8,
    ),
    "rearm-by-one": Planted(
        Parts(governing=incidents.ReArmsForOne),
        ("invariant_p5_latches_are_taken_off_by_people",),
    ),
    "rearm-by-timer": Planted(
        Parts(keeper=incidents.ReArmsByTimer),
        ("invariant_p5_latches_are_taken_off_by_people",),
    ),
    "score-kept-over-awaits": Planted(
        Parts(keeper=incidents.KeepsTheScore),
        ("invariant_p2_decisions_recompute",),
    ),
    "answer-from-memory": Planted(
        Parts(keeper=AnswersFromMemory),
        ("invariant_p6_answers_survive",),
        first=15,
    ),
}
