# SPDX-License-Identifier: Apache-2.0
"""What an authority remembers of policies, certificates and gates, and questions about it.

Plain records; they change in ``register`` alone, which folds the authority's log into them. Nothing
here judges whether a change is lawful: ``lawful`` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sekisho.core.identity.status import Status


@dataclass(frozen=True, slots=True)
class WithdrawnAt:
    """A withdrawal: the index of its entry, and the instant (ns) at which it was signed."""

    index: int
    instant: int


@dataclass(frozen=True, slots=True)
class RosterSuccession:
    """A change of roster: its entry's index and instant (ns), what it replaced, and by whom."""

    index: int
    at: int
    previous: dict[str, Any]
    roster: dict[str, Any]
    approvals: tuple[dict[str, Any], ...]


@dataclass(slots=True)
class RegisteredPolicy:
    """A policy in its canonical form, and the approvals given over it by their entry's index.

    ``resolution`` is the last one, ``resolved_at_index`` its entry (-1 while there is none).
    ``withdrawn``: by seat, its last withdrawal. Limits above agents are kept so too, with an empty
    ``agent``.
    """

    index: int
    agent: str
    policy: dict[str, Any]
    sha256: str
    approvals: dict[int, dict[str, Any]] = field(default_factory=dict)
    resolution: dict[str, Any] | None = None
    resolution_sha256: str = ""
    resolved_at_index: int = -1
    withdrawn: dict[str, WithdrawnAt] = field(default_factory=dict)


@dataclass(slots=True)
class RegisteredCertificate:
    """An order-signing certificate and its present status. Instants are ns.

    ``index`` is its entry's; ``epoch`` and ``changed_at`` are of its last status change (0 and the
    time of issue before the first).
    """

    index: int
    agent: str
    serial_number: str
    certificate: bytes
    sha256: str
    policy_sha256: str
    resolution_sha256: str
    not_before: int
    not_after: int
    status: Status
    reason: str
    epoch: int
    changed_at: int


@dataclass(frozen=True, slots=True)
class Renewal:
    """Two certificates of one agent: ``before`` ends at ``ends_at`` (ns), ``after`` succeeds it."""

    before: RegisteredCertificate
    after: RegisteredCertificate
    ends_at: int


@dataclass(slots=True)
class RegisteredGate:
    """A gate: its log's origin, its present boot and that boot's checkpoint, and earlier boots."""

    gate: str
    origin: str
    boot: str
    tree_size: int
    root_hash: bytes
    earlier: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class GateLeft:
    """The last move of an agent away from a gate: its epoch, and the index of its entry."""

    epoch: int
    index: int


@dataclass(slots=True)
class AgentGate:
    """The gate that an agent is assigned to, and those that it left.

    ``whole`` is the gate whose log has the agent's history whole, ``moved`` the epoch of its last
    move (0 for none), ``taken`` that of the last one after which its history was taken, ``kept``
    the digest of the history that was handed over and that nobody took yet, of ``kept_bytes``;
    ``begun`` are its bytes if it is one that people declared to begin.
    """

    gate: str
    left: dict[str, GateLeft] = field(default_factory=dict)
    whole: str = ""
    moved: int = 0
    taken: int = 0
    kept: str = ""
    kept_bytes: int = 0
    begun: bytes = b""

    @property
    def owed(self) -> bool:
        """Whether the gate that has the agent still lacks its history."""
        return self.moved > self.taken


@dataclass(frozen=True, slots=True)
class LockedBaseline:
    """A baseline that people signed off; ``index`` of its entry, ``origin`` of the gate's log."""

    index: int
    origin: str
    sha256: str


@dataclass(frozen=True, slots=True)
class RegisteredNote:
    """A note: what the log has of it. ``at`` is the entry's instant, as text."""

    index: int
    at: str
    by: str
    agent: str
    subject: str
    commitment: str


class Records:
    """All records of one authority. Read; only the fold writes."""

    def __init__(self) -> None:
        self.size = 0
        self.at = 0
        self.environment = ""
        self.root_certificate = b""
        self.issuing_certificate = b""
        self.responder_certificate = b""
        self.roster: dict[str, Any] = {}
        self.roster_sha256 = ""
        self.rosters: dict[str, dict[str, Any]] = {}
        self.successions: dict[str, RosterSuccession] = {}
        self.policies: dict[str, RegisteredPolicy] = {}
        self.policies_of: dict[str, list[RegisteredPolicy]] = {}
        self.sections: dict[bytes, Any] = {}
        """By digest, each part of a policy: agents of one desk have most in common."""
        self.limits: dict[str, RegisteredPolicy] = {}
        self.limits_in_force: RegisteredPolicy | None = None
        self.resolutions: dict[str, dict[str, Any]] = {}
        self.certificates: dict[str, RegisteredCertificate] = {}
        self.agents: dict[str, list[RegisteredCertificate]] = {}
        self.renewals: dict[str, Renewal] = {}
        """Agent → its two certificates, while it has two."""
        self.holders: dict[str, str] = {}
        """Agent → the certificate that it has by itself, or that a successor is to follow: the one
        that holds the claim ``active`` in a store. It may have expired."""
        self.killed: dict[str, int] = {}
        self.serial_numbers: dict[str, RegisteredCertificate | None] = {}
        """Every serial number that was used; None: of the certificate of a log's key."""
        self.stopped: dict[str, RegisteredCertificate] = {}
        """By digest, those that are held or revoked."""
        self.epoch = 0
        self.used_nonces: set[tuple[str, str]] = set()
        self.crl_shards = 1
        self.crl_numbers: dict[int, int] = {}
        """Shard → the number of its newest CRL."""
        self.shard_epochs: dict[int, int] = {}
        """Shard → the epoch of the last change of status of a certificate in it."""
        self.log_keys: dict[str, bytes] = {}
        self.gates: dict[str, RegisteredGate] = {}
        self.origins: dict[str, str] = {}
        """Origin of a log → the gate whose it is."""
        self.baselines: dict[str, LockedBaseline] = {}
        self.assigned: dict[str, AgentGate] = {}
        self.agents_at: dict[str, dict[str, None]] = {}
        """Gate → the agents that it has or had, in the order of their coming."""
        self.notes: dict[str, RegisteredNote] = {}
        """By commitment, in the order of entries."""
        self.last_commands: tuple[str, ...] = ()

    def shard_of(self, serial_number: str) -> int:
        """The shard of the CRL that a certificate is in, by its serial number in hexadecimal."""
        return int(serial_number, 16) % self.crl_shards

    def approvable(self, sha256: str) -> RegisteredPolicy | None:
        """The policy, or the limits, with this digest."""
        return self.policies.get(sha256) or self.limits.get(sha256)

    def active(self, agent: str, now: int) -> RegisteredCertificate | None:
        """The agent's certificate that is neither revoked nor expired (it may be held).

        Of two, while one is renewed, the successor.
        """
        for record in reversed(self.agents.get(agent, [])):
            if record.status != "revoked" and now < record.not_after:
                return record
        return None

    def agent_epoch(self, agent: str) -> int:
        """The epoch of the agent's last change of status or move to another gate; 0 if none."""
        assigned = self.assigned.get(agent)
        moved = 0 if assigned is None else assigned.moved
        return max((moved, *(record.epoch for record in self.agents.get(agent, []))))

    def killed_after(self, agent: str, index: int) -> bool:
        """Whether the agent was killed later than the entry at ``index``."""
        return self.killed.get(agent, -1) > index

    def not_good(self) -> Iterator[RegisteredCertificate]:
        """Every certificate that is held or revoked, in the order of issue."""
        return iter(sorted(self.stopped.values(), key=lambda record: record.index))
