# SPDX-License-Identifier: Apache-2.0
"""The agents' keys in a gate's custody: a folder of encrypted key files, and keys named by URI.

A key is found by its public part, which a certificate names. Files that appear later, with a new
certificate, are found too; each is opened once. A token or service that does not answer keeps the
gate from permitting, not from starting: it is asked again until it answers.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sekisho.adapters.signers.file_custody import FileCustody
from sekisho.adapters.signers.opening import open_custody, place_of
from sekisho.adapters.signers.settings import CustodySettings
from sekisho.core.errors import ConfigurationInvalid, SekishoError, Unavailable
from sekisho.custody import KeyCustody
from sekisho.ports import Clock, Signer

ASK_EVERY_S = 1.0


class KeyFolder:
    """Signers by public key.

    Args:
        folder: of key files.
        passphrase: of the files.
        named: URIs of further keys.
        settings: how those are reached; wanted where there are any.
    """

    def __init__(
        self,
        folder: Path,
        passphrase: bytes,
        named: tuple[str, ...] = (),
        settings: CustodySettings | None = None,
    ) -> None:
        self._folder = folder
        self._files = FileCustody(folder, passphrase)
        self._signers: dict[bytes, Signer] = {}
        self._opened: set[Path] = set()
        self._named = list(named)
        self._settings = settings
        self._custodies: dict[str, KeyCustody] = {}
        self.failures: dict[str, str] = {}
        """URI of each key that is not open → why."""

    def signer(self, public_key: bytes) -> Signer:
        """The key with this public part (SubjectPublicKeyInfo, DER).

        Where a named key is not open yet, which may be this one, what is returned signs as soon as
        it is, and is Unavailable until then.

        Raises:
            ConfigurationInvalid: it is not in custody here, or a file cannot be used.
        """
        if public_key not in self._signers:
            self.read()
        found = self._signers.get(public_key)
        if found is None and self._named:
            return LateSigner(public_key, self)
        if found is None:
            raise ConfigurationInvalid(
                f"{self._folder}: no key in custody for this certificate",
                str(self._folder),
                "put the agent's key file there, or revoke the certificate and issue another",
            )
        return found

    def read(self) -> None:
        """Open every file that was not opened yet. Raises ConfigurationInvalid."""
        for path in sorted(self._folder.glob("*.key")):
            if path not in self._opened:
                signer = self._files.open_blocking(f"file:{path}")
                self._opened.add(path)
                self._signers[signer.public_key] = signer

    def opened(self, public_key: bytes) -> Signer:
        """A key that is open. Raises Unavailable: none with this public part."""
        found = self._signers.get(public_key)
        if found is None:
            waiting = "; ".join(self.failures.values()) or "keys are being opened"
            raise Unavailable(f"the agent's key is not open: {waiting}"[:300], "keys.agents")
        return found

    async def open_named(self) -> None:
        """Ask once for every named key that is not open; why not is in ``failures``.

        Raises:
            ConfigurationInvalid: an extra that is not installed, a module that is not allowed.
        """
        for uri in list(self._named):
            custody = self._custody(uri)
            try:
                signer = await custody.open(uri)
            except SekishoError as error:
                self.failures[uri] = str(error)
            else:
                self._named.remove(uri)
                self.failures.pop(uri, None)
                self._signers[signer.public_key] = signer

    def _custody(self, uri: str) -> KeyCustody:
        """One for each place: a custody has threads of its own."""
        place = place_of(uri)
        if place not in self._custodies:
            if self._settings is None:
                raise ConfigurationInvalid(f"{uri}: keys by URI need settings", "keys")
            self._custodies[place] = open_custody(uri, self._settings)
        return self._custodies[place]

    async def run(self, clock: Clock, told: Callable[[str, str], None]) -> None:
        """Ask for what is not open until everything is; each new failure is told of once."""
        known: dict[str, str] = {}
        while self._named:
            for uri, why in self.failures.items():
                if known.get(uri) != why:
                    told(uri, why)
            known = dict(self.failures)
            await clock.sleep(ASK_EVERY_S)
            await self.open_named()


class LateSigner:
    """A key of a certificate that may be behind a token or service that has not answered yet."""

    algorithm = "ES256"

    def __init__(self, public_key: bytes, keys: KeyFolder) -> None:
        self.public_key = public_key
        self._keys = keys

    @property
    def uri(self) -> str:
        """Of the key once it is open; before, no URI is known to be its."""
        try:
            return self._keys.opened(self.public_key).uri
        except Unavailable:
            return "unopened:"

    async def sign(self, message: bytes) -> bytes:
        """See the port."""
        return await self._keys.opened(self.public_key).sign(message)

    def sign_blocking(self, message: bytes) -> bytes:
        """See the port."""
        return self._keys.opened(self.public_key).sign_blocking(message)
