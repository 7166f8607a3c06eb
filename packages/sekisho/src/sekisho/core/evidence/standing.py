# SPDX-License-Identifier: Apache-2.0
"""Who the agent is and how it stands: policies, certificates, status, stops, latches, in time.

A small fold of the entries that a report shows beside the orders (docs/spec/checks.md, 2). Lists
are bounded; what was left out is counted.
"""

from __future__ import annotations

from typing import Any, Final

from sekisho.core.events import (
    AgentAdmitted,
    AuthorityEntry,
    CertificateIssued,
    GateOpened,
    IncidentOpened,
    PolicyRegistered,
    Rearmed,
    Resolved,
    StatusActed,
    StatusChanged,
    StopReported,
)
from sekisho.core.evidence.thinning import FirstAndLast

POLICIES_MAX: Final = 50
CERTIFICATES_MAX: Final = 100
EVENTS_HALF: Final = 250


class Standing:
    """One agent's, as of the last entry taken.

    Attributes:
        policy: the one in force at the gate, as its ``agent_admitted`` has it; None before.
        status: at the gate; ``not_admitted`` before its first certificate there.
        breaker: whether the circuit breaker is latched.
    """

    def __init__(self, agent: str) -> None:
        self._agent = agent
        self.policy: dict[str, Any] | None = None
        self.status = "not_admitted"
        self.breaker = False
        self._digest = self._present = ""
        self._epoch = 0
        self._gate = {"gate": "", "region": "", "environment": ""}
        self._policies: dict[str, dict[str, Any]] = {}
        self._certificates: dict[str, dict[str, Any]] = {}
        self._left_out = {"policies": 0, "certificates": 0}
        self._events: FirstAndLast[dict[str, Any]] = FirstAndLast(EVENTS_HALF)

    def opened(self, entry: GateOpened) -> None:
        """A gate process began."""
        self._gate = {
            "gate": entry.gate,
            "region": entry.region,
            "environment": entry.environment,
        }

    def admitted(self, index: int, entry: AgentAdmitted) -> None:
        """A certificate, good until a status says otherwise, and the policy in force."""
        if entry.certificate_sha256 != self._present:
            self.status = "good"
        self._present, self._digest = entry.certificate_sha256, entry.policy_sha256
        self.policy = entry.policy
        self._policy(entry.policy_sha256, entry.policy)
        self._certificate(entry)
        self._event("gate", index, entry.at, "admitted", f"certificate {entry.serial_number}")

    def acted(self, index: int, entry: StatusActed) -> None:
        """A status that the gate acted on."""
        newer = entry.epoch > self._epoch
        if entry.certificate_sha256 == self._present and self.status != "revoked":
            self.status = entry.status if entry.status != "good" or newer else self.status
        self._epoch = max(self._epoch, entry.epoch)
        self._event("gate", index, entry.at, "status_acted", f"{entry.status} {entry.reason}")

    def crossed(self, entry: IncidentOpened) -> None:
        """What an incident does at once; its story is told elsewhere. A break stops no agent."""
        if entry.incident_kind == "break":
            return
        if entry.incident_kind == "breaker":
            self.breaker = True
        elif entry.certificate_sha256 == self._present and self.status == "good":
            self.status = "hold"

    def rearmed(self, index: int, entry: Rearmed) -> None:
        """A latch was taken off by people."""
        if entry.latch == "circuit_breaker":
            self.breaker = False
        self._event("gate", index, entry.at, "rearmed", entry.latch, entry.seats)

    def stopped(self, index: int, entry: StopReported) -> None:
        """What a stop achieved at the venue."""
        detail = (
            f"resting orders confirmed as ended: {len(entry.confirmed)},"
            f" not confirmed: {len(entry.unconfirmed)}"
        )
        self._event("gate", index, entry.at, "stop_reported", detail)

    def take(self, index: int, entry: AuthorityEntry) -> None:
        """One entry of the authority's log."""
        match entry:
            case PolicyRegistered() if entry.agent == self._agent:
                self._policy(entry.policy_sha256, entry.policy)
            case Resolved() if entry.policy_sha256 in self._policies:
                given = entry.resolution.get("approvals", [])
                self._policies[entry.policy_sha256] |= {
                    "resolved_at": entry.at,
                    "approved_by": [str(approval["seat"]) for approval in given],
                }
            case CertificateIssued() if entry.agent == self._agent:
                self._certificate(entry)
            case StatusChanged() if entry.agent == self._agent:
                if entry.certificate_sha256 in self._certificates:
                    self._certificates[entry.certificate_sha256]["status"] = entry.status
                detail = f"{entry.status}: {entry.cause}"
                self._event("authority", index, entry.at, "status_changed", detail, entry.seats)
            case _:
                return

    def plain(self) -> dict[str, Any]:
        """For the report; the scope as it was signed."""
        policy = self.policy
        return {
            **self._gate,
            "status": self.status,
            "circuit_breaker": self.breaker,
            "policy_sha256": self._digest,
            "operator": {} if policy is None else policy.get("operator", {}),
            "scope": {} if policy is None else policy["scope"],
            # Sorted, so that it does not matter which log was taken first.
            "policies": _sorted(self._policies, "valid_from", "policy_sha256"),
            "certificates": _sorted(self._certificates, "not_before", "serial_number"),
            "left_out": dict(self._left_out),
            "events": {
                "count": self._events.seen,
                "told": sorted(
                    self._events.items(),
                    key=lambda row: (row["at"], row["log"] == "authority", row["index"]),
                ),
            },
        }

    def _policy(self, digest: str, policy: dict[str, Any]) -> None:
        if digest in self._policies:
            return
        if len(self._policies) >= POLICIES_MAX:
            self._left_out["policies"] += 1
            return
        self._policies[digest] = {
            "policy_sha256": digest,
            "version": policy.get("version", 0),
            "environment": policy.get("environment", ""),
            "valid_from": policy["valid_from"],
            "valid_until": policy["valid_until"],
            "resolved_at": "",
            "approved_by": [],
        }

    def _certificate(self, entry: AgentAdmitted | CertificateIssued) -> None:
        if entry.certificate_sha256 in self._certificates:
            return
        if len(self._certificates) >= CERTIFICATES_MAX:
            self._left_out["certificates"] += 1
            return
        self._certificates[entry.certificate_sha256] = {
            "serial_number": entry.serial_number,
            "certificate_sha256": entry.certificate_sha256,
            "policy_sha256": entry.policy_sha256,
            "not_before": entry.not_before,
            "not_after": entry.not_after,
            "status": "good",
        }

    def _event(
        self,
        log: str,
        index: int,
        at: str,
        what: str,
        detail: str,
        seats: tuple[str, ...] = (),
    ) -> None:
        row = {"at": at, "log": log, "index": index, "what": what, "detail": detail.strip()}
        self._events.take(row | {"seats": list(seats)})


def _sorted(rows: dict[str, dict[str, Any]], *keys: str) -> list[dict[str, Any]]:
    copies = (dict(row) for row in rows.values())
    return sorted(copies, key=lambda row: tuple(str(row[key]) for key in keys))
