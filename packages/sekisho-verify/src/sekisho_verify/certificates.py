# SPDX-License-Identifier: Apache-2.0
"""Certificates, under the one closed profile (docs/spec/certificate.md sections 1 to 6).

A path is exactly leaf, issuing CA, root; the root comes from outside. What is not in the profile is
refused, not ignored.
"""

from __future__ import annotations

import dataclasses
import datetime
import warnings
from collections.abc import Iterable

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID, SignatureAlgorithmOID

from sekisho_verify import canonical, der
from sekisho_verify.canonical import SECOND
from sekisho_verify.findings import VerificationFailed, require

_MALFORMED = (
    ValueError,
    TypeError,
    OverflowError,
    NotImplementedError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    x509.InvalidVersion,
    Warning,
)
_CA = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.SUBJECT_KEY_IDENTIFIER,
}
_ISSUING = {
    *_CA,
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.NAME_CONSTRAINTS,
}
_LEAF = {
    *_CA,
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    ExtensionOID.EXTENDED_KEY_USAGE,
}
_CERTIFICATE_BYTES_MAX = 65_536
_CRITICAL = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.NAME_CONSTRAINTS,
    ExtensionOID.EXTENDED_KEY_USAGE,
}
_AUTHORITY_USES = {"key_cert_sign", "crl_sign"}
_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
)
_SCOPE = frozenset("agent environment operator risk_controls scope version".split())
_ORGANISATION_MAX = 64


@dataclasses.dataclass(frozen=True)
class Certificate:
    """A parsed certificate with what is needed of it, computed once."""

    parsed: x509.Certificate
    der: bytes
    sha256: str
    not_before: int
    not_after: int
    extensions: dict[x509.ObjectIdentifier, x509.Extension[x509.ExtensionType]]

    @property
    def serial(self) -> str:
        """Serial number, lower-case hex of whole bytes."""
        digits = f"{self.parsed.serial_number:x}"
        return digits if len(digits) % 2 == 0 else f"0{digits}"

    @property
    def spki(self) -> bytes:
        """SubjectPublicKeyInfo (DER) of the key."""
        return self.parsed.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def ec_key(self) -> ec.EllipticCurvePublicKey:
        """The P-256 key."""
        key = self.parsed.public_key()
        if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
            return key
        raise VerificationFailed("certificate has no P-256 key")

    @property
    def ed25519_key(self) -> ed25519.Ed25519PublicKey:
        """The Ed25519 key."""
        key = self.parsed.public_key()
        if not isinstance(key, ed25519.Ed25519PublicKey):
            raise VerificationFailed("certificate has no Ed25519 key")
        return key

    def require_valid_at(self, now: int, what: str) -> None:
        """`notBefore` ≤ now < `notAfter`."""
        if not self.not_before <= now < self.not_after:
            at = canonical.instant_text(now)
            raise VerificationFailed(f"{what} is not in its validity at {at}")


@dataclasses.dataclass(frozen=True)
class Scope:
    """What a scope extension says: digest of the policy, canonical text, and its members."""

    policy_sha256: str
    text: str
    content: dict[str, object]


def seconds_ns(moment: datetime.datetime) -> int:
    """Nanoseconds since 1970 of an aware time of whole seconds."""
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return (moment - epoch) // datetime.timedelta(seconds=1) * SECOND


def load_der(data: bytes) -> Certificate:
    """Read one certificate.

    Raises:
        VerificationFailed: not a well-formed certificate; anything that `cryptography` only warns
            about counts as malformed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            parsed = x509.load_der_x509_certificate(data)
            extensions = {extension.oid: extension for extension in parsed.extensions}
            require(len(data) <= _CERTIFICATE_BYTES_MAX, "certificate is longer than 65,536 bytes")
            require(parsed.version is x509.Version.v3, "certificate is not of version 3")
            short = 0 < parsed.serial_number < 1 << 160
            require(short, "certificate has no positive serial number of at most 20 bytes")
            _ = parsed.public_key(), parsed.subject, parsed.issuer
            return Certificate(
                parsed,
                data,
                canonical.sha256(data),
                seconds_ns(parsed.not_valid_before_utc),
                seconds_ns(parsed.not_valid_after_utc),
                extensions,
            )
        except _MALFORMED as error:
            raise VerificationFailed(f"is no well-formed certificate ({error})") from error


def load(data: bytes) -> Certificate:
    """Read one certificate, PEM or DER."""
    return load_pem(data) if b"-----BEGIN" in data else load_der(data)


def load_exact_pem(data: bytes) -> Certificate:
    """As `load_pem`, in the one spelling that re-encoding gives: nothing else is in the file."""
    found = load_pem(data)
    require(found.parsed.public_bytes(Encoding.PEM) == data, "is not PEM in its one spelling")
    return found


def load_pem(data: bytes) -> Certificate:
    """Read a PEM file that holds one certificate."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            found = x509.load_pem_x509_certificates(data)
            encoded = [one.public_bytes(Encoding.DER) for one in found]
        except _MALFORMED as error:
            raise VerificationFailed(f"is no well-formed certificate ({error})") from error
    require(len(encoded) == 1, f"holds {len(encoded)} certificates, not one")
    return load_der(encoded[0])


class Authority:
    """A root from outside, and the issuing CA below it.

    Attributes:
        arc: the arc of the private OIDs, as the issuing CA's extended key usage shows it.
    """

    def __init__(self, root: Certificate, issuing: Certificate) -> None:
        self.root = root
        self.issuing = issuing
        _check_ca(root, _CA, 1, "root certificate")
        _check_names(root, "Sekisho Root CA", "root certificate")
        _check_signed(root, root, "root certificate")
        _check_ca(issuing, _ISSUING, 0, "issuing certificate")
        _check_names(issuing, "Sekisho Issuing CA", "issuing certificate")
        same = _one(issuing.parsed.subject, NameOID.ORGANIZATION_NAME) == self.issuer_name
        require(same, "issuing certificate has another O than the root")
        _check_signed(issuing, root, "issuing certificate")
        _check_constraint(issuing)
        self.arc = _arc(issuing)

    @property
    def issuer_name(self) -> str:
        """O of the issuer."""
        return _one(self.root.parsed.subject, NameOID.ORGANIZATION_NAME)

    def require_valid_at(self, now: int) -> None:
        """Root and issuing CA are in their validity."""
        self.root.require_valid_at(now, "root certificate")
        self.issuing.require_valid_at(now, "issuing certificate")

    def check_agent(self, leaf: Certificate) -> Scope:
        """An agent's certificate; returns what its scope extension says.

        Subject and alternative name must say the same as the extension.
        """
        what = "agent certificate"
        scope_oid = x509.ObjectIdentifier(f"{self.arc}.1.1")
        usage = x509.ObjectIdentifier(f"{self.arc}.2.1")
        self._check_leaf(leaf, {ExtensionOID.SUBJECT_ALTERNATIVE_NAME, scope_oid}, usage, what)
        _ = leaf.ec_key
        scope = _scope(leaf.extensions[scope_oid])
        subject = leaf.parsed.subject
        require(len(list(subject)) == 3, f"{what} has a subject of another form")
        operator = canonical.object_of(scope.content["operator"])
        agent, name, lei = scope.content["agent"], str(operator["name"]), operator["lei"]
        require(_one(subject, NameOID.COMMON_NAME) == agent, f"{what} is for another agent")
        in_name = _one(subject, NameOID.ORGANIZATION_NAME)
        require(in_name == name[:_ORGANISATION_MAX], f"{what} is for another operator")
        identifier = _one(subject, NameOID.ORGANIZATION_IDENTIFIER)
        require(identifier == f"LEIXG-{lei}", f"{what} names another LEI")
        uri = _uri(leaf, what)
        require(uri.endswith(f"/agents/{lei}/{agent}"), f"{what} has another's alternative name")
        return scope

    def check_log(self, leaf: Certificate, origin: str) -> None:
        """A log key's certificate binds it to its origin."""
        what = "log certificate"
        usage = x509.ObjectIdentifier(f"{self.arc}.2.2")
        self._check_leaf(leaf, {ExtensionOID.SUBJECT_ALTERNATIVE_NAME}, usage, what)
        _ = leaf.ed25519_key
        self._check_issuer_subject(leaf, "Sekisho log key", what)
        require(_uri(leaf, what) == f"sekisho-log://{origin}", f"{what} is for another origin")

    def check_responder(self, leaf: Certificate) -> None:
        """The status responder's certificate."""
        what = "responder certificate"
        usage = ExtendedKeyUsageOID.OCSP_SIGNING
        self._check_leaf(leaf, {ExtensionOID.OCSP_NO_CHECK}, usage, what)
        _ = leaf.ec_key
        self._check_issuer_subject(leaf, "Sekisho status responder", what)

    def _check_issuer_subject(self, leaf: Certificate, called: str, what: str) -> None:
        _check_names(leaf, called, what)
        same = _one(leaf.parsed.subject, NameOID.ORGANIZATION_NAME) == self.issuer_name
        require(same, f"{what} has another O than the issuer")

    def _check_leaf(
        self,
        leaf: Certificate,
        more: set[x509.ObjectIdentifier],
        usage: x509.ObjectIdentifier,
        what: str,
    ) -> None:
        _check_extensions(leaf, _LEAF | more, what)
        basic = leaf.extensions[ExtensionOID.BASIC_CONSTRAINTS]
        end = x509.BasicConstraints(ca=False, path_length=None)
        require(basic.critical and basic.value == end, f"{what} is not marked as an end entity")
        has = _usage(leaf, what)
        require("digital_signature" in has, f"{what} is not for signatures")
        require(not has & _AUTHORITY_USES, f"{what} has the key usage of an authority")
        extended = leaf.extensions[ExtensionOID.EXTENDED_KEY_USAGE]
        only = x509.ExtendedKeyUsage([usage])
        require(extended.critical and extended.value == only, f"{what} has another key usage")
        _check_signed(leaf, self.issuing, what)


def _scope(extension: x509.Extension[x509.ExtensionType]) -> Scope:
    """The scope extension (section 4)."""
    if not isinstance(extension.value, x509.UnrecognizedExtension):
        raise VerificationFailed("agent certificate has no scope extension")
    version, digest, text = der.scope_extension(extension.value.value)
    require(version == 1, "scope extension is of an unknown version")
    content = canonical.fields(canonical.parse(text.encode()), _SCOPE, "scope extension")
    operator = canonical.object_of(content["operator"])
    require({"name", "lei"} <= operator.keys(), "scope extension does not name the operator")
    return Scope(digest.hex(), text, content)


def _one(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    found = name.get_attributes_for_oid(oid)
    require(len(found) == 1, f"certificate name has not exactly one {oid.dotted_string}")
    return str(found[0].value)


def _uri(leaf: Certificate, what: str) -> str:
    value = leaf.extensions[ExtensionOID.SUBJECT_ALTERNATIVE_NAME].value
    names = list(value) if isinstance(value, x509.SubjectAlternativeName) else []
    if len(names) != 1 or not isinstance(names[0], x509.UniformResourceIdentifier):
        raise VerificationFailed(f"{what} has not exactly one URI as alternative name")
    return names[0].value


def log_origin(leaf: Certificate) -> str:
    """The origin that a log's certificate names; the certificate itself is judged elsewhere."""
    oid = ExtensionOID.SUBJECT_ALTERNATIVE_NAME
    require(oid in leaf.extensions, "log certificate has no alternative name")
    uri = _uri(leaf, "log certificate")
    require(uri.startswith("sekisho-log://"), "log certificate names no origin")
    return uri.removeprefix("sekisho-log://")


def _check_names(certificate: Certificate, called: str, what: str) -> None:
    subject = certificate.parsed.subject
    require(len(list(subject)) == 2, f"{what} has a subject of another form")
    require(_one(subject, NameOID.COMMON_NAME) == called, f"{what} has another CN than {called}")


def _check_extensions(
    certificate: Certificate, required: Iterable[x509.ObjectIdentifier], what: str
) -> None:
    """All that the profile asks for; others may be there if they are not critical."""
    for oid in required:
        require(oid in certificate.extensions, f"{what} lacks extension {oid.dotted_string}")
    for oid, extension in certificate.extensions.items():
        known = oid in _CRITICAL and oid in required
        require(known or not extension.critical, f"{what} has critical {oid.dotted_string}")


def _usage(certificate: Certificate, what: str) -> set[str]:
    """The key usages, which must be critical."""
    extension = certificate.extensions[ExtensionOID.KEY_USAGE]
    usage = extension.value
    if not isinstance(usage, x509.KeyUsage) or not extension.critical:
        raise VerificationFailed(f"{what} has no critical key usage")
    return {name for name in _USAGES if getattr(usage, name)}


def _check_ca(
    certificate: Certificate, profile: set[x509.ObjectIdentifier], length: int, what: str
) -> None:
    _check_extensions(certificate, profile, what)
    basic = certificate.extensions[ExtensionOID.BASIC_CONSTRAINTS]
    wanted = x509.BasicConstraints(ca=True, path_length=length)
    require(basic.critical and basic.value == wanted, f"{what} has other basic constraints")
    require(_usage(certificate, what) >= _AUTHORITY_USES, f"{what} may not certify")
    _ = certificate.ec_key


def _check_constraint(issuing: Certificate) -> None:
    extension = issuing.extensions[ExtensionOID.NAME_CONSTRAINTS]
    constraint = extension.value
    if not isinstance(constraint, x509.NameConstraints):
        raise VerificationFailed("issuing certificate has no name constraints")
    permitted = [(type(n), str(n.value)) for n in constraint.permitted_subtrees or []]
    excluded = {(type(n), str(n.value)) for n in constraint.excluded_subtrees or []}
    addresses = {(x509.IPAddress, "0.0.0.0/0"), (x509.IPAddress, "::/0")}
    good = permitted == [(x509.DNSName, "agents.invalid")] and excluded == addresses
    require(extension.critical and good, "issuing certificate has other name constraints")


def _arc(issuing: Certificate) -> str:
    """The private arc, from the issuing CA's usages: clientAuth, OCSPSigning, arc.2.1, arc.2.2."""
    value = issuing.extensions[ExtensionOID.EXTENDED_KEY_USAGE].value
    usages = list(value) if isinstance(value, x509.ExtendedKeyUsage) else []
    known = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.OCSP_SIGNING}
    private = sorted(oid.dotted_string for oid in usages if oid not in known)
    good = known <= set(usages) and len(usages) == 4 and private[0].endswith(".2.1")
    arc = private[0].removesuffix(".2.1") if good else ""
    require(private == [f"{arc}.2.1", f"{arc}.2.2"], "issuing certificate has other key usages")
    return arc


def _check_signed(certificate: Certificate, by: Certificate, what: str) -> None:
    """Names chain, key identifiers agree, and the signature is the issuer's ECDSA with SHA-256."""
    algorithm = certificate.parsed.signature_algorithm_oid
    wanted = SignatureAlgorithmOID.ECDSA_WITH_SHA256
    require(algorithm == wanted, f"{what} is not signed with ECDSA and SHA-256")
    if by is not certificate:
        issuer = by.extensions[ExtensionOID.SUBJECT_KEY_IDENTIFIER].value
        authority = certificate.extensions[ExtensionOID.AUTHORITY_KEY_IDENTIFIER].value
        if not isinstance(issuer, x509.SubjectKeyIdentifier):
            raise VerificationFailed(f"{what} has an issuer without key identifier")
        same = getattr(authority, "key_identifier", None) == issuer.digest
        require(same, f"{what} names another authority key")
    try:
        certificate.parsed.verify_directly_issued_by(by.parsed)
    except InvalidSignature as error:
        raise VerificationFailed(f"{what} has a signature that does not verify") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise VerificationFailed(f"{what} was not issued by the given issuer") from error
