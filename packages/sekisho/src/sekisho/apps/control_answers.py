# SPDX-License-Identifier: Apache-2.0
"""Answers of the control plane: JSON, problems of RFC 9457, each with its request id
(docs/spec/control-plane.md section 4).
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import msgspec

from sekisho.core.encoding import canonical
from sekisho.core.errors import (
    ConfigurationInvalid,
    MalformedInput,
    NotAuthorised,
    OutcomeUnknown,
    SekishoError,
    VerificationFailed,
)
from sekisho.services.repeatable import ControlAnswer

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
PREFIX: Final = "urn:sekisho:problem:"
WORDS: Final[dict[str, int]] = {
    "malformed": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "not-found": 404,
    "method-not-allowed": 405,
    "conflict": 409,
    "too-large": 413,
    "unsupported-media-type": 415,
    "key-used": 422,
    "too-many": 429,
    "unavailable": 503,
}
_STATUSES: Final = {status: word for word, status in WORDS.items()}


class Refused(Exception):
    """A request that is answered with a problem.

    Attributes:
        word: of :data:`WORDS`.
        detail: what is wrong and what to do.
        more: further members of the problem.
    """

    def __init__(self, word: str, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.word = word
        self.detail = detail
        self.more = more


def told(content: Any, status: int = 200) -> ControlAnswer:
    """A success, as canonical JSON."""
    return ControlAnswer(status, JSON, canonical(content))


def problem(word: str, detail: str, request_id: str, **more: Any) -> ControlAnswer:
    """A problem document."""
    status = WORDS[word]
    content = {
        "type": PREFIX + word,
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "request_id": request_id,
        **more,
    }
    return ControlAnswer(status, PROBLEM, msgspec.json.encode(content))


def problem_of_status(status: int, detail: str, request_id: str) -> ControlAnswer:
    """The problem for a status that the routing found."""
    return problem(_STATUSES.get(status, "malformed"), detail, request_id)


def problem_of(error: SekishoError, request_id: str) -> ControlAnswer:
    """The problem for a failure of this product; ``errors`` has each cause where there are several.

    What may have taken effect says so; everything that is not the caller's fault is 503.
    """
    more: dict[str, Any] = {}
    causes = str(error).splitlines()
    if len(causes) > 1:
        more["errors"] = causes
    if error.where:
        more["where"] = error.where
    if error.do:
        more["do"] = error.do
    if isinstance(error, OutcomeUnknown):
        return problem("unavailable", str(error), request_id, effect="unknown", **more)
    if isinstance(error, MalformedInput):
        return problem("malformed", str(error), request_id, **more)
    if isinstance(error, NotAuthorised | VerificationFailed):
        return problem("forbidden", str(error), request_id, **more)
    if isinstance(error, ConfigurationInvalid):
        return problem("conflict", str(error), request_id, **more)
    return problem("unavailable", str(error), request_id, **more)
