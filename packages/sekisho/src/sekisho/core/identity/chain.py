# SPDX-License-Identifier: Apache-2.0
"""Verifying a certificate of this product up to a root that the caller trusts.

Our profile is closed (docs/spec/certificate.md, sections 2, 3 and 6): exactly three certificates,
P-256 and SHA-256. So the path is checked rule by rule here, and only that path; what the profile
does not know is refused, not ignored. Status is checked apart (``crl``, ``ocsp``).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtensionOID

from sekisho.core.errors import VerificationFailed
from sekisho.core.identity.profile import load, name_constraints, seconds
from sekisho.core.identity.reading import is_p256

_Known = TypeVar("_Known", bound=x509.ExtensionType)

_BOTH = {ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE}
_CRITICAL_CA = _BOTH | {ExtensionOID.NAME_CONSTRAINTS}
_CRITICAL_END = _BOTH | {ExtensionOID.EXTENDED_KEY_USAGE}
"""What may be critical, because it is checked here."""


def verify_chain(
    leaf: bytes, issuing: bytes, root: bytes, at_ns: int, usage: x509.ObjectIdentifier | None = None
) -> None:
    """Verify leaf ← issuing CA ← root at an instant.

    Args:
        leaf: end entity, DER.
        issuing: the issuing CA, DER.
        root: what the caller trusts, DER.
        at_ns: the time of use, ns UTC.
        usage: the one extended key usage that the leaf must have; None: any that the issuing CA may
            grant.

    Raises:
        MalformedInput: not certificates.
        VerificationFailed: the path does not hold; the message says where.
    """
    end, issuer, top = load(leaf), load(issuing), load(root)
    check_time(issuer, "issuing CA", at_ns)
    check_time(top, "root", at_ns)
    check_authorities(issuing, root)
    check_time(end, "certificate", at_ns)
    check_end_entity(end, issuer, usage)


@lru_cache(maxsize=64)
def check_authorities(issuing: bytes, root: bytes) -> None:
    """The issuing CA and the root, DER, but for the time. Remembered is only what held.

    Raises:
        MalformedInput: not certificates.
        VerificationFailed: one is not of this profile, or was not issued by the root.
    """
    issuer, top = load(issuing), load(root)
    _check_issued(issuer, top, "issuing CA")
    _check_issued(top, top, "root")
    _check_authority(issuer, "issuing CA", 0)
    _check_authority(top, "root", 1)
    constraints = _required(issuer, x509.NameConstraints, "issuing CA")
    if not constraints.critical or constraints.value != name_constraints():
        raise VerificationFailed("the issuing CA is not constrained to names of this profile")


def check_end_entity(
    certificate: x509.Certificate, issuer: x509.Certificate, usage: x509.ObjectIdentifier | None
) -> None:
    """The last step of the path alone, but for the time: issued here, as an end entity, for this.

    Raises:
        VerificationFailed: one of them is not so.
    """
    _check_issued(certificate, issuer, "certificate")
    _check_end(certificate, issuer, usage)


def check_time(certificate: x509.Certificate, name: str, at_ns: int) -> None:
    """Refuse a certificate that is not valid at an instant (``notAfter`` is exclusive).

    Raises:
        VerificationFailed: it is not; ``name`` says whose in the message.
    """
    at = seconds(at_ns)
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if at < begins:
        raise VerificationFailed(f"the {name} is not valid before {begins:%Y-%m-%d %H:%M:%S}Z")
    # not_after is exclusive here, so that the gate and a verifier agree to the nanosecond
    if at >= ends:
        raise VerificationFailed(f"the {name} is not valid from {ends:%Y-%m-%d %H:%M:%S}Z on")


def _check_issued(certificate: x509.Certificate, issuer: x509.Certificate, name: str) -> None:
    if not is_p256(issuer.public_key()):
        raise VerificationFailed(f"the issuer of the {name} has no P-256 key")
    try:
        if not isinstance(certificate.signature_hash_algorithm, hashes.SHA256):
            raise VerificationFailed(f"the {name} is not signed with SHA-256")
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError) as error:
        raise VerificationFailed(f"the {name} was not issued by the next in the chain") from error
    held = _required(issuer, x509.SubjectKeyIdentifier, "issuer").value.digest
    if certificate is not issuer:
        named = _required(certificate, x509.AuthorityKeyIdentifier, name).value.key_identifier
        if named != held:
            raise VerificationFailed(f"the {name} names another key of its issuer")


def _check_authority(certificate: x509.Certificate, name: str, depth: int) -> None:
    basic = _required(certificate, x509.BasicConstraints, name)
    usage = _required(certificate, x509.KeyUsage, name)
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
    _check_critical(certificate, name, _CRITICAL_CA)


def _check_end(
    certificate: x509.Certificate, issuer: x509.Certificate, usage: x509.ObjectIdentifier | None
) -> None:
    name = "certificate"
    basic = _required(certificate, x509.BasicConstraints, name).value
    keys = _required(certificate, x509.KeyUsage, name).value
    usages = list(_required(certificate, x509.ExtendedKeyUsage, name).value)
    if basic.ca or keys.key_cert_sign or keys.crl_sign or not keys.digital_signature:
        raise VerificationFailed("the certificate is not that of an end entity")
    if usage is not None and usages != [usage]:
        raise VerificationFailed("the certificate is not for this use")
    granted = list(_required(issuer, x509.ExtendedKeyUsage, "issuing CA").value)
    if not set(usages) <= set(granted):
        raise VerificationFailed("the issuing CA may not grant the use of this certificate")
    _check_critical(certificate, name, _CRITICAL_END)
    for part in certificate.extensions:
        # The issuing CA's name constraints leave no host name and no address, so only URIs remain.
        if isinstance(part.value, x509.SubjectAlternativeName) and not all(
            isinstance(one, x509.UniformResourceIdentifier) for one in part.value
        ):
            raise VerificationFailed("the certificate has a name that its issuer may not certify")


def _check_critical(
    certificate: x509.Certificate, name: str, known: set[x509.ObjectIdentifier]
) -> None:
    for part in certificate.extensions:
        if part.critical and part.oid not in known:
            raise VerificationFailed(
                f"the {name} has a critical extension {part.oid.dotted_string} that is not known"
            )


def _required(
    certificate: x509.Certificate, kind: type[_Known], name: str
) -> x509.Extension[_Known]:
    try:
        return certificate.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound as error:
        raise VerificationFailed(f"the {name} is not of this profile: {error}") from error
