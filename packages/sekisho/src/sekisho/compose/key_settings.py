# SPDX-License-Identifier: Apache-2.0
"""``[keys]`` of a configuration: keys outside of files, and how they are reached."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from sekisho.adapters.settings_file import Section
from sekisho.adapters.signers import key_uris
from sekisho.adapters.signers.opening import SCHEMES
from sekisho.adapters.signers.settings import CustodySettings
from sekisho.core.errors import ConfigurationInvalid


class KeySettings(Section, frozen=True):
    """Agents' keys by URI, beside those in the folder; PKCS#11 modules that may be loaded; KMS."""

    agents: tuple[str, ...] = ()
    pkcs11_modules: tuple[str, ...] = ()
    awskms_endpoint: str = ""
    awskms_proxy: str = ""

    def custody(self, folder: Path, passphrase_file: Path) -> CustodySettings:
        """What the adapters need to know; paths count from ``folder``."""
        return CustodySettings(
            folder=folder,
            passphrase_file=passphrase_file,
            modules=self.pkcs11_modules,
            awskms_endpoint=self.awskms_endpoint,
            awskms_proxy=self.awskms_proxy,
        )


def key_faults(settings: KeySettings, *, production: bool) -> Iterator[str]:
    """What the settings alone show to be wrong."""
    for module in settings.pkcs11_modules:
        if not Path(module).is_absolute():
            yield f"keys.pkcs11_modules: {module[:80]!r} is no absolute path"
    for name in ("awskms_endpoint", "awskms_proxy"):
        address = urlsplit(getattr(settings, name))
        if address.geturl() and (address.scheme not in {"http", "https"} or not address.hostname):
            yield f"keys.{name}: not a URL"
        elif address.username or address.password:
            yield f"keys.{name}: holds a secret"
        elif production and name == "awskms_endpoint" and address.scheme == "http":
            yield f"keys.{name}: https in environment production"
    for number, uri in enumerate(settings.agents, 1):
        try:
            check_uri(uri)
        except ConfigurationInvalid as error:
            yield f"keys.agents, {number}.: {error}"


def check_uri(uri: str) -> None:
    """Whether a key's URI is well written. Raises ConfigurationInvalid."""
    scheme = key_uris.scheme_of(uri)
    if scheme == "pkcs11":
        key_uris.read_pkcs11(uri)
    elif scheme == "awskms":
        key_uris.read_awskms(uri)
    elif scheme == "file":
        key_uris.file_path(uri)
    else:
        known = ", ".join(f"{name}:" for name in SCHEMES)
        raise ConfigurationInvalid(f"{uri[:80]!r}: no such scheme; this version knows {known}")
