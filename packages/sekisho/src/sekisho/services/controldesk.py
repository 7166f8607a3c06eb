# SPDX-License-Identifier: Apache-2.0
"""What the control plane shows of one operator (docs/spec/control-plane.md section 5).

Sheets made from the fold, never from tables of their own. Everything shown may be ahead of what is
durable by the entries under way; what follows from it waits for them where it is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from sekisho.core.encoding import b64, canonical, parse_plain
from sekisho.core.governance.document import Registration
from sekisho.core.identity.records import RegisteredCertificate, RegisteredPolicy
from sekisho.core.incidents.cases import IncidentCase
from sekisho.core.terms import format_instant
from sekisho.services.authority import Authority
from sekisho.services.governancedesk import DeadlineRow, deadline_rows
from sekisho.services.pages import Cursor, GrowingRows, Page, cut, of_walk
from sekisho.services.registercsv import RegisterSheet, register_sheet

STOPPED = ("hold", "revoked")


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is shown."""


class PolicyRow(Sheet, frozen=True, kw_only=True):
    """A registered policy. ``missing``: why it has no resolution in force, ``""`` where it has.

    ``warnings``: what of it is due or overdue; ``desk`` is ``none`` where it is of none.
    """

    policy_sha256: str
    agent: str
    desk: str
    version: int
    valid_from: str
    valid_until: str
    approvers: tuple[str, ...]
    resolution_sha256: str
    missing: str
    warnings: tuple[DeadlineRow, ...]
    index: int


class PolicyShown(Sheet, frozen=True, kw_only=True):
    """A policy as its approvers are shown it: canonical, with its defaults and notes."""

    row: PolicyRow
    policy: dict[str, Any]
    defaults: tuple[dict[str, str], ...]
    notes: tuple[str, ...]


class AgentRow(Sheet, frozen=True, kw_only=True):
    """An agent and its newest certificate. ``gate``, ``incident``: ``""`` while there is none."""

    agent: str
    epoch: int
    gate: str
    incident: str
    certificate_sha256: str
    serial_number: str
    status: str
    reason: str
    not_after: str
    policy_sha256: str
    index: int


class CertificateRow(Sheet, frozen=True, kw_only=True):
    """A row of the register."""

    agent: str
    certificate_sha256: str
    serial_number: str
    status: str
    reason: str
    epoch: int
    changed_at: str
    not_before: str
    not_after: str
    policy_sha256: str
    resolution_sha256: str
    index: int


class CertificateSheet(Sheet, frozen=True, kw_only=True):
    """A certificate with its chain, base64 of DER."""

    row: CertificateRow
    certificate: str
    issuing: str
    root: str


class IncidentRow(Sheet, frozen=True, kw_only=True):
    """An incident; the fields are those of ``IncidentCase``."""

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
    index: int


class EntryRow(Sheet, frozen=True, kw_only=True):
    """An entry of the log as its bytes, base64, with its leaf hash."""

    index: int
    entry: str
    leaf_hash: str


class ProofSheet(Sheet, frozen=True, kw_only=True):
    """That an entry is in the log under this signed checkpoint."""

    index: int
    leaf_hash: str
    proof: tuple[str, ...]
    checkpoint: str


class ControlDesk:
    """One operator's."""

    def __init__(self, authority: Authority, registration: Callable[[str], Registration]) -> None:
        """``registration``: a registered policy by its digest, with defaults and notes."""
        self._authority = authority
        self._registration = registration
        self._policies: GrowingRows[RegisteredPolicy] = GrowingRows(lambda one: one.index)
        self._certificates: GrowingRows[RegisteredCertificate] = GrowingRows(lambda one: one.index)
        self._incidents: GrowingRows[IncidentCase] = GrowingRows(lambda one: one.index)
        self._agents: GrowingRows[list[RegisteredCertificate]] = GrowingRows(
            lambda one: one[0].index
        )

    @property
    def size(self) -> int:
        """Number of entries that are folded."""
        return self._authority.state.size

    # -- policies ------------------------------------------------------------------------------

    def policies(self, cursor: Cursor, limit: int, agent: str) -> Page[PolicyRow]:
        """Registered policies (of one agent, where ``agent`` is not empty)."""
        state = self._authority.state
        if agent:
            page = of_walk(state.policies_of.get(agent, ()), lambda one: one.index, cursor, limit)
        else:
            page = self._policies.page(state.policies, cursor, limit)
        return Page([self._policy_row(one) for one in page.rows], page.next)

    def policy(self, digest: str) -> PolicyShown | None:
        """One of them; None: not registered here."""
        known = self._authority.state.policies.get(digest)
        if known is None:
            return None
        found = self._registration(digest)
        return PolicyShown(
            row=self._policy_row(known),
            policy=parse_plain(found.canonical),
            defaults=tuple(
                {"path": one.path, "value": str(one.value), "why": one.why}
                for one in found.defaults
            ),
            notes=tuple(found.notes),
        )

    def _policy_row(self, known: RegisteredPolicy) -> PolicyRow:
        approvals = known.approvals.values()
        return PolicyRow(
            policy_sha256=known.sha256,
            agent=known.agent,
            desk=str(known.policy["desk"]),
            version=int(known.policy["version"]),
            valid_from=str(known.policy["valid_from"]),
            valid_until=str(known.policy["valid_until"]),
            approvers=tuple(sorted({str(one["seat"]) for one in approvals})),
            resolution_sha256=known.resolution_sha256,
            missing=self._authority.missing(known.sha256),
            warnings=deadline_rows(known.policy, self._authority.log.now()),
            index=known.index,
        )

    # -- agents and certificates ---------------------------------------------------------------

    def agents(self, cursor: Cursor, limit: int, status: str) -> Page[AgentRow]:
        """Agents that were ever certified (whose newest certificate has this status)."""
        state = self._authority.state
        if status in STOPPED:
            # As few as are stopped, and not all that there are, are looked at.
            agents = {one.agent: state.agents[one.agent] for one in state.stopped.values()}
            found = [rows for rows in agents.values() if rows[-1].status == status]
            page = of_walk(found, lambda one: one[0].index, cursor, limit)
        else:
            page = self._agents.page(
                state.agents, cursor, limit, lambda one: status in ("", one[-1].status)
            )
        return Page([self._agent_row(one) for one in page.rows], page.next)

    def agent(self, agent: str) -> AgentRow | None:
        """One of them; None: no such agent here."""
        records = self._authority.state.agents.get(agent)
        return None if records is None else self._agent_row(records)

    def _agent_row(self, records: list[RegisteredCertificate]) -> AgentRow:
        newest = records[-1]
        state = self._authority.state
        held = state.assigned.get(newest.agent)
        case = self._authority.incidents.open_incident(newest.agent)
        return AgentRow(
            agent=newest.agent,
            epoch=state.agent_epoch(newest.agent),
            gate="" if held is None else held.gate,
            incident="" if case is None else case.incident,
            certificate_sha256=newest.sha256,
            serial_number=newest.serial_number,
            status=newest.status,
            reason=newest.reason,
            not_after=format_instant(newest.not_after),
            policy_sha256=newest.policy_sha256,
            index=records[0].index,
        )

    def certificates(
        self, cursor: Cursor, limit: int, agent: str, status: str
    ) -> Page[CertificateRow]:
        """Certificates in the order of issue (of one agent, of one status)."""
        state = self._authority.state
        if agent or status in STOPPED:
            own = state.agents.get(agent, ()) if agent else state.not_good()
            found = [one for one in own if status in ("", one.status)]
            page = of_walk(found, lambda one: one.index, cursor, limit)
        else:
            page = self._certificates.page(
                state.certificates, cursor, limit, lambda one: status in ("", one.status)
            )
        return Page([certificate_row(one) for one in page.rows], page.next)

    def certificate(self, digest: str) -> CertificateSheet | None:
        """One of them; None: not issued here."""
        record = self._authority.state.certificates.get(digest)
        if record is None:
            return None
        return CertificateSheet(
            row=certificate_row(record),
            certificate=b64(record.certificate),
            issuing=b64(self._authority.state.issuing_certificate),
            root=b64(self._authority.state.root_certificate),
        )

    async def register(self) -> RegisterSheet:
        """The register as it is now, with the size of the log that made it so.

        Raises:
            StorageFailed, OutcomeUnknown: not all of it is durable, so nothing is shown.
        """
        log = self._authority.log
        found = register_sheet(log.journal.origin, log.state, log.journal.root())
        await log.durable(found.size - 1)
        return found

    # -- incidents, roster, log ------------------------------------------------------------------

    def incidents(self, cursor: Cursor, limit: int, agent: str) -> Page[IncidentRow]:
        """Incidents in the order of their recording (of one agent)."""
        page = self._incidents.page(
            self._authority.incidents.cases, cursor, limit, lambda one: agent in ("", one.agent)
        )
        fields = IncidentRow.__struct_fields__
        rows = [IncidentRow(**{name: getattr(one, name) for name in fields}) for one in page.rows]
        return Page(rows, page.next)

    def roster(self) -> bytes:
        """The roster in force, canonical."""
        return canonical(self._authority.roster)

    def checkpoint(self) -> bytes:
        """The newest signed checkpoint; empty before the first."""
        return self._authority.log.journal.checkpoint

    def durable_size(self) -> int:
        """Entries that are on stable storage: no other is shown."""
        return self._authority.log.journal.durable_size

    def entries(self, cursor: Cursor, limit: int) -> Page[EntryRow]:
        """Entries as they are in the log."""
        journal = self._authority.log.journal
        page = cut(range(cursor.after + 1, cursor.size), lambda one: one, cursor, limit)
        rows = [
            EntryRow(
                index=index,
                entry=b64(journal.entry(index)),
                leaf_hash=b64(journal.leaf_hash(index)),
            )
            for index in page.rows
        ]
        return Page(rows, page.next)

    def proof(self, index: int) -> ProofSheet | None:
        """That an entry is in the published log; None: it is not, or not yet."""
        journal = self._authority.log.journal
        size = journal.published_size
        if not 0 <= index < size:
            return None
        return ProofSheet(
            index=index,
            leaf_hash=b64(journal.leaf_hash(index)),
            proof=tuple(b64(one) for one in journal.inclusion_proof(index, size)),
            checkpoint=journal.checkpoint.decode(),
        )


def certificate_row(record: RegisteredCertificate) -> CertificateRow:
    """A row of the register."""
    return CertificateRow(
        agent=record.agent,
        certificate_sha256=record.sha256,
        serial_number=record.serial_number,
        status=record.status,
        reason=record.reason,
        epoch=record.epoch,
        changed_at=format_instant(record.changed_at),
        not_before=format_instant(record.not_before),
        not_after=format_instant(record.not_after),
        policy_sha256=record.policy_sha256,
        resolution_sha256=record.resolution_sha256,
        index=record.index,
    )
