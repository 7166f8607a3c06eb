# SPDX-License-Identifier: Apache-2.0
"""Inclusion proofs and Ed25519 as the client verifies them, against other implementations."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from sekisho.core.encoding import b64
from sekisho.core.ledger.checkpoint import Checkpoint
from sekisho.core.ledger.note import VerifierKey
from sekisho_client import ed25519
from sekisho_client.log_proof import (
    ProofInvalid,
    leaf_hash_of,
    read_log_key,
    verify_entry,
)

ORIGIN = "log.example/authority"
ORDER = 2**252 + 27742317777372353535851937790883648493
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46b"
            "d25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c"
            "387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
]
"""RFC 8032, 7.1: key, message, signature."""


@pytest.mark.parametrize(("key", "message", "signature"), VECTORS)
def test_ed25519_vectors_of_the_rfc_hold_and_nothing_near_them(
    key: str, message: str, signature: str
) -> None:
    """Each byte counts; the scalar is below the group's order."""
    parts = [bytes.fromhex(one) for one in (key, message, signature)]
    assert ed25519.verified(*parts)
    for place in range(0, 64, 7):
        wrong = bytearray(parts[2])
        wrong[place] ^= 1
        assert not ed25519.verified(parts[0], parts[1], bytes(wrong))
    scalar = int.from_bytes(parts[2][32:], "little") + ORDER
    again = parts[2][:32] + scalar.to_bytes(32, "little")
    assert not ed25519.verified(parts[0], parts[1], again)
    assert not ed25519.verified(parts[0], parts[1] + b"x", parts[2])
    assert not ed25519.verified(b"\xff" * 32, parts[1], parts[2])
    assert not ed25519.verified(parts[0][:31], parts[1], parts[2])
    assert not ed25519.verified(parts[0], parts[1], parts[2][:63])


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200))
def test_ed25519_takes_what_another_implementation_signed(seed: bytes, message: bytes) -> None:
    """Any key, any message."""
    signer = Ed25519PrivateKey.from_private_bytes(seed)
    key = signer.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert ed25519.verified(key, message, signer.sign(message))


def tree(leaves: list[bytes]) -> bytes:
    """RFC 6962, 2.1, by its own words."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    both = tree(leaves[:split]) + tree(leaves[split:])
    return hashlib.sha256(b"\x01" + both).digest()


def path(index: int, leaves: list[bytes]) -> list[bytes]:
    """RFC 6962, 2.1.1."""
    if len(leaves) == 1:
        return []
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    if index < split:
        return [*path(index, leaves[:split]), tree(leaves[split:])]
    return [*path(index - split, leaves[split:]), tree(leaves[:split])]


SIGNER = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)
PUBLIC = SIGNER.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
KEY = VerifierKey(ORIGIN, 1, PUBLIC)


def note(size: int, root: bytes, origin: str = ORIGIN) -> str:
    """A checkpoint, signed."""
    text = Checkpoint(origin, size, root).text
    line = b64(KEY.key_id + SIGNER.sign(text.encode()))
    return f"{text}\n\u2014 {ORIGIN} {line}\n"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13])
def test_proof_of_every_entry_of_small_logs_holds_and_no_other(size: int) -> None:
    """Each entry under its own index alone; a node less or more leads nowhere."""
    key = read_log_key(KEY.vkey)
    leaves = [leaf_hash_of(bytes([number])) for number in range(size)]
    checkpoint = note(size, tree(leaves))
    for index in range(size):
        proof = tuple(path(index, leaves))
        found = verify_entry(key, index, leaves[index], proof, checkpoint)
        assert (index, size, ORIGIN) == (found.index, found.size, found.origin)
        for wrong, leaf, nodes in (
            ((index + 1) % size if size > 1 else 1, leaves[index], proof),
            (index, leaf_hash_of(b"x"), proof),
            (index, leaves[index], (*proof, b"\x00" * 32)),
            (index, leaves[index], proof[:-1] if proof else (b"\x00" * 32,)),
        ):
            with pytest.raises(ProofInvalid):
                verify_entry(key, wrong, leaf, nodes, checkpoint)


def test_checkpoint_of_another_log_or_key_or_text_is_none() -> None:
    """Signature, origin and size are what the log itself said."""
    leaves = [leaf_hash_of(b"a"), leaf_hash_of(b"b")]
    proof, good = tuple(path(0, leaves)), note(2, tree(leaves))
    key = read_log_key(KEY.vkey)
    other = read_log_key(VerifierKey(ORIGIN, 1, bytes(32)).vkey)
    verify_entry(key, 0, leaves[0], proof, good)
    for signer, text in (
        (other, good),
        (key, good.replace("\n2\n", "\n3\n")),
        (key, note(2, tree(leaves), "log.example/other")),
        (key, good.partition("\n\n")[0] + "\n"),
        (key, good.rpartition(" ")[0] + " !\n"),
        (key, ""),
    ):
        with pytest.raises(ProofInvalid):
            verify_entry(signer, 0, leaves[0], proof, text)


@pytest.mark.parametrize(
    "vkey", ["", "a+b+c", KEY.vkey[:-4], KEY.vkey.replace("authority", "other"), "x+00000000+AAAA"]
)
def test_vkey_that_is_none_is_the_programs_mistake(vkey: str) -> None:
    """Name, id and key fit together."""
    with pytest.raises(ValueError, match="vkey"):
        read_log_key(vkey)
