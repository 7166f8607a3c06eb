# SPDX-License-Identifier: Apache-2.0
"""What the configuration says of key custody: passphrase, modules, service (docs/spec/keys.md)."""

from __future__ import annotations

from pathlib import Path

import msgspec

from sekisho.adapters.regular_file import read_regular
from sekisho.core.errors import ConfigurationInvalid


class CustodySettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one process.

    Attributes:
        folder: from which relative paths count.
        passphrase_file: of key files; the working folder's if relative.
        modules: PKCS#11 libraries that may be loaded; absolute paths.
        awskms_endpoint: a URL instead of the region's own; empty for that.
        awskms_proxy: a URL; empty for none.
    """

    folder: Path
    passphrase_file: Path
    modules: tuple[str, ...] = ()
    awskms_endpoint: str = ""
    awskms_proxy: str = ""


def read_passphrase(path: Path) -> bytes:
    """The passphrase in a file, without the newline at its end.

    Raises:
        ConfigurationInvalid: not there, empty, or readable by others.
    """
    do = "put back the passphrase that the home's keys were made with"
    return _secret(path, "passphrase", do)


def read_pin(path: Path) -> str:
    """The PIN in a file, as :func:`read_passphrase`; UTF-8."""
    try:
        return _secret(path, "PIN", "put the PIN of the token's user there").decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigurationInvalid(f"{path}: the PIN is not UTF-8", str(path)) from None


def _secret(path: Path, what: str, do: str) -> bytes:
    try:
        content, mode = read_regular(path)
    except OSError as error:
        raise ConfigurationInvalid(
            f"{path}: no {what} there ({error.strerror})", str(path), do
        ) from error
    if mode & 0o077:
        raise ConfigurationInvalid(
            f"{path}: others can read the {what}", str(path), f"run: chmod 600 {path}"
        )
    text = content.rstrip(b"\r\n")
    if not text:
        raise ConfigurationInvalid(f"{path}: the {what} is empty", str(path), do)
    return text
