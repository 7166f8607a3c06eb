# SPDX-License-Identifier: Apache-2.0
"""The way of an order: parse, recognise, decide, record, sign, release, report (design section 5).

No rule is decided here. What this module owns is the *order of effects*:

1. the decision is durable before the key is used;
2. status, lease and log are read again immediately before the key is used and again before release,
   with no await between the reading and the act, so that a stop cannot come in between;
3. a signature that comes back after a stop, or later than it was waited for, is destroyed, and that
   is recorded;
4. a permit is made at most once for a decision, in the process that decided it.

What a crash leaves: before (1) nothing; between (1) and the signature a recorded decision whose
permit is *possibly issued*: never signed again, its volume stays reserved until the venue answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from sekisho.core.encoding import b64
from sekisho.core.errors import (
    MalformedInput,
    OutcomeUnknown,
    SignatureLate,
    StorageFailed,
    Unavailable,
    VerificationFailed,
)
from sekisho.core.events import (
    Decision,
    HistoryPart,
    PermitSigned,
    Withdrawn,
    decode_gate_entry,
)
from sekisho.core.gate import permit as permits
from sekisho.core.gate import venue_checks
from sekisho.core.gate.agent import AgentState, Known
from sekisho.core.gate.decide import decide, refuse_malformed
from sekisho.core.gate.history import first_answer
from sekisho.core.gate.order import CancelOrder, NewOrder, Order, order_digest, parse_order
from sekisho.core.terms import NS, Code, Reason, format_instant, parse_instant
from sekisho.ports import Clock, Signer
from sekisho.services.gatelog import GateLog
from sekisho.services.leasing import Leasing
from sekisho.services.ratewatch import RateWatch
from sekisho.services.release import Release
from sekisho.services.signing import longest_wait, signature_of
from sekisho.services.venuewatch import VenueWatch

BEHAVIOURAL = frozenset({Code.ANOMALOUS_ORDER, Code.CIRCUIT_BREAKER_ACTIVE, Code.RISK_SCORE_STALE})
"""What depends on scores."""
Kind = Literal["permitted", "refused", "withdrawn", "possibly_issued", "unavailable"]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the bot is told.

    ``decision`` is the index of the decision's entry, -1 when nothing was recorded. ``permit`` is
    empty unless it may be used now. ``order_state`` is the phase of the order at the moment of the
    answer, ``closed`` when it can no longer be executed, empty when there is no such order.
    """

    kind: Kind
    decision: int
    reasons: tuple[Reason, ...] = ()
    permit: str = ""
    order_state: str = ""
    detail: str = ""


class Gatekeeper:
    """Takes orders of the admitted agents. One instance owns its log."""

    def __init__(
        self,
        log: GateLog,
        leasing: Leasing,
        rates: RateWatch,
        release: Release,
        clock: Clock,
        signers: Mapping[str, Signer],
        venues: VenueWatch,
    ) -> None:
        self.log = log
        self.leasing = leasing
        self.rates = rates
        self.release = release
        self._clock = clock
        self._signers = signers
        self.venues = venues
        self._keys: dict[str, ec.EllipticCurvePublicKey] = {}
        self.unrecorded = ""
        """Why the last signature that came late is not in the log."""
        self._under_way: dict[tuple[str, str], tuple[str, asyncio.Future[Answer]]] = {}

    async def submit(self, agent: str, body: bytes) -> Answer:
        """Decide about one order and, when it is permitted, sign and release it.

        Safe to repeat: the same bytes under the same id get the first answer again.

        Args:
            agent: whom the caller authenticated; never taken from the body.
            body: the order as received.
        """
        try:
            order = parse_order(body)
        except MalformedInput as error:
            return await self._refuse(agent, body, error)
        key = (agent, order.client_order_id)
        while (twin := self._under_way.get(key)) is not None:
            digest, waited = twin
            answer = await asyncio.shield(waited)
            if digest == order_digest(order):
                return await self._known_answer(agent, order) or answer
            # Other content under the same id: what was answered is no answer to it.
        again = await self._known_answer(agent, order)
        if again is not None:
            return again
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._under_way[key] = order_digest(order), waiting
        answer = _unavailable("the order was interrupted; ask again with the same id")
        try:
            answer = await self._take(agent, body, order)
        except (StorageFailed, OutcomeUnknown) as error:
            answer = _unavailable(str(error))
        finally:
            del self._under_way[key]
            waiting.set_result(answer)
        return answer

    async def _refuse(self, agent: str, body: bytes, error: MalformedInput) -> Answer:
        try:
            entry = refuse_malformed(self.log.state, self.log.clocks(), agent, body, error)
            index = self.log.record(entry)
            await self.log.durable(index)
        except (StorageFailed, OutcomeUnknown) as failure:
            return _unavailable(str(failure))
        return _refused(index, entry.reasons)

    async def _take(self, agent: str, body: bytes, order: Order) -> Answer:
        self.log.require_sound()
        await self.leasing.ensure(self._to_be_answered_for(agent))
        quotations = await self.rates.fetch(agent, order)
        await self.venues.ensure(self._venue_of(agent, order))
        # From here to the record nothing is awaited: decisions of one agent are serial, and what
        # was just observed is in the log before it is used.
        self.rates.record(quotations)
        self._look_outside()
        entry = decide(self.log.state, self.log.clocks(), agent, body, order, self.log.watch.scores)
        index = self.log.record(entry)
        await self.log.durable(index)
        if entry.verdict != "permitted":
            return _refused(index, entry.reasons)
        if isinstance(order, CancelOrder):
            await self.release.cancel(agent, order.orig_client_order_id, "asked by the agent")
            return self._state_answer(agent, order, index, "")
        return await self._issue(agent, index, entry, order)

    def _to_be_answered_for(self, agent: str) -> str:
        """The certificate that a lease must speak of for this agent; empty where none would."""
        held = self.log.state.agents.get(agent)
        if held is None or held.status != "good" or held.awaits or held.left:
            return ""
        return held.certificate_sha256

    def _venue_of(self, agent: str, order: Order) -> str:
        """The venue that an order is for; empty where no venue is asked for anything new."""
        if isinstance(order, NewOrder):
            return order.venue
        held = self.log.state.agents.get(agent)
        target = None if held is None else held.find(order.orig_client_order_id)
        amends = target is not None and not isinstance(order, CancelOrder)
        return target.terms.venue if target is not None and amends else ""

    def _look_outside(self) -> None:
        """Put into the log what is not as it was with clock and venues."""
        self.leasing.clocks.look()
        self.venues.look()

    # -- signing -------------------------------------------------------------------------------

    async def _issue(self, agent: str, index: int, entry: Decision, order: Order) -> Answer:
        held = self.log.state.agents[agent]
        stopped = self._stopped(held, index, entry)
        if stopped:
            return await self._withdraw(agent, index, stopped)
        with self.release.in_flight(agent):
            permit = self._permit(held, index, entry, order)
            message = permits.signing_input(permit)
            try:
                signature = await signature_of(
                    self._clock,
                    self._signers[entry.certificate_sha256],
                    message,
                    seconds=longest_wait(permit),
                    late=lambda signing: self._destroy(agent, index, signing),
                )
                self._check_own(held, message, signature)
            except SignatureLate as error:
                # Recorded, and perhaps it signs yet: *possibly issued* until the key has answered.
                return msgspec.structs.replace(_unavailable(str(error)), decision=index)
            except (Unavailable, OutcomeUnknown, VerificationFailed, KeyError) as error:
                return await self._withdraw(agent, index, f"not signed: {error}"[:200])
            stopped = self._stopped(held, index, entry)
            if not stopped and self.log.clocks().now >= parse_instant(permit.expires_at):
                # The key took its time. Not every venue looks at a permit's end.
                stopped = "permit_expired"
            if stopped:
                return await self._withdraw(agent, index, f"{stopped}; signature destroyed")
            jws = permits.assemble(message, signature)
            self.log.record(PermitSigned(at=self.log.at(), agent=agent, decision=index, permit=jws))
            await self.release.submit(agent, permit.venue, order.client_order_id, jws)
        return self._state_answer(agent, order, index, self._while_usable(held, permit, jws))

    def _stopped(self, held: AgentState, index: int, entry: Decision) -> str:
        """Why the key may not be used for this decision any more; empty when it may."""
        lease = self.log.state.lease
        if self.log.journal.failed is not None:
            return "journal_failed"
        if held.certificate_sha256 != entry.certificate_sha256:
            return "certificate_replaced"
        if held.status != "good":
            return "certificate_held" if held.status == "hold" else "certificate_revoked"
        if held.restriction and index < held.narrowed:
            # Decided when more was left to the agent; what was decided since took it into account.
            return "shutdown_ordered" if held.shutdown else "circuit_breaker_active"
        if held.awaits:
            return "history_not_here"
        if lease is None or self._clock.monotonic_ns() >= lease.deadline:
            return "lease_expired"
        if self.log.clocks().now >= self.leasing.ends_at_ns(lease.grant):
            return "lease_expired"  # a wall clock that was stepped forwards, past the lease
        if held.certificate_sha256 not in lease.status:
            return "status_missing"
        if index not in held.by_decision:
            # Cancelled, or its amendment refused by the venue, while this waited: nothing is left
            # that a permit could be about, and nothing is reserved for it.
            return "order_closed"
        self._look_outside()
        return venue_checks.withheld(self.log.state, held.by_decision[index].terms.venue)

    def _permit(
        self, held: AgentState, index: int, entry: Decision, order: Order
    ) -> permits.Permit:
        """The payload for a permitted decision; ``order`` is new or an amendment."""
        state, terms = self.log.state, held.limits.terms
        working = held.by_decision[index]
        becomes = working.terms.order
        if not isinstance(order, NewOrder) and working.pending is not None:
            becomes = working.pending.terms.order
        lease = state.lease
        left = 0 if lease is None else lease.deadline - self._clock.monotonic_ns()
        issued = self.log.clocks().now
        ends = issued if lease is None else self.leasing.ends_at_ns(lease.grant)
        lifetime = min(terms.risk_controls.permit_lifetime_s * NS, left)
        expires = min(issued + lifetime, ends, held.not_after)
        return permits.Permit(
            permit_id=permits.permit_id(self.log.origin, index),
            agent=held.agent,
            environment=terms.environment,
            venue=becomes.venue,
            account=becomes.account,
            order=msgspec.to_builtins(becomes),
            issued_at=format_instant(issued),
            expires_at=format_instant(expires),
            certificate_sha256=held.certificate_sha256,
            log_origin=self.log.origin,
            log_index=index,
            leaf_hash=b64(self.log.journal.leaf_hash(index)),
            policy_sha256=entry.policy_sha256,
            ocsp="" if lease is None else lease.status[held.certificate_sha256],
            replaces=msgspec.UNSET
            if isinstance(order, NewOrder | CancelOrder)
            else order.orig_client_order_id,
        )

    def _check_own(self, held: AgentState, message: bytes, signature: bytes) -> None:
        """A signature that does not verify with the certified key never leaves."""
        key = self._keys.get(held.certificate_sha256)
        if key is None:
            key = permits.load_public_key(self._signers[held.certificate_sha256].public_key)
            self._keys[held.certificate_sha256] = key
        permits.check_signature(key, message, signature)

    def _destroy(self, agent: str, index: int, signing: asyncio.Future[bytes]) -> None:
        """Take down that a key answered when nobody waited any more; what it made goes nowhere.

        Where that cannot be recorded, here or by a crash, the permit stays *possibly issued*.
        """
        if signing.cancelled():
            return
        error = signing.exception()
        said = (
            "not signed in time; signature destroyed" if error is None else f"not signed: {error}"
        )
        try:
            entry = Withdrawn(at=self.log.at(), agent=agent, decision=index, reason=said[:200])
            self.log.record(entry)
        except StorageFailed as failure:
            self.unrecorded = str(failure)

    async def _withdraw(self, agent: str, index: int, reason: str) -> Answer:
        entry = Withdrawn(at=self.log.at(), agent=agent, decision=index, reason=reason)
        await self.log.durable(self.log.record(entry))
        return Answer(kind="withdrawn", decision=index, detail=reason)

    def _while_usable(self, held: AgentState, permit: permits.Permit, jws: str) -> str:
        """The permit's bytes while the agent is active and the permit has not expired, else
        empty.
        """
        usable = (
            held.status == "good"
            and held.certificate_sha256 == permit.certificate_sha256
            and self.log.clocks().now < parse_instant(permit.expires_at)
        )
        return jws if usable else ""

    # -- answering again -----------------------------------------------------------------------

    async def _known_answer(self, agent: str, order: Order) -> Answer | None:
        """The first answer to an id that was used with the same content; None when it was not.

        Only what is durable is answered: memory may be ahead of the disk, while a flush runs and
        for ever after one failed. Nothing is awaited when the id is new.
        """
        held = self.log.state.agents.get(agent)
        known = None if held is None else held.known.get(order.client_order_id)
        if held is None or known is None or known.digest != order_digest(order):
            return None
        try:
            await self.log.durable(held.answers.get(known.decision, known.decision))
        except (StorageFailed, OutcomeUnknown) as error:
            return _unavailable(str(error))
        return self._first_answer(held, order, known)

    def _first_answer(self, held: AgentState, order: Order, known: Known) -> Answer:
        entry = decode_gate_entry(self.log.journal.entry(known.decision))
        if isinstance(entry, HistoryPart):
            kind, reasons = first_answer(entry, order.client_order_id)
            if kind == "permitted":
                return self._state_answer(held.agent, order, known.decision, "")
            return Answer(kind=kind, decision=known.decision, reasons=reasons)
        if not isinstance(entry, Decision):
            raise StorageFailed(f"entry {known.decision} is not the decision it should be")
        if entry.verdict != "permitted":
            return _refused(known.decision, entry.reasons)
        if isinstance(order, CancelOrder):
            return self._state_answer(held.agent, order, known.decision, "")
        end = held.answers.get(known.decision)
        if end is None:
            return Answer(kind="possibly_issued", decision=known.decision)
        last = decode_gate_entry(self.log.journal.entry(end))
        if isinstance(last, PermitSigned):
            jws = self._while_usable(held, permits.read_permit(last.permit), last.permit)
            return self._state_answer(held.agent, order, known.decision, jws)
        detail = last.reason if isinstance(last, Withdrawn) else ""
        return Answer(kind="withdrawn", decision=known.decision, detail=detail)

    def _state_answer(self, agent: str, order: Order, index: int, jws: str) -> Answer:
        """The present state of the order that ``order`` is about."""
        held = self.log.state.agents[agent]
        name = order.client_order_id
        if isinstance(order, CancelOrder):
            name = order.orig_client_order_id
        working = held.find(name)
        return Answer(
            kind="permitted",
            decision=index,
            permit=jws,
            order_state="closed" if working is None else working.phase,
        )


def _refused(index: int, reasons: tuple[Reason, ...]) -> Answer:
    """A refusal as the agent is told of it.

    Scores and headroom are for compliance: of what the watch found an agent learns that it was
    refused for its behaviour, and the entry in which compliance finds the rest.
    """
    told: list[Reason] = []
    for reason in reasons:
        behavioural = reason.code in BEHAVIOURAL
        one = Reason(Code.ANOMALOUS_ORDER, "", str(index), "entry") if behavioural else reason
        if one not in told:
            told.append(one)
    return Answer(kind="refused", decision=index, reasons=tuple(told))


def _unavailable(detail: str) -> Answer:
    reason = Reason(Code.CONTROL_UNAVAILABLE, "", detail[:200], "")
    return Answer(kind="unavailable", decision=-1, reasons=(reason,), detail=detail)
