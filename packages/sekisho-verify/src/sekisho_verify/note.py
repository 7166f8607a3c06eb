# SPDX-License-Identifier: Apache-2.0
"""Signed notes and checkpoints (docs/spec/ledger.md sections 5 and 6).

Only Ed25519 signatures of the key that is asked for count; lines of other keys are ignored.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sekisho_verify.findings import VerificationFailed, require

_NOTE_BYTES_MAX = 1_000_000
_SIGNATURES_MAX = 64
_ED25519 = b"\x01"
_LINE = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """What a log says of itself: its origin, its size, its root (32 bytes)."""

    origin: str
    size: int
    root: bytes


def strict_base64(text: str) -> bytes:
    """Bytes from standard base64 in its one canonical spelling."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (ValueError, binascii.Error) as error:
        raise VerificationFailed("holds something that is not base64") from error
    require(base64.b64encode(data).decode() == text, "holds base64 that is not canonical")
    return data


def _split(note: bytes, most: int = _NOTE_BYTES_MAX) -> tuple[str, list[tuple[str, bytes]]]:
    require(len(note) <= most, f"is a note of more than {most:,} bytes")
    try:
        text = note.decode()
    except UnicodeDecodeError as error:
        raise VerificationFailed("is a note that is not UTF-8") from error
    require(_CONTROL.search(text) is None, "is a note with control characters")
    body, blank, tail = text.rpartition("\n\n")
    require(bool(blank) and tail.endswith("\n"), "is no signed note")
    lines = tail[:-1].split("\n")
    require(len(lines) <= _SIGNATURES_MAX, "is a note with more than 64 signature lines")
    signatures = []
    for line in lines:
        found = _LINE.fullmatch(line)
        if found is None:
            raise VerificationFailed("is a note with a malformed signature line")
        data = strict_base64(found[2])
        require(len(data) > 4, "is a note with a signature that is too short")
        signatures.append((found[1], data))
    return body + "\n", signatures


def key_id(name: str, raw_key: bytes) -> bytes:
    """The four bytes that a signature line of this Ed25519 key starts with."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + raw_key).digest()[:4]


def opened(
    note: bytes,
    name: str,
    key: Ed25519PublicKey,
    *,
    alone: bool = False,
    most: int = _NOTE_BYTES_MAX,
) -> str:
    """The text of a note that is signed by this key under this name.

    Args:
        note: the bytes of the note.
        name: the key name that the line must have.
        key: the key of that name.
        alone: refuse lines of other keys. MANIFEST covers all files but itself, so a line that
            nobody checks could be added to it unseen.
        most: bytes that the note may have.

    Raises:
        VerificationFailed: not a note, or not exactly one good signature of the key.
    """
    text, signatures = _split(note, most)
    require(not alone or len(signatures) == 1, "has more than one signature line")
    wanted = key_id(name, key.public_bytes_raw())
    ours = [data for who, data in signatures if who == name and data[:4] == wanted]
    require(len(ours) > 0, f"has no signature of the certified key of {name}")
    require(len(ours) == 1, f"has two signatures of the key of {name}")
    try:
        key.verify(ours[0][4:], text.encode())
    except InvalidSignature as error:
        raise VerificationFailed(f"has a signature of {name} that does not verify") from error
    return text


def checkpoint(note: bytes, origin: str, key: Ed25519PublicKey) -> Checkpoint:
    """Read a checkpoint that is signed by the key of the log of this origin.

    Raises:
        VerificationFailed: not such a checkpoint.
    """
    lines = opened(note, origin, key).split("\n")
    require(len(lines) >= 4 and lines[-1] == "", "is no checkpoint")
    require(all(lines[3:-1]), "is a checkpoint with an empty extension line")
    require(lines[0] == origin, f"is a checkpoint of {lines[0]}, not of {origin}")
    require(_SIZE.fullmatch(lines[1]) is not None and int(lines[1]) < 2**63, "has no proper size")
    root = strict_base64(lines[2])
    require(len(root) == 32, "has a root that is not 32 bytes")
    return Checkpoint(origin, int(lines[1]), root)


def claimed_origin(note: bytes) -> str:
    """The first line of a note, not yet verified: only to choose whose key must have signed."""
    return _split(note)[0].split("\n", 1)[0]
