# SPDX-License-Identifier: Apache-2.0
"""The control plane's OpenAPI 3.1 document, made from the tables of routes.

Who may ask is in ``core.governance.access``, how a route is answered in ``control_routes``, what
goes in and out in ``control_table``. The file that is served (``control-plane.json``) is what
:func:`document` made; a test compares them, and the copy in docs/spec.
"""

from __future__ import annotations

import importlib.resources
import json
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from sekisho.apps.control_answers import JSON, PREFIX, WORDS
from sekisho.apps.control_api import PREFIX as BELOW
from sekisho.apps.control_api import Serves
from sekisho.apps.control_table import (
    IN_PATH,
    IN_QUERY,
    NARROWED,
    TABLE,
    Bytes,
    Described,
    Paged,
)
from sekisho.core.errors import ConfigurationInvalid
from sekisho.core.governance.access import ACCESS, Access

FILE: Final = "control-plane.json"
_PROBLEM: Final = "application/problem+json"
_REF: Final = "#/components/schemas/"
_TAGS: Final = {
    "server": "The server as a whole.",
    "keys": "API keys.",
    "governance": "Policies, approvals, commands, the roster.",
    "agents": "Agents, certificates, incidents.",
    "log": "The log as its readers need it.",
    "public": "For anybody, without a credential.",
}
_SAID: Final = {
    400: "A parameter, header or body that is not as specified; nothing was done.",
    401: "No key, or one that is unknown, ended or expired.",
    403: "The role, the signatures, the duties or the state forbid it.",
    404: "Not there, or not this caller's.",
    409: "The state forbids it, or a request under this Idempotency-Key is under way or in doubt.",
    413: "The body is too large.",
    415: "The body is of another media type.",
    422: "This Idempotency-Key was used for another request.",
    503: 'Nothing happened; with `effect` "unknown" it may have.',
}


def control_document() -> bytes:
    """The document as it is served: the file of this package."""
    return importlib.resources.files("sekisho.apps").joinpath(FILE).read_bytes()


def document(answered: Mapping[tuple[str, str], Serves]) -> bytes:
    """The document of these routes, in its one spelling.

    Args:
        answered: how each row of the access table is answered.

    Raises:
        ConfigurationInvalid: a route is not described, or something described is no route.
    """
    _check_described(answered)
    forms = _forms()
    references, schemas = msgspec.json.schema_components(forms, ref_template=_REF + "{name}")
    schema_of = dict(zip(forms, references, strict=True))
    paths: dict[str, Any] = {}
    for row in ACCESS:
        path = row.path if row.path.startswith("/") else BELOW + row.path
        described, serves = TABLE[row.method, row.path], answered[row.method, row.path]
        paths.setdefault(path, {})[row.method.lower()] = _operation(
            row, path, serves, described, schema_of
        )
    whole = {
        **_head(),
        "paths": paths,
        "components": {
            "securitySchemes": {"key": _KEY},
            "responses": {_name(status): _problem(status) for status in _SAID},
            "schemas": dict(sorted(_narrowed(schemas).items())),
        },
    }
    return (json.dumps(whole, indent=2, ensure_ascii=False) + "\n").encode()


_KEY: Final = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key, `sk_ID_SECRET`. On its own Unix socket the authority's own user "
    "needs none where `x-roles` has `owner`.",
}


def _check_described(answered: Mapping[tuple[str, str], Serves]) -> None:
    """Raises ConfigurationInvalid: names each route, part of a path and parameter at fault."""
    routes = {(row.method, row.path) for row in ACCESS}
    faults = [
        f"{' '.join(one)}: no row in apps/control_table.py" for one in sorted(routes - set(TABLE))
    ]
    faults += [
        f"{' '.join(one)}: described, and no row of core/governance/access.py"
        for one in sorted(set(TABLE) - routes)
    ]
    for (method, path), serves in sorted(answered.items()):
        unknown = [name for name in _parts(path) if name not in IN_PATH]
        unknown += [name for name in serves.query if name not in IN_QUERY]
        faults += [
            f"{method} {path}: {name} has no schema in apps/control_table.py" for name in unknown
        ]
    names = [one.name for one in TABLE.values()]
    faults += [f"{name}: the id of two operations" for name in set(names) if names.count(name) > 1]
    if faults:
        raise ConfigurationInvalid("\n".join(faults))


def _parts(path: str) -> list[str]:
    return re.findall(r"\{([a-z0-9]+)\}", path)


def _forms() -> list[type]:
    """Every form of the table, once, in its order."""
    found: dict[type, None] = {}
    for one in TABLE.values():
        answer = one.answer
        if isinstance(answer, Paged):
            found[answer.row] = None
        elif isinstance(answer, type):
            found[answer] = None
        elif isinstance(answer, tuple):
            found.update(dict.fromkeys(answer))
        if one.body is not None:
            found[one.body] = None
        found.update({form: None for _, form in one.also})
    return list(found)


def _narrowed(schemas: dict[str, Any]) -> dict[str, Any]:
    """The schemas with what their types do not say; a body has no member that is not named."""
    bodies = {one.body.__name__ for one in TABLE.values() if one.body is not None}
    for name, members in NARROWED.items():
        for member, more in members.items():
            schemas[name]["properties"][member].update(more)
    for name in bodies:
        schemas[name]["additionalProperties"] = False
    return schemas | {"Problem": _PROBLEM_SCHEMA}


def _operation(
    row: Access, path: str, serves: Serves, described: Described, schema_of: dict[type, Any]
) -> dict[str, Any]:
    public = "anyone" in row.roles
    found: dict[str, Any] = {
        "operationId": described.name,
        "summary": described.says,
        "tags": [_tag(row)],
        "security": [] if public else [{"key": []}],
        "x-roles": list(row.roles),
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": IN_PATH[name]}
        for name in _parts(path)
    ]
    parameters += [
        {"name": name, "in": "query", "required": False, "schema": IN_QUERY[name]}
        for name in serves.query
    ]
    if serves.creates:
        parameters.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": True,
                "description": "The caller's own: the same request again gets the same answer.",
                "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
            }
        )
    if parameters:
        found["parameters"] = parameters
    if serves.media:
        form = {} if described.body is None else schema_of[described.body]
        found["requestBody"] = {
            "required": True,
            "description": f"At most {serves.bytes_max:,} bytes.",
            "content": {media: {"schema": form} for media in serves.media},
        }
    found["responses"] = _answers(row, serves, described, schema_of)
    return found


def _tag(row: Access) -> str:
    if row.path.startswith("/v1/") and "keys" not in row.path:
        return "server"
    first = row.path.removeprefix("/v1/").partition("/")[0]
    if first in ("keys", "log"):
        return first
    if row.path.startswith("/pki/"):
        return "public"
    inside = ("agents", "certificates", "incidents", "register.csv")
    return "agents" if first in inside else "governance"


def _answers(
    row: Access, serves: Serves, described: Described, schema_of: dict[type, Any]
) -> dict[str, Any]:
    """Every status that the route can have: its own, then what is told before it is reached."""
    public = "anyone" in row.roles
    statuses = {400, 401, 413, 503}
    if not public:
        statuses.add(403)
    if _parts(row.path) or not row.path.startswith("/v1/"):
        statuses.add(404)
    if serves.media:
        statuses.add(415)
    if row.method == "POST" and not public:
        statuses.add(409)
    if serves.creates:
        statuses.add(422)
    found = {
        str(status): {"$ref": f"#/components/responses/{_name(status)}"} for status in statuses
    }
    found[str(described.status)] = _success(described, schema_of)
    for status, form in described.also:
        problem = _problem(status)
        problem["content"] = {JSON: {"schema": schema_of[form]}, **problem["content"]}
        found[str(status)] = problem
    return dict(sorted(found.items()))


def _success(described: Described, schema_of: dict[type, Any]) -> dict[str, Any]:
    answer = described.answer
    media = JSON
    schema: dict[str, Any] = {}
    if isinstance(answer, Bytes):
        media = answer.media_type
    elif isinstance(answer, Paged):
        schema = {
            "type": "object",
            "required": ["items", "next"],
            "properties": {
                "items": {"type": "array", "items": schema_of[answer.row]},
                "next": {"type": "string", "description": 'The next cursor, or "".'},
            },
        }
    elif isinstance(answer, tuple):  # of forms, of which it is one
        schema = {"anyOf": [schema_of[one] for one in answer]}
    else:
        schema = answer if isinstance(answer, dict) else schema_of[answer]
    says = f"{answer.says}." if isinstance(answer, Bytes) else "Done."
    return {
        "description": says[0].upper() + says[1:],
        "headers": _headers(described.status),
        "content": {media: {"schema": schema}},
    }


def _name(status: int) -> str:
    """What the document calls the problem of a status."""
    return _word(status).title().replace("-", "")


def _word(status: int) -> str:
    return next(word for word, known in WORDS.items() if known == status)


def _problem(status: int) -> dict[str, Any]:
    word = _word(status)
    exact = {
        "type": "object",
        "properties": {"type": {"const": PREFIX + word}, "status": {"const": status}},
        "required": ["type", "status"],
    }
    return {
        "description": _SAID[status],
        "headers": _headers(status),
        "content": {_PROBLEM: {"schema": {"allOf": [{"$ref": f"{_REF}Problem"}, exact]}}},
    }


def _headers(status: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "X-Request-Id": {"schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"}}
    }
    if status == 401:
        found["WWW-Authenticate"] = {"schema": {"const": "Bearer"}}
    if status in (409, 429, 503):
        found["Retry-After"] = {"schema": {"type": "string"}}
    return found


_PROBLEM_SCHEMA: Final = {
    "title": "Problem",
    "description": "RFC 9457.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {
        "type": {"type": "string", "enum": [PREFIX + word for word in WORDS]},
        "title": {"type": "string"},
        "status": {"type": "integer", "enum": sorted(set(WORDS.values()))},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "string"}},
        "where": {"type": "string"},
        "do": {"type": "string"},
        "effect": {"enum": ["unknown", "running"]},
    },
}


def _head() -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "Sekisho control plane",
            "version": "1",
            "summary": "The authority's interface for people and programs.",
            "description": "The machine-readable form of docs/spec/control-plane.md, which is "
            "normative. Members may be added to answers within /v1; clients ignore those that "
            "they do not know. Every path answers another method than its own with 405. "
            "`x-roles` says whose keys a route is for.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [
            {"url": "http://authority", "description": "On a Unix socket or loopback."},
            {
                "url": "https://{host}:{port}",
                "description": "On TCP, TLS 1.3.",
                "variables": {"host": {"default": "localhost"}, "port": {"default": "8444"}},
            },
        ],
        "tags": [{"name": name, "description": says} for name, says in _TAGS.items()],
    }
