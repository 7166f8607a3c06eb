# SPDX-License-Identifier: Apache-2.0
"""Policies come in, approvals are given over them, and a resolution is recorded at the quorum.

What makes a policy valid, an approval count and a quorum is decided in ``core.governance``; an
approval that was given before a kill of the agent counts no more (docs/spec/authority.md, 3).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from sekisho.core.encoding import parse_plain, sha256_hex
from sekisho.core.errors import NotAuthorised, VerificationFailed
from sekisho.core.events import ApprovalGiven, PolicyRegistered, Resolved
from sekisho.core.governance.document import Registration
from sekisho.core.governance.policy import policy_from_canonical
from sekisho.core.governance.resolution import (
    Approval,
    Resolution,
    objections,
    resolution_sha256,
    resolve,
)
from sekisho.core.governance.roster import Roster
from sekisho.core.identity.records import RegisteredPolicy
from sekisho.core.terms import format_instant
from sekisho.services.approved import ApprovedPolicies
from sekisho.services.registerlog import RegisterLog


class PolicyDesk:
    """Policies of one authority."""

    def __init__(self, log: RegisterLog, roster: Callable[[], Roster]) -> None:
        self._log = log
        self._roster = roster
        self.approved = ApprovedPolicies()

    async def register_policy(self, registration: Registration) -> str:
        """Record a policy with the defaults that were shown; returns its digest.

        Registering the same policy again changes nothing.

        Raises:
            MalformedInput: the canonical bytes are not those of a valid policy.
            VerificationFailed: the digest is not theirs.
            NotAuthorised: the policy is for another environment than this authority.
        """
        policy = policy_from_canonical(registration.canonical)
        digest = sha256_hex(registration.canonical)
        if digest != registration.sha256:
            raise VerificationFailed("the digest is not that of the policy's canonical bytes")
        if policy.environment != self._log.state.environment:
            raise NotAuthorised(
                f"a policy for {policy.environment!r}; this authority issues for"
                f" {self._log.state.environment!r} only"
            )
        if digest not in self._log.state.policies:
            entry = PolicyRegistered(
                at=self._log.at(),
                agent=policy.agent,
                policy=parse_plain(registration.canonical),
                policy_sha256=digest,
                defaults=tuple(
                    {"path": one.path, "value": one.value, "why": one.why}
                    for one in registration.defaults
                ),
            )
            self._log.record(entry)
        await self._log.all_durable()
        return digest

    async def give_approval(self, approval: Approval) -> Resolution | None:
        """Record one approval, and the resolution when it completes the quorum.

        Returns:
            The resolution in force, or None while approvals are missing.

        Raises:
            NotAuthorised: the policy is not registered, or the approval does not count; all causes.
        """
        registered = self._log.state.policies.get(approval.policy_sha256)
        if registered is None:
            raise NotAuthorised(f"no policy {approval.policy_sha256[:64]} is registered here")
        policy = self.approved.policy(registered)
        # Entries carry the very instant by which the approval was judged: so will a verifier.
        now = self._log.now()
        causes = objections(policy, self._roster(), approval, now)
        if causes:
            raise NotAuthorised("\n".join(["the approval does not count:", *causes]))
        plain = msgspec.to_builtins(approval)
        if plain not in registered.approvals.values():
            # A crash after this and before the resolution: the next approval, or this one given
            # again, completes it.
            self._log.record(
                ApprovalGiven(
                    at=format_instant(now), policy_sha256=approval.policy_sha256, approval=plain
                )
            )
        self._resolve(registered, now)
        await self._log.all_durable()
        if registered.resolution is None or self._is_stale(registered):
            return None
        return msgspec.convert(registered.resolution, Resolution)

    def _is_stale(self, registered: RegisteredPolicy) -> bool:
        return self._log.state.killed_after(registered.agent, registered.resolved_at_index)

    def missing(self, policy_sha256: str) -> str:
        """Why the policy has no resolution yet, a line for each cause; empty when it has one.

        Raises:
            NotAuthorised: the policy is not registered.
        """
        registered = self._log.state.policies.get(policy_sha256)
        if registered is None:
            raise NotAuthorised(f"no policy {policy_sha256[:64]} is registered here")
        if registered.resolution is not None and not self._is_stale(registered):
            return ""
        try:
            self._resolution(registered, self._log.now())
        except NotAuthorised as error:
            return str(error)
        return "the approvals are there; give one of them again to have the resolution recorded"

    def _resolve(self, registered: RegisteredPolicy, now: int) -> None:
        """Record a resolution when the approvals that count now make one."""
        if registered.resolution is not None and not self._is_stale(registered):
            return
        try:
            resolution = self._resolution(registered, now)
        except NotAuthorised:
            return  # not yet: whoever is missing may still approve; see missing()
        self._log.record(
            Resolved(
                at=format_instant(now),
                policy_sha256=registered.sha256,
                resolution=msgspec.to_builtins(resolution),
                resolution_sha256=resolution_sha256(resolution),
            )
        )
        self.approved.made(
            registered.resolution_sha256, registered.sha256, self._log.state.roster_sha256
        )

    def _resolution(self, registered: RegisteredPolicy, now: int) -> Resolution:
        """What the approvals make now, the last of each seat. Raises NotAuthorised."""
        policy = self.approved.policy(registered)
        by_seat: dict[str, Approval] = {}
        for index, plain in registered.approvals.items():
            approval = msgspec.convert(plain, Approval)
            if self._log.state.killed_after(registered.agent, index):
                continue
            if not objections(policy, self._roster(), approval, now):
                by_seat[approval.seat] = approval
        return resolve(policy, self._roster(), tuple(by_seat.values()), now)
