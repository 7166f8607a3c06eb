# SPDX-License-Identifier: Apache-2.0
"""Arbitrary bytes either are the one spelling of something, or are refused."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sekisho.core.errors import MalformedInput, VerificationFailed
from sekisho.core.ledger.checkpoint import Checkpoint, parse_checkpoint
from sekisho.core.ledger.frames import encode_frame, scan_segment
from sekisho.core.ledger.note import Note, NoteSignature, parse_note

names = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1).filter(
    lambda name: "+" not in name and not any(c.isspace() for c in name)
)
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]) | st.just("\n")).map(
    lambda text: text + "\n"
)
signatures = st.builds(
    NoteSignature,
    names,
    st.binary(min_size=4, max_size=4),
    st.binary(min_size=1, max_size=80),
)


@given(texts, st.lists(signatures, min_size=1, max_size=5))
def test_note_of_any_text_round_trips(text: str, lines: list[NoteSignature]) -> None:
    """Whatever may be signed reads back as it was."""
    note = Note(text, tuple(lines))
    assert parse_note(note.encode()) == note


@given(st.binary(max_size=300) | texts.map(str.encode))
def test_note_of_any_bytes_reencodes_to_them_or_is_refused(data: bytes) -> None:
    """A note has one spelling."""
    try:
        note = parse_note(data)
    except MalformedInput:
        return
    assert note.encode() == data


@given(st.text(max_size=100) | st.from_regex(r"[a-c]\n[0-9]{1,4}\n[A-Za-z0-9+/]{43}=\n"))
def test_checkpoint_of_any_text_reformats_to_it_or_is_refused(text: str) -> None:
    """A checkpoint has one spelling."""
    try:
        checkpoint = parse_checkpoint(text)
    except MalformedInput:
        return
    assert isinstance(checkpoint, Checkpoint)
    assert checkpoint.text == text


@given(st.lists(st.integers(1, 5), max_size=5), st.data())
def test_segment_changed_anywhere_yields_a_prefix_or_is_refused(
    batches: list[int], data: st.DataObject
) -> None:
    """No change of bytes makes another entry; damage to a synced batch is never taken for a tail.

    The one exception is told apart by the checkpoint: damage to the last batch.
    """
    written: list[bytes] = []
    encoded = b""
    last_batch_at = 0
    for count in batches:
        start, last_batch_at = len(written), len(encoded)
        for number in range(count):
            written.append(b"entry %d" % (start + number))
            encoded += encode_frame(start + number, start, written[-1])
    at = data.draw(st.integers(0, len(encoded)))
    junk = data.draw(st.binary(max_size=40))
    changed = encoded[:at] + junk + encoded[at + len(junk) :]
    try:
        segment = scan_segment(changed, 0)
    except VerificationFailed:
        assert changed != encoded
        return
    assert segment.entries == written[: len(segment.entries)]
    assert changed == encoded or at + len(junk) > last_batch_at
