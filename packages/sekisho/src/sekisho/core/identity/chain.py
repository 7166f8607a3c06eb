# SPDX-License-Identifier: Apache-2.0
"""Verifying a certificate of this product up to a root that the caller trusts.

Our profile is closed: exactly three certificates, P-256 and SHA-256. So the path is checked rule by
rule here, and only that path: signatures, names, validity, basic constraints, key usage, the usage
that the caller asks for. Status is checked apart (``crl``, ``ocsp``).
"""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from sekisho.core.errors import VerificationFailed
from sekisho.core.identity.profile import load, seconds


def verify_chain(
    leaf: bytes, issuing: bytes, root: bytes, at_ns: int, usage: x509.ObjectIdentifier | None = None
) -> None:
    """Verify leaf ← issuing CA ← root at an instant.

    Args:
        leaf: end entity, DER.
        issuing: the issuing CA, DER.
        root: what the caller trusts, DER.
        at_ns: the time of use, ns UTC.
        usage: the one extended key usage that the leaf must have; None: not looked at.

    Raises:
        MalformedInput: not certificates.
        VerificationFailed: the path does not hold; the message says where.
    """
    chain = [load(leaf), load(issuing), load(root)]
    for certificate, name in zip(chain, ("certificate", "issuing CA", "root"), strict=True):
        _check_time(certificate, name, at_ns)
        _check_algorithm(certificate, name)
    _check_issued(chain[0], chain[1], "certificate")
    _check_issued(chain[1], chain[2], "issuing CA")
    _check_issued(chain[2], chain[2], "root")
    _check_authority(chain[1], "issuing CA", 0)
    _check_authority(chain[2], "root", 1)
    _check_end(chain[0], usage)


def _check_time(certificate: x509.Certificate, name: str, at_ns: int) -> None:
    at = seconds(at_ns)
    if at < certificate.not_valid_before_utc:
        raise VerificationFailed(f"the {name} is not valid before its {at:%Y-%m-%d %H:%M:%S}Z")
    # not_after is exclusive here, so that the gate and a verifier agree to the nanosecond
    if at >= certificate.not_valid_after_utc:
        raise VerificationFailed(f"the {name} was no longer valid at {at:%Y-%m-%d %H:%M:%S}Z")


def _check_algorithm(certificate: x509.Certificate, name: str) -> None:
    algorithm = certificate.signature_hash_algorithm
    if not isinstance(algorithm, hashes.SHA256):
        raise VerificationFailed(f"the {name} is not signed with SHA-256")


def _check_issued(certificate: x509.Certificate, issuer: x509.Certificate, name: str) -> None:
    key = issuer.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise VerificationFailed(f"the issuer of the {name} has no P-256 key")
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError) as error:
        raise VerificationFailed(f"the {name} was not issued by the next in the chain") from error


def _check_authority(certificate: x509.Certificate, name: str, depth: int) -> None:
    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError) as error:
        raise VerificationFailed(f"the {name} is not a CA of this profile: {error}") from error
    right = (
        basic.critical
        and basic.value.ca
        and basic.value.path_length == depth
        and usage.critical
        and usage.value.key_cert_sign
        and usage.value.crl_sign
    )
    if not right:
        raise VerificationFailed(f"the {name} may not issue at this place of the chain")


def _check_end(certificate: x509.Certificate, usage: x509.ObjectIdentifier | None) -> None:
    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        keys = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        usages = list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError) as error:
        raise VerificationFailed(f"the certificate is not of this profile: {error}") from error
    if basic.ca or keys.key_cert_sign or not keys.digital_signature:
        raise VerificationFailed("the certificate is not that of an end entity")
    if usage is not None and usages != [usage]:
        raise VerificationFailed("the certificate is not for this use")
