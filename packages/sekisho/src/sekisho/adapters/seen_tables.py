# SPDX-License-Identifier: Apache-2.0
"""One agent's ids, answers and reports, partly in memory and partly in the file of ids.

Looked up where they are: new ones in memory, the others in the file, and nowhere when the file's
filter says that they are new. What this module does not do: write the file.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping, MutableSet
from typing import Any, Generic, Protocol, TypeVar

from sekisho.adapters.seen_filter import Places, SeenFilter, places
from sekisho.core.gate.agent import Known

K = TypeVar("K")
V = TypeVar("V")
Row = tuple[int, Any, Any, int]
"""Agent, key, value and entry."""
KINDS = ("known", "answers", "executed")


def for_each(query: str) -> dict[str, str]:
    """A query for each of the three tables, which are alike."""
    return {kind: query.replace("ROWS", kind) for kind in KINDS}


_FIND = for_each("SELECT value FROM ROWS WHERE agent = ? AND key = ?")
_LAST = "SELECT MAX(key) FROM answers WHERE agent = ?"


class RowFile(Protocol):
    """What a table needs of the file; ``seen_file.SeenFile`` is such."""

    filter: SeenFilter
    entry: int
    pending_rows: int
    tables: dict[tuple[int, str], SeenRows[Any, Any]]

    def count(self, agent: int, kind: str) -> int: ...

    def select(self, query: str, values: tuple[Any, ...]) -> tuple[Any, ...] | None: ...

    def rows(self, agent: int, kind: str) -> Iterator[tuple[Any, Any]]: ...


class SeenRows(Generic[K, V]):
    """One agent's rows of one kind: in the file, being written, and new ones."""

    kind = ""

    def __init__(self, file: RowFile, agent: int) -> None:
        self._file, self._agent = file, agent
        self.pending: dict[K, Row] = {}
        self.writing: dict[K, Row] = {}
        self.size = file.count(agent, self.kind)
        self._absent: K | None = None
        self._prefix = f"{agent}\n{self.kind}\n"
        self._places: Places = (0, 0, 0, 0)
        self._placed: K | None = None
        file.tables[agent, self.kind] = self

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[K]:
        for key, _ in self._file.rows(self._agent, self.kind):
            yield self.key_of(key)
        yield from self.writing
        yield from self.pending

    def key_of(self, stored: Any) -> K:
        """A key as it is stored, read."""
        key: K = stored
        return key

    def stored_key(self, key: K) -> Any:
        """A key as it is stored."""
        return key

    def find(self, key: K) -> Any:
        """What is stored for a key; None when there is nothing. Raises StorageFailed."""
        row = self.pending.get(key) or self.writing.get(key)
        if row is not None:
            return row[2]
        if key == self._absent:
            return None  # each new one is asked for several times
        found = None
        if not self._is_new(key):
            found = self._file.select(_FIND[self.kind], (self._agent, self.stored_key(key)))
        if found is None:
            self._absent = key
            return None
        return found[0]

    def put(self, key: K, value: Any) -> None:
        """Keep a value for a key. Raises StorageFailed."""
        if not self.has(key):
            self.size += 1
            self._came(key)
        self._file.pending_rows += key not in self.pending
        self.pending[key] = (self._agent, self.stored_key(key), value, self._file.entry)
        self._absent = None

    def _is_new(self, key: K) -> bool:
        """Whether the key certainly is not in the file, as far as can be said without a look."""
        text = f"{self._prefix}{self.stored_key(key)}"
        self._places = places(text.encode("utf-8", "surrogatepass"))
        self._placed = key
        return not self._file.filter.may_have(self._places)

    def _came(self, key: K) -> None:
        """A new key is kept from now on."""
        if self._placed != key:
            self._is_new(key)
        self._file.filter.add(self._places)

    def has(self, key: K) -> bool:
        """Whether a key is kept. Raises StorageFailed."""
        return self.find(key) is not None


class StoredIds(SeenRows[str, Known], MutableMapping[str, Known]):
    """``client_order_id`` → content and decision."""

    kind = "known"

    def __getitem__(self, name: str) -> Known:
        value = self.find(name)
        if value is None:
            raise KeyError(name)
        return Known(value[:32].hex(), int.from_bytes(value[32:], "big"))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.has(name)

    def __setitem__(self, name: str, known: Known) -> None:
        self.put(name, bytes.fromhex(known.digest) + known.decision.to_bytes(8, "big"))

    def __delitem__(self, name: str) -> None:
        raise ValueError(f"{name} stays known: ids are never forgotten")


class StoredAnswers(SeenRows[int, int], MutableMapping[int, int]):
    """Decision → its end. The latest decision has no answer yet, so no filter is needed."""

    kind = "answers"

    def __init__(self, file: RowFile, agent: int) -> None:
        super().__init__(file, agent)
        last = file.select(_LAST, (agent,))
        self._last = -1 if last is None or last[0] is None else int(last[0])

    def _is_new(self, key: int) -> bool:
        return key > self._last

    def _came(self, key: int) -> None:
        self._last = max(self._last, key)

    def __getitem__(self, decision: int) -> int:
        end = self.find(decision)
        if end is None:
            raise KeyError(decision)
        return int(end)

    def __setitem__(self, decision: int, end: int) -> None:
        self.put(decision, end)

    def __delitem__(self, decision: int) -> None:
        raise ValueError(f"the answer to {decision} stays")


class StoredReports(SeenRows[tuple[str, str], None], MutableSet[tuple[str, str]]):
    """Venue and id of execution reports."""

    kind = "executed"

    def __contains__(self, report: object) -> bool:
        return isinstance(report, tuple) and self.has((report[0], report[1]))

    def add(self, value: tuple[str, str]) -> None:
        """Keep it."""
        if not self.has(value):
            self.put(value, 0)

    def discard(self, value: tuple[str, str]) -> None:
        """Refused: what was seen stays seen."""
        raise ValueError(f"{value} stays seen")

    def key_of(self, stored: Any) -> tuple[str, str]:
        venue, _, exec_id = stored.partition("\n")
        return venue, exec_id

    def stored_key(self, key: tuple[str, str]) -> str:
        return f"{key[0]}\n{key[1]}"
