# SPDX-License-Identifier: Apache-2.0
"""Forms of fields: what a value must be, whatever it means (docs/spec/encoding.md).

A form returns the value, or raises VerificationFailed that says what it is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from sekisho_verify import canonical
from sekisho_verify.findings import VerificationFailed

Form = Callable[[object], object]

_INT_TEXT = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_SIGNED_TEXT = re.compile(r"0|-?[1-9][0-9]{0,19}", re.ASCII)
_HEX32 = re.compile(r"[0-9a-f]{32}")
_SERIAL = re.compile(r"(?:[0-9a-f]{2}){1,20}")
_SCORE = re.compile(r"0\.[0-9]{6}|1\.000000", re.ASCII)
_MONEY_DIGITS = re.compile(r"-?(0|[1-9][0-9]{0,59})\.[0-9]{2}", re.ASCII)


def matching(pattern: re.Pattern[str], what: str) -> Form:
    """Text that matches, which is called so."""

    def form(value: object) -> object:
        if not isinstance(value, str) or pattern.fullmatch(value) is None:
            raise VerificationFailed(f"is no {what}")
        return value

    return form


def named(pattern: str) -> Form:
    """Text of one of the patterns of encoding.md."""
    return matching(canonical.PATTERNS[pattern], pattern)


def closed(*words: str) -> Form:
    """One of these words."""
    allowed = frozenset(words)

    def form(value: object) -> object:
        if not isinstance(value, str) or value not in allowed:
            raise VerificationFailed("is none of " + ", ".join(words))
        return value

    return form


def count(value: object) -> object:
    """An integer that is not negative."""
    if canonical.integer_of(value) < 0:
        raise VerificationFailed("is negative")
    return value


def boolean(value: object) -> object:
    """True or false."""
    if not isinstance(value, bool):
        raise VerificationFailed("is neither true nor false")
    return value


def each(form: Form) -> Form:
    """An array, each of this form."""

    def all_of(value: object) -> object:
        for item in canonical.array_of(value):
            form(item)
        return value

    return all_of


def alone_or(alone: object, form: Form) -> Form:
    """This one value, or the form."""

    def either(value: object) -> object:
        return value if value == alone and type(value) is type(alone) else form(value)

    return either


def record(**forms: Form) -> Form:
    """An object of exactly these fields."""
    names = frozenset(forms)

    def form(value: object) -> object:
        for name, item in canonical.fields(value, names, "it").items():
            forms[name](item)
        return value

    return form


TEXT, OBJECT = canonical.text_of, canonical.object_of
INSTANT, AMOUNT, DIGEST = canonical.instant, canonical.amount, canonical.digest_text
AGENT, NAME, ORDER_ID = named("agent"), named("name"), named("order_id")
SERIAL = matching(_SERIAL, "serial number in lower-case hex")
BOOT = matching(_HEX32, "boot id of 32 hex digits")
HEX32 = matching(_HEX32, "id of 32 hex digits")
SCORE = matching(_SCORE, "score of six decimals")
MODES = ("", "reduce_only", "cancel_only")
"""Modes of a shutdown, each narrower than the one before."""
STATUS = closed("good", "hold", "revoked")
TEXTS = each(TEXT)
MONEY = matching(_MONEY_DIGITS, "money")
NUMBER = matching(_INT_TEXT, "number in decimal digits")
SIGNED = matching(_SIGNED_TEXT, "number in decimal digits with its sign")
