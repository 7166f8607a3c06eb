# SPDX-License-Identifier: Apache-2.0
"""What an authority answers, as values (docs/spec/control-plane.md, 5).

Made member by member from what came; members that nobody asks for are ignored. A refusal, that
nobody answered and that the outcome is in doubt are values too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Generic, TypeVar

from sekisho_client.answers import Reply, Unavailable, Unknown, read_json, read_problem
from sekisho_client.failures import NotAuthenticated, ProtocolError
from sekisho_client.members import Members

T = TypeVar("T")
_WORD = "urn:sekisho:problem:"


@dataclass(frozen=True, slots=True)
class Refusal:
    """The authority does not do it: role, signatures, duties, state, or a malformed request.

    ``word`` is the problem's (``forbidden``, ``not-found``, ``conflict`` …), ``causes`` all reasons
    where there are several.
    """

    status: int
    word: str
    detail: str
    causes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ListPage(Generic[T]):
    """Some rows of a list; ``next`` is the cursor of those that follow, ``""`` for none."""

    items: tuple[T, ...]
    next: str


@dataclass(frozen=True, slots=True)
class PolicyDigest:
    """A policy was registered: what its approvers sign."""

    policy_sha256: str


@dataclass(frozen=True, slots=True)
class PolicyView:
    """A registered policy. ``missing``: why it has no resolution in force; ``""`` where it has."""

    policy_sha256: str
    agent: str
    version: int
    valid_from: str
    valid_until: str
    approvers: tuple[str, ...]
    resolution_sha256: str
    missing: str
    index: int
    policy: Mapping[str, Any]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """One change between two policies; ``effect`` says whether it widens."""

    path: str
    before: str
    after: str
    effect: str


@dataclass(frozen=True, slots=True)
class PolicyDifference:
    """What changes from one policy to another."""

    before: str
    after: str
    widens: bool
    changes: tuple[PolicyChange, ...]


@dataclass(frozen=True, slots=True)
class Approved:
    """An approval was taken; ``approvers`` of the resolution that it reached, 0 for none yet."""

    approvers: int


@dataclass(frozen=True, slots=True)
class ApprovalsWithdrawn:
    """An approver's approvals count no more; ``missing``: why nothing can be issued now."""

    policy_sha256: str
    seat: str
    missing: str


@dataclass(frozen=True, slots=True)
class AgentView:
    """An agent and its newest certificate; ``gate`` and ``incident`` are ``""`` for none."""

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


@dataclass(frozen=True, slots=True)
class CertificateView:
    """A certificate with its chain, base64 of DER, and its status."""

    agent: str
    certificate_sha256: str
    serial_number: str
    status: str
    reason: str
    epoch: int
    not_before: str
    not_after: str
    policy_sha256: str
    index: int
    certificate: str
    issuing: str
    root: str


@dataclass(frozen=True, slots=True)
class StatusDone:
    """What a command achieved. ``complete``: everything; else ``failures`` and ``unreached`` say
    what is wanting, and a stop that is not complete may have stopped nothing at a gate.
    """

    act: str
    agents: tuple[str, ...]
    changed: tuple[str, ...]
    epoch: int
    recorded: bool
    unreached: tuple[str, ...]
    failures: tuple[str, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class NoteView:
    """A note; ``salt`` (base64) and ``text`` are ``""`` once it is erased."""

    index: int
    at: str
    by: str
    agent: str
    subject: str
    commitment: str
    salt: str
    text: str
    erased_at: str


def read_fields(kind: type[T], found: Members, **given: Any) -> T:
    """A value of the members that its fields name; ``given`` are made already.

    Raises:
        ProtocolError: a member is missing, or of another type.
    """
    readers: dict[str, Callable[[str], object]] = {
        "str": found.text,
        "int": found.integer,
        "bool": found.truth,
        "tuple[str, ...]": found.texts,
        "Mapping[str, Any]": found.object,
    }
    values = {
        one.name: readers[str(one.type)](one.name)
        for one in fields(kind)  # type: ignore[arg-type]  # each of them is a dataclass
        if one.name not in given
    }
    return kind(**values, **given)


def read_policy_view(found: Members) -> PolicyView:
    """A policy as it is shown."""
    both = Members({**found.object("row"), "policy": found.object("policy")})
    return read_fields(PolicyView, both, notes=found.texts("notes"))


def read_difference(found: Members) -> PolicyDifference:
    """A difference."""
    changes = tuple(read_fields(PolicyChange, one) for one in found.objects("changes"))
    return read_fields(PolicyDifference, found, changes=changes)


def read_certificate(found: Members) -> CertificateView:
    """A certificate with its chain."""
    chain = {name: found.text(name) for name in ("certificate", "issuing", "root")}
    return read_fields(CertificateView, Members({**found.object("row"), **chain}))


def in_doubt(detail: str, idempotency_key: str) -> Unknown:
    """Of a request that may have been carried out."""
    return Unknown("", detail, idempotency_key)


def read_turned_away(reply: Reply, idempotency_key: str) -> Refusal | Unavailable | Unknown:
    """What an answer that is no success says.

    Raises:
        NotAuthenticated: the key is unknown, ended or expired.
        ProtocolError: no problem document where one is due.
    """
    if reply.status >= 500:
        try:
            found = read_problem(reply)
        except ProtocolError as error:
            return in_doubt(f"status {reply.status}: {error}", idempotency_key)
        if reply.status != 503 or found.has("effect"):
            return in_doubt(found.text("detail"), idempotency_key)
        return Unavailable(found.text("detail"))
    found = read_problem(reply)
    detail = found.text("detail")
    if reply.status == 401:
        raise NotAuthenticated(401, detail)
    if reply.status < 400:
        raise ProtocolError(f"status {reply.status}: {detail}")
    if found.has("effect"):
        return in_doubt(detail, idempotency_key)
    word = found.text("type").removeprefix(_WORD)
    return Refusal(reply.status, word, detail, found.texts("errors") if found.has("errors") else ())


def read_success(reply: Reply) -> Members | None:
    """The object of a success; None: the answer is something else."""
    return read_json(reply) if reply.status in {200, 201} else None
