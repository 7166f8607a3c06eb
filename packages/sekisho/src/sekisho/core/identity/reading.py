# SPDX-License-Identifier: Apache-2.0
"""Reading certificates strictly (docs/spec/certificate.md); the path is verified in ``chain``.

Whatever bytes come in, the answer is a value or a failure of this product, never of the library.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import NameOID, ObjectIdentifier

from sekisho.core.encoding import canonical, parse_plain, sha256_hex
from sekisho.core.errors import MalformedInput
from sekisho.core.identity.oids import Arc
from sekisho.core.identity.scope_extension import decode_scope
from sekisho.core.terms import AGENT_NAME, NS

CERTIFICATE_BYTES_MAX = 65_536
SERIAL_BITS_MAX = 159
"""RFC 5280: at most 20 octets, positive; the first bit of 20 octets is the sign."""
LEI = re.compile(r"[A-Z0-9]{18}[0-9]{2}")
LEI_PREFIX = "LEIXG-"
"""ETSI EN 319 412-1: a legal entity identifier in organizationIdentifier."""


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


@lru_cache(maxsize=128)
def load(der: bytes) -> x509.Certificate:
    """A certificate from DER: version 3, positive serial of at most 20 octets, no extension twice.

    Raises:
        MalformedInput: not such a certificate.
    """
    if len(der) > CERTIFICATE_BYTES_MAX:
        raise MalformedInput(f"a certificate of {len(der)} bytes is too long")
    try:
        found = x509.load_der_x509_certificate(der)
        usable = found.version is x509.Version.v3 and 0 < found.serial_number < 2**SERIAL_BITS_MAX
        # The library parses late: whatever is read of a certificate later is read here once.
        _ = (found.extensions, found.subject, found.issuer, found.public_key())
        _ = (found.not_valid_before_utc, found.not_valid_after_utc)
    except (
        ValueError,
        x509.DuplicateExtension,
        x509.InvalidVersion,
        UnsupportedAlgorithm,
        Warning,  # the library warns of what it will refuse; a process may have made that an error
    ) as error:
        raise MalformedInput(f"not a certificate: {error}") from error
    if not usable:
        raise MalformedInput("not of version 3, or with a serial number that RFC 5280 forbids")
    return found


def key_in(der: bytes) -> bytes:
    """The key of a certificate, as :func:`spki`; nothing else of it is read, which is much quicker.

    Raises:
        MalformedInput: not a certificate, or no key that is known.
    """
    try:
        return spki(x509.load_der_x509_certificate(der))
    except (ValueError, x509.InvalidVersion, UnsupportedAlgorithm, Warning) as error:
        raise MalformedInput(f"not a certificate: {error}") from error


def pem(der: bytes) -> bytes:
    """The same certificate as PEM."""
    return load(der).public_bytes(serialization.Encoding.PEM)


def from_pem(text: bytes) -> bytes:
    """The one certificate of a PEM file, DER. Raises MalformedInput."""
    try:
        found = x509.load_pem_x509_certificates(text)
    except ValueError as error:
        raise MalformedInput(f"not a certificate in PEM: {error}") from error
    if len(found) != 1:
        raise MalformedInput(f"{len(found)} certificates where one is wanted")
    der = found[0].public_bytes(serialization.Encoding.DER)
    load(der)
    return der


def seconds(ns: int) -> datetime:
    """An instant in whole seconds, rounded down: what certificates can say."""
    return datetime.fromtimestamp(ns // NS, tz=UTC)


def nanoseconds(moment: datetime) -> int:
    """A certificate's instant in nanoseconds UTC."""
    return int(moment.timestamp()) * NS


def serial_hex(serial: int) -> str:
    """A serial number as documents write it: lower-case hexadecimal, whole bytes."""
    text = f"{serial:x}"
    return text if len(text) % 2 == 0 else f"0{text}"


def spki(certificate: x509.Certificate) -> bytes:
    """The subject's public key, DER SubjectPublicKeyInfo."""
    return certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def read_key(public_key: bytes) -> CertificatePublicKeyTypes:
    """A subject's public key, P-256 or Ed25519, from SubjectPublicKeyInfo (DER).

    Raises:
        MalformedInput: another kind of key, or not a key.
    """
    try:
        key = serialization.load_der_public_key(public_key)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise MalformedInput(f"not a public key: {error}", "public_key") from error
    if is_p256(key) or isinstance(key, ed25519.Ed25519PublicKey):
        return key  # type: ignore[return-value]  # is_p256 said so
    raise MalformedInput("a certified key is P-256 or Ed25519", "public_key")


def is_p256(key: object) -> bool:
    """Whether this is a P-256 public key."""
    return isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)


def agent_uri(base_uri: str, operator_lei: str, agent: str) -> str:
    """How a certificate names an agent."""
    return f"{base_uri}/agents/{operator_lei}/{agent}"


def parse_agent_certificate(
    der: bytes, arc: Arc | None = None, scope: bytes | None = None
) -> AgentCertificate:
    """Read an agent certificate strictly; its chain is not verified here.

    Args:
        der: the certificate.
        arc: of our object identifiers.
        scope: canonical JSON that its scope is known to be; it need not be read again.

    Raises:
        MalformedInput: not a certificate of this profile.
    """
    found = load(der)
    arc = arc or Arc()
    agent = _one_attribute(found, NameOID.COMMON_NAME)
    lei = _one_attribute(found, NameOID.ORGANIZATION_IDENTIFIER)
    if AGENT_NAME.fullmatch(agent) is None:
        raise MalformedInput(f"not an agent certificate: {agent[:80]!r} cannot name one", "subject")
    if not lei.startswith(LEI_PREFIX) or LEI.fullmatch(lei.removeprefix(LEI_PREFIX)) is None:
        raise MalformedInput("not an agent certificate: its operator has no LEI", "subject")
    lei = lei.removeprefix(LEI_PREFIX)
    if not is_p256(found.public_key()):
        raise MalformedInput("not an agent certificate: its key is not P-256", "public_key")
    _check_usage(found, arc)
    _check_uri(found, lei, agent)
    policy_sha256, scope_json = _scope(found, arc, scope)
    return AgentCertificate(
        agent=agent,
        operator_lei=lei,
        serial_number=found.serial_number,
        not_before_ns=nanoseconds(found.not_valid_before_utc),
        not_after_ns=nanoseconds(found.not_valid_after_utc),
        public_key=spki(found),
        scope_json=scope_json,
        policy_sha256=policy_sha256.hex(),
        sha256=sha256_hex(der),
    )


def _one_attribute(found: x509.Certificate, kind: ObjectIdentifier) -> str:
    values = [part.value for part in found.subject if part.oid == kind]
    if len(values) != 1 or not isinstance(values[0], str):
        raise MalformedInput(f"the subject must have one attribute {kind.dotted_string}", "subject")
    return values[0]


def _check_usage(found: x509.Certificate, arc: Arc) -> None:
    try:
        usage = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound as error:
        raise MalformedInput(f"not an agent certificate: {error}") from error
    if not usage.critical or list(usage.value) != [arc.order_signing()]:
        raise MalformedInput("not an agent certificate: its use is not signing orders")


def _check_uri(found: x509.Certificate, lei: str, agent: str) -> None:
    try:
        names = list(found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound as error:
        raise MalformedInput(f"not an agent certificate: {error}") from error
    if (
        len(names) != 1
        or not isinstance(names[0], x509.UniformResourceIdentifier)
        or not names[0].value.endswith(agent_uri("", lei, agent))
    ):
        raise MalformedInput("not an agent certificate: its URI is not that of the agent")


def _scope(found: x509.Certificate, arc: Arc, known: bytes | None) -> tuple[bytes, bytes]:
    scopes = [part for part in found.extensions if part.oid == arc.scope()]
    if len(scopes) != 1 or scopes[0].critical:
        raise MalformedInput("not an agent certificate: it has no scope extension, not critical")
    value = scopes[0].value
    if not isinstance(value, x509.UnrecognizedExtension):
        raise MalformedInput("not an agent certificate: the arc is one of X.509's own")
    scope = decode_scope(value.value)
    if scope.scope_json == known:
        return scope.policy_sha256, scope.scope_json
    plain = parse_plain(scope.scope_json)
    if not isinstance(plain, dict) or canonical(plain) != scope.scope_json:
        raise MalformedInput("the scope of the certificate is not a canonical JSON object", "scope")
    return scope.policy_sha256, scope.scope_json
