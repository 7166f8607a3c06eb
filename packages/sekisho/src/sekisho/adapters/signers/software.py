# SPDX-License-Identifier: Apache-2.0
"""Keys in files, encrypted at rest (PKCS#8), behind the ``Signer`` port.

For the embedded topology, tests and small installations. The passphrase is read from a file that
the configuration names. A key file is created once, never overwritten, readable by its owner alone.
"""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from sekisho.adapters.regular_file import read_regular
from sekisho.core.errors import ConfigurationInvalid, StorageFailed

_ECDSA = ec.ECDSA(hashes.SHA256())
PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class SoftwareSigner:
    """One key in this process's memory."""

    def __init__(self, uri: str, key: PrivateKey) -> None:
        self._uri = uri
        self._key = key
        self._public = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def uri(self) -> str:
        """``file:`` and the path."""
        return self._uri

    @property
    def algorithm(self) -> str:
        """``ES256`` or ``Ed25519``."""
        return "Ed25519" if isinstance(self._key, ed25519.Ed25519PrivateKey) else "ES256"

    @property
    def public_key(self) -> bytes:
        """SubjectPublicKeyInfo, DER."""
        return self._public

    async def sign(self, message: bytes) -> bytes:
        """Sign in place: a software signature takes some twenty microseconds."""
        return self.sign_blocking(message)

    def sign_blocking(self, message: bytes) -> bytes:
        """DER ECDSA, or 64 bytes of Ed25519."""
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(message)
        return self._key.sign(message, _ECDSA)


def generate(path: Path, passphrase: bytes, algorithm: str = "ES256") -> SoftwareSigner:
    """Make a key and store it encrypted, mode 0600.

    Raises:
        ConfigurationInvalid: the file exists or cannot be made, the passphrase is empty, or there
            is no such algorithm.
        StorageFailed: the key could not be stored; nothing was signed with it.
    """
    if algorithm == "ES256":
        key: PrivateKey = ec.generate_private_key(ec.SECP256R1())
    elif algorithm == "Ed25519":
        key = ed25519.Ed25519PrivateKey.generate()
    else:
        raise ConfigurationInvalid(f"no algorithm {algorithm!r}: ES256 and Ed25519 exist")
    if not passphrase:
        raise ConfigurationInvalid(f"{path}: a key is not stored without a passphrase")
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase),
    )
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigurationInvalid(f"{path}: exists; a key is never overwritten") from None
    except OSError as error:
        raise ConfigurationInvalid(f"{path}: cannot be made ({error.strerror})") from error
    # A crash in here leaves a key that cannot be read; it was never used, so delete it and go on.
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)
    except OSError as error:
        raise StorageFailed(f"{path}: the key was not stored; delete the file") from error
    return SoftwareSigner(f"file:{path}", key)


def sync_folder(folder: Path) -> None:
    """Without it, a certificate could outlive the name of its key after a crash."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def load(path: Path, passphrase: bytes) -> SoftwareSigner:
    """Read a stored key.

    Raises:
        ConfigurationInvalid: not there, no regular file, readable by others, another passphrase or
            kind of key.
    """
    try:
        text, mode = read_regular(path)
    except OSError as error:
        raise ConfigurationInvalid(
            f"{path}: the key cannot be read ({error.strerror})",
            str(path),
            "name the key's file, and look at its rights",
        ) from error
    if mode & 0o077 and not text.startswith(b"-----BEGIN "):
        # Nobody should change the rights of a file that only was named by mistake.
        raise ConfigurationInvalid(f"{path}: is not a key", str(path), "name the key's file")
    if mode & 0o077:
        raise ConfigurationInvalid(
            f"{path}: others can read this key", str(path), f"run: chmod 600 {path}"
        )
    try:
        key = serialization.load_pem_private_key(text, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigurationInvalid(
            f"{path}: not a key encrypted under this passphrase",
            str(path),
            "name a key of this home, and look at the file that passphrase_file names",
        ) from error
    if isinstance(key, ed25519.Ed25519PrivateKey) or (
        isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1)
    ):
        return SoftwareSigner(f"file:{path}", key)
    raise ConfigurationInvalid(
        f"{path}: neither a P-256 nor an Ed25519 key", str(path), "name a key of this home"
    )
