# SPDX-License-Identifier: Apache-2.0
"""Requests for certificates in PKCS#10 (docs/spec/authority.md, sections 1 and 7).

Only the key is taken from a request, whose own signature shows that its maker held it. Subject and
extensions decide nothing: what a certificate says comes from the policy. That the holder wants this
agent and this policy is shown by the proof of possession beside it, never by the request.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sekisho.core.errors import MalformedInput, NotAuthorised, VerificationFailed
from sekisho.core.identity.reading import is_p256

REQUEST_BYTES_MAX = 8_192
_DER = serialization.Encoding.DER


def key_requested(der: bytes, agent: str) -> bytes:
    """The key that a request for an agent's certificate is for, DER SubjectPublicKeyInfo.

    Args:
        der: PKCS#10, DER.
        agent: whom the certificate is for.

    Raises:
        MalformedInput, VerificationFailed: as :func:`read_request`.
        NotAuthorised: its subject or alternative name is another agent's.
    """
    key, names = read_request(der)
    for name in names:
        if name != agent:
            raise NotAuthorised(f"the request is for {name[:64]!r}, not for {agent!r}", "request")
    return key


def read_request(der: bytes) -> tuple[bytes, list[str]]:
    """The key of a request, DER SubjectPublicKeyInfo, and whom it names.

    Raises:
        MalformedInput: not a request of a P-256 key, signed with SHA-256.
        VerificationFailed: it is not signed by the key that it is for.
    """
    if len(der) > REQUEST_BYTES_MAX:
        raise MalformedInput(f"a request has at most {REQUEST_BYTES_MAX} bytes", "request")
    try:
        found = x509.load_der_x509_csr(der)
        key, names = found.public_key(), _names(found)
        usual = isinstance(found.signature_hash_algorithm, hashes.SHA256)
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, Warning) as error:
        raise MalformedInput(f"not a PKCS#10 request: {error}", "request") from error
    if not usual or not is_p256(key) or not isinstance(key, ec.EllipticCurvePublicKey):
        raise MalformedInput("a request is for a P-256 key, signed with SHA-256", "request")
    try:
        key.verify(found.signature, found.tbs_certrequest_bytes, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise VerificationFailed(
            "the request is not signed by the key that it is for", "request"
        ) from error
    return key.public_bytes(_DER, serialization.PublicFormat.SubjectPublicKeyInfo), names


def _names(found: x509.CertificateSigningRequest) -> list[str]:
    """Whom a request names: by common name, or by the last part of a URI."""
    names = [str(one.value) for one in found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    for part in found.extensions:
        if isinstance(part.value, x509.SubjectAlternativeName):
            uris = part.value.get_values_for_type(x509.UniformResourceIdentifier)
            names += [uri.rpartition("/")[2] for uri in uris]
    return names


def make_request(key: ec.EllipticCurvePrivateKey, common_name: str) -> bytes:
    """A request of this key, DER; what it says besides decides nothing."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return builder.sign(key, hashes.SHA256()).public_bytes(_DER)


def request_pem(der: bytes) -> bytes:
    """The same request as PEM. Raises MalformedInput."""
    read_request(der)
    return x509.load_der_x509_csr(der).public_bytes(serialization.Encoding.PEM)


def request_der(text: bytes) -> bytes:
    """A request as DER, from PEM or DER. Raises MalformedInput."""
    if not text.lstrip().startswith(b"-----BEGIN"):
        return text
    try:
        return x509.load_pem_x509_csr(text).public_bytes(_DER)
    except ValueError as error:
        raise MalformedInput(f"not a PKCS#10 request: {error}", "request") from error
