# SPDX-License-Identifier: Apache-2.0
"""What the services need from outside, as protocols with contracts.

Every adapter of a port, and the simulated one, passes the same conformance suite
(tests/conformance). Methods that can wait are async; each such call is a point at which a crash is
simulated. Errors: ``Unavailable`` and ``StorageFailed`` mean certainly no effect,
``OutcomeUnknown`` means maybe; no port answers with None or False for "could not".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

import msgspec


class Clock(Protocol):
    """Time. Nothing else in the product reads a clock."""

    def now_ns(self) -> int:
        """UTC, integer nanoseconds since 1970-01-01. May step; callers never let time run back."""
        ...

    def monotonic_ns(self) -> int:
        """Boot-time clock, integer nanoseconds; never steps, counts through suspension."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait at least so long on this clock."""
        ...

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Have ``callback`` called once, when at least so long has passed on this clock.

        It is never called from within this call. What is returned takes it back; called too late,
        or twice, that does nothing.
        """
        ...


class Entropy(Protocol):
    """Randomness: serial numbers, nonces, boot ids, salts."""

    def bytes(self, count: int) -> bytes:
        """``count`` unpredictable bytes."""
        ...


class Signer(Protocol):
    """One open key, named by URI (docs/spec/keys.md); it never leaves its custody.

    ``algorithm`` is ``"ES256"`` (P-256 and SHA-256; signatures are DER, as X.509 and openssl want
    them) or ``"Ed25519"`` (64 raw bytes).
    """

    @property
    def uri(self) -> str: ...

    @property
    def algorithm(self) -> str: ...

    @property
    def public_key(self) -> bytes:
        """SubjectPublicKeyInfo, DER."""
        ...

    async def sign(self, message: bytes) -> bytes:
        """Sign the message (hashing is the signer's). Raises Unavailable, KeyDisabled among it;
        never returns a guess. It may take seconds; whoever waits less cancels it.
        """
        ...

    def sign_blocking(self, message: bytes) -> bytes:
        """The same for callers outside the event loop (building certificates, CRLs, OCSP)."""
        ...


class Disk(Protocol):
    """A folder of files. Paths are relative, ``/``-separated, ASCII, without ``..``.

    Durability: what ``append``/``write_new`` wrote is on stable storage only after ``sync`` of that
    path returned; a name is there only after ``sync_folder`` of its parent returned. ``replace`` is
    atomic: a reader, also after a crash, sees the old or the new whole content, never a mixture,
    provided that the new content was synced first. A failed ``sync`` poisons the path: every later
    call on it raises StorageFailed until the process starts anew (a retry after a failed fsync
    lies). DescriptorsSpent, a StorageFailed: no file could be opened, nothing was changed and no
    path is poisoned; the same call may be made again.
    """

    async def read(self, path: str) -> bytes:
        """Whole content. Raises FileNotFoundError, StorageFailed."""
        ...

    def read_range(self, path: str, offset: int, length: int) -> bytes:
        """At most ``length`` bytes from ``offset`` on, at once; fewer where the file ends.

        For small parts of what was synced: it makes the caller wait, and nobody but the caller
        checks what comes. Raises FileNotFoundError, StorageFailed.
        """
        ...

    async def exists(self, path: str) -> bool: ...

    async def list(self, folder: str) -> list[str]:
        """Names in a folder (not recursive), sorted; empty when it does not exist."""
        ...

    async def append(self, path: str, data: bytes) -> None:
        """Append, creating the file (and its folders) if need be. Not durable before ``sync``.

        Raises StorageFailed (certainly nothing) or OutcomeUnknown (perhaps a part of it).
        """
        ...

    async def append_durably(self, path: str, data: bytes) -> None:
        """``append`` and ``sync`` in one trip, for callers that would await both.

        Raises what the two raise: StorageFailed (certainly nothing) or OutcomeUnknown.
        """
        ...

    async def write_new(self, path: str, data: bytes | bytearray) -> None:
        """Create with this content. Raises FileExistsError when the name is taken.

        The content is synced before it gets its name: after a crash the file is absent or whole.
        """
        ...

    async def replace(self, path: str, data: bytes) -> None:
        """Atomically and durably give ``path`` this content (temporary, sync, rename, sync
        folder).
        """
        ...

    async def truncate(self, path: str, size: int) -> None:
        """Cut the file; durable when this returns."""
        ...

    async def delete(self, path: str) -> None:
        """Take the name away; after a crash it may be back until ``sync_folder`` of its parent.

        Raises FileNotFoundError, StorageFailed.
        """
        ...

    async def sync(self, path: str) -> None:
        """Put the content on stable storage. On failure raises OutcomeUnknown and poisons the
        path.
        """
        ...

    async def sync_folder(self, folder: str) -> None: ...


class Quotation(msgspec.Struct, frozen=True, kw_only=True):
    """A two-sided quotation of one market by one source; amounts and instant as text."""

    market: str
    source: str
    bid: str
    ask: str
    quoted_at: str


class RateSource(Protocol):
    """Reference rates. What it answers is recorded before a decision uses it."""

    async def quotations(self, pairs: tuple[str, ...]) -> tuple[Quotation, ...]:
        """The latest quotation of each source for each pair, or its inverse market name.

        Args:
            pairs: currencies in alphabetical order, ``"EUR/USD"``. What is not known is left out:
                the gate refuses for the missing rate. Never waits longer than the adapter's limit.

        Raises:
            Unavailable: nothing could be asked.
        """
        ...


ExecType = Literal["new", "trade", "replaced", "canceled", "rejected", "expired", "not_found"]


class VenueReport(msgspec.Struct, frozen=True, kw_only=True):
    """An execution report (FIX 35=8). Amounts are text; ``"0"`` where they do not apply.

    ``client_order_id`` is the order's own id (for a replacement: the new one), never that of a
    cancel request. ``exec_id`` is unique for the venue: a report that arrives twice is one report.
    """

    agent: str
    client_order_id: str
    venue_order_id: str
    exec_id: str
    exec_type: ExecType
    last_quantity: str
    last_price: str
    cum_quantity: str
    leaves_quantity: str
    counterparty: str
    reason: str
    transact_at: str


class Venue(Protocol):
    """A trading venue, reached with the gate's own credential (never the agent's).

    Every call may raise ``Unavailable`` (certainly not received) or ``OutcomeUnknown`` (perhaps
    received: ask with :meth:`order_reports` before anything else). Reports that a call returns may
    come again through :meth:`reports_since`; ``exec_id`` tells.
    """

    @property
    def name(self) -> str: ...

    async def submit(self, permit: str) -> tuple[VenueReport, ...]:
        """Hand over a permit (new order or amendment); what the venue said at once."""
        ...

    async def cancel(self, agent: str, client_order_id: str) -> tuple[VenueReport, ...]:
        """Cancel a resting order, under the gate's operations identity."""
        ...

    async def open_orders(self, agent: str) -> tuple[str, ...]:
        """Client order ids of everything of this agent that can still be executed, sorted."""
        ...

    async def order_reports(self, agent: str, client_order_id: str) -> tuple[VenueReport, ...]:
        """All reports of one order; exactly one ``not_found`` when the venue never saw it."""
        ...

    async def reports_since(self, sequence: int) -> tuple[int, tuple[VenueReport, ...]]:
        """Drop copy: every report after ``sequence``, in order, and the new sequence."""
        ...


class LeaseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One gate instance asks for the right to sign; see docs/spec/permit.md.

    ``proof`` is the consistency proof (base64 hashes) from ``proof_from``, the tree size that the
    authority last saw of this gate, to ``tree_size``.
    """

    gate: str
    boot: str
    nonce: str
    origin: str
    tree_size: int
    root_hash: str
    proof_from: int
    proof: tuple[str, ...]
    certificates: tuple[str, ...]


class LeaseGranted(msgspec.Struct, frozen=True, kw_only=True):
    """``grant`` is signed text; ``status`` maps certificate digest to an OCSP response (base64)."""

    grant: str
    status: dict[str, str]


class IncidentReport(msgspec.Struct, frozen=True, kw_only=True):
    """An ``incident_opened`` entry of the gate's log ``origin``, at ``index`` there."""

    origin: str
    index: int
    incident: str
    agent: str
    certificate_sha256: str
    incident_kind: Literal["breaker", "hold", "break"]
    score: Literal["risk", "anomaly", "venue"]
    factor: str
    observed: str
    threshold: str


class AuthorityLink(Protocol):
    """How a gate reaches the authority."""

    async def last_seen(self, gate: str) -> int:
        """Tree size of the gate's log at the last lease or boot; 0 if none. Raises Unavailable."""
        ...

    async def lease(self, request: LeaseRequest) -> LeaseGranted:
        """Raises NotAuthorised (fork, rollback, second instance) or Unavailable."""
        ...


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """What people are told of an incident; names no person.

    ``until`` is the instant before which nothing that is told here takes effect by time alone,
    ``""`` where nothing does; ``can`` says in words what can be done.
    """

    incident: str
    agent: str
    about: Literal["opened", "overdue", "revoked", "released"]
    incident_kind: Literal["breaker", "hold", "break"]
    score: Literal["risk", "anomaly", "venue"]
    factor: str
    observed: str
    threshold: str
    state: str
    until: str
    can: str


class Notifier(Protocol):
    """One channel that reaches people. The same alert may come twice: it is told twice."""

    @property
    def name(self) -> str:
        """The channel's name, as entries carry it; the same for as long as it is configured."""
        ...

    async def notify(self, alert: Alert) -> None:
        """Deliver the alert; returns only when it was taken over durably by the channel.

        Raises:
            Unavailable: it was certainly or probably not delivered; nobody counts as told.
        """
        ...
