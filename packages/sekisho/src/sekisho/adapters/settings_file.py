# SPDX-License-Identifier: Apache-2.0
"""Settings from one TOML file: read whole, closed, every path relative to the file.

The one reader of ``sekisho.toml``, ``gate.toml`` and ``venue.toml``; which settings there are, and
what they must be, says each of them. A setting that nobody knows is told with the one that is
spelled most like it. Secrets are in files of their own that only their owner can read.
"""

from __future__ import annotations

import difflib
import re
import stat
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar, NamedTuple, TypeVar

import msgspec
from msgspec import inspect

from sekisho.adapters.regular_file import read_regular
from sekisho.core.errors import ConfigurationInvalid

SECRET_MODES = stat.S_IRWXG | stat.S_IRWXO
_FAULT = re.compile(
    r"Object (contains unknown|missing required) field `([^`]*)`(?: - at `\$\.?(.*)`)?"
)
_T = TypeVar("_T")


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the file: closed."""


class Kind(NamedTuple):
    """A kind of file: the name it has by custom, what it configures, what to do about a fault."""

    name: str
    what: str
    do: str


class BesideFile(msgspec.Struct, frozen=True):
    """The file's path, and what lies beside it."""

    kind: ClassVar[Kind]
    path: Path

    def file(self, name: str) -> Path:
        """A path of the file, made absolute."""
        return (self.path.parent / name).absolute()

    def address(self, address: str) -> str:
        """An address whose socket path, if it has one, is absolute."""
        if address.startswith("unix:"):
            return f"unix:{self.file(address.removeprefix('unix:'))}"
        return address

    def content(self, name: str) -> bytes:
        """Content of a file. Raises ConfigurationInvalid."""
        return self._read(name)[0]

    def secret_content(self, name: str) -> bytes:
        """Content of a secret's file, without the line's end.

        Raises:
            ConfigurationInvalid: not there, or readable by others.
        """
        content, mode = self._read(name)
        path = self.file(name)
        if mode & SECRET_MODES:
            raise ConfigurationInvalid(
                f"{path}: others than its owner can read it", str(path), f"chmod 600 {path}"
            )
        return content.strip()

    def _read(self, name: str) -> tuple[bytes, int]:
        path = self.file(name)
        try:
            return read_regular(path)
        except OSError as error:
            raise ConfigurationInvalid(
                f"{path}: cannot be read ({error.strerror})", str(path), self.kind.do
            ) from error


def read_settings(
    path: Path, form: type[_T], kind: Kind, faults: Callable[[_T], Iterable[str]]
) -> _T:
    """Read and check a file of settings.

    Args:
        path: of the file.
        form: its settings.
        kind: what it is.
        faults: what is wrong with settings that have the form, a line each.

    Raises:
        ConfigurationInvalid: with every fault that the file alone shows.
    """
    try:
        settings = read_toml(path, form, kind.do)
    except OSError as error:
        raise ConfigurationInvalid(
            f"{path}: cannot be read ({error.strerror})", str(path), f"name a {kind.name}"
        ) from error
    found = list(faults(settings))
    if found:
        raise ConfigurationInvalid(
            "\n".join([f"{path}: not a configuration of {kind.what}", *found]), str(path), kind.do
        )
    return settings


def read_toml(path: Path, form: type[_T], do: str) -> _T:
    """A TOML file in this form.

    Raises:
        ConfigurationInvalid: not TOML, a setting unknown, missing or of another type; says ``do``.
        OSError: it cannot be opened or read.
    """
    try:
        plain = tomllib.loads(read_regular(path)[0].decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeError, RecursionError) as error:
        raise ConfigurationInvalid(f"{path}: not TOML: {error}", str(path), do) from error
    try:
        return msgspec.convert(plain, form)
    except msgspec.ValidationError as error:
        fault, nearest = _in_words(str(error), form)
        if nearest:
            do = f"write {nearest}; {do}"
        raise ConfigurationInvalid(f"{path}: {fault}", str(path), do) from error


def _in_words(fault: str, form: type[object]) -> tuple[str, str]:
    """A fault as people say it, and the setting that was meant if one is spelled alike."""
    found = _FAULT.fullmatch(fault)
    if found is None:
        return fault, ""
    kind, name, table = found.groups()
    where = f" in {table}" if table else ""
    if kind == "missing required":
        return f"the setting {name}{where} is missing", ""
    names: set[str] = set()
    _gather(inspect.type_info(form), names)
    near = difflib.get_close_matches(name, sorted(names), 1)
    return f"there is no setting {name[:64]!r}{where}", near[0] if near else ""


def _gather(info: inspect.Type, names: set[str]) -> None:
    """Every setting of a form, in whatever table it is."""
    if isinstance(info, inspect.StructType):
        for field in info.fields:
            names.add(field.encode_name)
            _gather(field.type, names)
    elif isinstance(info, inspect.UnionType):
        for one in info.types:
            _gather(one, names)
    elif isinstance(info, inspect.VarTupleType):
        _gather(info.item_type, names)
