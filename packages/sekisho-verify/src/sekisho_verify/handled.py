# SPDX-License-Identifier: Apache-2.0
"""What the authority's log says of one incident, one acknowledgement, one locked baseline.

Plain records; `procedure` judges the entries and changes them.
"""

from __future__ import annotations

import dataclasses

from sekisho_verify.entries import Entry
from sekisho_verify.findings import VerificationFailed
from sekisho_verify.issued import Issued
from sekisho_verify.policy import Policy


@dataclasses.dataclass(frozen=True)
class Acknowledged:
    """One acknowledgement; `revoke_at` None when none is stated; times in ns."""

    at: int
    disposition: str
    revoke_at: int | None
    seats: tuple[str, ...]


@dataclasses.dataclass
class Handled:
    """One incident as the authority handled it.

    Attributes:
        recorded: its `incident_recorded` entry, and `at` of that.
        held: the certificate is not good since the incident, or was not already.
        grace: its end.
        ends_at: of the present deadline.
        deadline: of the first acknowledgement.
        spans: boot-time clock at the start and length of each span that runs, both in ns.
        condemned: acknowledged as a fault, to be revoked at once.
        ended_by: cause, and seats that gave it, when it has ended.
    """

    recorded: Entry
    at: int
    issued: Issued | None
    state: str
    held: bool
    held_at: int | None = None
    alerts: list[tuple[int, bool]] = dataclasses.field(default_factory=list)
    grace: int | None = None
    acknowledged: list[Acknowledged] = dataclasses.field(default_factory=list)
    ends_at: int | None = None
    deadline: int | None = None
    spans: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    condemned: bool = False
    outcome: str = ""
    closed_at: int | None = None
    ended_by: tuple[str, tuple[str, ...]] = ("", ())

    @property
    def name(self) -> str:
        """Its id."""
        return str(self.recorded["incident"])

    @property
    def hold(self) -> bool:
        """Of kind `hold`, not `breaker`."""
        return self.recorded["incident_kind"] == "hold"

    @property
    def broken(self) -> bool:
        """Of kind `break`: it is of a venue, not of an agent."""
        return self.recorded["incident_kind"] == "break"

    @property
    def policy(self) -> Policy:
        """Of its certificate. Raises VerificationFailed: a break may have none."""
        if self.issued is None:
            raise VerificationFailed("is of no certificate", concern="incidents")
        return self.issued.policy

    def passed(self, monotonic: int) -> bool:
        """Whether the boot-time clock shows that a span has passed, whatever the log's time.

        Below its start the machine was started again: then it is a lower bound by itself.
        """
        return any(
            (monotonic - start if monotonic >= start else monotonic) >= length
            for start, length in self.spans
        )

    def overdue(self, now: int) -> bool:
        """Whether a deadline is over without its effect."""
        return self.outcome == "" and self.ends_at is not None and now >= self.ends_at


@dataclasses.dataclass(frozen=True)
class Locked:
    """A baseline that people locked; `index` of its entry, `at` in ns."""

    index: int
    at: int
    agent: str
    origin: str
    baseline_sha256: str
    seats: tuple[str, ...]
