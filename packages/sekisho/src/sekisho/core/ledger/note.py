# SPDX-License-Identifier: Apache-2.0
"""Signed notes and verifier keys (docs/spec/ledger.md section 5, C2SP signed-note).

Signing is the Signer port's; here are the bytes around it and the check of a signature, which is a
pure function of its inputs. Types: Ed25519 (0x01) and the Ed25519 cosignature of a witness (0x04).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sekisho.core.encoding import b64, sha256, unb64
from sekisho.core.errors import MalformedInput, VerificationFailed

ED25519 = 0x01
COSIGNATURE = 0x04
NOTE_BYTES_MAX = 1_000_000
SIGNATURES_MAX = 64

_SIGNATURE_BYTES = {ED25519: 64, COSIGNATURE: 72}
_SPKI_ED25519 = bytes.fromhex("302a300506032b6570032100")
_LINE = "\u2014 "


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A key that may sign notes: its name, its type (0x01 or 0x04) and 32 bytes."""

    name: str
    type: int
    public_key: bytes

    def __post_init__(self) -> None:
        """Refuse names and keys that the specification does not allow."""
        _check_name(self.name)
        if self.type not in _SIGNATURE_BYTES or len(self.public_key) != 32:
            raise MalformedInput(f"not an Ed25519 note key (type {self.type})", "vkey")

    @classmethod
    def from_spki(cls, name: str, spki: bytes, kind: int = ED25519) -> VerifierKey:
        """The note key of an Ed25519 SubjectPublicKeyInfo (DER), as the Signer port gives it.

        Raises:
            MalformedInput: another kind of key, or a name that notes do not allow.
        """
        if len(spki) != 44 or not spki.startswith(_SPKI_ED25519):
            raise MalformedInput("the key of a log must be Ed25519", "public_key")
        return cls(name, kind, spki[len(_SPKI_ED25519) :])

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Strict inverse of :attr:`vkey`. Raises MalformedInput, also for a wrong key id."""
        parts = text.split("+", 2)
        if len(parts) != 3:
            raise MalformedInput("a vkey is name+id+key", "vkey")
        key = unb64(parts[2])
        result = cls(parts[0], key[0] if key else -1, key[1:])
        if result.vkey != text:
            raise MalformedInput("the key id of this vkey is not that of its key", "vkey")
        return result

    @property
    def key_id(self) -> bytes:
        """Four bytes that name the key in a signature line."""
        encoded = self.name.encode() + b"\n" + bytes([self.type]) + self.public_key
        return sha256(encoded)[:4]

    @property
    def vkey(self) -> str:
        """The one-line text of the key."""
        return f"{self.name}+{self.key_id.hex()}+{b64(bytes([self.type]) + self.public_key)}"

    def check(self, text: str, signature: bytes) -> None:
        """Check the bytes after the key id of a signature line. Raises VerificationFailed."""
        message = text.encode()
        if len(signature) != _SIGNATURE_BYTES[self.type]:
            raise VerificationFailed(f"the signature of {self.name} has not the length of its type")
        if self.type == COSIGNATURE:
            message = cosignature_message(int.from_bytes(signature[:8], "big"), text)
            signature = signature[8:]
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, message)
        except (InvalidSignature, ValueError) as error:
            raise VerificationFailed(f"the signature of {self.name} does not verify") from error


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: key name, key id (4 bytes), and the bytes after it."""

    name: str
    key_id: bytes
    signature: bytes

    @property
    def line(self) -> str:
        """The line, with its newline."""
        return f"{_LINE}{self.name} {b64(self.key_id + self.signature)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A parsed note. Nothing in it is trusted before :func:`verify_note`."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def encode(self, bytes_max: int = NOTE_BYTES_MAX) -> bytes:
        """The bytes of the note. Raises MalformedInput when they would not be one."""
        lines = "".join(signature.line for signature in self.signatures)
        data = f"{self.text}\n{lines}".encode()
        if parse_note(data, bytes_max) != self:
            raise MalformedInput("this text and these signatures do not make a note")
        return data


def sign_line(key: VerifierKey, signature: bytes) -> NoteSignature:
    """The signature line of ``key`` for a signature that the Signer port made."""
    return NoteSignature(key.name, key.key_id, signature)


def cosignature_message(timestamp: int, text: str) -> bytes:
    """What a witness signs: Unix seconds and the whole text of the checkpoint."""
    return f"cosignature/v1\ntime {timestamp}\n{text}".encode()


def parse_note(data: bytes, bytes_max: int = NOTE_BYTES_MAX) -> Note:
    """Parse strictly: exactly one byte string for each note.

    Args:
        data: the note.
        bytes_max: how long it may be; a bundle's manifest may be longer than a checkpoint.

    Raises:
        MalformedInput: anything that section 5 does not allow.
    """
    if len(data) > bytes_max:
        raise MalformedInput(f"a note of {len(data)} bytes is too long")
    try:
        whole = data.decode("utf-8")
    except UnicodeError as error:
        raise MalformedInput("a note is UTF-8 text") from error
    if any(character < " " and character != "\n" for character in whole):
        raise MalformedInput("a note has no control characters")
    head, separator, tail = whole.rpartition("\n\n")
    if not separator or not tail.endswith("\n"):
        raise MalformedInput("a note is text, an empty line, and signature lines")
    lines = tail[:-1].split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise MalformedInput(f"a note with {len(lines)} signatures has too many")
    return Note(head + "\n", tuple(_parse_line(line) for line in lines))


def verify_note(data: bytes, keys: Iterable[VerifierKey]) -> tuple[str, tuple[VerifierKey, ...]]:
    """Parse a note and check every line of a known key.

    Returns:
        The text, and the keys that signed it, in the order of their lines (at least one).

    Raises:
        MalformedInput: not a note.
        VerificationFailed: no line of a known key, two of one, or one that does not verify.
    """
    note = parse_note(data)
    known = {(key.name, key.key_id): key for key in keys}
    signed: list[VerifierKey] = []
    for signature in note.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is None:
            continue
        if key in signed:
            raise VerificationFailed(f"two signatures of {key.name} in one note")
        key.check(note.text, signature.signature)
        signed.append(key)
    if not signed:
        raise VerificationFailed("the note is not signed by a known key")
    return note.text, tuple(signed)


def _parse_line(line: str) -> NoteSignature:
    if not line.startswith(_LINE):
        raise MalformedInput("a signature line begins with an em dash and a space")
    name, separator, encoded = line[len(_LINE) :].partition(" ")
    if not separator:
        raise MalformedInput("a signature line has a name and a signature")
    _check_name(name)
    signature = unb64(encoded)
    if len(signature) < 5:
        raise MalformedInput(f"the signature of {name} is too short")
    return NoteSignature(name, signature[:4], signature[4:])


def _check_name(name: str) -> None:
    if not name or "+" in name or any(c.isspace() or c < " " for c in name):
        raise MalformedInput(f"{name[:80]!r} cannot name a note key", "name")
    if not all(c <= "\ud7ff" or c >= "\ue000" for c in name):
        raise MalformedInput("the name of a note key is UTF-8 text", "name")
