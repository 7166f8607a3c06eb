# SPDX-License-Identifier: Apache-2.0
"""The path from a certificate to the trusted root: every rule broken once."""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from sekisho.core.errors import MalformedInput, VerificationFailed
from sekisho.core.identity.chain import verify_chain
from sekisho.core.identity.profile import load, name_constraints
from sekisho.core.terms import NS
from tests.unit.core.identity import certificates as made

_ORDERS = made.ARC.order_signing()
_UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.32473.9"), b"\5\0")


def place(name: str, der: bytes) -> dict[str, Any]:
    """One of the three certificates, to be put in its place."""
    return {name: der}


def verify(
    leaf: bytes | None = None,
    issuing: bytes | None = None,
    root: bytes | None = None,
    *,
    at_ns: int = made.NOW,
    usage: x509.ObjectIdentifier | None = _ORDERS,
) -> None:
    """Verify the made chain with some of its parts replaced."""
    verify_chain(
        made.agent() if leaf is None else leaf,
        made.issuing() if issuing is None else issuing,
        made.root() if root is None else root,
        at_ns,
        usage,
    )


def key_usage(**changes: bool) -> x509.KeyUsage:
    """digitalSignature alone, but for the changes."""
    usages = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return x509.KeyUsage(**(usages | {"digital_signature": True} | changes))


@pytest.mark.parametrize(
    ("leaf", "usage"),
    [
        (made.agent, _ORDERS),
        (made.log, made.ARC.checkpoint_signing()),
        (made.responder, ExtendedKeyUsageOID.OCSP_SIGNING),
        (made.agent, None),
    ],
)
def test_chain_of_each_kind_holds(leaf: Any, usage: x509.ObjectIdentifier | None) -> None:
    """The three kinds of end entity verify, each for its use."""
    verify(leaf(), usage=usage)


@pytest.mark.parametrize(
    ("leaf", "usage"),
    [
        (made.agent, made.ARC.checkpoint_signing()),
        (made.agent, ExtendedKeyUsageOID.OCSP_SIGNING),
        (made.log, _ORDERS),
        (made.responder, _ORDERS),
    ],
)
def test_chain_for_another_use_is_refused(leaf: Any, usage: x509.ObjectIdentifier) -> None:
    """No certificate stands in for one of another kind."""
    with pytest.raises(VerificationFailed, match="not for this use"):
        verify(leaf(), usage=usage)


def test_chain_validity_includes_its_first_and_excludes_its_last_second() -> None:
    """notBefore is in, notAfter is out, for the leaf as for the authorities."""
    begins = (made.NOW - made.YEAR) // NS * NS
    ends = (made.NOW + made.YEAR) // NS * NS
    verify(at_ns=begins)
    verify(at_ns=ends - 1)
    with pytest.raises(VerificationFailed, match="not valid before"):
        verify(at_ns=begins - 1)
    with pytest.raises(VerificationFailed, match="not valid from"):
        verify(at_ns=ends)


@pytest.mark.parametrize("which", ["leaf", "issuing", "root"])
def test_chain_with_one_expired_certificate_is_refused(which: str) -> None:
    """Each of the three must be valid at the time of use."""
    whole, signer = {
        "leaf": (made.agent(), made.ISSUING_KEY),
        "issuing": (made.issuing(), made.ROOT_KEY),
        "root": (made.root(), made.ROOT_KEY),
    }[which]
    ended = load(whole).not_valid_before_utc + timedelta(days=1)
    with pytest.raises(VerificationFailed, match="not valid from"):
        verify(**place(which, made.forged(whole, signer, not_after=ended)))


@pytest.mark.parametrize(
    ("which", "whole"), [("leaf", made.agent), ("issuing", made.issuing), ("root", made.root)]
)
def test_chain_with_a_signature_by_another_key_is_refused(which: str, whole: Any) -> None:
    """Each of the three signatures is checked."""
    with pytest.raises(VerificationFailed, match="not issued by"):
        verify(**place(which, made.forged(whole(), made.key(77))))


@pytest.mark.parametrize(
    ("which", "whole", "signer"),
    [
        ("leaf", made.agent, made.ISSUING_KEY),
        ("issuing", made.issuing, made.ROOT_KEY),
        ("root", made.root, made.ROOT_KEY),
    ],
)
def test_chain_with_another_digest_is_refused(which: str, whole: Any, signer: Any) -> None:
    """SHA-256 is the one digest of the profile."""
    der = made.forged(whole(), signer, algorithm=hashes.SHA384())
    with pytest.raises(VerificationFailed, match="SHA-256"):
        verify(**place(which, der))


def test_chain_with_an_unknown_signature_algorithm_is_refused() -> None:
    """A signature that nobody can check does not hold."""
    known, unknown = bytes.fromhex("2a8648ce3d040302"), bytes.fromhex("2a8648ce3d040379")
    with pytest.raises(VerificationFailed):
        verify(made.agent().replace(known, unknown))


def test_chain_under_an_issuer_of_another_name_is_refused() -> None:
    """The issuer's name in the leaf is the issuing CA's."""
    other = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Other")])
    with pytest.raises(VerificationFailed, match="not issued by"):
        verify(made.forged(made.agent(), issuer=other))


def test_chain_with_another_trusted_root_is_refused() -> None:
    """A root of the same name with another key is another root."""
    other = made.key(78)
    root = made.forged(
        made.root(),
        other,
        public_key=other.public_key(),
        replace={
            x509.SubjectKeyIdentifier: (
                x509.SubjectKeyIdentifier.from_public_key(other.public_key()),
                False,
            )
        },
    )
    with pytest.raises(VerificationFailed, match="issuing CA was not issued"):
        verify(root=root)


def test_chain_with_an_authority_of_another_curve_is_refused() -> None:
    """Authorities have P-256 keys, whatever else would verify."""
    other = ec.derive_private_key(9, ec.SECP384R1())
    root = made.forged(made.root(), other, public_key=other.public_key())
    with pytest.raises(VerificationFailed, match="no P-256 key"):
        verify(root=root, issuing=made.forged(made.issuing(), other))


@pytest.mark.parametrize("kind", [x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier])
def test_chain_without_key_identifiers_is_refused(kind: Any) -> None:
    """The issuing CA carries both key identifiers."""
    with pytest.raises(VerificationFailed, match="not of this profile"):
        verify(issuing=made.forged(made.issuing(), made.ROOT_KEY, replace={kind: None}))


def test_chain_with_another_authority_key_identifier_is_refused() -> None:
    """A leaf that names another key of its issuer belongs to another path."""
    named = x509.AuthorityKeyIdentifier(b"x" * 20, None, None)
    with pytest.raises(VerificationFailed, match="another key"):
        verify(made.forged(made.agent(), replace={x509.AuthorityKeyIdentifier: (named, False)}))


@pytest.mark.parametrize(
    "replace",
    [
        {x509.BasicConstraints: (x509.BasicConstraints(ca=True, path_length=0), False)},
        {x509.BasicConstraints: (x509.BasicConstraints(ca=True, path_length=1), True)},
        {x509.BasicConstraints: (x509.BasicConstraints(ca=True, path_length=None), True)},
        {x509.BasicConstraints: (x509.BasicConstraints(ca=False, path_length=None), True)},
        {x509.BasicConstraints: None},
        {x509.KeyUsage: None},
        {x509.KeyUsage: (key_usage(key_cert_sign=True, crl_sign=True), False)},
        {x509.KeyUsage: (key_usage(key_cert_sign=True), True)},
        {x509.KeyUsage: (key_usage(crl_sign=True), True)},
        {x509.NameConstraints: None},
        {x509.NameConstraints: (name_constraints(), False)},
        {
            x509.NameConstraints: (
                x509.NameConstraints([x509.DNSName("example.test")], None),
                True,
            )
        },
        {x509.ExtendedKeyUsage: None},
        {
            x509.ExtendedKeyUsage: (
                x509.ExtendedKeyUsage([made.ARC.checkpoint_signing()]),
                False,
            )
        },
    ],
)
def test_chain_through_an_unfit_issuing_authority_is_refused(replace: dict[Any, Any]) -> None:
    """Depth, usages and names of the issuing CA are those of the profile, and critical."""
    with pytest.raises(VerificationFailed):
        verify(issuing=made.forged(made.issuing(), made.ROOT_KEY, replace=replace))


def test_chain_through_an_unfit_issuing_authority_is_refused_for_any_use() -> None:
    """Without a wanted use, a leaf still has only uses that its issuer may grant."""
    usages = x509.ExtendedKeyUsage([made.ARC.checkpoint_signing()])
    issuing = made.forged(
        made.issuing(), made.ROOT_KEY, replace={x509.ExtendedKeyUsage: (usages, False)}
    )
    with pytest.raises(VerificationFailed, match="may not grant"):
        verify(issuing=issuing, usage=None)


def test_chain_under_a_root_of_another_depth_is_refused() -> None:
    """The root says one level below it, neither none nor any."""
    deep = (x509.BasicConstraints(ca=True, path_length=2), True)
    with pytest.raises(VerificationFailed, match="root may not issue"):
        verify(root=made.forged(made.root(), made.ROOT_KEY, replace={x509.BasicConstraints: deep}))


@pytest.mark.parametrize(
    "replace",
    [
        {x509.BasicConstraints: (x509.BasicConstraints(ca=True, path_length=None), True)},
        {x509.BasicConstraints: None},
        {x509.KeyUsage: None},
        {x509.KeyUsage: (key_usage(key_cert_sign=True), True)},
        {x509.KeyUsage: (key_usage(crl_sign=True), True)},
        {x509.KeyUsage: (key_usage(digital_signature=False, crl_sign=False), True)},
        {x509.ExtendedKeyUsage: None},
        {
            x509.ExtendedKeyUsage: (
                x509.ExtendedKeyUsage([_ORDERS, ExtendedKeyUsageOID.CLIENT_AUTH]),
                True,
            )
        },
    ],
)
def test_chain_to_a_leaf_that_is_no_end_entity_is_refused(replace: dict[Any, Any]) -> None:
    """A leaf signs, issues nothing, and has its one use."""
    with pytest.raises(VerificationFailed):
        verify(made.forged(made.agent(), replace=replace))


@pytest.mark.parametrize(
    "name",
    [
        x509.DNSName("www.bank.example"),
        x509.DNSName("bot.agents.invalid"),
        x509.IPAddress(ipaddress.ip_address("192.0.2.1")),
        x509.RFC822Name("someone@example.test"),
    ],
)
def test_chain_to_a_leaf_with_another_name_than_a_uri_is_refused(name: x509.GeneralName) -> None:
    """The issuing CA certifies no hosts, addresses or mailboxes."""
    uri = x509.UniformResourceIdentifier(f"https://x.invalid/agents/{made.LEI}/fx-bot_1")
    names = x509.SubjectAlternativeName([uri, name])
    leaf = made.forged(made.agent(), replace={x509.SubjectAlternativeName: (names, False)})
    with pytest.raises(VerificationFailed, match="may not certify"):
        verify(leaf)


@pytest.mark.parametrize(
    ("which", "whole", "signer"),
    [
        ("leaf", made.agent, made.ISSUING_KEY),
        ("issuing", made.issuing, made.ROOT_KEY),
        ("root", made.root, made.ROOT_KEY),
    ],
)
def test_chain_with_an_unknown_critical_extension_is_refused(
    which: str, whole: Any, signer: Any
) -> None:
    """What is critical and not known here is refused; the same, not critical, is ignored."""
    verify(**place(which, made.forged(whole(), signer, add=((_UNKNOWN, False),))))
    with pytest.raises(VerificationFailed, match="critical extension"):
        verify(**place(which, made.forged(whole(), signer, add=((_UNKNOWN, True),))))


def test_chain_in_the_wrong_order_is_refused() -> None:
    """The three places are not exchangeable."""
    for order in ([1, 0, 2], [0, 2, 1], [2, 1, 0], [1, 1, 2], [0, 0, 0], [0, 1, 1]):
        chain = [made.agent(), made.issuing(), made.root()]
        with pytest.raises(VerificationFailed):
            verify(*[chain[position] for position in order], usage=None)


def test_chain_of_bytes_that_are_no_certificate_is_malformed() -> None:
    """Bytes that are no certificate are told apart from a chain that does not hold."""
    with pytest.raises(MalformedInput):
        verify(b"x")
