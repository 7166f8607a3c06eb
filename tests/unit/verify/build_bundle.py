# SPDX-License-Identifier: Apache-2.0
"""A small evidence bundle, built from docs/spec alone, whose entries a test may change first.

`Draft` holds the entries of both logs; `seal` writes logs, permits, summary and MANIFEST with the
keys of the draft, so that a change made before sealing is signed by everybody. Verdicts and
counters are written out by hand: the builder computes none.
"""

from __future__ import annotations

import base64
import copy
import datetime
import hashlib
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding

from sekisho_verify.bundle import Verification
from tests.unit.verify.build_pki import Pki, scope_extension, shared
from tests.unit.verify.build_policy import AGENT, policy
from tests.unit.verify.build_signed import (
    AUTHORITY,
    BOOT,
    ECDSA,
    GATE,
    LATER,
    People,
    at,
    b64,
    canonical,
    checkpoint,
    der,
    note,
    root_hash,
    sha,
)


def counters(gross: int, open_reserved: int, orders: int, messages: int) -> dict[str, Any]:
    """Counters with whole money."""
    return {
        "day": "2026-05-15",
        "gross_permitted": f"{gross}.00",
        "open_reserved": f"{open_reserved}.00",
        "orders": orders,
        "messages": messages,
    }


class Draft:
    """Entries of both logs as objects, the period, and what else goes into the files.

    `late` is the index of a decision that a test adds at the end.
    """

    late = -1

    def __init__(self, pki: Pki | None = None) -> None:
        self.pki = pki or shared()
        self.people = People()
        self.policy = policy()
        self.policy_sha256 = sha(canonical(self.policy))
        self.certificate = self.pki.agent_certificate(AGENT, "Example Trading", self.scope_value())
        self.certificate_sha256 = sha(der(self.certificate))
        self.serial = f"{self.certificate.serial_number:034x}"
        self.log_gate = self.pki.log_certificate(GATE, self.pki.gate_key)
        self.log_authority = self.pki.log_certificate(AUTHORITY, self.pki.authority_key)
        self.crl = self.pki.crl(2, {}, LATER)
        self.status = "good"
        self.period = at(0), at(40)
        self.authority: list[dict[str, Any]] = []
        self.gate: list[dict[str, Any]] = []
        self.permits: dict[int, str] = {}
        self.extra: dict[str, bytes] = {}
        self._found_authority()
        self._run_gate()

    def scope_value(self) -> bytes:
        """The value of the certificate's scope extension."""
        members = ("agent", "environment", "operator", "risk_controls", "scope", "version")
        scope = canonical({member: self.policy[member] for member in members})
        return scope_extension(bytes.fromhex(self.policy_sha256), scope)

    # ------------------------------------------------------------------ the authority's log

    def _found_authority(self) -> None:
        pki, people, digest = self.pki, self.people, self.policy_sha256
        approvals = [people.approval(seat, digest) for seat in ("approver_a", "approver_b")]
        resolution = {
            "schema": "sekisho/resolution/v1",
            "policy_sha256": digest,
            "roster_sha256": people.sha256,
            "required": 2,
            "resolved_at": at(1),
            "approvals": approvals,
        }
        self.resolution = resolution
        add = self.authority.append
        add(
            {
                "kind": "founded",
                "at": at(0),
                "environment": "test",
                "crl_shards": 1,
                "root_certificate": b64(der(pki.root)),
                "issuing_certificate": b64(der(pki.issuing)),
                "responder_certificate": b64(der(pki.responder)),
                "roster": people.roster,
                "roster_sha256": people.sha256,
            }
        )
        for origin, certificate in ((AUTHORITY, self.log_authority), (GATE, self.log_gate)):
            add(
                {
                    "kind": "log_key_certified",
                    "at": at(0),
                    "origin": origin,
                    "certificate": b64(der(certificate)),
                    "serial_number": f"{certificate.serial_number:034x}",
                }
            )
        add(
            {
                "kind": "policy_registered",
                "at": at(0),
                "agent": AGENT,
                "policy": self.policy,
                "policy_sha256": digest,
                "defaults": [{"path": "version", "value": "1", "why": "silent"}],
            }
        )
        for approval in approvals:
            given = {"policy_sha256": digest, "approval": approval}
            add({"kind": "approval_given", "at": at(0, 30), **given})
        add(
            {
                "kind": "resolved",
                "at": at(1),
                "policy_sha256": digest,
                "resolution": resolution,
                "resolution_sha256": sha(canonical(resolution)),
            }
        )
        self.issued_at = len(self.authority)
        self._issue_and_change()

    def _issue_and_change(self) -> None:
        """The certificate, the gate's boot, a hold and its release, two CRLs."""
        people, add = self.people, self.authority.append
        resolution = self.resolution
        add(
            {
                "kind": "certificate_issued",
                "at": at(2),
                "resolution_sha256": sha(canonical(resolution)),
                "renews": "",
                **self._certified(),
            }
        )
        add(self._booted(0))
        add(self._changed(1, "hold", ["compliance_c"], "hold"))
        release = [people.command(seat, "release", epoch=1) for seat in ("compliance_c", "risk_r")]
        add(self._changed(2, "good", ["compliance_c", "risk_r"], "release", release))
        for number in (1, 2):
            add(self._crl_entry(number))

    def _certified(self) -> dict[str, Any]:
        return {
            "agent": AGENT,
            "serial_number": self.serial,
            "certificate": b64(der(self.certificate)),
            "certificate_sha256": self.certificate_sha256,
            "policy_sha256": self.policy_sha256,
            "not_before": at(2),
            "not_after": "2027-05-01T00:00:00.000000000Z",
        }

    def _booted(self, size: int) -> dict[str, Any]:
        seen = [canonical(entry) for entry in self.gate[:size]]
        return {
            "kind": "gate_booted",
            "at": at(2),
            "gate": "gate-1",
            "boot": BOOT,
            "origin": GATE,
            "tree_size": size,
            "root_hash": b64(root_hash(seen)),
        }

    def _changed(
        self, epoch: int, status: str, seats: list[str], cause: str, commands: Any = None
    ) -> dict[str, Any]:
        signed = commands or [self.people.command(seat, cause) for seat in seats]
        return {
            "kind": "status_changed",
            "at": at(20, epoch),
            "agent": AGENT,
            "serial_number": self.serial,
            "certificate_sha256": self.certificate_sha256,
            "status": status,
            "reason": "certificateHold" if status == "hold" else "",
            "epoch": epoch,
            "cause": cause,
            "incident": "",
            "seats": seats,
            "commands": signed,
        }

    def _crl_entry(self, number: int) -> dict[str, Any]:
        return {
            "kind": "crl_issued",
            "at": at(30),
            "shard": 0,
            "number": number,
            "crl_sha256": sha(self.crl.public_bytes(Encoding.DER)),
            "this_update": at(30),
            "next_update": "2026-05-16T09:30:00.000000000Z",
        }

    # ----------------------------------------------------------------------- the gate's log

    def _run_gate(self) -> None:
        """Open, admit, one filled order, an amended one, refusals, a hold and its release."""
        self.add("gate_opened", 2, gate="gate-1", boot=BOOT, region="eu-west-1", environment="test")
        policy_entry = {"policy": self.policy, "authority_index": self.issued_at}
        self.add("agent_admitted", 2, **self._certified(), **policy_entry)
        self.lease(3, 0)
        rate = {"market": "EUR/USD", "source": "primary", "quoted_at": at(3)}
        self.add("rate_observed", 3, bid="1.1", ask="1.1002", **rate)
        self.add("venue_reconciled", 3, venue="PAPER", open_orders=0, unknown=0)
        watch = {"authority_difference_ns": "0", "step_ns": "0", "within": True}
        self.add("clock_observed", 3, wall=at(3), monotonic="0", **watch)
        none, one = counters(0, 0, 0, 0), counters(10000, 10000, 1, 1)
        first = self.decision(3, self.order("order-1", "10000"), none, one)
        self.sign(first)
        self.report("order-1", "trade", "10000")
        done = counters(10000, 0, 1, 1)
        big = {"limit": "25000.00", "observed": "180000.00", "unit": "EUR"}
        self.decision(
            3,
            self.order("order-2", "180000"),
            done,
            done,
            [
                {"code": "exceeds_scope_size", **big},
                {
                    "code": "daily_volume_cap_exceeded",
                    "limit": "100000.00",
                    "observed": "190000.00",
                    "unit": "EUR",
                },
            ],
            "180000.00",
        )
        malformed = {"code": "malformed_order", "limit": "", "observed": "no side", "unit": ""}
        self.decision(3, None, None, None, [malformed])
        two = counters(15000, 5000, 2, 2)
        self.sign(self.decision(3, self.order("order-3", "5000"), done, two))
        change = self.change("amend", "order-4", "order-3") | {"quantity": "6000"}
        three = counters(16000, 6000, 2, 3)
        amended = self.decision(3, change, two, three, notional="6000.00")
        self.sign(amended, replaces="order-3")
        self.report("order-4", "replaced", "0")
        stop = self.change("cancel", "order-5", "order-4")
        self.decision(3, stop, three, counters(16000, 6000, 2, 4))
        self.add("cancel_asked", 3, agent=AGENT, client_order_id="order-4", cause="bot")
        self.report("order-4", "canceled", "0")
        last = counters(16000, 0, 2, 4), counters(17000, 1000, 3, 5)
        withdrawn = self.decision(3, self.order("order-6", "1000"), *last)
        self.add("withdrawn", 3, agent=AGENT, decision=withdrawn, reason="stop")
        self.act("hold", 1)
        held = counters(17000, 0, 3, 0)
        reasons = [
            {"code": "certificate_held", "limit": "", "observed": "", "unit": ""},
            {"code": "rate_stale", "limit": "60000", "observed": "1020000", "unit": "ms"},
        ]
        self.decision(20, self.order("order-7", "1000"), held, held, reasons, "1000.00", epoch=1)
        self.act("good", 2)

    def add(self, kind: str, minute: int, **members: Any) -> int:
        """One entry; returns its index."""
        self.gate.append({"kind": kind, "at": at(minute)} | members)
        return len(self.gate) - 1

    def act(self, status: str, epoch: int) -> int:
        """A status that the gate acts on."""
        ours = {"agent": AGENT, "certificate_sha256": self.certificate_sha256}
        return self.add("status_acted", 20, **ours, status=status, reason="", epoch=epoch)

    def lease(self, minute: int, epoch: int, **changes: Any) -> int:
        """A lease, signed by the responder."""
        seen = [canonical(entry) for entry in self.gate]
        lease = {
            "gate": "gate-1",
            "boot": BOOT,
            "nonce": f"{len(seen):032x}",
            "epoch": epoch,
            "tree_size": len(seen),
            "root_hash": b64(root_hash(seen)),
            "granted_at": at(minute),
            "duration_s": 15,
            "not_good": [],
        } | changes
        signature = self.pki.responder_key.sign(b"sekisho/lease/v1\n" + canonical(lease), ECDSA)
        grant = canonical({"lease": lease, "signature": b64(signature)}).decode()
        deadline = {"deadline_monotonic": "1000", "status": {}}
        return self.add("lease_held", minute, epoch=epoch, grant=grant, **deadline)

    def order(self, order_id: str, quantity: str) -> dict[str, Any]:
        """A limit order to buy EUR/USD."""
        return {
            "action": "new",
            "client_order_id": order_id,
            "market": "EUR/USD",
            "side": "buy",
            "order_type": "limit",
            "quantity": quantity,
            "currency": "EUR",
            "price": "1.1001",
            "time_in_force": "day",
            "venue": "PAPER",
            "account": "main",
        }

    def change(self, action: str, order_id: str, original: str) -> dict[str, Any]:
        """An amendment or a cancel."""
        return {
            "action": action,
            "client_order_id": order_id,
            "orig_client_order_id": original,
        }

    def decision(
        self,
        minute: int,
        order: dict[str, Any] | None,
        before: Any,
        after: Any,
        reasons: Any = (),
        notional: str | None = None,
        epoch: int = 0,
    ) -> int:
        """A decision as recorded; verdict and counters are the caller's word."""
        if notional is None:
            sized = order is not None and order["action"] == "new"
            notional = f"{order['quantity']}.00" if order is not None and sized else ""
        return self.add(
            "decision",
            minute,
            agent=AGENT,
            order=order,
            body_sha256=sha(b"body"),
            body_bytes=200,
            state=len(self.gate),
            monotonic="1",
            verdict="refused" if reasons else "permitted",
            reasons=list(reasons),
            notional=notional,
            before=before,
            after=after,
            scores=self.scores() if order is not None and order["action"] != "cancel" else None,
            rates=self.rates(minute) if order is not None and order["action"] != "cancel" else {},
            certificate_sha256=self.certificate_sha256,
            policy_sha256=self.policy_sha256,
            epoch=epoch,
        )

    def rates(self, minute: int) -> dict[str, Any]:
        """The rates of the decision to be added: the one source of the one pair, if it spoke."""
        told = [n for n, entry in enumerate(self.gate) if entry["kind"] == "rate_observed"]
        if not told:
            return {}
        quoted = int(self.gate[told[-1]]["quoted_at"][14:16])
        age_ms = (minute - quoted) * 60_000
        return {"EUR/USD": {"primary": {"index": told[-1], "age_ms": age_ms}}}

    def scores(self, **changes: Any) -> dict[str, Any]:
        """Scores of the decision to be added, in the baseline phase."""
        found = {"stressed": "unknown", "baseline_sha256": "", "anomaly": "", "factors": {}}
        return found | {"risk": "", "scored": len(self.gate)} | changes

    def report(self, order_id: str, exec_type: str, quantity: str) -> int:
        """The venue's report."""
        return self.add(
            "execution",
            3,
            agent=AGENT,
            venue="PAPER",
            client_order_id=order_id,
            venue_order_id="v",
            exec_id=f"e{len(self.gate)}",
            exec_type=exec_type,
            last_quantity=quantity,
            last_price="1.1",
            cum_quantity=quantity,
            leaves_quantity="0",
            counterparty="",
            reason="",
            transact_at=at(3),
        )

    def payload(self, index: int, **changes: Any) -> dict[str, Any]:
        """What the permit for a decision holds."""
        entry = self.gate[index]
        leaf = hashlib.sha256(b"\0" + canonical(entry)).digest()
        order = entry["order"]
        if order is not None and order["action"] == "amend":
            asked = {k: order[k] for k in ("client_order_id", "quantity")}
            order = self.order("order-3", "5000") | asked
        start = datetime.datetime(2026, 5, 15, 9, 3, tzinfo=datetime.UTC)
        given = {
            "permit_id": sha(f"{GATE}\n{index}".encode()),
            "agent": AGENT,
            "environment": "test",
            "venue": "PAPER",
            "account": "main",
            "order": order,
            "issued_at": at(3),
            "expires_at": at(3, 2),
            "certificate_sha256": self.certificate_sha256,
            "log_origin": GATE,
            "log_index": index,
            "leaf_hash": b64(leaf),
            "policy_sha256": self.policy_sha256,
            "ocsp": b64(self.pki.status(self.certificate, "good", start)),
        } | changes
        return {k: v for k, v in given.items() if v is not None}

    def jws(self, payload: dict[str, Any], key: ec.EllipticCurvePrivateKey | None = None) -> str:
        """A permit over this payload."""

        def part(data: bytes) -> str:
            return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

        header = part(b'{"alg":"ES256","typ":"sekisho-permit"}')
        signed = f"{header}.{part(b'sekisho/permit/v1' + bytes((10,)) + canonical(payload))}"
        signature = (key or self.pki.agent_key).sign(signed.encode(), ECDSA)
        r, s = decode_dss_signature(signature)
        return f"{signed}.{part(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def sign(self, index: int, minute: int = 3, **changes: Any) -> int:
        """A permit for a decision, recorded."""
        permit = self.jws(self.payload(index, **changes))
        self.permits[index] = permit
        return self.add("permit_signed", minute, agent=AGENT, decision=index, permit=permit)

    # ------------------------------------------------------------------------------- files

    def summary(self) -> dict[str, Any]:
        """The summary of the unchanged draft."""
        return {
            "schema": "sekisho/summary/v1",
            "agent": AGENT,
            "from": self.period[0],
            "to": self.period[1],
            "orders": 8,
            "permitted": 5,
            "refused": 3,
            "withdrawn": 1,
            "signatures": 3,
            "possibly_issued": 0,
            "refusals": [
                {
                    "index": index,
                    "at": entry["at"],
                    "client_order_id": (entry["order"] or {}).get("client_order_id", ""),
                    "codes": [reason["code"] for reason in entry["reasons"]],
                }
                for index, entry in enumerate(self.gate)
                if entry["kind"] == "decision"
                and entry["verdict"] == "refused"
                and entry["agent"] == AGENT
            ],
            "highest_day": {"day": "2026-05-15", "gross_permitted": "17000.00"},
            "certificates": [
                {
                    "certificate_sha256": self.certificate_sha256,
                    "serial_number": self.serial,
                    "status": self.status,
                }
            ],
            "gate": {"origin": GATE, "tree_size": len(self.gate)},
            "authority": {"origin": AUTHORITY, "tree_size": len(self.authority)},
        }

    def files(self) -> dict[str, bytes]:
        """Every file but MANIFEST."""
        pki = self.pki
        found = {
            "README.txt": b"readme\n",
            "verify.sh": b"#!/bin/bash\n",
            "oid.cnf": b"oid\n",
            "summary.json": self.extra.get("summary.json") or canonical(self.summary()),
            "crl/issuing.pem": self.crl.public_bytes(Encoding.PEM),
            f"ocsp/{self.certificate_sha256}.der": pki.status(self.certificate, self.status, LATER),
        }
        for called, certificate in {
            "root": pki.root,
            "issuing": pki.issuing,
            "responder": pki.responder,
            "log-gate": self.log_gate,
            "log-authority": self.log_authority,
            f"agent-{self.serial}": self.certificate,
        }.items():
            found[f"certificates/{called}.pem"] = certificate.public_bytes(Encoding.PEM)
        for index, permit in self.permits.items():
            signed, _, signature = permit.rpartition(".")
            raw = base64.urlsafe_b64decode(signature + "==")
            found[f"permits/{index:08}.input"] = signed.encode()
            found[f"permits/{index:08}.sig"] = dss(raw)
        gate = [canonical(entry) for entry in self.gate]
        authority = [canonical(entry) for entry in self.authority]
        found |= log_files("gate", gate, GATE, pki.gate_key)
        found |= log_files("authority", authority, AUTHORITY, pki.authority_key)
        return found | self.extra

    def seal(self, folder: Path) -> Path:
        """Write the bundle, signed."""
        return write(folder, self.files(), self)

    def copy(self) -> Draft:
        """Another draft with the same keys and certificates, to be changed alone."""
        other = copy.copy(self)
        other.authority = copy.deepcopy(self.authority)
        other.gate = copy.deepcopy(self.gate)
        other.permits, other.extra = dict(self.permits), dict(self.extra)
        return other


def dss(raw: bytes) -> bytes:
    """DER of r ‖ s, by OpenSSL's own encoder."""
    return encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))


def log_files(
    name: str, leaves: list[bytes], origin: str, key: ed25519.Ed25519PrivateKey
) -> dict[str, bytes]:
    """Files of a log of fewer than 256 entries."""
    width, folder = len(leaves), f"logs/{name}"
    assert 0 < width < 256
    hashes_of = b"".join(hashlib.sha256(b"\0" + leaf).digest() for leaf in leaves)
    bundle = b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in leaves)
    return {
        f"{folder}/checkpoint": checkpoint(leaves, origin, key),
        f"{folder}/entries.jsonl": b"".join(leaf + b"\n" for leaf in leaves),
        f"{folder}/tile/entries/000.p/{width}": bundle,
        f"{folder}/tile/0/000.p/{width}": hashes_of,
    }


def manifest(files: dict[str, bytes], draft: Draft) -> bytes:
    """MANIFEST over these files."""
    lines = ["sekisho/manifest/v1", f"agent {AGENT}", "period " + " ".join(draft.period)]
    lines += [f"{sha(files[path])}  {path}" for path in sorted(files)]
    return note("".join(f"{line}\n" for line in lines), GATE, draft.pki.gate_key)


def write(folder: Path, files: dict[str, bytes], draft: Draft) -> Path:
    """Write files with a MANIFEST over them."""
    for path, data in (files | {"MANIFEST": manifest(files, draft)}).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def outcome(draft: Draft, folder: Path) -> tuple[str, str, str]:
    """Step, place and text of the failure of a sealed draft; empty if it is good."""
    root = draft.pki.root.public_bytes(Encoding.PEM)
    report = Verification(draft.seal(folder), root, None, None).run()
    if report.failure is None:
        return "", "", ""
    return report.failed_step, report.failure.place, report.failure.what
