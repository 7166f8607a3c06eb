# SPDX-License-Identifier: Apache-2.0
"""Ceremonies of the offline root in a folder of its own, away from every home."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from sekisho.adapters.clocks import SystemClock
from sekisho.adapters.entropy import SystemEntropy
from sekisho.adapters.regular_file import read_regular
from sekisho.adapters.signers import software
from sekisho.adapters.signers.opening import CustodySettings, open_signer, read_passphrase
from sekisho.adapters.signers.x509_key import SignerKey
from sekisho.core.encoding import sha256_hex
from sekisho.core.errors import ConfigurationInvalid
from sekisho.core.identity.oids import Arc
from sekisho.core.identity.profile import Names, serial_number
from sekisho.core.identity.reading import from_pem, pem
from sekisho.core.identity.requests import request_der
from sekisho.services.ceremony import CeremonyRecord, RootKey, hold_issuing, hold_root
from sekisho.services.founding import CeremonyCertificates

ROOT_KEY = "root.key"


class CeremonyPlace(NamedTuple):
    """Where a ceremony is held: the new folder, how the root's key is reached, the arc.

    ``key`` is a URI, empty for ``root.key`` in the folder of the root.
    """

    out: Path
    passphrase_file: Path
    key: str
    pkcs11_module: str
    arc: str

    def open(self, own: Path) -> RootKey:
        """The root's key, by default that of the file."""
        settings = CustodySettings(
            folder=own.parent,
            passphrase_file=self.passphrase_file,
            modules=(self.pkcs11_module,) if self.pkcs11_module else (),
        )
        uri = self.key or f"file:{own}"
        signer = open_signer(uri, passphrase_file=self.passphrase_file, settings=settings)
        return RootKey(SignerKey(signer), self.key.partition("?")[0] or f"file:{own.name}")


def make_root(place: CeremonyPlace, issuer_name: str, days: int) -> CeremonyRecord:
    """Make the root's key in a new folder (or take the one of the URI), and certify it.

    Raises:
        ConfigurationInvalid: something lies there, or the key cannot be used.
    """
    _new_folder(place.out)
    if not place.key:
        software.generate(place.out / ROOT_KEY, read_passphrase(place.passphrase_file))
    serial = serial_number(SystemEntropy().bytes(16))
    names = Names(issuer_name=issuer_name, arc=Arc(place.arc))
    opened = place.open(place.out / ROOT_KEY)
    record = hold_root(opened, names, serial, SystemClock().now_ns(), days)
    _write(place.out, "root", record)
    return record


def certify_issuing(place: CeremonyPlace, root: Path, request: Path, days: int) -> CeremonyRecord:
    """Certify an issuing CA's request under the root of a folder.

    Raises:
        ConfigurationInvalid: a file is not there, something lies in the new folder, another key.
        MalformedInput, VerificationFailed: the request or the root does not hold.
    """
    root_der, wanted = read_certificate(root / "root.pem"), request_der(_read(request))
    opened = place.open(root / ROOT_KEY)
    serial = serial_number(SystemEntropy().bytes(16))
    now = SystemClock().now_ns()
    record = hold_issuing(opened, root_der, wanted, Arc(place.arc), serial, now, days)
    _new_folder(place.out)
    _write(place.out, "issuing", record)
    return record


def transcript_sha256(record: CeremonyRecord) -> str:
    """The digest that people write down."""
    return sha256_hex(record.transcript)


def ceremony_certificates(root: Path, issuing: Path) -> CeremonyCertificates:
    """The two certificates of PEM files. Raises ConfigurationInvalid, MalformedInput."""
    return CeremonyCertificates(read_certificate(root), read_certificate(issuing))


def read_certificate(path: Path) -> bytes:
    """A certificate from a PEM file, DER. Raises ConfigurationInvalid, MalformedInput."""
    return from_pem(_read(path))


def _new_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, mode=0o700)
    except FileExistsError:
        raise ConfigurationInvalid(
            f"{folder}: exists; a ceremony writes a new folder", str(folder), "choose another --out"
        ) from None


def _write(folder: Path, name: str, record: CeremonyRecord) -> None:
    """The certificate comes last: a crash before it leaves a folder without a result."""
    for file, data in (
        ("transcript.txt", record.transcript),
        ("transcript.sig", record.signature),
        (f"{name}.pem", pem(record.certificate)),
    ):
        with (folder / file).open("wb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
    software.sync_folder(folder)


def _read(path: Path) -> bytes:
    try:
        data, _ = read_regular(path)
    except OSError as error:
        raise ConfigurationInvalid(
            f"{path}: cannot be read ({error.strerror})", str(path)
        ) from error
    return data
