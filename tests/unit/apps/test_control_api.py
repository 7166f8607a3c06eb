# SPDX-License-Identifier: Apache-2.0
"""The control plane's conventions and resources (docs/spec/control-plane.md)."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import Coroutine
from typing import Any

import msgspec
import pytest

from sekisho.core.encoding import canonical
from sekisho.core.errors import OutcomeUnknown
from sekisho.core.governance.commands import signed_command_text
from sekisho.core.ledger.checkpoint import verify_checkpoint
from sekisho.core.ledger.merkle import leaf_hash, verify_inclusion
from tests.authority_world import AGENT, policy_of
from tests.control_world import ControlWorld, HostedDouble
from tests.unit.core.governance import samples

JSON = {"content-type": "application/json"}
AT = "/v1/operators/acme"


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


async def certified(hosted: HostedDouble, agent: str = AGENT) -> str:
    """An agent of this operator with an active certificate; the policy's digest."""
    registration = policy_of(agent)
    await hosted.take(registration)
    await hosted.world.approve(registration)
    await hosted.world.issue(registration)
    return registration.sha256


@pytest.mark.parametrize("given", ["abc-1.2_X", "", "a" * 65, "a b", "a\tb", "é"])
def test_request_id_is_taken_over_if_well_made_and_else_replaced(given: str) -> None:
    """Each answer has one, in header and problem, and the line of the log too."""

    async def story() -> None:
        world = await ControlWorld.start()
        async with world.client() as client:
            headers = {b"x-request-id": given.encode()} if given else {}
            answer = await client.get(f"{AT}/policies", headers=headers)
            found = answer.headers["x-request-id"]
            assert (found == given) == (given == "abc-1.2_X")
            assert answer.json()["request_id"] == found == world.said[-1][0]
            assert world.said[-1] == (found, "GET policies", "anyone", 401)

    play(story())


def test_problem_is_a_problem_document_for_whatever_goes_wrong() -> None:
    """Routing, method, credential, role, body: RFC 9457 each time."""

    async def story() -> None:
        world = await ControlWorld.start()
        risk = await world.bearer("risk")
        async with world.client() as client:
            for method, path, headers, body, status in (
                ("GET", "/v1/nothing", {}, b"", 404),
                ("DELETE", f"{AT}/policies", risk, b"", 405),
                ("GET", f"{AT}/policies", {}, b"", 401),
                ("GET", f"{AT}/keys", risk, b"", 403),
                ("GET", f"{AT}/policies?limit=0", risk, b"", 400),
                ("GET", f"{AT}/policies?what=1", risk, b"", 400),
                ("GET", f"{AT}/policies?limit=1&limit=2", risk, b"", 400),
                ("GET", f"{AT}/policies", risk, b"{}", 400),
                ("GET", f"{AT}/policies/{'0' * 64}", risk, b"", 404),
                ("GET", f"{AT}/policies/0", risk, b"", 404),
                ("POST", f"{AT}/commands", risk, b"{}", 415),
                ("POST", f"{AT}/commands", risk | JSON, b"{", 400),
                ("POST", f"{AT}/commands", risk | JSON, b'{"commands":[],"more":1}', 400),
                ("POST", f"{AT}/commands", risk | JSON, b"x" * 262_145, 413),
                ("POST", f"{AT}/policies", risk | JSON, b"{}", 400),
            ):
                answer = await client.request(method, path, headers=headers, content=body)
                assert (path, status) == (path, answer.status_code)
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.headers["cache-control"] == "no-store"
                told = answer.json()
                assert (told["status"], bool(told["detail"])) == (status, True)
                assert told["type"].startswith("urn:sekisho:problem:")

    play(story())


def test_key_is_made_shown_once_listed_and_ended() -> None:
    """The secret is in the first answer alone, and kept nowhere; an end is final."""

    async def story() -> None:
        world = await ControlWorld.start()
        admin = await world.bearer("issuer_admin") | JSON
        wanted = json.dumps({"role": "auditor", "seat": "", "days": 30})
        async with world.client() as client:
            headers = admin | {"idempotency-key": "first"}
            made = await client.post(f"{AT}/keys", headers=headers, content=wanted)
            assert 201 == made.status_code
            again = await client.post(f"{AT}/keys", headers=headers, content=wanted)
            assert made.json() | {"presented": ""} == again.json()
            assert made.json()["presented"].split("_")[2] not in repr(world.tables.answers)
            bearer = {"authorization": f"Bearer {made.json()['presented']}"}
            assert 200 == (await client.get(f"{AT}/policies", headers=bearer)).status_code
            listed = (await client.get(f"{AT}/keys", headers=bearer)).json()
            assert [made.json()["key"]] == listed["items"]
            assert made.json()["presented"].split("_")[2] not in json.dumps(listed)
            ended = await client.post(
                f"{AT}/keys/{made.json()['key']['id']}/end",
                headers={"authorization": admin["authorization"]},
            )
            assert ended.json()["ended_at"]
            assert 401 == (await client.get(f"{AT}/policies", headers=bearer)).status_code

    play(story())


def test_keys_of_a_list_are_paged_by_id() -> None:
    """Every key once, in the order of ids."""

    async def story() -> None:
        world = await ControlWorld.start()
        made = [(await world.keys.make("acme", "program", "", 1)).key.id for _ in range(7)]
        auditor = await world.bearer("auditor")
        seen, cursor = [], ""
        async with world.client() as client:
            while True:
                url = f"{AT}/keys?limit=3" + (f"&cursor={cursor}" if cursor else "")
                page = (await client.get(url, headers=auditor)).json()
                seen += [one["id"] for one in page["items"] if one["role"] == "program"]
                cursor = page["next"]
                if not cursor:
                    break
        assert sorted(made) == seen

    play(story())


def test_idempotency_key_used_for_another_request_is_422() -> None:
    """Same key, other body: nothing is done."""

    async def story() -> None:
        world = await ControlWorld.start()
        admin = await world.bearer("issuer_admin") | JSON | {"idempotency-key": "k"}
        async with world.client() as client:
            for days, status in ((1, 201), (2, 422)):
                body = json.dumps({"role": "auditor", "seat": "", "days": days})
                answer = await client.post(f"{AT}/keys", headers=admin, content=body)
                assert status == answer.status_code
            assert 1 == len(await world.keys.listed("acme", "", 10))

    play(story())


def test_policy_is_registered_approved_and_shown() -> None:
    """YAML and JSON make the same; what is missing is said until the quorum is there."""

    async def story() -> None:
        world = await ControlWorld.start()
        acme = world.operators["acme"]
        document = samples.PRODUCTION | {"agent": AGENT, "environment": "test"}
        compliance = await world.bearer("compliance")
        approver = await world.bearer("approver")
        async with world.client() as client:
            answers = [
                await client.post(
                    f"{AT}/policies",
                    headers=compliance | world.fresh() | {"content-type": f"application/{form}"},
                    content=json.dumps(document),
                )
                for form in ("json", "yaml")
            ]
            assert [201, 201] == [one.status_code for one in answers]
            digest = answers[0].json()["policy_sha256"]
            assert digest == answers[1].json()["policy_sha256"]
            registration = acme.registrations[digest]
            sheet = (await client.get(f"{AT}/policies/{digest}", headers=compliance)).json()
            assert canonical(sheet["policy"]) == registration.canonical
            assert "approv" in sheet["row"]["missing"]
            for who in ("ceo", "cfo"):
                approval = acme.world.approval(registration, who)
                key = await world.keys.make("acme", "approver", who, 1)
                headers = {"authorization": f"Bearer {key.presented}"} | JSON
                taken = await client.post(
                    f"{AT}/approvals", headers=headers, content=canonical(approval)
                )
                assert 200 == taken.status_code
            rows = (await client.get(f"{AT}/policies", headers=approver)).json()["items"]
            assert [("ceo", "cfo"), ""] == [tuple(rows[0]["approvers"]), rows[0]["missing"]]
            other = await world.bearer("compliance", "beta")
            url = "/v1/operators/beta/policies"
            assert [] == (await client.get(url, headers=other)).json()["items"]

    play(story())


def test_approval_is_brought_by_its_signer_alone() -> None:
    """A stolen key of one seat brings no other seat's signature, and cannot make one."""

    async def story() -> None:
        world = await ControlWorld.start()
        acme = world.operators["acme"]
        registration = policy_of()
        await acme.take(registration)
        approval = acme.world.approval(registration, "cfo")
        made = await world.keys.make("acme", "approver", "ceo", 1)
        headers = {"authorization": f"Bearer {made.presented}"} | JSON
        forged = msgspec.structs.replace(approval, seat="ceo")
        async with world.client() as client:
            for one in (approval, forged):
                answer = await client.post(
                    f"{AT}/approvals", headers=headers, content=canonical(one)
                )
                assert 403 == answer.status_code
        assert {} == acme.world.authority.state.policies[registration.sha256].approvals

    play(story())


def test_command_by_a_person_of_the_roster_stops_and_is_told() -> None:
    """A hold is carried out; a key alone holds nothing; a program may bring what others signed."""

    async def story() -> None:
        world = await ControlWorld.start()
        acme = world.operators["acme"]
        await certified(acme)
        text = signed_command_text(acme.world.signed("hold", "risk_lead"))
        body = json.dumps({"commands": [text]})
        compliance = await world.bearer("compliance") | JSON
        program = await world.bearer("program") | JSON
        async with world.client() as client:
            denied = await client.post(f"{AT}/commands", headers=compliance, content=body)
            assert 403 == denied.status_code
            shown = (await client.get(f"{AT}/agents/{AGENT}", headers=program)).json()
            assert "good" == shown["status"]
            done = await client.post(f"{AT}/commands", headers=program, content=body)
            assert (200, True) == (done.status_code, done.json()["recorded"])
            shown = (await client.get(f"{AT}/agents/{AGENT}", headers=program)).json()
            assert ("hold", 1) == (shown["status"], shown["epoch"])
            elsewhere = await client.post(
                "/v1/operators/beta/commands",
                headers=await world.bearer("program", "beta") | JSON,
                content=body,
            )
            assert 403 == elsewhere.status_code

    play(story())


def test_registers_pages_lose_no_row_while_certificates_are_issued() -> None:
    """A walk holds each certificate of its beginning once; a later one is in a later walk."""

    async def story() -> None:
        world = await ControlWorld.start()
        acme = world.operators["acme"]
        for number in range(7):
            await certified(acme, f"bot_{number}")
        auditor = await world.bearer("auditor")
        seen, cursor, made = [], "", 7
        async with world.client() as client:
            while True:
                url = f"{AT}/certificates?limit=3" + (f"&cursor={cursor}" if cursor else "")
                page = (await client.get(url, headers=auditor)).json()
                seen += [one["agent"] for one in page["items"]]
                cursor = page["next"]
                await certified(acme, f"bot_{made}")
                made += 1
                if not cursor:
                    break
            assert [f"bot_{number}" for number in range(7)] == seen
            url = f"{AT}/certificates?agent=bot_8&status=good"
            found = (await client.get(url, headers=auditor)).json()["items"]
            assert ["bot_8"] == [one["agent"] for one in found]
            sheet = await client.get(
                f"{AT}/certificates/{found[0]['certificate_sha256']}", headers=auditor
            )
            record = acme.world.authority.state.agents["bot_8"][0]
            assert record.certificate == b64decode(sheet.json()["certificate"])

    play(story())


def test_log_is_read_and_an_entry_proven_to_a_stranger() -> None:
    """Entries, checkpoint and proof fit together by the log's own key."""

    async def story() -> None:
        world = await ControlWorld.start()
        acme = world.operators["acme"]
        await certified(acme)
        journal = acme.world.authority.log.journal
        auditor = await world.bearer("auditor")
        async with world.client() as client:
            none = await client.get(f"{AT}/log/checkpoint", headers=auditor)
            assert 404 == none.status_code
            assert 404 == (await client.get(f"{AT}/log/proofs/0", headers=auditor)).status_code
            await journal.publish()
            note = (await client.get(f"{AT}/log/checkpoint", headers=auditor)).content
            checkpoint, _ = verify_checkpoint(note, journal.log_key)
            rows = (await client.get(f"{AT}/log/entries?limit=200", headers=auditor)).json()
            assert checkpoint.size == len(rows["items"])
            for row in rows["items"]:
                sheet = (
                    await client.get(f"{AT}/log/proofs/{row['index']}", headers=auditor)
                ).json()
                leaf = leaf_hash(b64decode(row["entry"]))
                assert leaf == b64decode(sheet["leaf_hash"])
                proof = [b64decode(one) for one in sheet["proof"]]
                verify_inclusion(leaf, row["index"], checkpoint.size, proof, checkpoint.root_hash)
            beyond = await client.get(f"{AT}/log/proofs/{checkpoint.size}", headers=auditor)
            assert 404 == beyond.status_code

    play(story())


def test_ready_says_what_is_missing() -> None:
    """503 with words until nothing is missing."""

    async def story() -> None:
        world = await ControlWorld.start()
        async with world.client() as client:
            assert 200 == (await client.get("/v1/ready")).status_code
            world.missing = ("the database does not answer",)
            answer = await client.get("/v1/ready")
            assert (503, list(world.missing)) == (answer.status_code, answer.json()["missing"])
            assert 200 == (await client.get("/v1/health")).status_code

    play(story())


def test_store_that_does_not_answer_admits_nobody() -> None:
    """503, and nothing is told of anything."""

    async def story() -> None:
        world = await ControlWorld.start()
        auditor = await world.bearer("auditor")
        world.tables.away = True
        async with world.client() as client:
            answer = await client.get(f"{AT}/policies", headers=auditor)
            assert (503, "1") == (answer.status_code, answer.headers["retry-after"])
            assert "items" not in answer.json()

    play(story())


def test_outcome_that_is_unknown_says_so() -> None:
    """An answer whose effect nobody knows is told as such, never as a refusal."""

    async def story() -> None:
        world = await ControlWorld.start()
        world.operators["acme"].failing = OutcomeUnknown("the write may have happened")
        headers = await world.bearer("compliance") | JSON | world.fresh()
        async with world.client() as client:
            answer = await client.post(f"{AT}/policies", headers=headers, content=b"{}")
            assert (503, "unknown") == (answer.status_code, answer.json()["effect"])

    play(story())


def test_other_method_is_told_every_method_of_the_path() -> None:
    """405 names GET and POST where both are there, not those of the first route alone."""

    async def story() -> None:
        world = await ControlWorld.start()
        async with world.client() as client:
            for path, allow in (("keys", "GET, HEAD, POST"), ("commands", "POST")):
                answer = await client.delete(f"{AT}/{path}")
                assert (405, allow) == (answer.status_code, answer.headers["allow"])

    play(story())
