# SPDX-License-Identifier: Apache-2.0
"""A Disk in memory that crashes, tears, fills up and lies on demand, the same way each time.

Each file keeps what is on stable storage and, in order, what was written since. A crash decides the
fate of each of those writes, and of each name whose folder was not synced, from the dice it gets:
kept, lost, cut at any byte (with or without garbage behind), or kept in some 512-byte sectors only.
``write_new`` and ``replace`` keep the port's word: such a file is absent, old or new, never a part.

``point`` is awaited at the beginning (``…:before``) and after the effect (``…:after``) of each
operation, and in ``replace`` also between the rename and the sync of the folder (``…:renamed``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from sekisho.adapters.disk import check_path
from sekisho.core.errors import OutcomeUnknown, StorageFailed

SECTOR = 512

Point = Callable[[str], Awaitable[None]]


class Dice(Protocol):
    """Where a crash takes its decisions from; ``random.Random`` is one."""

    def randrange(self, start: int, /) -> int:
        """An integer, 0 ≤ n < start."""
        ...


@dataclass
class _File:
    """One file: what is durable, and the writes since.

    A doomed write is lost in any crash. A fresh file was made whole and not yet synced: a crash
    may lose all of it, even under a synced name, but never a part.
    """

    durable: bytes = b""
    writes: list[bytes] = field(default_factory=list)
    doomed: bool = False
    fresh: bool = False

    @property
    def content(self) -> bytes:
        return self.durable + b"".join(self.writes)

    def settle(self) -> None:
        self.durable, self.writes, self.doomed = self.content, [], False
        self.fresh = False


@dataclass
class _Fault:
    operation: str
    path: str
    skip: int
    persisted: bool
    error: type[StorageFailed | OutcomeUnknown]


class SimulatedDisk:
    """The Disk port without a disk."""

    def __init__(self, *, point: Point | None = None) -> None:
        self.point = point
        self.read_only = False
        self.free_bytes: int | None = None
        self.operations: list[str] = []
        self._names: dict[str, _File] = {}
        self._durable_names: dict[str, _File] = {}
        self._name_changes: list[tuple[str, _File | None]] = []
        """What was named since the folder was synced; None: the name was taken away."""
        self._poisoned: dict[str, str] = {}
        self._faults: list[_Fault] = []
        self._dead = False

    # ------------------------------------------------------------------ what a simulation does

    def fail(
        self, operation: str, path: str = "", *, skip: int = 0, persisted: bool = False
    ) -> None:
        """Make one coming operation fail.

        Args:
            operation: name of the method (``append``, ``sync``, ``sync_folder``, …).
            path: beginning of the paths it applies to; empty for any.
            skip: how many such operations succeed first.
            persisted: whether the effect happens all the same. A sync that fails without it loses
                the writes it was called for, although reading still shows them.
        """
        maybe = persisted or operation in {"sync", "sync_folder", "truncate"}
        error = OutcomeUnknown if maybe else StorageFailed
        self._faults.append(_Fault(operation, path, skip, persisted, error))

    def crash(self, dice: Dice) -> SimulatedDisk:
        """Power loss: the disk as the next start finds it. This object answers nothing more."""
        self._dead = True
        after = SimulatedDisk(point=self.point)
        names = dict(self._durable_names)
        for path, changed in self._name_changes:
            if dice.randrange(2):
                _rename(names, path, changed)
        survivors: dict[int, _File] = {}
        for path in sorted(names):
            file = names[path]
            if file.fresh and (file.doomed or dice.randrange(2)):
                continue
            if id(file) not in survivors:
                survivors[id(file)] = _File(_survive(file, dice))
            after._names[path] = survivors[id(file)]
        after._durable_names = dict(after._names)
        return after

    def kill(self) -> SimulatedDisk:
        """The process dies and the machine goes on: all writes are there, none is synced by it.

        Writes that a failed sync lost are gone: a fresh process reads around the kernel's cache.
        """
        self._dead = True
        after = SimulatedDisk(point=self.point)
        copies: dict[int, _File] = {}

        def copy(file: _File) -> _File:
            writes = [] if file.doomed else list(file.writes)
            return copies.setdefault(id(file), _File(file.durable, writes, fresh=file.fresh))

        after._names = {path: copy(file) for path, file in self._names.items()}
        after._durable_names = {path: copy(file) for path, file in self._durable_names.items()}
        after._name_changes = [
            (path, None if file is None else copy(file)) for path, file in self._name_changes
        ]
        return after

    def files(self) -> dict[str, bytes]:
        """All contents as a reader sees them now, by path."""
        return {path: self._names[path].content for path in sorted(self._names)}

    def corrupt(self, path: str, content: bytes) -> None:
        """Change a file behind everybody's back, durably: rot, or a hand in the cupboard."""
        file = _File(content)
        self._names[path] = self._durable_names[path] = file
        self._name_changes = [item for item in self._name_changes if item[0] != path]

    def remove(self, path: str) -> None:
        """Remove a file behind everybody's back, durably."""
        self._names.pop(path, None)
        self._durable_names.pop(path, None)
        self._name_changes = [item for item in self._name_changes if item[0] != path]

    # ------------------------------------------------------------------------------- the port

    async def read(self, path: str) -> bytes:
        """Whole content, as written, durable or not."""
        await self._begin("read", path)
        self._raise_fault("read", path)
        content = self._existing(path).content
        await self._end("read", path)
        return content

    def read_range(self, path: str, offset: int, length: int) -> bytes:
        """A part of the content; no point is called, because nothing is waited for."""
        check_path(path)
        if self._dead:
            raise StorageFailed("this disk crashed; use the one that the crash returned")
        if path in self._poisoned:
            raise StorageFailed(f"{path}: {self._poisoned[path]} before; open the disk anew")
        self._raise_fault("read_range", path)
        return self._existing(path).content[offset : offset + length]

    async def exists(self, path: str) -> bool:
        """Whether the name is there."""
        await self._begin("exists", path)
        self._raise_fault("exists", path)
        await self._end("exists", path)
        return path in self._names

    async def list(self, folder: str) -> list[str]:
        """Names in a folder, sorted."""
        await self._begin("list", folder, folder=True)
        self._raise_fault("list", folder)
        prefix = f"{folder}/" if folder else ""
        names = {
            path[len(prefix) :].split("/")[0] for path in self._names if path.startswith(prefix)
        }
        await self._end("list", folder)
        return sorted(names)

    async def append(self, path: str, data: bytes) -> None:
        """Append; torn, lost or kept by a crash before sync."""
        await self._begin("append", path)
        fault = self._take_fault("append", path)
        if fault is None:
            self._take_space(path, data, partial=True)
        if fault is None or fault.persisted:
            self._append(path, data)
        self._finish_fault(fault)
        await self._end("append", path)

    async def append_durably(self, path: str, data: bytes) -> None:
        """Both in turn: a crash may come between them."""
        await self.append(path, data)
        await self.sync(path)

    async def write_new(self, path: str, data: bytes | bytearray) -> None:
        """Create whole; a crash before the folder is synced leaves all of it or nothing."""
        await self._begin("write_new", path)
        if path in self._names:
            raise FileExistsError(path)
        fault = self._take_fault("write_new", path)
        if fault is None:
            self._take_space(path, bytes(data))
        if fault is None or fault.persisted:
            self._name(path, _File(bytes(data), fresh=True))
        self._finish_fault(fault)
        await self._end("write_new", path)

    async def replace(self, path: str, data: bytes) -> None:
        """Give the path this content; a crash on the way leaves the old or the new."""
        await self._begin("replace", path)
        fault = self._take_fault("replace", path)
        if fault is None:
            self._take_space(path, data)
        if fault is None or fault.persisted:
            self._name(path, _File(data))
            await self._at(f"replace {path}:renamed")
        self._finish_fault(fault)
        self._settle_names(_parent(path))
        await self._end("replace", path)

    async def truncate(self, path: str, size: int) -> None:
        """Cut, durably."""
        await self._begin("truncate", path)
        fault = self._take_fault("truncate", path)
        file = self._existing(path)
        if size > len(file.content):
            raise StorageFailed(f"{path}: cannot be cut to {size} bytes, it is shorter")
        if fault is None or fault.persisted:
            file.settle()
            file.durable = file.durable[:size]
        self._finish_fault(fault)
        await self._end("truncate", path)

    async def delete(self, path: str) -> None:
        """Take the name away; a crash before the folder is synced may bring it back."""
        await self._begin("delete", path)
        fault = self._take_fault("delete", path)
        file = self._existing(path)
        if fault is None or fault.persisted:
            del self._names[path]
            self._name_changes.append((path, None))
            if self.free_bytes is not None:
                self.free_bytes += len(file.content)
        self._finish_fault(fault)
        await self._end("delete", path)

    async def sync(self, path: str) -> None:
        """Make the content durable; a failed one dooms what it was called for."""
        await self._begin("sync", path)
        fault = self._take_fault("sync", path)
        file = self._existing(path)
        if fault is None or fault.persisted:
            file.settle()
        else:
            file.doomed = True
        self._finish_fault(fault)
        await self._end("sync", path)

    async def sync_folder(self, folder: str) -> None:
        """Make the names of a folder durable."""
        await self._begin("sync_folder", folder, folder=True)
        prefix = f"{folder}/" if folder else ""
        if folder and not any(path.startswith(prefix) for path in self._names):
            raise FileNotFoundError(folder)
        fault = self._take_fault("sync_folder", folder)
        if fault is None or fault.persisted:
            self._settle_names(folder)
        self._finish_fault(fault)
        await self._end("sync_folder", folder)

    # ------------------------------------------------------------------------------ the works

    async def _begin(self, operation: str, path: str, *, folder: bool = False) -> None:
        check_path(path, folder=folder)
        await self._at(f"{operation} {path}:before")
        if path in self._poisoned:
            raise StorageFailed(f"{path}: {self._poisoned[path]} before; open the disk anew")
        if self.read_only and operation not in {"read", "exists", "list"}:
            raise StorageFailed(f"{path}: the disk is read-only")
        self.operations.append(f"{operation} {path}")

    async def _end(self, operation: str, path: str) -> None:
        await self._at(f"{operation} {path}:after")

    async def _at(self, name: str) -> None:
        if self._dead:
            raise StorageFailed("this disk crashed; use the one that the crash returned")
        if self.point is not None:
            await self.point(name)
            if self._dead:
                raise StorageFailed("this disk crashed; use the one that the crash returned")

    def _existing(self, path: str) -> _File:
        if path not in self._names:
            raise FileNotFoundError(path)
        return self._names[path]

    def _append(self, path: str, data: bytes) -> None:
        if path not in self._names:
            self._name(path, _File())
        self._names[path].writes.append(bytes(data))

    def _name(self, path: str, file: _File) -> None:
        self._names[path] = file
        self._name_changes.append((path, file))

    def _settle_names(self, folder: str) -> None:
        for path, file in self._name_changes:
            if _parent(path) == folder:
                _rename(self._durable_names, path, file)
        self._name_changes = [item for item in self._name_changes if _parent(item[0]) != folder]

    def _take_space(self, path: str, data: bytes, *, partial: bool = False) -> None:
        if self.free_bytes is None:
            return
        if len(data) <= self.free_bytes:
            self.free_bytes -= len(data)
            return
        self._poisoned[path] = "failed (disk full)"
        if partial and self.free_bytes:
            self._append(path, data[: self.free_bytes])
            self.free_bytes = 0
            raise OutcomeUnknown(f"{path}: the disk became full in the middle of a write")
        raise StorageFailed(f"{path}: the disk is full")

    def _take_fault(self, operation: str, path: str) -> _Fault | None:
        for fault in self._faults:
            if fault.operation == operation and path.startswith(fault.path):
                if fault.skip:
                    fault.skip -= 1
                    return None
                self._faults.remove(fault)
                return replace(fault, path=path)
        return None

    def _finish_fault(self, fault: _Fault | None) -> None:
        if fault is None:
            return
        if fault.operation not in {"read", "read_range", "exists", "list"}:
            self._poisoned[fault.path] = f"failed ({fault.operation})"
        raise fault.error(f"{fault.path}: {fault.operation} failed, as asked")

    def _raise_fault(self, operation: str, path: str) -> None:
        self._finish_fault(self._take_fault(operation, path))


def _rename(names: dict[str, _File], path: str, file: _File | None) -> None:
    if file is None:
        names.pop(path, None)
    else:
        names[path] = file


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _survive(file: _File, dice: Dice) -> bytes:
    """What a crash leaves of a file: the durable part, then each write after its own fate."""
    content = bytearray(file.durable)
    offset = len(content)
    for write in [] if file.doomed else file.writes:
        piece = _torn(write, dice)
        if piece:
            content.extend(bytes(max(0, offset - len(content))))
            content[offset:] = piece
        offset += len(write)
    return bytes(content)


def _torn(write: bytes, dice: Dice) -> bytes:
    fate = dice.randrange(5)
    if fate == 0:
        return write
    if fate == 1:
        return b""
    cut = dice.randrange(len(write) + 1)
    if fate == 2:
        return write[:cut]
    if fate == 3:
        garbage = bytes(dice.randrange(256) for _ in range(min(len(write) - cut, 64)))
        return write[:cut] + garbage
    sectors = [write[at : at + SECTOR] for at in range(0, len(write), SECTOR)]
    return b"".join(part if dice.randrange(2) else bytes(len(part)) for part in sectors)
