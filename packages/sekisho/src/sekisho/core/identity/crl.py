# SPDX-License-Identifier: Apache-2.0
"""Certificate revocation lists of the issuing CA (docs/spec/certificate.md, section 7).

One shard for now, with an issuing distribution point when a URL is published; no deltas. A hold is an
entry with the reason ``certificateHold`` that a release takes away again.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sekisho.core.errors import MalformedInput, VerificationFailed
from sekisho.core.identity.profile import load, nanoseconds, seconds
from sekisho.core.identity.status import CertificateStatus, reason_flag, reason_name


class Crl(msgspec.Struct, frozen=True, kw_only=True):
    """What a CRL says. Serial number → status; what is not listed is good."""

    number: int
    this_update_ns: int
    next_update_ns: int
    listed: dict[int, CertificateStatus]


def build_crl(
    *,
    issuing: bytes,
    issuing_key: ec.EllipticCurvePrivateKey,
    number: int,
    this_update_ns: int,
    next_update_ns: int,
    listed: Mapping[int, CertificateStatus],
    url: str = "",
) -> bytes:
    """A signed CRL, DER. Entries are in the order of their serial numbers."""
    issuer = load(issuing)
    held = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(seconds(this_update_ns))
        .next_update(seconds(next_update_ns))
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(held), critical=False
        )
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    if url:
        point = x509.IssuingDistributionPoint(
            full_name=[x509.UniformResourceIdentifier(url)],
            relative_name=None,
            only_contains_user_certs=False,
            only_contains_ca_certs=False,
            only_some_reasons=None,
            indirect_crl=False,
            only_contains_attribute_certs=False,
        )
        builder = builder.add_extension(point, critical=True)
    for serial in sorted(listed):
        status = listed[serial]
        if status.status == "good":
            raise MalformedInput(f"certificate {serial:x} is good and does not belong on a CRL")
        entry = (
            x509.RevokedCertificateBuilder()
            .serial_number(serial)
            .revocation_date(seconds(status.since_ns))
            .add_extension(x509.CRLReason(reason_flag(status.reason)), critical=False)
            .build()
        )
        builder = builder.add_revoked_certificate(entry)
    made = builder.sign(issuing_key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.DER)


def crl_pem(der: bytes) -> bytes:
    """The same CRL as PEM."""
    return x509.load_der_x509_crl(der).public_bytes(serialization.Encoding.PEM)


def read_crl(der: bytes, issuing: bytes) -> Crl:
    """Read a CRL and verify that the issuing CA signed it.

    Raises:
        MalformedInput: not a CRL.
        VerificationFailed: not signed by this CA.
    """
    issuer = load(issuing)
    key = issuer.public_key()
    try:
        found = x509.load_der_x509_crl(der)
        number = found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension) as error:
        raise MalformedInput(f"not a CRL: {error}") from error
    if (
        found.issuer != issuer.subject
        or not isinstance(key, ec.EllipticCurvePublicKey)
        or not found.is_signature_valid(key)
    ):
        raise VerificationFailed("the CRL is not signed by this issuing CA")
    next_update = found.next_update_utc
    if next_update is None:
        raise MalformedInput("the CRL has no nextUpdate")
    listed: dict[int, CertificateStatus] = {}
    for entry in found:
        try:
            flag = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
        except x509.ExtensionNotFound:
            flag = None
        name = reason_name(flag)
        since = nanoseconds(entry.revocation_date_utc)
        status = "hold" if name == "certificateHold" else "revoked"
        listed[entry.serial_number] = CertificateStatus(status, name, since)  # type: ignore[arg-type]
    return Crl(
        number=number,
        this_update_ns=nanoseconds(found.last_update_utc),
        next_update_ns=nanoseconds(next_update),
        listed=listed,
    )
