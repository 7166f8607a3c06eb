# SPDX-License-Identifier: Apache-2.0
"""Custody of keys in encrypted files: ``file:`` (docs/spec/keys.md).

A key is disabled by the name of its file; a signer of this custody looks for that name before each
use, so that a disabling holds in every process that opened the key here.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

from sekisho.adapters.signers import software
from sekisho.adapters.signers.key_uris import check_name, file_path
from sekisho.core.errors import ConfigurationInvalid, KeyDisabled
from sekisho.custody import DisableReport, KeyState, KeyUse

DISABLED = ".disabled"


class FileSigner:
    """A software signer for as long as its file has its name."""

    def __init__(self, inner: software.SoftwareSigner, path: Path) -> None:
        self._inner = inner
        self._path = path
        self.shut = False

    @property
    def uri(self) -> str:
        """``file:`` and the path."""
        return self._inner.uri

    @property
    def algorithm(self) -> str:
        """``ES256`` or ``Ed25519``."""
        return self._inner.algorithm

    @property
    def public_key(self) -> bytes:
        """SubjectPublicKeyInfo, DER."""
        return self._inner.public_key

    async def sign(self, message: bytes) -> bytes:
        """Sign in place: looking and signing take some twenty microseconds."""
        return self.sign_blocking(message)

    def sign_blocking(self, message: bytes) -> bytes:
        """See the port. Raises KeyDisabled: the file has not its name any more."""
        if self.shut or not os.path.lexists(self._path):
            raise KeyDisabled(
                f"{self._path}: this key was disabled, or its file is gone",
                str(self._path),
                f"if it was a mistake, give {self._path.name}{DISABLED} its name back",
            )
        return self._inner.sign_blocking(message)


class FileCustody:
    """The keys of one folder, under one passphrase; ``open`` takes any file of that passphrase."""

    scheme = "file"
    keeps_usage = False

    def __init__(self, folder: Path, passphrase: bytes) -> None:
        self._folder = folder
        self._passphrase = passphrase
        self._opened: dict[Path, list[FileSigner]] = {}

    async def create(self, name: str, algorithm: str) -> str:
        """``FOLDER/NAME.key``. See the port."""
        check_name(name)
        path = self._folder / f"{name}.key"
        if _state(path) == "disabled":
            raise ConfigurationInvalid(
                f"{path}: a disabled key has this name", str(path), "choose another name"
            )
        return software.generate(path, self._passphrase, algorithm).uri

    async def open(self, uri: str, public_key: bytes = b"") -> FileSigner:
        """See the port."""
        return self.open_blocking(uri, public_key)

    def open_blocking(self, uri: str, public_key: bytes = b"") -> FileSigner:
        """See the port."""
        path = file_path(uri)
        if _state(path) == "disabled":
            raise KeyDisabled(f"{path}: this key is disabled", str(path), "issue another key")
        inner = software.load(path, self._passphrase)
        if public_key and inner.public_key != public_key:
            raise ConfigurationInvalid(f"{path}: is another key", str(path), "name the right one")
        signer = FileSigner(inner, path)
        self._opened.setdefault(path, []).append(signer)
        return signer

    async def disable(self, uri: str) -> DisableReport:
        """Rename the file. A crash leaves the one name or the other. See the port."""
        path = file_path(uri)
        for signer in self._opened.get(path, ()):
            signer.shut = True
        try:
            if _state(path) == "enabled":
                _rename(path)
            software.sync_folder(path.parent)
        except OSError as error:
            return DisableReport(outcome="failed", detail=f"{path}: {error.strerror}")
        if _state(path) == "disabled":
            return DisableReport(outcome="disabled")
        return DisableReport(outcome="failed", detail=f"{path}: no such key")

    async def state(self, uri: str) -> KeyState:
        """See the port."""
        return _state(file_path(uri))

    async def usage(self, uri: str, since_ns: int) -> tuple[KeyUse, ...]:
        """A file keeps no list."""
        refuse_usage(uri, since_ns)


def refuse_usage(uri: str, since_ns: int) -> NoReturn:
    """For custodies that keep no list of uses. Raises ConfigurationInvalid."""
    raise ConfigurationInvalid(
        f"{uri}: this custody keeps no list of uses (since {since_ns} ns or ever)",
        "usage",
        "compare the gate's log with what docs/spec/keys.md section 6 names",
    )


def _rename(path: Path) -> None:
    """Never over another key's name, which a plain rename would do."""
    target = _disabled(path)
    if not (target.exists() and target.samefile(path)):
        target.hardlink_to(path)
    path.unlink()  # a crash before this leaves both names: enabled, and the next call goes on


def _disabled(path: Path) -> Path:
    return path.with_name(path.name + DISABLED)


def _state(path: Path) -> KeyState:
    if os.path.lexists(path):
        return "enabled"
    return "disabled" if os.path.lexists(_disabled(path)) else "absent"
