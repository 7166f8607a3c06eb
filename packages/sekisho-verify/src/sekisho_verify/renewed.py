# SPDX-License-Identifier: Apache-2.0
"""Renewal with overlap: when an agent may have two certificates (docs/spec/authority.md 1 and 2).

Entry by entry, beside the walk over the authority's log: who renews whom, until when the one
before is good, and that there are never three.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from sekisho_verify.canonical import SECOND, instant_text
from sekisho_verify.entries import Entry
from sekisho_verify.findings import VerificationFailed, require
from sekisho_verify.issued import Issued
from sekisho_verify.policy import Policy

SUPERSEDED = "superseded"
"""Cause, and reason, of the end of one of the two."""


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two certificates of one agent, and when (ns) the one before ends."""

    before: Issued
    after: Issued
    ends: int


class Renewals:
    """All agents that have two certificates at this point of the log."""

    def __init__(self) -> None:
        self._pairs: dict[str, Pair] = {}

    def other(self, issued: Issued) -> Issued | None:
        """The second certificate, where this is one of two."""
        pair = self._pairs.get(issued.agent)
        if pair is not None and issued is pair.before:
            return pair.after
        return pair.before if pair is not None and issued is pair.after else None

    def check_issue(self, entry: Entry, policy: Policy, issued: Iterable[Issued], now: int) -> None:
        """Whether a certificate may come beside, or after, those of its agent."""
        require(policy.agent not in self._pairs, "is a third certificate of its agent")
        active = [
            one
            for one in issued
            if one.agent == policy.agent
            and one.status.status != "revoked"
            and now < one.certificate.not_after
        ]
        if not active:
            require(entry["renews"] == "", "renews a certificate that has ended")
            return
        before = active[-1]
        may = policy.renewal_overlap_s > 0 and entry["renews"] != ""
        require(may, "is a second active certificate")
        require(entry["renews"] == before.certificate.sha256, "renews another certificate")
        require(before.status.status == "good", "renews a certificate that is not good")
        same = policy.version >= before.policy.version
        require(same, "renews a certificate of a later version of the policy")

    def issued(self, entry: Entry, issued: Mapping[str, Issued], now: int) -> None:
        """Two from here on, if it renews one."""
        if entry["renews"] == "":
            return
        before = issued[str(entry["renews"])]
        after = issued[str(entry["certificate_sha256"])]
        ends = now + after.policy.renewal_overlap_s * SECOND
        self._pairs[after.agent] = Pair(before, after, min(ends, before.certificate.not_after))

    def check_end(self, entry: Entry, issued: Issued, now: int) -> None:
        """Whether the renewal, or an incident of the other, ends this certificate here."""
        pair = self._pairs.get(issued.agent)
        if pair is None:
            raise VerificationFailed("ends a certificate that is not being renewed")
        if entry["incident"] != "":
            return
        require(issued is pair.before, "ends the successor")
        require(now >= pair.ends, f"comes before {instant_text(pair.ends)}")

    def ended(self, issued: Issued) -> None:
        """One of two is revoked: the other is alone from here on."""
        if self.other(issued) is not None:
            del self._pairs[issued.agent]
