# SPDX-License-Identifier: Apache-2.0
"""Ceremonies of the offline root: its own certificate, and that of an issuing CA
(docs/spec/authority.md, section 7).

Each leaves a transcript: what went in, what was made, in which steps. The root's key signs its
bytes, so that whoever has the root can check it with stock tools. The key itself is never here: it
signs through its signer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sekisho.core.encoding import sha256_hex
from sekisho.core.errors import VerificationFailed
from sekisho.core.identity.chain import check_authorities, check_time
from sekisho.core.identity.oids import Arc
from sekisho.core.identity.profile import (
    Names,
    issuing_certificate,
    load,
    nanoseconds,
    pem,
    root_certificate,
    serial_hex,
)
from sekisho.core.identity.requests import read_request
from sekisho.core.terms import DAY_S, NS, format_instant

FIRST_LINE: Final = "sekisho ceremony v1"
"""No certificate, request or other thing that a root signs begins like this."""


class CeremonyRecord(NamedTuple):
    """What a ceremony made: a certificate (DER), its transcript, and the root's signature over the
    transcript's bytes (DER, ECDSA with SHA-256).
    """

    certificate: bytes
    transcript: bytes
    signature: bytes


class RootKey(NamedTuple):
    """The root's key behind its signer, and its URI as it may be told."""

    key: ec.EllipticCurvePrivateKey
    uri: str


def hold_root(root: RootKey, names: Names, serial: int, now: int, days: int) -> CeremonyRecord:
    """Certify the root by itself.

    Args:
        root: its key.
        names: of the issuer; the arc is that of its issuing CAs.
        serial: of the certificate.
        now: ns UTC.
        days: how long it is valid.

    Raises:
        MalformedInput: a name or the time is not of the profile.
    """
    names.arc.check()
    der = root_certificate(
        names=names,
        key=root.key,
        serial=serial,
        not_before_ns=now,
        not_after_ns=now + days * DAY_S * NS,
    )
    steps = (
        f"opened the root's key {root.uri}",
        "made its certificate, signed by itself",
        "read the certificate back",
    )
    return _record("root", der, root, now, (), steps)


def hold_issuing(
    root: RootKey, root_der: bytes, request: bytes, arc: Arc, serial: int, now: int, days: int
) -> CeremonyRecord:
    """Certify the key of a request as an issuing CA's.

    Args:
        root: its key.
        root_der: its certificate.
        request: PKCS#10, DER, signed by the issuing CA's key; only its key is taken.
        arc: of the usages that the issuing CA may grant.
        serial: of the certificate.
        now: ns UTC.
        days: how long it is valid; never longer than the root.

    Raises:
        MalformedInput, VerificationFailed: root or request do not hold; nothing was signed.
        ConfigurationInvalid: the key is not the root's.
    """
    arc.check()
    check_time(load(root_der), "root", now)
    public_key, _ = read_request(request)
    der = issuing_certificate(
        names=Names(issuer_name=_organisation(root_der), arc=arc),
        root=root_der,
        root_key=root.key,
        public_key=public_key,
        serial=serial,
        not_before_ns=now,
        not_after_ns=min(now + days * DAY_S * NS, nanoseconds(load(root_der).not_valid_after_utc)),
    )
    check_authorities(der, root_der)
    inputs = (("root certificate", root_der), ("request", request))
    steps = (
        f"opened the root's key {root.uri}",
        "compared it with the root's certificate, which is valid now",
        "verified that the request is signed by the key that it is for",
        "made the issuing CA's certificate, signed by the root",
        "verified the path and each rule of the profile",
    )
    return _record("issuing CA", der, root, now, inputs, steps)


def _organisation(root_der: bytes) -> str:
    found = load(root_der).subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    if len(found) != 1 or not isinstance(found[0].value, str):
        raise VerificationFailed("the root names no organisation")
    return found[0].value


def _record(
    what: str,
    der: bytes,
    root: RootKey,
    now: int,
    inputs: tuple[tuple[str, bytes], ...],
    steps: tuple[str, ...],
) -> CeremonyRecord:
    lines = [FIRST_LINE, f"certified: {what}", f"held at: {format_instant(now)}", "", "inputs"]
    lines += [f"  {name}: SHA-256 {sha256_hex(data)}" for name, data in inputs] or ["  none"]
    lines += ["", "steps", *(f"  {number}. {one}" for number, one in enumerate(steps, 1))]
    lines += ["", "certificate", *(f"  {one}" for one in _described(der)), ""]
    transcript = "\n".join(lines).encode() + b"\n" + pem(der)
    signature = root.key.sign(transcript, ec.ECDSA(hashes.SHA256()))
    return CeremonyRecord(der, transcript, signature)


def _described(der: bytes) -> Iterator[str]:
    """A certificate in words."""
    found = load(der)
    yield f"SHA-256: {sha256_hex(der)}"
    yield f"subject: {found.subject.rfc4514_string()}"
    yield f"issuer: {found.issuer.rfc4514_string()}"
    yield f"serial number: {serial_hex(found.serial_number)}"
    begins, ends = found.not_valid_before_utc, found.not_valid_after_utc
    yield f"valid: {begins:%Y-%m-%dT%H:%M:%SZ} to {ends:%Y-%m-%dT%H:%M:%SZ}"
    for part in found.extensions:
        value = part.value
        if isinstance(value, x509.SubjectKeyIdentifier):
            yield f"key id: {value.digest.hex()}"
        elif isinstance(value, x509.AuthorityKeyIdentifier) and value.key_identifier:
            yield f"issuer's key id: {value.key_identifier.hex()}"
        elif isinstance(value, x509.BasicConstraints):
            yield f"authority: yes, path length {value.path_length}"
        elif isinstance(value, x509.ExtendedKeyUsage):
            yield f"may grant: {', '.join(one.dotted_string for one in value)}"
        elif isinstance(value, x509.NameConstraints):
            yield "names: no host name, no address"
