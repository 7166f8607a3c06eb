# SPDX-License-Identifier: Apache-2.0
"""From a key's URI to the custody that holds it, and to the signer.

The heavy libraries of tokens and services are imported when such a key is opened, never before.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from sekisho.adapters.signers.file_custody import FileCustody
from sekisho.adapters.signers.key_uris import (
    AwsKmsUri,
    file_path,
    read_awskms,
    read_pkcs11,
    scheme_of,
)
from sekisho.adapters.signers.settings import CustodySettings, read_passphrase
from sekisho.core.errors import ConfigurationInvalid
from sekisho.custody import KeyCustody
from sekisho.ports import Signer

__all__ = [
    "SCHEMES",
    "CustodySettings",
    "check_place",
    "open_custody",
    "open_signer",
    "place_of",
    "read_passphrase",
]
SCHEMES = ("file", "pkcs11", "awskms")


def open_custody(uri: str, settings: CustodySettings) -> KeyCustody:
    """The custody of a key, or of a place for new ones.

    Args:
        uri: of a key; or ``file:FOLDER/``, ``pkcs11:`` with a token alone, ``awskms:region=…``.
        settings: of this process.

    Raises:
        ConfigurationInvalid: no such scheme, its extra is not installed, or settings that it needs
            are missing; says what to do.
    """
    scheme = scheme_of(uri)
    if scheme == "file":
        path = file_path(uri)
        folder = path if uri.endswith("/") else path.parent
        return FileCustody(folder, read_passphrase(settings.passphrase_file))
    if scheme == "pkcs11":
        token = read_pkcs11(uri, key="object=" in uri or "id=" in uri)
        try:
            from sekisho.adapters.signers.pkcs11_custody import Pkcs11Custody
        except ImportError as error:
            raise _not_installed(scheme) from error
        return Pkcs11Custody(token, settings)
    if scheme == "awskms":
        region = read_awskms(uri, key="key-id=" in uri).region
        try:
            from sekisho.adapters.signers.awskms import AwsKmsCustody
        except ImportError as error:
            raise _not_installed(scheme) from error
        return AwsKmsCustody(region, settings)
    known = ", ".join(f"{name}:" for name in SCHEMES)
    raise ConfigurationInvalid(f"key {uri[:200]!r}: no such scheme; this version knows {known}")


def place_of(uri: str) -> str:
    """The URI of the place that a key's URI is in. Raises ConfigurationInvalid."""
    scheme = scheme_of(uri)
    if scheme == "pkcs11":
        token = read_pkcs11(uri, key="object=" in uri or "id=" in uri)
        return msgspec.structs.replace(token, label="", key_id=b"").text()
    if scheme == "awskms":
        return AwsKmsUri(region=read_awskms(uri, key="key-id=" in uri).region).text()
    return f"file:{file_path(uri).parent}/" if not uri.endswith("/") else uri


def check_place(uri: str) -> None:
    """Whether a URI names a place for new keys. Raises ConfigurationInvalid."""
    scheme = scheme_of(uri)
    if scheme == "pkcs11":
        read_pkcs11(uri, key=False)
    elif scheme == "awskms":
        read_awskms(uri, key=False)
    elif scheme != "file" or not uri.endswith("/"):
        raise ConfigurationInvalid(
            f"{uri[:200]!r}: no place for keys",
            "--place",
            "file:FOLDER/, pkcs11: with a token and no object, or awskms:region=REGION",
        )


def open_signer(
    uri: str, *, passphrase_file: Path, settings: CustodySettings | None = None
) -> Signer:
    """The signer of a key URI; it may take seconds with a token or service.

    Raises:
        ConfigurationInvalid: no such scheme here, or the key cannot be used; says what to do.
        KeyDisabled, Unavailable: see ``KeyCustody.open``.
    """
    if settings is None:
        settings = CustodySettings(folder=Path(), passphrase_file=passphrase_file)
    return open_custody(uri, settings).open_blocking(uri)


def _not_installed(scheme: str) -> ConfigurationInvalid:
    return ConfigurationInvalid(
        f"a {scheme}: key needs the extra sekisho[{scheme}], which is not installed",
        f"sekisho[{scheme}]",
        f"install it: pip install 'sekisho[{scheme}]'",
    )
