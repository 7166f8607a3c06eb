# SPDX-License-Identifier: Apache-2.0
"""A bundle of an agent that went live, crossed twice, was held, released and re-armed.

Orders, times and people are written out here; verdicts, counters and scores are taken from the
verifier's own functions, whose numbers other tests pin by hand. What tests of the bundle show is
that nothing of it can be otherwise.

The gate's log: 0 opened, 1 admitted, 2 rate, 3 venue, 4 to 13 and 14 to 23 the baseline's orders on
two days, 24 baseline, 25 to 30 six orders that stand out, 31 breaker, 32 a seventh, 33 hold, 34
held, 35 good, 36 restart, 37 re-armed, 38 restart, 39 an ordinary order.

The authority's: 0 to 6 as in `Draft`, 7 issued, 8 booted, 9 CRL, 10 baseline locked, 11 breaker
recorded, 12 alert, 13 hold recorded, 14 held, 15 breaker closed, 16 and 17 alerts, 18 grace,
19 and 20 acknowledged, 21 released, 22 closed, 23 re-arming authorised, 24 CRL.
"""

from __future__ import annotations

from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sekisho_verify import checks, decisions, fold, order, rates, scores
from sekisho_verify.canonical import instant, money
from sekisho_verify.case import case_of
from sekisho_verify.fold import State
from sekisho_verify.policy import read
from sekisho_verify.watch import Watch
from tests.unit.verify.build_bundle import Draft
from tests.unit.verify.build_policy import AGENT
from tests.unit.verify.build_signed import AUTHORITY, BOOT, GATE, LATER, canonical, sha

USUAL, BIG = "10000", "100000"
HEAD = 24  # entries of the gate's log before the baseline


def on(day: int, minute: int, second: int = 0) -> str:
    """An instant of May 2026, after nine; the 15th is a Friday."""
    return f"2026-05-{day}T09:{minute:02}:{second:02}.000000000Z"


class Recorder:
    """Adds entries to a gate's log that are as the verifier computes them."""

    def __init__(self, document: dict[str, Any], entries: list[dict[str, Any]]) -> None:
        known = read(document)
        self.entries = entries
        self.state = State({known.sha256: known})
        self.watch = Watch(self.state, GATE)
        self.monotonic = 1

    def add(self, kind: str, at: str, **members: Any) -> dict[str, Any]:
        """One entry but a decision."""
        entry = {"kind": kind, "at": at} | members
        index = len(self.entries)
        self.watch.arrives(index, entry)
        self.state.apply(entry, instant(at), index)
        self.watch.folded(index, entry, instant(at))
        self.entries.append(entry)
        return entry

    def opens(self, at: str) -> dict[str, Any]:
        """What is due."""
        due = self.watch.due
        assert due is not None
        more = {"last": len(self.entries) - 1} if "first" in due.fields else {}
        return self.add(due.kind, at, **due.fields, **more)

    def adopts(self, at: str, authority_index: int) -> dict[str, Any]:
        """The baseline, as it follows from the window."""
        agent = self.state.agents[AGENT]
        found = agent.behaviour.window(AGENT)
        assert found is not None
        members = {"baseline": found.document, "baseline_sha256": found.sha256}
        return self.add(
            "baseline_adopted", at, agent=AGENT, authority_index=authority_index, **members
        )

    def decides(self, at: str, given: dict[str, Any], lag: int = 0) -> dict[str, Any]:
        """A decision; `lag`: entries that the risk score does not take in yet."""
        index, now = len(self.entries), instant(at)
        self.watch.arrives(index, {"kind": "decision", "agent": AGENT})
        agent = self.state.agents[AGENT]
        self.state.roll(agent, now)
        asked = order.read(given)
        case = case_of(self.state, agent, asked, now, self.monotonic)
        case.index = index
        case.scores = scores.computed(case, index - lag) if scores.scored(case) else None
        reasons = checks.reasons(case)
        used = rates.used(case)
        before = decisions.counters(agent, now)
        agent.known_ids.add(asked.order_id)
        if not reasons:
            fold.permit(agent, asked, given, index, now, case.notional or 0)
        entry: dict[str, Any] = {
            "kind": "decision",
            "at": at,
            "agent": AGENT,
            "order": given,
            "body_sha256": sha(b"body"),
            "body_bytes": 200,
            "state": index,
            "monotonic": str(self.monotonic),
            "verdict": "refused" if reasons else "permitted",
            "reasons": [dict(one._asdict()) for one in reasons],
            "notional": "" if case.notional is None else money(case.notional),
            "before": before,
            "after": decisions.counters(agent, now),
            "scores": None if case.scores is None else case.scores.as_json(),
            "rates": used,
            "certificate_sha256": agent.certificate_sha256,
            "policy_sha256": agent.policy.sha256,
            "epoch": agent.epoch,
        }
        learned = all(one.code in decisions.NOT_ABOUT_THE_ORDER for one in reasons)
        self.watch.decided(index, AGENT, case, permitted=not reasons, learned=learned)
        self.entries.append(entry)
        return entry


class LiveDraft(Draft):
    """See above. Every order is refused for want of a lease: nothing has to be signed."""

    def scope_value(self) -> bytes:
        self.policy["risk_controls"] |= {"breaker_threshold": "0.7"}
        self.policy_sha256 = sha(canonical(self.policy))
        return super().scope_value()

    def _issue_and_change(self) -> None:
        issued = {"resolution_sha256": sha(canonical(self.resolution)), "renews": ""}
        issued |= self._certified()
        self.authority.append({"kind": "certificate_issued", "at": on(15, 2), **issued})
        self.authority.append(self._booted(0))
        self.authority.append(self._crl_entry(1) | {"at": on(15, 2)})

    def _run_gate(self) -> None:
        self.period = on(15, 0), on(18, 0)
        self.recorder = Recorder(self.policy, self.gate)
        add, decides = self.recorder.add, self.recorder.decides
        where = {"region": "eu-west-1", "environment": "test"}
        add("gate_opened", on(15, 2), gate="gate-1", boot=BOOT, **where)
        more = {"policy": self.policy, "authority_index": self.issued_at}
        add("agent_admitted", on(15, 2), **self._certified(), **more)
        rate = {"market": "EUR/USD", "source": "primary", "bid": "1.1", "ask": "1.1002"}
        add("rate_observed", on(15, 2), **rate, quoted_at=on(15, 2))
        add("venue_reconciled", on(15, 2), venue="PAPER", open_orders=0, unknown=0)
        for day in (15, 16):
            for minute in range(3, 13):
                decides(on(day, minute), self.order(f"d{day}-{minute}", USUAL))
        adopted = self.recorder.adopts(on(17, 0), len(self.authority))
        self.digest = adopted["baseline_sha256"]
        self._lock()
        for minute in range(1, 7):
            decides(on(17, minute), self.order(f"big-{minute}", BIG))
        self.breaker = self.recorder.opens(on(17, 6))
        decides(on(17, 7), self.order("big-7", BIG))
        self.hold = self.recorder.opens(on(17, 7))
        self.acts(17, 8, "hold", 1)
        self.acts(17, 12, "good", 2)
        self.recorder.opens(on(17, 12))
        commands = self.signed(("compliance_c", "risk_r"), "rearm", 13, **self.rearming())
        add("rearmed", on(17, 13), agent=AGENT, latch="circuit_breaker", **commands)
        self.recorder.opens(on(17, 13))
        decides(on(17, 14), self.order("after", USUAL))
        self._handle(commands)

    def acts(self, day: int, minute: int, status: str, epoch: int) -> None:
        """The gate acts on a status."""
        ours = {"agent": AGENT, "certificate_sha256": self.certificate_sha256}
        self.recorder.add(
            "status_acted", on(day, minute), **ours, status=status, reason="", epoch=epoch
        )

    def rearming(self) -> dict[str, Any]:
        """What a command to re-arm the breaker says."""
        return {"latch": "circuit_breaker", "epoch": 2}

    def signed(
        self, seats: tuple[str, ...], command: str, minute: int, **changes: Any
    ) -> dict[str, Any]:
        """Seats and their commands, given on the 17th."""
        given = {"commanded_at": on(17, minute)} | changes
        texts = [self.people.command(seat, command, **given) for seat in seats]
        return {"seats": list(seats), "commands": texts}

    def says(self, kind: str, minute: int, second: int = 0, **members: Any) -> dict[str, Any]:
        """An entry of the authority's log, on the 17th, added to it."""
        entry = {"kind": kind, "at": on(17, minute, second)} | members
        self.authority.append(entry)
        return entry

    def _lock(self) -> None:
        commands = self.signed(
            ("compliance_c",), "go_live", 0, baseline_sha256=self.digest, epoch=0
        )
        members = {"agent": AGENT, "origin": GATE, "baseline_sha256": self.digest}
        self.says("baseline_locked", 0, **members, **commands)

    def recorded(self, entry: dict[str, Any]) -> dict[str, Any]:
        """What the authority records of an incident."""
        kept = {k: v for k, v in entry.items() if k not in {"kind", "at", "trigger"}}
        return kept | {"origin": GATE, "index": self.gate.index(entry)}

    def changed(self, epoch: int, status: str, cause: str, **members: Any) -> dict[str, Any]:
        """A change of status of the 17th; without a command unless `members` bring one."""
        reason = {"hold": "certificateHold", "revoked": "privilegeWithdrawn"}.get(status, "")
        return {
            "agent": AGENT,
            "serial_number": self.serial,
            "certificate_sha256": self.certificate_sha256,
            "status": status,
            "reason": reason,
            "epoch": epoch,
            "cause": cause,
            "incident": self.held,
            "seats": [],
            "commands": [],
        } | members

    @property
    def held(self) -> str:
        """The id of the incident that holds."""
        return str(self.hold["incident"])

    def alert(self, incident: str, outcome: str, minute: int) -> None:
        """One attempt to tell somebody."""
        more: dict[str, Any] = {
            "about": "opened",
            "channel": "pager",
            "outcome": outcome,
            "detail": "",
        }
        self.says("alert_sent", minute, incident=incident, **more)

    def acknowledged(
        self, minute: int, disposition: str, ends_at: str = on(18, 9), **changes: Any
    ) -> dict[str, Any]:
        """An acknowledgement by one person."""
        moment = {"revoke_at": changes["revoke_at"]} if "revoke_at" in changes else {}
        told = {"incident": self.held, "disposition": disposition} | moment
        commands = self.signed(("compliance_c",), "acknowledge", minute, **told)
        entry = {"incident": self.held, "disposition": disposition, "revoke_at": ""}
        entry |= {"ends_at": ends_at, "monotonic": "900000000000", **commands}
        return entry | changes

    def _handle(self, rearming: dict[str, Any]) -> None:
        says, first = self.says, str(self.breaker["incident"])
        says("incident_recorded", 6, 10, **self.recorded(self.breaker))
        self.alert(first, "delivered", 7)
        says("incident_recorded", 7, 10, **self.recorded(self.hold))
        says("status_changed", 7, 10, **self.changed(1, "hold", "automatic_hold"))
        says("incident_closed", 7, 10, incident=first, outcome="superseded")
        self.alert(self.held, "failed", 8)
        self.alert(self.held, "delivered", 8)
        grace: dict[str, Any] = {"ends_at": on(17, 13), "monotonic": "800000000000"}
        says("grace_started", 8, incident=self.held, **grace)
        says("incident_acknowledged", 9, **self.acknowledged(9, "investigating"))
        says("incident_acknowledged", 10, **self.acknowledged(10, "false_alarm"))
        self.release(rearming)

    def release(self, rearming: dict[str, Any]) -> None:
        """Release, end, re-arming, CRL."""
        says, both = self.says, ("compliance_c", "risk_r")
        commands = self.signed(both, "release", 11, epoch=1, incident=self.held)
        says("status_changed", 11, **self.changed(2, "good", "release", **commands))
        says("incident_closed", 11, incident=self.held, outcome="released")
        latch: dict[str, Any] = {"agent": AGENT, "latch": "circuit_breaker", "epoch": 2}
        says("rearm_authorised", 13, **latch, **rearming)
        self.authority.append(self._crl_entry(2) | {"at": on(17, 14)})

    def ends_revoked(self) -> None:
        """The certificate is revoked at the end: CRL, OCSP and summary say so."""
        self.status = "revoked"
        reason = x509.ReasonFlags.privilege_withdrawn
        self.crl = self.pki.crl(2, {self.certificate.serial_number: reason}, LATER)
        self.authority[-1]["crl_sha256"] = sha(self.crl.public_bytes(Encoding.DER))
        path = f"ocsp/{self.certificate_sha256}.der"
        self.extra[path] = self.pki.status(self.certificate, "withdrawn", LATER)

    def ends_held(self) -> None:
        """As `ends_revoked`, held."""
        self.status = "hold"
        held = {self.certificate.serial_number: x509.ReasonFlags.certificate_hold}
        self.crl = self.pki.crl(2, held, LATER)
        self.authority[-1]["crl_sha256"] = sha(self.crl.public_bytes(Encoding.DER))

    def summary(self) -> dict[str, Any]:
        """As it follows from this log, in which nothing is permitted."""
        decided = [(i, one) for i, one in enumerate(self.gate) if one["kind"] == "decision"]
        found = super().summary()
        found["refusals"] = [
            {
                "index": index,
                "at": one["at"],
                "client_order_id": one["order"]["client_order_id"],
                "codes": [reason["code"] for reason in one["reasons"]],
            }
            for index, one in decided
        ]
        none = {"permitted": 0, "withdrawn": 0, "signatures": 0, "possibly_issued": 0}
        found |= none | {"orders": len(decided), "refused": len(decided)}
        found["highest_day"] = {"day": "", "gross_permitted": "0.00"}
        found["gate"] = {"origin": GATE, "tree_size": len(self.gate)}
        found["authority"] = {"origin": AUTHORITY, "tree_size": len(self.authority)}
        return found
