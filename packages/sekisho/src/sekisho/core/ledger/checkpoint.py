# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: the signed size and root of a log (docs/spec/ledger.md section 6, C2SP)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sekisho.core.encoding import b64, unb64
from sekisho.core.errors import MalformedInput, VerificationFailed
from sekisho.core.ledger.merkle import HASH_BYTES
from sekisho.core.ledger.note import VerifierKey, verify_note

SIZE_MAX = 2**63 - 1
_SIZE = re.compile(r"(0|[1-9][0-9]{0,18})\Z")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says of itself: its origin, how many entries it has, and their root."""

    origin: str
    size: int
    root_hash: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse values that have no text."""
        lines = (self.origin, *self.extensions)
        if any(not line or any(c < " " for c in line) for line in lines):
            raise MalformedInput("a line of a checkpoint is empty or has control characters")
        if not 0 <= self.size <= SIZE_MAX:
            raise MalformedInput(f"a log cannot have {self.size} entries", "size")
        if len(self.root_hash) != HASH_BYTES:
            raise MalformedInput("a root has 32 bytes", "root")

    @property
    def text(self) -> str:
        """The text that is signed."""
        lines = (self.origin, str(self.size), b64(self.root_hash), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


def parse_checkpoint(text: str) -> Checkpoint:
    """Strict inverse of :attr:`Checkpoint.text`.

    Raises:
        MalformedInput: anything that section 6 does not allow.
    """
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop():
        raise MalformedInput("a checkpoint has three lines, each ended by a newline")
    origin, size, root, *extensions = lines
    if _SIZE.match(size) is None:
        raise MalformedInput(f"{size[:40]!r} is not the size of a log", "size")
    return Checkpoint(origin, int(size), unb64(root), tuple(extensions))


def verify_checkpoint(
    data: bytes, log_key: VerifierKey, witnesses: Iterable[VerifierKey] = ()
) -> tuple[Checkpoint, tuple[VerifierKey, ...]]:
    """Check a signed checkpoint of the log that ``log_key`` names.

    Args:
        data: the signed note.
        log_key: the log's key; its name is the expected origin.
        witnesses: keys whose cosignatures count.

    Returns:
        The checkpoint and the keys that signed it, the log's among them.

    Raises:
        MalformedInput: not a note, or not a checkpoint.
        VerificationFailed: not signed by the log, a known signature fails, or another origin.
    """
    text, signed = verify_note(data, [log_key, *witnesses])
    if log_key not in signed:
        raise VerificationFailed(f"the checkpoint is not signed by the log {log_key.name}")
    checkpoint = parse_checkpoint(text)
    if checkpoint.origin != log_key.name:
        raise VerificationFailed(
            f"the checkpoint is of {checkpoint.origin[:80]!r}, not of {log_key.name}"
        )
    return checkpoint, signed
