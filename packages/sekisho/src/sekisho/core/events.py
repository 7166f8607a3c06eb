# SPDX-License-Identifier: Apache-2.0
"""Every entry that a log can hold (docs/spec/entries.md): closed, versioned by ``kind``, canonical.

A leaf of a log is the canonical JSON of one of these. The gate's state is the fold of the gate's
log, the authority's that of its own; nothing else is remembered.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from sekisho.core.authority_entries import (
    AgentAssigned,
    AgentHandedOver,
    AlertSent,
    ApprovalGiven,
    ApprovalWithdrawn,
    BaselineLocked,
    CertificateIssued,
    CrlIssued,
    Founded,
    GateBooted,
    GraceStarted,
    HistoryLost,
    HistoryTaken,
    IncidentAcknowledged,
    IncidentClosed,
    IncidentRecorded,
    LimitsRegistered,
    LogKeyCertified,
    NoteRecorded,
    PolicyRegistered,
    RearmAuthorised,
    Resolved,
    RosterChanged,
    StatusChanged,
    VenueRearmAuthorised,
)
from sekisho.core.encoding import canonical, parse_plain
from sekisho.core.errors import MalformedInput
from sekisho.core.gate_entries import (
    AccumulationRestarted,
    Advised,
    AgentAdmitted,
    BaselineAdopted,
    CallerRefused,
    CancelAsked,
    ClockObserved,
    CommandRefused,
    Counters,
    Decision,
    Execution,
    GateOpened,
    IncidentOpened,
    Latch,
    LeaseHeld,
    LocalStop,
    OutcomeUnresolved,
    PermitSigned,
    RateObserved,
    RateUsed,
    Rearmed,
    RefusedAs,
    RestingUnknown,
    RosterRefused,
    Scores,
    Shed,
    ShutdownMode,
    ShutdownOrdered,
    SnapshotTaken,
    StatusActed,
    StopReported,
    VenueContradicted,
    VenueLost,
    VenueRearmed,
    VenueReconciled,
    Withdrawn,
)
from sekisho.core.handover import HistoryAwaited, HistoryGiven, HistoryPart

__all__ = [
    "AccumulationRestarted",
    "Advised",
    "AgentAdmitted",
    "AgentAssigned",
    "AgentHandedOver",
    "AlertSent",
    "ApprovalGiven",
    "ApprovalWithdrawn",
    "AuthorityEntry",
    "BaselineAdopted",
    "BaselineLocked",
    "CallerRefused",
    "CancelAsked",
    "CertificateIssued",
    "ClockObserved",
    "CommandRefused",
    "Counters",
    "CrlIssued",
    "Decision",
    "Execution",
    "Founded",
    "GateBooted",
    "GateEntry",
    "GateOpened",
    "GraceStarted",
    "HistoryAwaited",
    "HistoryGiven",
    "HistoryLost",
    "HistoryPart",
    "HistoryTaken",
    "IncidentAcknowledged",
    "IncidentClosed",
    "IncidentOpened",
    "IncidentRecorded",
    "Latch",
    "LeaseHeld",
    "LimitsRegistered",
    "LocalStop",
    "LogKeyCertified",
    "NoteRecorded",
    "OutcomeUnresolved",
    "PermitSigned",
    "PolicyRegistered",
    "RateObserved",
    "RateUsed",
    "RearmAuthorised",
    "Rearmed",
    "RefusedAs",
    "Resolved",
    "RestingUnknown",
    "RosterChanged",
    "RosterRefused",
    "Scores",
    "Shed",
    "ShutdownMode",
    "ShutdownOrdered",
    "SnapshotTaken",
    "StatusActed",
    "StatusChanged",
    "StopReported",
    "VenueContradicted",
    "VenueLost",
    "VenueRearmAuthorised",
    "VenueRearmed",
    "VenueReconciled",
    "Withdrawn",
    "decode_authority_entry",
    "decode_gate_entry",
    "encode_entry",
]

GateEntry = (
    GateOpened
    | AgentAdmitted
    | StatusActed
    | LeaseHeld
    | RateObserved
    | Decision
    | PermitSigned
    | Withdrawn
    | Execution
    | OutcomeUnresolved
    | CancelAsked
    | StopReported
    | Rearmed
    | BaselineAdopted
    | IncidentOpened
    | AccumulationRestarted
    | VenueReconciled
    | VenueLost
    | RestingUnknown
    | VenueContradicted
    | VenueRearmed
    | ClockObserved
    | ShutdownOrdered
    | LocalStop
    | CallerRefused
    | CommandRefused
    | RosterRefused
    | Advised
    | Shed
    | SnapshotTaken
    | HistoryAwaited
    | HistoryGiven
    | HistoryPart
)
AuthorityEntry = (
    Founded
    | LogKeyCertified
    | NoteRecorded
    | RosterChanged
    | PolicyRegistered
    | LimitsRegistered
    | ApprovalGiven
    | ApprovalWithdrawn
    | Resolved
    | CertificateIssued
    | StatusChanged
    | CrlIssued
    | GateBooted
    | AgentAssigned
    | AgentHandedOver
    | HistoryLost
    | HistoryTaken
    | IncidentRecorded
    | AlertSent
    | GraceStarted
    | IncidentAcknowledged
    | IncidentClosed
    | RearmAuthorised
    | BaselineLocked
    | VenueRearmAuthorised
)

_gate_decoder = msgspec.json.Decoder(GateEntry)
_authority_decoder = msgspec.json.Decoder(AuthorityEntry)


def encode_entry(entry: GateEntry | AuthorityEntry) -> bytes:
    """The canonical bytes of an entry: a leaf of the log."""
    return canonical(entry)


def decode_gate_entry(data: bytes) -> GateEntry:
    """Strict inverse of :func:`encode_entry` for the gate's log.

    Raises:
        MalformedInput: not canonical, unknown kind or field, wrong type.
    """
    entry: GateEntry = _decode(_gate_decoder, data)
    return entry


def decode_authority_entry(data: bytes) -> AuthorityEntry:
    """Strict inverse of :func:`encode_entry` for the authority's log.

    Raises:
        MalformedInput: not canonical, unknown kind or field, wrong type.
    """
    entry: AuthorityEntry = _decode(_authority_decoder, data)
    return entry


_E = TypeVar("_E")


def _decode(decoder: msgspec.json.Decoder[_E], data: bytes) -> _E:
    try:
        entry = decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise MalformedInput(f"not an entry of this log: {error}") from error
    if canonical(entry) != data:
        parse_plain(data)  # a more exact message where there is one
        raise MalformedInput("entry is not in canonical form")
    return entry
