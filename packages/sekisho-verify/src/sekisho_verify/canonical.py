# SPDX-License-Identifier: Apache-2.0
"""Canonical JSON, amounts, instants and names, read strictly (docs/spec/encoding.md).

Bytes are accepted only when encoding what was read gives the same bytes again; so a second
spelling, a duplicate key, a float or a lone surrogate is refused. Times are integer nanoseconds,
amounts integers that count 1e-8, computed values ratios that are rounded once.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import functools
import hashlib
import json
import re
from collections.abc import Set as AbstractSet
from fractions import Fraction
from typing import NoReturn

from sekisho_verify.findings import VerificationFailed, require

Json = dict[str, object] | list[object] | str | int | bool | None

UNIT = 10**8  # an amount counts 1e-8
CENT = 10**6  # one cent in that unit
SECOND = 10**9
DAY = 86400 * SECOND

_INTEGER_DIGITS_MAX = 16  # 2^53 has sixteen digits
_INTEGER_BOUND = 2**53
_AMOUNT = re.compile(r"(0|[1-9][0-9]{0,17})(?:\.([0-9]{1,8}))?", re.ASCII)
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)T([01]\d|2[0-3]):([0-5]\d):([0-5]\d)\.(\d{9})Z", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}")
PATTERNS = {
    "agent": re.compile(r"[a-z][a-z0-9_-]{0,62}"),
    "order_id": re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,35}"),
    "market": re.compile(r"[A-Z]{3,5}/[A-Z]{3,5}"),
    "currency": re.compile(r"[A-Z]{3,5}"),
    "name": re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}"),
}


def _integer(text: str) -> int:
    if len(text) > _INTEGER_DIGITS_MAX + 1 or abs(number := int(text)) >= _INTEGER_BOUND:
        raise ValueError("an integer of magnitude 2^53 or more")
    return number


def _no_float(text: str) -> NoReturn:
    raise ValueError(f"a number that is no integer: {text[:20]}")


_decoder = json.JSONDecoder(parse_int=_integer, parse_float=_no_float, parse_constant=_no_float)
_encoder = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, sort_keys=True, separators=(",", ":")
)


def encode(value: object) -> bytes:
    """Canonical bytes of a value that holds only what the profile allows.

    Raises:
        VerificationFailed: lone surrogates, or nesting beyond reason.
    """
    try:
        return _encoder.encode(value).encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise VerificationFailed("cannot be written as canonical JSON") from error


def parse(data: bytes) -> object:
    """Read canonical bytes.

    Raises:
        VerificationFailed: a byte differs from the one canonical spelling.
    """
    try:
        text = data.decode()
        value: object = _decoder.decode(text)
    except (ValueError, RecursionError) as error:
        raise VerificationFailed(f"is not JSON of the profile ({error})") from error
    require(encode(value) == data, "is not canonical JSON")
    if not text.isascii():  # in canonical ASCII text no key can hold anything else
        _require_ascii_keys(value)
    return value


def _require_ascii_keys(value: object) -> None:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            require(all(key.isascii() for key in item), "has a key that is not ASCII")
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)


def parse_object(data: bytes) -> dict[str, object]:
    """Read canonical bytes of an object."""
    value = parse(data)
    if not isinstance(value, dict):
        raise VerificationFailed("is not an object")
    return value


def sha256(data: bytes) -> str:
    """SHA-256 as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def digest_of(value: object) -> str:
    """SHA-256 of the canonical bytes of a value."""
    return sha256(encode(value))


# ----------------------------------------------------------------------------------- fields


def text_of(value: object) -> str:
    """The value, which must be text."""
    if not isinstance(value, str):
        raise VerificationFailed("is not text")
    return value


def integer_of(value: object) -> int:
    """The value, which must be an integer (true and false are none)."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise VerificationFailed("is not an integer")
    return value


def object_of(value: object) -> dict[str, object]:
    """The value, which must be an object."""
    if not isinstance(value, dict):
        raise VerificationFailed("is not an object")
    return value


def array_of(value: object) -> list[object]:
    """The value, which must be an array."""
    if not isinstance(value, list):
        raise VerificationFailed("is not an array")
    return value


def fields(value: object, required: AbstractSet[str], what: str) -> dict[str, object]:
    """The value, which must be an object of exactly these fields."""
    if not isinstance(value, dict):
        raise VerificationFailed(f"{what} is not an object")
    if value.keys() != required:
        odd = sorted(value.keys() ^ required)
        raise VerificationFailed(f"{what} lacks or has unasked the field {odd[0]}")
    return value


def named(value: object, pattern: str) -> str:
    """The value, which must match the whole of one of PATTERNS."""
    text = text_of(value)
    if PATTERNS[pattern].fullmatch(text) is None:
        raise VerificationFailed(f"is no {pattern}: {text}")
    return text


def digest_text(value: object) -> str:
    """The value, which must be 64 lower-case hexadecimal digits."""
    text = text_of(value)
    if _DIGEST.fullmatch(text) is None:
        raise VerificationFailed("is no SHA-256 digest")
    return text


def bytes_of(value: object) -> bytes:
    """Bytes from standard base64 with padding, in its one canonical spelling."""
    text = text_of(value)
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (ValueError, binascii.Error) as error:
        raise VerificationFailed("is not base64") from error
    require(base64.b64encode(data).decode() == text, "is not canonical base64")
    return data


# ------------------------------------------------------------------------- amounts and times


def amount(value: object) -> int:
    """An amount as an integer that counts 1e-8."""
    if not isinstance(value, str) or (found := _AMOUNT.fullmatch(value)) is None:
        raise VerificationFailed("is no amount")
    whole, part = found.groups()
    return int(whole) * UNIT + (int(part.ljust(8, "0")) if part else 0)


def shortest(value: int) -> str:
    """The shortest spelling of an amount that counts 1e-8."""
    whole, part = divmod(abs(value), UNIT)
    tail = f"{part:08}".rstrip("0")
    return ("-" if value < 0 else "") + (f"{whole}.{tail}" if tail else str(whole))


def cents_up(ratio: Fraction) -> int:
    """Round a ratio (in 1e-8) up to the cent; the result counts 1e-8."""
    return -(-ratio.numerator // (ratio.denominator * CENT)) * CENT


def money(value: int) -> str:
    """Money that counts 1e-8, a multiple of one cent, with exactly two decimals."""
    whole, part = divmod(abs(value), UNIT)
    return f"{'-' if value < 0 else ''}{whole}.{part // CENT:02}"


def share_up(ratio: Fraction) -> str:
    """A share or deviation, six decimals, rounded up."""
    millionths = -(-ratio.numerator * 10**6 // ratio.denominator)
    whole, part = divmod(millionths, 10**6)
    return f"{whole}.{part:06}"


@functools.lru_cache(maxsize=4096)
def _day_number(text: str) -> int:
    try:
        return datetime.date.fromisoformat(text).toordinal() - 719163  # 1970-01-01 is 0
    except ValueError as error:
        raise VerificationFailed(f"there is no day {text}") from error


def day_number(value: object) -> int:
    """Days since 1970-01-01 of `2026-05-15`."""
    text = text_of(value)
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII) is None:
        raise VerificationFailed("is no day")
    return _day_number(text)


def day_text(number: int) -> str:
    """`2026-05-15` of days since 1970-01-01."""
    return datetime.date.fromordinal(number + 719163).isoformat()


def instant(value: object) -> int:
    """Nanoseconds since 1970 UTC of the one spelling of an instant."""
    if not isinstance(value, str):
        raise VerificationFailed("is no instant")
    return _instant(value)


@functools.lru_cache(maxsize=4096)
def _instant(text: str) -> int:
    found = _INSTANT.fullmatch(text)
    if found is None:
        raise VerificationFailed("is no instant")
    day, hours, minutes, seconds, parts = found.groups()
    past_midnight = int(hours) * 3600 + int(minutes) * 60 + int(seconds)
    return _day_number(day) * DAY + past_midnight * SECOND + int(parts)


def instant_text(ns: int) -> str:
    """The one spelling of an instant."""
    days, rest = divmod(ns, DAY)
    seconds, parts = divmod(rest, SECOND)
    hours, minutes = divmod(seconds // 60, 60)
    return f"{day_text(days)}T{hours:02}:{minutes:02}:{seconds % 60:02}.{parts:09}Z"
