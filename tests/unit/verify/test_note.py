# SPDX-License-Identifier: Apache-2.0
"""Signed notes, checkpoints and MANIFEST: other forms are refused although the key signed them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sekisho_verify import files, note
from sekisho_verify.findings import VerificationFailed
from tests.unit.verify.build_signed import b64
from tests.unit.verify.build_signed import note as signed

NAME = "log.invalid/x"
KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key()
ROOT = b64(bytes(32))
GOOD = signed(f"{NAME}\n5\n{ROOT}\n", NAME, KEY)


def test_checkpoint_as_specified_is_read() -> None:
    """Three lines, perhaps extensions, perhaps lines of other keys."""
    expected = note.Checkpoint(NAME, 5, bytes(32))
    assert expected == note.checkpoint(GOOD, NAME, PUBLIC)
    more = signed(f"{NAME}\n5\n{ROOT}\nextension\n", NAME, KEY)
    assert expected == note.checkpoint(more, NAME, PUBLIC)
    witnessed = GOOD + "— witness AAAAAAAA\n".encode()
    assert expected == note.checkpoint(witnessed, NAME, PUBLIC)


LINE = GOOD.decode().splitlines(keepends=True)[-1]
BAD: list[tuple[bytes, str]] = [
    (signed(f"{NAME}\n5\n", NAME, KEY), "is no checkpoint"),
    (signed(f"else\n5\n{ROOT}\n", NAME, KEY), "is a checkpoint of else"),
    (signed(f"{NAME}\n05\n{ROOT}\n", NAME, KEY), "no proper size"),
    (signed(f"{NAME}\n{2**63}\n{ROOT}\n", NAME, KEY), "no proper size"),
    (signed(f"{NAME}\n-1\n{ROOT}\n", NAME, KEY), "no proper size"),
    (signed(f"{NAME}\n5\n{b64(bytes(31))}\n", NAME, KEY), "not 32 bytes"),
    (signed(f"{NAME}\n5\n{ROOT[:-2]}B=\n", NAME, KEY), "base64 that is not canonical"),
    (signed(f"{NAME}\n5\n{ROOT}\n\nx\n", NAME, KEY), "empty extension line"),
    (signed(f"{NAME}\n5\n{ROOT}\nta\tb\n", NAME, KEY), "control characters"),
    (GOOD + LINE.encode(), "two signatures"),
    (GOOD + "— w AAAA\n".encode(), "too short"),
    (GOOD + "— w AAAAAAB=\n".encode(), "not canonical"),
    (GOOD + "— w+ AAAAAAAA\n".encode(), "malformed signature line"),
    (GOOD + b"- w AAAAAAAA\n", "malformed signature line"),
    (GOOD[:-1], "is no signed note"),
    (GOOD + "— w AAAAAAAA\n".encode() * 64, "more than 64"),
    (signed(f"{NAME}\n5\n{ROOT}\n{'x' * 10**6}\n", NAME, KEY), "more than 1,000,000 bytes"),
    (GOOD.replace(b"\n5\n", b"\n6\n"), "does not verify"),
    (b"\xff" + GOOD, "not UTF-8"),
]


@pytest.mark.parametrize(("data", "what"), BAD)
def test_checkpoint_of_another_form_is_refused(data: bytes, what: str) -> None:
    """Each with its reason."""
    with pytest.raises(VerificationFailed, match=what):
        note.checkpoint(data, NAME, PUBLIC)


def test_note_under_another_name_is_refused() -> None:
    """The key id covers the name; a line with our name and another id is another key's."""
    other = signed(f"{NAME}\n5\n{ROOT}\n", "other", KEY)
    with pytest.raises(VerificationFailed, match="no signature of the certified key"):
        note.checkpoint(other, NAME, PUBLIC)
    renamed = other.replace("— other".encode(), f"— {NAME}".encode())
    with pytest.raises(VerificationFailed, match="no signature of the certified key"):
        note.checkpoint(renamed, NAME, PUBLIC)


HEAD = "sekisho/manifest/v1\nagent bot\n"
PERIOD = "period 2026-05-01T00:00:00.000000000Z 2026-05-02T00:00:00.000000000Z\n"
ZERO = "0" * 64


def test_manifest_as_specified_is_read() -> None:
    """Agent, period, digests."""
    data = signed(f"{HEAD}{PERIOD}{ZERO}  a\n{ZERO}  b/c\n", NAME, KEY)
    found = files.manifest(data, NAME, PUBLIC)
    assert ("bot", {"a": ZERO, "b/c": ZERO}) == (found.agent, found.digests)


BAD_MANIFESTS: list[tuple[str, str]] = [
    (HEAD, "cut off"),
    (f"sekisho/manifest/v2\nagent bot\n{PERIOD}", "unknown version"),
    (f"sekisho/manifest/v1\nbot\n{PERIOD}", "names no agent"),
    (f"sekisho/manifest/v1\nagent Bot\n{PERIOD}", "is no agent"),
    (f"{HEAD}{PERIOD.replace('period', 'from')}", "names no period"),
    (f"{HEAD}period 2026-05-01T00:00:00.000000000Z\n", "names no period"),
    (f"{HEAD}{PERIOD.replace('05-02', '04-02')}", "period backwards"),
    (f"{HEAD}{PERIOD}{ZERO}  b\n{ZERO}  a\n", "not sorted"),
    (f"{HEAD}{PERIOD}{ZERO}  a\n{ZERO}  a\n", "lists a twice"),
    (f"{HEAD}{PERIOD}{ZERO} a\n", "malformed line"),
    (f"{HEAD}{PERIOD}{ZERO}  ../a\n", "malformed line"),
    (f"{HEAD}{PERIOD}{'A' * 64}  a\n", "malformed line"),
]


@pytest.mark.parametrize(("text", "what"), BAD_MANIFESTS)
def test_manifest_of_another_form_is_refused(text: str, what: str) -> None:
    """Signed, and still not a MANIFEST."""
    with pytest.raises(VerificationFailed, match=what):
        files.manifest(signed(text, NAME, KEY), NAME, PUBLIC)


def test_key_id_is_that_of_the_specification() -> None:
    """First four bytes of SHA-256 over name, newline, type and key."""
    raw = PUBLIC.public_bytes_raw()
    expected = hashlib.sha256(NAME.encode() + b"\n\x01" + raw).digest()[:4]
    assert expected == note.key_id(NAME, raw)


def test_read_file_of_a_device_or_a_huge_file_is_refused(tmp_path: Path) -> None:
    """Put in place between listing and opening, they are refused all the same."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(VerificationFailed, match="no regular file"):
        files.read_file(str(tmp_path / "pipe"), "pipe")
    with (tmp_path / "sparse").open("wb") as sparse:
        sparse.truncate((1 << 32) + 1)
    with pytest.raises(VerificationFailed, match="larger than 4 GiB"):
        files.read_file(str(tmp_path / "sparse"), "sparse")
