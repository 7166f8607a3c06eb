# SPDX-License-Identifier: Apache-2.0
"""The roster in force, and how another takes its place (docs/spec/policy.md, 5).

Follows the fold: on a replica that only reads the log too. Who may replace a roster is decided in
``core.governance.succession``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from sekisho.core.errors import NotAuthorised, Unavailable
from sekisho.core.events import RosterChanged
from sekisho.core.governance.resolution import Approval
from sekisho.core.governance.roster import Roster, roster_sha256
from sekisho.core.governance.succession import check_succession
from sekisho.core.terms import format_instant
from sekisho.services.registerlog import RegisterLog


class RosterWanted(msgspec.Struct, frozen=True, kw_only=True):
    """A new roster, with the approvals of it by approvers of the one in force."""

    roster: Roster
    approvals: tuple[Approval, ...]


class RosterTaken(msgspec.Struct, frozen=True, kw_only=True):
    """The roster in force from now on. ``approvers``: who replaced the one before."""

    roster_sha256: str
    version: int
    approvers: tuple[str, ...]


class RosterLink(msgspec.Struct, frozen=True, kw_only=True):
    """One roster after another, with what proves it; ``at`` is the time of its entry."""

    previous: Roster
    roster: Roster
    at: str
    approvals: tuple[Approval, ...]


class RosterDesk:
    """The rosters of one authority."""

    def __init__(self, log: RegisterLog) -> None:
        self._log = log
        self._read: dict[str, Roster] = {}

    @property
    def roster(self) -> Roster:
        """The roster in force."""
        return self.of(self._log.state.roster_sha256)

    def of(self, sha256: str) -> Roster:
        """A roster that is, or was, in force. Raises KeyError: none was."""
        found = self._read.get(sha256)
        if found is None:
            found = self._read[sha256] = msgspec.convert(self._log.state.rosters[sha256], Roster)
        return found

    async def change(self, wanted: RosterWanted) -> RosterTaken:
        """Put a roster in the place of the one in force.

        The one in force again changes nothing.

        Raises:
            MalformedInput: it is not well made.
            NotAuthorised: too few approvals count, or it is not the next version; all causes.
            StorageFailed, OutcomeUnknown: the log.
        """
        self._log.require_sound()
        digest, state = roster_sha256(wanted.roster), self._log.state
        if digest != state.roster_sha256:
            # The entry carries the very instant by which the approvals were judged.
            now = self._log.now()
            check_succession(self.roster, wanted.roster, wanted.approvals, now)
            if digest in state.rosters:
                raise NotAuthorised("this roster was in force before; make a new one")
            self._log.record(
                RosterChanged(
                    at=format_instant(now),
                    roster=msgspec.to_builtins(wanted.roster),
                    roster_sha256=digest,
                    approvals=_plain(wanted.approvals),
                )
            )
        # A crash before this leaves the roster before in force; nobody was told otherwise.
        await self._log.all_durable()
        return RosterTaken(
            roster_sha256=digest,
            version=wanted.roster.version,
            approvers=tuple(one.seat for one in wanted.approvals),
        )

    def after(self, sha256: str) -> RosterLink | None:
        """What took the place of a roster; None where nothing did, or it was never in force.

        Raises:
            Unavailable: its entry is not durable yet.
        """
        found = self._log.state.successions.get(sha256)
        if found is None:
            return None
        if found.index >= self._log.journal.durable_size:
            raise Unavailable("another roster is being recorded; ask again")
        return RosterLink(
            previous=msgspec.convert(found.previous, Roster),
            roster=msgspec.convert(found.roster, Roster),
            at=format_instant(found.at),
            approvals=msgspec.convert(found.approvals, tuple[Approval, ...]),
        )


def _plain(approvals: tuple[Approval, ...]) -> tuple[dict[str, Any], ...]:
    return tuple(msgspec.to_builtins(one) for one in approvals)
