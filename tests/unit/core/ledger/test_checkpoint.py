# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: text, and who may sign them."""

from __future__ import annotations

import pytest

from sekisho.core.encoding import b64
from sekisho.core.errors import MalformedInput, VerificationFailed
from sekisho.core.ledger.checkpoint import Checkpoint, parse_checkpoint, verify_checkpoint
from sekisho.core.ledger.note import (
    COSIGNATURE,
    Note,
    VerifierKey,
    cosignature_message,
    sign_line,
)
from tests.ledger_doubles import ORIGIN, SoftwareSigner

ROOT = bytes(range(32))
LOG = VerifierKey.from_spki(ORIGIN, SoftwareSigner().public_key)
WITNESS = VerifierKey.from_spki("witness.example", SoftwareSigner(2).public_key, COSIGNATURE)


def note_of(text: str, *, log: bool = True, witness: bool = False) -> bytes:
    lines = []
    if log:
        lines.append(sign_line(LOG, SoftwareSigner().sign_blocking(text.encode())))
    if witness:
        signature = SoftwareSigner(2).sign_blocking(cosignature_message(7, text))
        lines.append(sign_line(WITNESS, (7).to_bytes(8, "big") + signature))
    return Note(text, tuple(lines)).encode()


def test_checkpoint_text_has_three_lines_and_round_trips() -> None:
    """Origin, size, root; extensions are kept."""
    checkpoint = Checkpoint(ORIGIN, 5, ROOT)
    assert checkpoint.text == f"{ORIGIN}\n5\n{b64(ROOT)}\n"
    assert parse_checkpoint(checkpoint.text) == checkpoint
    extended = Checkpoint(ORIGIN, 0, ROOT, ("more", "and more"))
    assert parse_checkpoint(extended.text) == extended


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{ORIGIN}\n5\n{b64(ROOT)}",
        f"{ORIGIN}\n5\n",
        f"{ORIGIN}\n05\n{b64(ROOT)}\n",
        f"{ORIGIN}\n+5\n{b64(ROOT)}\n",
        f"{ORIGIN}\n-1\n{b64(ROOT)}\n",
        f"{ORIGIN}\n5 \n{b64(ROOT)}\n",
        f"{ORIGIN}\n\u0665\n{b64(ROOT)}\n",
        f"{ORIGIN}\n{2**63}\n{b64(ROOT)}\n",
        f"{ORIGIN}\n{10**30}\n{b64(ROOT)}\n",
        f"{ORIGIN}\n5\n{b64(ROOT[:31])}\n",
        f"{ORIGIN}\n5\n{b64(ROOT)[:-1]}\n",
        f"{ORIGIN}\n5\n{b64(ROOT)}\n\nx\n",
        f"\n5\n{b64(ROOT)}\n",
        f"a\tb\n5\n{b64(ROOT)}\n",
    ],
)
def test_checkpoint_text_outside_the_format_is_refused(text: str) -> None:
    """One text for each checkpoint."""
    with pytest.raises(MalformedInput):
        parse_checkpoint(text)


def test_checkpoint_signed_by_log_and_witness_names_both() -> None:
    """The caller sees who vouched for it."""
    text = Checkpoint(ORIGIN, 5, ROOT).text
    checkpoint, signed = verify_checkpoint(note_of(text, witness=True), LOG, [WITNESS])
    assert checkpoint == Checkpoint(ORIGIN, 5, ROOT)
    assert signed == (LOG, WITNESS)


def test_checkpoint_without_the_log_signature_is_refused() -> None:
    """A witness alone does not speak for a log."""
    text = Checkpoint(ORIGIN, 5, ROOT).text
    with pytest.raises(VerificationFailed, match="not signed by the log"):
        verify_checkpoint(note_of(text, log=False, witness=True), LOG, [WITNESS])


def test_checkpoint_of_another_origin_is_refused() -> None:
    """The log's key under another name is another log."""
    text = Checkpoint("other.example", 5, ROOT).text
    with pytest.raises(VerificationFailed, match="not of"):
        verify_checkpoint(note_of(text), LOG)
