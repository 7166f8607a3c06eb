# SPDX-License-Identifier: Apache-2.0
"""The client of the control plane against the real application, over a real socket."""

from __future__ import annotations

import asyncio
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters.web.listening import Listener
from sekisho.adapters.web.serving import serve
from sekisho.apps.control_application import control_application
from sekisho.apps.control_routes import control_routes
from sekisho.core.governance.access import Role
from sekisho.core.governance.commands import parse_signed_command
from sekisho.core.governance.roster import roster_sha256
from sekisho_client import (
    Authority,
    NotAuthenticated,
    Unavailable,
    Unknown,
    connect_authority,
    connect_authority_async,
)
from sekisho_client import authority_answers as told
from sekisho_client.authority_answers import ListPage, Refusal
from sekisho_client.log_proof import ProofInvalid, ProvenEntry
from sekisho_client.people import PersonSigner
from tests.authority_world import AGENT, policy_of
from tests.control_world import ControlWorld
from tests.unit.core.governance import samples

NS = 1_000_000_000


class Served:
    """A control plane over two operators in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self.address = f"unix:{folder}/c.sock"
        self.world: ControlWorld
        self.lost = 0
        self.seen: list[tuple[str, str, bytes | None]] = []
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._end: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._up.wait(30)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self._end = asyncio.Event()
        self.world = await ControlWorld.start()
        self._app = control_application(control_routes(self.world.api, self.world.server))
        serving = await serve(self._heard, [Listener(self.address)])
        self._up.set()
        await self._end.wait()
        await serving.close()

    async def _heard(self, scope: Any, receive: Any, send: Callable[..., Any]) -> None:
        """The application; of the next ``lost`` answers nothing comes."""
        key = dict(scope["headers"]).get(b"idempotency-key")
        self.seen.append((scope["method"], scope["path"], key))
        if not self.lost:
            await self._app(scope, receive, send)
            return
        self.lost -= 1

        async def nothing(_: Any) -> None:
            return

        await self._app(scope, receive, nothing)
        # A head whose body never comes: the connection is cut.
        head = [(b"content-length", b"10"), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 201, "headers": head})

    def call(self, work: Any) -> Any:
        """Do something in its loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def key(self, role: Role, operator: str = "acme") -> str:
        """A new key of this role."""
        bearer: dict[str, str] = self.call(self.world.bearer(role, operator))
        return bearer["authorization"].removeprefix("Bearer ")

    def client(self, role: Role) -> Authority:
        """A client with such a key."""
        return connect_authority(self.address, "acme", key=self.key(role))

    def person(self, seat: str) -> PersonSigner:
        """A seat of the samples, with its key."""
        roster = self.world.operators["acme"].world.authority.roster
        key = samples.KEYS[seat]
        return PersonSigner(
            seat, roster_sha256(roster), lambda message: b64decode(samples.sign(key, message))
        )

    @property
    def now_ns(self) -> int:
        """Of the world's clock."""
        return self.world.clock.now_ns()

    def close(self) -> None:
        """End the thread."""
        assert self._end is not None
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(30)
        self._loop.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    found = Served(tmp_path)
    yield found
    found.close()


def certified(served: Served) -> str:
    """An agent of acme with a certificate; the policy's digest."""
    acme = served.world.operators["acme"]
    registration = policy_of(AGENT)
    served.call(acme.take(registration))
    served.call(acme.world.approve(registration))
    served.call(acme.world.issue(registration))
    return registration.sha256


def test_authority_client_registers_approves_compares_and_withdraws(served: Served) -> None:
    """The bytes that it has people sign are those that the authority verifies."""
    document = samples.PRODUCTION | {"agent": AGENT, "environment": "test"}
    with served.client("compliance") as compliance:
        made = compliance.governance.register_policy(document)
        assert isinstance(made, told.PolicyDigest), made
        other = compliance.governance.register_policy(document | {"version": "2"})
        assert isinstance(other, told.PolicyDigest), other
        found = compliance.governance.difference(made.policy_sha256, other.policy_sha256)
        assert isinstance(found, told.PolicyDifference), found
        assert "version" in [one.path for one in found.changes]
    reached = []
    for seat in ("ceo", "cfo"):
        with approver(served, seat) as client:
            approval = served.person(seat).approval(made.policy_sha256, at_ns=served.now_ns)
            taken = client.governance.approve(approval)
            assert isinstance(taken, told.Approved), taken
            reached.append(taken.approvers)
    assert [0, 2] == reached
    with approver(served, "cfo") as client:
        view = client.governance.get_policy(made.policy_sha256)
        assert isinstance(view, told.PolicyView), view
        assert (("ceo", "cfo"), "") == (view.approvers, view.missing)
        withdrawal = served.person("cfo").withdrawal(made.policy_sha256, at_ns=served.now_ns)
        gone = client.governance.withdraw(withdrawal)
        assert isinstance(gone, told.ApprovalsWithdrawn), gone
        assert gone.missing


def approver(served: Served, seat: str) -> Authority:
    """An approver's client."""
    key = served.call(served.world.keys.make("acme", "approver", seat, 1)).presented
    return connect_authority(served.address, "acme", key=key)


def test_authority_client_holds_and_releases(served: Served) -> None:
    """By signers, or by commands that were signed elsewhere."""
    certified(served)
    program = served.client("program")
    agents = program.agents.list(status="good")
    assert isinstance(agents, ListPage)
    assert [AGENT] == [one.agent for one in agents.items]
    at = served.now_ns
    text = served.person("risk_lead").command("hold", AGENT, "looks_odd", at_ns=at)
    assert AGENT == parse_signed_command(text).command.agent
    held = program.agents.hold(AGENT, commands=(text,))
    assert isinstance(held, told.StatusDone), held
    assert (held.act, held.recorded) == ("hold", True)
    shown = program.agents.get(AGENT)
    assert isinstance(shown, told.AgentView), shown
    assert ("hold", 1) == (shown.status, shown.epoch)
    both = [
        served.person(seat).command("release", AGENT, "false_alarm", epoch=shown.epoch, at_ns=at)
        for seat in ("risk_lead", "compliance_lead")
    ]
    alone = program.agents.release(AGENT, commands=both[:1])
    assert isinstance(alone, Refusal), alone
    assert (403, "forbidden") == (alone.status, alone.word)
    released = program.agents.release(AGENT, commands=both)
    assert isinstance(released, told.StatusDone), released
    certificate = program.agents.get_certificate(shown.certificate_sha256)
    assert isinstance(certificate, told.CertificateView), certificate
    assert ("good", AGENT) == (certificate.status, certificate.agent)
    program.close()


def test_authority_client_proves_entries_and_believes_no_other_log(served: Served) -> None:
    """Proof and signature are checked here, against a key that one has from elsewhere."""
    certified(served)
    journal = served.world.operators["acme"].world.authority.log.journal
    key, other = journal.log_key.vkey, served.world.operators["beta"]
    auditor = served.client("auditor")
    early = auditor.audit_log.prove(2, key)
    assert isinstance(early, Refusal), early
    served.call(journal.publish())
    for index in range(journal.size):
        proven = auditor.audit_log.prove(index, key, entry=journal.entry(index))
        assert isinstance(proven, ProvenEntry), proven
        assert (journal.leaf_hash(index), journal.size) == (proven.leaf_hash, proven.size)
    with pytest.raises(ProofInvalid, match="another than this one"):
        auditor.audit_log.prove(1, key, entry=journal.entry(2))
    stranger = bytearray(journal.log_key.public_key)
    stranger[0] ^= 1
    wrong = type(journal.log_key)(journal.log_key.name, 1, bytes(stranger)).vkey
    with pytest.raises(ProofInvalid, match="not signed by the log"):
        auditor.audit_log.prove(1, wrong)
    assert other.world.authority.log.journal.size
    auditor.close()


def test_authority_client_notes_once_however_often_it_asks(served: Served) -> None:
    """An attempt whose answer is lost is asked again under the same key: one note."""
    with served.client("compliance") as compliance:
        served.lost = 1
        note = compliance.audit_log.append("review", "all well", agent=AGENT, attempts=3)
        assert isinstance(note, told.NoteView), note
        keys = {key for method, _, key in served.seen if method == "POST"}
        assert (1, 2) == (len(keys), len(served.seen))
        listed = compliance.audit_log.list(agent=AGENT)
        assert isinstance(listed, ListPage)
        assert (note,) == listed.items
        served.lost = 1
        doubt = compliance.audit_log.append("review", "again")
        assert isinstance(doubt, Unknown), doubt
        again = compliance.audit_log.append(
            "review", "again", idempotency_key=doubt.idempotency_key
        )
        assert isinstance(again, told.NoteView), again
        assert 2 == len(served.world.operators["acme"].world.authority.state.notes)
        other = compliance.audit_log.append(
            "review", "other", idempotency_key=doubt.idempotency_key
        )
        assert isinstance(other, Refusal)
        assert (422, "key-used") == (other.status, other.word)


def test_authority_client_tells_what_was_not_done(served: Served) -> None:
    """Nobody there, no such thing, a key that is none: each is what it is."""
    nobody = connect_authority("http://127.0.0.1:9", "acme", key="sk_" + "0" * 60)
    assert isinstance(nobody.audit_log.append("review", "x"), Unavailable)
    nobody.close()
    with served.client("auditor") as auditor:
        missing = auditor.agents.get("nobody")
        assert isinstance(missing, Refusal)
        assert "not-found" == missing.word
        refused = auditor.audit_log.append("review", "x")
        assert isinstance(refused, Refusal)
        assert 403 == refused.status
        served.world.tables.away = True
        assert isinstance(auditor.agents.list(), Unavailable)
        served.world.tables.away = False
    with (
        connect_authority(served.address, "acme", key="sk_" + "0" * 60) as stranger,
        pytest.raises(NotAuthenticated),
    ):
        stranger.agents.list()


def test_authority_client_of_an_event_loop_is_the_same(served: Served) -> None:
    """The same shape, awaited."""
    certified(served)
    key = served.key("program")

    async def story() -> None:
        async with connect_authority_async(served.address, "acme", key=key) as client:
            shown = await client.agents.get(AGENT)
            assert isinstance(shown, told.AgentView)
            text = served.person("risk_lead").command("hold", AGENT, "odd", at_ns=served.now_ns)
            held = await client.agents.hold(AGENT, commands=(text,))
            assert isinstance(held, told.StatusDone)
            note = await client.audit_log.append("review", "seen")
            assert isinstance(note, told.NoteView)
            served.lost = 1
            assert isinstance(await client.audit_log.append("review", "lost"), Unknown)

    asyncio.run(story())
