# SPDX-License-Identifier: Apache-2.0
"""What the walks over the two logs keep: certificates with their status, and used commands."""

from __future__ import annotations

import dataclasses

from sekisho_verify.certificates import Certificate
from sekisho_verify.findings import require
from sekisho_verify.people import Command
from sekisho_verify.policy import Policy
from sekisho_verify.status import Status


@dataclasses.dataclass
class Issued:
    """One certificate of an agent, as issued, and its status so far."""

    index: int
    agent: str
    certificate: Certificate
    policy: Policy
    approvers: tuple[str, ...]  # seats of the resolution that it rests on
    status: Status = dataclasses.field(default_factory=lambda: Status("good"))
    history: list[tuple[int, str]] = dataclasses.field(default_factory=list)  # (epoch, status)
    epoch: int = 0  # of the authority's log when it was issued

    def status_at(self, epoch: int) -> str:
        """The status after so many status changes."""
        found = "good"
        for changed, status in self.history:
            if changed <= epoch:
                found = status
        return found


class Replays:
    """Signed commands of one log: a nonce of a seat stands once.

    One act may change several certificates: their entries follow one another and carry the same
    commands.
    """

    def __init__(self) -> None:
        self._uses: dict[tuple[str, str], tuple[str, int, set[str]]] = {}

    def use_once(self, seat: str, nonce: str) -> None:
        """One use of a nonce by what is no command: a withdrawal."""
        require((seat, nonce) not in self._uses, f"repeats a nonce of seat {seat}")
        self._uses[seat, nonce] = "", -1, set()

    def use(self, command: Command, subject: str, place: int) -> None:
        """One use of a command, for one subject.

        Args:
            command: that an entry rests on.
            subject: what it is used for: a certificate, an agent, an incident.
            place: of the entry; entries of one act follow one another.
        """
        key = command.seat.name, command.nonce
        if key in self._uses:
            text, last, subjects = self._uses[key]
            same_act = text == command.text and last == place - 1 and subject not in subjects
            require(same_act, f"repeats a nonce of seat {command.seat.name}")
            self._uses[key] = text, place, subjects | {subject}
        else:
            self._uses[key] = command.text, place, {subject}
