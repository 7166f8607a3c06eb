# SPDX-License-Identifier: Apache-2.0
"""Enrolling a gate: what is in its folder, and what a refusal leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from sekisho.adapters.rates.static import StaticRates
from sekisho.adapters.signers import software
from sekisho.compose import VENUE_CREDENTIAL, Home, offline_gate, open_gate
from sekisho.compose.enrolling import Enrolled, enroll_gate, gate_of_origin, log_origin
from sekisho.compose.gate_config import read_gate_config
from sekisho.compose.paper_config import read_paper_config
from sekisho.core.encoding import sha256_hex
from sekisho.core.errors import ConfigurationInvalid, MalformedInput, NotAuthorised, OutcomeUnknown
from sekisho.ports import Venue
from tests.embedded_world import AGENT, policy_of, prepared, venue_of

T = TypeVar("T")
TWO = policy_of(reference_rates={"sources": ["ecb", "desk"]})


def within(path: Path, work: Callable[[Home], Awaitable[T]]) -> T:
    """Do something with a home that has a certified agent with two rate sources."""
    known = path.exists()

    async def opened() -> T:
        if not known:
            await prepared(path, TWO)
        home = await Home.open(path)
        try:
            return await work(home)
        finally:
            await home.close()

    return asyncio.run(opened())


def session(home: Home, rates: StaticRates) -> Venue:
    """The home's connection to a paper venue."""
    return venue_of(home, home.around.clock, rates).session(VENUE_CREDENTIAL)


def enrolled(home: Path, folder: Path, *agents: str, paper: bool = False) -> Enrolled:
    """A gate named as its folder."""
    return within(home, lambda it: enroll_gate(it, folder.name, folder, agents, paper=paper))


def test_paper_gate_has_venue_and_each_rate_source_and_nothing_others_can_read(
    tmp_path: Path,
) -> None:
    """What is written is accepted as it is: one venue, the policies' sources, one credential."""
    made = enrolled(tmp_path / "home", tmp_path / "gate-a", AGENT, paper=True)
    located = read_gate_config(made.config)
    config = located.config
    assert [("PAPER", "paper")] == [(one.name, one.kind) for one in config.venues]
    assert ["desk", "ecb"] == [one.source for one in config.rates]
    socket = (tmp_path / "home/paper/venue.sock").resolve()
    addresses = {one.address for one in config.venues} | {one.address for one in config.rates}
    assert {f"unix:{socket}"} == {
        f"unix:{Path(located.address(one).removeprefix('unix:')).resolve()}" for one in addresses
    }
    token = located.secret("keys/venue-PAPER")
    assert {sha256_hex(token): "gate-a"} == credentials_of(tmp_path / "home")
    (agent,) = config.agents
    shown = made.tokens[AGENT].read_text("ascii").strip()
    assert sha256_hex(shown.encode("ascii")) == agent.token_sha256
    secret = [path for path in (tmp_path / "gate-a/keys").rglob("*") if path.is_file()]
    assert {0o600} == {path.stat().st_mode & 0o777 for path in secret}
    assert shown not in made.config.read_text("utf-8")


def credentials_of(home: Path) -> dict[str, str]:
    """Who may ask at the home's paper venue: digest and session."""
    return read_paper_config(home / "paper/venue.toml").credentials()


def test_each_paper_gate_gets_a_credential_of_its_own(tmp_path: Path) -> None:
    """The second gate's is added to the first one's, whole and for nobody else to read."""
    home = tmp_path / "home"
    tokens = {}
    for name in ("gate-a", "gate-b"):
        made = enrolled(home, tmp_path / name, paper=True)
        tokens[name] = (made.config.parent / "keys/venue-PAPER").read_bytes().strip()
    found = credentials_of(home)
    assert {sha256_hex(token): name for name, token in tokens.items()} == found
    assert 2 == len(found)
    assert 0o600 == (home / "paper/credentials").stat().st_mode & 0o777


def test_line_of_a_credential_that_was_torn_is_ended_before_the_next(tmp_path: Path) -> None:
    """A file that was written by hand without its last end of line keeps both credentials."""
    home = tmp_path / "home"
    enrolled(home, tmp_path / "gate-a", paper=True)
    path = home / "paper/credentials"
    path.write_text(path.read_text("ascii").rstrip("\n"), encoding="ascii")
    enrolled(home, tmp_path / "gate-b", paper=True)
    assert ["gate-a", "gate-b"] == sorted(credentials_of(home).values())


def test_gate_without_agent_or_venue_says_in_its_file_what_to_add(tmp_path: Path) -> None:
    """The file is refused for the missing agent alone, and shows the tables to write."""
    made = enrolled(tmp_path / "home", tmp_path / "gate-a")
    with pytest.raises(ConfigurationInvalid, match="agents: at least one is wanted"):
        read_gate_config(made.config)
    text = made.config.read_text("utf-8")
    assert all(f"# [[{name}]]" in text for name in ("agents", "rates", "venues"))
    whole = text.replace("# uid", "uid").replace("1234", "54321").replace("NAME", "one")
    for line in ("[[agents]]", "name =", "token_sha256 ="):
        whole = whole.replace(f"# {line}", line, 1)
    made.config.write_text(whole.replace("DIGEST", "ab" * 32), encoding="utf-8")
    assert ["one"] == [one.name for one in read_gate_config(made.config).config.agents]


def test_agent_of_another_gate_is_named(tmp_path: Path) -> None:
    """Who enrolls is told that an operator has to move the agent."""
    home = tmp_path / "home"

    async def claim(it: Home) -> None:
        await it.authority.admission_for("gate-1", AGENT)

    within(home, claim)
    assert {AGENT: "gate-1"} == enrolled(home, tmp_path / "gate-a", AGENT).elsewhere
    assert {} == enrolled(home, tmp_path / "gate-b").elsewhere


def test_refusal_leaves_no_folder(tmp_path: Path) -> None:
    """A name that is taken by another key, no name, an agent that nobody certified."""
    home = tmp_path / "home"
    enrolled(home, tmp_path / "gate-a")
    twice = tmp_path / "twice"
    with pytest.raises(NotAuthorised, match="another key"):
        within(home, lambda it: enroll_gate(it, "gate-a", twice, ()))
    with pytest.raises(MalformedInput, match="not a name"):
        within(home, lambda it: enroll_gate(it, "no name", twice, ()))
    with pytest.raises(ConfigurationInvalid, match="no key of this agent"):
        enrolled(home, tmp_path / "gate-b", "other")
    software.generate(home / "keys" / "agents" / "other-1.key", b"x")
    with pytest.raises(NotAuthorised, match="no certificate"):
        enrolled(home, tmp_path / "gate-b", "other")
    assert not twice.exists()
    assert not (tmp_path / "gate-b").exists()


def test_certification_without_answer_keeps_the_key_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Perhaps the key is certified: its folder stays, without a configuration."""
    folder = tmp_path / "gate-a"

    async def unanswered(home: Home) -> None:
        async def nothing(_origin: str, _key: bytes) -> None:
            raise OutcomeUnknown("no answer")

        monkeypatch.setattr(home, "certify_log", nothing)
        await enroll_gate(home, "gate-a", folder, ())

    with pytest.raises(OutcomeUnknown) as caught:
        within(tmp_path / "home", unanswered)
    assert f"delete {folder}" in caught.value.do
    assert (folder / "keys" / "gate-log.key").is_file()
    assert not (folder / "gate.toml").exists()


def test_gate_of_the_home_takes_free_agents_when_it_opens_to_trade(tmp_path: Path) -> None:
    """To stop or to export claims nobody; to trade claims whom no gate has."""

    async def look(home: Home) -> list[str]:
        return [*(await offline_gate(home)).log.state.agents, *home.authority.state.assigned]

    async def trade(home: Home) -> list[str]:
        rates = StaticRates(home.around.clock)
        gate = await open_gate(home, rates, {"PAPER": session(home, rates)})
        return [home.authority.state.assigned[AGENT].gate, *gate.log.state.agents]

    assert [] == within(tmp_path / "home", look)
    assert ["gate-1", AGENT] == within(tmp_path / "home", trade)


def test_gate_of_the_home_leaves_agents_of_other_gates_alone(tmp_path: Path) -> None:
    """An agent that another gate has is not admitted, and opening does not fail for it."""

    async def story(home: Home) -> list[str]:
        await home.authority.admission_for("gate-a", AGENT)
        rates = StaticRates(home.around.clock)
        gate = await open_gate(home, rates, {"PAPER": session(home, rates)})
        return [home.authority.state.assigned[AGENT].gate, *gate.log.state.agents]

    assert ["gate-a"] == within(tmp_path / "home", story)


def test_origins_name_their_gates() -> None:
    """Only names that enrolling makes are read back; nothing else is a gate."""
    assert "gate-2" == gate_of_origin(log_origin("gate-2"))
    for other in (
        "gate-2",
        "log.example/gate-2",
        ".sekisho.invalid/log",
        "a b.sekisho.invalid/log",
    ):
        assert "" == gate_of_origin(other), other
