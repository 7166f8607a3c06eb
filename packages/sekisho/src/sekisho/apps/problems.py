# SPDX-License-Identifier: Apache-2.0
"""Problems as a web interface says them: RFC 9457, every one of a closed list of words."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple

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


class Said(NamedTuple):
    """An answer before it is a response: JSON that nobody may keep."""

    status: int
    media_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = (("cache-control", "no-store"),)

    def response(self) -> Response:
        """The same, for what answers with one."""
        return Response(self.body, self.status, dict(self.headers), media_type=self.media_type)


def json_said(content: Any, status: int = 200) -> Said:
    """JSON with no cache."""
    return Said(status, "application/json", msgspec.json.encode(content))


def json_response(
    content: Any, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """JSON with no cache."""
    told = {"cache-control": "no-store"} | (headers or {})
    return Response(msgspec.json.encode(content), status, told, media_type="application/json")


def problem_said(word: str, detail: str, **more: Any) -> Said:
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
    said = Said(status, MEDIA_TYPE, msgspec.json.encode(content))
    if word == "unauthenticated":
        return said._replace(headers=(*said.headers, ("www-authenticate", "Bearer")))
    return said


def problem(word: str, detail: str, **more: Any) -> Response:
    """The same as a response."""
    return problem_said(word, detail, **more).response()


def problem_of_status(
    status: int, detail: str, headers: Mapping[str, str] | None = None
) -> Response:
    """The problem for a status that the routing found, with the headers that belong to it."""
    found = problem(_WORDS.get(status, "malformed"), detail)
    found.headers.update(headers or {})
    return found


def failure_said(error: SekishoError) -> Said:
    """The problem for a failure: what the caller did wrong, or that something does not answer."""
    if isinstance(error, MalformedInput | VerificationFailed | ConfigurationInvalid):
        return problem_said("malformed", str(error))
    if isinstance(error, NotAuthorised):
        return problem_said("forbidden", str(error))
    return problem_said("unavailable", str(error))


def problem_of(error: SekishoError) -> Response:
    """The same as a response."""
    return failure_said(error).response()
