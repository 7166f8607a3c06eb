# SPDX-License-Identifier: Apache-2.0
"""What goes over the link between gates and authority, as JSON (docs/spec/processes.md section 1).

Both ends use these forms. A body is read strictly: an unknown field, a field twice or a number that
is no integer is MalformedInput. What a body says is judged elsewhere.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from sekisho.core.encoding import b64, canonical, parse_plain, unb64
from sekisho.core.errors import (
    ConfigurationInvalid,
    MalformedInput,
    NotAuthorised,
    SekishoError,
    Unavailable,
    VerificationFailed,
)
from sekisho.core.governance.commands import (
    SignedCommand,
    parse_signed_command,
    signed_command_text,
)
from sekisho.core.governance.resolution import Resolution
from sekisho.core.governance.roster import Roster
from sekisho.services.admission import Admission
from sekisho.services.status import StatusPush

BODY_BYTES_MAX = 262_144
"""An admission holds a policy; nothing on this link is longer."""

_T = TypeVar("_T")


class SeenCheckpoint(msgspec.Struct, frozen=True, kw_only=True):
    """How far the authority saw a gate's log."""

    tree_size: int


class AdmissionSheet(msgspec.Struct, frozen=True, kw_only=True):
    """An admission; certificates are base64 of DER, the policy is an object."""

    agent: str
    certificate: str
    issuing: str
    root: str
    policy: dict[str, Any]
    resolution: Resolution
    roster: Roster
    authority_index: int
    moved_from: str
    moved: int
    renews: str


class SignedCommands(msgspec.Struct, frozen=True, kw_only=True):
    """Signed commands that say the same, each as its text."""

    commands: tuple[str, ...]


class LiveRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Commands ``go_live``, and what the gate says of its baseline."""

    commands: tuple[str, ...]
    origin: str
    complete: bool


class AgentSheet(msgspec.Struct, frozen=True, kw_only=True):
    """What a person needs to sign a command about an agent.

    ``gate`` is ``""`` while no gate has it, ``incident`` (the open one) while there is none;
    ``policy_sha256`` is that of its newest certificate.
    """

    agent: str
    epoch: int
    gate: str
    incident: str
    policy_sha256: str


class ToldStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a gate's stream: a push, and the id under which its outcome is reported."""

    push: str
    status: StatusPush


class HistoryChunk(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of a history that a gate hands over, base64; the first one begins at 0.

    ``size`` and ``history_sha256`` are of the whole; ``index`` is that of the ``history_given``.
    """

    agent: str
    epoch: int
    history_sha256: str
    size: int
    origin: str
    index: int
    offset: int
    data: str


class HistoryNext(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a history has arrived; with all of it, it is recorded."""

    next: int


class HistoryPiece(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of a history that is kept, base64, and the size of the whole."""

    size: int
    data: str


class HistoryReport(msgspec.Struct, frozen=True, kw_only=True):
    """A gate has a history in its log, its last part at ``index``."""

    agent: str
    epoch: int
    history_sha256: str
    origin: str
    index: int


class LinkFailure(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every answer that is no success."""

    error: str
    message: str
    where: str = ""
    do: str = ""


_STATUS: dict[str, tuple[int, type[SekishoError]]] = {
    "malformed": (400, MalformedInput),
    "not-authorised": (403, NotAuthorised),
    "verification-failed": (403, VerificationFailed),
    "configuration-invalid": (409, ConfigurationInvalid),
    "unavailable": (503, Unavailable),
}
"""Word → HTTP status, and what the caller raises."""


def write(value: Any) -> bytes:
    """The body of a request or an answer."""
    return canonical(value)


def read(data: bytes, form: type[_T]) -> _T:
    """Strict inverse of :func:`write`.

    Raises:
        MalformedInput: not JSON of this form, or longer than BODY_BYTES_MAX.
    """
    if len(data) > BODY_BYTES_MAX:
        raise MalformedInput(f"more than {BODY_BYTES_MAX} bytes")
    plain = parse_plain(data)
    try:
        value = msgspec.convert(plain, form)
    except msgspec.ValidationError as error:
        raise MalformedInput(str(error)) from error
    if canonical(value) != canonical(plain):
        raise MalformedInput("unknown fields, or values in another form")
    return value


def admission_sheet(admission: Admission) -> AdmissionSheet:
    """An admission as it is sent."""
    return AdmissionSheet(
        agent=admission.agent,
        certificate=b64(admission.certificate),
        issuing=b64(admission.issuing),
        root=b64(admission.root),
        policy=parse_plain(admission.policy),
        resolution=admission.resolution,
        roster=admission.roster,
        authority_index=admission.authority_index,
        moved_from=admission.moved_from,
        moved=admission.moved,
        renews=admission.renews,
    )


def admission_of(sheet: AdmissionSheet) -> Admission:
    """Inverse of :func:`admission_sheet`. Raises MalformedInput: not base64."""
    return Admission(
        agent=sheet.agent,
        certificate=unb64(sheet.certificate),
        issuing=unb64(sheet.issuing),
        root=unb64(sheet.root),
        policy=canonical(sheet.policy),
        resolution=sheet.resolution,
        roster=sheet.roster,
        authority_index=sheet.authority_index,
        moved_from=sheet.moved_from,
        moved=sheet.moved,
        renews=sheet.renews,
    )


def command_texts(signed: tuple[SignedCommand, ...]) -> tuple[str, ...]:
    """Signed commands as they are sent."""
    return tuple(signed_command_text(one) for one in signed)


def commands_of(texts: tuple[str, ...]) -> tuple[SignedCommand, ...]:
    """Inverse of :func:`command_texts`. Raises MalformedInput."""
    return tuple(parse_signed_command(text) for text in texts)


def failure_answer(error: SekishoError) -> tuple[int, LinkFailure]:
    """HTTP status and body of a failure; what is not named in the table is ``unavailable``."""
    word = next(
        (word for word, (_, kind) in _STATUS.items() if isinstance(error, kind)), "unavailable"
    )
    failure = LinkFailure(error=word, message=str(error), where=error.where, do=error.do)
    return _STATUS[word][0], failure


def failure_of(status: int, body: bytes) -> SekishoError:
    """What an answer with this status is to whoever asked; everything unknown is Unavailable."""
    try:
        failure = read(body, LinkFailure)
    except MalformedInput:
        return Unavailable(f"the authority answered {status} without a reason")
    expected, kind = _STATUS.get(failure.error, (0, Unavailable))
    if expected != status:
        return Unavailable(f"the authority answered {status}: {failure.message}")
    return kind(failure.message, failure.where, failure.do)
