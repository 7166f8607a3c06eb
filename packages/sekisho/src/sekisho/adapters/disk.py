# SPDX-License-Identifier: Apache-2.0
"""A folder on a POSIX file system, as the Disk port.

All blocking work runs in one thread of its own, in the order of the calls, so that neither the
event loop nor a second writer gets in between. The folder is locked: one process, one object.
Names that begin with a dot are this adapter's own (``.lock``, ``.tmp``).

Any failed write or sync poisons its path until the process starts anew: after a failed sync the
kernel may call the pages clean, and a second sync would report success for data that are lost.
A file that cannot be opened for want of descriptors is no failed write: whatever needs one opens it
before it changes anything, so the call may be made again.
"""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn, TypeVar

from sekisho.core.errors import DescriptorsSpent, MalformedInput, OutcomeUnknown, StorageFailed

T = TypeVar("T")
_OPEN_FILES_MAX = 8
_SPENT = (errno.EMFILE, errno.ENFILE)


def check_path(path: str, *, folder: bool = False) -> None:
    """Refuse what the Disk port does not allow as a path; the empty path is the folder itself.

    Raises:
        MalformedInput: not relative, not ASCII, or a part that is empty or begins with a dot.
    """
    if folder and not path:
        return
    printable = path.isascii() and path.isprintable() and "\\" not in path
    if not printable or any(not part or part.startswith(".") for part in path.split("/")):
        raise MalformedInput(f"{path[:80]!r} is not a path of a Disk", "path")


class FolderDisk:
    """The Disk port over one folder, which is created if need be."""

    def __init__(self, root: Path) -> None:
        """Lock the folder and remove temporary files that a crash left.

        Raises:
            StorageFailed: another process or object holds the folder, or it cannot be made.
        """
        self._root = root
        self._poisoned: dict[str, str] = {}
        self._files: dict[str, int] = {}
        self._dirty: set[str] = set()
        self._own: set[str] = set()
        self._temporary = 0
        try:
            self._make_folder(root)
            self._lock = os.open(root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageFailed(f"cannot open the folder {root}: {error}", str(root)) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(root / ".tmp", ignore_errors=True)
            (root / ".tmp").mkdir(mode=0o700)
        except BlockingIOError as error:
            os.close(self._lock)
            raise StorageFailed(
                f"the folder {root} is in use by another process",
                str(root),
                "wait until that process is done, or end it; then run the command again",
            ) from error
        except OSError as error:
            os.close(self._lock)
            raise StorageFailed(f"the folder {root} cannot be used: {error}", str(root)) from error
        # Appends do not wait for the many files of a publication: they have a thread of their own.
        self._appends = ThreadPoolExecutor(1, thread_name_prefix="sekisho-append")
        self._others = ThreadPoolExecutor(1, thread_name_prefix="sekisho-disk")

    def close(self) -> None:
        """Finish what was begun and give the folder back. Syncs nothing."""
        self._appends.shutdown()
        self._others.shutdown()
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files.clear()
        os.close(self._lock)

    async def read(self, path: str) -> bytes:
        """Whole content, from the medium if this process has not written it.

        After a crash of the process the kernel may hold pages that never reached the medium, and
        after a failed sync it may call them clean. So they are synced and dropped before the read.
        """
        return await self._run(path, self._read)

    def read_range(self, path: str, offset: int, length: int) -> bytes:
        """A part of a file, in the caller's thread; the kernel's copy of it is good enough."""
        check_path(path)
        return self._guard(path, lambda path: self._read_range(path, offset, length))

    async def exists(self, path: str) -> bool:
        """Whether the name is there."""
        return await self._run(path, lambda path: (self._root / path).exists())

    async def list(self, folder: str) -> list[str]:
        """Names in a folder, sorted, without this adapter's own."""
        return await self._run(folder, self._list, folder=True)

    async def append(self, path: str, data: bytes) -> None:
        """Append; the file stays open, so that a late write-back error reaches our sync."""
        await self._run(path, lambda path: self._append(path, data), appends=True)

    async def append_durably(self, path: str, data: bytes) -> None:
        """Append and sync in one trip to the thread, which costs more than either of them."""
        await self._run(path, lambda path: self._append_durably(path, data), appends=True)

    async def write_new(self, path: str, data: bytes | bytearray) -> None:
        """Create. The content is synced before it gets its name: a crash leaves all or nothing."""
        await self._run(path, lambda path: self._write_new(path, data))

    async def replace(self, path: str, data: bytes) -> None:
        """Give the path this content, atomically and durably."""
        await self._run(path, lambda path: self._replace(path, data))

    async def truncate(self, path: str, size: int) -> None:
        """Cut the file, durably."""
        await self._run(path, lambda path: self._truncate(path, size))

    async def delete(self, path: str) -> None:
        """Take the name away. A crash before the folder is synced may bring it back, whole."""
        await self._run(path, self._delete)

    async def sync(self, path: str) -> None:
        """Put the content on stable storage."""
        await self._run(path, self._sync)

    async def sync_folder(self, folder: str) -> None:
        """Put the names of a folder on stable storage."""
        await self._run(folder, self._sync_folder, folder=True)

    async def _run(
        self,
        path: str,
        work: Callable[[str], T],
        *,
        folder: bool = False,
        appends: bool = False,
    ) -> T:
        """In the thread of appends: whatever is done to a file that is open for appending."""
        check_path(path, folder=folder)
        loop = asyncio.get_running_loop()
        thread = self._appends if appends or path in self._files else self._others
        return await loop.run_in_executor(thread, self._guard, path, work)

    def _guard(self, path: str, work: Callable[[str], T]) -> T:
        """Refuse a poisoned path; turn what the kernel says into the port's.

        FileNotFoundError and FileExistsError are answers, not failures, and pass. Raises
        DescriptorsSpent where no file could be opened: nothing was changed.
        """
        if path in self._poisoned:
            raise StorageFailed(f"{path}: {self._poisoned[path]} before; open the disk anew")
        try:
            return work(path)
        except (FileNotFoundError, FileExistsError):
            raise
        except OSError as error:
            kind = DescriptorsSpent if error.errno in _SPENT else StorageFailed
            raise kind(f"{path}: {error}") from error

    def _poison(self, path: str, error: OSError) -> None:
        if error.errno not in _SPENT:
            self._poisoned[path] = f"failed ({error.strerror})"

    def _fail(self, path: str, error: OSError) -> NoReturn:
        self._poison(path, error)
        kind = DescriptorsSpent if error.errno in _SPENT else StorageFailed
        raise kind(f"{path}: {error}") from error

    def _read(self, path: str) -> bytes:
        with (self._root / path).open("rb") as file:
            if path not in self._own:
                os.fsync(file.fileno())
                if hasattr(os, "posix_fadvise"):
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            return file.read()

    def _read_range(self, path: str, offset: int, length: int) -> bytes:
        with (self._root / path).open("rb", buffering=0) as file:
            left = max(0, min(length, os.fstat(file.fileno()).st_size - offset))
            parts: builtins.list[bytes] = []
            while left > 0:
                part = os.pread(file.fileno(), left, offset)
                if not part:
                    break  # cut meanwhile
                parts.append(part)
                left -= len(part)
                offset += len(part)
            return b"".join(parts)

    def _list(self, folder: str) -> builtins.list[str]:
        try:
            names = [path.name for path in (self._root / folder).iterdir()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(name for name in names if not name.startswith("."))

    def _append(self, path: str, data: bytes) -> None:
        written = 0
        try:
            descriptor = self._open_for_append(path)
            self._dirty.add(path)
            while written < len(data):
                written += os.write(descriptor, memoryview(data)[written:])
        except OSError as error:
            self._poison(path, error)
            if written:
                raise OutcomeUnknown(f"{path}: {written} of {len(data)} bytes: {error}") from error
            raise

    def _append_durably(self, path: str, data: bytes) -> None:
        self._append(path, data)
        self._sync(path)

    def _open_for_append(self, path: str) -> int:
        if path not in self._files:
            target = self._root / path
            self._make_folder(target.parent)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            if not target.exists():
                self._own.add(path)
            self._files[path] = os.open(target, flags, 0o640)
        return self._files[path]

    def _write_temporary(self, data: bytes | bytearray) -> Path:
        """A synced file under ``.tmp``. A crash leaves it there; the next start removes it."""
        self._temporary += 1
        temporary = self._root / ".tmp" / str(self._temporary)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            _flush(descriptor)
        except OSError:
            temporary.unlink()
            raise
        finally:
            os.close(descriptor)
        return temporary

    def _write_new(self, path: str, data: bytes | bytearray) -> None:
        target = self._root / path
        if target.exists():
            raise FileExistsError(errno.EEXIST, "the name is taken", path)
        try:
            self._make_folder(target.parent)
            temporary = self._write_temporary(data)
        except OSError as error:
            self._fail(path, error)
        try:
            os.link(temporary, target)
        finally:
            temporary.unlink()
        self._own.add(path)

    def _replace(self, path: str, data: bytes) -> None:
        target = self._root / path
        try:
            self._make_folder(target.parent)
            folder = _open_folder(target.parent)  # before the rename: after it no want may stop us
        except OSError as error:
            self._fail(path, error)
        try:
            try:
                temporary = self._write_temporary(data)
                temporary.rename(target)
            except OSError as error:
                self._fail(path, error)
            self._close_file(path)
            self._own.add(path)
            try:
                os.fsync(folder)  # a crash before this leaves the old or the new content
            except OSError as error:
                self._poison(path, error)
                raise OutcomeUnknown(f"{path}: replaced, perhaps not durably: {error}") from error
        finally:
            os.close(folder)

    def _truncate(self, path: str, size: int) -> None:
        descriptor = os.open(self._root / path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            if size > os.fstat(descriptor).st_size:
                raise StorageFailed(f"{path}: cannot be cut to {size} bytes, it is shorter")
            os.ftruncate(descriptor, size)
            _flush(descriptor)
        except OSError as error:
            self._poison(path, error)
            raise OutcomeUnknown(f"{path}: perhaps not cut: {error}") from error
        finally:
            os.close(descriptor)

    def _delete(self, path: str) -> None:
        (self._root / path).unlink()
        self._close_file(path)
        self._dirty.discard(path)
        self._own.discard(path)

    def _sync(self, path: str) -> None:
        descriptor = self._files.get(path)
        opened = descriptor is None
        if descriptor is None:
            descriptor = os.open(self._root / path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _flush(descriptor)
        except OSError as error:
            self._poison(path, error)
            raise OutcomeUnknown(f"{path}: perhaps not durable: {error}") from error
        finally:
            if opened:
                os.close(descriptor)
        self._dirty.discard(path)
        if opened:
            return
        for idle in [name for name in self._files if name not in self._dirty]:
            if len(self._files) > _OPEN_FILES_MAX:
                self._close_file(idle)

    def _sync_folder(self, folder: str) -> None:
        descriptor = _open_folder(self._root / folder)
        try:
            os.fsync(descriptor)
        except OSError as error:
            self._poison(folder, error)
            raise OutcomeUnknown(f"{folder}: names perhaps not durable: {error}") from error
        finally:
            os.close(descriptor)

    def _close_file(self, path: str) -> None:
        descriptor = self._files.pop(path, None)
        if descriptor is not None:
            os.close(descriptor)

    def _make_folder(self, folder: Path) -> None:
        """Create a folder and those above it; each is durable in its parent before it is used."""
        if folder.is_dir():
            return
        self._make_folder(folder.parent)
        parent = _open_folder(folder.parent)  # before the name is there: see the module
        try:
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=0o750)
            os.fsync(parent)
        finally:
            os.close(parent)


def _flush(descriptor: int) -> None:
    """Content and size on the medium; on macOS fsync alone stops at the drive's cache."""
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:
        fcntl.fcntl(descriptor, full)
    else:
        os.fdatasync(descriptor)


def _open_folder(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
