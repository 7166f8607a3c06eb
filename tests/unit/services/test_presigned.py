# SPDX-License-Identifier: Apache-2.0
"""An authority whose keys take their time: nothing without a signature, no stop waits for one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from sekisho.adapters.signers.software import SoftwareSigner
from sekisho.core.errors import NotAuthorised, Unavailable
from sekisho.core.events import CertificateIssued, CrlIssued
from sekisho.core.identity.crl import read_crl
from sekisho.core.terms import NS
from sekisho.services.signing import SIGN_S
from tests.authority_world import (
    AGENT,
    AuthorityWorld,
    GateDouble,
    authority_keys,
    heard_by,
    p256,
    policy_of,
)


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


class SlowSigner(SoftwareSigner):
    """A key that signs when it is let; once ``founded``, it signs nothing at once."""

    def __init__(self, number: int) -> None:
        super().__init__(f"pkcs11:object={number}", p256(number))
        self.let = asyncio.Event()
        self.let.set()
        self.waiting = 0
        self.founded = False

    async def sign(self, message: bytes) -> bytes:
        self.waiting += 1
        try:
            await self.let.wait()
        finally:
            self.waiting -= 1
        return super().sign_blocking(message)

    def sign_blocking(self, message: bytes) -> bytes:
        assert not self.founded, "signed in the loop"
        return super().sign_blocking(message)


async def distant() -> tuple[AuthorityWorld, SlowSigner, SlowSigner]:
    """An authority with both keys elsewhere, and one certified agent."""
    issuing, responder = SlowSigner(102), SlowSigner(103)
    keys = authority_keys(issuing=issuing, responder=responder, distant=True)
    world = await AuthorityWorld.start(keys=keys)
    issuing.founded = responder.founded = True
    return world, issuing, responder


def issued(world: AuthorityWorld) -> int:
    """How many certificates are on record."""
    return sum(isinstance(one, CertificateIssued) for one in world.entries())


async def turns() -> None:
    """Let everything that can go on."""
    for _ in range(30):
        await asyncio.sleep(0)


def test_distant_keys_certificate_status_crl_and_lease_are_as_ever() -> None:
    """Everything that an authority signs, by awaited signatures alone."""

    async def story() -> None:
        world, _, _ = await distant()
        one = await world.certified()
        assert "good" == await world.status(one)
        granted = await world.lease(GateDouble(), one.certificate_sha256)
        assert {one.certificate_sha256} == set(granted.status)
        await world.order("hold")
        assert "hold" == await world.status(one)
        crl = read_crl(await world.authority.crl(), one.issuing_certificate)
        assert [int(one.serial_number, 16)] == list(crl.listed)

    play(story())


def test_distant_key_fifty_issues_at_once_are_one() -> None:
    """Each decides before the signature and judges again after it: one is recorded."""

    async def story() -> None:
        world, issuing, _ = await distant()
        policy = policy_of()
        await world.approve(policy)
        issuing.let.clear()
        asked = [asyncio.ensure_future(world.issue(policy)) for _ in range(50)]
        await turns()
        assert (50, 0) == (issuing.waiting, issued(world))
        issuing.let.set()
        given = await asyncio.gather(*asked, return_exceptions=True)
        assert 49 == sum(isinstance(one, NotAuthorised) for one in given)
        assert 1 == issued(world)

    play(story())


def test_distant_key_kill_while_it_signs_is_told_at_once_and_nothing_is_issued() -> None:
    """The stop does not wait for the key; the signature that comes later is thrown away."""

    async def story() -> None:
        world, issuing, _ = await distant()
        policy = policy_of(governance__renewal_overlap_s="60")
        await world.approve(policy)
        await world.issue(policy)
        heard = heard_by(world)
        issuing.let.clear()
        renewing = asyncio.ensure_future(world.issue(policy))
        await turns()
        killing = asyncio.ensure_future(world.order("kill"))
        await turns()
        await world.clock.play(0.1)
        assert ["revoked"] == [push.status for push in heard.heard]
        assert not renewing.done()
        issuing.let.set()
        with pytest.raises(NotAuthorised, match="killed after"):
            await renewing
        await killing
        assert (1, "revoked") == (issued(world), world.authority.certificates(AGENT)[0].status)

    play(story())


def test_distant_key_without_answer_grants_nothing() -> None:
    """After the bound: no certificate, no CRL, no response, no lease; and nothing is on record."""

    async def story() -> None:
        world, issuing, responder = await distant()
        one = await world.certified()
        policy = policy_of("other")
        await world.approve(policy)
        gate = GateDouble()
        await world.lease(gate, one.certificate_sha256)
        issuing.let.clear()
        responder.let.clear()
        now = world.clock.now_ns()
        asked = [
            world.issue(policy),
            world.authority.crl(),
            world.authority.ocsp(one.certificate_sha256, next_update_ns=now + 15 * NS),
            world.lease(gate, one.certificate_sha256),
        ]
        waiting = [asyncio.ensure_future(work) for work in asked]
        await turns()
        await world.clock.play(SIGN_S)
        await turns()
        assert all(isinstance(work.exception(), Unavailable) for work in waiting)
        assert (1, False) == (
            issued(world),
            any(isinstance(entry, CrlIssued) for entry in world.entries()),
        )

    play(story())


def test_distant_responder_hold_while_it_signs_is_what_it_says() -> None:
    """What was good when asked and is held when signed is answered as held."""

    async def story() -> None:
        world, _, responder = await distant()
        one = await world.certified()
        responder.let.clear()
        asked = asyncio.ensure_future(world.status(one))
        await turns()
        await world.order("hold")
        assert not asked.done()
        responder.let.set()
        assert "hold" == await asked

    play(story())


def test_distant_key_two_crls_at_once_are_one_number() -> None:
    """Whoever comes second gets what the first recorded."""

    async def story() -> None:
        world, issuing, _ = await distant()
        await world.certified()
        issuing.let.clear()
        asked = [asyncio.ensure_future(world.authority.crl()) for _ in range(5)]
        await turns()
        issuing.let.set()
        assert 1 == len(set(await asyncio.gather(*asked)))
        numbers = [one.number for one in world.entries() if isinstance(one, CrlIssued)]
        assert [1] == numbers

    play(story())
