# SPDX-License-Identifier: Apache-2.0
"""Keys, certificates, CRL, OCSP responses for tests of the verifier, from certificate.md."""

from __future__ import annotations

import datetime
import functools
import ipaddress
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ARC = "1.3.6.1.4.1.32473"
START = datetime.datetime(2026, 5, 1, tzinfo=datetime.UTC)
END = START + datetime.timedelta(days=365)
ISSUED = datetime.datetime(2026, 5, 15, 9, 2, tzinfo=datetime.UTC)
LEI = "529900T8BM49AURSDO55"
OID = x509.ObjectIdentifier


def name(*parts: tuple[OID, str]) -> x509.Name:
    """A distinguished name."""
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in parts])


def usage(*, ca: bool) -> x509.KeyUsage:
    """Key usage of an authority or an end entity."""
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def der_element(tag: int, content: bytes) -> bytes:
    """One DER element."""
    if len(content) < 0x80:
        return bytes((tag, len(content))) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def scope_extension(digest: bytes, scope: bytes, version: int = 1) -> bytes:
    """The value of the scope extension."""
    inner = der_element(2, bytes((version,))) + der_element(4, digest) + der_element(12, scope)
    return der_element(0x30, inner)


class Pki:
    """An issuer with everything below it; serial numbers count up, so all but keys is fixed."""

    def __init__(self) -> None:
        self.root_key = ec.generate_private_key(ec.SECP256R1())
        self.issuing_key = ec.generate_private_key(ec.SECP256R1())
        self.responder_key = ec.generate_private_key(ec.SECP256R1())
        self.agent_key = ec.generate_private_key(ec.SECP256R1())
        self.gate_key = ed25519.Ed25519PrivateKey.generate()
        self.authority_key = ed25519.Ed25519PrivateKey.generate()
        self._serial = int.from_bytes(b"\x01" + b"\x11" * 16, "big")
        self.root_name = name(
            (NameOID.ORGANIZATION_NAME, "Test Issuer"), (NameOID.COMMON_NAME, "Sekisho Root CA")
        )
        self.issuing_name = name(
            (NameOID.ORGANIZATION_NAME, "Test Issuer"),
            (NameOID.COMMON_NAME, "Sekisho Issuing CA"),
        )
        self.root = self._authority(self.root_name, self.root_key, 1)
        self.issuing = self._authority(self.issuing_name, self.issuing_key, 0)
        self.responder = self.leaf(
            self._issuer_name("Sekisho status responder"),
            self.responder_key.public_key(),
            ExtendedKeyUsageOID.OCSP_SIGNING,
            [(x509.OCSPNoCheck(), False)],
        )

    def serial(self) -> int:
        """The next serial number: a prefix byte and sixteen more."""
        self._serial += 1
        return self._serial

    def _issuer_name(self, called: str) -> x509.Name:
        return name((NameOID.ORGANIZATION_NAME, "Test Issuer"), (NameOID.COMMON_NAME, called))

    def _builder(
        self,
        subject: x509.Name,
        key: Any,
        issuer: x509.Name,
        begin: datetime.datetime = START,
        end: datetime.datetime = END,
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(self.serial())
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), False)
        )

    def _authority(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, length: int
    ) -> x509.Certificate:
        builder = self._builder(subject, key.public_key(), self.root_name)
        builder = builder.add_extension(x509.BasicConstraints(True, length), True)
        builder = builder.add_extension(usage(ca=True), True)
        if length == 0:
            constraints = x509.NameConstraints(
                [x509.DNSName("agents.invalid")],
                [
                    x509.IPAddress(ipaddress.ip_network("0.0.0.0/0")),
                    x509.IPAddress(ipaddress.ip_network("::/0")),
                ],
            )
            usages = [
                ExtendedKeyUsageOID.CLIENT_AUTH,
                ExtendedKeyUsageOID.OCSP_SIGNING,
                OID(f"{ARC}.2.1"),
                OID(f"{ARC}.2.2"),
            ]
            above = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.root_key.public_key())
            builder = builder.add_extension(constraints, True)
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), False)
            builder = builder.add_extension(above, False)
        return builder.sign(self.root_key, hashes.SHA256())

    def leaf(
        self,
        subject: x509.Name,
        key: Any,
        extended: OID,
        more: list[tuple[x509.ExtensionType, bool]],
        signer: ec.EllipticCurvePrivateKey | None = None,
        begin: datetime.datetime = START,
        end: datetime.datetime = END,
    ) -> x509.Certificate:
        """An end entity's certificate."""
        above = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.issuing_key.public_key())
        builder = self._builder(subject, key, self.issuing_name, begin, end)
        builder = builder.add_extension(x509.BasicConstraints(False, None), True)
        builder = builder.add_extension(usage(ca=False), True)
        builder = builder.add_extension(above, False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([extended]), True)
        for extension, critical in more:
            builder = builder.add_extension(extension, critical)
        return builder.sign(signer or self.issuing_key, hashes.SHA256())

    def log_certificate(self, origin: str, key: ed25519.Ed25519PrivateKey) -> x509.Certificate:
        """A log key's certificate."""
        uri = x509.UniformResourceIdentifier(f"sekisho-log://{origin}")
        return self.leaf(
            self._issuer_name("Sekisho log key"),
            key.public_key(),
            OID(f"{ARC}.2.2"),
            [(x509.SubjectAlternativeName([uri]), False)],
        )

    def agent_certificate(
        self, agent: str, operator: str, value: bytes, **changes: Any
    ) -> x509.Certificate:
        """An agent's certificate; `value` is that of the scope extension."""
        subject = name(
            (NameOID.ORGANIZATION_NAME, operator),
            (NameOID.ORGANIZATION_IDENTIFIER, f"LEIXG-{LEI}"),
            (NameOID.COMMON_NAME, changes.get("common_name", agent)),
        )
        uri = x509.UniformResourceIdentifier(f"https://agents.invalid/agents/{LEI}/{agent}")
        extension = x509.UnrecognizedExtension(OID(f"{ARC}.1.1"), value)
        more: list[tuple[x509.ExtensionType, bool]] = [
            (x509.SubjectAlternativeName([uri]), False),
            (extension, bool(changes.get("critical"))),
        ]
        more += changes.get("more", [])
        usage_oid = changes.get("usage", OID(f"{ARC}.2.1"))
        key = self.agent_key.public_key()
        begin, end = changes.get("begin", ISSUED), changes.get("end", END)
        return self.leaf(subject, key, usage_oid, more, changes.get("signer"), begin, end)

    def status(
        self,
        certificate: x509.Certificate,
        status: str,
        this_update: datetime.datetime,
        seconds: int = 15,
        *,
        by_issuing: bool = False,
    ) -> bytes:
        """An OCSP response (DER), by the responder or by the issuing CA itself."""
        revoked = status != "good"
        reason = x509.ReasonFlags.certificate_hold
        if status == "revoked":
            reason = x509.ReasonFlags.key_compromise
        elif status == "withdrawn":
            reason = x509.ReasonFlags.privilege_withdrawn
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=certificate,
            issuer=self.issuing,
            algorithm=hashes.SHA256(),
            cert_status=ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD,
            this_update=this_update,
            next_update=this_update + datetime.timedelta(seconds=seconds),
            revocation_time=this_update if revoked else None,
            revocation_reason=reason if revoked else None,
        )
        if by_issuing:
            builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, self.issuing)
            signed = builder.sign(self.issuing_key, hashes.SHA256())
            return signed.public_bytes(Encoding.DER)
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, self.responder)
        builder = builder.certificates([self.responder])
        signed = builder.sign(self.responder_key, hashes.SHA256())
        return signed.public_bytes(Encoding.DER)

    def crl(
        self, number: int, entries: dict[int, x509.ReasonFlags], this_update: datetime.datetime
    ) -> x509.CertificateRevocationList:
        """A CRL of the issuing CA, good for a day."""
        above = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.issuing_key.public_key())
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.issuing_name)
            .last_update(this_update)
            .next_update(this_update + datetime.timedelta(days=1))
            .add_extension(x509.CRLNumber(number), False)
            .add_extension(above, False)
        )
        for serial, reason in entries.items():
            revoked = x509.RevokedCertificateBuilder().serial_number(serial)
            revoked = revoked.revocation_date(this_update)
            revoked = revoked.add_extension(x509.CRLReason(reason), False)
            builder = builder.add_revoked_certificate(revoked.build())
        return builder.sign(self.issuing_key, hashes.SHA256())


@functools.cache
def shared() -> Pki:
    """One issuer for all tests of a run: making keys is slow."""
    return Pki()
