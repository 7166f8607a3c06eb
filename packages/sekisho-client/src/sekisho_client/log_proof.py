# SPDX-License-Identifier: Apache-2.0
"""That an entry is in a log: its inclusion proof, and the log's signature over the checkpoint
(docs/spec/ledger.md, 4 to 6; RFC 6962, C2SP).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from sekisho_client import ed25519
from sekisho_client.failures import ClientFailure

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_LINE = "\u2014 "
_PROOF_MAX = 63


class ProofInvalid(ClientFailure):
    """What the authority gave as a proof is none: it shows another log, or another entry."""


@dataclass(frozen=True, slots=True)
class ProvenEntry:
    """An entry that is in the log under a checkpoint that the log has signed."""

    index: int
    leaf_hash: bytes
    origin: str
    size: int
    root_hash: bytes


@dataclass(frozen=True, slots=True)
class LogKey:
    """The key of a log; its name is the origin."""

    name: str
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """Four bytes by which signature lines name it."""
        return hashlib.sha256(f"{self.name}\n".encode() + b"\x01" + self.public_key).digest()[:4]


def read_log_key(vkey: str) -> LogKey:
    """The key of a vkey, ``NAME+ID+KEY``. Raises ValueError: it is none, or not Ed25519."""
    name, _, rest = vkey.partition("+")
    key_id, _, encoded = rest.partition("+")
    try:
        data = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not a vkey: {error}") from error
    found = LogKey(name, data[1:])
    if not name or len(data) != 33 or data[0] != 1 or found.key_id.hex() != key_id:
        raise ValueError("not the vkey of a log: NAME+ID+KEY with an Ed25519 key")
    return found


def verify_entry(
    key: LogKey, index: int, leaf_hash: bytes, proof: tuple[bytes, ...], checkpoint: str
) -> ProvenEntry:
    """Check all of it.

    Raises:
        ProofInvalid: not signed by the log, not of the log, or the entry is not in it.
    """
    origin, size, root = _checkpoint(key, checkpoint)
    if not 0 <= index < size:
        raise ProofInvalid(f"entry {index} is not in a log of {size} entries")
    if len(leaf_hash) != 32 or len(proof) > _PROOF_MAX:
        raise ProofInvalid("not a leaf hash of 32 bytes and its proof")
    if _root_of(index, size, leaf_hash, proof) != root:
        raise ProofInvalid(f"the proof does not lead from entry {index} to the signed root")
    return ProvenEntry(index, leaf_hash, origin, size, root)


def leaf_hash_of(entry: bytes) -> bytes:
    """The leaf hash of an entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


def _checkpoint(key: LogKey, note: str) -> tuple[str, int, bytes]:
    text, parted, lines = note.rpartition("\n\n")
    text += "\n"
    if not parted or not _signed(key, text, lines):
        raise ProofInvalid(f"the checkpoint is not signed by the log {key.name}")
    parts = text.split("\n")
    if len(parts) < 4 or parts[0] != key.name or _SIZE.fullmatch(parts[1]) is None:
        raise ProofInvalid(f"the checkpoint is none of the log {key.name}")
    try:
        root = base64.b64decode(parts[2], validate=True)
    except binascii.Error as error:
        raise ProofInvalid("the checkpoint has no root") from error
    return parts[0], int(parts[1]), root


def _signed(key: LogKey, text: str, lines: str) -> bool:
    for line in lines.split("\n"):
        name, _, encoded = line.removeprefix(_LINE).partition(" ")
        try:
            data = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            continue
        ours = line.startswith(_LINE) and name == key.name and data[:4] == key.key_id
        if ours and ed25519.verified(key.public_key, text.encode(), data[4:]):
            return True
    return False


def _root_of(index: int, size: int, leaf: bytes, proof: tuple[bytes, ...]) -> bytes:
    """The root to which a proof leads (RFC 9162, 2.1.3.2); empty bytes where it is too long."""
    node, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return b""
        if node & 1 or node == last:
            found = hashlib.sha256(b"\x01" + sibling + found).digest()
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = hashlib.sha256(b"\x01" + found + sibling).digest()
        node, last = node >> 1, last >> 1
    return found if last == 0 else b""
