# SPDX-License-Identifier: Apache-2.0
"""The certificates of this product, built and read (docs/spec/certificate.md).

Root (path length 1) → issuing CA (path length 0) → agent, log and responder certificates. P-256 and
SHA-256 everywhere, but for the Ed25519 key that a log certificate is *about*. An agent certificate
has only our own extended key usage, so that no stock client or server takes it for TLS.
"""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from sekisho.core.encoding import sha256, sha256_hex
from sekisho.core.errors import MalformedInput
from sekisho.core.identity.scope_extension import decode_scope, encode_scope
from sekisho.core.terms import AGENT_NAME, NS

DOCUMENTATION_ARC = "1.3.6.1.4.1.32473"
"""RFC 5612; stands until an operator configures a registered arc."""


class Arc(msgspec.Struct, frozen=True):
    """Our object identifiers, below one configurable arc."""

    base: str = DOCUMENTATION_ARC

    def scope(self) -> x509.ObjectIdentifier:
        """The scope extension."""
        return x509.ObjectIdentifier(f"{self.base}.1.1")

    def order_signing(self) -> x509.ObjectIdentifier:
        """Extended key usage: signs orders."""
        return x509.ObjectIdentifier(f"{self.base}.2.1")

    def checkpoint_signing(self) -> x509.ObjectIdentifier:
        """Extended key usage: signs checkpoints of a log."""
        return x509.ObjectIdentifier(f"{self.base}.2.2")

    def check(self) -> None:
        """Refuse arcs that stock tools cannot read.

        Raises:
            MalformedInput: a component is 2^31 or above, or not a number.
        """
        for part in self.base.split("."):
            if not part.isdigit() or int(part) >= 2**31:
                raise MalformedInput(f"arc {self.base}: components are numbers below 2^31")


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """Who issues, and where what it publishes is found (empty: not published)."""

    issuer_name: str
    base_uri: str = "https://sekisho.invalid"
    crl_url: str = ""
    ocsp_url: str = ""
    issuing_url: str = ""
    arc: Arc = Arc()


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """The operator of an agent."""

    operator_name: str
    operator_lei: str


class AgentCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent certificate says. ``sha256`` is that of its DER, hexadecimal."""

    agent: str
    operator_lei: str
    serial_number: int
    not_before_ns: int
    not_after_ns: int
    public_key: bytes
    scope_json: bytes
    policy_sha256: str
    sha256: str


def serial_number(random_bytes: bytes, prefix: int = 1) -> int:
    """A positive serial of an 8-bit instance prefix and the given randomness (16 bytes at least).

    Raises:
        MalformedInput: too little or too much randomness, or no prefix from 1 to 127.
    """
    if not 16 <= len(random_bytes) <= 19 or not 1 <= prefix <= 127:
        raise MalformedInput("a serial number has 16 to 19 random bytes and a prefix of 1 to 127")
    return int.from_bytes(bytes([prefix]) + random_bytes, "big")


def serial_hex(serial: int) -> str:
    """A serial number as documents write it: lower-case hexadecimal, whole bytes."""
    text = f"{serial:x}"
    return text if len(text) % 2 == 0 else f"0{text}"


def load(der: bytes) -> x509.Certificate:
    """A certificate from DER.

    Raises:
        MalformedInput: not a certificate.
    """
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError as error:
        raise MalformedInput(f"not a certificate: {error}") from error


def pem(der: bytes) -> bytes:
    """The same certificate as PEM."""
    return load(der).public_bytes(serialization.Encoding.PEM)


def seconds(ns: int) -> datetime:
    """An instant in whole seconds, rounded down: what certificates can say."""
    return datetime.fromtimestamp(ns // NS, tz=UTC)


def nanoseconds(moment: datetime) -> int:
    """A certificate's instant in nanoseconds UTC."""
    return int(moment.timestamp()) * NS


def root_certificate(
    *,
    names: Names,
    key: ec.EllipticCurvePrivateKey,
    serial: int,
    not_before_ns: int,
    not_after_ns: int,
) -> bytes:
    """The self-signed root, DER."""
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, names.issuer_name),
            x509.NameAttribute(NameOID.COMMON_NAME, "Sekisho Root CA"),
        ]
    )
    builder = (
        _builder(subject, subject, key.public_key(), serial, not_before_ns, not_after_ns)
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(_key_usage(ca=True), critical=True)
    )
    return _sign(builder, key)


def issuing_certificate(
    *,
    names: Names,
    root: bytes,
    root_key: ec.EllipticCurvePrivateKey,
    public_key: bytes,
    serial: int,
    not_before_ns: int,
    not_after_ns: int,
) -> bytes:
    """The issuing CA under the root, DER: constrained in depth, usages and names."""
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, names.issuer_name),
            x509.NameAttribute(NameOID.COMMON_NAME, "Sekisho Issuing CA"),
        ]
    )
    issuer = load(root)
    key = serialization.load_der_public_key(public_key)
    usages = [
        ExtendedKeyUsageOID.CLIENT_AUTH,
        ExtendedKeyUsageOID.OCSP_SIGNING,
        names.arc.order_signing(),
        names.arc.checkpoint_signing(),
    ]
    builder = (
        _builder(subject, issuer.subject, key, serial, not_before_ns, not_after_ns)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(ca=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(_name_constraints(), critical=True)
        .add_extension(_authority(issuer), critical=False)
    )
    return _sign(builder, root_key)


def agent_certificate(
    *,
    names: Names,
    holder: Holder,
    issuing: bytes,
    issuing_key: ec.EllipticCurvePrivateKey,
    serial: int,
    agent: str,
    public_key: bytes,
    not_before_ns: int,
    not_after_ns: int,
    scope_json: bytes,
    policy_sha256: str,
) -> bytes:
    """An agent's order-signing certificate, DER.

    Raises:
        MalformedInput: the agent's name has a character that stock tools stumble over.
    """
    if AGENT_NAME.fullmatch(agent) is None:
        raise MalformedInput(f"agent {agent!r}: lower-case letters, digits, _ and - only", "agent")
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, holder.operator_name[:64]),
            x509.NameAttribute(NameOID.ORGANIZATION_IDENTIFIER, f"LEIXG-{holder.operator_lei}"),
            x509.NameAttribute(NameOID.COMMON_NAME, agent),
        ]
    )
    uri = f"{names.base_uri}/agents/{holder.operator_lei}/{agent}"
    builder = _end_entity(names, issuing, subject, public_key, serial, not_before_ns, not_after_ns)
    builder = (
        builder.add_extension(_key_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([names.arc.order_signing()]), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False
        )
        .add_extension(
            x509.UnrecognizedExtension(
                names.arc.scope(), encode_scope(bytes.fromhex(policy_sha256), scope_json)
            ),
            critical=False,
        )
    )
    return _sign(builder, issuing_key)


def log_certificate(
    *,
    names: Names,
    issuing: bytes,
    issuing_key: ec.EllipticCurvePrivateKey,
    serial: int,
    origin: str,
    public_key: bytes,
    not_before_ns: int,
    not_after_ns: int,
) -> bytes:
    """Binds a log's Ed25519 note key to its origin (``sekisho-log:<origin>`` as SAN URI), DER."""
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, names.issuer_name),
            x509.NameAttribute(NameOID.COMMON_NAME, "Sekisho log key"),
        ]
    )
    builder = _end_entity(names, issuing, subject, public_key, serial, not_before_ns, not_after_ns)
    builder = (
        builder.add_extension(_key_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([names.arc.checkpoint_signing()]), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(log_uri(origin))]),
            critical=False,
        )
    )
    return _sign(builder, issuing_key)


def log_uri(origin: str) -> str:
    """How a log certificate names its log."""
    return f"sekisho-log:{origin}"


def ocsp_responder_certificate(
    *,
    names: Names,
    issuing: bytes,
    issuing_key: ec.EllipticCurvePrivateKey,
    serial: int,
    public_key: bytes,
    not_before_ns: int,
    not_after_ns: int,
) -> bytes:
    """The delegated responder, which signs status responses and leases, DER."""
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, names.issuer_name),
            x509.NameAttribute(NameOID.COMMON_NAME, "Sekisho status responder"),
        ]
    )
    builder = _end_entity(names, issuing, subject, public_key, serial, not_before_ns, not_after_ns)
    builder = (
        builder.add_extension(_key_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), critical=True)
        .add_extension(x509.OCSPNoCheck(), critical=False)
    )
    return _sign(builder, issuing_key)


def parse_agent_certificate(der: bytes, arc: Arc | None = None) -> AgentCertificate:
    """Read an agent certificate strictly; its chain is not verified here.

    Raises:
        MalformedInput: not a certificate of this profile.
    """
    found = load(der)
    arc = arc or Arc()
    try:
        usage = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        scopes = [part for part in found.extensions if part.oid == arc.scope()]
        agent = str(found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
        holder = found.subject.get_attributes_for_oid(NameOID.ORGANIZATION_IDENTIFIER)
        lei = str(holder[0].value).removeprefix("LEIXG-")
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension, IndexError) as error:
        raise MalformedInput(f"not an agent certificate: {error}") from error
    if list(usage) != [arc.order_signing()] or len(scopes) != 1:
        raise MalformedInput("not an agent certificate: usage and scope are not those of an agent")
    value = scopes[0].value
    if not isinstance(value, x509.UnrecognizedExtension) or AGENT_NAME.fullmatch(agent) is None:
        raise MalformedInput("not an agent certificate: name or scope cannot be read")
    scope = decode_scope(value.value)
    return AgentCertificate(
        agent=agent,
        operator_lei=lei,
        serial_number=found.serial_number,
        not_before_ns=nanoseconds(found.not_valid_before_utc),
        not_after_ns=nanoseconds(found.not_valid_after_utc),
        public_key=spki(found),
        scope_json=scope.scope_json,
        policy_sha256=scope.policy_sha256.hex(),
        sha256=sha256_hex(der),
    )


def spki(certificate: x509.Certificate) -> bytes:
    """The subject's public key, DER SubjectPublicKeyInfo."""
    return certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: object,
    serial: int,
    not_before_ns: int,
    not_after_ns: int,
) -> x509.CertificateBuilder:
    key_id = x509.SubjectKeyIdentifier.from_public_key(public_key)  # type: ignore[arg-type]
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)  # type: ignore[arg-type]
        .serial_number(serial)
        .not_valid_before(seconds(not_before_ns))
        .not_valid_after(seconds(not_after_ns))
        .add_extension(key_id, critical=False)
    )


def _end_entity(
    names: Names,
    issuing: bytes,
    subject: x509.Name,
    public_key: bytes,
    serial: int,
    not_before_ns: int,
    not_after_ns: int,
) -> x509.CertificateBuilder:
    issuer = load(issuing)
    key = serialization.load_der_public_key(public_key)
    builder = _builder(subject, issuer.subject, key, serial, not_before_ns, not_after_ns)
    builder = builder.add_extension(_authority(issuer), critical=False)
    builder = builder.add_extension(
        x509.BasicConstraints(ca=False, path_length=None), critical=True
    )
    if names.crl_url:
        point = x509.DistributionPoint(
            [x509.UniformResourceIdentifier(names.crl_url)], None, None, None
        )
        builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
    places = [
        x509.AccessDescription(method, x509.UniformResourceIdentifier(url))
        for method, url in (
            (AuthorityInformationAccessOID.OCSP, names.ocsp_url),
            (AuthorityInformationAccessOID.CA_ISSUERS, names.issuing_url),
        )
        if url
    ]
    if places:
        builder = builder.add_extension(x509.AuthorityInformationAccess(places), critical=False)
    return builder


def _authority(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    held = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(held)


def _name_constraints() -> x509.NameConstraints:
    """The one form that every validator we care for enforces alike: no host name, no address."""
    return x509.NameConstraints(
        permitted_subtrees=[x509.DNSName("agents.invalid")],
        excluded_subtrees=[
            x509.IPAddress(ipaddress.ip_network("0.0.0.0/0")),
            x509.IPAddress(ipaddress.ip_network("::/0")),
        ],
    )


def _key_usage(*, ca: bool) -> x509.KeyUsage:
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


def _sign(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> bytes:
    made = builder.sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.DER)


def certificate_digest(der: bytes) -> bytes:
    """SHA-256 of a certificate's DER."""
    return sha256(der)
