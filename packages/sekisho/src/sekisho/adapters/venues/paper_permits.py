# SPDX-License-Identifier: Apache-2.0
"""What the paper venue demands of a permit (docs/spec/permit.md), on its own clock.

Three steps, each refusing with a stable reason: *read* (form), *authenticate* (whose it is and for
whom: the signature of a registered certificate), *judge* (whether it holds now: chain, expiry,
environment, policy digest, status, and the certificate's scope as a second line behind the gate).
Whether a permit was taken before is not known here; ``paper`` keeps that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET

from sekisho.core.amounts import ceil_cent, parse_amount
from sekisho.core.encoding import canonical, parse_plain, unb64
from sekisho.core.errors import MalformedInput, VerificationFailed
from sekisho.core.gate.order import NewOrder, parse_order
from sekisho.core.gate.permit import (
    Permit,
    check_signature,
    load_public_key,
    permit_id,
    read_permit,
    split,
)
from sekisho.core.identity.chain import verify_chain
from sekisho.core.identity.ocsp import verify_ocsp
from sekisho.core.identity.profile import AgentCertificate, Arc, parse_agent_certificate
from sekisho.core.markets import pair_of
from sekisho.core.scope import Scope
from sekisho.core.terms import NS, parse_instant
from sekisho.ports import Clock

PERMIT_CHARS_MAX = 32_768
CLOCK_TOLERANCE_S = 5
"""A permit may have been issued so far in the future of the venue's clock."""
_ARC = Arc()


@dataclass(frozen=True)
class VenueTrust:
    """What the venue was told by people: its own name, and whom it believes.

    Attributes:
        name: as permits write it.
        environments: those in which its certificates may be (``test``, ``rehearsal`` …).
        root, issuing: certificates of the authority, DER.
        arc: the authority's object identifiers.
    """

    name: str
    environments: frozenset[str]
    root: bytes
    issuing: bytes
    arc: Arc = _ARC


class PermitControls(msgspec.Struct, frozen=True):
    """Of the policy's risk controls what a venue looks at."""

    permit_lifetime_s: int


class CertificateTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the scope extension carries of the policy."""

    agent: str
    environment: str
    operator: dict[str, Any]
    risk_controls: PermitControls
    scope: Scope
    version: int


class _Registered(NamedTuple):
    der: bytes
    certificate: AgentCertificate
    terms: CertificateTerms


class Claim(NamedTuple):
    """A permit that could be read; nothing in it is believed yet."""

    permit: Permit
    order: NewOrder
    replaces: str | None
    signing_input: bytes
    signature: bytes
    issued_at: int
    expires_at: int


class PermitRejected(Exception):
    """Why a permit is not executed; caught within the venue."""

    def __init__(self, reason: str, detail: str, claim: Claim | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.claim = claim


class PermitRules:
    """The venue's examination of permits."""

    def __init__(self, trust: VenueTrust, clock: Clock) -> None:
        self._trust = trust
        self._clock = clock
        self._certificates: dict[str, _Registered] = {}

    def know_certificate(self, der: bytes) -> None:
        """Register an agent's certificate.

        Raises:
            MalformedInput: it is not one.
            VerificationFailed: its chain does not hold now.
        """
        certificate = parse_agent_certificate(der, self._trust.arc)
        self._check_chain(der)
        terms = read_terms(certificate)
        self._certificates[certificate.sha256] = _Registered(der, certificate, terms)

    def read(self, text: str) -> Claim:
        """Read a permit. Raises PermitRejected ``permit_malformed``."""
        if len(text) > PERMIT_CHARS_MAX:
            raise PermitRejected("permit_malformed", f"longer than {PERMIT_CHARS_MAX} characters")
        try:
            permit = read_permit(text)
            order = parse_order(canonical(permit.order))
            issued_at = parse_instant(permit.issued_at, "issued_at")
            expires_at = parse_instant(permit.expires_at, "expires_at")
            own_id = permit_id(permit.log_origin, permit.log_index)
        except (MalformedInput, UnicodeError) as error:
            raise PermitRejected("permit_malformed", str(error)) from error
        replaces = None if permit.replaces is UNSET else permit.replaces
        if (
            not isinstance(order, NewOrder)
            or permit.permit_id != own_id
            or (order.venue, order.account) != (permit.venue, permit.account)
            or replaces == order.client_order_id
        ):
            raise PermitRejected("permit_malformed", "its parts contradict each other")
        message, signature = split(text)
        return Claim(permit, order, replaces, message, signature, issued_at, expires_at)

    def authenticate(self, claim: Claim) -> None:
        """Whose permit it is, and that it is for this venue.

        Raises:
            PermitRejected: ``unknown_certificate``, ``signature_invalid``, ``agent_mismatch``,
                ``wrong_venue``.
        """
        known = self._certificates.get(claim.permit.certificate_sha256)
        if known is None:
            raise PermitRejected("unknown_certificate", claim.permit.certificate_sha256, claim)
        try:
            key = load_public_key(known.certificate.public_key)
            check_signature(key, claim.signing_input, claim.signature)
        except VerificationFailed as error:
            raise PermitRejected("signature_invalid", str(error), claim) from error
        if claim.permit.agent != known.certificate.agent:
            raise PermitRejected("agent_mismatch", known.certificate.agent, claim)
        if claim.permit.venue != self._trust.name:
            raise PermitRejected("wrong_venue", claim.permit.venue, claim)

    def judge(self, claim: Claim) -> None:
        """Whether an authentic permit holds now.

        Raises:
            PermitRejected: ``wrong_environment``, ``permit_expired``, ``permit_not_yet_valid``,
                ``permit_lifetime_too_long``, ``certificate_invalid``, ``policy_mismatch``,
                ``status_not_good``, ``market_not_allowed``, ``venue_not_allowed``,
                ``exceeds_scope_size``.
        """
        permit, now = claim.permit, self._clock.now_ns()
        known = self._certificates[permit.certificate_sha256]
        environment = known.terms.environment
        if permit.environment != environment or environment not in self._trust.environments:
            raise PermitRejected("wrong_environment", permit.environment, claim)
        if now >= claim.expires_at:
            raise PermitRejected("permit_expired", permit.expires_at, claim)
        if claim.issued_at > now + CLOCK_TOLERANCE_S * NS:
            raise PermitRejected("permit_not_yet_valid", permit.issued_at, claim)
        if claim.expires_at - claim.issued_at > known.terms.risk_controls.permit_lifetime_s * NS:
            raise PermitRejected("permit_lifetime_too_long", permit.expires_at, claim)
        try:
            self._check_chain(known.der)
        except VerificationFailed as error:
            raise PermitRejected("certificate_invalid", str(error), claim) from error
        if permit.policy_sha256 != known.certificate.policy_sha256:
            raise PermitRejected("policy_mismatch", known.certificate.policy_sha256, claim)
        self._check_status(claim, known.der, now)
        _check_scope(claim, known.terms.scope, self._trust.name)

    def _check_chain(self, der: bytes) -> None:
        verify_chain(
            der,
            self._trust.issuing,
            self._trust.root,
            self._clock.now_ns(),
            self._trust.arc.order_signing(),
        )

    def _check_status(self, claim: Claim, der: bytes, now: int) -> None:
        try:
            response = unb64(claim.permit.ocsp)
            said = verify_ocsp(response, self._trust.issuing, der, now).status
        except (MalformedInput, VerificationFailed) as error:
            raise PermitRejected("status_not_good", str(error), claim) from error
        if said.status != "good":
            raise PermitRejected("status_not_good", said.status, claim)


def read_terms(certificate: AgentCertificate) -> CertificateTerms:
    """What a certificate's scope extension says (docs/spec/certificate.md, section 4).

    Raises:
        MalformedInput: it is not of that form, or about another agent than the subject.
    """
    try:
        terms = msgspec.convert(parse_plain(certificate.scope_json), CertificateTerms)
    except msgspec.ValidationError as error:
        raise MalformedInput(f"the certificate's scope cannot be read: {error}") from error
    if terms.agent != certificate.agent:
        raise MalformedInput("the certificate's scope is that of another agent")
    return terms


def _check_scope(claim: Claim, scope: Scope, venue: str) -> None:
    """What can be told without rates and counters: market, venue, and size in the own currency."""
    order = claim.order
    if pair_of(order.market)[0] not in {pair_of(market)[0] for market in scope.markets}:
        raise PermitRejected("market_not_allowed", order.market, claim)
    if scope.venues != "none" and venue not in scope.venues:
        raise PermitRejected("venue_not_allowed", venue, claim)
    if (
        scope.order_notional_max != "none"
        and order.currency == scope.currency
        and ceil_cent(parse_amount(order.quantity)) > parse_amount(scope.order_notional_max)
    ):
        raise PermitRejected("exceeds_scope_size", order.quantity, claim)
