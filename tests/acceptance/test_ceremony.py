# SPDX-License-Identifier: Apache-2.0
"""An authority whose root is offline, from the ceremony to a certificate of an agent."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sekisho.apps.cli import cli
from sekisho.compose import Home
from sekisho.core.identity.chain import verify_chain
from sekisho.core.identity.reading import from_pem, load, pem
from tests.embedded_world import AGENT, APPROVERS, POLICY
from tests.unit.core.identity import certificates as made


def run(*words: object) -> Result:
    """One command."""
    return CliRunner().invoke(cli, [str(word) for word in words])


def done(*words: object) -> str:
    """A command that succeeds; what it said."""
    said = run(*words)
    assert 0 == said.exit_code, said.output
    return said.output


class Place:
    """The offline folder, the home, and what goes between them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.root, self.issued, self.home = path / "offline", path / "issued", path / "home"
        self.secret = path / "passphrase"
        self.secret.touch(0o600)
        self.secret.write_text("a passphrase\n", "ascii")
        self.policy = path / "policy.json"
        self.policy.write_text(json.dumps(POLICY), "utf-8")

    def make_root(self, *more: object) -> str:
        """The root's ceremony."""
        words = ("--out", self.root, "--issuer-name", "Example", "--passphrase-file", self.secret)
        return done("ceremony", "root", *words, *more)

    def certify(self, *more: object) -> Result:
        """The issuing CA's ceremony."""
        words = ("--root", self.root, "--request", self.home / "issuing.csr", "--out", self.issued)
        return run("ceremony", "issuing", *words, "--passphrase-file", self.secret, *more)

    def init(self) -> str:
        """The home's keys and its request."""
        return done("init", "--home", self.home, "--policy", self.policy, "--offline-root")

    def found(self, **other: Path) -> Result:
        """The authority."""
        root = other.get("root", self.root / "root.pem")
        issuing = other.get("issuing", self.issued / "issuing.pem")
        words = ("--home", self.home, "--policy", self.policy, "--root", root, "--issuing", issuing)
        return run("found", *words)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Nothing made yet."""
    return Place(tmp_path)


def openssl(folder: Path, *words: object) -> str:
    """What openssl says."""
    told = subprocess.run(
        ["openssl", *map(str, words)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return told.stdout + told.stderr


def test_authority_under_an_offline_root_certifies_without_its_key(place: Place) -> None:
    """Root offline, request there, certificate back, founded, approved, issued, verified."""
    place.make_root()
    place.init()
    assert 0 == place.certify().exit_code
    said = place.found()
    assert 0 == said.exit_code, said.output
    digest = said.output.partition("policy ")[2].split()[0]
    for seat in APPROVERS:
        key = place.home / "people" / f"{seat}.key"
        done(
            "approve",
            "--home",
            place.home,
            "--policy",
            digest,
            "--seat",
            seat,
            "--key",
            key,
            "--yes",
        )
    done("issue", "--home", place.home, "--agent", AGENT, "--policy", digest)
    assert not (place.home / "keys" / "root.key").exists()

    async def look() -> Any:
        home = await Home.open(place.home)
        try:
            found = home.authority.active(AGENT)
            assert found is not None
            return found.certificate, home.authority.state, home.around.clock.now_ns()
        finally:
            await home.close()

    leaf, state, now = asyncio.run(look())
    root = from_pem((place.root / "root.pem").read_bytes())
    assert root == state.root_certificate
    verify_chain(leaf, state.issuing_certificate, root, now)


def test_ceremony_transcript_is_told_whole_and_signed_by_the_root(place: Place) -> None:
    """What is printed is what is signed: openssl verifies it under the root's key."""
    printed = place.make_root()
    place.init()
    told = place.certify().output
    for folder, said in ((place.root, printed), (place.issued, told)):
        text = (folder / "transcript.txt").read_bytes()
        assert said.startswith(text.decode())
        assert f"transcript: SHA-256 {hashlib.sha256(text).hexdigest()}" in said
        key = openssl(folder, "x509", "-in", place.root / "root.pem", "-noout", "-pubkey")
        (place.path / "root.pub").write_text(key, "ascii")
        words = ("dgst", "-sha256", "-verify", place.path / "root.pub", "-signature")
        assert "Verified OK" in openssl(folder, *words, "transcript.sig", "transcript.txt")
    root = from_pem((place.root / "root.pem").read_bytes())
    issuing = from_pem((place.issued / "issuing.pem").read_bytes())
    request = openssl(place.home, "req", "-in", "issuing.csr", "-outform", "DER", "-out", "csr.der")
    assert "rror" not in request
    for data in (root, (place.home / "csr.der").read_bytes(), issuing):
        assert hashlib.sha256(data).hexdigest() in told
    ends = f"{load(issuing).not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}"
    for line in ("certified: issuing CA", "path length 0", f"to {ends}", "no host name"):
        assert line in told


def test_issuing_certificate_never_outlives_its_root(place: Place) -> None:
    """The longer life is cut."""
    place.make_root("--days", 10)
    place.init()
    assert 0 == place.certify("--days", 100).exit_code
    root = load(from_pem((place.root / "root.pem").read_bytes()))
    issuing = load(from_pem((place.issued / "issuing.pem").read_bytes()))
    assert root.not_valid_after_utc == issuing.not_valid_after_utc


def test_ceremony_refuses_what_does_not_hold(place: Place) -> None:
    """A damaged request, another root's key, a folder that is there: nothing is written."""
    place.make_root()
    place.init()
    request = place.home / "issuing.csr"
    whole = request.read_bytes()
    request.write_bytes(b"nothing")
    assert 1 == place.certify().exit_code
    request.write_bytes(whole)
    key = (place.root / "root.key").read_bytes()
    (place.root / "root.key").write_bytes((place.home / "keys" / "issuing.key").read_bytes())
    assert 1 == place.certify().exit_code
    (place.root / "root.key").write_bytes(key)
    assert not place.issued.exists()
    assert 0 == place.certify().exit_code
    again = place.certify()
    assert (1, True) == (again.exit_code, "exists" in again.output)


def test_founding_refuses_certificates_that_are_not_its_own(place: Place) -> None:
    """Another key's, another root's, another arc's: refused, and the right ones do afterwards."""
    place.make_root()
    place.init()
    other = place.path / "other.pem"
    other.write_bytes(b"nothing")
    assert 1 == place.found(issuing=other, root=other).exit_code
    assert 0 == place.certify("--oid-arc", "1.3.6.1.4.1.99999").exit_code
    said = place.found()
    assert (1, True) == (said.exit_code, "usages of this authority's arc" in said.output)
    place.issued = place.path / "again"
    assert 0 == place.certify().exit_code
    for name, data, words in (
        ("root", made.root(), "not issued by the next"),
        ("issuing", made.issuing(), "not issued by the next"),
    ):
        other.write_bytes(pem(data))
        said = place.found(**{name: other})
        assert (1, True) == (said.exit_code, words in said.output), said.output
    (place.path / "r.pem").write_bytes(pem(made.root()))
    said = place.found(root=place.path / "r.pem", issuing=other)
    assert (1, True) == (said.exit_code, "request that lies in" in said.output), said.output
    assert not (place.home / "people").exists()
    assert 0 == place.found().exit_code
    again = place.found()
    assert (1, True) == (again.exit_code, "founded already" in again.output)
    assert (place.home / "people").exists()
