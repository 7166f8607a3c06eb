# SPDX-License-Identifier: Apache-2.0
"""Keys in files: what is refused at opening, and a disabling that holds everywhere."""

from __future__ import annotations

import asyncio
import builtins
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sekisho.adapters.signers import opening
from sekisho.adapters.signers.file_custody import FileCustody
from sekisho.adapters.signers.verified import check_signature
from sekisho.core.errors import ConfigurationInvalid, KeyDisabled
from tests import key_places

_WORD = b"correct horse"


@pytest.fixture
def custody(tmp_path: Path) -> FileCustody:
    """A folder of keys."""
    return FileCustody(tmp_path, _WORD)


def create(custody: FileCustody, name: str = "one") -> str:
    """A key."""
    return asyncio.run(custody.create(name, "ES256"))


def test_key_file_is_encrypted_and_the_owners_alone(custody: FileCustody, tmp_path: Path) -> None:
    """PKCS#8 under the passphrase, mode 0600."""
    create(custody)
    path = tmp_path / "one.key"
    assert path.read_text().startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_key_file_without_encryption_is_refused_everywhere(tmp_path: Path) -> None:
    """There is no environment in which a key lies open."""
    path = tmp_path / "one.key"
    path.touch(mode=0o600)
    form = serialization.PrivateFormat.PKCS8
    key = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    )
    with pytest.raises(ConfigurationInvalid, match="not a key encrypted under this passphrase"):
        FileCustody(tmp_path, _WORD).open_blocking(f"file:{path}")


def test_disable_holds_for_signers_of_other_processes(custody: FileCustody, tmp_path: Path) -> None:
    """Somebody else's open signer finds the name gone; put back, the key signs again."""
    uri = create(custody)
    elsewhere = FileCustody(tmp_path, _WORD).open_blocking(uri)
    assert asyncio.run(custody.disable(uri)).outcome == "disabled"
    for signing in (elsewhere.sign_blocking, lambda message: asyncio.run(elsewhere.sign(message))):
        with pytest.raises(KeyDisabled):
            signing(b"x")
    (tmp_path / "one.key.disabled").rename(tmp_path / "one.key")
    check_signature(elsewhere, b"x", elsewhere.sign_blocking(b"x"))


def test_disable_does_not_overwrite_another_key(custody: FileCustody, tmp_path: Path) -> None:
    """A key that was disabled before under this name stays what it was; it is told."""
    uri = create(custody)
    (tmp_path / "one.key.disabled").write_bytes(b"another")
    report = asyncio.run(custody.disable(uri))
    assert report.outcome == "failed"
    assert (tmp_path / "one.key.disabled").read_bytes() == b"another"
    assert asyncio.run(custody.state(uri)) == "enabled"


def test_disable_that_a_crash_cut_is_finished_by_the_next(
    custody: FileCustody, tmp_path: Path
) -> None:
    """Both names are one file: the key counts as enabled, and is disabled by asking again."""
    uri = create(custody)
    (tmp_path / "one.key.disabled").hardlink_to(tmp_path / "one.key")
    assert asyncio.run(custody.state(uri)) == "enabled"
    assert asyncio.run(custody.disable(uri)).outcome == "disabled"
    assert not (tmp_path / "one.key").exists()


def test_disable_that_the_disk_refuses_is_failed(
    custody: FileCustody, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not synced is not disabled: after a crash the old name may be back."""
    uri = create(custody)

    def fail(_: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("sekisho.adapters.signers.software.sync_folder", fail)
    assert asyncio.run(custody.disable(uri)).outcome == "failed"


def test_create_under_the_name_of_a_disabled_key_is_refused(custody: FileCustody) -> None:
    """The name still is somebody's."""
    asyncio.run(custody.disable(create(custody)))
    with pytest.raises(ConfigurationInvalid, match="disabled key has this name"):
        create(custody)


# -- opening by scheme ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "library", "extra"),
    [
        ("awskms:region=eu-west-1;key-id=alias/x", "botocore", "sekisho[awskms]"),
        ("pkcs11:token=t;object=x?pin-source=p", "pkcs11", "sekisho[pkcs11]"),
    ],
)
def test_scheme_without_its_extra_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str, library: str, extra: str
) -> None:
    """The refusal says what to install."""
    for name in list(sys.modules):
        ours = name.startswith(("sekisho.adapters.signers.awskms", "sekisho.adapters.signers.pkcs"))
        if ours or name.partition(".")[0] == library:
            monkeypatch.delitem(sys.modules, name)
    honest = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name.partition(".")[0] == library:
            raise ImportError(name)
        return honest(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigurationInvalid) as told:
        opening.open_custody(uri, key_places.settings(tmp_path))
    assert extra in str(told.value)
    assert extra in told.value.do


def test_scheme_file_imports_no_library_of_others() -> None:
    """A gate with key files loads neither tokens nor services."""
    import subprocess

    program = (
        "import sys\nimport sekisho.compose.gate_process\n"
        "print(sorted(n for n in ('botocore', 'pkcs11') if n in sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("uri", "is_place"),
    [
        ("file:keys/", True),
        ("file:keys/a.key", False),
        ("pkcs11:token=t?pin-source=p", True),
        ("pkcs11:token=t;object=a?pin-source=p", False),
        ("awskms:region=eu-west-1", True),
        ("awskms:region=eu-west-1;key-id=alias/a", False),
        ("other:x/", False),
    ],
)
def test_place_is_told_from_a_key(uri: str, is_place: bool) -> None:
    """New keys are made in places."""
    try:
        opening.check_place(uri)
        found = True
    except ConfigurationInvalid:
        found = False
    assert found == is_place


def test_place_of_keys_is_shared() -> None:
    """Keys of one region, token or folder have one custody."""
    assert opening.place_of("awskms:region=eu-west-1;key-id=alias/a") == "awskms:region=eu-west-1"
    assert opening.place_of("file:/k/a.key") == opening.place_of("file:/k/b.key") == "file:/k/"
    token = "pkcs11:token=t?pin-source=p"
    assert opening.place_of("pkcs11:token=t;object=a?pin-source=p") == token
