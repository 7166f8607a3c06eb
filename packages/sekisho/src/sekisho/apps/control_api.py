# SPDX-License-Identifier: Apache-2.0
"""The control plane over HTTP: who asks, may they, for which operator, and then the desk
(docs/spec/control-plane.md).

Thin. Nothing of a request is read before it is known who asks and that the table admits them; the
operator of the path is the only authority that a handler gets to see.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, Protocol

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from sekisho.apps.bodies import TurnedAway, read_body
from sekisho.apps.control_answers import Refused, problem, problem_of, problem_of_status, told
from sekisho.core.errors import AnotherWrites, SekishoError
from sekisho.core.governance.access import Access, Role, access_of, may
from sekisho.core.terms import NAME
from sekisho.ports import Entropy
from sekisho.services.apikeys import ApiKeys, role_of
from sekisho.services.controldesk import ControlDesk
from sekisho.services.governancedesk import GovernanceDesk, LimitsTaken
from sekisho.services.notes import NoteDesk
from sekisho.services.peopledesk import PeopleDesk
from sekisho.services.publicdesk import PublicDesk
from sekisho.services.repeatable import KEY, ControlAnswer, Repeatable, Repeated

BODY_BYTES_MAX = 262_144
PREFIX = "/v1/operators/{operator}/"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HIDDEN = "there is no such operator, or it is not yours"


class Hosted(Protocol):
    """One operator of this server, as compose makes it."""

    @property
    def desk(self) -> ControlDesk:
        """What is shown of it."""
        ...

    @property
    def people(self) -> PeopleDesk:
        """What people ask of it."""
        ...

    @property
    def public(self) -> PublicDesk:
        """What it publishes for strangers."""
        ...

    @property
    def governance(self) -> GovernanceDesk:
        """Its limits, differences, withdrawals, rosters."""
        ...

    @property
    def notes(self) -> NoteDesk:
        """What people and programs noted of it."""
        ...

    async def register(self, document: bytes, media_type: str) -> str:
        """Register a policy document; its digest. Raises MalformedInput, NotAuthorised."""
        ...

    async def register_limits(self, document: bytes, media_type: str) -> LimitsTaken:
        """Register a document of limits. Raises MalformedInput, NotAuthorised."""
        ...


class Asker(NamedTuple):
    """Who asks. ``operator`` is empty for the issuer and the authority's own user."""

    role: Role
    name: str
    operator: str
    seat: str


class ControlRequest(NamedTuple):
    """A request that was admitted, of one operator (None: of the server as a whole)."""

    asker: Asker
    hosted: Hosted | None
    operator: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    media_type: str

    @property
    def here(self) -> Hosted:
        """The operator. Raises Refused where the path names none."""
        if self.hosted is None:
            raise Refused("not-found", _HIDDEN)
        return self.hosted


Handler = Callable[[ControlRequest], Awaitable[ControlAnswer]]


class Serves(NamedTuple):
    """How a row of the access table is answered.

    Attributes:
        handler: makes the answer.
        query: names of query parameters that it knows.
        media: media types of the body; empty: no body.
        creates: whether it wants an ``Idempotency-Key``.
        shown: what of its answer may be kept for 24 h and shown again.
        bytes_max: of the body.
    """

    handler: Handler
    query: tuple[str, ...] = ()
    media: tuple[str, ...] = ()
    creates: bool = False
    shown: Callable[[ControlAnswer], ControlAnswer] = lambda answer: answer
    bytes_max: int = BODY_BYTES_MAX


class ControlApi:
    """The control plane of one server."""

    def __init__(
        self,
        *,
        hosted: Callable[[str], Hosted | None],
        owner: Callable[[Mapping[str, Any]], bool],
        keys: ApiKeys,
        repeatable: Repeatable,
        entropy: Entropy,
        said: Callable[[str, str, str, int], None] = lambda *_: None,
    ) -> None:
        """Everything that it needs.

        Args:
            hosted: an operator by its name.
            owner: whether a connection is that of the authority's own user.
            keys: of this server.
            repeatable: answers under idempotency keys.
            entropy: for request ids.
            said: told of each answer: request id, route, caller, status.
        """
        self._hosted = hosted
        self._owner = owner
        self._keys = keys
        self._repeatable = repeatable
        self._entropy = entropy
        self._said = said

    def route(self, access: Access, serves: Serves) -> Route:
        """The application's route for a row of the table."""
        path = access.path if access.path.startswith("/") else PREFIX + access.path
        path = path.replace("{request}", "{request:path}")  # base64 has slashes

        async def answer(request: Request) -> Response:
            request_id = self._request_id(request)
            name = "-"
            try:
                asker = await self._asker(request)
                name = asker.name
                found = await self._answer(request, access, serves, asker)
            except Refused as error:
                found = problem(error.word, error.detail, request_id, **error.more)
            except TurnedAway as error:
                found = problem(error.word, error.detail, request_id)
            except HTTPException as error:
                found = problem_of_status(error.status_code, error.detail, request_id)
            except SekishoError as error:
                found = problem_of(error, request_id)
            self._said(request_id, f"{access.method} {access.path}", name, found.status)
            return response(found, request_id)

        return Route(path, answer, methods=[access.method])

    # -- before anything is read ---------------------------------------------------------------

    def _request_id(self, request: Request) -> str:
        given = request.headers.get("x-request-id", "")
        return given if _REQUEST_ID.fullmatch(given) else self._entropy.bytes(8).hex()

    async def _asker(self, request: Request) -> Asker:
        """Who asks. Raises Refused: a credential that is none; Unavailable."""
        presented = request.headers.getlist("authorization")
        if not presented:
            own = self._owner(request.scope)
            return Asker("owner", "owner", "", "") if own else Asker("anyone", "anyone", "", "")
        key = await self._keys.find(presented[0]) if len(presented) == 1 else None
        if key is None:
            raise Refused("unauthenticated", "this key is unknown, ended or expired")
        return Asker(role_of(key), f"key:{key.id}", key.operator, key.seat)

    async def _answer(
        self, request: Request, access: Access, serves: Serves, asker: Asker
    ) -> ControlAnswer:
        operator = str(request.path_params.get("operator", ""))
        hosted = None
        if operator:
            hosted = self._hosted(operator) if NAME.fullmatch(operator) else None
            own = asker.operator in ("", operator)
            if asker.role != "anyone" and (hosted is None or not own):
                raise Refused("not-found", _HIDDEN)
        if not may(asker.role, access.method, access.path):
            if asker.role == "anyone":
                raise Refused("unauthenticated", "present a key: Authorization: Bearer sk_…")
            raise Refused("forbidden", f"this is not for the role {asker.role}")
        if operator and hosted is None:
            raise Refused("not-found", _HIDDEN)
        query = _query(request, serves.query)
        body = await read_body(request, serves.bytes_max)
        media_type = _media_type(request, serves, body)
        path = {name: str(value) for name, value in request.path_params.items()}
        asked = ControlRequest(asker, hosted, operator, path, query, body, media_type)
        if not serves.creates:
            return await _plainly(serves.handler, asked)
        return await self._once(request, serves, asked)

    async def _once(self, request: Request, serves: Serves, asked: ControlRequest) -> ControlAnswer:
        key = request.headers.get("idempotency-key", "")
        if KEY.fullmatch(key) is None:
            raise Refused("malformed", "Idempotency-Key: 1 to 64 of A-Z a-z 0-9 . _ - are wanted")
        what = request.method, request.url.path, asked.body
        caller = f"{asked.operator} {asked.asker.name}"
        request_id = self._request_id(request)

        async def work() -> ControlAnswer:
            try:
                return await _plainly(serves.handler, asked)
            except Refused as error:
                return problem(error.word, error.detail, request_id, **error.more)
            except SekishoError as error:
                return problem_of(error, request_id)

        found = await self._repeatable.carry_out(caller, key, what, work, serves.shown)
        if not isinstance(found, Repeated):
            return found
        if found.why == "other":
            raise Refused("key-used", "this Idempotency-Key was used for another request")
        if found.why == "running":
            raise Refused(
                "conflict", "this request is being carried out; ask again", effect="running"
            )
        raise Refused(
            "conflict",
            "whether this was done is not known: read what is there, then use another key",
            effect="unknown",
        )


async def _plainly(handler: Handler, asked: ControlRequest) -> ControlAnswer:
    """A handler's answer; a writer that has just stopped being it did nothing."""
    try:
        return await handler(asked)
    except AnotherWrites as error:
        raise Refused("unavailable", f"{error}; ask again") from error


def _query(request: Request, known: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in known or name in found or not value:
            wanted = ", ".join(known) or "none"
            raise Refused(
                "malformed",
                f"query: {name[:40]!r}; known are, each once and with a value: {wanted}",
            )
        found[name] = value
    return found


def _media_type(request: Request, serves: Serves, body: bytes) -> str:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not serves.media:
        if body:
            raise Refused("malformed", "this request has no body")
        return ""
    if given not in serves.media:
        raise Refused("unsupported-media-type", f"Content-Type: {' or '.join(serves.media)}")
    return given


def response(answer: ControlAnswer, request_id: str) -> Response:
    """An answer as it is sent."""
    headers = {"cache-control": "no-store", "x-request-id": request_id}
    if answer.status == 401:
        headers["www-authenticate"] = "Bearer"
    if answer.status in (409, 429, 503):
        headers["retry-after"] = "1"
    headers.update(answer.headers)
    if answer.parts is not None:
        return StreamingResponse(answer.parts, answer.status, headers, answer.media_type)
    return Response(answer.body, answer.status, headers, media_type=answer.media_type)


__all__ = [
    "Access",
    "Asker",
    "ControlApi",
    "ControlRequest",
    "Hosted",
    "Serves",
    "access_of",
    "told",
]
