# SPDX-License-Identifier: Apache-2.0
"""One roster after another: by approvers of the one before (docs/spec/policy.md, 5).

The new roster is approved like a policy, by its digest, under the roster that it replaces. Whoever
knows one roster can so follow a chain of them without believing whoever brings it.
"""

from __future__ import annotations

from collections.abc import Sequence

from sekisho.core.errors import NotAuthorised
from sekisho.core.governance.resolution import Approval, Subject, lacking
from sekisho.core.governance.roster import Roster, check_roster, roster_sha256

APPROVERS_MIN = 2


def approvals_needed(roster: Roster) -> int:
    """How many approvers of this roster replace it: more than half of them, and at least two."""
    return max(APPROVERS_MIN, len(_approvers(roster)) // 2 + 1)


def check_succession(
    previous: Roster, roster: Roster, approvals: Sequence[Approval], now_ns: int
) -> None:
    """Whether a roster follows another.

    Args:
        previous: the roster in force until now.
        roster: the new one.
        approvals: over the digest of the new one, under the previous one; each must count.
        now_ns: ns UTC, by which the approvals are judged.

    Raises:
        MalformedInput: the new roster is not well made.
        NotAuthorised: it does not follow; all causes.
    """
    check_roster(roster)
    causes = []
    if roster.version != previous.version + 1:
        causes.append(f"its version is {roster.version}, not {previous.version + 1}")
    if len(_approvers(roster)) < APPROVERS_MIN:
        causes.append("it has fewer than two approvers: nobody could replace it")
    subject = Subject(roster_sha256(roster), "", approvals_needed(previous))
    causes += lacking(subject, previous, approvals, now_ns)
    if causes:
        raise NotAuthorised("\n".join(["the roster is not replaced:", *causes]))


def _approvers(roster: Roster) -> list[str]:
    return [row.seat for row in roster.seats if row.role == "approver"]
