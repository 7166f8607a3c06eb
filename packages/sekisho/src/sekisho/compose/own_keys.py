# SPDX-License-Identifier: Apache-2.0
"""The authority's own keys: files of its home, or what ``[keys]`` names (docs/spec/keys.md)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sekisho.adapters.signers.key_uris import file_path, scheme_of
from sekisho.adapters.signers.opening import CustodySettings, open_signer
from sekisho.compose.key_settings import check_uri
from sekisho.config import Config
from sekisho.core.errors import ConfigurationInvalid
from sekisho.ports import Signer

NAMES = ("root", "issuing", "responder", "authority-log", "gate-log")
_ED25519 = ("authority-log", "gate-log")


def is_distant(uri: str) -> bool:
    """Whether the key of a URI is outside this process, so that its signatures are awaited."""
    return bool(uri) and scheme_of(uri) != "file"


def own_signer(home: Path, config: Config, name: str) -> Signer:
    """One of the authority's own keys; it may take seconds with a token or a service.

    Raises:
        ConfigurationInvalid: it cannot be used, or is of another algorithm.
        KeyDisabled, Unavailable: the custody.
    """
    uri = config.keys.uri(name)
    passphrase = home / config.passphrase_file
    if not uri:
        return open_signer(f"file:{home / 'keys' / name}.key", passphrase_file=passphrase)
    check_uri(uri)
    if scheme_of(uri) == "file":
        uri = f"file:{home / file_path(uri)}"
    settings = CustodySettings(
        folder=home,
        passphrase_file=passphrase,
        modules=config.keys.pkcs11_modules,
        awskms_endpoint=config.keys.awskms_endpoint,
        awskms_proxy=config.keys.awskms_proxy,
    )
    signer = open_signer(uri, passphrase_file=passphrase, settings=settings)
    wanted = "Ed25519" if name in _ED25519 else "ES256"
    if signer.algorithm != wanted:
        raise ConfigurationInvalid(f"keys.{name}: {uri[:80]!r} is {signer.algorithm}, not {wanted}")
    return signer


def named_elsewhere(config: Config) -> Iterator[str]:
    """The keys that are no files of the home, and are not made with it."""
    return (name for name in NAMES if config.keys.uri(name))
