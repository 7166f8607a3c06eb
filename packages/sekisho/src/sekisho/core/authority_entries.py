# SPDX-License-Identifier: Apache-2.0
"""Every entry that an authority's log can hold (docs/spec/entries.md): closed, versioned by
``kind``.
"""

from __future__ import annotations

from typing import Any, Literal

from sekisho.core.gate_entries import Entry, Latch


class Founded(Entry, frozen=True, tag="founded"):
    """The first entry of an authority: its certificates (base64 of DER) and the genesis roster.

    ``crl_shards``: into how many CRLs its certificates are divided by their serial numbers.
    """

    environment: str
    crl_shards: int
    root_certificate: str
    issuing_certificate: str
    responder_certificate: str
    roster: dict[str, Any]
    roster_sha256: str


class LogKeyCertified(Entry, frozen=True, tag="log_key_certified"):
    """A log's note key got a certificate, so that one root suffices to verify a bundle."""

    origin: str
    certificate: str
    serial_number: str


class RosterChanged(Entry, frozen=True, tag="roster_changed"):
    """A new roster, signed by k of n of the one before."""

    roster: dict[str, Any]
    roster_sha256: str
    approvals: tuple[dict[str, Any], ...]


class PolicyRegistered(Entry, frozen=True, tag="policy_registered"):
    """A policy in its canonical form, with the defaults that were shown to whoever registered
    it.
    """

    agent: str
    policy: dict[str, Any]
    policy_sha256: str
    defaults: tuple[dict[str, str], ...]


class LimitsRegistered(Entry, frozen=True, tag="limits_registered"):
    """Limits above agents in their canonical form; they come into force by their resolution."""

    limits: dict[str, Any]
    limits_sha256: str
    defaults: tuple[dict[str, str], ...]


class ApprovalGiven(Entry, frozen=True, tag="approval_given"):
    """One approver's signature over the digest of one policy, or of limits."""

    policy_sha256: str
    approval: dict[str, Any]


class ApprovalWithdrawn(Entry, frozen=True, tag="approval_withdrawn"):
    """An approver took back what it had approved of this digest so far."""

    policy_sha256: str
    withdrawal: dict[str, Any]


class Resolved(Entry, frozen=True, tag="resolved"):
    """The quorum over the digest of one policy, or of limits, was reached."""

    policy_sha256: str
    resolution: dict[str, Any]
    resolution_sha256: str


class CertificateIssued(Entry, frozen=True, tag="certificate_issued"):
    """An order-signing certificate. The entry is durable before anyone receives the certificate.

    ``renews``: digest of the agent's certificate that this one succeeds, empty for none.
    """

    agent: str
    serial_number: str
    certificate: str
    certificate_sha256: str
    policy_sha256: str
    resolution_sha256: str
    renews: str
    not_before: str
    not_after: str


class StatusChanged(Entry, frozen=True, tag="status_changed"):
    """A certificate's status from this entry on. ``commands``: signed commands of people,
    verbatim.
    """

    agent: str
    serial_number: str
    certificate_sha256: str
    status: Literal["good", "hold", "revoked"]
    reason: str
    epoch: int
    cause: str
    incident: str
    seats: tuple[str, ...]
    commands: tuple[str, ...]


class CrlIssued(Entry, frozen=True, tag="crl_issued"):
    """A certificate revocation list was signed: of one shard, with numbers of its own."""

    shard: int
    number: int
    crl_sha256: str
    this_update: str
    next_update: str


class GateBooted(Entry, frozen=True, tag="gate_booted"):
    """A gate instance asked for its first lease, with the checkpoint of its log at that time."""

    gate: str
    boot: str
    origin: str
    tree_size: int
    root_hash: str


class AgentAssigned(Entry, frozen=True, tag="agent_assigned"):
    """From here on this gate alone gets leases for the agent.

    The first gate that asks has no ``before`` and needs no command, and ``epoch`` is the present
    one. Any other takes over from ``before`` on the command of an operator, which is a new epoch.
    """

    agent: str
    gate: str
    before: str
    epoch: int
    seats: tuple[str, ...]
    commands: tuple[str, ...]


class AgentHandedOver(Entry, frozen=True, tag="agent_handed_over"):
    """The gate before handed the agent's history over; it is kept under its digest.

    ``index``: of the ``history_given`` in the log ``origin`` of that gate.
    """

    agent: str
    gate: str
    to: str
    epoch: int
    history_sha256: str
    bytes: int
    origin: str
    index: int


class HistoryLost(Entry, frozen=True, tag="history_lost"):
    """People declared the agent's history lost: it begins at ``gate`` with what they stated.

    ``before``: the gate that had the agent, perhaps ``gate`` itself; ``lost``: the gate whose log
    has the history. ``baseline_sha256``: of the agent's baseline that was locked last, or empty.
    """

    agent: str
    gate: str
    before: str
    lost: str
    epoch: int
    baseline_sha256: str
    history_sha256: str
    bytes: int
    seats: tuple[str, ...]
    commands: tuple[str, ...]


class HistoryTaken(Entry, frozen=True, tag="history_taken"):
    """The gate that has the agent has its history: from here on leases answer for it.

    ``index``: of the last ``history_part`` in the log ``origin`` of that gate.
    """

    agent: str
    gate: str
    epoch: int
    history_sha256: str
    origin: str
    index: int


class NoteRecorded(Entry, frozen=True, tag="note_recorded"):
    """Somebody (a seat, or ``key:ID`` of a program) noted something, about an agent or ``""``.

    What it says is kept beside the log; ``commitment`` is its salted digest.
    """

    by: str
    agent: str
    subject: str
    commitment: str


class IncidentRecorded(Entry, frozen=True, tag="incident_recorded"):
    """An ``incident_opened`` of the gate's log ``origin``, at ``index`` there, has arrived."""

    incident: str
    agent: str
    certificate_sha256: str
    origin: str
    index: int
    incident_kind: Literal["breaker", "hold", "break"]
    score: Literal["risk", "anomaly", "venue"]
    factor: str
    observed: str
    threshold: str


class AlertSent(Entry, frozen=True, tag="alert_sent"):
    """One attempt to tell people, by one channel."""

    incident: str
    about: Literal["opened", "overdue", "revoked", "released"]
    channel: str
    outcome: Literal["delivered", "failed"]
    detail: str


class GraceStarted(Entry, frozen=True, tag="grace_started"):
    """Somebody was told: the grace period runs. ``monotonic``: boot-time clock, ns."""

    incident: str
    ends_at: str
    monotonic: str


class IncidentAcknowledged(Entry, frozen=True, tag="incident_acknowledged"):
    """A named person looks into it.

    ``ends_at`` is the deadline of the disposition; of a ``fault`` with ``revoke_at`` that time.
    """

    incident: str
    disposition: Literal["investigating", "fault", "false_alarm"]
    revoke_at: str
    ends_at: str
    monotonic: str
    seats: tuple[str, ...]
    commands: tuple[str, ...]


class IncidentClosed(Entry, frozen=True, tag="incident_closed"):
    """The incident is over; directly after the entry that ended it."""

    incident: str
    outcome: Literal["released", "revoked", "killed", "rearmed", "superseded"]


class RearmAuthorised(Entry, frozen=True, tag="rearm_authorised"):
    """Two people take a latch of a gate off."""

    agent: str
    latch: Latch
    epoch: int
    seats: tuple[str, ...]
    commands: tuple[str, ...]


class BaselineLocked(Entry, frozen=True, tag="baseline_locked"):
    """A person of compliance or risk signed this baseline off: the agent may go live with it."""

    agent: str
    origin: str
    baseline_sha256: str
    seats: tuple[str, ...]
    commands: tuple[str, ...]


class VenueRearmAuthorised(Entry, frozen=True, tag="venue_rearm_authorised"):
    """Two people take the latch of a venue off; ``incident`` is the break that had set it."""

    venue: str
    incident: str
    seats: tuple[str, ...]
    commands: tuple[str, ...]
