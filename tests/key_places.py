# SPDX-License-Identifier: Apache-2.0
"""Custodies for tests: files, a simulated one, SoftHSM2, a KMS stub, LocalStack's KMS.

SoftHSM2 reads its configuration once a process: all tests of a process share one folder of tokens,
each test's keys have their own names. Where a C compiler is at hand the module in front of it can
be told to err (faulty_token.c).
"""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

import pytest

from sekisho.adapters.signers.opening import CustodySettings, open_custody
from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.adapters.simulated_custody import SimulatedCustody
from sekisho.custody import KeyCustody
from tests.kms_stub import KmsStub

KINDS = ("file", "simulated", "pkcs11", "awskms", "localstack")
PIN = "1234"
REGION = "awskms:region=eu-west-1"
LOCALSTACK = "SEKISHO_TEST_LOCALSTACK_PYTHON"
"""Names a Python with localstack-core (docs/howto/keep-keys-in-a-kms.md)."""
_MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so")
_TOKENS = ("gate", "spare-1", "spare-2", "spare-3", "twin", "twin")


class Hsm(NamedTuple):
    """A SoftHSM2 for this process. ``control``: what the module is told; None without compiler."""

    module: str
    folder: Path
    control: Path | None


def _passing(prefix: str) -> str:
    """A folder that goes with this process."""
    folder = mkdtemp(prefix=prefix)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def softhsm() -> Hsm:
    """Make the tokens, once a process; skips where it is not installed."""
    pytest.importorskip("pkcs11", reason="sekisho[pkcs11] is not installed: ./dev test --interop")
    real = next((path for path in _MODULES if Path(path).exists()), None)
    if real is None or shutil.which("softhsm2-util") is None:
        pytest.skip("SoftHSM2 is not installed: apt-get install softhsm2")
    folder = Path(_passing("sekisho-hsm-"))
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(
        f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n"
    )
    conf = str(folder / "softhsm2.conf")
    os.environ["SOFTHSM2_CONF"] = conf  # noqa: TID251 - the only way to tell the module
    for label in _TOKENS:
        command = ["softhsm2-util", "--init-token", "--free", "--label", label]
        subprocess.run(
            [*command, "--so-pin", "4321", "--pin", PIN], check=True, capture_output=True
        )
    pin = folder / "pin"
    pin.touch(mode=0o600)
    pin.write_text(f"{PIN}\n")
    compiler = shutil.which("cc")
    if compiler is None:
        return Hsm(real, folder, None)
    control, module = folder / "control", folder / "faulty.so"
    control.write_text("")
    names = [f'-DCONTROL="{control}"', f'-DREAL="{real}"']
    source = str(Path(__file__).with_name("faulty_token.c"))
    subprocess.run(
        [compiler, "-w", "-shared", "-fPIC", *names, source, "-o", str(module), "-ldl"], check=True
    )
    return Hsm(str(module), folder, control)


def settings(folder: Path, **fields: Any) -> CustodySettings:
    """Settings with a passphrase in ``folder``."""
    passphrase = folder / "passphrase"
    if not passphrase.exists():
        passphrase.touch(mode=0o600)
        passphrase.write_bytes(b"correct horse\n")
    return CustodySettings(folder=folder, passphrase_file=passphrase, **fields)


def hsm_settings(folder: Path) -> CustodySettings:
    """Settings that allow the test's module."""
    return settings(folder, modules=(softhsm().module,))


def hsm_place(label: str = "gate") -> str:
    """The URI of a token."""
    return f"pkcs11:token={label}?pin-source=file:{softhsm().folder}/pin"


@contextmanager
def place(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeyCustody]:
    """A custody of a kind, empty as far as the test's names go; skips what is not installed."""
    if kind == "file":
        yield open_custody(f"file:{folder}/", settings(folder))
    elif kind == "simulated":
        yield SimulatedCustody(SteppedClock(0))
    elif kind == "pkcs11":
        yield open_custody(hsm_place(), hsm_settings(folder))
    elif kind == "awskms":
        with kms(monkeypatch) as stub:
            yield open_custody(REGION, settings(folder, awskms_endpoint=stub.url))
    else:
        aws_environment(monkeypatch)
        yield open_custody(REGION, settings(folder, awskms_endpoint=localstack()))


def aws_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made-up credentials, and nothing else of the machine's."""
    pytest.importorskip("botocore", reason="sekisho[awskms] is not installed: ./dev test --interop")
    machine = os.environ  # noqa: TID251 - what the tests must not take from it
    for name in [name for name in machine if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRETEXAMPLE")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)


@contextmanager
def kms(monkeypatch: pytest.MonkeyPatch) -> Iterator[KmsStub]:
    """The stub, and credentials for it."""
    aws_environment(monkeypatch)
    stub = KmsStub()
    try:
        yield stub
    finally:
        stub.close()


_running: list[tuple[subprocess.Popen[bytes], str]] = []


def localstack() -> str:
    """Start LocalStack's KMS, once a process; its URL. Skips where nothing names it."""
    machine = os.environ  # noqa: TID251 - names an interpreter that is not the product's
    python = machine.get(LOCALSTACK)
    if not python:
        pytest.skip(f"{LOCALSTACK} names no Python with localstack-core")
    if not _running:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        given = {"SERVICES": "kms", "GATEWAY_LISTEN": f"127.0.0.1:{port}", "DISABLE_EVENTS": "1"}
        given |= {
            "SKIP_SSL_CERT_DOWNLOAD": "1",
            "PATH": machine["PATH"],
            "HOME": _passing("sekisho-kms-"),
        }
        given |= {"FILESYSTEM_ROOT": _passing("sekisho-kms-")}
        process = subprocess.Popen(
            [python, "-m", "localstack.runtime.main"],
            env=given,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _running.append((process, f"http://127.0.0.1:{port}"))
        atexit.register(end_localstack)
        _await(process, _running[0][1])
    return _running[0][1]


def end_localstack() -> None:
    """End what was started."""
    while _running:
        process, _ = _running.pop()
        process.terminate()
        process.wait(30)


def _await(process: subprocess.Popen[bytes], url: str) -> None:
    for _ in range(600):
        assert process.poll() is None, "LocalStack ended"
        try:
            urlopen(f"{url}/_localstack/health", timeout=1).close()  # noqa: S310 - loopback
        except OSError:
            time.sleep(0.1)  # noqa: TID251 - another process starts
        else:
            break
    # Its KMS is loaded with the first request, which takes longer than the product waits.
    head = {"X-Amz-Target": "TrentService.ListKeys", "Content-Type": "application/x-amz-json-1.1"}
    head["Authorization"] = "AWS4-HMAC-SHA256 Credential=a/20260101/eu-west-1/kms/aws4_request"
    urlopen(Request(url, b"{}", head), timeout=60).close()  # noqa: S310 - loopback
