# SPDX-License-Identifier: Apache-2.0
"""Addresses where callers show API keys and nothing else (docs/spec/control-plane.md section 2)."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx2
import pytest
from cryptography import x509

from sekisho.adapters.web.listening import Listener, Tls, bind
from sekisho.compose.replicated import HEADER
from sekisho.config import read_config
from sekisho.core.errors import ConfigurationInvalid
from tests.integration.link_world import LinkWorld
from tests.integration.test_sockets import Authority, client_context

KEYS = '\n[[serve.listen]]\naddress = "127.0.0.1:0"\nclients = "keys"\n'
OWN = '\n[[serve.listen]]\naddress = "unix:authority.sock"\n'
Story = Callable[[LinkWorld, httpx2.AsyncClient, dict[str, str]], Awaitable[None]]


def play(path: Path, tls: bool, story: Story) -> None:
    """A served home with an address for keys, and an auditor's key."""

    async def run() -> None:
        firm = Authority(path, "firm")
        world = await LinkWorld.start(path / "home")
        await world.served.close()
        lines = OWN + KEYS
        if tls:
            files = firm.issue("control", x509.DNSName("localhost"))
            lines += f'certificate = "{files[0]}"\nkey = "{files[1]}"\n'
        with (path / "home/sekisho.toml").open("a", encoding="utf-8") as file:
            file.write(lines)
        await world.open()
        try:
            unix = httpx2.AsyncHTTPTransport(uds=world.address.removeprefix("unix:"))
            async with httpx2.AsyncClient(transport=unix, base_url="http://authority") as own:
                made = await own.post(
                    "/v1/operators/own/keys",
                    headers={"idempotency-key": "one", "content-type": "application/json"},
                    content=json.dumps({"role": "auditor", "seat": "", "days": 1}),
                )
            bearer = {"authorization": f"Bearer {made.json()['presented']}"}
            port = world.served.addresses[1].rpartition(":")[2]
            scheme = "https" if tls else "http"
            context = client_context(firm, None)
            url = f"{scheme}://localhost:{port}"
            async with httpx2.AsyncClient(verify=context, base_url=url) as http:
                await story(world, http, bearer)
        finally:
            await world.close()

    asyncio.run(run())


@pytest.mark.parametrize("tls", [True, False], ids=["tls", "loopback"])
def test_keys_listener_serves_the_control_plane_and_pki_alone(tmp_path: Path, tls: bool) -> None:
    """With a key one reads; no gate's link, no path of the owner, no replica's is there."""

    async def story(world: LinkWorld, http: httpx2.AsyncClient, bearer: dict[str, str]) -> None:
        for path, headers, status in (
            ("/v1/operators/own/agents", bearer, 200),
            ("/v1/operators/own/agents", {}, 401),
            ("/v1/operators", {}, 401),
            ("/v1/keys", {}, 401),
            ("/pki/own/root.crt", {}, 200),
            ("/v1/health", {}, 200),
            ("/v1/roster", bearer, 404),
            ("/v1/incidents?after=0", {}, 404),
            ("/v1/agents/bot", bearer, 404),
            ("/v1/gates/gate-1/checkpoint", {}, 404),
            ("/v1/gates/gate-1/events?after=0", {}, 404),
            ("/v1/operators/own/gates/gate-1/checkpoint", bearer, 404),
            ("/metrics", {}, 404),
        ):
            answer = await http.get(path, headers=headers)
            assert (path, status) == (path, answer.status_code)
        size = world.served.home.journals["authority"].size
        for path in ("commands", "approvals", "certificates", "logs", "replicas/gates"):
            answer = await http.post(f"/v1/{path}", json={"commands": []})
            assert (path, 404) == (path, answer.status_code)
        assert size == world.served.home.journals["authority"].size

    play(tmp_path, tls, story)


def test_keys_listener_believes_nobodys_word_of_who_connects(tmp_path: Path) -> None:
    """The header with which replicas speak for others makes nobody the owner here."""

    async def story(world: LinkWorld, http: httpx2.AsyncClient, _: dict[str, str]) -> None:
        uid = world.served.home.uid
        said = json.dumps({"transport": "unix", "uid": uid, "certificate": None}).encode()
        headers = {HEADER: base64.b64encode(said).decode()}
        assert 401 == (await http.get("/v1/operators", headers=headers)).status_code

    play(tmp_path, False, story)


def test_keys_listener_is_plain_on_loopback_alone(tmp_path: Path) -> None:
    """A key in clear does not leave this machine; with TLS no client certificate is wanted."""
    firm = Authority(tmp_path, "firm")
    files = firm.issue("control", x509.DNSName("localhost"))
    with pytest.raises(ConfigurationInvalid, match="needs TLS"):
        bind(Listener("0.0.0.0:0", keys=True))
    bind(Listener("0.0.0.0:0", tls=Tls(*files, None), keys=True)).close()
    with pytest.raises(ConfigurationInvalid, match="client certificates"):
        bind(Listener("0.0.0.0:0", tls=Tls(*files, None)))


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        (OWN.replace("sock", "sock2") + 'clients = "keys"\n', "is for HOST:PORT"),
        (OWN + KEYS + 'certificate = "c.pem"\n', "no client_ca"),
        (OWN + KEYS + 'certificate = "c"\nkey = "k"\nclient_ca = "a"\n', "no client_ca"),
        (KEYS, "for the authority's user and gates"),
    ],
)
def test_keys_listener_settings_that_do_not_fit_are_refused(
    tmp_path: Path, lines: str, what: str
) -> None:
    """A socket, half of TLS, a CA that nobody would be asked by, and no other address."""
    (tmp_path / "sekisho.toml").write_text(f'issuer_name = "I"\n{lines}', encoding="utf-8")
    with pytest.raises(ConfigurationInvalid, match=what):
        read_config(tmp_path)
