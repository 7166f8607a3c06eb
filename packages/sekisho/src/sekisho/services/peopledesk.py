# SPDX-License-Identifier: Apache-2.0
"""What people ask of a running authority: commands, approvals, what they need to sign, issuing.

One desk for every way in. Each command goes to whom it concerns; who may command is judged there,
by signatures. What acts on a gate's latches and baselines is the gate's to bring.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from sekisho.core.encoding import b64, unb64
from sekisho.core.errors import MalformedInput, NotAuthorised
from sekisho.core.governance.commands import SignedCommand
from sekisho.core.governance.document import Registration
from sekisho.core.governance.resolution import Approval
from sekisho.core.identity.requests import key_requested
from sekisho.services.authority import Authority
from sekisho.services.authoritywire import AgentSheet, read
from sekisho.services.certification import IssuedCertificate

STATUS_ACTS = ("hold", "release", "revoke", "kill")


class PolicySheet(msgspec.Struct, frozen=True, kw_only=True):
    """A registered policy as an approver is shown it: its canonical text, defaults, notes."""

    canonical: str
    defaults: tuple[dict[str, str], ...]
    notes: tuple[str, ...]


class ApprovalTaken(msgspec.Struct, frozen=True, kw_only=True):
    """``approvers``: of the resolution that this approval reached; 0 while there is none."""

    approvers: int


class IssueRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Certify an agent; its key is made where the authority's home is."""

    agent: str
    policy_sha256: str
    issuer_seat: str
    operator_seat: str


class CertificateWanted(msgspec.Struct, frozen=True, kw_only=True):
    """Certify an agent: the key of a PKCS#10 ``request`` (base64 of DER) with the ``proof`` of
    docs/spec/authority.md section 1 (base64 of its DER), or one that is made in ``custody``.
    """

    agent: str
    policy_sha256: str
    issuer_seat: str
    operator_seat: str
    request: str | UnsetType = UNSET
    proof: str | UnsetType = UNSET
    custody: bool | UnsetType = UNSET


class IssueAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What was issued."""

    serial_number: str
    certificate_sha256: str
    not_before: str
    not_after: str


class LogRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Certify the key of a gate's log; ``public_key`` is base64 of its SubjectPublicKeyInfo."""

    origin: str
    public_key: str


class LogAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The log's certificate, and those that its gate has to know: base64 of DER."""

    certificate: str
    root: str
    issuing: str
    responder: str


class AcknowledgedAs(msgspec.Struct, frozen=True, kw_only=True):
    """What an acknowledgement made of its incident."""

    act: str
    incident: str
    state: str
    ends_at: str
    complete: bool


NAMED_MAX = 8
"""So many agents are named to whoever asks for one that is not there."""
INCIDENTS_A_PAGE = 200
"""So many fit into an answer, whatever they say."""


class IncidentSheet(msgspec.Struct, frozen=True, kw_only=True):
    """An incident as people are shown it; the fields are those of ``IncidentCase``."""

    incident: str
    agent: str
    incident_kind: str
    score: str
    factor: str
    observed: str
    threshold: str
    opened_at: str
    state: str
    outcome: str
    ends_at: str


class IncidentPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some incidents in the order of their recording; ``more`` of them follow."""

    incidents: tuple[IncidentSheet, ...]
    more: int


Issue = Callable[[IssueRequest], Awaitable[IssuedCertificate]]


class PeopleDesk:
    """One authority's. ``issue`` makes the key and has it certified."""

    def __init__(
        self, authority: Authority, registration: Callable[[str], Registration], issue: Issue
    ) -> None:
        self._authority = authority
        self._registration = registration
        self._issue = issue

    async def command(self, signed: tuple[SignedCommand, ...]) -> Any:
        """Carry out commands that say the same; what was achieved, and what was not.

        Raises:
            MalformedInput, VerificationFailed, NotAuthorised: as the act's own service.
        """
        if not signed:
            raise NotAuthorised("nobody commanded this")
        act = signed[0].command.command
        if act in STATUS_ACTS:
            return await self._authority.command(signed)
        if act == "assign":
            return await self._authority.assign(signed)
        if act != "acknowledge":
            raise NotAuthorised(f"{act}: this command is given to the agent's gate")
        await self._authority.acknowledge(signed)
        now = self._authority.incidents.by_id(str(signed[0].command.incident))
        return AcknowledgedAs(
            act=act, incident=now.incident, state=now.state, ends_at=now.ends_at, complete=True
        )

    def agent(self, agent: str) -> AgentSheet:
        """What a person needs to sign a command. Raises NotAuthorised: no such agent here."""
        state = self._authority.state
        if agent not in state.agents:
            known = ", ".join(sorted(islice(state.agents, NAMED_MAX))) or "none is certified yet"
            known += ", …" if len(state.agents) > NAMED_MAX else ""
            raise NotAuthorised(
                f"{agent[:64]!r} has no certificate of this authority",
                "--agent",
                f"name an agent of this home: {known}",
            )
        held, case = state.assigned.get(agent), self._authority.incidents.open_incident(agent)
        return AgentSheet(
            agent=agent,
            epoch=state.agent_epoch(agent),
            gate="" if held is None else held.gate,
            incident="" if case is None else case.incident,
            policy_sha256=state.agents[agent][-1].policy_sha256,
        )

    def incidents(self, after: int) -> IncidentPage:
        """Incidents of this authority, without the first ``after`` of them."""
        rest = self._authority.incidents.all()[after:]
        page = rest[:INCIDENTS_A_PAGE]
        fields = IncidentSheet.__struct_fields__
        return IncidentPage(
            incidents=tuple(
                IncidentSheet(**{name: getattr(one, name) for name in fields}) for one in page
            ),
            more=len(rest) - len(page),
        )

    def policy(self, digest: str) -> PolicySheet:
        """A registered policy. Raises ConfigurationInvalid: not registered here."""
        found = self._registration(digest)
        return PolicySheet(
            canonical=found.canonical.decode(),
            defaults=tuple(
                {"path": one.path, "value": str(one.value), "why": one.why}
                for one in found.defaults
            ),
            notes=tuple(found.notes),
        )

    async def approve(self, body: bytes) -> ApprovalTaken:
        """Take an approval. Raises as ``PolicyDesk.give_approval``."""
        resolution = await self._authority.give_approval(read(body, Approval))
        return ApprovalTaken(approvers=0 if resolution is None else len(resolution.approvals))

    async def issue(self, body: bytes) -> IssueAnswer:
        """Make a key and have it certified. Raises as ``Authority.issue``."""
        issued = await self._issue(read(body, IssueRequest))
        return IssueAnswer(
            serial_number=issued.serial_number,
            certificate_sha256=issued.certificate_sha256,
            not_before=issued.not_before,
            not_after=issued.not_after,
        )

    async def certify(self, wanted: CertificateWanted) -> IssuedCertificate:
        """Certify the key of a request, or one made in custody.

        Raises:
            MalformedInput: both or neither, or a request that is none.
            VerificationFailed: the request or its proof is not signed by its key.
            NotAuthorised: the request names another agent; else as ``Authority.issue``.
        """
        if wanted.custody is True and (wanted.request, wanted.proof) == (UNSET, UNSET):
            return await self._issue(
                IssueRequest(
                    agent=wanted.agent,
                    policy_sha256=wanted.policy_sha256,
                    issuer_seat=wanted.issuer_seat,
                    operator_seat=wanted.operator_seat,
                )
            )
        if not isinstance(wanted.request, str) or not isinstance(wanted.proof, str):
            raise MalformedInput("request and proof, or custody: true alone", "request")
        if wanted.custody is True:
            raise MalformedInput("a key of one's own, or one in custody", "custody")
        return await self._authority.issue(
            wanted.agent,
            wanted.policy_sha256,
            key_requested(unb64(wanted.request), wanted.agent),
            proof=unb64(wanted.proof),
            issuer_seat=wanted.issuer_seat,
            operator_seat=wanted.operator_seat,
        )

    async def certify_log(self, body: bytes) -> LogAnswer:
        """Bind the key of a gate's log to its origin. Raises as ``Authority.certify_log``."""
        asked = read(body, LogRequest)
        certificate = await self._authority.certify_log(asked.origin, unb64(asked.public_key))
        state = self._authority.state
        return LogAnswer(
            certificate=b64(certificate),
            root=b64(state.root_certificate),
            issuing=b64(state.issuing_certificate),
            responder=b64(state.responder_certificate),
        )
