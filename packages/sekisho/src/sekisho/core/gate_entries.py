# SPDX-License-Identifier: Apache-2.0
"""Every entry that a gate's log can hold (docs/spec/entries.md): closed, versioned by ``kind``."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from sekisho.core.terms import Reason

Latch = Literal["circuit_breaker", "repeated_executions", "consecutive_failures", "shutdown"]
ShutdownMode = Literal["cancel_only", "reduce_only"]
RefusedAs = Literal["malformed", "not_verified", "not_authorised", "used_before"]


class Entry(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="kind",
):
    """What all entries share: ``at``, the writer's log time, never below the entry before."""

    at: str


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


class RateUsed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, gc=False):
    """One quotation that a decision used (docs/spec/checks.md, 5).

    ``index``: of its ``rate_observed``; ``age_ms``: how old it was, below 0 when it is dated ahead.
    """

    index: int
    age_ms: int


class Decision(Entry, frozen=True, tag="decision"):
    """What the gate decided about one order, from the state of all entries before this one.

    ``order`` is the parsed order, or null when the body was malformed; ``body_sha256`` and
    ``body_bytes`` are of the bytes as received. ``notional`` is what the order reserves. ``rates``:
    by pair, then by source; empty when no rate was used.
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
    rates: dict[str, dict[str, RateUsed]]
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
    """A score crossed its threshold after the entry ``trigger``; no exposure is added any more.

    Of kind ``break``: the entry ``trigger`` shows what no permit of this gate covers; ``score`` is
    ``venue``, ``factor`` says what it is, ``observed`` is the venue, and ``agent`` and
    ``certificate_sha256`` are empty when the venue names no agent of this gate.
    """

    incident: str
    agent: str
    certificate_sha256: str
    incident_kind: Literal["breaker", "hold", "break"]
    score: Literal["risk", "anomaly", "venue"]
    factor: str
    observed: str
    threshold: str
    trigger: int


class AccumulationRestarted(Entry, frozen=True, tag="accumulation_restarted"):
    """The risk score begins anew: entries ``first`` to ``last`` are left out of it from here on."""

    agent: str
    first: int
    last: int


class ShutdownOrdered(Entry, frozen=True, tag="shutdown_ordered"):
    """A named person narrowed what the agent may still do, at this gate, without the authority.

    It only narrows: ``reduce_only`` after ``cancel_only`` changes nothing. ``commands`` are the
    signed commands, verbatim.
    """

    agent: str
    mode: ShutdownMode
    seats: tuple[str, ...]
    commands: tuple[str, ...]


class LocalStop(Entry, frozen=True, tag="local_stop"):
    """A named person stopped the agent at this gate; the authority hears of it afterwards.

    ``commands`` are the signed commands (``hold`` or ``kill``), verbatim.
    """

    agent: str
    certificate_sha256: str
    seats: tuple[str, ...]
    commands: tuple[str, ...]


class CommandRefused(Entry, frozen=True, tag="command_refused"):
    """A command that this gate did not take. ``body_sha256`` is of what came; the text is not kept.

    ``unrecorded`` is how many others were refused since the entry before, beyond one a second.
    """

    detail: RefusedAs
    body_sha256: str
    unrecorded: int


class RosterRefused(Entry, frozen=True, tag="roster_refused"):
    """A roster that came is not the one that this gate was enrolled with: it is not believed.

    ``unrecorded`` is how many others were refused since the entry before, beyond one a minute.
    """

    roster_sha256: str
    unrecorded: int


class CallerRefused(Entry, frozen=True, tag="caller_refused"):
    """Somebody asked this gate without the right to: a token, a user or a signature did not hold.

    ``uid`` is the user id in decimal that the kernel said, empty where it said none. ``unrecorded``
    is how many others were refused since the entry before, beyond one a second.
    """

    front: Literal["http", "rest", "fix"]
    word: Literal["unauthenticated", "forbidden"]
    uid: str
    unrecorded: int


class Advised(Entry, frozen=True, tag="advised"):
    """The gate told an agent whether an order would pass; it cost a message and nothing else.

    ``reasons`` are codes.
    """

    agent: str
    body_sha256: str
    would_pass: bool
    reasons: tuple[str, ...]


class Shed(Entry, frozen=True, tag="shed"):
    """Messages of an agent beyond its admission budget since ``since``: nothing was done for them.

    ``bytes`` is their length together.
    """

    agent: str
    messages: int
    bytes: int
    since: str


class VenueReconciled(Entry, frozen=True, tag="venue_reconciled"):
    """The venue's drop copy and its open orders were read: orders for it may be permitted. Of the
    gate's agents ``open_orders`` rest there; of ``unknown`` working orders it has not told.
    """

    venue: str
    open_orders: int
    unknown: int


class VenueLost(Entry, frozen=True, tag="venue_lost"):
    """The venue could not be read for too long: nothing is permitted for it until it can."""

    venue: str
    detail: str


class RestingUnknown(Entry, frozen=True, tag="resting_unknown"):
    """The venue lists as open an order of an agent that is no working order of this gate."""

    venue: str
    agent: str
    client_order_id: str


class VenueContradicted(Entry, frozen=True, tag="venue_contradicted"):
    """The venue says two things of a working order that cannot both be so: neither is believed."""

    venue: str
    agent: str
    client_order_id: str
    contradiction: Literal["listed_and_never_seen", "open_and_never_seen", "open_and_not_listed"]


class VenueRearmed(Entry, frozen=True, tag="venue_rearmed"):
    """A venue's latch was re-armed by named people; ``incident`` is the break that had set it."""

    venue: str
    incident: str
    seats: tuple[str, ...]
    commands: tuple[str, ...]


class ClockObserved(Entry, frozen=True, tag="clock_observed"):
    """The gate's clock compared with the authority's, and with the boot-time clock since then.

    Differences are decimal digits of nanoseconds, with ``-`` where the gate's clock is behind.
    ``within``: both are at most what the policies of the admitted agents allow.
    """

    wall: str
    monotonic: str
    authority_difference_ns: str
    step_ns: str
    within: bool


class SnapshotTaken(Entry, frozen=True, tag="snapshot_taken"):
    """The folds of the first ``entries`` entries are in a file of this digest; it changes nothing.

    Opening may begin with that file instead of with the first entry (docs/spec/ledger.md, 10).
    """

    entries: int
    snapshot_sha256: str
