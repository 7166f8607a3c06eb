# SPDX-License-Identifier: Apache-2.0
"""The permit protocol of the paper venue over HTTP (docs/spec/venues.md section 2).

Thin: it recognises the credential, bounds and translates. Whether a permit is good is the venue's
own judgement, and what it did is in the venue's own log. What an answer promises: a problem of the
words in :data:`CERTAIN` means that nothing took effect here; any other failure promises nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from sekisho.apps.bodies import TurnedAway, on_turned_away, read_json_body
from sekisho.apps.problems import json_response, problem, problem_of, problem_of_status
from sekisho.core.encoding import parse_plain, unb64
from sekisho.core.errors import MalformedInput, NotAuthorised, OutcomeUnknown, SekishoError
from sekisho.core.markets import pair_of
from sekisho.core.terms import AGENT_NAME, CLIENT_ORDER_ID, MARKET
from sekisho.ports import Quotation, Venue, VenueReport

BODY_BYTES_MAX = 65_536
TAPE_PAGE: Final = 1_000
"""Reports in one answer to a question about the tape."""
PAIRS_MAX: Final = 64
SEQUENCE_DIGITS_MAX: Final = 12
CERTAIN: Final = (
    "unauthenticated",
    "forbidden",
    "not-found",
    "method-not-allowed",
    "too-large",
    "unsupported-media-type",
    "malformed",
    "unavailable",
)
"""Problems with which this interface promises that the request had no effect."""


class PermitDesk(Protocol):
    """What the interface needs of a venue."""

    @property
    def series(self) -> str:
        """Names the life of the book: another one once it was begun anew."""
        ...

    def session(self, credential: str) -> Venue:
        """The venue as the holder of a credential reaches it. Raises NotAuthorised."""
        ...

    def register(self, credential: str, der: bytes) -> None:
        """Take an agent's certificate. Raises VerificationFailed, MalformedInput."""
        ...

    async def quotations(self, pairs: tuple[str, ...]) -> tuple[Quotation, ...]:
        """What the venue trades at now; of everything that it quotes where no pair is named."""
        ...


Answering = Callable[[Request], Awaitable[Response]]


class PermitApi:
    """The handlers, over one venue."""

    def __init__(self, desk: PermitDesk) -> None:
        self._desk = desk

    async def permits(self, request: Request) -> Response:
        """``POST /v1/permits``."""
        venue = self._desk.session(_credential(request))
        permit = _fields(await read_json_body(request, BODY_BYTES_MAX), "permit")["permit"]
        return _reports(await venue.submit(permit))

    async def cancels(self, request: Request) -> Response:
        """``POST /v1/cancels``."""
        venue = self._desk.session(_credential(request))
        fields = _fields(await read_json_body(request, BODY_BYTES_MAX), "agent", "client_order_id")
        agent, name = _agent(fields["agent"]), _order_id(fields["client_order_id"])
        return _reports(await venue.cancel(agent, name))

    async def open_orders(self, request: Request) -> Response:
        """``GET /v1/open?agent=``."""
        venue = self._desk.session(_credential(request))
        found = await venue.open_orders(_agent(_parameters(request, "agent")["agent"]))
        return json_response({"client_order_ids": found})

    async def reports(self, request: Request) -> Response:
        """``GET /v1/reports?agent=&client_order_id=``."""
        venue = self._desk.session(_credential(request))
        asked = _parameters(request, "agent", "client_order_id")
        agent, name = _agent(asked["agent"]), _order_id(asked["client_order_id"])
        return _reports(await venue.order_reports(agent, name))

    async def tape(self, request: Request) -> Response:
        """``GET /v1/tape?after=N&series=S``: a page; ``complete`` says whether it is the last.

        Who counted in another series counted another book: they get this one from its beginning.
        """
        venue = self._desk.session(_credential(request))
        names = ("after", "series") if "series" in request.query_params else ("after",)
        asked = _parameters(request, *names)
        text = asked["after"]
        if not (text.isascii() and text.isdigit() and len(text) <= SEQUENCE_DIGITS_MAX):
            raise MalformedInput("after: a number is wanted", "after")
        after = int(text) if asked.get("series", self._desk.series) == self._desk.series else 0
        _, found = await venue.reports_since(after)
        page = found[:TAPE_PAGE]
        return json_response(
            {
                "series": self._desk.series,
                "sequence": after + len(page),
                "complete": len(page) == len(found),
                "reports": [msgspec.to_builtins(report) for report in page],
            }
        )

    async def rates(self, request: Request) -> Response:
        """``GET /v1/rates?pairs=A/B,C/D``."""
        self._desk.session(_credential(request))
        pairs: tuple[str, ...] = ()
        if "pairs" in request.query_params:
            pairs = _pairs(_parameters(request, "pairs")["pairs"])
        found = await self._desk.quotations(pairs)
        # The source's name is the reader's: what it calls this feed in its configuration.
        return json_response(
            {
                "quotations": [
                    {
                        "market": one.market,
                        "bid": one.bid,
                        "ask": one.ask,
                        "quoted_at": one.quoted_at,
                    }
                    for one in found
                ]
            }
        )

    async def certificates(self, request: Request) -> Response:
        """``POST /v1/certificates``."""
        credential = _credential(request)
        self._desk.session(credential)
        text = _fields(await read_json_body(request, BODY_BYTES_MAX), "certificate")["certificate"]
        self._desk.register(credential, unb64(text))
        return Response(status_code=204)


def permit_application(desk: PermitDesk) -> Starlette:
    """The ASGI application of the permit protocol over one venue."""
    api = PermitApi(desk)
    routes = [
        Route("/v1/permits", api.permits, methods=["POST"]),
        Route("/v1/cancels", api.cancels, methods=["POST"]),
        Route("/v1/open", api.open_orders, methods=["GET"]),
        Route("/v1/reports", api.reports, methods=["GET"]),
        Route("/v1/tape", api.tape, methods=["GET"]),
        Route("/v1/rates", api.rates, methods=["GET"]),
        Route("/v1/certificates", api.certificates, methods=["POST"]),
    ]
    handlers: dict[Any, Any] = {
        TurnedAway: on_turned_away,
        SekishoError: _on_failure,
        HTTPException: _on_routing,
        ClientDisconnect: _on_gone,
        Exception: _on_defect,
    }
    return Starlette(routes=routes, exception_handlers=handlers)


def _credential(request: Request) -> str:
    """The bearer token; empty, which nobody has, where there is none or more than one."""
    found = request.headers.getlist("authorization")
    scheme, _, token = found[0].partition(" ") if len(found) == 1 else ("", "", "")
    return token.strip() if scheme.lower() == "bearer" else ""


def _fields(body: bytes, *names: str) -> dict[str, str]:
    """A closed object of strings. Raises MalformedInput."""
    plain = parse_plain(body, numbers=False)
    if not isinstance(plain, dict) or set(plain) != set(names):
        raise MalformedInput(f"an object of exactly {', '.join(names)} is wanted")
    for name in names:
        if not isinstance(plain[name], str):
            raise MalformedInput(f"{name}: text is wanted", name)
    return plain


def _parameters(request: Request, *names: str) -> dict[str, str]:
    """Exactly these parameters, once each. Raises MalformedInput."""
    given = request.query_params.multi_items()
    if sorted(name for name, _ in given) != sorted(names):
        raise MalformedInput(f"the parameters are {', '.join(names)}, once each")
    return dict(given)


def _agent(text: str) -> str:
    if AGENT_NAME.fullmatch(text) is None:
        raise MalformedInput("agent: not an agent's name", "agent")
    return text


def _order_id(text: str) -> str:
    if CLIENT_ORDER_ID.fullmatch(text) is None:
        raise MalformedInput("client_order_id: not like order-0001", "client_order_id")
    return text


def _pairs(text: str) -> tuple[str, ...]:
    """Markets, each brought to its pair, without repetition."""
    markets = text.split(",")
    if len(markets) > PAIRS_MAX:
        raise MalformedInput(f"pairs: at most {PAIRS_MAX}", "pairs")
    for market in markets:
        if MARKET.fullmatch(market) is None:
            raise MalformedInput("pairs: markets like EUR/USD are wanted", "pairs")
    return tuple(dict.fromkeys(pair_of(market)[0] for market in markets))


def _reports(reports: tuple[VenueReport, ...]) -> Response:
    return json_response({"reports": [msgspec.to_builtins(report) for report in reports]})


async def _on_failure(_request: Request, error: Exception) -> Response:
    if isinstance(error, OutcomeUnknown):
        # Perhaps it took effect: an answer without one of the words that promise otherwise.
        return Response("the outcome is not known", 504, media_type="text/plain")
    if isinstance(error, NotAuthorised):
        return problem("unauthenticated", str(error))
    if not isinstance(error, SekishoError):
        raise error
    return problem_of(error)


async def _on_routing(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return problem_of_status(error.status_code, error.detail)


async def _on_gone(_request: Request, _error: Exception) -> Response:
    """Nobody is there to read it."""
    return problem("malformed", "the request ended before it was complete")


async def _on_defect(_request: Request, _error: Exception) -> Response:
    """A defect of the venue, perhaps after it acted: no word that promises the contrary.

    The server logs the failure itself.
    """
    return Response("the venue failed on this request", 500, media_type="text/plain")
