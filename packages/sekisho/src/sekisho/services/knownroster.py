# SPDX-License-Identifier: Apache-2.0
"""The roster that a gate believes: the one whose digest it was enrolled with (policy.md 5).

Who may stop, re-arm or let go live is judged by the keys of the roster, so a roster that somebody
else brings would widen what is possible. The gate takes it from anybody, the authority, a file of
its own, an admission, and believes it by its digest alone; what has another digest (forged, an
older one, another authority's) is refused, recorded, and the one known is kept. A roster with
another digest comes into force when the gate's operator writes that digest into the configuration.

A crash loses the count of at most the last minute.
"""

from __future__ import annotations

from sekisho.core.errors import StorageFailed, Unavailable, VerificationFailed
from sekisho.core.events import RosterRefused
from sekisho.core.governance.roster import Roster, roster_sha256
from sekisho.core.terms import NS, format_instant
from sekisho.ports import Clock
from sekisho.services.gatelog import GateLog

RECORD_EVERY_NS = 60 * NS
"""A gate asks each second; the log says each minute that the answer goes on being another."""


class KnownRoster:
    """The roster of one gate."""

    def __init__(self, sha256: str, log: GateLog, clock: Clock) -> None:
        self._sha256 = sha256
        self._log = log
        self._clock = clock
        self._roster: Roster | None = None
        self._written: int | None = None
        self._unrecorded = 0

    @property
    def roster(self) -> Roster:
        """The roster believed. Raises Unavailable before one came."""
        if self._roster is None:
            raise Unavailable("the roster that this gate was enrolled with is not known yet")
        return self._roster

    def take(self, roster: Roster) -> bool:
        """Believe a roster from now on; whether there was none before.

        Raises:
            VerificationFailed: it is not the one of the enrolment; recorded, the known one is kept.
        """
        self.check(roster)
        new = self._roster is None
        self._roster = roster
        return new

    def check(self, roster: Roster) -> None:
        """Whether this is the roster of the enrolment.

        Raises:
            VerificationFailed: it is not; recorded at most once a minute.
        """
        digest = roster_sha256(roster)
        if digest == self._sha256:
            return
        self._refuse(digest)
        kept = "the one known is kept" if self._roster is not None else "none is known yet"
        raise VerificationFailed(
            f"roster {digest} is not {self._sha256}, the one that this gate was enrolled with;"
            f" {kept}",
            "roster_sha256",
            "if people changed the roster by their rules, enter its digest in gate.toml and start"
            " the gate anew; else find out who answers in the authority's place",
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
