# SPDX-License-Identifier: Apache-2.0
"""A gate whose agent's key is in a token or in KMS: permits by it, and no permit without it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from sekisho.core.encoding import canonical
from sekisho.core.events import PermitSigned, Withdrawn
from sekisho_client import Permitted
from tests import key_places, kms_stub
from tests.processes import World, assert_each_permit_recorded, new_order, venue_took, world

# The connection layer of the client leaves a socket that was refused to the collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def here() -> Iterator[World]:
    """A world in which nothing runs yet."""
    with world() as made:
        yield made


def take_key(here: World) -> Any:
    """The agent's key, out of the gate's folder."""
    passphrase = (here.folder / "gate-a" / "keys" / "passphrase").read_bytes().strip()
    (path,) = (here.folder / "gate-a" / "keys" / "agents").glob("steady-*.key")
    key = serialization.load_pem_private_key(path.read_bytes(), passphrase)
    path.unlink()
    return key


def configure(here: World, *lines: str) -> None:
    """Add ``[keys]``."""
    path = here.folder / "gate-a" / "gate.toml"
    path.write_text("\n".join([path.read_text(), "[keys]", *lines, ""]))


def ask(here: World, name: str) -> Any:
    """An order of the agent."""
    with here.client() as bot:
        return bot.orders.submit(canonical(new_order(name)))


def metrics(here: World) -> str:
    """Of the gate."""
    socket = here.folder / "gate-a" / "operations.sock"
    command = ["curl", "-s", "--unix-socket", str(socket), "http://gate/metrics"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout


def test_gate_signs_by_kms_and_withdraws_what_kms_does_not_sign(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KMS refuses one order's signature: no permit of it leaves; the next one is as any other."""
    with key_places.kms(monkeypatch) as kms:
        made = kms.answer("CreateKey", {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"})
        number = made["KeyMetadata"]["KeyId"]
        kms.keys[number]["secret"] = take_key(here)
        uri = f'"awskms:region=eu-west-1;key-id={number}"'
        configure(here, f"agents = [{uri}]", f'awskms_endpoint = "{kms.url}"')
        here.start_all()
        assert isinstance(ask(here, "one"), Permitted)
        kms.fail("Sign", kms_stub.refused("AccessDeniedException"))
        assert not isinstance(ask(here, "two"), Permitted)
        assert isinstance(ask(here, "three"), Permitted)
        kms.keys[number]["KeyState"] = "Disabled"
        assert not isinstance(ask(here, "four"), Permitted)
        told = metrics(here)
        assert 'sekisho_sign_failures_total{failure="unavailable",scheme="awskms"} 1.0' in told
        assert 'sekisho_sign_failures_total{failure="disabled",scheme="awskms"} 1.0' in told
        assert "EXAMPLE" not in here.said("gate-a") + told
        assert here.end("gate-a") == 0
    assert set(venue_took(here).values()) == {"one", "three"}
    entries = here.ledger()
    signed = [one for one in entries if isinstance(one, PermitSigned)]
    withdrawn = [one.reason for one in entries if isinstance(one, Withdrawn)]
    assert (len(signed), len(withdrawn)) == (2, 2)
    words = ("AccessDeniedException", "DisabledException")
    assert [word in one for word, one in zip(words, withdrawn, strict=True)] == [True, True]
    assert_each_permit_recorded(here, "gate-a")


def test_gate_starts_without_its_kms_and_permits_when_it_answers(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that is away keeps the gate from permitting, not from starting."""
    with key_places.kms(monkeypatch) as kms:
        kms.fail("DescribeKey", *[kms_stub.refused("KMSInternalException", 500)] * 4)
        made = kms.answer("CreateKey", {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"})
        number = made["KeyMetadata"]["KeyId"]
        kms.keys[number]["secret"] = take_key(here)
        uri = f'"awskms:region=eu-west-1;key-id={number}"'
        configure(here, f"agents = [{uri}]", f'awskms_endpoint = "{kms.url}"')
        here.start_all()
        here.heard("gate-a", "KMSInternalException")
        here.wait_for(lambda: kms.count("GetPublicKey") or None, "the key to be opened")
        names = iter(range(50))
        here.wait_for(lambda: isinstance(ask(here, f"n-{next(names)}"), Permitted), "a permit")


def test_gate_signs_by_a_token(here: World, tmp_path: Path) -> None:
    """The same with the key in SoftHSM; its URI is found by the certificate's public key."""
    hsm = key_places.softhsm()
    key = take_key(here)
    form = serialization.PrivateFormat.PKCS8
    pem = tmp_path / "key.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    )
    label = ["--label", "steady-1", "--id", "0a0b"]
    token = ["--token", "spare-3", "--pin", key_places.PIN]
    subprocess.run(["softhsm2-util", "--import", pem, *token, *label], check=True)
    uri = f"pkcs11:token=spare-3;object=steady-1?pin-source={hsm.folder}/pin"
    configure(here, f'agents = ["{uri}"]', f'pkcs11_modules = ["{hsm.module}"]')
    here.start_all()
    assert isinstance(ask(here, "one"), Permitted)
    assert 'sekisho_sign_seconds_count{scheme="pkcs11"} 1.0' in metrics(here)
    if hsm.control is not None:
        hsm.control.write_text("wrong")
        try:
            assert not isinstance(ask(here, "two"), Permitted)
        finally:
            hsm.control.write_text("")
    assert here.end("gate-a") == 0
    assert set(venue_took(here).values()) == {"one"}
    assert_each_permit_recorded(here, "gate-a")
