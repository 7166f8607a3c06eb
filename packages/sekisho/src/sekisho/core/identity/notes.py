# SPDX-License-Identifier: Apache-2.0
"""Notes in an authority's log: who brought one, about whom, and a commitment to what it says
(docs/spec/control-plane.md section 5).

What a note says is not in the log, so that it can be erased; the log holds and stays verifiable
without it.
"""

from __future__ import annotations

import re
from typing import Final

from sekisho.core.encoding import sha256_hex
from sekisho.core.errors import VerificationFailed
from sekisho.core.events import NoteRecorded
from sekisho.core.identity.records import Records, RegisteredNote
from sekisho.core.terms import AGENT_NAME

CONTEXT: Final = b"sekisho/note/v1\n"
SALT_BYTES: Final = 32
NOTE_BYTES_MAX: Final = 16_384
NOTING: Final = frozenset({"compliance", "risk", "operator"})
"""Roles of seats that may bring one."""
SUBJECT: Final = re.compile(r"[a-z][a-z0-9_]{0,47}")
_KEY: Final = re.compile(r"key:[0-9a-f]{16}")
_COMMITMENT: Final = re.compile(r"[0-9a-f]{64}")


def note_commitment(salt: bytes, text: bytes) -> str:
    """What the log holds of a note: its text is UTF-8, its salt 32 random bytes."""
    return sha256_hex(CONTEXT + salt + text)


def check_noted(records: Records, entry: NoteRecorded) -> None:
    """Whether the entry may come here. Raises VerificationFailed."""
    seats = [
        row for row in records.roster["seats"] if row["seat"] == entry.by and row["role"] in NOTING
    ]
    if not seats and _KEY.fullmatch(entry.by) is None:
        raise VerificationFailed("a note is brought by compliance, risk, operator or a key")
    if entry.agent and AGENT_NAME.fullmatch(entry.agent) is None:
        raise VerificationFailed("what the note is about is no agent's name")
    if SUBJECT.fullmatch(entry.subject) is None:
        raise VerificationFailed("the subject is no code")
    if _COMMITMENT.fullmatch(entry.commitment) is None:
        raise VerificationFailed("the commitment is no digest")
    if entry.commitment in records.notes:
        raise VerificationFailed("this note was recorded before")


def noted(records: Records, index: int, entry: NoteRecorded) -> None:
    """Keep it."""
    records.notes[entry.commitment] = RegisteredNote(
        index, entry.at, entry.by, entry.agent, entry.subject, entry.commitment
    )
