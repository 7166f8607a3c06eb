# SPDX-License-Identifier: Apache-2.0
"""A bundle with what processes write: boots, assignments, leases, clocks, venues, stops, refusals.

As `LiveDraft` verdicts and counters are taken from the verifier's own functions. `relive` and
`seal` are what somebody can do who holds the gate's log key and the agent's key: the log is whole,
each decision names its own index, each permit what it is for, the summary what is there.

The gate's log: 0 opened, 1 admitted, 2 clock, 3 lease, 4 rate, 5 venue, 6 decision, 7 permit,
8 unresolved, 9 lost, 10 reconciled, 11 cancel, 12 execution, 13 lease that holds, 14 held, 15 stop
reported, 16 lease, 17 good, 18 advised, 19 shed, 20 caller, 21 command and 22 roster refused,
23 snapshot, 24 clock beyond, 25 clock within, 26 shutdown ordered, 27 decision, 28 local stop,
29 stop reported, 30 opened again, 31 clock, 32 lease of the new boot, 33 decision.
"""

from __future__ import annotations

import json
from typing import Any

from tests.unit.verify.build_bundle import Draft
from tests.unit.verify.build_live import Recorder
from tests.unit.verify.build_policy import AGENT
from tests.unit.verify.build_signed import (
    AUTHORITY,
    BOOT,
    ECDSA,
    GATE,
    LATER,
    at,
    b64,
    canonical,
    root_hash,
    sha,
)

LATER_BOOT = "0" * 31 + "7"
SEEN = {"authority_difference_ns": "0", "step_ns": "0"}
MINUTE = 60_000_000_000


class ProcessDraft(Draft):
    """See above."""

    def _issue_and_change(self) -> None:
        super()._issue_and_change()
        crls, self.authority = self.authority[-2:], self.authority[:-2]
        booted = next(n for n, one in enumerate(self.authority) if one["kind"] == "gate_booted")
        first = {"agent": AGENT, "gate": "gate-1", "before": "", "epoch": 0}
        none: dict[str, Any] = {"seats": [], "commands": []}
        assigned = {"kind": "agent_assigned", "at": at(2)} | first | none
        self.authority.insert(booted + 1, assigned)
        self.crls = crls

    def _run_gate(self) -> None:
        self.recorder = Recorder(self.policy, self.gate)
        self._opens(2, BOOT)
        more = {"policy": self.policy, "authority_index": self.issued_at}
        self.recorder.add("agent_admitted", at(2), **self._certified(), **more)
        self._leased(3, 0)
        self._trade()
        self._stopped()
        self._told()
        self._narrowed()
        self._again()
        self.authority += self.crls

    def _opens(self, minute: int, boot: str) -> None:
        where = {"gate": "gate-1", "boot": boot, "region": "eu-west-1", "environment": "test"}
        self.recorder.add("gate_opened", at(minute), **where)

    def _observed(self, minute: int, **changes: Any) -> None:
        read = str(self._ticks(minute))
        seen = SEEN | {"wall": at(minute), "monotonic": read, "within": True} | changes
        self.recorder.add("clock_observed", at(minute), **seen)

    def _ticks(self, minute: int) -> int:
        """The boot-time clock, which the wall clock follows; decisions read it from now on."""
        self.recorder.monotonic = minute * MINUTE
        return self.recorder.monotonic

    def _leased(self, minute: int, epoch: int, **changes: Any) -> None:
        """A lease as the gate's process records it; the first of a boot after its clocks."""
        if not any(one["kind"] == "clock_observed" for one in self._of_boot()):
            self._observed(minute)
        nonce = sha(f"nonce {len(self.gate)}".encode())[:32]
        self.lease(minute, epoch, nonce=nonce, **changes)
        said = "hold" if changes.get("not_good") else "good"
        response = b64(self.pki.status(self.certificate, said, LATER))
        deadline = self._ticks(minute) + 15 * MINUTE // 60
        entry = self.gate.pop() | {"deadline_monotonic": str(deadline)}
        entry["status"] = {self.certificate_sha256: response}
        self.recorder.add("lease_held", at(minute), **_members(entry))

    def _of_boot(self) -> list[dict[str, Any]]:
        openings = [n for n, one in enumerate(self.gate) if one["kind"] == "gate_opened"]
        return self.gate[openings[-1] :]

    def _trade(self) -> None:
        add = self.recorder.add
        rate = {"market": "EUR/USD", "source": "primary", "bid": "1.1", "ask": "1.1002"}
        add("rate_observed", at(3), **rate, quoted_at=at(3))
        add("venue_reconciled", at(3), venue="PAPER", open_orders=0, unknown=0)
        self.recorder.decides(at(3), self.order("order-1", "10000"))
        self.sign(len(self.gate) - 1)
        entry = self.gate.pop()
        add("permit_signed", at(3), **_members(entry))
        lost = {"operation": "submit", "detail": "time-out"}
        add("outcome_unresolved", at(3), agent=AGENT, client_order_id="order-1", **lost)
        add("venue_lost", at(4), venue="PAPER", detail="not read for 31 s: ")
        add("venue_reconciled", at(4), venue="PAPER", open_orders=1, unknown=1)
        add("cancel_asked", at(5), agent=AGENT, client_order_id="order-1", cause="bot")
        self.report("order-1", "canceled", "0")
        entry = self.gate.pop() | {"last_price": "0", "transact_at": at(5)}
        add("execution", at(5), **_members(entry))

    def _stopped(self) -> None:
        """A hold and its release, as leases brought them."""
        ours = {"agent": AGENT, "certificate_sha256": self.certificate_sha256, "reason": "lease"}
        self._leased(20, 1, not_good=[self.certificate_sha256])
        self.recorder.add("status_acted", at(20), **ours, status="hold", epoch=1)
        done: dict[str, Any] = {"confirmed": ["order-1"], "unconfirmed": [], "complete": True}
        self.recorder.add("stop_reported", at(20), agent=AGENT, epoch=1, **done)
        self._leased(21, 2)
        self.recorder.add("status_acted", at(21), **ours, status="good", epoch=2)

    def _told(self) -> None:
        """What changes nothing of what may be traded."""
        add, body = self.recorder.add, {"body_sha256": sha(b"body")}
        reasons = ["exceeds_scope_size"]
        add("advised", at(22), agent=AGENT, **body, would_pass=False, reasons=reasons)
        add("shed", at(22), agent=AGENT, messages=12, bytes=2400, since=at(21))
        word = {"front": "http", "word": "unauthenticated", "uid": "1000"}
        add("caller_refused", at(22), **word, unrecorded=3)
        add("command_refused", at(22), detail="not_verified", **body, unrecorded=0)
        add("roster_refused", at(22), roster_sha256=sha(b"roster"), unrecorded=0)
        size = len(self.gate)
        add("snapshot_taken", at(22), entries=size, snapshot_sha256=sha(b"snapshot"))

    def _narrowed(self) -> None:
        self._observed(23, step_ns="-2000000000", within=False)
        self._observed(23, step_ns="1000")
        signed = [self.people.command("risk_r", "shutdown", mode="reduce_only")]
        given = {"agent": AGENT, "seats": ["risk_r"], "commands": signed}
        self.recorder.add("shutdown_ordered", at(24), **given, mode="reduce_only")
        self.recorder.decides(at(24), self.order("order-2", "1000"))
        signed = [self.people.command("risk_r", "hold", commanded_at=at(24))]
        given = {"agent": AGENT, "seats": ["risk_r"], "commands": signed}
        ours = {"certificate_sha256": self.certificate_sha256}
        self.recorder.add("local_stop", at(25), **given, **ours)
        none: dict[str, Any] = {"confirmed": [], "unconfirmed": [], "complete": True}
        self.recorder.add("stop_reported", at(25), agent=AGENT, epoch=2, **none)

    def _again(self) -> None:
        """Another boot, which the authority knows."""
        booted = self._booted(len(self.gate)) | {"boot": LATER_BOOT, "at": at(26)}
        self.authority.append(booted)
        self._opens(26, LATER_BOOT)
        self._leased(26, 2, boot=LATER_BOOT)
        self.recorder.decides(at(27), self.order("order-3", "1000"))

    # ------------------------------------------------------------------- what a forger does

    def copy(self) -> ProcessDraft:
        """As of any draft."""
        other = super().copy()
        assert isinstance(other, ProcessDraft)
        return other

    def relive(self, *, numbered: bool = True) -> None:
        """The log as of a gate that lied from the beginning.

        Each decision names its own index (``numbered``), each permit is signed anew for its
        decision, and the authority saw and signed the beginnings of this log. What it said stays
        as it was.
        """
        self.permits, opened = {}, 0
        for index, entry in enumerate(self.gate):
            if entry["kind"] == "decision" and numbered:
                entry["state"] = index
                if entry["scores"] is not None:
                    entry["scores"]["scored"] = index
            elif entry["kind"] == "snapshot_taken" and numbered:
                entry["entries"] = index
            elif entry["kind"] == "permit_signed":
                self._permit_again(entry)
            elif entry["kind"] == "lease_held":
                entry["grant"] = self._grant_again(str(entry["grant"]), index)
            elif entry["kind"] == "gate_opened":
                self._boot_again(opened, index)
                opened += 1

    def _permit_again(self, entry: dict[str, Any]) -> None:
        number = entry["decision"]
        if number < len(self.gate) and _permitted(self.gate[number]):
            entry["permit"] = self.permits[number] = self.jws(self.payload(number))

    def _grant_again(self, grant: str, index: int) -> str:
        told = json.loads(grant)
        seen = [canonical(entry) for entry in self.gate[:index]]
        told["lease"] |= {"tree_size": index, "root_hash": b64(root_hash(seen))}
        message = b"sekisho/lease/v1\n" + canonical(told["lease"])
        told["signature"] = b64(self.pki.responder_key.sign(message, ECDSA))
        return canonical(told).decode()

    def _boot_again(self, number: int, index: int) -> None:
        booted = [one for one in self.authority if one["kind"] == "gate_booted"]
        if number < len(booted):
            seen = [canonical(entry) for entry in self.gate[:index]]
            booted[number].update(tree_size=index, root_hash=b64(root_hash(seen)))

    def summary(self) -> dict[str, Any]:
        """As it follows from this log."""
        found = super().summary()
        decided = [(n, one) for n, one in enumerate(self.gate) if one["kind"] == "decision"]
        permitted = [n for n, one in decided if one["verdict"] == "permitted"]
        signed = {one["decision"] for one in self.gate if one["kind"] == "permit_signed"}
        gone = {one["decision"] for one in self.gate if one["kind"] == "withdrawn"}
        highest = max((_gross(one) for _, one in decided), key=lambda one: float(one[1]))
        found |= {
            "orders": len(decided),
            "permitted": len(permitted),
            "refused": len(decided) - len(permitted),
            "withdrawn": len(gone),
            "signatures": len(signed),
            "possibly_issued": len(set(permitted) - signed - gone),
            "highest_day": {"day": highest[0], "gross_permitted": highest[1]},
            "gate": {"origin": GATE, "tree_size": len(self.gate)},
            "authority": {"origin": AUTHORITY, "tree_size": len(self.authority)},
        }
        return found


def _members(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name not in {"kind", "at"}}


def _permitted(entry: dict[str, Any]) -> bool:
    return entry["kind"] == "decision" and bool(entry["verdict"] == "permitted")


def _gross(entry: dict[str, Any]) -> tuple[str, str]:
    after = entry["after"] or {"day": "", "gross_permitted": "0.00"}
    return after["day"], after["gross_permitted"]
