# SPDX-License-Identifier: Apache-2.0
"""Certificate revocation lists of the issuing CA (docs/spec/certificate.md, section 7).

One for each shard, with an issuing distribution point when a URL is published; no deltas. A hold is
an entry with the reason ``certificateHold`` that a release takes away again.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sekisho.core.errors import MalformedInput, VerificationFailed
from sekisho.core.identity.profile import issuer_of, load, nanoseconds, seconds
from sekisho.core.identity.status import CertificateStatus, published, reason_flag
from sekisho.core.terms import NS

_UNREADABLE = (
    ValueError,
    x509.ExtensionNotFound,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    UnsupportedAlgorithm,
)
"""What the library raises for bytes that it cannot read as a CRL."""


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
    """A signed CRL, DER. Entries are in the order of their serial numbers.

    Args:
        issuing: the issuing CA's certificate, DER.
        issuing_key: its key.
        number: greater than that of every CRL before it.
        this_update_ns: rounded down to the second, as ``next_update_ns`` is.
        next_update_ns: by then the next CRL is out.
        listed: serial number → status, holds and revocations only.
        url: of this CRL, as the certificates name it; empty: not published.

    Raises:
        MalformedInput: a good certificate is listed, or number or times make no CRL.
        ConfigurationInvalid: not the issuing CA's key.
    """
    if number < 0 or not 0 <= this_update_ns // NS < next_update_ns // NS:
        raise MalformedInput("a CRL has a number from 0 and a nextUpdate after its thisUpdate")
    issuer = issuer_of(issuing, issuing_key)
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
        builder = builder.add_revoked_certificate(_entry(serial, status))
    made = builder.sign(issuing_key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.DER)


def _entry(serial: int, status: CertificateStatus) -> x509.RevokedCertificate:
    builder = (
        x509.RevokedCertificateBuilder()
        .serial_number(serial)
        .revocation_date(seconds(status.since_ns))
    )
    flag = reason_flag(status.reason)
    if flag is not x509.ReasonFlags.unspecified:  # RFC 5280, 5.3.1: then there is no extension
        builder = builder.add_extension(x509.CRLReason(flag), critical=False)
    return builder.build()


def crl_pem(der: bytes) -> bytes:
    """The same CRL as PEM.

    Raises:
        MalformedInput: not a CRL.
    """
    try:
        return x509.load_der_x509_crl(der).public_bytes(serialization.Encoding.PEM)
    except _UNREADABLE as error:
        raise MalformedInput(f"not a CRL: {error}") from error


def read_crl(der: bytes, issuing: bytes, url: str = "") -> Crl:
    """Read a CRL and verify that the issuing CA signed it; the caller compares the times.

    Args:
        der: the CRL.
        issuing: the issuing CA's certificate, DER.
        url: the place that the certificate in question names for its CRL; empty: not compared.

    Raises:
        MalformedInput: not a CRL of this profile (version 2, complete, direct, all reasons).
        VerificationFailed: not signed by this CA, or that of another shard.
    """
    issuer = load(issuing)
    try:
        found = x509.load_der_x509_crl(der)
        number = found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        _check_signature(found, issuer)
        _check_extensions(found)
        if url and _place(found) != url:
            raise VerificationFailed(f"the CRL is not the one at {url}")
        next_update = found.next_update_utc
        listed = {}
        for entry in found:
            if entry.serial_number in listed:
                raise MalformedInput(f"certificate {entry.serial_number:x} is twice on the CRL")
            listed[entry.serial_number] = _entry_status(entry)
    except _UNREADABLE as error:
        raise MalformedInput(f"not a CRL of this profile: {error}") from error
    if next_update is None:
        raise MalformedInput("the CRL has no nextUpdate")
    return Crl(
        number=number,
        this_update_ns=nanoseconds(found.last_update_utc),
        next_update_ns=nanoseconds(next_update),
        listed=listed,
    )


def _check_signature(found: x509.CertificateRevocationList, issuer: x509.Certificate) -> None:
    key = issuer.public_key()
    if (
        found.issuer != issuer.subject
        or not isinstance(key, ec.EllipticCurvePublicKey)
        or not isinstance(found.signature_hash_algorithm, hashes.SHA256)
        or not found.is_signature_valid(key)
    ):
        raise VerificationFailed("the CRL is not signed by this issuing CA")


def _check_extensions(found: x509.CertificateRevocationList) -> None:
    """Whatever makes a CRL say less than everything is refused: deltas, other parts, other CAs."""
    for part in found.extensions:
        point = part.value
        if isinstance(point, x509.IssuingDistributionPoint):
            if (
                point.only_contains_user_certs
                or point.only_contains_ca_certs
                or point.only_contains_attribute_certs
                or point.indirect_crl
                or point.only_some_reasons is not None
            ):
                raise MalformedInput("the CRL covers a part of the certificates only")
        elif part.critical:
            raise MalformedInput(f"the CRL has a critical extension {part.oid.dotted_string}")


def _place(found: x509.CertificateRevocationList) -> str:
    """The one URL that a CRL says it is found at; empty for none."""
    for part in found.extensions:
        if isinstance(part.value, x509.IssuingDistributionPoint):
            names = part.value.full_name or []
            return str(names[0].value) if len(names) == 1 else ""
    return ""


def _entry_status(entry: x509.RevokedCertificate) -> CertificateStatus:
    flag = None
    for part in entry.extensions:
        if isinstance(part.value, x509.CRLReason):
            flag = part.value.reason
        elif part.critical:
            raise MalformedInput(f"an entry of the CRL is critical in {part.oid.dotted_string}")
    return published(flag, nanoseconds(entry.revocation_date_utc))
