# SPDX-License-Identifier: Apache-2.0
"""Notes over the control plane (docs/spec/control-plane.md section 5)."""

from __future__ import annotations

import re

from sekisho.apps.control_answers import JSON, Refused, told
from sekisho.apps.control_api import ControlRequest, Serves
from sekisho.core.terms import AGENT_NAME
from sekisho.services import authoritywire as wire
from sekisho.services.notes import NoteWanted
from sekisho.services.pages import begin_or_follow, read_limit
from sekisho.services.repeatable import ControlAnswer

BYTES_MAX = 131_072
"""A text of 16,384 bytes in JSON, each of them escaped."""
_NUMBER = re.compile(r"0|[1-9][0-9]{0,15}")


async def append_note(asked: ControlRequest) -> ControlAnswer:
    """A note: of the key's seat, or of the program itself."""
    wanted = wire.read(asked.body, NoteWanted)
    by = asked.asker.seat or asked.asker.name
    return told(await asked.here.notes.append(by, wanted), 201)


async def notes(asked: ControlRequest) -> ControlAnswer:
    """Notes, and what they say as far as it is not erased."""
    name = asked.query.get("agent", "")
    if name and AGENT_NAME.fullmatch(name) is None:
        raise Refused("malformed", "agent: not a name like algo_trader_v2")
    limit = read_limit(asked.query.get("limit", ""))
    desk = asked.here.notes
    cursor = begin_or_follow(asked.query.get("cursor", ""), ("notes", name), desk.size)
    page = await desk.page(cursor, limit, name)
    return told({"items": page.rows, "next": page.next})


async def erase_note(asked: ControlRequest) -> ControlAnswer:
    """Forget what a note says."""
    if _NUMBER.fullmatch(asked.path["index"]) is None:
        raise Refused("not-found", "there is no such entry")
    return told(await asked.here.notes.erase(int(asked.path["index"])))


def served_to_noters() -> dict[tuple[str, str], Serves]:
    """How the rows of notes are answered."""
    return {
        ("POST", "log/notes"): Serves(
            append_note, media=(JSON,), creates=True, bytes_max=BYTES_MAX
        ),
        ("GET", "log/notes"): Serves(notes, ("agent", "cursor", "limit")),
        ("POST", "log/notes/{index}/erase"): Serves(erase_note),
    }
