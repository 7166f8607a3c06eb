# SPDX-License-Identifier: Apache-2.0
"""What people ask of the governance of one authority beside approving: what changes between two
policies, taking approvals back, limits above agents, another roster, what is due
(docs/spec/policy.md, docs/spec/control-plane.md section 5).

Made from the fold. Who may do what is decided in the core, by signatures.
"""

from __future__ import annotations

from typing import Any

import msgspec

from sekisho.core.amounts import format_amount
from sekisho.core.governance.difference import Change, difference
from sekisho.core.governance.operator_limits import RegisteredAs, limits_notes
from sekisho.core.governance.withdrawal import Withdrawal
from sekisho.core.identity.above import deadlines, usage
from sekisho.core.identity.records import RegisteredPolicy
from sekisho.services.authority import Authority
from sekisho.services.authoritywire import read
from sekisho.services.pages import Cursor, GrowingRows, Page
from sekisho.services.policydesk import WithdrawalTaken
from sekisho.services.rosterdesk import RosterLink, RosterTaken, RosterWanted


class DeadlineRow(msgspec.Struct, frozen=True, kw_only=True):
    """Something of a policy that is ``due`` within 30 days, or ``overdue``, and what follows."""

    what: str
    due: str
    state: str
    follows: str


class DifferenceSheet(msgspec.Struct, frozen=True, kw_only=True):
    """What changes from one policy to another; ``widens``: whether any of it widens."""

    before: str
    after: str
    widens: bool
    changes: tuple[Change, ...]


class LimitsRow(msgspec.Struct, frozen=True, kw_only=True):
    """Registered limits above agents. ``missing``: why they have no resolution, ``""`` where they
    have.
    """

    limits_sha256: str
    version: int
    in_force: bool
    approvers: tuple[str, ...]
    missing: str
    index: int


class LimitUse(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a limit the active certificates take up. ``unlimited`` and ``other`` are agents
    that cannot be added: without this limit, or in another currency.
    """

    who: str
    name: str
    limit: str
    used: str
    exceeded: bool
    unlimited: tuple[str, ...]
    other: tuple[str, ...]


class LimitsShown(msgspec.Struct, frozen=True, kw_only=True):
    """Limits as approvers are shown them; ``uses`` where they are in force."""

    row: LimitsRow
    limits: dict[str, Any]
    notes: tuple[str, ...]
    uses: tuple[LimitUse, ...]


class LimitsTaken(msgspec.Struct, frozen=True, kw_only=True):
    """Limits were registered."""

    limits_sha256: str


def deadline_rows(policy: dict[str, Any], now_ns: int) -> tuple[DeadlineRow, ...]:
    """What of a policy is due or overdue at ``now_ns`` (ns UTC)."""
    return tuple(
        DeadlineRow(what=one.what, due=one.due, state=one.state, follows=one.follows)
        for one in deadlines(policy, now_ns)
        if one.state
    )


class GovernanceDesk:
    """One authority's."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._limits: GrowingRows[RegisteredPolicy] = GrowingRows(lambda one: one.index)

    def difference(self, before: str, after: str) -> DifferenceSheet | None:
        """What changes between two registered policies; None: one is not registered here."""
        state, approved = self._authority.state, self._authority.policies.approved
        known = [state.policies.get(digest) for digest in (before, after)]
        if known[0] is None or known[1] is None:
            return None
        changes = difference(approved.policy(known[0]), approved.policy(known[1]))
        return DifferenceSheet(
            before=before,
            after=after,
            widens=any(one.effect == "widens" for one in changes),
            changes=changes,
        )

    async def withdraw(self, body: bytes) -> WithdrawalTaken:
        """Take an approval back. Raises as ``PolicyDesk.withdraw``."""
        return await self._authority.policies.withdraw(read(body, Withdrawal))

    # -- limits --------------------------------------------------------------------------------

    async def register_limits(self, registration: RegisteredAs) -> LimitsTaken:
        """Record limits. Raises as ``PolicyDesk.register_limits``."""
        digest = await self._authority.policies.register_limits(registration)
        return LimitsTaken(limits_sha256=digest)

    def limits(self, cursor: Cursor, limit: int) -> Page[LimitsRow]:
        """Registered limits, in their order."""
        page = self._limits.page(self._authority.state.limits, cursor, limit)
        return Page([self._limits_row(one) for one in page.rows], page.next)

    def limits_of(self, digest: str) -> LimitsShown | None:
        """Some of them; None: not registered here."""
        known = self._authority.state.limits.get(digest)
        if known is None:
            return None
        row = self._limits_row(known)
        return LimitsShown(
            row=row,
            limits=known.policy,
            notes=limits_notes(self._authority.policies.approved.limits(known)),
            uses=self.uses() if row.in_force else (),
        )

    def uses(self) -> tuple[LimitUse, ...]:
        """What of the limits in force is taken up now; empty where there are none."""
        found = usage(self._authority.state, self._authority.log.now())
        return tuple(
            LimitUse(
                who=one.who,
                name=one.name,
                limit=format_amount(one.limit),
                used=format_amount(one.sum),
                exceeded=one.exceeded,
                unlimited=one.unlimited,
                other=one.other,
            )
            for one in found
        )

    def _limits_row(self, known: RegisteredPolicy) -> LimitsRow:
        return LimitsRow(
            limits_sha256=known.sha256,
            version=int(known.policy["version"]),
            in_force=self._authority.state.limits_in_force is known,
            approvers=tuple(sorted({str(one["seat"]) for one in known.approvals.values()})),
            missing=self._authority.missing(known.sha256),
            index=known.index,
        )

    # -- rosters -------------------------------------------------------------------------------

    async def change_roster(self, wanted: RosterWanted) -> RosterTaken:
        """Replace the roster. Raises as ``RosterDesk.change``."""
        return await self._authority.rosters.change(wanted)

    def roster_after(self, digest: str) -> RosterLink | None:
        """What took the place of a roster; None where nothing did."""
        return self._authority.rosters.after(digest)
