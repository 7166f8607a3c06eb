# SPDX-License-Identifier: Apache-2.0
"""The rosters that a gate believes: the one whose digest it was enrolled with, and those that took
its place one after another by their own people (docs/spec/policy.md, 5).

Who may stop, re-arm or let go live is judged by the keys of the roster, so a roster that somebody
else brings would widen what is possible. The gate takes a roster from anybody, the authority, a
file of its own, an admission, and believes it by its digest, or as the successor of one that it
believes: by the signatures of more than half of that one's approvers. What is neither (forged,
another authority's) is refused, recorded, and the one known is kept.

A crash loses the count of at most the last minute.
"""

from __future__ import annotations

import msgspec

from sekisho.core.errors import NotAuthorised, StorageFailed, Unavailable, VerificationFailed
from sekisho.core.events import RosterRefused
from sekisho.core.governance.roster import Roster, roster_sha256
from sekisho.core.governance.succession import check_succession
from sekisho.core.terms import NS, format_instant, parse_instant
from sekisho.ports import Clock
from sekisho.services.gatelog import GateLog
from sekisho.services.rosterdesk import RosterLink

RECORD_EVERY_NS = 60 * NS
"""A gate asks each second; the log says each minute that the answer goes on being another."""
AHEAD_MAX_NS = 5 * NS


class RosterBook(msgspec.Struct, frozen=True, kw_only=True):
    """What a gate keeps for its next start: a roster, and what took its place, in order."""

    first: Roster
    links: tuple[RosterLink, ...]


class KnownRoster:
    """The rosters of one gate."""

    def __init__(self, sha256: str, log: GateLog, clock: Clock) -> None:
        self._sha256 = sha256
        self._log = log
        self._clock = clock
        self._rosters: dict[str, Roster] = {}
        self._links: list[RosterLink] = []
        self._written: int | None = None
        self._unrecorded = 0

    @property
    def sha256(self) -> str:
        """The digest of the roster believed, whether or not it is known yet."""
        return self._sha256

    @property
    def roster(self) -> Roster:
        """The roster believed. Raises Unavailable before one came."""
        found = self._rosters.get(self._sha256)
        if found is None:
            raise Unavailable("the roster that this gate was enrolled with is not known yet")
        return found

    @property
    def book(self) -> RosterBook:
        """What is kept for the next start. Raises Unavailable before a roster came."""
        links = tuple(self._links)
        return RosterBook(first=links[0].previous if links else self.roster, links=links)

    def knows(self, roster: Roster) -> bool:
        """Whether this is the roster believed, or one before it."""
        digest = roster_sha256(roster)
        return digest == self._sha256 or digest in self._rosters

    def take(self, roster: Roster) -> bool:
        """Believe a roster from now on; whether it is new here.

        One that was believed before another took its place changes nothing.

        Raises:
            VerificationFailed: it is not the one of the enrolment, nor one that took its place;
                recorded, the known one is kept.
        """
        digest = roster_sha256(roster)
        if digest in self._rosters:
            return False
        if digest != self._sha256:
            self._turn_away(digest)
        self._rosters[digest] = roster
        return True

    def follow(self, link: RosterLink) -> None:
        """Believe what took the place of the roster believed until now.

        Raises:
            VerificationFailed: it follows another one, or not by its people; recorded.
        """
        digest = roster_sha256(link.roster)
        try:
            at = parse_instant(link.at, "at")
            if roster_sha256(link.previous) != self._sha256:
                raise NotAuthorised("it follows another roster than the one believed")
            if at > self._log.clocks().now + AHEAD_MAX_NS:
                raise NotAuthorised(f"it is from the future, {link.at}")
            check_succession(link.previous, link.roster, link.approvals, at)
        except NotAuthorised as error:
            self._turn_away(digest, f": {error}")
        self._rosters |= {self._sha256: link.previous, digest: link.roster}
        self._links.append(link)
        self._sha256 = digest

    def read(self, book: RosterBook) -> None:
        """Take what an earlier process kept, as if it came from anybody.

        Raises:
            VerificationFailed: it does not begin with the enrolment, or a link does not hold.
        """
        self.take(book.first)
        for link in book.links:
            self.follow(link)

    def check(self, roster: Roster) -> None:
        """Whether this is the roster of the enrolment, or one that took its place.

        Raises:
            VerificationFailed: it is not; recorded at most once a minute.
        """
        if not self.knows(roster):
            self._turn_away(roster_sha256(roster))

    def _turn_away(self, digest: str, why: str = "") -> None:
        """Raises VerificationFailed."""
        self._refuse(digest)
        kept = "the one known is kept" if self._rosters else "none is known yet"
        raise VerificationFailed(
            f"roster {digest} is not {self._sha256}, the one that this gate was enrolled with or"
            f" that took its place; {kept}{why}",
            "roster_sha256",
            "if people changed the roster by their rules, the gate follows as soon as its authority"
            " shows it; else find out who answers in the authority's place",
        )

    def _refuse(self, digest: str) -> None:
        now = self._clock.monotonic_ns()
        if self._written is not None and now - self._written < RECORD_EVERY_NS:
            self._unrecorded += 1
            return
        entry = RosterRefused(
            at=format_instant(self._log.clocks().now),
            roster_sha256=digest,
            unrecorded=self._unrecorded,
        )
        try:
            self._log.record(entry)  # with the next flush: nothing waits for it
        except StorageFailed:
            self._unrecorded += 1  # the log takes nothing until the gate is opened anew
            return
        self._written, self._unrecorded = now, 0
