# SPDX-License-Identifier: Apache-2.0
"""Modules, tokens and logins of PKCS#11, as one process may use them (docs/spec/keys.md section 4).

A module belongs to the whole process, and a login to all sessions of a token. The library that
loads them initialises a module for a single thread: so each module has one thread here, which makes
all of its calls, and each token one session. Needs the extra ``sekisho[pkcs11]``.
"""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import Any

import pkcs11
from pkcs11 import exceptions

from sekisho.adapters.signers.call_desk import CallDesk
from sekisho.adapters.signers.settings import read_pin
from sekisho.core.errors import ConfigurationInvalid, Unavailable

WAIT_S = 2.0
"""What a caller waits for a token, at most."""
_PIN_REFUSED = (
    exceptions.PinIncorrect,
    exceptions.PinInvalid,
    exceptions.PinLenRange,
    exceptions.PinLocked,
    exceptions.PinExpired,
    exceptions.UserPinNotInitialized,
)


class TokenLink:
    """One token of a module: its session, logged in. Everything runs on the module's thread."""

    def __init__(self, module: Module, label: str, serial: str) -> None:
        self._module = module
        self._label = label
        self._serial = serial
        self._session: Any = None
        self._token: Any = None
        self._refused_pin = b""
        self.generation = 0
        """Counts sessions; objects that were found in an earlier one are void."""

    def session(self, pin_source: Path) -> Any:
        """The session, made and logged in if there is none.

        Raises:
            ConfigurationInvalid: no such token or two of them; no PIN in the file.
            Unavailable: the token does not answer, or refused the PIN.
        """
        if self._session is None:
            self._session = self._log_in(pin_source)
            self.generation += 1
        return self._session

    def writing(self, pin_source: Path) -> Any:
        """A session that may write, beside the other one; the caller closes it."""
        self.session(pin_source)  # the login counts for every session of the token
        return self._token.open(rw=True)

    def drop(self) -> None:
        """Forget the session; the next use makes another."""
        session, self._session = self._session, None
        if session is not None:
            try:
                session.close()
            except exceptions.PKCS11Error:
                return  # it was gone already, which is why it is dropped

    def _log_in(self, pin_source: Path) -> Any:
        pin = read_pin(pin_source)
        digest = hashlib.sha256(pin.encode()).digest()
        if digest == self._refused_pin:
            # Tokens lock after a few wrong PINs, for everybody.
            raise self._pin_refused(pin_source, "earlier, and it is not tried again")
        try:
            token = self._token = self._find()
            try:
                return token.open(user_pin=pin)
            except exceptions.UserAlreadyLoggedIn:
                return token.open()  # the login outlived the session
        except _PIN_REFUSED as error:
            self._refused_pin = digest
            raise self._pin_refused(pin_source, type(error).__name__) from error
        except exceptions.PKCS11Error as error:
            raise self.failed(error) from error

    def _pin_refused(self, pin_source: Path, why: str) -> Unavailable:
        return Unavailable(
            f"token {self._label or self._serial!r}: refused its PIN ({why})",
            str(pin_source),
            f"put the right PIN into {pin_source}; reset a locked one with the token's tools",
        )

    def _find(self) -> Any:
        wanted = {"token_label": self._label, "token_serial": self._serial}
        try:
            found = list(self._module.library.get_tokens(**{k: v for k, v in wanted.items() if v}))
        except exceptions.PKCS11Error as error:
            raise self.failed(error) from error
        if not found:
            raise Unavailable(f"token {self._label or self._serial!r}: not there", "token")
        if len(found) > 1:
            raise ConfigurationInvalid(
                f"token {self._label!r}: {len(found)} tokens have this label", "token",
                "name its serial in the URI",
            )  # fmt: skip
        return found[0]

    def failed(self, error: Exception) -> Unavailable:
        """What the token answered, as a failure of the port."""
        return Unavailable(
            f"token {self._label or self._serial!r}: {type(error).__name__} {error}".rstrip(),
            "token",
            "look at the token with its own tools; it is tried again with the next use",
        )


class Module:
    """One loaded module, its thread and its tokens."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.desk = CallDesk(f"pkcs11 {Path(path).name}", threads=1, wait_s=WAIT_S)
        self._library: Any = None
        self._tokens: dict[tuple[str, str], TokenLink] = {}

    @property
    def library(self) -> Any:
        """The loaded library; on the module's thread alone. Raises ConfigurationInvalid."""
        if self._library is None:
            try:
                self._library = pkcs11.lib(self.path)
            except (exceptions.PKCS11Error, OSError) as error:
                raise ConfigurationInvalid(
                    f"{self.path}: not loaded as a PKCS#11 module ({error})",
                    self.path,
                    "name the module that came with the token",
                ) from error
        return self._library

    def token(self, label: str, serial: str) -> TokenLink:
        """A token; on the module's thread alone."""
        return self._tokens.setdefault((label, serial), TokenLink(self, label, serial))


_modules: dict[str, Module] = {}
_lock = threading.Lock()


def open_module(path: str, allowed: tuple[str, ...]) -> Module:
    """A module of this process; it is loaded with its first use.

    Args:
        path: as the URI has it; empty for the only one that is allowed.
        allowed: the modules of the configuration.

    Raises:
        ConfigurationInvalid: not one of them; nothing is loaded.
    """
    if not path and len(allowed) == 1:
        path = allowed[0]
    if path not in allowed or not Path(path).is_absolute():
        raise ConfigurationInvalid(
            f"PKCS#11 module {path!r}: not among those that the configuration allows",
            "module-path",
            "name it in pkcs11_modules by its absolute path: it runs with all of the gate's rights",
        )
    with _lock:
        return _modules.setdefault(path, Module(path))
