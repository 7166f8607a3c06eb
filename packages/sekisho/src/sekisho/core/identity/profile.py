# SPDX-License-Identifier: Apache-2.0
"""Building the certificates of this product (docs/spec/certificate.md).

Root (path length 1) → issuing CA (path length 0) → agent, log and responder certificates. P-256 and
SHA-256 everywhere, but for the Ed25519 key that a log certificate is *about*. An agent certificate
has only our own extended key usage, so that no stock client or server takes it for TLS. Reading is
in ``reading``, verifying a path in ``chain``. Nothing is signed with another key than the issuer's.
"""

from __future__ import annotations

import ipaddress
import re

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from sekisho.core.errors import ConfigurationInvalid, MalformedInput
from sekisho.core.identity.oids import DOCUMENTATION_ARC, Arc, openssl_names
from sekisho.core.identity.places import Holder, Names
from sekisho.core.identity.reading import (
    LEI,
    LEI_PREFIX,
    SERIAL_BITS_MAX,
    AgentCertificate,
    agent_uri,
    is_p256,
    load,
    nanoseconds,
    parse_agent_certificate,
    pem,
    read_key,
    seconds,
    serial_hex,
    spki,
)
from sekisho.core.identity.scope_extension import encode_scope
from sekisho.core.terms import AGENT_NAME, NS

__all__ = [
    "DOCUMENTATION_ARC",
    "AgentCertificate",
    "Arc",
    "Holder",
    "Names",
    "agent_certificate",
    "granted_usages",
    "issuer_of",
    "issuing_certificate",
    "load",
    "log_certificate",
    "log_uri",
    "name_constraints",
    "nanoseconds",
    "ocsp_responder_certificate",
    "openssl_names",
    "parse_agent_certificate",
    "pem",
    "root_certificate",
    "seconds",
    "serial_hex",
    "serial_number",
    "spki",
]

NAME_CHARS_MAX = 64
"""RFC 5280, ub-organization-name: longer names are cut."""
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+")


def serial_number(random_bytes: bytes, prefix: int = 1) -> int:
    """A positive serial of an 8-bit instance prefix and the given randomness (16 bytes at least).

    Raises:
        MalformedInput: too little or too much randomness, or no prefix from 1 to 127.
    """
    if not 16 <= len(random_bytes) <= 19 or not 1 <= prefix <= 127:
        raise MalformedInput("a serial number has 16 to 19 random bytes and a prefix of 1 to 127")
    return int.from_bytes(bytes([prefix]) + random_bytes, "big")


def root_certificate(
    *,
    names: Names,
    key: ec.EllipticCurvePrivateKey,
    serial: int,
    not_before_ns: int,
    not_after_ns: int,
) -> bytes:
    """The self-signed root, DER.

    Raises:
        MalformedInput: the serial number, a name or the times are not of the profile.
    """
    subject = _issuer_subject(names, "Sekisho Root CA")
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
    """The issuing CA under the root, DER: constrained in depth, usages and names.

    Raises:
        MalformedInput: something is not of the profile; ConfigurationInvalid: not the root's key.
    """
    subject = _issuer_subject(names, "Sekisho Issuing CA")
    issuer = issuer_of(root, root_key)
    key = _p256(public_key)
    usages = granted_usages(names.arc)
    builder = (
        _builder(subject, issuer.subject, key, serial, not_before_ns, not_after_ns)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(ca=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(name_constraints(), critical=True)
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
        MalformedInput: something is not of the profile, such as a dot in the agent's name.
        ConfigurationInvalid: not the issuing CA's key.
    """
    if AGENT_NAME.fullmatch(agent) is None:
        raise MalformedInput(f"agent {agent!r}: lower-case letters, digits, _ and - only", "agent")
    if not holder.operator_name:
        raise MalformedInput("the operator has no name", "operator_name")
    if LEI.fullmatch(holder.operator_lei) is None:
        raise MalformedInput(f"{holder.operator_lei[:40]!r} is not an LEI", "operator_lei")
    if re.fullmatch(r"[0-9a-f]{64}", policy_sha256) is None:
        raise MalformedInput("the policy's digest is 64 lower-case hex digits", "policy_sha256")
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, holder.operator_name[:NAME_CHARS_MAX]),
            x509.NameAttribute(NameOID.ORGANIZATION_IDENTIFIER, LEI_PREFIX + holder.operator_lei),
            x509.NameAttribute(NameOID.COMMON_NAME, agent),
        ]
    )
    uri = _uri(agent_uri(names.base_uri, holder.operator_lei, agent))
    issuer, key = issuer_of(issuing, issuing_key), _p256(public_key)
    builder = _end_entity(names, issuer, subject, key, serial, not_before_ns, not_after_ns)
    builder = (
        builder.add_extension(_key_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([names.arc.order_signing()]), critical=True)
        .add_extension(x509.SubjectAlternativeName([uri]), critical=False)
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
    """Binds a log's Ed25519 note key to its origin (``sekisho-log://<origin>`` as SAN URI), DER.

    Raises:
        MalformedInput: not an Ed25519 key, an origin that is no URI, or else not of the profile.
        ConfigurationInvalid: not the issuing CA's key.
    """
    key = read_key(public_key)
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise MalformedInput("the key of a log must be Ed25519", "public_key")
    uri = _uri(log_uri(origin))
    subject = _issuer_subject(names, "Sekisho log key")
    issuer = issuer_of(issuing, issuing_key)
    builder = _end_entity(names, issuer, subject, key, serial, not_before_ns, not_after_ns)
    builder = (
        builder.add_extension(_key_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([names.arc.checkpoint_signing()]), critical=True)
        .add_extension(x509.SubjectAlternativeName([uri]), critical=False)
    )
    return _sign(builder, issuing_key)


def granted_usages(arc: Arc) -> list[x509.ObjectIdentifier]:
    """What the issuing CA may have its certificates used for."""
    own = [arc.order_signing(), arc.checkpoint_signing()]
    return [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.OCSP_SIGNING, *own]


def log_uri(origin: str) -> str:
    """How a log certificate names its log."""
    return f"sekisho-log://{origin}"


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
    """The delegated responder, which signs status responses and leases, DER.

    Raises:
        MalformedInput: something is not of the profile.
        ConfigurationInvalid: not the issuing CA's key.
    """
    subject = _issuer_subject(names, "Sekisho status responder")
    issuer, key = issuer_of(issuing, issuing_key), _p256(public_key)
    builder = _end_entity(names, issuer, subject, key, serial, not_before_ns, not_after_ns)
    builder = (
        builder.add_extension(_key_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), critical=True)
        .add_extension(x509.OCSPNoCheck(), critical=False)
    )
    return _sign(builder, issuing_key)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: CertificatePublicKeyTypes,
    serial: int,
    not_before_ns: int,
    not_after_ns: int,
) -> x509.CertificateBuilder:
    if not 0 < serial < 2**SERIAL_BITS_MAX:
        raise MalformedInput("a serial number is positive and has at most 20 octets", "serial")
    if not 0 <= not_before_ns // NS < not_after_ns // NS:
        raise MalformedInput("a certificate's validity is at least a second", "not_after")
    key_id = x509.SubjectKeyIdentifier.from_public_key(public_key)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(serial)
        .not_valid_before(seconds(not_before_ns))
        .not_valid_after(seconds(not_after_ns))
        .add_extension(key_id, critical=False)
    )


def _end_entity(
    names: Names,
    issuer: x509.Certificate,
    subject: x509.Name,
    key: CertificatePublicKeyTypes,
    serial: int,
    not_before_ns: int,
    not_after_ns: int,
) -> x509.CertificateBuilder:
    builder = _builder(subject, issuer.subject, key, serial, not_before_ns, not_after_ns)
    builder = builder.add_extension(_authority(issuer), critical=False)
    builder = builder.add_extension(
        x509.BasicConstraints(ca=False, path_length=None), critical=True
    )
    if names.crl_url:
        point = x509.DistributionPoint([_uri(names.crl_place(serial))], None, None, None)
        builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
    places = [
        x509.AccessDescription(method, _uri(url))
        for method, url in (
            (AuthorityInformationAccessOID.OCSP, names.ocsp_url),
            (AuthorityInformationAccessOID.CA_ISSUERS, names.issuing_url),
        )
        if url
    ]
    if places:
        builder = builder.add_extension(x509.AuthorityInformationAccess(places), critical=False)
    return builder


def _issuer_subject(names: Names, common_name: str) -> x509.Name:
    if not names.issuer_name:
        raise MalformedInput("the issuer has no name", "issuer_name")
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, names.issuer_name[:NAME_CHARS_MAX]),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def issuer_of(der: bytes, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """The issuer's certificate, once it is sure that this key is the one that it certifies.

    Raises:
        ConfigurationInvalid: it certifies another key.
    """
    issuer = load(der)
    if issuer.public_key() != key.public_key():
        raise ConfigurationInvalid("the issuer's certificate is for another key than the given one")
    return issuer


def _p256(public_key: bytes) -> CertificatePublicKeyTypes:
    key = read_key(public_key)
    if not is_p256(key):
        raise MalformedInput("this certificate is for a P-256 key", "public_key")
    return key


def _uri(text: str) -> x509.UniformResourceIdentifier:
    if _URI.fullmatch(text) is None:
        raise MalformedInput(f"{text[:80]!r} is not an absolute URI in ASCII", "uri")
    return x509.UniformResourceIdentifier(text)


def _authority(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    held = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(held)


def name_constraints() -> x509.NameConstraints:
    """The one form that the validators we tried enforce alike: no host name, no address."""
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
