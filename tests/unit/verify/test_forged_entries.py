# SPDX-License-Identifier: Apache-2.0
"""Entries of the processes, forged one at a time by who holds the log's key: found, or said.

Each forgery is in a bundle in which everything else fits it: indexes, permits, checkpoints that the
authority signed, summary, manifest. What the verifier lets pass is listed here, with why it
cannot be otherwise (docs/threat-model.md, "What a gate alone says"); nothing else may pass, and
everything listed does, so that this list is what holds.
"""

from __future__ import annotations

import copy
from itertools import chain
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from sekisho_verify.bundle import Verification
from sekisho_verify.entries import AUTHORITY, GATE
from sekisho_verify.report import GATES_WORD
from tests.unit.verify.build_bundle import outcome
from tests.unit.verify.build_processes import ProcessDraft
from tests.unit.verify.forging import fields, shapes

SHAPES = ("dropped", "twice", "after the next")
OWN = "the gate alone knows it"
VENUE = "the venue said it to the gate alone"
SAME = "nothing that is judged is changed by it"
NEVER = "that it happened is known to the gate alone"
TOLD = {"dropped": NEVER, "twice": NEVER, "after the next": SAME}
"""Of what is told and changes nothing: that it came, and how often, nobody else knows."""

UNSEEN: dict[str, dict[str, str]] = {
    "gate_opened": {"after the next": SAME},
    "clock_observed": {
        "after the next": SAME,
        "at": SAME,
        "wall": OWN,
        "authority_difference_ns": OWN,
        "step_ns": OWN,
    },
    "lease_held": {
        "dropped": NEVER,
        "after the next": SAME,
        "at": SAME,
        "deadline_monotonic": OWN,
    },
    "status_acted": {"twice": SAME, "after the next": SAME, "at": SAME, "reason": SAME},
    "venue_reconciled": {"after the next": SAME, "at": SAME, "open_orders": VENUE},
    "venue_lost": {"twice": SAME, "detail": SAME},
    "outcome_unresolved": TOLD | {"at": SAME, "operation": OWN, "detail": SAME},
    "cancel_asked": TOLD | {"client_order_id": OWN, "cause": SAME},
    "stop_reported": TOLD | {"at": SAME, "epoch": OWN, "confirmed": OWN, "complete": OWN},
    "local_stop": {"after the next": SAME},
    "advised": TOLD | {"agent": OWN, "body_sha256": OWN},
    "shed": TOLD | {"agent": OWN, "messages": OWN, "bytes": OWN, "since": OWN},
    "caller_refused": TOLD | {"front": OWN, "word": OWN, "uid": OWN, "unrecorded": OWN},
    "command_refused": TOLD | {"detail": OWN, "body_sha256": OWN, "unrecorded": OWN},
    "roster_refused": TOLD | {"roster_sha256": OWN, "unrecorded": OWN},
    "snapshot_taken": {
        "dropped": NEVER,
        "twice": NEVER,
        "at": SAME,
        "entries": OWN,
        "snapshot_sha256": OWN,
    },
    "shutdown_ordered": {},
}
"""Kind of the gate's log → forgery → why it passes."""
UNSEEN_OF_THE_AUTHORITY: dict[str, dict[str, str]] = {
    "gate_booted": {"after the next": SAME, "at": SAME},
    "agent_assigned": {"dropped": "a log may be from before assignments were kept", "at": SAME},
    "crl_issued": dict.fromkeys(
        ("crl_sha256", "this_update", "next_update"), "the bundle holds the newest alone"
    )
    | {"at": SAME},
}
ELSEWHERE = {
    "gate": "agent_admitted rate_observed decision permit_signed withdrawn execution rearmed"
    " baseline_adopted incident_opened accumulation_restarted resting_unknown venue_rearmed"
    " venue_contradicted history_awaited history_given history_part",
    "authority": "founded log_key_certified roster_changed policy_registered approval_given"
    " resolved certificate_issued status_changed incident_recorded alert_sent grace_started"
    " incident_acknowledged incident_closed rearm_authorised venue_rearm_authorised baseline_locked"
    " agent_handed_over history_lost note_recorded",
}
"""Kinds that other tests forge: test_bundle_lies, test_bundle_authority, test_procedure,
test_breaks, test_outside, test_crossings, test_baseline, test_rates_used, test_notes, those of
histories."""


@pytest.fixture(scope="module")
def original() -> ProcessDraft:
    """The draft that every forgery copies."""
    return ProcessDraft()


def test_forger_who_changes_nothing_is_believed(original: ProcessDraft, tmp_path: Path) -> None:
    """What is found below is the forgery, not the forger's other work; and what is not known is
    said.
    """
    again = original.copy()
    again.relive()
    for name, draft in (("whole", original), ("relived", again)):
        root = draft.pki.root.public_bytes(Encoding.PEM)
        report = Verification(draft.seal(tmp_path / name), root, None, None).run()
        assert report.failure is None, report.failure
        assert GATES_WORD in report.text()


@pytest.mark.parametrize("kind", UNSEEN)
def test_forged_entry_of_the_gate_is_found_or_listed(
    original: ProcessDraft, tmp_path: Path, kind: str
) -> None:
    """The first entry that cannot be is named; the list says what passes, all of it."""
    passed = set[str]()
    made_up = chain(shapes(original.gate, kind), fields(original.gate, kind))
    for number, (what, index, made) in enumerate(made_up):
        draft = original.copy()
        draft.gate = copy.deepcopy(made)
        if what != "grant":
            draft.relive(numbered=what in SHAPES)
        found = outcome(draft, tmp_path / str(number))
        if found == ("", "", ""):
            passed.add(what)
            continue
        log, _, entry = found[1].partition(" log, entry ")
        named = log in {"gate", "authority", "certificates/log-gate.pem"}
        assert (named, "cannot be judged" in found[2]) == (True, False), found
        assert log != "gate" or int(entry) >= index, found
    assert passed == set(UNSEEN[kind])


@pytest.mark.parametrize("kind", UNSEEN_OF_THE_AUTHORITY)
def test_forged_entry_of_the_authority_is_found_or_listed(
    original: ProcessDraft, tmp_path: Path, kind: str
) -> None:
    """The same for who holds the key of the authority's log."""
    passed = set[str]()
    made_up = chain(shapes(original.authority, kind), fields(original.authority, kind))
    for number, (what, _, made) in enumerate(made_up):
        draft = original.copy()
        draft.authority = copy.deepcopy(made)
        found = outcome(draft, tmp_path / str(number))
        if found == ("", "", ""):
            passed.add(what)
        else:
            assert "cannot be judged" not in found[2], found
    assert passed == set(UNSEEN_OF_THE_AUTHORITY[kind])


def test_every_kind_is_forged_here_or_elsewhere() -> None:
    """A new kind of entry does not come without forgeries of it."""
    assert set(GATE) <= set(UNSEEN) | set(ELSEWHERE["gate"].split())
    assert set(AUTHORITY) <= set(UNSEEN_OF_THE_AUTHORITY) | set(ELSEWHERE["authority"].split())
    assert not set(UNSEEN) & set(ELSEWHERE["gate"].split())
