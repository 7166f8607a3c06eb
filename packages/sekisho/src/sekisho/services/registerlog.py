# SPDX-License-Identifier: Apache-2.0
"""The authority's log and its two folds, kept in step: the only writer of the register.

The register knows policies, certificates and people, the book of incidents in which state each
incident is. They do not know each other; an entry is taken only if both find it lawful, when it is
written and when it is read again.

An entry is judged, sequenced and folded in with no await in between, so that a decision made from
the register cannot be overtaken. It may be *told* to anybody only after :meth:`durable` returned: a
crash before that loses the entry, and nothing has followed from it yet.
"""

from __future__ import annotations

from collections.abc import Iterator

from sekisho.core.encoding import sha256, unb64
from sekisho.core.errors import StorageFailed
from sekisho.core.events import (
    AuthorityEntry,
    CertificateIssued,
    decode_authority_entry,
    encode_entry,
)
from sekisho.core.identity.claims import claims_of
from sekisho.core.identity.lawful import check_entry
from sekisho.core.identity.reading import key_in
from sekisho.core.identity.register import AuthorityState
from sekisho.core.incidents.book import IncidentBook
from sekisho.core.terms import format_instant
from sekisho.ports import Clock
from sekisho.services.journal import Journal


class RegisterLog:
    """Journal, folds and log time of one authority."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        """Fold what the journal holds. Raises VerificationFailed, MalformedInput for a bad log."""
        self.journal = journal
        self.state = AuthorityState()
        self.book = IncidentBook()
        self.clock = clock
        self.used_keys: set[bytes] = set()
        """Digest of each key that had a certificate here; kept with the fold, since reading all
        certificates again would hold up whoever asks."""
        for _ in self._fold():
            pass

    def follow(self) -> list[AuthorityEntry]:
        """Fold in what the journal holds beyond the fold; returns these entries.

        Raises:
            VerificationFailed, MalformedInput: no lawful authority writes this; names the index.
        """
        return list(self._fold())

    def _fold(self) -> Iterator[AuthorityEntry]:
        """The same, one by one: a whole log does not fit into memory twice."""
        for index, data in self.journal.entries(self.state.size):
            entry = decode_authority_entry(data)
            self._judge(index, entry)
            self._take(index, entry)
            yield entry

    def now(self) -> int:
        """Log time: the clock, but never below the last entry. Nanoseconds UTC."""
        return max(self.state.at, self.clock.now_ns())

    def at(self) -> str:
        """Log time as entries carry it."""
        return format_instant(self.now())

    def record(self, entry: AuthorityEntry) -> int:
        """Judge, sequence and fold in an entry; returns its index. Not durable yet.

        Raises:
            VerificationFailed, MalformedInput: not lawful here, or too long; nothing was recorded.
            StorageFailed: the log failed earlier; nothing was recorded.
        """
        data = encode_entry(entry)
        # Folded from its bytes, as recovery will: memory never knows more than the log says.
        entry = decode_authority_entry(data)
        self._judge(self.journal.size, entry)
        claims = claims_of(self.state, entry) if self.journal.keeps_claims else ()
        index = self.journal.append(data)
        self.journal.claim(index, claims)
        self._take(index, entry)
        return index

    def _judge(self, index: int, entry: AuthorityEntry) -> None:
        check_entry(self.state, index, entry)
        self.book.check(index, entry)

    def _take(self, index: int, entry: AuthorityEntry) -> None:
        """Fold in what was judged: once, because a stop of all agents waits for each of them."""
        self.state.take(index, entry)
        self.book.take(index, entry)
        if isinstance(entry, CertificateIssued):
            self.used_keys.add(sha256(key_in(unb64(entry.certificate))))

    async def durable(self, index: int) -> None:
        """Return when the entry is on stable storage.

        Raises:
            OutcomeUnknown: the write failed; whether the entry is on disk is not known.
            StorageFailed: it certainly is not.
        """
        await self.journal.flushed(index)

    async def all_durable(self) -> None:
        """Return when all that the register knows is on stable storage, also what came meanwhile.

        Raises as durable.
        """
        self.require_sound()
        while self.journal.durable_size < self.journal.size:
            await self.durable(self.journal.size - 1)

    def require_sound(self) -> None:
        """Raise unless the log can be written to.

        Raises:
            StorageFailed: a write failed earlier in this process.
        """
        if self.journal.failed is not None:
            raise StorageFailed(
                "the authority's log failed and takes nothing more; open the authority again so "
                f"that it reads what is on disk ({self.journal.failed})"
            )
