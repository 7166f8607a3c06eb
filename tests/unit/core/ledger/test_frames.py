# SPDX-License-Identifier: Apache-2.0
"""Journal frames: what is a frame, what is a torn tail, and what is damage."""

from __future__ import annotations

import zlib

import pytest

from sekisho.core.errors import MalformedInput, VerificationFailed
from sekisho.core.ledger.frames import (
    HEADER_BYTES,
    decode_frame,
    encode_frame,
    parse_segment_name,
    scan_segment,
    segment_name,
)


def test_frame_bytes_are_those_of_the_specification() -> None:
    """Magic, length, index, batch, CRC, entry."""
    fields = b"SKJ1" + bytes([0, 0, 0, 3]) + (7).to_bytes(8, "big") + (5).to_bytes(8, "big")
    expected = fields + zlib.crc32(fields + b"abc").to_bytes(4, "big") + b"abc"
    assert encode_frame(7, 5, b"abc") == expected
    frame = decode_frame(b"xx" + expected + b"yy", 2)
    assert (frame.index, frame.batch, frame.entry) == (7, 5, b"abc")
    assert frame.length == len(expected) == HEADER_BYTES + 3


def test_frame_with_any_changed_bit_is_refused() -> None:
    """Every bit of header and entry is covered."""
    data = encode_frame(1, 1, b"entry")
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(MalformedInput):
            decode_frame(bytes(changed))


def test_frame_cut_at_any_byte_is_refused() -> None:
    """A part of a frame is not a frame."""
    data = encode_frame(1, 1, b"entry")
    for end in range(len(data)):
        with pytest.raises(MalformedInput):
            decode_frame(data[:end])


@pytest.mark.parametrize(
    ("index", "batch", "entry"),
    [(0, 0, b""), (0, 0, b"x" * 65_536), (0, 1, b"x"), (-1, -1, b"x"), (2**63, 0, b"x")],
)
def test_frame_of_what_no_journal_holds_is_refused(index: int, batch: int, entry: bytes) -> None:
    """Entry limits, and a batch that begins after its own entry."""
    with pytest.raises(MalformedInput):
        encode_frame(index, batch, entry)


def forged(length: int, index: int, batch: int, entry: bytes) -> bytes:
    fields = b"SKJ1" + length.to_bytes(4, "big") + index.to_bytes(8, "big")
    fields += batch.to_bytes(8, "big")
    return fields + zlib.crc32(fields + entry).to_bytes(4, "big") + entry


@pytest.mark.parametrize(
    "data",
    [forged(0, 0, 0, b""), forged(65_536, 0, 0, b"x" * 65_536), forged(1, 0, 1, b"x")],
)
def test_frame_with_a_good_crc_over_impossible_numbers_is_refused(data: bytes) -> None:
    """A CRC does not make an empty or too long entry, or a batch from the future, valid."""
    with pytest.raises(MalformedInput):
        decode_frame(data)


def test_segment_name_round_trips_and_other_names_are_refused() -> None:
    """Twenty digits, so that names sort as numbers."""
    assert segment_name(70_000) == "00000000000000070000.frames"
    assert parse_segment_name(segment_name(70_000)) == 70_000
    for name in ("1.frames", segment_name(1) + "\n", "x" + segment_name(1), segment_name(1)[:-1]):
        with pytest.raises(MalformedInput):
            parse_segment_name(name)


def test_segment_torn_anywhere_in_its_last_batch_keeps_the_frames_before() -> None:
    """Cut at any byte, the whole frames before the cut are read and the rest is left."""
    frames = [encode_frame(index, 3, b"entry %d" % index) for index in (3, 4, 5)]
    data = b"".join(frames)
    for end in range(len(data) + 1):
        segment = scan_segment(data[:end], 3)
        whole = sum(len(b"".join(frames[: count + 1])) <= end for count in range(3))
        assert segment.entries == [b"entry %d" % index for index in range(3, 3 + whole)]
        assert segment.length == len(b"".join(frames[:whole]))


def test_segment_hole_within_the_last_batch_is_a_torn_tail() -> None:
    """A machine may keep the end of an unsynced write and lose its middle."""
    first = encode_frame(0, 0, b"durable")
    batch = [encode_frame(index, 1, b"entry") for index in (1, 2, 3)]
    data = first + batch[0] + bytes(len(batch[1])) + batch[2]
    assert scan_segment(data, 0).entries == [b"durable", b"entry"]


def test_segment_damage_before_a_later_batch_is_refused() -> None:
    """A later batch proves that the damaged entry had been durable."""
    durable = [encode_frame(0, 0, b"one"), encode_frame(1, 0, b"two")]
    later = encode_frame(2, 2, b"three")
    for at in range(len(durable[0]), len(durable[0]) + len(durable[1])):
        data = bytearray(b"".join(durable) + later)
        data[at] ^= 1
        with pytest.raises(VerificationFailed, match="entry 1 is damaged"):
            scan_segment(bytes(data), 0)


def test_segment_damage_is_seen_behind_a_later_frame_of_the_same_batch() -> None:
    """The search does not stop at the first whole frame after the damage."""
    data = bytearray(encode_frame(0, 0, b"a") + encode_frame(1, 0, b"b") + encode_frame(2, 2, b"c"))
    data[5] ^= 1
    with pytest.raises(VerificationFailed, match="entry 0 is damaged"):
        scan_segment(bytes(data), 0)


def test_segment_entry_out_of_order_is_refused() -> None:
    """A whole frame with another index was put there by somebody."""
    with pytest.raises(VerificationFailed, match="stands where"):
        scan_segment(encode_frame(1, 1, b"x"), 0)


def test_segment_garbage_that_looks_like_a_frame_is_a_torn_tail() -> None:
    """The magic alone proves nothing, and the search goes on behind it."""
    data = encode_frame(0, 0, b"durable") + b"xxSKJ1yy" + b"SKJ1"
    assert scan_segment(data, 0).entries == [b"durable"]
    later = encode_frame(2, 2, b"later")
    with pytest.raises(VerificationFailed, match="entry 1 is damaged"):
        scan_segment(data + later, 0)
