# SPDX-License-Identifier: Apache-2.0
"""Granting leases to gates (docs/spec/permit.md, docs/spec/authority.md section 5).

A gate gets the right to sign for some seconds if it shows that its log continues the one that the
authority saw last, in the boot that the authority knows as the present one. So a restored disk, a
fork, and an instance that another one has taken over from cannot trade. Nothing that could widen
leaves before everything that it was made from is durable.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import UNSET

from sekisho.core.encoding import b64, canonical, unb64
from sekisho.core.errors import (
    MalformedInput,
    NotAuthorised,
    OutcomeUnknown,
    StorageFailed,
    Unavailable,
    VerificationFailed,
)
from sekisho.core.events import GateBooted
from sekisho.core.ledger.merkle import EMPTY_ROOT, HASH_BYTES, verify_consistency
from sekisho.core.terms import NAME, NS, format_instant
from sekisho.ports import Clock, LeaseGranted, LeaseRequest, Signer
from sekisho.services.agentgates import AgentGates
from sekisho.services.leasing import CONTEXT, LeaseTerms, Moved
from sekisho.services.registerlog import RegisterLog
from sekisho.services.revocation import RevocationStatus
from sekisho.services.signing import signature_of

DURATION_DEFAULT_S = 15
DURATION_MAX_S = 60
CERTIFICATES_MAX = 256
_ATTEMPTS = 8
_HEX32 = re.compile(r"[0-9a-f]{32}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    """How far the authority saw a gate's log."""

    size: int
    root: bytes


class Leases:
    """All gates of one authority."""

    def __init__(
        self,
        log: RegisterLog,
        revocation: RevocationStatus,
        responder: Signer,
        clock: Clock,
        gates: AgentGates,
    ) -> None:
        self._log = log
        self._gates = gates
        self._revocation = revocation
        self._responder = responder
        self._clock = clock
        self._seen = {
            name: _Checkpoint(gate.tree_size, gate.root_hash)
            for name, gate in log.state.gates.items()
        }
        # What an earlier process granted is not in the log: each gate may hold the longest lease.
        for name in self._seen:
            gates.outstanding.opened(name, DURATION_MAX_S + log.journal.fence_s)

    async def last_seen(self, gate: str) -> int:
        """Tree size of the gate's log at its last lease or boot; 0 if none."""
        seen = self._seen.get(gate)
        return 0 if seen is None else seen.size

    async def lease(self, request: LeaseRequest) -> LeaseGranted:
        """Grant a lease, or refuse.

        Raises:
            MalformedInput: the request is not well made.
            NotAuthorised: no certified log, another gate's log, a fork, a rollback, an older boot.
            Unavailable: the status kept changing, the key did not answer, or the authority's log
                cannot be written; no lease.
        """
        try:
            return await self._lease(request)
        except (StorageFailed, OutcomeUnknown) as error:
            raise Unavailable(f"the authority grants no leases: {error}") from error

    async def _lease(self, request: LeaseRequest) -> LeaseGranted:
        self._log.require_sound()
        _check_form(request)
        checkpoint = self._check_log(request)
        booted = self._check_boot(request)
        # From the checks to here nothing was awaited: two instances cannot both be the first.
        self._seen[request.gate] = checkpoint
        if booted is not None:
            # Durable before the grant. A crash until then leaves, at most, a boot on record that
            # never traded; its next request is as good.
            self._log.record(booted)
        self._gates.claim_named(request.gate, request.certificates)
        for _ in range(_ATTEMPTS):
            granted = await self._grant(request)
            if granted is not None:
                return granted
        raise Unavailable("the status of certificates kept changing; ask again")

    # -- checks --------------------------------------------------------------------------------

    def _check_log(self, request: LeaseRequest) -> _Checkpoint:
        """The log must be a certified one and continue what was seen of it."""
        if request.origin not in self._log.state.log_keys:
            raise NotAuthorised(f"the log {request.origin!r} has no certified key")
        self._check_owner(request)
        seen = self._seen.get(request.gate, _Checkpoint(0, EMPTY_ROOT))
        if request.tree_size < seen.size:
            raise NotAuthorised(
                f"rollback: this log has {request.tree_size} entries, {seen.size} were seen"
            )
        if request.proof_from != seen.size:
            raise NotAuthorised(f"the proof begins at {request.proof_from}, seen is {seen.size}")
        try:
            root = unb64(request.root_hash)
            proof = [unb64(part) for part in request.proof]
            verify_consistency(seen.size, seen.root, request.tree_size, root, proof)
        except VerificationFailed as error:
            raise NotAuthorised(f"fork: {error}") from error
        return _Checkpoint(request.tree_size, root)

    def _check_owner(self, request: LeaseRequest) -> None:
        """A gate has one log, and a log one gate. Raises NotAuthorised."""
        state = self._log.state
        own, known = state.gates.get(request.gate), state.origins.get(request.origin, request.gate)
        if known != request.gate:
            raise NotAuthorised(f"the log {request.origin!r} belongs to the gate {known!r}")
        if own is not None and own.origin != request.origin:
            raise NotAuthorised(f"the log {own.origin!r} belongs to the gate {own.gate!r}")

    def _check_boot(self, request: LeaseRequest) -> GateBooted | None:
        """The entry of a new boot; None in the present one."""
        known = self._log.state.gates.get(request.gate)
        if known is not None and request.boot in known.earlier:
            raise NotAuthorised(
                f"boot {request.boot} of {request.gate!r} has been taken over by a later one"
            )
        if known is not None and request.boot == known.boot:
            return None
        return GateBooted(
            at=self._log.at(),
            gate=request.gate,
            boot=request.boot,
            origin=request.origin,
            tree_size=request.tree_size,
            root_hash=request.root_hash,
        )

    # -- granting ------------------------------------------------------------------------------

    async def _grant(self, request: LeaseRequest) -> LeaseGranted | None:
        """Sign a lease of the present epoch; None when the epoch changed meanwhile."""
        await self._log.all_durable()
        state, now = self._log.state, self._log.now()
        epoch = state.epoch
        known = [
            state.certificates[one]
            for one in request.certificates
            if one in state.certificates
            and self._gates.answers(request.gate, state.certificates[one].agent)
        ]
        duration = self._duration([record.policy_sha256 for record in known])
        terms = LeaseTerms(
            gate=request.gate,
            boot=request.boot,
            nonce=request.nonce,
            epoch=epoch,
            tree_size=request.tree_size,
            root_hash=request.root_hash,
            granted_at=format_instant(now),
            duration_s=duration,
            not_good=tuple(sorted(one.sha256 for one in known if one.status != "good")),
            moved=self._moved(request) or UNSET,
        )
        signature = await signature_of(self._clock, self._responder, CONTEXT + canonical(terms))
        end = -(-(now + duration * NS) // NS) * NS
        status = {}
        if self._log.now() < end:
            responses = [self._revocation.response(record, end) for record in known]
            made = await asyncio.gather(*responses)
            status = {one.sha256: b64(der) for one, der in zip(known, made, strict=True)}
        if self._log.now() >= end:
            # A gate counts from its request: nothing of this lease would be left.
            raise Unavailable("the responder's key was slower than the lease is long; ask again")
        if state.epoch != epoch:
            return None
        gate = state.gates[request.gate]
        if gate.boot != request.boot:
            raise NotAuthorised(f"boot {request.boot} has just been taken over by {gate.boot}")
        self._log.require_sound()
        self._gates.outstanding.granted(
            request.gate, frozenset(status), self._clock.monotonic_ns() + duration * NS, end
        )
        grant = canonical({"lease": terms, "signature": b64(signature)}).decode("ascii")
        return LeaseGranted(grant=grant, status=status)

    def _moved(self, request: LeaseRequest) -> dict[str, Moved]:
        """The agents of these certificates whose history is under way, for this gate."""
        certificates = self._log.state.certificates
        agents = {certificates[one].agent for one in request.certificates if one in certificates}
        found = {agent: self._gates.moved(request.gate, agent) for agent in sorted(agents)}
        return {agent: told for agent, told in found.items() if told is not None}

    def _duration(self, policies: Sequence[str]) -> int:
        """The smallest ``lease_s`` of these policies."""
        wanted = [
            self._log.state.policies[sha].policy["risk_controls"]["lease_s"] for sha in policies
        ]
        return min([DURATION_MAX_S, *wanted]) if wanted else DURATION_DEFAULT_S


def _check_form(request: LeaseRequest) -> None:
    """Raises MalformedInput for a request that no gate writes."""
    if NAME.fullmatch(request.gate) is None:
        raise MalformedInput("a gate has a name", "gate")
    for name, text in (("boot", request.boot), ("nonce", request.nonce)):
        if _HEX32.fullmatch(text) is None:
            raise MalformedInput(f"{name}: 32 hexadecimal digits are wanted", name)
    if len(unb64(request.root_hash)) != HASH_BYTES:
        raise MalformedInput("root_hash: 32 bytes are wanted", "root_hash")
    if len(request.certificates) > CERTIFICATES_MAX:
        raise MalformedInput(f"more than {CERTIFICATES_MAX} certificates", "certificates")
    if any(_DIGEST.fullmatch(one) is None for one in request.certificates):
        raise MalformedInput("certificates: a digest has 64 hexadecimal digits", "certificates")
