# SPDX-License-Identifier: Apache-2.0
"""Problems as a web interface says them: RFC 9457, every one of a closed list of words."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from starlette.responses import Response

from sekisho.core.errors import (
    ConfigurationInvalid,
    MalformedInput,
    NotAuthorised,
    SekishoError,
    VerificationFailed,
)

PREFIX: Final = "urn:sekisho:problem:"
MEDIA_TYPE: Final = "application/problem+json"
STATUS: Final[dict[str, int]] = {
    "refused": 422,
    "withdrawn": 409,
    "unavailable": 503,
    "unauthenticated": 401,
    "forbidden": 403,
    "not-found": 404,
    "method-not-allowed": 405,
    "too-large": 413,
    "unsupported-media-type": 415,
    "malformed": 400,
}
_WORDS: Final = {status: word for word, status in STATUS.items()}


def json_response(
    content: Any, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """JSON with no cache."""
    told = {"cache-control": "no-store"} | (headers or {})
    return Response(msgspec.json.encode(content), status, told, media_type="application/json")


def problem(word: str, detail: str, **more: Any) -> Response:
    """A problem document.

    Args:
        word: of :data:`STATUS`.
        detail: what is wrong and what to do.
        more: further members.
    """
    status = STATUS[word]
    content = {
        "type": PREFIX + word,
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **more,
    }
    headers = {"cache-control": "no-store"}
    if word == "unauthenticated":
        headers["www-authenticate"] = "Bearer"
    return Response(msgspec.json.encode(content), status, headers, media_type=MEDIA_TYPE)


def problem_of_status(
    status: int, detail: str, headers: Mapping[str, str] | None = None
) -> Response:
    """The problem for a status that the routing found, with the headers that belong to it."""
    found = problem(_WORDS.get(status, "malformed"), detail)
    found.headers.update(headers or {})
    return found


def problem_of(error: SekishoError) -> Response:
    """The problem for a failure: what the caller did wrong, or that something does not answer."""
    if isinstance(error, MalformedInput | VerificationFailed | ConfigurationInvalid):
        return problem("malformed", str(error))
    if isinstance(error, NotAuthorised):
        return problem("forbidden", str(error))
    return problem("unavailable", str(error))
