# SPDX-License-Identifier: Apache-2.0
"""Status of certificates, the CRL that lists it and the OCSP response that says it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sekisho.core.errors import ConfigurationInvalid, MalformedInput, VerificationFailed
from sekisho.core.identity.crl import build_crl, crl_pem, read_crl
from sekisho.core.identity.der import BIT_STRING, SEQUENCE, element
from sekisho.core.identity.lawful import LAWFUL
from sekisho.core.identity.profile import load, seconds
from sekisho.core.identity.status import (
    ALLOWED,
    REASONS,
    CertificateStatus,
    Status,
    may_change,
    published,
    reason_flag,
)
from sekisho.core.terms import NS
from tests.unit.core.identity import certificates as made

DAY = 86_400 * NS
SINCE = made.NOW // NS * NS
HELD = CertificateStatus("hold", "certificateHold", SINCE)
REVOKED = CertificateStatus("revoked", "keyCompromise", SINCE)


def crl(**changes: Any) -> bytes:
    """A CRL of the issuing CA."""
    arguments: dict[str, Any] = {
        "issuing": made.issuing(),
        "issuing_key": made.ISSUING_KEY,
        "number": 7,
        "this_update_ns": made.NOW,
        "next_update_ns": made.NOW + DAY,
        "listed": {5: HELD, 3: REVOKED},
        "url": made.NAMES.crl_url,
    }
    return build_crl(**(arguments | changes))


def foreign(
    *,
    parts: tuple[tuple[x509.ExtensionType, bool], ...] = ((x509.CRLNumber(1), False),),
    entries: tuple[tuple[int, tuple[tuple[x509.ExtensionType, bool], ...]], ...] = (),
    signer: ec.EllipticCurvePrivateKey = made.ISSUING_KEY,
    issuer: x509.Name | None = None,
    algorithm: hashes.SHA256 | hashes.SHA384 | None = None,
) -> bytes:
    """A CRL as another program might make it."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer or load(made.issuing()).subject)
        .last_update(seconds(made.NOW))
        .next_update(seconds(made.NOW + DAY))
    )
    for value, critical in parts:
        builder = builder.add_extension(value, critical=critical)
    for serial, values in entries:
        entry = (
            x509.RevokedCertificateBuilder()
            .serial_number(serial)
            .revocation_date(seconds(made.NOW))
        )
        for value, critical in values:
            entry = entry.add_extension(value, critical=critical)
        builder = builder.add_revoked_certificate(entry.build())
    signed = builder.sign(signer, algorithm or hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.DER)


def point(**changes: Any) -> x509.IssuingDistributionPoint:
    """An issuing distribution point that covers everything, but for the changes."""
    arguments: dict[str, Any] = {
        "full_name": [x509.UniformResourceIdentifier(made.NAMES.crl_url)],
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**(arguments | changes))


# -- status -------------------------------------------------------------------------------------


def test_status_changes_are_the_lawful_ones() -> None:
    """A hold can be lifted, revoked is final; the register's causes allow exactly the same."""
    states: tuple[Status, ...] = ("good", "hold", "revoked")
    found = {(old, new) for old in states for new in states if may_change(old, new)}
    assert {("good", "hold"), ("good", "revoked"), ("hold", "good"), ("hold", "revoked")} == found
    assert {(old, new) for _, old, new in LAWFUL} == set(ALLOWED)


@pytest.mark.parametrize(
    ("status", "reason", "since"),
    [
        ("good", "keyCompromise", 0),
        ("good", "", 1),
        ("hold", "", 1),
        ("hold", "keyCompromise", 1),
        ("revoked", "", 1),
        ("revoked", "certificateHold", 1),
        ("unknown", "", 0),
    ],
)
def test_status_that_contradicts_its_reason_is_refused(
    status: Any, reason: str, since: int
) -> None:
    """Revoked "because of a hold" would be published as a hold, which can be lifted."""
    with pytest.raises(MalformedInput):
        CertificateStatus(status, reason, since)


def test_reason_that_is_not_ours_is_refused() -> None:
    """Only listed reasons are written."""
    with pytest.raises(MalformedInput):
        reason_flag("cACompromise")


def test_reason_read_keeps_its_name() -> None:
    """Reasons of others are read under their own name; an absent one is unspecified."""
    assert CertificateStatus("revoked", "cACompromise", 4) == published(
        x509.ReasonFlags.ca_compromise, 4
    )
    assert CertificateStatus("revoked", "unspecified", 4) == published(None, 4)
    assert CertificateStatus("hold", "certificateHold", 4) == published(
        x509.ReasonFlags.certificate_hold, 4
    )
    with pytest.raises(MalformedInput):
        published(x509.ReasonFlags.remove_from_crl, 4)


# -- CRL ----------------------------------------------------------------------------------------


def test_crl_reads_as_it_was_made() -> None:
    """Number, whole seconds and every entry come back."""
    found = read_crl(crl(), made.issuing())
    assert {3: REVOKED, 5: HELD} == found.listed
    assert (7, SINCE, SINCE + DAY) == (found.number, found.this_update_ns, found.next_update_ns)


@pytest.mark.parametrize("reason", sorted(set(REASONS) - {"certificateHold"}))
def test_crl_entry_of_each_reason_reads_back(reason: str) -> None:
    """Every reason that we write is read as the same reason."""
    status = CertificateStatus("revoked", reason, SINCE)
    assert {9: status} == read_crl(crl(listed={9: status}), made.issuing()).listed


def test_crl_extensions_are_those_of_the_specification() -> None:
    """Number, issuer's key and a critical distribution point; unspecified is not spelled out."""
    unspecified = CertificateStatus("revoked", "unspecified", SINCE)
    found = x509.load_der_x509_crl(crl(listed={5: HELD, 3: REVOKED, 4: unspecified}))
    parts = {part.oid._name: part.critical for part in found.extensions}
    assert {
        "authorityKeyIdentifier": False,
        "cRLNumber": False,
        "issuingDistributionPoint": True,
    } == parts
    assert [(3, 1), (4, 0), (5, 1)] == [
        (entry.serial_number, len(list(entry.extensions))) for entry in found
    ]


def test_crl_without_url_has_no_distribution_point() -> None:
    """What is not published names no place."""
    found = x509.load_der_x509_crl(crl(url=""))
    assert ["authorityKeyIdentifier", "cRLNumber"] == [one.oid._name for one in found.extensions]


def test_crl_after_a_release_does_not_list_the_certificate() -> None:
    """A released hold is simply absent from the next complete CRL."""
    assert {} == read_crl(crl(listed={}, number=8), made.issuing()).listed


def test_crl_does_not_list_what_is_good() -> None:
    """A good certificate on a CRL is a mistake of the caller, and is said so."""
    with pytest.raises(MalformedInput, match="does not belong on a CRL"):
        crl(listed={5: CertificateStatus("good")})


@pytest.mark.parametrize(
    "changes",
    [
        {"listed": {5: CertificateStatus("revoked", "cACompromise", SINCE)}},
        {"number": -1},
        {"next_update_ns": made.NOW},
        {"this_update_ns": -NS},
    ],
)
def test_crl_outside_the_profile_is_not_made(changes: dict[str, Any]) -> None:
    """Good certificates, unknown reasons, backward times and negative numbers make no CRL."""
    with pytest.raises(MalformedInput):
        crl(**changes)


def test_crl_with_another_key_is_not_signed() -> None:
    """A CRL is signed with the issuing CA's own key."""
    with pytest.raises(ConfigurationInvalid):
        crl(issuing_key=made.ROOT_KEY)


@pytest.mark.parametrize(
    "der",
    [
        foreign(signer=made.key(77)),
        foreign(issuer=x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Other")])),
        foreign(algorithm=hashes.SHA384()),
    ],
)
def test_crl_that_this_authority_did_not_sign_is_refused(der: bytes) -> None:
    """Key, name and digest are the issuing CA's."""
    with pytest.raises(VerificationFailed):
        read_crl(der, made.issuing())


@pytest.mark.parametrize(
    "der",
    [
        b"",
        crl() + b"\0",
        foreign(parts=()),
        foreign(parts=((x509.CRLNumber(1), False), (x509.DeltaCRLIndicator(0), True))),
        *(
            foreign(parts=((x509.CRLNumber(1), False), (point(**one), True)))
            for one in (
                {"only_contains_user_certs": True},
                {"only_contains_ca_certs": True},
                {"only_contains_attribute_certs": True},
                {"indirect_crl": True},
                {"only_some_reasons": frozenset({x509.ReasonFlags.key_compromise})},
            )
        ),
        foreign(entries=((5, ()), (5, ()))),
        foreign(entries=((5, ((x509.CRLReason(x509.ReasonFlags.remove_from_crl), False),)),)),
        foreign(
            entries=((5, ((x509.CertificateIssuer([x509.DirectoryName(x509.Name([]))]), True),)),)
        ),
    ],
)
def test_crl_that_does_not_say_everything_is_refused(der: bytes) -> None:
    """Deltas, shards by kind or reason, indirect lists: each could hide a revocation."""
    with pytest.raises(MalformedInput):
        read_crl(der, made.issuing())


def resigned(whole: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """A CRL whose signed content was changed by ``change``, signed again."""
    signed = x509.load_der_x509_crl(whole).tbs_certlist_bytes
    header = len(signed) - int.from_bytes(signed[2 : 2 + (signed[1] & 0x7F)], "big")
    content = signed[header if signed[1] & 0x80 else 2 :]
    changed = element(SEQUENCE, change(content))
    signature = made.ISSUING_KEY.sign(changed, ec.ECDSA(hashes.SHA256()))
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    return element(SEQUENCE, changed, algorithm, element(BIT_STRING, b"\0", signature))


def test_crl_without_next_update_is_refused() -> None:
    """A list without an end would be believed for ever."""
    ends = seconds(made.NOW + DAY).strftime("%y%m%d%H%M%SZ").encode()
    assert 7 == read_crl(resigned(crl(), bytes), made.issuing()).number
    with pytest.raises(MalformedInput, match="nextUpdate"):
        read_crl(resigned(crl(), lambda old: old.replace(b"\x17\x0d" + ends, b"")), made.issuing())


def test_crl_of_unknown_version_is_refused() -> None:
    """Version 2 is the only one that has extensions."""
    with pytest.raises(MalformedInput):
        read_crl(resigned(crl(), lambda old: b"\2\1\x09" + old[3:]), made.issuing())


def test_crl_of_another_program_is_read() -> None:
    """A plain CRL without our optional parts, or with others, is a CRL too."""
    since = (x509.InvalidityDate(datetime(2026, 1, 1, tzinfo=UTC)), False)
    found = read_crl(foreign(entries=((5, (since,)),)), made.issuing())
    assert {5: CertificateStatus("revoked", "unspecified", SINCE)} == found.listed


def test_crl_pem_is_the_same_list() -> None:
    """PEM is another spelling of the same bytes."""
    der = crl()
    assert x509.load_der_x509_crl(der) == x509.load_pem_x509_crl(crl_pem(der))
    with pytest.raises(MalformedInput):
        crl_pem(b"x")
