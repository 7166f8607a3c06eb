# SPDX-License-Identifier: Apache-2.0
"""The one canonical encoding of everything that is signed or hashed (docs/spec/encoding.md).

RFC 8785 on a narrow profile: objects with ASCII keys, arrays, strings without lone surrogates,
integers of magnitude below 2**53, booleans, null. No floats. On this profile the sorted output of
msgspec is byte-identical to RFC 8785 (tests/property compares it with the ``rfc8785`` package).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections import Counter
from typing import Any

import msgspec

from sekisho.core.errors import MalformedInput

INTEGER_LIMIT = 2**53
NESTING_MAX = 32

_encoder = msgspec.json.Encoder(order="sorted")


def canonical(value: Any) -> bytes:
    """Encode a struct or plain value as canonical bytes.

    Structs are trusted to hold only the profile's types (their field types say so); plain values
    from outside go through :func:`parse_plain` first, which refuses everything else.
    """
    return _encoder.encode(value)


def sha256(data: bytes) -> bytes:
    """SHA-256, 32 bytes."""
    return hashlib.sha256(data).digest()


def sha256_hex(data: bytes) -> str:
    """SHA-256 as 64 lower-case hexadecimal digits: how every digest is written in documents."""
    return hashlib.sha256(data).hexdigest()


class RunningDigest:
    """SHA-256 of bytes that come in parts."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, part: bytes) -> None:
        """The next part."""
        self._hash.update(part)

    def hex(self) -> str:
        """As :func:`sha256_hex` of all parts together."""
        return self._hash.hexdigest()


def b64(data: bytes) -> str:
    """Standard base64 with padding, as RFC 4648 section 4."""
    return base64.b64encode(data).decode("ascii")


def b64url(data: bytes) -> str:
    """URL-safe base64 without padding, as JWS wants it (RFC 7515)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def unb64(text: str) -> bytes:
    """Strict inverse of :func:`b64`: one text for each byte string, no other is accepted.

    Raises:
        MalformedInput: not base64, or not the canonical spelling of it.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedInput(f"not base64: {error}") from error
    if b64(data) != text:
        raise MalformedInput("base64 is not in its canonical spelling")
    return data


def unb64url(text: str) -> bytes:
    """Strict inverse of :func:`b64url`.

    Raises:
        MalformedInput: not unpadded URL-safe base64, or not the canonical spelling of it.
    """
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedInput(f"not base64url: {error}") from error
    if b64url(data) != text:
        raise MalformedInput("base64url is not in its canonical spelling")
    return data


def _refuse_number(text: str) -> Any:
    raise MalformedInput(f"number {text[:40]} is not allowed: write it as a string")


def _check_integer(text: str) -> int:
    if len(text) > 17 or abs(int(text)) >= INTEGER_LIMIT or text == "-0":
        raise MalformedInput(f"integer {text[:40]} is out of range")
    return int(text)


def _check_nesting(text: str) -> None:
    """Refuse deep nesting by our own count: interpreters differ in what they can take."""
    if text.count("[") + text.count("{") <= NESTING_MAX:
        return
    depth = 0
    in_string = escaped = False
    for character in text:
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = True
        elif character in "[{":
            depth += 1
            if depth > NESTING_MAX:
                raise MalformedInput(f"nested more than {NESTING_MAX} levels deep")
        elif character in "]}":
            depth -= 1


def _check_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        counts = Counter(key for key, _ in pairs)
        twice = next(key for key in result if counts[key] > 1)
        raise MalformedInput(f"duplicate field {twice[:64]!r}", twice[:64])
    for key in result:
        if not key.isascii():
            raise MalformedInput("field names are ASCII")
    return result


_with_numbers = json.JSONDecoder(
    object_pairs_hook=_check_pairs,
    parse_float=_refuse_number,
    parse_int=_check_integer,
    parse_constant=_refuse_number,
)
_without_numbers = json.JSONDecoder(
    object_pairs_hook=_check_pairs,
    parse_float=_refuse_number,
    parse_int=_refuse_number,
    parse_constant=_refuse_number,
)


def parse_plain(data: bytes, *, numbers: bool = True) -> Any:
    """Parse JSON into plain values on the canonical profile, refusing what other parsers let by.

    Refused: duplicate keys, floats, integers of magnitude ≥ 2**53, NaN and Infinity, non-ASCII
    keys, lone surrogates, byte-order marks, nesting beyond ``NESTING_MAX``, bytes that are not
    UTF-8.

    Args:
        data: the bytes as received.
        numbers: when false every JSON number is refused, with a message that says to use strings.

    Raises:
        MalformedInput: with the reason.
    """

    try:
        text = data.decode("utf-8")
        _check_nesting(text)
        value = (_with_numbers if numbers else _without_numbers).decode(text)
        canonical(value)  # lone surrogates cannot be encoded
    except UnicodeError as error:
        raise MalformedInput("not UTF-8 text") from error
    except json.JSONDecodeError as error:
        raise MalformedInput(f"not JSON: {error.msg} at character {error.pos}") from error
    return value
