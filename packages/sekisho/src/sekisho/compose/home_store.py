# SPDX-License-Identifier: Apache-2.0
"""The store of a home's authority, by its settings (docs/spec/stores.md).

Without a URL the authority's log is journal files in the home. With one its entries are in that
database, and the home keeps what this process publishes, and the second place of the newest
checkpoint.
"""

from __future__ import annotations

import socket
from pathlib import Path

from sekisho.adapters.disk import FolderDisk
from sekisho.adapters.regular_file import read_regular
from sekisho.adapters.stores.postgres import PostgresStore
from sekisho.adapters.stores.sqlite import SqliteStore
from sekisho.config import StoreSettings
from sekisho.core.errors import ConfigurationInvalid
from sekisho.ports import Clock, Signer
from sekisho.services.storejournal import StoreJournal

Store = SqliteStore | PostgresStore


async def open_store(home: Path, settings: StoreSettings) -> Store:
    """Connect to the store of these settings.

    Raises:
        ConfigurationInvalid: the URL is of no store, or the password cannot be read.
        StorageFailed: another process has the SQLite file.
        Unavailable: the database does not answer.
    """
    if settings.url.startswith("sqlite:"):
        return await SqliteStore.open(home / settings.url.removeprefix("sqlite:"))
    password = None
    if settings.password_file:
        password = _password(home / settings.password_file)
    return await PostgresStore.open(settings.url, password)


async def open_log(
    store: Store,
    disks: tuple[FolderDisk, FolderDisk],
    origin: str,
    signer: Signer,
    clock: Clock,
) -> StoreJournal:
    """Open the authority's log in the store, as a follower.

    Args:
        store: opened.
        disks: where this process publishes, and the second place of the checkpoint.
        origin: the log's name.
        signer: its key.
        clock: for publishing.

    Raises:
        Unavailable: the store does not answer.
        VerificationFailed: the store was put back to an older state, or is another log.
    """
    published, anchor = disks
    return await StoreJournal.open_in(
        store, published, origin=origin, signer=signer, clock=clock, anchor=anchor
    )


def replica_name(home: Path, settings: StoreSettings) -> str:
    """What a process is called among those that may write the log."""
    return settings.replica or f"{socket.gethostname()}:{home}"


def _password(path: Path) -> str:
    try:
        data, mode = read_regular(path)
    except OSError as error:
        raise ConfigurationInvalid(
            f"{path}: the database's password cannot be read ({error.strerror})", str(path)
        ) from error
    if mode & 0o077:
        raise ConfigurationInvalid(
            f"{path}: others can read the database's password", str(path), f"chmod 0600 {path}"
        )
    return data.decode("utf-8").rstrip("\n")
