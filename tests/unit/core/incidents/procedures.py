# SPDX-License-Identifier: Apache-2.0
"""A log of an authority with incidents in it, made by hand, folded by the book and the register."""

from __future__ import annotations

from typing import Any, Literal

from sekisho.core.encoding import sha256_hex
from sekisho.core.events import (
    AlertSent,
    AuthorityEntry,
    BaselineLocked,
    GraceStarted,
    IncidentAcknowledged,
    IncidentClosed,
    IncidentRecorded,
    RearmAuthorised,
    StatusChanged,
)
from sekisho.core.identity.lawful import check_entry
from sekisho.core.identity.register import AuthorityState
from sekisho.core.incidents.book import IncidentBook
from sekisho.core.incidents.cases import OwedClose
from sekisho.core.incidents.table import Outcome, State
from sekisho.core.terms import NS
from tests.unit.core.identity.entries import APPROVED, at, changed, command, issued, log_key

FIRST, SECOND = "1" * 32, "2" * 32
GRACE_S, DEADLINE_S = 300, 3600
REVOKE_S = 2000
"""When a fault is to be revoked; seconds after the start, as all times here."""


def certificate(number: int = 1) -> str:
    """Digest of a certificate."""
    return sha256_hex(b"certificate %d" % number)


def recorded(incident: str = FIRST, kind: str = "hold", **other: Any) -> IncidentRecorded:
    """A report; ``other`` replaces fields."""
    fields: dict[str, Any] = {
        "at": at(10),
        "incident": incident,
        "agent": "bot",
        "certificate_sha256": certificate(),
        "origin": "gate",
        "index": 7,
        "incident_kind": kind,
        "score": "risk",
        "factor": "size",
        "observed": "0.870000",
        "threshold": "0.85",
    }
    return IncidentRecorded(**(fields | other))


def automatic(cause: str, epoch: int, incident: str = FIRST, **other: Any) -> StatusChanged:
    """A change of status that rests on an incident."""
    status = "hold" if cause == "automatic_hold" else "revoked"
    fields: dict[str, Any] = {"incident": incident, "seats": (), "commands": (), "at": at(10)}
    return changed(cause, status, epoch, **(fields | other))


def alerted(outcome: str = "delivered", about: str = "opened", **other: Any) -> AlertSent:
    """One attempt."""
    fields: dict[str, Any] = {
        "at": at(10),
        "incident": FIRST,
        "about": about,
        "channel": "file",
        "outcome": outcome,
        "detail": "",
    }
    return AlertSent(**(fields | other))


def grace(second: int = 10, **other: Any) -> GraceStarted:
    """The grace begins."""
    fields: dict[str, Any] = {
        "at": at(second),
        "incident": FIRST,
        "ends_at": at(second + GRACE_S),
        "monotonic": str(second * NS),
    }
    return GraceStarted(**(fields | other))


def acknowledged(
    second: int,
    disposition: str = "investigating",
    revoke_at: str = "",
    *,
    ends_at: str = "",
    **other: Any,
) -> IncidentAcknowledged:
    """An answer; the deadline is that of a first one unless it is named."""
    said: dict[str, Any] = {"incident": FIRST, "disposition": disposition}
    if revoke_at:
        said["revoke_at"] = revoke_at
    fields: dict[str, Any] = {
        "at": at(second),
        "incident": FIRST,
        "disposition": disposition,
        "revoke_at": revoke_at,
        "ends_at": ends_at or revoke_at or at(second + DEADLINE_S),
        "monotonic": str(second * NS),
        "seats": ("risk",),
        "commands": (command("acknowledge", "risk", 7000 + second, **said),),
    }
    return IncidentAcknowledged(**(fields | other))


def closed(outcome: Outcome, incident: str = FIRST, second: int = 10) -> IncidentClosed:
    """The end."""
    return IncidentClosed(at=at(second), incident=incident, outcome=outcome)


def rearmed(second: int = 20, latch: str = "circuit_breaker", **other: Any) -> RearmAuthorised:
    """Two people take a latch off; ``said`` adds words to their commands."""
    said = {"latch": latch, "epoch": 0} | other.pop("said", {})
    fields: dict[str, Any] = {
        "at": at(second),
        "agent": "bot",
        "latch": latch,
        "epoch": 0,
        "seats": ("comp", "risk"),
        "commands": tuple(
            command("rearm", seat, 8000 + place, **said)
            for place, seat in enumerate(("comp", "risk"))
        ),
    }
    return RearmAuthorised(**(fields | other))


def locked(second: int = 20, **other: Any) -> BaselineLocked:
    """A baseline is signed off."""
    fields: dict[str, Any] = {
        "at": at(second),
        "agent": "bot",
        "origin": "gate",
        "baseline_sha256": "b" * 64,
        "seats": ("comp",),
        "commands": (command("go_live", "comp", 9000, baseline_sha256="b" * 64, epoch=0),),
    }
    return BaselineLocked(**(fields | other))


CERTIFIED: list[AuthorityEntry] = [*APPROVED, log_key(), issued(not_after=at(100_000))]
HELD: list[AuthorityEntry] = [*CERTIFIED, recorded(), automatic("automatic_hold", 1)]
TOLD: list[AuthorityEntry] = [*HELD, alerted(), grace()]
ANSWERED: list[AuthorityEntry] = [*TOLD, acknowledged(100)]
STORIES: dict[State, list[AuthorityEntry]] = {
    "alerting": HELD,
    "grace": TOLD,
    "acknowledged": ANSWERED,
    "scheduled": [*TOLD, acknowledged(100, "fault", at(REVOKE_S))],
    "latched": [*CERTIFIED, recorded(kind="breaker")],
    "closed": [*HELD, changed("revoke", "revoked", 2, at=at(10), incident=FIRST)],
}
"""The shortest log after which an incident is in each state; ``closed`` still owes its entry."""


class BothFolds:
    """Register and book over one log, as the authority keeps them."""

    def __init__(self, entries: list[AuthorityEntry]) -> None:
        self.state, self.book = AuthorityState(), IncidentBook()
        for entry in entries:
            self.add(entry)

    def add(self, *entries: AuthorityEntry) -> None:
        """Fold entries in that both find lawful. Raises VerificationFailed."""
        for entry in entries:
            check_entry(self.state, self.state.size, entry)
            self.book.apply(self.state.size, entry)
            self.state.apply(self.state.size, entry)

    def pay(self) -> None:
        """Add what is owed."""
        while self.book.owed:
            owed = self.book.owed[0]
            if isinstance(owed, OwedClose):
                end = closed(owed.outcome, owed.incident)
                self.add(type(end)(at=self._now(), incident=owed.incident, outcome=owed.outcome))
            else:
                sha256 = self.book.by_id(owed.incident).certificate_sha256
                record = self.state.certificates[sha256]
                self.add(
                    automatic(
                        owed.cause,
                        self.state.epoch + 1,
                        owed.incident,
                        at=self._now(),
                        serial_number=record.serial_number,
                        certificate_sha256=sha256,
                    )
                )

    def state_of(self, incident: str = FIRST) -> Literal[""] | State:
        """The state of an incident."""
        return self.book.by_id(incident).state

    def _now(self) -> str:
        return at((self.state.at - 1_800_000_000 * NS) // NS)


def log_of(state: State) -> BothFolds:
    """A log whose incident is in this state, with nothing owed."""
    folds = BothFolds(STORIES[state])
    folds.pay()
    return folds
