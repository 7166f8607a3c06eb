# SPDX-License-Identifier: Apache-2.0
"""What one field of a policy may be: text in, canonical plain value out (docs/spec/policy.md, 1–2).

A reader takes one value of a document's tree (texts, lists, objects of these) and gives the value
as it stands in the canonical policy, or raises ``MalformedInput`` without a path: the path is known
to ``shape``, which calls it. Readers look at one field alone; what joins fields is in ``rules``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from sekisho.core.amounts import CENT, SCALE, format_amount, parse_amount
from sekisho.core.errors import MalformedInput
from sekisho.core.terms import CURRENCY, MARKET, NS, day_text, format_instant, parse_day
from sekisho.core.terms import parse_instant as parse_exact_instant

Reader = Callable[[Any], Any]

LIST_MAX = 64
HOLIDAYS_MAX = 400
NO_LEI = "0" * 20
"""Twenty zeros stand for "no LEI": they fail the check digits, so nobody has them."""
NOT_STATED = "not_stated"

_INTEGER = re.compile(r"0|[1-9][0-9]{0,15}")
_LEI = re.compile(r"[A-Z0-9]{18}[0-9]{2}")
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}")
_INSTANT = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.(0{1,9}))?Z")


def text(node: Any) -> str:
    """One value, not empty."""
    if not isinstance(node, str):
        kind = "a list" if isinstance(node, list) else "an object"
        raise MalformedInput(f"is {kind}; one value is wanted")
    if not node:
        raise MalformedInput("is empty")
    return node


def or_word(word: str, reader: Reader) -> Reader:
    """The reader's values, or exactly this word."""

    def read(node: Any) -> Any:
        return word if node == word else reader(node)

    return read


def or_none(reader: Reader) -> Reader:
    """A limit, or the explicit word ``none``."""
    return or_word("none", reader)


def choice(*words: str) -> Reader:
    """One of these words."""

    def read(node: Any) -> str:
        if text(node) not in words:
            raise MalformedInput(f"{node[:40]!r} is none of {', '.join(words)}")
        return str(node)

    return read


def boolean(node: Any) -> bool:
    """``true`` or ``false``; ``yes``, ``on``, ``1`` are refused."""
    return bool(choice("true", "false")(node) == "true")


def always(node: Any) -> bool:
    """Only ``true``."""
    if not boolean(node):
        raise MalformedInput("cannot be false: nothing takes the manual kill away")
    return True


def integer(least: int, most: int) -> Reader:
    """A whole number, both bounds included."""

    def read(node: Any) -> int:
        if _INTEGER.fullmatch(text(node)) is None or not least <= int(node) <= most:
            raise MalformedInput(f"{node[:40]!r} is not a whole number from {least} to {most}")
        return int(node)

    return read


def offset_s(node: Any) -> int:
    """Seconds to add to UTC, at most 18 hours either way."""
    if re.fullmatch(r"0|-?[1-9][0-9]{0,4}", text(node)) is None or abs(int(node)) > 64_800:
        raise MalformedInput(f"{node[:40]!r} is not an offset in seconds within 18 hours")
    return int(node)


def _units(node: Any) -> int:
    try:
        return parse_amount(text(node))
    except MalformedInput as error:
        raise MalformedInput(str(error).removeprefix("amount: ")) from error


def amount(node: Any) -> str:
    """An amount above zero, in its shortest form."""
    units = _units(node)
    if units == 0:
        raise MalformedInput("must be above 0")
    return format_amount(units)


def money(node: Any) -> str:
    """An amount above zero in whole cents."""
    return whole_cents(amount(node))


def whole_cents(node: Any) -> str:
    """An amount in whole cents, 0 included."""
    units = _units(node)
    if units % CENT:
        raise MalformedInput(f"{node!r} has more than two decimals")
    return format_amount(units)


def fraction(node: Any) -> str:
    """A share or distance: above 0, at most 1."""
    units = _units(node)
    if not 0 < units <= SCALE:
        raise MalformedInput(f"{node!r} is not a fraction above 0 and at most 1 (5 % is 0.05)")
    return format_amount(units)


def score(node: Any) -> str:
    """A threshold of a score: a fraction with at most six decimals, as scores have."""
    if _units(node) % 100:
        raise MalformedInput(f"{node!r} has more than six decimals")
    return fraction(node)


def buffer(node: Any) -> str:
    """A fraction from 0 to below 1: at 1 the lowest price would be zero."""
    units = _units(node)
    if units >= SCALE:
        raise MalformedInput(f"{node!r} is not a fraction below 1")
    return format_amount(units)


def matching(pattern: re.Pattern[str], example: str) -> Reader:
    """Text that a pattern matches as a whole."""

    def read(node: Any) -> str:
        if pattern.fullmatch(text(node)) is None:
            raise MalformedInput(f"{node[:48]!r} is not written like {example}")
        return str(node)

    return read


currency = matching(CURRENCY, "EUR")
zone = matching(_ZONE, "Europe/Zurich")
clock = matching(_CLOCK, "08:00")
clock_end = or_word("24:00", clock)


def printable(node: Any) -> str:
    """Words of a legal entity: 1 to 128 printable characters, no blank at either end."""
    if not text(node).isprintable() or len(node) > 128 or node != node.strip():
        raise MalformedInput(
            "is not 1 to 128 printable characters without a blank at the beginning or end"
        )
    return str(node)


def lei(node: Any) -> str:
    """A legal entity identifier, ISO 17442, by its check digits; or twenty zeros."""
    if _LEI.fullmatch(text(node)) is None:
        raise MalformedInput(f"{node[:40]!r} is not an LEI (ISO 17442: 18 characters, 2 digits)")
    if node != NO_LEI and int("".join(str(int(sign, 36)) for sign in node)) % 97 != 1:
        raise MalformedInput(f"{node!r}: the check digits of this LEI do not hold")
    return str(node)


def market(node: Any) -> str:
    """``EUR/USD``, also written ``EUR_USD``; two different currencies."""
    written = text(node).replace("_", "/")
    if MARKET.fullmatch(written) is None:
        raise MalformedInput(f"{node[:40]!r} is not a market like EUR/USD")
    first, second = written.split("/")
    if first == second:
        raise MalformedInput(f"{written}: the two currencies are the same")
    return written


def pair_of(written: str) -> tuple[str, ...]:
    """A market and its inverse are one pair."""
    return tuple(sorted(written.split("/")))


def day(node: Any) -> str:
    """A day, ``2026-05-15``."""
    return day_text(_path_free(parse_day, node))


def instant(node: Any) -> str:
    """A whole second in UTC, ``2026-05-15T09:15:00Z``, in its one long form."""
    match = _INSTANT.fullmatch(text(node))
    if match is None:
        raise MalformedInput(f"{node[:48]!r} is not a whole second like 2026-05-15T09:15:00Z")
    return format_instant(_path_free(parse_exact_instant, match.group(1) + ".000000000Z"))


def any_instant_of_second(node: Any) -> str:
    """An instant that the registration computed: only the long form."""
    ns = _path_free(parse_exact_instant, node)
    if ns % NS:
        raise MalformedInput(f"{node!r} is not a whole second")
    return format_instant(ns)


def _path_free(parse: Callable[[str, str], int], node: Any) -> int:
    """Call a parser of ``terms`` without its path in the message."""
    try:
        return parse(text(node), "")
    except MalformedInput as error:
        raise MalformedInput(str(error).removeprefix(": ")) from error


def listed(reader: Reader, *, most: int = LIST_MAX, least: int = 1) -> Reader:
    """A list in the order given, nothing twice; one text stands for a list of one."""

    def read(node: Any) -> list[Any]:
        items = [node] if isinstance(node, str) and node else node
        if not isinstance(items, list):
            raise MalformedInput("is not a list")
        if not least <= len(items) <= most:
            raise MalformedInput(f"holds {len(items)} entries; {least} to {most} are wanted")
        values = [reader(item) for item in items]
        for index, value in enumerate(values):
            if value in values[:index]:
                raise MalformedInput(f"holds {value!r} twice")
        return values

    return read


def a_set(reader: Reader, *, most: int = LIST_MAX, least: int = 1) -> Reader:
    """A list whose order means nothing: sorted."""
    read_list = listed(reader, most=most, least=least)

    def read(node: Any) -> list[Any]:
        return sorted(read_list(node))

    return read


def a_set_of_words(words: Sequence[str]) -> Reader:
    """A set of known words, in the order of these words."""
    read_list = listed(choice(*words))

    def read(node: Any) -> list[str]:
        return sorted(read_list(node), key=words.index)

    return read


def markets(node: Any) -> list[str]:
    """Markets, no pair twice, be it as the inverse."""
    values = [str(value) for value in a_set(market)(node)]
    seen: dict[tuple[str, ...], str] = {}
    for value in values:
        if pair_of(value) in seen:
            raise MalformedInput(f"{value} and {seen[pair_of(value)]} are the same pair")
        seen[pair_of(value)] = value
    return values
