# SPDX-License-Identifier: Apache-2.0
"""``sekisho keys`` at a served home: over its socket, in a process of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from click.testing import CliRunner

from sekisho.apps.cli import cli

POLICY = Path(__file__).parents[2] / "examples/around_the_clock.yaml"
COMMAND = Path(sys.executable).with_name("sekisho")
WAIT_S = 40.0


def said(*words: str | Path, code: int = 0) -> str:
    """What a command prints."""
    done = CliRunner().invoke(cli, [str(word) for word in words])
    assert code == done.exit_code, done.output
    return done.output


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home that another process serves."""
    folder = Path(tempfile.mkdtemp(prefix="sk-", dir="/tmp"))
    path = folder / "t"
    said("init", "--home", path, "--policy", POLICY)
    process = subprocess.Popen([COMMAND, "serve", "--home", path], stdout=subprocess.DEVNULL)
    end = time.monotonic() + WAIT_S
    while not (path / "authority.sock").is_socket():
        assert time.monotonic() < end
        threading.Event().wait(0.05)
    yield path
    process.terminate()
    assert 0 == process.wait(WAIT_S)
    shutil.rmtree(folder)


def status(home: Path, secret: str, path: str) -> int:
    """What a key gets."""
    transport = httpx2.HTTPTransport(uds=str(home / "authority.sock"))
    with httpx2.Client(transport=transport, base_url="http://authority") as http:
        return http.get(path, headers={"authorization": f"Bearer {secret}"}).status_code


def test_keys_are_made_shown_once_listed_and_ended(home: Path) -> None:
    """The secret is printed once and works; it is in no list; ended, it works no more."""
    printed = said("keys", "make", "--home", home, "--role", "auditor", "--days", "7")
    found = re.fullmatch(
        r"key ([0-9a-f]{16}): own, auditor, until \S+\n"
        r"secret, shown now and never again: (sk_\1_[A-Za-z0-9_-]{43})\n",
        printed,
    )
    assert found is not None
    key, secret = found.groups()
    assert 200 == status(home, secret, "/v1/operators/own/policies")
    listed = said("keys", "list", "--home", home)
    assert f"key {key}: own, auditor, until" in listed
    assert secret not in listed
    assert f"key {key}: own, auditor, ended" in said("keys", "end", key, "--home", home)
    assert 401 == status(home, secret, "/v1/operators/own/policies")
    assert f"key {key}: own, auditor, ended" in said("keys", "list", "--home", home)


def test_key_of_the_issuer_lists_operators_and_reads_nothing_of_one(home: Path) -> None:
    """It belongs to no operator, and is listed and ended as the issuer's."""
    printed = said("keys", "make", "--home", home, "--role", "issuer_admin")
    secret = printed.split()[-1]
    key = secret.split("_")[1]
    assert 200 == status(home, secret, "/v1/operators")
    assert 403 == status(home, secret, "/v1/operators/own/policies")
    assert key in said("keys", "list", "--home", home, "--issuer")
    assert key not in said("keys", "list", "--home", home)
    said("keys", "end", key, "--home", home, code=1)
    assert 200 == status(home, secret, "/v1/operators")
    said("keys", "end", key, "--home", home, "--issuer")
    assert 401 == status(home, secret, "/v1/operators")


def test_keys_of_a_person_want_a_seat_of_the_roster(home: Path) -> None:
    """Refused with the reason; nothing is made."""
    before = said("keys", "list", "--home", home)
    for more, why in (
        ((), "a person's role names its seat"),
        (("--seat", "nobody"), "no seat 'nobody'"),
        (("--seat", "ceo-1"), "no seat 'ceo-1' with the role risk"),
        (("--seat", "duty_risk", "--operator", "none"), "no such operator"),
    ):
        refused = said("keys", "make", "--home", home, "--role", "risk", *more, code=1)
        assert why in refused
    assert before == said("keys", "list", "--home", home)
    said("keys", "make", "--home", home, "--role", "risk", "--seat", "duty_risk")


def test_keys_where_nobody_serves_say_so(tmp_path: Path) -> None:
    """Neither made nor queued."""
    said("init", "--home", tmp_path / "t", "--policy", POLICY)
    refused = said("keys", "list", "--home", tmp_path / "t", code=1)
    assert "nobody serves this home" in refused
