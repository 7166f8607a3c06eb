# SPDX-License-Identifier: Apache-2.0
"""Requests for certificates as an agent's keeper makes them, for tests of the control plane."""

from __future__ import annotations

from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

from sekisho.core.encoding import b64
from sekisho.core.governance.document import Registration
from sekisho.services.certification import possession_message
from tests.authority_world import AGENT, p256
from tests.unit.core.governance import samples

SHA1 = hashes.SHA1()  # noqa: S303 - openssl names certificates by it; it proves nothing
SHA256 = hashes.SHA256()


def named(common_name: str) -> x509.Name:
    """A subject with this common name alone; none for an empty one."""
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
    return x509.Name(parts)


def request_of(key: Any, common_name: str = AGENT, uri: str = "", algorithm: Any = SHA256) -> bytes:
    """PKCS#10, DER."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(named(common_name))
    if uri:
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.DER)


def wanted(registration: Registration, number: int, **other: Any) -> dict[str, Any]:
    """The body of ``POST certificates`` for the key of this number; ``other`` replaces fields."""
    key = p256(number)
    message = possession_message(
        agent=registration.policy.agent,
        environment=registration.policy.environment,
        policy_sha256=registration.sha256,
        public_key_spki=samples.public_bytes(key),
    )
    return {
        "agent": registration.policy.agent,
        "policy_sha256": registration.sha256,
        "issuer_seat": "issuing_officer",
        "operator_seat": "gate_runner",
        "request": b64(request_of(key, registration.policy.agent)),
        "proof": b64(key.sign(message, ec.ECDSA(hashes.SHA256()))),
    } | other


def asked(
    certificate: bytes, issuing: bytes, *, nonce: bytes = b"", algorithm: Any = SHA1
) -> bytes:
    """An OCSP request, DER."""
    builder = ocsp.OCSPRequestBuilder().add_certificate(
        x509.load_der_x509_certificate(certificate),
        x509.load_der_x509_certificate(issuing),
        algorithm,
    )
    if nonce:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(serialization.Encoding.DER)
