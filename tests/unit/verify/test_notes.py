# SPDX-License-Identifier: Apache-2.0
"""`note_recorded` in the authority's log, as a verifier takes it (docs/spec/entries.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.verify.build_bundle import Draft, outcome


@pytest.fixture(scope="module")
def original() -> Draft:
    """The draft that every test copies."""
    return Draft()


def note(**changes: Any) -> dict[str, Any]:
    """A note by a seat, at the end of the draft's log."""
    return {
        "kind": "note_recorded",
        "at": "2026-05-15T23:00:00.000000000Z",
        "by": "risk-1",
        "agent": "bot",
        "subject": "model_review",
        "commitment": "5" * 64,
    } | changes


def seat(draft: Draft, role: str) -> str:
    """A seat of the draft's roster with this role."""
    rows = draft.authority[0]["roster"]["seats"]
    return str(next(row["seat"] for row in rows if row["role"] == role))


def test_notes_of_seats_and_of_programs_are_lawful(original: Draft, tmp_path: Path) -> None:
    """They change nothing."""
    draft = original.copy()
    draft.authority += [
        note(by=seat(draft, "risk")),
        note(by="key:" + "0" * 16, agent="", commitment="6" * 64),
    ]
    assert ("", "", "") == outcome(draft, tmp_path)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"by": "nobody"}, "brought by nobody who may"),
        ({"by": "approver"}, "brought by nobody who may"),
        ({"by": "key:1"}, "no key"),
        ({"agent": "Not A Name"}, "agent"),
        ({"subject": "Free text"}, "no subject"),
        ({"commitment": "5"}, "commitment"),
        ({"commitment": "7" * 64}, "a note that the log has already"),
        ({"text": "plain"}, "text"),
    ],
)
def test_note_that_no_authority_writes_fails(
    original: Draft, tmp_path: Path, changes: dict[str, Any], what: str
) -> None:
    """The entry is named, and what is wrong with it."""
    draft = original.copy()
    if changes.get("by") == "approver":
        changes = {"by": seat(draft, "approver")}
    known = note(by="key:" + "0" * 16, commitment="7" * 64)
    draft.authority += [known, note(by=seat(draft, "risk")) | changes]
    found = outcome(draft, tmp_path)
    assert found[1] == f"authority log, entry {len(draft.authority) - 1}"
    assert what in found[2]
