# SPDX-License-Identifier: Apache-2.0
"""Commands whose steps fail or hang: what narrows goes on, what widens does not, nothing hides."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from sekisho.core.errors import (
    OutcomeUnknown,
    StorageFailed,
    Unavailable,
)
from sekisho.core.identity.crl import read_crl
from sekisho.services.announcing import ANSWER_WAIT_S
from sekisho.services.certification import IssuedCertificate
from sekisho.services.status import KillReport
from sekisho.services.statusacts import DURABLE_WAIT_S
from tests.authority_world import (
    AGENT,
    AuthorityWorld,
    Listener,
    authority_keys,
    heard_by,
    policy_of,
    signer,
)


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


async def listed(world: AuthorityWorld, issued: IssuedCertificate) -> str:
    """What a stranger reads of this certificate in the CRL."""
    crl = read_crl(await world.authority.crl(), issued.issuing_certificate)
    status = crl.listed.get(int(issued.serial_number, 16))
    return "good" if status is None else status.status


class Hang:
    """Keeps the disk from syncing until it is let go."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()

    async def __call__(self, point: str) -> None:
        if point.startswith("sync") and point.endswith("before"):
            await self.gate.wait()


def test_stop_listener_that_fails_is_named_and_keeps_nobody_waiting() -> None:
    """One raises, one says nothing, one hangs: the fourth stops, and success is not claimed."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        issued = await world.certified()

        async def raises(_: object) -> None:
            raise Unavailable("gone")

        async def says_nothing(_: object) -> None:
            return None

        never = asyncio.Event()
        hangs = Listener("g3")
        hangs.before = never.wait
        for listener in (raises, says_nothing, hangs):
            world.authority.on_status(listener)
        good = heard_by(world)
        asked = asyncio.ensure_future(world.order("kill"))
        await world.clock.play(0)
        assert len(good.heard) == 1
        assert not asked.done()
        await world.clock.play(ANSWER_WAIT_S)
        report = await asked
        assert [text.split(":")[0][:30] for text in report.failures] == [
            "listener 0 failed",
            "listener 1 stopped nothing",
            "listener 2 did not answer with",
        ]
        assert (report.complete, [one.gate for one in report.reports]) == (False, ["g1"])
        assert await world.status(issued) == "revoked"
        never.set()

    play(story())


@pytest.mark.parametrize("kind", ["hold", "revoke", "kill"])
@pytest.mark.parametrize("operation", ["append", "sync"])
def test_stop_with_failing_log_is_pushed_and_says_so(kind: str, operation: str) -> None:
    """The log fails in the act: gates and OCSP stop all the same; nothing claims success."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        issued = await world.certified()
        listener = heard_by(world)
        world.disk.fail(operation)
        outcome = await world.order(kind)
        assert (outcome.recorded, outcome.complete, outcome.crl_number) == (False, False, None)
        assert any(text.startswith("record: ") for text in outcome.failures)
        assert any(text.startswith("crl: ") for text in outcome.failures)
        (push,) = listener.heard
        assert (push.recorded, push.status != "good") == (False, True)
        assert await world.status(issued) == push.status
        with pytest.raises(StorageFailed):
            await world.authority.crl()

    play(story())


@pytest.mark.parametrize("kind", ["hold", "revoke", "kill"])
def test_stop_after_the_log_failed_still_narrows(kind: str) -> None:
    """The log had failed before: no entry at all, and the stop holds in this process."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        issued = await world.certified()
        other = await world.certified("other")
        listener = heard_by(world)
        world.disk.fail("append")
        await world.order("hold", agent="other")
        outcome = await world.order(kind)
        assert (outcome.recorded, outcome.complete) == (False, False)
        assert outcome.changed == (issued.serial_number,)
        assert listener.heard[-1].certificate_sha256 == issued.certificate_sha256
        expected = {"hold": "hold"}.get(kind, "revoked")
        assert [await world.status(one) for one in (issued, other)] == [expected, "hold"]
        if isinstance(outcome, KillReport):
            assert outcome.revoked == (issued.serial_number,)
        outcome = await world.order("kill", agent=AGENT)
        assert await world.status(issued) == "revoked"
        outcome = await world.order("hold", agent=AGENT)
        assert await world.status(issued) == "revoked"

    play(story())


def test_release_with_failing_log_releases_nothing() -> None:
    """What widens happens only when it is durable; nobody is told of it before."""

    async def story() -> None:
        for operation, error in (("append", StorageFailed), ("sync", OutcomeUnknown)):
            world = await AuthorityWorld.start()
            issued = await world.certified()
            await world.order("hold")
            listener = heard_by(world)
            world.disk.fail(operation)
            with pytest.raises(error):
                await world.order("release")
            assert listener.heard == []
            with pytest.raises(StorageFailed):
                await world.status(issued)
            with pytest.raises(StorageFailed):
                await world.order("release", epoch=1)

    play(story())


def test_stop_after_the_log_failed_takes_no_old_crl_for_a_new_one() -> None:
    """A CRL from before the failure does not show the stop, and is not counted as made for it."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        await world.certified()
        await world.authority.crl()
        world.disk.fail("append")
        with pytest.raises(StorageFailed):
            await world.authority.register_policy(policy_of("other"))
        outcome = await world.order("hold")
        assert (outcome.recorded, outcome.crl_number) == (False, None)
        assert outcome.failures[1].startswith("crl: ")

    play(story())


def test_release_that_cannot_be_sequenced_is_no_release(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever keeps the entry out of the log keeps the certificate on hold."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        issued = await world.certified()
        await world.order("hold")
        listener = heard_by(world)

        def fails(entry: object) -> int:
            raise StorageFailed("no room")

        monkeypatch.setattr(world.authority.log, "record", fails)
        with pytest.raises(StorageFailed, match="no room"):
            await world.order("release")
        assert (listener.heard, await world.status(issued)) == ([], "hold")

    play(story())


def test_release_is_told_to_nobody_before_it_is_durable() -> None:
    """While the disk is slow, no status response says good and no listener hears of it."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        issued = await world.certified()
        await world.order("hold")
        listener = heard_by(world)
        world.disk.point = hang = Hang()
        asked = asyncio.ensure_future(world.order("release"))
        await world.clock.play(0)
        status = asyncio.ensure_future(world.status(issued))
        await world.clock.play(1)
        assert (listener.heard, asked.done(), status.done()) == ([], False, False)
        hang.gate.set()
        assert (await asked).complete
        assert await status == "good"

    play(story())


def test_stop_with_slow_disk_is_pushed_within_the_limit() -> None:
    """Durable first, but not at the price of the stop; the record is confirmed afterwards."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        issued = await world.certified()
        listener = heard_by(world)
        world.disk.point = hang = Hang()
        asked = asyncio.ensure_future(world.order("kill"))
        await world.clock.play(DURABLE_WAIT_S / 2)
        assert listener.heard == []
        assert await world.status(issued) == "revoked"
        await world.clock.play(DURABLE_WAIT_S)
        assert [push.recorded for push in listener.heard] == [False]
        hang.gate.set()
        report = await asked
        assert (report.recorded, report.complete, report.crl_number) == (True, True, 1)

    play(story())


def test_stop_with_dead_disk_answers_all_the_same() -> None:
    """A disk that never answers does not keep the report from the person who stopped."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        await world.certified()
        heard_by(world)
        world.disk.point = hang = Hang()
        asked = asyncio.ensure_future(world.order("kill"))
        await world.clock.play(3 * ANSWER_WAIT_S)
        report = await asked
        assert (report.recorded, report.complete, report.crl_number) == (False, False, None)
        assert [text.split(":")[0] for text in report.failures] == ["crl", "record"]
        hang.gate.set()

    play(story())


def test_stop_goes_on_when_the_caller_goes_away() -> None:
    """A command that was judged is carried out although nobody waits for its outcome."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        issued = await world.certified()
        listener = heard_by(world)
        asked = asyncio.ensure_future(world.order("kill"))
        await asyncio.wait({asked}, timeout=0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await world.clock.play(0)
        assert len(listener.heard) == 1
        assert await listed(world, issued) == "revoked"

    play(story())


def test_stop_when_the_crl_cannot_be_signed_goes_on() -> None:
    """The key service is away: the stop is recorded and pushed; the CRL's failure is reported."""

    async def story() -> None:
        issuing: Any = signer(102)
        world = await AuthorityWorld.start(keys=authority_keys(issuing=issuing))
        issued = await world.certified()
        listener = heard_by(world)
        real = issuing.sign_blocking

        def away(message: bytes) -> bytes:
            raise Unavailable("the key service does not answer")

        issuing.sign_blocking = away
        report = await world.order("kill")
        assert (report.recorded, report.complete, report.crl_number) == (True, False, None)
        assert report.failures == ("crl: the key service does not answer",)
        assert len(listener.heard) == 1
        with pytest.raises(Unavailable):
            await world.authority.crl()
        issuing.sign_blocking = real
        assert await listed(world, issued) == "revoked"

    play(story())
