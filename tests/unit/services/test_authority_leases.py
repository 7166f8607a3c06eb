# SPDX-License-Identifier: Apache-2.0
"""Leases: to the one gate instance whose log continues what was seen, for a few seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from sekisho.core.encoding import b64, canonical, unb64
from sekisho.core.errors import (
    MalformedInput,
    NotAuthorised,
    StorageFailed,
    Unavailable,
    VerificationFailed,
)
from sekisho.core.events import GateBooted
from sekisho.core.gate.permit import check_signature, load_public_key
from sekisho.core.identity.ocsp import verify_ocsp
from sekisho.core.ledger.merkle import Tree
from sekisho.core.terms import NS, format_instant, parse_instant
from sekisho.services.leasing import CONTEXT, parse_grant
from tests.authority_world import (
    GATE_ORIGIN,
    AuthorityWorld,
    GateDouble,
    authority_keys,
    log_key,
    policy_of,
    signer,
)


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


async def fresh(size: int = 3) -> tuple[AuthorityWorld, GateDouble]:
    """An authority that has certified a gate's log, and the gate."""
    world = await AuthorityWorld.start()
    await world.authority.certify_log(GATE_ORIGIN, log_key(GATE_ORIGIN))
    gate = GateDouble()
    gate.grow(size)
    return world, gate


def booted(world: AuthorityWorld) -> list[GateBooted]:
    return [entry for entry in world.entries() if isinstance(entry, GateBooted)]


def test_lease_is_signed_answers_the_request_and_carries_the_status() -> None:
    """Grant and OCSP responses are what docs/spec/permit.md says."""

    async def story() -> None:
        world, gate = await fresh()
        one = await world.certified("one")
        two = await world.certified("two", risk_controls__lease_s="7")
        await world.order("hold", agent="two")
        unknown = "0" * 64
        digests = (one.certificate_sha256, two.certificate_sha256, unknown)
        granted = await world.lease(gate, *digests)
        terms, signature = parse_grant(granted.grant)
        responder = load_public_key(signer(103).public_key)
        check_signature(responder, CONTEXT + canonical(terms), signature)
        assert (terms.gate, terms.boot, terms.nonce) == ("g1", gate.boot, f"{1:032x}")
        assert (terms.tree_size, terms.root_hash) == (3, b64(gate.tree.root()))
        assert (terms.epoch, terms.duration_s) == (1, 7)
        assert terms.not_good == (two.certificate_sha256,)
        assert set(granted.status) == {one.certificate_sha256, two.certificate_sha256}
        now = world.clock.now_ns()
        assert parse_instant(terms.granted_at) == now
        for issued, expected in ((one, "good"), (two, "hold")):
            found = verify_ocsp(
                unb64(granted.status[issued.certificate_sha256]),
                issued.issuing_certificate,
                issued.certificate,
                now,
            )
            assert found.status.status == expected
            assert found.next_update_ns == -(-(now + 7 * NS) // NS) * NS

    play(story())


def test_lease_first_of_a_boot_is_recorded_with_its_checkpoint() -> None:
    """A boot is an entry before its lease; later leases of it are none."""

    async def story() -> None:
        world, gate = await fresh()
        assert await world.authority.last_seen("g1") == 0
        granted = await world.lease(gate)
        assert parse_grant(granted.grant)[0].duration_s == 15
        (entry,) = booted(world)
        assert (entry.boot, entry.tree_size, entry.root_hash) == (
            gate.boot,
            3,
            b64(gate.tree.root()),
        )
        assert await world.authority.last_seen("g1") == 3
        gate.grow(4)
        await world.lease(gate)
        await world.lease(gate)
        assert (len(booted(world)), await world.authority.last_seen("g1")) == (1, 7)

    play(story())


def test_lease_new_boot_takes_over_and_the_old_one_gets_none() -> None:
    """A restart continues the log; what it replaced is refused, also after a restart of ours."""

    async def story() -> None:
        world, gate = await fresh()
        await world.lease(gate)
        gate.grow(2)
        old, gate.boot = gate.boot, "c" * 32
        await world.lease(gate)
        assert [entry.boot for entry in booted(world)] == [old, gate.boot]
        for authority in (world, await world.again()):
            with pytest.raises(NotAuthorised, match="taken over"):
                await authority.lease(gate, boot=old)

    play(story())


def test_lease_rollback_and_fork_get_none() -> None:
    """A smaller log, another history, a proof that proves nothing: no lease, nothing recorded."""

    async def story() -> None:
        world, gate = await fresh()
        await world.lease(gate)
        gate.grow(3)
        await world.lease(gate)
        size = world.authority.state.size

        async def refused(match: str, double: GateDouble, known: int, **other: Any) -> None:
            for boot in (gate.boot, "d" * 32):
                with pytest.raises(NotAuthorised, match=match):
                    await world.authority.lease(double.request(known, **({"boot": boot} | other)))
            assert world.authority.state.size == size

        restored = GateDouble()
        restored.grow(5)
        await refused("rollback", restored, 5)
        fork = GateDouble()
        fork.grow(6, mark="forked")
        await refused("fork", fork, 6)
        fork.grow(2)
        await refused("fork", fork, 6)
        gate.grow(2)
        await refused("proof begins at 3", gate, 3)
        await refused("fork", gate, 6, proof=())
        await refused("fork", gate, 6, root_hash=b64(Tree().root()))
        await world.lease(gate)

    play(story())


def test_lease_only_for_a_certified_log_and_its_one_gate() -> None:
    """An uncertified log gets none; a gate has one log and a log one gate."""

    async def story() -> None:
        world, gate = await fresh()
        with pytest.raises(NotAuthorised, match="no certified key"):
            await world.authority.lease(gate.request(0, origin="log.example/x"))
        await world.lease(gate)
        with pytest.raises(NotAuthorised, match="belongs"):
            await world.lease(GateDouble("g2"))
        with pytest.raises(NotAuthorised, match="belongs"):
            await world.lease(GateDouble("g1", "log.example/other"))

    play(story())


@pytest.mark.parametrize(
    "other",
    [
        {"gate": "no name"},
        {"boot": "b"},
        {"nonce": "B" * 32},
        {"root_hash": b64(b"short")},
        {"root_hash": "?"},
        {"certificates": ("x",)},
        {"certificates": ("0" * 64,) * 257},
    ],
)
def test_lease_request_that_no_gate_writes_is_refused(other: dict[str, Any]) -> None:
    """Names, boot, nonce, root and digests have their forms."""

    async def story() -> None:
        world, gate = await fresh()
        with pytest.raises(MalformedInput):
            await world.authority.lease(gate.request(0, **other))
        assert booted(world) == []

    play(story())


@pytest.mark.parametrize("operation", ["append", "sync"])
def test_lease_without_durable_boot_is_not_granted(operation: str) -> None:
    """The boot could not be recorded: no lease now, none in this process."""

    async def story() -> None:
        world, gate = await fresh()
        world.disk.fail(operation)
        with pytest.raises(Unavailable, match="no leases"):
            await world.lease(gate)
        with pytest.raises(Unavailable, match="no leases"):
            await world.authority.lease(gate.request(3))

    play(story())


class SlowSigner:
    """A responder key whose signature takes a turn, in which something may happen."""

    def __init__(self) -> None:
        self.inner = signer(103)
        self.uri, self.algorithm = self.inner.uri, self.inner.algorithm
        self.public_key = self.inner.public_key
        self.meanwhile: Any = None

    async def sign(self, message: bytes) -> bytes:
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        return await self.inner.sign(message)

    def sign_blocking(self, message: bytes) -> bytes:
        return self.inner.sign_blocking(message)


async def slow() -> tuple[AuthorityWorld, GateDouble, SlowSigner]:
    responder = SlowSigner()
    world = await AuthorityWorld.start(keys=authority_keys(responder=responder))
    gate = GateDouble()
    gate.grow(3)
    return world, gate, responder


def test_lease_signed_while_the_status_changes_is_made_anew() -> None:
    """No lease leaves with the epoch before a stop that came while it was signed."""

    async def story() -> None:
        world, gate, responder = await slow()
        issued = await world.certified()
        await world.lease(gate, issued.certificate_sha256)

        async def stop() -> None:
            await world.order("hold")

        responder.meanwhile = stop
        terms, _ = parse_grant((await world.lease(gate, issued.certificate_sha256)).grant)
        assert (terms.epoch, terms.not_good) == (1, (issued.certificate_sha256,))

    play(story())


def test_lease_signed_while_another_boot_takes_over_is_not_granted() -> None:
    """Of two instances that ask at once the later boot has it."""

    async def story() -> None:
        world, gate, responder = await slow()
        await world.lease(gate)

        async def take_over() -> None:
            await world.lease(gate, boot="e" * 32)

        responder.meanwhile = take_over
        with pytest.raises(NotAuthorised, match="taken over"):
            await world.lease(gate)

    play(story())


def test_lease_signed_while_the_log_fails_is_not_granted() -> None:
    """A lease leaves only from an authority that can still record a stop."""

    async def story() -> None:
        world, gate, responder = await slow()
        issued = await world.certified()
        await world.lease(gate)

        async def fail() -> None:
            world.disk.fail("append")
            await world.order("hold")

        responder.meanwhile = fail
        with pytest.raises(Unavailable, match="no leases"):
            await world.lease(gate, issued.certificate_sha256)

    play(story())


def test_lease_signed_while_the_log_fails_quietly_is_not_granted() -> None:
    """The same when what failed to be written was no change of status."""

    async def story() -> None:
        world, gate, responder = await slow()
        await world.lease(gate)

        async def fail() -> None:
            world.disk.fail("append")
            with pytest.raises(StorageFailed):
                await world.authority.register_policy(policy_of())

        responder.meanwhile = fail
        with pytest.raises(Unavailable, match="no leases"):
            await world.lease(gate)

    play(story())


def test_lease_waits_for_what_widens_to_be_durable() -> None:
    """While a release is not on disk no lease says that the certificate is good."""

    async def story() -> None:
        world, gate = await fresh()
        issued = await world.certified()
        await world.lease(gate)
        await world.order("hold")
        let_go = asyncio.Event()

        async def hang(point: str) -> None:
            if point.startswith("sync"):
                await let_go.wait()

        world.disk.point = hang
        release = asyncio.ensure_future(world.order("release"))
        await world.clock.play(0)
        asked = asyncio.ensure_future(
            world.authority.lease(gate.request(3, (issued.certificate_sha256,)))
        )
        await world.clock.play(1)
        assert not asked.done()
        let_go.set()
        assert parse_grant((await asked).grant)[0].not_good == ()
        await release

    play(story())


def test_lease_granted_before_counts_until_its_end() -> None:
    """A shorter lease for other agents does not make the earlier one forgotten."""

    async def story() -> None:
        world, gate = await fresh()
        issued = await world.certified(risk_controls__lease_s="30")
        await world.lease(gate, issued.certificate_sha256)
        await world.lease(gate)
        world.clock.advance(29)
        end = format_instant(world.clock.now_ns() + NS)
        assert (await world.order("hold")).lease_ends == {"g1": end}
        world.clock.advance(1)
        assert (await world.order("hold")).lease_ends == {"g1": ""}

    play(story())


def test_lease_whose_status_never_rests_is_not_granted() -> None:
    """When the epoch changes under every attempt the gate is told to ask again."""

    async def story() -> None:
        world, gate, responder = await slow()
        await world.certified()
        await world.lease(gate)

        async def change() -> None:
            await world.order("hold")
            await world.order("release")
            responder.meanwhile = change

        responder.meanwhile = change
        with pytest.raises(Unavailable, match="kept changing"):
            await world.lease(gate)

    play(story())


def test_lease_after_restart_continues_from_the_recorded_boot() -> None:
    """What a restarted authority knows of a gate is its last recorded boot."""

    async def story() -> None:
        world, gate = await fresh()
        await world.lease(gate)
        gate.grow(5)
        await world.lease(gate)
        after = await world.again()
        assert await after.authority.last_seen("g1") == 3
        await after.lease(gate)
        assert await after.authority.last_seen("g1") == 8
        forked = GateDouble()
        forked.grow(9, mark="x")
        with pytest.raises(NotAuthorised, match="fork"):
            await (await world.again()).lease(forked)

    play(story())


def test_lease_never_runs_ahead_of_log_time() -> None:
    """The clock stepped back: the lease is dated by log time, which never falls."""

    async def story() -> None:
        world, gate = await fresh()
        await world.lease(gate)
        before = world.authority.state.at
        world.clock.step_wall(-3600)
        terms, _ = parse_grant((await world.lease(gate, boot="f" * 32)).grant)
        assert parse_instant(terms.granted_at) == before
        with pytest.raises(VerificationFailed):
            await world.authority.ocsp("0" * 64, next_update_ns=0)

    play(story())
