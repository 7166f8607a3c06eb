# SPDX-License-Identifier: Apache-2.0
"""The link of gates and authority over real sockets: calls, pushes, cuts, freezes, two gates."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from functools import partial
from pathlib import Path

import pytest

from sekisho.adapters.authority.http_link import HttpLink
from sekisho.core.encoding import canonical, parse_plain, sha256_hex
from sekisho.core.errors import MalformedInput, NotAuthorised, Unavailable
from sekisho.core.terms import format_instant, parse_instant
from sekisho.ports import IncidentReport
from sekisho.services import authoritywire as wire
from sekisho.services.agentgates import ASSIGNED
from sekisho.services.authorityclient import AuthorityClient
from sekisho.services.authoritywire import HistoryChunk
from tests.authority_world import history_of
from tests.embedded_world import AGENT
from tests.integration.link_world import LinkedGate, LinkWorld, until

RISK, COMPLIANCE, OPERATOR = "risk", "compliance", "operator"


def play(story: Coroutine[object, object, None]) -> None:
    """Run it; what hangs fails here."""

    async def bounded() -> None:
        async with asyncio.timeout(25):
            await story

    asyncio.run(bounded())


def seats(world: LinkWorld, role: str) -> str:
    """The seat of a role in the trial's roster."""
    roster = world.served.home.authority.roster
    return next(seat.seat for seat in roster.seats if seat.role == role)


async def two_gates(path: Path) -> tuple[LinkWorld, LinkedGate, LinkedGate]:
    """Two gates of this user; the first has the agent under a lease."""
    world = await LinkWorld.start(path, "gate-1", "gate-2")
    first, second = await world.gate("gate-1"), await world.gate("gate-2")
    await first.client.admission(AGENT)
    await first.ask_lease(world.certificate)
    return world, first, second


def test_link_calls_answer_as_the_authority_itself_does(tmp_path: Path) -> None:
    """Checkpoint, lease, admission, roster, baseline, incident: the same values over HTTP."""

    async def story() -> None:
        world = await LinkWorld.start(tmp_path / "home")
        try:
            gate = await world.gate()
            authority = world.served.home.authority
            assert 0 == await gate.client.last_seen("gate-1")
            admission = await gate.client.admission(AGENT)
            assert authority.admission(AGENT) == admission
            granted = await gate.ask_lease(world.certificate)
            assert {world.certificate} == set(granted.status)
            assert 1 == await gate.client.last_seen("gate-1")
            assert authority.roster == await gate.client.fetch_roster()
            assert None is await gate.client.baseline_lock(AGENT)
            report = IncidentReport(
                origin=gate.origin,
                index=0,
                incident="1" * 32,
                agent=AGENT,
                certificate_sha256=world.certificate,
                incident_kind="hold",
                score="risk",
                factor="size",
                observed="0.900000",
                threshold="0.85",
            )
            await gate.client.report_incident(report)
            await gate.client.report_incident(report)
            assert ["1" * 32] == [one.incident for one in authority.incidents.all()]
        finally:
            await world.close()

    play(story())


def test_link_refusals_come_back_as_what_they_were(tmp_path: Path) -> None:
    """A fork is NotAuthorised, nonsense MalformedInput, another gate's name is not to be had."""

    async def story() -> None:
        world = await LinkWorld.start(tmp_path / "home")
        try:
            gate = await world.gate()
            await gate.ask_lease()
            gate.grow(2)
            with pytest.raises(NotAuthorised, match="fork"):
                await gate.client.lease(gate.request(1, proof=("A" * 43 + "=",)))
            with pytest.raises(MalformedInput, match="nonce"):
                await gate.client.lease(gate.request(1, nonce="x"))
            with pytest.raises(NotAuthorised, match="of gate 'gate-9'"):
                await gate.client.lease(gate.request(1, gate="gate-9"))
            stranger = AuthorityClient(HttpLink(world.address), "gate-9")
            with pytest.raises(NotAuthorised, match="not that of gate 'gate-9'"):
                await stranger.admission(AGENT)
            await stranger.close()
            with pytest.raises(NotAuthorised, match="no active certificate"):
                await gate.client.admission("nobody")
        finally:
            await world.close()

    play(story())


@pytest.mark.parametrize(
    "body", [b"{}", b'{"a":1,"a":1}', b"[" * 200, b'{"commands":[],"more":1}', b"\xff"]
)
def test_link_body_that_is_not_as_specified_is_refused(tmp_path: Path, body: bytes) -> None:
    """Missing, doubled, deep, unknown, no text: 400, and nothing happens."""

    async def story() -> None:
        world = await LinkWorld.start(tmp_path / "home")
        link = HttpLink(world.address)
        try:
            for path in ("/v1/commands", "/v1/gates/gate-1/lease"):
                status, answer = await link.ask("POST", path, body, wait_s=2)
                assert (400, "malformed") == (status, wire.read(answer, wire.LinkFailure).error)
            long = b" " * (wire.BODY_BYTES_MAX + 1)
            status, _ = await link.ask("POST", "/v1/commands", long, wait_s=2)
            assert 400 == status
        finally:
            await link.close()
            await world.close()

    play(story())


def test_push_stops_the_gate_and_its_report_is_in_the_outcome(tmp_path: Path) -> None:
    """Over a command by HTTP: told, stopped, reported, complete."""

    async def story() -> None:
        world = await LinkWorld.start(tmp_path / "home")
        try:
            gate = await world.gate(confirmed=("o-1",))
            gate.listen()
            await gate.ask_lease(world.certificate)
            await until(lambda: world.served.gates.connected() == ("gate-1",))
            await until(lambda: gate.renewals == 1)
            signed = world.sign("hold", seats(world, RISK))
            body = wire.write(wire.SignedCommands(commands=wire.command_texts(signed)))
            link = HttpLink(world.address)
            status, answer = await link.ask("POST", "/v1/commands", body, wait_s=5)
            await link.close()
            found = parse_plain(answer)
            assert (200, True, []) == (status, found["complete"], found["failures"])
            assert ["o-1"] == found["reports"][0]["confirmed"]
            assert ["hold"] == [push.cause for push in gate.heard]
            await world.served.home.authority.command(
                world.sign("release", seats(world, RISK), seats(world, COMPLIANCE))
            )
            await until(lambda: gate.renewals == 2)
            assert 1 == len(gate.heard)
        finally:
            await world.close()

    play(story())


def test_push_during_a_cut_is_reported_at_once_and_arrives_after_it(tmp_path: Path) -> None:
    """The gate is unreached with the end of its lease; on connecting it hears what it missed."""

    async def story() -> None:
        world = await LinkWorld.start(tmp_path / "home")
        try:
            gate = await world.gate()
            gate.listen()
            granted = await gate.ask_lease(world.certificate)
            await until(lambda: bool(world.served.gates.connected()))
            await gate.deaf()
            await until(lambda: not world.served.gates.connected())
            authority = world.served.home.authority
            outcome = await authority.command(world.sign("kill", seats(world, RISK)))
            assert (("gate-1",), False) == (outcome.unreached, outcome.complete)
            end = parse_instant(outcome.lease_ends["gate-1"])
            assert abs(end - authority.log.now() - 15 * 10**9) < 10 * 10**9
            assert [] == gate.heard
            assert granted.status
            gate.listen()
            await until(lambda: len(gate.heard) == 1)
            assert ("revoked", 1) == (gate.heard[0].status, gate.heard[0].epoch)
            lines = world.served.gates._lines["gate-1"]
            await until(lambda: not lines.pending)
            again = await authority.command(world.sign("kill", seats(world, RISK)))
            assert again.complete
        finally:
            await world.close()

    play(story())


def test_push_that_the_gate_did_not_finish_is_told_again_after_a_cut(tmp_path: Path) -> None:
    """An incomplete stop is tried again on the next connection; a complete one is not."""

    async def story() -> None:
        world = await LinkWorld.start(tmp_path / "home")
        try:
            gate = await world.gate(complete=False, unconfirmed=("o-1",))
            gate.listen()
            await gate.ask_lease(world.certificate)
            await until(lambda: bool(world.served.gates.connected()))
            authority = world.served.home.authority
            assert not (await authority.command(world.sign("hold", seats(world, RISK)))).complete
            gate.epoch, gate.answer = 1, {}
            for expected in (2, 2):
                await gate.deaf()
                gate.listen()
                await until(lambda: bool(world.served.gates.connected()))
                await until(partial(gate.heard_so_many, expected))
                await until(lambda: not world.served.gates._lines["gate-1"].pending)
        finally:
            await world.close()

    play(story())


def test_push_of_a_hold_that_was_released_during_the_cut_is_not_told(tmp_path: Path) -> None:
    """What is no longer so would stop an agent that people let go."""

    async def story() -> None:
        world = await LinkWorld.start(tmp_path / "home")
        try:
            gate = await world.gate(complete=False)
            gate.listen()
            await gate.ask_lease(world.certificate)
            await until(lambda: bool(world.served.gates.connected()))
            authority = world.served.home.authority
            await authority.command(world.sign("hold", seats(world, RISK)))
            await gate.deaf()
            await until(lambda: not world.served.gates.connected())
            await authority.command(
                world.sign("release", seats(world, RISK), seats(world, COMPLIANCE))
            )
            gate.listen()
            before = gate.renewals
            await until(lambda: gate.renewals > before)
            assert (1, {}) == (len(gate.heard), world.served.gates._lines["gate-1"].pending)
        finally:
            await world.close()

    play(story())


def test_stream_second_one_ends_the_first(tmp_path: Path) -> None:
    """A gate has one stream; whoever had it before is cut."""

    async def story() -> None:
        world = await LinkWorld.start(tmp_path / "home")
        try:
            gate = await world.gate()
            first = gate.client.events(0)
            assert None is await anext(first)
            second = gate.client.events(0)
            assert None is await anext(second)
            with pytest.raises(Unavailable, match="ended its stream"):
                await anext(first)
            await second.aclose()
        finally:
            await world.close()

    play(story())


def test_authority_that_restarts_is_found_again(tmp_path: Path) -> None:
    """The stream comes back by itself, and what is held is told to the new process's gates."""

    async def story() -> None:
        world = await LinkWorld.start(tmp_path / "home")
        try:
            gate = await world.gate()
            gate.listen()
            await gate.ask_lease(world.certificate)
            await until(lambda: bool(world.served.gates.connected()))
            authority = world.served.home.authority
            assert (await authority.command(world.sign("hold", seats(world, RISK)))).complete
            gate.epoch = 1  # its log shows the hold: it is told again all the same
            await world.served.close()
            await until(lambda: not gate.stream.connected)
            with pytest.raises(Unavailable):
                await gate.ask_lease(world.certificate)
            await world.open()
            await until(lambda: len(gate.heard) == 2)
            assert ("missed", "hold") == (gate.heard[1].cause, gate.heard[1].status)
            granted = await gate.ask_lease(world.certificate)
            assert {world.certificate} == set(granted.status)
        finally:
            await world.close()

    play(story())


def test_authority_that_is_frozen_or_drips_gives_no_lease_in_bounded_time(tmp_path: Path) -> None:
    """Accepted and silent, or a byte at a time: Unavailable after two seconds, the stream cut."""

    async def story() -> None:
        path = tmp_path / "frozen.sock"

        async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                asked = await reader.readuntil(b"\r\n\r\n")
                if b"/lease" in asked:
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
                    for _ in range(100):
                        writer.write(b" ")
                        await asyncio.sleep(0.1)
                elif b"/events" in asked:
                    writer.write(b"HTTP/1.1 200 OK\r\n\r\n: hello\n\n")
                await asyncio.sleep(30)
            finally:
                writer.close()

        server = await asyncio.start_unix_server(drip, str(path))
        gate = LinkedGate(f"unix:{path}")
        gate.grow()
        try:
            with pytest.raises(Unavailable):
                await gate.client.last_seen("gate-1")
            with pytest.raises(Unavailable):
                await gate.client.lease(gate.request(0))
            events = gate.client.events(0)
            assert None is await anext(events)
            with pytest.raises(Unavailable, match="cut"):
                await anext(events)
        finally:
            await gate.close()
            server.close()

    play(story())


async def given(world: LinkWorld, gate: LinkedGate) -> HistoryChunk:
    """The gate hands the agent's history over."""
    held = world.served.home.authority.state.assigned[AGENT]
    _, chunk = history_of(gate, held.moved, agent=AGENT)
    assert chunk.size == (await gate.client.give_history(chunk)).next
    return chunk


def test_move_reaches_the_gate_before_and_frees_the_agent(tmp_path: Path) -> None:
    """It stops what it is told to stop; then, and not before, the other one is answered."""

    async def story() -> None:
        world, first, second = await two_gates(tmp_path / "home")
        try:
            first.listen()
            await until(lambda: bool(world.served.gates.connected()))
            with pytest.raises(NotAuthorised, match="assigned to gate 'gate-1'"):
                await second.client.admission(AGENT)
            signed = world.sign("assign", seats(world, OPERATOR), gate="gate-2")
            await second.ask_lease(world.certificate)
            moving = asyncio.ensure_future(world.served.home.authority.assign(signed))
            await until(lambda: first.heard_so_many(1))
            chunk = await given(world, first)
            outcome = await moving
            assert ("", True) == (outcome.free_at, outcome.complete)
            assert [ASSIGNED] == [push.cause for push in first.heard]
            assert not first.may_sign(world.certificate)
            found = await second.client.admission(AGENT)
            assert ("gate-1", chunk.epoch) == (found.moved_from, found.moved)
            await second.ask_lease(world.certificate)
            assert not second.may_sign(world.certificate)
            piece = await second.client.history(AGENT, 0)
            assert (chunk.data, chunk.size) == (piece.data, piece.size)
            report = second.report(chunk.history_sha256, chunk.epoch, agent=AGENT)
            await second.client.history_taken(report)
            await second.ask_lease(world.certificate)
            assert second.may_sign(world.certificate)
            await first.ask_lease(world.certificate)
            assert {} == first.leases[-1][0].status
        finally:
            await world.close()

    play(story())


def test_move_from_a_gate_that_is_away_is_told_to_it_when_it_comes_back(tmp_path: Path) -> None:
    """Until then the other one waits; its report then frees the agent before the lease's end."""

    async def story() -> None:
        world, first, second = await two_gates(tmp_path / "home")
        try:
            authority = world.served.home.authority
            signed = world.sign("assign", seats(world, OPERATOR), gate="gate-2")
            outcome = await authority.assign(signed)
            assert outcome.free_at > format_instant(authority.log.now())
            with pytest.raises(Unavailable, match="may sign until"):
                await second.client.admission(AGENT)
            assert first.may_sign(world.certificate)
            first.listen()
            await until(lambda: len(first.heard) == 1)
            assert not first.may_sign(world.certificate)
            lines = world.served.gates._lines["gate-1"]
            await until(lambda: not lines.pending)
            await second.client.admission(AGENT)
            await second.ask_lease(world.certificate)
            assert not second.may_sign(world.certificate)
            chunk = await given(world, first)
            report = second.report(chunk.history_sha256, chunk.epoch, agent=AGENT)
            await second.client.history_taken(report)
            await second.ask_lease(world.certificate)
            assert second.may_sign(world.certificate)
        finally:
            await world.close()

    play(story())


def test_served_home_publishes_the_agents_certificates(tmp_path: Path) -> None:
    """Venues read them: PEM files, numbered in the order of issue."""

    async def story() -> None:
        world = await LinkWorld.start(tmp_path / "home")
        try:
            known = world.served.home.authority.state.agents[AGENT][0]
            text = (world.path / "certificates" / f"{AGENT}-1.pem").read_bytes()
            assert text.startswith(b"-----BEGIN CERTIFICATE-----")
            assert sha256_hex(known.certificate) == known.sha256
            assert canonical([AGENT + "-1.pem"]) == canonical(
                sorted(path.name for path in (world.path / "certificates").iterdir())
            )
        finally:
            await world.close()

    play(story())
