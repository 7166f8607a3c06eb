# SPDX-License-Identifier: Apache-2.0
"""Who sends a request of the Kraken-shaped front: a key pair that is good at this gate alone.

The bot's key names it, its secret signs. Neither is the venue's: whoever steals them can ask this
gate for what the agent's policy allows, and nothing anywhere else.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sekisho.apps.kraken.translation import Route
from sekisho.apps.kraken.wording import INVALID_KEY, INVALID_NONCE, INVALID_SIGNATURE
from sekisho.core.encoding import parse_plain
from sekisho.core.errors import ConfigurationInvalid, MalformedInput
from sekisho.core.kraken import (
    SECRET_BYTES_MIN,
    Fields,
    read_form,
    read_nonce,
    same_signature,
    signature,
)

_JSON = "application/json"


class BotKey(msgspec.Struct, frozen=True, kw_only=True):
    """A bot's key pair and what its orders are: ``secret`` decoded, ``route`` venue and account."""

    key: str
    secret: bytes
    agent: str
    route: Route


class Signed(msgspec.Struct, frozen=True):
    """A request whose signature holds. ``fields`` without the nonce's check being left to do."""

    who: BotKey
    nonce: str
    fields: Fields


class BotKeys:
    """The key pairs of one gate, and the last nonce of each.

    Nonces are kept in memory. After a restart a request that was recorded on its way could come
    again: its id is made of key and nonce, or is its own, so that it is the same order as before.

    Raises:
        ConfigurationInvalid: a key stands twice, or a secret is short.
    """

    def __init__(self, keys: Sequence[BotKey]) -> None:
        self._keys = {one.key: one for one in keys}
        if len(self._keys) != len(keys) or "" in self._keys:
            raise ConfigurationInvalid("every bot has a key of its own", "kraken.callers")
        if any(len(one.secret) < SECRET_BYTES_MIN for one in keys):
            raise ConfigurationInvalid(f"a secret has {SECRET_BYTES_MIN} bytes at least", "secret")
        self._last: dict[str, int] = {}

    def check(self, path: str, key: str, sign: str, kind: str, body: bytes) -> Signed | list[str]:
        """Who signed this; or the errors to answer. Only a good signature uses up its nonce.

        Args:
            path: as requested, without the address.
            key: the header ``API-Key``, empty without one.
            sign: the header ``API-Sign``.
            kind: the media type.
            body: as received.
        """
        who = self._keys.get(key)
        if who is None:
            return INVALID_KEY
        try:
            fields = _read_json(body) if kind == _JSON else read_form(body)
            nonce = read_nonce(fields)
        except MalformedInput:
            return INVALID_NONCE
        if not same_signature(sign, signature(path, nonce, body, who.secret)):
            return INVALID_SIGNATURE
        if int(nonce) <= self._last.get(key, -1):
            return INVALID_NONCE
        self._last[key] = int(nonce)
        return Signed(who, nonce, fields)


def _read_json(body: bytes) -> Fields:
    """The nonce of a JSON body; the rest of it is one field that no order has.

    Raises:
        MalformedInput: no JSON object.
    """
    plain = parse_plain(body)
    if not isinstance(plain, dict) or not isinstance(plain.get("nonce"), str | int):
        raise MalformedInput("a JSON object with a nonce is needed", "nonce")
    return [("nonce", str(plain["nonce"])), ("json", body.decode("utf-8"))]
