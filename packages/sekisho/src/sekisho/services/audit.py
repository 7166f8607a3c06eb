# SPDX-License-Identifier: Apache-2.0
"""The slow reading of a whole log beside its work (docs/spec/ledger.md, section 8).

An opening does not read again what was published. This does: every frame of every segment, its
entry hashed and compared with the tree, and the entry bundles with them. Where they differ the
journal fails for good, and its message names the entry. Nothing is repaired here, and nothing is
said of entries that came after the reading began.
"""

from __future__ import annotations

from typing import Final

from sekisho.core.errors import MalformedInput, StorageFailed, VerificationFailed
from sekisho.core.ledger.frames import HEADER_BYTES, decode_frame, parse_segment_name
from sekisho.core.ledger.merkle import leaf_hash
from sekisho.core.ledger.tiles import ENTRY_BYTES_MAX
from sekisho.ports import Clock, Disk
from sekisho.services.journal import Journal
from sekisho.services.recovery import JOURNAL_FOLDER

CHUNK_BYTES: Final = 64 * 1024
"""What is read and hashed in one go; the loop is given back after each."""
PAUSE_SECONDS: Final = 0.02


class Audit:
    """One log's audit.

    Attributes:
        checked: entries that were found to be what the tree says, from the first on.
        complete: whether all that was durable when the reading began has been checked.
    """

    def __init__(
        self, disk: Disk, journal: Journal, clock: Clock, pause_seconds: float = PAUSE_SECONDS
    ) -> None:
        self.checked = 0
        self.complete = False
        self._disk = disk
        self._journal = journal
        self._clock = clock
        self._pause_seconds = pause_seconds
        self._until = 0

    async def run(self) -> None:
        """Read the log once, from its first entry to the last that is durable now.

        Ends without a word when the journal fails otherwise, or when a file cannot be read at the
        moment: :attr:`complete` stays false.
        """
        self._until = self._journal.durable_size
        try:
            for name in await self._disk.list(JOURNAL_FOLDER):
                if self.checked < self._until:
                    await self._segment(name)
            if self.checked < self._until:
                raise VerificationFailed(f"entry {self.checked} is in no segment of the journal")
        except (VerificationFailed, MalformedInput, FileNotFoundError) as error:
            self._journal.condemn(error)
            return
        except StorageFailed:
            return
        self.complete = self._journal.failed is None

    async def _segment(self, name: str) -> None:
        path = f"{JOURNAL_FOLDER}/{name}"
        if parse_segment_name(name) != self.checked:
            raise VerificationFailed(f"{path} should begin with entry {self.checked}")
        offset, held = 0, b""
        while self.checked < self._until and self._journal.failed is None:
            data = held + self._disk.read_range(path, offset + len(held), CHUNK_BYTES)
            if len(data) == len(held):
                break
            taken = self._frames(path, data, last=len(data) - len(held) < CHUNK_BYTES)
            offset, held = offset + taken, data[taken:]
            await self._clock.sleep(self._pause_seconds)
        if held and self.checked < self._until:
            raise VerificationFailed(f"{path}: entry {self.checked} is damaged")

    def _frames(self, path: str, data: bytes, *, last: bool) -> int:
        """Check the whole frames at the beginning of the data; returns how many bytes they are."""
        offset = 0
        while offset < len(data) and self.checked < self._until:
            try:
                frame = decode_frame(data, offset)
            except MalformedInput as error:
                if not last and len(data) - offset < HEADER_BYTES + ENTRY_BYTES_MAX:
                    break  # perhaps cut by the end of the chunk
                raise VerificationFailed(f"{path}: entry {self.checked} is damaged") from error
            self._compare(path, frame.index, frame.entry)
            offset += frame.length
        return offset

    def _compare(self, path: str, index: int, entry: bytes) -> None:
        if index != self.checked:
            raise VerificationFailed(f"{path}: entry {index} stands where {self.checked} belongs")
        if leaf_hash(entry) != self._journal.leaf_hash(index):
            raise VerificationFailed(
                f"{path}: entry {index} is not the one that was published or recorded"
            )
        if self._journal.entry(index) != entry:
            raise VerificationFailed(f"entry {index} has another content in its bundle")
        self.checked += 1
