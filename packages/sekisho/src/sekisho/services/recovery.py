# SPDX-License-Identifier: Apache-2.0
"""Reading a log back from its disk (docs/spec/ledger.md section 8).

What was not published is read and checked before anything is changed, so that a log that must not
be continued stays as it was found. What was published is shown by the checkpoint's root alone; each
older entry is compared when it is read (``sequence``), all of them by ``audit``.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from sekisho.core.errors import MalformedInput, VerificationFailed
from sekisho.core.ledger.checkpoint import Checkpoint, verify_checkpoint
from sekisho.core.ledger.frames import parse_segment_name, scan_segment, segment_name
from sekisho.core.ledger.merkle import HASH_BYTES
from sekisho.core.ledger.note import VerifierKey
from sekisho.core.ledger.tiles import WIDTH, Tile, edge_tiles, new_tiles, tile_hashes
from sekisho.ports import Disk
from sekisho.services.sequence import KEPT_ENTRIES, Sequence

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


async def recover(disk: Disk, log_key: VerifierKey, kept: int = KEPT_ENTRIES) -> Recovered:
    """Read, check, cut the torn tail, and make durable what was read.

    What full tiles below the checkpoint hold is not read again: their roots stand in partial tiles,
    and from these and the entries after them the checkpoint's root is computed. Where that does not
    succeed, all is read, to name what differs or to go on with the journal alone.

    A crash during recovery leaves a log that recovers to the same entries: cutting removes only
    what the next reading would cut again.

    Args:
        disk: the log's folder.
        log_key: verifies its checkpoint.
        kept: published entries that stay in memory.

    Raises:
        VerificationFailed: damage, or a log that its own checkpoint contradicts; nothing changed.
        StorageFailed, OutcomeUnknown: the disk.
    """
    checkpoint, note = await read_checkpoint(disk, log_key)
    sequence = await from_edge(disk, checkpoint, kept)
    lengths = await _read_segments(disk, sequence)
    if checkpoint is not None and sequence.size < checkpoint.size:
        raise _too_short(sequence, checkpoint)
    if checkpoint is not None and sequence.tree.root(checkpoint.size) != checkpoint.root_hash:
        sequence = Sequence(disk.read_range, None)
        lengths = await _read_segments(disk, sequence)
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


async def from_edge(disk: Disk, checkpoint: Checkpoint | None, kept: int) -> Sequence:
    """A log that begins behind the last full bundle of the checkpoint; empty where there is none,
    or where a partial tile is not there.
    """
    size = 0 if checkpoint is None else checkpoint.size // WIDTH * WIDTH
    edge: list[tuple[Tile, bytes]] = []
    try:
        edge = [(tile, await disk.read(tile.path)) for tile in edge_tiles(size)]
        return Sequence.from_edge(disk.read_range, size, edge, kept)
    except (FileNotFoundError, MalformedInput):
        return Sequence(disk.read_range, None)


async def _read_segments(disk: Disk, sequence: Sequence) -> dict[str, tuple[int, int]]:
    """Append the entries that follow; for each segment read its valid and its stored length.

    Segments that hold nothing but earlier entries are not read.
    """
    lengths: dict[str, tuple[int, int]] = {}
    names = await disk.list(JOURNAL_FOLDER)
    firsts = [_first_of(name) for name in names]
    if firsts and firsts[0]:
        raise VerificationFailed(
            f"{JOURNAL_FOLDER}/{names[0]} should begin with entry 0: entries are missing or doubled"
        )
    begin = max(0, bisect_right(firsts, sequence.size) - 1)
    end = firsts[begin] if firsts else 0
    for name, first in zip(names[begin:], firsts[begin:], strict=True):
        path = f"{JOURNAL_FOLDER}/{name}"
        if first != end:
            raise VerificationFailed(
                f"{path} should begin with entry {end}: entries are missing or doubled"
            )
        data = await disk.read(path)
        try:
            segment = scan_segment(data, first, sequence.size)
        except VerificationFailed as error:
            raise VerificationFailed(f"{path}: {error}") from error
        for entry in segment.entries:
            sequence.append(entry)
        end = segment.end
        if segment.length < len(data) and name != names[-1]:
            raise VerificationFailed(f"{path}: entry {end} is damaged, and a later segment exists")
        lengths[path] = (segment.length, len(data))
    if end < sequence.size:
        raise VerificationFailed(
            f"the checkpoint names {sequence.size} entries or more and the journal holds {end}: "
            f"entry {end} and what follows were lost, cut off, or the journal is an older copy; "
            "restore the newer one"
        )
    return lengths


def _first_of(name: str) -> int:
    try:
        return parse_segment_name(name)
    except MalformedInput as error:
        raise VerificationFailed(
            f"{JOURNAL_FOLDER}/{name} is not part of a journal: move it away"
        ) from error


async def read_checkpoint(disk: Disk, log_key: VerifierKey) -> tuple[Checkpoint | None, bytes]:
    """The published checkpoint and its signed bytes; None and nothing where there is none.

    Raises:
        VerificationFailed: it is not one of this log.
        StorageFailed: the disk.
    """
    try:
        note = await disk.read(CHECKPOINT_PATH)
    except FileNotFoundError:
        return None, b""
    try:
        checkpoint, _ = verify_checkpoint(note, log_key)
    except (MalformedInput, VerificationFailed) as error:
        raise VerificationFailed(f"{CHECKPOINT_PATH}: {error}") from error
    return checkpoint, note


def _too_short(sequence: Sequence, checkpoint: Checkpoint) -> VerificationFailed:
    return VerificationFailed(
        f"the checkpoint names {checkpoint.size} entries and the journal holds "
        f"{sequence.size}: entry {sequence.size} and what follows were lost, cut off, or the "
        "journal is an older copy; restore the newer one"
    )


async def _compare(disk: Disk, sequence: Sequence, checkpoint: Checkpoint) -> None:
    """Refuse a journal that is not a continuation of what was published from it."""
    if checkpoint.size > sequence.size:
        raise _too_short(sequence, checkpoint)
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
