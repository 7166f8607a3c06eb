# SPDX-License-Identifier: Apache-2.0
"""The KeyCustody port's contract, on every adapter and the simulated one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from sekisho.adapters.signers.verified import check_signature
from sekisho.adapters.signers.x509_key import SignerKey
from sekisho.core.errors import ConfigurationInvalid, KeyDisabled, Unavailable
from sekisho.core.identity.reading import seconds
from sekisho.custody import KeyCustody
from tests import key_places


@pytest.fixture(params=key_places.KINDS)
def custody(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[KeyCustody]:
    """Each custody."""
    with key_places.place(request.param, tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture
def name(tmp_path: Path) -> str:
    """A name that no other test of this process has."""
    return f"custody-{tmp_path.name}"[:100]


def create(custody: KeyCustody, name: str) -> str:
    """A P-256 key."""
    return asyncio.run(custody.create(name, "ES256"))


def test_custody_create_gives_a_uri_of_its_scheme_that_opens(
    custody: KeyCustody, name: str
) -> None:
    """What is made is found by the URI, is enabled, and signs."""
    uri = create(custody, name)
    assert custody.scheme == uri.partition(":")[0]
    signer = asyncio.run(custody.open(uri))
    assert (uri, "ES256") == (signer.uri, signer.algorithm)
    check_signature(signer, b"x", asyncio.run(signer.sign(b"x")))
    assert asyncio.run(custody.state(uri)) == "enabled"


def test_custody_create_of_a_taken_name_is_refused_and_harms_nothing(
    custody: KeyCustody, name: str
) -> None:
    """A name has one key: the second making changes nothing of the first."""
    uri = create(custody, name)
    before = custody.open_blocking(uri).public_key
    with pytest.raises(ConfigurationInvalid):
        create(custody, name)
    assert before == custody.open_blocking(uri).public_key


@pytest.mark.parametrize("bad", ["", "../x", "a b", "a;b", "-a", "x" * 101, "é", "a\n"])
def test_custody_create_of_no_name_is_refused(custody: KeyCustody, bad: str) -> None:
    """Names go into paths, labels and URIs."""
    with pytest.raises(ConfigurationInvalid):
        create(custody, bad)


def test_custody_create_of_another_algorithm_is_refused(custody: KeyCustody, name: str) -> None:
    """ES256 and Ed25519 exist, and nothing is made instead."""
    with pytest.raises(ConfigurationInvalid):
        asyncio.run(custody.create(name, "RS256"))


def test_custody_open_with_the_public_key_takes_that_key_alone(
    custody: KeyCustody, name: str
) -> None:
    """A certificate's key is compared with the custody's."""
    one, other = (custody.open_blocking(create(custody, f"{name[:90]}-{n}")) for n in (1, 2))
    assert custody.open_blocking(one.uri, one.public_key).public_key == one.public_key
    with pytest.raises(ConfigurationInvalid, match="another key"):
        custody.open_blocking(one.uri, other.public_key)
    with pytest.raises(ConfigurationInvalid, match="another key"):
        asyncio.run(custody.open(one.uri, other.public_key))


def test_custody_key_that_is_absent_is_said_to_be(custody: KeyCustody, name: str) -> None:
    """No such key: not opened, not disabled, and no guess."""
    uri = create(custody, name).replace(name, f"{name[:90]}-not")
    assert asyncio.run(custody.state(uri)) == "absent"
    with pytest.raises(ConfigurationInvalid):
        custody.open_blocking(uri)
    assert asyncio.run(custody.disable(uri)).outcome == "failed"


def test_custody_disable_is_idempotent_and_ends_every_use(custody: KeyCustody, name: str) -> None:
    """Signers that are open refuse at once; the custody says so in the end, and opens no more."""
    uri = create(custody, name)
    signer = custody.open_blocking(uri)
    first = asyncio.run(custody.disable(uri))
    assert first.outcome in {"disabled", "pending"}
    with pytest.raises(KeyDisabled):
        signer.sign_blocking(b"x")
    with pytest.raises(KeyDisabled):
        asyncio.run(signer.sign(b"x"))
    again = [asyncio.run(custody.disable(uri)).outcome for _ in range(2)]
    assert again == ["disabled", "disabled"]
    assert asyncio.run(custody.state(uri)) == "disabled"
    with pytest.raises(KeyDisabled):
        custody.open_blocking(uri)


def test_custody_usage_is_kept_or_refused_and_never_empty_for_want(
    custody: KeyCustody, name: str
) -> None:
    """A list that does not exist is not an empty one: reconciliation would take it for no use."""
    uri = create(custody, name)
    custody.open_blocking(uri).sign_blocking(b"x")
    if not custody.keeps_usage:
        with pytest.raises(ConfigurationInvalid):
            asyncio.run(custody.usage(uri, 0))
    else:
        assert len(asyncio.run(custody.usage(uri, 0))) == 1


def test_custody_uri_of_another_scheme_is_refused(custody: KeyCustody) -> None:
    """A custody does not look elsewhere."""
    with pytest.raises((ConfigurationInvalid, Unavailable)):
        custody.open_blocking("other:x")


def test_custody_key_signs_certificates(custody: KeyCustody, name: str) -> None:
    """The library builds a certificate through the port, whoever keeps the key."""
    key = SignerKey(custody.open_blocking(create(custody, name)))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "t")])
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), 1)
        .not_valid_before(seconds(0))
        .not_valid_after(seconds(10**18))
        .sign(key, hashes.SHA256())
    )
    made.verify_directly_issued_by(made)
    assert made.public_key() == key.public_key()
