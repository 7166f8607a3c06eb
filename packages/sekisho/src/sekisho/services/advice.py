# SPDX-License-Identifier: Apache-2.0
"""Advice to an agent about an order that it has not sent: would this pass?
(docs/spec/gate-api.md, section 3).

It looks at the scope alone, never at scores, and binds nobody: the order is decided anew when it
comes. It costs a message of the message rate, which is recorded before the answer leaves; where
there is no room for one nothing is evaluated and nothing recorded. A crash before the entry is
durable leaves no answer.
"""

from __future__ import annotations

import msgspec

from sekisho.core.encoding import sha256_hex
from sekisho.core.errors import MalformedInput, OutcomeUnknown, StorageFailed
from sekisho.core.events import Advised
from sekisho.core.gate.decide import OBSERVED_MAX, Clocks, advise, no_room
from sekisho.core.gate.order import Order, parse_order
from sekisho.core.terms import Code, Reason, format_instant
from sekisho.ports import Quotation
from sekisho.services.gatelog import GateLog
from sekisho.services.ratewatch import RateWatch


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent is told. ``evaluated`` is false where the reasons say why nothing was."""

    would_pass: bool
    evaluated: bool
    reasons: tuple[Reason, ...] = ()


class AdviceDesk:
    """Advice of one gate."""

    def __init__(self, log: GateLog, rates: RateWatch) -> None:
        self._log = log
        self._rates = rates

    async def advise(self, agent: str, body: bytes) -> Advice:
        """Say whether the scope would let this order pass now.

        Args:
            agent: whom the caller authenticated; never taken from the body.
            body: an order, as it would be sent.
        """
        try:
            return await self._advise(agent, body)
        except (StorageFailed, OutcomeUnknown) as error:
            reason = Reason(Code.CONTROL_UNAVAILABLE, "", str(error)[:OBSERVED_MAX], "")
            return Advice(would_pass=False, evaluated=False, reasons=(reason,))

    async def _advise(self, agent: str, body: bytes) -> Advice:
        self._log.require_sound()
        full = no_room(self._log.state, self._log.clocks(), agent)
        quotations: tuple[Quotation, ...] = ()
        order: Order | MalformedInput
        try:
            order = parse_order(body)
            if not full:
                quotations = await self._rates.fetch(agent, order)
        except MalformedInput as error:
            order = error
        # From here to the record nothing is awaited: what was looked at is what is recorded.
        clocks = self._log.clocks()
        full = no_room(self._log.state, clocks, agent)
        if full:
            return Advice(would_pass=False, evaluated=False, reasons=full)
        self._rates.record(quotations)
        clocks = self._log.clocks()
        reasons = advise(self._log.state, clocks, agent, order)
        await self._record(agent, body, clocks, reasons)
        return Advice(would_pass=not reasons, evaluated=True, reasons=reasons)

    async def _record(
        self, agent: str, body: bytes, clocks: Clocks, reasons: tuple[Reason, ...]
    ) -> None:
        index = self._log.record(
            Advised(
                at=format_instant(clocks.now),
                agent=agent,
                body_sha256=sha256_hex(body),
                would_pass=not reasons,
                reasons=tuple(dict.fromkeys(str(reason.code) for reason in reasons)),
            )
        )
        await self._log.durable(index)
