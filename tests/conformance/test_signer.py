# SPDX-License-Identifier: Apache-2.0
"""The Signer port's contract, on every adapter."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from sekisho.ports import Signer
from tests import key_places

_MESSAGES = (b"", b"permit", bytes(range(256)) * 300)
_PAIRS = [(kind, name) for kind in key_places.KINDS for name in ("ES256", "Ed25519")]


@pytest.fixture(params=_PAIRS, ids="-".join)
def signer(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Signer]:
    """A signer of each custody and algorithm, made and opened by its URI as the product does."""
    kind, algorithm = request.param
    if (kind, algorithm) == ("localstack", "Ed25519"):
        pytest.skip("LocalStack's KMS has no Ed25519")
    with key_places.place(kind, tmp_path, monkeypatch) as custody:
        uri = asyncio.run(custody.create(f"signer-{tmp_path.name}"[:100], algorithm))
        yield custody.open_blocking(uri)


def check(signer: Signer, message: bytes, signature: bytes) -> None:
    """Verify with the library. Raises InvalidSignature."""
    key = serialization.load_der_public_key(signer.public_key)
    if isinstance(key, ed25519.Ed25519PublicKey):
        key.verify(signature, message)
    else:
        assert isinstance(key, ec.EllipticCurvePublicKey)
        key.verify(signature, message, ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize("message", _MESSAGES)
def test_signer_signature_verifies_both_ways(signer: Signer, message: bytes) -> None:
    """Waiting or blocking, the signature is over the message itself."""
    if signer.uri.startswith("awskms:") and signer.algorithm == "Ed25519":
        message = message[:4096]  # what the service takes; beyond it: test_awskms_wire.py
    check(signer, message, signer.sign_blocking(message))
    check(signer, message, asyncio.run(signer.sign(message)))


def test_signer_signature_of_another_message_does_not_verify(signer: Signer) -> None:
    """A signature is good for one message."""
    signature = signer.sign_blocking(b"one")
    with pytest.raises(InvalidSignature):
        check(signer, b"two", signature)


def test_signer_public_key_has_the_kind_of_its_algorithm(signer: Signer) -> None:
    """ES256 is P-256, Ed25519 is itself; the form is SubjectPublicKeyInfo."""
    key = serialization.load_der_public_key(signer.public_key)
    if signer.algorithm == "ES256":
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert key.curve.name == "secp256r1"
        assert signer.sign_blocking(b"x")[0] == 0x30
    else:
        assert signer.algorithm == "Ed25519"
        assert isinstance(key, ed25519.Ed25519PublicKey)
        assert len(signer.sign_blocking(b"x")) == 64


def test_signer_uri_has_a_scheme(signer: Signer) -> None:
    """The URI names the adapter, and stays what it was."""
    scheme, colon, rest = signer.uri.partition(":")
    assert scheme.isalnum()
    assert (colon, bool(rest)) == (":", True)


def test_signer_shows_no_secret(signer: Signer) -> None:
    """A signer in a log line or a traceback gives nothing away."""
    assert "PRIVATE" not in repr(signer)
    shown = repr(signer) + str(signer) + signer.uri
    assert not [word for word in ("correct horse", "SECRETEXAMPLE") if word in shown]


def test_signer_in_many_threads_signs_rightly(signer: Signer) -> None:
    """Certificates are built outside the event loop while permits are signed in it."""
    messages = [str(number).encode() for number in range(64)]
    with ThreadPoolExecutor(4) as pool:
        signatures = list(pool.map(signer.sign_blocking, messages))
    for message, signature in zip(messages, signatures, strict=True):
        check(signer, message, signature)


def test_signer_signature_verifies_with_openssl(signer: Signer, tmp_path: Path) -> None:
    """Another program accepts the signature in the form that it is given."""
    key = serialization.load_der_public_key(signer.public_key)
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    (tmp_path / "key.pem").write_bytes(key.public_bytes(serialization.Encoding.PEM, form))
    (tmp_path / "message").write_bytes(b"permit")
    (tmp_path / "signature").write_bytes(signer.sign_blocking(b"permit"))
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin"]
    command += ["-in", "message", "-sigfile", "signature"]
    if signer.algorithm == "ES256":
        command += ["-digest", "sha256"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Signature Verified Successfully" in found.stdout, found.stderr
