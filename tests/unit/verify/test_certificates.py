# SPDX-License-Identifier: Apache-2.0
"""The certificate profile (certificate.md 2 to 6): each rule, broken alone."""

from __future__ import annotations

import dataclasses
import datetime
import ipaddress
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sekisho_verify import certificates
from sekisho_verify.certificates import Authority
from sekisho_verify.findings import VerificationFailed
from tests.unit.verify.build_pki import ARC, END, LEI, START, Pki, scope_extension, shared, usage
from tests.unit.verify.build_signed import GATE, canonical

OID = x509.ObjectIdentifier
ISSUER = (NameOID.ORGANIZATION_NAME, "Test Issuer")
Extensions = dict[str, tuple[x509.ExtensionType, bool]]


@dataclasses.dataclass
class Craft:
    """A certificate in the making; tests replace one part."""

    subject: list[tuple[OID, str]]
    issuer: x509.Name
    key: Any
    signer: Any
    extensions: Extensions
    serial: int | None = None
    hash: Any = dataclasses.field(default_factory=hashes.SHA256)

    def made(self) -> certificates.Certificate:
        """Signed and read."""
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(*part) for part in self.subject]))
            .issuer_name(self.issuer)
            .public_key(self.key)
            .serial_number(self.serial or shared().serial())
            .not_valid_before(START)
            .not_valid_after(END)
        )
        for extension, critical in self.extensions.values():
            builder = builder.add_extension(extension, critical)
        signed = builder.sign(self.signer, self.hash)
        return certificates.load_der(signed.public_bytes(Encoding.DER))


def identifiers(key: Any, above: Any) -> Extensions:
    """Subject and authority key identifiers."""
    return {
        "ski": (x509.SubjectKeyIdentifier.from_public_key(key), False),
        "aki": (x509.AuthorityKeyIdentifier.from_issuer_public_key(above), False),
    }


def root(pki: Pki) -> Craft:
    """The root, as specified."""
    key = pki.root_key.public_key()
    extensions = identifiers(key, key) | {
        "basic": (x509.BasicConstraints(True, 1), True),
        "usage": (usage(ca=True), True),
    }
    del extensions["aki"]
    subject = [ISSUER, (NameOID.COMMON_NAME, "Sekisho Root CA")]
    return Craft(subject, pki.root_name, key, pki.root_key, extensions)


def constraints(*excluded: str) -> x509.NameConstraints:
    """Name constraints that exclude these addresses."""
    networks = [x509.IPAddress(ipaddress.ip_network(one)) for one in excluded]
    return x509.NameConstraints([x509.DNSName("agents.invalid")], networks or None)


def issuing(pki: Pki) -> Craft:
    """The issuing CA, as specified."""
    key = pki.issuing_key.public_key()
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.OCSP_SIGNING]
    usages += [OID(f"{ARC}.2.1"), OID(f"{ARC}.2.2")]
    extensions = identifiers(key, pki.root_key.public_key()) | {
        "basic": (x509.BasicConstraints(True, 0), True),
        "usage": (usage(ca=True), True),
        "extended": (x509.ExtendedKeyUsage(usages), False),
        "names": (constraints("0.0.0.0/0", "::/0"), True),
    }
    subject = [ISSUER, (NameOID.COMMON_NAME, "Sekisho Issuing CA")]
    return Craft(subject, pki.root_name, key, pki.root_key, extensions)


def leaf(pki: Pki, subject: list[tuple[OID, str]], key: Any, more: Extensions) -> Craft:
    """An end entity below the issuing CA."""
    extensions = identifiers(key, pki.issuing_key.public_key()) | {
        "basic": (x509.BasicConstraints(False, None), True),
        "usage": (usage(ca=False), True),
    }
    return Craft(subject, pki.issuing_name, key, pki.issuing_key, extensions | more)


def uri(text: str) -> tuple[x509.ExtensionType, bool]:
    """An alternative name of one URI."""
    return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(text)]), False


def scope_value(version: int = 1, **members: Any) -> tuple[x509.ExtensionType, bool]:
    """A scope extension."""
    given = {
        "agent": "bot",
        "environment": "test",
        "operator": {"name": "Example", "lei": LEI},
        "risk_controls": {},
        "scope": {},
        "version": 1,
    } | members
    value = scope_extension(bytes(32), canonical(given), version)
    return x509.UnrecognizedExtension(OID(f"{ARC}.1.1"), value), False


def agent(pki: Pki) -> Craft:
    """An agent's, as specified."""
    subject = [
        (NameOID.ORGANIZATION_NAME, "Example"),
        (NameOID.ORGANIZATION_IDENTIFIER, f"LEIXG-{LEI}"),
        (NameOID.COMMON_NAME, "bot"),
    ]
    more: Extensions = {
        "extended": (x509.ExtendedKeyUsage([OID(f"{ARC}.2.1")]), True),
        "san": uri(f"https://x.invalid/agents/{LEI}/bot"),
        "scope": scope_value(),
    }
    return leaf(pki, subject, pki.agent_key.public_key(), more)


def log(pki: Pki) -> Craft:
    """A log key's, as specified."""
    more: Extensions = {
        "extended": (x509.ExtendedKeyUsage([OID(f"{ARC}.2.2")]), True),
        "san": uri(f"sekisho-log://{GATE}"),
    }
    subject = [ISSUER, (NameOID.COMMON_NAME, "Sekisho log key")]
    return leaf(pki, subject, pki.gate_key.public_key(), more)


def responder(pki: Pki) -> Craft:
    """The status responder's, as specified."""
    more: Extensions = {
        "extended": (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), True),
        "nocheck": (x509.OCSPNoCheck(), False),
    }
    subject = [ISSUER, (NameOID.COMMON_NAME, "Sekisho status responder")]
    return leaf(pki, subject, pki.responder_key.public_key(), more)


CRAFTS = {"root": root, "issuing": issuing, "agent": agent, "log": log, "responder": responder}


def judge(kind: str, craft: Craft) -> None:
    """Judge a certificate of this kind, everything else being as specified."""
    pki = shared()
    made = craft.made()
    if kind == "root":
        Authority(made, issuing(pki).made())
    elif kind == "issuing":
        Authority(root(pki).made(), made)
    else:
        authority = Authority(root(pki).made(), issuing(pki).made())
        if kind == "agent":
            authority.check_agent(made)
        elif kind == "log":
            authority.check_log(made, GATE)
        else:
            authority.check_responder(made)


@pytest.mark.parametrize("kind", CRAFTS)
def test_certificate_as_specified_is_accepted(kind: str) -> None:
    """The tests below break one rule each of these."""
    judge(kind, CRAFTS[kind](shared()))


def extra(critical: bool) -> tuple[x509.ExtensionType, bool]:
    """An extension that nobody asked for."""
    return x509.UnrecognizedExtension(OID("1.3.6.1.4.1.32473.9"), b"\x05\x00"), critical


@pytest.mark.parametrize("kind", CRAFTS)
def test_certificate_with_more_is_accepted_unless_critical(kind: str) -> None:
    """What is unknown and not critical is no fault."""
    craft = CRAFTS[kind](shared())
    craft.extensions["more"] = extra(critical=False)
    judge(kind, craft)
    craft.extensions["more"] = extra(critical=True)
    with pytest.raises(VerificationFailed, match="has critical"):
        judge(kind, craft)


REQUIRED = [(kind, name) for kind, make in CRAFTS.items() for name in make(shared()).extensions]


@pytest.mark.parametrize(("kind", "name"), REQUIRED)
def test_certificate_without_an_extension_is_refused(kind: str, name: str) -> None:
    """Each extension of the profile must be there."""
    craft = CRAFTS[kind](shared())
    del craft.extensions[name]
    with pytest.raises(VerificationFailed, match="lacks extension"):
        judge(kind, craft)


CRITICAL = [(k, n) for k, n in REQUIRED if n in {"basic", "usage", "names"}]
CRITICAL += [(k, "extended") for k in ("agent", "log", "responder")]


@pytest.mark.parametrize(("kind", "name"), CRITICAL)
def test_certificate_extension_not_critical_is_refused(kind: str, name: str) -> None:
    """What narrows must be critical."""
    craft = CRAFTS[kind](shared())
    craft.extensions[name] = (craft.extensions[name][0], False)
    with pytest.raises(VerificationFailed):
        judge(kind, craft)


def test_scope_extension_critical_is_refused() -> None:
    """A critical scope extension breaks stock tools, so it is not written."""
    craft = agent(shared())
    craft.extensions["scope"] = (craft.extensions["scope"][0], True)
    with pytest.raises(VerificationFailed, match="critical"):
        judge("agent", craft)


def usages(**changes: bool) -> tuple[x509.ExtensionType, bool]:
    """Key usage of an end entity, changed."""
    names = "digital_signature content_commitment key_encipherment data_encipherment".split()
    names += "key_agreement key_cert_sign crl_sign encipher_only decipher_only".split()
    given = {name: name == "digital_signature" for name in names}
    return x509.KeyUsage(**(given | changes)), True


OTHER_KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_AKI = x509.AuthorityKeyIdentifier.from_issuer_public_key(OTHER_KEY.public_key())
P384 = ec.generate_private_key(ec.SECP384R1())
REPLACED: list[tuple[str, str, tuple[x509.ExtensionType, bool], str]] = [
    ("root", "basic", (x509.BasicConstraints(True, 2), True), "other basic constraints"),
    ("root", "usage", usages(key_cert_sign=True), "may not certify"),
    ("issuing", "basic", (x509.BasicConstraints(True, 1), True), "other basic constraints"),
    ("issuing", "usage", usages(crl_sign=True), "may not certify"),
    ("issuing", "names", (constraints("0.0.0.0/0"), True), "other name constraints"),
    ("issuing", "aki", (OTHER_AKI, False), "another authority key"),
    (
        "issuing",
        "extended",
        (x509.ExtendedKeyUsage([OID(f"{ARC}.2.1"), OID(f"{ARC}.2.2")]), False),
        "other key usages",
    ),
    (
        "issuing",
        "extended",
        (
            x509.ExtendedKeyUsage(
                [
                    ExtendedKeyUsageOID.CLIENT_AUTH,
                    ExtendedKeyUsageOID.OCSP_SIGNING,
                    OID(f"{ARC}.2.1"),
                    OID("1.2.3.2.2"),
                ]
            ),
            False,
        ),
        "other key usages",
    ),
    ("agent", "basic", (x509.BasicConstraints(True, 0), True), "not marked as an end entity"),
    ("agent", "usage", usages(digital_signature=False, key_agreement=True), "not for signatures"),
    ("agent", "usage", usages(crl_sign=True), "key usage of an authority"),
    ("agent", "aki", (OTHER_AKI, False), "another authority key"),
    ("agent", "san", uri(f"https://x.invalid/agents/{LEI}/other"), "another's alternative name"),
    (
        "agent",
        "san",
        (x509.SubjectAlternativeName([x509.DNSName("x.agents.invalid")]), False),
        "not exactly one URI",
    ),
    ("agent", "scope", scope_value(version=2), "unknown version"),
    ("agent", "scope", scope_value(agent="other"), "for another agent"),
    ("agent", "scope", scope_value(operator={"name": "Example"}), "does not name the operator"),
    ("agent", "scope", scope_value(operator={"name": "Else", "lei": LEI}), "another operator"),
    ("agent", "scope", scope_value(operator={"name": "Example", "lei": "x"}), "another LEI"),
    ("agent", "scope", scope_value(more=1), "unasked the field more"),
    ("log", "san", uri("sekisho-log://else/log"), "for another origin"),
    ("log", "san", uri(GATE), "for another origin"),
]


@pytest.mark.parametrize(("kind", "name", "value", "what"), REPLACED)
def test_certificate_extension_of_other_content_is_refused(
    kind: str, name: str, value: tuple[x509.ExtensionType, bool], what: str
) -> None:
    """Each extension has the content of the profile."""
    craft = CRAFTS[kind](shared())
    craft.extensions[name] = value
    with pytest.raises(VerificationFailed, match=what):
        judge(kind, craft)


@pytest.mark.parametrize("kind", CRAFTS)
def test_certificate_subject_of_another_form_is_refused(kind: str) -> None:
    """Each attribute once, none more, with the words of the profile."""
    good = CRAFTS[kind](shared()).subject
    others = [
        [*good, (NameOID.LOCALITY_NAME, "X")],
        good[:-1],
        [*good[:-1], good[0]],
        [*good[:-1], (NameOID.COMMON_NAME, "Else")],
    ]
    if kind != "root":
        others.append([(NameOID.ORGANIZATION_NAME, "Else"), *good[1:]])
    for subject in others:
        craft = CRAFTS[kind](shared())
        craft.subject = subject
        with pytest.raises(VerificationFailed):
            judge(kind, craft)


@pytest.mark.parametrize("kind", CRAFTS)
def test_certificate_of_another_key_or_signer_is_refused(kind: str) -> None:
    """The right kind of key, signed by the one above with SHA-256."""
    pki = shared()
    good = CRAFTS[kind](pki)
    wrong_key = pki.agent_key.public_key() if kind == "log" else P384.public_key()
    bad = [
        dataclasses.replace(good, signer=OTHER_KEY),
        dataclasses.replace(good, hash=hashes.SHA384()),
        dataclasses.replace(good, issuer=x509.Name([x509.NameAttribute(*ISSUER)])),
    ]
    if kind not in {"root", "issuing"}:
        bad.append(dataclasses.replace(good, key=wrong_key))
    for craft in bad:
        with pytest.raises(VerificationFailed):
            judge(kind, craft)


def test_operator_longer_than_64_characters_is_cut_in_the_subject() -> None:
    """X.509 bounds O; the scope holds the whole name."""
    name = "Example " * 12
    craft = agent(shared())
    craft.subject[0] = (NameOID.ORGANIZATION_NAME, name[:64])
    craft.extensions["scope"] = scope_value(operator={"name": name, "lei": LEI})
    judge("agent", craft)


def test_load_refuses_what_is_no_single_plain_certificate() -> None:
    """Two in one file, version 1, a serial of 21 bytes, more than 64 KiB, text around it."""
    craft = log(shared())
    pem = craft.made().parsed.public_bytes(Encoding.PEM)
    with pytest.raises(VerificationFailed, match="holds 2 certificates"):
        certificates.load(pem + pem)
    with pytest.raises(VerificationFailed, match="one spelling"):
        certificates.load_exact_pem(b"# log\n" + pem)
    craft.extensions["more"] = (
        x509.UnrecognizedExtension(OID("1.2.3.4"), b"\x04\x83\x01\x00\x00" + bytes(65536)),
        False,
    )
    with pytest.raises(VerificationFailed, match="longer than 65,536 bytes"):
        craft.made()


def test_load_serial_of_more_than_20_bytes_is_refused() -> None:
    """The builder makes none, so the length in the bytes is changed by hand."""
    craft = log(shared())
    craft.serial = (1 << 158) + 5
    data = craft.made().der
    serial = b"\x02\x14" + craft.serial.to_bytes(20, "big")
    at = data.index(serial)
    longer = data[:at] + b"\x02\x15\x01" + serial[2:] + data[at + len(serial) :]
    grown = bytearray(longer)
    for start in (2, 6):  # the two enclosing sequences have lengths of two bytes
        grown[start : start + 2] = (int.from_bytes(grown[start : start + 2], "big") + 1).to_bytes(
            2, "big"
        )
    with pytest.raises(VerificationFailed):
        certificates.load_der(bytes(grown))


@pytest.mark.parametrize(("seconds", "valid"), [(0, True), (-1, False)])
def test_validity_begin_is_inclusive_end_exclusive(seconds: int, valid: bool) -> None:
    """notBefore ≤ now < notAfter."""
    made = log(shared()).made()
    second = datetime.timedelta(seconds=seconds)
    for moment, good in ((START + second, valid), (END + second, not valid)):
        now = certificates.seconds_ns(moment)
        if good:
            made.require_valid_at(now, "it")
        else:
            with pytest.raises(VerificationFailed, match="not in its validity"):
                made.require_valid_at(now, "it")
