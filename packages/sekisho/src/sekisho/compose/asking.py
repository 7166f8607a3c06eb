# SPDX-License-Identifier: Apache-2.0
"""Who sent a request, from the peer that the server saw and the token that it shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from sekisho.adapters.web.peers import Peer, peer_in, subject_uris
from sekisho.services.callers import Caller, Callers, Denied

Word = Literal["unauthenticated", "forbidden"]
OnRefused = Callable[[Word, int | None], None]


def _unheard(_word: Word, _uid: int | None) -> None:
    """Nobody keeps a book of it."""


class Asking:
    """Recognises callers by their requests."""

    def __init__(self, callers: Callers, refused: OnRefused = _unheard) -> None:
        """``refused`` hears of each request of nobody that may ask: the word, and the user id."""
        self._callers = callers
        self._refused = refused
        self._seen: dict[bytes, Caller] = {}

    def __call__(self, scope: Mapping[str, Any]) -> Caller | Denied:
        """The caller, by the connection of this ASGI scope."""
        peer = peer_in(scope)
        found = self._recognised(scope, peer)
        if isinstance(found, Denied):
            self._refused(found.word, peer.uid)
        return found

    def _recognised(self, scope: Mapping[str, Any], peer: Peer) -> Caller | Denied:
        if peer.transport == "unix":
            return self._callers.on_unix(peer.uid, _authorization(scope))
        if peer.transport == "tls":
            return self._by_certificate(peer)
        return Denied("forbidden", "this connection says nothing of who is at its other end")

    def _by_certificate(self, peer: Peer) -> Caller | Denied:
        """TLS verified the certificate when the connection was made; its URI says who it is."""
        if peer.certificate is None:
            return Denied("forbidden", "no client certificate was shown")
        known = self._seen.get(peer.certificate)
        if known is not None:
            return known
        found = self._callers.by_certificate(subject_uris(peer.certificate))
        if isinstance(found, Caller) and len(self._seen) < 10_000:
            self._seen[peer.certificate] = found
        return found


def _authorization(scope: Mapping[str, Any]) -> str:
    """The header, empty where there is none or more than one."""
    found = [value for name, value in scope["headers"] if name == b"authorization"]
    return found[0].decode("latin-1") if len(found) == 1 else ""
