# SPDX-License-Identifier: Apache-2.0
"""A gate admits an agent: everything that the authority says of it is verified first.

The gate trusts one root, which its configuration names. It believes a certificate only with its
chain, a policy only by the digest in that certificate, and a resolution only by its signatures, by
the keys of the roster of its enrolment.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from sekisho.core.encoding import b64, parse_plain, sha256_hex
from sekisho.core.errors import NotAuthorised, VerificationFailed
from sekisho.core.events import AgentAdmitted, HistoryAwaited
from sekisho.core.gate.limits import read_limits
from sekisho.core.gate.permit import load_public_key
from sekisho.core.governance.policy import Policy, policy_from_canonical
from sekisho.core.governance.resolution import Resolution, check_resolution
from sekisho.core.governance.roster import Roster
from sekisho.core.identity.chain import verify_chain
from sekisho.core.identity.profile import Arc, parse_agent_certificate, serial_hex
from sekisho.core.identity.scope_extension import scope_json
from sekisho.core.terms import format_instant
from sekisho.ports import Signer
from sekisho.services.gatelog import GateLog


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """What an authority hands to a gate about one agent. Certificates are DER.

    ``moved`` is the epoch of the move after which the gate lacks the agent's history, 0 for none;
    ``moved_from`` the gate that owes it. ``renews`` is the digest of the agent's other certificate,
    where this one succeeds it and it has not ended yet.
    """

    agent: str
    certificate: bytes
    issuing: bytes
    root: bytes
    policy: bytes
    resolution: Resolution
    roster: Roster
    authority_index: int
    moved_from: str = ""
    moved: int = 0
    renews: str = ""


class Admissions:
    """Admits agents to one gate."""

    def __init__(
        self, log: GateLog, root: bytes, arc: Arc, check_roster: Callable[[Roster], None]
    ) -> None:
        """``check_roster`` raises VerificationFailed for any but the gate's own roster."""
        self._log = log
        self._check_roster = check_roster
        self._root = root
        self._arc = arc

    async def admit(self, admission: Admission, signer: Signer) -> str:
        """Verify and record; returns the certificate's digest once it is durable.

        Args:
            admission: from the authority.
            signer: the agent's key, in the gate's custody.

        Raises:
            VerificationFailed: something does not hold; nothing was recorded.
            NotAuthorised: the certificate is for another environment than the gate's, or succeeds
                one that is stopped here.
        """
        now = self._log.clocks().now
        found = parse_agent_certificate(admission.certificate, self._arc)
        if admission.root != self._root:
            raise VerificationFailed("the admission is under another root than this gate trusts")
        verify_chain(
            admission.certificate, admission.issuing, self._root, now, self._arc.order_signing()
        )
        policy = self._policy(admission, found.policy_sha256, found.scope_json)
        if found.agent != admission.agent or policy.agent != admission.agent:
            raise VerificationFailed("certificate, policy and admission name different agents")
        if policy.environment != self._log.state.environment:
            raise NotAuthorised(
                f"the policy is for {policy.environment}, not for {self._log.state.environment}"
            )
        self._check_stopped(admission)
        self._check_roster(admission.roster)
        check_resolution(admission.resolution, policy, admission.roster)
        if signer.public_key != found.public_key:
            raise VerificationFailed(f"{signer.uri} is not the key of this certificate")
        load_public_key(signer.public_key)
        entry = AgentAdmitted(
            at=self._log.at(),
            agent=admission.agent,
            certificate=b64(admission.certificate),
            certificate_sha256=found.sha256,
            serial_number=serial_hex(found.serial_number),
            not_before=format_instant(found.not_before_ns),
            not_after=format_instant(found.not_after_ns),
            policy=parse_plain(admission.policy),
            policy_sha256=found.policy_sha256,
            authority_index=admission.authority_index,
        )
        index = self._log.record(entry)
        if admission.moved > self._log.state.agents[admission.agent].history:
            index = self._log.record(
                HistoryAwaited(
                    at=self._log.at(),
                    agent=admission.agent,
                    before=admission.moved_from,
                    epoch=admission.moved,
                )
            )
        # A crash before this is durable admits nobody: the gate asks the authority again. Of the
        # two entries it may leave the first: no lease answers for the agent before the second.
        await self._log.durable(index)
        return found.sha256

    def _check_stopped(self, admission: Admission) -> None:
        """A successor lifts no stop: the authority may not have heard of it yet."""
        held = self._log.state.agents.get(admission.agent)
        if held is None or held.certificate_sha256 != admission.renews:
            return
        if held.status != "good":
            raise NotAuthorised(f"{admission.agent!r} is stopped here ({held.status})")

    @staticmethod
    def _policy(admission: Admission, digest: str, certified: bytes) -> Policy:
        if sha256_hex(admission.policy) != digest:
            raise VerificationFailed("the policy is not the one that the certificate names")
        if scope_json(parse_plain(admission.policy)) != certified:
            raise VerificationFailed("the certificate's scope is not that of the policy")
        policy = policy_from_canonical(admission.policy)
        read_limits(parse_plain(admission.policy))
        return policy
