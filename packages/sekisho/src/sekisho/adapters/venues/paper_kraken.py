# SPDX-License-Identifier: Apache-2.0
"""The paper venue's Kraken-shaped side, an ASGI application (docs/spec/kraken.md, section 4).

Another firm: it knows gates' key pairs, not their agents. Each key is of an account, and shows and
does what ``paper_kraken_desk`` says of that account. A signed request is not enough here: an order
executes only by the permit that it carries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sekisho.adapters.venues.paper import PaperVenue
from sekisho.adapters.venues.paper_kraken_desk import (
    ARGUMENTS,
    KrakenDesk,
    KrakenRefusal,
    Told,
)
from sekisho.core.errors import MalformedInput, Unavailable
from sekisho.core.kraken import (
    FORM_BYTES_MAX,
    PRIVATE,
    PairTable,
    read_form,
    read_nonce,
    same_signature,
    signature,
)
from sekisho.core.kraken_answers import answer, asset_pairs, assets, refusal
from sekisho.core.terms import NS, format_instant
from sekisho.ports import Clock


class KrakenKey(NamedTuple):
    """A key pair: the decoded secret, and the venue as the key's account sees it."""

    secret: bytes
    venue: PaperVenue


class KrakenSide:
    """The Kraken-shaped side of one paper venue.

    Args:
        keys: key → its pair.
        pairs: what is listed.
        clock: the venue's.
        refused_logon: told why a request was nobody's.
        refused_order: told why an order was refused before the venue looked at its permit, and for
            which account.
    """

    def __init__(
        self,
        keys: Mapping[str, KrakenKey],
        pairs: PairTable,
        clock: Clock,
        refused_logon: Told = str,
        refused_order: Callable[[str, str], object] = max,
    ) -> None:
        self._secrets = {key: one.secret for key, one in keys.items()}
        self._pairs = pairs
        self._clock = clock
        self._refused_logon = refused_logon
        self._last: dict[str, int] = {}
        desks: dict[str, KrakenDesk] = {}
        for one in keys.values():
            account = one.venue.account
            if account not in desks:
                told = _told(refused_order, account)
                desks[account] = KrakenDesk(one.venue, pairs, clock, told)
        self._desks = {key: desks[one.venue.account] for key, one in keys.items()}

    async def private(self, request: Request) -> Response:
        """``POST /0/private/METHOD``."""
        method = request.path_params["method"]
        try:
            if not method.isascii():  # nothing that could be signed
                raise KrakenRefusal("EGeneral:Permission denied", "EGeneral:Unknown method")
            key, form = self._signed(request, PRIVATE + method, await _body(request))
            act = self._desks[key].methods.get(method)
            if act is None:
                raise KrakenRefusal("EGeneral:Permission denied", "EGeneral:Unknown method")
            return _json(answer(act(form)))
        except KrakenRefusal as wrong:
            return _json(refusal(wrong.errors))
        except Unavailable:
            return _json(refusal(["EService:Unavailable"]))

    async def public(self, request: Request) -> Response:
        """``GET /0/public/METHOD``."""
        now = self._clock.now_ns()
        found: dict[str, Any] = {
            "Time": {"unixtime": now // NS, "rfc1123": ""},
            "SystemStatus": {"status": "online", "timestamp": format_instant(now)},
            "AssetPairs": asset_pairs(self._pairs),
            "Assets": assets(self._pairs),
        }
        method = request.path_params["method"]
        if method not in found:
            return _json(refusal(["EGeneral:Permission denied", "EGeneral:Unknown method"]))
        return _json(answer(found[method]))

    # -- who -----------------------------------------------------------------------------------

    def _signed(self, request: Request, path: str, body: bytes) -> tuple[str, dict[str, str]]:
        """Key and form of a request whose signature and nonce are good."""
        key = request.headers.get("api-key", "")
        secret = self._secrets.get(key)
        try:
            fields = read_form(body)
            nonce = read_nonce(fields)
        except MalformedInput as error:
            raise KrakenRefusal(ARGUMENTS) from error
        if secret is None:
            self._refused_logon("unknown_key")
            raise KrakenRefusal("EAPI:Invalid key")
        sign = request.headers.get("api-sign", "")
        if not same_signature(sign, signature(path, nonce, body, secret)):
            self._refused_logon("invalid_signature")
            raise KrakenRefusal("EAPI:Invalid key", "EAPI:Invalid signature")
        if int(nonce) <= self._last.get(key, -1):
            self._refused_logon("old_nonce")
            raise KrakenRefusal("EAPI:Invalid nonce")
        self._last[key] = int(nonce)
        if len({name for name, _ in fields}) != len(fields):
            raise KrakenRefusal(ARGUMENTS)
        return key, dict(fields)


def paper_kraken_application(side: KrakenSide) -> Starlette:
    """The ASGI application."""
    return Starlette(
        routes=[
            Route(PRIVATE + "{method}", side.private, methods=["POST"]),
            Route("/0/public/{method}", side.public, methods=["GET", "POST"]),
        ]
    )


def _told(refused: Callable[[str, str], object], account: str) -> Told:
    return lambda reason: refused(account, reason)


async def _body(request: Request) -> bytes:
    taken = bytearray()
    async for part in request.stream():
        taken += part
        if len(taken) > 2 * FORM_BYTES_MAX:
            raise KrakenRefusal(ARGUMENTS)
    return bytes(taken)


def _json(content: bytes) -> Response:
    return Response(content, media_type="application/json")
