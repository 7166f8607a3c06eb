# SPDX-License-Identifier: Apache-2.0
"""The port of key custody: who makes, opens and disables keys (docs/spec/keys.md).

Beside ``ports.Signer``, which is one open key. Every adapter and the simulated one pass
tests/conformance/test_custody.py.
"""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from sekisho.ports import Signer

KeyState = Literal["enabled", "disabled", "absent"]


class DisableReport(msgspec.Struct, frozen=True, kw_only=True):
    """What ``disable`` achieved.

    ``disabled``: the custody refuses to sign with the key. ``pending``: it took the order and may
    sign until that has spread. ``failed``: not, or not known to be, disabled; ``detail`` says why.
    """

    outcome: Literal["disabled", "pending", "failed"]
    detail: str = ""


class KeyUse(msgspec.Struct, frozen=True, kw_only=True):
    """One use of a key, as its custody noted it: when (ns UTC), over which SHA-256 (hex)."""

    at_ns: int
    message_sha256: str


class KeyCustody(Protocol):
    """Keys of one scheme, in one place. It answers with what it knows, or raises.

    Every method may raise ConfigurationInvalid for a URI that is not this custody's, or malformed.
    """

    @property
    def scheme(self) -> str:
        """``file``, ``pkcs11``, ``awskms``, ``simulated``: what its URIs begin with."""
        ...

    @property
    def keeps_usage(self) -> bool:
        """Whether it keeps a list of uses that ``usage`` can read."""
        ...

    async def create(self, name: str, algorithm: str) -> str:
        """Make a key that cannot leave the custody, and never two under one name; its URI.

        Raises:
            ConfigurationInvalid: the name is taken or no name, or there is no such algorithm here.
            Unavailable, StorageFailed: no key was made.
            OutcomeUnknown: perhaps it was; the message holds the URI, whose ``state`` tells.
        """
        ...

    async def open(self, uri: str, public_key: bytes = b"") -> Signer:
        """Find the key.

        Args:
            uri: of the key.
            public_key: SubjectPublicKeyInfo, DER, that it must have; empty for any.

        Raises:
            KeyDisabled: it is disabled.
            Unavailable: the custody does not answer, is too slow, or refused the PIN.
            ConfigurationInvalid: no such key, several, another one, or one that may not be used.
        """
        ...

    def open_blocking(self, uri: str, public_key: bytes = b"") -> Signer:
        """The same for callers outside the event loop."""
        ...

    async def disable(self, uri: str) -> DisableReport:
        """Have the key refused. Idempotent, and never says more than is known.

        Signers that this object opened refuse from the call on, whatever is reported.
        """
        ...

    async def state(self, uri: str) -> KeyState:
        """What the custody says of the key. Raises Unavailable: it says nothing, or neither."""
        ...

    async def usage(self, uri: str, since_ns: int) -> tuple[KeyUse, ...]:
        """Every use from an instant on, in order (promise P11).

        Raises:
            ConfigurationInvalid: this custody keeps no list (``keeps_usage``).
            Unavailable: the list cannot be read.
        """
        ...
