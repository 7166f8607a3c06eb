# SPDX-License-Identifier: Apache-2.0
"""The agents' keys in a gate's custody: a folder of encrypted key files, read as they are needed.

A key is found by its public part, which a certificate names. Files that appear later, with a new
certificate, are found too; each is opened once.
"""

from __future__ import annotations

from pathlib import Path

from sekisho.adapters.signers import software
from sekisho.core.errors import ConfigurationInvalid
from sekisho.ports import Signer


class KeyFolder:
    """Signers by public key."""

    def __init__(self, folder: Path, passphrase: bytes) -> None:
        self._folder = folder
        self._passphrase = passphrase
        self._signers: dict[bytes, Signer] = {}
        self._opened: set[Path] = set()

    def signer(self, public_key: bytes) -> Signer:
        """The key with this public part (SubjectPublicKeyInfo, DER).

        Raises:
            ConfigurationInvalid: it is not in custody here, or a file cannot be used.
        """
        if public_key not in self._signers:
            self.read()
        try:
            return self._signers[public_key]
        except KeyError as error:
            raise ConfigurationInvalid(
                f"{self._folder}: no key in custody for this certificate",
                str(self._folder),
                "put the agent's key file there, or revoke the certificate and issue another",
            ) from error

    def read(self) -> None:
        """Open every file that was not opened yet. Raises ConfigurationInvalid."""
        for path in sorted(self._folder.glob("*.key")):
            if path not in self._opened:
                signer = software.load(path, self._passphrase)
                self._opened.add(path)
                self._signers[signer.public_key] = signer
