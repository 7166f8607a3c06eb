# SPDX-License-Identifier: Apache-2.0
"""From a key's URI to the signer that holds it."""

from __future__ import annotations

from pathlib import Path

from sekisho.adapters.regular_file import read_regular
from sekisho.adapters.signers import software
from sekisho.core.errors import ConfigurationInvalid
from sekisho.ports import Signer

SCHEMES = ("file",)


def open_signer(uri: str, *, passphrase_file: Path) -> Signer:
    """The signer of a key URI.

    Raises:
        ConfigurationInvalid: no such scheme here, or the key cannot be used; says what to do.
    """
    scheme, colon, rest = uri.partition(":")
    if not colon or scheme not in SCHEMES:
        known = ", ".join(f"{name}:" for name in SCHEMES)
        raise ConfigurationInvalid(f"key {uri!r}: no such scheme; this version knows {known}")
    return software.load(Path(rest), read_passphrase(passphrase_file))


def read_passphrase(path: Path) -> bytes:
    """The passphrase in a file, without the newline at its end.

    Raises:
        ConfigurationInvalid: not there, empty, or readable by others.
    """
    try:
        content, mode = read_regular(path)
    except OSError as error:
        raise ConfigurationInvalid(
            f"{path}: no passphrase there ({error.strerror})",
            str(path),
            "put back the passphrase that the home's keys were made with",
        ) from error
    if mode & 0o077:
        raise ConfigurationInvalid(
            f"{path}: others can read the passphrase", str(path), f"run: chmod 600 {path}"
        )
    text = content.rstrip(b"\r\n")
    if not text:
        raise ConfigurationInvalid(
            f"{path}: the passphrase is empty",
            str(path),
            "put back the passphrase that the home's keys were made with",
        )
    return text
