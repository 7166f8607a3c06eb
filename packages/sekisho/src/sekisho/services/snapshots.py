# SPDX-License-Identifier: Apache-2.0
"""Snapshots of the gate's folds: an opening reads the newest one and what follows it
(docs/spec/ledger.md, section 10).

A snapshot is believed only when the log itself holds its digest. It is never needed: whatever is
wrong with it, an older one or the whole log gives the same state, and :attr:`Snapshots.notices`
says why that took longer. No rule is decided here, and nothing is folded here.

A snapshot is of one moment, and is encoded in slices while orders go on: what they change since
is not in it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any, Final, Protocol

import msgspec

from sekisho.core.behaviour import snapshot as watch_snapshot
from sekisho.core.encoding import RunningDigest, canonical, sha256_hex
from sekisho.core.errors import MalformedInput, OutcomeUnknown, SekishoError, StorageFailed
from sekisho.core.events import SnapshotTaken, decode_gate_entry
from sekisho.core.gate import snapshot as gate_snapshot
from sekisho.core.gate.agent import SeenIn, in_memory
from sekisho.ports import Clock, Disk
from sekisho.services.gatelog import Beginning, EntryLog, GateLog, LogNotes

FOLDER: Final = "snapshots"
SCHEMA: Final = "sekisho/snapshot/v1"
FOLD: Final = 3
"""Raised whenever an entry comes to mean something else: older snapshots are then not used."""
EVERY_ENTRIES: Final = 20_000
CLOSE_ENTRIES: Final = 1_000
"""An orderly close takes a snapshot when so many entries follow the last one."""
WORK_NS: Final = 500_000
"""For how long a snapshot is encoded before others have their turn."""
PAUSE_SECONDS: Final = 0.002
"""How long that turn is at least, where nobody waits for the snapshot."""
_LOOK_SECONDS = 1.0
_NAME = re.compile(r"([0-9]{20})\.json\Z")
_MARK = b'"kind":"snapshot_taken"'


class SeenStore(Protocol):
    """Where ids are kept for ever: a projection of the log, which can be made anew from it.

    A row is kept with the index of the entry that brought it.
    """

    def begin(self, entries: int) -> SeenIn:
        """Forget what entries from ``entries`` on brought, and give out what is left.

        With 0 everything is forgotten. The agents ask in the order of their admission. A file that
        is damaged counts as empty: whoever reads a snapshot then finds that rows are missing.

        Raises:
            StorageFailed: nothing can be kept there.
        """
        ...

    def taking(self, index: int) -> None:
        """What is added from now on comes from the entry at ``index``."""
        ...

    async def settle(self, entries: int) -> None:
        """Put on stable storage what entries before ``entries`` brought.

        They are cut off from newer rows before anything is awaited. Raises StorageFailed.
        """
        ...


class SeenInMemory:
    """Ids in memory; a snapshot then holds them all."""

    def begin(self, _entries: int) -> SeenIn:
        """Empty ones, which a snapshot fills."""
        return in_memory

    def taking(self, _index: int) -> None:
        """It does not matter here."""

    async def settle(self, _entries: int) -> None:
        """Nothing is on a disk."""


class Snapshots:
    """The snapshots of one gate's log, in the folder of that log.

    Attributes:
        notices: one sentence for each snapshot that could not be used or taken, newest last.
    """

    def __init__(
        self, disk: Disk, seen: SeenStore | None = None, every: int = EVERY_ENTRIES
    ) -> None:
        self.notices: list[str] = []
        self._disk = disk
        self._seen: SeenStore = seen or SeenInMemory()
        self._every = every
        self._last = 0
        self._vouched = 0
        self._taking = asyncio.Lock()
        self._clock: Clock | None = None

    async def open_log(self, journal: EntryLog, clock: Clock) -> GateLog:
        """The gate's log, folded from the newest snapshot that it vouches for.

        Raises:
            MalformedInput: an entry of the log.
            VerificationFailed: what is stored is not what was published.
            StorageFailed: the disk.
        """
        self._clock = clock
        for name in reversed(await self._names()):
            try:
                return await self._restored(journal, clock, f"{FOLDER}/{name}")
            except _Unusable as unusable:
                self.notices.append(f"{FOLDER}/{name} is not used: {unusable}")
        return GateLog(journal, clock, self._seen.begin(0), None, self._seen.taking)

    async def _names(self) -> list[str]:
        try:
            return await self._disk.list(FOLDER)
        except StorageFailed as error:
            self.notices.append(f"no snapshot can be looked for: {error}")
            return []

    async def _restored(self, journal: EntryLog, clock: Clock, path: str) -> GateLog:
        match = _NAME.search(path)
        entries = 0 if match is None else int(match.group(1))
        if not 0 < entries < journal.size:
            raise _Unusable("no entry of this log can name it")
        try:
            data = await self._disk.read(path)
        except (FileNotFoundError, StorageFailed) as error:
            raise _Unusable(f"it cannot be read: {error}") from error
        if sha256_hex(data) not in _recorded(journal, entries):
            raise _Unusable("the log does not hold its digest: changed, or never finished")
        seen_in = self._seen.begin(entries)
        try:
            beginning = _read(data, journal.origin, entries, seen_in)
            log = GateLog(journal, clock, seen_in, beginning, self._seen.taking)
        except (MalformedInput, StorageFailed) as error:
            raise _Unusable(str(error)) from error
        self._last = self._vouched = entries
        return log

    async def take(self, log: GateLog, pause_s: float = 0) -> int:
        """Write the folds as they are now, and record the file's digest; returns the entry's index.

        One at a time: who comes meanwhile waits, and takes the next. Others have their turn on the
        way, each time for ``pause_s`` at least.

        A crash before the entry is durable leaves a file that nothing vouches for: it is not used,
        and the next snapshot has another name.

        Raises:
            MalformedInput: the state has a part that cannot be written.
            StorageFailed, OutcomeUnknown: the disk, or the log; the gate goes on without it.
        """
        async with self._taking:
            cut = Cut(log)
            try:
                return await self._take(log, cut, pause_s)
            finally:
                cut.close()

    async def _take(self, log: GateLog, cut: Cut, pause_s: float) -> int:
        entries = cut.entries
        path = f"{FOLDER}/{entries:020d}.json"
        # Cut off from newer ones before anything is awaited, as the folds are.
        await self._seen.settle(entries)
        await log.durable(entries - 1)
        data, digest = await self._encode(cut, pause_s)
        try:
            await self._disk.write_new(path, data)
        except FileExistsError:
            if await self._disk.read(path) != data:
                raise StorageFailed(f"{path} exists, of another state", path) from None
        await self._disk.sync(path)
        await self._disk.sync_folder(FOLDER)
        taken = SnapshotTaken(at=log.at(), entries=entries, snapshot_sha256=digest)
        index = log.record(taken)
        await log.durable(index)
        self._last = entries
        await self._drop_older(entries)
        return index

    async def _encode(self, cut: Cut, pause_s: float) -> tuple[bytearray, str]:
        """The bytes of a snapshot and their digest; others have their turn every WORK_NS."""
        # It grows in its place: joining hundreds of parts at the end would be one long copy.
        data, digest = bytearray(), RunningDigest()
        begun = 0 if self._clock is None else self._clock.monotonic_ns()
        for part in cut.parts():
            data += part
            digest.add(part)
            if self._clock is not None and self._clock.monotonic_ns() - begun >= WORK_NS:
                await self._clock.sleep(pause_s)
                begun = self._clock.monotonic_ns()
        return data, digest.hex()

    async def _drop_older(self, newest: int) -> None:
        """Delete what is older than the snapshot just taken, except for the one before it.

        A crash on the way leaves files too many; the next snapshot deletes them. One that cannot
        be deleted is told of and stops nothing.
        """
        older = sorted(
            int(match.group(1))
            for match in map(_NAME.fullmatch, await self._names())
            if match is not None and int(match.group(1)) < newest
        )
        before = self._vouched if self._vouched in older else older[-1] if older else 0
        self._vouched = newest
        try:
            for entries in older:
                if entries != before:
                    await self._disk.delete(f"{FOLDER}/{entries:020d}.json")
            if older[:-1]:
                await self._disk.sync_folder(FOLDER)
        except (FileNotFoundError, StorageFailed, OutcomeUnknown) as error:
            self.notices.append(f"an old snapshot is not deleted: {error}")

    async def run(self, log: GateLog, clock: Clock) -> None:
        """Take a snapshot whenever enough entries came; ends when the log has failed."""
        while True:
            await clock.sleep(_LOOK_SECONDS)
            if log.journal.failed is not None:
                return
            if log.journal.size - self._last >= self._every:
                await self._try(log, PAUSE_SECONDS)

    async def close(self, log: GateLog) -> None:
        """At an orderly end, before the journal is closed: spare the next opening the tail."""
        if log.journal.failed is None and log.journal.size - self._last >= CLOSE_ENTRIES:
            await self._try(log)

    async def _try(self, log: GateLog, pause_s: float = 0) -> None:
        """A snapshot that fails is told of and tried again later; it stops nothing."""
        entries = log.journal.size
        try:
            await self.take(log, pause_s)
        except (MalformedInput, StorageFailed, OutcomeUnknown) as error:
            self.notices.append(f"no snapshot of {entries} entries: {error}")
            self._last = entries


class _Unusable(SekishoError):
    """A snapshot that is not used; the next older one is asked."""


class Cut:
    """The folds of a log as they are when this is made: the bytes of a snapshot, in parts.

    Ended orders are by far the most of it. They are encoded when their part is asked for, as they
    were at the cut; everything else is encoded at once.
    """

    def __init__(self, log: GateLog) -> None:
        """Raises MalformedInput: the folds have a part that cannot be written."""
        self.entries = log.journal.size
        gate, self._ended = gate_snapshot.cut(log.state)
        plain = {
            "schema": SCHEMA,
            "fold": FOLD,
            "origin": log.origin,
            "entries": self.entries,
            "gate": gate,
            "watch": watch_snapshot.write(log.watch),
            "log": msgspec.to_builtins(log.notes()),
        }
        self._between = canonical(plain).split(gate_snapshot.PLACE)

    def parts(self) -> Iterator[bytes]:
        """The canonical bytes, a fraction of a millisecond's work each; some are empty."""
        yield self._between[0]
        for ended, after in zip(self._ended, self._between[1:], strict=True):
            yield from ended.encoded()
            yield after

    def close(self) -> None:
        """No more parts are asked for."""
        for ended in self._ended:
            ended.close()


def write(log: GateLog) -> bytes:
    """The canonical bytes of a snapshot. Raises MalformedInput: a part that cannot be written."""
    cut = Cut(log)
    try:
        return b"".join(cut.parts())
    finally:
        cut.close()


def _read(data: bytes, origin: str, entries: int, seen_in: SeenIn) -> Beginning:
    """What a file holds, if this version wrote it of this log."""
    try:
        plain: Any = msgspec.json.decode(data)
        head = {name: plain[name] for name in ("schema", "fold", "origin", "entries")}
        expected = {"schema": SCHEMA, "fold": FOLD, "origin": origin, "entries": entries}
        if head != expected:
            raise MalformedInput(f"snapshot: it says {head}, and is wanted as {expected}")
        beginning = Beginning(
            gate_snapshot.read(plain["gate"], seen_in),
            watch_snapshot.read(plain["watch"]),
            msgspec.convert(plain["log"], LogNotes),
        )
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
        raise MalformedInput(f"snapshot: {error!r}") from error
    if (beginning.state.size, beginning.watch.size) != (entries, entries):
        raise MalformedInput("snapshot: its folds are of another number of entries")
    return beginning


def _recorded(journal: EntryLog, entries: int) -> set[str]:
    """Digests that the log holds for a snapshot of so many entries."""
    found: set[str] = set()
    for _, data in journal.entries(entries):
        if _MARK in data:
            entry = decode_gate_entry(data)
            if isinstance(entry, SnapshotTaken) and entry.entries == entries:
                found.add(entry.snapshot_sha256)
                break
    return found
