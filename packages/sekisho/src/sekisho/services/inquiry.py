# SPDX-License-Identifier: Apache-2.0
"""What a gate tells of its state: to an agent of itself, to a monitor of any agent.

Read from the fold, nothing is kept twice. Every answer is plain data of strings, integers and
truth values, as docs/spec/gate-api.md lists them; amounts are text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from sekisho.core.amounts import format_amount, format_money
from sekisho.core.behaviour.watch import describe
from sekisho.core.encoding import canonical
from sekisho.core.errors import OutcomeUnknown, StorageFailed, Unavailable
from sekisho.core.events import Decision, HistoryPart, PermitSigned, decode_gate_entry
from sekisho.core.gate.agent import AgentState
from sekisho.core.gate.history import answered
from sekisho.core.gate.permit import read_permit
from sekisho.core.gate.working import WorkingOrder
from sekisho.core.terms import NS, day_text, format_instant
from sekisho.ports import Venue
from sekisho.services.gatekeeper import Answer
from sekisho.services.gatelog import GateLog

Plain = dict[str, Any]
PAGE_MAX = 500


class Inquiry:
    """Questions to one gate that change nothing."""

    def __init__(self, log: GateLog, venues: Mapping[str, Venue]) -> None:
        self._log = log
        self._venues = venues

    def agent(self, name: str) -> Plain | None:
        """Status, certificate and lease; None for an agent that is not admitted here."""
        held = self._log.state.agents.get(name)
        if held is None:
            return None
        clocks, lease = self._log.clocks(), self._log.state.lease
        left = 0 if lease is None else max(0, lease.deadline - clocks.monotonic)
        return {
            "agent": name,
            "gate": self._log.state.gate,
            "environment": self._log.state.environment,
            "region": self._log.state.region,
            "status": held.status,
            "latches": sorted(held.latches),
            "certificate_sha256": held.certificate_sha256,
            "not_before": format_instant(held.not_before),
            "not_after": format_instant(held.not_after),
            "policy_sha256": held.policy_sha256,
            "baseline_sha256": held.baseline_sha256,
            "phase": "live" if held.baseline_sha256 else "baseline",
            "lease_left_ms": left * 1000 // NS,
            "at": format_instant(clocks.now),
        }

    def scope(self, name: str) -> Plain | None:
        """The scope in force."""
        held = self._log.state.agents.get(name)
        return None if held is None else {"scope": msgspec.to_builtins(held.limits.scope)}

    def volume(self, name: str) -> Plain | None:
        """What was permitted in the present policy day."""
        held = self._log.state.agents.get(name)
        if held is None:
            return None
        day = held.limits.day(self._log.clocks().now)
        rolled = day > held.day  # the fold rolls with the next entry
        return {
            "day": day_text(max(day, held.day)),
            "currency": held.limits.scope.currency,
            "gross_permitted": format_money(held.reserved if rolled else held.gross),
            "open_reserved": format_money(held.reserved),
            "orders": 0 if rolled else held.orders,
        }

    def positions(self, name: str) -> Plain | None:
        """Positions by pair, in the scope's currency; positive: long in the first currency."""
        held = self._log.state.agents.get(name)
        if held is None:
            return None
        return {
            "currency": held.limits.scope.currency,
            "positions": {
                pair: format_money(amount) for pair, amount in sorted(held.positions.items())
            },
        }

    def baseline(self, name: str) -> Plain | None:
        """Summary of the baseline in force, or of what was collected for one."""
        held = self._log.state.agents.get(name)
        if held is None:
            return None
        found = self._log.watch.baseline(name, self._log.clocks().now)
        return {
            "agent": name,
            "locked_sha256": held.baseline_sha256,
            "collected_sha256": found.sha256,
            "complete": found.complete,
            "missing": list(found.missing),
            "summary": [list(line) for line in describe(found.baseline)] if found.complete else [],
        }

    def scores(self, name: str) -> Plain | None:
        """Risk score with its factors; empty texts before a baseline is in force."""
        held = self._log.state.agents.get(name)
        if held is None:
            return None
        risk = self._log.watch.risk(name, self._log.clocks().now)
        last = self._last_scores(held)
        return {
            "agent": name,
            "baseline_sha256": held.baseline_sha256,
            "risk": "" if risk is None else risk.score,
            "risk_factors": {} if risk is None else dict(risk.factors),
            "anomaly": "" if last is None or last.scores is None else last.scores.anomaly,
            "anomaly_factors": {} if last is None or last.scores is None else last.scores.factors,
            "scored": self._log.watch.size,
        }

    def _last_scores(self, held: AgentState) -> Decision | None:
        if held.last_permit < 0:
            return None
        signed = decode_gate_entry(self._log.journal.entry(held.last_permit))
        if not isinstance(signed, PermitSigned):
            return None
        entry = decode_gate_entry(self._log.journal.entry(signed.decision))
        return entry if isinstance(entry, Decision) else None

    # -- orders --------------------------------------------------------------------------------

    def open_orders(self, name: str, after: str, limit: int) -> Plain | None:
        """Orders that can still be executed, by id, at most ``limit`` above ``after``."""
        held = self._log.state.agents.get(name)
        if held is None:
            return None
        names = sorted(one for one in held.working if one > after)
        page = names[: min(limit, PAGE_MAX)]
        return {
            "orders": [_working(held.working[one]) for one in page],
            "next": page[-1] if len(names) > len(page) else "",
        }

    async def order(self, name: str, client_order_id: str) -> Plain | None:
        """What became of an order; None for one that this agent never sent.

        Raises:
            Unavailable: the venue has to be asked and does not answer, or the log cannot be read.
        """
        held = self._log.state.agents.get(name)
        known = None if held is None else held.known.get(client_order_id)
        if held is None or known is None:
            return None
        try:
            await self._log.durable(held.answers.get(known.decision, known.decision))
        except (StorageFailed, OutcomeUnknown) as error:
            raise Unavailable(str(error)) from error
        entry = decode_gate_entry(self._log.journal.entry(known.decision))
        if isinstance(entry, HistoryPart):
            return self._moved_order(held, known.decision, client_order_id, entry)
        if not isinstance(entry, Decision):
            raise Unavailable(f"entry {known.decision} is not the decision that it should be")
        found: Plain = {
            "client_order_id": client_order_id,
            "decision": known.decision,
            "verdict": entry.verdict,
            "order": entry.order,
            "order_state": "",
            "executions": [],
        }
        working = held.find(client_order_id)
        if working is not None:
            return found | _working(working) | {"client_order_id": client_order_id}
        if entry.verdict == "permitted":
            found["order_state"] = "closed"
            found["executions"] = await self._executions(held, known.decision, client_order_id)
        return found

    @staticmethod
    def _moved_order(held: AgentState, index: int, name: str, part: HistoryPart) -> Plain:
        """An order of the agent's time at another gate, as far as its history tells."""
        outcome, _ = answered(part, name)
        working = held.find(name)
        found: Plain = {
            "client_order_id": name,
            "decision": index,
            "verdict": "refused" if outcome == "refused" else "permitted",
            "order": None if working is None else msgspec.to_builtins(working.terms.order),
            "order_state": "closed" if outcome == "permitted" else "",
            "executions": [],
        }
        return found if working is None else found | _working(working) | {"client_order_id": name}

    async def _executions(self, held: AgentState, decision: int, name: str) -> list[Plain]:
        """The venue's reports of an order that is closed; it is the venue that knows them."""
        end = held.answers.get(decision)
        signed = None if end is None else decode_gate_entry(self._log.journal.entry(end))
        if not isinstance(signed, PermitSigned):
            return []
        venue = self._venues.get(read_permit(signed.permit).venue)
        if venue is None:
            raise Unavailable("this gate has no connection to the order's venue")
        try:
            reports = await venue.order_reports(held.agent, name)
        except OutcomeUnknown as error:
            raise Unavailable(str(error)) from error
        wanted = ("exec_id", "exec_type", "last_quantity", "last_price", "cum_quantity",
                  "leaves_quantity", "transact_at", "reason")  # fmt: skip
        return [{field: getattr(report, field) for field in wanted} for report in reports]

    async def cancel_all(
        self, name: str, prefix: str, submit: Callable[[str, bytes], Awaitable[Answer]]
    ) -> Plain:
        """Cancel each working order by a cancel of its own; repeated, it does so again.

        Args:
            name: the agent.
            prefix: the request's id.
            submit: how a cancel is handed to the gate.
        """
        held = self._log.state.agents.get(name)
        cancelled: list[str] = []
        left: list[str] = []
        for one in sorted(held.working) if held is not None else ():
            digest = hashlib.sha256(f"{prefix}\n{one}".encode("ascii")).hexdigest()[:32]
            fields = {"action": "cancel", "client_order_id": digest, "orig_client_order_id": one}
            await submit(name, canonical(fields))
            # What counts is whether it is gone, by whatever: also a fill, also an earlier cancel.
            gone = held is None or held.find(one) is None
            (cancelled if gone else left).append(one)
        return {"cancelled": cancelled, "not_confirmed": left}


def _working(order: WorkingOrder) -> Plain:
    terms = order.terms
    return {
        "client_order_id": order.client_order_id,
        "order_state": order.phase,
        "decision": order.decision,
        "market": terms.market,
        "side": terms.order.side,
        "currency": terms.currency,
        "venue": terms.venue,
        "quantity": format_amount(terms.quantity),
        "filled": format_amount(order.filled),
        "leaves": format_amount(order.leaves()),
        "price": terms.order.price if isinstance(terms.order.price, str) else "",
        "amendment_pending": order.pending is not None,
    }
