# SPDX-License-Identifier: Apache-2.0
"""Notes of one operator: what they say is kept beside the log and committed in it
(docs/spec/control-plane.md section 5).

A note is kept before its entry is written: a crash in between leaves a text that no log speaks of,
and that nobody is shown. Erased, its entry stays and can be verified; what it said is gone.
"""

from __future__ import annotations

import msgspec

from sekisho.core.encoding import b64
from sekisho.core.errors import MalformedInput, NotAuthorised
from sekisho.core.events import NoteRecorded
from sekisho.core.identity.notes import NOTE_BYTES_MAX, SALT_BYTES, SUBJECT, note_commitment
from sekisho.core.identity.records import RegisteredNote
from sekisho.core.terms import AGENT_NAME, format_instant
from sekisho.ports import Entropy
from sekisho.services.pages import Cursor, GrowingRows, Page
from sekisho.services.registerlog import RegisterLog
from sekisho.storeports import ControlTables, KeptNote


class NoteWanted(msgspec.Struct, frozen=True, kw_only=True):
    """A note: ``agent`` is empty where it is about none, ``subject`` a code, ``text`` free."""

    agent: str
    subject: str
    text: str


class NoteRow(msgspec.Struct, frozen=True, kw_only=True):
    """A note. ``salt`` (base64) and ``text`` are ``""`` once it is erased, at ``erased_at``."""

    index: int
    at: str
    by: str
    agent: str
    subject: str
    commitment: str
    salt: str
    text: str
    erased_at: str


class NoteDesk:
    """One operator's."""

    def __init__(
        self, log: RegisterLog, tables: ControlTables, entropy: Entropy, operator: str
    ) -> None:
        self._log = log
        self._tables = tables
        self._entropy = entropy
        self._operator = operator
        self._rows: GrowingRows[RegisteredNote] = GrowingRows(lambda one: one.index)

    async def append(self, by: str, wanted: NoteWanted) -> NoteRow:
        """Keep a note and record it; returns when both are durable.

        Args:
            by: a seat of the roster, or ``key:ID`` of a program.
            wanted: what it says.

        Raises:
            MalformedInput: no agent's name, no code, or an empty or too long text.
            VerificationFailed: the seat may bring none.
            Unavailable, StorageFailed: nothing is recorded.
            OutcomeUnknown: perhaps it is.
        """
        text = wanted.text.encode()
        if wanted.agent and AGENT_NAME.fullmatch(wanted.agent) is None:
            raise MalformedInput("agent: not a name like algo_trader_v2", "agent")
        if SUBJECT.fullmatch(wanted.subject) is None:
            raise MalformedInput("subject: a code of small letters, digits and _", "subject")
        if not 1 <= len(text) <= NOTE_BYTES_MAX:
            raise MalformedInput(f"text: 1 to {NOTE_BYTES_MAX} bytes of UTF-8", "text")
        salt = self._entropy.bytes(SALT_BYTES)
        kept = KeptNote(
            operator=self._operator,
            commitment=note_commitment(salt, text),
            salt=salt,
            text=wanted.text,
        )
        self._log.require_sound()
        await self._tables.add_note(kept)
        index = self._log.record(
            NoteRecorded(
                at=self._log.at(),
                by=by,
                agent=wanted.agent,
                subject=wanted.subject,
                commitment=kept.commitment,
            )
        )
        await self._log.durable(index)
        return _row(self._log.state.notes[kept.commitment], kept)

    @property
    def size(self) -> int:
        """Entries of the log that are durable: of no other a note is shown."""
        return self._log.journal.durable_size

    async def page(self, cursor: Cursor, limit: int, agent: str) -> Page[NoteRow]:
        """Notes in the order of their entries (about one agent). Raises Unavailable."""
        page = self._rows.page(
            self._log.state.notes, cursor, limit, lambda one: agent in ("", one.agent)
        )
        kept = await self._tables.notes(self._operator, [one.commitment for one in page.rows])
        said = {one.commitment: one for one in kept}
        return Page([_row(one, said.get(one.commitment)) for one in page.rows], page.next)

    async def erase(self, index: int) -> NoteRow:
        """Forget what a note says, for good. Raises NotAuthorised: no such note; Unavailable."""
        known = next((one for one in self._log.state.notes.values() if one.index == index), None)
        if known is None:
            raise NotAuthorised(f"entry {index} is no note of this log")
        at = format_instant(self._log.clock.now_ns())
        if not await self._tables.erase_note(self._operator, known.commitment, at):
            raise NotAuthorised(f"what the note of entry {index} says is not kept here")
        kept = await self._tables.notes(self._operator, [known.commitment])
        return _row(known, kept[0] if kept else None)


def _row(known: RegisteredNote, kept: KeptNote | None) -> NoteRow:
    return NoteRow(
        index=known.index,
        at=known.at,
        by=known.by,
        agent=known.agent,
        subject=known.subject,
        commitment=known.commitment,
        salt="" if kept is None else b64(kept.salt),
        text="" if kept is None else kept.text,
        erased_at="" if kept is None else kept.erased_at,
    )
