# SPDX-License-Identifier: Apache-2.0
"""Certificates asked for over the control plane (docs/spec/authority.md section 1)."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.adapters.simulated_disk import SimulatedDisk
from sekisho.adapters.stores.sqlite import SqliteStore
from sekisho.core.encoding import b64, canonical, sha256_hex, unb64
from sekisho.core.errors import StorageFailed
from sekisho.core.governance.document import Registration
from sekisho.core.identity.chain import verify_chain
from sekisho.core.identity.reading import parse_agent_certificate
from sekisho.services.registercsv import csv_line
from sekisho.services.storejournal import StoreJournal
from tests import ledger_doubles
from tests.authority_world import AGENT, ORIGIN, START, AuthorityWorld, p256, policy_of
from tests.certificate_requests import request_of, wanted
from tests.control_world import ControlWorld, HostedDouble
from tests.unit.core.governance import samples

AT = "/v1/operators/acme"
URL = f"{AT}/certificates"


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


async def approved(world: ControlWorld, agent: str = AGENT, name: str = "acme") -> Registration:
    """A policy of an operator that may be issued under."""
    registration = policy_of(agent)
    await world.operators[name].take(registration)
    await world.operators[name].world.approve(registration)
    return registration


async def ask(world: ControlWorld, http: httpx2.AsyncClient, body: Any) -> httpx2.Response:
    """As the issuing officer, under a key of its own."""
    headers = await world.bearer("issuer") | world.fresh() | {"content-type": "application/json"}
    return await http.post(URL, headers=headers, content=canonical(body))


def test_certificate_of_a_request_says_what_the_policy_says() -> None:
    """The key is the request's; everything else comes from policy and authority."""

    async def story() -> None:
        world = await ControlWorld.start()
        registration = await approved(world)
        async with world.client() as http:
            answer = await ask(world, http, wanted(registration, 77))
            assert 201 == answer.status_code, answer.text
            sheet = answer.json()
            leaf, issuing, root = (unb64(sheet[one]) for one in ("certificate", "issuing", "root"))
            verify_chain(leaf, issuing, root, world.clock.now_ns())
            found = parse_agent_certificate(leaf)
            expected = (AGENT, registration.sha256, samples.public_bytes(p256(77)))
            assert expected == (found.agent, found.policy_sha256, found.public_key)
            digest = sha256_hex(leaf)
            headers = await world.bearer("auditor")
            shown = await http.get(f"{URL}/{digest}", headers=headers)
            assert sheet == shown.json()

    play(story())


def test_certificate_fifty_at_once_are_one(tmp_path: Path) -> None:
    """Of fifty requests with fifty keys at once, one succeeds: in memory, and in a database."""

    async def at_once(world: ControlWorld) -> list[int]:
        registration = await approved(world)
        async with world.client() as http:
            asking = [ask(world, http, wanted(registration, 100 + one)) for one in range(50)]
            return sorted(answer.status_code for answer in await asyncio.gather(*asking))

    async def story() -> None:
        expected = [201] + [403] * 49
        world = await ControlWorld.start()
        assert expected == await at_once(world)
        store = await SqliteStore.open(tmp_path / "authority.db")
        try:
            clock = SteppedClock(START)
            journal = await StoreJournal.open_in(
                store,
                SimulatedDisk(),
                origin=ORIGIN,
                signer=ledger_doubles.SoftwareSigner(7),
                clock=clock,
            )
            await journal.begin_writing("writer", "")
            authority = await AuthorityWorld.start(clock=clock, journal=journal)
            world = ControlWorld(clock, {"acme": HostedDouble(authority)})
            assert expected == await at_once(world)
            assert 1 == len(authority.authority.state.certificates)
        finally:
            await store.close()

    play(story())


@pytest.mark.parametrize(
    ("other", "status"),
    [
        ({"request": ""}, 400),
        ({"proof": ""}, 403),
        ({"custody": True}, 400),
        ({"request": None, "proof": None}, 400),
        ({"request": None}, 400),
        ({"request": None, "proof": None, "custody": False}, 400),
        ({"request": b64(b"nothing")}, 400),
        ({"request": b64(bytes(9_000))}, 400),
        ({"request": "not base64"}, 400),
        ({"request": b64(request_of(ec.derive_private_key(5, ec.SECP384R1())))}, 400),
        ({"request": b64(request_of(p256(77), algorithm=hashes.SHA512()))}, 400),
        ({"request": b64(request_of(ed25519.Ed25519PrivateKey.generate(), algorithm=None))}, 400),
        ({"request": b64(request_of(p256(77), "bot-2"))}, 403),
        ({"request": b64(request_of(p256(77), uri="https://x.example/agents/L/bot-2"))}, 403),
        ({"request": b64(request_of(p256(78)))}, 403),
        ({"request": b64(request_of(p256(77))[:-1] + b"\0")}, 403),
        ({"issuer_seat": "other"}, 403),
        ({"operator_seat": "issuing_officer"}, 403),
        ({"agent": "bot-2"}, 403),
        ({"policy_sha256": "0" * 64}, 403),
        ({"more": 1}, 400),
    ],
)
def test_certificate_request_that_does_not_hold_is_refused(
    other: dict[str, Any], status: int
) -> None:
    """Whatever is wrong, nothing is issued, and the same key may be certified afterwards."""

    async def story() -> None:
        world = await ControlWorld.start()
        registration = await approved(world)
        async with world.client() as http:
            body = {
                name: value
                for name, value in (wanted(registration, 77) | other).items()
                if value is not None
            }
            answer = await ask(world, http, body)
            assert status == answer.status_code, answer.text
            assert {} == world.operators["acme"].world.authority.state.certificates
            answer = await ask(world, http, wanted(registration, 77))
            assert 201 == answer.status_code, answer.text

    play(story())


@pytest.mark.parametrize(
    "request_",
    [
        request_of(p256(77), ""),
        request_of(p256(77), uri=f"https://x.example/agents/L/{AGENT}"),
    ],
)
def test_certificate_request_that_names_the_agent_or_nobody_is_taken(request_: bytes) -> None:
    """A subject is not needed; one that agrees does no harm."""

    async def story() -> None:
        world = await ControlWorld.start()
        registration = await approved(world)
        async with world.client() as http:
            body = wanted(registration, 77, request=b64(request_))
            assert 201 == (await ask(world, http, body)).status_code

    play(story())


def test_certificate_is_issued_in_the_name_of_the_caller_alone() -> None:
    """Whose key it is, that seat is the issuer on record."""

    async def story() -> None:
        world = await ControlWorld.start()
        registration = await approved(world)
        async with world.client() as http:
            answer = await ask(world, http, wanted(registration, 77, issuer_seat="gate_runner"))
            assert 403 == answer.status_code
            assert "in its own name alone" in answer.json()["detail"]

    play(story())


def test_certificate_request_that_is_too_long_is_refused() -> None:
    """A lawful request may be as long as it likes up to the bound."""

    async def story() -> None:
        world = await ControlWorld.start()
        registration = await approved(world)
        async with world.client() as http:
            for size, expected in ((9_000, 400), (7_000, 201)):
                long = request_of(p256(77), uri=f"https://{'x' * size}/agents/L/{AGENT}")
                answer = await ask(world, http, wanted(registration, 77, request=b64(long)))
                assert expected == answer.status_code

    play(story())


def test_certificate_proof_for_another_policy_is_refused() -> None:
    """A request and a proof that were caught do not serve for what the agent did not ask."""

    async def story() -> None:
        world = await ControlWorld.start()
        registration = await approved(world)
        newer = policy_of(AGENT, version=4)
        await world.operators["acme"].take(newer)
        await world.operators["acme"].world.approve(newer)
        async with world.client() as http:
            caught = wanted(registration, 77, policy_sha256=newer.sha256)
            answer = await ask(world, http, caught)
            assert 403 == answer.status_code
            assert "signature" in answer.json()["detail"]

    play(story())


def test_certificate_the_same_request_again_is_the_same_certificate() -> None:
    """Under one key a lost answer comes again; under another there is an active certificate."""

    async def story() -> None:
        world = await ControlWorld.start()
        registration = await approved(world)
        kind = {"content-type": "application/json"}
        headers = await world.bearer("issuer") | world.fresh() | kind
        async with world.client() as http:
            body = canonical(wanted(registration, 77))
            first = await http.post(URL, headers=headers, content=body)
            again = await http.post(URL, headers=headers, content=body)
            assert (201, first.content) == (again.status_code, again.content)
            assert 403 == (await ask(world, http, wanted(registration, 78))).status_code

    play(story())


# -- the register as a file ----------------------------------------------------------------------


def test_register_csv_is_of_one_size_and_whole() -> None:
    """Header fields and each line name the size and the root hash; a change after it is not in."""

    async def story() -> None:
        world = await ControlWorld.start()
        authority = world.operators["acme"].world
        first = await authority.certified()
        for number in range(3):
            await authority.certified(f"bot-{number}")
        await authority.order("hold")
        journal = authority.authority.log.journal
        size, root = journal.size, journal.root().hex()
        headers = await world.bearer("auditor")
        async with world.client() as http:
            answer = await http.get(f"{AT}/register.csv", headers=headers)
        assert 200 == answer.status_code
        assert "text/csv" in answer.headers["content-type"]
        said = answer.headers["sekisho-log-size"], answer.headers["sekisho-root-hash"]
        assert (str(size), root) == said
        assert answer.text.endswith("\r\n")
        assert "\n" not in answer.text.replace("\r\n", "")
        rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
        assert [AGENT, "bot-0", "bot-1", "bot-2"] == [one["agent"] for one in rows]
        assert ["hold", "good", "good", "good"] == [one["status"] for one in rows]
        assert first.certificate_sha256 == rows[0]["certificate_sha256"]
        assert {(str(size), root)} == {(one["log_size"], one["root_hash"]) for one in rows}

    play(story())


def test_register_csv_that_is_not_durable_is_not_shown() -> None:
    """What the disk may have lost is in no export."""

    async def story() -> None:
        world = await ControlWorld.start()
        authority = world.operators["acme"].world
        await authority.certified()
        authority.authority.log.journal.condemn(StorageFailed("the disk is gone"))
        headers = await world.bearer("auditor")
        async with world.client() as http:
            answer = await http.get(f"{AT}/register.csv", headers=headers)
            assert 503 == answer.status_code

    play(story())


def test_register_csv_is_a_copy_of_one_moment() -> None:
    """What is revoked while the file is sent is not in it: the size says so."""

    async def story() -> None:
        world = await ControlWorld.start()
        authority = world.operators["acme"].world
        await authority.certified()
        sheet = await world.operators["acme"].desk.register()
        await authority.order("revoke")
        text = b"".join(sheet.parts()).decode()
        assert ",good," in text
        assert ",revoked," not in text
        assert sheet.size < authority.authority.log.journal.size

    play(story())


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("plain", "plain"),
        ("", ""),
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@a", "'@a"),
        ("\ta", "'\ta"),
        ("\ra", '"\'\ra"'),
        ('=HYPERLINK("x")', '"\'=HYPERLINK(""x"")"'),
        ("a,b", '"a,b"'),
        ("a\nb", '"a\nb"'),
        ('a"b', '"a""b"'),
        ("a=b", "a=b"),
    ],
)
def test_register_csv_field_is_never_a_formula(field: str, expected: str) -> None:
    """Quotes as in RFC 4180; what a spreadsheet would compute has an apostrophe in front."""
    assert f"x,{expected}\r\n".encode() == csv_line(("x", field))
