# SPDX-License-Identifier: Apache-2.0
"""Journal frames: how the one writer of a log stores entries (docs/spec/ledger.md section 7).

The CRC finds torn and rotted bytes; what an attacker could change is found by the checkpoint.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass

from sekisho.core.errors import MalformedInput, VerificationFailed
from sekisho.core.ledger.tiles import ENTRY_BYTES_MAX, check_entry

MAGIC = b"SKJ1"
HEADER_BYTES = 28
SEGMENT_BYTES_MAX = 64 * 1024 * 1024

_FIELDS = struct.Struct(">4sIQQ")
_CRC = struct.Struct(">I")
_NAME = re.compile(r"([0-9]{20})\.frames\Z")


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame: the entry, its index, and the index of the first entry of its batch."""

    index: int
    batch: int
    entry: bytes

    @property
    def length(self) -> int:
        """Bytes of the whole frame."""
        return HEADER_BYTES + len(self.entry)


@dataclass(frozen=True, slots=True)
class Segment:
    """What a segment holds: its entries, and how many of its bytes they take.

    ``entries`` are those that were asked for, ``end`` is the index after the last one. ``length``
    below the length of the file means a torn tail.
    """

    entries: list[bytes]
    length: int
    end: int


def encode_frame(index: int, batch: int, entry: bytes) -> bytes:
    """The bytes of one frame. Raises MalformedInput: the entry or the numbers are not valid."""
    check_entry(entry)
    if not 0 <= batch <= index < 2**63:
        raise MalformedInput(f"no frame has index {index} in batch {batch}")
    fields = _FIELDS.pack(MAGIC, len(entry), index, batch)
    return fields + _CRC.pack(zlib.crc32(entry, zlib.crc32(fields))) + entry


def decode_frame(data: bytes, offset: int = 0) -> Frame:
    """The frame that begins at ``offset``.

    Raises:
        MalformedInput: there is no whole, correct frame.
    """
    header_end = offset + HEADER_BYTES
    if header_end > len(data):
        raise MalformedInput("the header of a frame is cut short")
    magic, length, index, batch = _FIELDS.unpack_from(data, offset)
    end = header_end + length
    if magic != MAGIC or not 0 < length <= ENTRY_BYTES_MAX or batch > index or end > len(data):
        raise MalformedInput("not a frame, or cut short")
    entry = data[header_end:end]
    (crc,) = _CRC.unpack_from(data, header_end - _CRC.size)
    if crc != zlib.crc32(entry, zlib.crc32(data[offset : header_end - _CRC.size])):
        raise MalformedInput("the CRC of a frame does not match")
    return Frame(index, batch, entry)


def segment_name(first_index: int) -> str:
    """File name of the segment that begins with this entry."""
    return f"{first_index:020d}.frames"


def parse_segment_name(name: str) -> int:
    """Inverse of :func:`segment_name`. Raises MalformedInput."""
    match = _NAME.match(name)
    if match is None:
        raise MalformedInput("not the name of a journal segment", name[:80])
    return int(match.group(1))


def scan_segment(data: bytes, first_index: int, wanted_from: int = 0) -> Segment:
    """Read a segment up to its end or its torn tail; entries below ``wanted_from`` are not kept.

    A tail is torn, and may be cut, when no correct frame after it was written in a later batch:
    frames of a later batch prove that what is damaged had been durable.

    Raises:
        VerificationFailed: damage to what had been durable, or a frame out of order.
    """
    entries: list[bytes] = []
    offset, expected = 0, first_index
    while offset < len(data):
        try:
            frame = decode_frame(data, offset)
        except MalformedInput:
            _refuse_damage(data, offset, expected)
            break
        if frame.index != expected:
            raise VerificationFailed(
                f"journal: entry {frame.index} stands where entry {expected} belongs"
            )
        if expected >= wanted_from:
            entries.append(frame.entry)
        offset += frame.length
        expected += 1
    return Segment(entries, offset, expected)


def _refuse_damage(data: bytes, offset: int, expected: int) -> None:
    """Raise when a correct frame of a later batch follows the bad bytes at ``offset``."""
    at = data.find(MAGIC, offset + 1)
    while at >= 0:
        try:
            frame = decode_frame(data, at)
        except MalformedInput:
            at = data.find(MAGIC, at + 1)
            continue
        if frame.batch > expected:
            raise VerificationFailed(
                f"journal: entry {expected} is damaged (byte {offset} of its segment), "
                f"but entry {frame.index} after it is whole: this is not a torn tail"
            )
        at = data.find(MAGIC, at + frame.length)
