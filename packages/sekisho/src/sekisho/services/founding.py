# SPDX-License-Identifier: Apache-2.0
"""The keys of an authority, and the certificates that it is founded with.

Nothing is recorded here, and no key is kept: the founding entry holds the certificates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec

from sekisho.core.identity.profile import (
    Names,
    issuing_certificate,
    ocsp_responder_certificate,
    root_certificate,
    serial_number,
)
from sekisho.core.terms import DAY_S, NS
from sekisho.ports import Entropy, Signer

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
    """

    issuing: Signer
    responder: Signer
    x509_key: MakesKey
    root: Signer | None = None


def founding_certificates(
    keys: AuthorityKeys, root_signer: Signer, names: Names, now: int, entropy: Entropy
) -> tuple[bytes, bytes, bytes]:
    """Root, issuing CA and responder certificate, DER."""
    root_key = keys.x509_key(root_signer)
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
    responder = ocsp_responder_certificate(
        names=names,
        issuing=issuing,
        issuing_key=keys.x509_key(keys.issuing),
        serial=serial_number(entropy.bytes(16)),
        public_key=keys.responder.public_key,
        not_before_ns=now,
        not_after_ns=now + ISSUING_LIFETIME_S * NS,
    )
    return root, issuing, responder
