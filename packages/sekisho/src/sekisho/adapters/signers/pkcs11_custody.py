# SPDX-License-Identifier: Apache-2.0
"""Custody of keys in PKCS#11 tokens: ``pkcs11:`` (docs/spec/keys.md). Needs ``sekisho[pkcs11]``."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from pkcs11 import Attribute, exceptions

from sekisho.adapters.signers import pkcs11_objects
from sekisho.adapters.signers.file_custody import refuse_usage
from sekisho.adapters.signers.key_uris import Pkcs11Uri, check_name, read_pkcs11
from sekisho.adapters.signers.pkcs11_objects import FoundKey
from sekisho.adapters.signers.pkcs11_token import Module, TokenLink, open_module
from sekisho.adapters.signers.settings import CustodySettings
from sekisho.adapters.signers.verified import check_signature
from sekisho.core.errors import (
    ConfigurationInvalid,
    KeyDisabled,
    OutcomeUnknown,
    SekishoError,
    Unavailable,
)
from sekisho.custody import DisableReport, KeyState, KeyUse

T = TypeVar("T")
_MAKING_S = 10.0
"""Some tokens take their time to make a key; nobody trades on it."""


class _Place:
    """Where a URI's key is: module, token and PIN."""

    def __init__(self, uri: Pkcs11Uri, settings: CustodySettings) -> None:
        self.uri = uri
        self.module: Module = open_module(uri.module, settings.modules)
        self.pin = settings.folder / uri.pin_source

    @property
    def link(self) -> TokenLink:
        """The token; on the module's thread alone."""
        return self.module.token(self.uri.token, self.uri.serial)

    def within(self, work: Callable[[TokenLink], T]) -> T:
        """Do something in the token; once more in a new session if the first one is no good.

        For what is harmless to repeat. Raises Unavailable, ConfigurationInvalid.
        """
        link = self.link
        try:
            return work(link)
        except exceptions.PKCS11Error:
            link.drop()
        try:
            return work(link)
        except exceptions.PKCS11Error as error:
            link.drop()
            raise link.failed(error) from error


class Pkcs11Signer:
    """One key in a token."""

    def __init__(self, uri: str, place: _Place, found: FoundKey, generation: int) -> None:
        self._place = place
        self._found = found
        self._generation = generation
        self.uri = uri
        self.algorithm = found.algorithm
        self.public_key = found.public_key
        self.shut = False

    async def sign(self, message: bytes) -> bytes:
        """See the port."""
        return self._checked(message, await self._place.module.desk.call(self._job(message)))

    def sign_blocking(self, message: bytes) -> bytes:
        """See the port."""
        return self._checked(message, self._place.module.desk.call_blocking(self._job(message)))

    def _job(self, message: bytes) -> Callable[[], bytes]:
        if self.shut:
            raise KeyDisabled(f"{self.uri}: this key was disabled", self.uri)
        digest = hashlib.sha256(message).digest()
        return lambda: self._place.within(lambda link: self._use(link, message, digest))

    def _use(self, link: TokenLink, message: bytes, digest: bytes) -> bytes:
        try:
            session = link.session(self._place.pin)
            if link.generation != self._generation:
                self._take(pkcs11_objects.find(session, self._place.uri), link.generation)
        except ConfigurationInvalid as error:
            raise KeyDisabled(f"{self.uri}: {error}", error.where, error.do) from error
        try:
            return pkcs11_objects.sign(self._found, message, digest)
        except exceptions.PKCS11Error:
            self._generation = 0  # whatever it was, the key is looked at anew
            raise

    def _take(self, found: FoundKey, generation: int) -> None:
        if found.public_key != self.public_key:
            raise KeyDisabled(f"{self.uri}: another key has its name now", self.uri)
        if not found.enabled:
            raise KeyDisabled(f"{self.uri}: this key is disabled", self.uri)
        self._found, self._generation = found, generation

    def _checked(self, message: bytes, signature: bytes) -> bytes:
        if self.shut:
            raise KeyDisabled(f"{self.uri}: this key was disabled", self.uri)
        return check_signature(self, message, signature)


class Pkcs11Custody:
    """Keys of tokens; new ones are made in the token of ``place``."""

    scheme = "pkcs11"
    keeps_usage = False

    def __init__(self, place: Pkcs11Uri, settings: CustodySettings) -> None:
        self._settings = settings
        self._token = msgspec.structs.replace(place, label="", key_id=b"")
        self._opened: list[Pkcs11Signer] = []
        self._place(self._token)  # a module that is not allowed is refused at once

    def _place(self, uri: Pkcs11Uri) -> _Place:
        return _Place(uri, self._settings)

    async def create(self, name: str, algorithm: str) -> str:
        """Generate in the token. See the port."""
        check_name(name)
        place = self._place(self._token)
        key_id = hashlib.sha256(name.encode() + os.urandom(16)).digest()[:16]
        uri = msgspec.structs.replace(self._token, label=name, key_id=key_id).text()

        def work() -> None:
            session = place.within(lambda link: link.writing(place.pin))
            try:
                pkcs11_objects.generate(session, name, key_id, algorithm)
            except exceptions.MechanismInvalid as error:
                raise ConfigurationInvalid(f"the token has no {algorithm} ({error})") from error
            except exceptions.PKCS11Error as error:
                place.link.drop()
                raise OutcomeUnknown(
                    f"{uri}: perhaps made ({type(error).__name__})", uri, "ask for its state"
                ) from error
            finally:
                _close(session)

        try:
            await place.module.desk.call(work, _MAKING_S)
        except Unavailable as error:
            if not isinstance(error.__cause__, TimeoutError):
                raise
            raise OutcomeUnknown(f"{uri}: perhaps made", uri, "ask for its state") from error
        return uri

    async def open(self, uri: str, public_key: bytes = b"") -> Pkcs11Signer:
        """See the port."""
        place = self._place(read_pkcs11(uri))
        found, generation = await place.module.desk.call(lambda: place.within(_finder(place)))
        return self._signer(uri, place, found, generation, public_key)

    def open_blocking(self, uri: str, public_key: bytes = b"") -> Pkcs11Signer:
        """See the port."""
        place = self._place(read_pkcs11(uri))
        found, generation = place.module.desk.call_blocking(lambda: place.within(_finder(place)))
        return self._signer(uri, place, found, generation, public_key)

    def _signer(
        self, uri: str, place: _Place, found: FoundKey, generation: int, public_key: bytes
    ) -> Pkcs11Signer:
        if public_key and found.public_key != public_key:
            raise ConfigurationInvalid(f"{uri}: is another key", uri, "name the right one")
        if not found.enabled:
            raise KeyDisabled(f"{uri}: this key is disabled", uri)
        signer = Pkcs11Signer(uri, place, found, generation)
        self._opened.append(signer)
        return signer

    async def disable(self, uri: str) -> DisableReport:
        """Take the right to sign from the key. See the port."""
        try:
            place = self._place(read_pkcs11(uri))
            for signer in self._opened:
                signer.shut = signer.shut or signer.uri == uri
            return await place.module.desk.call(lambda: place.within(_disabler(place)))
        except SekishoError as error:
            return DisableReport(outcome="failed", detail=str(error))

    async def state(self, uri: str) -> KeyState:
        """See the port."""
        place = self._place(read_pkcs11(uri))

        def work(link: TokenLink) -> KeyState:
            session = link.session(place.pin)
            if not pkcs11_objects.search(session, place.uri):
                return "absent"
            return "enabled" if pkcs11_objects.find(session, place.uri).enabled else "disabled"

        return await place.module.desk.call(lambda: place.within(work))

    async def usage(self, uri: str, since_ns: int) -> tuple[KeyUse, ...]:
        """The interface of tokens has no list."""
        refuse_usage(uri, since_ns)


def _finder(place: _Place) -> Callable[[TokenLink], tuple[FoundKey, int]]:
    def work(link: TokenLink) -> tuple[FoundKey, int]:
        found = pkcs11_objects.find(link.session(place.pin), place.uri)
        return found, link.generation

    return work


def _disabler(place: _Place) -> Callable[[TokenLink], DisableReport]:
    def work(link: TokenLink) -> DisableReport:
        session = link.writing(place.pin)
        try:
            found = pkcs11_objects.find(session, place.uri)
            if found.enabled:
                found.private[Attribute.SIGN] = False
                if pkcs11_objects.find(session, place.uri).enabled:
                    return DisableReport(outcome="failed", detail="the token went on as before")
        except (exceptions.AttributeReadOnly, exceptions.FunctionNotSupported) as error:
            return DisableReport(
                outcome="failed",
                detail=f"the token does not let it change ({type(error).__name__}): "
                "destroy the key with the token's own tools",
            )
        finally:
            _close(session)
        return DisableReport(outcome="disabled")

    return work


def _close(session: Any) -> None:
    """Close a session that was not logged in by itself; a failure shows with the next use."""
    try:
        session.close()
    except exceptions.PKCS11Error:
        return
