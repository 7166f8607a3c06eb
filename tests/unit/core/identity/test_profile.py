# SPDX-License-Identifier: Apache-2.0
"""Certificates as the specification lists them: every extension, its criticality, every refusal."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sekisho.core.errors import ConfigurationInvalid, MalformedInput
from sekisho.core.identity import profile
from sekisho.core.terms import NS
from tests.unit.core.identity import certificates as made

_MADE = {
    "root": made.root,
    "issuing": made.issuing,
    "agent": made.agent,
    "log": made.log,
    "responder": made.responder,
}
_END = {
    "basicConstraints": True,
    "keyUsage": True,
    "extendedKeyUsage": True,
    "subjectKeyIdentifier": False,
    "authorityKeyIdentifier": False,
    "cRLDistributionPoints": False,
    "authorityInfoAccess": False,
}
_AUTHORITY = {"basicConstraints": True, "keyUsage": True, "subjectKeyIdentifier": False}
_SCOPE_OID = "1.3.6.1.4.1.32473.1.1"


def extensions(der: bytes) -> dict[str, bool]:
    """Name (or number) of every extension → critical."""
    return {
        part.oid.dotted_string if part.oid._name == "Unknown OID" else part.oid._name: part.critical
        for part in profile.load(der).extensions
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("root", _AUTHORITY),
        (
            "issuing",
            _AUTHORITY
            | {"extendedKeyUsage": False, "nameConstraints": True, "authorityKeyIdentifier": False},
        ),
        ("agent", _END | {"subjectAltName": False, _SCOPE_OID: False}),
        ("log", _END | {"subjectAltName": False}),
        ("responder", _END | {"OCSPNoCheck": False}),
    ],
)
def test_certificate_extensions_are_those_of_the_specification(
    name: str, expected: dict[str, bool]
) -> None:
    """Each kind of certificate has exactly the extensions of the tables, critical or not."""
    assert expected == extensions(_MADE[name]())


@pytest.mark.parametrize(
    ("name", "usages"),
    [
        (
            "issuing",
            [
                "1.3.6.1.5.5.7.3.2",
                "1.3.6.1.5.5.7.3.9",
                f"{made.ARC.base}.2.1",
                f"{made.ARC.base}.2.2",
            ],
        ),
        ("agent", [f"{made.ARC.base}.2.1"]),
        ("log", [f"{made.ARC.base}.2.2"]),
        ("responder", [ExtendedKeyUsageOID.OCSP_SIGNING.dotted_string]),
    ],
)
def test_certificate_usages_are_exactly_the_listed(name: str, usages: list[str]) -> None:
    """An end entity has one use, and the issuing CA may grant those and no other but clientAuth."""
    found = profile.load(_MADE[name]()).extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert usages == [usage.dotted_string for usage in found.value]


@pytest.mark.parametrize(("name", "depth"), [("root", 1), ("issuing", 0)])
def test_authority_may_sign_certificates_to_its_depth_only(name: str, depth: int) -> None:
    """An authority signs certificates and CRLs, nothing else, and bounds the path."""
    found = profile.load(_MADE[name]()).extensions
    basic = found.get_extension_for_class(x509.BasicConstraints).value
    usage = found.get_extension_for_class(x509.KeyUsage).value
    assert (basic.ca, basic.path_length) == (True, depth)
    assert (usage.key_cert_sign, usage.crl_sign, usage.digital_signature) == (True, True, False)


@pytest.mark.parametrize("name", ["agent", "log", "responder"])
def test_end_entity_may_only_sign(name: str) -> None:
    """An end entity makes signatures and issues nothing."""
    found = profile.load(_MADE[name]()).extensions
    usage = found.get_extension_for_class(x509.KeyUsage).value
    assert found.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert (usage.digital_signature, usage.key_cert_sign, usage.crl_sign) == (True, False, False)


def test_issuing_names_are_constrained_to_no_host_and_no_address() -> None:
    """One permitted host name that cannot exist, and no address at all."""
    found = profile.load(made.issuing()).extensions
    value = found.get_extension_for_class(x509.NameConstraints).value
    assert [x509.DNSName("agents.invalid")] == value.permitted_subtrees
    assert [
        x509.IPAddress(ipaddress.ip_network("0.0.0.0/0")),
        x509.IPAddress(ipaddress.ip_network("::/0")),
    ] == value.excluded_subtrees


def test_agent_subject_names_operator_and_agent() -> None:
    """Organisation, its identifier and the agent; the URI says the same."""
    found = profile.load(made.agent())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [
        (NameOID.ORGANIZATION_NAME, "Example Trading"),
        (NameOID.ORGANIZATION_IDENTIFIER, f"LEIXG-{made.LEI}"),
        (NameOID.COMMON_NAME, "fx-bot_1"),
    ] == [(part.oid, part.value) for part in found.subject]
    assert [f"https://sekisho.invalid/agents/{made.LEI}/fx-bot_1"] == [one.value for one in names]


def test_log_certificate_binds_origin_to_note_key() -> None:
    """The URI holds the origin, the key is the log's own."""
    found = profile.load(made.log())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [f"sekisho-log://{made.ORIGIN}"] == [one.value for one in names]
    assert made.spki(made.LOG_KEY) == profile.spki(found)


def test_certificate_without_urls_points_nowhere() -> None:
    """Distribution points are there only when they are published."""
    names = profile.Names(issuer_name="Example Authority")
    der = profile.agent_certificate(**made.agent_arguments(names=names))
    assert {"cRLDistributionPoints", "authorityInfoAccess"}.isdisjoint(extensions(der))


def test_certificate_times_are_rounded_down() -> None:
    """Certificates say whole seconds, never later than asked."""
    found = profile.parse_agent_certificate(made.agent())
    assert (made.NOW - made.YEAR) // NS * NS == found.not_before_ns
    assert (made.NOW + made.YEAR) // NS * NS == found.not_after_ns


def test_operator_name_beyond_the_limit_is_cut() -> None:
    """A long name is cut to what RFC 5280 allows; the LEI is what identifies."""
    holder = profile.Holder(operator_name="é" * 128, operator_lei=made.LEI)
    names = profile.Names(issuer_name="n" * 128)
    found = profile.load(profile.agent_certificate(**made.agent_arguments(holder=holder)))
    root = profile.root_certificate(key=made.ROOT_KEY, serial=1, **(made.LIFE | {"names": names}))
    organisation = NameOID.ORGANIZATION_NAME
    assert "é" * 64 == found.subject.get_attributes_for_oid(organisation)[0].value
    assert "n" * 64 == profile.load(root).subject.get_attributes_for_oid(organisation)[0].value


@pytest.mark.parametrize(
    "changes",
    [
        {"agent": "fx.bot"},
        {"agent": "Bot"},
        {"agent": "bot\n"},
        {"agent": ""},
        {"holder": profile.Holder(operator_name="", operator_lei=made.LEI)},
        {"holder": profile.Holder(operator_name="x", operator_lei="abc")},
        {"holder": profile.Holder(operator_name="x", operator_lei=made.LEI + "\n")},
        {"policy_sha256": "ab"},
        {"policy_sha256": made.POLICY.upper()},
        {"scope_json": b""},
        {"scope_json": b"x" * 32_769},
        {"serial": 0},
        {"serial": -1},
        {"serial": 2**159},
        {"not_after_ns": made.NOW - made.YEAR},
        {"not_before_ns": -NS},
        {"public_key": b"no key"},
        {"public_key": made.spki(made.LOG_KEY)},
        {"public_key": made.spki(ec.derive_private_key(7, ec.SECP384R1()))},
        {"names": profile.Names(issuer_name="x", base_uri="no uri")},
        {"names": profile.Names(issuer_name="x", base_uri="https://exämple.test")},
        {"names": profile.Names(issuer_name="x", crl_url="here and there")},
    ],
)
def test_agent_certificate_outside_the_profile_is_not_made(changes: dict[str, Any]) -> None:
    """Nothing is signed that readers would refuse."""
    with pytest.raises(MalformedInput):
        profile.agent_certificate(**made.agent_arguments(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"public_key": made.spki(made.AGENT_KEY)},
        {"origin": "two words"},
        {"origin": "ünicode"},
    ],
)
def test_log_certificate_outside_the_profile_is_not_made(changes: dict[str, Any]) -> None:
    """A log has an Ed25519 key and an origin that fits a URI."""
    arguments = made.under(4, origin=made.ORIGIN, public_key=made.spki(made.LOG_KEY))
    with pytest.raises(MalformedInput):
        profile.log_certificate(**(arguments | changes))


def test_responder_with_ed25519_key_is_not_certified() -> None:
    """The status responder signs what stock tools verify: P-256."""
    with pytest.raises(MalformedInput):
        profile.ocsp_responder_certificate(**made.under(3, public_key=made.spki(made.LOG_KEY)))


def test_issuing_with_ed25519_key_is_not_certified() -> None:
    """An issuing CA has a P-256 key."""
    with pytest.raises(MalformedInput):
        profile.issuing_certificate(
            root=made.root(),
            root_key=made.ROOT_KEY,
            public_key=made.spki(made.LOG_KEY),
            serial=2,
            **made.LIFE,
        )


def test_certificate_issuer_without_name_is_refused() -> None:
    """Who issues has a name."""
    names = profile.Names(issuer_name="")
    with pytest.raises(MalformedInput):
        profile.root_certificate(key=made.ROOT_KEY, serial=1, **(made.LIFE | {"names": names}))


def test_certificate_with_another_key_than_the_issuers_is_not_signed() -> None:
    """A mixed-up key would make certificates that nobody can verify."""
    with pytest.raises(ConfigurationInvalid, match="another key"):
        profile.agent_certificate(**made.agent_arguments(issuing_key=made.ROOT_KEY))


@pytest.mark.parametrize(
    ("random_bytes", "prefix"), [(15, 1), (20, 1), (16, 0), (16, 128), (16, -1)]
)
def test_serial_number_outside_its_bounds_is_refused(random_bytes: int, prefix: int) -> None:
    """Too little randomness, too many octets, or a prefix that makes it negative."""
    with pytest.raises(MalformedInput):
        profile.serial_number(bytes(random_bytes), prefix)


@pytest.mark.parametrize("random_bytes", [16, 19])
def test_serial_number_is_positive_and_has_twenty_octets_at_most(random_bytes: int) -> None:
    """The greatest prefix and all bits set still make a serial number of RFC 5280."""
    found = profile.serial_number(b"\xff" * random_bytes, 127)
    assert 0 < found < 2**159
    assert "7f" + "ff" * random_bytes == profile.serial_hex(found)


@pytest.mark.parametrize(("serial", "text"), [(0xABC, "0abc"), (0x10, "10"), (0, "00")])
def test_serial_hex_has_whole_bytes(serial: int, text: str) -> None:
    """Documents write serial numbers with an even count of digits."""
    assert text == profile.serial_hex(serial)


@pytest.mark.parametrize(
    "base",
    [
        "2.25.329800735698586629295641978511506172918",
        f"1.3.{2**31}",
        "1.3.01",
        "1..3",
        "1",
        "",
        "3.1",
        "1.40",
        "1.3.6\n",
        "1.3.٦",
    ],
)
def test_arc_that_stock_tools_cannot_read_is_refused(base: str) -> None:
    """Components of 2^31 and above break some validators; other spellings are no identifiers."""
    with pytest.raises(MalformedInput):
        profile.Arc(base).check()


def test_openssl_names_follow_the_arc() -> None:
    """The file that teaches names holds the configured identifiers."""
    text = profile.openssl_names(profile.Arc("1.3.6.1.4.1.9999"))
    assert "sekishoAgentScope = 1.3.6.1.4.1.9999.1.1\n" in text
    assert "sekishoOrderSigning = 1.3.6.1.4.1.9999.2.1\n" in text
    assert "sekishoCheckpointSigning = 1.3.6.1.4.1.9999.2.2\n" in text


def test_arc_with_the_greatest_component_is_taken() -> None:
    """One below the bound passes, and is used in every identifier."""
    arc = profile.Arc(f"1.3.6.1.4.1.{2**31 - 1}")
    arc.check()
    names = profile.Names(issuer_name="x", arc=arc)
    der = profile.agent_certificate(**made.agent_arguments(names=names))
    assert "fx-bot_1" == profile.parse_agent_certificate(der, arc).agent
    with pytest.raises(MalformedInput):
        profile.parse_agent_certificate(der)


def test_pem_of_certificate_is_the_same_certificate() -> None:
    """PEM is another spelling of the same bytes."""
    found = x509.load_pem_x509_certificate(profile.pem(made.agent()))
    assert profile.load(made.agent()) == found
