# SPDX-License-Identifier: Apache-2.0
"""A CRL in four shards: each certificate has its own, and no other one serves in its place."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters.simulated_entropy import SeededEntropy
from sekisho.core.errors import ConfigurationInvalid, VerificationFailed
from sekisho.core.events import CrlIssued
from sekisho.core.identity.crl import crl_pem, read_crl
from sekisho.core.identity.published import crl_place, placed
from sekisho.core.identity.reading import pem
from sekisho.core.terms import NS
from sekisho.services.authority import Authority
from sekisho_verify import certificates, crls, status
from sekisho_verify.findings import VerificationFailed as Found
from tests.authority_world import NAMES, AuthorityWorld, authority_keys, open_journal
from tests.governed_world import judged

SHARDS = 4
PLACED = placed(NAMES, "http://pki.example.test", "acme", SHARDS)
AGENTS = tuple(f"bot_{number}" for number in range(12))


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


async def sharded() -> AuthorityWorld:
    """Twelve agents, by their serial numbers in four shards."""
    world = await AuthorityWorld.start(names=PLACED)
    for agent in AGENTS:
        await world.certified(agent)
    return world


def shard(world: AuthorityWorld, agent: str) -> int:
    """Where the agent's certificate is."""
    return int(world.authority.certificates(agent)[0].serial_number, 16) % SHARDS


def numbers(world: AuthorityWorld) -> list[tuple[int, int]]:
    """Shard and number of every CRL on record."""
    return [(one.shard, one.number) for one in world.entries() if isinstance(one, CrlIssued)]


def test_shards_certificates_name_their_own_and_changes_renew_no_other() -> None:
    """The place is by the serial number; each shard counts by itself."""

    async def story() -> None:
        world = await sharded()
        for agent in AGENTS:
            place = f"http://pki.example.test/pki/acme/crl/{shard(world, agent)}.crl"
            assert place == crl_place(world.authority.certificates(agent)[0].certificate)
        first = AGENTS[0]
        other = next(one for one in AGENTS if shard(world, one) != shard(world, first))
        await world.order("hold", agent=first)
        await world.order("hold", agent=other)
        await world.order("kill", agent=first)
        here, there = shard(world, first), shard(world, other)
        assert [(here, 1), (there, 1), (here, 2)] == numbers(world)
        for known in range(SHARDS):
            assert await world.authority.crl(known) == await world.authority.public.crl(str(known))
        for unknown in ("4", "00", "-1", "", "٣"):
            assert await world.authority.public.crl(unknown) is None
        assert 3 + SHARDS - len({here, there}) == len(numbers(world))

    play(story())


def test_shards_openssl_takes_the_right_one_and_refuses_another(tmp_path: Path) -> None:
    """Each certificate verifies against its own; another shard's is error 44."""

    async def story() -> None:
        world = await sharded()
        await world.order("hold", agent=AGENTS[3])
        state = world.authority.state
        (tmp_path / "root.pem").write_bytes(pem(state.root_certificate))
        (tmp_path / "issuing.pem").write_bytes(pem(state.issuing_certificate))
        for number in range(SHARDS):
            (tmp_path / f"{number}.crl").write_bytes(crl_pem(await world.authority.crl(number)))
        at = str(world.clock.now_ns() // NS + 1)
        for agent in AGENTS[:5]:
            (tmp_path / "leaf.pem").write_bytes(
                pem(world.authority.certificates(agent)[0].certificate)
            )
            own = shard(world, agent)
            expected = "error 23" if agent == AGENTS[3] else "leaf.pem: OK"
            assert expected in openssl(tmp_path, f"{own}.crl", at)
            assert "error 44" in openssl(tmp_path, f"{(own + 1) % SHARDS}.crl", at)

    play(story())


def openssl(folder: Path, crl: str, at: str) -> str:
    """What openssl says of the certificate with this CRL."""
    done = subprocess.run(
        [
            *("openssl", "verify", "-x509_strict", "-attime", at, "-crl_check", "-CRLfile", crl),
            *("-CAfile", "root.pem", "-untrusted", "issuing.pem", "leaf.pem"),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_shards_another_in_its_place_is_refused_by_our_readers() -> None:
    """Both read the place of the CRL, and want the certificate's."""

    async def story() -> None:
        world = await sharded()
        record = world.authority.certificates(AGENTS[0])[0]
        own, place = shard(world, AGENTS[0]), crl_place(record.certificate)
        issuing = world.authority.state.issuing_certificate
        right, wrong = [await world.authority.crl((own + more) % SHARDS) for more in (0, 1)]
        assert 1 == read_crl(right, issuing, place).number
        with pytest.raises(VerificationFailed, match="is not the one at"):
            read_crl(wrong, issuing, place)
        log = judged(world)
        assert SHARDS == log.shards
        ours = [one for one in log.issued.values() if one.agent == AGENTS[0]]
        assert {f"crl/{own}.pem": own} == crls.paths(log, ours)
        both = [status.revocation_list(crl_pem(der), log.authority) for der in (right, wrong)]
        assert place == status.place_of(certificates.load_der(record.certificate)) == both[0].place
        crls.check(both[0], own, log)
        with pytest.raises(Found, match="not the newest"):
            crls.check(both[1], own, log)

    play(story())


def test_shards_are_fixed_at_the_founding() -> None:
    """Opened with another number of shards it does not open."""

    async def story() -> None:
        world = await AuthorityWorld.start(names=PLACED)
        journal = await open_journal(world.disk.kill(), world.clock)
        for shards in (1, 2, 8):
            other = placed(NAMES, "http://pki.example.test", "acme", shards)
            with pytest.raises(ConfigurationInvalid, match="4 shards"):
                await Authority.open(
                    journal, authority_keys(), world.clock, SeededEntropy(b""), names=other
                )

    play(story())
