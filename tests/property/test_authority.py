# SPDX-License-Identifier: Apache-2.0
"""Any interleaving of commands, incidents, time and restarts: what must hold of statuses then."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sekisho.adapters.simulated_notifier import SimulatedNotifier
from sekisho.core.errors import NotAuthorised, OutcomeUnknown, SekishoError, StorageFailed
from sekisho.core.events import CertificateIssued, IncidentRecorded, StatusChanged
from sekisho.core.governance.commands import authorise_commands, parse_signed_command
from sekisho.core.governance.document import Registration
from sekisho.core.identity.crl import read_crl
from sekisho.core.identity.ocsp import verify_ocsp
from sekisho.core.incidents.lawful import AUTOMATIC
from sekisho.core.terms import NS, format_instant, parse_instant
from sekisho.ports import IncidentReport
from tests.authority_world import GATE_ORIGIN, AuthorityWorld, log_key, policy_of
from tests.unit.core.governance import samples

AGENTS = ("bot", "other")
POLICIES = {agent: policy_of(agent) for agent in AGENTS}

acts = st.tuples(
    st.sampled_from(
        (
            *("issue", "hold", "release", "revoke", "kill", "approve"),
            *("cross", "break", "look", "condemn", "date", "rearm", "due"),
        )
    ),
    st.sampled_from(AGENTS),
)
rounds = st.lists(
    st.one_of(
        st.lists(acts, min_size=1, max_size=4),
        st.sampled_from(("restart", "wait", "wait for the grace", "step back", "disk fails")),
    ),
    min_size=1,
    max_size=12,
)


class Watched(AuthorityWorld):
    """Remembers which certificates were called revoked, and by which process."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.told_revoked: dict[str, object] = {}
        self.crossings = 0


async def act(world: Watched, kind: str, agent: str) -> None:
    """One person's wish; a refusal, or a log that failed, is an answer too."""
    policy: Registration = POLICIES[agent]
    try:
        if kind == "issue":
            await world.issue(policy)
        elif kind == "approve":
            for seat in ("ceo", "cfo"):
                await world.authority.give_approval(world.approval(policy, seat))
        elif kind in ("cross", "break"):
            await world.authority.report_incident(crossing(world, kind, agent))
        elif kind in ("look", "condemn", "date"):
            await answer(world, kind, agent)
        elif kind == "rearm":
            commands = world.commands("rearm", agent=agent, latch="circuit_breaker")
            await world.authority.authorise_rearm(commands)
        elif kind == "due":
            await world.authority.due()
        else:
            epoch = {"epoch": world.authority.state.agent_epoch(agent)}
            extra: dict[str, Any] = epoch if kind == "release" else {}
            await world.order(kind, agent=agent, **extra)
    except SekishoError:
        return


def crossing(world: Watched, kind: str, agent: str) -> IncidentReport:
    """A gate reports the next incident of the agent's newest certificate, or of none."""
    world.crossings += 1
    records = world.authority.certificates(agent)
    return IncidentReport(
        origin=GATE_ORIGIN,
        index=world.crossings,
        incident=f"{world.crossings:032x}",
        agent=agent,
        certificate_sha256=records[-1].sha256 if records else "0" * 64,
        incident_kind="hold" if kind == "cross" else "breaker",
        score="risk",
        factor="size",
        observed="0.870000",
        threshold="0.85",
    )


async def answer(world: Watched, kind: str, agent: str) -> None:
    """Somebody answers the open incident, if there is one."""
    case = world.authority.incidents.open_incident(agent)
    if case is None:
        return
    said: dict[str, Any] = {
        "look": {"disposition": "investigating"},
        "condemn": {"disposition": "fault"},
        "date": {
            "disposition": "fault",
            "revoke_at": format_instant(world.clock.now_ns() + 100 * NS),
        },
    }[kind]
    signed = world.signed("acknowledge", "risk_lead", agent=agent, incident=case.incident, **said)
    await world.authority.acknowledge((signed,))


async def play(steps: list[Any]) -> Watched:
    """Run the rounds; the acts of one round go on at the same time."""
    world = await Watched.start()
    world.notifiers = (SimulatedNotifier(),)
    world.authority.add_notifier(world.notifiers[0])
    await world.authority.certify_log(GATE_ORIGIN, log_key(GATE_ORIGIN))
    for policy in POLICIES.values():
        await world.approve(policy)
    for step in steps:
        if step == "restart":
            crossings, world = world.crossings, await world.again()
            world.crossings = crossings
        elif step == "wait":
            world.clock.advance(1)
        elif step == "wait for the grace":
            world.clock.advance(300)
            await world.authority.due()
        elif step == "step back":
            world.clock.step_wall(-2)
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
    state, now = world.authority.state, world.authority.log.now()
    for agent in AGENTS:
        active = [
            one
            for one in world.authority.certificates(agent)
            if one.status != "revoked" and now < one.not_after
        ]
        assert len(active) <= 1
    for case in world.authority.incidents.open_cases():
        # What is open is of a certificate that is not revoked, and a hold's is held.
        status = state.certificates[case.certificate_sha256].status
        assert status == "hold" if case.incident_kind == "hold" else status != "revoked"
    assert world.authority.incidents.owed == ()
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
    recorded: set[str] = set()
    nonces: dict[tuple[str, str], tuple[str, ...]] = {}
    for entry in world.entries():
        if isinstance(entry, CertificateIssued):
            status[entry.certificate_sha256] = "good"
        if isinstance(entry, IncidentRecorded):
            recorded.add(entry.incident)
        if not isinstance(entry, StatusChanged):
            continue
        assert status[entry.certificate_sha256] != "revoked"
        status[entry.certificate_sha256] = entry.status
        assert entry.epoch == epoch + 1
        epoch = entry.epoch
        if entry.cause in AUTOMATIC:
            assert (entry.seats, entry.commands) == ((), ())
            assert entry.incident in recorded
            continue
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


def test_authority_interleaving_reaches_the_ends_of_incidents() -> None:
    """Crossed, looked into, released; crossed and left alone; crossed again and condemned."""
    first = [("issue", "bot")], [("cross", "bot")], [("look", "bot")], [("release", "bot")]
    second = [("break", "bot")], [("rearm", "bot")], [("cross", "bot")], "wait for the grace"
    third = [("issue", "bot")], [("cross", "bot")], [("date", "bot")], "wait for the grace"
    fourth = [("issue", "bot")], [("cross", "bot")], [("condemn", "bot")], "restart"
    world = asyncio.run(play([*first, *second, *third, *fourth]))
    kinds = [entry.cause for entry in world.entries() if isinstance(entry, StatusChanged)]
    assert kinds == [
        *("automatic_hold", "release"),
        *("automatic_hold", "grace_expired"),
        *("automatic_hold", "fault"),
        *("automatic_hold", "fault"),
    ]
    ends = [one.outcome for one in world.authority.incidents.all()]
    assert ends == ["released", "rearmed", "revoked", "revoked", "revoked"]


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
