# SPDX-License-Identifier: Apache-2.0
"""Reading a log back from its disk (docs/spec/ledger.md section 8).

Everything is read and checked before anything is changed, so that a log that must not be continued
stays as it was found.
"""

from __future__ import annotations

from dataclasses import dataclass

from sekisho.core.errors import MalformedInput, VerificationFailed
from sekisho.core.ledger.checkpoint import Checkpoint, verify_checkpoint
from sekisho.core.ledger.frames import parse_segment_name, scan_segment, segment_name
from sekisho.core.ledger.merkle import HASH_BYTES
from sekisho.core.ledger.note import VerifierKey
from sekisho.core.ledger.tiles import new_tiles, tile_hashes
from sekisho.ports import Disk
from sekisho.services.sequence import Sequence

JOURNAL_FOLDER = "journal"
CHECKPOINT_PATH = "checkpoint"


@dataclass(frozen=True, slots=True)
class Recovered:
    """A log as it was read back; all its entries are durable.

    Attributes:
        sequence: the entries.
        segment: path of the segment to go on with.
        segment_bytes: its length; None when the file does not exist yet.
        checkpoint: the last published checkpoint, if there is one.
        note: its signed bytes.
    """

    sequence: Sequence
    segment: str
    segment_bytes: int | None
    checkpoint: Checkpoint | None
    note: bytes


def segment_path(first_index: int) -> str:
    """Path of the segment that begins with this entry."""
    return f"{JOURNAL_FOLDER}/{segment_name(first_index)}"


async def recover(disk: Disk, log_key: VerifierKey) -> Recovered:
    """Read, check, cut the torn tail, and make durable what was read.

    A crash during recovery leaves a log that recovers to the same entries: cutting removes only
    what the next reading would cut again.

    Raises:
        VerificationFailed: damage, or a log that its own checkpoint contradicts; nothing changed.
        StorageFailed, OutcomeUnknown: the disk.
    """
    sequence = Sequence()
    lengths = await _read_segments(disk, sequence)
    checkpoint, note = await _read_checkpoint(disk, log_key)
    if checkpoint is not None:
        await _compare(disk, sequence, checkpoint)
    for path, (valid, stored) in lengths.items():
        if valid < stored:
            await disk.truncate(path, valid)
        await disk.sync(path)  # what was read may be in the kernel's memory only
    if not lengths:
        return Recovered(sequence, segment_path(0), None, checkpoint, note)
    await disk.sync_folder(JOURNAL_FOLDER)
    last = next(reversed(lengths))
    return Recovered(sequence, last, lengths[last][0], checkpoint, note)


async def _read_segments(disk: Disk, sequence: Sequence) -> dict[str, tuple[int, int]]:
    """Append all entries; for each segment its valid and its stored length, in order."""
    lengths: dict[str, tuple[int, int]] = {}
    names = await disk.list(JOURNAL_FOLDER)
    for name in names:
        path = f"{JOURNAL_FOLDER}/{name}"
        try:
            first = parse_segment_name(name)
        except MalformedInput as error:
            raise VerificationFailed(f"{path} is not part of a journal: move it away") from error
        if first != sequence.size:
            raise VerificationFailed(
                f"{path} should begin with entry {sequence.size}: entries are missing or doubled"
            )
        data = await disk.read(path)
        try:
            segment = scan_segment(data, first)
        except VerificationFailed as error:
            raise VerificationFailed(f"{path}: {error}") from error
        for entry in segment.entries:
            sequence.append(entry)
        if segment.length < len(data) and name != names[-1]:
            raise VerificationFailed(
                f"{path}: entry {sequence.size} is damaged, and a later segment exists"
            )
        lengths[path] = (segment.length, len(data))
    return lengths


async def _read_checkpoint(disk: Disk, log_key: VerifierKey) -> tuple[Checkpoint | None, bytes]:
    try:
        note = await disk.read(CHECKPOINT_PATH)
    except FileNotFoundError:
        return None, b""
    try:
        checkpoint, _ = verify_checkpoint(note, log_key)
    except (MalformedInput, VerificationFailed) as error:
        raise VerificationFailed(f"{CHECKPOINT_PATH}: {error}") from error
    return checkpoint, note


async def _compare(disk: Disk, sequence: Sequence, checkpoint: Checkpoint) -> None:
    """Refuse a journal that is not a continuation of what was published from it."""
    if checkpoint.size > sequence.size:
        raise VerificationFailed(
            f"the checkpoint names {checkpoint.size} entries and the journal holds "
            f"{sequence.size}: entry {sequence.size} and what follows were lost, cut off, or the "
            "journal is an older copy; restore the newer one"
        )
    if sequence.tree.root(checkpoint.size) == checkpoint.root_hash:
        return
    first = await _first_difference(disk, sequence, checkpoint.size)
    place = "the published hashes do not show where" if first is None else f"first at entry {first}"
    raise VerificationFailed(
        f"the journal differs from the checkpoint of size {checkpoint.size} ({place}): "
        "this log was changed or forked and must not go on"
    )


async def _first_difference(disk: Disk, sequence: Sequence, size: int) -> int | None:
    """Index of the first entry whose published leaf hash is another, if the tiles show one."""
    for tile in new_tiles(0, size):
        if tile.level:
            break
        try:
            stored = await disk.read(tile.path)
        except FileNotFoundError:
            return None
        own = tile_hashes(sequence.tree, tile)
        for number in range(tile.width):
            part = slice(number * HASH_BYTES, (number + 1) * HASH_BYTES)
            if stored[part] != own[part]:
                return tile.start + number
    return None
