# SPDX-License-Identifier: Apache-2.0
"""The gate's lease: asked for by this instance, verified, recorded, and never extended by others.

The deadline is the boot-time clock when the request was *sent* plus the granted duration, so that a
slow or replayed answer cannot lengthen it. A lease that cannot be had is not an error here: orders
are then refused as ``lease_expired``, and the next one tries again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from sekisho.core.encoding import b64, canonical, parse_plain, unb64
from sekisho.core.errors import MalformedInput, NotAuthorised, Unavailable, VerificationFailed
from sekisho.core.events import HistoryAwaited, LeaseHeld, StatusActed
from sekisho.core.gate.agent import AgentState
from sekisho.core.gate.permit import check_signature, load_public_key
from sekisho.core.gate.state import Lease
from sekisho.core.terms import NS, parse_instant
from sekisho.ports import AuthorityLink, Clock, Entropy, LeaseRequest
from sekisho.services.clockwatch import ClockWatch
from sekisho.services.gatelog import GateLog

CONTEXT = b"sekisho/lease/v1\n"
DURATION_MAX_S = 60
"""A gate takes no longer lease; a rehearsal, which nobody can cut off, sets another bound."""
StatusReader = Callable[[bytes, str, int], Literal["good", "hold", "revoked"]]
"""``(OCSP response, certificate as base64 of DER, now) → status``; raises VerificationFailed."""


class Moved(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An agent whose history the gate that has it lacks (docs/spec/history.md).

    ``before`` owes it, ``gate`` has the agent by the move of ``epoch``; ``history`` is the digest
    of what was handed over, or empty.
    """

    before: str
    gate: str
    epoch: int
    history: str


class LeaseTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the authority signed (docs/spec/permit.md)."""

    gate: str
    boot: str
    nonce: str
    epoch: int
    tree_size: int
    root_hash: str
    granted_at: str
    duration_s: int
    not_good: tuple[str, ...]
    moved: dict[str, Moved] | UnsetType = UNSET


class Leasing:
    """Keeps the gate's lease alive."""

    def __init__(
        self,
        log: GateLog,
        authority: AuthorityLink,
        clock: Clock,
        entropy: Entropy,
        *,
        responder_key: bytes,
        read_status: StatusReader,
        duration_max_s: int = DURATION_MAX_S,
    ) -> None:
        self._log = log
        self._authority = authority
        self._clock = clock
        self._entropy = entropy
        self._key = load_public_key(responder_key)
        self._read_status = read_status
        self._duration_max_s = duration_max_s
        self._renewal: asyncio.Future[None] | None = None
        self._asking: asyncio.Future[None] | None = None
        self._read: tuple[str, LeaseTerms] | None = None
        self._asked = 0
        self._waiting: frozenset[str] = frozenset()
        """Certificates that the last lease called good, and that it could not lift: the authority
        was not known to have heard of what holds them."""
        self.clocks = ClockWatch(log, clock)
        self.last_failure: Exception | None = None
        self.moved: dict[str, Moved] = {}
        """What the last lease says of agents whose history is under way."""

    async def ensure(self, certificate: str = "") -> None:
        """See that there is a lease, and that it speaks of this certificate (its digest), if any.

        An agent that was admitted since the lease was asked for is in the next one, which is waited
        for. Never raises for a lease not had: what is decided without it is refused.
        """
        await self._ensure()
        for _ in range(2):
            held = self._log.state.lease
            if not certificate or held is None or certificate in held.status:
                return
            if self._asking is not None:
                await asyncio.shield(self._asking)
            else:
                await self._try()

    async def _ensure(self) -> None:
        """Renew the lease when less than half of it is left. Never raises for a lease not had.

        Also, once a second, while the clock is not within its bound; and when the authority has by
        now heard of all that kept an agent from being lifted by the last lease.

        One renewal at a time: who comes meanwhile goes on with the lease that there is, and waits
        for the new one where there is none.
        """
        held = self._log.state.lease
        now = self._clock.monotonic_ns()
        if held is not None:
            half = self._terms(held.grant).duration_s * NS // 2
            wanted = not self.clocks.sound() or self._heard_since()
            if held.deadline - now > half and not (wanted and now - self._asked >= NS):
                return
        if self._renewal is not None:
            if held is None or now >= held.deadline:
                # Refused for good would be an order whose lease is only on its way.
                await asyncio.shield(self._renewal)
            return
        self._renewal = asyncio.get_running_loop().create_future()
        try:
            await self._try()
        finally:
            self._renewal.set_result(None)
            self._renewal = None

    async def _try(self) -> None:
        try:
            await self.renew()
        except (NotAuthorised, Unavailable, VerificationFailed, MalformedInput) as error:
            self.last_failure = error

    def _heard_since(self) -> bool:
        """Whether a new lease could lift what the last one could not."""
        return bool(self._waiting) and bool(self._waiting - self._log.unheard())

    def ends_at_ns(self, grant: str) -> int:
        """The lease's end on the authority's clock: what a permit may not outlast, ns UTC.

        The deadline on the boot-time clock counts besides: a wall clock that was stepped moves
        neither of the two.
        """
        terms = self._terms(grant)
        return parse_instant(terms.granted_at) + terms.duration_s * NS

    def asked_at(self, held: Lease) -> int:
        """When a lease was asked for, boot-time clock of this boot, ns."""
        return held.deadline - self._terms(held.grant).duration_s * NS

    def _terms(self, grant: str) -> LeaseTerms:
        """The terms of the grant that is held, read once: every order asks."""
        if self._read is None or self._read[0] != grant:
            self._read = (grant, parse_grant(grant)[0])
        return self._read[1]

    async def renew(self) -> None:
        """Ask for a lease, verify it, record it, and act on the statuses that come with it.

        Raises:
            NotAuthorised: the authority sees a fork, a rollback or a second instance.
            Unavailable: it did not answer.
            VerificationFailed: the answer is not a lease for this request.
        """
        asking = self._asking = asyncio.get_running_loop().create_future()
        try:
            await self._ask()
        finally:
            asking.set_result(None)
            if self._asking is asking:
                self._asking = None

    async def _ask(self) -> None:
        state = self._log.state
        sent = self._asked = self._clock.monotonic_ns()
        unheard, mark = self._log.unheard(), self._log.journal.size
        known = await self._authority.last_seen(state.gate)
        journal = self._log.journal
        size = journal.durable_size
        if known > size:
            raise NotAuthorised(f"the authority saw {known} entries of this log, here are {size}")
        request = LeaseRequest(
            gate=state.gate,
            boot=state.boot,
            nonce=self._entropy.bytes(16).hex(),
            origin=self._log.origin,
            tree_size=size,
            root_hash=b64(journal.root(size)),
            proof_from=known,
            proof=tuple(b64(part) for part in journal.consistency_proof(known, size))
            if 0 < known < size
            else (),
            certificates=tuple(
                agent.certificate_sha256 for agent in self._log.state.agents.values()
            ),
        )
        granted = await self._authority.lease(request)
        terms = self._verify(granted.grant, request)
        # On record before anything is judged by this machine's clock; a difference takes no lease
        # away, so that what stops an agent arrives: it refuses orders.
        self.clocks.measured(parse_instant(terms.granted_at), sent)
        # What was opened while the answer was on its way is newer than the answer, heard or not.
        unheard |= self._log.unheard() | self._log.held_since(mark)
        changes = self._changes(terms, dict(granted.status), unheard)
        self._waiting = frozenset(
            agent.certificate_sha256
            for agent in state.agents.values()
            if agent.status == "hold"
            and agent.certificate_sha256 in unheard.intersection(granted.status)
            and agent.certificate_sha256 not in terms.not_good
        )
        self.moved = {} if terms.moved is UNSET else terms.moved
        self._await_histories()
        self._log.record(
            LeaseHeld(
                at=self._log.at(),
                epoch=terms.epoch,
                grant=granted.grant,
                deadline_monotonic=str(sent + terms.duration_s * NS),
                status=dict(granted.status),
            )
        )
        for change in changes:
            # Time went on since they were found: no entry's time is below that of the one before.
            self._log.record(msgspec.structs.replace(change, at=self._log.at()))

    def _await_histories(self) -> None:
        """From here on nothing is permitted for an agent that moved, before its history came."""
        for name, told in self.moved.items():
            held = self._log.state.agents.get(name)
            if held is not None and told.epoch > max(held.awaited, held.history):
                self._log.record(
                    HistoryAwaited(
                        at=self._log.at(), agent=name, before=told.before, epoch=told.epoch
                    )
                )

    def _verify(self, grant: str, request: LeaseRequest) -> LeaseTerms:
        terms, signature = parse_grant(grant)
        check_signature(self._key, CONTEXT + canonical(terms), signature)
        if (terms.gate, terms.boot, terms.nonce) != (request.gate, request.boot, request.nonce):
            raise VerificationFailed("the lease answers another request")
        if (terms.tree_size, terms.root_hash) != (request.tree_size, request.root_hash):
            raise VerificationFailed("the lease names another state of this log")
        held = self._log.state.lease
        if held is not None and terms.epoch < held.epoch:
            raise VerificationFailed(
                f"the lease is of epoch {terms.epoch}, the gate knows {held.epoch}"
            )
        if not 1 <= terms.duration_s <= self._duration_max_s:
            raise VerificationFailed(f"a lease lasts 1 to {self._duration_max_s} seconds")
        return terms

    def _changes(
        self, terms: LeaseTerms, status: dict[str, str], unheard: frozenset[str]
    ) -> list[StatusActed]:
        """What the authority says of each agent, where it is news; only a lease can widen.

        One that was asked for before the authority had heard of the incident that holds an agent
        does not: its newer epoch is about something else.

        Raises:
            VerificationFailed: a status response does not hold, or contradicts the lease.
        """
        changes: list[StatusActed] = []
        at, now = self._log.at(), self._log.clocks().now
        for agent in self._log.state.agents.values():
            said = status.get(agent.certificate_sha256)
            if said is None:
                continue
            seen = self._read_status(unb64(said), agent.certificate, now)
            listed = agent.certificate_sha256 in terms.not_good
            if listed == (seen == "good"):
                raise VerificationFailed("lease and status response contradict each other")
            if seen == "good" and agent.certificate_sha256 in unheard:
                continue
            if seen != agent.status and self._lawful(agent, seen, terms.epoch):
                changes.append(
                    StatusActed(
                        at=at,
                        agent=agent.agent,
                        certificate_sha256=agent.certificate_sha256,
                        status=seen,
                        reason="lease",
                        epoch=terms.epoch,
                    )
                )
        return changes

    @staticmethod
    def _lawful(agent: AgentState, seen: str, epoch: int) -> bool:
        """Revoked is final; what widens must be newer than what stopped."""
        if agent.status == "revoked":
            return False
        return seen != "good" or epoch > agent.epoch


def parse_grant(grant: str) -> tuple[LeaseTerms, bytes]:
    """The terms of a grant and their signature; the signature is not verified here.

    Raises:
        MalformedInput: not a grant in canonical form.
    """
    try:
        data = grant.encode("utf-8")
    except UnicodeError as error:
        raise MalformedInput("not a lease: no UTF-8 text") from error
    plain: Any = parse_plain(data)
    if not isinstance(plain, dict) or set(plain) != {"lease", "signature"}:
        raise MalformedInput("not a lease: lease and signature are needed")
    try:
        terms = msgspec.convert(plain["lease"], LeaseTerms)
    except msgspec.ValidationError as error:
        raise MalformedInput(f"not a lease: {error}") from error
    if canonical(plain) != data or not isinstance(plain["signature"], str):
        raise MalformedInput("not a lease in canonical form")
    return terms, unb64(plain["signature"])
