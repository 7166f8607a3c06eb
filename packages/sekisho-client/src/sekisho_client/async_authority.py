# SPDX-License-Identifier: Apache-2.0
"""An authority as a program with an event loop asks it. The same shape as ``authority``.

Thin: a request goes out, what came becomes a value (``authority_answers``). People's keys sign
behind callables (``people``); an API key admits and decides nothing. What a proof shows is verified
here before it is given back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from sekisho_client import authority_answers as told
from sekisho_client.answers import Unavailable, Unknown
from sekisho_client.authority_answers import ListPage, Refusal
from sekisho_client.authority_calls import AuthorityCalls, certificate_wanted, signed_commands
from sekisho_client.endpoint import AUTHORITY_ANSWER_S, CONNECT_S, File, read_authority
from sekisho_client.exchange import AsyncLink
from sekisho_client.log_proof import ProvenEntry, read_log_key
from sekisho_client.people import PersonSigner


class AsyncPolicyRequests:
    """``authority.governance``: policies and what approvers say of them."""

    def __init__(self, link: AsyncLink, calls: AuthorityCalls) -> None:
        self._link = link
        self._calls = calls

    async def register_policy(
        self,
        document: str | bytes | Mapping[str, object],
        *,
        attempts: int = 1,
        idempotency_key: str | None = None,
    ) -> told.PolicyDigest | Refusal | Unavailable | Unknown:
        """Register a policy, YAML or an object; its digest is what approvers sign.

        Args:
            document: the policy.
            attempts: how often the same request is made at most, as long as no answer comes.
            idempotency_key: of an earlier call whose outcome is ``Unknown``; None: a new one.
        """
        return await self._link.run(
            self._calls.register_policy(document, attempts, idempotency_key)
        )

    async def get_policy(
        self, policy_sha256: str
    ) -> told.PolicyView | Refusal | Unavailable | Unknown:
        """A registered policy, with its approvals and what is missing."""
        return await self._link.run(self._calls.get_policy(policy_sha256))

    async def difference(
        self, before: str, after: str
    ) -> told.PolicyDifference | Refusal | Unavailable | Unknown:
        """What changes from one registered policy to another, and whether it widens."""
        return await self._link.run(self._calls.difference(before, after))

    async def approve(
        self, approval: bytes, *, attempts: int = 1
    ) -> told.Approved | Refusal | Unavailable | Unknown:
        """Bring an approval that ``PersonSigner.approval`` made."""
        return await self._link.run(self._calls.approve(approval, attempts))

    async def withdraw(
        self, withdrawal: bytes, *, attempts: int = 1
    ) -> told.ApprovalsWithdrawn | Refusal | Unavailable | Unknown:
        """Bring a withdrawal that ``PersonSigner.withdrawal`` made."""
        return await self._link.run(self._calls.withdraw(withdrawal, attempts))


class AsyncAgentRequests:
    """``authority.agents``: who is certified, and stopping."""

    def __init__(self, link: AsyncLink, calls: AuthorityCalls) -> None:
        self._link = link
        self._calls = calls

    async def list(
        self, *, status: str = "", cursor: str = "", limit: int = 50
    ) -> ListPage[told.AgentView] | Refusal | Unavailable | Unknown:
        """Agents (whose newest certificate has this status)."""
        return await self._link.run(self._calls.list_agents(status, cursor, limit))

    async def get(self, agent: str) -> told.AgentView | Refusal | Unavailable | Unknown:
        """An agent with its newest certificate."""
        return await self._link.run(self._calls.get_agent(agent))

    async def certify(
        self,
        agent: str,
        policy_sha256: str,
        *,
        issuer_seat: str,
        operator_seat: str,
        request: bytes | None = None,
        proof: bytes | None = None,
        attempts: int = 1,
        idempotency_key: str | None = None,
    ) -> told.CertificateView | Refusal | Unavailable | Unknown:
        """Have an agent certified.

        Args:
            agent: its name.
            policy_sha256: the approved policy.
            issuer_seat: that of the API key.
            operator_seat: who runs the gate.
            request: PKCS#10, DER, of a key of one's own; None: the key is made in custody.
            proof: of possession, DER (docs/spec/authority.md section 1); goes with ``request``.
            attempts: how often the same request is made at most, as long as no answer comes.
            idempotency_key: of an earlier call whose outcome is ``Unknown``; None: a new one.
        """
        wanted = certificate_wanted(
            agent, policy_sha256, issuer_seat, operator_seat, request, proof
        )
        return await self._link.run(self._calls.certify(wanted, attempts, idempotency_key))

    async def get_certificate(
        self, certificate_sha256: str
    ) -> told.CertificateView | Refusal | Unavailable | Unknown:
        """A certificate with its chain and status."""
        return await self._link.run(self._calls.get_certificate(certificate_sha256))

    async def hold(
        self,
        agent: str,
        *,
        reason_code: str = "",
        signers: Sequence[PersonSigner] = (),
        commands: Sequence[str] = (),
        attempts: int = 1,
    ) -> told.StatusDone | Refusal | Unavailable | Unknown:
        """Stop an agent until two people release it.

        Args:
            agent: its name.
            reason_code: a code; wanted with ``signers``.
            signers: people who sign it now; or
            commands: commands that are signed already.
            attempts: how often the same commands are sent at most, as long as no answer comes.
        """
        signed = signed_commands("hold", agent, reason_code, signers, commands, None)
        return await self._link.run(self._calls.command(signed, attempts))

    async def revoke(
        self,
        agent: str,
        *,
        reason_code: str = "",
        signers: Sequence[PersonSigner] = (),
        commands: Sequence[str] = (),
        attempts: int = 1,
    ) -> told.StatusDone | Refusal | Unavailable | Unknown:
        """Revoke an agent's certificate for good; arguments as of :meth:`hold`."""
        signed = signed_commands("revoke", agent, reason_code, signers, commands, None)
        return await self._link.run(self._calls.command(signed, attempts))

    async def release(
        self,
        agent: str,
        *,
        epoch: int | None = None,
        reason_code: str = "",
        signers: Sequence[PersonSigner] = (),
        commands: Sequence[str] = (),
        attempts: int = 1,
    ) -> told.StatusDone | Refusal | Unavailable | Unknown:
        """Lift a hold: two people of different roles; ``epoch`` is the agent's that they saw."""
        if signers and epoch is None:
            raise ValueError("epoch: what the people saw, of agents.get(agent)")
        signed = signed_commands("release", agent, reason_code, signers, commands, epoch)
        return await self._link.run(self._calls.command(signed, attempts))


class AsyncLogRequests:
    """``authority.audit_log``: notes, and proofs of what is in the log."""

    def __init__(self, link: AsyncLink, calls: AuthorityCalls) -> None:
        self._link = link
        self._calls = calls

    async def append(
        self,
        subject: str,
        text: str,
        *,
        agent: str = "",
        attempts: int = 1,
        idempotency_key: str | None = None,
    ) -> told.NoteView | Refusal | Unavailable | Unknown:
        """Note something: the text is kept beside the log, its commitment in it."""
        wanted = {"agent": agent, "subject": subject, "text": text}
        return await self._link.run(self._calls.append(wanted, attempts, idempotency_key))

    async def list(
        self, *, agent: str = "", cursor: str = "", limit: int = 50
    ) -> ListPage[told.NoteView] | Refusal | Unavailable | Unknown:
        """Notes (about one agent), the newest last."""
        return await self._link.run(self._calls.list_notes(agent, cursor, limit))

    async def prove(
        self, index: int, vkey: str, *, entry: bytes | None = None
    ) -> ProvenEntry | Refusal | Unavailable | Unknown:
        """That an entry is in the log, verified here.

        Args:
            index: of the entry.
            vkey: the log's, from a source that is not this authority.
            entry: its bytes, where one has them; else the value has the leaf hash to compare.

        Raises:
            ProofInvalid: what came is no proof of this entry in this log.
            ValueError: not a vkey.
        """
        return await self._link.run(self._calls.prove(index, read_log_key(vkey), entry))


class AsyncAuthority:
    """One operator of an authority. Close it, or use it as a context manager."""

    def __init__(self, link: AsyncLink, operator: str) -> None:
        calls = AuthorityCalls(operator)
        self._link = link
        self.governance = AsyncPolicyRequests(link, calls)
        self.agents = AsyncAgentRequests(link, calls)
        self.audit_log = AsyncLogRequests(link, calls)

    async def close(self) -> None:
        """Close all connections."""
        await self._link.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def connect_authority_async(
    address: str,
    operator: str,
    *,
    key: str | None = None,
    key_file: File | None = None,
    ca: File | None = None,
    answer_s: float = AUTHORITY_ANSWER_S,
    connect_s: float = CONNECT_S,
) -> AsyncAuthority:
    """An authority's control plane; arguments as of ``endpoint.read_authority``.

    Raises:
        ConnectionInvalid: address, key or CA cannot be used.
        ValueError: not an operator's name.
    """
    endpoint = read_authority(
        address, key=key, key_file=key_file, ca=ca, answer_s=answer_s, connect_s=connect_s
    )
    return AsyncAuthority(AsyncLink(endpoint), operator)
