# SPDX-License-Identifier: Apache-2.0
"""Where a gate is and what is shown to it: everything wrong is said before anything is sent."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Any

import pytest

from sekisho_client import connect, connect_async
from sekisho_client.endpoint import read_endpoint
from sekisho_client.failures import ConnectionInvalid
from tests.client_wire import TOKEN


def secret(path: Path, text: str, mode: int = 0o600) -> Path:
    """A file with this mode."""
    path.write_text(text)
    path.chmod(mode)
    return path


def test_unix_token_is_sent_and_never_shown(tmp_path: Path) -> None:
    """From the argument or a file, one newline at its end forgiven; not in repr."""
    given = read_endpoint("unix:/run/gate.sock", token=TOKEN)
    read = read_endpoint("unix:/run/gate.sock", token_file=secret(tmp_path / "t", TOKEN + "\n"))
    assert (f"Bearer {TOKEN}", f"Bearer {TOKEN}") == (given.authorization, read.authorization)
    assert ("http://gate", "/run/gate.sock") == (given.origin, given.socket_path)
    assert TOKEN not in repr(given)


@pytest.mark.parametrize(
    ("text", "mode", "what"),
    [
        (TOKEN, 0o640, "others may read it"),
        (TOKEN, 0o604, "others may read it"),
        (TOKEN + "\n\n", 0o600, "32 to 256"),
        (TOKEN + "\r\nX: y", 0o600, "32 to 256"),
        ("é" * 40, 0o600, "32 to 256"),
        ("short", 0o600, "32 to 256"),
        ("t" * 600, 0o600, "more than 512"),
    ],
)
def test_unix_token_file_unfit_is_refused(tmp_path: Path, text: str, mode: int, what: str) -> None:
    """Readable by others, or no token; what stands in it is not shown."""
    path = secret(tmp_path / "t", text, mode)
    with pytest.raises(ConnectionInvalid, match=what) as raised:
        read_endpoint("unix:s", token_file=path)
    assert text not in str(raised.value)


def test_unix_token_file_that_is_no_file_is_refused(tmp_path: Path) -> None:
    """A folder, a path that leads nowhere, and a pipe, which is not waited for."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    unfit = ((tmp_path, "cannot be read"), (tmp_path / "x", "cannot be read"))
    for path, what in (*unfit, (tmp_path / "pipe", "is no file")):
        with pytest.raises(ConnectionInvalid, match=what):
            read_endpoint("unix:s", token_file=path)


FILES = {"certificate": ("c", "k"), "ca": "r"}


@pytest.mark.parametrize(
    ("address", "settings", "what"),
    [
        ("unix:", {"token": TOKEN}, "path"),
        ("unix:a\0b", {"token": TOKEN}, "path"),
        ("unix:s", {}, "one of them"),
        ("unix:s", {"token": TOKEN, "token_file": "t"}, "one of them"),
        ("unix:s", {"token": TOKEN, "ca": "r"}, "no CA"),
        ("unix:s", {"token": TOKEN, "certificate": ("c", "k")}, "no certificate"),
        ("unix:s", {"token": "x y" * 20}, "32 to 256"),
        ("unix:s", {"token": 5}, "32 to 256"),
        ("unix:s", {"token": TOKEN, "answer_s": 0}, "answer_s"),
        ("unix:s", {"token": TOKEN, "answer_s": None}, "answer_s"),
        ("unix:s", {"token": TOKEN, "connect_s": 301}, "connect_s"),
        ("unix:s", {"token": TOKEN, "connect_s": float("nan")}, "connect_s"),
        ("unix:s", {"token": TOKEN, "connect_s": True}, "connect_s"),
        ("https://h", {"token": TOKEN, **FILES}, "no token"),
        ("https://h", {"token_file": "t", **FILES}, "no token"),
        ("https://h", {"ca": "r"}, "are wanted"),
        ("https://h", {"certificate": ("c", "k")}, "are wanted"),
        ("https://h", {"certificate": ("c",), "ca": "r"}, "are wanted"),
        ("http://h", FILES, "no address"),
        ("h:8443", FILES, "no address"),
        ("https://", FILES, "no address"),
        ("https://u@h", FILES, "no address"),
        ("https://h/path", FILES, "no address"),
        ("https://h?q", FILES, "no address"),
        ("https://h:port", FILES, "no address"),
        ("https://é", FILES, "no address"),
        (5, {"token": TOKEN}, "address"),
    ],
)
def test_connect_arguments_unfit_are_refused(
    address: Any, settings: dict[str, Any], what: str
) -> None:
    """Missing, superfluous or contradictory arguments are refused, for both gates alike."""
    for making in (connect, connect_async):
        with pytest.raises(ConnectionInvalid, match=what):
            making(address, **settings)


def test_connect_has_no_argument_that_trusts_everybody() -> None:
    """TLS verification cannot be switched off."""
    connecting: Any = connect
    for name in ("verify", "insecure", "check_hostname", "tls", "ssl_context", "proxy"):
        with pytest.raises(TypeError, match=name):
            connecting("unix:s", **{"token": TOKEN, name: False})


def test_unix_endpoint_tls_trusts_nobody() -> None:
    """The context that a socket never uses has no roots and verifies."""
    context = read_endpoint("unix:s", token=TOKEN).tls
    assert (ssl.CERT_REQUIRED, True, []) == (
        context.verify_mode,
        context.check_hostname,
        context.get_ca_certs(),
    )


def test_tcp_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    """A key is a secret; a file that holds none is named."""
    certificate = secret(tmp_path / "c", "no certificate")
    for mode, what in ((0o644, "others may read it"), (0o600, "cannot be used")):
        key = secret(tmp_path / "k", "no key", mode)
        with pytest.raises(ConnectionInvalid, match=what):
            read_endpoint("https://h", certificate=(certificate, key), ca=certificate)
