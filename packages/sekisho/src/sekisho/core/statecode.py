# SPDX-License-Identifier: Apache-2.0
"""How the state of a fold is written as plain values and read again, field by field.

A room says with :class:`Fields` which attribute of a class is written how. An attribute that
nobody named is an error when the state is written, never left out: a state without it would be
another state. Order is kept and integers are text, so that equal states have equal canonical bytes
(docs/spec/encoding.md). Not here: what a snapshot is for, and which file it is in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import msgspec

from sekisho.core.errors import MalformedInput

T = TypeVar("T")


class Coder(NamedTuple):
    """A pair of functions: from a value to plain JSON values, and strictly back.

    ``read`` raises MalformedInput for anything that ``write`` does not make.
    """

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


def _refuse(value: object, wanted: str) -> MalformedInput:
    return MalformedInput(f"snapshot: {value!r:.60} is no {wanted}")


def _same(kind: type, wanted: str) -> Coder:
    def check(value: Any) -> Any:
        if type(value) is not kind:
            raise _refuse(value, wanted)
        return value

    return Coder(check, check)


def _read_number(plain: Any) -> int:
    if type(plain) is not str or not plain.removeprefix("-").isdecimal():
        raise _refuse(plain, "number")
    if str(int(plain)) != plain:
        raise _refuse(plain, "number in its one spelling")
    return int(plain)


def _write_number(value: Any) -> str:
    if type(value) is not int:
        raise _refuse(value, "integer")
    return str(value)


TEXT = _same(str, "text")
FLAG = _same(bool, "truth value")
NUMBER = Coder(_write_number, _read_number)
PLAIN = Coder(lambda value: value, lambda plain: plain)
"""What is plain already, and is read with care by whoever uses it."""


def _rows(plain: Any) -> list[Any]:
    if type(plain) is not list:
        raise _refuse(plain, "array")
    return plain


def optional(coder: Coder) -> Coder:
    """The value, or None."""
    return Coder(
        lambda value: None if value is None else coder.write(value),
        lambda plain: None if plain is None else coder.read(plain),
    )


def either(number: Coder, text: Coder) -> Coder:
    """An integer or a text, told apart by the JSON type of its first part."""
    return Coder(
        lambda value: (
            ["n", number.write(value)] if type(value) is int else ["t", text.write(value)]
        ),
        lambda plain: _tagged(plain, {"n": number, "t": text}),
    )


def _tagged(plain: Any, coders: dict[str, Coder]) -> Any:
    tag, value = _sized(plain, 2)
    if tag not in coders:
        raise _refuse(tag, "kind of value")
    return coders[tag].read(value)


def _sized(plain: Any, count: int) -> list[Any]:
    rows = _rows(plain)
    if len(rows) != count:
        raise _refuse(plain, f"row of {count}")
    return rows


def row(*coders: Coder, make: Callable[..., Any] = lambda *parts: parts) -> Coder:
    """A tuple of fixed length; ``make`` builds a named one."""

    def write(value: Any) -> list[Any]:
        return [coder.write(part) for coder, part in zip(coders, value, strict=True)]

    def read(plain: Any) -> Any:
        parts = zip(coders, _sized(plain, len(coders)), strict=True)
        return make(*(coder.read(part) for coder, part in parts))

    return Coder(write, read)


def listed(coder: Coder, make: Callable[[Iterable[Any]], Any] = list) -> Coder:
    """A list, or another row of any length; sets are written with :func:`sorted_set`."""
    return Coder(
        lambda value: [coder.write(one) for one in value],
        lambda plain: make(coder.read(one) for one in _rows(plain)),
    )


def queue(coder: Coder) -> Coder:
    """A deque."""
    return listed(coder, deque)


def sorted_set(coder: Coder) -> Coder:
    """A set, sorted."""
    return Coder(
        lambda value: [coder.write(one) for one in sorted(value)],
        lambda plain: {coder.read(one) for one in _rows(plain)},
    )


def mapping(key: Coder, value: Coder) -> Coder:
    """A dict as rows of key and value, in its order."""
    item = row(key, value)
    return Coder(
        lambda held: [item.write(pair) for pair in held.items()],
        lambda plain: dict(item.read(pair) for pair in _rows(plain)),
    )


def struct(kind: type[Any]) -> Coder:
    """A msgspec struct of texts, small integers and the like, all of its fields."""

    def read(plain: Any) -> Any:
        try:
            return msgspec.convert(plain, kind)
        except msgspec.ValidationError as error:
            raise MalformedInput(f"snapshot: {error}") from error

    return Coder(msgspec.to_builtins, read)


def attributes(held: object) -> set[str]:
    """The names of everything that an object keeps, in slots or not."""
    names = set(vars(held)) if hasattr(held, "__dict__") else set()
    names.update(getattr(held, "__struct_fields__", ()))
    for kind in type(held).__mro__:
        names.update(getattr(kind, "__slots__", ()))
    return names - {"__dict__", "__weakref__"}


class Fields:
    """How each attribute of a class is written.

    Args:
        coders: by attribute.
        elsewhere: attributes that follow from others, or that the reader is given.
    """

    def __init__(self, coders: dict[str, Coder], elsewhere: Iterable[str] = ()) -> None:
        self._coders = coders
        self._elsewhere = frozenset(elsewhere)

    def write(self, held: object, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Plain values of an object; an attribute that is in ``given`` is written as it is there.

        Raises:
            MalformedInput: it keeps something that is not named here, or not of that kind.
        """
        unnamed = attributes(held) ^ (set(self._coders) | self._elsewhere)
        if unnamed:
            raise MalformedInput(
                f"snapshot: {type(held).__name__} and its encoding disagree on {sorted(unnamed)}"
            )
        known = given or {}
        return {
            name: known[name] if name in known else coder.write(getattr(held, name))
            for name, coder in self._coders.items()
        }

    def read(self, plain: Any) -> dict[str, Any]:
        """The attributes by name. Raises MalformedInput: others, or not of their kind."""
        if type(plain) is not dict or set(plain) != set(self._coders):
            raise MalformedInput("snapshot: it has not the fields that this version writes")
        return {name: coder.read(plain[name]) for name, coder in self._coders.items()}

    def fill(self, held: T, plain: Any) -> T:
        """Set the attributes of an object to what was written. Raises MalformedInput."""
        for name, value in self.read(plain).items():
            setattr(held, name, value)
        return held
