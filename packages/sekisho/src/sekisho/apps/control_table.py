# SPDX-License-Identifier: Apache-2.0
"""What the control plane's OpenAPI document says of each route (docs/spec/control-plane.md).

One row a route of the access table, beside how it is answered (``control_routes.served``). A route
without a row here makes ``control_document.document`` fail, and with it a test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec

from sekisho.apps.control_routes import KeyMade, KeySheet, Registered
from sekisho.core.governance.access import KEY_ROLES
from sekisho.core.governance.resolution import Approval
from sekisho.core.governance.roster import Roster
from sekisho.core.governance.withdrawal import Withdrawal
from sekisho.services.apikeys import DAYS_MAX
from sekisho.services.assigning import AssignOutcome
from sekisho.services.authoritywire import SignedCommands
from sekisho.services.controldesk import (
    AgentRow,
    CertificateRow,
    CertificateSheet,
    EntryRow,
    IncidentRow,
    PolicyRow,
    PolicyShown,
    ProofSheet,
)
from sekisho.services.governancedesk import (
    DifferenceSheet,
    LimitsRow,
    LimitsShown,
    LimitsTaken,
)
from sekisho.services.notes import NoteRow
from sekisho.services.pages import LIMIT_DEFAULT, LIMIT_MAX
from sekisho.services.peopledesk import AcknowledgedAs, ApprovalTaken, CertificateWanted
from sekisho.services.policydesk import WithdrawalTaken
from sekisho.services.rosterdesk import RosterTaken, RosterWanted
from sekisho.services.status import KillReport, StatusOutcome


class KeyAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A key for a role; ``seat`` is empty for a machine, ``days`` how long it is good."""

    role: str
    seat: str
    days: int


class NoteAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A note: ``agent`` is empty where it is about none, ``subject`` a code, ``text`` free."""

    agent: str
    subject: str
    text: str


class ServerAlive(msgspec.Struct, frozen=True, kw_only=True):
    """The process answers."""

    status: str


class ServerReadiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the server can do what it is for, and else what is missing, in words."""

    ready: bool
    missing: tuple[str, ...]


class OperatorNames(msgspec.Struct, frozen=True, kw_only=True):
    """Operators of this server, sorted."""

    operators: tuple[str, ...]


@dataclass(frozen=True)
class Bytes:
    """An answer that is no JSON."""

    media_type: str
    says: str


@dataclass(frozen=True)
class Paged:
    """A list: ``items`` of this kind, and ``next``."""

    row: type


class Described(NamedTuple):
    """A row of the document.

    Attributes:
        name: the operation's id.
        says: what it does, in a line.
        answer: of a success: a form, several of which it is one, a page of rows, or bytes.
        status: of a success.
        body: form of a JSON body; None where there is none, or it is bytes.
        also: further answers that are no problems: status → form.
    """

    name: str
    says: str
    answer: type | tuple[type, ...] | Paged | Bytes | dict[str, Any]
    status: int = 200
    body: type | None = None
    also: tuple[tuple[int, type], ...] = ()


_PEM: Final = Bytes("application/pem-certificate-chain", "PEM")
_DER: Final = Bytes("application/pkix-cert", "DER")
_OCSP: Final = Bytes("application/ocsp-response", "DER of RFC 6960")
_OPENAPI: Final = {"type": "object", "required": ["openapi", "info", "paths"]}

TABLE: Final[dict[tuple[str, str], Described]] = {
    ("GET", "/v1/health"): Described("getHealth", "The process answers.", ServerAlive),
    ("GET", "/v1/ready"): Described(
        "getReadiness",
        "Whether the server can do what it is for.",
        ServerReadiness,
        also=((503, ServerReadiness),),
    ),
    ("GET", "/v1/openapi.json"): Described("getDocument", "This document.", _OPENAPI),
    ("GET", "/v1/operators"): Described(
        "listOperators", "Operators of this server.", OperatorNames
    ),
    ("POST", "/v1/keys"): Described(
        "makeIssuerKey", "Make a key of the issuer's own.", KeyMade, 201, KeyAsked
    ),
    ("GET", "/v1/keys"): Described("listIssuerKeys", "Keys of the issuer.", Paged(KeySheet)),
    ("POST", "/v1/keys/{id}/end"): Described("endIssuerKey", "End one of them.", KeySheet),
    ("POST", "keys"): Described(
        "makeKey", "Make an API key; its secret is in this answer alone.", KeyMade, 201, KeyAsked
    ),
    ("GET", "keys"): Described("listKeys", "API keys, by id, ended ones too.", Paged(KeySheet)),
    ("POST", "keys/{id}/end"): Described("endKey", "End a key, at once and for good.", KeySheet),
    ("POST", "policies"): Described(
        "registerPolicy", "Register a policy document.", Registered, 201
    ),
    ("GET", "policies"): Described("listPolicies", "Registered policies.", Paged(PolicyRow)),
    ("GET", "policies/{digest}"): Described(
        "getPolicy", "A policy as approvers are shown it.", PolicyShown
    ),
    ("GET", "policies/{digest}/diff/{other}"): Described(
        "comparePolicies", "What changes from one policy to another.", DifferenceSheet
    ),
    ("POST", "limits"): Described(
        "registerLimits", "Register limits above agents.", LimitsTaken, 201
    ),
    ("GET", "limits"): Described("listLimits", "Registered limits.", Paged(LimitsRow)),
    ("GET", "limits/{digest}"): Described(
        "getLimits", "Limits as approvers are shown them, with what is taken up.", LimitsShown
    ),
    ("POST", "withdrawals"): Described(
        "withdrawApproval", "Bring a signed withdrawal.", WithdrawalTaken, body=Withdrawal
    ),
    ("POST", "roster"): Described(
        "changeRoster",
        "Bring a new roster with the approvals of it.",
        RosterTaken,
        body=RosterWanted,
    ),
    ("POST", "approvals"): Described(
        "approvePolicy", "Bring a signed approval.", ApprovalTaken, body=Approval
    ),
    ("GET", "agents"): Described("listAgents", "Agents, by first certificate.", Paged(AgentRow)),
    ("GET", "agents/{agent}"): Described("getAgent", "An agent.", AgentRow),
    ("POST", "certificates"): Described(
        "certifyAgent",
        "Certify an agent: the key of a request, or one in custody.",
        CertificateSheet,
        201,
        CertificateWanted,
    ),
    ("GET", "certificates"): Described(
        "listCertificates", "The register, in the order of issue.", Paged(CertificateRow)
    ),
    ("GET", "certificates/{sha256}"): Described(
        "getCertificate", "A certificate with its chain.", CertificateSheet
    ),
    ("GET", "register.csv"): Described(
        "exportRegister",
        "The whole register as of one size of the log.",
        Bytes("text/csv", "CSV of RFC 4180 with a header line"),
    ),
    ("POST", "commands"): Described(
        "giveCommand",
        "Bring signed commands that say the same.",
        (StatusOutcome, KillReport, AssignOutcome, AcknowledgedAs),
        body=SignedCommands,
    ),
    ("GET", "incidents"): Described(
        "listIncidents", "Incidents, the newest last.", Paged(IncidentRow)
    ),
    ("GET", "roster"): Described("getRoster", "The roster in force.", Roster),
    ("GET", "log/checkpoint"): Described(
        "getCheckpoint", "The newest signed checkpoint.", Bytes("text/plain", "a signed note")
    ),
    ("GET", "log/entries"): Described(
        "listEntries", "Entries of the log that are durable.", Paged(EntryRow)
    ),
    ("GET", "log/proofs/{index}"): Described(
        "proveEntry", "That an entry is in the published log.", ProofSheet
    ),
    ("POST", "log/notes"): Described(
        "appendNote", "Note something: committed in the log.", NoteRow, 201, NoteAsked
    ),
    ("GET", "log/notes"): Described("listNotes", "Notes, the newest last.", Paged(NoteRow)),
    ("POST", "log/notes/{index}/erase"): Described(
        "eraseNote", "Forget what a note says; its entry stays.", NoteRow
    ),
    ("GET", "/pki/{operator}/root.crt"): Described("getRoot", "The root.", _DER),
    ("GET", "/pki/{operator}/root.pem"): Described("getRootText", "The root.", _PEM),
    ("GET", "/pki/{operator}/issuing.crt"): Described("getIssuing", "The issuing CA.", _DER),
    ("GET", "/pki/{operator}/issuing.pem"): Described("getIssuingText", "The issuing CA.", _PEM),
    ("GET", "/pki/{operator}/crl/{shard}.crl"): Described(
        "getCrl", "A shard of the CRL.", Bytes("application/pkix-crl", "DER of RFC 5280")
    ),
    ("POST", "/pki/{operator}/ocsp"): Described("postOcsp", "Status of a certificate.", _OCSP),
    ("GET", "/pki/{operator}/ocsp/{request}"): Described(
        "getOcsp", "Status of a certificate; the request is base64 of its DER.", _OCSP
    ),
}

_DIGEST: Final = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_AGENT: Final = {"type": "string", "pattern": "^[a-z][a-z0-9_-]{0,62}$"}
IN_PATH: Final[dict[str, dict[str, Any]]] = {
    "operator": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$"},
    "id": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
    "digest": _DIGEST,
    "other": _DIGEST,
    "sha256": _DIGEST,
    "agent": _AGENT,
    "index": {"type": "string", "pattern": "^(0|[1-9][0-9]{0,15})$"},
    "shard": {"type": "string", "pattern": "^(0|[1-9][0-9]{0,8})$"},
    "request": {"type": "string", "minLength": 1},
}
"""Schema of each part of a path."""

IN_QUERY: Final[dict[str, dict[str, Any]]] = {
    "cursor": {"type": "string", "minLength": 1},
    "limit": {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT},
    "agent": _AGENT,
    "status": {"type": "string", "enum": ["good", "hold", "revoked"]},
}
"""Schema of each query parameter."""

NARROWED: Final[dict[str, dict[str, dict[str, Any]]]] = {
    "KeyAsked": {
        "role": {"enum": list(KEY_ROLES)},
        "days": {"minimum": 1, "maximum": DAYS_MAX},
    },
    "NoteAsked": {
        "agent": {"pattern": "^([a-z][a-z0-9_-]{0,62})?$"},
        "subject": {"pattern": "^[a-z][a-z0-9_]{0,47}$"},
        "text": {"minLength": 1},
    },
    "SignedCommands": {"commands": {"minItems": 1}},
    "ServerAlive": {"status": {"const": "alive"}},
}
"""What a form's types do not say of its members: schema → member → more of its schema."""
