# SPDX-License-Identifier: Apache-2.0
"""When a review or a test of a policy is over, as its approvers are told."""

from __future__ import annotations

from sekisho.core.terms import parse_instant
from tests.unit.core.governance.samples import changed, register


def test_notes_of_time_begin_at_their_instant() -> None:
    """A review is over, and a test is, at the very instant."""
    due = parse_instant("2026-08-01T22:00:00.000000000Z")
    document = changed("testing.fitness_test_due", "2026-08-02")
    document = changed("valid_from", "2026-05-15T09:15:00Z", document)
    for moment, expected in ((due - 1, False), (due, True)):
        notes = register(document, now=moment).notes
        assert expected == any("next_review 2026-08-01 is over" in note for note in notes)
    test = parse_instant("2026-08-02T22:00:00.000000000Z")
    for moment, expected in ((test - 1, False), (test, True)):
        notes = register(document, now=moment).notes
        assert expected == any("fitness_test_due 2026-08-02 is over" in one for one in notes)
