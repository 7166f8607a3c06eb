# SPDX-License-Identifier: Apache-2.0
"""``[serve]``: where an authority listens, and who may ask in the name of which gate."""

from __future__ import annotations

import asyncio
import datetime
import os
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from sekisho.adapters.authority.events import EVENT_BYTES_MAX, read_events
from sekisho.adapters.authority.http_link import HttpLink
from sekisho.adapters.web.peers import EXTENSION, Peer
from sekisho.compose.enrolling import log_origin
from sekisho.compose.serve import ConnectionCallers, listener
from sekisho.config import Config, ServeSettings, read_config, write_config
from sekisho.core.errors import ConfigurationInvalid, Unavailable

URI = "spiffe://example.test/gate-2"


def scope(peer: Peer | None) -> dict[str, Any]:
    """What the server puts into a request."""
    return {} if peer is None else {"extensions": {EXTENSION: peer}}


def certificate(uri: str) -> bytes:
    """A client certificate, DER, as TLS hands it over."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    day = datetime.datetime(2026, 5, 15, tzinfo=datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(day)
        .not_valid_after(day + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    return built.public_bytes(Encoding.DER)


def test_callers_are_known_by_kernel_and_tls_alone() -> None:
    """A user id and a URI each stand for their gate; what is not known stands for none."""
    gates: dict[str, int | str] = {"gate-1": 4711, "gate-2": URI, "gate-3": "own"}
    callers = ConnectionCallers(Config(issuer_name="I", serve=ServeSettings(gates=gates)))
    own = os.getuid()
    for peer, expected in (
        (Peer("unix", uid=4711), {"gate-1"}),
        (Peer("unix", uid=own), {"gate-3"}),
        (Peer("unix", uid=4712), set()),
        (Peer("tls", certificate=certificate(URI)), {"gate-2"}),
        (Peer("tls", certificate=certificate("own")), set()),
        (Peer("tls", certificate=b"none"), set()),
        (Peer("tcp"), set()),
        (None, set()),
    ):
        assert expected == callers.gates(scope(peer)), peer
    assert callers.owner(scope(Peer("unix", uid=own)))
    for stranger in (Peer("unix", uid=own + 1), Peer("tls", certificate=certificate(URI)), None):
        assert not callers.owner(scope(stranger))


def test_home_without_settings_serves_its_own_gate_to_its_own_user(tmp_path: Path) -> None:
    """What ``init`` writes has no table: a socket of the home, mode 0600."""
    write_config(tmp_path, Config(issuer_name="I"))
    config = read_config(tmp_path)
    (settings,) = config.serve.listen
    found = listener(tmp_path, settings)
    assert (f"unix:{tmp_path}/authority.sock", 0o600) == (found.address, found.mode)
    callers = ConnectionCallers(config)
    assert {"gate-1"} == callers.gates(scope(Peer("unix", uid=os.getuid())))


def test_own_user_may_come_as_every_gate_that_was_enrolled(tmp_path: Path) -> None:
    """Without a table: certified logs name the gates; a stranger, another log's name gives none."""
    write_config(tmp_path, Config(issuer_name="I"))
    config = read_config(tmp_path)
    origins = [config.gate_origin, config.authority_origin, log_origin("gate-b"), "log.example/g"]
    callers = ConnectionCallers(config, lambda: origins)
    own = os.getuid()
    assert {"gate-1", "gate-b"} == callers.gates(scope(Peer("unix", uid=own)))
    origins.append(log_origin("gate-c"))
    assert {"gate-1", "gate-b", "gate-c"} == callers.gates(scope(Peer("unix", uid=own)))
    for stranger in (Peer("unix", uid=own + 1), Peer("tls", certificate=certificate(URI)), None):
        assert frozenset() == callers.gates(scope(stranger)), stranger


def test_table_of_gates_is_the_whole_truth() -> None:
    """Who names gates means these alone: an enrolled one that is not named gets nothing."""
    config = Config(issuer_name="I", serve=ServeSettings(gates={"gate-a": "own"}))
    callers = ConnectionCallers(config, lambda: [log_origin("gate-b")])
    assert {"gate-a"} == callers.gates(scope(Peer("unix", uid=os.getuid())))


@pytest.mark.parametrize(
    ("table", "what"),
    [
        ("[serve]\nlisten = []", "nothing is named"),
        ('[[serve.listen]]\naddress = "10.0.0.1:1"\nkey = "k"', "go together"),
        (
            '[[serve.listen]]\naddress = "unix:a"\nkey = "k"\ncertificate = "c"\nclient_ca = "a"',
            "TLS is for HOST:PORT",
        ),
        ('[[serve.listen]]\naddress = "unix:a"\nmode = "0666"', "mode"),
        ("[serve.gates]\n'gate-1' = 0", "a user id above 0"),
        ("[serve.gates]\n'gate-1' = 'somebody'", "a user id above 0"),
        ("[serve.gates]\n'no name' = 5", "a user id above 0"),
        ("[serve]\nport = 5", "no setting 'port' in serve"),
    ],
)
def test_settings_that_would_open_more_than_they_say_are_refused(
    tmp_path: Path, table: str, what: str
) -> None:
    """Root, anybody, half of TLS, a socket for everybody, an unknown setting."""
    write_config(tmp_path, Config(issuer_name="I"))
    with (tmp_path / "sekisho.toml").open("a", encoding="utf-8") as file:
        file.write(f"\n{table}\n")
    with pytest.raises(ConfigurationInvalid, match=what):
        read_config(tmp_path)


def test_link_on_tcp_without_tls_is_refused() -> None:
    """What a gate sends is not said in clear, nor to whoever answers."""
    with pytest.raises(ConfigurationInvalid, match="TLS in both directions"):
        HttpLink("127.0.0.1:1")


async def collected(*chunks: bytes) -> list[tuple[str, str, bytes]]:
    """The events of a stream that comes in these pieces."""

    async def coming() -> Any:
        for chunk in chunks:
            yield chunk

    return [event async for event in read_events(coming())]


@pytest.mark.parametrize("cut", range(0, 40, 3))
def test_events_are_read_however_the_stream_is_cut(cut: int) -> None:
    """Comments and unknown fields are passed over; an event without a name is none."""
    first = b": hi\n\nevent: status\r\nid: 7\ndata: {}\nretry: 1\n\n"
    text = first + b"data: x\n\nevent: status\ndata:y\n\n"
    found = asyncio.run(collected(text[:cut], text[cut:]))
    assert [("status", "7", b"{}"), ("status", "", b"y")] == found


@pytest.mark.parametrize("chunk", [b"x" * (EVENT_BYTES_MAX + 1), b"event: \xff\n"])
def test_events_that_no_authority_sends_end_the_stream(chunk: bytes) -> None:
    """Too long, or no text: cut, before it fills the memory."""
    with pytest.raises(Unavailable):
        asyncio.run(collected(chunk))
