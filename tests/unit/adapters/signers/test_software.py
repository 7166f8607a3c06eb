# SPDX-License-Identifier: Apache-2.0
"""Keys in files: how they are kept, and everything that is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NoReturn

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from sekisho.adapters.signers import software
from sekisho.adapters.signers.opening import open_signer, read_passphrase
from sekisho.adapters.signers.x509_key import SignerKey
from sekisho.core.encoding import b64, unb64
from sekisho.core.errors import ConfigurationInvalid, StorageFailed
from sekisho.core.identity import profile
from sekisho.core.identity.chain import verify_chain
from tests.unit.core.identity import certificates as made

_WORD = b"correct horse"


def write(path: Path, content: bytes, mode: int = 0o600) -> Path:
    """A file with this mode."""
    path.write_bytes(content)
    path.chmod(mode)
    return path


def stored(key: Any, passphrase: bytes | None = _WORD) -> bytes:
    """A private key as PKCS#8."""
    encryption: Any = serialization.NoEncryption()
    if passphrase is not None:
        encryption = serialization.BestAvailableEncryption(passphrase)
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, encryption)


def recoded(pem: bytes, old: str, new: str) -> bytes:
    """The same PEM with one object identifier replaced."""
    first, *lines, last = pem.decode().splitlines()
    data = unb64("".join(lines)).replace(bytes.fromhex(old), bytes.fromhex(new))
    return f"{first}\n{b64(data)}\n{last}\n".encode()


UNKNOWN = recoded(stored(made.AGENT_KEY, None), "2a8648ce3d0201", "2a8648ce3d0279")


def fail(*_: object) -> NoReturn:
    """A disk that does not sync."""
    raise OSError(5, "Input/output error")


# -- generate, load -----------------------------------------------------------------------------


def test_software_key_is_stored_encrypted_for_its_owner_alone(tmp_path: Path) -> None:
    """PKCS#8 under PBES2 (a slow key derivation, AES), mode 0600 whatever the umask."""
    old = os.umask(0)
    try:
        made_signer = software.generate(tmp_path / "one.key", _WORD)
    finally:
        os.umask(old)
    text = (tmp_path / "one.key").read_bytes()
    assert (tmp_path / "one.key").stat().st_mode & 0o777 == 0o600
    assert text.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert software.load(tmp_path / "one.key", _WORD).public_key == made_signer.public_key


def test_software_keys_are_all_different(tmp_path: Path) -> None:
    """Each generated key is a new one."""
    found = {software.generate(tmp_path / str(one), _WORD).public_key for one in range(3)}
    assert len(found) == 3


@pytest.mark.parametrize(
    ("name", "passphrase", "algorithm", "message"),
    [
        ("taken", _WORD, "ES256", "never overwritten"),
        ("new", b"", "ES256", "without a passphrase"),
        ("new", _WORD, "RS256", "no algorithm"),
        ("no/folder", _WORD, "ES256", "cannot be made"),
    ],
)
def test_software_key_that_cannot_be_kept_is_not_made(
    tmp_path: Path, name: str, passphrase: bytes, algorithm: str, message: str
) -> None:
    """A key is never overwritten, never kept in the clear, never of another kind."""
    write(tmp_path / "taken", b"a key")
    with pytest.raises(ConfigurationInvalid, match=message):
        software.generate(tmp_path / name, passphrase, algorithm)
    assert ["taken"] == sorted(one.name for one in tmp_path.iterdir())
    assert b"a key" == (tmp_path / "taken").read_bytes()


def test_software_key_that_is_not_durable_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate must not outlive its key: without a sync there is no signer."""
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageFailed):
        software.generate(tmp_path / "one.key", _WORD)


def test_software_key_folder_is_synced_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of the file must survive a crash as its content does."""
    synced: list[int] = []
    real = os.fsync

    def note(handle: int) -> None:
        synced.append(os.fstat(handle).st_ino)
        real(handle)

    monkeypatch.setattr(os, "fsync", note)
    software.generate(tmp_path / "one.key", _WORD)
    assert [(tmp_path / "one.key").stat().st_ino, tmp_path.stat().st_ino] == synced


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        (stored(made.AGENT_KEY), 0o640, "others can read"),
        (stored(made.AGENT_KEY), 0o604, "others can read"),
        (stored(made.AGENT_KEY, b"another"), 0o600, "not a key encrypted"),
        (stored(made.AGENT_KEY, None), 0o600, "not a key encrypted"),
        (UNKNOWN, 0o600, "not a key encrypted"),
        (b"no key", 0o600, "not a key encrypted"),
        (b"", 0o600, "not a key encrypted"),
        (stored(ec.derive_private_key(5, ec.SECP384R1())), 0o600, "neither a P-256"),
        (stored(rsa.generate_private_key(65537, 2048)), 0o600, "neither a P-256"),
    ],
)
def test_software_key_file_that_is_unfit_is_refused(
    tmp_path: Path, content: bytes, mode: int, message: str
) -> None:
    """Open to others, in the clear, of another passphrase or kind: each is refused."""
    path = write(tmp_path / "one.key", content, mode)
    with pytest.raises(ConfigurationInvalid, match=message):
        software.load(path, _WORD)


def test_software_key_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    """A missing key is a mistake of the configuration; none is made instead."""
    with pytest.raises(ConfigurationInvalid, match="cannot be read"):
        software.load(tmp_path / "one.key", _WORD)
    assert [] == list(tmp_path.iterdir())


# -- open_signer --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri", ["gcpkms:token=x", "vault:alias/x", "/one.key", "", "FILE:/x", "file"]
)
def test_signer_uri_of_unknown_scheme_names_the_known_ones(uri: str, tmp_path: Path) -> None:
    """An unknown scheme is told apart from a missing key, and says what exists."""
    with pytest.raises(ConfigurationInvalid, match="this version knows file:"):
        open_signer(uri, passphrase_file=tmp_path / "none")


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n"])
def test_passphrase_is_read_without_its_newline(tmp_path: Path, ending: bytes) -> None:
    """Editors end files with a newline; it is not part of the passphrase."""
    assert _WORD == read_passphrase(write(tmp_path / "word", _WORD + ending))


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [(b"\n", 0o600, "empty"), (_WORD, 0o644, "others"), (_WORD, 0o660, "others")],
)
def test_passphrase_file_that_is_unfit_is_refused(
    tmp_path: Path, content: bytes, mode: int, message: str
) -> None:
    """Empty, or open to others: not a passphrase."""
    with pytest.raises(ConfigurationInvalid, match=message):
        read_passphrase(write(tmp_path / "word", content, mode))


def test_passphrase_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    """There is no other place from which a passphrase would be taken."""
    with pytest.raises(ConfigurationInvalid, match="no passphrase there"):
        read_passphrase(tmp_path / "word")


# -- the key for certificates -------------------------------------------------------------------


@pytest.fixture
def signer(tmp_path: Path) -> software.SoftwareSigner:
    """A P-256 signer."""
    return software.generate(tmp_path / "one.key", _WORD)


def test_signer_key_signs_certificates_that_verify(signer: software.SoftwareSigner) -> None:
    """A whole chain is made through the port, without the private key leaving it."""
    key = SignerKey(signer)
    root = profile.root_certificate(key=key, serial=1, **made.LIFE)
    issuing = profile.issuing_certificate(
        root=root, root_key=key, public_key=signer.public_key, serial=2, **made.LIFE
    )
    agent = profile.agent_certificate(**made.agent_arguments(issuing=issuing, issuing_key=key))
    verify_chain(agent, issuing, root, made.NOW, made.ARC.order_signing())
    assert signer.public_key == profile.spki(profile.load(root))


def test_signer_key_is_a_p256_key_to_the_library(signer: software.SoftwareSigner) -> None:
    """The library sees curve, size and public key."""
    key = SignerKey(signer)
    assert ("secp256r1", 256) == (key.curve.name, key.key_size)
    assert key.public_key() == serialization.load_der_public_key(signer.public_key)
    assert key.__copy__() is key
    assert key.__deepcopy__({}) is key


def test_signer_key_of_ed25519_is_refused(tmp_path: Path) -> None:
    """Certificates are signed with P-256 keys."""
    with pytest.raises(ConfigurationInvalid, match="P-256"):
        SignerKey(software.generate(tmp_path / "log.key", _WORD, "Ed25519"))


def test_signer_key_with_another_digest_does_not_sign(signer: software.SoftwareSigner) -> None:
    """The port hashes with SHA-256; under another name its signatures would not verify."""
    builder = x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(x509.Name([]))
    builder = builder.public_key(made.AGENT_KEY.public_key()).serial_number(1)
    builder = builder.not_valid_before(profile.seconds(0)).not_valid_after(profile.seconds(10**9))
    with pytest.raises(ConfigurationInvalid, match="SHA-256 only"):
        builder.sign(SignerKey(signer), hashes.SHA384())


def test_signer_key_gives_no_private_number_away(signer: software.SoftwareSigner) -> None:
    """Whatever asks for the private key gets nothing."""
    key = SignerKey(signer)
    for ask in (
        key.private_numbers,
        key.private_bytes,
        lambda: key.exchange(ec.ECDH(), made.AGENT_KEY.public_key()),
    ):
        with pytest.raises(NotImplementedError):
            ask()


def test_software_file_that_is_no_key_and_open_to_others_is_not_to_be_changed(
    tmp_path: Path,
) -> None:
    """Who names a wrong file is not told to change its rights."""
    path = write(tmp_path / "passwd", b"root:x:0:0:root:/root:/bin/bash\n", 0o644)
    with pytest.raises(ConfigurationInvalid, match="is not a key") as told:
        software.load(path, b"secret")
    assert "chmod" not in told.value.do
