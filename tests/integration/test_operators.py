# SPDX-License-Identifier: Apache-2.0
"""Several operators in one server, over real sockets: nothing of one does anything at another
(docs/spec/control-plane.md section 1).
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner

from sekisho.adapters.authority.http_link import HttpLink
from sekisho.apps.authority_application import served_app
from sekisho.apps.cli import cli
from sekisho.compose import load_person, running_authority
from sekisho.compose.home import Home
from sekisho.compose.operators import further_operators
from sekisho.compose.serve import ServedAuthority
from sekisho.core.encoding import canonical
from sekisho.core.errors import ConfigurationInvalid, NotAuthorised
from sekisho.core.governance.commands import SignedCommand, signed_command_text
from sekisho.core.governance.roster import roster_sha256
from sekisho.core.identity.chain import verify_chain
from sekisho.core.ledger.checkpoint import verify_checkpoint
from sekisho.services.authorityclient import AuthorityClient
from sekisho.services.people import sign_approval, sign_command

POLICY = Path(__file__).parents[2] / "examples/around_the_clock.yaml"
AGENT = "steady"
JSON = {"content-type": "application/json"}


def said(*words: str | Path) -> str:
    """What a command that succeeds prints."""
    done = CliRunner().invoke(cli, [str(word) for word in words])
    assert 0 == done.exit_code, done.output
    return done.output


def certify(home: Path) -> str:
    """Approve what is registered, and certify its agent; the policy's digest."""
    opened = asyncio.run(_policies(home))
    for seat in ("ceo-1", "cfo-1"):
        key = home / "people" / f"{seat}.key"
        said("approve", "--home", home, "--policy", opened, "--seat", seat, "--key", key, "--yes")
    said("issue", "--home", home, "--agent", AGENT, "--policy", opened)
    return opened


async def _policies(path: Path) -> str:
    home = await Home.open(path)
    try:
        return next(iter(home.authority.state.policies))
    finally:
        await home.close()


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A server's home with a further operator; both have an agent of the same name."""
    folder = Path(tempfile.mkdtemp(prefix="sk-", dir="/tmp"))
    home = folder / "t"
    try:
        said("init", "--home", home, "--policy", POLICY)
        said("operators", "open", "acme", "--home", home, "--policy", POLICY)
        for path, gate in ((home, "gate-own"), (home / "operators/acme", "gate-acme")):
            certify(path)
            with (path / "sekisho.toml").open("a", encoding="utf-8") as file:
                file.write(f'\n[serve.gates]\n"{gate}" = "own"\n')
        yield home
    finally:
        shutil.rmtree(folder)


class Server:
    """The served home, for one test."""

    def __init__(self, path: Path, served: ServedAuthority, http: httpx2.AsyncClient) -> None:
        self.path = path
        self.http = http
        self.homes = {"own": served.home, **served.further}
        self._count = 0

    @property
    def sizes(self) -> dict[str, int]:
        """Entries of each operator's log."""
        return {name: one.journals["authority"].size for name, one in self.homes.items()}

    def status(self, name: str) -> str:
        """Of the agent of an operator."""
        return self.homes[name].authority.state.agents[AGENT][-1].status

    async def key(self, operator: str, role: str, seat: str = "") -> dict[str, str]:
        """Headers of a key, made by the server's own user."""
        self._count += 1
        made = await self.http.post(
            f"/v1/operators/{operator}/keys",
            headers=JSON | {"idempotency-key": f"key-{self._count}"},
            content=json.dumps({"role": role, "seat": seat, "days": 1}),
        )
        return {"authorization": f"Bearer {made.json()['presented']}"}

    def signed(self, operator: str, act: str, seat: str) -> SignedCommand:
        """A command about the agent by somebody of this operator."""
        home = self.homes[operator]
        return sign_command(
            load_person(home.path / "people" / f"{seat}.key", home.passphrase()),
            act,
            AGENT,
            home.authority,
            seat,
            "test_reason",
            home.around.entropy.bytes(16).hex(),
            home.around.clock.now_ns(),
        )


def play(made: Path, story: Any) -> None:
    """Serve a copy of the home for a story."""

    async def run() -> None:
        folder = Path(tempfile.mkdtemp(prefix="sk-", dir="/tmp"))
        path = folder / "t"
        shutil.copytree(made, path)
        served = await ServedAuthority.start(path, served_app)
        transport = httpx2.AsyncHTTPTransport(uds=str(path / "authority.sock"))
        try:
            async with httpx2.AsyncClient(transport=transport, base_url="http://a") as http:
                await story(Server(path, served, http))
        finally:
            await served.close()
            shutil.rmtree(folder)

    asyncio.run(run())


def test_operators_of_one_root_have_issuing_authorities_and_logs_of_their_own(made: Path) -> None:
    """The root is one; issuing CA, log, key and roster are each operator's."""

    async def story(server: Server) -> None:
        for name in ("own", "acme"):
            state = server.homes[name].authority.state
            leaf = state.agents[AGENT][-1].certificate
            root, issuing = state.root_certificate, state.issuing_certificate
            verify_chain(leaf, issuing, root, server.homes[name].around.clock.now_ns())
            for file, der in (("root", root), ("issuing", issuing)):
                answer = await server.http.get(f"/pki/{name}/{file}.crt")
                assert der == answer.content
        own, acme = (server.homes[name].authority for name in ("own", "acme"))
        assert own.state.root_certificate == acme.state.root_certificate
        assert own.state.issuing_certificate != acme.state.issuing_certificate
        assert roster_sha256(own.roster) != roster_sha256(acme.roster)
        journals = [one.journals["authority"] for one in server.homes.values()]
        assert 2 == len({one.origin for one in journals})
        notes = []
        for name in ("own", "acme"):
            await server.homes[name].journals["authority"].publish()
            headers = await server.key(name, "auditor")
            answer = await server.http.get(f"/v1/operators/{name}/log/checkpoint", headers=headers)
            verify_checkpoint(answer.content, server.homes[name].journals["authority"].log_key)
            notes.append(answer.content)
        assert notes[0] != notes[1]
        assert not (server.path / "operators/acme/keys/root.key").exists()

    play(made, story)


def test_key_of_an_operator_is_nobodys_at_another(made: Path) -> None:
    """Both ways: 404, the same bytes as of an operator that is not there."""

    async def story(server: Server) -> None:
        for name, other in (("own", "acme"), ("acme", "own")):
            headers = await server.key(name, "auditor") | {"x-request-id": "same"}
            here = await server.http.get(f"/v1/operators/{name}/agents", headers=headers)
            assert [AGENT] == [one["agent"] for one in here.json()["items"]]
            for path in ("agents", f"agents/{AGENT}", "policies", "log/entries", "roster"):
                there = await server.http.get(f"/v1/operators/{other}/{path}", headers=headers)
                nowhere = await server.http.get(f"/v1/operators/none/{path}", headers=headers)
                assert (404, there.content) == (there.status_code, nowhere.content)

    play(made, story)


def test_gate_of_an_operator_is_nobodys_at_another(made: Path) -> None:
    """By prefix and by socket; the roster that a gate is told is its own authority's."""

    async def story(server: Server) -> None:
        before = server.sizes
        own, acme = (
            f"unix:{server.path / place / 'authority.sock'}" for place in ("", "operators/acme")
        )
        for address, operator, mine, others in (
            (own, "", "gate-own", "gate-acme"),
            (own, "own", "gate-own", "gate-acme"),
            (own, "acme", "gate-acme", "gate-own"),
            (acme, "", "gate-acme", "gate-own"),
        ):
            home = server.homes["acme" if mine == "gate-acme" else "own"]
            client = AuthorityClient(HttpLink(address), mine, operator)
            assert 0 == await client.last_seen(mine)
            theirs = await client.fetch_roster()
            assert roster_sha256(home.authority.roster) == roster_sha256(theirs)
            assert AGENT == (await client.look_up(AGENT)).agent
            await client.close()
            stranger = AuthorityClient(HttpLink(address), others, operator)
            with pytest.raises(NotAuthorised):
                await stranger.last_seen(others)
            with pytest.raises(NotAuthorised):
                await stranger.admission(AGENT)
            await stranger.close()
        assert before == server.sizes

    play(made, story)


def test_command_and_approval_of_an_operator_do_nothing_at_another(made: Path) -> None:
    """Refused without an entry; where they belong they count, and only there."""

    async def story(server: Server) -> None:
        before = server.sizes
        command = json.dumps(
            {"commands": [signed_command_text(server.signed("acme", "hold", "duty_risk"))]}
        )
        acme = server.homes["acme"]
        digest = next(iter(acme.authority.state.policies))
        approval = sign_approval(
            load_person(acme.path / "people/ceo-1.key", acme.passphrase()),
            digest,
            acme.authority.roster,
            "ceo-1",
            acme.around.clock.now_ns(),
        )
        program = await server.key("own", "program") | JSON
        approver = await server.key("own", "approver", "ceo-1") | JSON
        for path, headers, body in (
            ("/v1/commands", JSON, command),
            ("/v1/operators/own/commands", program, command),
            ("/v1/operators/acme/commands", program, command),
            ("/v1/approvals", JSON, canonical(approval)),
            ("/v1/operators/own/approvals", approver, canonical(approval)),
            ("/v1/operators/acme/approvals", approver, canonical(approval)),
        ):
            answer = await server.http.post(path, headers=headers, content=body)
            wanted = (404,) if "acme" in path else (403, 409)
            assert answer.status_code in wanted, (path, answer.text)
        assert before == server.sizes
        assert ["good", "good"] == [server.status(name) for name in ("own", "acme")]
        theirs = await server.key("acme", "program") | JSON
        answer = await server.http.post(
            "/v1/operators/acme/commands", headers=theirs, content=command
        )
        assert (200, True) == (answer.status_code, answer.json()["recorded"])
        assert ["good", "hold"] == [server.status(name) for name in ("own", "acme")]
        assert before["own"] == server.sizes["own"]

    play(made, story)


def test_operator_answers_its_people_on_its_own_socket(made: Path) -> None:
    """``--home`` of its folder is enough for every command of people."""

    async def story(server: Server) -> None:
        for name, path in (("own", server.path), ("acme", server.path / "operators/acme")):
            running = await running_authority(path)
            assert running is not None
            state = server.homes[name].authority.state
            sheet = await running.look_up(AGENT)
            assert state.agents[AGENT][-1].policy_sha256 == sheet.policy_sha256
            assert roster_sha256(server.homes[name].authority.roster) == roster_sha256(
                running.roster
            )
            await running.close()
        listed = (await server.http.get("/v1/operators")).json()
        assert {"operators": ["acme", "own"]} == listed

    play(made, story)


def test_operator_name_taken_or_odd_is_refused(made: Path) -> None:
    """Nothing is made, and nothing outside ``operators/`` is reached."""
    for name in ("own", "acme", "../x", ".x", ""):
        words = ["operators", "open", name, "--home", str(made), "--policy", str(POLICY)]
        assert 0 != CliRunner().invoke(cli, words).exit_code, name
    assert ("acme",) == further_operators(made)
    assert ["own", "acme"] == [
        line.partition(":")[0] for line in said("operators", "list", "--home", made).splitlines()
    ]


def test_operator_where_the_root_is_elsewhere_is_founded_by_a_ceremony(
    made: Path, tmp_path: Path
) -> None:
    """A request for the ceremony; until that was held the server does not serve the operator."""
    home = tmp_path / "t"
    shutil.copytree(made, home)
    offline = tmp_path / "root"
    offline.mkdir()
    (home / "keys/root.key").replace(offline / "root.key")
    shutil.copy(home / "root.pem", offline / "root.pem")
    printed = said("operators", "open", "beta", "--home", home, "--policy", POLICY)
    assert "ceremony issuing" in printed
    assert ("acme",) == further_operators(home)
    beta = home / "operators/beta"
    said(
        "ceremony", "issuing", "--request", beta / "issuing.csr", "--root", offline,
        "--passphrase-file", home / "keys/passphrase", "--out", tmp_path / "result",
    )  # fmt: skip
    said(
        "found", "--home", beta, "--policy", POLICY, "--root", offline / "root.pem",
        "--issuing", tmp_path / "result/issuing.pem",
    )  # fmt: skip
    assert ("acme", "beta") == further_operators(home)


def test_operator_home_that_calls_itself_otherwise_is_not_served(
    made: Path, tmp_path: Path
) -> None:
    """A folder that was renamed would answer for another operator."""
    home = tmp_path / "t"
    shutil.copytree(made, home)
    (home / "operators/acme").rename(home / "operators/beta")
    with pytest.raises(ConfigurationInvalid, match="another operator"):
        asyncio.run(_started(home))


async def _started(home: Path) -> None:
    await (await ServedAuthority.start(home, served_app)).close()
