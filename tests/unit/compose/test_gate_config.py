# SPDX-License-Identifier: Apache-2.0
"""The gate's configuration: closed, checked whole before anything is opened."""

from __future__ import annotations

import asyncio
import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sekisho.compose.gate_config import Located, read_gate_config
from sekisho.compose.gate_running import loop_for
from sekisho.core.errors import ConfigurationInvalid

MINIMAL = """
gate = "gate-1"
region = "eu-west-1"
environment = "test"
origin = "gate-1.sekisho.invalid/log"
roster_sha256 = "{digest}"

[[agents]]
name = "bot"
uid = "own"
token_sha256 = "{digest}"
""".format(digest="a" * 64)
VENUE = """[[venues]]
name = "V"
kind = "{}"
address = "{}"
credential_file = "c"
sender = "A"
target = "B"
[[agents]]"""
FRONT = """[fix]
listen = "{}"
[[fix.sessions]]
comp_id = "BOT"
agent = "{}"
venue = "{}"
[kraken]
listen = "{}"
venue = "V"
account = "main"
markets = ["EUR/USD"]
callers = []
[[venues]]
name = "V"
kind = "paper"
address = "unix:x"
credential_file = "c"
[[agents]]"""


def tls_venue(kind: str, address: str, settings: str) -> str:
    """A venue with settings of TLS."""
    venue = VENUE.format(kind, address).removesuffix("[[agents]]")
    return f"{venue}[venues.tls]\n{settings}\n[[agents]]"


def read(folder: Path, text: str) -> Located:
    path = folder / "gate.toml"
    path.write_text(text, encoding="utf-8")
    return read_gate_config(path)


def test_configuration_minimal_has_stated_defaults(tmp_path: Path) -> None:
    """What is left out has the default of the reference page; paths count from the file."""
    found = read(tmp_path, MINIMAL)
    assert tmp_path / "keys/agents" == found.file(found.config.agent_keys)
    assert f"unix:{tmp_path}/authority.sock" == found.address(found.config.authority)
    assert f"file:{tmp_path}/keys/gate-log.key" == found.uri(found.config.log_key)
    assert os.getuid() == found.callers()[0].uid


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('gate = "gate-1"', 'gate = "gate 1"', "gate: not a name"),
        ('region = "eu-west-1"', "", "region"),
        ('roster_sha256 = "' + "a" * 64 + '"', "", "roster_sha256"),
        ('roster_sha256 = "' + "a" * 64, 'roster_sha256 = "' + "A" * 64, "roster_sha256"),
        ('region = "eu-west-1"', 'regoin = "x"\nregion = "eu-west-1"', "regoin"),
        ('environment = "test"', 'environment = "prod"', "prod"),
        ('environment = "test"', 'environment = "production"', "environment test alone"),
        ('uid = "own"', "uid = 0", "root or the gate's own"),
        ('uid = "own"', f"uid = {os.getuid()}", "root or the gate's own"),
        ('uid = "own"', "", "a uid with a token_sha256"),
        ("a" * 64, "A" * 64, "64 lower-case"),
        ("a" * 64, "a" * 63, "64 lower-case"),
        ("[[agents]]", "[api]\n[[agents]]", "a socket or an address"),
        ("[[agents]]", '[api]\nlisten = "0.0.0.0:8443"\n[[agents]]', "needs TLS"),
        ('name = "bot"', 'name = "Bot"', "not an agent's name"),
        ("[[agents]]", "[[agent]]", "agent"),
        ("[[agents]]", 'authority = "https://a:1"\n[[agents]]', "authority_tls"),
        ("[[agents]]", "[limits]\nwaiting = 0\n[[agents]]", "limits.waiting"),
        ("[[agents]]", VENUE.format("fix", "10.0.0.1:5001"), "loopback alone"),
        ("[[agents]]", VENUE.format("kraken", "https://venue"), "markets"),
        ("[[agents]]", tls_venue("fix", "unix:x", 'ca = "c"'), "for FIX at HOST:PORT alone"),
        ("[[agents]]", tls_venue("paper", "127.0.0.1:1", 'ca = "c"'), "for FIX at HOST:PORT"),
        ("[[agents]]", tls_venue("fix", "10.0.0.1:1", 'ca = ""'), "which CA"),
        ("[[agents]]", tls_venue("fix", "10.0.0.1:1", 'server_name = "v"'), "ca in venues"),
        ("[[agents]]", tls_venue("fix", "10.0.0.1:1", 'ca = "c"\nkey = "k"'), "go together"),
        ("[[agents]]", tls_venue("fix", "10.0.0.1:1", 'ca = "c"\nverify = false'), "verify"),
        ("[[agents]]", VENUE.format("smoke", "unix:x"), "smoke"),
        ("[[agents]]", FRONT.format("0.0.0.0:1", "bot", "V", "127.0.0.1:2"), "fix.listen: without"),
        ("[[agents]]", FRONT.format("127.0.0.1:1", "bot", "V", "10.0.0.1:2"), "kraken.listen:"),
        ("[[agents]]", FRONT.format("127.0.0.1:1", "bot", "W", "127.0.0.1:2"), "no venue of this"),
        ("[[agents]]", FRONT.format("127.0.0.1:1", "rob", "V", "127.0.0.1:2"), "no agent of this"),
        ("[[agents]]", FRONT.format("127.0.0.1:1", "bot", "V", "127.0.0.1:1"), "stands twice"),
        ("[[agents]]", "[limits]\nwaiting = 1.5\n[[agents]]", "waiting"),
    ],
)
def test_configuration_fault_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    """Each mistake is refused with the setting that is wrong, and what to read."""
    assert old in MINIMAL
    with pytest.raises(ConfigurationInvalid) as refused:
        read(tmp_path, MINIMAL.replace(old, new))
    assert said in str(refused.value)
    assert refused.value.do


@pytest.mark.parametrize(
    ("old", "new", "said", "do"),
    [
        ("region =", "regoin =", "there is no setting 'regoin'", "write region; correct"),
        ("uid =", "uuid =", "no setting 'uuid' in agents[0]", "write uid; correct"),
        ("[[agents]]", "[limits]\nconections = 3\n[[agents]]", "in limits", "write connections;"),
        ("[[agents]]", "[fix]\nlisen = 3\n[[agents]]", "'lisen' in fix", "write listen;"),
        ("[[agents]]", "qqqq = 3\n[[agents]]", "no setting 'qqqq'", "correct the file as"),
        ('environment = "test"', "", "the setting environment is missing", "correct the file as"),
    ],
)
def test_configuration_misspelled_setting_is_told_with_the_one_that_was_meant(
    tmp_path: Path, old: str, new: str, said: str, do: str
) -> None:
    """What is wrong is said as the file says it, and the nearest setting is named."""
    with pytest.raises(ConfigurationInvalid) as refused:
        read(tmp_path, MINIMAL.replace(old, new, 1))
    assert said in str(refused.value)
    assert refused.value.do.startswith(do)


def test_configuration_doubled_callers_are_refused(tmp_path: Path) -> None:
    """Two agents with one token could not be told apart."""
    second = MINIMAL[MINIMAL.index("[[agents]]") :]
    with pytest.raises(ConfigurationInvalid) as refused:
        read(tmp_path, MINIMAL + second)
    assert "stands twice" in str(refused.value)


def test_configuration_names_every_fault_at_once(tmp_path: Path) -> None:
    """One reading of the message mends the whole file."""
    text = MINIMAL.replace('"gate-1"', '"gate 1"', 1).replace('"bot"', '"Bot"')
    with pytest.raises(ConfigurationInvalid) as refused:
        read(tmp_path, text)
    assert "gate: not a name" in str(refused.value)
    assert "not an agent's name" in str(refused.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_secret_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    """A credential file that is open to others is not used."""
    found = read(tmp_path, MINIMAL)
    path = tmp_path / "credential"
    path.write_bytes(b"secret\n")
    path.chmod(mode)
    with pytest.raises(ConfigurationInvalid) as refused:
        found.secret("credential")
    assert "chmod 600" in refused.value.do
    path.chmod(0o600)
    assert b"secret" == found.secret("credential")


def test_secret_missing_or_empty_is_refused(tmp_path: Path) -> None:
    """No credential is no credential, never an empty one."""
    found = read(tmp_path, MINIMAL)
    (tmp_path / "empty").write_bytes(b" \n")
    (tmp_path / "empty").chmod(0o600)
    for name in ("empty", "absent"):
        with pytest.raises(ConfigurationInvalid):
            found.secret(name)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=300), cut=st.integers(0, len(MINIMAL)))
def test_configuration_never_breaks_on_noise(tmp_path: Path, noise: bytes, cut: int) -> None:
    """Whatever stands in the file: a configuration or a clear refusal, nothing else."""
    path = tmp_path / "gate.toml"
    path.write_bytes(MINIMAL[:cut].encode() + noise + MINIMAL[cut:].encode())
    try:
        found: Any = read_gate_config(path)
    except ConfigurationInvalid:
        return  # any other failure fails the test
    assert found.config.agents[0].name in path.read_text(encoding="utf-8")


def test_gate_that_speaks_tls_runs_on_the_standard_loop(tmp_path: Path) -> None:
    """Where connections are bounded before TLS; what cannot be read decides nothing."""
    files = 'certificate = "c"\nkey = "k"\nclient_ca = "a"'
    tls = f'[api]\nlisten = "127.0.0.1:8443"\n[api.tls]\n{files}\n'
    path = tmp_path / "gate.toml"
    for text, standard in (
        (MINIMAL, importlib.util.find_spec("uvloop") is None),
        (MINIMAL.replace("[[agents]]", f"{tls}[[agents]]"), True),
        ("nothing", True),
    ):
        path.write_text(text, encoding="utf-8")
        assert standard == (loop_for(path) is asyncio.new_event_loop)


def test_configuration_fix_venue_elsewhere_is_taken_with_tls(tmp_path: Path) -> None:
    """With a CA; name and certificate where the venue wants them."""
    more = 'ca = "ca.pem"\nserver_name = "fix.venue"\ncertificate = "c.pem"\nkey = "k.pem"'
    for settings_of_tls in ('ca = "ca.pem"', more):
        venue = tls_venue("fix", "203.0.113.7:5001", settings_of_tls)
        (found,) = read(tmp_path, MINIMAL.replace("[[agents]]", venue)).config.venues
        assert found.tls is not None
        assert "ca.pem" == found.tls.ca
