# SPDX-License-Identifier: Apache-2.0
"""The keys of an authority, and the certificates that it is founded with.

Nothing is recorded here, and no key is kept: the founding entry holds the certificates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from sekisho.core.errors import ConfigurationInvalid, VerificationFailed
from sekisho.core.identity.chain import check_authorities, check_time
from sekisho.core.identity.oids import Arc
from sekisho.core.identity.profile import (
    Names,
    granted_usages,
    issuing_certificate,
    load,
    nanoseconds,
    ocsp_responder_certificate,
    root_certificate,
    serial_number,
    spki,
)
from sekisho.core.terms import DAY_S, NS
from sekisho.ports import Clock, Entropy, Signer
from sekisho.services.presigned import AwaitedKey, IssuingKey

ROOT_LIFETIME_S = 10 * 365 * DAY_S
ISSUING_LIFETIME_S = 5 * 365 * DAY_S


class MakesKey(Protocol):
    """Makes a ``cryptography`` private key that signs through a signer."""

    def __call__(self, signer: Signer) -> ec.EllipticCurvePrivateKey: ...


@dataclass(frozen=True, slots=True)
class AuthorityKeys:
    """The keys of an authority, all P-256.

    Attributes:
        root: needed to found; afterwards it is offline and None.
        issuing: signs certificates and CRLs.
        responder: signs status responses and leases.
        x509_key: how the library that builds certificates reaches a signer.
        distant: they are in a token or a service: their signatures are awaited.
    """

    issuing: Signer
    responder: Signer
    x509_key: MakesKey
    root: Signer | None = None
    distant: bool = False

    def work_with(self, signer: Signer, clock: Clock) -> IssuingKey:
        """One of the two as what certificates, CRLs and responses are made with."""
        key = self.x509_key(signer)
        return AwaitedKey(key, signer, clock) if self.distant else IssuingKey(key)


@dataclass(frozen=True, slots=True)
class CeremonyCertificates:
    """Root and issuing CA that were made elsewhere, DER; the root's key is not here."""

    root: bytes
    issuing: bytes


def founding_certificates(
    keys: AuthorityKeys,
    names: Names,
    now: int,
    entropy: Entropy,
    given: CeremonyCertificates | None = None,
) -> tuple[bytes, bytes, bytes]:
    """Root, issuing CA and responder certificate, DER: the first two made, or given and checked.

    Raises:
        ConfigurationInvalid: there is neither a root key nor a root; two of the keys are the same;
            what was given is for another key than the issuing one.
        MalformedInput, VerificationFailed: what was given is not of the profile.
    """
    root, issuing = _made(keys, names, now, entropy) if given is None else _given(given, keys, now)
    if len({spki(load(root)), keys.issuing.public_key, keys.responder.public_key}) < 3:
        raise ConfigurationInvalid("root, issuing CA and responder have three different keys")
    check_granted(issuing, names.arc)
    responder = ocsp_responder_certificate(
        names=names,
        issuing=issuing,
        issuing_key=keys.x509_key(keys.issuing),
        serial=serial_number(entropy.bytes(16)),
        public_key=keys.responder.public_key,
        not_before_ns=now,
        not_after_ns=nanoseconds(load(issuing).not_valid_after_utc),
    )
    return root, issuing, responder


def _made(keys: AuthorityKeys, names: Names, now: int, entropy: Entropy) -> tuple[bytes, bytes]:
    if keys.root is None:
        raise ConfigurationInvalid("an authority is founded with its root key, or its certificates")
    root_key = keys.x509_key(keys.root)
    root = root_certificate(
        names=names,
        key=root_key,
        serial=serial_number(entropy.bytes(16)),
        not_before_ns=now,
        not_after_ns=now + ROOT_LIFETIME_S * NS,
    )
    issuing = issuing_certificate(
        names=names,
        root=root,
        root_key=root_key,
        public_key=keys.issuing.public_key,
        serial=serial_number(entropy.bytes(16)),
        not_before_ns=now,
        not_after_ns=now + ISSUING_LIFETIME_S * NS,
    )
    return root, issuing


def _given(given: CeremonyCertificates, keys: AuthorityKeys, now: int) -> tuple[bytes, bytes]:
    """What a ceremony made, if its path holds now and is for the issuing key."""
    check_authorities(given.issuing, given.root)
    for der, name in ((given.root, "root"), (given.issuing, "issuing CA")):
        check_time(load(der), name, now)
    if spki(load(given.issuing)) != keys.issuing.public_key:
        raise ConfigurationInvalid(
            "the issuing CA's certificate is for another key than this authority's",
            "--issuing",
            "have the request that lies in this home certified",
        )
    return given.root, given.issuing


def check_granted(issuing: bytes, arc: Arc) -> None:
    """Whether an issuing CA may grant exactly what this authority certifies.

    Raises:
        VerificationFailed: other usages, or those of another arc.
    """
    wanted = set(granted_usages(arc))
    for part in load(issuing).extensions:
        if isinstance(part.value, x509.ExtendedKeyUsage) and set(part.value) == wanted:
            return
    raise VerificationFailed("the issuing CA may not grant the usages of this authority's arc")
