# SPDX-License-Identifier: Apache-2.0
"""Walk a document's tree along the policy's shape: fields, defaults, faults with their paths.

A tree is texts, lists and objects of these. ``Reading`` goes on after a fault, so that all of them
are reported at once; a part with a fault is left out of the result. It knows no field by name:
those stand in ``defaults``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from sekisho.core.encoding import canonical
from sekisho.core.errors import MalformedInput


class AppliedDefault(msgspec.Struct, frozen=True):
    """A field on which the document was silent, and what registration wrote there."""

    path: str
    value: str
    why: str


class Leaf(NamedTuple):
    """One value. Without a default the document must state it; ``frozen``: it must not."""

    read: Callable[[Any], Any]
    default: Any = None
    why: str = ""
    frozen: bool = False


class Group(NamedTuple):
    """An object. ``default`` is ``"none"`` for a limit that may be absent, else None."""

    fields: Mapping[str, Leaf | Group | Rows]
    default: str | None = None
    why: str = ""


class Rows(NamedTuple):
    """A list of objects with the same fields, or ``none`` when ``default`` is that word.

    With ``sort_by`` the rows are a set: sorted by these fields, which no two rows share.
    """

    row: Group
    most: int
    default: str | None = None
    why: str = ""
    frozen: bool = False
    sort_by: tuple[str, ...] = ()


Shape = Leaf | Group | Rows
FAULTS_MAX: Final = 100
"""So many faults are told; of more only the number."""
MISSING: Final = object()
"""What a part with a fault reads as; it never reaches a policy."""

_CAMEL = re.compile(r"[a-z][a-z0-9]*(?:[A-Z][a-z0-9]*)+")


def snake_case(name: str) -> str:
    """``maxDailyVolume`` as ``max_daily_volume``; any other spelling stays as it is."""
    if _CAMEL.fullmatch(name) is None:
        return name
    return re.sub(r"[A-Z]", lambda match: "_" + match.group().lower(), name)


def join(prefix: str, name: str) -> str:
    """The path of a field."""
    return f"{prefix}.{name}" if prefix else name


def default_text(value: Any) -> str:
    """A default as it is shown: its text, or canonical JSON for lists."""
    return value if isinstance(value, str) else canonical(value).decode()


class Reading:
    """One walk, with what it found.

    Args:
        registering: whether the tree is a document (defaults apply, frozen fields are refused) or a
            canonical policy (everything must be there).
        spelled: path in the policy → path as the document has it, where they differ.
        other_names: path of an object → further names that an unknown field is compared with.
    """

    def __init__(
        self,
        *,
        registering: bool,
        spelled: Mapping[str, str] | None = None,
        other_names: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        self.registering = registering
        self.spelled = spelled or {}
        self.other_names = other_names or {}
        self.faults: list[str] = []
        self.defaults: list[AppliedDefault] = []

    def fault(self, path: str, message: str) -> None:
        """Note a fault under the path as the document has it."""
        shown = self.spelled.get(path, path)
        if not shown.isprintable():  # one line for each fault, whatever a field is called
            shown = shown.encode("unicode_escape").decode()
        also = f" ({path})" if path in self.spelled else ""
        self.faults.append(f"{shown}{also}: {message}")

    def read(self, shape: Shape, node: Any, path: str = "") -> Any:
        """The canonical value of one part, or ``MISSING`` after noting why not."""
        if isinstance(shape, Group):
            return self._group(shape, node, path)
        if shape.frozen and self.registering:
            if node is not MISSING:
                self.fault(path, "is written by registration; leave it out")
            return MISSING
        if node is MISSING:
            return self._absent(shape, path)
        if isinstance(shape, Rows):
            return self._rows(shape, node, path)
        try:
            return shape.read(node)
        except MalformedInput as error:
            self.fault(path, str(error))
            return MISSING

    def _absent(self, shape: Leaf | Rows, path: str) -> Any:
        if shape.default is None or not self.registering:
            self.fault(path, "is missing")
            return MISSING
        self.defaults.append(AppliedDefault(path, default_text(shape.default), shape.why))
        # A default passes the same reader as a stated value: it cannot be what a policy may not.
        return shape.default if isinstance(shape, Rows) else shape.read(shape.default)

    def _group(self, group: Group, node: Any, path: str) -> Any:
        if node is MISSING:
            if not self.registering:
                self.fault(path, "is missing")
                return MISSING
            if group.default is not None:
                self.defaults.append(AppliedDefault(path, group.default, group.why))
                return group.default
            node = {}
        if group.default is not None and node == group.default:
            return node
        if not isinstance(node, dict):
            self.fault(path, "is not an object" + (" or none" if group.default else ""))
            return MISSING
        for name in node:
            if name not in group.fields:
                self._unknown(group, name, path)
        values = {
            name: self.read(shape, node.get(name, MISSING), join(path, name))
            for name, shape in group.fields.items()
        }
        return {name: value for name, value in values.items() if value is not MISSING}

    def _rows(self, shape: Rows, node: Any, path: str) -> Any:
        if shape.default is not None and node == shape.default:
            return node
        if not isinstance(node, list):
            self.fault(path, "is not a list of objects" + (" or none" if shape.default else ""))
            return MISSING
        if not 1 <= len(node) <= shape.most:
            self.fault(path, f"holds {len(node)} rows; 1 to {shape.most} are wanted")
            return MISSING
        faults = len(self.faults)
        rows = [self._group(shape.row, row, f"{path}[{index}]") for index, row in enumerate(node)]
        if len(self.faults) > faults:
            return MISSING
        return self._sorted(shape, rows, path) if shape.sort_by else rows

    def _sorted(self, shape: Rows, rows: list[dict[str, Any]], path: str) -> Any:
        keys = [tuple(row[name] for name in shape.sort_by) for row in rows]
        for index, key in enumerate(keys):
            if key in keys[:index]:
                self.fault(f"{path}[{index}]", f"is a second row for {' '.join(key)}")
                return MISSING
        return [row for _, row in sorted(zip(keys, rows, strict=True), key=lambda pair: pair[0])]

    def _unknown(self, group: Group, name: str, path: str) -> None:
        if len(self.faults) >= FAULTS_MAX:  # comparing names is slow, and nobody reads on
            self.fault(join(path, name[:64]), "is not a field")
            return
        known = [*group.fields, *self.other_names.get(path, ())]
        near = difflib.get_close_matches(snake_case(name), known, n=1, cutoff=0.0)
        self.fault(join(path, name[:64]), f"is not a field; the nearest is {join(path, near[0])}")


def raise_faults(what: str, faults: list[str]) -> None:
    """Report all faults at once (the first hundred by name).

    Raises:
        MalformedInput: if there is any; ``where`` is the path of the first.
    """
    if faults:
        count = f"{len(faults)} fault" + ("s" if len(faults) > 1 else "")
        where = faults[0].split(":", 1)[0].split(" ", 1)[0]
        more = [f"and {len(faults) - FAULTS_MAX} more"] if len(faults) > FAULTS_MAX else []
        raise MalformedInput("\n".join([f"{what}: {count}", *faults[:FAULTS_MAX], *more]), where)
