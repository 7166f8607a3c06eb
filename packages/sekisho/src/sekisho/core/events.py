# SPDX-License-Identifier: Apache-2.0
"""Every entry that a log can hold (docs/spec/entries.md): closed, versioned by ``kind``, canonical.

A leaf of a log is the canonical JSON of one of these. The gate's state is the fold of the gate's
log, the authority's that of its own; nothing else is remembered.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import msgspec

from sekisho.core.encoding import canonical, parse_plain
from sekisho.core.errors import MalformedInput
from sekisho.core.terms import Reason


class Entry(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="kind",
):
    """What all entries share: ``at``, the writer's log time, never below the entry before."""

    at: str


Latch = Literal["circuit_breaker", "repeated_executions", "consecutive_failures"]


# -- the gate's log ---------------------------------------------------------------------------


class GateOpened(Entry, frozen=True, tag="gate_opened"):
    """A gate process began. Leases of an earlier boot end; unsigned permits are possibly issued."""

    gate: str
    boot: str
    region: str
    environment: str


class AgentAdmitted(Entry, frozen=True, tag="agent_admitted"):
    """The gate verified a certificate and its policy and takes this agent's orders under them."""

    agent: str
    certificate: str
    certificate_sha256: str
    serial_number: str
    not_before: str
    not_after: str
    policy: dict[str, Any]
    policy_sha256: str
    authority_index: int


class StatusActed(Entry, frozen=True, tag="status_acted"):
    """The gate acted on a status of the authority (or on a local stop)."""

    agent: str
    certificate_sha256: str
    status: Literal["good", "hold", "revoked"]
    reason: str
    epoch: int


class LeaseHeld(Entry, frozen=True, tag="lease_held"):
    """The right to sign until ``deadline_monotonic`` (boot-time clock, ns) of this boot.

    ``grant`` is the signed text of the authority, verbatim; ``status`` the OCSP response for each
    certificate digest (base64 of DER).
    """

    epoch: int
    grant: str
    deadline_monotonic: str
    status: dict[str, str]


class RateObserved(Entry, frozen=True, tag="rate_observed"):
    """A quotation that decisions after this entry use."""

    market: str
    source: str
    bid: str
    ask: str
    quoted_at: str


class Counters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the caps count, for the policy day of the decision; money in the scope's currency."""

    day: str
    gross_permitted: str
    open_reserved: str
    orders: int
    messages: int


class Scores(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the watch said of one order before it was decided (docs/spec/behaviour.md section 6).

    ``anomaly`` and ``risk`` are empty and ``factors`` is empty while no baseline is in force;
    ``risk`` takes in the first ``scored`` entries of the log.
    """

    stressed: Literal["yes", "no", "unknown"]
    baseline_sha256: str
    anomaly: str
    factors: dict[str, str]
    risk: str
    scored: int


class Decision(Entry, frozen=True, tag="decision"):
    """What the gate decided about one order, from the state of all entries before this one.

    ``order`` is the parsed order, or null when the body was malformed; ``body_sha256`` and
    ``body_bytes`` are of the bytes as received. ``notional`` is what the order reserves.
    """

    agent: str
    order: dict[str, Any] | None
    body_sha256: str
    body_bytes: int
    state: int
    monotonic: str
    verdict: Literal["permitted", "refused"]
    reasons: tuple[Reason, ...]
    notional: str
    before: Counters | None
    after: Counters | None
    scores: Scores | None
    certificate_sha256: str
    policy_sha256: str
    epoch: int


class PermitSigned(Entry, frozen=True, tag="permit_signed"):
    """The signature of decision ``decision``; ``permit`` is the JWS, verbatim."""

    agent: str
    decision: int
    permit: str


class Withdrawn(Entry, frozen=True, tag="withdrawn"):
    """A permitted decision that left nothing: status, lease or signer changed before release."""

    agent: str
    decision: int
    reason: str


class Execution(Entry, frozen=True, tag="execution"):
    """An execution report of the venue (FIX 35=8), as received."""

    agent: str
    venue: str
    client_order_id: str
    venue_order_id: str
    exec_id: str
    exec_type: Literal["new", "trade", "replaced", "canceled", "rejected", "expired", "not_found"]
    last_quantity: str
    last_price: str
    cum_quantity: str
    leaves_quantity: str
    counterparty: str
    reason: str
    transact_at: str


class OutcomeUnresolved(Entry, frozen=True, tag="outcome_unresolved"):
    """The venue's answer did not arrive: the order is unknown until the venue answers for it."""

    agent: str
    client_order_id: str
    operation: Literal["submit", "amend", "cancel"]
    detail: str


class CancelAsked(Entry, frozen=True, tag="cancel_asked"):
    """The gate asks the venue to cancel a resting order, under its own operations identity."""

    agent: str
    client_order_id: str
    cause: str


class StopReported(Entry, frozen=True, tag="stop_reported"):
    """What a stop achieved: orders confirmed as ended, and those that are not."""

    agent: str
    epoch: int
    confirmed: tuple[str, ...]
    unconfirmed: tuple[str, ...]
    complete: bool


class Rearmed(Entry, frozen=True, tag="rearmed"):
    """A latch was re-armed by named people; ``commands`` are their signed commands, verbatim."""

    agent: str
    latch: Latch
    seats: tuple[str, ...]
    commands: tuple[str, ...]


class BaselineAdopted(Entry, frozen=True, tag="baseline_adopted"):
    """A locked baseline is in force for the agent from here on: it is live."""

    agent: str
    baseline: dict[str, Any]
    baseline_sha256: str
    authority_index: int


class IncidentOpened(Entry, frozen=True, tag="incident_opened"):
    """A score crossed its threshold after the entry ``trigger``; no exposure is added any more."""

    incident: str
    agent: str
    certificate_sha256: str
    incident_kind: Literal["breaker", "hold"]
    score: Literal["risk", "anomaly"]
    factor: str
    observed: str
    threshold: str
    trigger: int


class AccumulationRestarted(Entry, frozen=True, tag="accumulation_restarted"):
    """The risk score begins anew: entries ``first`` to ``last`` are left out of it from here on."""

    agent: str
    first: int
    last: int


# -- the authority's log ----------------------------------------------------------------------


class Founded(Entry, frozen=True, tag="founded"):
    """The first entry of an authority: its certificates (base64 of DER) and the genesis roster."""

    environment: str
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


class ApprovalGiven(Entry, frozen=True, tag="approval_given"):
    """One approver's signature over one policy digest."""

    policy_sha256: str
    approval: dict[str, Any]


class Resolved(Entry, frozen=True, tag="resolved"):
    """The quorum over one policy digest was reached."""

    policy_sha256: str
    resolution: dict[str, Any]
    resolution_sha256: str


class CertificateIssued(Entry, frozen=True, tag="certificate_issued"):
    """An order-signing certificate. The entry is durable before anyone receives the certificate."""

    agent: str
    serial_number: str
    certificate: str
    certificate_sha256: str
    policy_sha256: str
    resolution_sha256: str
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
    """A certificate revocation list was signed."""

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


class IncidentRecorded(Entry, frozen=True, tag="incident_recorded"):
    """An ``incident_opened`` of the gate's log ``origin``, at ``index`` there, has arrived."""

    incident: str
    agent: str
    certificate_sha256: str
    origin: str
    index: int
    incident_kind: Literal["breaker", "hold"]
    score: Literal["risk", "anomaly"]
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


GateEntry = (
    GateOpened
    | AgentAdmitted
    | StatusActed
    | LeaseHeld
    | RateObserved
    | Decision
    | PermitSigned
    | Withdrawn
    | Execution
    | OutcomeUnresolved
    | CancelAsked
    | StopReported
    | Rearmed
    | BaselineAdopted
    | IncidentOpened
    | AccumulationRestarted
)
AuthorityEntry = (
    Founded
    | LogKeyCertified
    | RosterChanged
    | PolicyRegistered
    | ApprovalGiven
    | Resolved
    | CertificateIssued
    | StatusChanged
    | CrlIssued
    | GateBooted
    | IncidentRecorded
    | AlertSent
    | GraceStarted
    | IncidentAcknowledged
    | IncidentClosed
    | RearmAuthorised
    | BaselineLocked
)

_gate_decoder = msgspec.json.Decoder(GateEntry)
_authority_decoder = msgspec.json.Decoder(AuthorityEntry)


def encode_entry(entry: GateEntry | AuthorityEntry) -> bytes:
    """The canonical bytes of an entry: a leaf of the log."""
    return canonical(entry)


def decode_gate_entry(data: bytes) -> GateEntry:
    """Strict inverse of :func:`encode_entry` for the gate's log.

    Raises:
        MalformedInput: not canonical, unknown kind or field, wrong type.
    """
    entry: GateEntry = _decode(_gate_decoder, data)
    return entry


def decode_authority_entry(data: bytes) -> AuthorityEntry:
    """Strict inverse of :func:`encode_entry` for the authority's log.

    Raises:
        MalformedInput: not canonical, unknown kind or field, wrong type.
    """
    entry: AuthorityEntry = _decode(_authority_decoder, data)
    return entry


_E = TypeVar("_E")


def _decode(decoder: msgspec.json.Decoder[_E], data: bytes) -> _E:
    try:
        entry = decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise MalformedInput(f"not an entry of this log: {error}") from error
    if canonical(entry) != data:
        parse_plain(data)  # a more exact message where there is one
        raise MalformedInput("entry is not in canonical form")
    return entry
