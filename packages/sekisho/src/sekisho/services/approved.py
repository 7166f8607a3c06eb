# SPDX-License-Identifier: Apache-2.0
"""Policies that were read and resolutions that were judged, remembered by their digests.

Whether approvals make a resolution follows from resolution, policy and roster alone, and each is
named by the digest of its content as it stands. So what held once holds again; whether
it is in force (no kill since, the roster of today, not ended) is asked each time.
"""

from __future__ import annotations

from typing import Any

import msgspec

from sekisho.core.encoding import canonical, sha256_hex
from sekisho.core.governance.operator_limits import (
    OperatorLimits,
    limits_from_canonical,
    subject_of_limits,
)
from sekisho.core.governance.policy import Policy, policy_from_canonical
from sekisho.core.governance.resolution import Resolution, Subject, check_resolution
from sekisho.core.governance.roster import Roster, roster_sha256
from sekisho.core.identity.records import RegisteredPolicy

REMEMBERED_MAX = 4_096


class ApprovedPolicies:
    """One authority's. What is forgotten is judged again."""

    def __init__(self) -> None:
        self._policies: dict[str, Policy] = {}
        self._judged: dict[str, tuple[str, str]] = {}

    def policy(self, registered: RegisteredPolicy) -> Policy:
        """A registered policy as it was read. Raises MalformedInput."""
        return self._read(registered)[0]

    def subject(self, registered: RegisteredPolicy) -> Policy | Subject:
        """What is approved: a policy, or limits above agents. Raises MalformedInput."""
        if registered.agent:
            return self.policy(registered)
        return subject_of_limits(self.limits(registered))

    def limits(self, registered: RegisteredPolicy) -> OperatorLimits:
        """Registered limits as they were read. Raises MalformedInput."""
        return limits_from_canonical(canonical(registered.policy))

    def approved(self, registered: RegisteredPolicy, roster: Roster) -> Policy:
        """The policy, if its resolution is what its approvals make under this roster.

        Raises:
            NotAuthorised, MalformedInput: it is not.
        """
        policy, policy_sha256 = self._read(registered)
        digest, by = sha256_hex(canonical(registered.resolution)), roster_sha256(roster)
        if self._judged.get(digest) != (policy_sha256, by):
            check_resolution(msgspec.convert(registered.resolution, Resolution), policy, roster)
            self.made(digest, policy_sha256, by)
        return policy

    def _read(self, registered: RegisteredPolicy) -> tuple[Policy, str]:
        encoded = canonical(registered.policy)
        digest = sha256_hex(encoded)
        found = self._policies.get(digest)
        if found is None:
            found = policy_from_canonical(encoded)
            _forget_one(self._policies)
            self._policies[digest] = found
        return found, digest

    def made(self, resolution_sha256: str, policy_sha256: str, roster_sha256: str) -> None:
        """Remember a resolution that was just made of approvals that all count."""
        _forget_one(self._judged)
        self._judged[resolution_sha256] = policy_sha256, roster_sha256


def _forget_one(memory: dict[str, Any]) -> None:
    """Make room: the oldest goes."""
    if len(memory) >= REMEMBERED_MAX:
        del memory[next(iter(memory))]
