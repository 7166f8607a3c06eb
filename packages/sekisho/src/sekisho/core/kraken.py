# SPDX-License-Identifier: Apache-2.0
"""The dialect of Kraken's private REST, as bytes: signature, forms, pairs (docs/spec/kraken.md).

Both sides of a gate speak it (the front for bots, the connector to the venue), and the paper venue
as the other firm. Nothing is decided here, nothing is sent, no state is kept. What cannot be said
exactly in this dialect raises MalformedInput; nothing is rounded.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from sekisho.core.errors import ConfigurationInvalid, MalformedInput
from sekisho.core.terms import MARKET

PRIVATE: Final = "/0/private/"
FORM_BYTES_MAX: Final = 16_384
FIELDS_MAX: Final = 64
SECRET_BYTES_MIN: Final = 32
NONCE_MAX: Final = 2**64 - 1
TIME_IN_FORCE: Final = {"GTC": "gtc", "IOC": "ioc", "FOK": "fok"}
"""Kraken's word → the gate's; ``GTD`` has an end that no order of the gate can carry."""

_NONCE = re.compile(r"[0-9]{1,20}")
_NAME = re.compile(r"[A-Za-z0-9.:/_-]{1,32}")

Fields = list[tuple[str, str]]


class KrakenPair(msgspec.Struct, frozen=True, kw_only=True):
    """One market under its names.

    ``name`` is the key in ``AssetPairs`` and what requests say in ``pair``; ``altname`` what orders
    say in ``descr``. Decimals are told to clients; the gate takes any amount that it can read.
    """

    market: str
    name: str
    altname: str
    base: str
    quote: str
    price_decimals: int = 5
    volume_decimals: int = 8
    volume_min: str = "0.00000001"


def plain_pair(market: str) -> KrakenPair:
    """``EUR/USD`` as ``EURUSD``, without the venue's historic prefixes.

    Raises:
        ConfigurationInvalid: not a market's name.
    """
    if MARKET.fullmatch(market) is None:
        raise ConfigurationInvalid(f"{market[:32]!r} is not a market like EUR/USD", market[:32])
    base, quote = market.split("/")
    return KrakenPair(
        market=market, name=base + quote, altname=base + quote, base=base, quote=quote
    )


class PairTable:
    """Pairs by every name that they have.

    Raises:
        ConfigurationInvalid: two pairs share a name, or a name is not one.
    """

    def __init__(self, pairs: Iterable[KrakenPair]) -> None:
        self.pairs = tuple(pairs)
        self._by_name: dict[str, KrakenPair] = {}
        self._by_market: dict[str, KrakenPair] = {}
        for pair in self.pairs:
            if MARKET.fullmatch(pair.market) is None or pair.market in self._by_market:
                raise ConfigurationInvalid(f"{pair.market[:32]!r}: no market, or twice", pair.name)
            self._by_market[pair.market] = pair
            for name in {pair.name, pair.altname, pair.market}:
                if _NAME.fullmatch(name) is None or name in self._by_name:
                    raise ConfigurationInvalid(f"{name[:32]!r}: no pair's name, or twice", name)
                self._by_name[name] = pair

    def named(self, name: str) -> KrakenPair | None:
        """The pair that a request means; None when no pair has the name."""
        return self._by_name.get(name)

    def of_market(self, market: str) -> KrakenPair | None:
        """The pair of a market; None when the venue does not list it."""
        return self._by_market.get(market)


def decode_secret(text: str) -> bytes:
    """The secret of a key pair from its base64 text.

    Raises:
        ConfigurationInvalid: not base64 of at least 32 bytes.
    """
    try:
        secret = base64.b64decode(text.strip().encode("ascii"), validate=True)
    except (binascii.Error, UnicodeError) as error:
        raise ConfigurationInvalid(f"the secret is not base64: {error}", "secret") from error
    if len(secret) < SECRET_BYTES_MIN:
        raise ConfigurationInvalid(f"the secret has fewer than {SECRET_BYTES_MIN} bytes", "secret")
    return secret


def signature(path: str, nonce: str, body: bytes, secret: bytes) -> str:
    """``API-Sign``: base64 of HMAC-SHA512 over the path and SHA-256 of nonce and body.

    Args:
        path: as requested, ``/0/private/AddOrder``.
        nonce: decimal digits, the same as in the body.
        body: the bytes of the form.
        secret: decoded.

    Raises:
        MalformedInput: a path or a nonce that is not ASCII; no method has one.
    """
    if not (path.isascii() and nonce.isascii()):
        raise MalformedInput("a path and a nonce are ASCII", "path")
    digest = hashlib.sha256(nonce.encode("ascii") + body).digest()
    mac = hmac.new(secret, path.encode("ascii") + digest, hashlib.sha512).digest()
    return base64.b64encode(mac).decode("ascii")


def same_signature(left: str, right: str) -> bool:
    """Whether two signatures are equal, in constant time."""
    return hmac.compare_digest(left.encode("utf-8"), right.encode("utf-8"))


def read_form(body: bytes) -> Fields:
    """The fields of a form in their order; a name may stand twice, which the caller refuses.

    Raises:
        MalformedInput: not a form of at most 64 fields in UTF-8.
    """
    if len(body) > FORM_BYTES_MAX:
        raise MalformedInput(f"a form has at most {FORM_BYTES_MAX} bytes")
    try:
        return parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=FIELDS_MAX,
        )
    except ValueError as error:  # UnicodeError is one
        raise MalformedInput(f"not a form: {error}"[:200]) from error


def read_nonce(fields: Fields) -> str:
    """The one nonce of a form, decimal digits below 2**64.

    Raises:
        MalformedInput: none, several, or another spelling.
    """
    found = [value for name, value in fields if name == "nonce"]
    if len(found) != 1 or _NONCE.fullmatch(found[0]) is None or int(found[0]) > NONCE_MAX:
        raise MalformedInput("one nonce of decimal digits below 2**64 is needed", "nonce")
    return found[0]


def describe(side: str, volume: str, pair: str, order_type: str, price: str) -> str:
    """The sentence ``descr.order``: ``buy 1000 EURUSD @ limit 1.085``."""
    at = f"limit {price}" if order_type == "limit" else order_type
    return f"{side} {volume} {pair} @ {at}"
