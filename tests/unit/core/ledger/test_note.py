# SPDX-License-Identifier: Apache-2.0
"""Signed notes against a published vector, and each rule of the format."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sekisho.core.encoding import b64
from sekisho.core.errors import MalformedInput, VerificationFailed
from sekisho.core.ledger.note import (
    COSIGNATURE,
    Note,
    NoteSignature,
    VerifierKey,
    cosignature_message,
    parse_note,
    sign_line,
    verify_note,
)
from tests.ledger_doubles import SoftwareSigner

# From the documentation of golang.org/x/mod/sumdb/note.
PUBLISHED_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PUBLISHED_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
PUBLISHED_NOTE = (
    f"{PUBLISHED_TEXT}\n\u2014 PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()
KEY = VerifierKey.from_spki("log.example", SoftwareSigner().public_key)


def signed(text: str, key: VerifierKey = KEY, signer: int = 1) -> Note:
    signature = SoftwareSigner(signer).sign_blocking(text.encode())
    return Note(text, (sign_line(key, signature),))


def test_note_of_another_implementation_verifies() -> None:
    """A note and key published with Go's implementation verify here, and re-encode to the byte."""
    text, keys = verify_note(PUBLISHED_NOTE, [VerifierKey.parse(PUBLISHED_VKEY)])
    assert text == PUBLISHED_TEXT
    assert [key.vkey for key in keys] == [PUBLISHED_VKEY]
    assert parse_note(PUBLISHED_NOTE).encode() == PUBLISHED_NOTE


def test_note_with_any_changed_byte_is_refused() -> None:
    """No byte of text, name, key id or signature can change."""
    key = VerifierKey.parse(PUBLISHED_VKEY)
    for at in range(len(PUBLISHED_NOTE)):
        changed = bytearray(PUBLISHED_NOTE)
        changed[at] ^= 1
        with pytest.raises((MalformedInput, VerificationFailed)):
            verify_note(bytes(changed), [key])


def test_note_text_ends_at_the_last_empty_line() -> None:
    """Empty lines in the text belong to the text."""
    note = signed("one\n\ntwo\n")
    assert verify_note(note.encode(), [KEY])[0] == "one\n\ntwo\n"


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-1],
        lambda data: data + b"\n",
        lambda data: data.replace(b"\n\n", b"\n"),
        lambda data: data.replace("\u2014".encode(), b"-"),
        lambda data: data.replace(b"log.example ", b"log.example  "),
        lambda data: data.replace(b"log.example ", b" "),
        lambda data: data.replace(b"log.example", b"log+example"),
        lambda data: data.replace(b"log.example", "log\u00a0example".encode()),
        lambda data: data.replace(b"text", b"te\x00xt"),
        lambda data: data.replace(b"text", b"te\rxt"),
        lambda data: data.replace(b"text", b"te\xffxt"),
        lambda data: data.replace(b"=\n", b"\n"),
        lambda data: data + "\u2014 other AAAAAA==\n".encode(),
        lambda data: data + "\u2014 other\n".encode(),
        lambda data: b"x" * 1_000_001,
        lambda data: data + "\u2014 other AAAAAAA=\n".encode() * 64,
        lambda data: b"",
        lambda data: b"text\n\n",
    ],
)
def test_note_outside_the_format_is_refused(change: Callable[[bytes], bytes]) -> None:
    """Each rule of the format, broken once."""
    data = signed("text\n").encode()
    with pytest.raises(MalformedInput):
        parse_note(change(data))


def test_note_with_sixteen_foreign_signatures_is_accepted() -> None:
    """Lines of unknown keys are ignored."""
    data = signed("text\n").encode() + "\u2014 other AAAAAAA=\n".encode() * 16
    assert verify_note(data, [KEY]) == ("text\n", (KEY,))


def test_note_key_of_equal_name_and_other_id_is_unknown() -> None:
    """Name and id together name a key."""
    other = VerifierKey.from_spki("log.example", SoftwareSigner(2).public_key)
    with pytest.raises(VerificationFailed, match="not signed by a known key"):
        verify_note(signed("text\n").encode(), [other])


def test_note_with_a_failing_line_of_a_known_key_is_refused_as_a_whole() -> None:
    """One good signature does not heal a bad one."""
    witness = VerifierKey.from_spki("witness.example", SoftwareSigner(2).public_key)
    good = signed("text\n")
    bad = NoteSignature(witness.name, witness.key_id, bytes(64))
    data = Note(good.text, (*good.signatures, bad)).encode()
    assert verify_note(data, [KEY])[1] == (KEY,)
    with pytest.raises(VerificationFailed, match="does not verify"):
        verify_note(data, [KEY, witness])


def test_note_signed_twice_by_one_key_is_refused() -> None:
    """Two lines of a key are never a quorum of two."""
    note = signed("text\n")
    with pytest.raises(VerificationFailed, match="two signatures"):
        verify_note(Note(note.text, note.signatures * 2).encode(), [KEY])


def test_note_signature_of_another_length_is_refused() -> None:
    """63 or 65 bytes are no Ed25519 signature."""
    for length in (63, 65):
        line = NoteSignature(KEY.name, KEY.key_id, bytes(length))
        with pytest.raises(VerificationFailed, match="length"):
            verify_note(Note("text\n", (line,)).encode(), [KEY])


def test_note_cosignature_covers_the_time_it_states() -> None:
    """A witness signs time and text; another time does not verify."""
    signer = SoftwareSigner(3)
    witness = VerifierKey.from_spki("witness.example", signer.public_key, COSIGNATURE)
    signature = signer.sign_blocking(cosignature_message(1_700_000_000, "text\n"))
    line = sign_line(witness, (1_700_000_000).to_bytes(8, "big") + signature)
    assert verify_note(Note("text\n", (line,)).encode(), [witness])[1] == (witness,)
    line = sign_line(witness, (1_700_000_001).to_bytes(8, "big") + signature)
    with pytest.raises(VerificationFailed):
        verify_note(Note("text\n", (line,)).encode(), [witness])


def test_note_encode_of_text_that_reads_otherwise_is_refused() -> None:
    """Nothing is written that would parse to something else."""
    for text in ("no newline", "tab\there\n", "x\n\n\u2014 a AAAAAAA=\n\ud800"):
        with pytest.raises((MalformedInput, UnicodeError)):
            Note(text, signed("text\n").signatures).encode()


def test_note_encode_of_a_key_id_of_three_bytes_is_refused() -> None:
    """It would read back as another key id and another signature."""
    with pytest.raises(MalformedInput, match="do not make a note"):
        Note("text\n", (NoteSignature("name", b"123", bytes(64)),)).encode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+00000000",
        PUBLISHED_VKEY.replace("c74f20a3", "c74f20a4"),
        PUBLISHED_VKEY.replace("c74f20a3", "C74F20A3"),
        PUBLISHED_VKEY[:-1],
        PUBLISHED_VKEY + "\n",
        PUBLISHED_VKEY.replace("PeterNeumann", "Peter Neumann"),
        PUBLISHED_VKEY.replace("PeterNeumann", ""),
        "name+00000000+",
        "name+00000000+" + b64(b"\x02" + bytes(32)),
        "name+00000000+" + b64(b"\x01" + bytes(31)),
    ],
)
def test_vkey_of_another_spelling_is_refused(text: str) -> None:
    """A key id that is not that of the key, another type, another length, another spelling."""
    with pytest.raises(MalformedInput):
        VerifierKey.parse(text)


def test_vkey_round_trips() -> None:
    """Formatting and parsing are inverse."""
    assert VerifierKey.parse(KEY.vkey) == KEY
    with pytest.raises(MalformedInput):
        VerifierKey("a\ud800", 1, bytes(32))


def test_vkey_from_a_key_that_is_not_ed25519_is_refused() -> None:
    """The log key is Ed25519; a P-256 key is refused, not reinterpreted."""
    spki = generate_private_key(SECP256R1()).public_key()
    encoded = spki.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(MalformedInput, match="Ed25519"):
        VerifierKey.from_spki("log.example", encoded)
