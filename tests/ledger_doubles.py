# SPDX-License-Identifier: Apache-2.0
"""What the tests of the ledger share: a software key, and a reader that trusts nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.adapters.simulated_disk import SimulatedDisk
from sekisho.core.errors import Unavailable
from sekisho.core.ledger.checkpoint import Checkpoint, verify_checkpoint
from sekisho.core.ledger.merkle import leaf_hash
from sekisho.core.ledger.note import VerifierKey
from sekisho.core.ledger.tiles import (
    WIDTH,
    decode_bundle,
    new_tiles,
    split_hashes,
    subtree_root,
)
from sekisho.services.journal import Journal

ORIGIN = "log.example/gate-1"
FIRST_SEGMENT = "journal/00000000000000000000.frames"


class SoftwareSigner:
    """An Ed25519 key made from one number; may be told not to answer."""

    uri = "test:ed25519"
    algorithm = "Ed25519"

    def __init__(self, number: int = 1) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(number.to_bytes(32, "big"))
        self.away = False
        self.lies = False

    @property
    def public_key(self) -> bytes:
        return self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    async def sign(self, message: bytes) -> bytes:
        return self.sign_blocking(message)

    def sign_blocking(self, message: bytes) -> bytes:
        if self.away:
            raise Unavailable("the key service does not answer")
        return self._key.sign(b"something else" if self.lies else message)


KEY = VerifierKey.from_spki(ORIGIN, SoftwareSigner().public_key)


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word by word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    left, right = naive_root(leaves[:split]), naive_root(leaves[split:])
    return hashlib.sha256(b"\x01" + left + right).digest()


def read_log(read: Callable[[str], bytes], key: VerifierKey) -> tuple[Checkpoint, list[bytes]]:
    """Verify a published log as a stranger: checkpoint first, then every file it needs.

    Raises KeyError for a file that is missing, AssertionError for one that does not fit.
    """
    checkpoint, _ = verify_checkpoint(read("checkpoint"), key)
    entries: list[bytes] = []
    below: dict[int, bytes] = {}
    for tile in new_tiles(0, checkpoint.size):
        hashes = split_hashes(read(tile.path), tile.width)
        if tile.level == 0:
            bundle = decode_bundle(read(tile.entries_path), tile.width)
            assert [leaf_hash(entry) for entry in bundle] == hashes, tile.entries_path
            entries.extend(bundle)
        for number, item in enumerate(hashes):
            if tile.level:
                assert item == below[tile.level * 2**40 + tile.start + number], tile.path
        if tile.width == WIDTH:
            below[(tile.level + 1) * 2**40 + tile.index] = subtree_root(hashes)
    assert naive_root([leaf_hash(entry) for entry in entries]) == checkpoint.root_hash
    return checkpoint, entries


async def opened(disk: SimulatedDisk, clock: SteppedClock | None = None, **options: Any) -> Journal:
    """A journal on this disk, with the first key and a clock that stands still."""
    signer = options.pop("signer", None) or SoftwareSigner()
    clock = clock or SteppedClock(10**18)
    return await Journal.open(disk, origin=ORIGIN, signer=signer, clock=clock, **options)


async def append_flushed(journal: Journal, *entries: bytes) -> None:
    """Append all, then wait for the last."""
    for entry in entries:
        journal.append(entry)
    await journal.flushed(journal.size - 1)


async def give_turn() -> None:
    """Let every task that can run go on once."""
    await SteppedClock(0).sleep(0)


def numbered(count: int, start: int = 0) -> list[bytes]:
    """Entries that say which they are."""
    return [b"entry %d" % number for number in range(start, start + count)]
