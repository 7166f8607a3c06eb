# SPDX-License-Identifier: Apache-2.0
"""Issuing certificates: to agents on the strength of a resolution, and to logs.

An agent's certificate is decided, built, read back and sequenced with no await in between, so that
two calls cannot both find that the agent has none. Nobody receives it before its entry is durable:
a crash before that leaves no certificate, or one on record that nobody holds.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from sekisho.core.encoding import b64, canonical, sha256, sha256_hex
from sekisho.core.errors import MalformedInput, NotAuthorised, VerificationFailed
from sekisho.core.events import CertificateIssued, LogKeyCertified
from sekisho.core.governance.duties import authorise, check_separation
from sekisho.core.governance.policy import Policy
from sekisho.core.governance.roster import Roster
from sekisho.core.governance.signatures import read_public_key, verify_signature
from sekisho.core.identity.above import obstacles
from sekisho.core.identity.approvals import lapsed
from sekisho.core.identity.chain import verify_chain
from sekisho.core.identity.profile import (
    AgentCertificate,
    Holder,
    Names,
    agent_certificate,
    load,
    log_certificate,
    nanoseconds,
    parse_agent_certificate,
    serial_hex,
    serial_number,
    spki,
)
from sekisho.core.identity.records import RegisteredPolicy
from sekisho.core.identity.renewal import renewed
from sekisho.core.identity.scope_extension import scope_json
from sekisho.core.ledger.note import VerifierKey
from sekisho.core.terms import NS, format_instant, parse_instant
from sekisho.ports import Entropy
from sekisho.services.approved import ApprovedPolicies
from sekisho.services.presigned import IssuingKey
from sekisho.services.registerlog import RegisterLog

POSSESSION_CONTEXT = b"sekisho/possession/v1\n"


class IssuedCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate (DER) with its chain and its place in the authority's log."""

    agent: str
    certificate: bytes
    certificate_sha256: str
    serial_number: str
    not_before: str
    not_after: str
    issuing_certificate: bytes
    root_certificate: bytes
    authority_index: int


def possession_message(
    *, agent: str, environment: str, policy_sha256: str, public_key_spki: bytes
) -> bytes:
    """What the agent's key signs to show that whoever asks holds it (docs/spec/authority.md)."""
    return POSSESSION_CONTEXT + canonical(
        {
            "agent": agent,
            "environment": environment,
            "policy_sha256": policy_sha256,
            "public_key": b64(public_key_spki),
        }
    )


class Certification:
    """Issues for one authority."""

    def __init__(
        self,
        log: RegisterLog,
        *,
        names: Names,
        issuing_key: IssuingKey,
        entropy: Entropy,
        own_keys: frozenset[bytes],
        approved: ApprovedPolicies,
    ) -> None:
        self._log = log
        self._names = names
        self._issuing_key = issuing_key
        self._entropy = entropy
        self._own_keys = own_keys
        self._approved_policies = approved

    async def certify_log(self, origin: str, public_key_spki: bytes) -> bytes:
        """Bind a log's Ed25519 key to its origin; the same key again gets the same certificate.

        Raises:
            MalformedInput: not an Ed25519 key, or an origin that notes do not allow.
            NotAuthorised: the origin has a certificate for another key.
        """
        VerifierKey.from_spki(origin, public_key_spki)
        known = self._log.state.log_keys.get(origin)
        if known is None:
            serial, now = self._serial(), self._log.now()
            known = await self._issuing_key.run(
                lambda: self._issue_log(origin, public_key_spki, serial, now)
            )
        elif spki(load(known)) != public_key_spki:
            raise NotAuthorised(
                f"the log {origin!r} has a certificate for another key",
                "--gate",
                "choose another --gate: this name is taken, and a log keeps its key",
            )
        await self._log.all_durable()
        return known

    def _issue_log(self, origin: str, public_key_spki: bytes, serial: int, now: int) -> bytes:
        known = self._log.state.log_keys.get(origin)
        if known is not None and spki(load(known)) == public_key_spki:
            return known  # certified while the key signed
        issuing = self._log.state.issuing_certificate
        der = log_certificate(
            names=self._names,
            issuing=issuing,
            issuing_key=self._issuing_key.key,
            serial=serial,
            origin=origin,
            public_key=public_key_spki,
            not_before_ns=now,
            not_after_ns=nanoseconds(load(issuing).not_valid_after_utc),
        )
        verify_chain(
            der,
            issuing,
            self._log.state.root_certificate,
            now,
            self._names.arc.checkpoint_signing(),
        )
        self._log.record(
            LogKeyCertified(
                at=self._log.at(),
                origin=origin,
                certificate=b64(der),
                serial_number=serial_hex(serial),
            )
        )
        return der

    async def issue(
        self,
        roster: Callable[[], Roster],
        agent: str,
        policy_sha256: str,
        public_key_spki: bytes,
        *,
        proof: bytes,
        issuer_seat: str,
        operator_seat: str,
    ) -> IssuedCertificate:
        """Issue an agent's order-signing certificate under an approved policy.

        Args:
            roster: gives the one in force.
            agent: whom the policy is for.
            policy_sha256: the policy's digest.
            public_key_spki: a P-256 key, DER, that was never certified before.
            proof: its signature (DER) over ``certification.possession_message``.
            issuer_seat: who issues; a role ``issuer`` of the roster.
            operator_seat: who runs the gate; a role ``operator`` of the roster.

        Raises:
            NotAuthorised: no resolution in force, a kill since, an active certificate that the
                policy does not let be renewed, duties, a key used before.
            MalformedInput: not a P-256 key.
            VerificationFailed: the proof does not hold, or the certificate failed its own reading.
            StorageFailed, OutcomeUnknown: the log; nobody received a certificate.
        """
        # Judged, built and recorded in one go, with the serial number and the begin of the first
        # attempt: what the key signed meanwhile counts only if all of it still holds.
        serial, begins = self._serial(), self._log.now() // NS * NS
        index = await self._issuing_key.run(
            lambda: self._issue(
                roster(),
                agent,
                policy_sha256,
                public_key_spki,
                proof,
                issuer_seat,
                operator_seat,
                serial,
                begins,
            )
        )
        await self._log.durable(index)
        record = next(one for one in self._log.state.agents[agent] if one.index == index)
        return IssuedCertificate(
            agent=agent,
            certificate=record.certificate,
            certificate_sha256=record.sha256,
            serial_number=record.serial_number,
            not_before=format_instant(record.not_before),
            not_after=format_instant(record.not_after),
            issuing_certificate=self._log.state.issuing_certificate,
            root_certificate=self._log.state.root_certificate,
            authority_index=index,
        )

    def _issue(
        self,
        roster: Roster,
        agent: str,
        policy_sha256: str,
        public_key_spki: bytes,
        proof: bytes,
        issuer_seat: str,
        operator_seat: str,
        serial: int,
        begins: int,
    ) -> int:
        self._log.require_sound()
        registered, policy = self._approved(roster, agent, policy_sha256)
        self._check_people(roster, registered, policy, issuer_seat, operator_seat)
        self._check_key(roster, policy, policy_sha256, public_key_spki, proof)
        before, cause = renewed(self._log.state, registered, self._log.now())
        if cause:
            raise NotAuthorised(cause)
        causes = obstacles(self._log.state, registered, self._log.now())
        if causes:
            raise NotAuthorised("\n".join([f"{agent!r} gets no certificate:", *causes]))
        der, found = self._build(registered, policy, public_key_spki, serial, begins)
        return self._log.record(
            CertificateIssued(
                at=self._log.at(),
                agent=agent,
                serial_number=serial_hex(serial),
                certificate=b64(der),
                certificate_sha256=sha256_hex(der),
                policy_sha256=policy_sha256,
                resolution_sha256=registered.resolution_sha256,
                renews="" if before is None else before.sha256,
                not_before=format_instant(found.not_before_ns),
                not_after=format_instant(found.not_after_ns),
            )
        )

    # -- conditions ----------------------------------------------------------------------------

    def _approved(
        self, roster: Roster, agent: str, policy_sha256: str
    ) -> tuple[RegisteredPolicy, Policy]:
        """The policy, if a resolution over it is in force, judged again from its signatures."""
        state, now = self._log.state, self._log.now()
        registered = state.policies.get(policy_sha256)
        if registered is None or registered.agent != agent:
            raise NotAuthorised(f"{agent!r} has no registered policy {policy_sha256[:64]}")
        gone = lapsed(state, registered)
        if gone:
            raise NotAuthorised(gone)
        policy = self._approved_policies.approved(registered, roster)
        if now >= parse_instant(policy.valid_until):
            raise NotAuthorised(f"policy {policy_sha256} ended at {policy.valid_until}")
        return registered, policy

    def _check_people(
        self,
        roster: Roster,
        registered: RegisteredPolicy,
        policy: Policy,
        issuer_seat: str,
        operator_seat: str,
    ) -> None:
        for act, name in (("issue", issuer_seat), ("operate", operator_seat)):
            seat = roster.find(name)
            if seat is None:
                raise NotAuthorised(f"{act}: the roster has no seat {name!r}")
            authorise(act, (seat,))
        resolution = registered.resolution or {}
        check_separation(
            proposer=policy.governance.documented_by,
            approvers=[approval["seat"] for approval in resolution["approvals"]],
            issuer=issuer_seat,
            operator=operator_seat,
        )

    def _check_key(
        self,
        roster: Roster,
        policy: Policy,
        policy_sha256: str,
        public_key_spki: bytes,
        proof: bytes,
    ) -> None:
        """A fresh P-256 key whose holder asks; a key of anybody or anything else is refused."""
        key = read_public_key(public_key_spki)
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise MalformedInput("an agent's key is P-256", "public_key")
        if sha256(public_key_spki) in self._log.used_keys:
            raise NotAuthorised("this key had a certificate before; make a new one")
        text = b64(public_key_spki)
        if public_key_spki in self._own_keys or any(row.public_key == text for row in roster.seats):
            raise NotAuthorised("this key is the authority's or a person's, not an agent's")
        message = possession_message(
            agent=policy.agent,
            environment=policy.environment,
            policy_sha256=policy_sha256,
            public_key_spki=public_key_spki,
        )
        verify_signature(public_key_spki, message, proof)

    # -- building ------------------------------------------------------------------------------

    def _serial(self) -> int:
        """A serial number that this authority has not used."""
        while True:
            serial = serial_number(self._entropy.bytes(16))
            if serial_hex(serial) not in self._log.state.serial_numbers:
                return serial

    def _build(
        self,
        registered: RegisteredPolicy,
        policy: Policy,
        public_key_spki: bytes,
        serial: int,
        now: int,
    ) -> tuple[bytes, AgentCertificate]:
        """The certificate, DER, read back and compared before it counts; and what was read."""
        state = self._log.state
        begins = max(now, parse_instant(policy.valid_from))
        ends = min(
            parse_instant(policy.valid_until),
            nanoseconds(load(state.issuing_certificate).not_valid_after_utc),
        )
        scope = scope_json(registered.policy)
        der = agent_certificate(
            names=self._names,
            holder=Holder(operator_name=policy.operator.name, operator_lei=policy.operator.lei),
            issuing=state.issuing_certificate,
            issuing_key=self._issuing_key.key,
            serial=serial,
            agent=policy.agent,
            public_key=public_key_spki,
            not_before_ns=begins,
            not_after_ns=ends,
            scope_json=scope,
            policy_sha256=registered.sha256,
        )
        found = parse_agent_certificate(der, self._names.arc, scope)
        wanted = (policy.agent, policy.operator.lei, serial, begins, ends, public_key_spki, scope)
        written = (
            found.agent,
            found.operator_lei,
            found.serial_number,
            found.not_before_ns,
            found.not_after_ns,
            found.public_key,
            found.scope_json,
        )
        if written != wanted or found.policy_sha256 != registered.sha256:
            raise VerificationFailed("the certificate does not say what was decided; not issued")
        verify_chain(
            der,
            state.issuing_certificate,
            state.root_certificate,
            begins,
            self._names.arc.order_signing(),
        )
        return der, found
