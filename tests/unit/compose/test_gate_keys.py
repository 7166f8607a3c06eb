# SPDX-License-Identifier: Apache-2.0
"""A gate's keys outside of files: found by public key, late, measured, made by command."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sekisho.adapters.metrics import Measures
from sekisho.adapters.signers.verified import check_signature
from sekisho.adapters.simulated_clock import PassingClock, SteppedClock
from sekisho.adapters.simulated_custody import SimulatedCustody
from sekisho.apps.gate_command import gate
from sekisho.compose import gate_keys
from sekisho.compose.gate_keys import KeyFolder
from sekisho.compose.gate_timing import TimedSigner
from sekisho.compose.key_settings import KeySettings, key_faults
from sekisho.core.errors import ConfigurationInvalid, KeyDisabled, Unavailable
from sekisho.ports import Signer
from tests import key_places
from tests.unit.compose.test_gate_config import MINIMAL

_URI = "simulated:bot-1"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> SimulatedCustody:
    """A key service with one key, that every URI leads to."""
    made = SimulatedCustody(SteppedClock(0))
    asyncio.run(made.create("bot-1", "ES256"))
    monkeypatch.setattr(gate_keys, "open_custody", lambda *_: made)
    monkeypatch.setattr(gate_keys, "place_of", lambda _: "simulated:")
    return made


@pytest.fixture
def public_key(service: SimulatedCustody) -> bytes:
    """Of the certificate."""
    return service.open_blocking(_URI).public_key


def keys_of(folder: Path) -> KeyFolder:
    """A gate's keys: an empty folder, and the named one."""
    return KeyFolder(folder, b"word", (_URI,), key_places.settings(folder))


def test_named_key_is_found_by_its_public_part(
    service: SimulatedCustody, public_key: bytes, tmp_path: Path
) -> None:
    """Opened at the start, used as any other."""
    keys = keys_of(tmp_path)
    asyncio.run(keys.open_named())
    signer = keys.signer(public_key)
    assert signer.uri == _URI
    check_signature(signer, b"x", asyncio.run(signer.sign(b"x")))
    with pytest.raises(ConfigurationInvalid, match="no key in custody"):
        keys.signer(b"another")


def test_named_key_of_a_service_that_is_down_is_late_and_never_a_guess(
    service: SimulatedCustody, public_key: bytes, tmp_path: Path
) -> None:
    """The gate starts; its orders get Unavailable until the service answers, then signatures."""
    service.down = True
    keys = keys_of(tmp_path)
    asyncio.run(keys.open_named())
    signer = keys.signer(public_key)
    assert (signer.uri, signer.algorithm) == ("unopened:", "ES256")
    with pytest.raises(Unavailable, match="no answer"):
        asyncio.run(signer.sign(b"x"))
    with pytest.raises(Unavailable, match="no answer"):
        signer.sign_blocking(b"x")
    service.down = False
    told: list[tuple[str, str]] = []
    clock = PassingClock(SteppedClock(0))
    asyncio.run(keys.run(clock, lambda uri, why: told.append((uri, why))))
    assert told == [(_URI, "simulated: no answer")]
    assert signer.uri == _URI
    check_signature(signer, b"x", asyncio.run(signer.sign(b"x")))
    assert keys.failures == {}


@pytest.fixture
def measures() -> Measures:
    """A gate's metrics."""
    return Measures(dict)


@pytest.mark.parametrize(
    ("failure", "word"),
    [(KeyDisabled("x"), "disabled"), (Unavailable("x"), "unavailable"), (ValueError("x"), "other")],
)
def test_sign_failure_is_counted_by_scheme(
    service: SimulatedCustody, measures: Measures, failure: Exception, word: str
) -> None:
    """How long it took, what failed, and the failure itself goes on."""
    inner = service.open_blocking(_URI)

    async def fail(_: bytes) -> bytes:
        raise failure

    timed = TimedSigner(inner, SteppedClock(0), lambda *_: None, measures.signed)
    asyncio.run(timed.sign(b"x"))
    inner.sign = fail  # type: ignore[method-assign,assignment]  # a service that fails
    with pytest.raises(type(failure)):
        asyncio.run(timed.sign(b"x"))
    lines = measures.text().decode().splitlines()
    assert f'sekisho_sign_failures_total{{failure="{word}",scheme="simulated"}} 1.0' in lines
    assert 'sekisho_sign_seconds_count{scheme="simulated"} 2.0' in lines


def test_sign_that_was_given_up_is_counted(service: SimulatedCustody, measures: Measures) -> None:
    """A caller that stopped waiting shows as abandoned."""
    inner: Signer = service.open_blocking(_URI)

    async def hang(_: bytes) -> bytes:
        await asyncio.Event().wait()
        return b""

    inner.sign = hang  # type: ignore[method-assign,assignment]  # a service that hangs
    timed = TimedSigner(inner, SteppedClock(0), lambda *_: None, measures.signed)

    async def impatient() -> None:
        async with asyncio.timeout(0):
            await timed.sign(b"x")

    with pytest.raises(TimeoutError):
        asyncio.run(impatient())
    wanted = 'sekisho_sign_failures_total{failure="abandoned",scheme="simulated"} 1.0'
    assert wanted in measures.text().decode().splitlines()


@pytest.mark.parametrize(
    ("fields", "production", "said"),
    [
        ({"pkcs11_modules": ("lib.so",)}, False, "no absolute path"),
        ({"awskms_endpoint": "kms.example"}, False, "not a URL"),
        ({"awskms_endpoint": "http://127.0.0.1:1"}, True, "https"),
        ({"awskms_proxy": "http://user:word@proxy.example"}, False, "holds a secret"),
        ({"agents": ("awskms:region=x",)}, False, "region"),
        ({"agents": ("pkcs11:token=t;object=a",)}, False, "pin-source"),
        ({"agents": ("vault:x",)}, False, "no such scheme"),
        ({"agents": ("file:",)}, False, "file:PATH"),
    ],
)
def test_settings_fault_is_named(fields: dict[str, Any], production: bool, said: str) -> None:
    """What the file alone shows to be wrong."""
    found = list(key_faults(KeySettings(**fields), production=production))
    assert [said in one for one in found] == [True]


def test_settings_that_are_right_have_no_fault() -> None:
    """Each scheme once."""
    settings = KeySettings(
        agents=(
            "awskms:region=eu-west-1;key-id=alias/a",
            "pkcs11:token=t;object=a?pin-source=p",
            "file:keys/a.key",
        ),
        pkcs11_modules=("/usr/lib/m.so",),
        awskms_endpoint="https://kms.example",
        awskms_proxy="http://proxy.example:3128",
    )
    assert list(key_faults(settings, production=True)) == []


# -- the command ----------------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A gate's configuration with its passphrase."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "passphrase").touch(mode=0o600)
    (tmp_path / "keys" / "passphrase").write_text("word\n")
    path = tmp_path / "gate.toml"
    path.write_text(MINIMAL)
    return path


def ask(config: Path, *words: str) -> tuple[int, str]:
    """Run ``sekisho gate key``."""
    done = CliRunner().invoke(gate, ["key", words[0], "--config", str(config), *words[1:]])
    return done.exit_code, done.output


def test_command_makes_shows_and_disables_a_key(config: Path) -> None:
    """The whole life of a key in its custody; paths count from the configuration."""
    code, said = ask(config, "create", "--place", "file:keys/", "--name", "bot-1")
    uri = f"file:{config.parent}/keys/bot-1.key"
    assert (code, said.splitlines()[0]) == (0, f"key: {uri}")
    assert "-----BEGIN PUBLIC KEY-----" in said
    assert ask(config, "create", "--place", "file:keys/", "--name", "bot-1")[0] == 1
    assert ask(config, "state", "--key", "file:keys/bot-1.key") == (0, "enabled\n")
    assert ask(config, "disable", "--key", uri) == (0, "disabled\n")
    assert ask(config, "state", "--key", uri) == (0, "disabled\n")


def test_command_disable_that_failed_exits_with_one(config: Path) -> None:
    """A key that is not there was not disabled."""
    code, said = ask(config, "disable", "--key", "file:keys/none.key")
    assert (code, said.startswith("failed: ")) == (1, True)


def test_command_create_in_a_key_is_refused(config: Path) -> None:
    """A place is wanted."""
    assert ask(config, "create", "--place", "file:keys/a.key", "--name", "b")[0] == 1
