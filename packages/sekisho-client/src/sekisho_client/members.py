# SPDX-License-Identifier: Apache-2.0
"""JSON as a gate writes it, read strictly: what is not as specified is a ProtocolError.

Objects with a doubled key, numbers that are no integers, and wrong types are errors; members that
nobody asks for are ignored, since a gate may add some (docs/spec/gate-api.md, 3).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NoReturn

from sekisho_client.failures import ProtocolError

_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,59})(\.[0-9]{1,8})?")
_INTEGER_MAX = 2**53 - 1


def parse_object(body: bytes) -> Members:
    """The one object that a body holds.

    Raises:
        ProtocolError: anything else.
    """
    try:
        plain = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_distinct,
            parse_float=_no_float,
            parse_constant=_no_float,
        )
    except (ValueError, RecursionError) as error:
        raise ProtocolError(
            f"the gate's answer is no JSON of the specification: {error}"
        ) from error
    if not isinstance(plain, dict):
        raise ProtocolError("the gate's answer is no JSON object")
    return Members(plain)


class Members:
    """The members of an object; each reader raises ProtocolError for what is not as specified."""

    def __init__(self, plain: Mapping[str, Any]) -> None:
        self._plain = plain

    def has(self, name: str) -> bool:
        """Whether there is a member of this name."""
        return name in self._plain

    def text(self, name: str, allowed: frozenset[str] | None = None) -> str:
        """A string, one of ``allowed`` if given."""
        value = self._of(name, str)
        if not isinstance(value, str) or (allowed is not None and value not in allowed):
            raise ProtocolError(f"{name}: {str(value)[:48]!r} is not a value of the specification")
        return value

    def integer(self, name: str) -> int:
        """An integer below 2^53; a truth value is none."""
        value = self._of(name, int)
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _INTEGER_MAX:
            raise ProtocolError(f"{name}: is no integer")
        return value

    def truth(self, name: str) -> bool:
        """True or false."""
        value = self._of(name, bool)
        return value is True

    def number(self, name: str) -> Decimal:
        """An amount, money or score: text of digits, perhaps with a sign and a point."""
        return _decimal(name, self.text(name))

    def number_or_none(self, name: str) -> Decimal | None:
        """The same; None where the text is empty."""
        text = self.text(name)
        return None if text == "" else _decimal(name, text)

    def numbers(self, name: str) -> dict[str, Decimal]:
        """An object of such texts."""
        inner = Members(self.object(name))
        return {one: inner.number(one) for one in inner._plain}

    def object(self, name: str) -> Mapping[str, Any]:
        """An object, as it is."""
        value: Mapping[str, Any] = self._of(name, dict)
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """An array of strings."""
        found = self._of(name, list)
        if not all(isinstance(one, str) for one in found):
            raise ProtocolError(f"{name}: is no array of texts")
        return tuple(found)

    def objects(self, name: str) -> tuple[Members, ...]:
        """An array of objects."""
        found = self._of(name, list)
        if not all(isinstance(one, dict) for one in found):
            raise ProtocolError(f"{name}: is no array of objects")
        return tuple(Members(one) for one in found)

    def pairs(self, name: str) -> tuple[tuple[str, str], ...]:
        """An array of arrays of two strings."""
        found = self._of(name, list)
        for one in found:
            two = isinstance(one, list) and len(one) == 2
            if not two or not all(isinstance(part, str) for part in one):
                raise ProtocolError(f"{name}: is no array of pairs of texts")
        return tuple((what, text) for what, text in found)

    def _of(self, name: str, wanted: type) -> Any:
        value = self._plain.get(name)
        if not isinstance(value, wanted):
            raise ProtocolError(f"{name}: is missing, or of another type than specified")
        return value


def _decimal(name: str, text: str) -> Decimal:
    if _NUMBER.fullmatch(text) is None:
        raise ProtocolError(f"{name}: {text[:48]!r} is no exact number")
    return Decimal(text)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has a member twice")
    return found


def _no_float(text: str) -> NoReturn:
    raise ValueError(f"{text[:32]!r} is no integer")
