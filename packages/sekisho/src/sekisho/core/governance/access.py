# SPDX-License-Identifier: Apache-2.0
"""Which role may ask what of the control plane: one table (docs/spec/control-plane.md section 3).

This admits a request and decides nothing: approvals and commands are signatures by people's own
keys (``duties``). What has no row here is refused to everybody.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, get_args

Role = Literal[
    "anyone",
    "owner",
    "issuer_admin",
    "approver",
    "compliance",
    "risk",
    "trader",
    "developer",
    "operator",
    "issuer",
    "auditor",
    "program",
    "gate",
    "agent",
]
ROLES: Final[tuple[Role, ...]] = get_args(Role)
PEOPLE: Final[tuple[Role, ...]] = (
    "approver",
    "compliance",
    "risk",
    "trader",
    "developer",
    "operator",
    "issuer",
)
"""Roles of seats: a key of one names a seat of the roster."""
KEY_ROLES: Final[tuple[Role, ...]] = ("issuer_admin", *PEOPLE, "auditor", "program", "agent")
"""Roles that an API key may have."""

_READERS: Final[tuple[Role, ...]] = (*PEOPLE, "auditor", "program")
_WATCHERS: Final[tuple[Role, ...]] = (
    "approver",
    "compliance",
    "risk",
    "operator",
    "auditor",
    "program",
)


class Access(NamedTuple):
    """A row: who may ask.

    Attributes:
        method: ``GET`` or ``POST``.
        path: template below the operator's prefix, or absolute.
        roles: who may ask; ``anyone`` is public.
        writes: whether only the log's writer can answer (docs/spec/control-plane.md section 6).
    """

    method: str
    path: str
    roles: tuple[Role, ...]
    writes: bool = False


ACCESS: Final[tuple[Access, ...]] = (
    Access("GET", "/v1/health", ("anyone",)),
    Access("GET", "/v1/ready", ("anyone",)),
    Access("GET", "/v1/openapi.json", ("anyone",)),
    Access("GET", "/v1/operators", ("owner", "issuer_admin")),
    Access("POST", "/v1/keys", ("owner",), writes=True),
    Access("GET", "/v1/keys", ("owner", "issuer_admin")),
    Access("POST", "/v1/keys/{id}/end", ("owner", "issuer_admin"), writes=True),
    Access("POST", "keys", ("owner", "issuer_admin"), writes=True),
    Access("GET", "keys", ("owner", "issuer_admin", "auditor")),
    Access("POST", "keys/{id}/end", ("owner", "issuer_admin"), writes=True),
    Access("POST", "policies", ("compliance", "risk", "operator", "developer"), writes=True),
    Access("GET", "policies", _READERS),
    Access("GET", "policies/{digest}", _READERS),
    Access("GET", "policies/{digest}/diff/{other}", _READERS),
    Access("POST", "limits", ("compliance", "risk", "operator"), writes=True),
    Access("GET", "limits", _READERS),
    Access("GET", "limits/{digest}", _READERS),
    Access("POST", "approvals", ("approver",), writes=True),
    Access("POST", "withdrawals", ("approver",), writes=True),
    Access("POST", "roster", ("approver", "program"), writes=True),
    Access("GET", "agents", _READERS),
    Access("GET", "agents/{agent}", _READERS),
    Access("POST", "certificates", ("issuer",), writes=True),
    Access("GET", "certificates", _READERS),
    Access("GET", "certificates/{sha256}", _READERS),
    Access(
        "POST",
        "commands",
        ("approver", "compliance", "risk", "operator", "issuer", "program"),
        writes=True,
    ),
    Access("GET", "incidents", _WATCHERS),
    Access("GET", "roster", _READERS),
    Access("GET", "log/checkpoint", _READERS),
    Access("GET", "log/entries", _WATCHERS),
    Access("GET", "log/proofs/{index}", _READERS),
    Access("POST", "log/notes", ("compliance", "risk", "operator", "program"), writes=True),
    Access("GET", "log/notes", _WATCHERS),
    Access("POST", "log/notes/{index}/erase", ("owner",), writes=True),
    Access("GET", "register.csv", _READERS),
    Access("GET", "/pki/{operator}/root.crt", ("anyone",)),
    Access("GET", "/pki/{operator}/root.pem", ("anyone",)),
    Access("GET", "/pki/{operator}/issuing.crt", ("anyone",)),
    Access("GET", "/pki/{operator}/issuing.pem", ("anyone",)),
    Access("GET", "/pki/{operator}/crl/{shard}.crl", ("anyone",), writes=True),
    Access("POST", "/pki/{operator}/ocsp", ("anyone",)),
    Access("GET", "/pki/{operator}/ocsp/{request}", ("anyone",)),
)
_BY_ROUTE: Final = {(row.method, row.path): row for row in ACCESS}


def access_of(method: str, path: str) -> Access:
    """The row of a route; one that nobody may ask where there is none."""
    return _BY_ROUTE.get((method, path), Access(method, path, ()))


def may(role: Role, method: str, path: str) -> bool:
    """Whether a caller of this role may ask this."""
    roles = access_of(method, path).roles
    return "anyone" in roles or role in roles
