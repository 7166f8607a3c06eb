# SPDX-License-Identifier: Apache-2.0
"""Any interleaving of commands, issues and restarts: what must hold of statuses afterwards."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sekisho.core.errors import NotAuthorised, OutcomeUnknown, SekishoError, StorageFailed
from sekisho.core.events import CertificateIssued, StatusChanged
from sekisho.core.governance.commands import authorise_commands, parse_signed_command
from sekisho.core.governance.document import Registration
from sekisho.core.identity.crl import read_crl
from sekisho.core.identity.ocsp import verify_ocsp
from sekisho.core.terms import NS, parse_instant
from tests.authority_world import AuthorityWorld, policy_of
from tests.unit.core.governance import samples

AGENTS = ("bot", "other")
POLICIES = {agent: policy_of(agent) for agent in AGENTS}

acts = st.tuples(
    st.sampled_from(("issue", "hold", "release", "revoke", "kill", "approve")),
    st.sampled_from(AGENTS),
)
rounds = st.lists(
    st.one_of(
        st.lists(acts, min_size=1, max_size=4),
        st.sampled_from(("restart", "wait", "disk fails")),
    ),
    min_size=1,
    max_size=12,
)


class Watched(AuthorityWorld):
    """Remembers which certificates were called revoked, and by which process."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.told_revoked: dict[str, object] = {}


async def act(world: AuthorityWorld, kind: str, agent: str) -> None:
    """One person's wish; a refusal, or a log that failed, is an answer too."""
    policy: Registration = POLICIES[agent]
    try:
        if kind == "issue":
            await world.issue(policy)
        elif kind == "approve":
            for seat in ("ceo", "cfo"):
                await world.authority.give_approval(world.approval(policy, seat))
        else:
            epoch = {"epoch": world.authority.state.agent_epoch(agent)}
            extra: dict[str, Any] = epoch if kind == "release" else {}
            await world.order(kind, agent=agent, **extra)
    except SekishoError:
        return


async def play(steps: list[Any]) -> Watched:
    """Run the rounds; the acts of one round go on at the same time."""
    world = await Watched.start()
    for policy in POLICIES.values():
        await world.approve(policy)
    for step in steps:
        if step == "restart":
            world = await world.again()
        elif step == "wait":
            world.clock.advance(1)
        elif step == "disk fails":
            world.disk.fail("append")
        else:
            await asyncio.gather(*(act(world, kind, agent) for kind, agent in step))
            await judge(world)
    world = await world.again()
    await judge(world)
    return world


async def judge(world: Watched) -> None:
    """The invariants, from the log and from what strangers are told."""
    check_log(world)
    state, now = world.authority.state, world.clock.now_ns()
    for agent in AGENTS:
        active = [
            one
            for one in world.authority.certificates(agent)
            if one.status != "revoked" and now < one.not_after
        ]
        assert len(active) <= 1
    told: dict[str, str] = {}
    for one in world.authority.certificates():
        try:
            response = await world.authority.ocsp(one.sha256, next_update_ns=now + NS)
        except (StorageFailed, OutcomeUnknown):
            continue  # the log failed: "good" is not said any more
        said = verify_ocsp(response, state.issuing_certificate, one.certificate, now)
        told[one.sha256] = said.status.status
        if world.told_revoked.get(one.sha256) is world.authority:
            assert told[one.sha256] == "revoked"
        if told[one.sha256] == "revoked":
            world.told_revoked[one.sha256] = world.authority
    try:
        crl = read_crl(await world.authority.crl(), state.issuing_certificate)
    except (StorageFailed, OutcomeUnknown):
        return
    for one in world.authority.certificates():
        on_list = crl.listed.get(int(one.serial_number, 16))
        assert (on_list.status if on_list else "good") == one.status == told[one.sha256]


def check_log(world: AuthorityWorld) -> None:
    """Revoked is final; each status has the commands that its cause needs; epochs rise by one."""
    status: dict[str, str] = {}
    epoch = 0
    nonces: dict[tuple[str, str], tuple[str, ...]] = {}
    for entry in world.entries():
        if isinstance(entry, CertificateIssued):
            status[entry.certificate_sha256] = "good"
        if not isinstance(entry, StatusChanged):
            continue
        assert status[entry.certificate_sha256] != "revoked"
        status[entry.certificate_sha256] = entry.status
        assert entry.epoch == epoch + 1
        epoch = entry.epoch
        signed = [parse_signed_command(text) for text in entry.commands]
        seats = authorise_commands(signed, samples.ROSTER, parse_instant(entry.at))
        assert tuple(seat.seat for seat in seats) == entry.seats
        assert {one.command.command for one in signed} == {entry.cause}
        for one in signed:
            key = (one.command.seat, one.command.nonce)
            assert nonces.setdefault(key, entry.commands) == entry.commands


@given(rounds)
def test_authority_any_interleaving_keeps_its_word(steps: list[Any]) -> None:
    """Revoked never becomes good; one active certificate; every status has its commands."""
    asyncio.run(play(steps))
    assert steps


def test_authority_interleaving_reaches_what_it_is_about() -> None:
    """The acts do happen: a full life within the language of the property."""
    one = [("issue", "bot")], [("hold", "bot")], [("release", "bot")], [("kill", "bot")]
    again = [("issue", "bot")], [("approve", "bot")], [("issue", "bot")], [("revoke", "bot")]
    world = asyncio.run(play([*one, "wait", *again, "restart"]))
    assert [one.status for one in world.authority.certificates("bot")] == ["revoked", "revoked"]
    kinds = [entry.cause for entry in world.entries() if isinstance(entry, StatusChanged)]
    assert kinds == ["hold", "release", "kill", "revoke"]


def test_authority_fifty_concurrent_commands_use_one_nonce_once() -> None:
    """The same signed command given fifty times at once acts once."""

    async def story() -> None:
        world = await AuthorityWorld.start()
        await world.certified()
        command = world.commands("hold")
        answers = await asyncio.gather(
            *(world.authority.command(command) for _ in range(50)), return_exceptions=True
        )
        assert sum(isinstance(one, NotAuthorised) for one in answers) == 49
        assert world.authority.state.epoch == 1

    asyncio.run(story())
