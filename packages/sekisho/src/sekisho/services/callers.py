# SPDX-License-Identifier: Apache-2.0
"""Who may ask a gate, and as whom (docs/spec/gate-api.md section 1).

A caller is recognised by what it cannot choose: the user id that the kernel says together with a
token, or a URI of a client certificate that TLS verified. A request never says who it is.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Literal

import msgspec

Role = Literal["agent", "monitor"]
_TOKEN = re.compile(r"[A-Za-z0-9_-]{32,256}")
_BEARER = "Bearer "


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """One that may ask.

    ``uid`` None: not on a Unix socket. ``token_sha256`` is lower-case hexadecimal, empty: no token.
    ``certificate_uri`` empty: not on TCP.
    """

    name: str
    role: Role
    uid: int | None = None
    token_sha256: str = ""
    certificate_uri: str = ""


class Denied(msgspec.Struct, frozen=True):
    """Nobody that may ask: ``unauthenticated`` (show what you are) or ``forbidden`` (not you)."""

    word: Literal["unauthenticated", "forbidden"]
    detail: str


class Callers:
    """Everyone who may ask one gate."""

    def __init__(self, callers: Sequence[Caller]) -> None:
        self._callers = tuple(callers)
        self._uids = frozenset(one.uid for one in callers if one.uid is not None)

    def on_unix(self, uid: int | None, authorization: str) -> Caller | Denied:
        """The caller at the other end of a Unix socket.

        Args:
            uid: user id that the kernel says; None where it says nothing: nobody.
            authorization: the header of this name, empty without one.
        """
        if uid is None or uid not in self._uids:
            return Denied("forbidden", f"no caller of this gate has the user id {uid}")
        digest = _presented(authorization)
        if digest is None:
            return Denied("unauthenticated", "present your token: Authorization: Bearer TOKEN")
        for one in self._callers:
            if one.uid == uid and one.token_sha256 and _same(digest, one.token_sha256):
                return one
        return Denied("unauthenticated", "this token is not that of a caller with your user id")

    def by_token(self, token: str, uid: int | None = None) -> Caller | Denied:
        """The caller with this token, where a protocol carries it in a field of its own.

        Args:
            token: as presented.
            uid: of the peer where the kernel says it; then the caller's must be the same.
        """
        digest = _presented(_BEARER + token)
        for one in self._callers:
            if digest and one.token_sha256 and _same(digest, one.token_sha256):
                if uid is not None and one.uid != uid:
                    break
                return one
        return Denied("unauthenticated", "this is no token of a caller of this gate")

    def by_certificate(self, uris: Sequence[str]) -> Caller | Denied:
        """The caller whose configured URI a verified client certificate carries; exactly one."""
        found = [
            one for one in self._callers if one.certificate_uri and one.certificate_uri in uris
        ]
        if len(found) != 1:
            return Denied("forbidden", "this certificate is not that of one caller of this gate")
        return found[0]


def token_digest(token: str) -> str:
    """What a configuration holds of a token."""
    return hashlib.sha256(token.encode("ascii")).hexdigest()


def _presented(authorization: str) -> str | None:
    token = authorization.removeprefix(_BEARER)
    if token == authorization or _TOKEN.fullmatch(token) is None:
        return None
    return token_digest(token)


def _same(left: str, right: str) -> bool:
    return hmac.compare_digest(left.encode("ascii"), right.encode("ascii"))
