# SPDX-License-Identifier: Apache-2.0
"""Notes over the control plane: what is said beside the log, what is committed in it."""

from __future__ import annotations

import asyncio
import hashlib
import json
from base64 import b64decode
from collections.abc import Coroutine
from typing import Any

import pytest

from sekisho.core.encoding import canonical
from sekisho.core.errors import VerificationFailed
from sekisho.core.events import NoteRecorded, decode_authority_entry
from sekisho.core.identity.notes import NOTE_BYTES_MAX
from tests.control_world import ControlWorld

JSON = {"content-type": "application/json"}
URL = "/v1/operators/acme/log/notes"
WANTED = {"agent": "bot", "subject": "model_review", "text": "Looks odd: sizes doubled on Friday."}


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


def test_note_is_committed_and_shown_until_it_is_erased() -> None:
    """The commitment is over salt and text; the text is nowhere in the log; erased, it is gone."""

    async def story() -> None:
        world = await ControlWorld.start()
        log = world.operators["acme"].world.authority.log
        risk, auditor = await world.bearer("risk"), await world.bearer("auditor")
        async with world.client() as http:
            headers = risk | JSON | world.fresh()
            made = await http.post(URL, headers=headers, content=canonical(WANTED))
            assert 201 == made.status_code
            note = made.json()
            seat = next(one.seat for one in log_roster(world) if one.role == "risk")
            assert (seat, "bot", "model_review") == (note["by"], note["agent"], note["subject"])
            data = log.journal.entry(note["index"])
            entry = decode_authority_entry(data)
            assert isinstance(entry, NoteRecorded)
            said = b"sekisho/note/v1\n" + b64decode(note["salt"]) + note["text"].encode()
            assert hashlib.sha256(said).hexdigest() == entry.commitment == note["commitment"]
            assert b"odd" not in data
            again = await http.post(URL, headers=headers, content=canonical(WANTED))
            assert made.json() == again.json()
            assert [note] == (await http.get(URL, headers=auditor)).json()["items"]
            world.owner = True
            erased = (await http.post(f"{URL}/{note['index']}/erase")).json()
            assert note | {"salt": "", "text": "", "erased_at": erased["erased_at"]} == erased
            assert erased["erased_at"]
            assert [erased] == (await http.get(URL, headers=auditor)).json()["items"]
            assert entry.commitment in log.state.notes
            nothing = await http.post(f"{URL}/0/erase")
            assert 403 == nothing.status_code

    play(story())


def log_roster(world: ControlWorld) -> Any:
    return world.operators["acme"].world.authority.roster.seats


def test_note_of_a_program_names_its_key_and_each_note_its_own_commitment() -> None:
    """The same text twice are two notes, and nothing tells that they say the same."""

    async def story() -> None:
        world = await ControlWorld.start()
        program = await world.bearer("program")
        async with world.client() as http:
            notes = []
            for _ in range(2):
                headers = program | JSON | world.fresh()
                made = await http.post(URL, headers=headers, content=canonical(WANTED))
                notes.append(made.json())
            key = program["authorization"].split("_")[1]
            assert [f"key:{key}"] * 2 == [one["by"] for one in notes]
            assert notes[0]["commitment"] != notes[1]["commitment"]
            shown = await http.get(f"{URL}?agent=other", headers=program)
            assert [] == shown.json()["items"]
            shown = await http.get(f"{URL}?agent=bot&limit=1", headers=program)
            rest = await http.get(f"{URL}?agent=bot&cursor={shown.json()['next']}", headers=program)
            assert notes == shown.json()["items"] + rest.json()["items"]
            other = await world.bearer("auditor", "beta")
            url = "/v1/operators/beta/log/notes"
            assert [] == (await http.get(url, headers=other)).json()["items"]

    play(story())


@pytest.mark.parametrize(
    "changes",
    [
        {"text": ""},
        {"text": "x" * (NOTE_BYTES_MAX + 1)},
        {"text": "ä" * (NOTE_BYTES_MAX // 2) + "x"},
        {"subject": "Free text"},
        {"subject": ""},
        {"agent": "Not A Name"},
        {"more": 1},
    ],
)
def test_note_that_is_none_is_refused_and_nothing_kept(changes: dict[str, Any]) -> None:
    """400, no entry and no text."""

    async def story() -> None:
        world = await ControlWorld.start()
        log = world.operators["acme"].world.authority.log
        size = log.journal.size
        headers = await world.bearer("compliance") | JSON | world.fresh()
        async with world.client() as http:
            answer = await http.post(URL, headers=headers, content=json.dumps(WANTED | changes))
            assert 400 == answer.status_code
        assert (size, {}) == (log.journal.size, world.tables.said)

    play(story())


def test_note_of_the_longest_text_is_taken() -> None:
    """16,384 bytes, whatever their spelling in JSON."""

    async def story() -> None:
        world = await ControlWorld.start()
        headers = await world.bearer("operator") | JSON | world.fresh()
        text = "\x01" * NOTE_BYTES_MAX
        async with world.client() as http:
            answer = await http.post(
                URL, headers=headers, content=json.dumps(WANTED | {"text": text, "agent": ""})
            )
            assert (201, text) == (answer.status_code, answer.json()["text"])

    play(story())


@pytest.mark.parametrize(
    "changes",
    [
        {"by": "nobody"},
        {"by": "ceo"},
        {"by": "key:1"},
        {"by": ""},
        {"agent": "Not A Name"},
        {"subject": "free text"},
        {"commitment": "0"},
        {"commitment": "f" * 64},
    ],
)
def test_note_entry_that_no_authority_writes_is_refused(changes: dict[str, str]) -> None:
    """By whom it may be, what about, one commitment once."""

    async def story() -> None:
        world = await ControlWorld.start()
        log = world.operators["acme"].world.authority.log
        fields = {
            "by": "key:" + "0" * 16,
            "agent": "",
            "subject": "review",
            "commitment": "0" * 64,
        }
        log.record(NoteRecorded(at=log.at(), **(fields | {"commitment": "f" * 64})))
        with pytest.raises(VerificationFailed):
            log.record(NoteRecorded(at=log.at(), **(fields | changes)))
        log.record(NoteRecorded(at=log.at(), **fields))

    play(story())
