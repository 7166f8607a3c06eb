# SPDX-License-Identifier: Apache-2.0
"""The folder in which the paper venue finds agents' certificates.

Files ``*.pem`` (one certificate or several) and ``*.der``. A file is read when it is new or has
changed; one that cannot be read, or is no certificate, is left alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sekisho.adapters.regular_file import read_regular
from sekisho.core.errors import ConfigurationInvalid

FILES_MAX: Final = 10_000
"""Beyond so many files the rest, by name, is not looked at."""


class CertificateFolder:
    """Looks for certificates that were not there before; a folder that is missing is empty."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[str, tuple[int, int]] = {}

    def __call__(self) -> list[bytes]:
        """Certificates, DER, of every file that is new or changed, by the files' names."""
        found: list[bytes] = []
        try:
            paths = sorted(self._folder.iterdir())[:FILES_MAX]
        except OSError:
            return found
        for path in paths:
            if path.suffix in {".pem", ".der"}:
                found += self._new(path)
        return found

    def _new(self, path: Path) -> list[bytes]:
        try:
            seen = path.stat()
            mark = (seen.st_mtime_ns, seen.st_size)
            if self._read.get(path.name) == mark:
                return []
            content = read_regular(path)[0]
        except (OSError, ConfigurationInvalid):
            return []
        self._read[path.name] = mark
        try:
            return certificates_in(content)
        except ValueError:
            return []


def certificates_in(content: bytes) -> list[bytes]:
    """The certificates of a file, PEM or DER, as DER. Raises ValueError where there is none."""
    if content.lstrip().startswith(b"-----BEGIN"):
        return [one.public_bytes(Encoding.DER) for one in x509.load_pem_x509_certificates(content)]
    x509.load_der_x509_certificate(content)
    return [content]
