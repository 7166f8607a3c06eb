# SPDX-License-Identifier: Apache-2.0
"""A key service for tests and drills: keys in memory, failures on command, a list of every use."""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from sekisho.adapters.signers.key_uris import check_name
from sekisho.adapters.signers.software import PrivateKey
from sekisho.core.encoding import sha256_hex
from sekisho.core.errors import ConfigurationInvalid, KeyDisabled, Unavailable
from sekisho.custody import DisableReport, KeyState, KeyUse
from sekisho.ports import Clock

_FORM = serialization.PublicFormat.SubjectPublicKeyInfo


class SimulatedCustody:
    """One key service.

    Attributes:
        down: nothing answers.
        spreading: a disabling is only taken, and keys sign until :meth:`spread`.
    """

    scheme = "simulated"
    keeps_usage = True

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._keys: dict[str, PrivateKey] = {}
        self._disabled: set[str] = set()
        self._asked: set[str] = set()
        self._uses: dict[str, list[KeyUse]] = {}
        self.shut: set[str] = set()
        self.down = False
        self.spreading = False

    async def create(self, name: str, algorithm: str) -> str:
        """See the port."""
        check_name(name)
        uri = f"simulated:{name}"
        self._answer()
        if uri in self._keys:
            raise ConfigurationInvalid(f"{uri}: exists", uri, "choose another name")
        if algorithm == "ES256":
            self._keys[uri] = ec.generate_private_key(ec.SECP256R1())
        elif algorithm == "Ed25519":
            self._keys[uri] = ed25519.Ed25519PrivateKey.generate()
        else:
            raise ConfigurationInvalid(f"no algorithm {algorithm!r}: ES256 and Ed25519 exist")
        return uri

    async def open(self, uri: str, public_key: bytes = b"") -> SimulatedSigner:
        """See the port."""
        return self.open_blocking(uri, public_key)

    def open_blocking(self, uri: str, public_key: bytes = b"") -> SimulatedSigner:
        """See the port."""
        self._answer()
        key = self._keys.get(uri)
        if key is None:
            raise ConfigurationInvalid(f"{uri}: no such key", uri, "name a key that was created")
        if uri in self._disabled or uri in self.shut:
            raise KeyDisabled(f"{uri}: disabled", uri)
        signer = SimulatedSigner(self, uri, key)
        if public_key and signer.public_key != public_key:
            raise ConfigurationInvalid(f"{uri}: is another key", uri, "name the right one")
        return signer

    async def disable(self, uri: str) -> DisableReport:
        """See the port."""
        self.shut.add(uri)
        if self.down:
            return DisableReport(outcome="failed", detail=f"{uri}: no answer")
        if uri not in self._keys:
            return DisableReport(outcome="failed", detail=f"{uri}: no such key")
        self._asked.add(uri)
        if self.spreading and uri not in self._disabled:
            return DisableReport(outcome="pending")
        self._disabled.add(uri)
        return DisableReport(outcome="disabled")

    def spread(self) -> None:
        """What was asked to be disabled is."""
        self._disabled |= self._asked

    async def state(self, uri: str) -> KeyState:
        """See the port."""
        self._answer()
        if uri not in self._keys:
            return "absent"
        return "disabled" if uri in self._disabled else "enabled"

    async def usage(self, uri: str, since_ns: int) -> tuple[KeyUse, ...]:
        """See the port."""
        self._answer()
        return tuple(one for one in self._uses.get(uri, ()) if one.at_ns >= since_ns)

    def use(self, uri: str, key: PrivateKey, message: bytes) -> bytes:
        """Sign for a signer, and note it."""
        self._answer()
        if uri in self._disabled or uri in self.shut:
            raise KeyDisabled(f"{uri}: disabled", uri)
        used = KeyUse(at_ns=self._clock.now_ns(), message_sha256=sha256_hex(message))
        self._uses.setdefault(uri, []).append(used)
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return key.sign(message)
        return key.sign(message, ec.ECDSA(hashes.SHA256()))

    def _answer(self) -> None:
        if self.down:
            raise Unavailable("simulated: no answer", "simulated")


class SimulatedSigner:
    """One key of the service."""

    def __init__(self, custody: SimulatedCustody, uri: str, key: PrivateKey) -> None:
        self._custody = custody
        self._key = key
        self.uri = uri
        self.algorithm = "Ed25519" if isinstance(key, ed25519.Ed25519PrivateKey) else "ES256"
        self.public_key = key.public_key().public_bytes(serialization.Encoding.DER, _FORM)

    async def sign(self, message: bytes) -> bytes:
        """See the port."""
        return self.sign_blocking(message)

    def sign_blocking(self, message: bytes) -> bytes:
        """See the port."""
        return self._custody.use(self.uri, self._key, message)
