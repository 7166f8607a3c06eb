# SPDX-License-Identifier: Apache-2.0
"""Reading agent certificates: what they say, and everything that is refused."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sekisho.core.encoding import sha256_hex
from sekisho.core.errors import MalformedInput
from sekisho.core.identity.der import SEQUENCE, element
from sekisho.core.identity.profile import AgentCertificate, Arc, load, parse_agent_certificate
from sekisho.core.identity.reading import CERTIFICATE_BYTES_MAX, read_key
from sekisho.core.identity.scope_extension import encode_scope
from sekisho.core.terms import NS
from tests.unit.core.identity import certificates as made

Attribute = tuple[x509.ObjectIdentifier, str]
_CN, _ORG = NameOID.COMMON_NAME, NameOID.ORGANIZATION_IDENTIFIER
_LEI = f"LEIXG-{made.LEI}"


def scope(json: bytes, critical: bool = False) -> dict[type[x509.ExtensionType], Any]:
    """The scope extension replaced."""
    value = x509.UnrecognizedExtension(
        made.ARC.scope(), encode_scope(bytes.fromhex(made.POLICY), json)
    )
    return {x509.UnrecognizedExtension: (value, critical)}


def names(*values: x509.GeneralName) -> dict[type[x509.ExtensionType], Any]:
    """The alternative names replaced."""
    return {x509.SubjectAlternativeName: (x509.SubjectAlternativeName(values), False)}


def usage(*values: x509.ObjectIdentifier, critical: bool = True) -> dict[Any, Any]:
    """The extended key usage replaced."""
    return {x509.ExtendedKeyUsage: (x509.ExtendedKeyUsage(values), critical)}


def test_agent_certificate_reads_as_it_was_made() -> None:
    """Reading gives back everything that went in."""
    expected = AgentCertificate(
        agent="fx-bot_1",
        operator_lei=made.LEI,
        serial_number=made.serial(5),
        not_before_ns=(made.NOW - made.YEAR) // NS * NS,
        not_after_ns=(made.NOW + made.YEAR) // NS * NS,
        public_key=made.spki(made.AGENT_KEY),
        scope_json=made.SCOPE,
        policy_sha256=made.POLICY,
        sha256=sha256_hex(made.agent()),
    )
    assert expected == parse_agent_certificate(made.agent())


@pytest.mark.parametrize(
    "attributes",
    [
        [(_ORG, _LEI)],
        [(_CN, "fx-bot_1")],
        [(_CN, "fx-bot_1"), (_CN, "fx-bot_1"), (_ORG, _LEI)],
        [(_CN, "fx-bot_1"), (_ORG, _LEI), (_ORG, _LEI)],
        [(_CN, "fx.bot"), (_ORG, _LEI)],
        [(_CN, "fx-bot_2"), (_ORG, _LEI)],
        [(_CN, "fx-bot_1"), (_ORG, made.LEI)],
        [(_CN, "fx-bot_1"), (_ORG, _LEI.lower())],
        [(_CN, "fx-bot_1"), (_ORG, "LEIXG-" + "0" * 20)],
    ],
)
def test_agent_certificate_with_another_subject_is_refused(attributes: list[Attribute]) -> None:
    """One agent, one operator with its LEI, and the URI must say the same."""
    subject = x509.Name([x509.NameAttribute(kind, value) for kind, value in attributes])
    with pytest.raises(MalformedInput):
        parse_agent_certificate(made.forged(made.agent(), subject=subject))


@pytest.mark.parametrize(
    "replace",
    [
        {x509.ExtendedKeyUsage: None},
        usage(made.ARC.order_signing(), critical=False),
        usage(made.ARC.checkpoint_signing()),
        usage(made.ARC.order_signing(), ExtendedKeyUsageOID.CLIENT_AUTH),
        {x509.SubjectAlternativeName: None},
        names(x509.UniformResourceIdentifier("https://sekisho.invalid/agents/x/fx-bot_1")),
        names(x509.DNSName(f"x/agents/{made.LEI}/fx-bot_1")),
        names(
            x509.UniformResourceIdentifier(f"https://x.invalid/agents/{made.LEI}/fx-bot_1"),
            x509.UniformResourceIdentifier("https://other.invalid"),
        ),
        {x509.UnrecognizedExtension: None},
        scope(made.SCOPE, critical=True),
        scope(b"no json"),
        scope(b"[]"),
        scope(b'{"b":1,"a":2}'),
        scope(b'{"a": 1}'),
        scope(b'{"a":1,"a":1}'),
        scope(b'{"a":1.5}'),
        scope(b'{"a":"\xff"}'),
        {
            x509.UnrecognizedExtension: (
                x509.UnrecognizedExtension(made.ARC.scope(), b"not der"),
                False,
            )
        },
    ],
)
def test_agent_certificate_with_other_extensions_is_refused(replace: dict[Any, Any]) -> None:
    """One use, one URI, one scope that is canonical and not critical."""
    with pytest.raises(MalformedInput):
        parse_agent_certificate(made.forged(made.agent(), replace=replace))


@pytest.mark.parametrize(
    ("agent", "lei"), [("fx.bot", made.LEI), ("Bot", made.LEI), ("fx-bot_1", made.LEI.lower())]
)
def test_agent_certificate_consistent_under_a_forbidden_name_is_refused(
    agent: str, lei: str
) -> None:
    """Names that our builder would not write are refused even where subject and URI agree."""
    attributes = [(_CN, agent), (_ORG, f"LEIXG-{lei}")]
    subject = x509.Name([x509.NameAttribute(kind, value) for kind, value in attributes])
    uri = names(x509.UniformResourceIdentifier(f"https://x.invalid/agents/{lei}/{agent}"))
    with pytest.raises(MalformedInput):
        parse_agent_certificate(made.forged(made.agent(), subject=subject, replace=uri))


def test_agent_certificate_with_an_ed25519_key_is_refused() -> None:
    """Permits are signed with P-256."""
    with pytest.raises(MalformedInput):
        parse_agent_certificate(made.forged(made.agent(), public_key=made.LOG_KEY.public_key()))


def test_agent_certificate_under_an_arc_of_the_standard_is_refused() -> None:
    """An arc whose identifiers X.509 itself uses reads no scope out of them."""
    arc = Arc("1.3.6.1.5.5.7")  # .1.1 is the authority information access
    der = made.forged(made.agent(), replace=usage(arc.order_signing()))
    with pytest.raises(MalformedInput, match="own"):
        parse_agent_certificate(der, arc)


@pytest.mark.parametrize("other", [made.root, made.issuing, made.log, made.responder])
def test_agent_certificate_of_another_kind_is_refused(other: Any) -> None:
    """No other certificate of the profile passes for an agent's."""
    with pytest.raises(MalformedInput):
        parse_agent_certificate(other())


@pytest.mark.parametrize(
    "der",
    [
        b"",
        b"0",
        made.agent()[:-1],
        made.agent() + b"\0",
        b"-----BEGIN CERTIFICATE-----\n",
        bytes(CERTIFICATE_BYTES_MAX + 1),
    ],
)
def test_certificate_that_is_none_is_refused(der: bytes) -> None:
    """Cut, extended, empty or endless bytes are no certificate."""
    with pytest.raises(MalformedInput):
        load(der)


def test_certificate_with_endless_extension_is_refused_before_it_is_read() -> None:
    """The size is bounded, whatever is in it."""
    blob = x509.UnrecognizedExtension(
        x509.ObjectIdentifier("1.3.6.1.4.1.32473.9"), bytes(CERTIFICATE_BYTES_MAX)
    )
    with pytest.raises(MalformedInput, match="too long"):
        load(made.forged(made.agent(), add=((blob, False),)))


def rewritten(old: bytes, new: bytes) -> bytes:
    """The agent's certificate with a piece of its signed part replaced, lengths set right."""
    found = x509.load_der_x509_certificate(made.agent())
    signed = found.tbs_certificate_bytes
    assert signed[1] == 0x82
    changed = element(SEQUENCE, signed[4:].replace(old, new, 1))
    rest = made.agent()[4 + len(signed) :]
    return element(SEQUENCE, changed, rest)


_VERSION = b"\xa0\x03\x02\x01\x02"
_SERIAL = b"\x02\x11" + made.serial(5).to_bytes(17, "big")


@pytest.mark.parametrize("negligent", [False, True])
@pytest.mark.parametrize(
    "serial",
    [b"\x02\x01\x00", b"\x02\x01\xff", b"\x02\x14\x80" + bytes(19), b"\x02\x15\x01" + bytes(20)],
)
def test_certificate_with_a_forbidden_serial_number_is_refused(
    serial: bytes, negligent: bool
) -> None:
    """RFC 5280: positive, at most twenty octets; also where warnings are not errors."""
    der = rewritten(_SERIAL, serial)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if negligent else "error")
        with pytest.raises(MalformedInput):
            load(der)


def test_certificate_with_the_greatest_serial_number_is_read() -> None:
    """Twenty octets, of which the first bit is the sign."""
    assert 2**159 - 1 == load(rewritten(_SERIAL, b"\x02\x14\x7f" + b"\xff" * 19)).serial_number


def test_certificate_of_version_one_is_refused() -> None:
    """Only version 3 has extensions; a certificate of version 1 bounds nothing."""
    with pytest.raises(MalformedInput, match="version 3"):
        load(rewritten(_VERSION, b""))


def test_certificate_of_unknown_version_is_refused() -> None:
    """A version that does not exist is a malformed certificate, not a crash."""
    der = made.agent()
    with pytest.raises(MalformedInput):
        load(der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x09", 1))


def test_certificate_with_an_extension_twice_is_refused() -> None:
    """Two extensions of one kind could be read differently by two readers."""
    first, second = (x509.ObjectIdentifier(f"1.3.6.1.4.1.32473.9.{one}") for one in (1, 2))
    parts = tuple((x509.UnrecognizedExtension(oid, b"\5\0"), False) for oid in (first, second))
    der = made.forged(made.agent(), add=parts)
    with pytest.raises(MalformedInput):
        load(der.replace(b"\x81\xfd\x59\x09\x02", b"\x81\xfd\x59\x09\x01"))


@pytest.mark.parametrize(
    "private",
    [ec.derive_private_key(5, ec.SECP384R1()), ec.derive_private_key(5, ec.SECP256K1())],
)
def test_key_of_another_curve_is_refused(private: Any) -> None:
    """Only the two kinds of key of the profile are certified."""
    with pytest.raises(MalformedInput):
        read_key(made.spki(private))


def test_key_of_an_unknown_algorithm_is_refused() -> None:
    """A key that the library has never heard of is malformed, alone and in a certificate."""
    known, unknown = bytes.fromhex("2a8648ce3d0201"), bytes.fromhex("2a8648ce3d0279")
    with pytest.raises(MalformedInput):
        read_key(made.spki(made.AGENT_KEY).replace(known, unknown))
    with pytest.raises(MalformedInput):
        load(rewritten(known, unknown))


def test_key_of_both_kinds_is_read() -> None:
    """P-256 and Ed25519 are the kinds of key of the profile."""
    found = [read_key(made.spki(one)) for one in (made.AGENT_KEY, made.LOG_KEY)]
    assert isinstance(found[0], ec.EllipticCurvePublicKey)
    assert isinstance(found[1], ed25519.Ed25519PublicKey)
    encoding = serialization.Encoding.DER
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    assert made.spki(made.AGENT_KEY) == found[0].public_bytes(encoding, form)
